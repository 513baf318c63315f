"""The files that a screening or an ablation leaves, and its last words."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from resnet_sweep.analysis.leaderboard import to_markdown
from resnet_sweep.config.errors import UserError, why
from resnet_sweep.reporting.spreadsheet import to_safe_csv
from resnet_sweep.reporting.statistics import cut_to_fractions
from resnet_sweep.reporting.style import figure_style, save_figure
from resnet_sweep.reporting.terminal import Leaderboard, printable, terminal_table
from resnet_sweep.system.atomic import write_json, write_text
from resnet_sweep.system.console import page, say

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Report:
    """What there is to say.

    Args:
        stem: of the files.
        tables: with their titles.
        said: sentences below them.
        rows: of the CSV file.
        values: of the JSON file.
    """

    stem: str
    title: str
    command: str
    tables: list[tuple[str, Leaderboard]]
    said: list[str]
    rows: list[dict[str, Any]]
    values: dict[str, Any]


def write_report(folder: Path, report: Report, figure: Figure | None = None) -> None:
    """Write .md, .csv, .json and the figure as .png and .svg, and print what they say.

    Raises:
        UserError: one of them cannot be written.
    """
    try:
        paths = _write(folder, report, figure)
    except OSError as error:
        reason = error.strerror or why(error)
        problem = f"the report cannot be written ({reason}); the same command goes on"
        raise UserError(f"{folder}: {problem}") from error
    _print(report, paths)


def _write(folder: Path, report: Report, figure: Figure | None) -> list[Path]:
    """Return the files; the one of values comes last: others read it as the report's end."""
    stem, paths = report.stem, []
    if figure is not None:
        with figure_style():
            paths += save_figure(figure, folder, stem)
    md, csv, values = (folder / f"{stem}.{suffix}" for suffix in ("md", "csv", "json"))
    write_text(md, _markdown(report, has_figure=figure is not None))
    write_text(csv, to_safe_csv(pd.DataFrame(report.rows)))
    head = {"schema_version": SCHEMA_VERSION, "command": report.command}
    write_json(values, {**head, **report.values})
    return [*paths, md, csv, values]


def _markdown(report: Report, has_figure: bool) -> str:
    parts = [f"# {report.title}\n", f"    {report.command}\n"]
    for title, table in report.tables:
        parts += [f"## {title}\n", to_markdown(table)]
    parts += ["", *(f"- {_escaped(line)}" for line in report.said), ""]
    if has_figure:
        parts.append(f"![{report.title}]({report.stem}.png)\n")
    return "\n".join(parts)


def _escaped(text: str) -> str:
    return "".join(f"\\{c}" if c in "\\`*_[]#|<>" else c for c in printable(text))


def _print(report: Report, paths: list[Path]) -> None:
    for title, table in report.tables:
        say(f"\n{title}")
        with page() as console:
            console.print(terminal_table(table))
    for line in (*report.said, *map(str, paths)):
        say(printable(line))


def points(value: float, form: str = "+.2f") -> str:
    """Return a fraction of 1 in points (hundredths); a dash for what is not a number."""
    return "-" if math.isnan(value) else format(100 * value, form)


def interval(low: float, high: float, form: str = "+.2f") -> str:
    """Return an interval's ends in points, of an accuracy (no sign in `form`) cut to [0, 100]."""
    if math.isnan(low):
        return "-"
    if not form.startswith("+"):
        low, high = cut_to_fractions(low, high)
    return f"{points(low, form)} to {points(high, form)}"
