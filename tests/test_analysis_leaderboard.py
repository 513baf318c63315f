"""What the leaderboard lists where runs of several kinds lie under one folder."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from generated_runs import write_run, write_sweep

from resnet_sweep.analysis.objective import Objective
from resnet_sweep.analysis.summary.summarize import Options, Summary, summarize
from resnet_sweep.reporting.numbers import bounds

pytestmark = pytest.mark.usefixtures("one_figure")

SWEPT = {"data": "digits", "optimizer": "sgd", "train.epochs": 3}
PLAIN = {
    "data": "digits",
    "optimizer": "adamw",
    "scheduler": "one_cycle",
    "train.epochs": 5,
    "train.batch_size": 64,
    "regularization.label_smoothing": 0.1,
}


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """Twelve nets that differ in width and rate, and a worse run of quite another kind."""
    for place in range(12):
        varied = {"model.base_width": 8 + 8 * (place % 2), "optimizer.lr": 0.01 * (place + 1)}
        write_run(tmp_path / f"swept/{place}", 0.9 - place / 100, SWEPT | varied)
    write_run(tmp_path / "quickstart", 0.3, PLAIN)
    write_run(tmp_path / "failed", 0.2, PLAIN | {"seed": 4}, status="failed", objective=None)
    return tmp_path


def summary_of(root: Path, top: int = 10) -> Summary:
    return summarize(Options(root=root, output=root / "summary", top=top))


def settings_of(row: list[str]) -> dict[str, str]:
    return dict(each.split("=", 1) for each in row[-1].split())


@pytest.mark.slow
def test_only_what_tells_the_rows_apart_is_listed(mixed: Path) -> None:
    found = summary_of(mixed)
    first = settings_of(found.leaderboard.rows[0])
    assert first == {"model.base_width": "8", "optimizer.lr": "0.01"}
    assert all(set(settings_of(row)) == set(first) for row in found.leaderboard.rows)
    assert found.leaderboard.remarks[0] == "10 of 13 configurations; --top shows more"


def test_the_tables_and_the_report_agree_and_runs_csv_keeps_the_rest(mixed: Path) -> None:
    summary_of(mixed)
    for name in ("leaderboard.md", "leaderboard.tex", "report.html"):
        text = (mixed / "summary" / name).read_text().replace("\\", "")
        board = text
        if name == "report.html":
            board = text.partition('<section id="leaderboard">')[2].partition("</section>")[0]
        assert "10 of 13 configurations" in board and "optimizer.lr=0.01" in board
        assert "label_smoothing" not in board and "model.widths" not in board
    columns = pd.read_csv(mixed / "summary" / "runs.csv").columns
    assert {"regularization.label_smoothing", "model.base_width", "train.batch_size"} <= set(
        columns
    )


def test_all_rows_list_what_they_differ_in(mixed: Path) -> None:
    board = summary_of(mixed, top=20).leaderboard
    assert len(board.rows) == 13
    assert not any("configurations; --top" in remark for remark in board.remarks)
    text = (mixed / "summary" / "leaderboard.md").read_text().replace("\\", "")
    *swept, plain = [line for line in text.splitlines() if "| swept/" in line or "| quick" in line]
    assert len(swept) == 12 and "optimizer=adamw" in plain
    assert "model.widths=[16, 64, 128, 256]" in plain and "model.base_width" not in plain
    assert all("model.base_width=" in row and "model.widths" not in row for row in swept)


def test_widths_that_count_for_nothing_are_not_listed(tmp_path: Path) -> None:
    base = {"model.base_width": 8, "model.widths": [16, 64, 128, 256]}
    write_run(tmp_path / "base", 0.8, base)
    write_run(tmp_path / "wide", 0.7, {"model.widths": [8, 16, 32, 48]})
    one, two = (row[-1] for row in summary_of(tmp_path).leaderboard.rows)
    assert one == "model.base_width=8" and two == "model.widths=[8, 16, 32, 48]"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"model.base_width": 8}, {"model.widths": [8, 16, 32, 64]}),
        ({"optimizer.lr": 0.1}, {"optimizer.lr": 0.2, "optimizer.lr_scaling": "linear"}),
        ({}, {"train.num_threads": 3, "train.compile": "none"}),
    ],
)
def test_two_spellings_of_one_configuration_are_seeds_of_it(
    tmp_path: Path, one: dict[str, Any], other: dict[str, Any]
) -> None:
    write_run(tmp_path / "a", 0.8, {**one, "seed": 1, "train.batch_size": 128})
    write_run(tmp_path / "b", 0.9, {**other, "seed": 2, "train.batch_size": 128})
    [row] = summary_of(tmp_path).leaderboard.rows
    assert row[1:4:2] == ["0.8500", "2"]


def test_another_kind_of_net_is_told_by_its_name_alone(tmp_path: Path) -> None:
    write_run(tmp_path / "own", 0.9)
    config = json.loads((tmp_path / "own/config.json").read_text())
    own = {"name": "custom", "target": "my_nets.Net", "kwargs": {"width": 64}}
    (tmp_path / "own/config.json").write_text(json.dumps(config | {"model": own}))
    for place in range(2):
        write_run(tmp_path / str(place), 0.8 - place / 10, {"optimizer.lr": 0.1 + place})
    best, *others = summary_of(tmp_path).leaderboard.rows
    assert settings_of(best)["model.target"] == "my_nets.Net"
    assert [set(settings_of(row)) for row in others] == [{"optimizer.lr"}] * 2


def test_a_text_with_an_equals_sign_is_one_setting_of_the_first_screen(tmp_path: Path) -> None:
    for name, note in (("a", "deep optimizer.lr=5 <b>"), ("b", "flat")):
        write_run(tmp_path / name, 0.9 if name == "a" else 0.8)
        config = json.loads((tmp_path / name / "config.json").read_text())
        own = {"name": "custom", "target": "my_nets.Net", "kwargs": {"note": note}}
        (tmp_path / name / "config.json").write_text(json.dumps(config | {"model": own}))
    summary_of(tmp_path)
    text = (tmp_path / "summary/report.html").read_text()
    [card] = re.findall('<dl class="settings">(.*?)</dl>', text)
    pairs = re.findall("<dt>(.*?)</dt><dd>(.*?)</dd>", card)
    assert pairs == [("model.kwargs.note", "deep optimizer.lr=5 &lt;b&gt;")]


def test_what_the_swept_rows_have_in_common_stands_below(tmp_path: Path) -> None:
    write_sweep(tmp_path / "s", trials=40)
    board = summary_of(tmp_path, top=1).leaderboard
    assert board.rows[0][-1] == ""
    assert (
        board.remarks[1].startswith("alike in all of them: ") and "optimizer=" in board.remarks[1]
    )


def test_many_settings_are_cut_in_the_report_and_open_on_click(tmp_path: Path) -> None:
    many: dict[str, Any] = {"regularization.dropout": 0.1, "regularization.weight_decay": 0.01}
    many |= {"train.batch_size": 32, "optimizer.lr": 0.5, "train.epochs": 9}
    write_run(tmp_path / "a", 0.9)
    write_run(tmp_path / "b", 0.8, many)
    summary_of(tmp_path)
    text = (tmp_path / "summary/report.html").read_text()
    assert "<details><summary>" in text and "regularization.dropout=0.1" in text


def test_no_interval_of_an_accuracy_leaves_zero_and_one(tmp_path: Path) -> None:
    for seed, accuracy in enumerate((0.999, 0.80)):
        write_run(tmp_path / str(seed), accuracy, {"seed": seed})
    best = next(each for each in summary_of(tmp_path).answers if each.startswith("One config"))
    assert "over 2 seeds (95% t interval 0.0000 to 1.0000)" in best
    assert Objective("val_loss", -1).interval(-1.5, 2.5) == "-1.5 to 2.5"


def test_a_confirmation_cuts_accuracies_and_not_differences() -> None:
    assert bounds(0.9256, 1.0210) == "0.9256 to 1.0000"
    assert bounds(-0.1, 0.2) == "0.0000 to 0.2000"
    assert bounds(-1.2, 1.2, "+.4f") == "-1.2000 to +1.2000"
    assert bounds(float("nan"), float("nan")) == "-"
