"""The comparisons of a record, from their comparison.json, as a page shows them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from benchmarks.record.reading import naming
from resnet_sweep.comparison.report import tables
from resnet_sweep.records.comparison import COMPARISON, Compared, Part, read_comparison
from resnet_sweep.reporting.tables import escape_markdown, to_markdown

DOCS = "docs"
SHOWN = 3  # strings of interactions where none is told apart from noise
FACTORS, STEPS, TEST = "factors", "steps", "test"  # folders of a record
CURVES = "curves"  # a run with a validation part
Figures = dict[str, bytes]  # by the name that each is to have in docs/

ALL_ROWS = (
    "The interval of all rows together is wider than that of a row by itself: in 95 of 100 such "
    "tables every row's true value lies within its own. The verdict goes by it, since the best of "
    "many rows often looks good by luck."
)
LEGENDS = {
    "effects": ALL_ROWS,
    "steps": ALL_ROWS,
    "survivors": f"{ALL_ROWS} A change can be better in the design and undecided here: the "
    "design's effect is a mean over recipes that make half of the other changes too, and every "
    "run counts for it; here the change stands alone, with a few seeds.",
    "interactions": "A string is the sum of several effects of two changes made together, beyond "
    "what each does alone, which this design cannot separate. There is nothing to do with it but "
    "to know that the gains of single changes need not add up.",
}


def find_comparison(folder: Path, stage: str) -> Compared | None:
    """Return the comparison of a stage; None: it is not there yet."""
    place = folder / stage
    return read_comparison(place) if (place / COMPARISON).exists() else None


def part_lines(folder: Path, stage: str, part: Part, figures: Figures) -> Iterator[str]:
    """Yield a part's tables and sentences; take its figure along."""
    shown = _outstanding(part) if part.kind == "interactions" else part
    yield from (to_markdown(table) for _, table in tables(shown) if table is not None)
    if part.kind in LEGENDS and part.rows:
        yield f"{LEGENDS[part.kind]}\n"
    yield from (f"- {escape_markdown(note)}" for note in shown.notes)
    stem = {"survivors": "survivors", "interactions": None}.get(part.kind, "comparison")
    if stem is not None and part.rows:
        name = part.kind if part.kind == "survivors" else stage
        taken = take_figure(folder, folder / stage / f"{stem}.png", name, figures)
        yield f"\n![{escape_markdown(part.title)}]({taken})\n"
    yield ""


def _outstanding(part: Part) -> Part:
    """Return the interactions that stand out, or the largest: the whole table is too wide."""
    told = [row for row in part.rows if row.verdict != "undecided"]
    ordered = sorted(part.rows, key=lambda row: -abs(row.gain))
    what = "told apart from noise" if told else "told apart from noise: none; above are the largest"
    note = f"of {len(part.rows)} strings of interactions of two changes, {what}"
    return Part(part.kind, part.title, told or ordered[:SHOWN], [note])


def take_figure(folder: Path, source: Path, stem: str, figures: Figures) -> str:
    """Add a figure to those that go beside the page and return how the page names it."""
    name = f"record_{folder.name}_{stem}.png"
    with naming(source):
        figures[name] = source.read_bytes()
    return f"{DOCS}/{name}"
