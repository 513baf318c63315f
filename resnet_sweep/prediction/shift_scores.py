"""What was measured: accuracies with their intervals."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from resnet_sweep.prediction.scoring import Accuracy
from resnet_sweep.system.atomic import ESCAPE

CLEAN, CORRUPTION, CUSTOM = "clean", "corruption", "custom"
ALL_CORRUPTIONS = "all corruptions"
INTERVAL = (
    "Intervals: Wilson, 95%, over n images. A mean over strengths counts each image once, "
    "which makes its interval rather too wide."
)


@dataclass(frozen=True)
class Row:
    """One set of images: of the test part as it is, under a corruption, or custom.

    Args:
        strengths: strength -> score; empty where the set has none.
        overall: on the whole set, or the mean over the strengths.
    """

    kind: str
    name: str
    strengths: dict[int, Accuracy]
    overall: Accuracy


@dataclass(frozen=True)
class ModelScores:
    """The rows of a model; the mean over the corruptions is among them.

    Args:
        notes: what a reader of the numbers should know.
    """

    run: str
    num_params: int
    rows: tuple[Row, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Report:
    """Everything that the tables and the figure show.

    Args:
        num_test: test images used, of `num_test_all`.
        settings: options that decide on the numbers.
    """

    models: tuple[ModelScores, ...]
    num_test: int
    num_test_all: int
    fingerprint: str
    settings: dict[str, object]

    def max_strength(self) -> int:
        """Return the largest strength of any row; 0 where none has strengths."""
        rows = (row for model in self.models for row in model.rows)
        return max((strength for row in rows for strength in row.strengths), default=0)


def escape(name: str) -> str:
    """Return a name in which what is no UTF-8 is written out."""
    return name.encode("utf-8", ESCAPE).decode()


def make_row(kind: str, name: str, strengths: dict[int, Accuracy]) -> Row:
    """Return a row with the mean over its strengths, which have the same images."""
    mean = sum(score.accuracy for score in strengths.values()) / len(strengths)
    return Row(kind, name, strengths, Accuracy(mean, min(s.num_images for s in strengths.values())))


def mean_row(rows: list[Row]) -> Row:
    """Return the mean over corruptions of the same images, strength by strength."""
    return make_row(CORRUPTION, ALL_CORRUPTIONS, dict(_means(rows)))


def _means(rows: list[Row]) -> Iterator[tuple[int, Accuracy]]:
    for strength, first in rows[0].strengths.items():
        accuracies = [row.strengths[strength].accuracy for row in rows]
        yield strength, Accuracy(sum(accuracies) / len(rows), first.num_images)
