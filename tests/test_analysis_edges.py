"""What little, odd or much there may be below a folder, and how its figures take it."""

from __future__ import annotations

import io
import os
import runpy
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT
from generated_runs import LABELS, make_config, make_predictions, write_run, write_sweep
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from rich.console import Console

from resnet_sweep.analysis import load_runs
from resnet_sweep.analysis.figures.hyperparameters import draw_effects
from resnet_sweep.analysis.figures.runs import draw_best_confusion
from resnet_sweep.analysis.objective import Objective
from resnet_sweep.analysis.parameters import Parameter, make_parameter
from resnet_sweep.analysis.runs import runs_table
from resnet_sweep.analysis.summary import command
from resnet_sweep.analysis.summary.summarize import Options, summarize
from resnet_sweep.analysis.view import View, build_view
from resnet_sweep.records.run_lock import holding_run
from resnet_sweep.reporting.style import figure_style, mark_outside


@pytest.mark.usefixtures("one_figure")
def test_a_sweep_that_has_only_begun_has_no_runs_yet(tmp_path: Path) -> None:
    write_sweep(tmp_path / "s", trials=0)
    found = summarize(Options(tmp_path, tmp_path / "summary"))
    assert found.counts == {} and found.rejection_rate is None
    assert found.answers[0].startswith("No run has completed")


@pytest.mark.usefixtures("one_figure")
def test_nothing_but_unreadable_runs_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "result.json").write_text("")
    found = summarize(Options(tmp_path, tmp_path / "summary"))
    assert found.counts == {"unreadable": 1} and not found.leaderboard.rows
    assert "config.json" in (tmp_path / "summary" / "runs.csv").read_text()


def test_all_figures_take_a_folder_in_which_nothing_has_ended(tmp_path: Path) -> None:
    write_run(tmp_path / "now")
    (tmp_path / "now" / "result.json").unlink()
    with holding_run(tmp_path / "now", make_config()):
        found = summarize(Options(tmp_path, tmp_path / "summary"))
    assert found.counts == {"running": 1} and not found.leaderboard.rows


@pytest.mark.parametrize("name", ["config.json", "metrics.csv", "result.json"])
def test_a_file_that_may_not_be_read_makes_its_run_unreadable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    for run in ("a", "locked"):
        write_run(tmp_path / run)
    read = Path.read_bytes  # root may read everything, so the refusal is played

    def refuse(path: Path) -> bytes:
        if path.parent.name == "locked" and path.name == name:
            raise PermissionError(13, "Permission denied", str(path))
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", refuse)
    runs = load_runs(tmp_path).set_index("run")
    assert runs["status"].to_dict() == {"a": "completed", "locked": "unreadable"}
    reason = runs.at["locked", "reason"]
    assert name in reason and "Permission denied" in reason and "\n" not in reason


def test_a_pipe_in_place_of_a_file_is_not_waited_for(tmp_path: Path) -> None:
    write_run(tmp_path / "a")
    (tmp_path / "odd").mkdir()
    os.mkfifo(tmp_path / "odd" / "config.json")
    runs = load_runs(tmp_path).set_index("run")
    assert runs.at["odd", "status"] == "unreadable" and "regular" in runs.at["odd", "reason"]


@pytest.mark.parametrize("seconds", [1.0, 3.0])
def test_the_bar_shows_after_two_seconds(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    screen, clock = io.StringIO(), iter([0.0] + [seconds] * 9)
    terminal = Console(file=screen, force_terminal=True, width=80)
    monkeypatch.setattr(command, "Console", lambda **_: terminal)
    monkeypatch.setattr(command.time, "monotonic", lambda: next(clock))
    with command._progress() as on_step:
        on_step("reading", 500, 1000)
    assert ("500/1000" in screen.getvalue()) == (seconds > 2)


def test_the_example_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for seed, optimizer in enumerate(("sgd", "adamw", "sgd")):
        write_run(tmp_path / str(seed), 0.5 + seed / 10, {"seed": seed, "optimizer": optimizer})
    monkeypatch.setattr(sys, "argv", ["example.py", str(tmp_path)])
    runpy.run_path(str(ROOT / "analysis" / "example.py"), run_name="__main__")
    lines = capsys.readouterr().out.splitlines()
    assert lines[-2].split()[:3] == ["adamw", "0.6", "1"]
    assert lines[-1].split()[:3] == ["sgd", "0.6", "2"]


@pytest.mark.slow
@pytest.mark.usefixtures("one_figure")
def test_counts_follow_the_filter(tmp_path: Path) -> None:
    write_sweep(tmp_path / "s", trials=30)
    write_run(tmp_path / "single", 0.5, {"data": "digits"})
    found = summarize(Options(tmp_path, tmp_path / "summary", where="sweep=null"))
    assert found.counts == {"completed": 1} and found.rejection_rate is None
    found = summarize(Options(tmp_path, tmp_path / "summary", where="sweep=s"))
    assert found.counts["rejected"] == 3 and found.rejection_rate == pytest.approx(0.1)


@pytest.mark.usefixtures("one_figure")
def test_many_runs_of_few_configurations_do_not_outweigh_a_sweep(tmp_path: Path) -> None:
    for number in range(5):
        write_run(tmp_path / f"trial {number}", 0.5, {"optimizer.lr": 0.1 + number})
    for seed in range(12):
        settings = {"seed": seed, "data.split_seed": 1, "optimizer.lr": 0.1 + seed % 2}
        write_run(tmp_path / f"confirm {seed}", 0.9, settings)
    rows = summarize(Options(tmp_path, tmp_path / "summary")).leaderboard.rows
    assert len(rows) == 5 and {row[1] for row in rows} == {"0.5000"}


@pytest.mark.usefixtures("one_figure")
def test_a_lucky_seed_does_not_stand_for_its_configuration(tmp_path: Path) -> None:
    """The best of the second's seeds beats the first: that one is then no "better"."""

    def write(name: str, accuracy: float, seed: int, lr: float) -> None:
        correct = np.arange(len(LABELS)) < round(accuracy * len(LABELS))
        settings = {"seed": seed, "optimizer.lr": lr}
        write_run(tmp_path / name, accuracy, settings, predictions=make_predictions(correct))

    write("first", 0.80, 0, 0.1)
    for seed, accuracy in enumerate((0.86, 0.75, 0.76)):
        write(f"second {seed}", accuracy, seed, 0.2)
    said = "\n".join(summarize(Options(tmp_path, tmp_path / "summary")).answers)
    assert "the second, second 2: difference +4 points" in said
    for name, accuracy in {"second 1": 0.815, "second 2": 0.7}.items():
        shutil.rmtree(tmp_path / name)
        write(name, accuracy, int(name[-1]), 0.2)
    said = "\n".join(summarize(Options(tmp_path, tmp_path / "summary")).answers)
    worse = "Its typical run is worse than that of the second, second 1: difference -1.5 points"
    assert worse in said  # p = 0.03: six images, all of them right in one run alone


@pytest.mark.usefixtures("one_figure")
def test_trainings_of_different_lengths_are_not_ranked_together_in_silence(tmp_path: Path) -> None:
    write_run(tmp_path / "short", 0.80, settings={"optimizer.lr": 0.2}, epochs=2)
    options = Options(tmp_path, tmp_path / "summary")
    assert "ranked together" not in "\n".join(summarize(options).answers)
    write_run(tmp_path / "long", 0.90, epochs=7)
    assert any(
        said.startswith("Runs of 2 to 7 epochs are ranked together")
        and said.endswith("--where epochs=7 ranks those of one length.")
        for said in summarize(options).answers
    )
    one = summarize(Options(tmp_path, tmp_path / "summary", where="epochs=7"))
    assert len(one.leaderboard.rows) == 1 and "ranked together" not in "\n".join(one.answers)


# ---- figures ----


def view_of(root: Path) -> View:
    from resnet_sweep.analysis.archive import read_archive

    archive = read_archive(root)
    return build_view(archive, runs_table(archive), Objective("val_accuracy", 1))


def boxes(figure: Figure, artists: list[Any]) -> list[Any]:
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw(renderer)
    return [artist.get_tightbbox(renderer) for artist in artists if artist.get_visible()]


def assert_apart(found: list[Any]) -> None:
    for i, one in enumerate(found):
        for other in found[i + 1 :]:
            assert not one.overlaps(other)


@pytest.mark.slow
def test_twelve_effects_with_long_names_do_not_touch(tmp_path: Path) -> None:
    write_sweep(tmp_path / "s", trials=30)
    view = view_of(tmp_path)
    index, generator = view.population.objective.index, np.random.default_rng(0)
    n = len(index)
    many: list[Parameter] = []
    for i in range(12):
        name = f"regularization.a_rather_long_name_of_a_setting_{i}@adamw"
        texts = [f"[crop_flip,trivialaugment_{'abc'[j % 3]}]" for j in range(n)]
        values = pd.Series(generator.random(n) * 1e-3 if i % 2 else texts, index)
        many.append(Parameter(name, values, bool(i % 2), is_log=i % 4 == 1))
    view.population.parameters[:] = many
    view.importance.tests.clear()
    with figure_style():
        figure = draw_effects(view)
        panels = [axes for axes in figure.axes if axes.get_visible()]
        found = boxes(figure, panels)
    assert len(found) == 12
    assert_apart(found)
    assert all(box.x0 >= 0 and box.x1 <= figure.bbox.x1 + 1 for box in found)


def test_the_colour_bar_of_the_confusion_matrix_touches_nothing(tmp_path: Path) -> None:
    write_sweep(tmp_path / "s", trials=12)
    with figure_style():
        figure = draw_best_confusion(view_of(tmp_path))
        found = boxes(figure, figure.axes)
    assert len(found) == 3
    assert_apart([box.expanded(1.01, 1) for box in found])


def test_what_lies_outside_is_marked_at_the_edge() -> None:
    axes = Figure().subplots()
    axes.set_ylim(0, 1)
    x, y = np.array([1.0, 2.0, 3.0, np.nan]), np.array([-5.0, 0.5, 7.0, 9.0])
    assert mark_outside(axes, x, y, "black") == 2
    places = [collection.get_offsets().tolist() for collection in axes.collections]
    assert places == [[[1.0, 0.015]], [[3.0, 0.985]]]


def test_a_list_given_as_text_reads_as_the_settings_do() -> None:
    rows = [{"a": "[crop_flip,mixup]"}, {"a": "[crop_flip]"}, {"a": "plain"}]
    values = pd.Series([row["a"] for row in rows])
    found = make_parameter("a", values, False, rows)
    assert found.values.tolist() == ["crop_flip+mixup", "crop_flip", "plain"]
