"""Where a training step's time goes on this device, and what its convolutions cost alone.

    python benchmarks/step_profile.py model=wrn_2343

The arguments are those of `resnet_sweep.train`. First the profiler's time by kind of operation.
Then each convolution of the net by itself, forward and backward on the step's shapes, in turn with
the whole step: what a step takes beyond their sum is not the convolutions'. A GPU's host runs
ahead, so that there the first table is of kernels alone. Figures: RESULTS.md.
"""

from __future__ import annotations

import statistics
import sys
from collections import defaultdict

import torch
from contenders import NUM_CLASSES, Images, Run, make_step, ours, random_images, synchronize
from hydra import compose, initialize_config_dir
from torch import Tensor, nn
from torch.autograd import DeviceType
from train_step import measure

from resnet_sweep.config import Config
from resnet_sweep.config.compose import conf_dir, register_schemas, to_config
from resnet_sweep.model.budget import check_budget
from resnet_sweep.training.device import choose_execution

ROUNDS, STEPS = 5, 4
# The first word that occurs in an operation's name gives its kind.
KINDS = {
    "convolution_backward": "convolutions, backward",
    "convolution": "convolutions, forward",
    "batch_norm": "batch norm",
    "relu": "activations",
    "gelu": "activations",
    "silu": "activations",
    "threshold": "activations",
    "mm": "matrix products",
    "linear": "matrix products",
    "pool": "pooling",
    "mean": "pooling",
    "_foreach": "update of the weights",
    "_fused": "update of the weights",
    "copy": "copies and casts",
}


def profile(step: Run, is_gpu: bool) -> dict[str, float]:
    """Return the share of each kind of operation in the time of all."""
    step(STEPS)
    with torch.profiler.profile() as profiler:
        step(STEPS)
    where = DeviceType.CUDA if is_gpu else DeviceType.CPU
    seconds: dict[str, float] = defaultdict(float)
    for event in profiler.key_averages():
        if event.device_type == where:
            kind = next((kind for word, kind in KINDS.items() if word in event.key), "the rest")
            seconds[kind] += event.self_device_time_total if is_gpu else event.self_cpu_time_total
    total = sum(seconds.values())
    return {kind: value / total for kind, value in sorted(seconds.items(), key=lambda e: -e[1])}


def convolutions_alone(config: Config, images: Images) -> Run:
    """Return what runs each convolution of a step, forward and backward, and nothing else."""
    step = make_step(config, images)
    inputs: list[tuple[nn.Conv2d, Tensor]] = []

    def note(module: nn.Module, args: tuple[Tensor, ...]) -> None:
        assert isinstance(module, nn.Conv2d)
        # As in the step, no gradient goes to images.
        inputs.append((module, args[0].detach().clone().requires_grad_(args[0].requires_grad)))

    modules = [module for module in step.model.modules() if isinstance(module, nn.Conv2d)]
    hooks = [module.register_forward_pre_hook(note) for module in modules]
    step(torch.arange(config.train.batch_size, device=step.execution.device), 0.01, 0)
    for hook in hooks:
        hook.remove()
    gradients: dict[nn.Module, Tensor] = {}

    def run(steps: int) -> None:
        for _ in range(steps):
            for module, images in inputs:
                with step.execution.autocast():
                    out = module(images)
                wanted = [t for t in (images, module.weight) if t.requires_grad]
                if module not in gradients:
                    gradients[module] = torch.randn_like(out)
                if wanted:
                    torch.autograd.grad(out, wanted, gradients[module])
        synchronize(step.execution.device)

    return run


def main() -> None:
    register_schemas()
    with initialize_config_dir(str(conf_dir().resolve())):
        # Not a recorded or compiled step: its convolutions could not be told apart.
        config = to_config(compose("config", [*sys.argv[1:], "train.compile=none"]))
    batch_size = config.train.batch_size
    images = random_images(max(2000, STEPS * batch_size))
    execution = choose_execution(config.train)
    step = ours(config, images)
    alone = convolutions_alone(config, images)
    for kind, share in profile(step, execution.device.type == "cuda").items():
        print(f"{share:6.1%}  {kind}")
    seconds = measure({"step": step, "convolutions": alone}, ROUNDS, STEPS)
    ratios = [a / b for a, b in zip(seconds["step"], seconds["convolutions"], strict=True)]
    cost = check_budget(config, NUM_CLASSES)
    operations = 6 * cost.multiply_adds * batch_size
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {execution.precision}")
    for name, values in seconds.items():
        median = statistics.median(values)
        print(f"{name:13} {median:8.3f} s   {operations / median / 1e9:8.1f} GFLOP/s")
    low, high = min(ratios), max(ratios)
    print(f"step / convolutions: {statistics.median(ratios):.2f} ({low:.2f} to {high:.2f})")


if __name__ == "__main__":
    main()
