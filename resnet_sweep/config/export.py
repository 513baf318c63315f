"""Schema of `python -m resnet_sweep.export`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Optional

from resnet_sweep.config.errors import list_of, require, require_int, require_one_of

FORMATS = ("onnx", "torch_export")


@dataclass
class ExportConfig:
    """Which net becomes which files.

    Args:
        run: a run folder: its model.pt is what is exported; required.
        format: `onnx` (model.onnx, opset 18, for onnxruntime and others), `torch_export`
            (model.pt2, for torch.export.load), or both.
        output: folder of the files; null: the run folder.
        num_images: real images of the run's validation part (of its test part where it has none)
            on which each file is compared with the net before it is written.
        data_root: where the run's data lie now; null: where the run read them.
    """

    run: Optional[str] = None
    format: Any = field(default_factory=lambda: list(FORMATS))
    output: Optional[str] = None
    num_images: int = 1000
    data_root: Optional[str] = None

    def __post_init__(self) -> None:
        require(bool(self.run), "run", self.run, "must be a run folder")
        self.format = list_of("format", self.format)
        require(len(self.format) > 0, "format", "[]", f"must be some of {', '.join(FORMATS)}")
        for name in self.format:
            require_one_of("format", name, FORMATS)
        require(self.output != "", "output", self.output, "must be a folder")
        require_int("num_images", self.num_images, 1)
