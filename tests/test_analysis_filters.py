"""--where against the same conditions written in pandas; mistakes in one line."""

from __future__ import annotations

import re
from collections.abc import Callable

import pandas as pd
import pytest

from resnet_sweep.analysis.filters import filter_runs
from resnet_sweep.config.errors import UserError

RUNS = pd.DataFrame(
    {
        "run": pd.Series(["a", "b", "c", "d"], dtype="str"),
        "optimizer": pd.Series(["sgd", "adamw", "sgd", None], dtype="str"),
        "num_params": pd.Series([1_000_000, 2_000_000, 4_000_000, None], dtype="Int64"),
        "optimizer.lr": [0.1, 0.001, float("nan"), 0.5],
        "model.blocks": pd.Series(["[2, 3]", "[3, 3]", "[2, 3]", None], dtype="str"),
        "model.squeeze_excitation": pd.Series([True, False, None, True], dtype="boolean"),
        "shortcut": pd.Series(["none", "conv", None, "nan"], dtype="str"),
        "note": pd.Series(["x and y", "it's", "(1)", "and"], dtype="str"),
        "val_loss": [float("nan")] * 4,
        "test_accuracy": [0.5, 0.6, 0.7, 0.8],
    }
)
CONDITIONS: list[tuple[str, Callable[[dict[str, object]], bool]]] = [
    ("optimizer=sgd", lambda r: r["optimizer"] == "sgd"),
    ("optimizer==sgd", lambda r: r["optimizer"] == "sgd"),
    ("optimizer != sgd", lambda r: r["optimizer"] != "sgd"),
    ("num_params<3e6", lambda r: r["run"] in ("a", "b")),
    ("num_params >= 2000000", lambda r: r["num_params"] in (2_000_000, 4_000_000)),
    ("optimizer=sgd and num_params<3e6", lambda r: r["run"] == "a"),
    ("optimizer=adamw or run=d", lambda r: r["run"] in ("b", "d")),
    ("run=a or run=b and run=c", lambda r: r["run"] == "a"),
    ("(run=a or run=b) and optimizer=sgd", lambda r: r["run"] == "a"),
    ("not (run=a or run=b)", lambda r: r["run"] in ("c", "d")),
    ("NOT run in (a, 'b')", lambda r: r["run"] in ("c", "d")),
    ("optimizer.lr = null", lambda r: r["run"] == "c"),
    ("optimizer.lr > 0", lambda r: r["run"] != "c"),
    ("optimizer.lr=1e-3", lambda r: r["run"] == "b"),
    ("model.blocks=[2,3]", lambda r: r["model.blocks"] == "[2, 3]"),
    ("model.blocks in ([3,3], [9])", lambda r: r["run"] == "b"),
    ("model.squeeze_excitation=true", lambda r: r["run"] in ("a", "d")),
    ("model.squeeze_excitation != true", lambda r: r["run"] in ("b", "c")),
    ("note='x and y'", lambda r: r["run"] == "a"),
    ('note="it\'s"', lambda r: r["run"] == "b"),
    ('note="and"', lambda r: r["run"] == "d"),
    ("shortcut=none", lambda r: r["run"] in ("a", "c")),  # the option, and what is missing
    ("shortcut!=none", lambda r: r["run"] in ("b", "d")),
    ("shortcut in (none, conv)", lambda r: r["run"] in ("a", "b", "c")),
    ("shortcut=nan", lambda r: r["run"] in ("c", "d")),
    ("shortcut='none'", lambda r: r["run"] == "a"),
    ("shortcut=null", lambda r: r["run"] == "c"),
    ("num_params=null", lambda r: r["run"] == "d"),
    ("optimizer.lr=0.1000001", lambda r: r["run"] == "a"),
    ("optimizer.lr=0.10001", lambda r: False),
    ("num_params=1000001", lambda r: False),
    ("val_loss=low", lambda r: False),
    ("val_loss != low", lambda r: True),
]


@pytest.mark.parametrize(("where", "holds"), CONDITIONS)
def test_a_condition_keeps_the_rows_for_which_it_holds(
    where: str, holds: Callable[[dict[str, object]], bool]
) -> None:
    expected = [row["run"] for row in RUNS.to_dict("records") if holds(row)]
    assert filter_runs(RUNS, where)["run"].tolist() == expected


MISTAKES = [
    ("optimiser=sgd", "did you mean optimizer"),
    ("", "expected a column"),
    ("optimizer", "expected =, !="),
    ("optimizer=", "expected a value"),
    ("optimizer=sgd and", "expected a column"),
    ("optimizer=sgd num_params<3", "before 'num_params'"),
    ("(optimizer=sgd", "expected ')'"),
    ("optimizer=sgd)", "before ')'"),
    ("optimizer<3", "not a number"),
    ("num_params=3M", "'3M' is not a number"),
    ("num_params=3_0", "'3_0' is not a number"),
    ("num_params in (1, 0x10)", "'0x10' is not a number"),
    ("num_params!=many", "'many' is not a number"),
    ("num_params<many", "'many' is not a number"),
    ("note='x", "cannot read"),
    ("model.squeeze_excitation!=yes", "must be true or false"),
    ("optimizer in sgd", "expected '('"),
    ("test_accuracy>0.5", "the test set is only reported"),
    ("__import__('os').system('true')=1", "there is no column"),
    ("(" * 3000 + "run=a", "too deeply nested"),
    ("not " * 3000 + "run=a", "too deeply nested"),
]


@pytest.mark.parametrize(("where", "message"), MISTAKES)
def test_a_mistake_is_one_line(where: str, message: str) -> None:
    with pytest.raises(UserError, match=re.escape(message)) as error:
        filter_runs(RUNS, where)
    assert "\n" not in str(error.value)
