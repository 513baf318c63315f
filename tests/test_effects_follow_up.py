"""What survives a screening, and what more seeds say of it."""

from __future__ import annotations

import copy
import functools
import json
import operator
import signal
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from conftest import TINY_OVERRIDES
from guarded_test_set import GUARD, command, guarded, run_guarded
from signals_sent import signal_at

from resnet_sweep.comparison.planning import plan_follow_up
from resnet_sweep.comparison.recipes import Factor, Screening
from resnet_sweep.comparison.screened import Screened, read_screened
from resnet_sweep.config.errors import UserError
from resnet_sweep.records.identity import outcome
from resnet_sweep.records.run_folder import read_config_values, read_result
from resnet_sweep.workers.coordination import LOCK, hold_folder

FACTORS = """\
runs: 4
common: [regularization.weight_decay=0.001]
factors:
  zero_init: [init.zero_init_residual=true]
  lr: {low: [optimizer.lr=0.05], high: [optimizer.lr=0.1]}
"""
TINY = [*(o for o in TINY_OVERRIDES if o != "train.epochs=2"), "train.epochs=1"]
LR = Factor("lr", ["optimizer.lr=0.05"], ["optimizer.lr=0.3"])
DIRAC = Factor("dirac", [], ["init=dirac"])
SMOOTHING = Factor("smoothing", [], ["regularization.label_smoothing=0.1"])


def _screened(error: float | None = 0.01, **effects: float) -> Screened:
    screening = Screening("mine", 8, ["train.batch_size=64"], [LR, DIRAC, SMOOTHING])
    given = ["data=digits", "train.epochs=2", "data.split_seed=3", "seed=5"]
    return Screened(
        screening, given, 2, {"lr": 0.0, "dirac": 0.0, "smoothing": 0.0} | effects, error
    )


def _set_effects(place: Path, effects: dict[str, float], error: float) -> None:
    """Let a screening have found something else."""
    values = json.loads((place / "screening.json").read_text())
    for effect in values["main"]:
        effect["difference"] = effects[effect["name"]]
    (place / "screening.json").write_text(json.dumps(values | {"error": error}))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("follow_up")
    (folder / "mine.yaml").write_text(FACTORS)
    run_guarded("screen", "factors=mine.yaml", "folder=screened", "n_jobs=1", *TINY, cwd=folder)
    return folder


@pytest.mark.parametrize(
    ("effects", "error", "expected"),
    [
        ({"lr": 0.011, "dirac": 0.009}, 0.01, ["lr"]),
        ({"lr": -0.5, "dirac": 0.5}, 0.01, ["dirac"]),
        ({"lr": 0.001, "dirac": -0.001}, None, ["lr"]),
        ({}, 0.01, []),
    ],
)
def test_what_beats_the_standard_error_survives(
    effects: dict[str, float], error: float | None, expected: list[str]
) -> None:
    screened = _screened(error, **effects)
    assert screened.survivors == expected
    assert sorted(screened.survivors + screened.dropped) == ["dirac", "lr", "smoothing"]


@pytest.mark.parametrize(("size", "chance"), [(0, 1 / 6), (2, 5 / 6), (3, 43 / 44)])
def test_the_stated_chances_are_those_of_a_normal_effect(size: int, chance: float) -> None:
    """Of changes whose true effect is so many standard errors."""
    draws = np.random.default_rng(0).normal(0.01 * size, 0.01, 40_000)
    screened = replace(_screened(0.01), effects={str(k): v for k, v in enumerate(draws)})
    assert len(screened.survivors) / len(draws) == pytest.approx(chance, abs=0.01)


def test_each_survivor_is_alone_with_fresh_seeds_and_images() -> None:
    plan = plan_follow_up(_screened(lr=0.2, dirac=0.2), [])
    assert plan.names == ["start", "lr", "dirac", "all together"]
    start = outcome(plan.configs[0])
    changed = [{k for k, v in outcome(c).items() if v != start.get(k)} for c in plan.configs[1:]]
    assert changed == [{"optimizer.lr"}, {"init.name"}, {"optimizer.lr", "init.name"}]
    for config in plan.configs:
        assert (config.train.batch_size, config.train.epochs) == (64, 2)
        assert (config.seed, config.data.split_seed) == (
            7,
            4,
        )  # 5 and 6, and 3, were the screening's
        assert config.regularization.label_smoothing == 0 and not config.evaluate_test


def test_the_command_line_wins_over_the_screening() -> None:
    words = ["train.epochs=3", "seed=9", "data.split_seed=8", "optimizer.lr=0.2"]
    plan = plan_follow_up(_screened(lr=0.2, dirac=0.2), words)
    assert plan.names == ["start", "dirac"] and plan.left_out == ["lr"]
    assert {(c.train.epochs, c.seed, c.data.split_seed) for c in plan.configs} == {(3, 9, 8)}
    with pytest.raises(UserError, match="none of its survivors changes something"):
        plan_follow_up(_screened(lr=0.2), words)


@pytest.mark.parametrize("word", ["seed=6", "data.split_seed=3"])
def test_what_chose_the_survivors_does_not_judge_them(word: str) -> None:
    with pytest.raises(UserError, match=f"^{word}: must .*the screening's"):
        plan_follow_up(_screened(dirac=0.2), [word])


def test_a_follow_up_that_was_killed_goes_on_and_is_paired(place: Path, tmp_path: Path) -> None:
    screened = place / "screened"
    _set_effects(screened, {"zero_init": 0.02, "lr": 0.03}, 0.01)
    words = ["screening=screened", "num_seeds=2", "n_jobs=1"]
    environment = signal_at(tmp_path, "result.json", 3, signal.SIGKILL, more=GUARD)
    killed = subprocess.run(command("follow_up", *words), **guarded(place) | {"env": environment})  # type: ignore[call-overload]
    assert killed.returncode == -signal.SIGKILL
    folder = screened / "follow_up"
    before = {p: p.stat().st_mtime_ns for p in folder.glob("study/runs/*/result.json")}
    done = run_guarded("follow_up", *words, cwd=place)
    assert len(before) == 2 and all(p.stat().st_mtime_ns == t for p, t in before.items())
    assert "2 of 2 changes survived the screening" in done.stdout
    assert "8 of 8 runs completed" in done.stdout
    _check_pairs(folder)
    run_guarded("screen", "factors=mine.yaml", "folder=screened", "n_jobs=1", *TINY, cwd=place)
    assert read_screened(screened).survivors == _survivors(screened)


def _check_pairs(folder: Path) -> None:
    """Compare the report with what the run folders hold."""
    paths = [folder / f"study/runs/{number}" for number in range(8)]
    values = [read_config_values(path) for path in paths]
    assert {row["regularization"]["weight_decay"] for row in values} == {0.001}
    assert {row["data"]["split_seed"] for row in values} == {1}
    assert {row["seed"] for row in values} == {1, 2}  # the screening had 0
    results = [read_result(path) for path in paths]
    assert all(result.test_accuracy is None for result in results)
    table = pd.DataFrame(
        {
            "seed": [row["seed"] for row in values],
            "lr": [row["optimizer"]["lr"] for row in values],
            "zero": [row["init"]["zero_init_residual"] for row in values],
            "accuracy": [result.val_accuracy for result in results],
        }
    )
    by_seed = table.pivot(index="seed", columns=["lr", "zero"], values="accuracy")
    recipes = {"zero_init": (0.05, True), "lr": (0.1, False), "all together": (0.1, True)}
    changes = json.loads((folder / "follow_up.json").read_text())["changes"]
    assert [change["recipe"] for change in changes] == ["start", *recipes]
    for change in changes[1:]:
        gains = by_seed[recipes[change["recipe"]]] - by_seed[(0.05, False)]
        assert change["gain"] == pytest.approx(gains.mean()) and change["n"] == 2
    assert (folder / "follow_up.png").read_bytes().startswith(b"\x89PNG")
    assert list(pd.read_csv(folder / "follow_up.csv")["recipe"]) == ["start", *recipes]


def _survivors(screened: Path) -> list[str]:
    values = json.loads((screened / "screening.json").read_text())
    limit = values["error"] or 0.0
    return [effect["name"] for effect in values["main"] if effect["difference"] > limit]


def test_where_none_survives_it_says_so_and_ends(place: Path) -> None:
    screened = place / "screened"
    _set_effects(screened, {"zero_init": 0.009, "lr": -0.3}, 0.01)
    done = run_guarded("follow_up", "screening=screened", "folder=none", cwd=place)
    assert "0 of 2 changes survived the screening" in done.stdout
    assert "not followed: zero_init, lr" in done.stdout
    assert {path.name for path in (place / "none").iterdir()} == {
        "follow_up.md",
        "follow_up.csv",
        "follow_up.json",
        LOCK,
    }


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nonsense=3"], "start: nonsense: there is no such field"),
        (["train.epochs=0"], "start: train.epochs=0: must be"),
        (["folder=other"], "folder=other: holds the runs of a follow-up, and now nothing survives"),
        (["folder=held"], "folder=held: is in use (process "),
    ],
)
def test_where_none_survives_mistakes_are_told_and_earlier_runs_kept(
    place: Path, words: list[str], said: str
) -> None:
    _set_effects(place / "screened", {"zero_init": 0.009, "lr": -0.3}, 0.01)
    (place / "other/study").mkdir(parents=True, exist_ok=True)
    (place / "held").mkdir(exist_ok=True)
    with hold_folder(place / "held"):
        done = subprocess.run(command("follow_up", "screening=screened", *words), **guarded(place))  # type: ignore[call-overload]
    assert done.returncode == 2 and said in done.stderr and len(done.stderr.splitlines()) == 1
    assert not list(place.glob("other/follow_up.*")) and not list(place.glob("held/follow_up.*"))


WHOLE = {
    "recipes": {
        "name": "mine",
        "runs": 4,
        "common": ["train.batch_size=64"],
        "factors": [{"name": "lr", "low": [], "high": ["optimizer.lr=0.1"]}],
        "given": [],
        "num_seeds": 2,
    },
    "main": [{"name": "lr", "difference": 0.02}],
    "error": 0.01,
}


@pytest.mark.parametrize(
    ("where", "value", "said"),
    [
        (["recipes", "num_seeds"], "x", "num_seeds is x, must be from 1"),
        (["recipes", "num_seeds"], 0, "num_seeds is 0, must be from 1"),
        (["recipes", "common"], None, "common is null, must be a list"),
        (["recipes", "factors", 0, "high"], 3, "high is 3, must be a list"),
        (["recipes", "factors", 0, "high"], [3], "must be a list"),
        (["recipes", "factors", 0], 3, "TypeError"),
        (["recipes", "given"], "abc", "given is abc, must be a list"),
        (["error"], "a", "error is a, must be a number or null"),
        (["error"], float("nan"), "error is nan, must be a finite number"),
        (["main", 0, "difference"], None, "effects is "),
        (["main", 0, "name"], "other", "its effects are not those of the factors"),
        (["main"], "abc", "TypeError"),
    ],
)
def test_a_damaged_screening_is_told_in_one_line(
    tmp_path: Path, where: list[str | int], value: object, said: str
) -> None:
    values: Any = copy.deepcopy(WHOLE)
    (tmp_path / "screening.json").write_text(json.dumps(values))
    assert read_screened(tmp_path).survivors == ["lr"]
    *parents, last = where
    functools.reduce(operator.getitem, parents, values)[last] = value
    (tmp_path / "screening.json").write_text(json.dumps(values))
    with pytest.raises(UserError, match="is damaged") as told:
        read_screened(tmp_path)
    assert said in str(told.value) and "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "error: screening=null: must be the folder of a screening"),
        (["screening=nowhere"], "error: screening=nowhere: has no screening.json"),
        (["screening=begun"], "error: screening=begun: has not ended yet: its own command goes on"),
        (["screening=old"], "screening.json is damaged (KeyError: 'recipes'): its own"),
        (["screening=torn"], "screening.json is damaged (JSONDecodeError"),
        (["screening=list"], "screening.json is damaged (TypeError"),
        (["screening=x", "num_seeds=1"], "num_seeds=1: must be an integer, from 2 to 1000"),
    ],
)
def test_a_mistake_gets_one_line(tmp_path: Path, words: list[str], said: str) -> None:
    (tmp_path / "begun/study").mkdir(parents=True)
    for name, text in (("old", "{}"), ("torn", '{"recipes"'), ("list", "[]")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "screening.json").write_text(text)
    before = sorted(tmp_path.rglob("*"))
    done = subprocess.run(
        command("follow_up", *words), cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 2 and said in done.stderr and len(done.stderr.splitlines()) == 1
    assert sorted(tmp_path.rglob("*")) == before
