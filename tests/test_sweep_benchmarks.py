"""The benchmarks of several workers, of whole sweeps and beside airbench, in their small forms."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import airbench
import optuna
import packaged_sweeper
import pytest
import storage_cost
import wanted
import workers
from conftest import ROOT

from resnet_sweep.records.sweep_folder import SweepTrial

pytestmark = pytest.mark.engines  # a benchmark, whole

# A program with the names that airbench's have, on a CPU: two steps of a net of known cost.
STAND_IN = """
import torch
from torch import nn

hyp = {'opt': {'batch_size': 50}}

def make_net():
    return nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.Flatten(), nn.Linear(4096, 10))

def print_training_details(variables, is_final_entry):
    raise AssertionError('is replaced')

def main(run):
    data = torch.load('cifar10/train.pt')
    assert data['images'].dtype == torch.uint8 and data['images'].shape[1:] == (32, 32, 3)
    current_steps, total_time_seconds = 2, 100.0 if run == 'warmup' else 0.5 * (run + 1)
    print_training_details(locals(), is_final_entry=False)
    total_time_seconds += 1000
    print_training_details(locals(), is_final_entry=True)
    return 0.25
"""


def run_small(script: str, output: Path, *arguments: str) -> dict[str, Any]:
    command = [sys.executable, str(ROOT / "benchmarks" / script), "--small", *arguments]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*command, "--output", str(output)], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    content: dict[str, Any] = json.loads(output.read_text())
    return content


def test_a_database_is_filled_as_optuna_would(tmp_path: Path) -> None:
    space, _ = storage_cost.core_space()
    trials = storage_cost.random_trials(space, 5)
    urls = [f"sqlite:///{tmp_path}/{name}.db" for name in ("ours", "optunas")]
    storage_cost.fill(urls[0], tmp_path, "a", trials)
    optuna.create_study(storage=urls[1], study_name="a").add_trials(trials)
    ours, optunas = (optuna.load_study(storage=url, study_name="a").trials for url in urls)
    assert ours == optunas


def test_airbench_is_run_from_the_users_folder(tmp_path: Path) -> None:
    (tmp_path / "legacy").mkdir()
    for name in airbench.PROGRAMS:
        (tmp_path / "legacy" / f"{name}.py").write_text(STAND_IN)
    arguments = ("--checkout", str(tmp_path), "--runs", "3")
    content = run_small("airbench.py", tmp_path / "airbench.json", *arguments)
    theirs = content["rows"]["airbench95"]
    assert theirs["multiply_adds"] == 32 * 32 * 4 * 27 + 4096 * 10
    assert theirs["images_per_second"] == pytest.approx(2 * 50 / 1.0)  # the second of three
    assert (theirs["n"], theirs["accuracy"]) == (3, 0.25)
    ours = content["rows"]["ours/small/64/none"]
    ratio = ours["multiply_adds"] * ours["images_per_second"] / theirs["multiply_adds_per_second"]
    assert content["derived"]["ours against airbench95"] == pytest.approx(ratio)


def test_a_folder_without_their_programs_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no legacy/airbench94\.py"):
        airbench.load_program(tmp_path, "airbench94")


def test_several_workers_train_together(tmp_path: Path) -> None:
    rows = run_small("workers.py", tmp_path / "workers.json")["rows"]
    assert {(row["workers"], row["mps"]) for row in rows.values()} == {(1, False), (2, False)}
    for row in rows.values():
        assert row["images_per_second"] > 0 and row["memory_bytes_per_worker"] > 2**26
        assert row["trials_per_hour"] == pytest.approx(3600 * row["images_per_second"] / 500_000)


def curve(*rates: float, memory: float = 1.0) -> list[dict[str, float]]:
    counts = (1, 2, 4, 8)
    return [
        {"workers": n, "images_per_second": rate, "memory_bytes_per_worker": memory}
        for n, rate in zip(counts, rates, strict=False)
    ]


@pytest.mark.parametrize(
    ("rates", "memory", "expected"),
    [
        ((100, 101, 102, 99), 100, 1),  # takes turns: more gain nothing
        ((100, 180, 300, 310), 100, 4),
        ((100, 180, 300, 310), 3.5, 2),  # four do not fit beside each other
        ((100, 180, 300, 310), 0.5, 1),
    ],
)
def test_the_default_is_the_fewest_workers_near_the_best_that_fit(
    rates: tuple[float, ...], memory: float, expected: int
) -> None:
    assert workers.recommend(curve(*rates), memory) == expected


def test_mps_is_started_for_the_workers_and_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "log"
    script = (
        f'#!/bin/sh\necho "$1 $CUDA_MPS_PIPE_DIRECTORY" >> {log}\n[ -n "$1" ] || cat >> {log}\n'
    )
    (tmp_path / workers.MPS).write_text(script)
    (tmp_path / workers.MPS).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(ZeroDivisionError), workers.mps_server() as environment:
        pipes = environment["CUDA_MPS_PIPE_DIRECTORY"]
        assert Path(pipes).is_dir()
        raise ZeroDivisionError
    assert log.read_text() == f"-d {pipes}\n {pipes}\nquit\n"
    assert not Path(pipes).exists()
    (tmp_path / workers.MPS).write_text("#!/bin/sh\necho no device >&2\nexit 1\n")
    with pytest.raises(RuntimeError, match="-d: no device"), workers.mps_server():
        pass
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(RuntimeError, match="not installed"), workers.mps_server():
        pass


def trial(number: int, worker: int, ended: float, seconds: float) -> SweepTrial:
    return SweepTrial(number, "completed", worker=worker, ended=ended, train_seconds=seconds)


def test_what_passes_between_two_trials_of_a_worker() -> None:
    trials = [trial(0, 0, 100, 9), trial(1, 1, 103, 9), trial(2, 0, 111.5, 11)]
    trials += [SweepTrial(3, "rejected", worker=0, ended=112), trial(4, 0, 114, 1.75)]
    assert packaged_sweeper.between_trials(trials) == pytest.approx([0.5, 0.75])


@pytest.mark.engines
def test_whole_sweeps_are_timed_beside_the_packaged_sweeper(tmp_path: Path) -> None:
    content = run_small("gpu_sweep.py", tmp_path / "sweep.json", "--launcher", "basic")
    assert len(content["rows"]) == 3
    for row in content["rows"].values():
        assert row["training_seconds"] < row["wall_seconds"]
        assert row["trials_per_hour"] == pytest.approx(3600 * 4 / row["wall_seconds"])
    assert content["rows"]["this sweeper"]["between_trials_n"] == 3
    assert content["derived"]["seconds between two trials"] < 2


def test_the_script_measures_what_is_left_and_tells_how_it_went(tmp_path: Path) -> None:
    """Stand-ins: Python notes what it is asked, a sweep has more to do, the clock stands still."""
    commands = {
        "python": f'echo $(basename "$1" .py) "$@" >> {tmp_path}/log\n'
        f"case $1 in *workers.py) exit 1;; *gpu_sweep.py) exit $(cat {tmp_path}/sweep);;"
        f" *packaged_sweeper.py) exit $(cat {tmp_path}/packages);; esac",
        "date": f"cat {tmp_path}/clock; echo 470 > {tmp_path}/clock",
    }
    for name, lines in commands.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{lines}\n")
        (tmp_path / name).chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "RESULTS": str(tmp_path / "results")}
    command = ["sh", str(ROOT / "benchmarks" / "on_gpu.sh"), "images", "theirs"]

    def asked(sweep: int, clock: int, status: int) -> list[tuple[str, list[str]]]:
        (tmp_path / "log").unlink(missing_ok=True)
        (tmp_path / "sweep").write_text(str(sweep))
        (tmp_path / "clock").write_text(f"{clock}\n")
        assert subprocess.run(command, env=environment).returncode == status
        lines = (tmp_path / "log").read_text().splitlines()
        return [(line.split()[0], line.split("--minutes ")[1:]) for line in lines]

    def minutes(calls: list[tuple[str, list[str]]]) -> dict[str, int]:
        return {name: int(rest[0].split()[0]) for name, rest in calls if rest}

    (tmp_path / "packages").write_text("0")
    names = ["packaged_sweeper", "gpu", "gpu_sweep", "workers", "equivalence", "airbench", "gpu"]
    names += ["wanted"]
    calls = asked(sweep=75, clock=470, status=75)
    assert [name for name, _ in calls] == names
    # Each leaves itself room to end within ten minutes.
    wanted = {"gpu": 8, "workers": 9, "gpu_sweep": 5, "airbench": 8, "equivalence": 9}
    assert minutes(calls) == wanted
    assert minutes(asked(sweep=0, clock=470, status=1)) == wanted
    # 470 seconds after it began: what is too long waits for the next call.
    late = asked(sweep=0, clock=0, status=75)
    assert minutes(late) == {"workers": 1, "equivalence": 1}
    assert late[-1][0] == "wanted"
    (tmp_path / "packages").write_text("2")  # nothing is measured without what it takes
    assert asked(sweep=0, clock=470, status=2) == [("packaged_sweeper", [])]


def test_a_missing_launcher_is_one_line_before_anything(tmp_path: Path) -> None:
    """A sweep beside the packaged one, with an environment that has no joblib launcher."""
    hide = "import importlib.util as u; f = u.find_spec; "
    hide += "u.find_spec = lambda name: None if 'joblib_launcher' in name else f(name); "
    for script in ("gpu_sweep", "sweep_overhead"):
        program = f"{hide}import sys, {script}; sys.argv = ['x']; sys.exit({script}.main())"
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "benchmarks")}
        command = [sys.executable, "-c", program]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr == "error: hydra/launcher=joblib: needs pip install '.[benchmarks]'\n"
    assert list(tmp_path.iterdir()) == []


def test_the_table_tells_what_was_measured_and_nothing_else(tmp_path: Path) -> None:
    machine = {"device": "NVIDIA X", "date": "2026-01-02", "versions": {"torch": "9.9"}}
    derived = {
        "seconds per epoch, wrn_2343, best": 0.2,
        "seconds per epoch, wrn_2343_s1122, best": 0.9,
        "share of the heaviest augmentation, wrn_2343, batch 128, graph": 0.2,
        "share of the heaviest augmentation, wrn_2343, batch 1024, graph": 0.1,
        "bare / full step, wrn_2343, batch 128, graph": 0.95,
        "bare / full step, wrn_2343, batch 128, none": 0.85,
    }
    full = {"machine": machine, "form": "full", "derived": derived}
    (tmp_path / "gpu.json").write_text(json.dumps(full))
    small = {**full, "form": "small", "derived": {"verdict": "equivalent"}}
    (tmp_path / "equivalence.json").write_text(json.dumps(small))
    on_cpu = {**full, "machine": {**machine, "device": "cpu"}}
    (tmp_path / "workers.json").write_text(json.dumps(on_cpu))
    lines = wanted.table(wanted.read_results(tmp_path))
    measured = [line for line in lines[2:] if wanted.NOT_MEASURED not in line]
    assert [line.split("|")[4].strip() for line in measured] == [
        *("0.2 (met)", "0.9 (not met)", "0.85 (not met)", "0.2 (not met)")
    ]
    assert all("2026-01-02, NVIDIA X, torch 9.9" in line for line in measured)
    assert len(lines) == 2 + len(wanted.LINES)


def test_the_table_stands_in_the_document() -> None:
    text = wanted.RESULTS.read_text()
    lines = ["| a |", "| b |"]
    once = wanted.write(text, lines)
    assert wanted.write(once, lines) == once
    assert "\n| a |\n| b |\n<!-- wanted: end -->" in once
    assert once.partition(wanted.BEGIN)[0] == text.partition(wanted.BEGIN)[0]
