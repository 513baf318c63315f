"""How fast the report's page is in Chromium: open, sort, filter, select, brush, unpack curves.

    python benchmarks/report_page.py outputs/summary/report.html
    python benchmarks/report_page.py --runs 10000 --rounds 3

Without a page, makes so many runs of 100 epochs and summarizes them first. "Painted" is from the
call until the frame after the one that it was drawn in. CPU time is that of all of Chromium's
processes: it tells what an action costs on a machine that does other work, too. Needs Linux,
chromium, chromium-driver and selenium.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from selenium.webdriver.remote.webdriver import WebDriver

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "benchmarks"))

SIZE = (1280, 1000)
# Milliseconds since navigation once the first figure can be clicked.
INTERACTIVE = """
const done = arguments[0];
const wait = () => figures.scatter.parts
    ? requestAnimationFrame(() => setTimeout(() => done(performance.now()))) : setTimeout(wait, 5);
wait();
"""
# Milliseconds of a call, and until it was painted.
TIMED = """
const done = arguments[0], began = performance.now();
%s;
const called = performance.now() - began;
requestAnimationFrame(() => setTimeout(() => done([called, performance.now() - began])));
"""
CURVES = """
const done = arguments[0], began = performance.now();
curvesOf(%d).then(() => done(performance.now() - began));
"""
ACTIONS = {
    "sort by a number": (
        "setOrder(columnOf.get('train_seconds'), false)",
        "setOrder(objective, true)",
    ),
    "sort by a text": (
        "setOrder(columnOf.get('configuration'), false)",
        "setOrder(objective, true)",
    ),
    "filter": ("setFilter('status=pruned and train.batch_size>=256')", "setFilter('')"),
    "select a run": ("select([state.shown[0]])", "select([])"),
    "select 500": ("select(state.shown.slice(0, 500))", "select([])"),
    "brush": (
        "constrain('optimizer.lr', ['optimizer.lr>=0.01', 'optimizer.lr<=0.3'])",
        "setFilter('')",
    ),
}


def open_browser() -> WebDriver:
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    switches = ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu")
    for switch in (*switches, "--window-size={},{}".format(*SIZE)):
        options.add_argument(switch)
    options.binary_location = shutil.which("chromium") or ""
    driver = webdriver.Chrome(options, webdriver.ChromeService(shutil.which("chromedriver")))
    driver.set_page_load_timeout(120)
    driver.set_script_timeout(120)
    return driver


def measure(driver: WebDriver, page: Path, found: dict[str, list[tuple[float, float]]]) -> None:
    """Open the page once and add milliseconds and CPU milliseconds to what was measured before."""

    def add(name: str, began: float, milliseconds: float) -> None:
        cpu = cpu_milliseconds(driver) - began
        found.setdefault(name, []).append((milliseconds, cpu))

    driver.get("about:blank")
    began = cpu_milliseconds(driver)
    driver.get(page.as_uri())
    add("open until it can be used", began, driver.execute_async_script(INTERACTIVE))
    driver.execute_script("figures.parallel.host.scrollIntoView({block: 'center'})")
    for name in ("parallel", "scatter"):
        wait_for(driver, f"figures.{name}.parts !== null")
    time.sleep(1)
    for name, (action, undo) in ACTIONS.items():
        began = cpu_milliseconds(driver)
        _, painted = driver.execute_async_script(TIMED % action)
        add(f"{name}, painted", began, painted)
        driver.execute_async_script(TIMED % undo)
        time.sleep(0.3)
    place = driver.execute_script("return Math.floor(numRuns / 2)")
    began = cpu_milliseconds(driver)
    add("unpack the curves of a run", began, driver.execute_async_script(CURVES % place))


def cpu_milliseconds(driver: WebDriver) -> float:
    """Return the CPU time so far of the browser's processes."""
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it has ended
            parents[int(path.parent.name)] = int(path.read_text().rpartition(")")[2].split()[1])
    browser = {driver.service.process.pid}
    while more := {pid for pid, parent in parents.items() if parent in browser} - browser:
        browser |= more
    nanoseconds = 0
    for pid in browser:
        for path in Path(f"/proc/{pid}/task").glob("*/schedstat"):
            with suppress(OSError):
                nanoseconds += int(path.read_text().split()[0])
    return nanoseconds / 1e6


def wait_for(driver: WebDriver, script: str) -> None:
    while not driver.execute_script(f"return {script}"):
        time.sleep(0.05)


def make_page(runs: int, folder: Path) -> Path:
    from summarize import make_runs

    outputs = folder / "outputs"
    make_runs(outputs, runs, 100)
    command = [sys.executable, str(ROOT / "analysis" / "summarize.py"), str(outputs)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return outputs / "summary" / "report.html"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("page", type=Path, nargs="?", help="report.html (default: one is made)")
    parser.add_argument("--runs", type=int, default=10_000, help="of the page that is made")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        page = given.page or make_page(given.runs, Path(folder))
        print(f"{page.stat().st_size / 1e6:.1f} MB; {os.cpu_count()} cores, ", end="")
        print(f"load {os.getloadavg()[0]:.1f}; milliseconds, n = {given.rounds}")
        measured: dict[str, list[tuple[float, float]]] = {}
        driver = open_browser()
        for _ in range(given.rounds):
            measure(driver, page.resolve(), measured)
        driver.quit()
    for name, pairs in measured.items():
        values, cpu = zip(*pairs, strict=True)
        spread = f"({min(values):.0f} to {max(values):.0f})"
        print(f"{name:32} {np.median(values):7.0f}  {spread:16} CPU from {min(cpu):5.0f}")


if __name__ == "__main__":
    main()
