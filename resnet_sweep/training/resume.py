"""Going on in a run folder with the configuration that it holds."""

from __future__ import annotations

import re
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException

from resnet_sweep.config import Config
from resnet_sweep.config.compose import LIST_GROUPS, SCHEMAS, from_dict
from resnet_sweep.config.errors import (
    RETIRED,
    ConfigError,
    UserError,
    require,
    require_one_of,
)
from resnet_sweep.config.trackers import MlflowConfig, TensorBoardConfig, TrackerConfig, WandbConfig
from resnet_sweep.records.identity import TEACHER, free_fields, may_differ
from resnet_sweep.records.run_folder import CONFIG, read_config_values
from resnet_sweep.system.console import command, quoted


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
    named = [o for o in overrides if o.key_or_group == "resume"]
    several = " ".join(str(o.input_line) for o in named)
    if len(named) > 1:
        raise UserError(f"{several}: goes on with one run")
    (text,) = named
    require(text.value() != "", "resume", "''", "must be a run folder")
    run_dir = Path(str(text.value() or ""))
    allowed = "must be a run folder, one with a config.json in it"
    require((run_dir / CONFIG).is_file(), "resume", text.value(), allowed)
    values = read_config_values(run_dir)
    for override in sorted(overrides, key=lambda override: override.key_or_group != "tracker"):
        if override.key_or_group != "resume":
            _apply(values, override, run_dir)
    return from_dict(values), run_dir


def resume_command(run_dir: Path) -> str:
    """Return the command that goes on with a run; a shell and Hydra read the folder from it."""
    text = str(run_dir)
    try:
        is_plain = OverridesParser.create().parse_override(f"resume={text}").value() == text
    except HydraException:
        is_plain = False
    return command("train", f"resume={text if is_plain else quoted(text)}")


def discard_empty(run_dir: Path) -> None:
    """Remove the folder of a run that never began: it holds what Hydra composed alone."""
    if run_dir.is_dir() and {path.name for path in run_dir.iterdir()} <= {".hydra"}:
        shutil.rmtree(run_dir)


def _apply(values: dict[str, Any], override: Override, run_dir: Path) -> None:
    """Set a free field; refuse any other override that would change the run."""
    key = override.key_or_group
    given: Any = override.value()
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
    stored = node[name]
    if key in (*SCHEMAS, *LIST_GROUPS):  # what the command line calls that which the group holds
        used = [option for option, part in stored.items() if part is not None]
        stored = stored.get("name", used)
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


def _same(stored: Any, given: Any) -> bool:
    if isinstance(stored, list) and not isinstance(given, list):
        given = [] if given == "none" else [given]
    if isinstance(stored, list) and all(isinstance(item, str) for item in stored):
        return sorted(stored) == sorted(given)
    return bool(stored == given)
