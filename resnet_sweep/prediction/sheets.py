"""Pictures of images and predictions, and of the confusion matrix."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from resnet_sweep.data.custom import CustomSet
from resnet_sweep.prediction.scoring import Outcome, find_confident_mistakes
from resnet_sweep.reporting.confusion import class_shares, count_confusion, draw_confusion
from resnet_sweep.reporting.style import figure_style, new_figure, plain

THUMBNAILS, CONTACT_SHEET = "thumbnails.png", "contact_sheet.png"
MISTAKES, CONFUSION_FIGURE = "mistakes.png", "confusion.png"
NUM_IMAGES = 48
COLUMNS = 8
DPI = 150
# Okabe and Ito's blue and vermilion; the captions say the same in words.
RIGHT, WRONG, NEUTRAL = "#0072B2", "#D55E00", "black"

Caption = tuple[str, str]  # text, colour


def draw_sheets(folder: Path, outcome: Outcome) -> None:
    """Draw all figures; without mistakes there is no sheet of them."""
    draw_thumbnails(folder / THUMBNAILS, outcome.custom, outcome.class_names)
    draw_contact_sheet(folder / CONTACT_SHEET, outcome)
    if outcome.custom.labels is not None:
        draw_set_confusion(folder / CONFUSION_FIGURE, outcome)
        draw_mistakes(folder / MISTAKES, outcome)


def draw_thumbnails(path: Path, custom: CustomSet, class_names: Sequence[str]) -> None:
    """Show images as they were read, with IDs and labels, so that a wrong layout is seen."""
    places = spread(len(custom), NUM_IMAGES)
    captions = []
    for place in places:
        label = "" if custom.labels is None else f"\n{_short(class_names[custom.labels[place]])}"
        captions.append((f"{_short(custom.ids[place])}{label}", NEUTRAL))
    title = f"{len(places)} of {len(custom)} images as read: {custom.layout}"
    _save_sheet(path, custom.images.read(places.tolist()), captions, title)


def draw_contact_sheet(path: Path, outcome: Outcome) -> None:
    """Show images from the whole set with their predicted labels."""
    custom = outcome.custom
    places = spread(len(custom), NUM_IMAGES)
    key = "" if custom.labels is None else "; where wrong, the true class is below"
    title = f"predictions for {len(places)} of {len(custom)} images{key}"
    _draw_predicted(path, outcome, places, title)


def draw_mistakes(path: Path, outcome: Outcome) -> None:
    """Show the most confident mistakes, if there are any."""
    labels = outcome.custom.labels
    assert labels is not None
    plain = outcome.predictions.plain
    places = find_confident_mistakes(plain, labels, NUM_IMAGES)
    if not len(places):
        return
    count = int((plain.argmax(1) != labels).sum())
    title = f"the {len(places)} most confident of {count} mistakes among {len(labels)} images"
    _draw_predicted(path, outcome, places, f"{title}; below, the true class")


def draw_set_confusion(path: Path, outcome: Outcome) -> None:
    """Draw the share of each true class that went to each class."""
    names, labels = outcome.class_names, outcome.custom.labels
    assert labels is not None
    counts = count_confusion(labels, outcome.predictions.plain.argmax(1), len(names))
    with figure_style():
        figure = new_figure(5.6, 6.4)
        axes = figure.subplots()
        draw_confusion(figure, axes, class_shares(counts), [plain(_short(name)) for name in names])
        axes.set_title(f"{len(labels)} images, each row adds up to 100%")
        _save(figure, path)


def spread(total: int, count: int) -> NDArray[np.int64]:
    """Return at most `count` places, evenly spread from the first of `total` to the last."""
    return np.unique(np.linspace(0, total - 1, min(total, count)).round().astype(np.int64))


def _draw_predicted(path: Path, outcome: Outcome, places: NDArray[np.int64], title: str) -> None:
    images = outcome.custom.images.read(places.tolist())
    captions = [_caption(outcome, int(place)) for place in places]
    _save_sheet(path, images, captions, title)


def _caption(outcome: Outcome, place: int) -> Caption:
    row, labels = outcome.predictions.plain[place], outcome.custom.labels
    guess = int(row.argmax())
    text = f"{_short(outcome.class_names[guess], 12)} {row[guess]:.2f}"
    if labels is None:
        return text, NEUTRAL
    if labels[place] == guess:
        return text, RIGHT
    return f"{text}\nis {_short(outcome.class_names[labels[place]])}", WRONG


def _save_sheet(
    path: Path, images: NDArray[np.uint8], captions: Sequence[Caption], title: str
) -> None:
    """Draw images [n, 3, S, S] in rows, each with its caption below."""
    rows = -(-len(images) // COLUMNS)
    step = 1.32  # an image's height and the room for two lines of text
    figure = Figure(figsize=(8.4, 0.45 + rows * step))
    axes = figure.add_axes((0.01, 0.005, 0.98, 1 - 0.42 / (0.45 + rows * step)))
    for place, (image, (text, color)) in enumerate(zip(images, captions, strict=True)):
        x, y = place % COLUMNS, place // COLUMNS * step
        extent = (x + 0.04, x + 0.96, y + 0.96, y + 0.04)
        axes.imshow(image.transpose(1, 2, 0), extent=extent, interpolation="nearest")
        style: dict[str, Any] = {"ha": "center", "va": "top", "fontsize": 6.5, "color": color}
        axes.text(x + 0.5, y + 0.98, text, parse_math=False, **style)
    axes.set(xlim=(0, COLUMNS), ylim=(rows * step, 0), aspect="equal")
    axes.axis("off")
    figure.suptitle(_short(title, 120), fontsize=8.5, parse_math=False)
    _save(figure, path)


def _save(figure: Figure, path: Path) -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")  # a name in a script no font has
        figure.savefig(path, format="png", dpi=DPI)


def _short(text: str, length: int = 17) -> str:
    """Return text that fits below an image; the end of a path says more than its start."""
    plain = "".join(c if c.isprintable() else "?" for c in text)
    return plain if len(plain) <= length else f"…{plain[-length + 1 :]}"
