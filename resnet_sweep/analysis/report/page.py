"""Put report.html together: text escaped, scripts and data inside."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from pathlib import Path

from resnet_sweep.analysis.figures import DrawnFigure
from resnet_sweep.analysis.leaderboard import NOTE
from resnet_sweep.analysis.report.commands import command_data
from resnet_sweep.analysis.report.curves import RUNS_OF_PART, SERIES, pack_curves
from resnet_sweep.analysis.report.data import embed_json, table_data
from resnet_sweep.analysis.report.overview import best_card, counts
from resnet_sweep.analysis.report.pictures import confusions, pictures
from resnet_sweep.analysis.view import View
from resnet_sweep.reporting.tables import Table, printable
from resnet_sweep.system.atomic import write_text

MAX_LISTED = 500
SHORT_SETTINGS = 90  # characters, about two lines
NUMBER_CLASS = ' class="number"'
BOKEH = ("bokeh.min.js", "bokeh-api.min.js")
SCRIPTS = (
    "filter.js",
    "runs.js",
    "table.js",
    "figures.js",
    "scatter.js",
    "parallel.js",
    "curves.js",
    "sweep.js",
    "panel.js",
    "controls.js",
    "report.js",
)
FIRST_ANSWERS = 2  # of a topic; the others open on click


@dataclass(frozen=True)
class ReportTexts:
    """What a report says besides figures and the table of runs.

    Args:
        counts: runs by status.
        answers: sentences by topic.
        running: name, and how far it is.
        unreadable: name and reason.
        watch: seconds until the report is written anew; null: it is not.
    """

    title: str
    subtitle: str
    counts: dict[str, int]
    answers: Mapping[str, Sequence[str]]
    leaderboard: Table
    running: Sequence[tuple[str, str]]
    unreadable: Sequence[tuple[str, str]]
    watch: float | None = None


def write_report(
    view: View, texts: ReportTexts, figures: Iterable[DrawnFigure], path: Path
) -> None:
    """Write the report; it holds all it needs."""
    curves = pack_curves(view.curves, view.runs["run"].tolist())
    data = {
        **table_data(view),
        "series": SERIES,
        "counts": curves.counts,
        "curveLimit": curves.limit,
        "runsOfPart": RUNS_OF_PART,
        "pictures": pictures(view),
        "confusions": confusions(view),
        "commands": command_data(view),
        "watch": texts.watch,
    }
    board = texts.leaderboard
    parts = {
        "title": escape(printable(texts.title)),
        "subtitle": escape(printable(texts.subtitle)),
        "counts": counts(texts.counts),
        "best": best_card(view),
        **{f"answers-{topic}": _answers(found) for topic, found in texts.answers.items()},
        "leaderboard": _leaderboard(board),
        "remarks": "".join(f"<p>{escape(each)}</p>" for each in board.remarks),
        "note": escape(NOTE),
        "prints": "".join(map(_print, figures)),
        "running": _listed("running", "Being written", texts.running),
        "unreadable": _listed("unreadable", "Unreadable", texts.unreadable),
        "style": _resource("report.css"),
        "bokeh": "\n".join(_resource(f"server/static/js/{name}", "bokeh") for name in BOKEH),
        "script": "".join(map(_resource, SCRIPTS)),
        "curves": "\n".join(curves.parts),
        "data": embed_json(data),
    }
    write_text(path, _fill(_resource("report.html"), parts))


def _resource(name: str, package: str = __package__) -> str:
    return files(package).joinpath(name).read_text(encoding="utf-8")


def _fill(template: str, parts: dict[str, str]) -> str:
    """Replace each <!--name--> once; what is put in is never searched."""
    pieces = template.split("<!--")
    text = [pieces[0]]
    for piece in pieces[1:]:
        name, _, rest = piece.partition("-->")
        text += [parts[name], rest]
    return "".join(text)


def _answers(sentences: Sequence[str]) -> str:
    items = [f"<li>{escape(printable(each))}</li>" for each in sentences]
    first, others = "".join(items[:FIRST_ANSWERS]), "".join(items[FIRST_ANSWERS:])
    text = f"<ul>{first}</ul>" if first else ""
    more = f"<details><summary>more</summary><ul>{others}</ul></details>" if others else ""
    return text + more


def _leaderboard(board: Table) -> str:
    """Return head and rows; each cell says its column, by which the style sheet knows it."""
    named = [f'data-column="{escape(name)}"' for name in board.columns]
    heads = zip(named, board.columns, strict=True)
    head = "".join(f'<th scope="col" {column}>{escape(name)}</th>' for column, name in heads)
    kinds = [NUMBER_CLASS if place < board.numeric else "" for place in range(len(named))]
    rows = []
    for row in board.rows:
        settings = escape(row[-1])
        if len(row[-1]) > SHORT_SETTINGS:  # two lines of them, all on click
            settings = f"<details><summary>{settings}</summary></details>"
        texts = [*map(escape, row[:-1]), settings]
        cells = zip(named, kinds, texts, strict=True)
        found = "".join(f"<td {column}{kind}>{text}</td>" for column, kind, text in cells)
        rows.append(f"<tr>{found}</tr>")
    return f"<thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody>"


def _print(figure: DrawnFigure) -> str:
    """Return where a figure for print lies, or why it was not drawn."""
    title = escape(figure.spec.title)
    if not figure.paths:
        reason = escape(figure.reason or "")
        return f'<li id="figure-{figure.spec.stem}">{title}. Not drawn: {reason}.</li>'
    links = ", ".join(
        f'<a href="{escape(path.parent.name)}/{escape(path.name)}">{path.suffix[1:].upper()}</a>'
        for path in figure.paths
    )
    caption = escape(figure.caption)
    return (
        f'<li id="figure-{figure.spec.stem}">{title} ({links})'
        f"<details><summary>caption</summary>{caption}</details></li>"
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
