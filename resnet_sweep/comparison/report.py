"""What a comparison says: its parts, with their tables, the sentences below them and figures."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from resnet_sweep.comparison.factorial import Effects, num_three_factor_aliases
from resnet_sweep.comparison.planning import START, Factorial
from resnet_sweep.comparison.trained import Trained
from resnet_sweep.records.comparison import (
    COMPARISON,
    SURVIVORS,
    Compared,
    ComparisonPlan,
    Part,
    Row,
    comparison_values,
)
from resnet_sweep.records.sweep_folder import EndedRun
from resnet_sweep.reporting.numbers import UNKNOWN, number, point_bounds, points
from resnet_sweep.reporting.report import Report, Section
from resnet_sweep.reporting.style import (
    BLUE,
    GREY,
    VERMILION,
    draw_interval,
    figure_style,
    name_rows,
    new_figure,
    plain,
)
from resnet_sweep.reporting.tables import Table

STEM = COMPARISON.removesuffix(".json")
EFFECTS, INTERACTIONS = "effects", "interactions"
SPLITS = {
    "val": "validation accuracy of the last epoch; the test set is not read",
    "test": "test accuracy of the last epoch; the test set chose nothing here",
}
COLORS = {"better": BLUE, "worse": VERMILION}
LONGEST = 34  # letters of a name
AGAINST = {"steps": "against the row above", SURVIVORS: "against the start"}
Column = tuple[str, Callable[[Row], str]]


def title(plan: ComparisonPlan) -> str:
    match plan.design:
        case "factors":
            return f"Many changes at once: {plan.name}"
        case "steps":
            return f"One change after another: {plan.name}"
    return f"Recipes on the {'test set' if plan.split == 'test' else 'validation images'}"


def recipe_part(plan: ComparisonPlan, trained: Trained) -> Part:
    """Return recipes side by side, or one change after another."""
    rows, recipes = trained.rows(), trained.recipes
    left_out = _left_out(recipes.left_out)
    notes = [*trained.notes(), *_power(rows), *left_out, SPLITS[plan.split]]
    is_steps = plan.design == "steps"
    name = "Each against the one above" if is_steps else f"Each against {recipes.names[0]}"
    return Part(plan.design, name if len(rows) > 1 else "", rows, notes)


def effect_parts(factorial: Factorial, effects: Effects, trained: Trained) -> list[Part]:
    """Return the main effects, and the interactions where the design is whole."""
    told = [effect.name for effect in effects.main if effect.verdict != "undecided"]
    untold = [effect.name for effect in effects.main if math.isnan(effect.gain)]
    triples = max(num_three_factor_aliases(factorial.levels))
    notes = [
        *trained.notes(),
        f"told apart from noise: {', '.join(told) or 'none'}; the others are undecided",
        f"standard error of an effect {_error(effects)} points, "
        f"{effects.degrees:.3g} degrees of freedom ({effects.method})",
        *([f"cannot be told, since runs failed: {', '.join(untold)}"] if untold else []),
        f"resolution IV, {len(factorial.names)} configurations: a main effect is aliased with no "
        f"other and with no interaction of two, but with up to {triples} interactions of three; "
        "interactions of two only with each other",
        *_left_out(factorial.left_out),
        SPLITS["val"],
    ]
    main = Part(EFFECTS, "Main effects", effects.main, notes)
    if not effects.interactions:
        return [main]
    return [main, Part(INTERACTIONS, "Strings of interactions", effects.interactions)]


def survivor_part(plan: ComparisonPlan, trained: Trained, effects: Effects) -> Part:
    """Return the survivors, each alone on top of the start, with fresh seeds."""
    in_design = {effect.name: effect.gain for effect in effects.main}
    rows = [replace(row, in_design=in_design.get(row.name, math.nan)) for row in trained.rows()]
    start, left_out = trained.recipes.configs[0], trained.recipes.left_out
    now, chosen = effects.survivors(), plan.survivors or []
    others = [f"by all seeds that there are now: {', '.join(now) or 'none'}"]
    notes = [
        *_selection(chosen, effects),
        f"chosen once, with {plan.chosen_by} seed{'' if plan.chosen_by == 1 else 's'} of each "
        "configuration",
        *([] if now == chosen else others),
        *trained.notes(),
        *_power(rows),
        *(f"left out: {name}" for name in left_out),
        f"seeds from {start.seed} on and data.split_seed={start.data.split_seed}: neither chose "
        "the survivors",
        SPLITS["val"],
    ]
    return Part(SURVIVORS, "Survivors, each alone", rows, notes)


def no_survivors(effects: Effects) -> Part:
    return Part(SURVIVORS, "Survivors", [], _selection([], effects))


def _selection(survivors: Sequence[str], effects: Effects) -> list[str]:
    limit = "at all: there is no measure of the noise"
    if np.isfinite(effects.errors).any():
        limit = f"by more than the standard error of an effect, {_error(effects)} points"
    names = [effect.name for effect in effects.main]
    dropped = [name for name in names if name not in survivors]
    count = f"{len(survivors)} of {len(names)} changes survived: those that were better {limit}"
    return [count, *([f"not followed: {', '.join(dropped)}"] if dropped else [])]


def _error(effects: Effects) -> str:
    """Return the standard error of an effect in points; of several the smallest and largest."""
    known = effects.errors[np.isfinite(effects.errors)]
    if not len(known):
        return points(math.nan, ".2f")
    least, most = (points(each, ".2f") for each in (known.min(), known.max()))
    return least if least == most else f"{least} to {most}"


def _left_out(names: Sequence[str]) -> list[str]:
    return [f"left out, as it changes nothing here: {name}" for name in names]


def _power(rows: Sequence[Row]) -> list[str]:
    """Say how small a gain so many seeds can find."""
    if len(rows) < 2:
        return []
    widths = [(row.all_high - row.all_low) / 2 for row in rows if not math.isnan(row.gain)]
    if not widths:
        return ["no gain can be judged: fewer than two pairs of runs completed"]
    seeds = max(row.n for row in rows)
    least, most = points(min(widths), ".2f"), points(max(widths), ".2f")
    size = least if least == most else f"{least} to {most}"
    return [
        f"{seeds} seeds: a gain shows where it is larger than half its interval, here {size} "
        f"points; a smaller one is undecided, which does not mean that there is none",
        "paired t intervals over seeds; the verdict is by those that hold for all rows together",
    ]


def to_report(compared: Compared) -> Report:
    """Return what is written and printed."""
    sections: list[Section] = []
    for part in compared.parts:
        *before, (title, table) = tables(part)
        sections += [Section(*each) for each in before]
        sections.append(Section(title, table, part.notes))
    rows = [{"part": part.kind, **asdict(row)} for part in compared.parts for row in part.rows]
    values = comparison_values(compared)
    return Report(STEM, compared.title, compared.command, sections, rows, values)


def tables(part: Part) -> list[tuple[str, Table | None]]:
    """Return the tables of a part, with their titles; a part without rows has a title alone."""
    if not part.rows:
        return [(part.title, None)]
    if part.kind in (EFFECTS, INTERACTIONS):
        ordered = sorted(part.rows, key=_largest_first)
        what = "change" if part.kind == EFFECTS else "sum of pairs"
        return [(part.title, _table(EFFECT_COLUMNS, what, ordered))]
    extra = {"steps": OVER_START, SURVIVORS: IN_DESIGN}.get(part.kind, [])
    names = {"steps": "recipe: those above and", SURVIVORS: f"recipe: {START} and"}
    name, columns = names.get(part.kind, "recipe"), [*ACCURACY, *GAIN, *extra, VERDICT]
    gains = _table(columns, name, part.rows, len(columns) - 1)
    if part.kind != "recipes":
        return [(part.title, gains)]
    attained = ("Accuracy of the last epoch", attained_table(part.rows))
    return [attained, (part.title, gains)] if len(part.rows) > 1 else [attained]


def _largest_first(row: Row) -> float:
    """Return what rows are ordered by; those of unknown gain come last."""
    return math.inf if math.isnan(row.gain) else -abs(row.gain)


def attained_table(rows: Sequence[Row]) -> Table:
    """Return what recipes attain and cost."""
    return _table(ATTAINED, "recipe", rows, 7)


def _table(columns: Sequence[Column], what: str, rows: Sequence[Row], numeric: int = 3) -> Table:
    names = [*(name for name, _ in columns), what]
    return Table(names, [[*(cell(row) for _, cell in columns), row.name] for row in rows], numeric)


def _blank(text: str) -> str:
    """Return a cell of a row that is compared with nothing."""
    return "" if text == UNKNOWN else text


def _p_value(row: Row) -> str:
    if math.isnan(row.all_p_value):
        return UNKNOWN
    return "<0.0001" if row.all_p_value < 0.00005 else f"{row.all_p_value:.4f}"


VERDICT: Column = ("verdict", lambda row: row.verdict)
EFFECT_COLUMNS: list[Column] = [
    ("effect, points", lambda row: points(row.gain)),
    ("95% interval of all rows", lambda row: point_bounds(row.all_low, row.all_high)),
    ("p, of all rows", _p_value),
    VERDICT,
]
ACCURACY: list[Column] = [
    ("mean %", lambda row: points(row.mean, ".2f")),
    ("sd", lambda row: points(row.sd, ".2f")),
    ("n", lambda row: str(row.n)),
]
GAIN: list[Column] = [
    ("gain, points", lambda row: _blank(points(row.gain))),
    ("95% interval", lambda row: _blank(point_bounds(row.gain_low, row.gain_high))),
    ("of all rows together", lambda row: _blank(point_bounds(row.all_low, row.all_high))),
    ("p, of all rows", lambda row: _blank(_p_value(row))),
]
OVER_START: list[Column] = [("over the start", lambda row: _blank(points(row.over_start)))]
IN_DESIGN: list[Column] = [("in the design", lambda row: _blank(points(row.in_design)))]
ATTAINED: list[Column] = [
    ("parameters", lambda row: UNKNOWN if row.num_params is None else f"{row.num_params:,}"),
    ("epochs", lambda row: UNKNOWN if row.epochs is None else str(row.epochs)),
    ("n", lambda row: str(row.n)),
    ("mean %", lambda row: points(row.mean, ".2f")),
    ("sd", lambda row: points(row.sd, ".2f")),
    ("95% interval", lambda row: point_bounds(row.low, row.high, ".2f")),
    ("seconds a run", lambda row: number(row.train_seconds, ".0f")),
    ("device", lambda row: row.device),
    ("data", lambda row: row.data),
]


def draw(compared: Compared) -> dict[str, Figure]:
    """Return the figures by the stems of their files."""
    figures: dict[str, Figure] = {}
    split = "test" if compared.plan.split == "test" else "validation"
    for part in compared.parts:
        if not part.rows or part.kind == INTERACTIONS:
            continue
        if part.kind == EFFECTS:
            figures[STEM] = draw_effects(part, compared.part(INTERACTIONS), compared.title)
        elif part.kind == SURVIVORS:
            figures[SURVIVORS] = draw_gains(part, compared.survivor_runs, part.title, split)
        else:
            figures[STEM] = draw_gains(part, compared.runs, compared.title, split)
    return figures


def draw_effects(main: Part, interactions: Part | None, title: str) -> Figure:
    """Draw the main effects, largest first, and the strings of interactions."""
    groups = [main.rows, *([interactions.rows] if interactions else [])]
    with figure_style():
        figure = new_figure(height=1.6 + 0.24 * sum(map(len, groups)))
        ratios = [len(group) + 0.8 for group in groups]
        panels = figure.subplots(len(groups), 1, sharex=True, height_ratios=ratios, squeeze=False)
        titles = (title, "strings of two-factor interactions: each stands for a sum of pairs")
        for axes, group, said in zip(panels[:, 0], groups, titles, strict=False):
            _draw_rows(axes, sorted(group, key=_largest_first), said)
        panels[-1, 0].set_xlabel("effect on validation accuracy, points; 95% intervals of all rows")
        return figure


def draw_gains(part: Part, runs: Sequence[EndedRun], title: str, split: str) -> Figure:
    """Draw each recipe's seeds and mean, and beside them what it gains."""
    with figure_style():
        figure = new_figure(height=1.7 + 0.32 * len(part.rows))
        left, right = figure.subplots(1, 2, sharey=True, width_ratios=[1.1, 1])
        for place, row in enumerate(part.rows):
            seeds = [
                100 * r.accuracy
                for r in runs
                if r.configuration == row.name and r.accuracy is not None
            ]
            left.scatter(seeds, [place] * len(seeds), s=9, color=GREY, alpha=0.6, lw=0)
            left.scatter(100 * row.mean, place, s=55, marker="|", color=BLUE, lw=2)
        left.set_xlabel(f"{split} accuracy, %: seeds and mean")
        _draw_rows(right, part.rows, AGAINST.get(part.kind, f"against {part.rows[0].name}"))
        right.set_xlabel("paired difference, points")
        left.set_title(title)
        left.grid(axis="y", visible=False)
        return figure


def _draw_rows(axes: Axes, rows: Sequence[Row], title: str) -> None:
    for place, row in enumerate(rows):
        interval = (100 * row.gain, 100 * row.all_low, 100 * row.all_high)
        draw_interval(axes, place, interval, COLORS.get(row.verdict, GREY), marker="o", ms=4.5)
    axes.axvline(0, color="black", lw=0.8)
    name_rows(axes, [plain(row.name, LONGEST) for row in rows])
    axes.set_title(plain(title, 80))
