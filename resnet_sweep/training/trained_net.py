"""A finished run read again: its net, ready to say what images show, and its data."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from resnet_sweep.config import Config
from resnet_sweep.config.compose import from_dict
from resnet_sweep.config.data import DigitsConfig
from resnet_sweep.config.errors import RunFolderError, UserError, require
from resnet_sweep.data.dataset import Dataset
from resnet_sweep.data.registry import load_dataset
from resnet_sweep.model.build import build_model
from resnet_sweep.records.checkpoint import read_model
from resnet_sweep.records.run_folder import CONFIG, MODEL, RecordError, read_result
from resnet_sweep.records.run_state import Stage, run_state
from resnet_sweep.training.device import Execution, choose_device, choose_dtype
from resnet_sweep.training.evaluation import Normalizer, default_batch_size, forward

_AGAIN = "resume={} in resnet_sweep.train writes it again from the last checkpoint"
MODEL_KEYS = ("config", "class_names", "image_size", "mean", "std", "state_dict")


@dataclass(frozen=True, eq=False)
class TrainedNet:
    """A net with everything that its input and output mean.

    Args:
        model: in evaluation mode, on the device.
        class_names: in the order of the outputs.
        image_size: side S of the images it takes.
        mean, std: float32 [3] on the CPU, of the training pixels scaled to [0, 1].
    """

    run_dir: Path
    config: Config
    model: nn.Module
    class_names: tuple[str, ...]
    image_size: int
    mean: torch.Tensor
    std: torch.Tensor
    execution: Execution
    normalize: Normalizer

    def logits(self, images: torch.Tensor) -> torch.Tensor:
        """Map uint8 [N, 3, S, S] on the device to float32 [N, classes] on the device."""
        return forward(self.model, images, self.normalize, self.execution)

    def probabilities(
        self, images: torch.Tensor | NDArray[np.uint8], batch_size: int | None = None
    ) -> NDArray[np.float32]:
        """Map uint8 [N, 3, S, S], wherever it lies, to float32 [N, classes].

        Args:
            batch_size: images at once; null: as in the evaluations of training.
        """
        whole = torch.as_tensor(images)
        rows = np.empty((len(whole), len(self.class_names)), np.float32)
        size = batch_size or default_batch_size(self.execution, whole.shape[-1])
        start = 0
        for batch in whole.split(size):
            probabilities = self.logits(batch.to(self.execution.device)).softmax(1)
            rows[start : start + len(batch)] = probabilities.cpu().numpy()
            start += len(batch)
        return rows


def load_net(run_dir: Path, device: str = "auto", precision: str | None = None) -> TrainedNet:
    """Rebuild the net of a run from its model.pt alone.

    Args:
        device: `auto`, `cpu`, `cuda` or `mps`, whatever the run was trained on.
        precision: `auto`, `fp32`, `bf16` or `fp16`; null: the run's own on a GPU, else fp32.

    Raises:
        UserError: says what the folder lacks, or that the device is not on this machine.
    """
    content, config = _read(run_dir)
    target = choose_device(device, "device")
    if precision is None:
        precision = config.train.precision if target.type == "cuda" else "fp32"
    dtype = choose_dtype(precision, target)
    execution = Execution(target, dtype, "none", config.train.channels_last)
    return _trained_net(run_dir, content, config, execution)


def load_net_on(run_dir: Path, execution: Execution) -> TrainedNet:
    """Rebuild the net of a run for the device and precision of another.

    Raises:
        UserError: says what the folder lacks.
    """
    content, config = _read(run_dir)
    return _trained_net(run_dir, content, config, execution)


def _read(run_dir: Path) -> tuple[dict[str, Any], Config]:
    """Return model.pt with all its keys, each of the right type, and the configuration in it."""
    if not run_dir.is_dir():
        raise RunFolderError(f"{run_dir}: there is no such run folder")
    if not (run_dir / MODEL).is_file():
        raise RunFolderError(f"{run_dir}: has no {MODEL}: {_why_no_model(run_dir)}")
    try:
        content = read_model(run_dir)
    except RecordError as error:
        state = run_state(run_dir)
        hint = f"; {_AGAIN.format(run_dir)}" if state.stage is Stage.LACKING else ""
        raise RecordError(f"{error}{hint}") from error
    missing = [key for key in MODEL_KEYS if key not in content]
    if missing:
        raise RunFolderError(f"{run_dir / MODEL}: lacks {', '.join(missing)}")
    names, size = content["class_names"], content["image_size"]
    if not (isinstance(names, list) and names and all(isinstance(n, str) for n in names)):
        raise RunFolderError(f"{run_dir / MODEL}: class_names must be a list of names")
    if not isinstance(size, int) or not 1 <= size <= 4096:
        raise RunFolderError(f"{run_dir / MODEL}: image_size must be from 1 to 4096, not {size}")
    try:
        return content, from_dict(content["config"])
    except UserError as error:
        raise RunFolderError(f"{run_dir / MODEL}: {error}") from error


def _why_no_model(run_dir: Path) -> str:
    state = run_state(run_dir)
    if state.stage is Stage.LACKING:
        return f"it was lost; {_AGAIN.format(run_dir)}"
    if state.stage is Stage.BEYOND_REPAIR:
        return state.problem
    if state.stage is Stage.UNDER_WAY:
        return f"the run has not completed; resume={run_dir} in resnet_sweep.train goes on with it"
    runs = sorted(path.parent for path in run_dir.glob(f"*/*/{MODEL}"))
    runs = runs or sorted(path.parent for path in run_dir.glob(f"*/{MODEL}"))
    if runs:
        return f"it holds {len(runs)} run folders; name one of them, such as {runs[0]}"
    return f"it has no {CONFIG} either, so it is not a run folder"


def _trained_net(
    run_dir: Path, content: dict[str, Any], config: Config, execution: Execution
) -> TrainedNet:
    path = run_dir / MODEL
    for name in ("mean", "std"):
        value = content[name]
        is_three = isinstance(value, torch.Tensor) and tuple(value.shape) == (3,)
        if not is_three or not value.isfinite().all() or (name == "std" and value.min() <= 0):
            problem = f"{name} must be three finite numbers, one for each channel"
            raise RunFolderError(f"{path}: {problem}")
    with torch.random.fork_rng(devices=[]):  # the first weights are drawn, then replaced
        model = build_model(config, len(content["class_names"]), content["image_size"])
    try:
        model.load_state_dict(content["state_dict"])
    except (RuntimeError, TypeError, AttributeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise RunFolderError(
            f"{path}: its weights do not fit its configuration: {reason}"
        ) from error
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    model.to(execution.device)
    model.to(memory_format=execution.memory_format)
    mean, std = content["mean"].float(), content["std"].float()
    return TrainedNet(
        run_dir=run_dir,
        config=config,
        model=model.eval(),
        class_names=tuple(content["class_names"]),
        image_size=content["image_size"],
        mean=mean,
        std=std,
        execution=execution,
        normalize=Normalizer(mean.to(execution.device), std.to(execution.device)),
    )


@dataclass(frozen=True)
class RunData:
    """A data set, and what a reader of results on it should know."""

    dataset: Dataset
    notes: tuple[str, ...]


def read_run_data(net: TrainedNet, data_root: str | None = None) -> RunData:
    """Read the data set that a net was trained on.

    Args:
        data_root: where it lies now; null: where the run read it.

    Raises:
        UserError: it cannot be read, or is another one: other classes, another image size.
    """
    config = net.config.data
    if data_root is not None:
        allowed = "must be left out: the digits come with scikit-learn"
        require(not isinstance(config, DigitsConfig), "data_root", data_root, allowed)
        config = replace(config, root=data_root)
    try:
        dataset = load_dataset(config)
    except UserError as error:
        hint = "; data_root=FOLDER says where they lie now" if data_root is None else ""
        raise UserError(f"{net.run_dir}: its data cannot be read: {error}{hint}") from error
    names, side = dataset.class_names, dataset.test_images.shape[-1]
    if names != net.class_names:
        shown = [", ".join(classes)[:80] for classes in (names, net.class_names)]
        raise UserError(f"{net.run_dir}: the data have the classes {shown[0]}, the net {shown[1]}")
    if side != net.image_size:
        sizes = f"the images have {side} pixels a side, the net takes {net.image_size}"
        raise UserError(f"{net.run_dir}: {sizes}")
    return RunData(dataset, tuple(compare_fingerprint(net, dataset.fingerprint)))


def compare_fingerprint(net: TrainedNet, fingerprint: str) -> list[str]:
    """Return a note where the data are not, or may not be, those that the run read."""
    try:
        trained_on = read_result(net.run_dir).data_fingerprint
    except RecordError as error:
        return [f"cannot tell whether the data are those that {net.run_dir} read: {error}"]
    if trained_on == fingerprint:
        return []
    digests = f"fingerprint {fingerprint}, then {trained_on}"
    return [f"the data have changed since {net.run_dir} read them ({digests})"]
