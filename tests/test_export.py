"""Exported files against the net that they came from."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import ROOT
from hydra import compose, initialize_config_dir
from trained_runs import DIGITS, make_run

from resnet_sweep.config.compose import conf_dir, register_schemas, to_config, to_dict
from resnet_sweep.config.data import DigitsConfig
from resnet_sweep.config.errors import UserError
from resnet_sweep.config.export import ExportConfig
from resnet_sweep.config.model import CustomModelConfig, ModelConfig, ResNetConfig
from resnet_sweep.data.digits import load_digit_scans
from resnet_sweep.export import main
from resnet_sweep.prediction import exporting
from resnet_sweep.prediction.exporting import export
from resnet_sweep.records.checkpoint import read_model, write_model
from resnet_sweep.training.run import run_training
from resnet_sweep.training.trained_net import load_net


def small(**fields: object) -> ResNetConfig:
    return ResNetConfig(name="small", widths=[4, 8], blocks=[1, 2], **fields)  # type: ignore[arg-type]


REAL_IMAGES = ROOT / "data" / "cifar10-jpeg"
NETS: dict[str, ModelConfig] = {
    "basic": small(),
    "preact_pad_silu": small(block="preact", shortcut="pad", activation="silu"),
    "squeeze_gelu_pool": small(squeeze_excitation=True, activation="gelu", pool_size=4),
    "pad_leaky_5x5": small(
        shortcut="pad", activation="leaky_relu", kernel_size=5, stem_kernel_size=5, strides=[2, 2]
    ),
    "pyramid": small(block="pyramid", shortcut="pad"),
    "max_pool_no_shortcut": small(downsampling="max_pool", shortcut="none", strides=[1, 3]),
    "custom": CustomModelConfig(target="trained_runs_nets.Attention"),
}
CUSTOM_NETS = """
import torch
from torch import nn


class Attention(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.patches = nn.Conv2d(3, 16, 8, 8)
        self.attention = nn.MultiheadAttention(16, 2, batch_first=True)
        self.head = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.LazyLinear(num_classes))
        self(torch.zeros(1, 3, 32, 32))

    def forward(self, images):
        tokens = self.patches(images).flatten(2).transpose(1, 2)
        return self.head(self.attention(tokens, tokens, tokens)[0])


class Branching(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.linear = nn.Linear(3, num_classes)

    def forward(self, images):
        means = images.mean((2, 3))
        if means.sum() > 1:
            return self.linear(means)
        return self.linear(-means)
"""


@pytest.fixture
def nets_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "trained_runs_nets.py").write_text(CUSTOM_NETS)
    monkeypatch.syspath_prepend(str(tmp_path))


def digit_images() -> torch.Tensor:
    return load_digit_scans(DigitsConfig()).test_images


def by_hand(run: Path, images: torch.Tensor) -> np.ndarray:
    """Logits from model.pt, normalised here."""
    content, net = read_model(run), load_net(run, "cpu").model
    mean, std = (content[name].view(1, 3, 1, 1) for name in ("mean", "std"))
    with torch.no_grad():
        logits: np.ndarray = net((images.float() / 255 - mean) / std).numpy()
    return logits


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["basic", *(pytest.param(n, marks=pytest.mark.engines) for n in NETS if n != "basic")]
)
def test_files_give_what_the_net_gives(name: str, tmp_path: Path, nets_module: None) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    run = tmp_path / "run"
    make_run(run, NETS[name])
    exported = export(ExportConfig(run=str(run), num_images=40))
    assert [each.path.name for each in exported] == ["model.onnx", "model.pt2"]
    assert all(max(each.differences.values()) < 1e-4 for each in exported)
    session = onnxruntime.InferenceSession(run / "model.onnx")
    module = torch.export.load(run / "model.pt2").module()
    for count in (1, 2, 37):
        images = digit_images()[:count]
        expected = by_hand(run, images)
        values = session.run(["logits", "probabilities"], {"images": images.numpy()})
        from_torch = {key: value.detach().numpy() for key, value in module(images).items()}
        for outputs in ({"logits": values[0], "probabilities": values[1]}, from_torch):
            assert outputs["logits"] == pytest.approx(expected, abs=1e-4)
            softmax = torch.from_numpy(expected).softmax(1).numpy()
            assert outputs["probabilities"] == pytest.approx(softmax, abs=1e-5)
            assert outputs["probabilities"].dtype == np.float32


@pytest.mark.slow
def test_a_file_says_what_it_takes_and_gives(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    run = tmp_path / "run"
    make_run(run)
    export(ExportConfig(run=str(run), output=str(tmp_path / "new" / "folder"), num_images=3))
    model = onnx.load(tmp_path / "new" / "folder" / "model.onnx")
    assert [(each.domain, each.version) for each in model.opset_import] == [("", 18)]
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    assert json.loads(metadata["class_names"]) == DIGITS
    assert metadata["image_size"] == "32" and metadata["run"] == str(run)
    shapes = {
        value.name: [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]
        for value in (*model.graph.input, *model.graph.output)
    }
    assert shapes == {
        "images": ["batch", 3, 32, 32],
        "logits": ["batch", 10],
        "probabilities": ["batch", 10],
    }
    assert model.graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.UINT8
    extra = {"metadata.json": ""}
    torch.export.load(tmp_path / "new" / "folder" / "model.pt2", extra_files=extra)
    assert json.loads(extra["metadata.json"])["class_names"] == DIGITS
    assert sorted(os.listdir(run)) == ["model.pt"]


def test_a_net_that_cannot_be_traced(tmp_path: Path, nets_module: None) -> None:
    run = tmp_path / "run"
    make_run(run, CustomModelConfig(target="trained_runs_nets.Branching"))
    with pytest.raises(UserError, match=r"torch\.export cannot trace this net") as refused:
        export(ExportConfig(run=str(run), format="torch_export"))
    assert "\n" not in str(refused.value)
    assert os.listdir(run) == ["model.pt"]


@pytest.mark.slow
def test_a_file_that_differs_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    make_run(run)
    exact = exporting.open_bytes

    def spoilt(content: bytes, name: str) -> exporting.Forward:
        forward = exact(content, name)
        return lambda images: {key: value + 2e-4 for key, value in forward(images).items()}

    monkeypatch.setattr(exporting, "open_bytes", spoilt)
    with pytest.raises(UserError, match=r"differ from the net's by 2\.0e-04, more than 1\.0e-04"):
        export(ExportConfig(run=str(run), format="torch_export"))
    assert os.listdir(run) == ["model.pt"]


def test_a_nan_is_a_difference() -> None:
    expected = {"logits": np.zeros((3, 2), np.float32)}
    images = np.zeros((3, 3, 4, 4), np.uint8)

    def forward(batch: np.ndarray) -> exporting.Outputs:
        value = np.nan if len(batch) == 1 else 0  # in the first batch alone
        return {"logits": np.full((len(batch), 2), value, np.float32)}

    assert np.isnan(exporting.compare(forward, images, expected)["logits"])


def test_comparison_meets_every_image() -> None:
    met: list[int] = []

    def forward(batch: np.ndarray) -> exporting.Outputs:
        met.extend(batch[:, 0, 0, 0])
        return {"logits": np.zeros((len(batch), 2), np.float32)}

    for count in (1, 2, 250, 251, 600):
        met.clear()
        images = np.zeros((count, 3, 4, 4), np.uint8)
        images[:, 0, 0, 0] = np.arange(count) % 256
        exporting.compare(forward, images, {"logits": np.zeros((count, 2), np.float32)})
        assert met == [place % 256 for place in range(count)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "expected"),
    {
        "": "run=null: must be a run folder",
        "run=nowhere": "nowhere: there is no such run folder",
        "run=empty": "empty: has no model.pt",
        "run=run format=tflite": "format=tflite: must be one of onnx, torch_export",
        "run=run format=[]": "format=[]: must be some of",
        "run=run num_images=0": "num_images=0: must be an integer",
        "run=run fromat=onnx": "did you mean format?",
        "run=run output=/dev/null/here format=torch_export": "/dev/null/here",
        "run=other": "the data have the classes 0, 1, 2",
        "run=run -m": "-m: export has no multirun",
    }.items(),
)
def test_bad_input_gets_one_line(
    arguments: str,
    expected: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    make_run(tmp_path / "run")
    make_run(tmp_path / "other", class_names=DIGITS[::-1])
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["export", *arguments.split()])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1 and lines[0].startswith("error: ") and expected in lines[0], lines
    assert sorted(os.listdir()) == ["empty", "other", "run"]
    assert os.listdir("run") == ["model.pt"]


@pytest.mark.slow
def test_a_missing_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_run(tmp_path / "run")
    find = exporting.importlib.util.find_spec
    hidden = lambda name: None if name == "onnxruntime" else find(name)  # noqa: E731
    monkeypatch.setattr(exporting.importlib.util, "find_spec", hidden)
    with pytest.raises(UserError, match=r"onnxruntime: pip install 'resnet_sweep\[export\]'"):
        export(ExportConfig(run=str(tmp_path / "run")))
    export(ExportConfig(run=str(tmp_path / "run"), format="torch_export", num_images=2))
    assert sorted(os.listdir(tmp_path / "run")) == ["model.pt", "model.pt2"]


def test_a_net_left_in_training_mode_is_exported_in_evaluation_mode(tmp_path: Path) -> None:
    config = make_run(tmp_path / "run", small())
    config.regularization.dropout = config.regularization.stochastic_depth = 0.5
    content = {**read_model(tmp_path / "run"), "config": to_dict(config)}
    write_model(tmp_path / "run", content)
    net = load_net(tmp_path / "run", "cpu")
    images = digit_images()[:5]
    expected = net.logits(images)
    net.model.train()
    assert (exporting.trace(net).module()(images)["logits"] - expected).abs().max() < 1e-5
    assert net.model.training


@pytest.mark.slow
def test_a_net_with_ghost_batch_norm_is_that_with_batch_norm(tmp_path: Path) -> None:
    config = make_run(tmp_path / "run", small())
    expected = by_hand(tmp_path / "run", digit_images()[:5])
    config.regularization.ghost_batch_size = 16
    content = {**read_model(tmp_path / "run"), "config": to_dict(config)}
    write_model(tmp_path / "run", content)
    (exported,) = export(
        ExportConfig(run=str(tmp_path / "run"), format="torch_export", num_images=20)
    )
    module = torch.export.load(exported.path).module()
    found = module(digit_images()[:5])["logits"].numpy()
    assert found == pytest.approx(expected, abs=1e-4)


@pytest.mark.engines
@pytest.mark.parametrize("name", ["wrn_2343", "resnet20"])
def test_shipped_nets_on_real_images(name: str, tmp_path: Path) -> None:
    """One epoch on photographs, then both files against the net on 1,000 of the others."""
    pytest.importorskip("onnxruntime")
    if not (REAL_IMAGES / "train").is_dir():
        pytest.skip(f"{REAL_IMAGES} is missing: unpack the JPEG copy of CIFAR-10 there")
    register_schemas()
    overrides = [f"model={name}", "data=image_folder", f"data.root={REAL_IMAGES}"]
    overrides += ["data.train_subset=1000", "data.val_size=1000", "train.epochs=1"]
    # Steps enough for the batch statistics to settle: else the logits are in the thousands.
    overrides += ["train.batch_size=25", "optimizer.lr=0.01", "scheduler.warmup_epochs=0"]
    overrides += ["train.figures=false", "tracker=none", "evaluate_test=false"]
    with initialize_config_dir(str(conf_dir().resolve())):
        config = to_config(compose("config", overrides))
    assert run_training(config, tmp_path / "run").status == "completed"
    for exported in export(ExportConfig(run=str(tmp_path / "run"))):
        assert exported.num_images == 1000 and exported.part == "validation"
        assert max(exported.differences.values()) < 1e-4, exported.describe()
