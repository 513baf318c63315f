"""The command that compares: designs, survivors, growth and refusals, on runs of known accuracy.

Most tests train nothing: what stands in for the workers leaves run folders whose accuracies
follow from their configurations. Real trainings are in the last two.
"""

from __future__ import annotations

import json
import re
import signal
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from conftest import TINY_OVERRIDES, run_here
from generated_runs import write_run
from guarded_test_set import GUARD, command, guarded, run_guarded
from scipy import stats
from signals_sent import signal_at

from resnet_sweep.comparison import command as comparing
from resnet_sweep.config import Config
from resnet_sweep.data.registry import load_dataset
from resnet_sweep.records.comparison import read_comparison, read_plan
from resnet_sweep.records.run_folder import read_config_values, read_result
from resnet_sweep.records.sweep_folder import SWEEP_LOCK, EndedRun
from resnet_sweep.system.locks import FileLock
from resnet_sweep.workers.planned import PlannedRun, prepare_planned

FACTORS = """\
runs: 8
common: [regularization.weight_decay=0.001]
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
TINY = [*(o for o in TINY_OVERRIDES if o != "train.epochs=2"), "train.epochs=1", "n_jobs=1"]
GAINS = {"zero_init": 0.02, "lr": 0.04, "smoothing": -0.03}


def _accuracy(config: Config) -> float:
    """Return a made-up accuracy: known gains, and noise that follows from seed and recipe."""
    made = {
        "zero_init": config.init.zero_init_residual,
        "lr": config.optimizer.lr > 0.05,
        "smoothing": config.regularization.label_smoothing > 0,
    }
    digits = sum(2**k for k, each in enumerate(made.values()) if each)
    noise = np.random.default_rng([config.seed, digits]).normal(0, 0.002)
    return 0.5 + float(noise) + sum(GAINS[name] for name, each in made.items() if each)


class Workers:
    """Stands in for train_planned: leaves each run that is not there yet, once.

    Args:
        accuracy: of a configuration; None: the run fails.
    """

    def __init__(self, accuracy: Callable[[Config], float | None]) -> None:
        self.accuracy = accuracy
        self.trained: list[tuple[str, str, int]] = []
        self.objectives: set[str] = set()

    def __call__(
        self, place: Path, objective: str, runs: Sequence[PlannedRun], *_: Any
    ) -> list[EndedRun]:
        self.objectives.add(objective)
        ended = []
        for number, run in enumerate(runs):
            run_dir, accuracy = place / f"runs/{number}", self.accuracy(run.config)
            if not run_dir.exists():
                self.trained.append((place.name, run.configuration, run.config.seed))
                settings = {"model.name": "mine", "seed": run.config.seed}
                read = load_dataset(run.config.data).fingerprint
                write_run(run_dir, accuracy or 0.1, settings, data_fingerprint=read)
            state = "failed" if accuracy is None else "completed"
            error = "no loss" if accuracy is None else None
            seed = run.config.seed
            at = f"{place.name}/runs/{number}"
            ended.append(EndedRun(run.configuration, seed, state, error, error, accuracy, 2.0, at))
        return ended


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "mine.yaml").write_text(FACTORS)
    (tmp_path / "steps.yaml").write_text(STEPS)
    return tmp_path


@pytest.fixture
def workers(monkeypatch: pytest.MonkeyPatch) -> Workers:
    stand_in = Workers(_accuracy)
    monkeypatch.setattr(comparing, "train_planned", stand_in)
    return stand_in


def _compare(*words: str, cwd: Path, status: int = 0) -> str:
    done = run_here("compare", *words, *TINY, cwd=cwd)
    assert done.returncode == status, done.stderr + done.stdout
    if status == 2:
        assert len(done.stderr.splitlines()) == 1
        return str(done.stderr)
    return f"{done.stdout}{done.stderr}"


@pytest.mark.slow
def test_factors_their_survivors_and_what_is_left(place: Path, workers: Workers) -> None:
    said = _compare("factors=mine.yaml", "num_seeds=2", "survivor_seeds=5", cwd=place)
    folder = place / "outputs/comparisons/mine"
    found = read_comparison(folder)
    main, survivors = found.part("effects"), found.part("survivors")
    assert main is not None and survivors is not None
    runs = pd.DataFrame([vars(run) for run in found.runs])
    for row in main.rows:
        made = runs["configuration"].str.split(", ").map(lambda names, n=row.name: n in names)
        means = runs["accuracy"].groupby(made).mean()
        assert row.gain == pytest.approx(means[True] - means[False]) and made.sum() == 8
        assert row.gain == pytest.approx(GAINS[row.name], abs=0.004)
    assert [row.verdict for row in main.rows] == ["better", "better", "worse"]
    assert [row.name for row in survivors.rows] == ["start", "zero_init", "lr", "all together"]
    followed = pd.DataFrame([vars(run) for run in found.survivor_runs])
    by_seed = followed.pivot(index="seed", columns="configuration", values="accuracy")
    assert list(by_seed.index) == [1000, 1001, 1002, 1003, 1004]  # the design had 0 and 1
    for row in survivors.rows[1:]:
        test = stats.ttest_rel(by_seed[row.name], by_seed["start"])
        ends = test.confidence_interval(0.95 ** (1 / 3))
        assert (row.all_low, row.all_high) == pytest.approx((ends.low, ends.high))
        assert row.n == 5
    assert read_plan(folder) == found.plan and found.plan.survivors == ["zero_init", "lr"]
    assert workers.objectives == {"val_accuracy"}
    text = (folder / "comparison.md").read_text()
    assert "smoothing" in text and "all together" in text and "16 of 16 runs completed" in said
    table = pd.read_csv(folder / "comparison.csv")
    assert set(table["part"]) == {"effects", "interactions", "survivors"}
    for stem in ("comparison", "survivors"):
        assert (folder / f"{stem}.png").read_bytes().startswith(b"\x89PNG")
        assert "</svg>" in (folder / f"{stem}.svg").read_text()


@pytest.mark.slow
def test_more_seeds_add_runs_and_the_survivors_stay(place: Path, workers: Workers) -> None:
    words = ["factors=mine.yaml", "folder=out"]
    _compare(*words, "num_seeds=1", "survivor_seeds=0", cwd=place)
    assert read_comparison(place / "out").part("survivors") is None
    _compare(*words, "num_seeds=1", "survivor_seeds=2", cwd=place)
    chosen = read_comparison(place / "out").plan.survivors
    assert chosen is not None and "lr" in chosen and "smoothing" not in chosen
    assert len(workers.trained) == len(set(workers.trained))
    before = len(workers.trained)
    workers.accuracy = lambda config: 1 - _accuracy(config)  # now others would survive
    _compare(*words, "num_seeds=3", "survivor_seeds=3", cwd=place)
    added = workers.trained[before:]
    assert [name for stage, name, _ in added if stage == "survivors"] == [
        "start",
        *chosen,
        *(["all together"] if len(chosen) > 1 else []),
    ]
    assert {seed for stage, _, seed in added if stage == "study"} == {1, 2}
    found = read_comparison(place / "out")
    assert found.plan.survivors == chosen and found.plan.chosen_by == 1
    survivors = found.part("survivors")
    assert survivors is not None
    assert any("by all seeds" in note and "smoothing" in note for note in survivors.notes)
    for fewer in (["num_seeds=2"], ["num_seeds=3", "survivor_seeds=2"]):
        assert fewer[-1] in _compare(*words, *fewer, cwd=place, status=2)
    assert "survivor_seeds=0" in _compare(
        *words, "num_seeds=3", "survivor_seeds=0", cwd=place, status=2
    )


@pytest.mark.slow
def test_where_none_survives_it_says_so(place: Path, workers: Workers) -> None:
    """Nothing is better than the start; a later call may still find something."""
    workers.accuracy = lambda config: (
        _accuracy(config)
        - 3 * (0.04 * (config.optimizer.lr > 0.05) + 0.02 * config.init.zero_init_residual)
    )
    _compare("factors=mine.yaml", "num_seeds=2", "folder=out", cwd=place)
    part = read_comparison(place / "out").part("survivors")
    assert part is not None and part.rows == [] and "0 of 3" in part.notes[0]
    assert not (place / "out/survivors").exists()
    workers.accuracy = _accuracy
    _compare("factors=mine.yaml", "num_seeds=2", "folder=out", cwd=place)
    assert read_comparison(place / "out").plan.survivors == ["zero_init", "lr"]


@pytest.mark.slow
def test_all_survivors_together_that_cannot_be_are_left_out(
    place: Path, workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = FACTORS.replace("common: [", "common: ['model.widths=[4,8]', ")
    text = text.replace("zero_init: [", "zero_init: ['model.widths=[64,128]', ")
    (place / "mine.yaml").write_text(text.replace("high: [", "high: [model.kernel_size=5,"))
    words = [o for o in TINY if not o.startswith("model.widths")]
    limits = ["model.max_params=400000"]
    monkeypatch.setattr(comparing, "check_runs", _checked_but_the_design(comparing.check_runs))
    done = run_here("compare", "factors=mine.yaml", "folder=out", *words, *limits, cwd=place)
    assert done.returncode == 0, done.stderr
    part = read_comparison(place / "out").part("survivors")
    assert part is not None
    assert [row.name for row in part.rows] == ["start", "zero_init", "lr"]
    assert any("all together" in note and "max_params" in note for note in part.notes)


def _checked_but_the_design(check: Callable[..., None]) -> Callable[..., None]:
    """Let the design be: of its configurations too, the largest is over the budget."""

    def checked(runs: list[PlannedRun], config: Any) -> None:
        names = ("start", "zero_init", "lr")
        check([run for run in runs if run.configuration in names], config)

    return checked


def test_steps_are_compared_with_the_one_before(place: Path, workers: Workers) -> None:
    said = _compare("steps=steps.yaml", "num_seeds=3", cwd=place)
    part = read_comparison(place / "outputs/comparisons/steps").part("steps")
    assert part is not None and "3 seeds" in said
    assert [row.name for row in part.rows] == ["start", "lr", "smoothing"]
    assert [row.verdict for row in part.rows] == ["", "better", "worse"]
    assert part.rows[2].gain == pytest.approx(-0.03, abs=0.006)
    assert part.rows[2].over_start == pytest.approx(0.01, abs=0.006)


@pytest.mark.slow
def test_recipes_on_the_test_set_say_what_they_are(place: Path, workers: Workers) -> None:
    words = ["recipes=[source,source_tuned]", "split=test", "num_seeds=2", "train.epochs=3"]
    run = run_here("compare", *words, *TINY[:-2], "n_jobs=1", "train.epochs=3", cwd=place)
    assert run.returncode == 0, run.stderr
    assert workers.objectives == {"test_accuracy"}
    folder = place / "outputs/comparisons/source-source_tuned_test"
    found = read_comparison(folder)
    part = found.part("recipes")
    assert part is not None and [row.num_params for row in part.rows] == [1000, 1000]
    assert [row.n for row in part.rows] == [2, 2] and part.rows[1].gain == part.rows[1].over_start
    assert read_config_values(folder / found.runs[0].run_dir)["seed"] == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "rows"),
    [(["steps=steps.yaml"], 3), (["factors=mine.yaml"], 0), (["recipes=[source]"], 1)],
)
def test_where_every_run_failed_it_ends_with_one_and_the_count(
    place: Path, workers: Workers, words: list[str], rows: int
) -> None:
    workers.accuracy = lambda config: None
    said = _compare(*words, "num_seeds=2", "folder=out", "train.epochs=3", cwd=place, status=1)
    found = read_comparison(place / "out")
    assert f"none of {len(found.runs)} runs completed" in said and "no loss" in said
    assert sum(len(part.rows) for part in found.parts) == rows


@pytest.mark.slow
def test_some_failed_runs_are_named_and_left_out(place: Path, workers: Workers) -> None:
    workers.accuracy = lambda c: None if c.seed == 1 and c.optimizer.lr < 0.1 else _accuracy(c)
    said = _compare("steps=steps.yaml", "num_seeds=4", cwd=place)
    part = read_comparison(place / "outputs/comparisons/steps").part("steps")
    assert part is not None
    assert [(row.n, row.num_failed) for row in part.rows] == [(3, 1), (4, 0), (4, 0)]
    assert "11 of 12 runs completed" in said and "(start, seed 1): no loss" in said


@pytest.mark.slow
def test_a_folder_of_another_comparison_is_refused(place: Path, workers: Workers) -> None:
    _compare("steps=steps.yaml", "num_seeds=3", "folder=out", cwd=place)
    kept = {path: path.read_bytes() for path in (place / "out").glob("*.*")}
    for words in (["factors=mine.yaml"], ["steps=steps.yaml", "split=test"], ["recipes=[source]"]):
        said = _compare(*words, "folder=out", "num_seeds=3", "train.epochs=3", cwd=place, status=2)
        assert "folder=out: " in said
    with FileLock(place / "out" / SWEEP_LOCK):
        assert "in use" in _compare("steps=steps.yaml", "folder=out", cwd=place, status=2)
    (place / "out/plan.json").write_text("{")
    assert "plan.json: cannot be read" in _compare(
        "steps=steps.yaml", "folder=out", cwd=place, status=2
    )
    assert all(p.read_bytes() == kept[p] for p in kept if p.name not in ("plan.json", "sweep.lock"))


@pytest.mark.slow
def test_a_refused_command_leaves_the_plan(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the seeds that it asked for would be the fewest from then on."""
    stand_in = Workers(_accuracy)

    def train(
        place: Path, objective: str, runs: Sequence[PlannedRun], *rest: Any
    ) -> list[EndedRun]:
        prepare_planned(place, objective, runs, rest[0])
        return stand_in(place, objective, runs)

    monkeypatch.setattr(comparing, "train_planned", train)
    words = ["steps=steps.yaml", "folder=out"]
    _compare(*words, "num_seeds=2", cwd=place)
    kept = (place / "out/plan.json").read_bytes()
    said = _compare(*words, "num_seeds=3", "optimizer.momentum=0.5", cwd=place, status=2)
    assert "out/study: holds runs of another command" in said
    assert (place / "out/plan.json").read_bytes() == kept
    assert "6 of 6 runs completed" in _compare(*words, "num_seeds=2", cwd=place)


@pytest.mark.slow
def test_other_data_than_before_leave_the_plan(place: Path, workers: Workers) -> None:
    words = ["steps=steps.yaml", "folder=out"]
    _compare(*words, "num_seeds=2", cwd=place)
    kept, result = (place / "out/plan.json").read_bytes(), place / "out/study/runs/0/result.json"
    text = result.read_text()
    result.write_text(json.dumps(json.loads(text) | {"data_fingerprint": "other"}))
    for seeds in (2, 3):
        said = _compare(*words, f"num_seeds={seeds}", cwd=place, status=2)
        assert "data=digits: holds other data than out/study/runs/0 read" in said
    assert (place / "out/plan.json").read_bytes() == kept
    result.write_text(text)
    assert "6 of 6 runs completed" in _compare(*words, "num_seeds=2", cwd=place)


@pytest.mark.slow
def test_a_survivor_that_is_no_factor_is_damage(place: Path, workers: Workers) -> None:
    words = ["factors=mine.yaml", "folder=out", "num_seeds=2", "survivor_seeds=2"]
    _compare(*words, cwd=place)
    plan = place / "out/plan.json"
    plan.write_text(json.dumps(json.loads(plan.read_text()) | {"survivors": ["nope"]}))
    said = _compare(*words, cwd=place, status=2)
    assert "out/plan.json: is damaged: survivors has nope, which is no factor" in said


@pytest.mark.slow
def test_a_report_that_cannot_be_written_is_one_line(place: Path, workers: Workers) -> None:
    """The runs are there: the same command only writes."""
    words = ["steps=steps.yaml", "num_seeds=2", "folder=out"]
    _compare(*words, cwd=place)
    kept = (place / "out/comparison.md").read_bytes()
    (place / "out/comparison.md").unlink()
    (place / "out/comparison.md").mkdir()
    assert "report cannot be written" in _compare(*words, cwd=place, status=2)
    (place / "out/comparison.md").rmdir()
    _compare(*words, cwd=place)
    assert (place / "out/comparison.md").read_bytes() == kept and len(workers.trained) == 6


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "no design"),
        (["steps=a", "factors=b"], "steps=a, factors=b"),
        (["recipes=[]"], "no design"),
        (["factors=nonsense"], "factors=nonsense: .*ingredients"),
        (["steps=nonsense.yaml"], "steps=nonsense.yaml"),
        (["factors=ingredients", "num_sedes=2"], "num_sedes"),
        (["factors=ingredients", "survivor_seeds=1"], "survivor_seeds=1: .*from 2 to 1000"),
        (["factors=ingredients", "split=test"], "split=test: .*val"),
        (["steps=source_to_best", "split=tset"], "split=tset: .*val, test"),
        (["steps=source_to_best", "num_seeds=1"], "num_seeds=1: .*from 2 to 1000"),
        (["recipes=[sauce]"], "sauce"),
        (["recipes=[source,source]"], r"recipes=\[source,source\]"),
        (["recipes=[source]", "folder="], "folder="),
        (
            ["recipes=[source,source_tuned]", "experiment=fast_93"],
            "experiment=fast_93: has no place here: recipes=",
        ),
        (["recipes=[source]", "evaluate_test=false"], "evaluate_test=false: has no place here"),
        (["recipes=[source_tuned]", "augmentation=none"], "augmentation=none: the experiment"),
        (["recipes=[source]", "~split"], "~split: a field cannot be removed"),
        (["recipes=[source]", "train.epochs=0"], "source: train.epochs=0"),
    ],
)
def test_a_mistake_gets_one_line_and_leaves_nothing(
    tmp_path: Path, words: list[str], said: str
) -> None:
    done = run_here("compare", *words, cwd=tmp_path)
    assert done.returncode == 2 and re.search(said, done.stderr), done.stderr
    assert len(done.stderr.splitlines()) == 1 and not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("step", "words", "said"),
    [
        ("model.widths=[16,64,128,512]", [], "big: model.max_params=5000000"),
        ("regularization.distill_from=nowhere", [], "big: regularization.distill_from=nowhere"),
        ("optimizer.lr=0.2", ["data=image_folder", "data.root=nowhere"], "data.root=nowhere"),
        ("optimizer.lr=0.2", ["train.device=cuda"], "train.device=cuda"),
    ],
)
def test_what_no_run_could_train_is_refused_before_a_folder_exists(
    tmp_path: Path, step: str, words: list[str], said: str
) -> None:
    text = f"start: [model=wrn_2343]\nsteps:\n  big: ['{step}']\n"
    (tmp_path / "steps.yaml").write_text(text)
    common = ["steps=steps.yaml", "data=digits", "num_seeds=2", "n_jobs=1", "folder=out"]
    done = run_here("compare", *common, *words, cwd=tmp_path)
    assert done.returncode == 2 and said in done.stderr and len(done.stderr.splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["steps.yaml"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"parts": [{"kind": "steps"}]}, "has no 'rows'"),
        ({"runs": [{"accuracy": 1}]}, "TypeError"),
        ({"levels": [["x"]]}, "levels"),
        ({"plan": 3}, "is damaged"),
        ({"schema_version": 99}, "schema_version is 99"),
    ],
)
def test_a_damaged_comparison_is_told_in_one_line(
    place: Path, workers: Workers, change: dict[str, Any], said: str
) -> None:
    from resnet_sweep.config.errors import UserError

    _compare("steps=steps.yaml", "num_seeds=2", "folder=out", cwd=place)
    path = place / "out/comparison.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(UserError, match=r"comparison\.json: ") as told:
        read_comparison(place / "out")
    assert said in str(told.value) and "\n" not in str(told.value)


@pytest.mark.slow
@pytest.mark.parametrize("words", [["--config-dir", "own"], ["--config-dir=own"]])
def test_a_users_own_configuration_is_that_of_every_run(
    place: Path, workers: Workers, words: list[str]
) -> None:
    (place / "own/experiment").mkdir(parents=True)
    (place / "own/comparison/steps").mkdir(parents=True)
    (place / "own/mine.yaml").write_text("defaults: [config, _self_]\nseed: 77\n")
    text = "# @package _global_\noptimizer: {lr: 0.3}\n"
    (place / "own/experiment/own.yaml").write_text(text)
    (place / "own/comparison/steps/named.yaml").write_text(STEPS)
    seen: list[Config] = []
    workers.accuracy = lambda config: seen.append(config) or 0.5  # type: ignore[func-returns-value]
    _compare("recipes=[own]", "num_seeds=1", *words, "--config-name", "mine", cwd=place)
    assert {(c.seed, c.optimizer.lr) for c in seen} == {(77, 0.3)}
    seen.clear()
    _compare("steps=named", "num_seeds=2", *words, cwd=place)
    assert {(c.seed, c.optimizer.lr) for c in seen} == {
        (s, lr) for s in (0, 1) for lr in (0.05, 0.1)
    }
    assert "--config-dir" in _compare("recipes=[own]", "--config-path=own", cwd=place, status=2)


SEARCH_PATH = [
    ["hydra.searchpath=['file://theirs']"],
    ["++hydra.searchpath=['file://theirs']"],
    ["--config-name=mine"],
]


@pytest.mark.slow
@pytest.mark.parametrize("words", SEARCH_PATH)
def test_recipes_from_hydra_s_search_path(place: Path, workers: Workers, words: list[str]) -> None:
    """Given on the command line, or by the primary configuration of every run."""
    (place / "theirs/experiment").mkdir(parents=True)
    (place / "own").mkdir()
    text = "hydra: {searchpath: ['file://theirs'], job: {env_set: {S: '77'}}}\nseed: ${oc.env:S}\n"
    (place / "own/mine.yaml").write_text(f"defaults: [config, _self_]\n{text}")
    text = "# @package _global_\noptimizer: {lr: 0.3}\n"
    (place / "theirs/experiment/theirs.yaml").write_text(text)
    seen: list[Config] = []
    workers.accuracy = lambda config: seen.append(config) or 0.5  # type: ignore[func-returns-value]
    _compare("recipes=[theirs]", "num_seeds=1", "--config-dir=own", *words, cwd=place)
    seed = 77 if "--config-name=mine" in words else 0
    assert [(c.seed, c.optimizer.lr) for c in seen] == [(seed, 0.3)]


def test_the_composed_options_are_shown(tmp_path: Path) -> None:
    done = run_here("compare", "factors=ingredients", "--cfg", "job", cwd=tmp_path)
    assert done.returncode == 0 and "survivor_seeds: 10" in done.stdout


@pytest.mark.engines
def test_what_was_killed_goes_on_and_never_sees_a_test_image(place: Path) -> None:
    """Real trainings: two steps, two seeds, killed before the third result."""
    words = ["steps=steps.yaml", "folder=out", *TINY]
    environment = signal_at(place / "signal", "result.json", 3, signal.SIGKILL, more=GUARD)
    killed = subprocess.run(
        command("compare", *words, "num_seeds=2"),
        **guarded(place) | {"env": environment},  # type: ignore[call-overload]
    )
    assert killed.returncode == -signal.SIGKILL
    before = {p: p.stat().st_mtime_ns for p in place.glob("out/study/runs/*/result.json")}
    run_guarded("compare", *words, "num_seeds=2", cwd=place)
    assert len(before) == 2 and all(p.stat().st_mtime_ns == t for p, t in before.items())
    found = read_comparison(place / "out")
    assert [run.state for run in found.runs] == ["completed"] * 6
    for run in found.runs:
        result, config = (f(place / "out" / run.run_dir) for f in (read_result, read_config_values))
        assert (result.val_accuracy, result.test_accuracy) == (run.accuracy, None)  # type: ignore[union-attr]
        assert config["optimizer"]["lr"] == (0.05 if run.configuration == "start" else 0.1)  # type: ignore[index]
        assert config["seed"] == run.seed  # type: ignore[index]


@pytest.mark.engines
def test_the_guard_fails_a_run_that_reads_the_test_set(place: Path) -> None:
    """With split=test a run does so on purpose: without it the test above could not fail."""
    words = ["recipes=[source]", "split=test", "num_seeds=1", *TINY, "scheduler.warmup_epochs=0"]
    done = subprocess.run(command("compare", *words), **guarded(place))  # type: ignore[call-overload]
    assert done.returncode != 0 and "the test split was touched" in done.stdout + done.stderr
