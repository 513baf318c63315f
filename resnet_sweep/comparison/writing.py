"""The files that a screening or an ablation leaves, and its last words."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from resnet_sweep.config.errors import UserError, why
from resnet_sweep.reporting.style import figure_style, save_figure
from resnet_sweep.reporting.tables import (
    Table,
    escape_markdown,
    printable,
    terminal_table,
    to_csv,
    to_markdown,
)
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
    tables: list[tuple[str, Table]]
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
    write_text(csv, to_csv(pd.DataFrame(report.rows)))
    head = {"schema_version": SCHEMA_VERSION, "command": report.command}
    write_json(values, {**head, **report.values})
    return [*paths, md, csv, values]


def _markdown(report: Report, has_figure: bool) -> str:
    parts = [f"# {report.title}\n", f"    {report.command}\n"]
    for title, table in report.tables:
        parts += [f"## {title}\n", to_markdown(table)]
    parts += ["", *(f"- {escape_markdown(line)}" for line in report.said), ""]
    if has_figure:
        parts.append(f"![{report.title}]({report.stem}.png)\n")
    return "\n".join(parts)


def _print(report: Report, paths: list[Path]) -> None:
    for title, table in report.tables:
        say(f"\n{title}")
        with page() as console:
            console.print(terminal_table(table))
    for line in (*report.said, *map(str, paths)):
        say(printable(line))
