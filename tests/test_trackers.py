"""A tracker that fails, at the start, later, or for good, never changes a run."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import pytest
from confirmable import run_with_workers_here, write_untrained_sweep
from conftest import TINY_OVERRIDES, Killed, make_tiny_config, run_here, train_here

from resnet_sweep.config import Config
from resnet_sweep.config.compose import from_dict, to_dict
from resnet_sweep.config.errors import ConfigError
from resnet_sweep.config.trackers import MlflowConfig, TrackerConfig, WandbConfig
from resnet_sweep.records.run_folder import (
    EpochMetrics,
    RunResult,
    read_metrics,
    read_tracker_record,
)
from resnet_sweep.records.sweep_folder import SWEEP_ID, group_of
from resnet_sweep.training.run import run_training
from resnet_sweep.training.trackers import sending
from resnet_sweep.training.trackers.sending import (
    PAUSE_FACTOR,
    RETRY_SECONDS,
    check_trackers,
    close_group,
    send_rest,
)
from resnet_sweep.training.trackers.tracker import TrackedRun, Tracker

UNREACHED = "tracker.mlflow.uri=http://127.0.0.1:1"


class Server:
    """What a stub tracker talks to: holds epochs by run, and may be away."""

    def __init__(self) -> None:
        self.epochs: dict[str, list[int]] = {}
        self.results: dict[str, str] = {}
        self.names: dict[str, tuple[str, str]] = {}  # by run, its group and its own
        self.calls = 0
        self.is_away: Callable[[int], bool] = lambda epoch: False

    def load(self, name: str, run: TrackedRun) -> Tracker:
        return Stub(self, run.id)


class Stub(Tracker):
    def __init__(self, server: Server, name: str) -> None:
        self.server, self.name = server, name

    def update(self, rows: Sequence[EpochMetrics]) -> None:
        self.server.calls += 1
        if self.server.is_away(rows[-1].epoch if rows else 0):
            raise ConnectionError("away")
        there = self.server.epochs.setdefault(self.name, [])
        there += [row.epoch for row in rows if row.epoch not in there]

    def end(self, result: RunResult) -> None:
        self.server.results[self.name] = result.status


class Clock:
    """Time that passes only where the tracker is waited for."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(sending, "time", clock)
    return clock


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> Server:
    server = Server()
    monkeypatch.setattr(sending, "_load", server.load)
    return server


def tracked(epochs: int = 4) -> Config:
    config = make_tiny_config()
    config.train.epochs = epochs
    config.tracker = TrackerConfig(mlflow=MlflowConfig(uri="http://localhost:1"))
    return config


def own_id(run_dir: Path) -> str:
    record = read_tracker_record(run_dir)
    assert record is not None
    return record.id


def test_every_epoch_and_the_result_arrive(tmp_path: Path, server: Server) -> None:
    run_training(tracked(), tmp_path / "run")
    name = own_id(tmp_path / "run")
    assert server.epochs == {name: [1, 2, 3, 4]}
    assert server.results == {name: "completed"}


@pytest.mark.slow
def test_an_outage_is_one_warning_and_the_rest_is_sent_when_it_is_over(
    tmp_path: Path, server: Server, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    def pass_time(metrics: EpochMetrics) -> None:
        clock.now += RETRY_SECONDS

    plain = tracked()
    plain.tracker = TrackerConfig()
    whole = run_training(plain, tmp_path / "plain")
    server.is_away = lambda epoch: epoch in (2, 3)
    with caplog.at_level(logging.INFO, logger="resnet_sweep.training.trackers"):
        result = run_training(tracked(), tmp_path / "run", pass_time)
    assert [r.levelname for r in caplog.records if "tracker" in r.message] == ["WARNING", "INFO"]
    assert server.epochs == {own_id(tmp_path / "run"): [1, 2, 3, 4]}
    assert (result.val_loss, result.test_loss) == (whole.val_loss, whole.test_loss)


def test_a_tracker_that_stays_away_is_asked_seldom_and_named_at_the_end(
    tmp_path: Path, server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    server.is_away = lambda epoch: True
    with caplog.at_level(logging.WARNING, logger="resnet_sweep.training.trackers"):
        result = run_training(tracked(), tmp_path / "run")
    assert result.status == "completed"
    assert server.calls == 2  # at the start and at the end: no time has passed
    assert f"resume={tmp_path / 'run'}" in caplog.records[-1].message
    server.is_away = lambda epoch: False
    assert send_rest(tracked(), tmp_path / "run") == []
    name = own_id(tmp_path / "run")
    assert (server.epochs, server.results) == ({name: [1, 2, 3, 4]}, {name: "completed"})
    calls = server.calls
    assert send_rest(tracked(), tmp_path / "run") == [] and server.calls == calls


@pytest.mark.slow
def test_a_slow_tracker_takes_a_small_part_of_the_time(
    tmp_path: Path, server: Server, clock: Clock
) -> None:
    def answer_late(epoch: int) -> bool:
        clock.now += 1.0
        return False

    def pass_time(metrics: EpochMetrics) -> None:
        clock.now += 1.0

    server.is_away = answer_late
    run_training(tracked(epochs=45), tmp_path / "run", pass_time)
    assert server.calls <= 2 + 45 / PAUSE_FACTOR + 1
    assert server.epochs == {own_id(tmp_path / "run"): list(range(1, 46))}


def test_a_killed_run_goes_on_as_the_same_one(tmp_path: Path, server: Server) -> None:
    def kill(metrics: EpochMetrics) -> None:
        if metrics.epoch == 2:
            raise Killed

    config = tracked()
    config.train.checkpoint_interval_seconds = 0
    with pytest.raises(Killed):
        run_training(config, tmp_path / "run", kill)
    name = own_id(tmp_path / "run")
    assert server.epochs == {name: [1, 2]} and not server.results
    run_training(config, tmp_path / "run")
    assert server.epochs == {name: [1, 2, 3, 4]} and server.results == {name: "completed"}


@pytest.mark.slow
def test_a_server_out_of_reach_at_the_start_leaves_nothing(tmp_path: Path) -> None:
    pytest.importorskip("mlflow", reason="the extra mlflow is not installed")
    done = train_here(*TINY_OVERRIDES, "tracker=mlflow", UNREACHED, cwd=tmp_path)
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert done.stderr.startswith(f"error: {UNREACHED}: cannot be reached")
    sweep = ["-m", "hydra/sweeper=optuna", "search_space=[]", "hydra.sweeper.start_from=[]"]
    sweep += ["optimizer.lr=interval(0.01,0.1)", "hydra.sweeper.n_trials=1"]
    done = train_here(*TINY_OVERRIDES, *sweep, "tracker=mlflow", UNREACHED, cwd=tmp_path)
    assert done.returncode == 2 and "cannot be reached" in done.stderr
    assert not (tmp_path / "outputs/sweeps").exists() and not list(tmp_path.rglob("config.json"))


def test_a_confirmation_whose_server_is_out_of_reach_leaves_nothing(tmp_path: Path) -> None:
    pytest.importorskip("mlflow", reason="the extra mlflow is not installed")
    command, *words = _confirm_in(tmp_path)
    done = run_with_workers_here(command, *words, cwd=tmp_path)
    assert done.returncode == 2 and done.stderr.count("\n") == 1, done.stderr
    assert "cannot be reached" in done.stderr
    assert not (tmp_path / "sweeps/s/confirm").exists()


@pytest.mark.parametrize("name", ["mlflow", "wandb"])
def test_a_package_that_is_missing_names_its_extra(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    config = TrackerConfig(**{name: {"mlflow": MlflowConfig(), "wandb": WandbConfig()}[name]})
    with pytest.raises(ConfigError, match=rf"resnet_sweep\[{name}\]"):
        check_trackers(config)


@pytest.mark.slow
def test_no_tracker_is_imported_unless_it_is_chosen(tmp_path: Path) -> None:
    code = (
        "import sys; from resnet_sweep.train import main\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code, end\n"
        "found = {'mlflow', 'wandb', 'torch.utils.tensorboard'} & set(sys.modules)\n"
        "assert not found, found"
    )
    words = [*TINY_OVERRIDES, "train.epochs=1", "tracker=none"]
    subprocess.run([sys.executable, "-c", code, *words], cwd=tmp_path, check=True)


@pytest.mark.parametrize(
    ("override", "word"),
    [
        ("tracker=nothing", "tensorboard"),
        ("tracker.mlflow.uri=ftp://a", "tracker.mlflow.uri"),
    ],
)
def test_a_mistake_is_one_line(override: str, word: str, tmp_path: Path) -> None:
    words = ["tracker=mlflow"] if override.startswith("tracker.") else []
    done = train_here(*TINY_OVERRIDES[:-1], *words, override, cwd=tmp_path)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert word in done.stderr and not list(tmp_path.rglob("config.json"))


OF_BEFORE = """
# @package _global_
defaults:
- override /data: digits
train:
  tensorboard: true
"""
SWEEP = "-m hydra/sweeper=optuna search_space=[] model.base_width=choice(4,8)"


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [
        "train train.tensorboard=true",
        "train +train.tensorboard=true",
        "train ~train.tensorboard",
        "train --config-dir mine experiment=best",
        f"train {SWEEP} train.tensorboard=choice(true,false)",
        f"train {SWEEP} --config-dir mine experiment=best",
        f"train {SWEEP} --config-dir mine hydra.sweeper.start_from=[best]",
        "compare --config-dir mine recipes=[best,source]",
    ],
)
def test_a_field_from_before_the_group_names_what_to_write(words: str, tmp_path: Path) -> None:
    (tmp_path / "mine/experiment").mkdir(parents=True)
    (tmp_path / "mine/experiment/best.yaml").write_text(OF_BEFORE)
    command, *arguments = words.split()
    done = run_here(command, *arguments, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "train.tensorboard" in done.stderr and "write tracker=tensorboard" in done.stderr
    assert ("best.yaml" in done.stderr) == ("mine" in words)
    assert "ConfigKeyError" not in done.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"mine"}


@pytest.mark.parametrize("value", [True, False])
def test_an_older_record_is_read(value: bool) -> None:
    values = to_dict(make_tiny_config())
    del values["tracker"]
    values["train"]["tensorboard"] = value
    assert (from_dict(values).tracker.tensorboard is not None) == value


def test_a_run_belongs_to_its_sweep(tmp_path: Path) -> None:
    (tmp_path / SWEEP_ID).write_text("one")
    (tmp_path / "runs/3/rung_9").mkdir(parents=True)
    group = group_of(tmp_path / "runs/3")
    assert group is not None and (group.id, group.folder) == ("one", tmp_path)
    assert group_of(tmp_path / "runs/3/rung_9") == group
    assert group.name_of(tmp_path / "runs/3/rung_9") == "3/rung_9"
    assert group_of(tmp_path / "alone") is None


def test_a_resumed_run_may_have_another_tracker(tmp_path: Path, server: Server) -> None:
    run_training(make_tiny_config(), tmp_path / "run")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("resnet_sweep.train.check_trackers", lambda config: None)
        words = ["tracker.mlflow.uri=http://localhost:1", "tracker=mlflow"]
        done = train_here("resume=run", *words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert list(server.epochs.values()) == [[1, 2]]


def test_what_a_sweep_could_not_send_is_one_line_at_its_end(
    tmp_path: Path,
    server: Server,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    server.is_away = lambda epoch: True
    (tmp_path / SWEEP_ID).write_text("one")
    for number in range(2):
        run_training(tracked(epochs=1), tmp_path / f"runs/{number}")
    monkeypatch.setattr("resnet_sweep.training.trackers.sending.check_trackers", lambda _: None)
    caplog.clear()
    capsys.readouterr()  # what the runs said
    close_group(tracked().tracker, tmp_path, is_over=True)
    out = capsys.readouterr().out
    assert out.count("\n") == 1 and "lack the end of 2 runs" in out
    assert not [record for record in caplog.records if "tracker" in record.name]


class Remembering(Stub):
    """Takes what it is given, as W&B does: that nothing is sent twice is the caller's part."""

    def __init__(self, server: Server, run: TrackedRun) -> None:
        assert run.group is not None
        super().__init__(server, run.id)
        self.given = run.done_epochs
        self.group, self.run_name = run.group.name, run.name

    def update(self, rows: Sequence[EpochMetrics]) -> None:
        self.server.calls += 1
        if self.server.is_away(self.server.calls):
            raise Killed
        self.server.names[self.name] = (self.group, self.run_name)
        there = self.server.epochs.setdefault(self.name, [])
        there += [row.epoch for row in rows if row.epoch > self.given]
        self.given = len(rows)


MLFLOW = ["tracker=mlflow", "tracker.mlflow.uri=http://localhost:1"]


def _confirm_in(folder: Path) -> list[str]:
    """Leave a sweep whose runs had a tracker, and return the command that confirms it."""
    sweep = write_untrained_sweep(folder / "sweeps/s")
    for path in sweep.glob("runs/*/config.json"):
        values = json.loads(path.read_text())
        values["tracker"]["mlflow"] = {"uri": "http://localhost:1"}
        values["data"]["train_subset"], values["model"]["strides"] = 200, [2, 2]
        path.write_text(json.dumps(values))
    seeds = ["num_seeds=2", "num_over_promise_seeds=2", "all_data=false"]
    return ["confirm", "sweep=sweeps/s", "top_k=1", *seeds, "baseline=null", "n_jobs=1"]


def _compare_in(folder: Path) -> list[str]:
    (folder / "experiment").mkdir()
    for name, lr in (("a", 0.1), ("b", 0.2)):
        text = f"# @package _global_\noptimizer: {{lr: {lr}}}\n"
        (folder / f"experiment/{name}.yaml").write_text(text)
    words = ["compare", "--config-dir", ".", "recipes=[a,b]", "num_seeds=2", "n_jobs=1"]
    return [*words, "folder=outputs/c", *TINY_OVERRIDES[:-1], *MLFLOW]


CONFIRM_GROUPS = ("s/confirm/choose", "s/confirm/over_promise", "s/confirm/test")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("prepare", "groups"),
    [
        pytest.param(_confirm_in, CONFIRM_GROUPS, marks=pytest.mark.engines),  # nine runs
        (_compare_in, ("outputs/c/study",)),
    ],
)
def test_confirm_and_compare_group_their_runs_and_a_kill_doubles_none(
    prepare: Callable[[Path], list[str]],
    groups: tuple[str, ...],
    tmp_path: Path,
    server: Server,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ended: list[str] = []
    monkeypatch.setattr(sending, "_load", lambda _, run: Remembering(server, run))
    monkeypatch.setattr("resnet_sweep.workers.planned.check_trackers", lambda _: None)
    end_group = "resnet_sweep.training.trackers.mlflow.end_group"
    monkeypatch.setattr(end_group, lambda _, group: ended.append(group.name))
    command, *words = prepare(tmp_path)
    server.is_away = lambda call: call == 7  # within the second run
    with pytest.raises(Killed):
        run_with_workers_here(command, *words, cwd=tmp_path)
    before = dict(server.names)
    assert len(before) == 2 and not ended
    done = run_with_workers_here(command, *words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert server.names.items() >= before.items()
    numbers = {group: _numbers(tmp_path.rglob(f"{group}/runs/*")) for group in groups}
    expected = [(group, number) for group in groups for number in numbers[group]]
    assert sorted(server.names.values()) == sorted(expected)
    for epochs in server.epochs.values():
        assert epochs == [*range(1, len(epochs) + 1)] and len(epochs) > 1
    assert server.results == dict.fromkeys(server.names, "completed")
    assert ended == [*groups]


def _numbers(runs: Iterable[Path]) -> list[str]:
    return [path.name for path in runs]


def test_rows_of_the_file_are_what_is_sent(tmp_path: Path, server: Server) -> None:
    run_training(tracked(epochs=2), tmp_path / "run")
    epochs = [row.epoch for row in read_metrics(tmp_path / "run")]
    assert server.epochs == {own_id(tmp_path / "run"): epochs}
