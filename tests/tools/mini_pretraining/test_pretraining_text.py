import gzip

import pytest
from mini_pretraining.config import parse
from mini_pretraining.text import inventory, locate, read

from adaptrans.errors import AdaptransError, ConfigError, DataError, MissingDataError, UnknownNameError
from adaptrans.tasks.readers.files import read_lines


def test_reads_all_three_kinds(text_folder, values):
    found = read(text_folder, parse(values, "tiny"))
    assert [part.language for part in found.mono] == ["en", "de", "sw"]
    assert found.parallel[0].lines["sw"][5] == ""
    assert {(d.source, d.target) for d in found.dictionary} == {("en", "de"), ("en", "sw")}
    rows = {(row["part"], row["language"]): row["lines"] for row in inventory(found)}
    assert rows["parallel", "sw"] == 119
    assert rows["dictionary", "en-de"] == 15


def test_line_ranges_pick_sources(text_folder, values):
    values["text"]["mono"] = {"en": {"a": [1, 2], "b": [60, None]}}
    found = read(text_folder, parse(values, "tiny"))
    everything = [line for _, line in read_lines(text_folder / "mono" / "en.txt.gz")]
    assert [(part.source, list(part.lines)) for part in found.mono] == [
        ("a", everything[:2]),
        ("b", everything[59:]),
    ]


def test_range_beyond_the_file(text_folder, values):
    values["text"]["mono"] = {"en": {"a": [1, 61]}}
    with pytest.raises(ConfigError, match=r"text.mono.en.a: lines 1 to 61, but .*en.txt.gz has 60"):
        read(text_folder, parse(values, "tiny"))


def test_plain_files_and_the_folder_around(tmp_path, values):
    (tmp_path / "text" / "mono").mkdir(parents=True)
    (tmp_path / "text" / "mono" / "en.txt").write_text("one\u2028two\r\nthree", encoding="utf-8")
    values |= {"languages": ["en"], "text": {}, "objectives": {}}
    found = read(locate(tmp_path), parse(values, "tiny"))
    assert found.mono[0].lines == ("one\u2028two", "three")


def test_unaligned_corpus(text_folder, values):
    path = text_folder / "parallel" / "tales" / "sw.gz"
    path.write_bytes(gzip.compress(b"one line\n"))
    with pytest.raises(DataError, match=r"sw.gz: 1 lines, but de.gz has 120: the corpus is not aligned"):
        read(text_folder, parse(values, "tiny"))


def test_unknown_language_and_source(text_folder, values):
    plan = parse({**values, "languages": ["en", "swa"]}, "tiny")
    with pytest.raises(UnknownNameError, match='unknown language "swa"; did you mean "sw"'):
        read(text_folder, plan)
    values["text"]["parallel"] = ["tails"]
    with pytest.raises(UnknownNameError, match='unknown parallel source "tails"; did you mean "tales"'):
        read(text_folder, parse(values, "tiny"))


@pytest.mark.parametrize(
    "content",
    [b"not gzip at all", gzip.compress(b"x" * 5000)[:-9], gzip.compress(b"\xff\xfe")],
    ids=["no gzip", "cut gzip", "no UTF-8"],
)
def test_damaged_files_give_one_line(text_folder, values, content):
    (text_folder / "mono" / "de.txt.gz").write_bytes(content)
    with pytest.raises(DataError, match=r"de\.txt\.gz") as caught:
        read(text_folder, parse(values, "tiny"))
    assert "\n" not in str(caught.value)


def test_bad_dictionary_line_is_numbered(text_folder, values):
    (text_folder / "dictionary" / "words" / "en-de.tsv.gz").write_bytes(gzip.compress(b"a\tb\nalone\n"))
    with pytest.raises(DataError, match=r"en-de.tsv.gz:2: expected word TAB translation"):
        read(text_folder, parse(values, "tiny"))


def test_language_left_without_text(text_folder, values):
    values["text"] = {"mono": {"en": {"a": [1, 5]}}}
    with pytest.raises(MissingDataError, match="no text of the sources named for de, sw"):
        read(text_folder, parse(values, "tiny"))


def test_no_text_folder(tmp_path):
    with pytest.raises(AdaptransError, match="no text in"):
        locate(tmp_path)


def test_sample_sentences_are_a_corpus_of_their_own(text_folder, values):
    plan = parse({**values, "text": {**values["text"], "samples": 10}}, "tiny")
    found = read(text_folder, plan)
    corpus = found.parallel[-1]
    assert corpus.name == "sample-suite"
    assert {language: len(lines) for language, lines in corpus.lines.items()} == {
        "en": 10,
        "de": 10,
        "sw": 10,
    }
    with pytest.raises(ConfigError, match="sample-suite"):
        parse({**values, "text": {"samples": 10, "sources": {"other": {"licence": "CC0 1.0"}}}}, "tiny")
