"""From files and a command line to the configurations that are trained."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from itertools import permutations
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError  # type: ignore[import-untyped] # ships no types

from resnet_sweep.comparison.factorial import Levels, check_size, fractional_factorial
from resnet_sweep.config import Config
from resnet_sweep.config.compare import CompareConfig
from resnet_sweep.config.compose import key_of, refuse_hidden_widths
from resnet_sweep.config.errors import UserError, did_you_mean, no_such_field, one_line, require
from resnet_sweep.config.workers import MOST_SEEDS
from resnet_sweep.records.identity import changes, outcome
from resnet_sweep.search.composer import Composer
from resnet_sweep.search.conf_files import ConfFiles
from resnet_sweep.workers.planned import PlannedRun, quiet

Overrides = list[str]
OF_THE_COMMAND = {
    "experiment": "recipes=, steps= or factors= say what is trained",
    "evaluate_test": "split=test reads the test set",
    "search_space": "a comparison draws nothing",
    "resume": "the same command goes on with a comparison",
}
START = "start"  # the recipe that steps and survivors change
TOGETHER = "all together"  # every survivor at once


@dataclass(frozen=True)
class Factor:
    """A change that is made or not.

    Args:
        low, high: what each of its levels adds to the command line.
    """

    name: str
    low: Overrides
    high: Overrides


@dataclass(frozen=True)
class FactorFile:
    """A file of conf/comparison/factors/.

    Args:
        runs: of the design.
        common: overrides of every run.
    """

    name: str
    runs: int
    common: Overrides
    factors: list[Factor]

    def overrides(self, high: Collection[str]) -> Overrides:
        """Return those of a run in which the factors of some names are high."""
        levels = (f.high if f.name in high else f.low for f in self.factors)
        return [*self.common, *(o for level in levels for o in level)]


@dataclass(frozen=True)
class StepFile:
    """A file of conf/comparison/steps/.

    Args:
        start: overrides of the first recipe.
        end: experiment that the last step has to arrive at; null: any.
        steps: (name, overrides), each on top of those before it.
    """

    name: str
    start: Overrides
    end: str | None
    steps: list[tuple[str, Overrides]]


def read_factors(name: str, conf: Path) -> FactorFile:
    """Return a file of factors by its name or path.

    Args:
        conf: folder of YAML files.

    Raises:
        UserError: there is none, or it is no such file.
    """
    path, values = _read("factors", name, conf, {"runs", "common", "factors"})
    runs = values.get("runs", 32)
    require(type(runs) is int, f"{path}: runs", runs, "must be an integer")
    common = _overrides(path, "common", values.get("common", []))
    factors = [_factor(path, key, value) for key, value in _named(path, values, "factors")]
    return FactorFile(path.stem, runs, common, factors)


def read_steps(name: str, conf: Path) -> StepFile:
    """Return a file of steps by its name or path.

    Args:
        conf: folder of YAML files.

    Raises:
        UserError: there is none, or it is no such file.
    """
    path, values = _read("steps", name, conf, {"start", "end", "steps"})
    steps = [(key, _overrides(path, key, v)) for key, v in _named(path, values, "steps")]
    start, end = _overrides(path, "start", values.get("start", [])), values.get("end")
    require(end is None or isinstance(end, str), f"{path}: end", end, "must be an experiment")
    return StepFile(path.stem, start, end, steps)


def _read(field: str, name: str, conf: Path, known: set[str]) -> tuple[Path, dict[str, Any]]:
    """Find a file by its name or path; return its path and what it holds."""
    if name.endswith((".yaml", ".yml")):
        path = Path(name)
        require(path.is_file(), field, name, "there is no such file")
    else:
        folder = conf / "comparison" / field
        path = folder / f"{name}.yaml"
        names = sorted(other.stem for other in folder.glob("*.yaml"))
        allowed = f"{did_you_mean(name, names)}; or the path of a .yaml file"
        require(name in names, field, name, allowed)
    try:
        values: Any = OmegaConf.to_container(OmegaConf.load(path), resolve=True)
    except (OSError, ValueError, YAMLError, OmegaConfBaseException) as error:
        raise UserError(f"{path}: cannot be read: {one_line(error)}") from error
    if not isinstance(values, dict):
        raise UserError(f"{path}: must be a mapping, not a {type(values).__name__}")
    for key in values:
        require(key in known, f"{path}: {key}", values[key], no_such_field(str(key), known))
    return path, dict(values)


def _named(path: Path, values: dict[str, Any], key: str) -> list[tuple[str, Any]]:
    found = values.get(key)
    allowed = "must be names with lists of overrides"
    require(isinstance(found, dict) and bool(found), f"{path}: {key}", found, allowed)
    pairs = [(str(name), value) for name, value in found.items()]  # type: ignore[union-attr]
    for name, _ in pairs:
        is_plain = name.isprintable()
        require(is_plain, f"{path}: {key}", ascii(name), "must be a name of printable characters")
        allowed = "is the name that another recipe of the comparison has"
        require(name not in (START, TOGETHER), f"{path}: {key}", name, allowed)
    return pairs


def _factor(path: Path, name: str, value: Any) -> Factor:
    if not isinstance(value, dict):
        return Factor(name, [], _overrides(path, name, value))
    allowed = "must be a list of overrides, or two of them: low and high"
    require(set(value) == {"low", "high"}, f"{path}: {name}", value, allowed)
    low, high = (_overrides(path, f"{name}.{level}", value[level]) for level in ("low", "high"))
    return Factor(name, low, high)


def _overrides(path: Path, name: str, value: Any) -> Overrides:
    allowed = "must be a list of overrides, such as [optimizer.lr=0.1]"
    is_list = isinstance(value, list) and all(isinstance(v, str) and "=" in v for v in value)
    require(is_list, f"{path}: {name}", value, allowed)
    for override in value:
        key = key_of(override).partition(".")[0]
        why = OF_THE_COMMAND.get(key) if key != "experiment" else None
        if key == "hydra" or key.startswith("hydra/"):
            why = "it decides nothing of a recipe; write it on the command line"
        if why is not None:
            raise UserError(f"{path}: {name}: {override}: has no place here: {why}")
    return list(value)


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
                self.files.refuse_choices_beside_experiments(words)
                self._composed[words] = quiet(Composer(self.files, words).config({}, None))
            config = deepcopy(self._composed[words])
            refuse_hidden_widths(config, self.given)
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
    for override in given:
        key = key_of(override).partition(".")[0]
        if key in OF_THE_COMMAND:
            raise UserError(f"{override}: has no place here: {OF_THE_COMMAND[key]}")
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
    for index, (name, config) in enumerate(zip(experiments, configs, strict=True)):
        _check_comparable(name, config, configs[0])
        for other, earlier in zip(experiments[:index], configs, strict=False):
            same = f"with these overrides {other} and {name} are one and the same"
            require(outcome(config) != outcome(earlier), "recipes", list(experiments), same)
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
        if outcome(config) == outcome(configs[-1]):
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
        if outcome(config) == outcome(alone[START]):
            left_out.append(factor.name)
        else:
            factors.append(factor)
            alone[factor.name] = config
    allowed = "must have two factors or more that change something beside the command line"
    allowed += f"; these change nothing: {', '.join(left_out)}" if left_out else ""
    require(len(factors) > 1, "factors", file.name, allowed)
    _check_none_undone(factors, alone, file, composer)
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
    if len({repr(outcome(config)) for config in configs}) < len(configs):
        shown = ", ".join(factor.name for factor in factors)
        problem = "makes two rows of the design one recipe: one has no effect beside others"
        raise UserError(f"factors={shown}: {problem}")
    others = [0] * len(names)
    return Factorial(
        file.name, names, configs, others, left_out, factors, levels, alone, composer, file
    )


def _check_none_undone(
    factors: list[Factor], alone: dict[str, Config], file: FactorFile, composer: RecipeComposer
) -> None:
    """Refuse factors of which one undoes another: no design could judge it.

    Args:
        alone: what each factor is on top of the start.

    Raises:
        UserError: it names the two, and a field that both set.
    """
    fields = {
        factor.name: {path for path, _, _ in changes(alone[START], alone[factor.name])}
        for factor in factors
    }
    for one, other in permutations(fields, 2):
        shared = sorted(fields[one] & fields[other])
        if not shared:
            continue
        both = composer.compose(f"{one} and {other}", file.overrides([one, other]))
        if outcome(both) == outcome(alone[other]):
            problem = f"has no effect beside {other}: both set {shared[0]}"
            raise UserError(f"factors={file.name}: {one} {problem}")


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
