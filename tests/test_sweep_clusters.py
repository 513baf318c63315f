"""Sweeps through Hydra's launchers, whose workers are killed: make test-engines."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import ROOT, TINY_OVERRIDES, run_train
from engines import require_package
from processes import wait_for
from test_sweep import FOLDER, TINY_SWEEP

from resnet_sweep.records.sweep_folder import SweepTrial, read_sweep
from resnet_sweep.workers.coordination import worker_lock

pytestmark = [pytest.mark.engines, pytest.mark.timeout(3600)]

# Slurm and Ray hand it on to the workers, which share two cores.
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}
# Workers start when a cluster pleases: whoever trains waits for the others in its third epoch.
HELD_NET = """
import time
from pathlib import Path

from torch import nn

from resnet_sweep.system import stopping


class Net(nn.Sequential):
    def __init__(self, num_classes):
        pooled = nn.AdaptiveAvgPool2d(1), nn.Flatten()
        super().__init__(nn.Conv2d(3, 4, 3, stride=4), *pooled, nn.Linear(4, num_classes))
        self.steps = 0

    def forward(self, images):
        self.steps += self.training
        while self.steps > 8 and Path("hold").exists():
            if any(request.signal_number for request in stopping._active):
                break
            time.sleep(0.05)
        return super().forward(images)
"""
LONG_SWEEP = [
    "-m",
    "hydra/sweeper=optuna",
    *(o for o in TINY_OVERRIDES if not o.startswith(("train.epochs", "model."))),
    "model=custom",
    "model.target=my_nets.Net",
    "train.epochs=6",
    "train.checkpoint_interval_seconds=0",
    "train.num_threads=1",
    "search_space=[]",
    "optimizer.lr=interval(0.001,0.1)",
    "hydra/sweeper/pruner=none",
    "hydra.sweeper.start_from=[]",
    "hydra.sweeper.study_name=s",
    "hydra.sweeper.status_seconds=1",
]


def test_a_sweep_on_submitits_local_executor(tmp_path: Path) -> None:
    require_package("submitit", "slurm")
    launcher = "hydra/launcher=submitit_local"
    done = run_train(*TINY_SWEEP, "hydra.sweeper.n_jobs=2", launcher, cwd=tmp_path)
    assert done.returncode == 0, done.stderr + done.stdout
    trained = read_sweep(tmp_path / FOLDER).trained()
    assert {trial.state for trial in trained} <= {"completed", "pruned"} and len(trained) == 7


@pytest.fixture(scope="module")
def slurm() -> Iterator[None]:
    """Bring up a Slurm of this node where none answers, and take it down again."""
    require_package("submitit", "slurm")
    if shutil.which("sinfo") is not None and _answers("sinfo"):
        yield
        return
    if os.getuid() != 0 or shutil.which("slurmctld") is None or shutil.which("munged") is None:
        pytest.skip("no Slurm answers, and to start one takes root and: slurm-wlm munge")
    has_munge = _answers("pgrep", "-x", "munged")
    start = ["sh", str(ROOT / "benchmarks" / "one_node_slurm.sh"), "true"]
    try:
        started = subprocess.run(start, capture_output=True, text=True)
        if started.returncode != 0:
            pytest.skip(f"one_node_slurm.sh brings up no Slurm here: {started.stderr}")
        yield
        _answers("scancel", "--partition=all")
        wait_for(lambda: not subprocess.check_output(["squeue", "-h"]))  # else jobs outlive Slurm
    finally:
        for daemon in ("slurmctld", "slurmd", *(() if has_munge else ("munged",))):
            _answers("pkill", "-x", daemon)


def _answers(*command: str) -> bool:
    return subprocess.run(command, stdout=subprocess.DEVNULL).returncode == 0


@pytest.fixture(scope="module")
def ray_cluster() -> Iterator[str]:
    """Return the address of two nodes of one GPU each, as far as Ray is told."""
    require_package("ray", "ray")
    code = (
        "import sys, ray.cluster_utils\n"
        "node = {'num_cpus': 2, 'num_gpus': 1, 'object_store_memory': 80_000_000}\n"
        "cluster = ray.cluster_utils.Cluster(initialize_head=True, head_node_args=node)\n"
        "cluster.add_node(**node)\n"
        "print(cluster.address, flush=True)\n"
        "sys.stdin.read()\n"
        "cluster.shutdown()\n"
    )
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", code], text=True, **pipes) as cluster:  # type: ignore[call-overload]
        try:
            yield cluster.stdout.readline().strip()
        finally:
            cluster.stdin.close()
            cluster.wait(60)


class RunningSweep:
    """A sweep of some workers, of which each waits in the middle of a trial."""

    def __init__(self, folder: Path, n_jobs: int, *overrides: str) -> None:
        self.folder, self._hold = folder / FOLDER, folder / "hold"
        (folder / "my_nets.py").write_text(HELD_NET)
        self._hold.touch()
        trials = [f"hydra.sweeper.n_trials={n_jobs + 2}", f"hydra.sweeper.n_jobs={n_jobs}"]
        command = [sys.executable, "-m", "resnet_sweep.train", *LONG_SWEEP, *trials, *overrides]
        self._output = folder / "output"
        with open(self._output, "w") as output:
            self._process = subprocess.Popen(
                command, cwd=folder, env=ENVIRONMENT, stdout=output, stderr=subprocess.STDOUT
            )
        try:
            wait_for(lambda: self._is_training(n_jobs), self._process)
        except BaseException:
            self._process.kill()
            print(self.printed)
            raise

    @property
    def printed(self) -> str:
        return self._output.read_text()

    def _is_training(self, n_jobs: int) -> bool:
        """Return whether each worker is in the middle of a trial."""
        begun = [path.parent for path in self.folder.glob("runs/*/checkpoint.pt")]
        return sum(not (run / "result.json").exists() for run in begun) == n_jobs

    def holder(self, index: int) -> int:
        """Return the process that a worker is."""
        found = re.match(r"process (\d+) on ", worker_lock(self.folder, index).read_text())
        return int(found[1]) if found else 0

    def training_holder(self, index: int) -> int:
        """Return the process that a worker is; never 0, which a kill takes for this process."""
        pid = self.holder(index)
        assert pid > 0, self.printed
        return pid

    def finish(self) -> list[SweepTrial]:
        self._hold.unlink()
        try:
            assert self._process.wait() == 0, self.printed
        finally:
            self._process.kill()
        return read_sweep(self.folder).trained()


def _check_replaced(sweep: RunningSweep, killed: int, others: dict[int, int], trials: int) -> None:
    """Wait until a worker is replaced, the others are who they were, and all trials trained."""
    wait_for(lambda: sweep.holder(0) not in (0, killed))
    assert {index: sweep.holder(index) for index in others} == others, sweep.printed
    trained = sweep.finish()
    assert [trial.state for trial in trained] == ["completed"] * trials, sweep.printed
    first = min((trial for trial in trained if trial.worker == 0), key=lambda t: t.number)
    history = (sweep.folder / "runs" / str(first.number) / "metrics.csv").read_text()
    assert len(history.splitlines()) == 7
    log = (sweep.folder / "runs" / str(first.number) / "train.log").read_text()
    assert log.count(" epoch 1/6 ") == 1  # it did not begin again


def test_a_killed_worker_on_ray_is_replaced_and_its_trial_goes_on(
    ray_cluster: str, tmp_path: Path
) -> None:
    remote = "hydra.launcher.ray.remote"
    launcher = ["hydra/launcher=ray", f"hydra.launcher.ray.init.address={ray_cluster}"]
    sweep = RunningSweep(tmp_path, 4, *launcher, f"{remote}.num_gpus=0.5", f"{remote}.num_cpus=1")
    workers = {index: sweep.training_holder(index) for index in range(4)}
    raylets = [_parent(pid) for pid in workers.values()]
    assert sorted(map(raylets.count, set(raylets))) == [2, 2]  # two on each node's GPU
    killed = workers.pop(0)
    os.kill(killed, signal.SIGKILL)
    _check_replaced(sweep, killed, workers, trials=6)


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


@pytest.mark.usefixtures("slurm")
@pytest.mark.parametrize("how", ["kill -9", "scancel", "scancel -s USR1", "scancel -s USR2"])
def test_a_worker_that_slurm_ends_is_replaced_and_its_trial_goes_on(
    how: str, tmp_path: Path
) -> None:
    sweep = RunningSweep(tmp_path, 2, "hydra/launcher=slurm")
    killed, other = sweep.training_holder(0), sweep.training_holder(1)
    if how == "kill -9":
        os.kill(killed, signal.SIGKILL)
    else:
        # With a signal: as Slurm itself sends it ahead of a job's limit.
        subprocess.run([*how.split(), _slurm_job(killed)], check=True)
    _check_replaced(sweep, killed, {1: other}, trials=4)


def _slurm_job(pid: int) -> str:
    variables = Path(f"/proc/{pid}/environ").read_text().split("\0")
    return dict(v.split("=", 1) for v in variables if "=" in v)["SLURM_JOB_ID"]
