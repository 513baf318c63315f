"""Seconds a training step takes, measured in a process of its own.

    python -m resnet_sweep.sweep.step_timing < configurations, one JSON object a line

The first line is answered with what the data are, each further one with seconds an image. A
sweeper that timed steps itself would keep torch and a device context for its whole life.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict, dataclass, replace
from typing import IO, Any

from resnet_sweep.config import Config
from resnet_sweep.config.compose import from_dict, to_dict
from resnet_sweep.config.errors import UserError, one_line

CPU_BATCH_SIZE = 128  # a step of 1,024 images takes many seconds there, and no less an image
MAX_STEPS = 20
MIN_SECONDS = 0.5


@dataclass(frozen=True)
class SweepData:
    """What a sweep must know of its data: counts of classes and images, side in pixels."""

    num_classes: int
    image_size: int
    train_images: int
    val_images: int
    device: str


class StepTimer:
    """The process that times steps; `facts` are those of the first configuration's data.

    Args:
        threads: of a worker whose configuration does not say; null: as PyTorch decides.

    Raises:
        UserError: data or device cannot be had.
    """

    def __init__(self, config: Config, threads: int | None = None) -> None:
        command = [sys.executable, "-m", "resnet_sweep.sweep.step_timing"]
        pipe = subprocess.PIPE
        variables = {} if threads is None else {"OMP_NUM_THREADS": str(threads)}
        self._process = subprocess.Popen(
            command, stdin=pipe, stdout=pipe, text=True, env={**os.environ, **variables}
        )
        try:
            self.facts = SweepData(**self._ask(config))
        except BaseException:
            self.close()
            raise

    def seconds_per_image(self, config: Config) -> float:
        """Return what one image of a training step takes.

        Raises:
            UserError: the step failed, for want of memory perhaps.
        """
        return float(self._ask(config)["seconds_per_image"])

    def close(self) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()
        self._process.wait()

    def _ask(self, config: Config) -> dict[str, Any]:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None and stdout is not None
        try:
            print(json.dumps(to_dict(config)), file=stdin, flush=True)
        except BrokenPipeError as error:
            raise UserError("timing steps: the process that does it died") from error
        line = stdout.readline()
        answer = json.loads(line) if line else {"error": "timing steps: the process died"}
        if "error" in answer:
            raise UserError(answer["error"])
        assert isinstance(answer, dict)
        return answer

    def __enter__(self) -> StepTimer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def answer_all(questions: IO[str], answers: IO[str]) -> None:
    """Answer each configuration with a line."""
    answer = _facts
    for line in questions:
        try:
            content = answer(from_dict(json.loads(line)))
            answer = _time_steps
        except UserError as error:
            content = {"error": str(error)}
        except (RuntimeError, MemoryError) as error:
            content = {"error": one_line(error)}
        print(json.dumps(content), file=answers, flush=True)


def _facts(config: Config) -> dict[str, Any]:
    from resnet_sweep.data.device import place_data
    from resnet_sweep.training.device import choose_execution

    execution = choose_execution(config.train)
    data = place_data(config.data, execution.device, with_test=False)
    facts = SweepData(
        num_classes=len(data.class_names),
        image_size=data.train.images.shape[-1],
        train_images=len(data.train.labels),
        val_images=len(data.val.labels),
        device=execution.device.type,
    )
    return asdict(facts)


def _time_steps(config: Config) -> dict[str, Any]:
    import time

    import torch

    from resnet_sweep.data.device import place_data
    from resnet_sweep.training.device import choose_execution
    from resnet_sweep.training.loop import build_step
    from resnet_sweep.training.teacher import load_teacher

    if config.train.num_threads is not None:
        torch.set_num_threads(config.train.num_threads)
    execution = choose_execution(config.train)
    data = place_data(config.data, execution.device, with_test=False)
    limit = len(data.train.labels)
    if execution.device.type == "cpu":
        limit = min(limit, CPU_BATCH_SIZE)
    batch_size = min(config.train.batch_size, limit)
    config = replace(config, train=replace(config.train, batch_size=batch_size))
    step = build_step(config, data, execution, load_teacher(config, data, execution))
    if execution.records_graph:
        step.record_graph()
    indices = torch.arange(batch_size, device=execution.device)
    step(indices, 0.0, 0)  # the first one allocates and chooses algorithms
    step.take_sums(1)  # reads from the device, and so waits for it
    start, steps = time.perf_counter(), 0
    while steps < MAX_STEPS and time.perf_counter() - start < MIN_SECONDS:
        step(indices, 0.0, steps)
        step.take_sums(1)
        steps += 1
    return {"seconds_per_image": (time.perf_counter() - start) / steps / batch_size}


if __name__ == "__main__":
    # What a network of the user's prints is no answer.
    with open(os.dup(1), "w") as answers:
        os.dup2(2, 1)
        answer_all(sys.stdin, answers)
