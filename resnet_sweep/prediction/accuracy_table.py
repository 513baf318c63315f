"""One table over all inputs: accuracies with n and their intervals; CSV, Markdown, JSON."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resnet_sweep.config.predict import CORRUPTED, OWN_INPUTS, PredictConfig
from resnet_sweep.data.corruption import PARAMETERS
from resnet_sweep.data.custom import CustomSet
from resnet_sweep.prediction.inputs import Input
from resnet_sweep.prediction.scoring import Accuracy, Outcome, measure_accuracy
from resnet_sweep.reporting.report import Report, Section
from resnet_sweep.reporting.tables import Table
from resnet_sweep.system.atomic import ESCAPE
from resnet_sweep.system.console import command
from resnet_sweep.system.environment import git_commit, versions
from resnet_sweep.training.trained_net import TrainedNet

SCHEMA_VERSION = 1
STEM = "accuracy"
WIDTH = 140  # of the table where standard output is no terminal
MEAN = "mean"
INTERVAL = (
    "Intervals: Wilson, 95%, over n images. A mean over strengths or corruptions counts each "
    "image once, which makes its interval rather too wide."
)
READING = "The test set is read to report, never to choose: choose by validation accuracy."


@dataclass(frozen=True)
class Row:
    """The accuracy of one net, or of an ensemble, on one set or one corruption of it.

    Args:
        input: as the user called it.
        part: a corruption's name, or MEAN; null: the whole input.
        net: which predictions these are.
        strengths: strength -> accuracy; empty where the set has none.
        overall: on all the images, or the mean over the strengths.
    """

    input: str
    part: str | None
    net: str
    strengths: dict[int, Accuracy]
    overall: Accuracy

    @property
    def images(self) -> str:
        return self.input if self.part is None else f"{self.input}: {self.part}"


def accuracy_rows(outcome: Outcome, each: bool) -> list[Row]:
    """Return the rows of one input; none where it has no labels.

    Args:
        each: the nets of an ensemble have rows of their own, too.
    """
    labels, custom = outcome.custom.labels, outcome.custom
    if labels is None:
        return []
    found = _guesses(outcome, each).items()
    return [row for net, guesses in found for row in _rows_of_net(custom, net, guesses == labels)]


def _guesses(outcome: Outcome, each: bool) -> dict[str, NDArray[np.int64]]:
    """Return each kind of prediction by its name: the mean's, with more views, each net's."""
    predictions, nets = outcome.predictions, outcome.nets
    name = str(nets[0].run_dir) if len(nets) == 1 else f"ensemble of {len(nets)}"
    guesses = {name: predictions.plain.argmax(1)}
    if predictions.augmented is not None:
        guesses[f"{name}, tta={outcome.tta[0]}"] = predictions.augmented.argmax(1)
    if each and len(nets) > 1:
        guesses |= {str(n.run_dir): g for n, g in zip(nets, predictions.guesses, strict=True)}
    return guesses


def _rows_of_net(custom: CustomSet, net: str, hits: NDArray[np.bool_]) -> Iterator[Row]:
    given, net = escape(str(custom.path)), escape(net)
    if not custom.groups:
        yield Row(given, None, net, {}, measure_accuracy(hits))
        return
    rows = []
    for name in dict.fromkeys(group.name for group in custom.groups):
        groups = [group for group in custom.groups if group.name == name]
        scores = [measure_accuracy(hits[group.start : group.stop]) for group in groups]
        if groups[0].severity is None:
            rows.append(Row(given, name, net, {}, scores[0]))
        else:
            severities = [group.severity or 0 for group in groups]
            strengths = dict(zip(severities, scores, strict=True))
            rows.append(Row(given, name, net, strengths, _mean(scores)))
    yield from rows
    if len(rows) > 1:
        strengths = {s: _mean([row.strengths[s] for row in rows]) for s in rows[0].strengths}
        yield Row(given, MEAN, net, strengths, _mean([row.overall for row in rows]))


def _mean(scores: Sequence[Accuracy]) -> Accuracy:
    """Return the mean over corruptions or strengths of the same images."""
    mean = sum(score.accuracy for score in scores) / len(scores)
    return Accuracy(mean, min(score.num_images for score in scores))


def escape(name: str) -> str:
    """Return a name in which what is no UTF-8 is written out."""
    return name.encode("utf-8", ESCAPE).decode()


def accuracy_report(
    rows: Sequence[Row], nets: Sequence[TrainedNet], inputs: Sequence[Input], config: PredictConfig
) -> Report:
    """Return the table of all rows as a report."""
    lines = [escape(f"{each.images.path}: {note}") for each in inputs for note in each.notes]
    lines.append("The columns of numbers are strengths, `overall` is their mean where there are.")
    lines.append(INTERVAL)
    is_own = any(given in OWN_INPUTS for given in config.input)
    if is_own:
        lines.append(READING)
    return Report(
        stem=STEM,
        title="Accuracy",
        command=escape(command("predict", *sys.argv[1:])),
        sections=[Section("Accuracy on each input", _table(rows), lines)],
        rows=[entry for row in rows for entry in _entries(row)],
        values=_values(rows, nets, inputs, config),
    )


def _table(rows: Sequence[Row]) -> Table:
    strengths = sorted({strength for row in rows for strength in row.strengths})
    is_one_net = len({row.net for row in rows}) == 1
    columns = ["images", *([] if is_one_net else ["net"]), "n", *map(str, strengths)]
    cells = []
    for row in rows:
        shown = [
            f"{row.strengths[s].accuracy:.4f}" if s in row.strengths else "" for s in strengths
        ]
        low, high = row.overall.interval
        overall = [f"{row.overall.accuracy:.4f}", f"{low:.4f} to {high:.4f}"]
        net = [] if is_one_net else [row.net]
        cells.append([row.images, *net, f"{row.overall.num_images:,}", *shown, *overall])
    return Table([*columns, "overall", "95% interval"], cells, numeric=0)


def _entries(row: Row) -> Iterator[dict[str, Any]]:
    """Yield one entry for each strength, and the overall one."""
    scores = {str(strength): score for strength, score in row.strengths.items()}
    scores[MEAN if row.strengths else ""] = row.overall
    for strength, score in scores.items():
        low, high = score.interval
        yield {
            "input": row.input,
            "part": row.part or "",
            "net": row.net,
            "strength": strength,
            "n": score.num_images,
            "accuracy": score.accuracy,
            "low": low,
            "high": high,
        }


def _values(
    rows: Sequence[Row], nets: Sequence[TrainedNet], inputs: Sequence[Input], config: PredictConfig
) -> dict[str, Any]:
    fingerprints = [each.fingerprint for each in inputs if each.fingerprint is not None]
    return {
        "schema_version": SCHEMA_VERSION,
        "interval": INTERVAL,
        "inputs": [
            {
                "input": escape(str(each.images.path)),
                "folder": escape(each.folder) if len(inputs) > 1 else ".",
                "layout": each.images.layout,
                "num_images": len(each.images),
                "has_labels": each.images.labels is not None,
                "notes": [escape(note) for note in each.notes],
            }
            for each in inputs
        ],
        "nets": [
            {
                "run": escape(str(net.run_dir)),
                "num_params": sum(parameter.numel() for parameter in net.model.parameters()),
            }
            for net in nets
        ],
        "accuracies": [entry for row in rows for entry in _entries(row)],
        "seed": config.seed,
        "test_subset": config.test_subset,
        "data_fingerprint": fingerprints[0] if fingerprints else None,
        "corruption_parameters": PARAMETERS if CORRUPTED in config.input else None,
        "versions": versions(),
        "git_commit": git_commit(),
    }
