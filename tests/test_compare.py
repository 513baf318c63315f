"""Screening, ablation and measurement as commands, on digits that have no test images to read."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from conftest import TINY_OVERRIDES, run_here
from guarded_test_set import GUARD, command, guarded, run_guarded
from signals_sent import signal_at

from resnet_sweep.records.run_folder import read_config_values, read_result

FACTORS = """\
runs: 8
factors:
  zero_init: [init.zero_init_residual=true]
  lr: {low: [optimizer.lr=0.05], high: [optimizer.lr=0.1]}
  smoothing: [regularization.label_smoothing=0.1]
"""
STEPS = """\
start: [optimizer.lr=0.05]
steps:
  lr: [optimizer.lr=0.1]
  smoothing: [regularization.label_smoothing=0.1]
"""
TINY = [*(o for o in TINY_OVERRIDES if o != "train.epochs=2"), "train.epochs=1"]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("effects")
    (folder / "mine.yaml").write_text(FACTORS)
    (folder / "steps.yaml").write_text(STEPS)
    return folder


def _runs(folder: Path) -> dict[int, Path]:
    return {int(path.name): path for path in (folder / "study/runs").iterdir()}


def _values(folder: Path, name: str) -> dict[str, Any]:
    return json.loads((folder / name).read_text())  # type: ignore[no-any-return]


def test_a_screening_that_was_killed_goes_on_and_never_sees_a_test_image(
    place: Path, tmp_path: Path
) -> None:
    words = ["factors=mine.yaml", "num_seeds=1", "n_jobs=1", *TINY]
    environment = signal_at(tmp_path, "result.json", 3, signal.SIGKILL, more=GUARD)
    killed = subprocess.run(command("screen", *words), **guarded(place) | {"env": environment})  # type: ignore[call-overload]
    assert killed.returncode == -signal.SIGKILL
    folder = place / "outputs/screenings/mine"
    before = {p: p.stat().st_mtime_ns for p in folder.glob("study/runs/*/result.json")}
    done = run_guarded("screen", *words, cwd=place)
    assert len(before) == 2 and all(p.stat().st_mtime_ns == t for p, t in before.items())
    found = _values(folder, "screening.json")
    assert [run["state"] for run in found["runs"]] == ["completed"] * 8
    assert "8 of 8 runs completed" in done.stdout and "Lenth" in done.stdout
    _check_effects(folder, found)


def _check_effects(folder: Path, found: dict[str, Any]) -> None:
    """Compare the effects with what the run folders hold, read apart from any plan."""
    results = {number: read_result(path) for number, path in _runs(folder).items()}
    assert all(result.test_accuracy is None for result in results.values())
    rows = [read_config_values(path) for _, path in sorted(_runs(folder).items())]
    accuracies = pd.Series([results[number].val_accuracy for number in sorted(results)])
    made = {
        "zero_init": [row["init"]["zero_init_residual"] for row in rows],
        "lr": [row["optimizer"]["lr"] == 0.1 for row in rows],
        "smoothing": [row["regularization"]["label_smoothing"] == 0.1 for row in rows],
    }
    for effect in found["main"]:
        is_high = pd.Series(made[effect["name"]])
        expected = accuracies[is_high].mean() - accuracies[~is_high].mean()
        assert is_high.sum() == 4 and effect["difference"] == pytest.approx(expected)
    table = pd.read_csv(folder / "screening.csv")
    assert list(table["name"]) == list(made)
    assert (folder / "screening.png").read_bytes().startswith(b"\x89PNG")
    assert "</svg>" in (folder / "screening.svg").read_text()


def test_an_ablation_is_paired_and_grows_by_seeds(place: Path) -> None:
    words = ["steps=steps.yaml", "n_jobs=1", "folder=ablated", *TINY]
    run_guarded("ablate", *words, "num_seeds=2", cwd=place)
    first = {n: (p / "result.json").stat().st_mtime_ns for n, p in _runs(place / "ablated").items()}
    done = run_guarded("ablate", *words, "num_seeds=3", cwd=place)
    runs = _runs(place / "ablated")
    assert len(first) == 6 and len(runs) == 9
    assert all((runs[n] / "result.json").stat().st_mtime_ns == t for n, t in first.items())
    table = pd.DataFrame(_values(place / "ablated", "ablation.json")["runs"])
    by_seed = table.pivot(index="seed", columns="configuration", values="accuracy")
    step = _values(place / "ablated", "ablation.json")["steps"][1]
    assert step["recipe"] == "lr" and step["n"] == 3
    assert step["gain"] == pytest.approx((by_seed["lr"] - by_seed["start"]).mean())
    assert "3 seeds" in done.stdout and "undecided" in done.stdout
    changed = run_here("ablate", *words, "train.batch_size=32", cwd=place)
    assert changed.returncode == 2 and len(changed.stderr.splitlines()) == 1
    assert "train.batch_size was 64, is 32; take another folder" in changed.stderr
    fewer = run_here("ablate", *words, "num_seeds=2", cwd=place)
    assert fewer.returncode == 2 and "holds 9 runs, and this command has 6" in fewer.stderr
    (runs[4] / "result.json").write_text("{")
    damaged = run_here("ablate", *words, "num_seeds=3", cwd=place)
    assert damaged.returncode == 2 and "take another folder, or delete this one" in damaged.stderr


def test_a_sweep_never_sees_a_test_image(place: Path) -> None:
    words = ["-m", "hydra/sweeper=optuna", "hydra/sweeper/pruner=none", "search_space=[]"]
    words += ["optimizer.lr=interval(0.02,0.2)", "hydra.sweeper.start_from=[]", *TINY]
    names = ["n_trials=2", "n_jobs=1", "study_name=s", "noise_repeats=0"]
    run_guarded("train", *words, *(f"hydra.sweeper.{name}" for name in names), cwd=place)
    results = [read_result(path) for path in (place / "outputs/sweeps/s/runs").iterdir()]
    assert [(r.status, r.test_accuracy) for r in results] == [("completed", None)] * 2


def test_the_guard_fails_a_run_that_reads_the_test_set(place: Path) -> None:
    """A measurement does so on purpose: without it the tests above could not fail."""
    words = ["experiments=[source]", "num_seeds=1", "n_jobs=1", *TINY]
    done = subprocess.run(command("measure", *words), **guarded(place))  # type: ignore[call-overload]
    assert "the test split was touched" in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["screen", "factors=nonsense"], "error: factors=nonsense: there are ingredients"),
        (["screen", "num_sedes=2"], "num_sedes: there is no such field"),
        (["ablate", "num_seeds=1"], "error: num_seeds=1: must be an integer, from 2 to 1000"),
        (["measure", "experiments=[sauce]"], "sauce"),
        (["record", "nowhere", "RESULTS.md"], "error: folder=nowhere: must be a folder"),
    ],
)
def test_a_mistake_gets_one_line(tmp_path: Path, words: list[str], said: str) -> None:
    done = run_here(*words, cwd=tmp_path)
    assert done.returncode == 2 and said in done.stderr and len(done.stderr.splitlines()) == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("step", "words", "said"),
    [
        ("model.widths=[16,64,128,512]", [], "big: model.max_params=5000000: this net has"),
        ("regularization.distill_from=nowhere", [], "big: regularization.distill_from=nowhere"),
        ("optimizer.lr=0.2", ["data=image_folder", "data.root=nowhere"], "data.root=nowhere"),
        ("optimizer.lr=0.2", ["train.device=cuda"], "train.device=cuda: no NVIDIA GPU"),
    ],
)
def test_what_no_run_could_train_is_refused_before_a_folder_exists(
    tmp_path: Path, step: str, words: list[str], said: str
) -> None:
    text = f"start: [model=wrn_2343]\nsteps:\n  big: ['{step}']\n"
    (tmp_path / "steps.yaml").write_text(text)
    common = ["steps=steps.yaml", "data=digits", "num_seeds=2", "n_jobs=1", "folder=out"]
    done = run_here("ablate", *common, *words, cwd=tmp_path)
    assert done.returncode == 2 and said in done.stderr and len(done.stderr.splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["steps.yaml"]


def test_a_report_that_cannot_be_written_is_one_line(place: Path) -> None:
    """The runs are there: the same command only writes."""
    folder = place / "outputs/screenings/mine"
    kept = (folder / "screening.md").read_bytes()
    (folder / "screening.md").unlink()
    (folder / "screening.md").mkdir()
    words = ["factors=mine.yaml", "num_seeds=1", "n_jobs=1", *TINY]
    done = run_here("screen", *words, cwd=place)
    assert done.returncode == 2
    assert "the report cannot be written (Is a directory); the same command" in done.stderr
    (folder / "screening.md").rmdir()
    assert run_here("screen", *words, cwd=place).returncode == 0
    assert (folder / "screening.md").read_bytes() == kept


def test_the_composed_options_are_shown(tmp_path: Path) -> None:
    done = run_here("screen", "--cfg", "job", cwd=tmp_path)
    assert done.returncode == 0 and "num_seeds: 1" in done.stdout
