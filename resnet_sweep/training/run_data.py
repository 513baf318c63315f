"""The data of a finished run, read again to measure or to check its net."""

from __future__ import annotations

from dataclasses import dataclass, replace

from resnet_sweep.config.data import DigitsConfig
from resnet_sweep.config.errors import UserError
from resnet_sweep.data.dataset import Dataset
from resnet_sweep.data.registry import load_dataset
from resnet_sweep.records.run_folder import RecordError, read_result
from resnet_sweep.training.trained_net import TrainedNet


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
    if data_root is not None and not isinstance(config, DigitsConfig):
        config = replace(config, root=data_root)
    try:
        dataset = load_dataset(config)
    except UserError as error:
        hint = "; data_root=FOLDER says where they lie now" if data_root is None else ""
        raise UserError(f"{net.run_dir}: its data cannot be read: {error}{hint}") from error
    _check_fits(net, dataset)
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


def _check_fits(net: TrainedNet, dataset: Dataset) -> None:
    names, side = dataset.class_names, dataset.test_images.shape[-1]
    if names != net.class_names:
        shown = [", ".join(classes)[:80] for classes in (names, net.class_names)]
        raise UserError(f"{net.run_dir}: the data have the classes {shown[0]}, the net {shown[1]}")
    if side != net.image_size:
        sizes = f"the images have {side} pixels a side, the net takes {net.image_size}"
        raise UserError(f"{net.run_dir}: {sizes}")
