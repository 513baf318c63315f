"""CSV that a spreadsheet opens as data: no cell of it is run as a formula."""

from __future__ import annotations

from typing import Any

import pandas as pd
from pandas.api.types import is_bool_dtype, is_numeric_dtype

FORMULA_STARTS = r"^[=+\-@\t\r\n]"


def to_safe_csv(table: pd.DataFrame) -> str:
    """Return CSV in which text that would begin a formula has an apostrophe before it."""
    safe = table.copy()
    for name in table.columns:
        if not is_numeric_dtype(table[name]) and not is_bool_dtype(table[name]):
            safe[name] = _quote(table[name])
    safe.columns = _quote(pd.Series([str(name) for name in table.columns], dtype="str"))
    return str(safe.to_csv(index=False, lineterminator="\n"))


def _quote(texts: pd.Series[Any]) -> pd.Series[Any]:
    plain = texts.astype("str")
    is_formula = plain.str.contains(FORMULA_STARTS, regex=True, na=False)
    return plain.mask(is_formula, "'" + plain)
