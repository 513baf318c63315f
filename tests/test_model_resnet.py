"""The network against torchvision and against its definition written out."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torchvision.models.resnet import BasicBlock as TorchvisionBlock
from torchvision.models.resnet import ResNet as TorchvisionResNet

from resnet_sweep.config.errors import ConfigError
from resnet_sweep.config.model import ACTIVATIONS, ResNetConfig
from resnet_sweep.model.layers import PadShortcut, SqueezeExcitation, StochasticDepth, conv
from resnet_sweep.model.resnet import BasicBlock, PreactBlock, PyramidBlock, ResidualBlock, ResNet


def small(block: str = "basic", **fields: Any) -> ResNetConfig:
    return ResNetConfig(**{"blocks": [1, 2], "widths": [4, 8], "block": block, **fields})


def blocks_of(net: nn.Module) -> list[ResidualBlock]:
    return [module for module in net.modules() if isinstance(module, ResidualBlock)]


def shake_norms(net: nn.Module) -> None:
    """Give normalisation layers statistics and weights that make an order of layers matter."""
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            for values in (module.weight, module.bias, module.running_mean):
                assert values is not None
                nn.init.normal_(values)


def torchvision_name(name: str) -> str:
    first = name.split(".")[0]
    if first == "stages":
        _, stage, rest = name.split(".", 2)
        name = f"layer{int(stage) + 1}.{rest}"
    table = {
        "stem.conv": "conv1",
        "stem.norm": "bn1",
        "head.linear": "fc",
        "shortcut.conv": "downsample.0",
        "shortcut.norm": "downsample.1",
        ".norm": ".bn",
    }
    for ours, theirs in table.items():
        name = name.replace(ours, theirs)
    return name


def test_equals_torchvision() -> None:
    torch.manual_seed(0)
    theirs = TorchvisionResNet(TorchvisionBlock, [1, 1, 1, 1], num_classes=7)
    theirs.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
    theirs.maxpool = nn.Identity()
    shake_norms(theirs)
    config = ResNetConfig(blocks=[1, 1, 1, 1], widths=[64, 128, 256, 512])
    ours = ResNet(config, 7)
    weights = theirs.state_dict()
    ours.load_state_dict({name: weights[torchvision_name(name)] for name in ours.state_dict()})
    assert len(weights) == len(ours.state_dict())
    images = torch.randn(2, 3, 32, 32)
    for net in (ours, theirs):
        net.eval()
    torch.testing.assert_close(ours(images), theirs(images))


def preact_reference(block: ResidualBlock, x: Tensor, stride: int) -> Tensor:
    """Zagoruyko and Komodakis 2016, figure 1, with a projection of the activated input."""
    first = F.relu(block.norm1(x))
    hidden = F.conv2d(first, block.conv1.weight, stride=stride, padding=1)
    branch = F.conv2d(F.relu(block.norm2(hidden)), block.conv2.weight, padding=1)
    if stride == 1:
        return x + branch
    weight = block.shortcut.get_submodule("conv").weight
    assert isinstance(weight, Tensor)
    return F.conv2d(first, weight, stride=stride) + branch


def test_preact_blocks_follow_the_paper() -> None:
    torch.manual_seed(0)
    net = ResNet(small("preact"), 3).eval()
    shake_norms(net)
    images = torch.randn(2, 3, 32, 32)
    x: Tensor = net.stem(images)
    for block, stride in zip(blocks_of(net), [1, 2, 1], strict=True):
        assert isinstance(block, PreactBlock)
        x = preact_reference(block, x, stride)
    pooled = F.relu(net.head.get_submodule("norm")(x)).mean((2, 3))
    torch.testing.assert_close(net(images), net.head.get_submodule("linear")(pooled))


@pytest.mark.parametrize("shortcut", ["pad", "conv"])
def test_pyramid_blocks_follow_the_paper(shortcut: str) -> None:
    """Han et al. 2017, figure 6d."""
    torch.manual_seed(0)
    net = ResNet(small("pyramid", shortcut=shortcut), 3).eval()
    shake_norms(net)
    images = torch.randn(2, 3, 32, 32)
    x: Tensor = net.stem.get_submodule("norm")(net.stem.get_submodule("conv")(images))
    for block, stride in zip(blocks_of(net), [1, 2, 1], strict=True):
        assert isinstance(block, PyramidBlock)
        hidden = F.conv2d(block.norm1(x), block.conv1.weight, stride=stride, padding=1)
        hidden = F.conv2d(F.relu(block.norm2(hidden)), block.conv2.weight, padding=1)
        if stride == 2 and shortcut == "pad":
            x = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 0, 4))
        elif stride == 2:
            parts = block.shortcut
            projected = F.conv2d(x, parts.get_submodule("conv").weight, stride=2)  # type: ignore[arg-type]
            x = parts.get_submodule("norm")(projected)
        x = x + block.norm3(hidden)
    pooled = F.relu(net.head.get_submodule("norm")(x)).mean((2, 3))
    torch.testing.assert_close(net(images), net.head.get_submodule("linear")(pooled))


@pytest.mark.parametrize(("side", "stride"), [(8, 2), (9, 2), (8, 3)])
@pytest.mark.parametrize("block", ["basic", "preact", "pyramid"])
def test_max_pooling_takes_the_largest_of_each_window(block: str, side: int, stride: int) -> None:
    """As one convolution on the full map and a maximum over each window, the last one cut off."""
    torch.manual_seed(0)
    fields: dict[str, Any] = {"strides": [1, stride], "downsampling": "max_pool"}
    net = ResNet(small(block, **fields, shortcut="none"), 3, image_size=side).eval()
    changed = blocks_of(net)[1]
    shake_norms(changed)
    x = torch.randn(2, 4, side, side)
    hidden = x if block == "basic" else changed.norm1(x)
    hidden = F.conv2d(
        F.relu(hidden) if block == "preact" else hidden, changed.conv1.weight, padding=1
    )
    starts = range(0, side, stride)
    rows = [hidden[:, :, i : i + stride].amax(2) for i in starts]
    pooled = torch.stack(rows, 2)
    pooled = torch.stack([pooled[..., j : j + stride].amax(3) for j in starts], 3)
    first_norm = changed.norm1 if block == "basic" else changed.norm2
    want = F.conv2d(F.relu(first_norm(pooled)), changed.conv2.weight, padding=1)
    if block == "basic":
        want = F.relu(changed.norm2(want))
    if isinstance(changed, PyramidBlock):
        want = changed.norm3(want)
    torch.testing.assert_close(changed(x), want)


def test_a_stride_of_one_pools_nothing() -> None:
    net = ResNet(small(strides=[1, 2], downsampling="max_pool"), 3)
    assert sum(isinstance(module, nn.MaxPool2d) for module in net.modules()) == 1


@pytest.mark.parametrize("block", ["basic", "preact", "pyramid"])
def test_without_shortcuts_nothing_passes_a_block(block: str) -> None:
    for each in blocks_of(ResNet(small(block, shortcut="none"), 3).eval()):
        nn.init.zeros_(each.last_layer.weight)
        assert not each(torch.randn(2, each.conv1.in_channels, 8, 8)).any()


def test_pad_shortcut_keeps_every_second_pixel_and_adds_zeros() -> None:
    x = torch.randn(2, 3, 5, 5)
    y = PadShortcut(stride=2, new_channels=4)(x)
    assert y.shape == (2, 7, 3, 3)
    for row in range(3):
        for column in range(3):
            torch.testing.assert_close(y[:, :3, row, column], x[:, :, 2 * row, 2 * column])
    assert not y[:, 3:].any()


@pytest.mark.parametrize("block", ["basic", "preact", "pyramid"])
def test_pad_shortcut_takes_the_input_of_the_block(block: str) -> None:
    net = ResNet(small(block, shortcut="pad"), 3).eval()
    changed = blocks_of(net)[1]
    nn.init.zeros_(changed.last_layer.weight)
    x = torch.rand(2, 4, 8, 8)
    want = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 0, 4))
    torch.testing.assert_close(changed(x), want)


def test_squeeze_excitation_equals_torchvision() -> None:
    ours, theirs = SqueezeExcitation(8, 2), torchvision.ops.SqueezeExcitation(8, 2)
    for source, sink in ((ours.reduce, theirs.fc1), (ours.expand, theirs.fc2)):
        sink.weight.data = source.weight.data[:, :, None, None]
        assert sink.bias is not None
        sink.bias.data = source.bias.data
    x = torch.randn(3, 8, 5, 5)
    torch.testing.assert_close(ours(x), theirs(x))


def test_stochastic_depth_equals_torchvision() -> None:
    x = torch.randn(16, 3, 2, 2)
    torch.manual_seed(5)
    ours = StochasticDepth(0.4)(x)
    torch.manual_seed(5)
    theirs = torchvision.ops.stochastic_depth(x, 0.4, mode="row")
    assert 0 < int((ours == 0).all((1, 2, 3)).sum()) < 16
    assert torch.equal(ours, theirs)
    assert StochasticDepth(0.4).eval()(x) is x


def test_stochastic_depth_grows_linearly_to_the_last_block() -> None:
    net = ResNet(small(blocks=[2, 3]), 3, stochastic_depth=0.5)
    rates = [block.drop.probability for block in blocks_of(net)]
    assert rates == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5])
    assert not any(isinstance(x, StochasticDepth) for x in ResNet(small(), 3).modules())


@pytest.mark.parametrize("block", ["basic", "preact", "pyramid"])
def test_dropout_acts_on_the_input_of_the_second_convolution(block: str) -> None:
    net = ResNet(small(block, activation="silu"), 3, dropout=0.75)
    seen: list[Tensor] = []
    for each in blocks_of(net):
        each.conv2.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    net(torch.randn(4, 3, 32, 32))
    assert len(seen) == 3
    for values in seen:
        assert float((values == 0).float().mean()) == pytest.approx(0.75, abs=0.03)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("block", ["basic", "preact", "pyramid"])
def test_every_parameter_gets_a_gradient(block: str, activation: str) -> None:
    """In-place operations that overwrite what a backward pass needs raise here."""
    config = small(block, activation=activation, squeeze_excitation=True, squeeze_ratio=1)
    net = ResNet(config, 3, dropout=0.1, stochastic_depth=0.1)
    net(torch.randn(4, 3, 16, 16)).square().sum().backward()
    for parameter in net.parameters():
        assert parameter.grad is not None
        assert torch.isfinite(parameter.grad).all()


def test_in_place_operations_do_not_change_gradients() -> None:
    torch.manual_seed(0)
    net = ResNet(small(), 3).double()
    images = torch.randn(4, 3, 16, 16, dtype=torch.float64)
    gradients = []
    for inplace in (True, False):
        for module in net.modules():
            if isinstance(module, nn.ReLU):
                module.inplace = inplace
        net.zero_grad()
        net(images).square().sum().backward()
        gradients.append([parameter.grad for parameter in net.parameters()])
    torch.testing.assert_close(gradients[0], gradients[1])


@pytest.mark.parametrize("block", ["basic", "preact", "pyramid"])
def test_nothing_in_training_waits_for_the_device(block: str) -> None:
    """Fake tensors have no values, so any branch on one or read of one raises."""
    config = small(block, squeeze_excitation=True, shortcut="pad", pool_size=2)
    with FakeTensorMode():
        net = ResNet(config, 3, dropout=0.1, stochastic_depth=0.5, image_size=16)
        net(torch.randn(4, 3, 16, 16)).sum().backward()
        assert next(net.parameters()).grad is not None


@pytest.mark.parametrize("shortcut", ["conv", "pad"])
@pytest.mark.parametrize("block", ["basic", "preact", "pyramid"])
def test_channels_last_goes_through(block: str, shortcut: str) -> None:
    net = ResNet(small(block, shortcut=shortcut, squeeze_excitation=True), 3).eval()
    images = torch.randn(2, 3, 16, 16)
    want = net(images)
    net = net.to(memory_format=torch.channels_last)
    formats: list[bool] = []
    for each in blocks_of(net):
        each.register_forward_hook(
            lambda m, x, y: formats.append(y.is_contiguous(memory_format=torch.channels_last))
        )
    got = net(images.to(memory_format=torch.channels_last))
    assert formats == [True] * 3
    torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("block", ["basic", "preact", "pyramid"])
def test_bf16_autocast_trains(block: str) -> None:
    net = ResNet(small(block, squeeze_excitation=True), 3, stochastic_depth=0.5)
    with torch.autocast("cpu", torch.bfloat16):
        logits = net(torch.randn(4, 3, 16, 16))
    assert logits.dtype == torch.bfloat16
    logits.float().sum().backward()
    assert all(parameter.grad is not None for parameter in net.parameters())


@pytest.mark.parametrize(("pool_size", "features"), [(None, 8), (2, 32), (3, 8), (4, 8), (1, 128)])
def test_pooling_leaves_what_the_classifier_takes(pool_size: int | None, features: int) -> None:
    net = ResNet(small(pool_size=pool_size), 3, image_size=8)
    assert net.head.get_submodule("linear").weight.shape == (3, features)
    assert net(torch.randn(2, 3, 8, 8)).shape == (2, 3)


def test_the_last_layer_is_the_one_on_the_branch() -> None:
    basic, preact = (blocks_of(ResNet(small(block), 3))[0] for block in ("basic", "preact"))
    assert isinstance(basic, BasicBlock)
    assert basic.last_layer is basic.norm2
    assert preact.last_layer is preact.conv2


def test_a_network_that_does_not_fit_the_image_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"model\.pool_size=4"):
        ResNet(small(pool_size=4), 3, image_size=6)


@pytest.mark.parametrize("in_channels", [3, 4, 7])
def test_a_narrow_strided_shortcut_is_the_plain_convolution(in_channels: int) -> None:
    narrow = conv(in_channels, 6, 1, stride=2)
    plain = nn.Conv2d(in_channels, 6, 1, stride=2, bias=False)
    plain.load_state_dict(narrow.state_dict())
    images = torch.randn(5, in_channels, 9, 9)
    for net in (narrow, plain):  # NCHW memory: oneDNN's fault is in the other layout
        net(images).square().sum().backward()
    torch.testing.assert_close(narrow(images), plain(images))
    torch.testing.assert_close(narrow.weight.grad, plain.weight.grad)


def test_a_narrow_net_trains_on_one_thread_in_channels_last() -> None:
    # On a CPU without AVX-512 this ended the process before such shortcuts subsampled first.
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for _ in range(5):
            layer = conv(4, 4, 1, stride=2).to(memory_format=torch.channels_last)
            images = torch.randn(64, 4, 8, 8, requires_grad=True)
            layer(images.to(memory_format=torch.channels_last)).sum().backward()
    finally:
        torch.set_num_threads(threads)
