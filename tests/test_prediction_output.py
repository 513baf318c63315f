"""The files of a predictions folder hold the predictions they claim to hold."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from prediction import read_rows
from sklearn.metrics import confusion_matrix

from resnet_sweep.data.custom.custom_set import make_custom_set
from resnet_sweep.prediction import sheets
from resnet_sweep.prediction.output import write_outcome
from resnet_sweep.prediction.predicting import Predictions
from resnet_sweep.prediction.scoring import Outcome

NAMES = ("cat", "dog", "frog")
RNG = np.random.default_rng(0)
PLAIN, AUGMENTED = RNG.dirichlet([1, 1, 1], (2, 60)).astype(np.float32)
LABELS = RNG.integers(0, 3, 60)
GUESSES, GUESSES_TTA = PLAIN.argmax(1), AUGMENTED.argmax(1)


class _Marked:
    """Images whose every pixel is their place."""

    def __len__(self) -> int:
        return len(PLAIN)

    def read(self, indices: Sequence[int]) -> np.ndarray:
        marks = np.array(indices, np.uint8).reshape(-1, 1, 1, 1)
        return np.tile(marks, (1, 3, 8, 8))

    def changes(self) -> list[str]:
        return []


def _outcome(names: Sequence[str] = NAMES, ids: Sequence[str] | None = None) -> Outcome:
    execution = SimpleNamespace(device=torch.device("cpu"), dtype=torch.float32)
    net: Any = SimpleNamespace(class_names=tuple(names), run_dir="run", execution=execution)
    given = None if ids is None else tuple(ids)
    custom = make_custom_set(Path("set"), _Marked(), "marked", LABELS, given)
    predictions = Predictions(PLAIN, AUGMENTED, GUESSES[None], GUESSES_TTA[None])
    return Outcome([net], custom, predictions, ("flip", 2), 1.0)


@pytest.mark.parametrize("style", ["names", "indices"])
def test_each_table_has_its_own_predictions(tmp_path: Path, style: str) -> None:
    write_outcome(tmp_path, _outcome(), style)
    assert (GUESSES != GUESSES_TTA).any()
    for name, guesses in (("predictions", GUESSES), ("predictions_tta", GUESSES_TTA)):
        labels = [NAMES[guess] if style == "names" else str(guess) for guess in guesses]
        expected = [["ID", "Labels"], *([str(i), label] for i, label in enumerate(labels))]
        assert read_rows(tmp_path / f"{name}.csv") == expected


def test_rows_of_the_confusion_table_are_true_classes(tmp_path: Path) -> None:
    write_outcome(tmp_path, _outcome(), "names")
    counts = confusion_matrix(LABELS, GUESSES)
    assert (counts != counts.T).any()
    header, *rows = read_rows(tmp_path / "confusion.csv")
    assert header == ["true class \\ predicted class", *NAMES]
    expected = zip(NAMES, counts.tolist(), strict=True)
    assert rows == [[name, *map(str, row)] for name, row in expected]


def test_ids_and_names_come_back_from_the_tables(tmp_path: Path) -> None:
    odd = ["a\rb", "\r", "a\r\nb", "a\nb", 'a"b', "a,b", " a ", "=1+1"]
    ids = [*odd, *map(str, range(60 - len(odd)))]
    names = ("c\rat", "dog,", "fr\nog")
    write_outcome(tmp_path, _outcome(names, ids), "names")
    labels = [names[guess] for guess in GUESSES]
    path = tmp_path / "predictions.csv"
    assert read_rows(path)[1:] == [list(row) for row in zip(ids, labels, strict=True)]
    table = pd.read_csv(path, dtype=str)
    assert table["ID"].tolist() == ids and table["Labels"].tolist() == labels
    rows = read_rows(tmp_path / "confusion.csv")
    assert tuple(rows[0][1:]) == names == tuple(row[0] for row in rows[1:])


def test_the_sheet_shows_the_most_confident_mistakes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[tuple[list[int], list[tuple[str, str]]]] = []

    def keep(path: Path, images: np.ndarray, captions: Any, title: str) -> None:
        drawn.append((images[:, 0, 0, 0].tolist(), captions))

    monkeypatch.setattr(sheets, "_save_sheet", keep)
    monkeypatch.setattr(sheets, "NUM_IMAGES", 7)
    sheets.draw_mistakes(tmp_path / "mistakes.png", _outcome())
    wrong = [place for place in range(60) if GUESSES[place] != LABELS[place]]
    expected = sorted(wrong, key=lambda place: -PLAIN[place, GUESSES[place]])[:7]
    told = [
        f"{NAMES[GUESSES[p]]} {PLAIN[p, GUESSES[p]]:.2f}\nis {NAMES[LABELS[p]]}" for p in expected
    ]
    assert drawn == [(expected, [(text, sheets.WRONG) for text in told])]
