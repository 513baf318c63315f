"""The entry point of a comparison: recipes side by side, or what changes to a recipe do.

python -m resnet_sweep.compare 'recipes=[source,source_tuned]'
python -m resnet_sweep.compare steps=source_to_best
python -m resnet_sweep.compare factors=ingredients
"""

from __future__ import annotations

from resnet_sweep.comparison.command import Call, run_command
from resnet_sweep.config.compare import CompareConfig


def _compare(options: CompareConfig, call: Call) -> None:
    from resnet_sweep.comparison.comparing import compare  # brings Optuna and SciPy

    compare(options, call)


def main() -> None:
    """Compare; see --help."""
    run_command(_compare)


if __name__ == "__main__":
    main()
