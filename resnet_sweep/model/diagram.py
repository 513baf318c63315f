"""A drawing of a network, from the image to the logits, in a row of cards."""

# ruff: noqa: RUF001 - the multiplication sign is what is meant
from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Rectangle
from torch import nn

from resnet_sweep.model.plan import LayerPlan, ModelPlan, StagePlan
from resnet_sweep.model.resnet import ResNet
from resnet_sweep.model.summary import ELSEWHERE, LayerCost, measure_modules
from resnet_sweep.system.atomic import replacing

# All lengths are inches.
CARD_WIDTH, CARD_HEIGHT, GAP, MARGIN = 1.5, 2.05, 0.32, 0.3
BARS_HEIGHT, TITLE_HEIGHT, ROW_GAP, LINE_HEIGHT = 0.95, 0.55, 0.25, 0.2
CARDS_PER_ROW = 9
LONGEST = 18  # characters of a name
ENDS_COLOUR, STAGE_COLOUR, INK, FAINT_INK = "#eef0f2", "#dce9f7", "#1f2933", "#66727f"
PARAMS_COLOUR, MULTIPLY_ADDS_COLOUR, BAR_GROUND = "#2f6db3", "#d9822b", "#e6e9ec"


@dataclass(frozen=True)
class Card:
    """What one card of the drawing says.

    Args:
        output: shape of what leaves this part of the network.
    """

    title: str
    lines: tuple[str, ...]
    output: str
    num_params: int
    multiply_adds: int
    colour: str = ENDS_COLOUR


def draw_architecture(model: nn.Module | ModelPlan, image_size: int, path: Path) -> None:
    """Write a PNG of the stages of a ResNet, or of the top-level modules of another network."""
    if isinstance(model, ResNet):
        model = model.plan
    image = Card("Image", ("normalised", "per channel"), _shape(3, image_size), 0, 0)
    if isinstance(model, ModelPlan):
        stages = [_stage_card(f"Stage {i + 1}", stage) for i, stage in enumerate(model.stages)]
        cards = [image, _stem_card(model), *stages, _head_card(model.head)]
        block = model.stages[0].blocks[0].kind
        name = f"ResNet, {sum(len(stage.blocks) for stage in model.stages)} {block} blocks"
    else:
        costs = measure_modules(model, _top_level(model), image_size)
        cards = [image, *map(_module_card, costs)]
        name = type(model).__name__
    _draw_cards(name, cards, path)


def _draw_cards(name: str, cards: list[Card], path: Path) -> None:
    """Write a PNG of the cards with the share of the costs below each, and the totals above."""
    columns = min(len(cards), CARDS_PER_ROW)
    rows = -(-len(cards) // CARDS_PER_ROW)
    row_height = CARD_HEIGHT + BARS_HEIGHT + ROW_GAP
    width = 2 * MARGIN + columns * (CARD_WIDTH + GAP) - GAP
    height = TITLE_HEIGHT + MARGIN + rows * row_height - ROW_GAP / 2
    figure = Figure(figsize=(width, height), facecolor="white")
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(0, height))
    axes.set_axis_off()
    totals = (sum(card.num_params for card in cards), sum(card.multiply_adds for card in cards))
    place: dict[str, Any] = {"va": "center", "ha": "left"}
    y = height - MARGIN
    title = axes.text(MARGIN, y, name, fontsize=13, fontweight="bold", color=INK, **place)
    counts = f"   {totals[0]:,} parameters, {_millions(totals[1])} multiply-adds an image"
    axes.annotate(counts, (1, 0.5), xycoords=title, fontsize=11, color=FAINT_INK, **place)
    arrow = {"arrowstyle": "-|>", "color": INK, "shrinkA": 2, "shrinkB": 2, "mutation_scale": 12}
    for index, card in enumerate(cards):
        row, column = divmod(index, CARDS_PER_ROW)
        left = MARGIN + column * (CARD_WIDTH + GAP)
        top = height - TITLE_HEIGHT - MARGIN / 2 - row * row_height
        _draw_card(axes, card, left, top)
        _draw_bars(axes, card, totals, left, top - CARD_HEIGHT)
        if column > 0 and card.title != ELSEWHERE:
            middle = top - CARD_HEIGHT / 2
            axes.annotate("", (left, middle), (left - GAP, middle), arrowprops=arrow)
    with replacing(path) as file:
        figure.savefig(file, dpi=150, format="png")


def _stem_card(plan: ModelPlan) -> Card:
    layers, kind = plan.stem, plan.stages[0].blocks[0].kind
    *whiten, conv = (layer for layer in layers if layer.kind == "conv")
    lines = (f"{_square(conv.kernel_size)} convolution", f"{conv.out_channels} channels")
    before = tuple(f"{_square(layer.kernel_size)} whitening, fixed" for layer in whiten)
    after = {"basic": ("norm, activation",), "preact": (), "pyramid": ("norm",)}[kind]
    output = _shape(conv.out_channels, conv.map_size)
    return _plan_card("Stem", (*before, *lines, *after), output, layers)


def _stage_card(title: str, stage: StagePlan) -> Card:
    first, count = stage.blocks[0], len(stage.blocks)
    shortcut = first.shortcut.replace("conv", f"{_square(first.shortcut_kernel_size)} conv")
    lines = [
        f"{count} {first.kind} block{'s' if count > 1 else ''}",
        f"{first.out_channels} channels",
        f"{_square(first.kernel_size)} kernels",
        f"shortcut: {shortcut}",
        f"{_square(first.stride)} max pool" if first.is_pooled else f"stride {first.stride}",
    ]
    if first.squeeze_width is not None:
        lines.append(f"SE, {first.squeeze_width} squeezed")
    output = _shape(stage.width, stage.map_size)
    return _plan_card(title, tuple(lines), output, stage.layers, STAGE_COLOUR)


def _head_card(layers: tuple[LayerPlan, ...]) -> Card:
    pool, linear = layers[-2:]
    before = ("norm, activation",) if len(layers) > 2 else ()
    lines = (
        f"{_square(pool.kernel_size)} average pool",
        f"flatten to {linear.in_channels:,}",
        f"linear to {linear.out_channels}",
    )
    return _plan_card("Head", (*before, *lines), f"{linear.out_channels} logits", layers)


def _plan_card(
    title: str,
    lines: tuple[str, ...],
    output: str,
    layers: tuple[LayerPlan, ...],
    colour: str = ENDS_COLOUR,
) -> Card:
    num_params = sum(layer.num_params for layer in layers)
    return Card(title, lines, output, num_params, sum(x.multiply_adds for x in layers), colour)


def _module_card(cost: LayerCost) -> Card:
    output = " × ".join(map(str, cost.output_shape))
    title, kind = _shortened(cost.name), _shortened(cost.type)
    return Card(title, (kind,), output, cost.num_params, cost.multiply_adds, STAGE_COLOUR)


def _top_level(model: nn.Module) -> dict[str, nn.Module]:
    """Return the children; those of a list in its stead, since a list is never called."""
    found: dict[str, nn.Module] = {}
    for name, child in model.named_children():
        if isinstance(child, (nn.ModuleList, nn.ModuleDict)):
            found |= {f"{name}.{key}": each for key, each in child.named_children()}
        else:
            found[name] = child
    return found


def _draw_card(axes: Axes, card: Card, left: float, top: float) -> None:
    style = "round,pad=0,rounding_size=0.08"
    box = FancyBboxPatch(
        (left, top - CARD_HEIGHT), CARD_WIDTH, CARD_HEIGHT, boxstyle=style, fc=card.colour, ec=INK
    )
    axes.add_patch(box)
    middle = left + CARD_WIDTH / 2
    place: dict[str, Any] = {"ha": "center", "va": "center", "color": INK}
    axes.text(middle, top - 0.2, card.title, fontsize=11, fontweight="bold", **place)
    for i, line in enumerate(card.lines):
        axes.text(middle, top - 0.5 - i * LINE_HEIGHT, line, fontsize=9, **place)
    axes.text(middle, top - CARD_HEIGHT + 0.17, card.output, fontsize=9.5, style="italic", **place)


def _draw_bars(axes: Axes, card: Card, totals: tuple[int, int], left: float, bottom: float) -> None:
    """Draw the card's shares of the parameters and of the multiply-adds, with the counts."""
    if not card.num_params and not card.multiply_adds:
        return
    texts = (f"{card.num_params:,} param.", f"{_millions(card.multiply_adds)} mult-adds")
    counts, colours = (card.num_params, card.multiply_adds), (PARAMS_COLOUR, MULTIPLY_ADDS_COLOUR)
    for i, (text, count, total) in enumerate(zip(texts, counts, totals, strict=True)):
        share, y = count / max(1, total), bottom - 0.22 - 0.42 * i
        percent = "<1%" if 0 < share < 0.005 else f"{share:.0%}"
        axes.text(left, y, text, fontsize=8, color=INK, va="center")
        right = left + CARD_WIDTH
        axes.text(right, y, percent, fontsize=8, color=FAINT_INK, va="center", ha="right")
        bar = (left, y - 0.2)
        axes.add_patch(Rectangle(bar, CARD_WIDTH, 0.09, fc=BAR_GROUND, ec="none"))
        axes.add_patch(Rectangle(bar, CARD_WIDTH * share, 0.09, fc=colours[i], ec="none"))


def _shape(channels: int, side: int) -> str:
    return f"{channels} × {side} × {side}"


def _square(side: int) -> str:
    return f"{side}×{side}"


def _millions(count: int) -> str:
    return f"{count / 1e6:,.1f} M" if count >= 50_000 else f"{count:,}"


def _shortened(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
