"""The command from folder to files: every number equals the one from the raw files."""

from __future__ import annotations

import csv
import io
import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT
from generated_runs import write_run, write_sweep

from resnet_sweep.analysis.figures import FIGURES
from resnet_sweep.analysis.summary import command
from resnet_sweep.analysis.summary.command import main
from resnet_sweep.analysis.summary.summarize import Options, Summary, summarize
from resnet_sweep.config.errors import UserError
from resnet_sweep.reporting.tables import to_csv

EVIL = "=cmd|' /C calc'!A0</script><img src=x onerror=alert(1)>$\\frac|`*"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("outputs")
    write_sweep(root / "sweeps" / "s", trials=60)
    write_run(root / "runs" / "evil ż", 0.5, {"data": "digits", "model.name": EVIL})
    write_run(root / "runs" / "nan", float("nan"), {"data": "digits"}, status="diverged")
    (root / "runs" / "broken").mkdir()
    (root / "runs" / "broken" / "result.json").write_text("<script>")
    return root


@pytest.fixture(scope="module")
def summary(root: Path) -> Summary:
    return summarize(Options(root=root, output=root / "summary"))


def raw_results(root: Path) -> dict[str, dict[str, Any]]:
    """Return result.json of every run, read with nothing of this project."""
    found = {}
    for path in root.rglob("result.json"):
        if path.parent.name != "broken":
            found[path.parent.relative_to(root).as_posix()] = json.loads(path.read_text())
    return found


def report_data(root: Path) -> dict[str, Any]:
    text = (root / "summary" / "report.html").read_text()
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.S)
    assert found is not None
    data: dict[str, Any] = json.loads(found[1])
    return data


@pytest.mark.slow
def test_counts_are_those_of_the_raw_files(root: Path, summary: Summary) -> None:
    statuses = [each["status"] for each in raw_results(root).values()]
    trials = [
        json.loads(line)["state"]
        for line in (root / "sweeps/s/trials.jsonl").read_text().splitlines()
    ]
    rejected = trials.count("rejected")
    assert summary.counts == {
        "completed": statuses.count("completed"),
        "pruned": statuses.count("pruned"),
        "rejected": rejected,
        "diverged": statuses.count("diverged"),
        "unreadable": 1,
    }
    assert summary.rejection_rate == pytest.approx(rejected / len(trials))


def test_the_best_is_the_best_of_the_raw_files(root: Path, summary: Summary) -> None:
    results = raw_results(root)
    repeats = [f"sweeps/s/runs/{i}" for i in range(5)]
    mean = np.mean([results[run]["val_accuracy"] for run in repeats])
    others = {
        run: each["val_accuracy"]
        for run, each in results.items()
        if each["status"] == "completed" and run not in repeats
    }
    best = max(others, key=lambda run: others[run])
    assert others[best] > mean
    first = summary.leaderboard.rows[0]
    assert first[1] == f"{others[best]:.4f}" and best in first
    assert best in summary.answers[0] and f"{others[best]:.4f}" in summary.answers[0]


def test_tables_hold_every_run_and_epoch(root: Path, summary: Summary) -> None:
    results = raw_results(root)
    runs = pd.read_parquet(root / "summary" / "runs.parquet").set_index("run")
    table = pd.read_csv(root / "summary" / "runs.csv").set_index("run")
    assert len(runs) == len(table) == len(results) + 1
    for run, raw in results.items():
        for name in ("val_accuracy", "num_params", "train_seconds", "seed"):
            for each in (runs.at[run, name], table.at[run, name]):
                expected = np.nan if raw[name] is None else raw[name]
                np.testing.assert_equal(float(each), float(expected))
    epochs = pd.read_parquet(root / "summary" / "epochs.parquet")
    lines = {run: (root / run / "metrics.csv").read_text().splitlines()[1:] for run in results}
    assert len(epochs) == sum(map(len, lines.values()))
    run = "sweeps/s/runs/7"
    expected_rows = [list(map(float, line.split(","))) for line in lines[run]]
    np.testing.assert_array_equal(epochs[epochs["run"] == run].iloc[:, 1:], expected_rows)


def test_the_reports_table_equals_the_raw_files(root: Path, summary: Summary) -> None:
    data, results = report_data(root), raw_results(root)
    columns = {column["name"]: column for column in data["columns"]}
    names = [columns["run"]["levels"][code] for code in columns["run"]["codes"]]
    assert sorted(names) == sorted([*results, "runs/broken"])
    for place, run in enumerate(names):
        raw = results.get(run, {})
        assert columns["num_params"]["values"][place] == raw.get("num_params")
        expected = "NaN" if raw.get("status") == "diverged" and run == "runs/nan" else None
        accuracy = raw.get("val_accuracy")
        assert columns["val_accuracy"]["values"][place] == (accuracy or expected)
        assert data["counts"][place] == raw.get("epochs", 0)
    assert columns["optimizer.lr"]["sortable"]


def test_text_of_a_config_is_never_markup(root: Path, summary: Summary) -> None:
    html = (root / "summary" / "report.html").read_text()
    tags: list[str] = []
    parser = HTMLParser(convert_charrefs=True)
    parser.handle_starttag = lambda tag, _: tags.append(tag)  # type: ignore[method-assign]
    parser.feed(html)
    assert "img" not in tags and tags.count("script") == 4 and "</script><img" not in html
    data = report_data(root)
    assert any(EVIL in column.get("levels", []) for column in data["columns"])
    for name in ("leaderboard.md", "leaderboard.tex"):
        assert "<script>" not in (root / "summary" / name).read_text()


def test_no_cell_of_the_csv_is_a_formula(root: Path, summary: Summary) -> None:
    text = (root / "summary" / "runs.csv").read_text()
    cells = [cell for row in csv.reader(io.StringIO(text)) for cell in row]
    assert f"'{EVIL}" in cells
    assert not any(re.match(r"[=+@\t\r]|-[^\d]", cell) for cell in cells)


def test_safe_csv_keeps_numbers_and_quotes_text() -> None:
    table = pd.DataFrame({"x": [-1.5, 2.0], "=y": ["+1", "a"], "z": ["@b", None]})
    rows = list(csv.reader(io.StringIO(to_csv(table))))
    assert rows == [["x", "'=y", "z"], ["-1.5", "'+1", "'@b"], ["2.0", "a", ""]]


def test_every_figure_is_drawn_as_png_and_svg(root: Path, summary: Summary) -> None:
    files = {path.name for path in (root / "summary" / "figures").iterdir()}
    assert files == {f"{spec.stem}.{suffix}" for spec in FIGURES for suffix in ("png", "svg")}
    for spec in FIGURES:
        assert f'id="figure-{spec.stem}"' in (root / "summary" / "report.html").read_text()


def test_a_second_call_reads_nothing_and_says_the_same(root: Path, summary: Summary) -> None:
    again = summarize(Options(root=root, output=root / "summary"))
    assert again.num_read == 0
    assert (again.answers, again.counts, again.leaderboard) == (
        summary.answers,
        summary.counts,
        summary.leaderboard,
    )


@pytest.mark.usefixtures("one_figure")
def test_where_sort_and_compare(tmp_path: Path, root: Path, summary: Summary) -> None:
    options = Options(
        root=root,
        output=tmp_path,
        where="optimizer=sgd and sweep=s",
        sort="num_params",
        top=3,
        compare=("sweeps/s/runs/0/", "./sweeps/s/runs/1"),
    )
    found = summarize(options)
    params = [int(row[found.leaderboard.columns.index("parameters")].replace(",", "")) for row in
              found.leaderboard.rows]  # fmt: skip
    assert len(params) == 3 and params == sorted(params)
    assert "McNemar" in found.answers[-1]
    runs = pd.read_parquet(tmp_path / "runs.parquet")
    assert set(runs["optimizer"]) == {"sgd"}
    assert set(pd.read_parquet(tmp_path / "epochs.parquet")["run"]) <= set(runs["run"])


MISTAKES: list[tuple[list[str], str]] = [
    (["--where", "optimizer=rmsprop"], "holds for none"),
    (["--where", "optimiser=sgd"], "did you mean optimizer"),
    (["--objective", "test_accuracy"], "it never selects"),
    (["--sort", "test_accuracy"], "it never orders"),
    (["--sort", "nonsense"], "must be one of"),
    (["--compare", "a", "b"], "compare: a is not a run"),
    (["--compare", "sweeps/s/runs/0/", "sweeps/s/runs/0"], "sweeps/s/runs/0 twice"),
    (["--top", "0"], "--top: '0': must be an integer, at least 1"),
    (["--top", "x"], "must be an integer"),
    (["--watch", "0.5"], "--watch: '0.5': must be seconds, 1 to 86400"),
    (["--watch", "soon"], "must be seconds"),
    (["--top", "3", "--top", "5"], "--top 5: is given twice"),
    (["--sort", "num_params", "--sort", "epochs"], "--sort epochs: is given twice"),
    (["--compare", "a", "b", "--compare", "a", "c"], "--compare a c: is given twice"),
    (["--compare", "a"], "--compare: expected 2 arguments"),
    (["--wher", "x"], "unrecognized arguments: --wher x"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("arguments", "message"), MISTAKES)
def test_a_mistake_is_one_line_and_status_2(
    root: Path,
    summary: Summary,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    with pytest.raises(SystemExit) as error:
        main([str(root), "--output", str(tmp_path), *arguments])
    printed = capsys.readouterr().err
    assert error.value.code == 2 and message in printed and printed.count("\n") == 1
    assert not (tmp_path / "report.html").exists()


@pytest.mark.parametrize(
    "cell", ["=1", "  =1", "\u3000=1", "\uff1d1", "\uff201", "\t1", "\u200b+1"]
)
def test_no_cell_begins_a_formula_behind_blanks_or_in_full_width(cell: str) -> None:
    assert to_csv(pd.DataFrame({"x": [cell]})) == f"x\n'{cell}\n"


def test_no_control_character_reaches_the_csv() -> None:
    text = to_csv(pd.DataFrame({"x\x1b": ["a\x00b\x9b", "c d"]}))
    assert text == "x\ufffd\na\ufffdb\ufffd\nc d\n"


@pytest.mark.parametrize("arguments", [["x", "--output="], [""]])
def test_an_empty_folder_name_is_refused(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as error:
        main(arguments)
    assert error.value.code == 2 and "must be a folder" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("name", ["missing", "empty"])
def test_the_script_works_from_a_checkout(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    command = [sys.executable, str(ROOT / "analysis" / "summarize.py"), str(tmp_path / name)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert not (tmp_path / "empty" / "summary").exists()


def test_the_terminal_shows_all_of_it(
    root: Path, summary: Summary, capsys: pytest.CaptureFixture[str]
) -> None:
    main([str(root)])
    printed = capsys.readouterr().out
    assert f"{summary.counts['completed']} completed" in printed
    assert "rejected before training:" in printed and "report.html" in printed
    assert "unreadable" in printed and "0 runs were new" in printed
    assert printed.splitlines()[-1] == str(root / "summary" / "report.html")


@pytest.mark.usefixtures("one_figure")
def test_runs_on_other_data_are_not_ranked_together(tmp_path: Path) -> None:
    for seed in range(3):
        write_run(tmp_path / f"a{seed}", 0.5, {"seed": seed, "data": "digits"})
    write_run(tmp_path / "other", 0.99, data_fingerprint="beef")
    found = summarize(Options(root=tmp_path, output=tmp_path / "summary"))
    assert len(found.leaderboard.rows) == 1 and "0.5000" in found.leaderboard.rows[0]
    assert found.answers[0].startswith("Only runs on digits")
    assert "compared. 1 run on other data is left out" in found.answers[0]


@pytest.mark.usefixtures("one_figure")
@pytest.mark.parametrize("status", ["failed", "interrupted"])
def test_without_a_completed_run_it_says_so(tmp_path: Path, status: str) -> None:
    write_run(tmp_path / "a", status=status, objective=None, error="<b>bad</b>")
    found = summarize(Options(root=tmp_path, output=tmp_path / "summary"))
    assert found.answers[0].startswith("No run has completed with a val_accuracy")
    assert found.counts == {status: 1} and not found.leaderboard.rows
    assert "Not drawn: no run has completed." in (tmp_path / "summary/report.html").read_text()


@pytest.mark.usefixtures("one_figure")
def test_one_run_is_enough(tmp_path: Path) -> None:
    write_run(tmp_path / "a", test_accuracy=0.7)
    found = summarize(Options(root=tmp_path, output=tmp_path / "summary"))
    assert len(found.leaderboard.rows) == 1 and "0.7000" in found.leaderboard.rows[0]
    assert any("+10.00 points between validation and test" in each for each in found.answers)


def test_watching_goes_on_where_no_run_meets_the_condition(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    none = [UserError("no run meets it"), UserError("no run meets it"), KeyboardInterrupt()]
    monkeypatch.setattr(command, "summarize", Mock(side_effect=none))
    monkeypatch.setattr("time.sleep", lambda _: None)
    with pytest.raises(KeyboardInterrupt):
        command._watch(Options(root=tmp_path, output=tmp_path / "summary"), 1)
    assert capsys.readouterr().out.count("no run meets it; trying again") == 1
