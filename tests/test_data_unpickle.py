from __future__ import annotations

import collections
import functools
import inspect
import pickle
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import MakesFolder

from resnet_sweep.config.errors import UserError
from resnet_sweep.data import unpickle
from resnet_sweep.data.unpickle import load_pickle


def _write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def _dump(path: Path, value: Any, protocol: int) -> Path:
    path.write_bytes(pickle.dumps(value, protocol))
    return path


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_plain_data_comes_back_as_it_was(tmp_path: Path, protocol: int) -> None:
    value = {
        "data": np.arange(24, dtype=np.uint8).reshape(4, 6),
        "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "big_endian": np.arange(3, dtype=">i4"),
        "text": np.array(["a", "bcd"]),
        "mask": np.array([True, False]),
        "none": np.zeros((0, 5), np.float32),
        "scalar": np.float64(0.5),
        "labels": [1, 2.5, None, True, 2**80, "é", b"\xff\x00"],
        3: (1, (2, {"deep": []})),
    }
    loaded: Any = load_pickle(_dump(tmp_path / "f", value, protocol))
    reference = pickle.loads((tmp_path / "f").read_bytes())
    assert list(loaded) == list(reference)
    for key in ("data", "fortran", "big_endian", "text", "mask", "none"):
        np.testing.assert_array_equal(loaded[key], reference[key])
        assert loaded[key].dtype == reference[key].dtype
        assert loaded[key].shape == reference[key].shape
    assert loaded["scalar"] == 0.5
    assert loaded["labels"] == value["labels"]
    assert loaded[3] == value[3]


def test_a_python_2_batch_with_bytes_as_text_is_read(tmp_path: Path) -> None:
    # As the published CIFAR batches: protocol 2, pixels as a Python 2 `str`, numpy.core names.
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00tU\x01btR"
        b"(K\x01(K\x03tcnumpy\ndtype\n(U\x02u1K\x00K\x01tR(K\x03U\x01|NNNJ\xff\xff\xff\xff"
        b"J\xff\xff\xff\xffK\x00tb\x89U\x03\xff\x00\x80tb"
    )
    (tmp_path / "batch").write_bytes(b"\x80\x02}U\x04data" + array + b"s.")
    loaded: Any = load_pickle(tmp_path / "batch")
    assert list(loaded) == ["data"]
    np.testing.assert_array_equal(loaded["data"], np.array([255, 0, 128], np.uint8))


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_code_is_refused_and_not_run(tmp_path: Path, protocol: int) -> None:
    path = _dump(tmp_path / "evil", {"data": [MakesFolder(tmp_path / "ran")]}, protocol)
    with pytest.raises(UserError, match=r"evil: refused, it asks for posix\.mkdir") as raised:
        load_pickle(path)
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "ran").exists()
    pickle.loads(path.read_bytes())
    assert (tmp_path / "ran").exists(), "the pickle is one that would have run"


@pytest.mark.parametrize(
    "value",
    [
        np.array([{}], dtype=object),
        np.zeros(2, dtype=[("a", "i4")]),
        collections.OrderedDict(a=1),
        functools.partial(print),
        np.load,
        np.random.default_rng,
    ],
    ids=["objects", "records", "ordered_dict", "partial", "np.load", "np.random"],
)
def test_everything_else_is_refused(tmp_path: Path, value: Any) -> None:
    with pytest.raises(UserError, match="odd: refused"):
        load_pickle(_dump(tmp_path / "odd", value, 4))


@pytest.mark.parametrize(
    "payload",
    [
        b"cnumpy\ndtype\n(U\x01Oi0\ntR.",  # pointers
        b"cnumpy\nndarray\n(K\x08tR.",  # an array of uninitialised memory
        b"c_codecs\nencode\n(X\x01\x00\x00\x00aX\x05\x00\x00\x00rot13tR.",
        b"cbuiltins\neval\n(X\x03\x00\x00\x001+1tR.",
    ],
)
def test_hand_made_attacks_are_refused(tmp_path: Path, payload: bytes) -> None:
    (tmp_path / "evil").write_bytes(b"\x80\x02" + payload)
    with pytest.raises(UserError, match=r"evil: (refused|damaged)"):
        load_pickle(tmp_path / "evil")


def test_a_state_cannot_turn_bytes_into_pointers(tmp_path: Path) -> None:
    # An array whose dtype's state, not its code, claims to hold objects.
    payload = (
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00tU\x01btR"
        b"(K\x01(K\x01tcnumpy\ndtype\n(U\x02u8K\x00K\x01tR(K\x04U\x01|NNNK\x08K\x08K\x3fNtb"
        b"\x89U\x08AAAAAAAAtb."
    )
    (tmp_path / "f").write_bytes(payload)
    loaded: Any = load_pickle(tmp_path / "f")
    assert loaded.dtype == np.uint64
    assert loaded.tobytes() == b"A" * 8


@pytest.mark.parametrize(
    "state",
    [
        b"(N}(X\x0c\x00\x00\x00__defaults__(K\x01tX\x07\x00\x00\x00__doc__X\x01\x00\x00\x00!ut",
        b"(N}(X\x09\x00\x00\x00_functionX\x01\x00\x00\x00!ut",
        b"}(X\x07\x00\x00\x00__doc__X\x01\x00\x00\x00!u",
    ],
)
@pytest.mark.parametrize("name", unpickle._ALLOWED)
def test_no_pickle_changes_what_it_is_handed(tmp_path: Path, name: str, state: bytes) -> None:
    module, _, attribute = name.rpartition(".")
    (tmp_path / "evil").write_bytes(
        f"\x80\x02c{module}\n{attribute}\n".encode("latin1") + state + b"b."
    )
    functions = [v for v in vars(unpickle).values() if inspect.isfunction(v)]
    before = [(f.__defaults__, f.__doc__, dict(vars(f))) for f in functions]
    with pytest.raises(UserError, match=r"evil: (refused|damaged)"):
        load_pickle(tmp_path / "evil")
    assert [(f.__defaults__, f.__doc__, dict(vars(f))) for f in functions] == before
    array = pickle.dumps({"data": np.arange(3)}, 2)
    loaded: Any = load_pickle(_write(tmp_path / "good", array))
    np.testing.assert_array_equal(loaded["data"], np.arange(3))


@pytest.mark.parametrize("around", [b"%b", b"](K\x01%be", b"}(K\x01](%beu", b"K\x01%b\x86"])
def test_a_result_that_is_no_data_is_refused(tmp_path: Path, around: bytes) -> None:
    for thing in (b"cnumpy\ndtype\n", b"cnumpy\ndtype\n(U\x02u1tR", b"c_codecs\nencode\n"):
        path = _write(tmp_path / "odd", b"\x80\x02" + around.replace(b"%b", thing) + b".")
        with pytest.raises(UserError, match="odd: refused, it asks for a"):
            load_pickle(path)


def test_a_list_within_itself_ends(tmp_path: Path) -> None:
    loaded: Any = load_pickle(_write(tmp_path / "loop", b"\x80\x02]q\x00h\x00a."))
    assert loaded[0] is loaded


DTYPE = b"cnumpy\ndtype\n(U\x02u1tR"
HUGE = b"J\xff\xff\xff\x3f"  # 2**30 - 1


@pytest.mark.parametrize(
    "payload",
    [
        b"cnumpy.core.multiarray\nscalar\n(" + DTYPE + HUGE + b"tR.",
        b"cnumpy.core.numeric\n_frombuffer\n(" + HUGE + DTYPE + HUGE + b"U\x01CtR.",
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00tU\x01btR"
        b"(K\x01(" + HUGE + b"t" + DTYPE + b"\x89" + HUGE + b"tb.",
    ],
)
def test_a_number_is_not_taken_for_so_many_bytes(tmp_path: Path, payload: bytes) -> None:
    path = _write(tmp_path / "huge", b"\x80\x02" + payload)
    tracemalloc.start()
    try:
        with pytest.raises(UserError, match="huge: damaged pickle"):
            load_pickle(path)
        assert tracemalloc.get_traced_memory()[1] < 2**22
    finally:
        tracemalloc.stop()


def test_every_truncation_is_one_clear_error(tmp_path: Path) -> None:
    whole = pickle.dumps({"data": np.arange(40, dtype=np.uint8), "labels": [1, 2]}, 2)
    for length in range(len(whole)):
        (tmp_path / "cut").write_bytes(whole[:length])
        with pytest.raises(UserError, match=r"cut: (damaged pickle|refused)"):
            load_pickle(tmp_path / "cut")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nowhere: cannot be read"):
        load_pickle(tmp_path / "nowhere")
