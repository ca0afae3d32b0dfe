"""Figures and tables as files: all there, readable again, the page's numbers."""

import csv
import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import pytest
from support.smallreport import LANGUAGES, SETUPS, report_content

from adaptrans.report.charts import write_figures


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The files of a page with everything, by name."""
    folder = tmp_path_factory.mktemp("figures") / "new"
    files = write_figures(report_content(targets=2), folder)
    assert sorted(files) == sorted(folder.iterdir())
    return {path.name: path for path in files}


def rows(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_every_figure_and_table_is_there_in_every_form(written):
    both = ("differences", "control", "languages-target_0_1", "languages-target_1_1", "cost")
    fusion = "fusion-fuse_a_rather_long_name_another_name_target-target_0_1"
    expected = {f"{name}.{form}" for name in (*both, fusion) for form in ("csv", "tex", "png", "svg")}
    expected |= {
        f"curves-{name}.{form}"
        for name in ("intermediate-mnli", "target-target_0")
        for form in ("csv", "png", "svg")
    }
    assert set(written) == expected | {"means.csv", "means.tex"}


def test_pictures_are_pictures_with_their_words(written):
    for name, path in written.items():
        if name.endswith(".png"):
            assert path.read_bytes().startswith(b"\x89PNG")
            assert path.stat().st_size > 5000
    text = " ".join(ElementTree.parse(written["differences.svg"]).getroot().itertext())
    for word in ("target_0@1", SETUPS[1], "+6.5*"):
        assert word in text
    assert SETUPS[0] not in re.sub(r"Difference to full", "", text).split()


def test_the_same_numbers_give_the_same_files(written, tmp_path):
    again = write_figures(replace(report_content(targets=1), curves=()), tmp_path)
    same = [path for path in again if path.name.startswith(("languages", "fusion")) and path.suffix != ".png"]
    assert len(same) == 6
    for path in same:
        assert path.read_bytes() == written[path.name].read_bytes(), path.name


def test_values_are_those_of_the_tables(written):
    content = report_content(targets=2)
    means = {(row["setup"], row["target"]): row for row in rows(written["means.csv"])}
    for table in content.tables:
        for row in table.rows:
            found = means[row.setup, table.target]
            assert float(found["mean"]) == row.mean.value
            assert float(found["low"]) == row.mean.low
        name = f"languages-{table.target.replace('@', '_')}.csv"
        values = {(row["setup"], row["language"]): float(row["value"]) for row in rows(written[name])}
        assert values == {
            (row.setup, code): row.languages[code].value for row in table.rows for code in LANGUAGES
        }
    gaps = {(row["setup"], row["target"]): float(row["value"]) for row in rows(written["differences.csv"])}
    assert gaps[SETUPS[1], "target_0@1"] == content.tables[0].rows[1].difference.value


def test_latex_is_escaped_and_has_one_cell_per_column(written):
    text = written["means.tex"].read_text()
    assert r"fuse(a\_rather\_long\_name, another\_name) $>$ target" in text
    body = text.partition(r"\midrule")[2].partition(r"\bottomrule")[0].strip().splitlines()
    assert {line.count("&") for line in body} == {2}
    assert all(line.endswith(r"\\") for line in body)
