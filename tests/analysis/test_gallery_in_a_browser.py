"""The gallery in headless Chromium, as wide as a desk and as narrow as a phone."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import axe_core_python
import pytest
from gallery_files import write_run, write_study
from selenium import webdriver

from twolayer.stages.explore import explore
from twolayer.stages.gallery import gallery

BROWSER, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
ARGUMENTS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
)

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not (BROWSER and DRIVER), reason="needs chromium and chromedriver"),
]

WIDTHS = (1400, 390)
CANVASES = ("neurons", "loss")
PAGES = ("index.html", "study/explorer.html")


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The gallery of a small study."""
    folder = tmp_path_factory.mktemp("results")
    figures, claims = write_study(folder, changed={"descent": "seeds: 2 (paper: 16)"})
    explore([write_run(folder / "study" / "film", times=12)], folder / "study" / "explorer.html")
    gallery(folder / "index.html", figures, claims)
    return folder / "index.html"


@pytest.fixture(scope="module")
def chromium() -> Iterator[webdriver.Chrome]:
    """A browser without a window, which keeps what pages write to its console."""
    options = webdriver.ChromeOptions()
    options.binary_location = str(BROWSER)
    for argument in ARGUMENTS:
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(str(DRIVER)))
    yield driver
    driver.quit()


def opened(chromium: webdriver.Chrome, page: Path, width: int) -> None:
    """Open a page at a width in pixels, with all its images loaded."""
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    chromium.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    chromium.get(page.as_uri())
    chromium.execute_script("for (const image of document.images) image.loading = 'eager'")
    end = time.monotonic() + 30
    while not chromium.execute_script("return [...document.images].every(image => image.complete)"):
        assert time.monotonic() < end, "images are not loaded"
        time.sleep(0.1)


@pytest.mark.parametrize("width", WIDTHS)
def test_images_load_links_lead_somewhere_and_nothing_is_wider_than_the_page(
    chromium: webdriver.Chrome, page: Path, width: int
) -> None:
    opened(chromium, page, width)
    broken = chromium.execute_script(
        "return [...document.images].filter(image => !image.naturalWidth).map(image => image.src)"
    )
    assert broken == []
    links = chromium.execute_script(
        "return [...document.querySelectorAll('a[href]')].map(link => link.getAttribute('href'))"
    )
    assert len(links) > 10
    for link in links:
        if link.startswith("#"):
            assert chromium.execute_script("return !!document.getElementById(arguments[0])", link[1:]), link
        else:
            assert (page.parent / link).is_file(), link
    assert chromium.execute_script("return document.documentElement.scrollWidth") == width
    assert chromium.get_log("browser") == []
    assert chromium.execute_script("return document.querySelectorAll('math').length") > 10
    if folder := os.environ.get("SCREENSHOTS"):
        chromium.save_screenshot(str(Path(folder) / f"gallery_{width}.png"))


@pytest.fixture(params=["light", "dark"])
def scheme(request: pytest.FixtureRequest, chromium: webdriver.Chrome) -> Iterator[str]:
    """The colours that a reader prefers."""
    feature = {"name": "prefers-color-scheme", "value": request.param}
    chromium.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
    yield request.param
    chromium.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", PAGES)
def test_a_checker_of_accessibility_finds_no_fault(
    chromium: webdriver.Chrome, page: Path, name: str, width: int, scheme: str
) -> None:
    """Of contrast too, in both colour schemes."""
    opened(chromium, page.parent / name, width)
    ground = chromium.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert ground == ("rgb(255, 255, 255)" if scheme == "light" else "rgb(20, 24, 31)")
    if folder := os.environ.get("SCREENSHOTS"):
        chromium.save_screenshot(str(Path(folder) / f"{Path(name).stem}_{width}_{scheme}.png"))
    chromium.execute_script("for (const folded of document.querySelectorAll('details')) folded.open = true")
    chromium.execute_script(
        (Path(axe_core_python.__file__).parent / "axe.min.js").read_text(encoding="utf-8")
    )
    chromium.set_script_timeout(120)
    found: dict[str, Any] = chromium.execute_async_script("axe.run().then(arguments[0])")
    assert len(found["passes"]) > 20
    faults = [(fault["id"], [node["html"] for node in fault["nodes"]]) for fault in found["violations"]]
    assert faults == []


def test_everything_is_reached_by_keyboard(chromium: webdriver.Chrome, page: Path) -> None:
    opened(chromium, page, 1400)
    body = chromium.find_element("tag name", "body")
    body.send_keys("\ue004")  # tab
    first = chromium.switch_to.active_element
    assert first.text == "Skip to the content"
    assert first.rect["x"] >= 0  # it is seen once it has the focus
    reached = chromium.execute_script(
        "return [...document.querySelectorAll('a[href], summary, video[controls]')].every(part => part.tabIndex >= 0)"
    )
    assert reached


def test_what_is_folded_is_printed(chromium: webdriver.Chrome, page: Path) -> None:
    opened(chromium, page, 1400)
    chromium.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    try:
        heights = chromium.execute_script(
            "return [...document.querySelectorAll('details')].map(part => part.lastElementChild.offsetHeight)"
        )
        assert len(heights) > 3
        assert min(heights) > 0
        assert chromium.execute_script("return document.querySelector('img.only-print').offsetHeight") > 50
    finally:
        chromium.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})


@pytest.mark.parametrize("width", WIDTHS)
def test_the_slider_moves_neurons_and_cursor(chromium: webdriver.Chrome, page: Path, width: int) -> None:
    opened(chromium, page.parent / "study" / "explorer.html", width)
    pictures = []
    slider = chromium.find_element("id", "slider")
    for _ in range(3):
        pictures.append(
            [
                chromium.execute_script(f"return document.getElementById('{name}').toDataURL()")
                for name in CANVASES
            ]
        )
        slider.send_keys("\ue00e" * 3)  # page up, a tenth of the way each
    assert len({neurons for neurons, _ in pictures}) == 3
    assert len({loss for _, loss in pictures}) == 3
    chromium.find_element("css selector", "input[value=time]").click()
    before = chromium.find_element("id", "now").text
    chromium.execute_script("const seed = document.getElementById('seed'); seed.value = '1'")
    chromium.execute_script("document.getElementById('seed').dispatchEvent(new Event('change'))")
    assert chromium.find_element("id", "now").text != before  # the other seed has another loss
    assert chromium.execute_script("return document.documentElement.scrollWidth") == width
    assert chromium.get_log("browser") == []
