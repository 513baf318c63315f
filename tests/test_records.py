"""The files of a run folder: what is written is read, what is damaged is refused by name."""

from __future__ import annotations

import errno
import io
import json
import os
import pickle
import resource
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
import torch

from resnet_sweep.config import Config
from resnet_sweep.config.compose import SCHEMAS, from_dict, to_dict
from resnet_sweep.config.errors import ConfigError, RunFolderError, UserError
from resnet_sweep.records import checkpoint, run_folder
from resnet_sweep.records.folder_kind import KINDS, refuse_other_kinds
from resnet_sweep.records.run_folder import (
    EpochMetrics,
    Predictions,
    RecordError,
    RunResult,
    read_config,
    read_predictions,
    read_result,
    write_config,
    write_predictions,
    write_result,
)
from resnet_sweep.records.run_lock import holding_run
from resnet_sweep.system.atomic import remove_leftovers, replacing, write_text

ROWS = [
    EpochMetrics(1, 0.1, 2.3, 0.1, 2.2, 0.2, 1.5),
    EpochMetrics(2, 0.05, float("nan"), 0.3, None, None, 1.25),
]


def make_result(**changes: object) -> RunResult:
    values: dict[str, object] = dict(
        status="completed",
        num_params=10,
        multiply_adds=20,
        epochs=2,
        val_accuracy=0.5,
        val_loss=1.0,
        test_accuracy=None,
        test_loss=None,
        objective=0.5,
        train_seconds=3.0,
        images_per_second=100.0,
        peak_memory_bytes=5,
        seed=0,
        device="cpu",
        versions={"python": "3"},
        git_commit=None,
        data_fingerprint="00",
    )
    return RunResult(**{**values, **changes})  # type: ignore[arg-type]


def test_config_comes_back(tmp_path: Path, tiny_config: Config) -> None:
    run_folder.write_config(tmp_path, tiny_config)
    assert run_folder.read_config(tmp_path) == tiny_config
    assert run_folder.read_config_values(tmp_path) == to_dict(tiny_config)


@pytest.mark.slow
@pytest.mark.parametrize("group", ["optimizer", "scheduler", "data"])
def test_every_variant_comes_back(group: str, tiny_config: Config) -> None:
    for schema in SCHEMAS[group].values():
        setattr(tiny_config, group, schema())
        assert from_dict(to_dict(tiny_config)) == tiny_config


def test_what_python_makes_comes_back() -> None:
    assert from_dict(to_dict(Config())) == Config()


def test_a_net_that_python_made_before_is_read() -> None:
    values = to_dict(Config())
    assert from_dict({**values, "model": {**values["model"], "name": "custom"}}) == Config()


@pytest.mark.parametrize(
    "change",
    [
        {"bogus": 1},
        {"seed": "???"},
        {"model": 3},
        {"model": {}},
        {"model": {"name": "custom", "depth": 3}},
    ],
)
def test_a_damaged_config_is_told_in_one_line(
    change: dict[str, object], tmp_path: Path, tiny_config: Config
) -> None:
    run_folder.write_config(tmp_path, tiny_config)
    path = tmp_path / run_folder.CONFIG
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(RecordError) as caught:
        run_folder.read_config(tmp_path)
    assert str(caught.value).startswith(str(path)) and "\n" not in str(caught.value)


def test_metrics_come_back(tmp_path: Path) -> None:
    run_folder.write_metrics(tmp_path, ROWS)
    header = (tmp_path / "metrics.csv").read_text().splitlines()[0]
    assert header == "epoch,lr,train_loss,train_accuracy,val_loss,val_accuracy,epoch_seconds"
    first, second = run_folder.read_metrics(tmp_path)
    assert first == ROWS[0]
    assert np.isnan(second.train_loss) and second.val_loss is None


def test_result_comes_back_and_is_strict_json(tmp_path: Path) -> None:
    run_folder.write_result(tmp_path, make_result(val_loss=float("inf")))
    text = (tmp_path / "result.json").read_text()
    assert json.loads(text, parse_constant=pytest.fail)["val_loss"] is None
    assert run_folder.read_result(tmp_path) == make_result(val_loss=None)


def test_predictions_come_back(tmp_path: Path) -> None:
    predictions = Predictions(
        indices=np.array([3, 1]),
        labels=np.array([0, 1]),
        probabilities=np.array([[0.25, 0.75], [1, 0]], dtype=np.float16),
        class_names=np.array(["cat", "żaba"]),
    )
    run_folder.write_predictions(tmp_path, predictions)
    read = run_folder.read_predictions(tmp_path)
    for name, expected in vars(predictions).items():
        np.testing.assert_array_equal(getattr(read, name), expected)


READERS = {
    "config.json": run_folder.read_config,
    "metrics.csv": run_folder.read_metrics,
    "result.json": run_folder.read_result,
    "val_predictions.npz": run_folder.read_predictions,
    "model.pt": checkpoint.read_model,
}
DAMAGE = [None, b"", b"\x00\xff\x80", b"[1, 2]", b'{"schema_version": 99}', b"epoch,lr\n1,2\n"]


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("content", DAMAGE)
def test_a_missing_or_damaged_file_is_named(
    tmp_path: Path, name: str, content: bytes | None
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(RecordError, match=name):
        READERS[name](tmp_path)


def test_a_row_cut_off_is_refused(tmp_path: Path) -> None:
    run_folder.write_metrics(tmp_path, ROWS)
    path = tmp_path / "metrics.csv"
    path.write_bytes(path.read_bytes()[:-12])
    with pytest.raises(RecordError, match=r"metrics\.csv"):
        run_folder.read_metrics(tmp_path)


def test_an_unknown_field_of_the_config_is_refused(tmp_path: Path, tiny_config: Config) -> None:
    values = {"schema_version": 1, **to_dict(tiny_config), "surprise": 1}
    (tmp_path / "config.json").write_text(json.dumps(values))
    with pytest.raises(UserError, match="surprise"):
        run_folder.read_config(tmp_path)


def make_state(epoch: int, **more: object) -> dict[str, object]:
    return {**dict.fromkeys(checkpoint.CHECKPOINT_KEYS), "position": epoch, **more}


def flip_a_weight(content: bytes) -> bytes:
    weights = torch.ones(1000).numpy().tobytes()
    place = content.index(weights) + 2000
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


def save_something_else(_: bytes) -> bytes:
    buffer = io.BytesIO()
    torch.save({"schema_version": 1, "hello": 1}, buffer)
    return buffer.getvalue()


@pytest.mark.parametrize("damage", [lambda c: c[:100], flip_a_weight, save_something_else])
def test_a_damaged_checkpoint_falls_back_to_the_one_before(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: Callable[[bytes], bytes]
) -> None:
    for epoch in (1, 2):
        checkpoint.write_checkpoint(tmp_path, make_state(epoch, model=torch.ones(1000)))
    path = tmp_path / checkpoint.CHECKPOINT
    path.write_bytes(damage(path.read_bytes()))
    state = checkpoint.read_checkpoint(tmp_path)
    assert state is not None and state["position"] == 1
    assert "falling back" in caplog.text
    (tmp_path / checkpoint.PREVIOUS_CHECKPOINT).write_bytes(b"")
    with pytest.raises(RecordError, match=r"checkpoint\.pt.*no other"):
        checkpoint.read_checkpoint(tmp_path)


def test_no_checkpoint_is_none(tmp_path: Path) -> None:
    assert checkpoint.read_checkpoint(tmp_path) is None


class _RunsCode:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch executed",)


@pytest.mark.parametrize("name", ["model.pt", "checkpoint.pt"])
def test_loading_never_runs_code(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    read = checkpoint.read_model if name == "model.pt" else checkpoint.read_checkpoint
    for save in (torch.save, lambda x, path: Path(path).write_bytes(pickle.dumps(x))):
        save({"schema_version": 1, "x": _RunsCode()}, tmp_path / name)
        with pytest.raises(RecordError, match=str(tmp_path)):
            read(tmp_path)
    assert not (tmp_path / "executed").exists()


def test_a_write_that_fails_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    write_text(path, "old")
    with pytest.raises(RuntimeError), replacing(path) as file:
        file.write(b"new")
        raise RuntimeError
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["x.txt"]


def test_a_full_disk_keeps_both_checkpoints(tmp_path: Path) -> None:
    checkpoint.write_checkpoint(tmp_path, make_state(1))
    checkpoint.write_checkpoint(tmp_path, make_state(2))
    # A limit on file sizes is a full disk that needs no root.
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))
    try:
        with pytest.raises(OSError):
            checkpoint.write_checkpoint(tmp_path, make_state(3, model=torch.ones(10_000)))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    state = checkpoint.read_checkpoint(tmp_path)
    assert state is not None and state["position"] == 2
    assert sorted(os.listdir(tmp_path)) == ["checkpoint.previous.pt", "checkpoint.pt"]


def test_reading_runs_needs_no_torch() -> None:
    code = "import sys, resnet_sweep.records.run_folder; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    "change", [{"val_accuracy": 42.0}, {"num_params": 10**26}, {"epochs": "2"}, {"epochs": -1}]
)
def test_a_number_that_no_run_gives_is_refused(tmp_path: Path, change: dict[str, object]) -> None:
    run_folder.write_result(tmp_path, make_result(**change))
    with pytest.raises(RecordError, match=next(iter(change))):
        run_folder.read_result(tmp_path)


def test_a_pipe_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "result.json")
    with pytest.raises(RecordError, match="regular file"):
        run_folder.read_result(tmp_path)


@pytest.mark.parametrize("number", [errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK])
def test_a_run_folder_needs_no_hard_links(
    tmp_path: Path, tiny_config: Config, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "link", refuse)
    with holding_run(tmp_path / "run", tiny_config):
        assert read_config(tmp_path / "run") == tiny_config
    with holding_run(tmp_path / "run", tiny_config):
        pass
    other = replace(tiny_config, seed=1)
    with pytest.raises(RunFolderError, match="seed=0, not 1"), holding_run(tmp_path / "run", other):
        pass
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["config.json"]


@pytest.mark.parametrize("name", ["result.json", "checkpoint.pt", "model.pt", "metrics.csv"])
def test_a_run_that_lost_its_configuration_is_nobody_elses(
    tmp_path: Path, tiny_config: Config, name: str
) -> None:
    (tmp_path / name).write_text("{}")
    with (
        pytest.raises(RunFolderError, match=r"config\.json is lost"),
        holding_run(tmp_path, tiny_config),
    ):
        pass
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("own", KINDS)
def test_a_folder_of_another_kind_is_refused(tmp_path: Path, own: str) -> None:
    (tmp_path / own).write_text("{}")
    for name in KINDS:
        refused = pytest.raises(ConfigError, match=KINDS[own]) if name != own else nullcontext()
        with refused:
            refuse_other_kinds(tmp_path, name, "folder")


@pytest.mark.parametrize(
    "change",
    [
        {"labels": np.array([0, 1, 7])},
        {"labels": np.array([0.0, 1.0, 1.0])},
        {"labels": np.array([0, 1])},
        {"probabilities": np.zeros(3, np.float16)},
        {"probabilities": np.zeros((3, 3), np.float16)},
        {"class_names": np.array("a")},
    ],
)
def test_predictions_that_do_not_fit_are_damaged(
    tmp_path: Path, change: dict[str, np.ndarray]
) -> None:
    whole = {"indices": np.arange(3), "labels": np.array([0, 1, 1])}
    whole |= {"probabilities": np.zeros((3, 2), np.float16), "class_names": np.array(["a", "b"])}
    write_predictions(tmp_path, Predictions(**whole))
    assert read_predictions(tmp_path).labels.tolist() == [0, 1, 1]
    write_predictions(tmp_path, Predictions(**{**whole, **change}))
    with pytest.raises(RecordError, match=r"val_predictions\.npz"):
        read_predictions(tmp_path)


@pytest.mark.parametrize("has_links", [True, False])
def test_a_configuration_that_a_kill_left_empty_is_written_again(
    tmp_path: Path, tiny_config: Config, monkeypatch: pytest.MonkeyPatch, has_links: bool
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EPERM, "no hard links")

    if not has_links:
        monkeypatch.setattr(os, "link", refuse)
    monkeypatch.setattr("resnet_sweep.records.run_folder._FIRST_WRITE_TRIES", 1)
    (tmp_path / "config.json").touch()
    write_config(tmp_path, tiny_config)
    assert read_config(tmp_path) == tiny_config


def test_of_many_processes_without_hard_links_one_writes(
    tmp_path: Path, tiny_config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "link", Mock(side_effect=PermissionError(errno.EPERM, "no links")))
    monkeypatch.setattr(os, "getpid", lambda: threading.get_ident())  # drafts of their own
    configs = [replace(tiny_config, seed=seed) for seed in range(8)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda config: write_config(tmp_path, config), configs))
    assert read_config(tmp_path) in configs
    assert [path.name for path in tmp_path.iterdir()] == ["config.json"]


def test_what_a_kill_left_of_the_first_write_is_removed(
    tmp_path: Path, tiny_config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as killed:
        killed.setattr(os, "link", Mock(side_effect=KeyboardInterrupt))
        killed.setattr(Path, "unlink", Mock())
        with pytest.raises(KeyboardInterrupt):
            write_config(tmp_path, tiny_config)
    assert len(list(tmp_path.iterdir())) == 1
    remove_leftovers(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_record_from_before_the_name_of_its_objective(tmp_path: Path) -> None:
    write_result(tmp_path, make_result())
    values = json.loads((tmp_path / "result.json").read_text())
    del values["objective_name"]
    (tmp_path / "result.json").write_text(json.dumps(values))
    assert read_result(tmp_path).objective_name == "val_accuracy"
