"""The shipped experiments, screening and ablation; what a user's own files must be."""

from __future__ import annotations

from pathlib import Path

import pytest

from resnet_sweep.comparison.planning import plan_ablation, plan_screening, with_seeds
from resnet_sweep.comparison.recipes import read_ablation, read_screening
from resnet_sweep.config import Config
from resnet_sweep.config.compose import conf_dir
from resnet_sweep.config.errors import UserError
from resnet_sweep.model.budget import measure_cost
from resnet_sweep.model.build import build_model
from resnet_sweep.records.identity import outcome
from resnet_sweep.search.composer import Composer

SMALL = ["data=digits", "train.epochs=4", "model.widths=[4,8,8]", "model.blocks=[1,1,1]"]
COUNTS = {
    "source": 4_604_634,
    "source_tuned": 4_604_634,
    "best_100_epochs": 4_695_082,
    "best_10_minutes": 4_695_082,
    "fast_94": 2_085_283,
}


def _experiment(name: str) -> Config:
    return Composer(conf_dir(), [f"experiment={name}"]).config({}, None)


@pytest.mark.parametrize("name", COUNTS)
def test_experiments_keep_the_budget_and_have_the_size_they_state(name: str) -> None:
    config = _experiment(name)
    assert measure_cost(config, 10, 32).num_params == COUNTS[name] <= 5_000_000
    header = (conf_dir() / f"experiment/{name}.yaml").read_text().partition("defaults:")[0]
    assert f"python -m resnet_sweep.train experiment={name}" in header
    assert "Time:" in header and "Expected:" in header
    if name not in ("source", "best_10_minutes"):
        assert f"{COUNTS[name]:,} parameters" in header
    if name != "source":
        assert "not measured yet: make record" in header


def test_counts_are_those_of_the_built_net() -> None:
    net = build_model(_experiment("best_100_epochs"), 10, 32)
    assert sum(p.numel() for p in net.parameters()) == COUNTS["best_100_epochs"]


def test_source_tuned_has_the_net_and_the_length_of_source() -> None:
    tuned, source = _experiment("source_tuned"), _experiment("source")
    assert tuned.model == source.model and tuned.train.epochs == source.train.epochs == 100


def test_the_shipped_ablation_goes_from_source_to_best_one_change_at_a_time() -> None:
    ablation = read_ablation("source_to_best")
    plan = plan_ablation(ablation, [])
    assert outcome(plan.configs[0]) == outcome(_experiment("source"))
    assert outcome(plan.configs[-1]) == outcome(_experiment("best_100_epochs"))
    assert plan.left_out == [] and len(plan.configs) == len(ablation.steps) + 1
    assert all(not config.evaluate_test for config in plan.configs)


def test_the_command_line_wins_and_a_change_without_effect_is_left_out() -> None:
    plan = plan_ablation(read_ablation("source_to_best"), SMALL)
    assert plan.left_out == ["three wide stages"]
    assert {tuple(c.model.stage_widths()) for c in plan.configs} == {(4, 8, 8)}  # type: ignore[attr-defined]


def test_the_shipped_screening_makes_each_change_in_half_of_its_runs() -> None:
    plan = plan_screening(read_screening("ingredients"), [*SMALL, "regularization.sam=null"])
    assert plan.left_out == ["sam"] and plan.design.shape == (32, 15)
    assert len({str(outcome(config)) for config in plan.configs}) == 32
    seen = {
        "muon": [config.optimizer.name == "muon" for config in plan.configs],
        "ricap": [config.augmentation.ricap is not None for config in plan.configs],
        "cutout": [config.augmentation.cutout is not None for config in plan.configs],
        "dirac": [config.init.name == "dirac" for config in plan.configs],
    }
    names = [factor.name for factor in plan.factors]
    for name, made in seen.items():
        assert made == (plan.design[:, names.index(name)] > 0).tolist() and sum(made) == 16


def test_more_seeds_come_behind_those_there_are() -> None:
    configs = [_experiment("source"), _experiment("fast_94")]
    few, many = (with_seeds(["a", "b"], configs, n) for n in (2, 3))
    assert many[: len(few)] == few
    assert [run.config.seed for run in many[::2]] == [0, 1, 2]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("steps: {}", "steps={}: must be names with lists of overrides"),
        ("steps: {a: optimizer.lr=1}", "must be a list of overrides"),
        ("stpes: {a: [seed=1]}", "did you mean steps"),
        ("steps: [a", "cannot be read"),
        ("steps: {a: [optimizer.lr=-1]}", "a: optimizer.lr=-1"),
        ("steps: {a: [optimizer.momentun=.5]}", "momentun"),
        ("steps: {a: [data.val_size=0]}", "data.val_size=0"),
        ("{end: source, steps: {a: [optimizer.lr=0.3]}}", "optimizer.lr is 0.3, there 0.1"),
        ("steps: {a: [optimizer.lr=0.1]}", "has no step that changes something"),
        ("steps: {a: [seed=7]}", "a: changes seed: all runs are compared on the same images"),
        ("steps: {a: [data.split_seed=7]}", "a: changes data.split_seed: all runs"),
        ('steps: {"a\\nb": [optimizer.lr=0.3]}', r"steps='a\\nb': must be a name of printable"),
        ("steps: {start: [optimizer.lr=0.3]}", "steps=start: is the name of the first recipe"),
    ],
)
def test_bad_ablations_are_refused(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=said.replace("(", r"\(").replace("{}", r"\{\}")):
        plan_ablation(read_ablation(str(path)), [])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("factors: {a: {low: [seed=1]}}", "or two of them: low and high"),
        ("{runs: 12, factors: {a: [optimizer.lr=1], b: [init=dirac]}}", "power of two"),
        ("{runs: many, factors: {a: [optimizer.lr=1]}}", "must be an integer"),
        ("factors: {a: [optimizer.lr=1]}", "two factors or more"),
        ("factors: {a: [init=dirac], b: [init=orthogonal]}", "two factors set the same field"),
        ("factors: {a: [data.val_size=0.3], b: [init=dirac]}", "a: changes data"),
        ("factors: {a: [seed=3], b: [init=dirac]}", "a: changes seed"),
        ('factors: {"a\\e[2J": [init=dirac]}', "must be a name of printable characters"),
        ("- a", "must be a mapping, not a list"),
    ],
)
def test_bad_screenings_are_refused(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=said):
        plan_screening(read_screening(str(path)), [])


def test_few_factors_make_each_combination_once(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("factors: {a: [optimizer.lr=0.3], b: [init=dirac], c: [train.batch_size=32]}")
    plan = plan_screening(read_screening(str(path)), ["train.batch_size=64"])
    assert plan.left_out == ["c"]
    assert sorted(map(tuple, plan.design.tolist())) == [(-1, -1), (-1, 1), (1, -1), (1, 1)]
    assert len({str(outcome(config)) for config in plan.configs}) == 4
