"""What Hydra and OmegaConf say of a mistake on the command line, in one line and our words."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from pathlib import Path

from omegaconf.errors import ConfigAttributeError, ConfigKeyError

from resnet_sweep.config import Config
from resnet_sweep.config.compose import SCHEMAS, conf_names
from resnet_sweep.config.errors import RETIRED, did_you_mean, no_such_field

KINDS = {"Float": "a number", "Integer": "a whole number", "Boolean": "true or false"}
OTHER_WORDS = {"learning_rate": "lr", "num_epochs": "epochs"}
BRACKETS = (("[", "]"), ("(", ")"), ("{", "}"))


def describe(error: BaseException, folder: Path | None = None) -> str:
    """Return an error as one line: field, value and what is allowed, where it tells them.

    Args:
        folder: of the YAML files; null: the project's own.
    """
    message, cause = str(error), error.__cause__

    def no_option(found: re.Match[str]) -> str:
        return f"{found[1]}={found[2]}: there is no such option; {conf_names(found[1], folder)}"

    tellers: list[tuple[str, Callable[[re.Match[str]], str]]] = [
        (r"Could not override '([^']+)'", lambda found: _unknown(found[1], cause)),
        (r"Could not delete from config. '([^']+)' does", lambda found: _unknown(found[1], None)),
        (r"Error merging override (\S+)", lambda found: _not_taken(found[1], cause)),
        (r"In '([^']+)': \w+ raised while", lambda found: _in_file(found[1], error.__context__)),
        (r"Error when parsing index: \d+, string: (.+?) out of \[", lambda f: _unread(f, message)),
        (r"Ambiguous value for argument '([^']+)'", lambda found: _several(found[1])),
        (r"Could not (?:find|load) '(.+)/([^/']+)'", no_option),
    ]
    for pattern, tell in tellers:
        if found := re.search(pattern, message):
            return tell(found)
    return _one_line(message)


def _unknown(path: str, cause: BaseException | None) -> str:
    if path in RETIRED:
        return f"{path}: {RETIRED[path]}"
    if path.startswith("model.kwargs."):
        return f"{path}: is not in the configuration; to add it, write +{path}"
    schema = getattr(cause, "object_type", None)
    if not (isinstance(schema, type) and is_dataclass(schema)):
        return f"{path}: there is no such field"
    elsewhere = _fields_named(OTHER_WORDS.get(path, path)) if schema is Config else []
    if elsewhere:
        return f"{path}: there is no such field; did you mean {' or '.join(elsewhere)}?"
    return f"{path}: {no_such_field(path, {field.name for field in fields(schema)})}"


def _fields_named(name: str) -> list[str]:
    """Return the groups' fields of a name, such as train.epochs."""
    groups = {
        group
        for group, variants in SCHEMAS.items()
        for schema in variants.values()
        if name in {field.name for field in fields(schema)}
    }
    return [f"{group}.{name}" for group in sorted(groups)]


def _not_taken(override: str, cause: BaseException | None) -> str:
    reason = (str(cause).strip().splitlines() or [type(cause).__name__])[0]
    kind = re.search(r"could not be converted to (\w+)$", reason)
    if kind and kind[1] in KINDS:
        return f"{override}: must be {KINDS[kind[1]]}"
    return f"{override}: {reason}"


def _in_file(file: str, cause: BaseException | None) -> str:
    """Tell what is wrong with a field of a YAML file."""
    path = getattr(cause, "full_key", None)
    if path and isinstance(cause, (ConfigKeyError, ConfigAttributeError)):
        return f"{file}.yaml: {_unknown(path, cause)}"
    value = re.search(r"^Value '(.*)' of type", str(cause))
    return f"{file}.yaml: {_not_taken(f'{path}={value[1]}' if value else path or '', cause)}"


def _unread(found: re.Match[str], message: str) -> str:
    """Tell what is wrong with an override; Hydra repeats the whole command line."""
    override = found[1]
    field, equals, value = override.partition("=")
    if not equals:
        return f"{override}: must be field=value"
    if any(value.count(a) != value.count(b) for a, b in BRACKETS):
        return f"{override}: a bracket is left open; brackets and spaces need quotes: '{field}=...'"
    if not override.isascii():
        quoted = f"\"{field}='{value}'\""
        return f"{override}: letters beyond a to z need quotes within quotes: {quoted}"
    if function := re.search(r"Unknown function '(\w+)'\s+Available: (\S+)", message):
        name, known = function[1], function[2].split(",")
        return f"{override}: there is no function {name}; {did_you_mean(name, known)}"
    told = message.rpartition("Error parsing override")[2].partition("See http")[0]
    quoted = f"'{override}'"
    return f"{override}: {_one_line(told.replace(quoted, ''))}"


def _several(override: str) -> str:
    field, _, value = override.partition("=")
    if re.fullmatch(r"\d+,\d+", value):
        return f"{override}: must be one number, with a point: {field}={value.replace(',', '.')}"
    listed = f"write {field}=[{value}] for a list"
    return f"{override}: several values: {listed}; train tries each with -m"


def _one_line(message: str) -> str:
    return " ".join(message.split())
