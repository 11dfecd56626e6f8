"""``python -m tools.page_shots LIFE``: photographs of the status page, for people to look at.

LIFE is what `make life` has left: two months of 200 VMs. Beside it hosts of 3 and of 5,000 VMs are made up. Each is
served by the real service, at the size of a phone and of a desk, by day and by night: build/page-shots/. Those that the
papers show go to docs/page/.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from playwright.sync_api import Browser, FloatRect, Page

from core.config.load import load
from tests.host import ROOT
from tests.page.browser import DESKTOP, PHONE, chromium
from tests.page.world import World
from tests.waiting import free_port

SHOTS = ROOT / "build" / "page-shots"
CHOSEN = ROOT / "docs" / "page"
#: Name in the papers -> photograph.
PAPERS = {
    "front.png": "200-desk-day",
    "vms.png": "200-vms-desk-day",
    "vm.png": "200-vm-desk-day",
    "night.png": "200-phone-night",
}
#: Pixels of a page: what comes below them looks the same.
HEIGHTS = {"desk": 1500, "phone": 1700}


def main() -> int:
    """Photographs all of them."""
    parser = argparse.ArgumentParser(prog="python -m tools.page_shots", description=__doc__.partition("\n")[0])
    parser.add_argument("life", type=Path, help="what `make life` has left")
    life = parser.parse_args().life
    if not (life / "config.toml").exists():
        print(f"page-shots: {life} holds no life: run `make life` first", file=sys.stderr)
        return 2
    SHOTS.mkdir(parents=True, exist_ok=True)
    CHOSEN.mkdir(exist_ok=True)
    with chromium() as browser:
        _run_pass(life / "config.toml")  # of today, which the life has left to its service
        with _served(life / "config.toml") as root:
            _photograph(browser, root, "200")
        for count in (3, 5000):
            with _made_up(count) as file, _served(file) as root:
                _photograph(browser, root, str(count))
    for name, shot in PAPERS.items():
        shutil.copy(SHOTS / f"{shot}.png", CHOSEN / name)
    print(f"written: {SHOTS.relative_to(ROOT)}, {CHOSEN.relative_to(ROOT)}")
    return 0


@contextmanager
def _made_up(count: int) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=SHOTS.parent) as name:
        host = World(Path(name) / "host", count, port=free_port()).host
        _run_pass(host.file)
        yield host.file


def _run_pass(file: Path) -> None:
    words = [sys.executable, "-m", "tidegate", "--config", str(file), "pass"]
    subprocess.run(words, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)


@contextmanager
def _served(file: Path) -> Iterator[str]:
    """The service of this configuration, once it has scanned; where its page is."""
    http = load(file).exporters.http
    assert http is not None
    root = f"http://{http.listen[0]}:{http.listen[1]}"
    command = [sys.executable, "-m", "tidegate", "--config", str(file), "watch"]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL) as process:
        try:
            _wait_until_ready(root)
            yield root
        finally:
            process.terminate()


def _wait_until_ready(root: str) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        with suppress(OSError), urllib.request.urlopen(f"{root}/-/ready", timeout=10):
            return
        time.sleep(0.1)
    raise TimeoutError(root)


def _photograph(browser: Browser, root: str, name: str) -> None:
    for size, viewport in (("desk", DESKTOP), ("phone", PHONE)):
        for light in ("day", "night"):
            context = browser.new_context(viewport=viewport, color_scheme="light" if light == "day" else "dark")
            page = context.new_page()
            page.goto(root)
            page.wait_for_selector("#answer", timeout=120_000)  # at first there may be none yet; it asks again
            _take(page, SHOTS / f"{name}-{size}-{light}.png", HEIGHTS[size])
            top = page.evaluate("document.getElementById('vms').getBoundingClientRect().top + scrollY")
            _take(page, SHOTS / f"{name}-vms-{size}-{light}.png", 1000, top - 24)
            ill = page.locator(".vms tbody tr", has=page.locator(".dump .chip.bad"))
            (ill if ill.count() else page.locator(".vms tbody tr")).first.get_by_role("link").click()
            page.wait_for_selector("#why")
            _take(page, SHOTS / f"{name}-vm-{size}-{light}.png", HEIGHTS[size])
            context.close()


def _take(page: Page, file: Path, most: int, top: float = 0) -> None:
    wide, tall = page.evaluate("[innerWidth, document.documentElement.scrollHeight]")
    clip: FloatRect = {"x": 0, "y": top, "width": wide, "height": min(most, tall - top)}
    page.screenshot(path=file, full_page=True, clip=clip)


if __name__ == "__main__":
    sys.exit(main())
