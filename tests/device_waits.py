"""Operations that make the host wait for the device, found on a CPU."""

from __future__ import annotations

from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

WAITING = {
    *("aten::_local_scalar_dense", "aten::item", "aten::nonzero", "aten::masked_select"),
    *("aten::bincount", "aten::_unique2", "aten::equal", "aten::is_nonzero"),
    # Constants written out in Python, which a GPU has to fetch.
    *("aten::lift_fresh", "aten::lift_fresh_copy"),
}


class Recorder(TorchDispatchMode):
    """Collect the names of all operations, and lookups by a mask of unknown count."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        self.names.add(func.name().split(".")[0])
        if func.name().startswith(("aten::index.", "aten::index_put")):
            assert all(i is None or i.dtype == torch.int64 for i in args[1])
        return func(*args, **(kwargs or {}))
