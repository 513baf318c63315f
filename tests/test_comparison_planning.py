"""The shipped experiments, factors and steps; what a user's own files must be."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from resnet_sweep.comparison.planning import (
    Factorial,
    RecipeComposer,
    Recipes,
    plan_factors,
    plan_recipes,
    plan_steps,
    read_factors,
    read_steps,
)
from resnet_sweep.config import Config
from resnet_sweep.config.compose import conf_dir
from resnet_sweep.config.errors import UserError
from resnet_sweep.config.workers import MOST_SEEDS
from resnet_sweep.model.budget import measure_cost
from resnet_sweep.model.build import build_model
from resnet_sweep.records.identity import outcome
from resnet_sweep.search.composer import Composer
from resnet_sweep.search.conf_files import ConfFiles

SMALL = ["data=digits", "train.epochs=4", "model.widths=[4,8,8]", "model.blocks=[1,1,1]"]
COUNTS = {
    "source": 4_604_634,
    "source_tuned": 4_604_634,
    "best_100_epochs": 4_695_082,
    "best_10_minutes": 4_695_082,
    "fast_93": 1_578_731,
}


def _composer(given: Sequence[str] = (), split: str = "val") -> RecipeComposer:
    return RecipeComposer(ConfFiles(conf_dir()), split, given)


def _steps(name: str, given: Sequence[str] = ()) -> Recipes:
    return plan_steps(read_steps(name, conf_dir()), _composer(given))


def _factors(name: str, given: Sequence[str] = ()) -> Factorial:
    return plan_factors(read_factors(name, conf_dir()), _composer(given))


def _experiment(name: str) -> Config:
    return Composer(conf_dir(), [f"experiment={name}"]).config({}, None)


@pytest.mark.slow
@pytest.mark.parametrize("name", COUNTS)
def test_experiments_keep_the_budget_and_have_the_size_they_state(name: str) -> None:
    config = _experiment(name)
    assert measure_cost(config, 10, 32).num_params == COUNTS[name] <= 5_000_000
    header = (conf_dir() / f"experiment/{name}.yaml").read_text().partition("defaults:")[0]
    assert f"python -m resnet_sweep.train experiment={name}" in header
    assert "Time:" in header and "Expected:" in header
    if name not in ("source", "best_10_minutes"):
        assert f"{COUNTS[name]:,} parameters" in header
    if name not in ("source", "fast_93"):
        assert "not measured yet: make record" in header


def test_counts_are_those_of_the_built_net() -> None:
    net = build_model(_experiment("best_100_epochs"), 10, 32)
    assert sum(p.numel() for p in net.parameters()) == COUNTS["best_100_epochs"]


def test_source_tuned_has_the_net_and_the_length_of_source() -> None:
    tuned, source = _experiment("source_tuned"), _experiment("source")
    assert tuned.model == source.model and tuned.train.epochs == source.train.epochs == 100


@pytest.mark.slow
def test_the_shipped_steps_go_from_source_to_best_one_change_at_a_time() -> None:
    plan = _steps("source_to_best")
    assert outcome(plan.configs[0]) == outcome(_experiment("source"))
    assert outcome(plan.configs[-1]) == outcome(_experiment("best_100_epochs"))
    assert plan.left_out == [] and len(plan.configs) == 10
    assert plan.others == [0, *range(9)]
    assert all(not config.evaluate_test for config in plan.configs)


@pytest.mark.slow
def test_the_command_line_wins_and_a_change_without_effect_is_left_out() -> None:
    plan = _steps("source_to_best", SMALL)
    assert plan.left_out == ["three wide stages"]
    assert {tuple(c.model.stage_widths()) for c in plan.configs} == {(4, 8, 8)}  # type: ignore[attr-defined]


@pytest.mark.slow
def test_given_widths_count_or_are_refused() -> None:
    wide, grown = "model.widths=[8,16,32,64]", "model.base_width=8"
    config = _composer([grown]).compose("a", ["experiment=source", wide])
    assert config.model.stage_widths() == [8, 16, 32, 64]  # type: ignore[attr-defined]
    with pytest.raises(UserError, match=r"a: model.widths=.* does not count beside"):
        _composer([wide]).compose("a", ["experiment=source", grown])


@pytest.mark.engines
def test_the_shipped_factors_are_each_in_half_of_the_runs() -> None:
    plan = _factors("ingredients", [*SMALL, "regularization.sam=null"])
    assert plan.left_out == ["sam"] and plan.levels.shape == (32, 15)
    assert len({str(outcome(config)) for config in plan.configs}) == 32
    seen = {
        "muon": [config.optimizer.name == "muon" for config in plan.configs],
        "ricap": [config.augmentation.ricap is not None for config in plan.configs],
        "cutout": [config.augmentation.cutout is not None for config in plan.configs],
        "dirac": [config.init.name == "dirac" for config in plan.configs],
    }
    for name, made in seen.items():
        column = plan.levels[:, plan.shown_names.index(name)]
        assert made == (column > 0).tolist() and sum(made) == 16


@pytest.mark.slow
def test_recipes_on_the_test_set_train_on_all_images_unless_told_otherwise() -> None:
    for given, split, val_size in [
        (SMALL, "test", 0),
        ([*SMALL, "data.val_size=0.3"], "test", 0.3),
        (SMALL, "val", 0.2),
    ]:
        plan = plan_recipes(["source", "fast_93"], _composer(given, split))
        assert plan.names == ["source", "fast_93"] and plan.others == [0, 0]
        assert {config.data.val_size for config in plan.configs} == {val_size}
        assert {config.evaluate_test for config in plan.configs} == {split == "test"}


def test_recipes_of_other_images_are_refused() -> None:
    with pytest.raises(UserError, match=r"^quickstart: changes data\."):
        plan_recipes(["source", "quickstart"], _composer())


def test_more_seeds_come_behind_those_there_are() -> None:
    plan = plan_recipes(["source", "fast_93"], _composer(SMALL))
    few, many = plan.runs(2), plan.runs(3)
    assert many[: len(few)] == few
    assert [run.config.seed for run in many[::2]] == [0, 1, 2]


FACTORS = """\
runs: 8
common: [train.batch_size=64]
factors:
  lr: {low: [optimizer.lr=0.05], high: [optimizer.lr=0.3]}
  dirac: [init=dirac]
  smoothing: [regularization.label_smoothing=0.1]
"""


@pytest.mark.slow
def test_each_survivor_is_alone_with_fresh_seeds_and_images(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(FACTORS)
    given = ["data=digits", "train.epochs=2", "data.split_seed=3", "seed=5"]
    factorial = _factors(str(tmp_path / "mine.yaml"), given)
    plan = factorial.survivors(["lr", "dirac"])
    assert plan.names == ["start", "lr", "dirac", "all together"] and plan.others == [0] * 4
    start = outcome(plan.configs[0])
    changed = [{k for k, v in outcome(c).items() if v != start.get(k)} for c in plan.configs[1:]]
    assert changed == [{"optimizer.lr"}, {"init.name"}, {"optimizer.lr", "init.name"}]
    for config in plan.configs:
        assert (config.train.batch_size, config.train.epochs) == (64, 2)
        assert config.regularization.label_smoothing == 0 and not config.evaluate_test
        assert config.data.split_seed == 4
    most = {run.config.seed for run in factorial.runs(MOST_SEEDS)}
    assert not most & {run.config.seed for run in plan.runs(MOST_SEEDS)}
    assert factorial.survivors(["lr"]).names == ["start", "lr"]
    assert factorial.survivors(["lr", "dirac"], "too large").left_out == [
        "all together (too large)"
    ]


@pytest.mark.slow
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
        ("steps: {a: [data.root=elsewhere]}", "a: changes data.root: all runs"),
        ("steps: {a: [data.split_seed=7]}", "a: changes data.split_seed: all runs"),
        ('steps: {"a\\nb": [optimizer.lr=0.3]}', r"steps='a\\nb': must be a name of printable"),
        ("steps: {start: [optimizer.lr=0.3]}", "steps=start: is the name"),
    ],
)
def test_bad_steps_are_refused(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=said.replace("(", r"\(").replace("{}", r"\{\}")):
        _steps(str(path))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("factors: {a: {low: [seed=1]}}", "or two of them: low and high"),
        ("{runs: 12, factors: {a: [optimizer.lr=1], b: [init=dirac]}}", "power of two"),
        ("{runs: many, factors: {a: [optimizer.lr=1]}}", "must be an integer"),
        ("factors: {a: [optimizer.lr=1]}", "two factors or more"),
        ("factors: {a: [init=dirac], b: [init=orthogonal]}", "a has no effect beside b: both set"),
        (
            "{runs: 8, factors: {slow: [optimizer.lr=0.05], b: [init=dirac], fast: "
            "[optimizer.lr=0.2], d: [train.batch_size=32]}}",
            "slow has no effect beside fast: both set optimizer.lr",
        ),
        ("factors: {a: [data.val_size=0.3], b: [init=dirac]}", "a: changes data.val_size"),
        ("factors: {a: [seed=3], b: [init=dirac]}", "a: changes seed"),
        ('factors: {"a\\e[2J": [init=dirac]}', "must be a name of printable characters"),
        ("factors: {a: [evaluate_test=true], b: [init=dirac]}", "a: evaluate_test=true: has no pl"),
        ("{common: [hydra/launcher=slurm], factors: {a: [init=dirac]}}", "common: hydra/launcher"),
        ("{common: ['+search_space=[core]'], factors: {a: [init=dirac]}}", "has no place here"),
        ("factors: {all together: [optimizer.lr=1], b: [init=dirac]}", "all together: is the name"),
        ("- a", "must be a mapping, not a list"),
    ],
)
def test_bad_factors_are_refused(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=said):
        _factors(str(path))


def test_a_factor_that_is_left_out_stays_at_its_low_level(tmp_path: Path) -> None:
    """Before, the design's runs had it at no level, and its start at the low one."""
    path = tmp_path / "mine.yaml"
    text = "{low: [optimizer.lr=0.3], high: [optimizer.lr=0.3]}"
    path.write_text(f"factors: {{a: {text}, b: [init=dirac], c: [train.batch_size=32]}}")
    plan = _factors(str(path))
    assert plan.left_out == ["a"] and plan.names[0] == "none"
    assert {config.optimizer.lr for config in (*plan.configs, plan.alone["start"])} == {0.3}


@pytest.mark.slow
def test_few_factors_make_each_combination_once(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("factors: {a: [optimizer.lr=0.3], b: [init=dirac], c: [train.batch_size=32]}")
    plan = _factors(str(path), ["train.batch_size=64"])
    assert plan.left_out == ["c"]
    assert sorted(map(tuple, plan.levels.tolist())) == [(-1, -1), (-1, 1), (1, -1), (1, 1)]
    assert len({str(outcome(config)) for config in plan.configs}) == 4
