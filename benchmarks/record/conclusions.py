"""What a record says, in a few sentences that are computed from it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.record.comparisons import FACTORS, STEPS, find_comparison
from benchmarks.record.recipes import changes
from benchmarks.record.tested import SWEEP, Tested, find_start, gain, gains
from resnet_sweep.comparison.factorial import verdict
from resnet_sweep.comparison.planning import START, TOGETHER
from resnet_sweep.records.comparison import Compared, Row
from resnet_sweep.records.sweep_folder import is_sweep, read_sweep_record
from resnet_sweep.reporting.numbers import point_bounds, points
from resnet_sweep.reporting.statistics import Comparison


def conclusions(folder: Path, recipes: list[Tested]) -> Iterator[str]:
    """Yield a sentence or two on each stage that there is."""
    yield from _experiments(recipes)
    yield from _best(folder, recipes)
    for stage, tell in ((FACTORS, _effects), (STEPS, _steps)):
        compared = find_comparison(folder, stage)
        if compared is not None:
            yield from tell(compared)


def _experiments(recipes: list[Tested]) -> Iterator[str]:
    start = find_start(recipes)
    others = [each for each in recipes if not each.of_sweep and each is not start]
    if start is None or not others:
        return
    row, rows = start.row, gains(recipes)
    found = "; ".join(f"`{each.name}` {_row_gain(rows.get(each.name))}" for each in others)
    own = f"`{start.name}` has {points(row.mean, '.2f')}% (n = {row.n})"
    yield f"**Test set**: {own}, and against it {found}."


def _best(folder: Path, recipes: list[Tested]) -> Iterator[str]:
    """Say what the sweep has found that the recipe written by hand does not have."""
    best = next((each for each in recipes if each.is_best), None)
    beside = (each for each in recipes if each.of_sweep and not each.is_best)
    start = next(beside, None) or find_start(recipes)
    if best is None:
        return
    row = best.row
    text = f"**Sweep**: the {row.name}, {row.num_params:,} parameters, {row.epochs} epochs, has "
    text += f"{points(row.mean, '.2f')}% on the test set (n = {row.n})"
    if start is not None:
        size = f"{start.row.num_params:,} parameters"
        text += f", against `{start.name}` ({size}) {_gain(gain(best, start))}"
        keys = read_sweep_record(folder / SWEEP).space if is_sweep(folder / SWEEP) else ()
        found = changes(best.config, start.config, keys)
        text += f". What it has and `{start.name}` has not: {'; '.join(found) or 'nothing'}"
    yield f"{text}."


def _gain(found: Comparison | None) -> str:
    if found is None:
        return "cannot be compared"
    bounds = f"{point_bounds(found.low, found.high)}, n = {found.n}"
    return f"{points(found.difference)} points ({bounds}: {verdict(found.low, found.high)})"


def _row_gain(row: Row | None) -> str:
    if row is None:
        return "cannot be compared"
    bounds = point_bounds(row.all_low, row.all_high)
    return f"{points(row.gain)} points ({bounds}, n = {row.n}: {row.verdict})"


def _effects(compared: Compared) -> Iterator[str]:
    main, survivors = compared.part("effects"), compared.part("survivors")
    if main is not None:
        size = f"{len(main.rows)} changes in {len(compared.levels)} recipes"
        yield f"**Factors**, {size}: {_sorted_out(main.rows)}."
    if survivors is None:
        return
    if not survivors.rows:
        yield "**Survivors** of the factors: none."
        return
    rows = [row for row in survivors.rows if row.name not in (START, TOGETHER)]
    seeds = max(row.n for row in survivors.rows)
    text = f"**Survivors** with {seeds} fresh seeds each: {_sorted_out(rows)}"
    for row in survivors.rows:
        if row.name == TOGETHER and not math.isnan(row.gain):
            text += f"; all of them together {points(row.gain)} ({row.verdict})"
    yield f"{text}."


def _steps(compared: Compared) -> Iterator[str]:
    part = compared.part("steps")
    if part is None or len(part.rows) < 2:
        return
    seeds, last = max(row.n for row in part.rows), part.rows[-1]
    text = f"**One change after another**, {seeds} seeds: {_sorted_out(part.rows[1:])}"
    if not math.isnan(last.over_start):
        text += f"; the last recipe is {points(last.over_start)} points from the first"
    yield f"{text}."


def _sorted_out(rows: Sequence[Row]) -> str:
    """Return which are better, worse and undecided, the first two with their sizes."""
    parts = []
    for side in ("better", "worse"):
        names = [f"{row.name} ({points(row.gain)})" for row in rows if row.verdict == side]
        parts += [f"{side}: {', '.join(names)}"] if names else []
    rest = [row.name for row in rows if row.verdict not in ("better", "worse")]
    parts += [f"undecided: {', '.join(rest)}"] if rest else []
    return "; ".join(parts)
