"""The text of --help: every field with its value and what its dataclass says of it.

The docstrings of the schemas are the only place where a field is explained. A help template in
conf/ contains `${fields:NAME}` (the schema stored as NAME in Hydra's ConfigStore), `${fields:}`
(every group of the composed configuration) or `${groups:}` (the options of each group).
"""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any, get_args, get_type_hints

from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.object_type import ObjectType
from omegaconf import MISSING, DictConfig, OmegaConf

LINE_WIDTH = 100
NAME_WIDTH = 34  # longer names get a line of their own
OTHER_GROUPS = ("hydra", "schema", "comparison")  # Hydra's, internal ones, those of `compare`


@cache
def register_help() -> None:
    """Make `${fields:...}` and `${groups:}` known to OmegaConf; once a process."""
    OmegaConf.register_resolver("fields", _resolve, replace=True)
    OmegaConf.register_resolver("groups", lambda _="": "\n".join(_group_lines()), replace=True)


def field_texts(schema: type) -> dict[str, str]:
    """Return what the docstrings of a dataclass and of its bases say of each field.

    A field that `Args:` explains together with others (`a, b: ...`) has the same text as they.
    """
    texts: dict[str, str] = {}
    for base in reversed(schema.__mro__):
        _, _, arguments = inspect.cleandoc(base.__doc__ or "").partition("Args:\n")
        entries = re.split(r"^    (?=\S)", arguments, flags=re.MULTILINE)
        for entry in entries:
            names, colon, text = entry.partition(": ")
            if colon:
                texts |= dict.fromkeys(names.split(", "), " ".join(text.split()))
    return texts


def field_table(schema: type, values: DictConfig | None = None, prefix: str = "") -> str:
    """Return a line `name=value  text` for each field of a dataclass that a user sets.

    A field without a text that is a dataclass itself, such as an augmentation, has the text of
    that. One without a value is left out: a group such as the sampler, which the templates explain.

    Args:
        values: of the fields; null: their defaults.
        prefix: of the names, as they are written on the command line.
    """
    texts, types = field_texts(schema), get_type_hints(schema)
    shown = OmegaConf.structured(schema) if values is None else values
    lines = []
    for field in fields(schema):
        node: Any = shown._get_node(field.name)
        is_set_by_users = not field.name.startswith("_") and not (prefix and field.name == "name")
        if is_set_by_users and not node._is_missing():
            text = texts.get(field.name) or _nested_text(types[field.name])
            lines.append(_line(f"{prefix}{field.name}={_value(node)}", text))
    return "\n".join(lines)


def _nested_text(type_: Any) -> str | None:
    """Return the first sentence on a dataclass, or an optional one, and its fields' defaults."""
    schema = next((each for each in (type_, *get_args(type_)) if is_dataclass(each)), None)
    if not isinstance(schema, type):
        return None
    texts = field_texts(schema)
    defaults: Any = OmegaConf.structured(schema)
    named = [
        f"{field.name}={_value(defaults._get_node(field.name))}"
        + (f" ({texts[field.name].rstrip('.')})" if field.name in texts else "")
        for field in fields(schema)
    ]
    summary = inspect.cleandoc(schema.__doc__ or "").splitlines()[0]
    return f"{summary} Fields: {'; '.join(named)}." if named else summary


def _group_lines(parent: str = "") -> Iterator[str]:
    """Yield a line for each config group that `train` has a use for, with its options."""
    loader = GlobalHydra.instance().config_loader()
    for name in sorted(loader.list_groups(parent)):
        group = f"{parent}/{name}" if parent else name
        options = loader.get_group_options(group, ObjectType.CONFIG)
        if group in OTHER_GROUPS:
            continue
        if options:
            yield f"{group}: {', '.join(sorted(options))}"
        yield from _group_lines(group)


def _resolve(name: str = "", *, _root_: DictConfig) -> str:
    """Return the table of a stored schema, or of all groups of the configuration."""
    if name:
        node = ConfigStore.instance().load(f"{name}.yaml").node
        schema = OmegaConf.get_type(node)
        assert isinstance(schema, type)
        table = field_table(schema, node, "hydra.sweeper." if "sweeper" in name else "")
    else:
        table = "\n".join(_group_tables(_root_))
    return table.replace("$", "$$")  # Hydra substitutes $CONFIG and the like afterwards


def _group_tables(config: DictConfig) -> list[str]:
    """Return the tables of the groups, those without a group first."""
    plain, groups = [], []
    texts = field_texts(OmegaConf.get_type(config) or dict)
    for name in config:
        node: Any = config._get_node(name)
        if name == "hydra" or name == "search_space":
            continue
        schema = OmegaConf.get_type(node)
        if isinstance(schema, type) and is_dataclass(schema):
            summary = inspect.cleandoc(schema.__doc__ or "").splitlines()[0]
            groups.append(f"\n{name!s}: {summary}\n{field_table(schema, node, f'{name!s}.')}")
        else:
            plain.append(_line(f"{name!s}={_value(node)}", texts.get(str(name))))
    return [*plain, *groups]


def _value(node: Any) -> str:
    if node is None or node._is_none():
        return "null"
    if isinstance(node, DictConfig) and not node._is_missing():  # such as one augmentation
        inner = ",".join(f"{key!s}:{_value(node._get_node(key))}" for key in node)
        return f"{{{inner}}}"
    if node._is_missing():
        return str(MISSING)
    if OmegaConf.is_config(node):
        return f"[{','.join(_value(each) for each in node._content)}]"
    value: Any = node._value()
    return str(value).lower() if isinstance(value, bool) else str(value)


def _line(assignment: str, text: str | None) -> str:
    start = f"  {assignment}"
    if not text:
        return start
    margin = " " * (NAME_WIDTH + 2)
    first = f"{start}\n{margin}" if len(start) > NAME_WIDTH else start.ljust(len(margin))
    width = LINE_WIDTH - len(margin)
    return first + f"\n{margin}".join(textwrap.wrap(text, width, break_on_hyphens=False))
