"""A user's mistake on the command line: one line, exit status 2, nothing left behind."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
import torch
from conftest import TINY_OVERRIDES, run_train, train_here

from resnet_sweep.train import main

BAD_INPUT = {
    "model=nothing": "model=nothing",
    "modell=wrn_2343": "did you mean model?",
    "optimizer.momentun=0.9": "did you mean momentum?",
    "+optimizer.momentun=0.9": "did you mean momentum?",
    "train.epochs=many": "train.epochs=many: must be a whole number",
    "optimizer.lr=0,01": "optimizer.lr=0,01: must be one number, with a point: optimizer.lr=0.01",
    "optimizer.betas=0.9,0.99": "write optimizer.betas=[0.9,0.99] for a list",
    "epochs=3": "epochs: there is no such field; did you mean train.epochs?",
    "learning_rate=0.1": "did you mean optimizer.lr?",
    "outputs/runs/a": "outputs/runs/a: must be field=value",
    "data.root=größe": "letters beyond a to z need quotes within quotes: \"data.root='größe'\"",
    "augmentation=[crop_flip,": "augmentation=[crop_flip,: a bracket is left open",
    "hydra/sweeper=optuna": "hydra/sweeper=optuna: a sweep needs -m",
    "hydra.sweeper.n_trials=3": "hydra.sweeper.n_trials=3: a sweep needs -m",
    "train.epochs=0": "train.epochs=0",
    "train.batch_size=-1": "train.batch_size=-1",
    "train.batch_size=100000": "train.batch_size=100000",
    "optimizer.lr=nan": "optimizer.lr=nan",
    "optimizer.lr=-.inf": "optimizer.lr",
    "regularization.weight_decay=inf": "regularization.weight_decay=inf",
    "regularization.dropout=1": "regularization.dropout=1",
    "regularization.sam_rho=0.1": "regularization.sam_rho=0.1: needs regularization.sam=sam",
    "regularization.ghost_batch_size=48": "must divide train.batch_size=64",
    "augmentation.crop_flip.alternate_flip=true augmentation.crop_flip.flip_probability=0.3": (
        "augmentation.crop_flip.flip_probability=0.3: must be 0.5"
    ),
    "regularization=strong regularization.swa_start=0.5": "regularization.swa_start=0.5: takes",
    "train.start_image_size=16 model.pool_size=2": "train.start_image_size=16: needs a net",
    "scheduler.warmup_epochs=9": "train.epochs=2",
    "model.widths=[4,8,16]": "model.widths=[4, 8, 16]",
    "model.strides=[1]": "model.strides=[1]",
    "model.kernel_size=4": "model.kernel_size=4",
    "model.kernel_size=[3,5,7]": "model.kernel_size=[3, 5, 7]",
    "model.kernel_size=99": "model.kernel_size",
    "model.pool_size=50": "model.pool_size=50",
    "model.downsampling=average": "model.downsampling=average: must be one of stride, max_pool",
    "model.shortcut=none init.zero_init_residual=true": "zero_init_residual=True: must be false",
    "model.shortcut=none regularization.stochastic_depth=0.1": "stochastic_depth=0.1: must be 0",
    "model.strides=[8,8]": "model.strides",
    "model.widths=[2000,2000]": "5,000,000; the largest of this shape that fits: model.widths=",
    "model.max_multiply_adds=10": "model.max_multiply_adds=10",
    "train.precision=fp8": "train.precision=fp8",
    "data.val_size=5000": "data.val_size=5000",
    "data.val_size=1.5": "data.val_size=1.5",
    "data.train_subset=0": "data.train_subset=0",
    "data=image_folder": "data.root=null",
    "data=cifar10 data.download=false data.root=nowhere": "nowhere",
    "scheduler=plateau data.val_size=0": "plateau",
    "model=custom": "model.target=null",
    "model=custom model.target=no.such.Net": "model.target=no.such.Net",
    "resume=nowhere": "resume=nowhere",
    "+resume=nowhere": "resume=nowhere",
    "resume=": "resume=",
    "model=null": "model",
    "~model": "model",
    "augmentation=[nothing]": "augmentation=nothing: there is no such option",
    "model.width_factor=3": "model.width_factor=3",
    "hydra.run.dir=/dev/null/run": "/dev/null/run",
    "search_space=[init]": "search_space=[init]: a sweep needs -m",
    "data.name=nothing": "data.name=nothing",
    "hydra.run.dir=": "hydra.run.dir='': must be the name of a folder",
    "-m seed=1,2 hydra.sweep.dir=": "hydra.sweep.dir='': must be the name of a folder",
    "-m seed=1,2 hydra.sweep.dir=/dev/null": "hydra.sweep.dir=/dev/null: cannot be made",
    "-m seed=1,2 search_space=[init]": "search_space=[init]: only a sweep searches it",
    "hydra.job.chdir=true": "hydra.job.chdir=True: must be false",
    "hydra.run.dir='caf\udce9'": "must be a path in UTF-8",
    "data=image_folder data.root=": "data.root='': must be the name of a folder",
    "resume=a resume=b": "resume=a resume=b: goes on with one run",
    "experiment=fast_93 model=resnet20": "model=resnet20: the experiment sets model.name, model.",
    "experiment=best_10_minutes optimizer=muon": "optimizer=muon: the experiment sets optimizer.lr",
    "-m experiment=source_tuned augmentation=none,cutout": "augmentation=none: the experiment sets",
    "model.widths=[4,8] model.base_width=4": "model.widths=[4,8]: does not count beside",
    "-m model.widths=[4,8],[8,8] model.base_width=4": "model.widths=[4,8]: does not count beside",
}


@pytest.mark.slow
def test_what_has_no_effect_is_told_once(tmp_path: Path) -> None:
    done = train_here(*TINY_OVERRIDES, "-m", "init.std=0.1,0.2", "train.epochs=1", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("note: init.std changes nothing here\n") == 1


@pytest.mark.slow
def test_what_has_an_effect_in_one_of_several_runs_is_not_told(tmp_path: Path) -> None:
    words = ["-m", "init=normal,orthogonal", "init.std=0.1", "train.epochs=1"]
    words += ["model.widths=null", "model.base_width=4"]  # which is not refused
    done = train_here(*TINY_OVERRIDES, *words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "note: " not in done.stdout


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("epochs: many", "mine.yaml: train.epochs=many: must be a whole number"),
        ("epoch: 3", "mine.yaml: train.epoch: there is no such field; did you mean epochs?"),
    ],
)
def test_a_mistake_in_a_file_names_the_file(line: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "experiment").mkdir()
    text = f"# @package _global_\ntrain:\n  {line}\n"
    (tmp_path / "experiment/mine.yaml").write_text(text)
    done = train_here("--config-dir", ".", "experiment=mine", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (2, f"error: experiment/{message}\n")


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (["experiment=mine", "model=resnet20"], 2),
        (["experiment=top", "model=resnet20"], 2),
        (["experiment=chosen"], 0),
        (["experiment=mine", "model=resnet20", "model.activation=silu"], 0),
    ],
)
@pytest.mark.parametrize("how", [["--config-dir", "own"], ["hydra.searchpath=[file://own]"]])
def test_options_beside_an_experiment_of_ones_own(
    how: list[str], words: list[str], status: int, tmp_path: Path
) -> None:
    files = {
        "mine": "model:\n  activation: gelu\n",
        "deep/base": "model:\n  activation: gelu\n",
        "top": "defaults:\n  - /experiment/deep/base\n  - _self_\n",
        "chosen": "defaults:\n  - override /data: digits\ndata:\n  name: digits\n",
    }
    for name, text in files.items():
        path = tmp_path / f"own/experiment/{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"# @package _global_\n{text}")
    given = [*how, *words, *TINY_OVERRIDES, "hydra.run.dir=run"]
    done = train_here(*given, cwd=tmp_path)
    assert done.returncode == status, done.stderr
    assert ("the experiment sets" in done.stderr) == bool(status)


@pytest.mark.slow
@pytest.mark.parametrize("overrides", BAD_INPUT)
def test_bad_input_gets_one_line_and_leaves_nothing(
    tmp_path: Path,
    overrides: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    given = overrides.split()
    kept = [o for o in TINY_OVERRIDES if not any(_replaces(g, o) for g in given)]
    if "resume=" in given[0]:
        kept = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
    monkeypatch.setattr(sys, "argv", ["train", *kept, *given])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1 and lines[0].startswith("error: "), lines
    assert BAD_INPUT[overrides] in lines[0]
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("option", ["hydra.run.dir", "resume"])
def test_a_name_that_no_file_system_takes_is_one_line(
    tmp_path: Path,
    option: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
    kept = [] if option == "resume" else TINY_OVERRIDES
    monkeypatch.setattr(sys, "argv", ["train", *kept, f"{option}={'n' * 300}"])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("error: ") and "n" * 40 in line
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA device")
@pytest.mark.parametrize("override", ["train.device=cuda", "train.compile=graph"])
def test_what_needs_a_gpu_is_refused_without_one(tmp_path: Path, override: str) -> None:
    kept = [o for o in TINY_OVERRIDES if not _replaces(override, o)]
    done = train_here(*kept, override, cwd=tmp_path)
    assert done.returncode == 2
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1 and override in lines[0]
    assert os.listdir(tmp_path) == []


def _replaces(given: str, tiny: str) -> bool:
    """Whether an override takes the place of a tiny one (a group replaces its fields)."""
    key = given.lstrip("+").partition("=")[0]
    tiny_key = tiny.partition("=")[0]
    return tiny_key == key or ("." not in key and tiny_key.startswith(f"{key}."))


def test_full_errors_on_request(tmp_path: Path) -> None:
    done = run_train("seed=-1", *TINY_OVERRIDES, cwd=tmp_path, HYDRA_FULL_ERROR="1")
    assert done.returncode == 1
    assert "Traceback" in done.stderr
