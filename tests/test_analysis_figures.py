"""What the figures compute before they draw, against slow or independent references."""

from __future__ import annotations

import base64
import zlib

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from generated_runs import LABELS, make_predictions
from matplotlib.figure import Figure
from sklearn.metrics import confusion_matrix as reference_confusion

from resnet_sweep.analysis.figures.runs import confusion_matrix, pareto_front
from resnet_sweep.analysis.objective import Objective
from resnet_sweep.analysis.report.curves import RUNS_OF_PART, SERIES, pack_curves
from resnet_sweep.analysis.report.data import embed_json
from resnet_sweep.analysis.view import Curves
from resnet_sweep.reporting.style import figure_style, limit_to_typical, plain, use_log_scale

GENERATOR = np.random.default_rng(0)


@pytest.mark.parametrize("sign", [1, -1])
def test_the_front_holds_what_none_beats(sign: int) -> None:
    table = pd.DataFrame(
        {"num_params": GENERATOR.integers(0, 12, 60), "mean": GENERATOR.integers(0, 9, 60) / 10}
    )
    found = pareto_front(table, Objective("val_accuracy", sign))
    rows = table.drop_duplicates().to_numpy()
    expected = [
        (cost, mean)
        for cost, mean in rows
        if not any(
            c <= cost and sign * m >= sign * mean and (c, m) != (cost, mean) for c, m in rows
        )
    ]
    assert list(zip(found["num_params"], found["mean"], strict=True)) == sorted(expected)


def test_the_confusion_matrix_is_scikit_learns() -> None:
    predictions = make_predictions(GENERATOR.random(len(LABELS)) < 0.7)
    guesses = predictions.probabilities.argmax(1)
    np.testing.assert_array_equal(
        confusion_matrix(predictions), reference_confusion(LABELS, guesses)
    )


def make_curves(lengths: dict[str, int]) -> tuple[Curves, dict[str, np.ndarray]]:
    names = [run for run, count in lengths.items() for _ in range(count)]
    columns = {"epoch": np.concatenate([np.arange(1, n + 1) for n in lengths.values()])}
    columns |= {name: GENERATOR.random(len(names)) for name in SERIES}
    columns["run"] = np.array(names)
    return Curves(as_table(columns)), columns


def as_table(columns: dict[str, np.ndarray]) -> pa.Table:
    return pa.table({**columns, "run": pa.array(columns["run"].tolist()).dictionary_encode()})


def test_curves_of_a_run_are_its_rows() -> None:
    curves, columns = make_curves({"a": 3, "b": 5})
    for run in ("a", "b"):
        expected = columns["val_loss"][columns["run"] == run]
        np.testing.assert_array_equal(curves.curve(run, "val_loss"), expected)
    assert len(curves.curve("none", "epoch")) == 0


def unpack(part: str) -> np.ndarray:
    planes = np.frombuffer(zlib.decompress(base64.b64decode(part), -15), np.uint8)
    low, high = planes.reshape(2, -1).astype(np.uint16)
    return low + 256 * high


def test_curves_survive_the_report() -> None:
    _, columns = make_curves({"a": 3, "b": 5})
    columns["val_loss"][1] = np.nan
    data = pack_curves(Curves(as_table(columns)), ["b", "none", "a"])
    assert data.counts == [5, 0, 3]
    of_a = unpack(data.parts[0])[5 * (1 + len(SERIES)) :].reshape(1 + len(SERIES), 3)
    epochs, *series = np.cumsum(of_a, axis=1, dtype=np.uint16)
    np.testing.assert_array_equal(epochs, [1, 2, 3])
    loss = series[SERIES.index("val_loss")].view(np.float16)
    np.testing.assert_allclose(loss, columns["val_loss"][columns["run"] == "a"], rtol=1e-3)


def test_long_curves_are_thinned_but_keep_both_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resnet_sweep.analysis.report.curves.MAX_POINTS", 30)
    curves, _ = make_curves({"a": 500})
    data = pack_curves(curves, ["a"])
    epochs = np.cumsum(unpack(data.parts[0])[: data.counts[0]], dtype=np.uint16)
    assert data.counts == [30] and (epochs[0], epochs[-1]) == (1, 500)


def test_each_part_holds_so_many_runs() -> None:
    names = {f"run {i}": 2 for i in range(RUNS_OF_PART + 1)}
    data = pack_curves(make_curves(names)[0], list(names))
    assert [len(unpack(part)) for part in data.parts] == [2 * 5 * RUNS_OF_PART, 2 * 5]


def test_embedded_json_ends_no_script() -> None:
    text = embed_json({"a": "</script><!--&\u2028"})
    assert not any(character in text for character in "<>&\u2028")


@pytest.mark.parametrize("text", [r"$\frac{", "_hidden", "a\\b", "x" * 200, "東京"])
def test_any_text_can_be_a_label(text: str) -> None:
    with figure_style():
        figure = Figure()
        axes = figure.subplots()
        axes.plot([0, 1], label=plain(text))
        assert len(axes.legend().get_texts()) == 1
        axes.set_title(plain(text))
        figure.draw_without_rendering()
    assert len(plain(text)) <= 42


def test_a_few_bad_runs_do_not_squeeze_the_rest() -> None:
    axes = Figure().subplots()
    y = np.concatenate([np.linspace(0.9, 0.94, 50), [0.1, np.nan]])
    limit_to_typical(axes, y, 1)
    low, high = axes.get_ylim()
    assert 0.7 < low < 0.9 and high > 0.94


@pytest.mark.parametrize("span", [(1e-5, 1), (0.02, 0.3), (3, 4), (1e4, 5e6)])
def test_a_logarithmic_axis_has_two_to_eight_labels(span: tuple[float, float]) -> None:
    axes = Figure().subplots()
    axes.plot(span, [0, 1])
    use_log_scale(axes.xaxis, np.array(span))
    low, high = axes.get_xlim()
    assert 2 <= sum(low <= tick <= high for tick in axes.get_xticks()) <= 8
