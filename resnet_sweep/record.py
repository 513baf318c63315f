"""The entry point of the record's page: what `make record` left, as a part of RESULTS.md.

python -m resnet_sweep.record outputs/record/full RESULTS.md
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import NoReturn

from resnet_sweep.cli import fail, one_line_errors

DESCRIPTION = """\
Write what the folder of `make record` holds into a page, between the lines
<!-- NAME: begin --> and <!-- NAME: end -->, where NAME is the folder's own.
The figures go into docs/ beside the page. Stages that are not there yet are named as missing.
"""


class _Parser(argparse.ArgumentParser):
    """One line for a mistake, as every command of the project gives."""

    def error(self, message: str) -> NoReturn:
        sys.exit(fail(f"{message} (--help lists all options)"))


def main(arguments: list[str] | None = None) -> None:
    """Write the record's part of a page; exit status 2 for a user's mistake."""
    with one_line_errors():
        options = _parse(arguments)
        from resnet_sweep.effects.record_page import write_record  # brings pandas

        write_record(options.folder, options.page)


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = _Parser(
        prog="python -m resnet_sweep.record",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", type=Path, help="outputs/record/full or outputs/record/small")
    parser.add_argument("page", type=Path, help="a Markdown file with the two lines")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
