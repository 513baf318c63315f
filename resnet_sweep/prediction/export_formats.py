"""Bytes of a format from a net, and the outputs of such bytes on images."""

from __future__ import annotations

import importlib.util
import io
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.export import Dim, ExportedProgram

from resnet_sweep.config.errors import ConfigError, UserError
from resnet_sweep.prediction.export_pixel_net import INPUT, OUTPUTS, PixelNet
from resnet_sweep.training.trained_net import TrainedNet

OPSET = 18  # read by onnxruntime 1.14 (2023) and later
BATCH = "batch"
METADATA = "metadata.json"
FILE_NAMES = {"onnx": "model.onnx", "torch_export": "model.pt2"}
ONNX_PACKAGES = ("onnx", "onnxscript", "onnxruntime")

Outputs = dict[str, NDArray[np.float32]]
Forward = Callable[[NDArray[np.uint8]], Outputs]


def require_packages(formats: list[str]) -> None:
    """Refuse a format whose packages are not installed.

    Raises:
        ConfigError: names the extra.
    """
    missing = [name for name in ONNX_PACKAGES if importlib.util.find_spec(name) is None]
    if "onnx" in formats and missing:
        needs = f"needs {', '.join(missing)}: pip install 'resnet_sweep[export]'"
        raise ConfigError("format", "onnx", needs)


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
    return _open_onnx(content) if name == "onnx" else _open_torch(content)


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
    _name_batch(model)
    for key, value in metadata.items():
        text = value if isinstance(value, str) else json.dumps(value)
        model.metadata_props.add(key=key, value=text)
    onnx.checker.check_model(model)
    content: bytes = model.SerializeToString()
    return content


def _name_batch(model: Any) -> None:
    """Call the free dimension by its name; the exporter numbers it."""
    drawn = model.graph.input[0].type.tensor_type.shape.dim[0].dim_param
    assert drawn
    for value in (*model.graph.input, *model.graph.output, *model.graph.value_info):
        for dimension in value.type.tensor_type.shape.dim:
            if dimension.dim_param == drawn:
                dimension.dim_param = BATCH


def _open_onnx(content: bytes) -> Forward:
    import onnxruntime

    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])

    def forward(images: NDArray[np.uint8]) -> Outputs:
        return dict(zip(OUTPUTS, session.run(list(OUTPUTS), {INPUT: images}), strict=True))

    return forward


def _open_torch(content: bytes) -> Forward:
    module = torch.export.load(io.BytesIO(content)).module()

    def forward(images: NDArray[np.uint8]) -> Outputs:
        with torch.no_grad():
            outputs = module(torch.from_numpy(images))
        return {name: outputs[name].numpy() for name in OUTPUTS}

    return forward


def _refusal(net: TrainedNet, problem: str, error: Exception) -> UserError:
    lines = str(error).strip().splitlines() or [""]
    return UserError(f"{net.run_dir}: {problem}: {type(error).__name__}: {lines[0]}")
