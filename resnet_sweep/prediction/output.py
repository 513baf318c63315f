"""The files of a predictions folder, and what the terminal shows of them."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resnet_sweep.prediction.scoring import NUM_BINS, Accuracy, Outcome, Score
from resnet_sweep.reporting.confusion import count_confusion
from resnet_sweep.system.atomic import ESCAPE
from resnet_sweep.system.environment import device_name, git_commit, versions

SCHEMA_VERSION = 1
PREDICTIONS, PREDICTIONS_TTA = "predictions.csv", "predictions_tta.csv"
PROBABILITIES, REPORT, CONFUSION = "probabilities.npz", "report.json", "confusion.csv"
NUM_WORST = 3


def write_outcome(folder: Path, outcome: Outcome, label_style: str) -> None:
    """Write all files but the figures into an existing folder."""
    predictions, custom, classes = outcome.predictions, outcome.custom, outcome.class_names
    names = classes if label_style == "names" else None
    arrays: dict[str, Any] = {
        "ids": np.array(custom.ids),
        "class_names": np.array(classes),
        "probabilities": predictions.plain,
    }
    _write_submission(folder / PREDICTIONS, custom.ids, predictions.plain, names)
    if predictions.augmented is not None:
        _write_submission(folder / PREDICTIONS_TTA, custom.ids, predictions.augmented, names)
        arrays["probabilities_tta"] = predictions.augmented
    if custom.labels is not None:
        arrays["labels"] = custom.labels
        counts = count_confusion(custom.labels, predictions.plain.argmax(1), len(classes))
        body = ([name, *row] for name, row in zip(classes, counts.tolist(), strict=True))
        _write_rows(folder / CONFUSION, [["true class \\ predicted class", *classes], *body])
    np.savez_compressed(folder / PROBABILITIES, **arrays)
    text = json.dumps(make_report(outcome), indent=2, allow_nan=False, ensure_ascii=False)
    (folder / REPORT).write_text(text + "\n", encoding="utf-8", errors=ESCAPE)


def _write_submission(
    path: Path,
    ids: Sequence[str],
    probabilities: NDArray[np.float32],
    class_names: Sequence[str] | None,
) -> None:
    """Write ID,Labels: the most probable class of each image, by name or as its place."""
    guesses = probabilities.argmax(1).tolist()
    labels = guesses if class_names is None else [class_names[guess] for guess in guesses]
    _write_rows(path, [("ID", "Labels"), *zip(ids, labels, strict=True)])


def _write_rows(path: Path, rows: Iterable[Sequence[str | int]]) -> None:
    """Write a CSV file; before Python 3.13 the writer leaves a carriage return unquoted."""
    with open(path, "w", newline="", encoding="utf-8", errors=ESCAPE) as file:
        plain = csv.writer(file, lineterminator="\n")
        quoting = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL)
        for row in rows:
            is_split = any("\r" in str(cell) for cell in row)
            (quoting if is_split else plain).writerow(row)


def make_report(outcome: Outcome) -> dict[str, Any]:
    """Return the content of report.json; accuracies are fractions."""
    custom, execution = outcome.custom, outcome.nets[0].execution
    mode, num_views = outcome.tta
    return {
        "schema_version": SCHEMA_VERSION,
        "input": str(custom.path),
        "layout": custom.layout,
        "messages": outcome.messages(),
        "num_images": len(custom),
        "runs": [str(net.run_dir) for net in outcome.nets],
        "class_names": list(outcome.class_names),
        "tta": {"mode": mode, "num_views": num_views},
        "plain": _score_values(outcome, outcome.score),
        "augmented": _score_values(outcome, outcome.score_tta),
        "members": [each.to_json() for each in outcome.members],
        "seconds": outcome.seconds,
        "images_per_second": len(custom) / outcome.seconds,
        "device": device_name(execution.device),
        "precision": str(execution.dtype).removeprefix("torch."),
        "versions": versions(),
        "git_commit": git_commit(),
    }


def _score_values(outcome: Outcome, found: Score | None) -> dict[str, Any] | None:
    if found is None:
        return None
    classes = zip(outcome.class_names, found.per_class, strict=True)
    return {
        **found.overall.to_json(),
        "cross_entropy": found.cross_entropy,
        "expected_calibration_error": found.calibration_error,
        "calibration_method": f"{NUM_BINS} equally wide bins, Guo et al. 2017, arXiv:1706.04599",
        "per_class": {name: None if each is None else each.to_json() for name, each in classes},
        "groups": [
            {"name": group.name, "severity": group.severity, **accuracy.to_json()}
            for group, accuracy in found.groups
        ],
    }


def describe_outcome(outcome: Outcome) -> Iterator[str]:
    """Yield the lines that the terminal shows."""
    mode, num_views = outcome.tta
    if outcome.score is None:
        yield f"{len(outcome.custom)} images predicted; they have no labels"
        return
    for net, member in zip(outcome.nets, outcome.members, strict=True):
        if len(outcome.nets) > 1:
            yield f"{net.run_dir}: accuracy {_describe_accuracy(member)}"
    kind = f"ensemble of {len(outcome.nets)}: " if len(outcome.nets) > 1 else ""
    yield f"{kind}accuracy: {_describe_accuracy(outcome.score.overall)}"
    yield f"{kind}expected calibration error: {_describe_calibration(outcome.score)}"
    if outcome.score_tta is not None:
        told = f"{kind}with {mode} ({num_views} views)"
        yield f"{told}: accuracy: {_describe_accuracy(outcome.score_tta.overall)}"
        yield f"{told}: expected calibration error: {_describe_calibration(outcome.score_tta)}"
    classes = zip(outcome.class_names, outcome.score.per_class, strict=True)
    known = [(each.accuracy, each.num_images, name) for name, each in classes if each is not None]
    worst = [f"{name} {share:.4f} (n = {n})" for share, n, name in sorted(known)[:NUM_WORST]]
    yield f"lowest classes: {', '.join(worst)}"


def _describe_accuracy(accuracy: Accuracy) -> str:
    """Return an accuracy with its interval and n."""
    text = f"{accuracy.accuracy:.4f}"
    if not accuracy.are_independent:
        return f"{text} (n = {accuracy.num_images}, not independent)"
    low, high = accuracy.interval
    interval = f"95% interval {low:.4f} to {high:.4f}"
    return f"{text} ({interval}, n = {accuracy.num_images})"


def _describe_calibration(found: Score) -> str:
    return f"{found.calibration_error:.4f} ({NUM_BINS} bins, Guo et al. 2017)"
