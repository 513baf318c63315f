"""The command: options -> net and real images -> checked files."""

from __future__ import annotations

from resnet_sweep.cli import one_line_errors
from resnet_sweep.config.export import ExportConfig
from resnet_sweep.console import say
from resnet_sweep.options import read_options


def main() -> None:
    """Export the net of a run; see --help."""
    with one_line_errors():
        options = read_options("export", ExportConfig)
        from resnet_sweep.export.files import export  # brings torch

        for exported in export(options):
            say(exported.describe())
