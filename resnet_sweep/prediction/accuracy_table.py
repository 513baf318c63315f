"""The tables: terminal, CSV, Markdown and JSON; the figure beside them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from resnet_sweep.data.corruption import parameters
from resnet_sweep.prediction.scoring import Accuracy
from resnet_sweep.prediction.shift_figure import draw_report
from resnet_sweep.prediction.shift_scores import INTERVAL, ModelScores, Report, Row
from resnet_sweep.reporting.style import figure_style, save_figure
from resnet_sweep.reporting.tables import Table, printable, terminal_table, to_csv, to_markdown
from resnet_sweep.system.atomic import ESCAPE
from resnet_sweep.system.console import page, say
from resnet_sweep.system.environment import git_commit, versions

SCHEMA_VERSION = 1
STEM = "shift"
READING = "The test set is read to report, never to choose: choose by validation accuracy."
TERMINAL_WIDTH = 140


def write_report(report: Report, folder: Path) -> None:
    """Write shift.csv, .md, .json, .png and .svg into an existing folder."""
    texts = {
        "csv": to_csv(pd.DataFrame(_long_rows(report))),
        "md": _markdown(report),
        "json": json.dumps(_json(report), indent=2, ensure_ascii=False, allow_nan=False) + "\n",
    }
    for suffix, text in texts.items():
        (folder / f"{STEM}.{suffix}").write_text(text, encoding="utf-8", errors=ESCAPE)
    with figure_style():
        save_figure(draw_report(report), folder, STEM)


def print_report(report: Report, folder: Path) -> None:
    """Show one table for each model, and where the files are."""
    for model in report.models:
        say(f"\n{printable(_title(model))}")
        with page(TERMINAL_WIDTH) as console:
            console.print(terminal_table(_table(model, report)))
        for note in model.notes:
            say(f"note: {printable(note)}")
    say(f"\n{_test_line(report)}\n{INTERVAL}\n{READING}")
    say(f"tables and figure: {folder}")


def _table(model: ModelScores, report: Report) -> Table:
    strengths = range(1, report.max_strength() + 1)
    columns = ["images", "n", *map(str, strengths), "overall", "95% interval"]
    rows = [_cells(row, strengths) for row in model.rows]
    return Table(columns, rows, numeric=0)


def _cells(row: Row, strengths: range) -> list[str]:
    scores = [row.strengths.get(strength) for strength in strengths]
    shown = ["" if score is None else f"{score.accuracy:.4f}" for score in scores]
    low, high = row.overall.interval
    ends = [f"{row.overall.accuracy:.4f}", f"{low:.4f} to {high:.4f}"]
    return [printable(row.name), f"{row.overall.num_images:,}", *shown, *ends]


def _markdown(report: Report) -> str:
    parts = ["# Accuracy on shifted images\n"]
    for model in report.models:
        title = to_markdown(Table([printable(_title(model))], [], 0)).splitlines()[0]
        parts.append(f"## {title.strip('| ')}\n\n{to_markdown(_table(model, report))}")
        parts += [f"- {printable(note)}\n" for note in model.notes]
    columns = "The columns 1 to 5 are strengths, `overall` is their mean where there are some."
    return "\n".join([*parts, f"{_test_line(report)} {columns} {INTERVAL} {READING}\n"])


def _title(model: ModelScores) -> str:
    return f"{model.run} ({model.num_params:,} parameters)"


def _test_line(report: Report) -> str:
    whole = "all" if report.num_test == report.num_test_all else f"{report.num_test:,} of the"
    return f"Test images: {whole} {report.num_test_all:,}; seed {report.settings['seed']}."


def _long_rows(report: Report) -> list[dict[str, Any]]:
    """Return one row for each model, set and strength, and the overall ones."""
    return [
        {"run": model.run, **entry} for model in report.models for entry in _entries(model.rows)
    ]


def _entries(rows: tuple[Row, ...]) -> Iterator[dict[str, Any]]:
    for row in rows:
        for strength, score in row.strengths.items():
            yield _entry(row, str(strength), score)
        yield _entry(row, "mean" if row.strengths else "", row.overall)


def _entry(row: Row, strength: str, score: Accuracy) -> dict[str, Any]:
    low, high = score.interval
    return {
        "kind": row.kind,
        "images": row.name,
        "strength": strength,
        "n": score.num_images,
        "accuracy": score.accuracy,
        "low": low,
        "high": high,
    }


def _json(report: Report) -> dict[str, Any]:
    return {
        "schema_version": SCHEMA_VERSION,
        "interval": INTERVAL,
        "test_images": report.num_test,
        "test_images_in_set": report.num_test_all,
        "data_fingerprint": report.fingerprint,
        "corruption_parameters": parameters(),
        **report.settings,
        "models": [
            {
                "run": model.run,
                "num_params": model.num_params,
                "notes": list(model.notes),
                "scores": list(_entries(model.rows)),
            }
            for model in report.models
        ],
        "versions": versions(),
        "git_commit": git_commit(),
    }
