"""From a folder of runs to tables, figures and answers; free of torch.

    from resnet_sweep.analysis import load_runs
    runs = load_runs("outputs")

Nothing else in the package imports it.
"""

from resnet_sweep.analysis.compare import compare_configurations, compare_runs
from resnet_sweep.analysis.filters import filter_runs
from resnet_sweep.analysis.table import load_epochs, load_runs

__all__ = ["compare_configurations", "compare_runs", "filter_runs", "load_epochs", "load_runs"]
