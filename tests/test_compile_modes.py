"""Every compile mode trains the same net, as far as a CPU has that mode."""

from __future__ import annotations

import agreement
import pytest
import torch
from contenders import random_images

from resnet_sweep.config.regularization import RegularizationConfig
from resnet_sweep.training.device import Execution
from resnet_sweep.training.step import build_loss


@pytest.mark.engines
@pytest.mark.parametrize("ingredient", agreement.INGREDIENTS)
def test_inductor_trains_what_eager_does(ingredient: str) -> None:
    found = agreement.compare(ingredient, "inductor")
    assert found["agrees"], found["distances"]
    assert found["distances"]["weights"] > 0  # other kernels, so it was compiled


@pytest.mark.engines
@pytest.mark.timeout(900)
def test_every_net_of_a_worker_is_compiled() -> None:
    """Also beyond Dynamo's limit of versions of one function, which is eight and here one."""
    from torch._dynamo.utils import counters  # seconds that only this test needs

    execution = Execution(torch.device("cpu"), torch.float32, "inductor", True)
    counters.clear()
    with torch._dynamo.config.patch(recompile_limit=1):
        for width in (3, 5):
            net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(width, 2))
            loss = build_loss(net, execution, RegularizationConfig())
            loss(torch.ones(4, width), torch.zeros(4, dtype=torch.int64), None)[0].backward()
    assert counters["frames"] == {"total": 2, "ok": 2}


@pytest.mark.slow
@pytest.mark.parametrize("ingredient", ["ema", "mixup", "dropout", "stochastic_depth"])
def test_the_comparison_tells_nets_apart(ingredient: str) -> None:
    """Each ingredient changes what the ten steps leave, so that its absence would be seen."""
    images = random_images(600)
    plain = agreement.train_a_little("batch_norm", "none", images)
    other = agreement.train_a_little(ingredient, "none", images)
    if ingredient == "ema":
        distance = (other["averaged"][:100] - other["weights"][:100]).norm()
        assert distance / other["weights"][:100].norm() > 2 * agreement.TOLERANCE
        assert torch.equal(plain["weights"], other["weights"])
    else:
        distance = (other["weights"] - plain["weights"]).norm() / plain["weights"].norm()
        assert distance > 2 * agreement.TOLERANCE
