"""Ensembles, views and groups are what they claim to be, and cost no more memory than that."""

from __future__ import annotations

import csv
import json
import tracemalloc
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from prediction import IMAGES, LABELS, predict_digits, predict_here, read_rows

from resnet_sweep.data.custom import read_custom
from resnet_sweep.prediction.predicting import _batches, load_nets, predict
from resnet_sweep.records.checkpoint import read_model
from resnet_sweep.records.run_folder import read_result
from resnet_sweep.training.trained_net import load_net

pytestmark = pytest.mark.usefixtures("own_folder")


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


@pytest.mark.slow
@pytest.mark.parametrize("tta", ["flip", "flip_shift"])
@pytest.mark.parametrize("members", ["a", "ab"])
def test_ensembles_and_views_are_the_averages_they_claim_to_be(
    runs: Path, monkeypatch: pytest.MonkeyPatch, tta: str, members: str
) -> None:
    folders = [runs / name for name in members]
    run = f"run=[{','.join(map(str, folders))}]"
    out = predict_digits(monkeypatch, runs, run, f"tta={tta}", "figures=false", "batch_size=50")
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
    rows = read_rows(out / "predictions_tta.csv")[1:]
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


@pytest.mark.parametrize("ahead", [False, True])
def test_batches_are_the_images_in_order(ahead: bool) -> None:
    np.save("images.npy", IMAGES[:20])
    custom = read_custom(Path("images.npy"), [str(i) for i in range(10)], 32)
    found = list(_batches(custom.images, 7, ahead))
    assert [len(batch) for batch in found] == [7, 7, 6]
    np.testing.assert_array_equal(np.concatenate(found), IMAGES[:20])


@pytest.mark.slow
def test_memory_grows_by_the_probabilities_alone(runs: Path) -> None:
    nets = load_nets([str(runs / "a")], "cpu")
    predict(nets, _Counted(500), batch_size=100)  # what is allocated once and stays
    peaks = []
    for count in (500, 10_000):
        images = _Counted(count)
        tracemalloc.start()
        predict(nets, images, batch_size=100)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert images.largest == 100
    probabilities_and_guesses = 9500 * (10 * 4 + 8)
    noise = 1_000_000  # against 29 MB of images
    assert peaks[1] - peaks[0] < probabilities_and_guesses + noise


@pytest.mark.slow
def test_corruptions_are_reported_one_by_one(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("c").mkdir()
    noisy = np.stack([(IMAGES[:30] // k) for k in (1, 2, 4, 8, 16)]).reshape(-1, 3, 32, 32)
    for name in ("dark", "more_dark"):
        np.save(f"c/{name}.npy", noisy.transpose(0, 2, 3, 1))
    np.save("c/labels.npy", np.tile(LABELS[:30], 5))
    assert predict_here(monkeypatch, f"run={runs / 'a'}", "input=c", "output=out") == 0
    report = json.loads(Path("out/report.json").read_text())
    groups = report["plain"]["groups"]
    assert [(g["name"], g["severity"]) for g in groups[4:6]] == [("dark", 5), ("more_dark", 1)]
    guesses = load_net(runs / "a", device="cpu").probabilities(noisy[60:90]).argmax(1)
    assert groups[2]["accuracy"] == pytest.approx((guesses == LABELS[:30]).mean())
    assert groups[2]["num_images"] == 30
    assert report["plain"]["low"] is None  # the same images ten times
    with open("out/accuracy.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["part"], row["strength"]) for row in rows[4:7]] == [
        ("dark", "5"), ("dark", "mean"), ("more_dark", "1"),
    ]  # fmt: skip
    assert float(rows[2]["accuracy"]) == groups[2]["accuracy"] and rows[2]["n"] == "30"
    assert Path("out/accuracy.svg").exists()
