"""Tables of texts: on the terminal, in Markdown, LaTeX and CSV; text is never markup in any."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # slow to import, and not every report needs them
    import pandas as pd
    from rich.table import Table as RichTable

LATEX = {
    "±": r"$\pm$",
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
} | {character: f"\\{character}" for character in "&%$#_{}"}
# Spaces that a spreadsheet may drop, then a sign that begins a formula, also in full width.
BLANKS = "\\s\u00a0\u1680\u2000-\u200d\u2028\u2029\u202f\u205f\u3000\ufeff"
FORMULA_STARTS = f"^[\\t\\r\\n]|^[{BLANKS}]*[=+\\-@\uff1d\uff0b\uff0d\uff20]"
CONTROL = "[\\x00-\\x08\\x0b\\x0c\\x0e-\\x1f\\x7f-\u009f]"


@dataclass(frozen=True)
class Table:
    """Texts in columns.

    Args:
        numeric: how many columns, from the first, are aligned to the right.
        remarks: lines below the table.
    """

    columns: list[str]
    rows: list[list[str]]
    numeric: int
    remarks: list[str] = field(default_factory=list)


def printable(text: str) -> str:
    """Return text without characters that could steer a terminal."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def terminal_table(table: Table) -> RichTable:
    """Return a table for rich; nothing in it is read as markup."""
    from rich.table import Table as RichTable
    from rich.text import Text

    shown = RichTable(box=None, header_style="bold", pad_edge=False)
    for place, name in enumerate(table.columns):
        is_number = place < table.numeric
        side: Any = "right" if is_number else "left"
        shown.add_column(Text(name), justify=side, no_wrap=is_number, overflow="fold")
    for row in table.rows:
        shown.add_row(*(Text(printable(cell)) for cell in row))
    return shown


def escape_markdown(text: str) -> str:
    """Return text that Markdown shows as it is; neither markup nor HTML."""
    escaped = re.sub(r"([\\`*_{}\[\]#|~!])", r"\\\1", printable(text))
    return escaped.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def to_markdown(table: Table) -> str:
    """Return a Markdown table with its remarks below."""
    rules = ["---:" if place < table.numeric else "---" for place in range(len(table.columns))]
    head, *body = (list(map(escape_markdown, line)) for line in (table.columns, *table.rows))
    lines = "".join(f"| {' | '.join(line)} |\n" for line in (head, rules, *body))
    return lines + "".join(f"\n{escape_markdown(remark)}\n" for remark in table.remarks)


def to_latex(table: Table, note: str) -> str:
    """Return a tabular with booktabs rules and a note below it; needs \\usepackage{booktabs}."""
    spec = "r" * table.numeric + "l" * (len(table.columns) - table.numeric)
    lines = [" & ".join(map(_latex, line)) + r" \\" for line in (table.columns, *table.rows)]
    body = [rf"\begin{{tabular}}{{{spec}}}", r"\toprule", lines[0], r"\midrule", *lines[1:]]
    below = _latex(" ".join([*(f"{remark}." for remark in table.remarks), note]))
    wide = rf"\multicolumn{{{len(table.columns)}}}{{p{{\linewidth}}}}{{\footnotesize {below}}}"
    return "\n".join([*body, r"\bottomrule", rf"{wide} \\", r"\end{tabular}", ""])


def _latex(text: str) -> str:
    return "".join(LATEX.get(character, character) for character in printable(text))


def to_csv(table: pd.DataFrame | Iterable[dict[str, Any]]) -> str:
    """Return CSV that a spreadsheet opens as data.

    Text that would begin a formula has an apostrophe before it, a control character becomes the
    replacement character.
    """
    import pandas as pd
    from pandas.api.types import is_numeric_dtype

    safe = pd.DataFrame(table).copy()
    for name in safe.columns:
        if not is_numeric_dtype(safe[name]):  # booleans count as numeric
            safe[name] = _unlike_formulas(safe[name])
    names = pd.Series([str(name) for name in safe.columns], dtype="str")
    safe.columns = pd.Index(_unlike_formulas(names))
    return str(safe.to_csv(index=False, lineterminator="\n"))


def _unlike_formulas(texts: pd.Series[Any]) -> pd.Series[Any]:
    plain = texts.astype("str").str.replace(CONTROL, "\N{REPLACEMENT CHARACTER}", regex=True)
    is_formula = plain.str.contains(FORMULA_STARTS, regex=True, na=False)
    return plain.mask(is_formula, "'" + plain)
