"""A stand-in for CUDA graphs on a CPU: it repeats what was recorded, on the same tensors.

Whatever Python decided while a step was recorded stays decided, as in a real graph: a number that
is read then is read for good, and no later value of it counts. Results go where they went.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class RecordedGraph(TorchDispatchMode):
    """Takes down every operation beneath autograd, and repeats them in this order."""

    def __init__(self) -> None:
        super().__init__()
        self._operations: list[tuple[Any, Any, Any, Any]] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        assert not func.name().startswith("aten::_local_scalar_dense"), "waits for the device"
        out = func(*args, **(kwargs or {}))
        self._operations.append((func, args, kwargs or {}, out))
        return out

    @torch.no_grad()
    def replay(self) -> None:
        for func, args, kwargs, out in self._operations:
            if func.is_view:
                continue  # it looks at what is there
            again = func(*args, **kwargs)
            for kept, fresh in zip(_tensors(out), _tensors(again), strict=True):
                if kept is not fresh:
                    kept.copy_(fresh)


def _tensors(tree: Any) -> list[torch.Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, torch.Tensor)]


class _Stream:
    def wait_stream(self, other: object) -> None:
        pass


@contextmanager
def _capture(graph: RecordedGraph) -> Iterator[None]:
    with graph:
        yield


def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let steps be recorded on this machine's CPU."""
    monkeypatch.setattr(torch.cuda, "CUDAGraph", RecordedGraph)
    monkeypatch.setattr(torch.cuda, "graph", _capture)
    monkeypatch.setattr(torch.cuda, "Stream", _Stream)
    monkeypatch.setattr(torch.cuda, "current_stream", _Stream)
    monkeypatch.setattr(torch.cuda, "stream", lambda _: nullcontext())
    for name in ("adam", "rmsprop"):
        module = importlib.import_module(f"torch.optim.{name}")
        monkeypatch.setattr(module, "_get_capturable_supported_devices", lambda **_: ["cpu"])
