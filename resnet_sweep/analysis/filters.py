"""The small language of --where: comparisons joined by and, or, not and parentheses."""

from __future__ import annotations

import difflib
import json
import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pandas as pd
from pandas.api.types import is_bool_dtype, is_integer_dtype, is_numeric_dtype

from resnet_sweep.config.errors import UserError

TOKEN = re.compile(
    r"""\s*(?:(?P<text>"[^"]*"|'[^']*')|(?P<list>\[[^\]]*\])|(?P<sign><=|>=|!=|==|=|<|>)"""
    r"""|(?P<bracket>[(),])|(?P<word>[^\s()\[\],<>=!"']+))"""
)
ORDERS: dict[str, Callable[[Any, Any], Any]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?|[+-]?inf", re.ASCII | re.IGNORECASE)
NULLS = ("null", "none", "nan")
# Fractions are equal where they agree to six digits, as many as tables show.
SIX_DIGITS = 5e-6
KEYWORDS = ("and", "or", "not", "in")
# Selecting by these would select on the test set.
TEST_COLUMNS = ("test_accuracy", "test_loss")
MAX_DEPTH = 50


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str


def filter_runs(runs: pd.DataFrame, where: str) -> pd.DataFrame:
    """Return the rows for which a condition holds.

    For example `optimizer=sgd and num_params<3e6`, `status in (completed, pruned)`,
    `not model.blocks=[2,3,4,3]`, `model.pool_size = null`. Names are columns of `load_runs`.
    An order comparison with a missing value does not hold.

    Raises:
        UserError: a mistake in the condition, or a column that would select on the test set.
    """
    return runs[_Parser(runs, where).parse()]


def _tokens(where: str) -> list[_Token]:
    tokens, place = [], 0
    text = where.rstrip()
    while place < len(text):
        match = TOKEN.match(text, place)
        if match is None:
            raise UserError(f"where: cannot read {text[place:]!r}")
        kind = str(match.lastgroup)
        tokens.append(_Token(kind, match[kind]))
        place = match.end()
    return tokens


class _Parser:
    """Recursive descent; each method returns a boolean column."""

    def __init__(self, runs: pd.DataFrame, where: str) -> None:
        self._runs, self._tokens, self._where = runs, _tokens(where), where
        self._place = self._depth = 0

    def parse(self) -> pd.Series[bool]:
        mask = self._any()
        if self._place < len(self._tokens):
            token = self._tokens[self._place]
            raise self._error(f"expected and, or or the end before {token.text!r}")
        return mask

    def _any(self) -> pd.Series[bool]:
        mask = self._all()
        while self._accept("or"):
            mask = mask | self._all()
        return mask

    def _all(self) -> pd.Series[bool]:
        mask = self._one()
        while self._accept("and"):
            mask = mask & self._one()
        return mask

    def _one(self) -> pd.Series[bool]:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self._error("too deeply nested")
        if self._accept("not"):
            mask = ~self._one()
        elif self._accept("("):
            mask = self._any()
            self._expect(")")
        else:
            mask = self._comparison()
        self._depth -= 1
        return mask

    def _comparison(self) -> pd.Series[bool]:
        name = self._next("a column").text
        if name in TEST_COLUMNS:
            raise UserError(f"where: {name} may not select runs: the test set is only reported")
        if name not in self._runs.columns:
            close = difflib.get_close_matches(name, [*map(str, self._runs.columns)], n=1)
            hint = f"; did you mean {close[0]}?" if close else ""
            raise UserError(f"where: there is no column {name!r}{hint}")
        if self._accept("in"):
            return self._membership(name)
        sign = self._next("=, !=, <, <=, >, >= or in")
        if sign.kind != "sign":
            raise self._error(f"expected =, !=, <, <=, >, >= or in after {name}")
        value = self._next("a value")
        if sign.text in ORDERS:
            return self._order(name, sign.text, value)
        mask = self._equals(name, value)
        return ~mask if sign.text == "!=" else mask

    def _membership(self, name: str) -> pd.Series[bool]:
        self._expect("(")
        mask = self._equals(name, self._next("a value"))
        while self._accept(","):
            mask = mask | self._equals(name, self._next("a value"))
        self._expect(")")
        return mask

    def _order(self, name: str, sign: str, value: _Token) -> pd.Series[bool]:
        column, number = self._runs[name], _number(value)
        if number is None:
            raise self._error(f"{name}{sign}{value.text}: {value.text!r} is not a number")
        if column.isna().all():
            return column.notna()
        if not is_numeric_dtype(column) or is_bool_dtype(column):
            raise self._error(f"{name} is not a number: use =, != or in")
        return _plain(ORDERS[sign](column, number))

    def _equals(self, name: str, value: _Token) -> pd.Series[bool]:
        column = self._runs[name]
        if value.kind == "word" and value.text.lower() in NULLS:
            missing = column.isna()
            if value.text.lower() == "null" or is_numeric_dtype(column):
                return missing
            return missing | _plain(column == value.text)  # the name of an option, too
        if is_bool_dtype(column):
            if value.text.lower() not in ("true", "false"):
                raise self._error(f"{name}={value.text}: must be true or false")
            return _plain(column.astype("str").str.lower() == value.text.lower())
        if not is_numeric_dtype(column):
            return _plain(column == _text(value))
        if column.isna().all():
            return column.notna()
        number = _number(value)
        if number is None:
            raise self._error(f"{name}={value.text}: {value.text!r} is not a number")
        if is_integer_dtype(column):
            return _plain(column == number)
        return _plain((column - number).abs() <= SIX_DIGITS * abs(number))

    def _accept(self, text: str) -> bool:
        token = self._tokens[self._place] if self._place < len(self._tokens) else None
        found = token is not None and token.kind != "text" and token.text.lower() == text
        self._place += found
        return found

    def _expect(self, text: str) -> None:
        if not self._accept(text):
            raise self._error(f"expected {text!r}")

    def _next(self, wanted: str) -> _Token:
        if self._place >= len(self._tokens):
            raise self._error(f"expected {wanted} at the end")
        token = self._tokens[self._place]
        if token.kind == "bracket" or (token.kind == "word" and token.text.lower() in KEYWORDS):
            raise self._error(f"expected {wanted} before {token.text!r}")
        self._place += 1
        return token

    def _error(self, message: str) -> UserError:
        return UserError(f"where={self._where}: {message}")


def _plain(mask: pd.Series[Any]) -> pd.Series[bool]:
    """Return a mask in which a comparison with a missing value is false."""
    return mask.fillna(False).astype(bool)


def _number(value: _Token) -> float | None:
    is_number = value.kind == "word" and NUMBER.fullmatch(value.text)
    return float(value.text) if is_number else None


def _text(value: _Token) -> str:
    if value.kind == "text":
        return value.text[1:-1]
    if value.kind == "list":
        try:
            return json.dumps(json.loads(value.text))
        except ValueError:
            return value.text
    return value.text
