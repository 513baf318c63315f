"""The entry point of exports: a net and real images in, checked files out.

python -m resnet_sweep.export run=outputs/runs/2026-11-22_10-00-00
"""

from __future__ import annotations

from resnet_sweep.config.export import ExportConfig
from resnet_sweep.system.cli import one_line_errors
from resnet_sweep.system.console import say
from resnet_sweep.system.options import read_options


def main() -> None:
    """Export the net of a run; see --help."""
    with one_line_errors():
        options = read_options("export", ExportConfig)
        from resnet_sweep.prediction.exporting import export  # brings torch

        for exported in export(options):
            say(exported.describe())


if __name__ == "__main__":
    main()
