"""Reading pickles that nobody vouches for: data only, never code."""

from __future__ import annotations

import os
import pickle
import pickletools
import re
from collections.abc import Callable
from typing import Any

import numpy as np

from resnet_sweep.config.errors import UserError

_PUTS = ("PUT", "LONG_BINPUT")
_PLAIN_DTYPE = re.compile(r"[biufc][0-9]{1,2}|[SU][1-9][0-9]*")


def load_pickle(path: str | os.PathLike[str]) -> object:
    """Return the data in a pickle file without running anything that it asks for.

    Numbers, text, bytes, tuples, lists, dicts, sets, and NumPy arrays and scalars of numbers or
    text. Arrays come as a subclass of np.ndarray; text from Python 2 is decoded as Latin-1.

    Raises:
        UserError: names the file, if it cannot be read, is damaged or holds anything else.
    """
    try:
        with open(path, "rb") as file:
            # The unpickler would set the memory aside for a length or a place beyond the file.
            size = os.fstat(file.fileno()).st_size
            for opcode, argument, _ in pickletools.genops(file):
                if opcode.name in _PUTS and int(argument or 0) > size:
                    raise _RefusedError(f"{argument} places")
            file.seek(0)
            content: object = _DataUnpickler(file, encoding="latin1").load()
            _check_plain(content)
            return content
    except _RefusedError as error:
        allowed = "a pickle may hold numbers, text, lists, dicts and NumPy arrays of them only"
        raise UserError(f"{path}: refused, it asks for {error}; {allowed}") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    except Exception as error:  # a damaged pickle can raise anything
        raise UserError(f"{path}: damaged pickle ({type(error).__name__})") from None


class _RefusedError(Exception):
    """The pickle names something that is not plain data."""


def _check_plain(content: object) -> None:
    """Refuse what is neither data nor a container of it, however deep it lies."""
    todo, seen = [content], set[int]()
    while todo:
        value = todo.pop()
        if not isinstance(value, (*_PLAIN_TYPES, *_CONTAINERS)):
            raise _RefusedError(f"a {type(value).__name__.lstrip('_')} by itself")
        if isinstance(value, _CONTAINERS) and id(value) not in seen:
            seen.add(id(value))
            todo += [*value, *value.values()] if isinstance(value, dict) else value


class _DataUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        module = re.sub(r"^numpy\._core\b", "numpy.core", module)  # its name from NumPy 2 on
        try:
            return _ALLOWED[f"{module}.{name}"]
        except KeyError:
            raise _RefusedError(f"{module}.{name}") from None


class _Callable:
    """What a pickle may call: unlike a function it takes no attributes from it."""

    __slots__ = ("_function",)

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    def __call__(self, *arguments: Any) -> Any:
        return self._function(*arguments)

    def __setstate__(self, state: Any) -> None:
        raise _RefusedError(f"a change of {self._function.__name__.lstrip('_')}")


# NumPy's own functions are not handed out: ndarray and dtype take a state that can declare raw
# bytes to be pointers to Python objects.
class _Dtype:
    def __init__(self, code: str) -> None:
        if not _PLAIN_DTYPE.fullmatch(code):
            raise _RefusedError(f"an array of type {code}")
        self.dtype = np.dtype(code)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.dtype = self.dtype.newbyteorder(state[1])


class _Array(np.ndarray[Any, np.dtype[Any]]):
    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, dtype, is_fortran, data = state
        if min(shape, default=0) < 0:
            raise ValueError("negative shape")
        whole = (1, shape, _plain(dtype), bool(is_fortran), bytes(_raw(data)))
        super().__setstate__(whole)  # type: ignore[arg-type]  # stubs ask for np.bool, C refuses it


def _plain(dtype: Any) -> np.dtype[Any]:
    if not isinstance(dtype, _Dtype):
        raise TypeError("no dtype")
    return dtype.dtype


def _raw(data: Any) -> bytes | bytearray:
    """Return bytes; of a number, bytes() would make as many zeros."""
    if isinstance(data, str):
        return data.encode("latin1")
    if not isinstance(data, (bytes, bytearray)):
        raise TypeError("no bytes")
    return data


def _make_dtype(code: str, align: Any = False, copy: Any = True) -> _Dtype:
    return _Dtype(code)


def _reconstruct(subtype: Any, shape: Any, typecode: Any) -> _Array:
    if subtype != _NDARRAY:
        raise TypeError("no ndarray")
    return _Array((0,), np.uint8)


def _from_buffer(data: Any, dtype: Any, shape: Any, order: Any) -> _Array:
    flat = np.frombuffer(bytearray(_raw(data)), _plain(dtype))
    return flat.reshape(shape, order=order).view(_Array)


def _scalar(dtype: Any, data: Any) -> Any:
    return np.frombuffer(_raw(data), _plain(dtype), count=1)[0]


def _encode(text: str, encoding: str = "utf-8") -> bytes:
    if encoding != "latin1":  # what pickle uses for bytes; others would load codecs
        raise _RefusedError(f"the codec {encoding}")
    return text.encode("latin1")


def _empty_bytes() -> bytes:
    return b""


_PLAIN_TYPES = (np.ndarray, np.generic, int, float, complex, bytes, bytearray, str, type(None))
_CONTAINERS = (list, tuple, dict, set, frozenset)
_NDARRAY = "numpy.ndarray"
_ALLOWED: dict[str, str | _Callable] = {
    "numpy.ndarray": _NDARRAY,
    "numpy.dtype": _Callable(_make_dtype),
    "numpy.core.multiarray._reconstruct": _Callable(_reconstruct),
    "numpy.core.multiarray.scalar": _Callable(_scalar),
    "numpy.core.numeric._frombuffer": _Callable(_from_buffer),
    "_codecs.encode": _Callable(_encode),
    "__builtin__.bytes": _Callable(_empty_bytes),  # how protocols 0 to 2 write them
}
