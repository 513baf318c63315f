"""What a sweep folder freezes, so that nothing edited later changes a sweep that is running."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import MISSING, asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from resnet_sweep.config import Config
from resnet_sweep.config.errors import UserError, one_line
from resnet_sweep.records.identity import changes, differences
from resnet_sweep.records.run_folder import RecordError, recorded_values
from resnet_sweep.records.sweep_folder import SETTINGS
from resnet_sweep.search.composer import Composer
from resnet_sweep.search.conf_files import CONF, PRIMARY, ConfFiles
from resnet_sweep.search.space import SearchSpace
from resnet_sweep.system.atomic import write_json


@dataclass(frozen=True)
class SweepSettings:
    """What the workers of a sweep need to know, as settings.json holds it.

    Args:
        space: as SearchSpace.to_json gives it.
        base: the configuration without any draw, as plain values.
        sampler: the node hydra.sweeper.sampler.
        pruner: the node hydra.sweeper.pruner.
        workers: that share the sweep.
        last_start: no trial starts after this time, in seconds since 1970; null: any time.
        primary, environment, own_files, env_set: of the frozen configuration, as in ConfFiles.
        at_start: options that count when the sweep begins; null: an older sweep's, not known.
    """

    study_name: str
    storage: str | None
    space: str
    base: dict[str, Any]
    objectives: list[str]
    rungs: list[int]
    sampler: dict[str, Any]
    pruner: dict[str, Any]
    custom_search_space: str | None
    n_trials: int
    noise_repeats: int
    max_rejections: int
    trial_timeout_seconds: float | None
    workers: int
    last_start: float | None
    primary: str = PRIMARY
    environment: dict[str, str] = field(default_factory=dict)
    own_files: list[str] = field(default_factory=list)
    env_set: dict[str, str] = field(default_factory=dict)
    at_start: dict[str, Any] | None = None

    @property
    def epochs(self) -> int:
        return int(self.base["train"]["epochs"])

    @property
    def seed(self) -> int:
        return int(self.base["seed"])


def write_settings(folder: Path, settings: SweepSettings) -> None:
    write_json(folder / SETTINGS, asdict(settings))


def read_settings(folder: Path) -> SweepSettings:
    """Return the settings of a sweep.

    Raises:
        RecordError: the folder holds none, or those of another version.
    """
    path = folder / SETTINGS
    try:
        values = json.loads(path.read_bytes())
        known = {
            f.name: values[f.name]
            for f in fields(SweepSettings)
            if f.name in values or (f.default is MISSING and f.default_factory is MISSING)
        }
        settings = SweepSettings(**known)
        # What is nested is read too, so that damage shows here and not where it is used.
        SearchSpace.from_json(settings.space)
        _ = settings.epochs, settings.seed, settings.sampler["_target_"], settings.pruner["name"]
    except FileNotFoundError as error:
        raise RecordError(f"{path}: there is no such file") from error
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise RecordError(f"{path}: cannot be read: {one_line(error)}") from error
    return settings


def frozen_files(folder: Path, settings: SweepSettings) -> ConfFiles:
    """Return the sweep's own copy of the configuration."""
    own = tuple(settings.own_files)
    return ConfFiles(folder / CONF, settings.primary, settings.environment, own, settings.env_set)


def frozen_composer(folder: Path, settings: SweepSettings) -> Composer:
    """Return what composes the sweep's trials from its own copy of the configuration.

    Raises:
        RecordError: the copy is damaged.
    """
    overrides = SearchSpace.from_json(settings.space).fixed_overrides
    with blamed_on_frozen(folder):
        return Composer(frozen_files(folder, settings), overrides)


@contextmanager
def blamed_on_frozen(folder: Path) -> Iterator[None]:
    """Say of what does not compose that the sweep's own copy of the configuration is damaged."""
    try:
        yield
    except RecordError:
        raise
    except UserError as error:
        raise RecordError(f"{folder / CONF}: the sweep's frozen configuration: {error}") from error


def base_values(config: Config) -> dict[str, Any]:
    """Return a configuration as JSON knows it, to compare with a frozen one."""
    return json.loads(json.dumps(recorded_values(config)))  # type: ignore[no-any-return]


def found_changes(old: SweepSettings, new: SweepSettings) -> list[str]:
    """Return the differences with which the same study cannot go on."""
    before, after = (SearchSpace.from_json(each.space).describe() for each in (old, new))
    found = differences(before, after) + changes(old.base, new.base, limits=True)
    for name in ("objectives", "rungs", "custom_search_space"):
        found += differences(getattr(old, name), getattr(new, name), f"hydra.sweeper.{name}")
    if old.at_start is not None:
        found += differences(old.at_start, new.at_start, "hydra.sweeper")
    was, now = _database(old.storage), _database(new.storage)
    found += differences(was, now, "hydra.sweeper.storage")
    return describe_changes(found)


def _database(url: str | None) -> str | None:
    """Return a storage's URL without user, password and host, which may change."""
    return None if url is None else re.sub("//[^/]*", "//", url, count=1)


def allowed_changes(old: SweepSettings, new: SweepSettings) -> list[str]:
    """Return how the ways to search differ, which may change: each trial stays what it was."""
    found = []
    for name, key in (("sampler", "_target_"), ("pruner", "name")):
        before, after, path = getattr(old, name), getattr(new, name), f"hydra.sweeper.{name}"
        if before[key] != after[key]:  # another one has other options
            before, after = ({name: str(each[key]).rpartition(".")[2]} for each in (before, after))
            path = "hydra.sweeper"
        found += describe_changes(differences(before, after, path))
    return found


def describe_changes(found: list[tuple[str, Any, Any]]) -> list[str]:
    """Return differences, as (field, before, after), in words."""
    return [f"{path} was {_shown(old)}, is {_shown(new)}" for path, old, new in found]


def _shown(value: Any) -> str:
    return "(none)" if value is None else str(value)
