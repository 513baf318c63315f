"""The picture of the report in README and docs, of the sweep of `make record SIZE=small`.

    python benchmarks/pictures.py
    python benchmarks/pictures.py --page outputs/summary/report.html --picture mine.png

The first writes docs/report.png. Needs chromium, chromium-driver and selenium.
"""

from __future__ import annotations

import argparse
import io
import sys
import time
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "benchmarks"))

SIZE = (1280, 1380)
MAX_BYTES = 250_000
COLORS = 256


def photograph(page: Path, picture: Path) -> None:
    """Write the first screen of a report as a PNG of few colours."""
    from report_page import INTERACTIVE, open_browser, wait_for

    driver = open_browser()
    width, height = SIZE
    driver.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False},
    )
    driver.get(page.resolve().as_uri())
    driver.execute_async_script(INTERACTIVE)
    wait_for(driver, "figures.parallel.parts !== null")
    driver.execute_script("document.documentElement.style.overflow = 'hidden'")
    driver.execute_script("select([pictures.best[0]])")
    time.sleep(1)
    content = driver.get_screenshot_as_png()
    driver.quit()
    image = Image.open(io.BytesIO(content)).convert("RGB").quantize(COLORS)
    image.save(picture, optimize=True)
    size = picture.stat().st_size
    print(f"{picture}: {size:,} bytes")
    if size > MAX_BYTES:
        sys.exit(f"{picture}: more than {MAX_BYTES:,} bytes")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--page", type=Path, default=ROOT / "outputs/record/small/summary/report.html"
    )
    parser.add_argument("--picture", type=Path, default=ROOT / "docs" / "report.png")
    given = parser.parse_args()
    photograph(given.page, given.picture)


if __name__ == "__main__":
    main()
