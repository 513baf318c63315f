"""The entry point of the record's page: what `make record` left, as a part of RESULTS.md.

python -m benchmarks.record outputs/record/full RESULTS.md
"""

from __future__ import annotations

from pathlib import Path

from resnet_sweep.system.cli import Parser, one_line_errors

DESCRIPTION = """\
Write what the folder of `make record` holds into a page, between the lines
<!-- NAME: begin --> and <!-- NAME: end -->, where NAME is the folder's own.
The figures go into docs/ beside the page. Stages that are not there yet are named as missing.
"""


def main(arguments: list[str] | None = None) -> None:
    """Write the record's part of a page; exit status 2 for a user's mistake."""
    parser = Parser("python -m benchmarks.record", DESCRIPTION)
    parser.add_argument("folder", type=Path, help="outputs/record/full, small or fast")
    parser.add_argument("page", type=Path, help="a Markdown file with the two lines")
    with one_line_errors():
        options = parser.parse_args(arguments)
        from benchmarks.record.page import write_record  # brings pandas

        write_record(options.folder, options.page)


if __name__ == "__main__":
    main()
