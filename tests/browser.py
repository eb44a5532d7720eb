"""Pages as people see them: a headless Chromium that draws WebGL in software, and what of it is on the screen."""

import base64
import io
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = [
    "--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--disable-quic",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
NO_WEBGL = ["--disable-gpu", "--disable-3d-apis", "--disable-software-rasterizer"]


@contextmanager
def chromium() -> Iterator:
    """A running browser; the test is skipped where there is none."""
    if CHROMIUM is None:
        pytest.skip("no chromium here")
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


def without_webgl(browser):
    """Another browser beside a running one, which has no WebGL."""
    return browser.browser_type.launch(executable_path=CHROMIUM, args=["--no-sandbox", *NO_WEBGL])


@contextmanager
def opened(browser, path: Path, width: int = 900, dark: bool = False) -> Iterator:
    """A page once it is drawn; afterwards, fails if the console had an error or a warning."""
    page = browser.new_page(viewport={"width": width, "height": 480}, color_scheme="dark" if dark else "light")
    said = []
    page.on("console", lambda message: said.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on(
        "request", lambda request: said.append(request.url) if not request.url.startswith(("file:", "data:")) else None
    )
    page.goto(path.as_uri())
    page.wait_for_selector("html[data-ready]")
    yield page
    said = [line for line in said if "GPU stall" not in line]  # of software rendering, when pixels are read
    assert not said, said
    assert "errors" not in root(page), root(page)["errors"]
    page.close()


def settle(page) -> None:
    """Wait until what was asked for is drawn."""
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def root(page) -> dict[str, str]:
    """The data attributes of <html>."""
    return page.evaluate("({...document.documentElement.dataset})")


def charts(page) -> list[bool]:
    """Of each chart, whether marks with a colour cover some of it."""
    return page.evaluate(
        """[...document.querySelectorAll("svg.chart")]
        .map((chart) => [...chart.querySelectorAll(".line, .mark *, .column")]
        .some((one) => { const box = one.getBoundingClientRect(), style = getComputedStyle(one);
          return box.width + box.height > 4 && (style.stroke !== "none" || style.fill !== "none"); }))"""
    )


def drawn(page, kind: str) -> np.ndarray:
    """(height, width, 4): a viewer's own pixels, without names and buttons; alpha is 0 where nothing is."""
    settle(page)
    canvas = f'.viewer[data-view="{kind}"] canvas'
    uri = page.evaluate("selector => document.querySelector(selector).toDataURL()", canvas)
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1]))).convert("RGBA"), dtype=int)
