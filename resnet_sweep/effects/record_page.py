"""The record as a part of RESULTS.md, read from the folders that `make record` has left."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from resnet_sweep.analysis.leaderboard import to_markdown
from resnet_sweep.analysis.summary import FIGURES, Options, summarize
from resnet_sweep.atomic import write_text
from resnet_sweep.console import say
from resnet_sweep.effects.attained import Attained, attained, attained_table
from resnet_sweep.effects.command import STUDY
from resnet_sweep.errors import UserError, require
from resnet_sweep.records.confirmation import FINDINGS
from resnet_sweep.records.sweep_folder import RUNS, Sweep, is_sweep, read_sweep

DOCS = "docs"
SWEEP, CONFIRM = "sweep", "confirm"
HIDDEN = "Strings of interactions"  # too wide for a page; in screening.md


def write_record(folder: Path, page: Path) -> None:
    """Replace what a page says about a record; nothing else of it changes.

    Raises:
        UserError: there is no such folder, or the page has no place for it.
    """
    require(folder.is_dir(), "folder", folder, "must be a folder of make record")
    require(page.is_file(), "page", page, "must be a Markdown file")
    begin, end = (f"<!-- {folder.name}: {word} -->" for word in ("begin", "end"))
    before, found, rest = page.read_text().partition(begin)
    _, closed, after = rest.partition(end)
    if not (found and closed):
        raise UserError(f"page={page}: has no place for this: the lines {begin} and {end}")
    docs = page.parent / DOCS
    docs.mkdir(exist_ok=True)
    said = "\n".join(_parts(folder, docs)).strip()
    write_text(page, f"{before}{begin}\n\n{said}\n\n{end}{after}")
    say(str(page))


def _parts(folder: Path, docs: Path) -> Iterator[str]:
    yield "### On the test set\n"
    yield from _attained(folder)
    for stem, title in (("ablation", "One change at a time"), ("screening", "Screening")):
        yield f"### {title}\n"
        yield from _copied(folder, stem, docs)
    yield "### Sweep\n"
    yield from _swept(folder, docs)


def _attained(folder: Path) -> Iterator[str]:
    confirmed, measured = folder / SWEEP / CONFIRM, folder / "measured"
    sources = [
        ("The experiments", measured / "measured.json", measured / STUDY / RUNS),
        ("The best of the sweep", confirmed / FINDINGS, confirmed),
    ]
    rows: dict[str, list[Attained]] = {}
    commands = []
    for what, path, runs in sources:
        if not path.exists():
            yield f"{what}: not measured yet.\n"
            continue
        values = json.loads(path.read_text())
        commands.append(values["command"])
        for row in _rows(values, runs):
            rows.setdefault(row.data, []).append(row)
    for data, found in rows.items():
        yield f"{data}: these numbers are compared with each other only.\n"
        yield to_markdown(attained_table(found))
    yield from (f"    {command}\n" for command in commands)


def _rows(values: dict[str, Any], runs: Path) -> list[Attained]:
    """Return a row for each recipe whose runs read the test set."""
    groups: dict[str, list[Path]] = {}
    for run in values["runs"]:
        if run["accuracy"] is not None and run.get("stage", "test") == "test":
            groups.setdefault(run["configuration"], []).append(runs / run["run_dir"])
    return [attained(name, dirs) for name, dirs in groups.items()]


def _copied(folder: Path, stem: str, docs: Path) -> Iterator[str]:
    """Yield a report without its title and its widest table, and take its figure along."""
    report = folder / stem / f"{stem}.md"
    if not report.exists():
        yield "Not measured yet.\n"
        return
    _, *sections = report.read_text().split("\n## ")
    command = json.loads((folder / stem / f"{stem}.json").read_text())["command"]
    yield f"    {command}\n"
    for section in sections:
        title, _, body = section.partition("\n")
        table, _, said = body.partition("\n\n- ")
        hidden = f"The {title.lower()} are in {report}.\n"
        yield hidden if title == HIDDEN else table.strip() + "\n"
        if said:
            figure = _take_figure(folder, report.with_suffix(".png"), stem, docs)
            yield "- " + said.replace(f"({stem}.png)", f"({DOCS}/{figure})")


def _take_figure(folder: Path, source: Path, stem: str, docs: Path) -> str:
    name = f"record_{folder.name}_{stem}.png"
    shutil.copyfile(source, docs / name)
    return name


def _swept(folder: Path, docs: Path) -> Iterator[str]:
    place = folder / SWEEP
    if not is_sweep(place):
        yield "Not measured yet.\n"
        return
    yield _counted(read_sweep(place)) + "\n"
    output = folder / "summary"
    summary = summarize(Options(place, output), lambda *_: None)
    yield from (f"- {answer}" for answer in summary.answers)
    figure = output / FIGURES / "importance.png"
    if figure.exists():
        name = _take_figure(folder, figure, "importance", docs)
        yield f"\n![importance against the noise between seeds]({DOCS}/{name})\n"


def _counted(sweep: Sweep) -> str:
    states = [trial.state for trial in sweep.trials]
    counts = ", ".join(f"{states.count(s)} {s}" for s in dict.fromkeys(states))
    hours = sum(trial.train_seconds or 0.0 for trial in sweep.trials) / 3600
    space = "; ".join(f"{name} {text}" for name, text in sweep.record.space.items())
    return (
        f"{len(states)} proposals ({counts}), {hours:.2f} hours of training, sampler "
        f"{sweep.record.sampler}, pruner {sweep.record.pruner}, {sweep.record.epochs} epochs. "
        f"The space: {space}."
    )
