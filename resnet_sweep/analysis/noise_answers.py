"""What is said of the noise between seeds: how large it is, and where it was measured."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from resnet_sweep.analysis.objective import Objective
from resnet_sweep.analysis.view import View

MAX_SPREADS = 8


def noise_answers(view: View) -> Iterator[str]:
    """Yield the noise between seeds, what lies within it, and whether one number is enough."""
    yield from _within_noise(view)


def _within_noise(view: View) -> Iterator[str]:
    table, noise = view.configurations.table, view.configurations.noise
    if len(table) < 2:
        return
    if noise.sd == 0:
        yield (
            "Repeated seeds gave one and the same value, so they do not show the noise between "
            "seeds: small differences may mean nothing."
        )
        return
    if noise.degrees == 0:
        yield (
            "No configuration was trained with two seeds, so the noise between seeds is not "
            "known here: small differences may mean nothing."
        )
        return
    close = int(table["within_noise"].fillna(False).sum())
    yield (
        f"Seeds differ by {noise.sd:.2g} (standard deviation, {noise.degrees} degrees of "
        f"freedom, {_noise_source(view)}): {close} of the other {len(table) - 1} configurations "
        "lie within the noise of the best (each compared by a t test at 95%)."
    )


def _noise_source(view: View) -> str:
    """Return which configurations the seed noise was measured on."""
    repeated = view.configurations.repeated
    pooled, others = repeated[repeated["pooled"]], repeated[~repeated["pooled"]]
    if len(pooled) > 1:
        fewest, most = pooled["n"].min(), pooled["n"].max()
        seeds = f"{most}" if fewest == most else f"{fewest} to {most}"
        text = f"pooled over {len(pooled)} configurations with {seeds} seeds"
        text += f": {_spreads(pooled, view.objective)}"
    else:
        row = pooled.iloc[0]
        text = (
            f"from one configuration alone, {row['configuration']} at "
            f"{view.objective.show(row['mean'])} with {row['n']} seeds: at other settings it may "
            "be larger or smaller"
        )
    if len(others):
        spreads = _spreads(others, view.objective)
        text += f"; not pooled, since worse than the median configuration: {spreads}"
    return text


def _spreads(rows: pd.DataFrame, objective: Objective) -> str:
    """Return the standard deviation of each of a few configurations with several seeds."""
    shown = [
        f"{row['sd']:.2g} at {objective.show(row['mean'])} (n = {row['n']})"
        for row in rows.head(MAX_SPREADS).to_dict("records")
    ]
    left = len(rows) - MAX_SPREADS
    return ", ".join(shown) + (f" and {left} more" if left > 0 else "")
