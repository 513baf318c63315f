"""The drawing: what it says, and that nothing runs out of its place."""

# ruff: noqa: RUF001 - the multiplication sign is what is meant
from __future__ import annotations

from pathlib import Path

import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread
from matplotlib.text import Text
from torch import Tensor, nn

from resnet_sweep.config.model import ResNetConfig
from resnet_sweep.model.diagram import CARD_WIDTH, draw_architecture
from resnet_sweep.model.plan import plan_resnet
from resnet_sweep.model.resnet import ResNet

SIX_STAGES = ResNetConfig(
    blocks=[12] * 6,
    widths=[1024] * 6,
    stem_width=16,
    strides=[2, 1, 1, 1, 1, 1],
    shortcut_kernel_size=3,
    squeeze_excitation=True,
    squeeze_ratio=1,
    block="preact",
    pool_size=2,
)


class Parts(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Conv2d(3, 3, 1) for _ in range(12))
        self.classifier = nn.Linear(3, 5)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x)
        out: Tensor = self.classifier(x.mean((2, 3)))
        return out


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """Return a list that receives each figure that is saved."""
    saved: list[Figure] = []
    save = Figure.savefig

    def record(self: Figure, *args: object, **kwargs: object) -> None:
        saved.append(self)
        save(self, *args, **kwargs)  # type: ignore[arg-type]  # passed on as it came

    monkeypatch.setattr(Figure, "savefig", record)
    return saved


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(Text) if isinstance(text, Text)]


def test_a_resnet_shows_its_stages(tmp_path: Path, figures: list[Figure]) -> None:
    path = tmp_path / "architecture.png"
    draw_architecture(ResNet(ResNetConfig(), 10), 32, path)
    assert imread(path).shape[1] > 1000
    said = texts(figures[0])
    for text in (
        "3 × 32 × 32",
        "Stage 4",
        "3 basic blocks",
        "256 channels",
        "3×3 kernels",
        "shortcut: 1×1 conv",
        "stride 2",
        "256 × 4 × 4",
        "4×4 average pool",
        "linear to 10",
        "3,280,384 param.",
        "71%",
    ):
        assert text in said
    assert "4,604,634 parameters, 183.4 M multiply-adds an image" in " ".join(said)


def test_max_pooling_is_drawn_in_place_of_the_stride(tmp_path: Path, figures: list[Figure]) -> None:
    config = ResNetConfig(downsampling="max_pool", shortcut="none")
    draw_architecture(plan_resnet(config, 10), 32, tmp_path / "architecture.png")
    said = texts(figures[0])
    assert said.count("2×2 max pool") == 3 and said.count("stride 1") == 1
    assert said.count("shortcut: none") == 4 and "stride 2" not in said


def test_texts_fit_their_cards(tmp_path: Path, figures: list[Figure]) -> None:
    draw_architecture(plan_resnet(SIX_STAGES, 100), 32, tmp_path / "architecture.png")
    figure = figures[0]
    lines = [text for text in figure.findobj(Text) if isinstance(text, Text)]
    in_cards = [
        text for text in lines if text.get_horizontalalignment() == "center" and text.get_text()
    ]
    assert len(in_cards) > 50
    for text in in_cards:
        assert text.get_window_extent(dpi=150).width / 150 < CARD_WIDTH, text.get_text()


def test_a_plan_draws_as_its_network(tmp_path: Path) -> None:
    config = ResNetConfig(blocks=[1, 1, 1], widths=[4, 4, 8], shortcut="pad")
    draw_architecture(ResNet(config, 10), 32, tmp_path / "net.png")
    draw_architecture(plan_resnet(config, 10), 32, tmp_path / "plan.png")
    assert (tmp_path / "net.png").read_bytes() == (tmp_path / "plan.png").read_bytes()


def test_another_network_shows_its_parts(tmp_path: Path, figures: list[Figure]) -> None:
    draw_architecture(Parts(), 8, tmp_path / "architecture.png")
    said = texts(figures[0])
    for text in ("Parts", "layers.11", "Conv2d", "3 × 8 × 8", "classifier", "20 param."):
        assert text in said
