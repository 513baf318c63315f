"""Run folders with known contents, written through the module that owns their format."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from resnet_sweep.config import Config
from resnet_sweep.config.augmentation import CropFlipConfig, CutoutConfig
from resnet_sweep.config.compose import SCHEMAS
from resnet_sweep.records.run_folder import (
    EpochMetrics,
    Predictions,
    RunResult,
    write_config,
    write_metrics,
    write_predictions,
    write_result,
)
from resnet_sweep.records.sweep_folder import (
    SweepRecord,
    SweepTrial,
    write_sweep_record,
    write_sweep_trials,
)

LABELS = np.random.default_rng(0).integers(0, 5, 400)


def make_config(settings: dict[str, Any] | None = None) -> Config:
    """Return the default configuration with dotted settings changed; groups first."""
    config = Config(evaluate_test=False)
    for name, value in (settings or {}).items():
        if name in SCHEMAS:
            setattr(config, name, SCHEMAS[name][value]())
            continue
        *groups, field = name.split(".")
        node: Any = config
        for group in groups:
            node = getattr(node, group)
        setattr(node, field, value)
    return config


def make_history(epochs: int, accuracy: float) -> list[EpochMetrics]:
    """Return epochs whose validation accuracy rises to `accuracy`."""
    rows = []
    for epoch in range(1, epochs + 1):
        share = epoch / epochs
        val = accuracy * (0.5 + 0.5 * share)
        rows.append(
            EpochMetrics(epoch, 0.1 * (1 - share), 2 - share, val + 0.01, 2.1 - share, val, 1.5)
        )
    rows[-1].val_accuracy = accuracy
    return rows


def write_run(
    run_dir: Path,
    accuracy: float = 0.8,
    settings: dict[str, Any] | None = None,
    epochs: int = 3,
    predictions: Predictions | None = None,
    **changes: Any,
) -> RunResult:
    """Write a run folder; `changes` go into result.json."""
    run_dir.mkdir(parents=True)
    config = make_config(settings)
    history = make_history(epochs, accuracy)
    write_config(run_dir, config)
    write_metrics(run_dir, history)
    values: dict[str, Any] = dict(
        status="completed",
        num_params=1000,
        multiply_adds=2000,
        epochs=epochs,
        val_accuracy=accuracy,
        val_loss=history[-1].val_loss,
        test_accuracy=None,
        test_loss=None,
        objective=accuracy,
        train_seconds=4.5,
        images_per_second=100.0,
        peak_memory_bytes=10**8,
        seed=config.seed,
        device="cpu",
        versions={"torch": "2"},
        git_commit=None,
        data_fingerprint="f00d",
    )
    result = RunResult(**{**values, **changes})
    write_result(run_dir, result)
    if predictions is not None:
        write_predictions(run_dir, predictions)
    return result


def make_predictions(correct: np.ndarray, classes: int = 5) -> Predictions:
    """Return predictions on LABELS that are right where `correct` is true."""
    guesses = np.where(correct, LABELS, (LABELS + 1) % classes)
    probabilities = np.full((len(LABELS), classes), 0.1, np.float16)
    probabilities[np.arange(len(LABELS)), guesses] = 0.6
    names = np.array([f"class {i}" for i in range(classes)])
    return Predictions(np.arange(len(LABELS)), LABELS, probabilities, names)


def write_sweep(folder: Path, trials: int = 60, seed: int = 0, sampler: str = "tpe") -> None:
    """Write a sweep in which the learning rate matters most and dropout does nothing.

    Every seventh trial is pruned, every ninth rejected, the 13th diverged; the first is
    repeated with four more seeds.
    """
    generator = np.random.default_rng(seed)
    records: list[SweepTrial] = []
    for number in range(trials):
        params = _draw(generator)
        if number < 5:
            params = {"optimizer": "sgd", "optimizer.lr@sgd": 0.1} | _draw_common(generator, 0.1)
            params |= {"model.blocks[0]": 3, "train.batch_size": 128}
        records.append(_trial(folder, number, params, generator))
    record = SweepRecord(
        study_name=folder.name,
        objectives=["val_accuracy"],
        directions=["maximize"],
        n_trials=trials,
        epochs=6,
        space=_SPACE,
        overrides=["data=digits"],
        sampler=sampler,
        pruner="asha",
        n_startup_trials=16,
    )
    folder.mkdir(parents=True, exist_ok=True)
    write_sweep_record(folder, record)
    write_sweep_trials(folder, records)


_SPACE = {
    "optimizer": "choice(sgd, adamw)",
    "optimizer.lr@sgd": "log interval(0.001, 1)",
    "optimizer.lr@adamw": "log interval(0.0001, 0.01)",
    "regularization.dropout": "interval(0, 0.2)",
    "model.blocks[0]": "range(1, 6)",
    "train.batch_size": "choice(128, 256, 512)",
    "augmentation": "choice([crop_flip], [crop_flip,cutout])",
}
_AUGMENTATIONS = (["crop_flip"], ["crop_flip", "cutout"])


def _draw_common(generator: np.random.Generator, dropout: float | None = None) -> dict[str, Any]:
    drawn = generator.uniform(0, 0.2) if dropout is None else dropout
    return {"regularization.dropout": drawn, "augmentation": _AUGMENTATIONS[0]}


def _draw(generator: np.random.Generator) -> dict[str, Any]:
    optimizer = ("sgd", "adamw")[generator.integers(2)]
    low = -3 if optimizer == "sgd" else -4
    return {
        "optimizer": optimizer,
        f"optimizer.lr@{optimizer}": 10 ** generator.uniform(low, low + 2.5),
        **_draw_common(generator),
        "model.blocks[0]": int(generator.integers(1, 6)),
        "train.batch_size": (128, 256, 512)[generator.integers(3)],
        "augmentation": _AUGMENTATIONS[generator.integers(2)],
    }


def true_accuracy(params: dict[str, Any]) -> float:
    """Return the accuracy that a trial's noise is added to."""
    if params["optimizer"] == "sgd":
        distance = np.log10(params["optimizer.lr@sgd"]) + 1.2
    else:
        distance = np.log10(params["optimizer.lr@adamw"]) + 2.5
    return float(
        0.9
        - 0.03 * distance**2
        - 0.01 * (params["optimizer"] == "adamw")
        + 0.004 * params["model.blocks[0]"]
        + 0.006 * len(params["augmentation"])
    )


def _trial(
    folder: Path, number: int, params: dict[str, Any], generator: np.random.Generator
) -> SweepTrial:
    repeat = 1 <= number < 5
    if not repeat and number % 9 == 8:
        return SweepTrial(number, "rejected", "over_budget", params=params, num_params=6_000_000)
    accuracy = true_accuracy(params) + generator.normal(0, 0.0015)
    status = _status(number)
    seconds = float(40 + 10 * params["model.blocks[0]"])
    started = 1.8e9 + (number // 2) * 95.0
    result = _train(folder / f"runs/{number}", number, params, accuracy, generator)
    return SweepTrial(
        number,
        status if status in ("completed", "pruned") else "failed",
        reason="diverged" if status == "diverged" else None,
        params=params,
        values=[accuracy] if status == "completed" else None,
        seed=result.seed,
        worker=number % 2,
        started=started,
        ended=started + seconds,
        epochs=result.epochs,
        train_seconds=seconds,
        run_dir=f"runs/{number}",
        repeat_of=0 if repeat else None,
    )


def _status(number: int) -> str:
    if number == 13:
        return "diverged"
    return "pruned" if number >= 5 and number % 7 == 6 else "completed"


def _train(
    run_dir: Path,
    number: int,
    params: dict[str, Any],
    accuracy: float,
    generator: np.random.Generator,
) -> RunResult:
    """Write the run of a trial; what did not complete has half of the epochs and is 0.1 behind."""
    status, blocks = _status(number), params["model.blocks[0]"]
    completed = status == "completed"
    changes: dict[str, Any] = {} if completed else {"objective": None}
    return write_run(
        run_dir,
        accuracy if completed else accuracy - 0.1,
        _settings(number, params),
        epochs=6 if completed else 3,
        predictions=make_predictions(generator.random(len(LABELS)) < accuracy),
        status=status,
        num_params=1_000_000 + 800_000 * blocks + 50_000 * (params["optimizer"] == "sgd"),
        train_seconds=float(40 + 10 * blocks),
        **changes,
    )


def _settings(number: int, params: dict[str, Any]) -> dict[str, Any]:
    optimizer = params["optimizer"]
    augmentation = {"crop_flip": CropFlipConfig(), "cutout": CutoutConfig()}
    return {
        "seed": number if number < 5 else 0,
        "data": "digits",
        "optimizer": optimizer,
        "optimizer.lr": params[f"optimizer.lr@{optimizer}"],
        "regularization.dropout": params["regularization.dropout"],
        "model.blocks": [params["model.blocks[0]"], 3, 4, 3],
        "train.batch_size": params["train.batch_size"],
        "train.epochs": 6,
        **{f"augmentation.{name}": augmentation[name] for name in params["augmentation"]},
    }
