"""The numbers that the record is after, beside those that it has."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.record.tested import Tested, gains
from resnet_sweep.reporting.numbers import point_bounds, points
from resnet_sweep.reporting.tables import Table

NOT_MEASURED = "not measured"


@dataclass(frozen=True)
class Wanted:
    """What an experiment is to attain.

    Args:
        target, stretch: in words.
        least: gain over the source that counts as reached, as a fraction; null: not by a gain.
    """

    experiment: str
    target: str
    stretch: str = ""
    least: float | None = None


WANTED = (
    Wanted("source", "93.7%, the origin's, on the original images"),
    Wanted("source_tuned", "+2.0 points over source", "+2.8", 0.020),
    Wanted("best_100_epochs", "+2.8 points over source (96.5%)", "+3.3 (97.0%)", 0.028),
    Wanted("best_10_minutes", "+3.5 points over source", "+3.8", 0.035),
    Wanted("fast_93", "93% in less time than airbench94's 94% on the same GPU", "half of it"),
)


def wanted_table(recipes: list[Tested]) -> Table:
    """Return row by row what was wanted and what the test set says."""
    columns = ["experiment", "wanted", "stretch", "measured", "reached"]
    return Table(columns, [_row(wanted, recipes) for wanted in WANTED], 0)


def _row(wanted: Wanted, recipes: list[Tested]) -> list[str]:
    start = [wanted.experiment, wanted.target, wanted.stretch]
    found = (each for each in recipes if not each.of_sweep and each.name == wanted.experiment)
    recipe = next(found, None)
    if recipe is None:
        return [*start, NOT_MEASURED, "-"]
    if wanted.least is None:
        return [*start, _measured(recipe), "see the row's data and device"]
    row = gains(recipes).get(recipe.name)
    if row is None:
        return [*start, _measured(recipe), "no source to compare with"]
    is_there = row.all_low >= wanted.least
    is_behind = row.all_high < wanted.least
    verdict = "yes" if is_there else "no" if is_behind else "cannot tell"
    bounds = point_bounds(row.all_low, row.all_high)
    return [*start, f"{points(row.gain)} ({bounds}, n = {row.n})", verdict]


def _measured(recipe: Tested) -> str:
    row = recipe.row
    accuracy = f"{points(row.mean, '.2f')}% (n = {row.n})"
    return f"{accuracy}, {row.train_seconds:.0f} s on {row.device}, {row.data}"
