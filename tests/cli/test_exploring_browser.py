"""The pages of explore and of attend, in a real browser."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator

import pytest

from tests.analysis.attention_examples import example
from tests.cli.exploring import served
from zoo.analysis.attention_page import page as attention_page

pytestmark = pytest.mark.browser
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--force-color-profile=srgb",
)  # fmt: skip
WAIT_S = 30.0
DAY, NIGHT = ("rgb(255, 255, 255)", "rgb(27, 31, 36)"), ("rgb(13, 17, 23)", "rgb(230, 237, 243)")
CHOOSE = "arguments[0].value = arguments[1]; arguments[0].dispatchEvent(new Event('change'));"


@pytest.fixture(scope="module")
def driver(tmp_path_factory) -> Iterator:
    webdriver = pytest.importorskip("selenium.webdriver", reason="the extra browser is not installed")
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None or shutil.which("chromedriver") is None:
        pytest.skip("there is no Chromium with its driver")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('browser')}"):
        options.add_argument(flag)
    service = webdriver.ChromeService(shutil.which("chromedriver"))
    with webdriver.Chrome(options=options, service=service) as found:
        yield found


class Page:
    """The page as its user sees it."""

    def __init__(self, driver) -> None:
        self.driver = driver

    def of(self, name: str):
        return self.driver.find_element("id", name)

    def run(self, script: str, *given):
        return self.driver.execute_script(script, *given)

    def until(self, holds: Callable[[], object]) -> None:
        end = time.monotonic() + WAIT_S
        while not holds():
            assert time.monotonic() < end, self.run("return document.body.innerText")
            time.sleep(0.02)

    def says(self, state: str) -> None:
        self.until(lambda: self.of("state").text == state)

    def put(self, old: str, new: str) -> None:
        """Writes over a piece of the text, the cursor after it."""
        self.run(
            "const t = document.getElementById('text'), i = t.value.indexOf(arguments[0]); t.focus();"
            "t.setRangeText(arguments[1], i, i + arguments[0].length, 'end');"
            "t.dispatchEvent(new InputEvent('input'));",
            old,
            new,
        )

    def colours(self, letters: str) -> tuple[str, str]:
        """Of the page's ground, and of a drawing's letters."""
        ground = self.run("return getComputedStyle(document.body).backgroundColor")
        return ground, self.run("return getComputedStyle(document.querySelector(arguments[0])).fill", letters)

    def system(self, scheme: str) -> None:
        """What the system's colours are."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


@pytest.fixture
def page(driver) -> Iterator[Page]:
    with served("char_gpt") as server:
        driver.get_log("browser")  # of the page before
        driver.get(server.address)
        found = Page(driver)
        found.says("ok")
        yield found
        refused = ("favicon",)
        assert [
            each for each in driver.get_log("browser") if not any(r in each["message"] for r in refused)
        ] == []


def test_a_typo_shows_its_message_and_a_fixed_one_the_drawing(page: Page) -> None:
    assert page.of("drawing").find_elements("css selector", "svg .box")
    page.put("n_heads: ", "n_haeds: ")
    page.says("1 mistake")
    assert "did you mean" in page.of("problems").text
    line = page.run("return document.getElementById('text').value.split('n_haeds')[0].split('\\n').length")
    assert page.of("problems").text.startswith(f"line {line} ")
    assert page.run("return document.querySelector('#lines .wrong').textContent") == str(line)
    page.put("n_haeds: ", "n_heads: ")
    page.says("ok")
    assert page.of("problems").text == ""
    page.put("n_layers: ", "n_layers: 1")
    page.says("ok")
    page.until(lambda: "n_layers" in page.of("diff").text)
    assert page.run("return document.querySelector('#diff td.number').textContent") == "+1.97M"
    assert "was " in page.of("figures").text
    assert page.of("drawing").find_elements("css selector", "svg path.zero")  # what differs is underlined


def test_a_key_is_completed_by_the_keyboard_alone(page: Page) -> None:
    page.put("n_heads: ", "n_h: ")
    page.says("1 mistake")
    text = page.of("text")
    page.run("const t = arguments[0], i = t.value.indexOf('n_h: ') + 3; t.setSelectionRange(i, i);", text)
    text.send_keys("\ue009", " ")  # Ctrl and space
    page.until(lambda: page.of("options").is_displayed())
    assert page.of("options").find_element("css selector", "[aria-selected=true] b").text == "n_heads"
    assert text.get_attribute("aria-activedescendant") == "option-0"
    text.send_keys("\ue007")
    page.says("ok")
    assert "n_heads: " in text.get_property("value")
    text.send_keys("\ue00c")
    assert not page.of("options").is_displayed()


def test_the_text_is_copied(page: Page) -> None:
    page.driver.execute_cdp_cmd(
        "Browser.grantPermissions", {"permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"]}
    )
    page.of("copy").click()
    page.until(lambda: page.of("copy").text == "Copied")
    copied = page.driver.execute_async_script("navigator.clipboard.readText().then(arguments[0])")
    assert copied == page.of("text").get_property("value")


def test_another_preset_and_overrides(page: Page) -> None:
    page.run(
        "const s = arguments[0]; s.value = 'gpt2'; s.dispatchEvent(new Event('change'));", page.of("name")
    )
    page.until(lambda: "gpt2" in page.of("drawing").text)
    page.of("overrides").send_keys("model.decoder.n_layers=3")
    page.until(lambda: "model.decoder.n_layers" in page.of("diff").text)
    assert "3 ×" in page.of("drawing").text


def test_it_is_dark_by_the_system_and_by_choice(page: Page) -> None:
    def choose(theme: str) -> None:
        page.run(CHOOSE, page.of("theme"), theme)

    page.system("light")
    assert page.colours("#drawing text.label") == DAY
    page.system("dark")
    assert page.colours("#drawing text.label") == NIGHT
    choose("light")
    assert page.colours("#drawing text.label") == DAY
    page.system("light")
    choose("dark")
    assert page.colours("#drawing text.label") == NIGHT


@pytest.mark.parametrize("width", [400, 1280])
def test_nothing_stands_beyond_the_window_and_all_that_is_used_has_a_name(page: Page, width: int) -> None:
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    page.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    assert page.run("return document.documentElement.scrollWidth <= innerWidth")
    nameless = page.run(
        "return [...document.querySelectorAll('select, input, textarea, button')].filter((e) => "
        "!e.labels?.length && !e.textContent.trim() && !e.ariaLabel).map((e) => e.id)"
    )
    assert nameless == []
    page.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_a_page_of_attention_is_dark_by_the_system_and_tells_the_cell_that_is_pointed_at(
    driver, tmp_path
) -> None:
    found = example()
    page = Page(driver)
    (tmp_path / "page.html").write_text(attention_page(found), encoding="utf-8")
    driver.get((tmp_path / "page.html").as_uri())
    for scheme, colours in (("light", DAY), ("dark", NIGHT)):
        page.system(scheme)
        assert page.colours(".heat text.name") == colours
    weights = found.maps[0].weights[0]  # the heat map of the mean comes before
    heat = "const heat = document.querySelector('.heat[data-place=\"0\"]');"
    left, top, cell = page.run(f"{heat} return heat.dataset.cells.split(' ').map(Number)")
    frame = page.run(
        f"{heat} heat.scrollIntoView(); return heat.querySelector('svg').getBoundingClientRect().toJSON()"
    )
    point = {"type": "mouseMoved", "x": frame["x"] + left + 3.5 * cell, "y": frame["y"] + top + 1.5 * cell}
    driver.execute_cdp_cmd("Input.dispatchMouseEvent", point)
    told = f"old → house: {100 * weights[1, 3]:.0f} %"
    page.until(lambda: page.of("told").text == told)
    assert page.run(f"{heat} return heat.querySelectorAll('text.near').length") == 2
