"""The page in a real browser: everybody can use it, nothing is cut, no name does anything, and it renews itself."""

import platform
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, Page, expect

from core.filenames import printable
from exporters.page import pages
from tests.page.browser import DESKTOP, PHONE, Served, chromium, misfits, opened, serving, violations
from tests.page.made import HOSTILE, Made

pytestmark = pytest.mark.slow

PERIOD = 15_000  # of page.js, in milliseconds

#: What somebody's HTML would try, had it become a part of the page.
_BREAK_IN = """() => {
  window.refused = new Set();
  document.addEventListener('securitypolicyviolation', (event) => refused.add(event.effectiveDirective));
  document.body.insertAdjacentHTML('beforeend', `<b onclick="hacked=1" style="color: red">b</b>
    <img src="http://127.0.0.1:9/x.png"><iframe src="/"></iframe>`);
  document.querySelector('b[onclick]').click();
  const script = document.createElement('script');
  script.textContent = 'hacked=1';
  document.body.append(script);
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def of_200(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """For those who only look."""
    with serving(Made(tmp_path_factory.mktemp("of_200") / "host", 200)) as served:
        yield served


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    """For those who change it; whatever is changed is seen at once."""
    monkeypatch.setattr(pages, "_REST", 0.0)
    with serving(Made(tmp_path / "host", 12)) as served:
        yield served


# --- everybody can use it


def is_good(page: Page, *, at_night_on_a_desk: bool = False) -> None:
    """A phone by day and a desk at night, or the other way round."""
    for size, dark in ((PHONE, not at_night_on_a_desk), (DESKTOP, at_night_on_a_desk)):
        page.set_viewport_size(size)
        page.emulate_media(color_scheme="dark" if dark else "light")
        assert misfits(page) == []
        assert violations(page) == []


@pytest.mark.parametrize("count", [3, 200, 5000])
def test_the_first_page_is_for_everybody_and_nothing_overlaps_or_is_cut(
    browser: Browser, count: int, tmp_path: Path
) -> None:
    """axe finds nothing, whatever is opened; with as many VMs as there may be."""
    with serving(Made(tmp_path / "host", count)) as served, opened(browser, served.url()) as page:
        page.locator("summary").click()
        is_good(page, at_night_on_a_desk=count != 200)
        if count == 3:
            is_good(page)


@pytest.mark.parametrize("path", ["/queue", f"/vm/{'x' * 255}", "/?vm=%3Cscript&set=%3Cb%3E", "/?vm=nobody"])
def test_the_other_pages_are_as_good(browser: Browser, of_200: Served, path: str) -> None:
    """With names that are hard to lay out, and where there is nothing to show."""
    with opened(browser, of_200.url(path)) as page:
        is_good(page)


def test_a_page_that_is_not_there_is_as_good(browser: Browser, served: Served) -> None:
    """And one that says why nothing can be known: no old headline is beside it."""
    with opened(browser, served.url("/vm/nobody"), status=404) as page:
        is_good(page)
    served.made.config.state.path.rename(served.made.host.folder / "<b>away")
    with opened(browser, served.url(), status=503) as page:
        expect(page.get_by_role("heading", level=1)).to_have_text("I cannot say whether all is well.")
        expect(page).to_have_title("? unknown \N{EN DASH} Tidegate")
        is_good(page)


def test_windows_of_every_width_are_filled_as_well(browser: Browser, of_200: Served) -> None:
    """What lies between a phone and a desk, a wall, and letters four times as large."""
    with opened(browser, of_200.url()) as page:
        for width in (320, 500, 700, 831, 833, 1000, 2560):
            page.set_viewport_size({"width": width, "height": 800})
            assert misfits(page) == [], width


def test_the_first_thing_said_is_whether_one_can_sleep(browser: Browser, served: Served) -> None:
    """To those who see and to those who listen: the one heading of the first rank, and the title."""
    host = platform.node()
    with opened(browser, served.url()) as page:
        heading = page.get_by_role("heading", level=1)
        expect(heading).to_have_text(re.compile(r"^Look now: [0-9]+ of 12 VMs are not safe off-site\.$"))
        expect(page).to_have_title(re.compile(f"^✗ [0-9]+ not safe \N{EN DASH} Tidegate {host}$"))
        box = heading.bounding_box()
        assert box is not None
        assert box["y"] < 200
    served.made.heal()
    with opened(browser, served.url()) as page:
        expect(page.get_by_role("heading", level=1)).to_have_text("You can sleep.")
        expect(page).to_have_title(f"✓ all 12 safe \N{EN DASH} Tidegate {host}")


def test_what_is_drawn_is_told_in_words_too(browser: Browser, of_200: Served) -> None:
    """Every bar and strip that is not beside its own figures has a text that says what it shows."""
    with opened(browser, of_200.url()) as page:
        drawn = page.get_by_role("img")
        texts = [drawn.nth(number).get_attribute("aria-label") or "" for number in range(drawn.count())]
    assert len(texts) == 51
    assert texts[0].startswith("Of 90 GB: ")
    assert all(" on " in text and "expected to leave: " in text for text in texts[1:])


def test_everything_is_reached_by_keyboard_and_seen_to_be(browser: Browser, served: Served) -> None:
    """The first stop leads to the answer; each link, field and fold has its turn and an outline."""
    with opened(browser, served.url()) as page:
        page.keyboard.press("Tab")
        expect(page.locator(":focus")).to_have_text("Skip to the answer")
        assert misfits(page) == []
        page.keyboard.press("Enter")
        expect(page.locator("main")).to_be_focused()
        page.evaluate("() => { document.querySelector('details').open = true; window.reached = new Set(); }")
        wanted = page.locator("main :is(a, input, select, button, summary), footer a").count()
        for _ in range(wanted):
            page.keyboard.press("Tab")
            page.evaluate(
                "() => { const one = document.activeElement; const style = getComputedStyle(one);"
                " if (style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2) reached.add(one); }"
            )
        assert wanted > 30
        assert page.evaluate("reached.size") == wanted
        page.locator("summary").focus()
        page.keyboard.press("Enter")
        expect(page.locator("details table")).to_be_hidden()


def test_without_a_script_it_is_all_there(browser: Browser, of_200: Served) -> None:
    """To the letter; and the filter works."""
    with opened(browser, of_200.url()) as page:
        with_script = page.locator("main").inner_text()
    with opened(browser, of_200.url(), java_script_enabled=False) as page:
        assert page.locator("main").inner_text() == with_script
        page.get_by_label("VM", exact=True).fill("vm0050")
        page.get_by_role("button", name="Show").click()
        page.get_by_role("link", name="vm0050").last.click()
        expect(page.get_by_role("heading", level=1)).to_have_text("vm0050")


# --- no name does anything


@pytest.mark.parametrize("name", HOSTILE, ids=[f"name{number}" for number in range(len(HOSTILE))])
def test_a_name_is_nothing_but_a_name(browser: Browser, of_200: Served, name: str) -> None:
    """It is shown, with what cannot be seen in it escaped, and leads to its own page; nothing else comes of it."""
    with opened(browser, of_200.url(f"/?vm={quote(name, safe='', errors='surrogateescape')}")) as page:
        page.locator(".vms tbody a").first.click()
        expect(page.get_by_role("heading", level=1)).to_have_text(printable(name))
        assert page.evaluate("typeof hacked") == "undefined"
        assert page.locator("script").count() == 1
        assert page.locator("img, b script, [onmouseover]").count() == 0
        assert misfits(page) == []


# --- it renews itself


@pytest.fixture
def page(browser: Browser, served: Served) -> Iterator[Page]:
    """One whose clock stands still until it is told to go on; it may complain of a service that is gone."""
    context = browser.new_context(viewport=DESKTOP)
    page = context.new_page()
    page.clock.install()
    page.goto(served.url())
    page.evaluate("() => { window.same = true; }")
    yield page
    context.close()


def test_what_changes_is_shown_without_a_reload(page: Page, served: Served) -> None:
    """What was folded out stays so, and the keyboard stays where it was."""
    page.locator("summary").click()
    page.locator(".vms a").nth(2).focus()
    focused = page.locator(".vms a").nth(2).inner_text()
    served.made.heal()
    page.clock.fast_forward(PERIOD)
    expect(page.get_by_role("heading", level=1)).to_have_text("You can sleep.")
    expect(page).to_have_title(re.compile("^✓ all 12 safe"))
    assert page.evaluate("window.same")
    expect(page.locator("details")).to_have_attribute("open", "")
    expect(page.locator(":focus")).to_have_text(focused)


def test_nothing_is_taken_from_under_one_who_writes(page: Page, served: Served) -> None:
    """A half-written name of a VM is still there."""
    page.get_by_label("VM", exact=True).fill("vm00")
    served.made.heal()
    with page.expect_response(served.url()):
        page.clock.fast_forward(PERIOD)
    expect(page.get_by_label("VM", exact=True)).to_have_value("vm00")


def test_a_service_that_is_gone_is_told_and_so_is_its_return(page: Page, served: Served) -> None:
    """Its old headline would be an all-clear that nobody gives."""
    heading = page.get_by_role("heading", level=1).inner_text()
    served.server.stop()
    page.clock.fast_forward(PERIOD)
    expect(page.get_by_role("status")).to_have_text(
        "The service does not answer. The rest of this page is as old as it says."
    )
    expect(page.get_by_role("heading", level=1)).to_have_text("I cannot say: the service does not answer.")
    assert misfits(page) == []
    served.server._listen = served.address
    served.server.start()
    page.clock.fast_forward(PERIOD)
    expect(page.get_by_role("status")).to_have_text("")
    expect(page.get_by_role("heading", level=1)).to_have_text(heading)


def test_a_page_that_nobody_sees_asks_for_nothing(page: Page, served: Served) -> None:
    """And asks at once when it is seen again."""
    hide = "is => { Object.defineProperty(document, 'hidden', {value: is, configurable: true});"
    hide += " document.dispatchEvent(new Event('visibilitychange')); }"
    asked = served.asked
    page.evaluate(hide, True)
    page.clock.fast_forward(PERIOD * 10)
    assert served.asked == asked
    with page.expect_response(served.url()):
        page.evaluate(hide, False)
    assert served.asked == asked + 1


def test_what_is_loaded_or_run_from_elsewhere_is_refused(page: Page) -> None:
    """If escaping ever failed, the browser would still do nothing."""
    page.evaluate(_BREAK_IN)
    page.wait_for_function("refused.size >= 5")
    wanted = ["frame-src", "img-src", "script-src-attr", "script-src-elem", "style-src-attr"]
    assert sorted(page.evaluate("[...refused]")) == wanted
    assert page.evaluate("typeof hacked") == "undefined"
