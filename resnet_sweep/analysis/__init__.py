"""From a folder of runs to tables, figures and answers; free of torch.

from resnet_sweep.analysis import load_runs
runs = load_runs("outputs")
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from resnet_sweep.analysis.configurations import compare_configurations, compare_runs
    from resnet_sweep.analysis.filters import filter_runs
    from resnet_sweep.analysis.runs import load_epochs, load_runs

__all__ = ["compare_configurations", "compare_runs", "filter_runs", "load_epochs", "load_runs"]

_MODULES = {
    "compare_configurations": "resnet_sweep.analysis.configurations",
    "compare_runs": "resnet_sweep.analysis.configurations",
    "filter_runs": "resnet_sweep.analysis.filters",
    "load_epochs": "resnet_sweep.analysis.runs",
    "load_runs": "resnet_sweep.analysis.runs",
}


def __getattr__(name: str) -> Any:
    """Import on first use: pandas takes longer than a summary of what has not changed."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)
