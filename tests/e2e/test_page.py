"""The page of a report in headless Chromium: opened, sorted, filtered, at several sizes."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement

from lab import state
from lab.engine import require
from recert.page import page
from recert.report import SCHEMA, Report, read_report
from tests.unit import reports

MANY = 5000
PATIENCE = 60
"""Seconds after which a page hangs, on however slow a machine; the largest takes one or two."""
EXAMPLE = SCHEMA.with_name("report.example.json")
_CONTRAST = """
const light = (colour) => {
  const [r, g, b] = colour.match(/[\\d.]+/g).map(Number).map((v) => v / 255)
    .map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const behind = (element) => {
  for (let e = element; e; e = e.parentElement) {
    const colour = getComputedStyle(e).backgroundColor;
    if (colour !== "rgba(0, 0, 0, 0)") return colour;
  }
  return "rgb(255, 255, 255)";
};
return Array.from(document.querySelectorAll("body *"))
  .filter((e) => e.checkVisibility() && !e.closest("svg")
    && Array.from(e.childNodes).some((n) => n.nodeType === 3 && n.data.trim()))
  .map((e) => {
    const [one, two] = [getComputedStyle(e).color, behind(e)].map(light).sort((a, b) => b - a);
    return [(one + 0.05) / (two + 0.05), e.tagName + "." + e.className + ": " + e.textContent];
  })
  .filter(([contrast]) => contrast < 4.5);
"""


class Browser:
    """Chromium without a window and without a network."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        options = ChromeOptions()
        for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage"):
            options.add_argument(argument)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        self.driver = Chrome(options=options, service=Service("/usr/bin/chromedriver"))
        self.driver.execute_cdp_cmd("Network.enable", {})
        self.driver.execute_cdp_cmd(
            "Network.emulateNetworkConditions",
            {"offline": True, "latency": 0, "downloadThroughput": 0, "uploadThroughput": 0},
        )

    def look(self, width: int, scheme: str = "light") -> None:
        """Be as wide as that, for somebody who likes it light or dark."""
        metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        preferred = [{"name": "prefers-color-scheme", "value": scheme}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": preferred})

    def write(self, report: Report) -> Path:
        file = self.directory / "report.html"
        file.write_text(page(report), encoding="utf-8")
        return file

    def open(self, report: Report) -> None:
        self.driver.get(self.write(report).as_uri())

    def js(self, script: str, *arguments: Any) -> Any:
        return self.driver.execute_script(script, *arguments)

    def complaints(self) -> list[str]:
        """What the browser has logged since it was last asked."""
        logged: list[dict[str, str]] = self.driver.get_log("browser")  # type: ignore[no-untyped-call]
        return [entry["message"] for entry in logged]

    def table(self, heading: str) -> Table:
        return Table(self, self.driver.find_element(By.CSS_SELECTOR, f"section:has(#{heading})"))


class Table:
    """One section's table with its controls."""

    def __init__(self, browser: Browser, section: WebElement) -> None:
        self.browser = browser
        self.section = section

    def rows(self) -> list[str]:
        """The head of each row that is shown."""
        found: list[str] = self.browser.js(
            "return Array.from(arguments[0].querySelectorAll('tbody tr'))"
            ".filter(r => r.checkVisibility()).map(r => r.querySelector('th').firstChild.data)",
            self.section,
        )
        return found

    def head(self, label: str) -> WebElement:
        (found,) = [
            head
            for head in self.section.find_elements(By.CSS_SELECTOR, "thead th")
            if head.text.startswith(label)
        ]
        return found

    def sort(self, label: str) -> str | None:
        head = self.head(label)
        head.find_element(By.TAG_NAME, "button").send_keys(Keys.ENTER)
        return head.get_attribute("aria-sort")

    def filter(self, words: str, until: str) -> None:
        """Type `words`, and wait for the live region to say `until`."""
        field = self.section.find_element(By.CSS_SELECTOR, "input[type=search]")
        field.send_keys(Keys.CONTROL, "a")
        field.send_keys(words or Keys.DELETE)
        self.wait(until)

    def wait(self, until: str) -> None:
        end = time.monotonic() + PATIENCE
        while self.said != until:
            assert time.monotonic() < end, f"it says {self.said!r}, not {until!r}"
            time.sleep(0.02)

    @property
    def said(self) -> str:
        return self.section.find_element(By.CSS_SELECTOR, "output[aria-live=polite]").text


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with state.locked(), state.building():
        packages = ("chromium", "chromium-driver", "fonts-dejavu-core")
        require(("chromium", "chromedriver"), packages, state.BUILD_LOG)
    started = Browser(tmp_path_factory.mktemp("page"))
    yield started
    started.driver.quit()


@pytest.mark.parametrize("width", [360, 800, 1600])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_readable(browser: Browser, width: int, scheme: str) -> None:
    browser.look(width, scheme)
    browser.open(read_report(EXAMPLE.read_text(encoding="utf-8")))
    wide = browser.js("return document.documentElement.scrollWidth")
    assert wide <= width, "nobody wants to scroll sideways"
    assert browser.js(_CONTRAST) == []
    verdict = browser.driver.find_element(By.CLASS_NAME, "verdict")
    assert verdict.text == "2 of 4 nodes are not back; 2 of 8 checks failed."
    summary = browser.driver.find_element(By.ID, "summary")
    assert summary.rect["y"] + summary.rect["height"] <= 900, "it is more than one screen"
    smallest = browser.js(
        "return Math.min(...Array.from(document.querySelectorAll('body *'))"
        ".filter(e => e.checkVisibility()).map(e => parseFloat(getComputedStyle(e).fontSize)))"
    )
    assert smallest >= 11
    assert browser.complaints() == []


def test_a_screen_reader_finds_its_way(browser: Browser) -> None:
    browser.look(360)
    browser.open(read_report(EXAMPLE.read_text(encoding="utf-8")))
    nodes = browser.driver.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    roles: dict[str, list[str]] = {}
    for node in nodes:
        if not node.get("ignored"):
            name = node.get("name", {}).get("value", "")
            roles.setdefault(node["role"]["value"], []).append(name)
    # At this width rows are laid out one below the other, and still are a table's.
    assert "Every certificate file of every host, the worst first" in roles["table"]
    assert {"Standing", "Certificate", "Expires"} <= set(roles["columnheader"])
    assert "db01.example.com" in " ".join(roles["rowheader"])
    assert any(name.startswith("Lifetimes of ") for name in roles["image"])
    assert roles["searchbox"] and all(roles["searchbox"])
    assert roles["main"] and roles["heading"][0] == "Regeneration of the site"
    levels = browser.js(
        "return Array.from(document.querySelectorAll('h1,h2,h3')).map(h => Number(h.tagName[1]))"
    )
    assert levels[0] == 1 and all(b - a <= 1 for a, b in pairwise(levels))


def test_everything_is_reached_by_keyboard(browser: Browser) -> None:
    browser.look(1600)
    browser.open(reports.site_report(20))
    reached = []
    body = browser.driver.find_element(By.TAG_NAME, "body")
    for _ in range(80):
        browser.driver.switch_to.active_element.send_keys(Keys.TAB)
        focused = browser.driver.switch_to.active_element
        if focused == body:
            break
        outline = browser.js("return getComputedStyle(arguments[0]).outlineStyle", focused)
        reached.append((focused.tag_name, outline))
    assert {"a", "input", "select", "button", "summary"} <= {tag for tag, _ in reached}
    assert all(outline == "solid" for _, outline in reached), "focus has to be seen"


def test_rows_are_sorted_and_filtered(browser: Browser) -> None:
    browser.look(1600)
    browser.open(reports.site_report(20))
    table = browser.table("certificates-h")
    assert table.said == "20 certificates"
    assert table.rows()[0] == "node0020.example.com", "the worst is first"
    assert table.sort("Certificate") == "ascending"
    assert table.rows() == reports.names(20)
    assert table.sort("Certificate") == "descending"
    assert table.rows() == reports.names(20)[::-1]
    table.filter("node001", "10 of 20 certificates")
    assert table.rows() == reports.names(19)[9:][::-1]
    assert table.sort("Standing") == "ascending"
    assert table.head("Certificate").get_attribute("aria-sort") is None
    table.filter("retired NODE0020", "1 of 20 certificates")
    assert table.rows() == ["node0020.example.com"]
    table.filter("", "20 certificates")
    kind = table.section.find_element(By.TAG_NAME, "select")
    kind.send_keys("good")
    table.wait("19 of 20 certificates")
    hosts = browser.table("hosts-h")
    assert hosts.sort("Clock") == "ascending"
    assert hosts.rows()[0] == "node0001.example.com", "-1.0 is the least"


@pytest.mark.parametrize("number", [1, MANY])
def test_it_is_usable_at_any_size(browser: Browser, number: int) -> None:
    browser.look(1600)
    report = reports.site_report(number)
    file = browser.write(report)
    browser.driver.get(file.as_uri())
    table = browser.table("certificates-h")
    rows = table.section.find_elements(By.CSS_SELECTOR, "tbody tr")
    assert len(rows) == number
    if number == MANY:
        assert table.said == "5,000 certificates, 200 shown"
        table.sort("Host")
        assert table.rows() == reports.names(200)
        table.filter("node4321", "1 of 5,000 certificates")
        table.filter("", "5,000 certificates, 200 shown")
        more = table.section.find_element(By.CSS_SELECTOR, ".more")
        assert more.text == "Show 1,000 more of 4,800"
        more.click()
        table.wait("5,000 certificates, 1,200 shown")
    assert browser.complaints() == []


def test_a_certname_brings_no_script_into_the_page(browser: Browser) -> None:
    browser.look(1600)
    browser.open(reports.site_report(3, odd_name=reports.HOSTILE))
    table = browser.table("certificates-h")
    assert reports.HOSTILE in table.rows()
    table.sort("Certificate")
    table.filter("onerror", "1 of 3 certificates")
    assert table.rows() == [reports.HOSTILE]
    assert "owned" not in browser.driver.title
    assert not browser.driver.find_elements(By.TAG_NAME, "img")
    assert browser.complaints() == [], "nothing was even tried"


def test_the_policy_forbids_what_might_get_in_all_the_same(browser: Browser) -> None:
    browser.open(reports.site_report(1))
    browser.js(
        "const s = document.createElement('script'); s.textContent = \"document.title='owned'\";"
        "document.body.append(s); document.body.insertAdjacentHTML('beforeend',"
        ' \'<img src=https://lab.test/x onerror="document.title=1"><p style="color:red">x</p>\')'
    )
    said = " ".join(browser.complaints())
    assert "owned" not in browser.driver.title
    for directive in ("script-src", "style-src", "default-src"):
        assert directive in said, f"{directive} did nothing: {said}"


def test_on_paper_no_row_is_missing(browser: Browser) -> None:
    browser.look(1600)
    browser.open(reports.site_report(250))
    table = browser.table("certificates-h")
    assert len(table.rows()) == 200
    browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    assert len(table.rows()) == 250
    assert not table.section.find_element(By.CSS_SELECTOR, ".controls").is_displayed()
    browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
    pdf = browser.driver.execute_cdp_cmd("Page.printToPDF", {})["data"]
    assert base64.b64decode(pdf).startswith(b"%PDF-")
