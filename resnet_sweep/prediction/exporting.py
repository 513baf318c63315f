"""A trained net as ONNX and torch.export files, each compared with the net on real images."""

from __future__ import annotations

import copy
import importlib.util
import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from resnet_sweep.config.errors import ConfigError, UserError
from resnet_sweep.config.export import ExportConfig
from resnet_sweep.data.split import split_train_val
from resnet_sweep.system.atomic import replacing
from resnet_sweep.system.console import say
from resnet_sweep.system.staging import check_folder, made_folder
from resnet_sweep.training.trained_net import TrainedNet, load_net, read_run_data

INPUT = "images"
OUTPUTS = ("logits", "probabilities")
OPSET = 18  # read by onnxruntime 1.14 (2023) and later
BATCH = "batch"
METADATA = "metadata.json"
FILE_NAMES = {"onnx": "model.onnx", "torch_export": "model.pt2"}
ONNX_PACKAGES = ("onnx", "onnxscript", "onnxruntime")
TOLERANCE = 1e-4
# The last batch is another one, and one image is tried by itself.
BATCH_SIZE = 250

Outputs = dict[str, NDArray[np.float32]]
Forward = Callable[[NDArray[np.uint8]], Outputs]


@dataclass(frozen=True)
class Exported:
    """A file that was written.

    Args:
        differences: largest absolute ones from the net, of each output.
        num_images, part: on how many images, and of which part of the data.
    """

    path: Path
    format: str
    differences: dict[str, float]
    num_images: int
    part: str

    def describe(self) -> str:
        kind = f"ONNX, opset {OPSET}" if self.format == "onnx" else "torch.export"
        parts = ", ".join(f"{value:.1e} in {name}" for name, value in self.differences.items())
        images = f"{self.num_images:,} {self.part} images"
        return f"{self.path}: {kind}; largest difference from the net on {images}: {parts}"


def export(options: ExportConfig) -> list[Exported]:
    """Write the files that the options name; none before all have been checked.

    Raises:
        UserError: a package, the net or its data is missing, or a file would not do.
    """
    assert options.run is not None
    missing = [name for name in ONNX_PACKAGES if importlib.util.find_spec(name) is None]
    if "onnx" in options.format and missing:
        needs = f"needs {', '.join(missing)}: pip install 'resnet_sweep[export]'"
        raise ConfigError("format", "onnx", needs)
    if options.output is not None:
        check_folder(Path(options.output).expanduser())
    net = load_net(Path(options.run).expanduser(), device="cpu", precision="fp32")
    images, part = _read_images(net, options)
    expected = _original(net, images)
    program = trace(net)
    folder = Path(options.output).expanduser() if options.output else net.run_dir
    contents, exported = [], []
    for name in options.format:
        content = to_bytes(program, name, net)
        differences = compare(open_bytes(content, name), images, expected)
        _check(name, differences, expected)
        contents.append(content)
        path = folder / FILE_NAMES[name]
        exported.append(Exported(path, name, differences, len(images), part))
    try:
        with made_folder(folder):
            for each, content in zip(exported, contents, strict=True):
                with replacing(each.path) as file:
                    file.write(content)
    except OSError as error:
        raise UserError(f"{folder}: cannot be written ({error.strerror})") from error
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


def _read_images(net: TrainedNet, options: ExportConfig) -> tuple[NDArray[np.uint8], str]:
    """Return images spread evenly over the validation part, else the test part, and which."""
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
    return pixels[torch.from_numpy(chosen)].numpy(), part


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


class PixelNet(nn.Module):
    """Map uint8 images [N, 3, S, S] to logits and probabilities, float32 [N, classes]."""

    scale: Tensor
    shift: Tensor

    def __init__(self, net: TrainedNet) -> None:
        super().__init__()
        self.net = copy.deepcopy(net.model).to(memory_format=torch.contiguous_format)
        self.register_buffer("scale", net.normalize.scale.clone())
        self.register_buffer("shift", net.normalize.shift.clone())
        self.eval()

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        logits = self.net(images.float() * self.scale + self.shift)
        return dict(zip(OUTPUTS, (logits, logits.softmax(1)), strict=True))


def trace(net: TrainedNet) -> ExportedProgram:
    """Return the program of a net for any number of images.

    Raises:
        UserError: torch.export cannot trace this net.
    """
    images = torch.zeros(2, 3, net.image_size, net.image_size, dtype=torch.uint8)
    shapes = {INPUT: {0: Dim(BATCH, min=1)}}
    try:
        with torch.no_grad():
            return torch.export.export(PixelNet(net), (images,), dynamic_shapes=shapes)
    except Exception as error:  # a custom net can make it raise anything
        raise _refusal(net, "torch.export cannot trace this net", error) from error


def to_bytes(program: ExportedProgram, name: str, net: TrainedNet) -> bytes:
    """Return the content of a file of the format `name`.

    Raises:
        UserError: ONNX cannot express the net.
    """
    if name == "torch_export":
        buffer = io.BytesIO()
        torch.export.save(program, buffer, extra_files={METADATA: json.dumps(describe_net(net))})
        return buffer.getvalue()
    try:
        return _to_onnx(program, describe_net(net))
    except Exception as error:
        raise _refusal(net, "ONNX cannot express this net", error) from error


def open_bytes(content: bytes, name: str) -> Forward:
    """Return what a reader of the file computes, on the CPU."""
    if name == "onnx":
        import onnxruntime

        session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
        return lambda images: dict(
            zip(OUTPUTS, session.run(list(OUTPUTS), {INPUT: images}), strict=True)
        )
    module = torch.export.load(io.BytesIO(content)).module()

    def forward(images: NDArray[np.uint8]) -> Outputs:
        with torch.no_grad():
            outputs = module(torch.from_numpy(images))
        return {name: outputs[name].numpy() for name in OUTPUTS}

    return forward


def describe_net(net: TrainedNet) -> dict[str, Any]:
    """Return the metadata of a file."""
    side = net.image_size
    return {
        "class_names": list(net.class_names),
        "image_size": side,
        "input": f"{INPUT}: uint8 [{BATCH}, 3, {side}, {side}], RGB from 0 to 255",
        "outputs": f"{', '.join(OUTPUTS)}: float32 [{BATCH}, {len(net.class_names)}]",
        "run": str(net.run_dir),
    }


def _to_onnx(program: ExportedProgram, metadata: dict[str, Any]) -> bytes:
    import onnx

    exported = torch.onnx.export(
        program,
        opset_version=OPSET,
        input_names=[INPUT],
        output_names=list(OUTPUTS),
        dynamo=True,
        external_data=False,
        verbose=False,
    )
    assert exported is not None
    model = exported.model_proto
    # The exporter numbers the free dimension.
    drawn = model.graph.input[0].type.tensor_type.shape.dim[0].dim_param
    assert drawn
    for part in (*model.graph.input, *model.graph.output, *model.graph.value_info):
        for dimension in part.type.tensor_type.shape.dim:
            if dimension.dim_param == drawn:
                dimension.dim_param = BATCH
    for key, value in metadata.items():
        text = value if isinstance(value, str) else json.dumps(value)
        model.metadata_props.add(key=key, value=text)
    onnx.checker.check_model(model)
    content: bytes = model.SerializeToString()
    return content


def _refusal(net: TrainedNet, problem: str, error: Exception) -> UserError:
    lines = str(error).strip().splitlines() or [""]
    return UserError(f"{net.run_dir}: {problem}: {type(error).__name__}: {lines[0]}")
