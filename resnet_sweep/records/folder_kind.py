"""What a folder holds, so that a command writes into no other command's."""

from __future__ import annotations

from pathlib import Path

from resnet_sweep.config.errors import ConfigError
from resnet_sweep.records.comparison import PLAN
from resnet_sweep.records.run_folder import CONFIG
from resnet_sweep.records.sweep_folder import SETTINGS

KINDS = {CONFIG: "a run", SETTINGS: "a sweep", PLAN: "a comparison or a confirmation"}


def refuse_other_kinds(folder: Path, own: str, field: str) -> None:
    """Refuse a folder that holds something else.

    Args:
        own: the file by which the command knows what is its own: one of KINDS; empty: none.
        field: that names the folder.

    Raises:
        ConfigError: as it says.
    """
    for name, kind in KINDS.items():
        if name != own and (folder / name).exists():
            raise ConfigError(field, folder, f"holds {kind} ({name}): take another folder")
