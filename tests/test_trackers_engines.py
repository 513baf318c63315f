"""MLflow with a server of its own, and Weights & Biases offline, read back."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from conftest import TINY_OVERRIDES, make_tiny_config, run_train
from engines import free_port, require_package
from processes import kill_all, wait_for

from resnet_sweep.config.trackers import MlflowConfig, TrackerConfig, WandbConfig
from resnet_sweep.records.run_folder import (
    EpochMetrics,
    read_metrics,
    read_result,
    read_tracker_record,
)
from resnet_sweep.training.run import run_training
from resnet_sweep.training.trackers import sending

pytestmark = pytest.mark.engines
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "resnet_sweep/mlflow"


@pytest.fixture(scope="session")
def server_python() -> Path:
    """The interpreter of an environment with the whole of MLflow, made once on a machine."""
    python, done = CACHE / "bin/python", CACHE / "installed"
    if not done.exists():
        uv = shutil.which("uv", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
        if uv is None:
            pytest.skip("uv is not installed: pip install uv")
        for words in (
            ["venv", "--quiet", "--clear", "--python", sys.executable, str(CACHE)],
            ["pip", "install", "--quiet", "--python", str(python), "mlflow>=3.17,<4"],
        ):
            made = subprocess.run([uv, *words], capture_output=True, text=True)
            if made.returncode:
                pytest.skip(f"the full mlflow cannot be installed: {made.stderr[-300:]}")
        done.touch()
    return python


class MlflowServer:
    def __init__(self, python: Path, folder: Path) -> None:
        self.uri = f"http://127.0.0.1:{free_port()}"
        port = self.uri.rpartition(":")[2]
        store = ["--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}"]
        place = ["--artifacts-destination", str(folder / "artifacts"), "--workers", "1"]
        self._words = [str(python), "-m", "mlflow", "server", "--port", port, *store, *place]
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        environment = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"}
        with open(self._folder / "log", "ab") as log:
            self._process = subprocess.Popen(
                self._words, cwd=self._folder, env=environment, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip
        while True:
            assert self._process.poll() is None, (self._folder / "log").read_text()
            try:
                urllib.request.urlopen(f"{self.uri}/health", timeout=5).close()
                return
            except OSError:
                time.sleep(0.2)

    def stop(self) -> None:
        if self._process is not None:
            os.killpg(self._process.pid, 9)
            self._process.wait()
            self._process = None


@pytest.fixture
def server(
    server_python: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[MlflowServer]:
    require_package("mlflow", "mlflow")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "300")  # however busy the machine is
    (tmp_path / "server").mkdir()
    server = MlflowServer(server_python, tmp_path / "server")
    server.start()
    yield server
    server.stop()


def steps(server: MlflowServer, run_id: str, name: str = "train/loss") -> dict[int, float]:
    from mlflow import MlflowClient

    history = MlflowClient(server.uri).get_metric_history(run_id, name)
    found = {metric.step: metric.value for metric in history}
    assert len(found) == len(history)  # none twice
    return found


def all_runs(server: MlflowServer) -> list[Any]:
    from mlflow import MlflowClient

    client = MlflowClient(server.uri)
    experiment = client.get_experiment_by_name("resnet_sweep")
    assert experiment is not None
    return list(client.search_runs([experiment.experiment_id]))


def test_a_server_is_stopped_and_started_during_a_run(
    server: MlflowServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "RETRY_SECONDS", 0.0)
    monkeypatch.setattr(sending, "PAUSE_FACTOR", 0.0)
    plain, config = make_tiny_config(), make_tiny_config()
    plain.train.epochs = config.train.epochs = 5
    config.tracker = TrackerConfig(mlflow=MlflowConfig(uri=server.uri, artifacts=True))
    whole = run_training(plain, tmp_path / "plain")

    def interfere(metrics: EpochMetrics) -> None:
        if metrics.epoch == 1:
            server.stop()
        if metrics.epoch == 3:
            server.start()

    result = run_training(config, tmp_path / "run", interfere)
    assert (result.status, result.val_loss) == ("completed", whole.val_loss)
    (run,) = all_runs(server)
    rows = read_metrics(tmp_path / "run")
    assert steps(server, run.info.run_id) == {row.epoch: row.train_loss for row in rows}
    assert run.info.status == "FINISHED"
    assert run.data.metrics["result/val_accuracy"] == result.val_accuracy
    assert run.data.params["optimizer.lr"] == str(config.optimizer.lr)
    assert (tmp_path / "run/model.pt").read_bytes() in [
        path.read_bytes() for path in (tmp_path / "server/artifacts").rglob("model.pt")
    ]
    (tmp_path / "run/model.pt").unlink()
    run_training(config, tmp_path / "run")  # goes on, from its end
    (again,) = all_runs(server)
    assert again.info.run_id == run.info.run_id
    assert steps(server, run.info.run_id) == {row.epoch: row.train_loss for row in rows}


def test_the_runs_of_a_sweep_are_nested_under_one(server: MlflowServer, tmp_path: Path) -> None:
    words = ["-m", "hydra/sweeper=optuna", "hydra/sweeper/pruner=none", "search_space=[]"]
    words += ["optimizer.lr=interval(0.02,0.2)", "model.base_width=choice(4,400)"]
    words += ["model.max_params=100000", "hydra.sweeper.start_from=[]", "hydra.sweeper.n_jobs=2"]
    words += [
        "hydra.sweeper.study_name=night",
        "tracker=mlflow",
        f"tracker.mlflow.uri={server.uri}",
    ]
    tiny = [o for o in TINY_OVERRIDES if not o.startswith(("tracker", "model.widths"))]
    for trials in (3, 4):  # the second goes on
        done = run_train(*tiny, *words, f"hydra.sweeper.n_trials={trials}", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        found = all_runs(server)
        (parent,) = (run for run in found if "mlflow.parentRunId" not in run.data.tags)
        children = [run for run in found if run is not parent]
        assert parent.info.run_name == "night" and parent.info.status == "FINISHED"
        assert {run.data.tags["mlflow.parentRunId"] for run in children} == {parent.info.run_id}
        assert len(children) == trials
        for run in children:
            assert sorted(steps(server, run.info.run_id)) == [1, 2]


TINY = [o for o in TINY_OVERRIDES if not o.startswith("tracker")]
WORKER = "resnet_sweep.workers.worker"


def kill_and_go_on(command: str, words: Sequence[str], folder: Path, runs: str) -> list[Path]:
    """Kill a command and its workers when a run has an epoch, and run it again to its end.

    Args:
        runs: pattern of the run folders to wait for.

    Returns:
        The run folders that there were when it was killed.
    """
    line = [sys.executable, "-m", f"resnet_sweep.{command}", *words]
    process = subprocess.Popen(line, cwd=folder, stdout=subprocess.DEVNULL)
    wait_for(lambda: [*folder.glob(f"{runs}/metrics.csv")], process)
    kill_all(process, WORKER)
    begun = [path.parent for path in folder.glob(f"{runs}/config.json")]
    done = subprocess.run(line, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return begun


def compare_words(folder: Path, *tracker: str) -> list[str]:
    """Return a comparison of two recipes with two seeds, in outputs/c."""
    (folder / "experiment").mkdir()
    for name, lr in (("a", 0.1), ("b", 0.2)):
        text = f"# @package _global_\noptimizer: {{lr: {lr}}}\n"
        (folder / f"experiment/{name}.yaml").write_text(text)
    words = ["--config-dir", ".", "recipes=[a,b]", "num_seeds=2", "n_jobs=2", "folder=outputs/c"]
    return [*words, *TINY, *tracker]


CONFIRM = "outputs/sweeps/night/confirm"
STAGES = {"choose": 2, "over_promise": 2, "test": 5}


def confirm_words(folder: Path, *tracker: str) -> list[str]:
    """Train a sweep of two trials, and return its confirmation; STAGES counts its runs."""
    words = ["-m", "hydra/sweeper=optuna", "hydra/sweeper/pruner=none", "search_space=[]"]
    words += ["optimizer.lr=interval(0.02,0.2)", "hydra.sweeper.start_from=[]"]
    words += ["hydra.sweeper.study_name=night", "hydra.sweeper.n_trials=2"]
    done = run_train(*TINY, *words, *tracker, cwd=folder)
    assert done.returncode == 0, done.stderr
    seeds = ["top_k=1", "num_seeds=2", "num_over_promise_seeds=2", "all_data=false"]
    return ["sweep=outputs/sweeps/night", *seeds, "baseline=null", "n_jobs=2"]


def check_nested(server: MlflowServer, groups: dict[str, int], begun: set[str]) -> None:
    """Look for each group's run, its runs under it, and each of their epochs once."""
    found = {run.info.run_id: run for run in all_runs(server)}
    assert begun and begun <= {run.data.tags["resnet_sweep.id"] for run in found.values()}
    parents = {i: run for i, run in found.items() if "mlflow.parentRunId" not in run.data.tags}
    assert {run.info.run_name for run in parents.values()} == groups.keys()
    assert {run.info.status for run in found.values()} == {"FINISHED"}
    for run_id, parent in parents.items():
        own = [r for r in found.values() if r.data.tags.get("mlflow.parentRunId") == run_id]
        numbers = sorted(run.info.run_name for run in own)
        assert numbers == [str(number) for number in range(groups[parent.info.run_name])]
        for run in own:
            assert sorted(steps(server, run.info.run_id)) == [1, 2]


def test_a_killed_comparison_goes_on_with_its_runs_on_the_server(
    server: MlflowServer, tmp_path: Path
) -> None:
    words = compare_words(tmp_path, "tracker=mlflow", f"tracker.mlflow.uri={server.uri}")
    begun = kill_and_go_on("compare", words, tmp_path, "outputs/c/study/runs/*")
    check_nested(server, {"outputs/c/study": 4}, {own_id(run_dir) for run_dir in begun})


def test_a_killed_confirmation_goes_on_with_its_runs_on_the_server(
    server: MlflowServer, tmp_path: Path
) -> None:
    words = confirm_words(tmp_path, "tracker=mlflow", f"tracker.mlflow.uri={server.uri}")
    begun = kill_and_go_on("confirm", words, tmp_path, f"{CONFIRM}/choose/runs/*")
    groups = {f"night/confirm/{stage}": number for stage, number in STAGES.items()}
    check_nested(server, {"night": 2, **groups}, {own_id(run_dir) for run_dir in begun})


@pytest.mark.parametrize("command", ["compare", "confirm"])
def test_a_killed_command_is_one_group_of_wandb_for_each_study(
    command: str, tmp_path: Path
) -> None:
    require_package("wandb", "wandb")
    wandb = ("tracker=wandb", "tracker.wandb.mode=offline")
    if command == "compare":
        words, studies = compare_words(tmp_path, *wandb), {"outputs/c/study": 4}
    else:
        words = confirm_words(tmp_path, *wandb)
        studies = {f"{CONFIRM}/{stage}": number for stage, number in STAGES.items()}
    begun = kill_and_go_on(command, words, tmp_path, f"{next(iter(studies))}/runs/*")
    assert begun
    for study, number in studies.items():
        run_dirs = sorted((tmp_path / study).glob("runs/*"))
        assert [run_dir.name for run_dir in run_dirs] == [str(each) for each in range(number)]
        for run_dir in run_dirs:
            assert sorted(logged_epochs(run_dir)) == [1, 2]
            assert wandb_ids(run_dir) == {own_id(run_dir)}
            paths = run_dir.glob("wandb/offline-run-*/*.wandb")
            records = [record for path in paths for record in read_wandb(path)]
            runs = [r.run for r in records if r.WhichOneof("record_type") == "run"]
            assert {run.run_group for run in runs} == {study.removeprefix("outputs/sweeps/")}
            results = [r.summary for r in records if r.WhichOneof("record_type") == "summary"]
            values = [(item.key, item.value_json) for each in results for item in each.update]
            accuracy = read_result(run_dir).val_accuracy
            if accuracy is not None:
                assert ("result/val_accuracy", str(accuracy)) in values


def read_wandb(path: Path) -> list[Any]:
    """Return the records of a .wandb file: a LevelDB log of W&B's own messages."""
    from wandb.proto.wandb_internal_pb2 import Record

    data, block, at, records, parts = path.read_bytes(), 32768, 7, [], b""
    while at + 7 <= len(data):
        if block - at % block < 7:  # the rest of a block holds no header
            at += block - at % block
            continue
        _, length, kind = struct.unpack("<IHB", data[at : at + 7])
        parts += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # whole, or the last of several
            records.append(Record.FromString(parts))
            parts = b""
    return records


def logged_epochs(folder: Path) -> list[int]:
    paths = sorted(folder.glob("wandb/offline-run-*/*.wandb"))
    records = [record for path in paths for record in read_wandb(path)]
    return [r.history.step.num for r in records if r.WhichOneof("record_type") == "history"]


def test_wandb_holds_each_epoch_once_over_two_sittings(tmp_path: Path) -> None:
    require_package("wandb", "wandb")

    class Killed(BaseException):
        """As a kill."""

    def kill(metrics: EpochMetrics) -> None:
        if metrics.epoch == 2:
            raise Killed

    plain, config = make_tiny_config(), make_tiny_config()
    plain.train.epochs = config.train.epochs = 4
    config.tracker = TrackerConfig(wandb=WandbConfig(mode="offline"))
    config.train.checkpoint_interval_seconds = 1e6  # the two epochs are trained again
    with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed):
        patch.setattr(sending, "PAUSE_FACTOR", 0.0)
        run_training(config, tmp_path / "run", kill)
    assert logged_epochs(tmp_path / "run") == [1, 2]
    assert wandb_ids(tmp_path / "run") == {own_id(tmp_path / "run")}
    result = run_training(config, tmp_path / "run")
    assert result.val_loss == run_training(plain, tmp_path / "plain").val_loss
    assert logged_epochs(tmp_path / "run") == [1, 2, 3, 4]
    assert wandb_ids(tmp_path / "run") == {own_id(tmp_path / "run")}


def wandb_ids(folder: Path) -> set[str]:
    paths = folder.glob("wandb/offline-run-*/*.wandb")
    records = [record for path in paths for record in read_wandb(path)]
    return {r.run.run_id for r in records if r.WhichOneof("record_type") == "run"}


def own_id(run_dir: Path) -> str:
    record = read_tracker_record(run_dir)
    assert record is not None
    return record.id
