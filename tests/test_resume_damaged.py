"""Completed runs that have lost a file: resume writes it again, or says that it cannot."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import make_tiny_config, run_here, train_here
from stub_sweep import make_sweep

from resnet_sweep.config.errors import UserError
from resnet_sweep.records.checkpoint import CHECKPOINT, read_model
from resnet_sweep.records.run_folder import (
    METRICS,
    MODEL,
    PREDICTIONS,
    RESULT,
    EpochMetrics,
    read_config,
    read_metrics,
    read_predictions,
    read_result,
    write_result,
)
from resnet_sweep.records.run_state import COMPOSED, variables_of
from resnet_sweep.records.sweep_folder import RUNS, SETTINGS, SWEEP_ID
from resnet_sweep.training.loop import Interrupted, PrunedRun, Training
from resnet_sweep.training.run import run_training

DAMAGE: dict[str, Callable[[Path], object]] = {
    "missing": Path.unlink,
    "empty": lambda path: path.write_bytes(b""),
    "cut": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "flipped": lambda path: path.write_bytes(_flipped(path.read_bytes())),
    "without its last line": lambda path: path.write_text(_shortened(path.read_text())),
}


def _shortened(text: str) -> str:
    return "".join(text.splitlines(keepends=True)[:-1])


def _flipped(content: bytes) -> bytes:
    half = len(content) // 2
    return content[:half] + bytes([content[half] ^ 255]) + content[half + 1 :]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run_dir = tmp_path_factory.mktemp("finished") / "run"
    config = replace(make_tiny_config(), evaluate_test=True)
    assert run_training(config, run_dir, objective="val_loss").status == "completed"
    return run_dir


@pytest.fixture
def run_dir(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "run"))


LOST = [
    *((MODEL, kind) for kind in ("missing", "cut", "flipped")),
    (METRICS, "empty"),
    (METRICS, "without its last line"),
    (PREDICTIONS, "cut"),
    (RESULT, "cut"),
    (RESULT, "missing"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "kind"), LOST)
def test_a_lost_file_is_written_again(finished: Path, run_dir: Path, name: str, kind: str) -> None:
    """From the last checkpoint: no epoch is trained, and every number is what it was."""
    DAMAGE[kind](run_dir / name)
    done = train_here("resume=run", cwd=run_dir.parent)
    assert done.returncode == 0, done.stderr
    assert f"run/{name}: " in done.stdout
    assert read_metrics(run_dir) == read_metrics(finished)
    first, again = read_result(finished), read_result(run_dir)
    for field in ("status", "val_accuracy", "val_loss", "test_accuracy", "train_seconds", "epochs"):
        assert getattr(again, field) == getattr(first, field)
    if name != RESULT:  # which alone knew by what the run was judged
        assert (again.objective, again.objective_name) == (first.val_loss, "val_loss")
    before, after = read_model(finished)["state_dict"], read_model(run_dir)["state_dict"]
    assert all(torch.equal(value, after[key]) for key, value in before.items())
    predictions = read_predictions(finished), read_predictions(run_dir)
    np.testing.assert_array_equal(*(each.probabilities for each in predictions))
    done = train_here("resume=run", cwd=run_dir.parent)
    assert done.returncode == 0 and "complete" in done.stdout


def test_a_repair_reads_no_test_image_again(run_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = replace(read_result(run_dir), test_accuracy=0.125, test_loss=9.0)
    write_result(run_dir, before)
    (run_dir / MODEL).unlink()
    monkeypatch.setattr(Training, "evaluate_test", lambda self: self.data.test and 1 / 0)
    after = run_training(read_config(run_dir), run_dir)
    assert (after.test_accuracy, after.test_loss) == (0.125, 9.0)
    assert read_result(run_dir) == after and (run_dir / MODEL).exists()
    assert read_model(run_dir)["config"]["evaluate_test"] is True


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "kind", "checkpoint"),
    [
        (MODEL, "empty", "missing"),
        (METRICS, "empty", "cut"),
        (PREDICTIONS, "empty", "cut"),
        (RESULT, "empty", "cut"),
        (RESULT, "missing", "missing"),
    ],
)
def test_without_a_checkpoint_nothing_is_touched(
    run_dir: Path, name: str, kind: str, checkpoint: str
) -> None:
    DAMAGE[kind](run_dir / name)
    DAMAGE[checkpoint](run_dir / CHECKPOINT)
    (run_dir / COMPOSED).parent.mkdir()
    (run_dir / COMPOSED).write_text("hydra: {job: {env_set: {SOME_VARIABLE: 1}}}")
    before = {path: path.read_bytes() for path in run_dir.iterdir() if path.is_file()}
    done = train_here("resume=run", cwd=run_dir.parent)
    assert done.returncode == 2
    line = done.stderr.splitlines()[-1]
    assert f"run/{name}: " in line and "checkpoint" in line and "config.json" in line
    with pytest.raises(UserError) as told:
        run_training(read_config(run_dir), run_dir)
    assert str(told.value).partition("; ")[2] == line.partition("; ")[2].replace(
        "run/", f"{run_dir}/"
    )
    assert {path: path.read_bytes() for path in before} == before
    if name != MODEL:
        return
    assert f"run/{COMPOSED.parent} " in line
    folder = run_dir.parent / "new"  # as the line says
    shutil.copytree(run_dir / COMPOSED.parent, folder / COMPOSED.parent)
    shutil.copy(run_dir / "config.json", folder)
    assert variables_of(folder) == {"SOME_VARIABLE": "1"}
    assert train_here("resume=new", cwd=run_dir.parent).returncode == 0
    assert read_result(folder).status == "completed"


def test_a_finished_run_without_a_checkpoint_is_not_trained_again_to_be_tested(
    run_dir: Path,
) -> None:
    """Nor by whoever calls from Python."""
    result = replace(read_result(run_dir), test_accuracy=None)
    write_result(run_dir, result)
    (run_dir / CHECKPOINT).unlink()
    done = train_here("resume=run", "evaluate_test=true", cwd=run_dir.parent)
    assert done.returncode == 2 and "evaluate_test" in done.stderr
    with pytest.raises(UserError, match="no checkpoint"):
        run_training(read_config(run_dir), run_dir)
    assert read_result(run_dir) == result


def test_python_leaves_a_complete_run_and_mends_another(
    run_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first needs no data; of the second, nothing that its result says is lost."""
    config, result = replace(read_config(run_dir), evaluate_test=False), read_result(run_dir)
    before = {path: path.read_bytes() for path in run_dir.iterdir()}
    with monkeypatch.context() as patch:
        patch.setattr("resnet_sweep.training.run.prepare", None)
        assert run_training(config, run_dir) == result
    assert {path: path.read_bytes() for path in run_dir.iterdir()} == before
    with pytest.raises(UserError, match="seed"):
        run_training(replace(config, seed=9), run_dir)
    (run_dir / MODEL).unlink()
    mended = run_training(config, run_dir)
    for field in ("status", "test_accuracy", "val_loss", "objective", "objective_name"):
        assert getattr(mended, field) == getattr(result, field)
    assert read_model(run_dir)


def test_without_a_result_the_test_accuracy_is_said_to_be_lost(run_dir: Path) -> None:
    (run_dir / RESULT).unlink()
    done = train_here("resume=run", "evaluate_test=false", cwd=run_dir.parent)
    assert done.returncode == 0 and "evaluate_test=true" in done.stdout
    assert read_result(run_dir).test_accuracy is None


@pytest.mark.slow
@pytest.mark.parametrize("reason", [Interrupted(), OSError(28, "No space left on device")])
def test_a_repair_that_is_cut_short_leaves_the_result(
    run_dir: Path, monkeypatch: pytest.MonkeyPatch, reason: Exception
) -> None:
    def end(training: Training) -> None:
        raise reason

    before = (run_dir / RESULT).read_bytes()
    (run_dir / MODEL).unlink()
    with monkeypatch.context() as patch:
        patch.setattr("resnet_sweep.training.run.write_products", end)
        assert train_here("resume=run", cwd=run_dir.parent).returncode not in (0, 2)
    assert (run_dir / RESULT).read_bytes() == before
    assert train_here("resume=run", cwd=run_dir.parent).returncode == 0
    assert read_model(run_dir)


def test_a_run_that_had_not_ended_goes_on(finished: Path, tmp_path: Path) -> None:
    """Whatever became of its result: the checkpoint says that there are epochs to train."""

    def end(_: EpochMetrics) -> None:
        raise PrunedRun

    config, run_dir = read_config(finished), tmp_path / "run"
    train = replace(config.train, checkpoint_interval_seconds=0)
    assert run_training(replace(config, train=train), run_dir, on_epoch=end).status == "pruned"
    DAMAGE["cut"](run_dir / RESULT)
    done = train_here("resume=run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"run/{RESULT}: " in done.stdout and "written again" not in done.stdout
    assert read_result(run_dir).val_accuracy == read_result(finished).val_accuracy


def test_the_net_that_a_run_learnt_from_stays(run_dir: Path) -> None:
    values = json.loads((run_dir / "config.json").read_bytes())
    values["regularization"] |= {"distill_from": "gone", "distill_from_digest": "aa"}
    (run_dir / "config.json").write_text(json.dumps(values))
    for digest, status in (("aa", 0), ("bb", 2)):
        change = f"regularization.distill_from_digest={digest}"
        done = train_here("resume=run", change, cwd=run_dir.parent)
        assert done.returncode == status, done.stderr
        assert ("distill_from_digest=aa, not bb" in done.stderr) == bool(status)


def test_what_a_finished_run_no_longer_needs_may_be_damaged(run_dir: Path) -> None:
    DAMAGE["cut"](run_dir / CHECKPOINT)
    (run_dir / "train.log").unlink()
    done = train_here("resume=run", cwd=run_dir.parent)
    assert done.returncode == 0 and "complete" in done.stdout


@pytest.mark.parametrize("kind", ["empty", "cut"])
def test_a_damaged_configuration_is_one_line(run_dir: Path, kind: str) -> None:
    DAMAGE[kind](run_dir / "config.json")
    done = train_here("resume=run", cwd=run_dir.parent)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: run/config.json: ")


@pytest.mark.parametrize("has_checkpoint", [True, False])
def test_predict_says_how_to_have_a_lost_net_again(run_dir: Path, has_checkpoint: bool) -> None:
    (run_dir / MODEL).unlink()
    if not has_checkpoint:
        (run_dir / CHECKPOINT).unlink()
    done = run_here("predict", "run=run", "input=test", "device=cpu", cwd=run_dir.parent)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert ("resume=run" in line) == has_checkpoint and "completed" not in line


def test_a_trial_stays_judged_by_its_sweep(finished: Path, tmp_path: Path) -> None:
    """Resumed by itself, with no result left that would tell."""
    make_sweep(tmp_path, objectives=["val_loss"])
    (tmp_path / SWEEP_ID).write_text("0")
    run_dir = Path(shutil.copytree(finished, tmp_path / RUNS / "0"))
    (run_dir / RESULT).unlink()
    assert train_here(f"resume={RUNS}/0", cwd=tmp_path).returncode == 0
    result = read_result(run_dir)
    assert (result.objective_name, result.objective) == ("val_loss", result.val_loss)
    (tmp_path / SETTINGS).write_text("{")  # nobody could tell by what it is judged
    (run_dir / RESULT).unlink()
    done = train_here(f"resume={RUNS}/0", cwd=tmp_path)
    assert done.returncode == 2 and SETTINGS in done.stderr and not (run_dir / RESULT).exists()
