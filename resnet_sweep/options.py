"""The options of a command that has no groups: conf/NAME.yaml and the command line."""

from __future__ import annotations

import sys

import hydra
from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig, OmegaConf

from resnet_sweep.cli import refuse_multirun
from resnet_sweep.compose import Schema, conf_dir, to_schema


def register_options(name: str, schema: type) -> None:
    """Let conf/NAME.yaml begin with schema/NAME."""
    node = OmegaConf.structured(schema)
    store = ConfigStore.instance()
    store.store(group="schema", name=name, node=node, package="_global_", replace=True)


def read_options(name: str, schema: type[Schema]) -> Schema:
    """Return the checked options of the command `name`; --help and its kin end the program.

    Nothing happens inside Hydra's own run, which would report an error in lines of its own.

    Raises:
        UserError: an unknown key, a wrong type or a value that is not allowed.
    """
    refuse_multirun(name)
    register_options(name, schema)
    composed: list[DictConfig] = []
    hydra.main(config_path=str(conf_dir().resolve()), config_name=name)(composed.append)()
    if not composed:
        sys.exit(0)
    return to_schema(composed[0], schema)
