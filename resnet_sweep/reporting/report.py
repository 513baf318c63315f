"""A report as files and on the terminal: Markdown to read, CSV of its rows, JSON of its values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
from resnet_sweep.system.console import PAGE_WIDTH, page, say


@dataclass(frozen=True)
class Section:
    """A heading with what stands below it.

    Args:
        lines: sentences.
        commands: to be copied into a shell.
    """

    title: str
    table: Table | None = None
    lines: Sequence[str] = ()
    commands: Sequence[str] = ()


@dataclass(frozen=True)
class Report:
    """What there is to say.

    Args:
        stem: of the files.
        command: that made it.
        rows: of the CSV file.
        values: of the JSON file, with its schema version.
    """

    stem: str
    title: str
    command: str
    sections: Sequence[Section]
    rows: Sequence[dict[str, Any]]
    values: dict[str, Any]


def write_report(folder: Path, report: Report, figure: Figure | None = None) -> list[Path]:
    """Write STEM.md, .csv and .json, and the figure as .png and .svg.

    The JSON file comes last: whoever finds it finds the others, too.

    Raises:
        UserError: one of them cannot be written.
    """
    try:
        return write_files(folder, report, figure)
    except OSError as error:
        reason = error.strerror or why(error)
        problem = f"the report cannot be written ({reason}); the same command goes on"
        raise UserError(f"{folder}: {problem}") from error


def write_files(folder: Path, report: Report, figure: Figure | None = None) -> list[Path]:
    """Write what write_report does.

    Raises:
        OSError: one of the files cannot be written.
    """
    md, csv, values = (folder / f"{report.stem}.{suffix}" for suffix in ("md", "csv", "json"))
    paths = []
    if figure is not None:
        with figure_style():
            paths += save_figure(figure, folder, report.stem)
    write_text(md, _markdown(report, has_figure=figure is not None))
    write_text(csv, to_csv(report.rows))
    write_json(values, report.values)
    return [*paths, md, csv, values]


def print_report(report: Report, paths: Sequence[Path], width: int = PAGE_WIDTH) -> None:
    """Show the sections on the terminal, then the files.

    Args:
        width: of the tables where standard output is no terminal.
    """
    for section in report.sections:
        say(f"\n{printable(section.title)}")
        if section.table is not None:
            with page(width) as console:
                console.print(terminal_table(section.table))
                for remark in section.table.remarks:
                    console.print(printable(remark), soft_wrap=True)
        for line in (*section.lines, *section.commands):
            say(f"  {printable(line)}")
    say("")
    for path in paths:
        say(printable(str(path)))


def _markdown(report: Report, has_figure: bool) -> str:
    parts = [f"# {escape_markdown(report.title)}\n", f"    {printable(report.command)}\n"]
    for section in report.sections:
        parts.append(f"## {escape_markdown(section.title)}\n")
        if section.table is not None:
            parts.append(to_markdown(section.table))
        parts += [f"- {escape_markdown(line)}" for line in section.lines]
        parts += [f"    {printable(command)}" for command in section.commands]
        parts.append("")
    if has_figure:
        parts.append(f"![{escape_markdown(report.title)}]({report.stem}.png)\n")
    return "\n".join(parts)
