"""The page as a browser shows it: it asks for nothing, a click leads to a run, and it can be read in every way."""

from __future__ import annotations

import importlib.util
import itertools
import os
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from orchgate.report import page, size
from tests.pages import HOSTILE, everything

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
IN_CI = os.environ.get("CI") == "true"  # of whoever started the suite: a test itself is told nothing of CI
MISSING = "no Chromium on the PATH, or playwright is not installed: apt-get install chromium; pip install playwright"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if BROWSER is None or importlib.util.find_spec("playwright") is None:
        (pytest.fail if IN_CI else pytest.skip)(MISSING)
    from playwright.sync_api import sync_playwright

    options = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking"]
    with sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=BROWSER, args=options)
        yield started
        started.close()


class Shown:
    """A page that is open, and all that it said and asked for."""

    def __init__(self, browser: Any, path: Path, width: int = 1400, scheme: str = "light") -> None:
        self.context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        self.page = self.context.new_page()
        self.noise: list[str] = []
        self.page.on("console", lambda said: self.noise.append(said.text))
        self.page.on("pageerror", lambda error: self.noise.append(str(error)))
        self.page.on("dialog", self._opened)
        self.page.on("request", lambda asked: self.noise.append(asked.url))
        self.page.goto(path.as_uri())
        assert self.noise.pop(0) == path.as_uri()

    def _opened(self, box: Any) -> None:
        self.noise.append(f"dialog: {box.message}")
        box.dismiss()

    def ask(self, script: str) -> Any:
        return self.page.evaluate(script)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "page.html"
    made.write_bytes(size.fitted(everything(HOSTILE)))
    return made


@pytest.mark.parametrize(("width", "scheme"), [(400, "dark"), (1400, "light")])
def test_a_page_asks_for_nothing_and_fits_its_window(browser: Any, path: Path, width: int, scheme: str) -> None:
    shown = Shown(browser, path, width, scheme)

    assert shown.ask("document.documentElement.scrollWidth") <= width
    assert shown.ask("document.querySelectorAll('img, script, iframe, object').length") == 0
    assert HOSTILE in shown.ask("document.body.innerText")
    colors = shown.ask("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)")
    assert (sum(colors[:3]) > 380) == (scheme == "light")
    assert shown.noise == []


def _of_strip(shown: Shown, down: float) -> tuple[float, float]:
    """A place on the first strip, which is over the point of its run."""
    return shown.ask("document.querySelector('.strips path').getBoundingClientRect().x"), down


def test_a_click_on_a_point_opens_its_run(browser: Any, path: Path) -> None:
    shown = Shown(browser, path)

    shown.page.locator("svg.trend").first.scroll_into_view_if_needed()
    down = shown.ask("(({y, height}) => y + height / 2)(document.querySelector('svg.trend').getBoundingClientRect())")
    beam = shown.ask("getComputedStyle(document.querySelector('.strips path')).stroke")
    shown.page.mouse.move(*_of_strip(shown, down))
    assert shown.ask("getComputedStyle(document.querySelector('.strips path')).stroke") != beam
    shown.page.mouse.click(*_of_strip(shown, down))

    assert shown.ask("location.hash") == "#run-1"
    assert shown.ask("document.querySelector(':target').tagName") == "TR"
    place = shown.ask("(({top, bottom}) => [top, bottom])(document.querySelector(':target').getBoundingClientRect())")
    assert 0 <= place[0] < place[1] <= 900
    assert shown.noise == []


def test_a_page_can_be_read_without_seeing_and_without_a_mouse(browser: Any, path: Path) -> None:
    shown = Shown(browser, path)

    charts = "[...document.querySelectorAll('svg.chart')]"
    assert shown.ask(f"{charts}.length") >= 4
    assert shown.ask(
        f"{charts}.every(one => one.querySelector(':scope > title').textContent && one.hasAttribute('role'))"
    )
    assert shown.ask(
        "[...document.querySelectorAll('table')].every(one => one.caption && one.querySelector('th[scope]'))"
    )
    levels = shown.ask("[...document.querySelectorAll('h1,h2,h3,h4')].map(one => Number(one.tagName[1]))")
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
    assert shown.ask("[document.documentElement.lang, !!document.title, document.querySelectorAll('main').length]") == [
        "en",
        True,
        1,
    ]
    shown.page.keyboard.press("Tab")
    assert shown.ask("document.activeElement.textContent") == "Skip to the verdict"
    shown.page.keyboard.press("Enter")
    assert shown.ask("location.hash") == "#verdict"
    shown.page.keyboard.press("Tab")
    assert shown.ask("document.querySelector('main').contains(document.activeElement)")
    shown.ask("document.querySelector('.trends .skip').focus()")
    shown.page.keyboard.press("Enter")
    shown.page.keyboard.press("Tab")
    assert not shown.ask("document.querySelector('.strips').contains(document.activeElement)")
    shown.ask("document.querySelector('.strips a').focus()")
    shown.page.keyboard.press("Enter")
    assert shown.ask("location.hash") == "#run-1"
    named = "document.querySelectorAll('a, [role=region], progress')"
    assert shown.ask(f"[...{named}].every(one => one.ariaLabel || one.textContent)")


def test_a_page_prints_whole(browser: Any, path: Path) -> None:
    shown = Shown(browser, path, scheme="dark")

    shown.page.emulate_media(media="print")

    assert shown.ask("getComputedStyle(document.querySelector('nav')).display") == "none"
    assert shown.ask("getComputedStyle(document.querySelector('.scroll')).overflow") == "visible"
    assert shown.ask("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert shown.page.pdf()[:5] == b"%PDF-"


def test_the_policy_of_a_page_forbids_what_gets_in_all_the_same(browser: Any, path: Path) -> None:
    """Were an escape forgotten, nothing would run and nothing would be asked for."""
    path.write_text(page.render(everything("x")).replace("</main>", f"<script>alert(1)</script>{HOSTILE}</main>"))

    shown = Shown(browser, path)

    assert any("Content Security Policy" in said for said in shown.noise)
    assert not any(said.startswith("dialog") for said in shown.noise)
