"""The record's page, section by section, against numbers computed apart from it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from generated_runs import make_config, write_run, write_sweep
from scipy import stats

from benchmarks.record.page import write_record
from benchmarks.record.recipes import changes, describe_recipe
from benchmarks.record.swept import space_table
from resnet_sweep.comparison.contrasts import estimate
from resnet_sweep.comparison.design import fractional_factorial
from resnet_sweep.comparison.figures import draw_screening
from resnet_sweep.comparison.planning import ScreeningPlan, with_seeds
from resnet_sweep.comparison.recipes import Factor
from resnet_sweep.comparison.results import by_configuration
from resnet_sweep.comparison.screening import _report
from resnet_sweep.comparison.writing import write_report
from resnet_sweep.config.errors import UserError
from resnet_sweep.records.ended_run import EndedRun
from resnet_sweep.records.sweep_folder import read_sweep

GAINS = {"good": 0.05, "bad": -0.04, "idle": 0.0, "other": 0.0, "fifth": 0.0}
NEW = {"model.name": "mine", "optimizer": "adamw", "model.block": "preact"}
PAIR = 0.03  # what good and bad do together beyond each alone


def _page(folder: Path) -> str:
    page = folder.parent / "RESULTS.md"
    page.write_text(f"<!-- {folder.name}: begin -->\n<!-- {folder.name}: end -->\n")
    write_record(folder, page)
    return page.read_text()


def _measured(folder: Path, recipes: dict[str, list[float]], **settings: Any) -> None:
    runs = []
    for name, accuracies in recipes.items():
        for seed, accuracy in enumerate(accuracies):
            number = str(len(runs))
            run_dir = folder / "measured/study/runs" / number
            own = {"model.name": "mine", "seed": seed, **settings}
            write_run(run_dir, settings=own, test_accuracy=accuracy)
            runs.append({"configuration": name, "accuracy": 0.0, "run_dir": number})
    values = {"command": "python -m resnet_sweep.measure x", "runs": runs}
    (folder / "measured/measured.json").write_text(json.dumps(values))


def _screening(folder: Path, interaction: float = 0.0) -> dict[str, float]:
    """Leave what a screening with known effects leaves; return what it has measured, in points."""
    design = fractional_factorial(16, len(GAINS))
    factors = [Factor(name, [], ["optimizer.lr=0.1"]) for name in GAINS]
    configs = [make_config() for _ in design]
    runs = with_seeds([f"row {row}" for row in range(16)], configs, 2)
    means = 0.5 + design @ (np.array(list(GAINS.values())) / 2)
    means = means + interaction / 2 * design[:, 0] * design[:, 1]
    noise = np.random.default_rng(3).normal(0, 0.004, len(runs))
    ended = [
        EndedRun(run.configuration, run.config.seed, "completed", None, None, value, 1.0, str(n))
        for n, (run, value) in enumerate(zip(runs, np.tile(means, 2) + noise, strict=True))
    ]
    effects = estimate(list(GAINS), design, by_configuration(ended, 16))
    plan = ScreeningPlan(factors, design, configs, [])
    report = _report("Screening", plan, effects, ended, "python -m resnet_sweep.screen x")
    (folder / "screening").mkdir(parents=True)
    write_report(folder / "screening", report, draw_screening(effects, "Screening"))
    values = 100 * (np.tile(means, 2) + noise)
    levels = np.tile(design, (2, 1))
    pairs = zip(GAINS, levels.T, strict=True)
    return {name: values[made > 0].mean() - values[made < 0].mean() for name, made in pairs}


def test_conclusions_come_first_and_commands_last(tmp_path: Path) -> None:
    folder = tmp_path / "small"
    _measured(folder, {"source": [0.80, 0.82, 0.81], "source_tuned": [0.84, 0.85, 0.86]})
    text = _page(folder)
    titles = [line.removeprefix("### ") for line in text.splitlines() if line.startswith("### ")]
    assert titles == ["In short", "On the test set", "Commands"]
    found = stats.ttest_rel([84, 85, 86], [80, 82, 81])
    ends = found.confidence_interval(0.95)
    expected = f"`source_tuned` +4.00 points ({ends.low:+.2f} to {ends.high:+.2f}, n = 3: better)"
    assert f"`source` has 81.00% (n = 3), and against it {expected}" in text
    assert "Wanted and measured" not in text


def test_an_empty_record_in_full_says_what_was_wanted(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    text = _page(tmp_path / "full")
    assert 'what belongs under "On the test set", "Screening", "Survivors' in text
    rows = [line for line in text.splitlines() if line.endswith("| not measured | - |")]
    assert [row.split(" | ")[0] for row in rows] == [
        "| source",
        "| source\\_tuned",
        "| best\\_100\\_epochs",
        "| best\\_10\\_minutes",
        "| fast\\_94",
    ]


@pytest.mark.parametrize(
    ("gain", "verdict"), [(0.030, "yes"), (0.010, "no"), (0.0201, "cannot tell")]
)
def test_a_wanted_gain_is_reached_where_the_whole_interval_is(
    tmp_path: Path, gain: float, verdict: str
) -> None:
    folder, noise = tmp_path / "full", [0.0, 0.002, -0.002, 0.001, -0.001]
    tuned = [0.8 + gain + each for each in noise]
    _measured(folder, {"source": [0.8] * 5, "source_tuned": tuned})
    row = next(line for line in _page(folder).splitlines() if line.startswith("| source\\_tuned |"))
    assert f"{100 * gain:+.2f} (" in row and row.endswith(f"n = 5) | {verdict} |")


@pytest.mark.parametrize("interaction", [0.0, PAIR])
def test_interactions_are_shown_where_they_stand_out(tmp_path: Path, interaction: float) -> None:
    folder = tmp_path / "small"
    effects = _screening(folder, interaction)
    text = _page(folder)
    told = f"better: good ({effects['good']:+.2f}); worse: bad ({effects['bad']:+.2f})"
    assert f"of 5 changes in 16 recipes: {told}; undecided: idle, other, fifth." in text
    _, _, table = text.partition("strings of interactions of two changes, ")
    rows = [line for line in table.split("\n\n- ")[0].splitlines() if " x " in line]
    if interaction:
        assert len(rows) == 1 and "good x bad" in rows[0] and "| better |" in rows[0]
    else:
        assert table.startswith("told apart from noise: none; the largest:") and len(rows) == 3
    assert "(docs/record_small_screening.png)" in text
    assert (tmp_path / "docs/record_small_screening.png").is_file()


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("screening.md", None, "screening.md: cannot be read: No such file"),
        ("screening.png", None, "screening.png: cannot be read: No such file"),
        ("screening.md", ("resnet_sweep.screen x", "resnet_sweep.screen y"), "command is another"),
        ("screening.json", ("resnet_sweep.screen x", "resnet_sweep.screen y"), "command is anothe"),
        ("screening.json", ('"difference": 0.0', '"difference": 0.1'), "its numbers are others"),
        ("screening.md", ("## Main effects", ""), "its numbers are others"),
        ("screening.json", ('"difference": 0.0', '"difference": "0.1'), "screening.json: is damag"),
    ],
)
def test_a_report_whose_files_disagree_is_refused(
    tmp_path: Path, name: str, change: tuple[str, str] | None, said: str
) -> None:
    _screening(tmp_path / "small")
    path = tmp_path / "small/screening" / name
    if change is None:
        path.unlink()
    else:
        text = path.read_text()
        assert change[0] in text
        path.write_text(text.replace(*change))
    with pytest.raises(UserError, match=said):
        _page(tmp_path / "small")
    assert (tmp_path / "RESULTS.md").read_text().count("\n") == 2
    assert not (tmp_path / "docs").exists()


def test_a_sweep_is_counted_and_its_importance_shown(tmp_path: Path) -> None:
    folder = tmp_path / "small"
    write_sweep(folder / "sweep", trials=60)
    text = _page(folder)
    trials = read_sweep(folder / "sweep").trials
    states = [trial.state for trial in trials]
    hours = sum(trial.train_seconds or 0 for trial in trials) / 3600
    rejected = states.count("rejected")
    assert f"60 proposals: {60 - rejected} trained ({states.count('completed')} completed" in text
    assert f"{rejected} rejected before any training ({rejected} over the budget" in text
    assert f"{hours:.2f} hours of training on cpu" in text
    rows = {
        line.split(" | ")[-1].strip(" |") for line in text.splitlines() if "| matters |" in line
    }
    assert "optimizer.lr@sgd" in rows and "regularization.dropout" not in rows
    assert "Too rarely varied" not in text
    assert "(docs/record_small_importance.png)" in text


def test_a_space_is_a_table_by_group() -> None:
    space = {
        "model.kernel_size": "choice(3, 5)",
        "model.block": "choice(basic, preact)",
        "model.shortcut_kernel_size": "choice(1, 3) where model.shortcut=conv",
        "optimizer": "choice(sgd, adamw)",
        "optimizer.lr@sgd": "0.02..1.0 log where optimizer=sgd",
        "augmentation": "choice([crop_flip], [crop_flip,cutout])",
    }
    assert space_table(space).rows == [
        [
            "model",
            "kernel_size 3, 5; block basic, preact",
            "shortcut_kernel_size 1, 3 (shortcut=conv)",
        ],
        ["optimizer", "option sgd, adamw", "lr 0.02..1.0 log (optimizer=sgd)"],
        ["augmentation", "option [crop_flip] or [crop_flip,cutout]", ""],
    ]


def test_the_best_of_a_sweep_is_named_by_what_it_is_and_what_is_new_in_it(tmp_path: Path) -> None:
    folder = tmp_path / "small"
    source = {"model.widths": [16, 32, 64], "model.blocks": [1, 1, 1]}
    _measured(folder, {"source": [0.80, 0.82, 0.81]}, **source)
    write_sweep(folder / "sweep", trials=12)
    runs = []
    accuracies = [0.86, 0.87, 0.85, 0.86]
    for number, accuracy in enumerate(accuracies):
        place = f"test/runs/{number}"
        settings = source | NEW | {"seed": 90 + number}
        write_run(folder / "sweep/confirm" / place, settings=settings, test_accuracy=accuracy)
        runs.append({"stage": "test", "configuration": "trial 5", "accuracy": 0, "run_dir": place})
    promise = {"trial": 5, "promised": 0.9, "mean": 0.88, "n": 5, "over_promise": 0.02}
    promise |= {"over_promise_low": 0.01, "over_promise_high": 0.03}
    values = {
        "command": "python -m resnet_sweep.confirm x",
        "runs": runs,
        "tied": [5, 7],
        "choose": {"configurations": [{}, {}, {}]},
        "over_promise": {"configurations": [promise]},
    }
    (folder / "sweep/confirm/confirmation.json").write_text(json.dumps(values))
    text = _page(folder)
    config = make_config(source | NEW)
    words = describe_recipe(config)
    assert words.startswith("preact, widths [16, 32, 64], blocks [1, 1, 1], adamw, ")
    found = stats.ttest_ind(accuracies, [0.80, 0.82, 0.81], equal_var=False)
    ends = found.confidence_interval(0.95)
    gain = np.mean(accuracies) - 0.81
    line = next(line for line in text.splitlines() if line.startswith("- **Sweep**"))
    assert f"the best of the sweep (trial 5): {words}" in line
    bounds = f"{100 * ends.low:+.2f} to {100 * ends.high:+.2f}"
    assert "90.00% as the sweep saw it, 88.00% with 5 fresh seeds" in text
    assert (
        "Of 3 configurations confirmed on a fresh split, not told apart: trial 5, trial 7" in text
    )
    assert f"`source` (1,000 parameters) {100 * gain:+.2f} points ({bounds}, n = 3: better)" in line
    assert "What it has and `source` has not: optimizer adamw (not sgd)" in line
    assert "    python -m resnet_sweep.confirm x\n" in text.partition("### Commands")[2]


def test_changes_are_those_of_the_keys_that_were_drawn() -> None:
    source = make_config({"model.widths": [16, 32], "model.blocks": [1, 1]})
    best = make_config({"model.widths": [8, 16], "model.blocks": [1, 2], "train.batch_size": 64})
    keys = [
        "model.base_width",
        "model.width_factor",
        "model.blocks[1]",
        "scheduler.warmup_fraction",
    ]
    assert changes(best, source, keys) == [
        "model.widths [8, 16] (not [16, 32])",
        "model.blocks [1, 2] (not [1, 1])",
    ]
    assert changes(best, source, ["train.batch_size"]) == ["train.batch_size 64 (not 128)"]
