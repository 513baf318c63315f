"""The package used from Python, as its docstring shows."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import TINY_OVERRIDES

from resnet_sweep import compose_config, load_runs, train_run
from resnet_sweep.config.errors import UserError


def test_compose_train_load(tmp_path: Path) -> None:
    config = compose_config(*TINY_OVERRIDES, "optimizer=adamw", "optimizer.lr=0.002")
    result = train_run(config, tmp_path / "runs/mine")
    runs = load_runs(tmp_path)
    assert len(runs) == 1 and runs["status"].item() == "completed"
    assert runs["val_accuracy"].item() == result.val_accuracy
    assert runs["optimizer"].item() == "adamw" and float(runs["optimizer.lr"].item()) == 0.002


@pytest.mark.parametrize(
    "mistake",
    ["optimizer.lr=abc", "optimiser=sgd", "train.epochs=0", "model.widths.0=8 model.base_width=8"],
)
def test_a_mistake_is_a_user_error_of_one_line(mistake: str) -> None:
    with pytest.raises(UserError, match=mistake.partition("=")[0]) as raised:
        compose_config(*mistake.split())
    assert "\n" not in str(raised.value)
