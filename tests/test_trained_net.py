"""A net rebuilt from its run folder says what the run said."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import make_tiny_config

from resnet_sweep.config.errors import ConfigError, UserError
from resnet_sweep.data.device import place_data
from resnet_sweep.records.checkpoint import read_model, write_model
from resnet_sweep.records.run_folder import read_predictions
from resnet_sweep.training.evaluation import Normalizer, evaluate
from resnet_sweep.training.run import run_training
from resnet_sweep.training.trained_net import load_net

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained") / "run"
    run_training(make_tiny_config(), folder)
    return folder


def test_it_gives_the_runs_own_predictions(run: Path) -> None:
    stored = read_predictions(run)
    data = place_data(make_tiny_config().data, CPU, with_test=False)
    net = load_net(run, device="cpu")
    found = net.probabilities(data.val.images[:])
    assert found.dtype == np.float32 and found.shape == (len(stored.labels), 10)
    np.testing.assert_allclose(found, stored.probabilities.astype(np.float32), atol=1e-3)
    evaluation = evaluate(net.model, data.val, Normalizer(net.mean, net.std), net.execution)
    np.testing.assert_array_equal(found, evaluation.probabilities.numpy())
    assert net.class_names == tuple(stored.class_names) and net.image_size == 32


@pytest.mark.parametrize("batch_size", [1, 7, 1000])
def test_the_batch_size_changes_nothing(run: Path, batch_size: int) -> None:
    images = np.random.default_rng(0).integers(0, 256, (30, 3, 32, 32), dtype=np.uint8)
    net = load_net(run, device="cpu")
    np.testing.assert_allclose(
        net.probabilities(images, batch_size), net.probabilities(images), atol=1e-6
    )


def test_the_model_file_alone_is_enough(run: Path, tmp_path: Path) -> None:
    shutil.copy(run / "model.pt", tmp_path)
    before = torch.get_rng_state()
    net = load_net(tmp_path)
    assert torch.equal(before, torch.get_rng_state())
    assert not net.model.training
    assert not any(p.requires_grad for p in net.model.parameters())


def test_a_run_of_a_gpu_is_read_on_a_cpu(run: Path, tmp_path: Path) -> None:
    content = read_model(run)
    content["config"]["train"].update(device="cuda", precision="fp16", compile="graph")
    del content["schema_version"]
    write_model(tmp_path, content)
    net = load_net(tmp_path, device="cpu")
    assert net.execution.device == CPU and net.execution.dtype == torch.float32
    images = torch.zeros(2, 3, 32, 32, dtype=torch.uint8)
    np.testing.assert_array_equal(
        net.probabilities(images), load_net(run, device="cpu").probabilities(images)
    )
    low = load_net(tmp_path, device="cpu", precision="bf16").probabilities(images)
    np.testing.assert_allclose(low, net.probabilities(images), atol=0.02)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_run_of_a_cpu_is_read_on_a_gpu(run: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (9, 3, 32, 32), dtype=np.uint8)
    on_gpu = load_net(run, device="cuda", precision="fp32").probabilities(images)
    on_cpu = load_net(run, device="cpu").probabilities(images)
    np.testing.assert_allclose(on_gpu, on_cpu, atol=1e-3)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA device")
def test_a_missing_device_is_named_as_predicts_field(run: Path) -> None:
    with pytest.raises(ConfigError, match=r"^device=cuda: this machine has no NVIDIA GPU"):
        load_net(run, device="cuda")


def _refused(folder: Path) -> str:
    with pytest.raises(UserError) as raised:
        load_net(folder, device="cpu")
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_what_is_missing_is_said(run: Path, tmp_path: Path) -> None:
    assert _refused(tmp_path / "nowhere") == f"{tmp_path / 'nowhere'}: there is no such run folder"
    assert "has no model.pt: it has no config.json either" in _refused(tmp_path)
    shutil.copytree(run, tmp_path / "runs" / "3")
    assert f"name one of them, such as {tmp_path / 'runs' / '3'}" in _refused(tmp_path)
    incomplete = tmp_path / "incomplete"
    incomplete.mkdir()
    shutil.copy(run / "config.json", incomplete)
    assert f"has not completed; resume={incomplete}" in _refused(incomplete)
    whole = (run / "model.pt").read_bytes()
    (incomplete / "model.pt").write_bytes(whole[:-100])
    assert "model.pt: cannot be read" in _refused(incomplete)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("mean", None, "lacks mean"),
        ("state_dict", {}, "do not fit its configuration"),
        ("class_names", ["a", "b"], "do not fit its configuration"),
        ("class_names", "abc", "class_names must be a list"),
        ("image_size", 0, "image_size must be from 1"),
        ("std", torch.tensor([1.0, 0.0, 1.0]), "std must be three finite numbers"),
        ("config", {}, "the configuration lacks"),
    ],
)
def test_a_model_file_that_does_not_fit(
    run: Path, tmp_path: Path, key: str, value: object, message: str
) -> None:
    content = read_model(run)
    del content["schema_version"], content[key]
    write_model(tmp_path, content if value is None else {**content, key: value})
    line = _refused(tmp_path)
    assert message in line and "model.pt" in line
