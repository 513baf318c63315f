"""The entry point of a follow-up: what survived a screening, with more seeds.

python -m resnet_sweep.follow_up screening=outputs/screenings/ingredients num_seeds=10
"""

from __future__ import annotations

from resnet_sweep.comparison.command import Sitting, run_command
from resnet_sweep.config.effects import FollowUpConfig


def _follow_up(options: FollowUpConfig, given: list[str], sitting: Sitting) -> None:
    from resnet_sweep.comparison.following import follow_up  # brings pandas

    follow_up(options, given, sitting)


def main() -> None:
    """Follow a screening up; see --help."""
    run_command("follow_up", FollowUpConfig, _follow_up)


if __name__ == "__main__":
    main()
