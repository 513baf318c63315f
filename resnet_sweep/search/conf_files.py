"""The configuration files of a sweep: all of Hydra's search path, as they were at its start.

Free of torch.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.resources import files as package_files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import env_override
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, ListConfig, OmegaConf, open_dict, read_write
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError  # type: ignore[import-untyped] # ships no types

from resnet_sweep.config.compose import conf_dir, key_of, register_schemas
from resnet_sweep.config.errors import RETIRED, UserError, one_line
from resnet_sweep.config.experiments import refuse_choices_beside_experiments
from resnet_sweep.config.mistakes import describe
from resnet_sweep.system.console import command, quoted

CONF = "conf"
PRIMARY = "config"
SWEEPER = "hydra/sweeper/optuna.yaml"
# Below a folder of YAML files, these hold what was trained, not what was written to be composed.
_RESULTS = ("config.json", "settings.json", "sweep.json")
_ENVIRONMENT = re.compile(r"\$\{\s*oc\.env\s*:\s*['\"]?(\w+)")
_PINNED = re.compile(r"\$\{\s*(?:oc\.env|hydra|now)\s*:")


@dataclass(frozen=True)
class ConfFiles:
    """A folder of YAML files and what Hydra needs to compose from it.

    Args:
        primary: name of the primary configuration, without its extension.
        environment: variables that the files and the command line read, as they were when the
            sweep began.
        own: paths of the files that are the user's, not the package's.
        env_set: hydra.job.env_set, variables that each run has; the command line's among them.
    """

    folder: Path
    primary: str = PRIMARY
    environment: Mapping[str, str] = field(default_factory=dict)
    own: tuple[str, ...] = ()
    env_set: Mapping[str, str] = field(default_factory=dict)

    def compose(self, overrides: Iterable[str]) -> DictConfig:
        """Return the composed configuration of a single run, the node `hydra` included.

        What the process or its environment gives is put in: ${oc.env:...}, ${hydra:...}.

        Raises:
            UserError: it does not compose.
        """
        with self._hydra() as hydra:
            assert hydra.hydra is not None
            everything = self._for_these_files(overrides)
            # A group of which an option must be chosen may be one that a sweep draws.
            composed = hydra.hydra.compose_config(
                self.primary, everything, RunMode.RUN, from_shell=False, skip_missing_defaults=True
            )
            with env_override(env_set(composed) | dict(self.env_set)):
                _pin(composed)
            return composed

    def refuse_choices_beside_experiments(self, overrides: Iterable[str]) -> None:
        """Do so with the experiments of these files; see config/experiments.py."""
        with self._hydra():
            refuse_choices_beside_experiments(self._for_these_files(overrides), self.primary)

    def own_keys(self, overrides: Sequence[str], keys: Iterable[str]) -> list[str]:
        """Return those of the keys that one of the user's own files sets.

        Raises:
            UserError: it does not compose.
        """
        if not self.own:
            return []
        with self._hydra() as hydra:
            loader = hydra.config_loader()
            found = loader.compute_defaults_list(
                self.primary, self._for_these_files(overrides), RunMode.MULTIRUN
            )
            bodies = [
                (default.package or "", OmegaConf.load(self.folder / f"{default.config_path}.yaml"))
                for default in found.defaults
                if f"{default.config_path}.yaml" in self.own
            ]
        return [k for k in keys if any(_sets(*body, k) or _chooses(body[1], k) for body in bodies)]

    def run_command(self, *overrides: str) -> str:
        """Return the command of a single run that composes from these files."""
        words: list[str] = []
        composed = self.compose(overrides)
        if self.own or self.primary != PRIMARY:
            words = ["--config-path", str(self.folder.resolve()), "--config-name", self.primary]
            if composed.hydra.mode == RunMode.MULTIRUN:
                words.append("hydra.mode=RUN")
        given = self.env_set.items() - env_set(composed).items()
        words += [f"++hydra.job.env_set.{name}={quoted(value)}" for name, value in sorted(given)]
        environment = [f"{name}={shlex.quote(value)}" for name, value in self.environment.items()]
        return " ".join([*environment, command("train", *words, *overrides, *self._no_others())])

    def changed_since(self, frozen: ConfFiles) -> list[str]:
        """Return the files that an earlier copy has otherwise, or lacks."""
        paths = {str(p.relative_to(self.folder)) for p in self.folder.rglob("*.yaml")}
        return sorted(p for p in paths if _read(self.folder / p) != _read(frozen.folder / p))

    def _for_these_files(self, overrides: Iterable[str]) -> list[str]:
        """Return the overrides for these files alone.

        Of a sweep from before the group `tracker` those are left out that it cannot know.

        Raises:
            UserError: that sweep is asked for a tracker.
        """
        if (self.folder / "tracker").is_dir():
            return [*overrides, *self._no_others()]
        known = [o for o in overrides if key_of(o) not in RETIRED and o != "tracker=none"]
        asked = [o for o in known if key_of(o).partition(".")[0] == "tracker"]
        if asked:
            allowed = "began when there were no trackers, and has none"
            raise UserError(f"{asked[0]}: the sweep in {self.folder.parent} {allowed}")
        return [*known, *self._no_others()]

    def _no_others(self) -> list[str]:
        """Keep Hydra from the folders that the files were copied from."""
        return ["hydra.searchpath=[]"] if self.own else []

    @contextmanager
    def _hydra(self) -> Iterator[GlobalHydra]:
        register_schemas()
        hydra = GlobalHydra.instance()
        outer, hydra.hydra = hydra.hydra, None  # within a sweep Hydra is at work already
        folder = str(self.folder.resolve())
        try:
            with (
                env_override(dict(self.environment)),
                initialize_config_dir(folder, job_name="train"),
            ):
                yield hydra
        except UserError:
            raise
        except (HydraException, OmegaConfBaseException) as error:
            message = describe(error, self.folder).replace(f"{folder}/", "")
            raise UserError(message) from error
        except (OSError, ValueError, YAMLError) as error:
            message = one_line(error).replace(f"{folder}/", "")
            raise UserError(f"{self.folder}: cannot be read: {message}") from error
        finally:
            GlobalHydra.instance().hydra = outer


def found_files(config: DictConfig, into: Path) -> ConfFiles:
    """Return the files that Hydra composed from: the package's folder where there are no others.

    Args:
        config: as Hydra composed it.
        into: empty folder that gets a copy of every YAML file of Hydra's search path, of one name
            the first.
    """
    sources = [s for s in config.hydra.runtime.config_sources if _is_from_user(s)]
    packaged = str(conf_dir().resolve())
    primary = str(config.hydra.job.config_name).removesuffix(".yaml")
    if [s.path for s in sources] == [packaged]:
        variables = _environment(config, [])
        return ConfFiles(conf_dir(), primary, variables, env_set=env_set(config))
    own: list[str] = []
    for source in sources:
        top: Traversable = Path(source.path)
        if source.schema == "pkg":
            top = package_files(source.path.replace("/", "."))
        for path, file in _yaml_files(top):
            place = into / path
            if place.exists():
                continue
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(file.read_bytes())
            if source.path != packaged:
                own.append(path)
    variables = _environment(config, [into / path for path in own])
    return ConfFiles(into, primary, variables, tuple(own), env_set(config))


def env_set(config: DictConfig) -> dict[str, str]:
    """Return the variables that a configuration sets for its runs."""
    return {str(name): str(value) for name, value in config.hydra.job.env_set.items()}


def with_env_set(config: DictConfig, more: Mapping[str, str]) -> DictConfig:
    """Return a configuration that sets more variables for its runs; its own come first."""
    copy, variables = config.copy(), {**more, **env_set(config)}
    OmegaConf.set_readonly(copy.hydra, None)
    with read_write(copy.hydra), open_dict(copy):
        copy.hydra.job.env_set = variables
    return copy


def _environment(config: DictConfig, files: Iterable[Path]) -> dict[str, str]:
    """Return what these files and the command line read of the environment."""
    texts = [path.read_text(errors="replace") for path in files]
    texts += [*config.hydra.overrides.task, *config.hydra.overrides.hydra]
    names = {name for text in texts for name in _ENVIRONMENT.findall(text)}
    names.update(config.hydra.job.env_copy)
    return {name: os.environ[name] for name in sorted(names) if name in os.environ}


def freeze_conf(folder: Path, source: Path) -> None:
    """Copy the configuration into the sweep folder, once, whole or not at all."""
    frozen, partial = folder / CONF, folder / f"{CONF}.partial"
    if frozen.exists():
        return
    shutil.rmtree(partial, ignore_errors=True)
    shutil.copytree(source, partial)
    partial.rename(frozen)


def _is_from_user(source: Any) -> bool:
    """Return whether a source holds files that a sweep must keep: Hydra and its plugins stay."""
    if source.schema == "pkg":
        return source.path.replace("/", ".").partition(".")[0] not in ("hydra", "hydra_plugins")
    return bool(source.schema == "file")


def _yaml_files(top: Traversable) -> Iterator[tuple[str, Traversable]]:
    """Yield path and file of each YAML file; not those that runs and sweeps left there."""
    waiting, seen = [("", top)], set()
    while waiting:
        path, folder = waiting.pop()
        if not folder.is_dir() or os.path.realpath(str(folder)) in seen:
            continue
        seen.add(os.path.realpath(str(folder)))  # a link may lead back
        entries = [entry for entry in folder.iterdir() if not entry.name.startswith(".")]
        if any(entry.name in _RESULTS for entry in entries):
            entries = [entry for entry in entries if not path and entry.name == "experiment"]
        for entry in sorted(entries, key=lambda entry: entry.name):
            if entry.is_dir():
                waiting.append((f"{path}{entry.name}/", entry))
            elif entry.name.endswith(".yaml"):
                yield f"{path}{entry.name}", entry


def _read(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


def _sets(package: str, body: DictConfig | ListConfig, key: str) -> bool:
    """Return whether a file that goes into a package sets a key of the whole."""
    inside = key if not package else key.removeprefix(f"{package}.")
    if package and inside == key:
        return False
    node: Any = body
    for name in inside.split("."):
        if not isinstance(node, DictConfig) or name not in node:
            return False
        node = node._get_node(name)
    return True


def _chooses(body: DictConfig | ListConfig, group: str) -> bool:
    """Return whether the defaults list of a file chooses an option of a group."""
    defaults = body.get("defaults") if isinstance(body, DictConfig) else None
    keys = [str(key) for each in defaults or [] if isinstance(each, DictConfig) for key in each]
    return group in {key.removeprefix("override ").strip().lstrip("/") for key in keys}


def _pin(composed: DictConfig) -> None:
    """Replace what only this process can resolve by its value, where it has one."""
    before = HydraConfig.instance().cfg
    HydraConfig.instance().cfg = composed  # type: ignore[assignment] # has the node hydra
    try:
        _pin_node(composed, composed)
    finally:
        HydraConfig.instance().cfg = before


def _pin_node(root: DictConfig, node: Any) -> None:
    keys = range(len(node)) if isinstance(node, ListConfig) else list(node.keys())
    for key in keys:
        if node is root and key == "hydra":
            continue
        child = node._get_node(key)
        raw = None if child is None else child._value()
        if isinstance(child, (DictConfig, ListConfig)) and not isinstance(raw, str):
            if raw is not None:
                _pin_node(root, child)
        elif isinstance(raw, str) and _PINNED.search(raw):
            try:
                value = node[key]
            except OmegaConfBaseException:
                continue  # whoever needs it says why
            OmegaConf.set_readonly(node, False)
            node[key] = value
            OmegaConf.set_readonly(node, None)
