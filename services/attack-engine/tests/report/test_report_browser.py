"""The page in a real Chromium: nothing loaded, nothing cut off, charts drawn, every mode readable."""

import io
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from latentprint.attack_engine.findings.results import Findings
from latentprint.attack_engine.report.figures import figures
from latentprint.attack_engine.report.render import render
from latentprint.attack_engine.statistics.figures import Correlations

pytestmark = pytest.mark.browser

PATIENCE = 120_000  # milliseconds: a busy machine is slow to draw
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    executable = next((path for name in NAMES if (path := shutil.which(name))), None)
    if executable is None:
        pytest.fail(f"No browser: install Chromium so that one of {', '.join(NAMES)} is on the PATH.")
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        browser = playwright.chromium.launch(executable_path=executable, args=arguments)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def file(findings: Findings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(render(findings), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def compared_file(compared: Findings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("compared") / "report.html"
    path.write_text(render(compared), encoding="utf-8")
    return path


class Opened:
    """A page with what it asked for and complained about."""

    def __init__(self, context: BrowserContext, address: str):
        self.requests: list[str] = []
        self.complaints: list[str] = []
        context.route("**/*", lambda route: route.continue_() if route.request.url == address else route.abort())
        context.set_default_timeout(PATIENCE)
        self.page: Page = context.new_page()
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.goto(address)

    def background(self) -> float:
        """The page's brightness between 0 and 255, from its pixels."""
        with Image.open(io.BytesIO(self.page.screenshot())) as picture:
            return float(np.asarray(picture.convert("L")).mean())


@pytest.fixture
def opened(browser: Browser, file: Path, request: pytest.FixtureRequest) -> Iterator[Opened]:
    options = {"viewport": {"width": 1280, "height": 900}, **getattr(request, "param", {})}
    context = browser.new_context(**options)
    yield Opened(context, file.as_uri())
    context.close()


def embedded(url: str) -> bool:
    return url.startswith("data:")


def test_nothing_is_requested_and_nothing_complains(opened: Opened, file: Path) -> None:
    opened.page.mouse.wheel(0, 50_000)
    opened.page.wait_for_timeout(300)
    assert [url for url in opened.requests if not embedded(url)] == [file.as_uri()]
    assert opened.complaints == []


WIDTHS = [{"viewport": {"width": width, "height": 844}} for width in (320, 390, 768, 1280, 1920)]


@pytest.mark.parametrize("opened", WIDTHS, indirect=True, ids=lambda p: str(p["viewport"]["width"]))
def test_no_width_overflows(opened: Opened) -> None:
    widths = opened.page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
    assert widths[0] <= widths[1]


@pytest.mark.parametrize("opened", [WIDTHS[1], WIDTHS[3]], indirect=True, ids=["mobile", "desktop"])
def test_every_chart_is_drawn_at_a_readable_size(opened: Opened, findings: Findings) -> None:
    charts = opened.page.locator("figure svg.chart")
    drawn = [figure for audit in findings.audits for figure in audit.figures]
    further = 2 * sum(isinstance(figure, Correlations) for figure in drawn)  # three charts each
    assert further
    assert charts.count() == 2 * len(findings.audits) + len(drawn) + further
    sizes = charts.evaluate_all("all => all.map(one => one.getBoundingClientRect().toJSON())")
    assert min(size["width"] for size in sizes) >= 300
    assert min(size["height"] for size in sizes) >= 220
    with Image.open(io.BytesIO(charts.first.screenshot())) as picture:
        assert len(picture.convert("RGB").getcolors(1 << 20)) > 10


OUTSIDE = """() => [...document.querySelectorAll('figure svg.chart')].flatMap(chart => {
    const box = chart.getBoundingClientRect();
    return [...chart.querySelectorAll('text')].filter(text => {
        const own = text.getBoundingClientRect();
        return own.left < box.left - 1 || own.right > box.right + 1 || own.bottom > box.bottom + 1;
    }).map(text => text.textContent);
})"""


def test_no_text_of_a_chart_leaves_it(opened: Opened) -> None:
    assert opened.page.evaluate(OUTSIDE) == []


@pytest.mark.parametrize("width", [320, 390, 1280])
def test_comparisons_fit_every_screen_and_the_printer(browser: Browser, compared_file: Path, width: int) -> None:
    context = browser.new_context(viewport={"width": width, "height": 844}, color_scheme="dark")
    opened = Opened(context, compared_file.as_uri())
    opened.page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    widths = opened.page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
    assert widths[0] <= widths[1]
    assert opened.page.evaluate(OUTSIDE) == []
    planes = opened.page.locator(".planes svg.chart")
    assert planes.count() == 2
    sizes = planes.evaluate_all("all => all.map(one => one.getBoundingClientRect().toJSON())")
    assert min(size["width"] for size in sizes) >= min(300, width - 40)
    assert opened.background() < 80
    planes.first.hover(position={"x": 60, "y": 60})
    assert "Linear-probe accuracy" in opened.page.locator(".tip").inner_text()
    opened.page.emulate_media(media="print")
    assert opened.page.pdf(prefer_css_page_size=True).startswith(b"%PDF")
    assert opened.complaints == []
    context.close()


def test_the_switch_turns_light_to_dark_and_back(opened: Opened) -> None:
    switch = opened.page.get_by_role("button", name="Switch to dark colours")
    light = opened.background()
    switch.click()
    dark = opened.background()
    opened.page.get_by_role("button", name="Switch to light colours").click()
    assert light > 200
    assert dark < 80
    assert opened.background() == pytest.approx(light, abs=2)


@pytest.mark.parametrize("opened", [{"color_scheme": "dark"}], indirect=True)
def test_dark_is_taken_from_the_system(opened: Opened) -> None:
    assert opened.background() < 80


@pytest.mark.parametrize("opened", [{"color_scheme": "dark"}], indirect=True)
def test_print_is_light_whole_and_without_navigation(opened: Opened) -> None:
    opened.page.emulate_media(media="print")
    assert opened.background() > 200
    assert not opened.page.locator("nav").is_visible()
    assert opened.page.pdf(prefer_css_page_size=True).startswith(b"%PDF")


def test_hovering_and_arrow_keys_show_details(opened: Opened) -> None:
    chart = opened.page.locator("figure svg.chart").first
    chart.scroll_into_view_if_needed()
    tip = opened.page.locator(".tip")
    assert not tip.is_visible()
    chart.hover(position={"x": 250, "y": 120})
    assert tip.is_visible()
    assert "TPR" in tip.inner_text()
    opened.page.mouse.move(1, 1)
    assert not tip.is_visible()
    opened.page.keyboard.press("Tab")
    chart.focus()
    opened.page.keyboard.press("ArrowRight")
    first = tip.inner_text()
    opened.page.keyboard.press("ArrowRight")
    assert tip.inner_text() != first
    opened.page.keyboard.press("Escape")
    assert not tip.is_visible()


def test_links_of_the_matrix_lead_to_their_audit(opened: Opened, findings: Findings) -> None:
    link = opened.page.locator(".matrix .cell").last
    target = link.get_attribute("href") or ""
    link.click()
    expect(opened.page.locator(f"{target}-title")).to_be_in_viewport(timeout=PATIENCE)
    expect(opened.page.locator("nav a[aria-current]")).to_have_attribute("href", target, timeout=PATIENCE)


@pytest.mark.parametrize("opened", [{"java_script_enabled": False}], indirect=True)
def test_without_scripts_everything_is_there_but_the_switch(opened: Opened, findings: Findings) -> None:
    assert opened.page.locator("h1").inner_text().startswith("Not valid")
    assert opened.page.locator("figure svg.chart").first.is_visible()
    assert opened.page.locator("table.measures").count() == len(findings.audits)
    assert not opened.page.locator("#theme").is_visible()


@pytest.mark.parametrize(
    "opened", [{"color_scheme": "light"}, {"color_scheme": "dark"}], indirect=True, ids=["light", "dark"]
)
def test_thumbnails_are_shown_pixel_by_pixel(opened: Opened) -> None:
    image = opened.page.locator(".thumbnails img").first
    assert image.evaluate("one => one.complete && one.naturalWidth") == 32
    assert image.evaluate("one => getComputedStyle(one).imageRendering") == "pixelated"


def test_standalone_figures_open_as_images(browser: Browser, findings: Findings, tmp_path: Path) -> None:
    for name, content in figures(findings.audits[0]).items():
        file = tmp_path / name
        file.write_bytes(content)
        context = browser.new_context(viewport={"width": 480, "height": 400})
        opened = Opened(context, file.as_uri())
        assert opened.complaints == []
        assert opened.background() > 200
        context.close()
