"""The reports of a screening, its follow-up and an ablation, as a page shows them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.record.reading import MEND, naming, read_values
from resnet_sweep.comparison.contrasts import Effect
from resnet_sweep.comparison.screening import MAIN, STRINGS, effect_table
from resnet_sweep.config.errors import UserError
from resnet_sweep.reporting.numbers import points
from resnet_sweep.reporting.tables import to_markdown

DOCS = "docs"
SHOWN = 3  # strings of interactions where none is told apart from noise
PLACES = {
    "screening": "screening",
    "follow_up": "screening/follow_up",
    "ablation": "ablation",
}
Figures = dict[str, bytes]  # by the name that each is to have in docs/


ALL_ROWS = (
    "The interval of all rows together is wider than that of a row by itself: in 95 of 100 such "
    "tables every row's true value lies within its own. The verdict goes by it, since the best of "
    "many rows often looks good by luck."
)
LEGENDS = {
    "screening": ALL_ROWS,
    "follow_up": f"{ALL_ROWS} A change can be better in the screening and undecided here: the "
    "screening's effect is a mean over recipes that make half of the other changes too, and every "
    "run counts for it; here the change stands alone, with a few seeds.",
    "ablation": ALL_ROWS,
}
STRING = (
    "A string is the sum of several effects of two changes made together, beyond what each does "
    "alone, which this design cannot separate. There is nothing to do with it but to know that "
    "the gains of single changes need not add up."
)


def read_report(folder: Path, stem: str) -> dict[str, Any] | None:
    """Return what a report's JSON holds; null: it is not there yet."""
    path = report_path(folder, stem)
    return read_values(path) if path.exists() else None


def report_path(folder: Path, stem: str, suffix: str = "json") -> Path:
    return folder / PLACES[stem] / f"{stem}.{suffix}"


def report_lines(folder: Path, stem: str, figures: Figures) -> Iterator[str]:
    """Yield a report that is there without its title and command; take its figure along.

    Raises:
        UserError: a file of it is missing or damaged, or they are not of one report.
    """
    path = report_path(folder, stem, "md")
    values = read_values(report_path(folder, stem))
    with naming(path):
        text = path.read_bytes().decode()
    with naming(report_path(folder, stem)):
        _check_same_report(path, text, values, stem)
        yield from _sections(folder, stem, text, values, figures)


def _check_same_report(path: Path, text: str, values: dict[str, Any], stem: str) -> None:
    """Refuse a text whose command or numbers are not those of the JSON file beside it."""
    problem = f"{path}: does not say what {stem}.json beside it holds"
    if f"    {values['command']}\n" not in text:
        raise UserError(f"{problem}: its command is another; {MEND}")
    if not all(row in text for row in _expected_rows(values, stem)):
        raise UserError(f"{problem}: its numbers are others; {MEND}")


def _expected_rows(values: dict[str, Any], stem: str) -> Iterator[str]:
    """Yield what the tables of a report must hold."""
    if stem == "screening":
        yield f"## {MAIN}\n\n{to_markdown(effect_table(read_effects(values['main']), 'change'))}"
        return
    for row in values["steps" if stem == "ablation" else "changes"]:
        mean, sd = (points(_number(row[name]), ".2f") for name in ("mean", "sd"))
        yield f"| {mean} | {sd} | {row['n']} |"


def _sections(
    folder: Path, stem: str, text: str, values: dict[str, Any], figures: Figures
) -> Iterator[str]:
    body = text.partition(f"    {values['command']}\n")[2]
    first, *sections = f"\n{body}".split("\n## ")
    if first.strip():
        yield _with_figure(first.strip(), folder, stem, figures) + "\n"
    for section in sections:
        title, _, rest = section.partition("\n")
        table, _, said = rest.partition("\n\n- ")
        yield from _strings(values) if title == STRINGS else [table.strip() + "\n"]
        if said:
            yield f"{LEGENDS[stem]}\n"
            yield _with_figure(f"- {said.strip()}", folder, stem, figures) + "\n"


def _with_figure(text: str, folder: Path, stem: str, figures: Figures) -> str:
    name = f"{stem}.png"
    if f"({name})" not in text:
        return text
    taken = take_figure(folder, report_path(folder, stem, "png"), stem, figures)
    return text.replace(f"({name})", f"({taken})")


def take_figure(folder: Path, source: Path, stem: str, figures: Figures) -> str:
    """Add a figure to those that go beside the page and return how the page names it."""
    name = f"record_{folder.name}_{stem}.png"
    with naming(source):
        figures[name] = source.read_bytes()
    return f"{DOCS}/{name}"


def _strings(values: dict[str, Any]) -> Iterator[str]:
    """Yield the interactions that stand out, or the largest ones: the whole table is too wide."""
    strings = read_effects(values["interactions"])
    told = [effect for effect in strings if effect.verdict != "undecided"]
    ordered = sorted(strings, key=lambda effect: -abs(effect.difference))
    shown = told or ordered[:SHOWN]
    what = "told apart from noise" if told else "told apart from noise: none; the largest"
    yield f"{STRING}\n"
    yield f"Of {len(strings)} strings of interactions of two changes, {what}:\n"
    yield to_markdown(effect_table(shown, "sum of pairs"))


def read_effects(rows: list[dict[str, Any]]) -> list[Effect]:
    return [Effect(**{name: _number(value) for name, value in row.items()}) for row in rows]


def _number(value: Any) -> Any:
    """Return a value of a JSON file, in which null is what was not a number."""
    return math.nan if value is None else value
