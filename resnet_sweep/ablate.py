"""The entry point of an ablation: from one recipe to another, one change at a time.

python -m resnet_sweep.ablate steps=source_to_best num_seeds=5
"""

from __future__ import annotations

from resnet_sweep.comparison.command import Sitting, run_command
from resnet_sweep.config.effects import AblateConfig


def _ablate(options: AblateConfig, given: list[str], sitting: Sitting) -> None:
    from resnet_sweep.comparison.ablation import ablate  # brings pandas

    ablate(options, given, sitting)


def main() -> None:
    """Ablate a recipe; see --help."""
    run_command("ablate", AblateConfig, _ablate)


if __name__ == "__main__":
    main()
