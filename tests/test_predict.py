"""Prediction from the command line: tables, averages, and what is left behind."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import ROOT, make_tiny_config, run_train
from PIL import Image

from resnet_sweep.data.device import place_data
from resnet_sweep.predict import main
from resnet_sweep.prediction.predicting import load_nets, predict
from resnet_sweep.prediction.staging import staged_folder
from resnet_sweep.records.checkpoint import read_model, write_model
from resnet_sweep.records.run_folder import read_result
from resnet_sweep.trained_net import load_net
from resnet_sweep.trial import run_trial

IMAGES, LABELS = (
    part.numpy()
    for part in vars(place_data(make_tiny_config().data, torch.device("cpu"), True).test).values()
)
FILES = {
    "predictions.csv",
    "probabilities.npz",
    "report.json",
    "thumbnails.png",
    "contact_sheet.png",
}
LABELLED_FILES = FILES | {"confusion.csv", "confusion.png", "mistakes.png"}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with two runs, a and b, and a labelled set, digits.npz."""
    folder = tmp_path_factory.mktemp("runs")
    for seed, name in enumerate("ab"):
        config = make_tiny_config()
        config.seed = seed
        run_trial(config, folder / name)
    np.savez(folder / "digits.npz", images=IMAGES, labels=LABELS)
    np.save(folder / "unlabelled.npy", IMAGES[:20])
    return folder


def _predict(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
    monkeypatch.setattr(sys, "argv", ["predict", "device=cpu", *arguments])
    try:
        main()
    except SystemExit as stopped:
        assert isinstance(stopped.code, int)
        return stopped.code
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
    return 0


def _predicted(monkeypatch: pytest.MonkeyPatch, runs: Path, *arguments: str) -> Path:
    assert _predict(monkeypatch, f"input={runs / 'digits.npz'}", "output=out", *arguments) == 0
    return Path("out")


def _rows(path: Path) -> list[list[str]]:
    with open(path, newline="") as file:
        return list(csv.reader(file))


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_labelled_set_gets_the_runs_own_test_accuracy(
    runs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = _predicted(monkeypatch, runs, f"run={runs / 'a'}", "labels=indices")
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
    assert _rows(out / "predictions.csv") == [
        ["ID", "Labels"],
        *[[str(i), str(guess)] for i, guess in enumerate(guesses)],
    ]
    confusion = _rows(out / "confusion.csv")
    assert sum(int(cell) for row in confusion[1:] for cell in row[1:]) == 360
    printed = capsys.readouterr().out
    assert "recognised: digits.npz with 'images', N,C,H,W" in printed
    assert "95% interval" in printed and "n = 360" in printed and "predictions: out" in printed


def test_without_labels_there_are_no_scores(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = _predict(monkeypatch, f"run={runs / 'a'}", f"input={runs / 'unlabelled.npy'}")
    assert code == 0
    (out,) = Path("outputs/predictions").iterdir()
    assert {path.name for path in out.iterdir()} == FILES
    report = json.loads((out / "report.json").read_text())
    assert report["plain"] is None and report["members"] == []


def _softmax_by_torch(run: Path, images: torch.Tensor) -> torch.Tensor:
    """Return probabilities with torch's own normalisation and nothing of the evaluation."""
    content, net = read_model(run), load_net(run, device="cpu")
    shape = (1, 3, 1, 1)
    scaled = images.float() / 255
    normal = (scaled - content["mean"].view(shape)) / content["std"].view(shape)
    with torch.no_grad():
        return torch.softmax(net.model(normal), 1)


def _views_by_torch(name: str) -> list[torch.Tensor]:
    images = torch.from_numpy(IMAGES)
    padded = F.pad(images.float(), (1, 1, 1, 1), mode="reflect").to(torch.uint8)
    corners = [padded[:, :, 0:32, 0:32], padded[:, :, 2:34, 2:34]]
    seen = {"none": [images], "flip": [images], "flip_shift": [images, *corners]}[name]
    flipped = [] if name == "none" else [torch.flip(each, [3]) for each in seen]
    return seen + flipped


@pytest.mark.parametrize("tta", ["flip", "flip_shift"])
@pytest.mark.parametrize("members", ["a", "ab"])
def test_ensembles_and_views_are_the_averages_they_claim_to_be(
    runs: Path, monkeypatch: pytest.MonkeyPatch, tta: str, members: str
) -> None:
    folders = [runs / name for name in members]
    run = f"run=[{','.join(map(str, folders))}]"
    out = _predicted(monkeypatch, runs, run, f"tta={tta}", "figures=false", "batch_size=50")
    with np.load(out / "probabilities.npz") as arrays:
        plain, augmented = arrays["probabilities"], arrays["probabilities_tta"]
    for found, name in ((plain, "none"), (augmented, tta)):
        views = _views_by_torch(name)
        each = [_softmax_by_torch(folder, view) for folder in folders for view in views]
        expected = torch.stack(each).mean(0).numpy()
        np.testing.assert_allclose(found, expected, atol=2e-6)
    assert np.abs(plain - augmented).max() > 1e-3
    report = json.loads((out / "report.json").read_text())
    assert report["tta"] == {"mode": tta, "num_views": len(_views_by_torch(tta))}
    for part, found in (("plain", plain), ("augmented", augmented)):
        assert report[part]["accuracy"] == pytest.approx((found.argmax(1) == LABELS).mean())
    alone = [read_result(folder).test_accuracy for folder in folders]
    assert [each["accuracy"] for each in report["members"]] == pytest.approx(alone)
    rows = _rows(out / "predictions_tta.csv")[1:]
    assert [int(label) for _, label in rows] == augmented.argmax(1).tolist()


class _Counted:
    """Images that cost nothing to keep, and how many were asked for at once."""

    def __init__(self, count: int) -> None:
        self.count, self.largest = count, 0

    def __len__(self) -> int:
        return self.count

    def read(self, indices: Sequence[int]) -> np.ndarray:
        self.largest = max(self.largest, len(indices))
        return np.zeros((len(indices), 3, 32, 32), np.uint8)

    def changes(self) -> list[str]:
        return []


def test_memory_grows_by_the_probabilities_alone(runs: Path) -> None:
    nets = load_nets([str(runs / "a")], "cpu")
    peaks = []
    for count in (500, 5000):
        images = _Counted(count)
        tracemalloc.start()
        predict(nets, images, batch_size=100)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert images.largest == 100
    probabilities_and_guesses = 4500 * (10 * 4 + 8)
    assert peaks[1] - peaks[0] < probabilities_and_guesses + 100_000  # 14 MB of images


def test_corruptions_are_reported_one_by_one(
    runs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("c").mkdir()
    noisy = np.stack([(IMAGES[:30] // k) for k in (1, 2, 4, 8, 16)]).reshape(-1, 3, 32, 32)
    for name in ("dark", "more_dark"):
        np.save(f"c/{name}.npy", noisy.transpose(0, 2, 3, 1))
    np.save("c/labels.npy", np.tile(LABELS[:30], 5))
    assert _predict(monkeypatch, f"run={runs / 'a'}", "input=c", "output=out") == 0
    report = json.loads(Path("out/report.json").read_text())
    groups = report["plain"]["groups"]
    assert [(g["name"], g["severity"]) for g in groups[4:6]] == [("dark", 5), ("more_dark", 1)]
    guesses = load_net(runs / "a", device="cpu").probabilities(noisy[60:90]).argmax(1)
    assert groups[2]["accuracy"] == pytest.approx((guesses == LABELS[:30]).mean())
    assert groups[2]["num_images"] == 30
    assert report["plain"]["low"] is None  # the same images ten times
    assert "accuracy by corruption and severity, n = 30 each" in capsys.readouterr().out


BAD_INPUT = {
    "run=nowhere": "nowhere: there is no such run folder",
    "run=null": "run=null: must be a run folder",
    "run=[]": "run=[]: must be a run folder",
    "run=[a,a]": "must be a run folder, or a list of different ones",
    "input=null": "input=null: must be a file or folder of images",
    "input=nowhere": "nowhere: cannot be read",
    "tta=often": "tta=often: must be one of none, flip, flip_shift",
    "labels=letters": "labels=letters: must be one of names, indices",
    "precision=fp8": "precision=fp8: must be one of",
    "device=tpu": "device=tpu: must be one of",
    "batch_size=0": "batch_size=0: must be an integer, at least 1",
    "batch_size=many": "batch_size",
    "num_threads=0": "num_threads=0",
    "output=set": "output=set: exists already",
    "output=set/0.png/x": "output=set/0.png/x",
    "inptu=set": "did you mean input?",
    "+inptu=set": "did you mean input?",
    "-m": "-m: predict has no multirun",
    "--multirun": "--multirun: predict has no multirun",
    "run": "run",
}


@pytest.mark.parametrize("bad", BAD_INPUT)
def test_bad_input_gets_one_line_and_leaves_nothing(
    runs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], bad: str
) -> None:
    _save_images(Path("set"))
    good = [f"run={runs / 'a'}", "input=set", "output=out"]
    key = bad.partition("=")[0]
    kept = [each for each in good if each.partition("=")[0] != key or key == bad]
    assert _predict(monkeypatch, *kept, bad) == 2
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
    assert _predict(monkeypatch, *given) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert error.startswith("error: set/1.png: damaged") and "image 2 of 3" in error
    assert os.listdir() == ["set"]


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
    assert _predict(monkeypatch, *given) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and message in error
    assert os.listdir() == ["c"]


def test_a_full_disk_leaves_nothing(
    runs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("resnet_sweep.prediction.sheets.draw_sheets", fail)
    given = [f"run={runs / 'a'}", f"input={runs / 'digits.npz'}", "output=made/for/out"]
    assert _predict(monkeypatch, *given) == 2
    error = capsys.readouterr().err
    assert error == "error: made/for/out: cannot be written (No space left on device)\n"
    assert os.listdir() == []


SLOW_WRITE = """
import sys, time
from pathlib import Path
from resnet_sweep import predict
from resnet_sweep.prediction import sheets
def draw(folder, outcome):
    print("writing", flush=True)
    time.sleep(60)
sheets.draw_sheets = draw
predict.main()
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_a_signal_while_files_are_written_leaves_no_table(
    runs: Path, tmp_path: Path, number: signal.Signals
) -> None:
    arguments = [f"run={runs / 'a'}", f"input={runs / 'digits.npz'}", "output=out", "device=cpu"]
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW_WRITE, *arguments],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert any(line == "writing\n" for line in process.stdout)
    process.send_signal(number)
    _, errors = process.communicate(timeout=30)
    assert not (tmp_path / "out").exists()
    if number == signal.SIGKILL:  # the hidden folder goes when the next call writes
        with staged_folder(tmp_path / "other"):
            pass
        (tmp_path / "other").rmdir()
    else:
        assert process.returncode == 128 + number
        assert "Traceback" not in errors
    assert os.listdir(tmp_path) == []


def test_help_says_everything_and_imports_no_torch() -> None:
    code = (
        "import sys; sys.argv = ['predict', '--help']\n"
        "from resnet_sweep.predict import main\n"
        "try:\n    main()\nexcept SystemExit as stop:\n    assert not stop.code\n"
        "assert 'torch' not in sys.modules"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, check=True, capture_output=True, cwd=ROOT, text=True)
    from resnet_sweep.config.predict import PredictConfig

    for name in PredictConfig.__dataclass_fields__:
        assert f"\n{name} " in done.stdout and f"\n{name}: " in done.stdout


def test_the_whole_way_on_digits(tmp_path: Path) -> None:
    """Train, predict a folder of images with class folders, read the submission."""
    overrides = ["data=digits", "model.widths=[8,16]", "model.blocks=[1,1]", "model.strides=[1,2]"]
    quick = ["train.epochs=4", "train.batch_size=32", "augmentation=none", "scheduler=one_cycle"]
    bare = ["train.figures=false", "train.tensorboard=false", "train.device=cpu"]
    trained = run_train(*overrides, *quick, *bare, "hydra.run.dir=run", cwd=tmp_path)
    assert trained.returncode == 0, trained.stderr
    for index, (image, label) in enumerate(zip(IMAGES, LABELS, strict=True)):
        path = tmp_path / "mine" / str(label) / f"{index:03}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image[0]).resize((48, 48)).save(path)  # grey, and of another size
    command = [sys.executable, "-W", "error::UserWarning", "-m", "resnet_sweep.predict"]
    arguments = ["run=run", "input=mine", "output=out", "labels=indices", "device=cpu"]
    start = time.monotonic()
    done = subprocess.run(
        [*command, *arguments], cwd=tmp_path, capture_output=True, text=True, timeout=110
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == "" and time.monotonic() - start < 100
    assert "recognised: image folder, 10 class folders; 360 images" in done.stdout
    assert "note: 360 of 360 images are grey: taken as RGB" in done.stdout
    assert "note: 360 of 360 images resized to 32x32" in done.stdout
    assert {path.name for path in tmp_path.iterdir()} == {"run", "mine", "out"}
    rows = _rows(tmp_path / "out" / "predictions.csv")
    assert rows[0] == ["ID", "Labels"] and len(rows) == 361
    hits = [each.split("/")[0] == label for each, label in rows[1:]]
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert np.mean(hits) == pytest.approx(report["plain"]["accuracy"]) and np.mean(hits) > 0.5
