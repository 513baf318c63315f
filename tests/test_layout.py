"""Imports between the rooms of the package run one way: that of CONTRIBUTING.md's tree."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from conftest import ROOT

PACKAGE = ROOT / "resnet_sweep"


def _rooms() -> list[str]:
    tree = (ROOT / "CONTRIBUTING.md").read_text().partition("      train.py")[2]
    return re.findall(r"^      (\w+)/ ", tree, re.MULTILINE)


def _imports() -> Iterator[tuple[str, str, str]]:
    """Yield (file, its room, the room that it imports)."""
    for path in PACKAGE.rglob("*.py"):
        room = path.relative_to(PACKAGE).parts[0]
        for node in ast.walk(ast.parse(path.read_text())):
            modules = []
            if isinstance(node, ast.ImportFrom) and node.module:
                modules = [f"{node.module}.{name.name}" for name in node.names]
            elif isinstance(node, ast.Import):
                modules = [name.name for name in node.names]
            for module in modules:
                parts = module.split(".")
                if parts[0] == PACKAGE.name and len(parts) > 1:
                    yield str(path.relative_to(ROOT)), room, parts[1]


def test_every_room_stands_in_the_tree() -> None:
    folders = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert folders == {*_rooms()}


def test_a_room_imports_only_what_stands_above_it() -> None:
    order = {room: place for place, room in enumerate(_rooms())}
    found = [
        f"{file}: {room} imports {other}"
        for file, room, other in _imports()
        if room in order and order.get(other, len(order)) > order[room]
    ]
    assert found == []
