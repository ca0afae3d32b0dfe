"""Files that are right and were refused, and what is said of those that are not."""

import contextlib
import csv
import io
import json
import sys
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adaptrans.errors import ConfigError, DataError
from adaptrans.task_types.base import TASK_TYPES
from adaptrans.task_types.rows import RowError, Rules
from adaptrans.tasks import catalogue
from adaptrans.tasks.loading import Report, read_examples
from adaptrans.tasks.readers.conll import read_characters
from adaptrans.tasks.readers.files import (
    STDIN,
    other_encoding,
    other_separator,
    read_csv,
    read_json,
    read_jsonl,
    read_lines,
    read_plain,
    read_tsv,
)
from adaptrans.tasks.validation import Checker, read_manifest

SETTINGS = settings(max_examples=60, deadline=None)


def task_of(source, kind="classification", **keys):
    fields = {"text": "text", "label": "label"} if kind == "classification" else None
    mapping = {
        "name": "own", "version": 1, "title": "t", "kind": kind, "roles": ["target"],
        "languages": ["en", "fa"], "scores": ["accuracy"], "license": "l", "citation": "c", "homepage": "h",
        "labels": ["a", "b"], "fields": fields, "splits": {"test": {"files": source}}, **keys,
    }  # fmt: skip
    return catalogue.resolve({name: value for name, value in mapping.items() if value is not None})


def examples(folder, source, content=None, name="test.tsv", report=None, **keys):
    if content is not None:
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_examples(task_of(source, **keys), "test", "en", folder, report=report)


TSV = {"path": "test.tsv", "format": "tsv", "options": {"header": True}}
CSV = {"path": "test.csv", "format": "csv"}


# Lines


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("last", [True, False])
def test_lines_end_as_on_any_machine(tmp_path, end, last):
    rows = ["text\tlabel", "good\ta", "", "bad\tb"]
    path = tmp_path / "file"
    path.write_bytes((end.join(rows) + (end if last else "")).encode())
    assert [line for _, line in read_lines(path)] == rows
    content = (
        end.join(["text,label", '"one\nmore",a', "bad,b"]) if end != "\r" else "text,label\rone,a\rbad,b\r"
    )
    path.write_bytes(content.encode())
    assert [row.values["label"] for row in read_csv(path)] == ["a", "b"]
    path.write_bytes(end.join(["[", '{"a": 1}', "]"]).encode())
    assert [row.values for row in read_json(path)] == [{"a": 1}]


def test_a_carriage_return_among_line_feeds_is_text(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"one\rmore\ntwo\n")
    assert [line for _, line in read_lines(path)] == ["one\rmore", "two"]


@pytest.mark.parametrize(
    ("codec", "name"), [("utf-16", "UTF-16"), ("utf-16-be", "UTF-16"), ("utf-32", "UTF-32")]
)
def test_another_encoding_is_named(tmp_path, codec, name):
    mark = "\ufeff" if codec.endswith("be") else ""
    (tmp_path / "test.tsv").write_bytes(f"{mark}text\tlabel\ngood\ta\n".encode(codec))
    with pytest.raises(DataError, match=rf"test.tsv: is in {name}, not UTF-8; save it as UTF-8"):
        examples(tmp_path, TSV)
    (tmp_path / "own.yaml").write_bytes(f"{mark}name: own\n".encode(codec))
    with pytest.raises(ConfigError, match=rf"own.yaml: is in {name}, not UTF-8; save it as UTF-8"):
        catalogue.get("own", [tmp_path])
    assert other_encoding(b"\xef\xbb\xbftext") is None


@pytest.mark.parametrize(
    "content",
    [
        b'{"text": "caf\xe9"}\n',
        b'{"text": "\\ud800"}\n',
        b'{"text": "a\\u0000"}\n',
        b'{"text": "a\0"}\n',
        b"\n[1]\n",
        b'{"text"\n',
        b"",
        "{}".encode("utf-16"),
    ],
)
def test_standard_input_is_refused_in_the_words_for_files(tmp_path, monkeypatch, content):
    path = tmp_path / "rows.jsonl"
    path.write_bytes(content)
    with pytest.raises(DataError) as of_file:
        list(read_jsonl(path))
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(content)))
    with pytest.raises(DataError) as of_stdin:
        list(read_jsonl(STDIN))
    assert str(of_stdin.value) == str(of_file.value).replace(str(path), "-")


@pytest.mark.parametrize("content", [b'\xef\xbb\xbf{"a": 1}\n\n{"a": 2}', b'{"a": 1}\r\n{"a": 2}\r\n'])
def test_standard_input_is_read_as_files_are(tmp_path, monkeypatch, content):
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(content)))
    assert [row.values for row in read_jsonl(STDIN)] == [{"a": 1}, {"a": 2}]


# Tables


@pytest.mark.parametrize("size", [131_073, 1_000_000])
def test_long_fields_are_read(tmp_path, size):
    text = "word " * (size // 5) + "!" * (size % 5)
    for source, name, mark in ((CSV, "test.csv", ","), (TSV, "test.tsv", "\t")):
        (example,) = examples(tmp_path, source, f"text{mark}label\n{text}{mark}a\n", name)
        assert example.text == text.strip()


@SETTINGS
@given(
    st.lists(st.tuples(st.text(max_size=9), st.sampled_from("ab")), min_size=1, max_size=5),
    st.sampled_from([",", ";", "\t", "|"]),
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
)
def test_what_the_csv_module_writes_is_read(tmp_path_factory, rows, sign, quoting):
    rows = [
        (text.replace("\0", "").replace("\r", "").encode("utf-8", "ignore").decode(), label)
        for text, label in rows
    ]
    out = io.StringIO()
    writer = csv.writer(out, delimiter=sign, quoting=quoting, lineterminator="\n")
    writer.writerows([("text", "label"), *rows])
    path = tmp_path_factory.mktemp("csv") / "a.csv"
    path.write_bytes(out.getvalue().encode())
    found = [tuple(row.values.values()) for row in read_csv(path, separator=sign)]
    assert found == rows


def test_blank_lines_may_end_a_table(tmp_path):
    assert len(examples(tmp_path, TSV, "text\tlabel\ngood\ta\n\n \n")) == 1
    with pytest.raises(DataError, match=r"test.tsv:3: expected 2 columns, found 1"):
        examples(tmp_path, TSV, "text\tlabel\ngood\ta\n\nbad\tb\n")
    # Of one column a blank line is an empty text.
    path = tmp_path / "one"
    path.write_text("a\n\nb\n")
    assert len(list(read_tsv(path, columns=["text"]))) == 3


def test_columns_without_a_name_are_no_doubles(tmp_path):
    assert len(examples(tmp_path, CSV, ",text,label,\n0,good,a,x\n", "test.csv")) == 1
    with pytest.raises(DataError, match='names the column "text" twice'):
        examples(tmp_path, CSV, "text,text,label\n1,2,a\n", "test.csv")


@pytest.mark.parametrize(("sign", "word"), [(";", "semicolons"), ("\t", "tabs"), ("|", "bars")])
def test_another_separator_is_named(tmp_path, sign, word):
    content = f"text{sign}label\ngood{sign}a\n"
    with pytest.raises(DataError, match=rf"divided by {word}: set the option separator to "):
        examples(tmp_path, CSV, content, "test.csv")
    source = {**CSV, "options": {"separator": sign}}
    assert len(examples(tmp_path, source, content, "test.csv")) == 1
    named = {"path": "test.tsv", "format": "tsv", "options": {"columns": ["text", "label"]}}
    with pytest.raises(DataError, match="divided by commas"):
        examples(tmp_path, named, "good,a\n")
    assert other_separator("no sign") is None


def test_quotes_of_a_writer_are_noted(tmp_path):
    report = Report()
    found = examples(tmp_path, TSV, 'text\tlabel\n"He said ""no"" to me"\ta\nplain\tb\n', report=report)
    assert found[0].text == '"He said ""no"" to me"'
    assert "1 row(s) hold cells between quotes" in report.hints[0]
    assert "between quotes" in Checker(tmp_path).check(task_of(TSV), "test", "en").notes[0]
    source = {"path": "test.tsv", "format": "csv", "options": {"separator": "\t"}}
    assert examples(tmp_path, source)[0].text == 'He said "no" to me'
    report = Report()
    examples(tmp_path, TSV, 'text\tlabel\n"Stop!"\ta\nthe "best" one\tb\n', report=report)
    assert report.hints == []


def test_one_of_several_files_may_be_without_rows(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    table = pyarrow.Table.from_pylist([{"text": "good", "label": "a"}])
    parquet.write_table(table, tmp_path / "test-1.parquet")
    parquet.write_table(table.slice(0, 0), tmp_path / "test-2.parquet")
    source = {"path": "test-*.parquet", "format": "parquet"}
    report = Report()
    assert len(examples(tmp_path, source, report=report)) == 1
    assert report.notes == ["test-2.parquet holds no row"]
    parquet.write_table(table.slice(0, 0), tmp_path / "test-1.parquet")
    with pytest.raises(DataError, match="holds no row"):
        examples(tmp_path, source)


# Names of files


def test_names_with_brackets_braces_and_whole_paths(tmp_path):
    content = "text\tlabel\ngood\ta\n"
    for name in ("data[1].tsv", "{part}-en.tsv"):
        (tmp_path / name).write_text(content)
        source = {**TSV, "path": name.replace("-en", "-{lang}")}
        assert len(examples(tmp_path, source)) == 1
    assert len(examples(tmp_path, {**TSV, "path": str(tmp_path / "data*.tsv")})) == 1
    source = {**CSV, "options": {"separator": "{"}}
    assert len(examples(tmp_path, source, "text{label\ngood{a\n", "test.csv")) == 1


# Values


def test_labels_of_numbers():
    build = TASK_TYPES["classification"].build
    rules = Rules(labels=("bad", "fair", "good"), label_map={"-1": "bad", "0": "fair", "1": "good"})
    for raw, label in ((-1, "bad"), (0, "fair"), (1.0, "good"), (-1.0, "bad"), ("1", "good")):
        assert build("1", {"text": "a", "label": raw}, rules).label == label
    with pytest.raises(RowError, match="the label is missing"):
        build("1", {"text": "a", "label": -1}, Rules(labels=("0", "1")))
    choice = TASK_TYPES["multiple_choice"].build
    assert choice("1", {"prompt": "p", "choices": ["a", "b"], "label": 1.0}, Rules()).label == 1


@pytest.mark.parametrize(
    "answers",
    [
        {"text": "Bonn", "answer_start": 3},
        {"text": ["Bonn"], "answer_start": [3.0]},
        [{"text": "Bonn", "answer_start": 3}],
        [[3, "Bonn"]],
    ],
)
def test_answers_in_any_form(answers):
    build = TASK_TYPES["span_qa"].build
    found = build("1", {"question": "q", "context": "in Bonn", "answers": answers}, Rules())
    assert [(answer.text, answer.start) for answer in found.answers] == [("Bonn", 3)]


@pytest.mark.parametrize("answers", ["Bonn", 3, {"text": 3}, {"text": ["a"], "answer_start": 3}, [3], {}])
def test_answers_in_no_form_are_refused_in_one_line(answers):
    with pytest.raises(RowError):
        TASK_TYPES["span_qa"].build("1", {"question": "q", "context": "in Bonn", "answers": answers}, Rules())


def test_one_key_of_a_query_is_not_its_letters():
    build = TASK_TYPES["passage_ranking"].build
    for keys in ("Q42", ["Q42"], ("Q42",)):
        assert build("1", {"query": "q", "keys": keys}, Rules()).keys == ("Q42",)
    with pytest.raises(RowError, match="nothing says what answers"):
        build("1", {"query": "q", "keys": None}, Rules())


def test_a_character_is_a_letter_with_its_marks(tmp_path):
    path = tmp_path / "file"
    path.write_text("## id\ne\u0301\tB-X\nt\tI-X\n\u1112\u1161\u11ab\tI-X\n", encoding="utf-8")
    (row,) = read_characters(path)
    assert row.values["words"] == ["e\u0301t\u1112\u1161\u11ab"]
    path.write_text("ab\tO\n")
    with pytest.raises(DataError, match="expected a character"):
        list(read_characters(path))


def test_superscripts_are_no_numbers(tmp_path):
    from adaptrans.task_types.rows import path_getter
    from adaptrans.tasks.readers.conll import read_conllu

    path = tmp_path / "a.conllu"
    path.write_text("\u00b2" + "\ta\ta\tX" + "\t_" * 6 + "\n", encoding="utf-8")
    with pytest.raises(DataError, match="does not follow 0"):
        list(read_conllu(path))
    with pytest.raises(RowError):
        path_getter("a.\u00b2")({"a": ["x"]})
    (tmp_path / "FILES.tsv").write_text("file\tcount\na.tsv\t\u00b2\n", encoding="utf-8")
    with pytest.raises(DataError, match="is not a number"):
        read_manifest(tmp_path)


# The manifest


def test_a_manifest_of_any_tool(tmp_path):
    import hashlib

    content = b"text\tlabel\ngood\ta\n"
    hashed = hashlib.sha256(content).hexdigest().upper()
    (tmp_path / "test.tsv").write_bytes(content)
    manifest = f"\ufefffile\tcount\tsha256\r\n./test.tsv\t1 \t{hashed}\r\n"
    (tmp_path / "FILES.tsv").write_bytes(manifest.encode())
    result = Checker(tmp_path).check(task_of(TSV), "test", "en")
    assert (result.examples, result.verified) == (1, 1)
    (tmp_path / "FILES.tsv").write_bytes(b"file\tcount\ncaf\xe9.tsv\t1\n")
    with pytest.raises(DataError, match=r"FILES\.tsv:2: not UTF-8"):
        read_manifest(tmp_path)


# Any input


HARD = st.text(st.sampled_from('ab\t,;|"\n\r \u00a0\u2028\ufeff{}[]:\\u0'), max_size=40)


@SETTINGS
@given(
    HARD,
    st.sampled_from(["tsv", "csv", "jsonl", "json", "lines", "squad", "columns", "characters", "conllu"]),
)
def test_any_text_is_read_or_refused_with_its_file(tmp_path_factory, text, format):
    from adaptrans.tasks.readers.files import FORMATS

    path = tmp_path_factory.mktemp("any") / "file"
    path.write_bytes(text.encode())
    options = {"header": True} if format == "tsv" else {}
    try:
        lines = [row.line for row in FORMATS[format](path, **options)]
    except DataError as error:
        told, lines = str(error), []
    else:
        told = str(path)
    assert str(path) in told
    assert "\n" not in told
    assert lines == sorted(lines)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.floats() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["text", "answer_start", "a"]), inner, max_size=3)
    ),
    max_leaves=6,
)


@SETTINGS
@given(JSON, JSON)
def test_any_answers_and_labels_are_taken_or_refused_as_a_row(answers, label):
    fields = {"question": "q", "context": "a b", "answers": answers, "text": "t", "label": label}
    fields |= {"prompt": "p", "choices": answers, "keys": label, "query": "q"}
    for kind in ("span_qa", "span_qa_null", "multiple_choice", "classification", "passage_ranking"):
        with contextlib.suppress(RowError):
            assert TASK_TYPES[kind].build("1", fields, Rules(labels=("a", "1"))).id == "1"


def test_plain_lines_stay_as_they_are(tmp_path):
    path = tmp_path / "file"
    path.write_text("a\n\nb\n")
    assert [row.values["text"] for row in read_plain(path)] == ["a", "b"]


def test_json_lines_are_what_json_writes(tmp_path):
    path = tmp_path / "file"
    path.write_text("\n".join(json.dumps({"a": value}) for value in (1, "x\u2028y", [2])))
    assert [row.values["a"] for row in read_jsonl(path)] == [1, "x\u2028y", [2]]
