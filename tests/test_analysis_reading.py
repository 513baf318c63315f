"""What lies below a folder: found once, read or counted as unreadable with the reason."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from generated_runs import write_run, write_sweep

from resnet_sweep.analysis import load_epochs, load_runs
from resnet_sweep.analysis.archive import flatten, read_archive
from resnet_sweep.config.errors import UserError
from resnet_sweep.records.metrics_batch import read_metrics_batch
from resnet_sweep.records.run_folder import read_metrics


def test_runs_are_found_at_any_depth_under_any_name(tmp_path: Path) -> None:
    names = ["a", "b/c d/ż", "b/x", "東京"]
    for name in names:
        write_run(tmp_path / name)
    runs = load_runs(tmp_path)
    assert runs["run"].tolist() == sorted(names)
    assert (runs["status"] == "completed").all()


def test_a_name_that_is_not_utf8_is_shown_escaped(tmp_path: Path) -> None:
    write_run(tmp_path / os.fsdecode(b"bad\xff"))
    assert load_runs(tmp_path, tmp_path / "cache")["run"].tolist() == ["bad\\xff"]


def test_the_folder_itself_may_be_the_run(tmp_path: Path) -> None:
    write_run(tmp_path / "only")
    assert load_runs(tmp_path / "only")["run"].tolist() == ["only"]


def test_links_are_followed_and_never_counted_twice(tmp_path: Path) -> None:
    write_run(tmp_path / "outside" / "far")
    root = tmp_path / "root"
    write_run(root / "a" / "near")
    (root / "a" / "again").symlink_to(root / "a" / "near")
    (root / "to_outside").symlink_to(tmp_path / "outside")
    (root / "a" / "up").symlink_to(root)
    (root / "itself").symlink_to("itself")
    (root / "nothing").symlink_to("not_there")
    runs = load_runs(root).set_index("run")
    assert sorted(runs.index[runs["status"] == "completed"]) == ["a/near", "to_outside/far"]
    reasons = runs.loc[runs["status"] == "unreadable", "reason"].to_dict()
    assert reasons == {
        "a/up": "link that leads back to a folder around it",
        "itself": "link that leads to itself",
        "nothing": "link to nothing",
    }


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-5])


def _drop_last_row(path: Path) -> None:
    path.write_bytes(path.read_bytes().rstrip(b"\n").rpartition(b"\n")[0] + b"\n")


def _of_version_2(path: Path) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), "schema_version": 2}))


def _with_text_for_accuracy(path: Path) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), "val_accuracy": "<b>"}))


def _garble(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"1.5\n", b"1.5,7\n"))


def _as_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _reverse_rows(path: Path) -> None:
    header, *rows = path.read_text().splitlines(keepends=True)
    path.write_text("".join([header, *rows[::-1]]))


def _repeat_a_row(path: Path) -> None:
    header, first, _, last = path.read_text().splitlines(keepends=True)
    path.write_text("".join([header, first, first, last]))


DAMAGE: list[tuple[str, Callable[[Path], object], str]] = [
    ("metrics.csv", _cut, "metrics.csv: is cut off in its last line"),
    ("metrics.csv", _drop_last_row, "metrics.csv has 2 epochs, result.json says 3"),
    ("metrics.csv", _garble, "metrics.csv: cannot be read"),
    ("metrics.csv", _reverse_rows, "the epochs are not 1, 2, 3"),
    ("metrics.csv", _repeat_a_row, "the epochs are not 1, 2, 3"),
    ("metrics.csv", _as_folder, "metrics.csv: cannot be read: Is a directory"),
    ("metrics.csv", Path.unlink, "metrics.csv: there is no such file"),
    ("result.json", lambda path: path.write_bytes(b""), "result.json: cannot be read"),
    ("result.json", lambda path: path.write_text("{"), "result.json: cannot be read"),
    (
        "result.json",
        Path.unlink,
        "there is no such file: killed after epoch 3 of 100, or training where",
    ),
    ("result.json", _of_version_2, "schema_version is 2"),
    ("result.json", _with_text_for_accuracy, "val_accuracy is <b>, must be from 0 to 1.0"),
    ("config.json", Path.unlink, "config.json: there is no such file"),
    ("config.json", _of_version_2, "schema_version is 2"),
    ("config.json", _as_folder, "config.json: cannot be read"),
]


@pytest.mark.parametrize(("name", "damage", "reason"), DAMAGE)
def test_a_damaged_run_is_unreadable_and_the_others_are_read(
    tmp_path: Path, name: str, damage: Callable[[Path], object], reason: str
) -> None:
    for run in ("a", "bad", "z"):
        write_run(tmp_path / run)
    damage(tmp_path / "bad" / name)
    runs = load_runs(tmp_path).set_index("run")
    assert runs["status"].to_dict() == {"a": "completed", "bad": "unreadable", "z": "completed"}
    assert reason in runs.at["bad", "reason"]
    assert str(tmp_path) not in runs.at["bad", "reason"]
    assert set(load_epochs(tmp_path)["run"]) == {"a", "z"}


def test_a_folder_that_may_not_be_opened_is_unreadable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_run(tmp_path / "a")
    (tmp_path / "locked").mkdir()
    scan = os.scandir  # root may open everything, so the refusal is played

    def refuse(path: str | os.PathLike[str]) -> object:
        if Path(path).name == "locked":
            raise PermissionError(13, "Permission denied")
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    runs = load_runs(tmp_path).set_index("run")
    assert runs.at["locked", "reason"] == "cannot be opened: Permission denied"
    assert runs.at["a", "status"] == "completed"


def test_a_run_that_failed_before_its_first_epoch_needs_no_metrics(tmp_path: Path) -> None:
    write_run(tmp_path / "a", status="out_of_memory", error="too big")
    result = json.loads((tmp_path / "a" / "result.json").read_text())
    (tmp_path / "a" / "result.json").write_text(json.dumps({**result, "epochs": 0}))
    (tmp_path / "a" / "metrics.csv").unlink()
    runs = load_runs(tmp_path)
    assert runs[["status", "reason"]].values.tolist() == [["out_of_memory", "too big"]]


@pytest.mark.parametrize("make", ["nothing", "empty", "file", "no runs"])
def test_no_runs_is_one_line(tmp_path: Path, make: str) -> None:
    root = tmp_path / "root"
    if make == "file":
        root.write_text("")
    elif make != "nothing":
        (root / "x").mkdir(parents=True)
    if make == "no runs":
        (root / "x" / "notes.txt").write_text("")
    with pytest.raises(UserError, match="root") as error:
        load_runs(root)
    assert "\n" not in str(error.value)


def test_only_new_and_changed_runs_are_read_again(tmp_path: Path) -> None:
    root, cache = tmp_path / "root", tmp_path / "cache"
    for run in ("a", "b", "c"):
        write_run(root / run, 0.5)
    assert read_archive(root, cache).num_read == 3
    assert read_archive(root, cache).num_read == 0
    write_run(root / "d", 0.9, epochs=2)
    (root / "a" / "result.json").unlink()
    for file in (root / "b").iterdir():
        file.unlink()
    (root / "b").rmdir()
    archive = read_archive(root, cache)
    assert archive.num_read == 2
    fresh = read_archive(root)
    assert archive.records == fresh.records
    kept, read = (
        each.epochs.to_pandas().astype({"run": "str"}).sort_values(["run", "epoch"])
        for each in (archive, fresh)
    )
    pd.testing.assert_frame_equal(kept.reset_index(drop=True), read.reset_index(drop=True))


@pytest.mark.parametrize("name", ["records.parquet", "epochs.parquet"])
def test_a_damaged_cache_is_read_anew(tmp_path: Path, name: str) -> None:
    root, cache = tmp_path / "root", tmp_path / "cache"
    write_run(root / "a")
    read_archive(root, cache)
    (cache / name).write_bytes(b"PAR1")
    archive = read_archive(root, cache)
    assert archive.num_read == 1 and archive.epochs.num_rows == 3
    assert read_archive(root, cache).num_read == 0


def test_many_metrics_at_once_equal_those_read_one_by_one(tmp_path: Path) -> None:
    for run, epochs in enumerate((1, 4, 3)):
        write_run(tmp_path / str(run), epochs=epochs)
    path = tmp_path / "1" / "metrics.csv"
    header, first, *rest = path.read_text().splitlines(keepends=True)
    cells = first.split(",")
    cells[2], cells[4], cells[5] = "nan", "inf", ""
    path.write_text(header + ",".join(cells) + "".join(rest))
    folders = [tmp_path / str(run) for run in range(3)]
    table = read_metrics_batch(folders).table.to_pandas()
    for place, folder in enumerate(folders):
        rows = table[table["run"] == place]
        for name in rows.columns[1:]:
            expected = [getattr(row, name) for row in read_metrics(folder)]
            np.testing.assert_array_equal(rows[name], np.array(expected, float))


def test_trials_know_their_sweep(tmp_path: Path) -> None:
    write_sweep(tmp_path / "deep" / "s1", trials=12)
    runs = load_runs(tmp_path).set_index("run")
    row = runs.loc["deep/s1/runs/3"]
    assert (row["sweep"], row["trial"], row["worker"]) == ("s1", 3, 1)
    assert row["ended"] - row["started"] == row["train_seconds"]
    assert load_runs(tmp_path / "deep" / "s1")["sweep"].tolist() == ["s1"] * len(runs)


def test_settings_are_flat_and_typed(tmp_path: Path) -> None:
    write_run(tmp_path / "a", settings={"optimizer": "adamw", "model.blocks": [1, 2, 3, 4]})
    write_run(tmp_path / "b", settings={"model.squeeze_excitation": True, "optimizer.lr": 1})
    runs = load_runs(tmp_path).set_index("run")
    assert runs["optimizer"].tolist() == ["adamw", "sgd"]
    assert runs["optimizer.momentum"].isna().tolist() == [True, False]
    assert runs["model.blocks"].tolist() == ["[1, 2, 3, 4]", "[2, 3, 4, 3]"]
    assert runs["model.squeeze_excitation"].tolist() == [False, True]
    assert runs["optimizer.lr"].tolist() == [0.001, 1.0]


def test_augmentations_are_joined() -> None:
    flat = flatten({"augmentation": {"crop_flip": {"padding": 4}, "cutout": None, "mixup": {}}})
    assert flat == {"augmentation": "crop_flip+mixup", "augmentation.crop_flip.padding": 4}


@pytest.mark.slow
def test_reading_needs_no_torch() -> None:
    code = (
        "import sys, resnet_sweep.analysis.summary.command, resnet_sweep.analysis.summary.writing;"
        "from resnet_sweep.analysis import load_runs; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
