"""The page in a real headless browser: quiet, alone, readable on a telephone and a wide screen, printed."""

from dataclasses import replace

import pytest
from support.browser import CHROMIUM, WHY_SKIPPED, Browser
from support.smallreport import report_content

from adaptrans.analysis.published import Line, PublishedBaselines
from adaptrans.report.html import render

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason=WHY_SKIPPED)

LOOK = r"""
(() => {
  const shown = e => e.checkVisibility ? e.checkVisibility() : true;
  const name = e => e.outerHTML.slice(0, 120);
  const all = [...document.querySelectorAll("header *, main *")].filter(shown);
  const free = all.filter(e => !e.closest(".scroll"));
  const said = all.filter(e => [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim())
    && !["title", "style"].includes(e.tagName.toLowerCase()));
  const parse = text => {
    const [r, g, b, alpha] = text.match(/[\d.]+/g).map(Number);
    return [r, g, b, alpha ?? 1];
  };
  const over = (top, below) => top.slice(0, 3).map((v, i) => v * top[3] + below[i] * (1 - top[3]));
  const behind = e => {
    const layers = [];
    for (let at = e; at; at = at.parentElement) layers.push(parse(getComputedStyle(at).backgroundColor));
    return layers.reverse().reduce((below, layer) => over(layer, below), [255, 255, 255]);
  };
  const light = rgb => {
    const [r, g, b] = rgb.map(v => v / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const contrast = e => {
    const style = getComputedStyle(e), below = behind(e);
    const color = parse(e instanceof SVGElement ? style.fill : style.color);
    color[3] *= Number(style.opacity);
    const [a, b] = [light(over(color, below)), light(below)];
    return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  };
  return {
    width: innerWidth, scroll: document.documentElement.scrollWidth,
    words: document.body.innerText.length,
    wide: free.filter(e => e.getBoundingClientRect().right > innerWidth + 1).map(name),
    left: free.filter(e => e.getBoundingClientRect().left < -1).map(name),
    small: said.filter(e => parseFloat(getComputedStyle(e).fontSize) < 11).map(name),
    clipped: said.filter(e => e.clientWidth && e.scrollWidth > e.clientWidth + 1 && !e.closest(".scroll")
      && getComputedStyle(e).overflowX !== "visible").map(name),
    pale: said.filter(e => contrast(e) < 4.5).map(e => [contrast(e).toFixed(2), name(e)]),
    color: getComputedStyle(document.body).backgroundColor,
    nav: getComputedStyle(document.querySelector("nav")).display,
  };
})()
"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    found = Browser(tmp_path_factory.mktemp("browser"))
    yield found
    found.close()


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """A page with everything that it can show, and many targets."""
    content = report_content(targets=9)
    lines = (Line("A published system with a long name", 61.2, {}, "found", "where it was published"),)
    beside = tuple(
        PublishedBaselines(table.target, lines if place == 0 else ())
        for place, table in enumerate(content.tables)
    )
    path = tmp_path_factory.mktemp("page") / "page.html"
    path.write_text(render(replace(content, published=beside)), encoding="utf-8")
    return path


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [400, 1600])
def test_it_is_quiet_alone_and_readable(browser, page, width, dark):
    seen = browser.open(page, width, dark=dark)
    browser.ask("document.querySelectorAll('details').forEach(e => e.open = true)")
    found = browser.ask(LOOK)
    assert seen.errors == []
    assert seen.requests == []
    assert found["width"] == width
    assert found["scroll"] <= width
    assert found["words"] > 3000
    assert found["color"] == ("rgb(20, 23, 28)" if dark else "rgb(255, 255, 255)")
    for fault in ("wide", "left", "small", "clipped", "pale"):
        assert found[fault] == [], fault


TABLES = r"""
[...document.querySelectorAll("table")].filter(t => t.checkVisibility()).map(t => {
  const box = t.closest(".scroll"), frame = box && box.getBoundingClientRect();
  if (!box) return {name: t.outerHTML.slice(0, 80), box: false};
  const cells = [...t.querySelectorAll("th, td")];
  box.scrollLeft = box.scrollWidth;
  const last = Math.max(...cells.map(c => c.getBoundingClientRect().right));
  const reached = last <= frame.right + 1;
  box.scrollLeft = 0;
  return {
    name: box.getAttribute("aria-label"), box: true, reached,
    framed: frame.left >= 0 && frame.right <= innerWidth,
    spills: cells.filter(c => c.scrollWidth > c.clientWidth + 1).map(c => c.textContent),
    scrolls: box.scrollWidth > box.clientWidth,
    bar: box.offsetHeight - box.clientHeight,
    shade: getComputedStyle(box).backgroundImage.split("linear-gradient").length - 1,
  };
})
"""


@pytest.mark.parametrize("width", [360, 1000, 1400, 1920])
@pytest.mark.parametrize("targets", [7, 14])
def test_no_cell_is_cut_off_and_what_scrolls_shows_that_it_does(browser, tmp_path, width, targets):
    path = tmp_path / "page.html"
    path.write_text(render(report_content(targets=targets)), encoding="utf-8")
    browser.open(path, width)
    browser.ask("document.querySelectorAll('details').forEach(e => e.open = true)")
    found = browser.ask(TABLES)
    assert len(found) > targets
    for table in found:
        assert table["box"], table
        assert table["reached"], table
        assert table["framed"], table
        assert table["spills"] == [], table
        if table["scrolls"]:
            assert table["shade"] == 4, table
            # A telephone draws its bar over the page, and only while it moves.
            assert width < 600 or table["bar"] > 5, table
    wide = {table["name"] for table in found if table["scrolls"]}
    # Seven targets, as many as the quickstart has, fit from 1,400 pixels on.
    assert ("Means over languages" in wide) == (width < 1400 or targets == 14), wide


def test_the_heat_map_and_the_bars_are_seen(browser, page):
    browser.open(page, 1600)
    shades = browser.ask(
        "[...document.querySelectorAll('#differences td')].map(e => getComputedStyle(e).backgroundColor)"
    )
    assert len(set(shades)) >= 3
    heights = browser.ask(
        "[...document.querySelectorAll('#languages path, #curves path, #cost use')]"
        ".map(e => e.getBoundingClientRect()).filter(r => r.width > 2 && r.height > 2).length"
    )
    assert heights > 100


def test_it_prints_on_white_without_the_navigation(browser, page):
    browser.open(page, 1000, dark=True, media="print")
    found = browser.ask(LOOK)
    assert (found["color"], found["nav"]) == ("rgb(255, 255, 255)", "none")
    assert found["pale"] == []
    assert browser.pdf().startswith(b"%PDF")


def test_keys_reach_what_scrolls(browser, page):
    browser.open(page, 400)
    boxes = browser.ask(
        "[...document.querySelectorAll('.scroll')].filter(e => e.scrollWidth > e.clientWidth)"
        ".map(e => [e.tabIndex, e.getAttribute('aria-label')])"
    )
    assert boxes
    assert all(place == 0 and label for place, label in boxes)


def test_what_a_page_does_wrong_is_noticed(browser, tmp_path):
    (tmp_path / "bad.html").write_text(
        "<body><header><nav></nav></header><main><p style='font-size:8px;color:#ccc'>small</p>"
        "<div style='width:900px'>wide</div></main>"
        "<script>console.error('oh'); fetch('http://127.0.0.1:9/x').catch(() => 0)</script></body>"
    )
    seen = browser.open(tmp_path / "bad.html", 400)
    found = browser.ask(LOOK)
    assert any("oh" in error for error in seen.errors)
    assert seen.requests == ["http://127.0.0.1:9/x"]
    assert found["scroll"] > 400 or found["width"] > 400
    assert found["small"]
    assert found["pale"]
