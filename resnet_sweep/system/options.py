"""The options of a command that has no groups: conf/NAME.yaml and the command line."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import fields

import hydra
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import HydraContext, RunMode
from omegaconf import DictConfig, OmegaConf, open_dict

from resnet_sweep.config.compose import Schema, conf_dir, key_of, register_schemas, to_schema
from resnet_sweep.config.errors import UserError
from resnet_sweep.config.help import register_help
from resnet_sweep.system.cli import USAGE_ERROR, refuse_multirun

WHITELIST = ("resnet_sweep.*", "hydra_plugins.*", "optuna.*")
Act = Callable[[Schema, DictConfig, HydraContext], None]


def register_options(name: str, schema: type) -> None:
    """Let conf/NAME.yaml begin with schema/NAME."""
    register_help()
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
    _refuse_deletions(schema)
    register_options(name, schema)
    composed: list[DictConfig] = []
    hydra.main(config_path=str(conf_dir().resolve()), config_name=name)(composed.append)()
    if not composed:
        sys.exit(0)
    if len(composed) > 1:
        raise _several(name)
    return to_schema(composed[0], schema)


def act_with_launcher(name: str, schema: type[Schema], act: Act[Schema]) -> None:
    """Give `act` the checked options and what a launcher wants to know of Hydra.

    Raises:
        UserError: as in read_options.
        SystemExit: from a UserError of `act`.
    """
    from hydra._internal.callbacks import Callbacks

    refuse_multirun(name)
    _refuse_deletions(schema)
    register_schemas()
    register_options(name, schema)

    def run(composed: DictConfig) -> None:
        config = composed.copy()  # with what a run does not pass on
        with open_dict(config):
            config.hydra = HydraConfig.instance().cfg.hydra.copy()  # type: ignore[union-attr] # within a run
        context = HydraContext(GlobalHydra.instance().config_loader(), Callbacks(), WHITELIST)
        try:
            if config.hydra.mode == RunMode.MULTIRUN:
                raise _several(name)
            act(to_schema(composed, schema), config, context)
        except UserError as error:
            raise SystemExit(USAGE_ERROR) from error  # Hydra would add lines to any other

    folder = str(conf_dir().resolve())
    hydra.main(config_path=folder, config_name=name, execution_whitelist=WHITELIST)(run)()


def _refuse_deletions(schema: type) -> None:
    """Refuse `~field`, after which the field would have its default."""
    names = [field.name for field in fields(schema)]
    for argument in sys.argv[1:]:
        if argument.startswith("~") and key_of(argument) in names:
            raise UserError(f"{argument}: a field cannot be removed; give it a value, such as null")


def _several(name: str) -> UserError:
    """Return the error of a multirun that a configuration file asks for, not the command line."""
    return UserError(f"hydra.mode=MULTIRUN: {name} has no multirun; call it several times")
