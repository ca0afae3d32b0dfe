"""The page: whole, escaped, the same numbers as the tables, and quiet in a browser."""

import html.parser
import json
import re
import shutil
import subprocess
from dataclasses import replace

import pytest
from smallreport import LANGUAGES, report_content

from adaptrans.report.page import render

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
WITHOUT_END = {"meta", "link", "line", "rect", "circle", "polyline", "br"}


class Page(html.parser.HTMLParser):
    """Every element with its attributes and text; refuses elements that are not closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.stack: list[dict] = []
        self.elements: list[dict] = []
        self.feed(text)
        assert not self.stack, f"never closed: {self.stack}"

    def handle_starttag(self, tag, attributes):
        element = {"tag": tag, "text": "", **dict(attributes)}
        self.elements.append(element)
        if tag not in WITHOUT_END:
            self.stack.append(element)

    def handle_startendtag(self, tag, attributes):
        self.elements.append({"tag": tag, "text": "", **dict(attributes)})

    def handle_endtag(self, tag):
        if tag not in WITHOUT_END:
            assert self.stack.pop()["tag"] == tag

    def handle_data(self, data):
        for element in self.stack:
            element["text"] += data

    def all(self, tag):
        return [element for element in self.elements if element["tag"] == tag]


@pytest.fixture(scope="module")
def text():
    return render(report_content())


@pytest.fixture(scope="module")
def page(text):
    return Page(text)


def test_every_section_of_the_navigation_is_there(page):
    ids = {element["id"] for element in page.all("section")}
    links = {element["href"].removeprefix("#") for element in page.all("a")}
    assert links == ids
    assert ids == {
        "means", "differences", "control", "languages", "curves", "cost", "fusion", "notes", "repeat"
    }  # fmt: skip


def test_sections_without_data_are_left_out():
    content = report_content()
    tables = tuple(
        replace(
            table,
            rows=tuple(
                replace(row, above_control=None, control={}, above_controls={}) for row in table.rows[:1]
            ),
        )
        for table in content.tables
    )
    bare = Page(render(replace(content, tables=tables, curves=(), costs=(), fusions=())))
    assert {element["id"] for element in bare.all("section")} == {"means", "languages", "notes", "repeat"}
    assert "control" not in " ".join(element["text"] for element in bare.all("main"))


def test_nothing_is_fetched_and_nothing_runs(text, page):
    assert not page.all("script")
    assert not page.all("img")
    assert not re.search(r"@import|url\(|https?://", text)
    for element in page.elements:
        for name in ("src", "href", "xlink:href"):
            assert (element.get(name) or "#").startswith(("#", "data:,"))


def test_text_is_escaped(text):
    assert "A &lt;small&gt; experiment" in text
    assert "<b>markup</b>" not in text


def test_tables_are_accessible(page):
    tables = page.all("table")
    assert len(tables) == len(page.all("caption"))
    assert all(element.get("scope") in ("row", "col") for element in page.all("th"))
    for element in page.elements:
        if element["tag"] == "svg":
            assert element.get("aria-hidden") == "true" or element.get("aria-label")
    (top,) = page.all("html")
    assert top["lang"] == "en"


def test_the_numbers_are_those_of_the_tables(page):
    content = report_content()
    cells = [element["text"] for element in page.all("td")]
    for table in content.tables:
        for row in table.rows:
            mean = [
                cell
                for cell in cells
                if cell.startswith(f"{row.mean.value:.1f}") and f"{row.mean.low:.1f} to" in cell
            ]
            assert mean
            if row.difference is not None:
                assert any(f"{row.difference.value:+.1f}" in cell for cell in cells)
    titles = [element["text"] for element in page.all("title")]
    for row in content.tables[0].rows:
        for code in LANGUAGES:
            assert any(
                title.startswith(f"{row.setup}, {code}: {row.languages[code].value:.1f}") for title in titles
            )


def test_bars_end_where_their_values_are(page):
    content = report_content(targets=1)
    alone = Page(render(content))
    widths = [float(e["width"].rstrip("%")) for e in alone.all("rect") if str(e.get("width")).endswith("%")]
    values = [row.languages[code].value for code in LANGUAGES for row in content.tables[0].rows]
    ratios = {round(width / value, 3) for width, value in zip(widths, values, strict=True)}
    assert len(ratios) <= 2


def test_a_score_that_is_not_above_chance_is_marked():
    content = report_content(targets=1)
    table = content.tables[0]
    high = {code: replace(result, chance=99.0) for code, result in table.rows[0].languages.items()}
    rows = (replace(table.rows[0], languages=high), *table.rows[1:])
    marked = Page(render(replace(content, tables=(replace(table, rows=rows),))))
    assert sum("°" in element["text"] for element in marked.all("td")) >= len(LANGUAGES)


def test_what_is_not_zero_shot_is_named_at_every_table_and_plot():
    content = report_content(targets=2)
    first = replace(content.tables[0], regime="not zero-shot: selected on dev sets")
    named = Page(render(replace(content, tables=(first, *content.tables[1:]))))
    assert any("not zero-shot" in element["text"] for element in named.all("figcaption"))
    assert sum("not zero-shot" in element["text"] for element in named.all("th")) >= 2
    assert "not zero-shot" not in render(content)


def test_marks_are_those_after_correction():
    content = report_content(targets=1)
    table = content.tables[0]
    rows = tuple(
        row
        if row.difference is None
        else replace(row, difference=replace(row.difference, p_value=0.001, corrected=1.0))
        for row in table.rows
    )
    bare = replace(content, tables=(replace(table, rows=rows),))
    means = Page(render(bare)).all("table")[0]
    assert "*" not in means["text"].partition("above chance.")[2]


BROWSER = """
<script>
window.addEventListener("load", () => {
  const wide = [...document.querySelectorAll("main *, header *")].filter(
    e => !e.closest(".scroll") && e.getBoundingClientRect().right > innerWidth + 1
  ).map(e => e.outerHTML.slice(0, 99));
  document.documentElement.dataset.seen = JSON.stringify({
    width: innerWidth, scroll: document.documentElement.scrollWidth, wide,
    requests: performance.getEntriesByType("resource").map(r => r.name),
    colour: getComputedStyle(document.body).backgroundColor,
    unreadable: [...document.querySelectorAll("td, th, p, li")].filter(
      e => parseFloat(getComputedStyle(e).fontSize) < 11).length});
});
</script>
"""


def seen(path, width, dark):
    """What a browser says of the page, and its console."""
    scheme = ["--blink-settings=preferredColorScheme=0"] if dark else []
    command = [
        CHROMIUM,
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--enable-logging=stderr",
        "--v=0",
    ]
    command += ["--disable-background-networking", "--no-first-run", "--disable-component-update", *scheme]
    command += [f"--window-size={width},900", "--dump-dom", f"file://{path}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    found = re.search(r'data-seen="([^"]*)"', done.stdout)
    assert found, done.stderr
    console = [line for line in done.stderr.splitlines() if ":CONSOLE" in line]
    return json.loads(html.unescape(found[1])), console


@pytest.mark.skipif(CHROMIUM is None, reason="needs a browser: install Debian's chromium")
@pytest.mark.parametrize(("width", "dark"), [(500, True), (1600, False)])
def test_in_a_browser_nothing_fails_is_fetched_or_overflows(text, tmp_path, width, dark):
    # A headless window is 500 pixels wide or more; narrower screens are tried in a frame.
    (tmp_path / "page.html").write_text(text.replace("</body>", f"{BROWSER}</body>"), encoding="utf-8")
    found, console = seen(tmp_path / "page.html", width, dark)
    assert console == []
    assert found["requests"] == []
    assert found["scroll"] <= found["width"]
    assert found["wide"] == []
    assert found["unreadable"] == 0
    assert found["colour"] == ("rgb(20, 23, 28)" if dark else "rgb(255, 255, 255)")


@pytest.mark.skipif(CHROMIUM is None, reason="needs a browser: install Debian's chromium")
def test_at_400_pixels_nothing_overflows(text, tmp_path):
    framed = html.escape(text, quote=True)
    (tmp_path / "frame.html").write_text(
        f'<iframe id="f" srcdoc="{framed}" style="width:400px;height:900px;border:0"></iframe><script>'
        'window.addEventListener("load", () => { const d = document.getElementById("f").contentDocument;'
        "document.documentElement.dataset.seen = JSON.stringify("
        "{scroll: d.documentElement.scrollWidth, width: d.documentElement.clientWidth,"
        "text: d.body.innerText.length}); });</script>",
        encoding="utf-8",
    )
    found, console = seen(tmp_path / "frame.html", 800, False)
    assert console == []
    assert found["text"] > 1000
    assert found["scroll"] == found["width"] <= 400
