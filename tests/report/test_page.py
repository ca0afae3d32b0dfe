"""The page: whole, escaped, accessible, the same numbers as the tables."""

import html.parser
import re
from dataclasses import replace

import pytest
from support.smallreport import LANGUAGES, report_content

from adaptrans.analysis.aggregates import Mean, OverallTable
from adaptrans.analysis.published import Line, PublishedBaselines
from adaptrans.report.html import render

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


def test_means_of_a_benchmark_have_a_section():
    content = report_content(targets=1)
    means = {
        "full": {"qa": Mean(60.0, 58.0, 62.0)},
        "mnli > target": {"qa": Mean(61.0, 59.0, 63.0, 1.0, 0.2, 1.8)},
    }
    table = OverallTable("xtreme@1", "mini", "", ("qa", "overall"), means, {"xnli": "not evaluated"})
    shown = Page(render(replace(content, benchmarks=(table,))))
    (section,) = (element for element in shown.all("section") if element.get("id") == "benchmarks")
    for words in ("xtreme@1", "61.0", "59.0 to 63.0", "+1.0", "xnli (not evaluated)"):
        assert words in section["text"]


def test_cost_shows_weights_time_and_memory(page):
    views = [e["aria-label"] for e in page.all("svg") if "against score" in e.get("aria-label", "")]
    assert {view.partition(" ")[0] for view in views} == {"weights", "time", "memory"}
    (numbers,) = (e["text"] for e in page.all("table") if "Trained weights, training time" in e["text"])
    for words in ("10,000", "30 s", "768 MiB", "1.2 GiB"):
        assert words in numbers


def test_published_rows_stand_below_the_own_ones():
    content = report_content(targets=2)
    line = Line("XLM-R Large", 79.2, {}, "found", "a paper")
    shown = Page(
        render(
            replace(
                content,
                published=(PublishedBaselines("target_0@1", (line,)), PublishedBaselines("target_1@1")),
            )
        )
    )
    rows = [element["text"] for element in shown.all("tr") if element.get("class") == "published"]
    assert rows == ["published: XLM-R Large79.2–"]


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
    assert not re.search(r"@import|url\((?!#)|https?://", text)
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
    bars = {}
    for title, path in zip(alone.elements, alone.elements[1:], strict=False):
        if title["tag"] == "title" and path["tag"] == "path":
            corners = re.findall(r"[ML] ([-0-9.]+)", path["d"])
            bars[title["text"].partition(": ")[0]] = float(corners[1]) - float(corners[0])
    ratios = [
        bars[f"{row.setup}, {code}"] / row.languages[code].value
        for code in LANGUAGES
        for row in content.tables[0].rows
    ]
    assert ratios == pytest.approx([ratios[0]] * len(LANGUAGES) * len(content.tables[0].rows), rel=1e-4)


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
