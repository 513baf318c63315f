"""The entry point of a measurement: recipes that are decided on, on the test set.

python -m resnet_sweep.measure 'experiments=[source,source_tuned]' num_seeds=5
"""

from __future__ import annotations

from resnet_sweep.comparison.command import Sitting, run_command
from resnet_sweep.config.effects import MeasureConfig


def _measure(options: MeasureConfig, given: list[str], sitting: Sitting) -> None:
    from resnet_sweep.comparison.measuring import measure  # brings pandas

    measure(options, given, sitting)


def main() -> None:
    """Measure recipes; see --help."""
    run_command("measure", MeasureConfig, _measure)


if __name__ == "__main__":
    main()
