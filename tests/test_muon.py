"""Muon against the singular value decomposition and torch's own Muon, AdamW and SGD."""

from __future__ import annotations

import pytest
import torch
from conftest import make_tiny_config
from device_waits import WAITING, Recorder
from test_step import make_step
from torch import Tensor, nn

from resnet_sweep.config.optimizer import MuonConfig
from resnet_sweep.model.build import build_model
from resnet_sweep.optim.muon import Muon, is_hidden, orthogonalized
from resnet_sweep.optim.optimizer import build_optimizer, set_lr


def seeded(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("rows", "columns"), [(20, 50), (50, 20), (30, 30), (1, 7)])
def test_singular_values_come_near_one_and_vectors_stay(rows: int, columns: int) -> None:
    matrices = seeded(3, rows, columns)
    # Of known singular values from 0.2 to 1: a square random matrix has some near zero.
    u, _, v = torch.linalg.svd(matrices, full_matrices=False)
    values = torch.linspace(1, 0.2, min(rows, columns))
    found = orthogonalized(u * values @ v, 5, torch.float32)
    core = u.mT @ found @ v.mT
    diagonal = core.diagonal(dim1=-2, dim2=-1)
    assert diagonal.min() > 0.6 and diagonal.max() < 1.3
    torch.testing.assert_close(core, torch.diag_embed(diagonal), rtol=0, atol=1e-3)
    torch.testing.assert_close(u @ core @ v, found, rtol=0, atol=1e-3)


@pytest.mark.parametrize("steps", [5, 10])
@pytest.mark.parametrize("rank", [2, 24])
@pytest.mark.parametrize("shape", [(24, 216), (216, 24), (24, 40)])
def test_every_shape_has_the_iteration_as_it_is_defined(
    shape: tuple[int, int], rank: int, steps: int
) -> None:
    rows, columns = shape
    matrices = seeded(2, rows, rank) @ seeded(2, rank, columns, seed=1)
    expected = matrices.double() / matrices.double().norm(dim=(-2, -1), keepdim=True)
    for _ in range(steps):
        gram = expected @ expected.mT
        expected = 3.4445 * expected + (-4.7750 * gram + 2.0315 * gram @ gram) @ expected
    found = orthogonalized(matrices, steps, torch.float32)
    # Ten steps make a rounding error in a singular value of 0 some 200,000 times as large.
    atol = 1e-4 if steps == 5 else 1e-2
    torch.testing.assert_close(found.double(), expected, rtol=0, atol=atol)


def test_a_batch_is_its_matrices() -> None:
    matrices = seeded(4, 6, 9)
    whole = orthogonalized(matrices, 5, torch.float32)
    for one, expected in zip(matrices, whole, strict=True):
        torch.testing.assert_close(orthogonalized(one[None], 5, torch.float32)[0], expected)


def run(net: nn.Module, optimizer: torch.optim.Optimizer, inputs: Tensor, steps: int = 4) -> None:
    for _ in range(steps):
        optimizer.zero_grad()
        net(inputs).square().mean().backward()
        optimizer.step()


@pytest.mark.parametrize("nesterov", [True, False])
def test_on_matrices_it_is_torchs(nesterov: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    # torch iterates in bfloat16 even on a CPU.
    monkeypatch.setattr(torch.Tensor, "bfloat16", torch.Tensor.clone)
    nets = []
    for ours in (True, False):
        torch.manual_seed(0)
        net = nn.Sequential(*(nn.Linear(a, b, bias=False) for a, b in ((8, 12), (12, 12), (12, 5))))
        config = MuonConfig(lr=0.05, nesterov=nesterov)
        groups = [{"params": list(net.parameters()), "weight_decay": 0.1, "hidden": True}]
        theirs = {"momentum": 0.95, "nesterov": nesterov, "weight_decay": 0.1}
        optimizer = (
            Muon(groups, config, 0.05, capturable=False)
            if ours
            else torch.optim.Muon(net.parameters(), 0.05, **theirs)  # type: ignore[arg-type]
        )
        run(net, optimizer, seeded(16, 8, seed=3))
        nets.append(net)
    for a, b in zip(nets[0].parameters(), nets[1].parameters(), strict=True):
        torch.testing.assert_close(a, b)


def test_a_kernel_is_a_matrix_of_its_filters() -> None:
    kernel, matrix = nn.Parameter(seeded(6, 4, 3, 3)), nn.Parameter(seeded(6, 36))
    matrix.data.copy_(kernel.data.flatten(1))
    kernel.data = kernel.data.to(memory_format=torch.channels_last)
    for p in (kernel, matrix):
        group = {"params": [p], "weight_decay": 0.1, "hidden": True}
        optimizer = Muon([group], MuonConfig(), 0.02, capturable=False)
        for i in range(3):
            p.grad = seeded(6, 36, seed=i).view(p.shape)
            optimizer.step()
    torch.testing.assert_close(kernel.flatten(1), matrix)


@pytest.mark.parametrize("others", ["adamw", "sgd"])
@pytest.mark.parametrize("lr", [0.02, 0.005])
def test_the_others_go_as_torchs_optimizer(others: str, lr: float) -> None:
    config = MuonConfig(lr=0.02, others=others, others_lr=0.01)
    ours, theirs = nn.Linear(6, 5), nn.Linear(6, 5)
    theirs.load_state_dict(ours.state_dict())
    # A single matrix is the classifier's.
    optimizer = build_optimizer(config, ours, 0.1)
    set_lr(optimizer, lr)
    groups = [
        {"params": [theirs.weight], "weight_decay": 0.1},
        {"params": [theirs.bias], "weight_decay": 0.0},
    ]
    reference: torch.optim.Optimizer = (
        torch.optim.AdamW(groups, lr / 2)
        if others == "adamw"
        else torch.optim.SGD(groups, lr / 2, momentum=0.95, nesterov=True)
    )
    run(ours, optimizer, seeded(8, 6))
    run(theirs, reference, seeded(8, 6))
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(a, b)


def test_what_is_hidden() -> None:
    net = build_model(make_tiny_config(), 10, 32)
    hidden = is_hidden(net)
    names = {name for name, p in net.named_parameters() if hidden[p]}
    assert names == {n for n, p in net.named_parameters() if p.ndim == 4}
    assert "stem.conv.weight" in names


def test_nothing_waits_for_the_device() -> None:
    """With SGD for the others; torch's AdamW keeps its counts off the host on a GPU alone."""
    config = make_tiny_config()
    config.optimizer = MuonConfig(others="sgd")
    step = make_step(config)
    for group in step.optimizer.param_groups:  # as on a GPU, whose learning rate is a tensor
        group["lr"] = torch.tensor(0.02)
    step(torch.arange(64), 0.1, 0)
    with Recorder() as recorder:
        step._step()
    assert recorder.names & WAITING == set()
