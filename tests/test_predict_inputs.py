"""The inputs of predict: the run's own test set, corruptions of it, custom sets; their table."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import make_tiny_config
from prediction import predict_here
from scipy.stats import binomtest
from torch import Tensor
from trained_runs import make_run

from resnet_sweep.config.compose import to_dict
from resnet_sweep.config.data import DigitsConfig
from resnet_sweep.data.corruption import corrupt
from resnet_sweep.data.digits import load_digit_scans
from resnet_sweep.prediction.inputs import folder_names
from resnet_sweep.records.run_folder import read_result
from resnet_sweep.training.run import run_training
from resnet_sweep.training.trained_net import load_net

pytestmark = pytest.mark.usefixtures("own_folder")
Row = dict[str, str]
BARE = ("output=out", "figures=false")


def own_test_set() -> tuple[Tensor, np.ndarray]:
    data = load_digit_scans(DigitsConfig())
    return data.test_images, data.test_labels.numpy()


def accuracy(run: Path, images: Tensor, labels: np.ndarray) -> float:
    return float((load_net(run, "cpu").probabilities(images).argmax(1) == labels).mean())


def table() -> list[Row]:
    with open("out/accuracy.csv", newline="") as file:
        return list(csv.DictReader(file))


def find(rows: list[Row], given: str, part: str, net: str) -> dict[str, float]:
    """Return strength -> accuracy of one net on one set."""
    key = (given, part, net)
    return {
        row["strength"]: float(row["accuracy"])
        for row in rows
        if (row["input"], row["part"], row["net"]) == key
    }


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two epochs on the digits, with its result.json."""
    run = tmp_path_factory.mktemp("trained") / "run"
    assert run_training(make_tiny_config(), run).status == "completed"
    return run


@pytest.fixture
def corrupted_folder(own_folder: object) -> Path:
    """The first 50 test digits in the form of CIFAR-10-C: fog darkens, frost inverts."""
    images, labels = own_test_set()
    pixels = images[:50].permute(0, 2, 3, 1).numpy()
    folder = Path("DIGITS-C")
    folder.mkdir()
    np.save(folder / "fog.npy", np.concatenate([pixels // k for k in range(1, 6)]))
    np.save(folder / "frost.npy", np.concatenate([255 - pixels // k for k in range(1, 6)]))
    np.save(folder / "labels.npy", np.tile(labels[:50], 5))
    return folder


def test_the_accuracy_on_the_own_test_set_is_that_of_the_run(
    trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert predict_here(monkeypatch, f"run={trained}", "input=test", *BARE) == 0
    (row,) = table()
    expected = read_result(trained).test_accuracy
    assert expected is not None and float(row["accuracy"]) == pytest.approx(expected)
    wilson = binomtest(round(expected * 360), 360).proportion_ci(0.95, method="wilson")
    assert (float(row["low"]), float(row["high"])) == pytest.approx((wilson.low, wilson.high))
    report = json.loads(Path("out/report.json").read_text())
    assert report["plain"]["accuracy"] == pytest.approx(expected) and report["messages"] == []
    with np.load("out/probabilities.npz") as arrays:
        assert arrays["ids"].tolist() == [str(place) for place in range(360)]
        np.testing.assert_array_equal(arrays["labels"], own_test_set()[1])


@pytest.mark.slow
def test_each_row_is_what_it_claims(
    corrupted_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names, runs = ["contrast", "shot_noise"], [Path("a"), Path("b")]
    for seed, run in enumerate(runs):
        make_run(run, seed=seed)
    arguments = ["run=[a,b]", f"input=[test,corruptions,{corrupted_folder}]", "each=true"]
    options = [f"corruptions=[{','.join(names)}]", "seed=3", *BARE]
    assert predict_here(monkeypatch, *arguments, *options) == 0
    rows, (images, labels) = table(), own_test_set()
    for run in runs:
        net = str(run)
        assert find(rows, "test", "", net) == {"": accuracy(run, images, labels)}
        for name in names:
            expected = [
                accuracy(run, corrupt(images, name, strength, 3), labels)
                for strength in range(1, 6)
            ]
            found = find(rows, "corruptions", name, net)
            assert [found[str(strength)] for strength in range(1, 6)] == expected
            assert found["mean"] == pytest.approx(np.mean(expected))
        means = [find(rows, "corruptions", name, net)["mean"] for name in names]
        found = find(rows, "corruptions", "mean", net)
        assert found["mean"] == pytest.approx(np.mean(means)) and len(found) == 6
        expected = [accuracy(run, images[:50] // k, labels[:50]) for k in range(1, 6)]
        found = find(rows, str(corrupted_folder), "fog", net)
        assert [found[str(strength)] for strength in range(1, 6)] == expected
    mean = np.mean([load_net(run, "cpu").probabilities(images) for run in runs], axis=0)
    both = float((mean.argmax(1) == labels).mean())
    assert find(rows, "test", "", "ensemble of 2") == {"": pytest.approx(both)}
    assert {row["n"] for row in rows if row["input"] == "corruptions"} == {"360"}
    assert {row["n"] for row in rows if row["input"] == str(corrupted_folder)} == {"50"}


def test_without_each_there_is_the_average_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for seed, name in enumerate("ab"):
        make_run(Path(name), seed=seed)
    assert predict_here(monkeypatch, "run=[a,b]", "input=test", "tta=flip", *BARE) == 0
    assert [row["net"] for row in table()] == ["ensemble of 2", "ensemble of 2, tta=flip"]
    report = json.loads(Path("out/report.json").read_text())
    plain, augmented = (float(row["accuracy"]) for row in table())
    assert (plain, augmented) == (report["plain"]["accuracy"], report["augmented"]["accuracy"])


def test_with_each_every_net_has_a_row_with_its_views(monkeypatch: pytest.MonkeyPatch) -> None:
    for seed, name in enumerate("ab"):
        make_run(Path(name), seed=seed)
    options = ["input=test", "tta=flip", "each=true", *BARE]
    assert predict_here(monkeypatch, "run=[a,b]", *options) == 0
    nets = ["ensemble of 2", "ensemble of 2, tta=flip", "a", "b", "a, tta=flip", "b, tta=flip"]
    assert [row["net"] for row in table()] == nets
    images, labels = own_test_set()
    for name in "ab":
        net = load_net(Path(name), "cpu")
        mean = net.probabilities(images) + net.probabilities(images.flip(3))
        expected = float((mean.argmax(1) == labels).mean())
        assert find(table(), "test", "", f"{name}, tta=flip") == {"": pytest.approx(expected)}


def test_a_subset_is_drawn_by_the_seed_and_keeps_its_noise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make_run(Path("a"))
    images, labels = own_test_set()
    places = np.sort(np.random.default_rng(4).choice(360, 50, replace=False))
    options = ["seed=4", "test_subset=50", "corruptions=[gaussian_noise]"]
    arguments = ["run=a", "input=[corruptions,test]", *options, *BARE]
    assert predict_here(monkeypatch, *arguments) == 0
    noisy = corrupt(images, "gaussian_noise", 5, 4)[torch.from_numpy(places)]
    found = find(table(), "corruptions", "gaussian_noise", "a")
    assert found["5"] == accuracy(Path("a"), noisy, labels[places])
    with np.load("out/test/probabilities.npz") as arrays:
        assert arrays["ids"].tolist() == list(map(str, places))
    with np.load("out/corruptions/probabilities.npz") as arrays:
        assert len(arrays["ids"]) == len(set(arrays["ids"].tolist())) == 250
        expected = load_net(Path("a"), "cpu").probabilities(noisy)
        np.testing.assert_allclose(arrays["probabilities"][200:], expected, atol=1e-6)


@pytest.mark.slow
def test_a_folder_called_test_is_another_input(
    trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of ten blank images; the note that it is not `input=test` says how it is named."""
    np.savez("test.npz", images=np.zeros((10, 32, 32, 3), np.uint8), labels=np.arange(10))
    Path("test.npz").rename("test")
    assert predict_here(monkeypatch, f"run={trained}", "input=[test,./test]", "output=out") == 0
    own, brought = table()
    assert (own["input"], brought["input"]) == ("test", str(Path("test").absolute()))
    assert float(own["accuracy"]) == read_result(trained).test_accuracy
    assert float(brought["accuracy"]) == 0.1  # blank images are all of one class


@pytest.mark.slow
def test_files_agree_and_each_input_has_its_folder(
    trained: Path,
    corrupted_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    make_run(Path("other"))
    np.save("unlabelled.npy", np.zeros((5, 32, 32, 3), np.uint8))
    inputs = f"input=[test,corruptions,{corrupted_folder},unlabelled.npy]"
    subset = ["test_subset=40", "corruptions=[contrast,jpeg_compression]", "output=out"]
    assert predict_here(monkeypatch, f"run=[{trained},other]", inputs, "each=true", *subset) == 0
    tables = {f"accuracy.{suffix}" for suffix in ("csv", "md", "json", "png", "svg")}
    folders = {"test", "corruptions", "DIGITS-C", "unlabelled"}
    assert set(os.listdir("out")) == tables | folders
    for folder in folders:
        assert {"predictions.csv", "probabilities.npz", "report.json"} < set(
            os.listdir(f"out/{folder}")
        )
    content, rows = json.loads(Path("out/accuracy.json").read_text()), table()
    assert len(rows) == len(content["accuracies"]) == 3 * (1 + 3 * 6 + 3 * 6)
    for row, values in zip(rows, content["accuracies"], strict=True):
        for name in ("input", "part", "net", "strength"):
            assert row[name] == values[name]
        for name in ("n", "accuracy", "low", "high"):
            assert float(row[name]) == values[name]
        assert values["low"] <= values["accuracy"] <= values["high"]
    assert [each["run"] for each in content["nets"]] == [str(trained), "other"]
    assert [each["has_labels"] for each in content["inputs"]] == [True, True, True, False]
    (note,) = content["inputs"][0]["notes"]  # `other` has no result.json
    assert "other" in note and note in capsys.readouterr().out
    text, drawn = Path("out/accuracy.md").read_text(), Path("out/accuracy.svg").read_text()
    assert f"{content['accuracies'][0]['accuracy']:.4f}" in text
    assert "jpeg compression" in drawn and "DIGITS-C: fog (n=50)" in drawn


def test_other_data_are_told(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("changed").mkdir()
    for name in ("model.pt", "result.json"):
        Path("changed", name).write_bytes((trained / name).read_bytes())
    content = json.loads(Path("changed/result.json").read_text())
    content["data_fingerprint"] = "0" * 32
    Path("changed/result.json").write_text(json.dumps(content))
    assert predict_here(monkeypatch, "run=changed", "input=test", *BARE) == 0
    (note,) = json.loads(Path("out/accuracy.json").read_text())["inputs"][0]["notes"]
    assert "changed" in note and "0" * 32 in note


def test_data_that_have_moved(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    images, labels = own_test_set()
    Path("new").mkdir()
    for part in ("train", "test"):
        np.savez(f"new/{part}.npz", images=images.numpy(), labels=labels)
    values = {"name": "arrays", "root": "old", "val_size": 0.1, "split_seed": 0}
    data = {**values, "train_subset": None, "num_classes": None}
    config = make_run(Path("run"))
    make_run(Path("moved"), config={**to_dict(config), "data": data})
    assert predict_here(monkeypatch, "run=moved", "input=test", *BARE) == 2
    line = capsys.readouterr().err
    assert line.count("\n") == 1 and line.startswith("error: moved: ") and "data_root=" in line
    assert not Path("out").exists()
    assert predict_here(monkeypatch, "run=moved", "input=test", "data_root=new", *BARE) == 0
    assert table()[0]["n"] == "360"


def test_a_folder_called_test_is_told_apart(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make_run(Path("a"))
    Path("test").mkdir()
    np.save("test/images.npy", np.zeros((5, 32, 32, 3), np.uint8))
    assert predict_here(monkeypatch, "run=a", "input=[test,./test]", *BARE) == 0
    assert "note: input=test" in capsys.readouterr().out
    assert {"test", "test_2"} < set(os.listdir("out"))
    content = json.loads(Path("out/accuracy.json").read_text())
    assert [each["num_images"] for each in content["inputs"]] == [360, 5]


def test_folders_of_inputs_have_different_names() -> None:
    for name in ("accuracy.md", "x"):
        Path(name).mkdir()
    Path("x.npy").touch()
    Path("X.NPZ").touch()
    given = ["test", "accuracy.md", "x", "x.npy", "X.NPZ", "."]
    names = folder_names(given)
    assert names == ["test", "accuracy.md_2", "x", "x_2", "X_3", Path.cwd().name]


@pytest.mark.slow
def test_names_that_are_no_utf_8(monkeypatch: pytest.MonkeyPatch) -> None:
    name = os.fsdecode(b"a\xff$")
    make_run(Path(name))
    custom = os.fsdecode(b"b\xff.npz")
    np.savez(custom, images=np.zeros((3, 3, 32, 32), np.uint8), labels=[1, 2, 3])
    arguments = [f"run='{name}'", f"input=[test,'{custom}']"]
    assert predict_here(monkeypatch, *arguments, "output=out", "test_subset=20") == 0
    assert table()[0]["net"] == r"a\udcff$" and table()[-1]["input"] == r"b\udcff.npz"


def test_a_run_of_other_classes_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make_run(Path("other"), class_names=[str(9 - digit) for digit in range(10)])
    assert predict_here(monkeypatch, "run=other", "input=test", *BARE) == 2
    line = capsys.readouterr().err
    assert line.count("\n") == 1 and line.startswith("error: other: ") and "classes" in line
    arguments = ["run=other", "input=corruptions", "corruptions=[]"]
    assert predict_here(monkeypatch, *arguments, *BARE) == 2
    assert "corruptions=[]" in capsys.readouterr().err
    assert os.listdir() == ["other"]
