"""Which configurations of a sweep are confirmed, on sweeps with known contents."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from generated_runs import write_run

from resnet_sweep.config.errors import UserError
from resnet_sweep.confirmation.candidates import Selection, select, used_numbers
from resnet_sweep.records.sweep_folder import (
    SweepRecord,
    SweepTrial,
    read_sweep,
    write_sweep_record,
    write_sweep_trials,
)

Row = dict[str, Any]


def _write(
    folder: Path, rows: Iterable[Row], objectives: tuple[str, ...] = ("val_accuracy",)
) -> None:
    """Write a sweep with one trial a row: settings, `accuracy`, and changes of the trial."""
    directions = ["maximize" if name == "val_accuracy" else "minimize" for name in objectives]
    record = SweepRecord("s", list(objectives), directions, 20, 3, {}, [], "TPE", "none")
    folder.mkdir(exist_ok=True)
    write_sweep_record(folder, record)
    trials = []
    for number, row in enumerate(rows):
        row = {"accuracy": 0.5, "state": "completed", "settings": {}, "result": {}, **row}
        settings = {"model.name": "mine", "train.epochs": 3, "optimizer.lr": 0.1, **row["settings"]}
        seed = settings.get("seed", 0)
        result = {"seed": seed, **row["result"]}
        write_run(folder / f"runs/{number}", row["accuracy"], settings, **result)
        run_dir = row.get("run_dir", f"runs/{number}")
        trials.append(SweepTrial(number, row["state"], run_dir=run_dir))
    write_sweep_trials(folder, trials)


def _lr(lr: float, accuracy: float, **more: Any) -> Row:
    return {"accuracy": accuracy, **more, "settings": {"optimizer.lr": lr, **more.pop("also", {})}}


def _select(folder: Path, top_k: int = 5) -> Selection:
    return select(read_sweep(folder), top_k, all_data=True)


def _trials(folder: Path, top_k: int = 5) -> list[int]:
    return [candidate.trial for candidate in _select(folder, top_k).candidates]


def test_the_best_whole_trials_are_taken_by_validation_alone(tmp_path: Path) -> None:
    rows = [
        _lr(0.1, 0.5, result={"test_accuracy": 0.99}),
        _lr(0.2, 0.7),
        _lr(0.3, 0.9, state="pruned", result={"status": "pruned"}),
        _lr(0.4, 0.9, state="failed", result={"status": "diverged"}),
        _lr(0.5, 0.9, result={"epochs": 2}),
        _lr(0.6, 0.6),
    ]
    _write(tmp_path / "s", rows)
    assert _trials(tmp_path / "s", 2) == [1, 5]
    selection = _select(tmp_path / "s", 9)
    assert [candidate.trial for candidate in selection.candidates] == [1, 5, 0]
    assert "top_k=9: the sweep has 3 such configurations" in selection.notes
    assert any("read the test set" in note for note in selection.notes)


def test_repeats_are_one_configuration_with_the_mean_of_its_seeds(tmp_path: Path) -> None:
    rows = [
        _lr(0.1, 0.90, also={"seed": 0}),
        _lr(0.2, 0.80),
        _lr(0.1, 0.60, also={"seed": 1}),
        _lr(0.1, 0.60, also={"seed": 2}),
    ]
    _write(tmp_path / "s", rows)
    first, second = _select(tmp_path / "s").candidates
    assert (first.trial, second.trial) == (1, 0)
    assert second.trials == [0, 2, 3] and second.val_accuracies == [0.90, 0.60, 0.60]
    assert second.promised == pytest.approx(0.70)


def test_two_spellings_of_one_net_are_one_configuration(tmp_path: Path) -> None:
    widths = [16, 32, 64, 128]
    listed = {"model.widths": widths}
    drawn = {"model.base_width": 16, "model.width_factor": 2.0}
    rows = [{"settings": listed, "accuracy": 0.8}, {"settings": drawn, "accuracy": 0.7}]
    _write(tmp_path / "s", rows)
    (only,) = _select(tmp_path / "s").candidates
    assert only.trials == [0, 1]


def test_of_several_objectives_the_pareto_set_is_confirmed(tmp_path: Path) -> None:
    sizes = {0.1: 5000, 0.2: 3000, 0.3: 4000, 0.4: 1000}
    accuracies = {0.1: 0.9, 0.2: 0.8, 0.3: 0.7, 0.4: 0.6}
    rows = [_lr(lr, accuracies[lr], result={"num_params": sizes[lr]}) for lr in sizes]
    _write(tmp_path / "s", rows, ("num_params", "val_accuracy"))
    assert _trials(tmp_path / "s") == [0, 1, 3]
    assert any("Pareto set has 3" in note for note in _select(tmp_path / "s").notes)


def test_a_sweep_by_loss_is_ranked_by_loss(tmp_path: Path) -> None:
    rows = [_lr(0.1, 0.9, result={"val_loss": 2.0}), _lr(0.2, 0.8, result={"val_loss": 1.0})]
    _write(tmp_path / "s", rows, ("val_loss",))
    assert _trials(tmp_path / "s") == [1, 0]
    selection = _select(tmp_path / "s")
    assert selection.ranking == "val_loss" and selection.candidates[0].promised == 0.8
    assert any("val_loss" in note and "accuracy" in note for note in selection.notes)
    _write(tmp_path / "by_accuracy", rows)
    selection = _select(tmp_path / "by_accuracy")
    assert selection.ranking == "val_accuracy"
    assert not any("ranked by" in note for note in selection.notes)


def test_what_was_taken_over_or_is_damaged_is_told(tmp_path: Path) -> None:
    rows = [_lr(0.1, 0.9, run_dir=None), _lr(0.2, 0.8), _lr(0.3, 0.95)]
    _write(tmp_path / "s", rows)
    (tmp_path / "s/runs/2/result.json").write_text("{")
    selection = _select(tmp_path / "s")
    assert [candidate.trial for candidate in selection.candidates] == [1]
    assert any(note.startswith("trial 2 is left out") for note in selection.notes)
    assert any(note.startswith("1 trials taken over") for note in selection.notes)


@pytest.mark.parametrize(
    ("rows", "objectives", "problem"),
    [
        ([_lr(0.1, 0.9, state="failed")], ("val_accuracy",), "none of its trials has completed"),
        ([_lr(0.1, 0.9)], ("num_params",), "are none of validation"),
        (
            [_lr(0.1, 0.9), _lr(0.2, 0.8, result={"data_fingerprint": "beef"})],
            ("val_accuracy",),
            "the data changed while the sweep ran",
        ),
    ],
)
def test_what_cannot_be_confirmed_is_refused(
    tmp_path: Path, rows: list[Row], objectives: tuple[str, ...], problem: str
) -> None:
    _write(tmp_path / "s", rows, objectives)
    with pytest.raises(UserError, match=problem):
        _select(tmp_path / "s")


def test_every_run_below_the_sweep_uses_up_its_seed(tmp_path: Path) -> None:
    rows = [_lr(0.1, 0.9, also={"seed": 7}), _lr(0.2, 0.8, state="failed", also={"seed": 8})]
    _write(tmp_path / "s", rows)
    earlier = {"model.name": "mine", "seed": 9, "data.split_seed": 3}
    write_run(tmp_path / "s/confirm/choose/runs/0", settings=earlier)
    assert used_numbers(tmp_path / "s") == ({7, 8, 9}, {0, 3})
