"""Put report.html together: text escaped, figures and data inside."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from pathlib import Path

from resnet_sweep.analysis.figures import DrawnFigure
from resnet_sweep.analysis.leaderboard import NOTE
from resnet_sweep.analysis.report.data import SERIES, embed_json, encode_curves, table_data
from resnet_sweep.analysis.view import View
from resnet_sweep.reporting.tables import Table, printable
from resnet_sweep.system.atomic import write_text

MAX_LISTED = 500
SHORT_SETTINGS = 90  # characters, about two lines
NUMBER_CLASS = ' class="number"'


@dataclass(frozen=True)
class ReportTexts:
    """What a report says besides figures and the table of runs.

    Args:
        counts: runs by status.
        answers: sentences.
        running: name, and how far it is.
        unreadable: name and reason.
    """

    title: str
    subtitle: str
    counts: dict[str, int]
    answers: Sequence[str]
    leaderboard: Table
    running: Sequence[tuple[str, str]]
    unreadable: Sequence[tuple[str, str]]


def write_report(
    view: View, texts: ReportTexts, figures: Iterable[DrawnFigure], path: Path
) -> None:
    """Write the report; it holds all it needs, the figures as PNG."""
    curves = encode_curves(view.curves, view.runs["run"].tolist())
    data = {
        **table_data(view),
        "series": SERIES,
        "counts": curves.counts,
        "curveLimit": curves.limit,
    }
    parts = {
        "title": escape(printable(texts.title)),
        "subtitle": escape(printable(texts.subtitle)),
        "counts": _counts(texts.counts),
        "answers": "".join(f"<li>{escape(printable(answer))}</li>" for answer in texts.answers),
        "leaderboard": _leaderboard(texts.leaderboard),
        "remarks": "".join(f"<p>{escape(each)}</p>" for each in texts.leaderboard.remarks),
        "note": escape(NOTE),
        "figures": "".join(map(_figure, figures)),
        "running": _listed("running", "Being written", texts.running),
        "unreadable": _listed("unreadable", "Unreadable", texts.unreadable),
        "style": _resource("report.css"),
        "script": _resource("filter.js") + _resource("report.js"),
        "curves": curves.text,
        "data": embed_json(data),
    }
    write_text(path, _fill(_resource("report.html"), parts))


def _resource(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def _fill(template: str, parts: dict[str, str]) -> str:
    """Replace each <!--name--> once; what is put in is never searched."""
    pieces = template.split("<!--")
    text = [pieces[0]]
    for piece in pieces[1:]:
        name, _, rest = piece.partition("-->")
        text += [parts[name], rest]
    return "".join(text)


def _counts(counts: dict[str, int]) -> str:
    return "".join(
        f"<div><dt>{escape(status.replace('_', ' '))}</dt><dd>{count:,}</dd></div>"
        for status, count in counts.items()
    )


def _leaderboard(board: Table) -> str:
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in board.columns)
    rows = []
    for row in board.rows:
        cells = [
            f"<td{NUMBER_CLASS if place < board.numeric else ''}>{escape(cell)}</td>"
            for place, cell in enumerate(row[:-1])
        ]
        cells.append(f"<td>{_settings(row[-1])}</td>")
        rows.append(f"<tr>{''.join(cells)}</tr>")
    return f"<thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody>"


def _settings(text: str) -> str:
    """Return the settings of a row, two lines of them where they are many, all on click."""
    if len(text) <= SHORT_SETTINGS:
        return escape(text)
    return f"<details><summary>{escape(text)}</summary></details>"


def _figure(figure: DrawnFigure) -> str:
    spec = figure.spec
    head = f'<section class="figure" id="figure-{spec.stem}"><h3>{escape(spec.title)}</h3>'
    if not figure.paths:
        return f'{head}<p class="absent">Not drawn: {escape(figure.reason or "")}.</p></section>'
    image = base64.b64encode(figure.paths[0].read_bytes()).decode()
    return (
        f'{head}<figure><img alt="{escape(spec.title)}" src="data:image/png;base64,{image}">'
        f"<figcaption>{escape(figure.caption)}</figcaption></figure></section>"
    )


def _listed(name: str, title: str, runs: Sequence[tuple[str, str]]) -> str:
    if not runs:
        return ""
    items = "".join(
        f"<li><code>{escape(printable(run))}</code>: {escape(printable(reason))}</li>"
        for run, reason in runs[:MAX_LISTED]
    )
    left = len(runs) - MAX_LISTED
    more = f"<p>and {left:,} more: see runs.csv</p>" if left > 0 else ""
    return f'<section id="{name}"><h2>{title} ({len(runs):,})</h2><ul>{items}</ul>{more}</section>'
