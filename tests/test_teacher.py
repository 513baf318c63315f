"""Distillation against the definition, and a teacher from its run folder."""

from __future__ import annotations

import copy
import hashlib
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from conftest import make_tiny_config
from device_waits import WAITING, Recorder
from test_run import InterruptAt, numbers

from resnet_sweep import compose_config
from resnet_sweep.config import Config
from resnet_sweep.config.errors import ConfigError
from resnet_sweep.config.regularization import RegularizationConfig
from resnet_sweep.records.run_folder import MODEL, read_config, read_metrics
from resnet_sweep.training import teacher
from resnet_sweep.training.device import choose_execution
from resnet_sweep.training.loop import build_step
from resnet_sweep.training.run import prepare, run_training
from resnet_sweep.training.step import TrainStep
from resnet_sweep.training.teacher import Teacher, distillation_loss
from resnet_sweep.training.trained_net import TrainedNet, load_net_on


def test_the_loss_is_the_papers() -> None:
    student, teacher = torch.randn(2, 5, 4, dtype=torch.float64)
    soft = (teacher / 3).exp() / (teacher / 3).exp().sum(1, keepdim=True)
    own = (student / 3).exp() / (student / 3).exp().sum(1, keepdim=True)
    expected = 9 * (soft * (soft / own).log()).sum(1).mean()
    torch.testing.assert_close(distillation_loss(student, teacher, 3.0), expected)


def test_at_a_high_temperature_it_matches_logits() -> None:
    """Hinton et al. 2015, equation 4: the gradient is that of centred logits over N classes."""
    student, teacher = torch.randn(2, 5, 4, dtype=torch.float64)
    student.requires_grad_()
    distillation_loss(student, teacher, 1e8).backward()
    centred = [x - x.mean(1, keepdim=True) for x in (student.detach(), teacher)]
    expected = (centred[0] - centred[1]) / 4 / 5
    torch.testing.assert_close(student.grad, expected, rtol=1e-4, atol=1e-8)


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run_dir = tmp_path_factory.mktemp("teacher") / "run"
    assert run_training(make_tiny_config(), run_dir).status == "completed"
    return run_dir


def student_config(run_dir: Path, **fields: float) -> Config:
    regularization = RegularizationConfig(distill_from=str(run_dir), **fields)  # type: ignore[arg-type]
    return replace(make_tiny_config(), regularization=regularization, seed=1)


@pytest.mark.slow
def test_a_teacher_answers_as_its_run_did(taught: Path) -> None:
    """Also where the student's images are normalised in another way."""
    config = student_config(taught)
    execution = choose_execution(config.train)
    data = prepare(config).data
    other = replace(data, mean=data.mean + 0.1, std=data.std * 2)
    val = other.val.images[:].float() / 255
    shape = (1, 3, 1, 1)
    floats = (val - other.mean.view(shape)) / other.std.view(shape)
    logits = Teacher(str(taught), other, execution)(floats)
    accuracy = (logits.argmax(1) == other.val.labels).float().mean().item()
    loss = F.cross_entropy(logits, other.val.labels).item()
    last = read_metrics(taught)[-1]
    assert accuracy == pytest.approx(last.val_accuracy)
    assert loss == pytest.approx(last.val_loss, rel=1e-4)


def test_a_teacher_is_loaded_once_until_its_file_changes(
    taught: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_dir = Path(shutil.copytree(taught, tmp_path / "copy"))
    config, loaded = student_config(run_dir), []

    def load(*arguments: Any) -> TrainedNet:
        loaded.append(arguments)
        return load_net_on(*arguments)

    monkeypatch.setattr(teacher, "load_net_on", load)
    for _ in range(3):  # the command's check, its run, the worker's next trial
        first = prepare(config).teacher
    assert len(loaded) == 1
    weights = torch.load(run_dir / MODEL, weights_only=True)
    torch.save(weights, run_dir / MODEL)
    second = prepare(config).teacher
    assert len(loaded) == 2 and first is not None and second is not None
    assert second.model is not first.model


def build(config: Config) -> TrainStep:
    prepared = prepare(config)
    return build_step(config, prepared.data, prepared.execution, prepared.teacher)


def test_the_weight_is_the_teachers_share(taught: Path) -> None:
    losses = {}
    for weight in (0.0, 0.25, 1.0):
        config = student_config(taught, distill_weight=weight, weight_decay=0.0)
        step = build(config)
        torch.manual_seed(3)
        step(torch.arange(64), 0.0, 0)
        losses[weight] = step.take_sums(64)[0]
    assert losses[0.25] == pytest.approx(0.75 * losses[0.0] + 0.25 * losses[1.0], rel=1e-5)


def test_nothing_waits_for_the_device_and_the_teacher_stays(taught: Path) -> None:
    config = student_config(taught)
    step = build(config)
    assert step.teacher is not None
    before = copy.deepcopy(step.teacher.model.state_dict())
    step(torch.arange(64), 0.1, 0)
    with Recorder() as recorder:
        step._step()
    assert recorder.names & WAITING == set()
    for name, value in step.teacher.model.state_dict().items():
        assert torch.equal(value, before[name])


def test_a_student_trains_and_its_start_is_its_seeds(taught: Path, tmp_path: Path) -> None:
    plain = replace(make_tiny_config(), seed=1)
    nets = [build(config).model for config in (plain, student_config(taught))]
    for a, b in zip(nets[0].parameters(), nets[1].parameters(), strict=True):
        assert torch.equal(a, b)
    assert run_training(student_config(taught), tmp_path / "run").status == "completed"


def test_an_interrupted_student_ends_as_an_uninterrupted_one(
    taught: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_training(student_config(taught), tmp_path / "whole")
    with monkeypatch.context() as patch:
        InterruptAt(patch, 4)
        assert run_training(student_config(taught), tmp_path / "parts").status == "interrupted"
    run_training(student_config(taught), tmp_path / "parts")
    assert numbers(tmp_path / "parts") == numbers(tmp_path / "whole")


@pytest.mark.slow
def test_a_teacher_for_one_size_is_refused_where_images_grow(tmp_path: Path) -> None:
    config = make_tiny_config()
    config.train.epochs = 1
    config.model = replace(config.model, pool_size=4)  # type: ignore[type-var]
    assert run_training(config, tmp_path / "run").status == "completed"
    student = student_config(tmp_path / "run")
    student.train.start_image_size = 16
    with pytest.raises(ConfigError, match=r"distill_from=.* side train\.start_image_size=16"):
        run_training(student, tmp_path / "student")
    assert not (tmp_path / "student").exists()


def test_a_folder_without_a_net_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"distill_from=.*must be a folder of a completed run"):
        run_training(student_config(tmp_path / "nothing"), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_configuration_keeps_the_net_that_its_run_learnt_from(
    taught: Path, tmp_path: Path
) -> None:
    """Its digest is written to the record, read back and composed; another net is refused."""
    place = Path(shutil.copytree(taught, tmp_path / "teacher"))
    run_training(student_config(place), tmp_path / "run")
    recorded = read_config(tmp_path / "run")
    digest = hashlib.blake2b((place / MODEL).read_bytes(), digest_size=16).hexdigest()
    assert recorded.regularization.distill_from_digest == digest
    field = "regularization.distill_from"
    words = [f"{field}={place}", f"{field}_digest={digest}"]
    assert compose_config(*words).regularization.distill_from_digest == digest
    torch.save(torch.load(taught / MODEL, weights_only=True), place / MODEL)
    with (place / MODEL).open("ab") as file:
        file.write(b"0")
    for config in (recorded, replace(recorded, seed=2)):
        with pytest.raises(ConfigError, match=f"another net.*not {digest}"):
            run_training(config, tmp_path / "again")
    assert not (tmp_path / "again").exists()
    with pytest.raises(ConfigError, match="digest=aa: needs"):
        RegularizationConfig(distill_from_digest="aa")
