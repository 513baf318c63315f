"""From files and a command line to the configurations that are trained."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace

from resnet_sweep.comparison.change_files import (
    START,
    TOGETHER,
    Factor,
    FactorFile,
    StepFile,
    read_factors,
    read_steps,
)
from resnet_sweep.comparison.factorial import Levels, check_size, fractional_factorial
from resnet_sweep.config import Config
from resnet_sweep.config.compare import CompareConfig
from resnet_sweep.config.errors import UserError, require
from resnet_sweep.config.workers import MOST_SEEDS
from resnet_sweep.records.identity import changes, outcome
from resnet_sweep.search.composer import Composer
from resnet_sweep.search.conf_files import ConfFiles
from resnet_sweep.workers.planned import PlannedRun, quiet


@dataclass(frozen=True)
class Recipes:
    """Configurations that are compared with each other.

    Args:
        names, configs: the first one is what all begins with.
        others: of each the place of the one that it is compared with.
        left_out: changes that change nothing beside the command line.
    """

    name: str
    names: list[str]
    configs: list[Config]
    others: list[int]
    left_out: list[str]

    @property
    def shown_names(self) -> list[str]:
        return self.names

    def runs(self, num_seeds: int) -> list[PlannedRun]:
        """Return seed by seed every one, so that more seeds come behind those there are."""
        return [
            PlannedRun(name, replace(config, seed=config.seed + number))
            for number in range(num_seeds)
            for name, config in zip(self.names, self.configs, strict=True)
        ]


@dataclass(frozen=True)
class Factorial(Recipes):
    """The configurations of a design.

    Args:
        factors: that change something.
        levels: int8 [configurations, factors], -1 or 1.
        alone: of each factor what it is on top of the start; the start comes first.
    """

    factors: list[Factor]
    levels: Levels
    alone: dict[str, Config]
    composer: RecipeComposer
    file: FactorFile

    @property
    def shown_names(self) -> list[str]:
        return [factor.name for factor in self.factors]

    def runs_alone(self) -> list[PlannedRun]:
        """Return a run of every recipe that may survive, to look for what no run could have."""
        return [PlannedRun(name, fresh(config)) for name, config in self.alone.items()]

    def survivors(self, chosen: Sequence[str], without_together: str = "") -> Recipes:
        """Return the start, each survivor alone on top of it, and all of them together.

        Args:
            without_together: why all together cannot be trained.

        Raises:
            UserError: all together cannot be built.
        """
        names, configs = [START, *chosen], [self.alone[name] for name in (START, *chosen)]
        left_out = [f"{TOGETHER} ({without_together})"] if without_together else []
        if len(chosen) > 1 and not left_out:
            names.append(TOGETHER)
            configs.append(self.composer.compose(TOGETHER, self.file.overrides(chosen)))
        return Recipes(self.name, names, list(map(fresh, configs)), [0] * len(names), left_out)


def fresh(config: Config) -> Config:
    """Return a recipe with a seed and a split that chose no survivor.

    No design has more than MOST_SEEDS seeds.
    """
    split_seed = (config.data.split_seed + 1) % 2**32
    data = replace(config.data, split_seed=split_seed)
    return replace(config, seed=config.seed + MOST_SEEDS, data=data)


@dataclass(frozen=True)
class RecipeComposer:
    """Composes recipes.

    Args:
        files: that runs are composed from.
        split: that is read.
        given: overrides of the command line, which win over a file's.
    """

    files: ConfFiles
    split: str
    given: Sequence[str]
    _composed: dict[tuple[str, ...], Config] = field(default_factory=dict, repr=False)

    def compose(self, where: str, overrides: Sequence[str]) -> Config:
        """Return a checked configuration.

        Args:
            where: named in an error.

        Raises:
            UserError: it cannot be built, or leaves nothing to compare.
        """
        reads_test = self.split == "test"
        everything = ["data.val_size=0"] if reads_test else []
        try:
            words = (*everything, *overrides, *self.given)
            if words not in self._composed:  # rows of a design are its factors alone as well
                self._composed[words] = quiet(Composer(self.files, words).config({}, None))
            config = deepcopy(self._composed[words])
        except UserError as error:
            raise UserError(f"{where}: {error}") from error
        allowed = "must leave validation images, by which the runs are compared"
        has_images = reads_test or config.data.val_size > 0
        require(has_images, "data.val_size", config.data.val_size, allowed)
        return replace(config, evaluate_test=reads_test)


def plan(options: CompareConfig, files: ConfFiles, given: Sequence[str]) -> Recipes:
    """Return the configurations of a comparison; of factors a Factorial.

    Raises:
        UserError: a file is no such file, or one of them cannot be built.
    """
    composer = RecipeComposer(files, options.split, given)
    if options.steps is not None:
        return plan_steps(read_steps(options.steps, files.folder), composer)
    if options.factors is not None:
        return plan_factors(read_factors(options.factors, files.folder), composer)
    return plan_recipes(options.recipes, composer)


def plan_recipes(experiments: Sequence[str], composer: RecipeComposer) -> Recipes:
    """Return experiments, each compared with the first.

    Raises:
        UserError: one of them cannot be built.
    """
    configs = [composer.compose(name, [f"experiment={name}"]) for name in experiments]
    for name, config in zip(experiments, configs, strict=True):
        _check_comparable(name, config, configs[0])
    return Recipes("-".join(experiments), list(experiments), configs, [0] * len(configs), [])


def plan_steps(file: StepFile, composer: RecipeComposer) -> Recipes:
    """Return recipes, each with one change more and compared with the one before.

    Raises:
        UserError: one of them cannot be built, or the last is not the recipe that it should be.
    """
    _check_end(file, composer)
    names, configs, left_out = [START], [composer.compose(START, file.start)], []
    words = list(file.start)
    for name, added in file.steps:
        words += added
        config = composer.compose(name, words)
        _check_comparable(name, config, configs[0])
        if _same(config, configs[-1]):
            left_out.append(name)
        else:
            names.append(name)
            configs.append(config)
    allowed = "has no step that changes something beside the command line"
    require(len(names) > 1, "steps", file.name, allowed)
    others = [max(0, place - 1) for place in range(len(names))]
    return Recipes(file.name, names, configs, others, left_out)


def _check_end(file: StepFile, composer: RecipeComposer) -> None:
    """Refuse steps that do not arrive at the experiment that they name."""
    if file.end is None:
        return
    plain = RecipeComposer(composer.files, composer.split, [])
    words = [*file.start, *(override for _, added in file.steps for override in added)]
    wanted = plain.compose("end", [f"experiment={file.end}"])
    found = changes(plain.compose("last step", words), wanted)
    differences = "; ".join(f"{path} is {ours}, there {theirs}" for path, ours, theirs in found)
    allowed = f"the last step of {file.name} differs from it: {differences}"
    require(not found, "end", file.end, allowed)


def plan_factors(file: FactorFile, composer: RecipeComposer) -> Factorial:
    """Return the configurations of a design of resolution IV.

    Raises:
        UserError: one of them cannot be built, or there is no design of this size.
    """
    alone = {START: composer.compose(START, file.overrides([]))}
    factors, left_out = [], []
    for factor in file.factors:
        config = composer.compose(factor.name, file.overrides([factor.name]))
        _check_comparable(factor.name, config, alone[START])
        if _same(config, alone[START]):
            left_out.append(factor.name)
        else:
            factors.append(factor)
            alone[factor.name] = config
    allowed = "must have two factors or more that change something beside the command line"
    require(len(factors) > 1, "factors", file.name, allowed)
    check_size(file.runs, len(factors))
    # Where all combinations are fewer than the runs, each is made once: seeds repeat them.
    levels = fractional_factorial(min(file.runs, 2 ** len(factors)), len(factors))
    chosen = [
        [factor.name for factor, level in zip(factors, row, strict=True) if level > 0]
        for row in levels
    ]
    names = [", ".join(high) or "none" for high in chosen]
    configs = [
        composer.compose(f"configuration {row}", file.overrides(high))
        for row, high in enumerate(chosen)
    ]
    _check_all_differ(factors, configs)
    others = [0] * len(names)
    return Factorial(
        file.name, names, configs, others, left_out, factors, levels, alone, composer, file
    )


def _check_all_differ(factors: list[Factor], configs: list[Config]) -> None:
    """Refuse factors of which one undoes another.

    Raises:
        UserError: two rows of the design are one recipe.
    """
    if len({repr(outcome(config)) for config in configs}) < len(configs):
        names = ", ".join(factor.name for factor in factors)
        problem = "makes two rows of the design one recipe: two factors set the same field"
        raise UserError(f"factors={names}: {problem}, or one has no effect beside another")


def _check_comparable(name: str, config: Config, first: Config) -> None:
    """Refuse a change after which other images or seeds would be compared.

    Raises:
        UserError: it says which field.
    """
    found = [path for path, _, _ in changes(first, config)]
    found += ["data.root"] if config.data.root != first.data.root else []
    for path in found:
        if path == "seed" or path.startswith("data."):
            problem = f"changes {path}: all runs are compared on the same images, seed by seed"
            raise UserError(f"{name}: {problem}")


def _same(first: Config, second: Config) -> bool:
    return outcome(first) == outcome(second)
