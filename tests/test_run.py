"""run_training in process: resuming bit for bit, pruning, every option of every group."""

from __future__ import annotations

import copy
import json
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import make_tiny_config

from resnet_sweep.config import Config
from resnet_sweep.config.augmentation import (
    AugmentationConfig,
    CropFlipConfig,
    CutmixConfig,
    MixupConfig,
    RandAugmentConfig,
    RicapConfig,
)
from resnet_sweep.config.errors import UserError
from resnet_sweep.config.model import ResNetConfig
from resnet_sweep.config.optimizer import AdamWConfig, MuonConfig, SgdConfig
from resnet_sweep.config.regularization import RegularizationConfig
from resnet_sweep.config.scheduler import OneCycleConfig, PlateauConfig
from resnet_sweep.data import device
from resnet_sweep.records.checkpoint import CHECKPOINT, read_model
from resnet_sweep.records.run_folder import (
    CONFIG,
    METRIC_NAMES,
    MODEL,
    EpochMetrics,
    read_metrics,
    read_result,
)
from resnet_sweep.records.run_lock import holding_run
from resnet_sweep.training import run
from resnet_sweep.training.evaluation import Evaluation
from resnet_sweep.training.loop import Interrupted, PrunedRun
from resnet_sweep.training.products import to_halves
from resnet_sweep.training.run import run_training

RECIPES: dict[str, dict[str, Any]] = {
    "sgd": {},
    "adamw": {"optimizer": AdamWConfig()},
    "everything": {
        "scheduler": OneCycleConfig(),
        "augmentation": AugmentationConfig(
            crop_flip=CropFlipConfig(),
            randaugment=RandAugmentConfig(),
            mixup=MixupConfig(),
            cutmix=CutmixConfig(),
        ),
        "regularization": RegularizationConfig(
            dropout=0.1,
            stochastic_depth=0.2,
            label_smoothing=0.1,
            clip_grad_norm=1.0,
            ema_half_life_epochs=0.5,
        ),
    },
    "sam": {"regularization": RegularizationConfig(sam="sam", dropout=0.1, ghost_batch_size=16)},
    "muon": {"optimizer": MuonConfig()},
    "muon_sgd": {
        "optimizer": MuonConfig(others="sgd"),
        "regularization": RegularizationConfig(ema_half_life_epochs=0.5),
    },
    "whitened": {
        "model": ResNetConfig(
            widths=[4, 8], blocks=[1, 1], strides=[2, 2], whitened_stem=True, block="pyramid"
        )
    },
    "alternating_flip": {
        "augmentation": AugmentationConfig(
            crop_flip=CropFlipConfig(padding=1, alternate_flip=True), ricap=RicapConfig()
        )
    },
    "lookahead": {"optimizer": SgdConfig(lookahead_steps=2)},
    "swa": {"regularization": RegularizationConfig(swa_start=0.3, dropout=0.1)},
    "progressive": {
        "train": replace(
            make_tiny_config().train, start_image_size=16, full_size_from=0.7, channels_last=False
        )
    },
    "plateau": {"scheduler": PlateauConfig(patience=0, threshold=0.9)},
}


def numbers(run_dir: Path) -> list[tuple[object, ...]]:
    """Return the metrics without timings."""
    names = [name for name in METRIC_NAMES if name != "epoch_seconds"]
    return [tuple(getattr(row, name) for name in names) for row in read_metrics(run_dir)]


@pytest.mark.slow
@pytest.mark.parametrize("val_size", [0, 0.2])
def test_weights_that_overflow_in_the_last_step_are_no_result(
    tmp_path: Path, val_size: float
) -> None:
    config = make_tiny_config()
    config.data = replace(config.data, val_size=val_size, train_subset=32)
    config.optimizer = replace(config.optimizer, lr=1e38)  # type: ignore[type-var]
    config.train = replace(config.train, epochs=1, batch_size=32)
    result = run_training(config, tmp_path)
    assert (result.status, result.test_accuracy) == ("diverged", None)
    assert not (tmp_path / MODEL).exists()


class InterruptAt:
    """Sends SIGINT when a step of the run begins."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, step: int) -> None:
        from resnet_sweep.training import loop as training

        self.left = step
        original = training.Schedule.lr

        def lr(schedule: training.Schedule, step_number: int) -> float:
            self.left -= 1
            if self.left == 0:
                os.kill(os.getpid(), signal.SIGINT)
            return original(schedule, step_number)

        monkeypatch.setattr(training.Schedule, "lr", lr)


@pytest.mark.slow
@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("step", [2, 3, 5])  # within an epoch, at its end, in the next
def test_an_interrupted_run_ends_bit_for_bit_as_an_uninterrupted_one(
    recipe: str, step: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = replace(make_tiny_config(), **RECIPES[recipe])
    config.train.epochs = 3
    whole = run_training(copy.deepcopy(config), tmp_path / "whole")
    with monkeypatch.context() as patch:
        InterruptAt(patch, step)
        assert run_training(copy.deepcopy(config), tmp_path / "parts").status == "interrupted"
    resumed = run_training(copy.deepcopy(config), tmp_path / "parts")
    assert resumed.status == whole.status == "completed"
    assert numbers(tmp_path / "parts") == numbers(tmp_path / "whole")
    assert (resumed.test_loss, resumed.val_loss) == (whole.test_loss, whole.val_loss)
    first, second = (read_model(tmp_path / n)["state_dict"] for n in ("whole", "parts"))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_the_commits_of_all_sittings_are_kept(
    tmp_path: Path, tiny_config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each as it was when the sitting began, whatever the checkout became meanwhile."""
    commits = iter(["a" * 40, "b" * 40 + "+", "c" * 40])
    monkeypatch.setattr("resnet_sweep.training.loop.git_commit", lambda: next(commits))
    with monkeypatch.context() as patch:
        InterruptAt(patch, 5)
        first = run_training(copy.deepcopy(tiny_config), tmp_path / "run")
    assert first.status == "interrupted" and first.git_commit == "a" * 40
    both = f"{'a' * 40}, {'b' * 40}+"
    assert run_training(copy.deepcopy(tiny_config), tmp_path / "run").git_commit == both
    (tmp_path / "run" / MODEL).unlink()
    mended = run_training(copy.deepcopy(tiny_config), tmp_path / "run")
    assert mended.git_commit == both and next(commits, None) is None


@pytest.mark.slow
@pytest.mark.parametrize(("begun", "later"), [(True, False), (False, True)])
def test_a_run_keeps_its_precision_on_another_cpu(
    begun: bool, later: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether its processor has bf16 or not, and bit for bit."""

    def has_bf16(answer: bool) -> None:
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": answer})

    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")
    config = make_tiny_config()
    has_bf16(begun)
    whole = run_training(copy.deepcopy(config), tmp_path / "whole")
    with monkeypatch.context() as patch:
        InterruptAt(patch, 5)
        assert run_training(copy.deepcopy(config), tmp_path / "parts").status == "interrupted"
    has_bf16(later)
    resumed = run_training(copy.deepcopy(config), tmp_path / "parts")
    assert whole.precision == resumed.precision == ("bf16" if begun else "fp32")
    assert read_result(tmp_path / "parts") == resumed
    assert numbers(tmp_path / "parts") == numbers(tmp_path / "whole")
    other = run_training(copy.deepcopy(config), tmp_path / "other")
    assert numbers(tmp_path / "other") != numbers(tmp_path / "whole")
    assert f"in {other.precision}" in (tmp_path / "other/train.log").read_text()


def test_a_checkpoint_from_before_precisions_goes_on_in_fp32(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = make_tiny_config()
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {})
    with monkeypatch.context() as patch:
        InterruptAt(patch, 5)
        run_training(copy.deepcopy(config), tmp_path / "run")
    state = torch.load(tmp_path / "run" / CHECKPOINT, weights_only=True)
    del state["precision"]
    torch.save(state, tmp_path / "run" / CHECKPOINT)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": True})
    assert run_training(config, tmp_path / "run").precision == "fp32"


@pytest.mark.slow
def test_a_folder_from_before_a_field_existed_goes_on(tmp_path: Path, tiny_config: Config) -> None:
    whole = run_training(tiny_config, tmp_path / "run")
    values = json.loads((tmp_path / "run" / CONFIG).read_text())
    del values["augmentation"]["crop_flip"], values["tracker"], values["train"]["figures"]
    (tmp_path / "run" / CONFIG).write_text(json.dumps(values))
    (tmp_path / "run" / MODEL).unlink()
    tiny_config.train.figures = True  # its default
    assert run_training(tiny_config, tmp_path / "run").val_loss == whole.val_loss


def test_a_damaged_checkpoint_resumes_from_the_one_before(
    tmp_path: Path, tiny_config: Config
) -> None:
    tiny_config.train.checkpoint_interval_seconds = 0
    whole = run_training(tiny_config, tmp_path / "run")
    damaged = (tmp_path / "run" / CHECKPOINT).read_bytes()[:-500]
    (tmp_path / "run" / CHECKPOINT).write_bytes(damaged)
    (tmp_path / "run" / MODEL).unlink()  # a complete run is left as it is
    again = run_training(tiny_config, tmp_path / "run")
    assert (again.status, again.val_loss) == ("completed", whole.val_loss)
    assert "falling back" in (tmp_path / "run" / "train.log").read_text()


def test_the_record_says_by_what_a_run_was_judged(tmp_path: Path, tiny_config: Config) -> None:
    result = run_training(tiny_config, tmp_path / "run", objective="val_loss")
    assert (result.objective, result.objective_name) == (result.val_loss, "val_loss")
    assert result.val_loss != result.val_accuracy and read_result(tmp_path / "run") == result


def test_on_epoch_prunes(tmp_path: Path, tiny_config: Config) -> None:
    seen: list[EpochMetrics] = []

    def on_epoch(metrics: EpochMetrics) -> None:
        seen.append(metrics)
        raise PrunedRun("below the rung")

    result = run_training(tiny_config, tmp_path / "run", on_epoch)
    assert (result.status, result.epochs, result.objective) == ("pruned", 1, None)
    assert read_metrics(tmp_path / "run") == seen


def test_the_test_set_is_not_placed_unless_asked_for(
    tmp_path: Path, tiny_config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:

    def touched(*_: object) -> None:
        raise AssertionError("the test set was touched")

    monkeypatch.setattr(device, "_place_test", touched)
    tiny_config.evaluate_test = False
    assert run_training(tiny_config, tmp_path / "run").status == "completed"


def test_a_full_disk_ends_the_run_with_its_reason(
    tmp_path: Path, tiny_config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    from resnet_sweep.training import loop as training

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(training, "write_checkpoint", full)
    result = run_training(tiny_config, tmp_path / "run")
    assert result.status == "failed"
    assert read_result(tmp_path / "run").error is not None
    assert "No space left on device" in (result.error or "")


def test_running_out_of_memory_is_told(
    tmp_path: Path, tiny_config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    from resnet_sweep.training.step import TrainStep

    def exhausted(*_: object) -> None:
        torch.empty(2**60, dtype=torch.uint8)

    monkeypatch.setattr(TrainStep, "_step", exhausted)
    result = run_training(tiny_config, tmp_path / "run")
    assert result.status == "out_of_memory"


def test_stored_predictions_are_the_guesses_that_were_counted() -> None:
    """Of a net that knows little, half floats make many of the largest probabilities equal."""
    logits = torch.randn(2000, 10, generator=torch.Generator().manual_seed(0)) / 1000
    probabilities = logits.softmax(1)
    stored = to_halves(probabilities)
    assert (probabilities.half().argmax(1) != logits.argmax(1)).float().mean() > 0.1
    assert stored.dtype == np.float16
    np.testing.assert_array_equal(stored.argmax(1), logits.argmax(1).numpy())
    np.testing.assert_allclose(stored, probabilities.numpy(), rtol=2e-3)


def test_threads_are_those_of_the_run_alone(tmp_path: Path, tiny_config: Config) -> None:
    """Of train.num_threads=3,null the second run has torch's choice, whatever the first had."""
    seen = []

    def look(_: EpochMetrics) -> None:
        seen.append(torch.get_num_threads())
        raise PrunedRun

    own = torch.get_num_threads()
    for number, count in enumerate((own + 2, None)):
        config = replace(tiny_config, train=replace(tiny_config.train, num_threads=count))
        run_training(config, tmp_path / str(number), on_epoch=look)
    assert seen == [own + 2, own] and torch.get_num_threads() == own


def test_a_user_error_writes_nothing(tmp_path: Path, tiny_config: Config) -> None:
    tiny_config.train.batch_size = 10_000
    with pytest.raises(UserError, match="batch_size"):
        run_training(tiny_config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_folder_takes_one_configuration_and_one_process(
    tmp_path: Path, tiny_config: Config
) -> None:
    with (
        holding_run(tmp_path / "run", tiny_config),
        pytest.raises(UserError, match="another process"),
    ):
        run_training(tiny_config, tmp_path / "run")
    other = replace(tiny_config, seed=7)
    with pytest.raises(UserError, match="seed=0, not 7"):
        run_training(other, tmp_path / "run")


def test_a_run_that_another_process_completes_meanwhile_stays(
    tmp_path: Path, tiny_config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While one reads its data, another, which began earlier, ends, and with the test set."""
    prepare = run.prepare

    def read_slowly(config: Config) -> run.Prepared:
        monkeypatch.setattr(run, "prepare", prepare)
        run_training(replace(config, evaluate_test=True), tmp_path / "run")
        return prepare(config)

    monkeypatch.setattr(run, "prepare", read_slowly)
    with pytest.raises(UserError, match="another process has completed this run"):
        run_training(replace(tiny_config, evaluate_test=False), tmp_path / "run")
    assert read_result(tmp_path / "run").test_accuracy is not None


def test_a_validation_loss_that_is_not_finite_is_divergence(
    tmp_path: Path, tiny_config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    from resnet_sweep.training import loop as training

    def infinite(*_: object) -> Evaluation:
        return Evaluation(float("inf"), 0.1, torch.zeros(1, 10))

    monkeypatch.setattr(training, "evaluate", infinite)
    result = run_training(tiny_config, tmp_path / "run")
    assert (result.status, result.objective) == ("diverged", None)


def test_a_figure_that_fails_costs_nothing_else(
    tmp_path: Path, tiny_config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:

    def broken(*_: object) -> None:
        raise RuntimeError("no font")

    monkeypatch.setattr("resnet_sweep.training.products.draw_curves", broken)
    tiny_config.train.figures = True
    assert run_training(tiny_config, tmp_path / "run").status == "completed"
    assert "no font" in (tmp_path / "run" / "train.log").read_text()


def test_a_run_that_is_interrupted_outside_the_main_thread_says_so(
    tiny_config: Config, tmp_path: Path
) -> None:
    def interrupt(_metrics: object) -> None:
        raise Interrupted

    with ThreadPoolExecutor(1) as pool:
        result = pool.submit(run_training, tiny_config, tmp_path / "r", interrupt).result()
    assert result.status == "interrupted" and result.epochs == 1
