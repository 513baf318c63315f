"""CSV that a spreadsheet opens as data: no cell of it is run as a formula."""

from __future__ import annotations

from typing import Any

import pandas as pd
from pandas.api.types import is_bool_dtype, is_numeric_dtype

# Spaces that a spreadsheet may drop, then a sign that begins a formula, also in full width.
BLANKS = "\\s\u00a0\u1680\u2000-\u200d\u2028\u2029\u202f\u205f\u3000\ufeff"
FORMULA_STARTS = f"^[\\t\\r\\n]|^[{BLANKS}]*[=+\\-@\uff1d\uff0b\uff0d\uff20]"
CONTROL = "[\\x00-\\x08\\x0b\\x0c\\x0e-\\x1f\\x7f-\u009f]"


def to_safe_csv(table: pd.DataFrame) -> str:
    """Return CSV in which text that would begin a formula has an apostrophe before it.

    A control character becomes the replacement character.
    """
    safe = table.copy()
    for name in table.columns:
        if not is_numeric_dtype(table[name]) and not is_bool_dtype(table[name]):
            safe[name] = _quote(table[name])
    safe.columns = _quote(pd.Series([str(name) for name in table.columns], dtype="str"))
    return str(safe.to_csv(index=False, lineterminator="\n"))


def _quote(texts: pd.Series[Any]) -> pd.Series[Any]:
    plain = texts.astype("str").str.replace(CONTROL, "\N{REPLACEMENT CHARACTER}", regex=True)
    is_formula = plain.str.contains(FORMULA_STARTS, regex=True, na=False)
    return plain.mask(is_formula, "'" + plain)
