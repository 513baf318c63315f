"""The entry point of a screening: which of many changes to a recipe can be told from noise.

python -m resnet_sweep.screen factors=ingredients num_seeds=2
"""

from __future__ import annotations

from resnet_sweep.comparison.command import Sitting, run_command
from resnet_sweep.config.effects import ScreenConfig


def _screen(options: ScreenConfig, given: list[str], sitting: Sitting) -> None:
    from resnet_sweep.comparison.screening import screen  # brings pandas

    screen(options, given, sitting)


def main() -> None:
    """Screen changes; see --help."""
    run_command("screen", ScreenConfig, _screen)


if __name__ == "__main__":
    main()
