"""Workers as processes of this machine, or as jobs of a Hydra launcher (Slurm, Ray)."""

from __future__ import annotations

import functools
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

from hydra.core.plugins import Plugins
from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from resnet_sweep.config.errors import ConfigError, one_line, require
from resnet_sweep.search.conf_files import env_set
from resnet_sweep.system.hardware import least_memory_gib, num_cores, visible_gpus
from resnet_sweep.system.locks import held_if_free
from resnet_sweep.workers.coordination import WORKERS, worker_lock, worker_log

BASIC_LAUNCHER = "hydra._internal.core_plugins.basic_launcher.BasicLauncher"
SLURM_LAUNCHER = "hydra_plugins.hydra_submitit_launcher.submitit_launcher.SlurmLauncher"
RAY_LAUNCHER = "hydra_plugins.hydra_ray_launcher.ray_launcher.RayLauncher"
JOBS = "slurm"  # below WORKERS
SUBMITTED = ".submitit"  # below a sweep's folder; submitit makes a folder for each job in it
CORES_PER_WORKER = 4
GONE_SECONDS = 5.0  # in which a worker that ends leaves its word


class LocalLauncher:
    """Starts worker processes that share the cores and take turns at the GPUs.

    Args:
        module: run as `python -m module folder index`.
        env_set: environment variables that a configuration sets for its runs.
    """

    def __init__(
        self,
        folder: Path,
        n_jobs: int,
        module: str = "resnet_sweep.workers.worker",
        env_set: Mapping[str, str] | None = None,
    ) -> None:
        self._folder = folder
        self._env_set = env_set or {}
        self._threads = threads_of_worker(n_jobs)
        self._gpus = visible_gpus()
        self._module = module

    def start(self, index: int) -> LocalWorker:
        environment = {**os.environ, "OMP_NUM_THREADS": str(self._threads)}
        if self._gpus:
            environment["CUDA_VISIBLE_DEVICES"] = self._gpus[index % len(self._gpus)]
        environment |= self._env_set
        command = [sys.executable, "-m", self._module, str(self._folder), str(index)]
        return LocalWorker(command, environment, worker_log(self._folder, index))


class LocalWorker:
    """A worker process; it ends by itself when this process is gone."""

    def __init__(self, command: list[str], environment: dict[str, str], log: Path) -> None:
        self._log = log
        log.parent.mkdir(exist_ok=True)
        with open(log, "ab") as output:
            # A session of its own: Ctrl-C reaches the sweep, which lets its workers finish.
            self._process = subprocess.Popen(
                command,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def is_running(self) -> bool:
        if self._process.poll() is None:
            return True
        assert self._process.stdin is not None
        self._process.stdin.close()
        return False

    def has_begun(self) -> bool:
        return True  # it waits in no queue

    def stop(self) -> None:
        """Ask it to write a checkpoint and end; the stop file asks as well."""
        if self.is_running():
            self._process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it; nothing if it has ended."""
        if self.is_running():
            self._process.kill()
            self._process.wait()

    def last_words(self) -> str:
        """Return what may explain that it died."""
        status = self._process.poll()
        lines = self._log.read_text(errors="replace").strip().splitlines()
        how = f"signal {-status}" if status is not None and status < 0 else f"status {status}"
        return f"{how}; {self._log}: {lines[-1] if lines else '(empty)'}"


class HydraLauncher:
    """Starts each worker as a job of its own through the chosen Hydra launcher.

    All in one launch() would end together: one that is killed takes the others with it.
    """

    def __init__(self, folder: Path, config: DictConfig, context: HydraContext) -> None:
        self._folder = folder.resolve()
        self._context = context
        self._config = config.copy()
        OmegaConf.set_readonly(self._config.hydra, None)
        with read_write(self._config.hydra), open_dict(self._config):
            self._config.hydra.sweep.dir = str(self._folder / WORKERS)
            self._config.hydra.sweep.subdir = "jobs"
            self._config.hydra.output_subdir = None
        if OmegaConf.select(self._config, "hydra.launcher._target_") == RAY_LAUNCHER:
            _start_ray(self._config.hydra.launcher.ray)

    def start(self, index: int) -> LaunchedWorker:
        task = functools.partial(work_as_job, str(self._folder), index, os.getcwd())
        config, jobs = self._config.copy(), self._folder / WORKERS / JOBS / uuid4().hex[:8]
        if OmegaConf.select(config, "hydra.launcher._target_") == SLURM_LAUNCHER:
            config.hydra.sweep.dir = str(jobs)  # Hydra allows no change of its launcher
        launcher = Plugins.instance().instantiate_launcher(self._context, task, config)
        return LaunchedWorker(launcher, index, worker_lock(self._folder, index), jobs)


def _start_ray(settings: DictConfig) -> None:
    """Connect once, before the threads of the workers would each start a Ray of their own."""
    try:
        import ray
    except ImportError as error:
        raise ConfigError(
            "hydra/launcher", "ray", "needs pip install 'resnet_sweep[ray]'"
        ) from error
    if not ray.is_initialized():
        given = OmegaConf.to_container(settings.init, resolve=True)
        assert isinstance(given, dict)
        ray.init(**{str(name): value for name, value in given.items()})


class LaunchedWorker:
    """A thread that waits for a launcher's job, and looks after its worker's lock.

    Slurm without accounting never tells that a job was killed, and with it minutes later; the
    kernel frees the lock at once. A job that still waits in the queue has left no word in it.

    Args:
        jobs: folder in which Slurm's launcher makes one for each job, named by its id.
    """

    def __init__(self, launcher: Any, index: int, lock: Path, jobs: Path) -> None:
        self._error = ""
        self._lock = lock
        self._jobs = jobs
        self._free_since: float | None = None
        lock.parent.mkdir(parents=True, exist_ok=True)
        lock.write_bytes(b"")
        self._thread = threading.Thread(target=self._run, args=(launcher, index), daemon=True)
        self._thread.start()

    def _run(self, launcher: Any, index: int) -> None:
        try:
            for job in launcher.launch([[]], initial_job_idx=index):
                _ = job.return_value  # raises what the job raised
        except BaseException as error:  # a launcher's job may end in anything
            self._error = one_line(error)

    def is_running(self) -> bool:
        return self._thread.is_alive() and not self._is_gone()

    def _is_gone(self) -> bool:
        """Return whether the worker has begun and its lock has been free for a while."""
        with held_if_free(self._lock) as is_free:
            is_begun = self.has_begun()
        if not (is_begun and is_free):
            self._free_since = None
            return False
        self._free_since = self._free_since or time.monotonic()
        return time.monotonic() - self._free_since > GONE_SECONDS

    def has_begun(self) -> bool:
        """Return whether it is more than a job in a queue."""
        return self._lock.stat().st_size > 0

    def stop(self) -> None:
        """Nothing beyond the stop file: the job may run anywhere."""

    def kill(self) -> None:
        """Cancel a job of Slurm; others end with this program (Ray) or by the stop file."""
        if self.is_running():
            for job in (self._jobs / SUBMITTED).glob("*"):
                subprocess.run(["scancel", job.name], capture_output=True, timeout=60)

    def last_words(self) -> str:
        word = self._lock.read_text()
        began = f"it was {word}" if word else "it had not begun"
        return self._error or f"it left no message; {began}"


RunningWorker = LocalWorker | LaunchedWorker
Launcher = LocalLauncher | HydraLauncher


def work_as_job(folder: str, index: int, working_dir: str, _config: DictConfig) -> str:
    """Work where a launcher has put this process; relative paths stay those of the sweep."""
    granted = os.environ.get("SLURM_CPUS_PER_TASK")
    if granted is not None:  # Ray does the same; without it each worker would use every core
        os.environ.setdefault("OMP_NUM_THREADS", granted)
    from resnet_sweep.workers.worker import run_worker

    os.chdir(working_dir)
    return run_worker(Path(folder), index)


def threads_of_worker(n_jobs: int) -> int:
    """Return the threads of each local worker: OMP_NUM_THREADS, or its share of the cores."""
    given = os.environ.get("OMP_NUM_THREADS", "")
    return int(given) if given.isdecimal() and int(given) else max(1, num_cores() // n_jobs)


def is_elsewhere(config: DictConfig) -> bool:
    """Return whether the workers may run on other machines than this one."""
    name = str(OmegaConf.select(config, "hydra.launcher._target_")).rpartition(".")[2]
    if name == "RayLauncher":
        return OmegaConf.select(config, "hydra.launcher.ray.init.address") not in (None, "local")
    return name not in ("BasicLauncher", "LocalLauncher", "JoblibLauncher")


def is_local(config: DictConfig) -> bool:
    """Return whether the workers are processes of this machine."""
    return bool(OmegaConf.select(config, "hydra.launcher._target_") == BASIC_LAUNCHER)


def choose_launcher(
    folder: Path, n_jobs: int, config: DictConfig, context: HydraContext
) -> Launcher:
    """Return the local launcher unless hydra/launcher names another than Hydra's own."""
    if is_local(config):
        return LocalLauncher(folder, n_jobs, env_set=env_set(config))
    return HydraLauncher(folder, config, context)


def check_device(name: str) -> None:
    """Raise ConfigError where the workers of this machine cannot have this device; no torch."""
    allowed = "no NVIDIA GPU is listed or visible on this machine; take cpu"
    require(name != "cuda" or bool(visible_gpus()), "train.device", name, allowed)
    allowed = "this machine has no Apple GPU; take cpu"
    require(name != "mps" or sys.platform == "darwin", "train.device", name, allowed)


def default_n_jobs(config: DictConfig) -> int:
    """One worker for each GPU; without one, one for each four cores; elsewhere one.

    Where the launcher trains elsewhere, this machine, as a cluster's login node, tells nothing.

    In mode `graph` more workers on a GPU gained nothing (benchmarks/RESULTS.md, one H200 without
    MPS), and one that has its GPU's memory to itself never loses it to another. With MPS nothing
    has been measured: benchmarks/workers.py measures both and prints what to take.
    """
    if is_elsewhere(config):
        return 1
    return len(visible_gpus()) or max(1, num_cores() // CORES_PER_WORKER)


def describe_workers(n_jobs: int, is_given: bool) -> str:
    """Return one line: how many workers of this machine, why, and what memory each has."""
    gpus = len(visible_gpus())
    start = f"workers: {n_jobs}"
    if not is_given:
        why = "one for each GPU" if gpus else f"one for each {CORES_PER_WORKER} of its cores"
        return f"{start}, {why}; hydra.sweeper.n_jobs=N takes another number"
    if n_jobs <= gpus or not gpus:
        return f"{start}, as asked for"
    on_each = -(-n_jobs // gpus)
    shared = f"{start}, as asked for: up to {on_each} share a GPU"
    memory = least_memory_gib()
    if memory is None:
        return shared
    return (
        f"{shared} of {memory:.0f} GiB, so that trials of over {memory / on_each:.1f} GiB may fail"
    )
