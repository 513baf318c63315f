"""A trained net that shows another one what it sees."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from resnet_sweep.config import Config
from resnet_sweep.config.errors import ConfigError, UserError, one_line, require
from resnet_sweep.data.device import DeviceData
from resnet_sweep.records.run_folder import check_teacher, teacher_digest
from resnet_sweep.training.device import Execution
from resnet_sweep.training.trained_net import TrainedNet, load_net_on

FIELD = "regularization.distill_from"


def distillation_loss(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """Return T^2 KL(teacher at T, student at T), the mean over images, of logits [N, classes].

    Hinton, Vinyals and Dean 2015 (arXiv:1503.02531, section 2).
    """
    own = F.log_softmax(student / temperature, 1)
    taught = F.log_softmax(teacher / temperature, 1)
    loss = F.kl_div(own, taught, reduction="batchmean", log_target=True)
    return loss * temperature**2


class Teacher:
    """The net of a run folder, which takes images as its student gets them.

    Raises:
        UserError: the folder has no net, or one for other images or classes.
    """

    def __init__(self, run_dir: str, data: DeviceData, execution: Execution) -> None:
        net = _load(run_dir, teacher_digest(run_dir), execution)
        size = data.train.images.shape[-1]
        allowed = f"its net takes images of side {net.image_size}, the data have {size}"
        require(net.image_size == size, FIELD, run_dir, allowed)
        known = net.class_names == tuple(data.class_names)
        require(known, FIELD, run_dir, "its net has other classes than the data")
        self.model = net.model
        self._execution = execution
        mean, std = net.mean.to(execution.device), net.std.to(execution.device)
        self._scale = (data.std / std).view(1, -1, 1, 1)
        self._shift = ((data.mean - mean) / std).view(1, -1, 1, 1)

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Tensor:
        """Map images as the student's normalisation left them to logits."""
        with self._execution.autocast():
            logits: Tensor = self.model(images * self._scale + self._shift)
        return logits.float()


def load_teacher(config: Config, data: DeviceData, execution: Execution) -> Teacher | None:
    """Return the teacher that a configuration names, if it names one.

    Raises:
        UserError: it is gone, another one than recorded, or not for these data.
    """
    check_teacher(config.regularization)
    run_dir = config.regularization.distill_from
    if run_dir is None:
        return None
    teacher = Teacher(run_dir, data, execution)
    start = config.train.start_image_size
    if start is not None:
        try:
            teacher(torch.zeros(2, 3, start, start, device=execution.device))
        except RuntimeError as error:
            allowed = f"its net cannot take images of side train.start_image_size={start}"
            raise ConfigError(FIELD, run_dir, f"{allowed} ({one_line(error)})") from error
    return teacher


@lru_cache(maxsize=1)  # a command checks before its run folder exists; a worker's trials share it
def _load(run_dir: str, digest: str | None, execution: Execution) -> TrainedNet:
    try:
        return load_net_on(Path(run_dir), execution)
    except UserError as error:
        allowed = f"must be a folder of a completed run: {error}"
        raise ConfigError(FIELD, run_dir, allowed) from error
