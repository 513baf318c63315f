"""The files of conf/comparison/: changes to a recipe, by name, as overrides."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError  # type: ignore[import-untyped] # ships no types

from resnet_sweep.config.errors import UserError, did_you_mean, no_such_field, one_line, require

Overrides = list[str]
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
    path = _find("factors", name, conf)
    values = _read(path, {"runs", "common", "factors"})
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
    path = _find("steps", name, conf)
    values = _read(path, {"start", "end", "steps"})
    steps = [(key, _overrides(path, key, v)) for key, v in _named(path, values, "steps")]
    start, end = _overrides(path, "start", values.get("start", [])), values.get("end")
    require(end is None or isinstance(end, str), f"{path}: end", end, "must be an experiment")
    return StepFile(path.stem, start, end, steps)


def _find(field: str, name: str, conf: Path) -> Path:
    if name.endswith((".yaml", ".yml")):
        path = Path(name)
        require(path.is_file(), field, name, "there is no such file")
        return path
    folder = conf / "comparison" / field
    known = sorted(path.stem for path in folder.glob("*.yaml"))
    allowed = f"{did_you_mean(name, known)}; or the path of a .yaml file"
    require(name in known, field, name, allowed)
    return folder / f"{name}.yaml"


def _read(path: Path, known: set[str]) -> dict[str, Any]:
    try:
        values: Any = OmegaConf.to_container(OmegaConf.load(path), resolve=True)
    except (OSError, ValueError, YAMLError, OmegaConfBaseException) as error:
        raise UserError(f"{path}: cannot be read: {one_line(error)}") from error
    if not isinstance(values, dict):
        raise UserError(f"{path}: must be a mapping, not a {type(values).__name__}")
    for key in values:
        require(key in known, f"{path}: {key}", values[key], no_such_field(str(key), known))
    return dict(values)


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
    return list(value)
