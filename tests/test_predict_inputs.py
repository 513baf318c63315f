"""The shift report against accuracies counted here."""

from __future__ import annotations

import csv
import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import make_tiny_config
from torch import Tensor
from trained_runs import DIGITS, make_run

from resnet_sweep.config.compose import to_dict
from resnet_sweep.config.data import DigitsConfig
from resnet_sweep.config.errors import UserError
from resnet_sweep.config.shift import CORRUPTIONS, ShiftConfig
from resnet_sweep.data.corruption import corrupt
from resnet_sweep.data.digits import load_digit_scans
from resnet_sweep.prediction.scoring import Accuracy
from resnet_sweep.prediction.shift_measure import measure
from resnet_sweep.prediction.shift_report import write_report
from resnet_sweep.prediction.shift_scores import ALL_CORRUPTIONS, ModelScores, Row
from resnet_sweep.records.checkpoint import read_model
from resnet_sweep.records.run_folder import read_result
from resnet_sweep.shift import main
from resnet_sweep.training.run import run_trial
from resnet_sweep.training.trained_net import load_net

FILES = ["shift.csv", "shift.json", "shift.md", "shift.png", "shift.svg"]


def test_part() -> tuple[Tensor, np.ndarray]:
    data = load_digit_scans(DigitsConfig())
    return data.test_images, data.test_labels.numpy()


test_part.__test__ = False  # type: ignore[attr-defined]


def accuracy(run: Path, images: Tensor, labels: np.ndarray) -> float:
    return float((load_net(run, "cpu").probabilities(images).argmax(1) == labels).mean())


def find(model: ModelScores, name: str) -> Row:
    return next(row for row in model.rows if row.name == name)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two epochs on the digits, with its result.json."""
    run = tmp_path_factory.mktemp("trained") / "run"
    assert run_trial(make_tiny_config(), run).status == "completed"
    return run


@pytest.fixture
def corrupted_folder(tmp_path: Path) -> Path:
    """The test digits in the form of CIFAR-10-C: fog darkens, frost inverts."""
    images, labels = test_part()
    pixels = images[:50].permute(0, 2, 3, 1).numpy()
    folder = tmp_path / "DIGITS-C"
    folder.mkdir()
    np.save(folder / "fog.npy", np.concatenate([pixels // k for k in range(1, 6)]))
    np.save(folder / "frost.npy", np.concatenate([255 - pixels // k for k in range(1, 6)]))
    np.save(folder / "labels.npy", np.tile(labels[:50], 5))
    return folder


def run_shift(arguments: list[str], monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", ["shift", *arguments])
    main()


def test_clean_accuracy_is_that_of_the_run(trained: Path) -> None:
    report = measure(ShiftConfig(run=str(trained), corruptions=[], device="cpu"))
    (model,) = report.models
    assert model.rows[0].overall.accuracy == pytest.approx(read_result(trained).test_accuracy)
    assert model.notes == () and len(model.rows) == 1
    assert report.num_test == report.num_test_all == 360


def test_each_row_is_what_it_claims(tmp_path: Path, corrupted_folder: Path) -> None:
    runs = [tmp_path / "a", tmp_path / "b"]
    for seed, run in enumerate(runs):
        make_run(run, seed=seed)
    options = ShiftConfig(
        run=[str(run) for run in runs],
        custom=str(corrupted_folder),
        corruptions=["contrast", "shot_noise"],
        seed=3,
        device="cpu",
    )
    report = measure(options)
    images, labels = test_part()
    for run, model in zip(runs, report.models, strict=True):
        assert find(model, "test set").overall == Accuracy(accuracy(run, images, labels), 360)
        for name in options.corruptions:
            row = find(model, name)
            expected = [
                accuracy(run, corrupt(images, name, strength, 3), labels)
                for strength in range(1, 6)
            ]
            assert [score.accuracy for score in row.strengths.values()] == expected
            assert row.overall.accuracy == pytest.approx(np.mean(expected))
            assert row.overall.num_images == 360
        both = [find(model, name).overall.accuracy for name in options.corruptions]
        assert find(model, ALL_CORRUPTIONS).overall.accuracy == pytest.approx(np.mean(both))
        fog = find(model, f"{corrupted_folder}: fog")
        expected = [accuracy(run, images[:50] // k, labels[:50]) for k in range(1, 6)]
        assert [score.accuracy for score in fog.strengths.values()] == expected


def test_a_subset_is_drawn_by_the_seed_and_keeps_its_noise(tmp_path: Path) -> None:
    make_run(tmp_path / "a")
    images, labels = test_part()
    places = np.sort(np.random.default_rng(4).choice(360, 50, replace=False))
    fields: dict[str, Any] = {"run": str(tmp_path / "a"), "seed": 4, "device": "cpu"}
    report = measure(ShiftConfig(**fields, test_subset=50, corruptions=["gaussian_noise"]))
    (model,) = report.models
    noisy = corrupt(images, "gaussian_noise", 5, 4)[torch.from_numpy(places)]
    score = find(model, "gaussian_noise").strengths[5]
    assert score == Accuracy(accuracy(tmp_path / "a", noisy, labels[places]), 50)
    assert (report.num_test, report.num_test_all) == (50, 360)


def test_files_agree(
    trained: Path,
    tmp_path: Path,
    corrupted_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    make_run(tmp_path / "other")
    arguments = [f"run=[{trained},other]", "custom=DIGITS-C", "output=out", "test_subset=40"]
    run_shift([*arguments, "device=cpu"], monkeypatch, tmp_path)
    assert sorted(os.listdir("out")) == FILES
    assert sorted(os.listdir()) == ["DIGITS-C", "other", "out"]
    content = json.loads(Path("out/shift.json").read_text())
    assert [model["run"] for model in content["models"]] == [str(trained), "other"]
    assert content["models"][0]["notes"] == []
    assert "cannot tell whether the data are those" in content["models"][1]["notes"][0]
    assert "Wilson, 95%" in content["interval"] and content["seed"] == 0
    assert set(content["corruption_parameters"]) == set(CORRUPTIONS)
    with open("out/shift.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    scores = [(m["run"], s) for m in content["models"] for s in m["scores"]]
    assert len(rows) == len(scores) == 2 * (1 + 9 * 6 + 2 * 6)
    for row, (run, score) in zip(rows, scores, strict=True):
        assert row["run"] == run
        assert {k: row[k] for k in ("kind", "images", "strength")}.items() <= score.items()
        for name in ("n", "accuracy", "low", "high"):
            assert float(row[name]) == score[name]
        assert score["low"] <= score["accuracy"] <= score["high"]
    shown, table = capsys.readouterr().out, Path("out/shift.md").read_text()
    for text in (shown, table):
        assert text.count("test set") >= 2 and "Wilson, 95%" in text and "DIGITS-C: fog" in text
        assert f"{scores[0][1]['accuracy']:.4f}" in text
        assert "never to choose" in text and "40 of the 360" in text
    assert "note: cannot tell" in shown
    svg = Path("out/shift.svg").read_text()
    assert "gaussian noise" in svg and "DIGITS-C: fog (n=50)" in svg


def test_other_data_are_told(trained: Path, tmp_path: Path) -> None:
    changed = tmp_path / "changed"
    changed.mkdir()
    for name in ("model.pt", "result.json"):
        (changed / name).write_bytes((trained / name).read_bytes())
    content = json.loads((changed / "result.json").read_text())
    (changed / "result.json").write_text(json.dumps({**content, "data_fingerprint": "0" * 32}))
    report = measure(ShiftConfig(run=str(changed), corruptions=[], device="cpu"))
    (note,) = report.models[0].notes
    assert "the data have changed since" in note and "0" * 32 in note


def test_a_net_that_diverged_gets_no_accuracy(tmp_path: Path) -> None:
    make_run(tmp_path / "a")
    weights = read_model(tmp_path / "a")["state_dict"]
    weights["stem.conv.weight"][0] = torch.nan
    make_run(tmp_path / "b", state_dict=weights)
    with pytest.raises(UserError, match="b: the net gives probabilities that are not finite"):
        measure(ShiftConfig(run=str(tmp_path / "b"), device="cpu"))


def test_names_that_are_no_utf_8(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_run(tmp_path / os.fsdecode(b"a\xff$"))
    options = ShiftConfig(run=os.fsdecode(b"a\xff$"), corruptions=[], device="cpu")
    monkeypatch.chdir(tmp_path)
    write_report(measure(options), tmp_path)
    assert set(FILES) < set(os.listdir(tmp_path))


def test_data_that_have_moved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    images, labels = test_part()
    for place in ("old", "new"):
        (tmp_path / place).mkdir()
    for part in ("train", "test"):
        np.savez(tmp_path / "new" / f"{part}.npz", images=images.numpy(), labels=labels)
    config = make_run(tmp_path / "run")
    values = {"name": "arrays", "root": "old", "val_size": 0.1, "split_seed": 0}
    data = {**values, "train_subset": None, "num_classes": None}
    make_run(tmp_path / "moved", config={**to_dict(config), "data": data})
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stopped:
        run_shift(["run=moved", "output=out"], monkeypatch, tmp_path)
    assert stopped.value.code == 2 and not Path("out").exists()
    line = capsys.readouterr().err
    assert line.startswith("error: moved: its data cannot be read: old/train")
    assert line.endswith("data_root=FOLDER says where they lie now\n")
    report = measure(ShiftConfig(run="moved", data_root="new", corruptions=[], device="cpu"))
    assert report.models[0].rows[0].overall.num_images == 360


@pytest.mark.parametrize(
    ("arguments", "expected"),
    {
        "": "run=null: must be a run folder",
        "run=nowhere": "nowhere: there is no such run folder",
        "run=empty": "empty: has no model.pt",
        "run=[run,./run]": "run and ./run are the same; must be a run folder, or a list",
        "run=[run,other]": "differ in classes or image size",
        "run=other": "the data have the classes",
        "run=run corruptions=[fog]": "corruptions=fog: must be one of gaussian_noise",
        "run=true": "run=True: must be a run folder",
        "run=run custom=[empty,empty/]": "empty and empty/ are the same; must be a labelled custom",
        "run=run custom=nowhere": "nowhere",
        "run=run custom=unlabelled.npy": "custom=unlabelled.npy: has no labels",
        "run=run seed=-1": "seed=-1",
        "run=run test_subset=0": "test_subset=0",
        "run=run output=/dev/null/out": "/dev/null",
        "run=run output=empty": "output=empty: exists already",
        "run=run device=tpu": "device=tpu: must be one of",
        "run=run sed=1": "did you mean seed?",
        "run=run --multirun": "--multirun: shift has no multirun",
    }.items(),
)
def test_bad_input_gets_one_line_and_leaves_nothing(
    arguments: str,
    expected: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    make_run(tmp_path / "run")
    make_run(tmp_path / "other", class_names=DIGITS[::-1])
    (tmp_path / "empty").mkdir()
    np.save(tmp_path / "unlabelled.npy", np.zeros((5, 32, 32, 3), np.uint8))
    before = sorted(os.listdir(tmp_path))
    with pytest.raises(SystemExit) as stopped:
        run_shift(arguments.split(), monkeypatch, tmp_path)
    assert stopped.value.code == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1 and lines[0].startswith("error: ") and expected in lines[0], lines
    assert sorted(os.listdir(tmp_path)) == before
