"""From a run folder to files that have been compared with its net on real images."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from resnet_sweep.config.errors import UserError
from resnet_sweep.config.export import ExportConfig
from resnet_sweep.data.split import split_train_val
from resnet_sweep.prediction.export_formats import (
    FILE_NAMES,
    OPSET,
    Forward,
    Outputs,
    open_bytes,
    require_packages,
    to_bytes,
    trace,
)
from resnet_sweep.system.atomic import replacing
from resnet_sweep.system.console import say
from resnet_sweep.system.staging import check_folder, made_folder
from resnet_sweep.training.run_data import read_run_data
from resnet_sweep.training.trained_net import TrainedNet, load_net

TOLERANCE = 1e-4
# The last batch is another one, and one image is tried by itself.
BATCH_SIZE = 250


@dataclass(frozen=True)
class Sample:
    """Real images, uint8 [N, 3, S, S], and the part of the data that they are from."""

    images: NDArray[np.uint8]
    part: str


@dataclass(frozen=True)
class Exported:
    """A file that was written.

    Args:
        differences: largest absolute ones from the net, of each output.
    """

    path: Path
    format: str
    differences: dict[str, float]
    sample: Sample

    def describe(self) -> str:
        kind = f"ONNX, opset {OPSET}" if self.format == "onnx" else "torch.export"
        parts = ", ".join(f"{value:.1e} in {name}" for name, value in self.differences.items())
        images = f"{len(self.sample.images):,} {self.sample.part} images"
        return f"{self.path}: {kind}; largest difference from the net on {images}: {parts}"


def export(options: ExportConfig) -> list[Exported]:
    """Write the files that the options name; none before all have been checked.

    Raises:
        UserError: a package, the net or its data is missing, or a file would not do.
    """
    assert options.run is not None
    require_packages(options.format)
    if options.output is not None:
        check_folder(Path(options.output).expanduser())
    net = load_net(Path(options.run).expanduser(), device="cpu", precision="fp32")
    sample = _read_sample(net, options)
    expected = _original(net, sample.images)
    program = trace(net)
    folder = Path(options.output).expanduser() if options.output else net.run_dir
    contents, exported = [], []
    for name in options.format:
        content = to_bytes(program, name, net)
        differences = compare(open_bytes(content, name), sample.images, expected)
        _check(name, differences, expected)
        contents.append(content)
        exported.append(Exported(folder / FILE_NAMES[name], name, differences, sample))
    _write(folder, {each.path: content for each, content in zip(exported, contents, strict=True)})
    return exported


def compare(forward: Forward, images: NDArray[np.uint8], expected: Outputs) -> dict[str, float]:
    """Return the largest absolute difference of each output, over batches of several sizes."""
    starts = [0, 1, *range(BATCH_SIZE, len(images), BATCH_SIZE)]
    largest = dict.fromkeys(expected, 0.0)
    for start, stop in zip(starts, [*starts[1:], len(images)], strict=True):
        if start >= stop:
            continue
        outputs = forward(images[start:stop])
        for name, whole in expected.items():
            difference = np.abs(outputs[name] - whole[start:stop]).max()
            largest[name] = float(np.maximum(largest[name], difference))  # keeps a NaN
    return largest


def _read_sample(net: TrainedNet, options: ExportConfig) -> Sample:
    """Return images spread evenly over the validation part, else over the test part."""
    data = read_run_data(net, options.data_root)
    for note in data.notes:
        say(f"note: {note}")
    dataset, part = data.dataset, "validation"
    indices = split_train_val(dataset.train_labels.numpy(), net.config.data).val_indices
    pixels = dataset.train_images
    if len(indices) == 0:
        indices, pixels, part = np.arange(len(dataset.test_labels)), dataset.test_images, "test"
    count = min(options.num_images, len(indices))
    chosen = indices[np.linspace(0, len(indices) - 1, count).round().astype(np.int64)]
    return Sample(pixels[torch.from_numpy(chosen)].numpy(), part)


def _original(net: TrainedNet, images: NDArray[np.uint8]) -> Outputs:
    batches = torch.from_numpy(images).split(BATCH_SIZE)
    logits = torch.cat([net.logits(batch) for batch in batches])
    if not logits.isfinite().all():
        raise UserError(f"{net.run_dir}: the net gives logits that are not finite")
    return {"logits": logits.numpy(), "probabilities": logits.softmax(1).numpy()}


def _check(name: str, differences: dict[str, float], expected: Outputs) -> None:
    """Refuse a file that is not the net.

    Float32 keeps some seven digits, so what is allowed for logits grows with the largest.
    """
    largest = max(1.0, float(np.abs(expected["logits"]).max()))
    for output, allowed in {"probabilities": TOLERANCE, "logits": TOLERANCE * largest}.items():
        if not differences[output] <= allowed:
            found = f"{output} differ from the net's by {differences[output]:.1e}"
            raise UserError(f"format={name}: {found}, more than {allowed:.1e}; nothing is written")


def _write(folder: Path, contents: dict[Path, bytes]) -> None:
    try:
        with made_folder(folder):
            for path, content in contents.items():
                with replacing(path) as file:
                    file.write(content)
    except OSError as error:
        raise UserError(f"{folder}: cannot be written ({error.strerror})") from error
