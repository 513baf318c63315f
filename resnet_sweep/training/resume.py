"""Going on in a run folder with the configuration that it holds."""

from __future__ import annotations

import json
import re
import shutil
import zipfile
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError  # type: ignore[import-untyped] # ships no types

from resnet_sweep.config import Config
from resnet_sweep.config.compose import LIST_GROUPS, SCHEMAS, from_dict
from resnet_sweep.config.errors import (
    RETIRED,
    ConfigError,
    RunFolderError,
    UserError,
    one_line,
    require,
    require_one_of,
)
from resnet_sweep.config.trackers import MlflowConfig, TensorBoardConfig, TrackerConfig, WandbConfig
from resnet_sweep.records.identity import TEACHER, free_fields, may_differ
from resnet_sweep.records.run_folder import (
    CONFIG,
    MODEL,
    RESULT,
    CheckpointError,
    RecordError,
    TrialResult,
    read_config_values,
    read_metrics,
    read_predictions,
    read_result,
)
from resnet_sweep.records.sweep_folder import SETTINGS, group_of


def is_resume(arguments: list[str]) -> bool:
    """Whether the command line names a run to go on with."""
    return any(re.match(r"\+*resume=(?!null$)", argument) for argument in arguments)


def resumed_config(arguments: list[str]) -> tuple[Config, Path]:
    """Return the configuration of the run that `resume=` names, and its folder.

    The YAML files of today are not read.

    Raises:
        UserError: no such run, or an override that differs from its configuration.
    """
    flags = [a for a in arguments if a.startswith("-")]
    require(not flags, "resume", " ".join(flags), "goes on with one run and takes no flags")
    overrides = OverridesParser.create().parse_overrides(arguments)
    for override in overrides:
        if override.is_sweep_override() or override.is_delete():
            raise UserError(f"{override.input_line}: resume takes plain values alone")
    text = next(o for o in reversed(overrides) if o.key_or_group == "resume")
    run_dir = Path(str(_plain_value(text) or ""))
    allowed = "must be a run folder, one with a config.json in it"
    require((run_dir / CONFIG).is_file(), "resume", _plain_value(text), allowed)
    values = read_config_values(run_dir)
    for override in sorted(overrides, key=lambda override: override.key_or_group != "tracker"):
        if override.key_or_group != "resume":
            _apply(values, override, run_dir)
    return from_dict(values), run_dir


def discard_empty(run_dir: Path) -> None:
    """Remove the folder of a run that never began: it holds what Hydra composed alone."""
    if run_dir.is_dir() and {path.name for path in run_dir.iterdir()} <= {".hydra"}:
        shutil.rmtree(run_dir)


def finished_result(
    run_dir: Path, statuses: Collection[str] = ("completed",)
) -> TrialResult | None:
    """Return the result of a run that has ended in one of `statuses`; None for any other."""
    try:
        result = read_result(run_dir)
    except RecordError:
        return None
    return result if result.status in statuses else None


def objective_of(run_dir: Path) -> str:
    """Return what a run is judged by: the first objective of its sweep, if it has one."""
    with suppress(LookupError, TypeError):
        return str(_sweep_settings(run_dir)["objectives"][0])
    try:
        return read_result(run_dir).objective_name
    except RecordError:
        return "val_accuracy"


def variables_of(run_dir: Path) -> dict[str, str]:
    """Return what hydra.job.env_set was for a run, or for its sweep."""
    found = _sweep_settings(run_dir).get("env_set", {})
    with suppress(OSError, YAMLError, OmegaConfBaseException):
        composed = OmegaConf.load(run_dir / ".hydra" / "hydra.yaml")
        found = OmegaConf.select(composed, "hydra.job.env_set") or found
    return {str(name): str(value) for name, value in found.items()}


def _sweep_settings(run_dir: Path) -> dict[str, Any]:
    """Return what the workers of a run's sweep read; nothing where it stands alone."""
    group = group_of(run_dir)
    with suppress(OSError, ValueError):
        values = {} if group is None else json.loads((group.folder / SETTINGS).read_bytes())
        return values if isinstance(values, dict) else {}
    return {}


def lost_products(config: Config, run_dir: Path) -> list[str]:
    """Return a line for each file of a completed run that is missing or damaged."""
    readers: list[Callable[[Path], object]] = [_check_net, read_metrics]
    readers += [read_predictions] if config.data.val_size > 0 else []
    found = []
    for read in readers:
        try:
            read(run_dir)
        except RecordError as error:
            found.append(str(error))
    return found


def require_checkpoint(run_dir: Path, why: str) -> None:
    """Refuse what a completed run can do from its last checkpoint alone.

    Raises:
        RunFolderError: there is none that can be read; a run would start from its beginning.
    """
    from resnet_sweep.records.checkpoint import read_checkpoint  # brings torch

    try:
        problem = "" if read_checkpoint(run_dir) else "it has no checkpoint"
    except CheckpointError as error:
        problem = str(error).partition(";")[0]
    if problem:
        again = f"copy {run_dir / CONFIG} into a new folder and train it with resume=NEW_FOLDER"
        raise RunFolderError(f"resume={run_dir}: {why}: {problem}; to have it again, {again}")


def damaged_result(run_dir: Path) -> str | None:
    """Return what is wrong with a result that has been written; None: nothing.

    One that is missing was written where there is a net, which comes just before it.
    """
    try:
        read_result(run_dir)
    except RecordError as error:
        was_written = (run_dir / RESULT).exists() or (run_dir / MODEL).exists()
        return str(error) if was_written else None
    return None


def _check_net(run_dir: Path) -> None:
    """Look through what torch has written, without torch.

    Raises:
        RecordError: it is missing or damaged.
    """
    path = run_dir / MODEL
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
    except FileNotFoundError:
        raise RecordError(f"{path}: there is no such file") from None
    except Exception as error:  # a damaged archive raises almost anything
        raise RecordError(f"{path}: cannot be read: {one_line(error)}") from error
    if damaged is not None:
        raise RecordError(f"{path}: cannot be read: {damaged} is damaged")


def _plain_value(override: Override) -> Any:
    return override.value()


def _apply(values: dict[str, Any], override: Override, run_dir: Path) -> None:
    """Set a free field; refuse any other override that would change the run."""
    key = override.key_or_group
    given = _plain_value(override)
    if key in RETIRED:
        raise UserError(f"{key}: {RETIRED[key]}")
    if key == "tracker":
        values[key] = _trackers(given, values.get(key) or {})
        return
    *parents, name = key.split(".")
    node: Any = values
    for parent in parents:
        node = node.get(parent) if isinstance(node, dict) else None
    if not isinstance(node, dict) or name not in node:
        raise ConfigError(key, given, f"there is no such field in the run {run_dir}")
    if may_differ(key) or (key == TEACHER and given is not None and node[name] is not None):
        node[name] = given
        return
    stored = _option_name(node[name]) if key in (*SCHEMAS, *LIST_GROUPS) else node[name]
    if not _same(stored, given):
        raise UserError(
            f"resume={run_dir}: the run has {key}={stored}, not {given}; "
            f"only {', '.join(free_fields())} may differ"
        )


def _trackers(given: Any, stored: dict[str, Any]) -> dict[str, Any]:
    """Return the values of the group for the options that were given; what is known stays."""
    names = [] if given == "none" else given if isinstance(given, list) else [given]
    known = asdict(TrackerConfig(TensorBoardConfig(), MlflowConfig(), WandbConfig()))
    for name in names:
        require_one_of("tracker", name, ("none", *known))
    return {name: stored.get(name) or known[name] for name in names}


def _option_name(group: dict[str, Any]) -> Any:
    """Return how the command line names what a group holds."""
    if "name" in group:
        return group["name"]
    return [name for name, part in group.items() if part is not None]


def _same(stored: Any, given: Any) -> bool:
    if isinstance(stored, list) and not isinstance(given, list):
        given = [] if given == "none" else [given]
    if isinstance(stored, list) and all(isinstance(item, str) for item in stored):
        return sorted(stored) == sorted(given)
    return bool(stored == given)
