"""Put report.html together: the first screen and all text escaped, scripts and data inside."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

import pandas as pd

from resnet_sweep.analysis.archive import NO_SPLIT
from resnet_sweep.analysis.figures import DrawnFigure
from resnet_sweep.analysis.leaderboard import NOTE, shown_settings
from resnet_sweep.analysis.objective import TEST, Objective
from resnet_sweep.analysis.report.curves import RUNS_OF_PART, SERIES, pack_curves
from resnet_sweep.analysis.report.data import command_data, embed_json, table_data
from resnet_sweep.analysis.report.pictures import confusions, pictures
from resnet_sweep.analysis.view import View
from resnet_sweep.records.confirmation import is_test_of_chosen
from resnet_sweep.reporting.statistics import Interval, mean_interval
from resnet_sweep.reporting.tables import Table, printable
from resnet_sweep.system.atomic import write_text
from resnet_sweep.system.console import duration

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
SHOWN_SETTINGS = 8
COMPARED = 10  # the settings are those in which so many of the best differ
Row = dict[Any, Any]  # of the table of configurations


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
        "title": _text(texts.title),
        "subtitle": _text(texts.subtitle),
        "counts": _counts(texts.counts),
        "best": _best_card(view),
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


def _text(value: object) -> str:
    return escape(printable(str(value)))


def _fill(template: str, parts: dict[str, str]) -> str:
    """Replace each <!--name--> once; what is put in is never searched."""
    pieces = template.split("<!--")
    text = [pieces[0]]
    for piece in pieces[1:]:
        name, _, rest = piece.partition("-->")
        text += [parts[name], rest]
    return "".join(text)


def _counts(numbers: dict[str, int]) -> str:
    """Return the runs and proposals by status."""
    return "".join(
        f'<div data-status="{escape(status)}"><dt>{escape(status.replace("_", " "))}</dt>'
        f"<dd>{number:,}</dd></div>"
        for status, number in numbers.items()
    )


def _best_card(view: View) -> str:
    """Return the best configuration: objective, interval, seeds, test where read, settings.

    Below it those that confirmations chose, where they are others.
    """
    table = view.configurations.table
    if table.empty:
        column = escape(view.objective.column)
        return f'<p class="absent">No run has completed with a {column}.</p>'
    best = table.head(1).to_dict("records")[0]
    n = int(best["n"])
    facts = []
    if n > 1 and not math.isnan(best["low"]):
        facts.append(("95% interval", view.objective.interval(best["low"], best["high"])))
    facts.append(("seeds", f"{n}" if n > 1 else "1: promises too much until it is confirmed"))
    on_all = view.runs[(view.runs["status"] == "completed") & (view.runs["split"] == NO_SPLIT)]
    tested = {name: found for name, found in _test_intervals(on_all).items() if found.n > 1}
    facts += [
        *_test(best, tested),
        ("parameters", f"{int(best['num_params']):,} of {view.budget:,}"),
        ("epochs", str(best["epochs"])),
        ("time of a run", duration(float(best["train_seconds"]))),
    ]
    compared = table["run"].head(COMPARED).tolist()
    settings, _ = shown_settings(view, compared, SHOWN_SETTINGS)
    return "".join(
        (
            f'<p class="value">{escape(view.objective.show(best["mean"]))}</p>',
            f'<p class="measure">{escape(view.objective.label)}</p>',
            _definitions("facts", facts),
            _run_button(best),
            _definitions("settings", settings[compared[0]]),
            *_confirmed(view),
        )
    )


def _test(row: Row, tested: dict[str, Interval]) -> list[tuple[str, str]]:
    """Return the test accuracy: the one in `tested`, else that of the runs ranked."""
    found = tested.get(row["configuration"])
    if found is not None:
        return [("test accuracy", _mean(TEST, found.mean, found.low, found.high, found.n))]
    if not math.isnan(row["test_mean"]):
        return [("test accuracy", TEST.show(row["test_mean"]))]
    return []


def _mean(objective: Objective, mean: float, low: float, high: float, n: int) -> str:
    ends = "" if math.isnan(low) else f" ({objective.interval(low, high)})"
    return f"{objective.show(mean)}{ends}, n = {n}"


def _confirmed(view: View) -> Iterator[str]:
    """Yield what each confirmation chose, by its own record, if that is not the best."""
    table = view.configurations.table
    runs = view.runs[(view.runs["status"] == "completed") & view.runs[TEST.column].notna()]
    paths = view.archive.paths
    is_of_chosen = runs["run"].map(lambda run: is_test_of_chosen(paths[run])).astype(bool)
    tested = _test_intervals(runs[is_of_chosen])
    others = table.iloc[1:]
    others = others[others["configuration"].isin(list(tested))]
    for place, row in zip(others.index, others.to_dict("records"), strict=True):
        value = _mean(view.objective, row["mean"], row["low"], row["high"], row["n"])
        yield f"<h3>Confirmed: {place + 1} of {len(table)}</h3>"
        yield _definitions("facts", [(view.objective.column, value), *_test(row, tested)])
        yield _run_button(row)


def _test_intervals(runs: pd.DataFrame) -> dict[str, Interval]:
    """Return each configuration's test accuracy; a seed that was trained twice counts once."""
    groups = runs.groupby(["configuration", "seed"])[TEST.column].mean().dropna()
    return {
        str(name): mean_interval(values.to_numpy(float))
        for name, values in groups.groupby(level="configuration", sort=False)
    }


def _definitions(kind: str, pairs: Iterable[tuple[str, str]]) -> str:
    rows = "".join(f"<div><dt>{_text(k)}</dt><dd>{_text(v)}</dd></div>" for k, v in pairs)
    return f'<dl class="{kind}">{rows}</dl>'


def _run_button(row: Row) -> str:
    name = _text(row["run"])
    return f'<p><button type="button" class="run" data-run="{name}">{name}</button></p>'


def _answers(sentences: Sequence[str]) -> str:
    items = [f"<li>{_text(each)}</li>" for each in sentences]
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
        f"<li><code>{_text(run)}</code>: {_text(reason)}</li>" for run, reason in runs[:MAX_LISTED]
    )
    left = len(runs) - MAX_LISTED
    more = f"<p>and {left:,} more: see runs.csv</p>" if left > 0 else ""
    return f'<section id="{name}"><h2>{title} ({len(runs):,})</h2><ul>{items}</ul>{more}</section>'
