"""The library instead of the command: is one optimizer better than another, at equal size?

python analysis/example.py outputs/
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from resnet_sweep.analysis import filter_runs, load_runs


def main() -> None:
    runs = filter_runs(load_runs(sys.argv[1]), "status=completed and rung=null and num_params<5e6")
    best = runs.sort_values("val_accuracy", ascending=False).groupby("optimizer").head(10)
    columns = best.groupby("optimizer")[["val_accuracy", "num_params", "train_seconds"]]
    print(columns.agg(["mean", "count"]).to_string())


if __name__ == "__main__":
    main()
