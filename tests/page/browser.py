"""A real Chromium over the page, and what is asked of every page that it shows."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]  # it has no types
from playwright.sync_api import Browser, Page, ViewportSize, sync_playwright

from exporters.page.pages import Pages
from exporters.server import HttpServer, Response
from tests.page.made import Made

#: Debian's: Playwright's own builds cannot be locked.
CHROMIUM = "/usr/bin/chromium"
PHONE: ViewportSize = {"width": 360, "height": 780}
DESKTOP: ViewportSize = {"width": 1280, "height": 900}

#: Texts that lie on each other, or out of the window, or are cut; and the width of all.
_MISFITS = """() => {
  const found = [];
  const boxes = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const parent = node.parentElement;
    if (!node.textContent.trim() || parent.closest('.hidden, .skip, option, svg')) continue;
    if (!parent.checkVisibility()) continue;
    const range = document.createRange();
    range.selectNodeContents(node);
    for (const box of range.getClientRects()) {
      if (box.width < 1 || box.height < 1) continue;
      boxes.push([box, node.textContent.trim().slice(0, 40), node]);
      if (box.left < -0.5 || box.right > innerWidth + 0.5) found.push(`out of the window: ${node.textContent}`);
    }
  }
  boxes.sort((a, b) => a[0].top - b[0].top);
  for (let i = 0; i < boxes.length; i++) {
    const [a, said, node] = boxes[i];
    for (let j = i + 1; j < boxes.length && boxes[j][0].top < a.bottom - 3; j++) {
      const [b, other, beside] = boxes[j];
      if (node === beside) continue; // its own lines
      const wide = Math.min(a.right, b.right) - Math.max(a.left, b.left);
      const high = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
      if (wide > 1.5 && high > 4) found.push(`on each other: ${said} | ${other}`);
    }
  }
  for (const one of document.querySelectorAll('body *')) {
    if (one.closest('.hidden, svg, select') || !one.checkVisibility()) continue;
    if (getComputedStyle(one).overflowX === 'visible' || one.localName === 'input') continue;
    if (one.scrollWidth > one.clientWidth + 1) found.push(`cut: ${one.textContent}`);
  }
  const wide = document.documentElement.scrollWidth;
  if (wide > innerWidth) found.push(`${wide} wide in a window of ${innerWidth}`);
  if (!boxes.length) found.push('no text at all');
  return found.slice(0, 10);
}"""


class Served:
    """A server of the pages of what was made up."""

    def __init__(self, made: Made) -> None:
        self.made = made
        self.asked = 0
        self._pages = Pages(lambda: made.config, made.clock)
        self.server = HttpServer(("127.0.0.1", 0), self._answer)
        self.address = ("127.0.0.1", 0)

    def _answer(self, target: str) -> Response:
        if not target.startswith("/static/"):
            self.asked += 1
        return self._pages(target)

    def url(self, path: str = "/") -> str:
        return f"http://{self.address[0]}:{self.address[1]}{path}"


@contextmanager
def serving(made: Made) -> Iterator[Served]:
    served = Served(made)
    served.server.start()
    served.address = served.server.address
    try:
        yield served
    finally:
        served.server.stop()


@contextmanager
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        # As root Chromium has no sandbox, and what it is shown here is ours.
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def opened(browser: Browser, url: str, *, status: int = 200, **how: Any) -> Iterator[Page]:
    """A page that complains of nothing: neither its script nor the browser, of what it may not load say."""
    context = browser.new_context(**{"viewport": DESKTOP, **how})
    page = context.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("dialog", lambda dialog: said.append(dialog.message))
    try:
        answer = page.goto(url)
        assert answer is not None
        assert answer.status == status
        if status != 200:
            said.clear()  # of which the browser tells
        yield page
    finally:
        context.close()
    assert said == []


def violations(page: Page) -> list[str]:
    """What axe finds."""
    found = Axe().run(page).response["violations"]
    return [f"{one['id']}: {one['nodes'][0]['html'][:200]} ({len(one['nodes'])})" for one in found]


def misfits(page: Page) -> list[str]:
    """What does not fit."""
    found: list[str] = page.evaluate(_MISFITS)
    return found
