"""What the figures show equals what the raw files hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import raw_numbers as raw
from matplotlib.collections import LineCollection

from resnet_sweep.analysis.archive import read_archive
from resnet_sweep.analysis.figures import FIGURES
from resnet_sweep.analysis.objective import Objective
from resnet_sweep.analysis.runs import runs_table
from resnet_sweep.analysis.view import View, build_view
from resnet_sweep.reporting.style import figure_style


@pytest.fixture(scope="module")
def view(checked_root: Path) -> View:
    archive = read_archive(checked_root)
    return build_view(archive, runs_table(archive), Objective("val_accuracy", 1))


def draw(view: View, stem: str) -> Any:
    with figure_style():
        return next(spec for spec in FIGURES if spec.stem == stem).draw(view)


def scattered(figure: Any) -> set[tuple[float, float]]:
    points = [c.get_offsets() for c in figure.axes[0].collections if hasattr(c, "get_offsets")]
    return {(round(float(x), 6), round(float(y), 6)) for each in points for x, y in each}


def test_the_points_of_the_trade_off(
    view: View, raw_ranked: dict[str, Any], raw_groups: list[dict[int, list[str]]]
) -> None:
    wanted = set()
    for seeds in raw_groups:
        mean = float(np.mean(raw.seed_means(raw_ranked, seeds, "val_accuracy")))
        costs = [raw_ranked[n]["result"]["num_params"] for names in seeds.values() for n in names]
        wanted.add((round(float(np.mean(costs)), 6), round(mean, 6)))
    assert wanted <= scattered(draw(view, "accuracy_over_params"))


def test_the_points_of_the_history(
    view: View, raw_runs: dict[str, Any], raw_trials: list[Any]
) -> None:
    done = [t for t in raw_trials if t["state"] == "completed"]
    accuracy = {t["number"]: raw_runs[f"s/{t['run_dir']}"]["result"]["val_accuracy"] for t in done}
    figure = draw(view, "history")
    assert {(float(n), round(v, 6)) for n, v in accuracy.items()} <= scattered(figure)
    best = figure.axes[0].lines[0].get_ydata()
    np.testing.assert_allclose(best, np.maximum.accumulate([accuracy[n] for n in sorted(accuracy)]))


def test_each_rejected_proposal_has_a_mark_that_can_be_seen(
    view: View, raw_trials: list[dict[str, Any]]
) -> None:
    rejected = [trial["number"] for trial in raw_trials if trial["state"] == "rejected"]
    figure = draw(view, "history")
    marks = [c for c in figure.axes[0].collections if isinstance(c, LineCollection)]
    segments = [np.asarray(segment) for each in marks for segment in each.get_segments()]
    assert sorted(segment[0, 0] for segment in segments) == rejected
    assert min(np.ptp(segment[:, 1]) for segment in segments) >= 0.03
    assert max(marks[0].get_colors()[0][:3]) < 0.4  # dark on white
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert f"rejected before training ({len(rejected)})" in texts


def test_the_bars_of_the_workers(
    view: View, report_data: dict[str, Any], raw_trials: list[dict[str, Any]]
) -> None:
    trained = [t for t in raw_trials if t["state"] in ("completed", "pruned", "failed")]
    began = min(t["started"] for t in trained)
    timeline = report_data["pictures"]["timeline"]
    found = sorted((start, end) for _, start, end, _, _ in timeline["bars"])
    wanted = sorted((t["started"] - began, t["ended"] - began) for t in trained)
    np.testing.assert_allclose(found, wanted, atol=1e-6)
    span = max(t["ended"] for t in trained) - began
    busy = sum(t["ended"] - t["started"] for t in trained) / span / 2
    assert timeline["busy"] == pytest.approx(busy)
    column = report_data["columns"][0]
    names = [column["levels"][code] for code in column["codes"]]
    for worker, start, _, state, run in timeline["bars"]:
        [trial] = [t for t in trained if f"s/{t['run_dir']}" == names[run]]
        assert (trial["worker"], trial["state"]) == (worker, state)
        assert trial["started"] - began == pytest.approx(start)


def test_the_cells_of_the_confusion_matrix(
    checked_root: Path,
    view: View,
    raw_ranked: dict[str, Any],
    raw_groups: list[dict[int, list[str]]],
) -> None:
    top = [name for names in raw_groups[0].values() for name in names]
    best = max(top, key=lambda name: raw_ranked[name]["result"]["val_accuracy"])
    with np.load(checked_root / best / "val_predictions.npz") as arrays:
        labels, guesses = arrays["labels"], arrays["probabilities"].argmax(1)
    wanted = np.array([[np.mean(guesses[labels == i] == j) for j in range(5)] for i in range(5)])
    image = draw(view, "confusion").axes[0].images[0].get_array()
    np.testing.assert_allclose(np.asarray(image), wanted)


def test_recall_ends_at_one(view: View) -> None:
    assert draw(view, "confusion").axes[1].get_xlim() == (0, 1)


def test_the_floors_say_how_many_shuffles_they_come_from(view: View) -> None:
    labels = [axes.get_xlabel() for axes in draw(view, "importance").axes]
    assert "500 shuffles" in labels[0]


def test_effects_say_what_is_left_out(view: View, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resnet_sweep.analysis.figures.hyperparameters.MAX_PANELS", 3)
    figure = draw(view, "effects")
    total = len(view.population.parameters)
    assert f"3 of {total} hyperparameters" in figure.legends[0].get_title().get_text()
    titles = [axes.get_title().splitlines()[0] for axes in figure.axes[:3]]
    assert set(titles) <= {each.name for each in view.population.parameters}


@pytest.mark.parametrize(("place", "kind"), [(0, "accuracy"), (1, "loss")])
def test_the_lines_of_the_best_runs(
    view: View,
    raw_ranked: dict[str, Any],
    raw_groups: list[dict[int, list[str]]],
    place: int,
    kind: str,
) -> None:
    lines = draw(view, "curves").axes[place].lines
    for i, seeds in enumerate(raw_groups[:5]):
        names = [name for names in seeds.values() for name in names]
        best = max(names, key=lambda name: raw_ranked[name]["result"]["val_accuracy"])
        for part, line in zip(("train", "val"), lines[2 * i : 2 * i + 2], strict=True):
            wanted = [row[f"{part}_{kind}"] for row in raw_ranked[best]["rows"]]
            np.testing.assert_allclose(line.get_ydata(), wanted)


def test_the_intervals_over_seeds(
    report_data: dict[str, Any], raw_ranked: dict[str, Any], raw_groups: list[dict[int, list[str]]]
) -> None:
    several = [seeds for seeds in raw_groups if len(seeds) > 1]
    for found, seeds in zip(report_data["pictures"]["noise"], several, strict=True):
        values = raw.seed_means(raw_ranked, seeds, "val_accuracy")
        np.testing.assert_allclose(sorted(found["seeds"]), sorted(values), rtol=1e-5)
        ends = [found[name] for name in ("mean", "low", "high")]
        np.testing.assert_allclose(ends, raw.interval(values), rtol=1e-5)
