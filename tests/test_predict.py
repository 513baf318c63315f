"""Prediction from the command line: tables, averages, and what is left behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import train_here
from PIL import Image
from prediction import IMAGES, LABELS, predict_digits, predict_here, read_rows

from resnet_sweep.records.checkpoint import read_model, write_model
from resnet_sweep.records.run_folder import read_result

FILES = {
    "predictions.csv",
    "probabilities.npz",
    "report.json",
    "thumbnails.png",
    "contact_sheet.png",
}
TABLES = {"accuracy.csv", "accuracy.md", "accuracy.json"}
LABELLED_FILES = FILES | TABLES | {"confusion.csv", "confusion.png", "mistakes.png"}


pytestmark = pytest.mark.usefixtures("own_folder")


def test_a_labelled_set_gets_the_runs_own_test_accuracy(
    runs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = predict_digits(monkeypatch, runs, f"run={runs / 'a'}", "labels=indices")
    assert {path.name for path in out.iterdir()} == LABELLED_FILES
    assert os.listdir() == ["out"]
    report = json.loads((out / "report.json").read_text())
    assert report["plain"]["accuracy"] == pytest.approx(read_result(runs / "a").test_accuracy)
    assert report["num_images"] == report["plain"]["num_images"] == 360
    assert report["augmented"] is None and report["messages"] == []
    with np.load(out / "probabilities.npz") as arrays:
        guesses = arrays["probabilities"].argmax(1)
        assert arrays["probabilities"].dtype == np.float32
        np.testing.assert_array_equal(arrays["labels"], LABELS)
    assert read_rows(out / "predictions.csv") == [
        ["ID", "Labels"],
        *[[str(i), str(guess)] for i, guess in enumerate(guesses)],
    ]
    confusion = read_rows(out / "confusion.csv")
    assert sum(int(cell) for row in confusion[1:] for cell in row[1:]) == 360
    printed = capsys.readouterr().out
    assert "recognised: digits.npz with 'images', N,C,H,W" in printed
    assert "classes of this net: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9\n" in printed
    assert "95% interval" in printed and "n = 360" in printed and "predictions: out" in printed


def test_without_labels_there_are_no_scores(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = predict_here(monkeypatch, f"run={runs / 'a'}", f"input={runs / 'unlabelled.npy'}")
    assert code == 0
    (out,) = Path("outputs/predictions").iterdir()
    assert {path.name for path in out.iterdir()} == FILES
    report = json.loads((out / "report.json").read_text())
    assert report["plain"] is None and report["members"] == []


BAD_INPUT = {
    "run=nowhere": "nowhere: there is no such run folder",
    "run=null": "run=null: must be a run folder",
    "run=[]": "run=[]: must be a run folder",
    "run=[a,./a]": "a and ./a are the same; must be a run folder, or a list of different ones",
    "run=true": "run=True: must be a run folder",
    "input=null": "input=null: must be test, corruptions, a file or folder of images",
    "input=[]": "input=[]: must be test, corruptions, a file or folder of images",
    "input=[set,./set]": "set and ./set are the same",
    "input=[test,test]": "input=['test', 'test']: must be",
    "input=[set,nowhere]": "nowhere: cannot be read",
    "input=true": "input=True: must be",
    "corruptions=[fog]": "corruptions=fog: must be one of gaussian_noise",
    "seed=-1": "seed=-1: must be an integer, from 0",
    "test_subset=0": "test_subset=0: must be an integer, at least 1",
    "each=maybe": "each",
    "input=nowhere": "nowhere: cannot be read",
    "tta=often": "tta=often: must be one of none, flip, flip_shift",
    "labels=letters": "labels=letters: must be one of names, indices",
    "precision=fp8": "precision=fp8: must be one of",
    "device=tpu": "device=tpu: must be one of",
    "batch_size=0": "batch_size=0: must be an integer, at least 1",
    "batch_size=many": "batch_size",
    "corruptions=[contrast]": "corruptions=['contrast']: is of no use without corruptions",
    "each=true": "each=True: is of no use with one run",
    "test_subset=3": "test_subset=3: is of no use without test or corruptions",
    "data_root=nowhere": "data_root=nowhere: is of no use without test or corruptions",
    "~figures": "~figures: a field cannot be removed",
    "num_threads=0": "num_threads=0",
    "output=set": "output=set: exists already",
    "output=set/0.png/x": "output=set/0.png/x: cannot be made (Not a directory)",
    "output=new/" + 250 * "x": "cannot be made (File name too long)",
    "output=/proc/out": "output=/proc/out: cannot be made",
    "inptu=set": "did you mean input?",
    "+inptu=set": "did you mean input?",
    "-m": "-m: predict has no multirun",
    "--multirun": "--multirun: predict has no multirun",
    "--m": "--m: predict has no multirun",
    "+hydra.mode=MULTIRUN": "+hydra.mode=MULTIRUN: predict has no multirun",
    "++hydra.mode=RunMode.MULTIRUN": "predict has no multirun",
    "run": "run",
}


@pytest.mark.slow
@pytest.mark.parametrize("bad", BAD_INPUT)
def test_bad_input_gets_one_line_and_leaves_nothing(
    runs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], bad: str
) -> None:
    _save_images(Path("set"))
    good = [f"run={runs / 'a'}", "input=set", "output=out"]
    key = bad.partition("=")[0]
    kept = [each for each in good if each.partition("=")[0] != key or key == bad]
    assert predict_here(monkeypatch, *kept, bad) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1 and lines[0].startswith("error: ") and BAD_INPUT[bad] in lines[0]
    assert os.listdir() == ["set"] and len(os.listdir("set")) == 3


def _save_images(folder: Path) -> None:
    folder.mkdir()
    for index, image in enumerate(IMAGES[:3]):
        Image.fromarray(image.transpose(1, 2, 0)).save(folder / f"{index}.png")


def test_an_image_found_bad_in_the_middle_leaves_nothing(
    runs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _save_images(Path("set"))
    Path("set/1.png").write_bytes(b"no image")
    given = [f"run={runs / 'a'}", "input=set", "batch_size=1"]
    assert predict_here(monkeypatch, *given) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert error.startswith("error: set/1.png: damaged") and "image 2 of 3" in error
    assert os.listdir() == ["set"]


def test_a_net_without_finite_probabilities_is_refused(
    runs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    content = read_model(runs / "a")
    del content["schema_version"]
    next(iter(content["state_dict"].values())).fill_(float("nan"))
    Path("c").mkdir()
    write_model(Path("c"), content)
    given = ["run=c", f"input={runs / 'digits.npz'}", "output=out"]
    assert predict_here(monkeypatch, *given) == 2
    assert "run: c: probabilities of image 0 are not finite" in capsys.readouterr().err
    assert os.listdir() == ["c"]


def test_names_that_are_no_utf_8(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _save_images(Path("set"))
    os.rename("set/0.png", b"set/\xff.png")
    assert predict_here(monkeypatch, f"run={runs / 'a'}", "input=set", "output=out") == 0
    assert read_rows(Path("out/predictions.csv"))[3][0] == r"\xff.png"


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("class_names", [str((i + 1) % 10) for i in range(10)], "class 0 is '1' and '0'"),
        ("image_size", 16, "takes images of 16 pixels"),
    ],
)
def test_an_ensemble_of_nets_that_differ_is_refused(
    runs: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    key: str,
    value: Any,
    message: str,
) -> None:
    content = {**read_model(runs / "b"), key: value}
    del content["schema_version"]
    Path("c").mkdir()
    write_model(Path("c"), content)
    given = [f"run=[{runs / 'a'},c]", f"input={runs / 'digits.npz'}", "output=out"]
    assert predict_here(monkeypatch, *given) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and message in error
    assert os.listdir() == ["c"]


@pytest.mark.slow
def test_the_whole_way_on_digits(tmp_path: Path) -> None:
    """Train, predict a folder of images with class folders, read the submission."""
    overrides = ["data=digits", "model.widths=[8,16]", "model.blocks=[1,1]", "model.strides=[1,2]"]
    quick = ["train.epochs=4", "train.batch_size=32", "augmentation=none", "scheduler=one_cycle"]
    bare = ["train.figures=false", "tracker=none", "train.device=cpu"]
    trained = train_here(*overrides, *quick, *bare, "hydra.run.dir=run", cwd=tmp_path)
    assert trained.returncode == 0, trained.stderr
    for index, (image, label) in enumerate(zip(IMAGES, LABELS, strict=True)):
        path = tmp_path / "mine" / str(label) / f"{index:03}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image[0]).resize((48, 48)).save(path)  # grey, and of another size
    command = [sys.executable, "-W", "error::UserWarning", "-m", "resnet_sweep.predict"]
    arguments = ["run=run", "input=mine", "output=out", "labels=indices", "device=cpu"]
    done = subprocess.run([*command, *arguments], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert "recognised: image folder, 10 class folders; 360 images" in done.stdout
    assert "note: 360 of 360 images are grey: taken as RGB" in done.stdout
    assert "note: 360 of 360 images resized to 32x32" in done.stdout
    assert {path.name for path in tmp_path.iterdir()} == {"run", "mine", "out"}
    rows = read_rows(tmp_path / "out" / "predictions.csv")
    assert rows[0] == ["ID", "Labels"] and len(rows) == 361
    hits = [each.split("/")[0] == label for each, label in rows[1:]]
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert np.mean(hits) == pytest.approx(report["plain"]["accuracy"]) and np.mean(hits) > 0.5
