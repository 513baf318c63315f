"""Several sweeps under one folder: what is shown of one says of which."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from generated_runs import write_run, write_sweep

from resnet_sweep.analysis import figures
from resnet_sweep.analysis.answers import answers_by_topic
from resnet_sweep.analysis.archive import read_archive
from resnet_sweep.analysis.figures import FIGURES, write_figures
from resnet_sweep.analysis.objective import Objective
from resnet_sweep.analysis.runs import runs_table
from resnet_sweep.analysis.view import View, build_view

OF_SWEEP = {"importance", "effects", "history"}


@pytest.fixture(scope="module")
def view(tmp_path_factory: pytest.TempPathFactory) -> View:
    """A large sweep, and a smaller one with a better best run and one longer trial."""
    root = tmp_path_factory.mktemp("outputs")
    write_sweep(root / "large", trials=60, sampler="random")
    write_sweep(root / "small", trials=40, seed=1)
    (root / "small/runs/7").rename(root / "old")
    write_run(root / "small/runs/7", 0.999, {"data": "digits", "train.epochs": 60}, epochs=60)
    archive = read_archive(root)
    runs = runs_table(archive)
    return build_view(archive, runs[runs["run"] != "old"], Objective("val_accuracy", 1))


def test_the_sweep_of_the_best_configuration_is_shown_and_named(view: View) -> None:
    assert (view.sweep_label, view.other_sweeps) == ("small", ("large",))
    said = next(each for each in answers_by_topic(view)["runs"] if each.startswith("2 sweeps"))
    assert "of small alone" in said and "--where \"sweep='large'\"" in said
    assert {spec.stem for spec in FIGURES if spec.of_sweep} == OF_SWEEP


def test_each_figure_says_of_what_it_is(
    view: View, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = [spec for spec in FIGURES if spec.stem in ("curves", "history")]
    monkeypatch.setattr(figures, "FIGURES", chosen)
    drawn = {each.spec.stem: each for each in write_figures(view, tmp_path)}
    assert drawn["curves"].caption.startswith("2 sweeps")
    assert drawn["history"].caption.startswith("Sweep small. ")
    assert "sweep small" in re.sub(r"<[^>]+>", "", (tmp_path / "history.svg").read_text())
