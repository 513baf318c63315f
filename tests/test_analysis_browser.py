"""The report in a real browser: no errors, sorts, filters, opens a run, by keyboard too."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from generated_runs import write_run, write_sweep

from resnet_sweep.analysis import figures, filter_runs, load_runs
from resnet_sweep.analysis.summary.manifest import Options
from resnet_sweep.analysis.summary.summarize import summarize

pytestmark = [
    pytest.mark.engines,
    pytest.mark.skipif(
        shutil.which("chromium") is None or shutil.which("chromedriver") is None,
        reason="needs chromium and chromedriver (apt-get install chromium chromium-driver)",
    ),
]
EVIL = "</script><img src=x onerror=\"document.title='hacked'\">"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    webdriver = pytest.importorskip("selenium.webdriver", reason="needs selenium")
    options = webdriver.ChromeOptions()
    for switch in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage"):
        options.add_argument(switch)
    options.add_argument("--window-size=1280,1000")
    options.binary_location = shutil.which("chromium")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    service = webdriver.ChromeService(shutil.which("chromedriver"))
    driver = webdriver.Chrome(options=options, service=service)
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("outputs")
    write_sweep(root / "s", trials=60)
    write_run(root / "evil", 0.4, {"data": "digits", "model.name": EVIL}, epochs=4)
    write_run(root / "tested", 0.41, {"data": "digits"}, test_accuracy=0.39, test_loss=1.0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(figures, "FIGURES", figures.FIGURES[:2])
        summarize(Options(root=root, output=root / "summary"))
    return root / "summary" / "report.html"


@pytest.fixture
def page(browser: Any, report: Path) -> Any:
    browser.get(report.as_uri())
    return browser


def run_script(page: Any, script: str, *arguments: Any) -> Any:
    return page.execute_script(script, *arguments)


def names(page: Any) -> list[str]:
    """Return the first cell of every row that exists at the moment."""
    found: list[str] = run_script(
        page, "return [...document.querySelectorAll('#body tr[role=row] td:first-child')]"
        ".map((cell) => cell.textContent)"
    )  # fmt: skip
    return found


def set_filter(page: Any, text: str) -> str:
    run_script(
        page,
        "const box = document.getElementById('filter'); box.value = arguments[0];"
        "box.dispatchEvent(new Event('input'))",
        text,
    )
    time.sleep(0.3)
    shown: str = run_script(page, "return document.getElementById('shown').textContent")
    return shown


def click_header(page: Any, name: str) -> None:
    run_script(
        page,
        "[...document.querySelectorAll('#head button')]"
        ".find((each) => each.textContent.replace(/ [▲▼]$/, '') === arguments[0]).click()",
        name,
    )


def accuracies(report: Path) -> dict[str, float]:
    root = report.parent.parent
    return {
        path.parent.relative_to(root).as_posix(): json.loads(path.read_text())["val_accuracy"]
        for path in root.rglob("result.json")
    }


def test_it_loads_without_a_word_on_the_console(page: Any) -> None:
    assert page.get_log("browser") == []
    assert page.title.startswith("Runs in") and "hacked" not in page.title
    loaded = "return [...document.images].map((image) => image.naturalWidth)"
    widths = run_script(page, loaded)
    assert len(widths) == 2 and min(widths) > 500


def test_it_asks_the_network_for_nothing(page: Any) -> None:
    entries = run_script(page, "return performance.getEntriesByType('resource').map((e) => e.name)")
    assert all(entry.startswith("data:") for entry in entries)


def test_the_best_stand_first_and_a_header_sorts(page: Any, report: Path) -> None:
    expected = accuracies(report)
    shown = names(page)
    assert shown == sorted(shown, key=lambda run: -expected[run])
    click_header(page, "val_accuracy")
    worst_first = names(page)
    assert worst_first == sorted(worst_first, key=lambda run: expected[run])
    sort = "return document.querySelector('th[aria-sort]').getAttribute('aria-sort')"
    assert run_script(page, sort) == "ascending"


def test_the_test_set_orders_nothing(page: Any) -> None:
    headers = run_script(
        page, "return [...document.querySelectorAll('#head th')]"
        ".map((each) => [each.textContent, each.querySelector('button') !== null])"
    )  # fmt: skip
    assert ["test_accuracy", False] in headers and ["val_loss", True] in headers


def test_it_filters(page: Any, report: Path) -> None:
    total = len(accuracies(report))
    assert set_filter(page, "") == f"{total} of {total} runs"
    assert set_filter(page, "onerror") == f"1 of {total} runs"
    assert names(page) == ["evil"]
    good = sum(value > 0.9 for value in accuracies(report).values())
    assert set_filter(page, "val_accuracy>0.9") == f"{good} of {total} runs"
    assert set_filter(page, "status=pruned and val_accuracy>=2") == f"0 of {total} runs"
    assert names(page) == []


def test_a_narrow_window_has_rows_of_one_line(page: Any) -> None:
    size = {"width": 360, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    rows = "[...document.querySelectorAll('#leaderboard tbody tr')]"
    heights = run_script(page, f"return {rows}.map((row) => row.getBoundingClientRect().height)")
    page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    assert len(heights) == 10 and max(heights) < 40


CONDITIONS = (
    "num_params < 3e6",
    "optimizer=adamw or num_params<2e6",
    "not optimizer==sgd",
    "status in (pruned, 'diverged') and not (trial<20)",
    "split='val_size=5000 split_seed=0'",
    "model.blocks=[3,3,4,3]",
    "regularization.dropout!=0.1",
    "val_accuracy=0.4",
)


@pytest.mark.parametrize("where", CONDITIONS)
def test_its_filter_is_the_language_of_where(page: Any, report: Path, where: str) -> None:
    runs = load_runs(report.parent.parent)
    expected = len(filter_runs(runs, where))
    assert set_filter(page, where) == f"{expected} of {len(runs)} runs"


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("num_params=3M", "3M is not a number"),
        ("split=val_size=1 split_seed=0", "expected and, or or the end before ="),
        ("test_accuracy>0.3", "may not select"),
        ("optimiser=sgd", "there is no column optimiser"),
    ],
)
def test_what_its_filter_cannot_read_is_told(page: Any, where: str, message: str) -> None:
    assert message in set_filter(page, where)


def test_a_run_opens_with_its_settings_and_curves(page: Any, report: Path) -> None:
    set_filter(page, "evil")
    run_script(page, "document.querySelector('#body tr[role=row]').click()")
    assert run_script(page, "return document.getElementById('detail').open")
    assert run_script(page, "return document.getElementById('detail-title').textContent") == "evil"
    text = run_script(page, "return document.getElementById('detail-body').textContent")
    assert EVIL in text
    paths = run_script(
        page, "return [...document.querySelectorAll('.charts path.val')]"
        ".map((path) => path.getAttribute('d'))"
    )  # fmt: skip
    heights = [float(point.split(" ")[1]) for point in paths[0].lstrip("M").split("L")]
    expected = [0.4 * (0.5 + 0.125 * epoch) for epoch in range(1, 5)]
    line = np.polynomial.Polynomial.fit(expected, heights, 1)
    np.testing.assert_allclose(line(np.array(expected)), heights, atol=0.3)
    assert heights[0] > heights[-1]  # up on the screen is a smaller number
    assert page.get_log("browser") == []


def test_the_keyboard_does_it_all(page: Any) -> None:
    from selenium.webdriver.common.keys import Keys

    set_filter(page, "")
    order = names(page)
    grid = page.find_element("id", "grid")
    grid.send_keys(Keys.ARROW_DOWN, Keys.ARROW_DOWN, Keys.ENTER)
    title = "return document.getElementById('detail-title').textContent"
    assert run_script(page, title) == order[2]
    page.switch_to.active_element.send_keys(Keys.ESCAPE)
    assert not run_script(page, "return document.getElementById('detail').open")
    assert page.switch_to.active_element.get_attribute("id") == "grid"
    grid.send_keys(Keys.END)
    time.sleep(0.2)
    selected = "return document.querySelector('tr[aria-selected=true] td').textContent"
    assert run_script(page, selected) == names(page)[-1]


def test_a_narrow_dark_window_holds_it(page: Any) -> None:
    size = {"width": 360, "height": 740, "deviceScaleFactor": 1, "mobile": True}
    dark = {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", dark)
    try:
        width = run_script(page, "return document.documentElement.scrollWidth")
        colors = run_script(
            page, "const style = getComputedStyle(document.body);"
            "return [style.color, style.backgroundColor]"
        )  # fmt: skip
    finally:
        page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    text, back = ([int(n) for n in color[4:-1].split(",")] for color in colors)
    assert width <= 360 and min(text) > 200 and max(back) < 60
