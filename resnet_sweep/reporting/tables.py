"""What the terminal shows; imports nothing slow."""

from __future__ import annotations

from dataclasses import dataclass, field

from rich.table import Table
from rich.text import Text


@dataclass(frozen=True)
class Leaderboard:
    """Texts of a table; `settings` is the last column.

    Args:
        numeric: columns that are aligned to the right.
        remarks: lines below the table.
    """

    columns: list[str]
    rows: list[list[str]]
    numeric: int
    remarks: list[str] = field(default_factory=list)


def terminal_table(board: Leaderboard) -> Table:
    """Return a leaderboard for rich; nothing in it is read as markup."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for place, name in enumerate(board.columns):
        side = "right" if place < board.numeric else "left"
        table.add_column(Text(name), justify=side, no_wrap=place < board.numeric, overflow="fold")  # type: ignore[arg-type]
    for row in board.rows:
        table.add_row(*map(Text, row))
    return table


def printable(text: str) -> str:
    """Return text without characters that could steer a terminal."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
