"""The best configuration as an experiment file, and the command that runs it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from resnet_sweep.config import Config
from resnet_sweep.config.compose import LIST_GROUPS, SCHEMAS, conf_dir, schema_of, to_dict
from resnet_sweep.config.confirm import DEFAULT_NAME
from resnet_sweep.system.atomic import write_text
from resnet_sweep.system.console import command

EXPERIMENT = "experiment"
# conf/config.yaml has the last word on these: they go onto the command line.
OF_THE_COMMAND = ("seed", "resume", "evaluate_test")


def write_best(
    sweep: Path,
    config: Config,
    title: str,
    name: str = DEFAULT_NAME,
    env_set: Mapping[str, str] | None = None,
) -> tuple[Path, str]:
    """Write SWEEP/experiment/best.yaml and return it with the command that runs it.

    A confirmation of another name has best_NAME.yaml.

    The command gives the very config.json that `config` gives.

    Args:
        env_set: variables that the runs had: a network of the user's own may read them.
    """
    stem = "best" if name == DEFAULT_NAME else f"best_{name}"
    path = sweep / EXPERIMENT / f"{stem}.yaml"
    test = str(config.evaluate_test).lower()
    words = ["--config-dir", str(sweep), f"{EXPERIMENT}={stem}", f"seed={config.seed}"]
    again = command("train", *words, f"evaluate_test={test}")
    values = {name: v for name, v in to_dict(config).items() if name not in OF_THE_COMMAND}
    defaults: list[dict[str, Any]] = [
        {f"override /{group}": _option(group, values[group])} for group in SCHEMAS
    ]
    for group in LIST_GROUPS:
        used = [name for name, part in values[group].items() if part is not None]
        defaults.append({f"override /{group}": used or "none"})
    if env_set:
        values["hydra"] = {"job": {"env_set": dict(env_set)}}
    body = OmegaConf.to_yaml(OmegaConf.create({"defaults": defaults, **values}))
    path.parent.mkdir(exist_ok=True)
    write_text(path, f"# @package _global_\n# {title}\n# Command: {again}\n{body}")
    return path, again


def _option(group: str, values: dict[str, Any]) -> str:
    """Return an option that brings the schema; every field is set anyway."""
    names = sorted(path.stem for path in (conf_dir() / group).glob("*.yaml"))
    if values["name"] in names:
        return str(values["name"])
    wanted = schema_of(group, values["name"])
    return next(name for name in names if schema_of(group, name) is wanted)
