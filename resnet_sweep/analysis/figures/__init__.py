"""Every figure of a summary: its file, its title and how to read it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure

from resnet_sweep.analysis.figures.hyperparameters import draw_effects, draw_importance
from resnet_sweep.analysis.figures.runs import (
    draw_best_confusion,
    draw_curves,
    draw_history,
    draw_params,
)
from resnet_sweep.analysis.view import View
from resnet_sweep.reporting.style import NotDrawnError, figure_style, plain, save_figure


@dataclass(frozen=True)
class FigureSpec:
    """A figure that a summary holds.

    Args:
        draw: raises NotDrawnError where these runs cannot fill it.
        of_sweep: it shows the view's sweep alone, where there is one.
    """

    stem: str
    title: str
    caption: str
    draw: Callable[[View], Figure]
    of_sweep: bool = False


@dataclass(frozen=True)
class DrawnFigure:
    """A figure's files, PNG first; none where there is a `reason`."""

    spec: FigureSpec
    caption: str
    paths: tuple[Path, ...]
    reason: str | None = None


FIGURES = (
    FigureSpec(
        "accuracy_over_params",
        "Accuracy against parameters",
        "Each point is a configuration (mean over its seeds, the run it was chosen by among "
        "them), the line the Pareto front: the "
        "best that can be had up to that size. Triangles at the edge: what lies outside.",
        draw_params,
    ),
    FigureSpec(
        "curves",
        "The best runs over epochs",
        "Solid: validation. Dotted: training, on the augmented images, hence often worse.",
        draw_curves,
    ),
    FigureSpec(
        "importance",
        "Which hyperparameters matter",
        "Additive F-tests on a quadratic model. Blue: significant (Holm-corrected) and above both "
        "floors. Grey: cannot tell. Black line: what the luckiest hyperparameter reaches in 1 of "
        "20 shuffles of the objective. Vermilion line: what seed noise alone reaches. name@choice "
        "is judged inside that choice only, and the choice itself (optimizer) where the numbers "
        "of its branches have their means over the configurations there: other ranges would give "
        "it another effect. optuna-dashboard shows PED-ANOVA and fANOVA of a sweep.",
        draw_importance,
        of_sweep=True,
    ),
    FigureSpec(
        "effects",
        "The effect of each hyperparameter",
        "Grey: configurations. Vermilion: marginal means, other hyperparameters left to vary, "
        "with 95% t intervals from three configurations on (hollow: fewer), over equal shares of "
        "the values or each level; so a choice (optimizer) is shown over all that its branch "
        "tried. Triangles "
        "at the edge: what lies outside, and ends of intervals.",
        draw_effects,
        of_sweep=True,
    ),
    FigureSpec(
        "history",
        "The course of the sweep",
        "Each trial in order, the best so far as a line; far below, or without a value, at the "
        "edge.",
        draw_history,
        of_sweep=True,
    ),
    FigureSpec(
        "confusion",
        "What the best run confuses",
        "Numbers are percent of the true class; the arrow names the most frequent mistake.",
        draw_best_confusion,
    ),
)


def write_figures(
    view: View, folder: Path, on_progress: Callable[[int, int], None] = lambda *_: None
) -> list[DrawnFigure]:
    """Write every figure that the runs can fill, as PNG and SVG."""
    folder.mkdir(parents=True, exist_ok=True)
    drawn = []
    for place, spec in enumerate(FIGURES):
        drawn.append(_write(spec, view, folder))
        on_progress(place + 1, len(FIGURES))
    return drawn


def _write(spec: FigureSpec, view: View, folder: Path) -> DrawnFigure:
    if spec.of_sweep or not view.other_sweeps:
        shown = view.population.description
    else:
        shown = f"{len(view.other_sweeps) + 1} sweeps and what else is ranked"
    caption = f"{shown[0].upper()}{shown[1:]}. {spec.caption}"
    with figure_style():
        try:
            figure = spec.draw(view)
        except NotDrawnError as reason:
            for suffix in ("png", "svg"):  # an older summary's figure would mislead
                (folder / f"{spec.stem}.{suffix}").unlink(missing_ok=True)
            return DrawnFigure(spec, caption, (), str(reason))
        if spec.of_sweep:
            figure.suptitle(plain(view.population.description), fontsize=9, x=0.99, ha="right")
        return DrawnFigure(spec, caption, tuple(save_figure(figure, folder, spec.stem)))
