"""The record as a part of a page, read from the folders that `make record` has left."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from benchmarks.record.augmented import augmented_lines
from benchmarks.record.comparisons import (
    CURVES,
    DOCS,
    FACTORS,
    STEPS,
    TEST,
    Figures,
    find_comparison,
    part_lines,
    take_figure,
)
from benchmarks.record.conclusions import conclusions
from benchmarks.record.reading import read_values
from benchmarks.record.swept import sweep_lines
from benchmarks.record.tested import CONFIRM, SWEEP, Tested, tested_recipes
from benchmarks.record.versions import made_with, version_of
from benchmarks.record.wanted import wanted_table
from resnet_sweep.comparison.report import attained_table
from resnet_sweep.config.errors import UserError, require, why
from resnet_sweep.records.comparison import Row
from resnet_sweep.records.confirmation import FINDINGS
from resnet_sweep.records.run_folder import ACCURACIES, LOSSES, read_config, read_result
from resnet_sweep.records.sweep_folder import is_sweep
from resnet_sweep.reporting.numbers import points
from resnet_sweep.reporting.tables import to_markdown
from resnet_sweep.system.atomic import replacing, write_text
from resnet_sweep.system.console import say

FULL = "full"  # the record whose numbers are wanted
FAST = "fast"  # one recipe: the test set, and a run with a validation part
TESTED, SWEPT, SEEN = "Recipes on the test set", "Sweep", "Curves"
PARTS = {  # title: stage and part
    "Factors": (FACTORS, "effects"),
    "Strings of interactions": (FACTORS, "interactions"),
    "Survivors of the factors": (FACTORS, "survivors"),
    "One change after another": (STEPS, "steps"),
}


def write_record(folder: Path, page: Path) -> None:
    """Replace what a page says about a record; nothing else of it changes.

    Where the page is a link, the file behind it is written, and docs/ is beside that.

    Raises:
        UserError: there is no such folder, a file of it is damaged, or the page has no place for
            it or cannot be written.
    """
    require(folder.is_dir(), "folder", folder, "must be a folder of make record")
    require(page.is_file(), "page", page, "must be a Markdown file")
    begin, end = (f"<!-- {folder.name}: {word} -->" for word in ("begin", "end"))
    text = _read(page)
    before, _, rest = text.partition(begin)
    _, closed, after = rest.partition(end)
    if not closed:
        raise UserError(f"page={page}: has no place for this: the lines {begin} and {end}")
    if text.count(begin) + text.count(end) > 2:
        raise UserError(f"page={page}: has the lines {begin} and {end} more than once")
    figures: Figures = {}
    said = "\n".join(_parts(folder, figures)).strip()
    _write(page.resolve(), f"{before}{begin}\n\n{said}\n\n{end}{after}", figures)
    say(str(page))


def _read(page: Path) -> str:
    try:
        return page.read_bytes().decode()
    except (OSError, UnicodeError) as error:
        raise UserError(f"page={page}: cannot be read as UTF-8 text: {why(error)}") from error


def _write(page: Path, text: str, figures: Figures) -> None:
    """Write the figures and, last, the page that shows them."""
    docs = page.parent / DOCS
    try:
        docs.mkdir(exist_ok=True)
        for name, content in figures.items():
            with replacing(docs / name) as file:
                file.write(content)
        write_text(page, text)
    except OSError as error:
        raise UserError(f"{error.filename or docs}: cannot be written: {why(error)}") from error


def _parts(folder: Path, figures: Figures) -> Iterator[str]:
    """Yield the test set first, then conclusions, other tables, and the commands behind them."""
    recipes = tested_recipes(folder)
    if recipes:
        yield from _tested(recipes)
    notes = [f"- {line}" for line in conclusions(folder, recipes)]
    missing = _missing(folder)
    if missing:
        notes.append(f"- Not measured: {', '.join(missing)}.")
    yield from notes
    if notes:
        yield ""
    if folder.name == FULL:
        yield to_markdown(wanted_table(recipes))
    sections: dict[str, Iterator[str]] = {}
    augmented = list(augmented_lines(folder))
    if augmented:
        sections["Test-time augmentation"] = iter(augmented)
    for title, (stage, kind) in PARTS.items():
        compared = find_comparison(folder, stage)
        part = None if compared is None else compared.part(kind)
        if part is not None:
            sections[title] = part_lines(folder, stage, part, figures)
    if is_sweep(folder / SWEEP):
        sections[SWEPT] = sweep_lines(folder, figures)
    if (folder / CURVES / ACCURACIES).exists():
        sections[SEEN] = _curves(folder, figures)
    for title, lines in sections.items():
        yield f"### {title}\n"
        yield from lines
    yield from _commands(folder)


def _missing(folder: Path) -> list[str]:
    """Return the titles of the stages that are not there yet."""
    there = {TESTED: find_comparison(folder, TEST) is not None}
    if folder.name == FAST:
        there[SEEN] = (folder / CURVES / ACCURACIES).exists()
    else:
        for title, (stage, kind) in PARTS.items():
            compared = find_comparison(folder, stage)
            there[title] = compared is not None and compared.part(kind) is not None
        there[SWEPT] = is_sweep(folder / SWEEP)
        there.pop("Strings of interactions")  # which need every run of the factors
    return [title for title, is_there in there.items() if not is_there]


def _tested(recipes: list[Tested]) -> Iterator[str]:
    rows: dict[str, list[Row]] = {}
    for recipe in recipes:
        rows.setdefault(recipe.row.data, []).append(recipe.row)
    for data, found in rows.items():
        if len(rows) > 1:
            yield f"{data}: these numbers are compared with each other only.\n"
        yield to_markdown(attained_table(found))


def _curves(folder: Path, figures: Figures) -> Iterator[str]:
    """Yield what the run with a validation part reached, and take its curves along."""
    run = folder / CURVES
    result, config = read_result(run), read_config(run)
    if result.val_accuracy is None:
        raise UserError(f"{run}: has no validation accuracy")
    yield (
        f"Seed {config.seed} of {config.model.name}, trained without the validation images "
        f"(data.val_size={config.data.val_size:g}): "
        f"{points(result.val_accuracy, '.2f')}% of them right (n = 1, commit "
        f"{version_of(result)[0]}). The training images are augmented ones.\n"
    )
    for name in (ACCURACIES, LOSSES):
        stem = Path(name).stem
        yield f"![{stem} over the epochs]({take_figure(folder, run / name, stem, figures)})\n"


def _commands(folder: Path) -> Iterator[str]:
    found = [find_comparison(folder, stage) for stage in (FACTORS, STEPS, TEST)]
    commands = [compared.command for compared in found if compared is not None]
    path = folder / SWEEP / CONFIRM / FINDINGS
    if not (commands or path.exists()):
        return
    yield "### Commands\n"
    fast = folder.name == FAST
    others = "that of the curves is" if fast else "the sweep's and its confirmation's are"
    yield f"`make record SIZE={folder.name}` is all of them; {others} in the Makefile.\n"
    yield from (f"    {command}\n" for command in commands)
    if path.exists():
        yield f"The chosen net again:\n\n    {read_values(path)['command']}\n"
    yield from made_with(folder)
