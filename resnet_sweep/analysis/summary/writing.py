"""Everything a summary leaves on disk, in order."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from resnet_sweep.analysis.answers import answers_by_topic, compare_two
from resnet_sweep.analysis.archive import read_found, write_epochs
from resnet_sweep.analysis.discover import Found, NoRunsError
from resnet_sweep.analysis.figures import write_figures
from resnet_sweep.analysis.filters import filter_runs
from resnet_sweep.analysis.leaderboard import (
    NOTE,
    TERMINAL_SETTINGS,
    make_leaderboard,
)
from resnet_sweep.analysis.objective import choose_objective
from resnet_sweep.analysis.report.page import ReportTexts, write_report
from resnet_sweep.analysis.runs import (
    RESULT_COLUMNS,
    count_statuses,
    differing_settings,
    runs_table,
)
from resnet_sweep.analysis.summary.summarize import (
    CACHE,
    FIGURES,
    Options,
    Step,
    Summary,
    drop_manifest,
)
from resnet_sweep.analysis.view import View, build_view
from resnet_sweep.reporting.tables import Table, to_csv, to_latex, to_markdown
from resnet_sweep.system.atomic import write_atomically, write_text


def write_summary(options: Options, found: Found, on_step: Step) -> Summary:
    """Read what is new, then write tables, figures and report.

    Raises:
        UserError: no runs, or an option that is not allowed; nothing but the cache is written.
    """
    cache_dir = options.output / CACHE
    archive = read_found(options.root, found, cache_dir, lambda *at: on_step("reading", *at))
    runs, epochs = runs_table(archive), archive.epochs
    if options.where is not None:
        chosen = filter_runs(runs, options.where).reset_index(drop=True)
        if chosen.empty:
            raise NoRunsError(f"where={options.where}: holds for none of the {len(runs)} runs")
        runs = chosen
        names = pa.array(runs["run"].tolist(), pa.string())
        epochs = epochs.filter(pc.is_in(epochs["run"].cast(pa.string()), names))
    records = [sweep.record for sweep in archive.sweeps.values()]
    objective = choose_objective(options.objective, records, runs)
    on_step("computing", 0, 1)
    view = build_view(archive, runs, objective)
    board = make_leaderboard(view, options.top, options.sort, TERMINAL_SETTINGS)
    said = answers_by_topic(view)
    if options.compare is not None:
        said["compared"] = [compare_two(view, *options.compare)]
    on_step("tables", 0, 1)
    drop_manifest(options.output)
    whole = make_leaderboard(view, options.top, options.sort)
    paths = _write_tables(options.output, runs, epochs, whole)
    figures = write_figures(view, options.output / FIGURES, lambda *at: on_step("figures", *at))
    on_step("report", 0, 1)
    counts, rate = count_statuses(archive, runs)
    report = options.output / "report.html"
    write_report(view, _texts(view, options, counts, rate, said, whole), figures, report)
    paths += [path for figure in figures for path in figure.paths] + [report]
    problems = [
        f"sweep {name}: {reason}; counts of this sweep are incomplete"
        for name, reason in archive.sweep_errors.items()
    ]
    sentences = [sentence for topic in said.values() for sentence in topic]
    return Summary(counts, problems, rate, sentences, board, [*map(str, paths)], archive.num_read)


def _write_tables(output: Path, runs: pd.DataFrame, epochs: pa.Table, board: Table) -> list[Path]:
    settings = differing_settings(runs)
    table = runs[[*RESULT_COLUMNS, *settings]].drop(columns="versions")
    texts = {
        "runs.csv": to_csv(table),
        "leaderboard.md": f"{to_markdown(board)}\n{NOTE}\n",
        "leaderboard.tex": to_latex(board, NOTE),
    }
    for name, text in texts.items():
        write_text(output / name, text)
    write_atomically(output / "runs.parquet", lambda file: runs.to_parquet(file, index=False))
    write_epochs(output / "epochs.parquet", epochs)
    return [output / name for name in (*texts, "runs.parquet", "epochs.parquet")]


def _texts(
    view: View,
    options: Options,
    counts: dict[str, int],
    rate: float | None,
    said: dict[str, list[str]],
    board: Table,
) -> ReportTexts:
    date = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    chosen = f", where {options.where}" if options.where else ""
    rejected = "" if rate is None else f"; {rate:.1%} of proposals rejected before training"
    broken = list(view.archive.sweep_errors.items())
    return ReportTexts(
        title=f"Runs in {options.root.resolve().name}",
        subtitle=f"{len(view.runs):,} runs{chosen}; by {view.objective.label}{rejected}; {date}",
        counts=counts,
        answers={"compared": [], **said},
        leaderboard=board,
        running=_reasons(view.runs, "running"),
        unreadable=[*broken, *_reasons(view.runs, "unreadable")],
        watch=options.watch,
    )


def _reasons(runs: pd.DataFrame, status: str) -> list[tuple[str, str]]:
    rows = runs[runs["status"] == status]
    return list(zip(rows["run"].tolist(), rows["reason"].fillna("").tolist(), strict=True))
