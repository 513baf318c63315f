"""Search spaces: what is drawn, what the command line replaces, and what is refused."""

from __future__ import annotations

import math
from typing import Any

import optuna
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from optuna.distributions import FloatDistribution, IntDistribution
from optuna.samplers import RandomSampler
from optuna.trial import FixedTrial
from shipped_spaces import shipped

from resnet_sweep.config.compose import conf_dir
from resnet_sweep.config.errors import UserError
from resnet_sweep.search.composer import Composer
from resnet_sweep.search.space import SearchSpace, possible_values
from resnet_sweep.search.space_building import build_space
from resnet_sweep.search.space_parsing import to_argument, to_value
from resnet_sweep.sweep.checks import check_space

OPTIMIZERS = {
    "parameters": {"optimizer": "choice(sgd, adamw)"},
    "when": {
        "optimizer=sgd": {
            "optimizer.lr": "tag(log, interval(0.02, 1.0))",
            "optimizer.one_minus_momentum": "interval(0.02, 0.3)",
        },
        "optimizer=adamw": {"optimizer.lr": "interval(3e-4, 1e-2)"},
    },
}


def draws(space: SearchSpace, count: int = 60) -> list[dict[str, Any]]:
    study = optuna.create_study(sampler=RandomSampler(seed=0))
    return [space.suggest(study.ask()) for _ in range(count)]


def test_conditional_parameters_come_in_their_branch_alone() -> None:
    space = build_space(OPTIMIZERS, [])
    drawn = draws(space)
    assert {d["optimizer"] for d in drawn} == {"sgd", "adamw"}
    for each in drawn:
        is_sgd = each["optimizer"] == "sgd"
        assert ("optimizer.one_minus_momentum" in each) == is_sgd
        assert (each["optimizer.lr"] >= 0.02) == is_sgd


def test_names_show_the_choice_only_where_ranges_differ() -> None:
    space = build_space(OPTIMIZERS, [])
    names = [parameter.name for parameter in space.parameters]
    assert names == [
        "optimizer",
        "optimizer.lr@sgd",
        "optimizer.one_minus_momentum",
        "optimizer.lr@adamw",
    ]


def test_an_override_replaces_the_ranges_of_all_choices() -> None:
    space = build_space(OPTIMIZERS, ["optimizer.lr=interval(1e-3, 1)"])
    by_name = {parameter.name: parameter for parameter in space.parameters}
    assert by_name["optimizer.lr"].distribution == FloatDistribution(1e-3, 1.0)
    assert not any(name.startswith("optimizer.lr@") for name in by_name)
    assert all("optimizer.lr" in each for each in draws(space))


def test_an_override_with_a_choice_replaces_that_range_alone() -> None:
    space = build_space(OPTIMIZERS, ["optimizer.lr@sgd=interval(0.1, 0.2)"])
    by_name = {parameter.name: parameter.distribution for parameter in space.parameters}
    assert by_name["optimizer.lr@sgd"] == FloatDistribution(0.1, 0.2)
    assert by_name["optimizer.lr@adamw"] == FloatDistribution(3e-4, 1e-2)


def test_a_fixed_choice_leaves_its_branch() -> None:
    space = build_space(OPTIMIZERS, ["optimizer=adamw"])
    assert space.fixed_overrides == ["optimizer=adamw"]
    assert list(space.describe()) == ["optimizer.lr@adamw"]
    assert all(list(each) == ["optimizer.lr"] for each in draws(space, 5))


def test_a_fixed_value_replaces_what_derives_it_and_stays_in_its_branch() -> None:
    space = build_space(OPTIMIZERS, ["optimizer.momentum=0.8"])
    assert space.fixed_overrides == []  # adamw has no momentum
    for each in draws(space):
        assert ("optimizer.momentum" in each) == (each["optimizer"] == "sgd")
        assert "optimizer.one_minus_momentum" not in each


@pytest.mark.slow
@pytest.mark.parametrize(
    ("override", "key", "decides"),
    [
        ("regularization.sam_rho=0.1", "regularization.sam_rho", ("sam", "asam")),
        ("regularization.sam_rho=interval(0.1,1)", "regularization.sam_rho", ("sam", "asam")),
        (
            "regularization.ema_half_life_epochs=null",
            "regularization.ema_half_life_epochs",
            ("null",),
        ),
        ("train.start_image_size=8,16", "train.start_image_size", ("null",)),
        ("model.blocks[3]=2", "model.blocks[3]", (4,)),
    ],
)
def test_an_override_stays_where_a_value_decides_about_its_key(
    override: str, key: str, decides: tuple[Any, ...]
) -> None:
    space = build_space(shipped("full"), [override])
    decider = {
        "regularization.sam_rho": "regularization.sam",
        "regularization.ema_half_life_epochs": "regularization.swa_start",
        "train.start_image_size": "model.pool_size",
        "model.blocks[3]": "model.num_stages",
    }[key]
    composer = Composer(conf_dir(), ["train.epochs=30", *space.fixed_overrides])
    drawn = draws(space)
    assert {key in each for each in drawn} == {True, False}
    for each in drawn:
        assert (key in each) == (each[decider] in decides)
    for is_there in (True, False):
        few = [each for each in drawn if (key in each) == is_there][:2]  # each takes a second
        for each in few:
            composer.config(each, 0)


def test_an_override_that_a_fixed_value_rules_out_is_refused() -> None:
    given = ["regularization.sam=null", "regularization.sam_rho=0.1"]
    space = build_space(shipped("full"), given)
    composer = Composer(conf_dir(), ["train.epochs=30", *space.fixed_overrides])
    with pytest.raises(UserError, match=r"needs regularization\.sam=sam"):
        composer.config({}, 0)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("override", "gone"),
    [
        ("model.blocks=[2,2,2]", ["model.num_stages", "model.blocks[0]", "model.blocks[3]"]),
        ("model.widths=[8,16,32]", ["model.base_width", "model.width_factor"]),
        ("scheduler.warmup_epochs=1", ["scheduler.warmup_fraction"]),
        ("model.shortcut=pad", ["model.shortcut", "model.shortcut_kernel_size"]),
        ("optimizer.lr_scaling=sqrt", []),
    ],
)
def test_the_command_line_wins(override: str, gone: list[str]) -> None:
    full = shipped("full")
    before = build_space(full, []).describe()
    space = build_space(full, [override])
    assert set(before) - set(space.describe()) >= set(gone)
    assert override in space.fixed_overrides
    keys = [line.partition("=")[0] for line in space.fixed_overrides]
    assert len(keys) == len(set(keys))


def test_the_last_override_of_a_key_counts() -> None:
    space = build_space({}, ["seed=range(0, 5)", "search_space=core", "seed=range(0, 3)"])
    assert [p.distribution for p in space.parameters] == [IntDistribution(0, 2)]
    assert space.fixed_overrides == []


@pytest.mark.parametrize("prefix", ["", "++"])
def test_the_last_override_counts_also_with_the_signs_of_a_new_key(prefix: str) -> None:
    given = [f"{prefix}optimizer.lr=0.5", "optimizer.lr=interval(0.1, 0.2)", "seed=range(0, 3)"]
    assert [p.key for p in build_space({}, given).parameters] == ["optimizer.lr", "seed"]
    space = build_space({}, [given[1], given[0], given[2]])
    assert [p.key for p in space.parameters] == ["seed"]
    assert space.fixed_overrides == [f"{prefix}optimizer.lr=0.5"]


def test_quoted_text_among_choices_stays_text() -> None:
    given = ["model=custom", "model.target=a.Net", "+model.kwargs.mode='1','true',x,2"]
    given += ["regularization.distill_from=choice('runs/a (1)', runs/b)", "optimizer='sgd','adam'"]
    space = build_space({}, given)
    choices = {p.key: getattr(p.distribution, "choices") for p in space.parameters}  # noqa: B009
    assert list(map(to_value, choices["model.kwargs.mode"])) == ["1", "true", "x", 2]
    assert choices["optimizer"] == ("sgd", "adam")
    assert list(map(to_value, choices["regularization.distill_from"])) == ["runs/a (1)", "runs/b"]


@pytest.mark.parametrize(
    "value",
    ["1", "true", "null", "", "a (1)", "b,c", "it's", "[x", "a=b", ["1", 2, "d e"], 3, None],
)
def test_an_argument_is_read_as_the_value_that_it_is_of(value: object) -> None:
    read = OverridesParser.create().parse_override(f"key={to_argument(value)}")
    assert not read.is_sweep_override() and read.value() == value


@pytest.mark.parametrize(
    "given", ["search_space=init,regularization", "+search_space.parameters.seed=choice(1,2)"]
)
def test_a_space_is_no_sweep(given: str) -> None:
    with pytest.raises(UserError, match=r"search_space.*search_space=\[architecture,init\]"):
        build_space(shipped("init"), [given])


def test_a_custom_model_keeps_the_rest_of_the_space() -> None:
    space = build_space(shipped("core"), ["model=custom", "model.target=package.Net"])
    names = space.describe()
    assert "optimizer" in names
    assert not any(name.startswith("model.") for name in names)
    assert not any("squeeze" in line for line in space.fixed_overrides)


def test_a_space_survives_json() -> None:
    space = build_space(shipped("full"), ["optimizer.momentum=0.8"])
    copy = SearchSpace.from_json(space.to_json())
    assert copy == space
    assert draws(copy, 5) == draws(space, 5)


def test_study_parameters_and_assignments_agree() -> None:
    space = build_space(shipped("core"), [])
    study = optuna.create_study(sampler=RandomSampler(seed=1))
    for _ in range(20):
        trial = study.ask()
        drawn = space.suggest(trial)
        assert space.assignments(trial.params) == drawn
        assert space.suggest(FixedTrial(trial.params)) == drawn


@pytest.mark.slow
@pytest.mark.parametrize("name", ["core", "full"])
def test_shipped_spaces_leave_epochs_alone_and_pass_the_check(name: str) -> None:
    space = build_space(shipped(name), ["train.epochs=30"])
    assert not any(parameter.key == "train.epochs" for parameter in space.parameters)
    check_space(space, Composer(conf_dir(), space.fixed_overrides))


def test_full_is_the_sum_of_its_parts() -> None:
    parts = "architecture,optimization,augmentation,regularization,init"
    whole = build_space(shipped("full"), [])
    assert build_space(shipped(f"[{parts}]"), []).describe() == whole.describe()
    assert len(build_space(shipped("core"), []).describe()) < len(whole.describe())


def test_logarithmic_draws_are_even_in_the_logarithm() -> None:
    space = build_space({}, ["optimizer.lr=tag(log, interval(0.01, 1.0))"])
    values = [math.log10(each["optimizer.lr"]) for each in draws(space, 400)]
    assert sum(value < -1 for value in values) == pytest.approx(200, abs=40)


@pytest.mark.parametrize(
    ("space", "override", "message"),
    [
        ({}, "optimizer.lr=0.1", "search_space: is empty"),
        ({"parametres": {}}, "seed=1,2", "search_space.parametres: did you mean parameters?"),
        ({}, "optimizer.lr=interval(1, 0.1)", "the lower bound first"),
        ({}, "seed=range(5, 1)", "the lower bound first"),
        ({}, "seed=range(1, 5, -1)", "the upper bound first"),
        ({}, "optimizer.lr=tag(log, interval(0, 1))", "lower bound above 0"),
        ({}, "optimizer.lr=chioce(1, 2)", "Unknown function"),
        ({}, "optimizer=interval(1, 2)", "must be a choice"),
        ({"parameters": {"seed": 3}}, "evaluate_test=false", "must be a sweep"),
        (OPTIMIZERS, "optimizer.lrr=interval(0.1, 1.0)", "did you mean lr?"),
        (OPTIMIZERS, "optimizer.lr@sdg=interval(0.1, 1.0)", "did you mean optimizer.lr@sgd?"),
        ({"when": {"optimzer=sgd": {"seed": "1,2"}}}, "optimizer=sgd", "did you mean optimizer?"),
        (
            {"parameters": {"seed": "1,2"}, "when": {"seed=3": {"train.epochs": "1,2"}}},
            "evaluate_test=false",
            "seed never is 3",
        ),
        (
            {"parameters": {"seed": "1,2"}, "when": {"optimizer=sgd": {"seed": "3,4"}}},
            "optimizer=sgd",
            "seed is listed",
        ),
    ],
)
def test_a_bad_space_is_refused_in_one_line(
    space: dict[str, Any], override: str, message: str
) -> None:
    with pytest.raises(UserError) as caught:
        build_space(space, [override])
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("modle.block=choice(basic, preact)", "did you mean model?"),
        ("model.base_widht=range(8, 17)", "did you mean base_width?"),
        ("model.block=choice(basic, bottleneck)", "must be one of basic, preact"),
        ("optimizer=choice(sgd, adamv)", "optimizer=adamv: did you mean adam?"),
        ("augmentation=choice([crop_flip], [cutuot])", "did you mean cutout?"),
        ("optimizer.lr=choice(high, low)", "could not be converted to Float"),
        ("regularization.dropout=choice(0.1, 2.0)", "less than 1"),
        ("model.blocks[7]=range(1, 3)", "has 4 entries"),
        ("seed.x=1,2", "seed is not used here"),
    ],
)
def test_what_does_not_fit_the_configuration_is_refused(override: str, message: str) -> None:
    space = build_space({}, [override])
    with pytest.raises(UserError) as caught:
        check_space(space, Composer(conf_dir(), space.fixed_overrides))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_value_that_needs_others_than_the_first_passes_the_check() -> None:
    overrides = ["optimizer.nesterov=choice(true, false)", "optimizer.momentum=choice(0.0, 0.9)"]
    space = build_space({}, overrides)
    check_space(space, Composer(conf_dir(), []))


def test_a_long_range_is_not_written_out() -> None:
    values = possible_values(IntDistribution(0, 10**12))
    assert (values[0], values[-1], len(values)) == (0, 10**12, 10**12 + 1)


@pytest.mark.parametrize(
    "override",
    ["data=choice(digits,cifar10)", "data.val_size=range(50,100)", "data.split_seed=range(0,3)"],
)
def test_trials_that_different_images_would_judge_are_refused(override: str) -> None:
    space = build_space({}, ["data=digits", override])
    with pytest.raises(UserError, match="by which images a trial is judged"):
        check_space(space, Composer(conf_dir(), space.fixed_overrides))


def test_whole_numbers_can_be_drawn_for_any_number() -> None:
    overrides = ["data=digits", "data.train_subset=range(100,200)", "optimizer.lr=range(1,3)"]
    space = build_space({}, overrides)
    check_space(space, Composer(conf_dir(), space.fixed_overrides))


def test_a_field_of_an_option_that_is_not_chosen_is_refused() -> None:
    overrides = ["augmentation=none", "augmentation.mixup.alpha=interval(0.1,1)"]
    with pytest.raises(UserError, match=r"augmentation\.mixup\.alpha.*none"):
        build_space({}, overrides)
