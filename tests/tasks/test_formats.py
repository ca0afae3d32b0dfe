import csv
import gzip
import io
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adaptrans.errors import DataError
from adaptrans.tasks.readers.conll import read_columns
from adaptrans.tasks.readers.files import (
    FORMATS,
    read_bitext,
    read_csv,
    read_json,
    read_jsonl,
    read_lines,
    read_parquet,
    read_squad,
    read_tsv,
)

COLUMNS = ["one", "two"]
# Everything that is text in UTF-8, other line separators than the line feed included.
TEXT = st.text(st.characters(exclude_characters="\0\r\n\t", exclude_categories=["Cs"]))
WORD = st.text(
    st.characters(exclude_characters="\0", exclude_categories=["Cs", "Zs", "Zl", "Zp", "Cc"]), min_size=1
)


@pytest.fixture
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("formats")


def written(folder, content, name="file", zipped=False):
    content = content if isinstance(content, bytes) else content.encode()
    path = folder / (f"{name}.gz" if zipped else name)
    path.write_bytes(gzip.compress(content) if zipped else content)
    return path


def values(rows):
    return [row.values for row in rows]


def failure(read, path, **options):
    with pytest.raises(DataError) as info:
        list(read(path, **options))
    return str(info.value), info.value.line


@settings(max_examples=50, deadline=None)
@given(
    rows=st.lists(st.tuples(TEXT, TEXT), min_size=1),
    zipped=st.booleans(),
    end=st.sampled_from(["\n", "\r\n"]),
)
def test_tsv_round_trip(tmp_path_factory, rows, zipped, end):
    content = "".join(f"{a}\t{b}{end}" for a, b in rows)
    path = written(tmp_path_factory.mktemp("tsv"), content, zipped=zipped)
    found = list(read_tsv(path, columns=COLUMNS))
    first = {"one": rows[0][0].removeprefix("\ufeff"), "two": rows[0][1]}
    assert values(found) == [first, *({"one": a, "two": b} for a, b in rows[1:])]
    assert [row.line for row in found] == list(range(1, len(rows) + 1))


@settings(max_examples=50, deadline=None)
@given(
    rows=st.lists(
        st.tuples(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])), TEXT),
        min_size=1,
    )
)
def test_csv_round_trip_with_line_ends_in_fields(tmp_path_factory, rows):
    stream = io.StringIO(newline="")
    writer = csv.writer(stream)
    writer.writerows([COLUMNS, *rows])
    path = written(tmp_path_factory.mktemp("csv"), stream.getvalue())
    assert values(read_csv(path)) == [{"one": a, "two": b} for a, b in rows]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXT, lambda inner: st.lists(inner, max_size=3), max_leaves=5
)


@settings(max_examples=50, deadline=None)
@given(
    rows=st.lists(st.dictionaries(TEXT, JSON, max_size=3), max_size=5),
    ascii=st.booleans(),
    indent=st.sampled_from([None, 1]),
)
def test_json_round_trips(tmp_path_factory, rows, ascii, indent):
    folder = tmp_path_factory.mktemp("json")
    whole = written(folder, json.dumps(rows, ensure_ascii=ascii, indent=indent), "a.json")
    assert values(read_json(whole)) == rows
    lines = written(
        folder, "".join(json.dumps(row, ensure_ascii=ascii) + "\n" for row in rows) + "\n", "a.jsonl"
    )
    assert values(read_jsonl(lines)) == rows


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.lists(st.tuples(WORD, st.sampled_from(["O", "B-X"])), min_size=1), min_size=1),
    st.booleans(),
    st.booleans(),
)
def test_columns_round_trip(tmp_path_factory, sentences, prefix, final_blank):
    mark = "de:" if prefix else ""
    content = "\n\n".join("\n".join(f"{mark}{word}\t{tag}" for word, tag in s) for s in sentences)
    path = written(tmp_path_factory.mktemp("columns"), content + ("\n\n" if final_blank else "\n"))
    found = list(read_columns(path, prefix=prefix))
    expected = [[word for word, _ in s] for s in sentences]
    if not prefix:
        expected[0][0] = expected[0][0].removeprefix("\ufeff")
        if not expected[0][0]:
            return
    assert [row.values["words"] for row in found] == expected
    assert [row.values["tags"] for row in found] == [[tag for _, tag in s] for s in sentences]
    line = 1
    for row in found:
        assert row.line == row.values["lines"][0] == line
        line += len(row.values["words"]) + 1


SQUAD = {
    "data": [
        {"title": "T", "paragraphs": [{"context": 'a "id": "q2" b', "qas": [
            {"id": "q1", "question": "?", "answers": [{"text": "a", "answer_start": 0}]},
            {"id": "q2", "question": "??", "answers": []}]}]},
        {"paragraphs": [{"context": "c", "qas": [{"id": 7, "question": "???", "answers": []}]}]},
    ]
}  # fmt: skip


def test_squad_gives_a_row_per_question_with_its_line(folder):
    text = json.dumps(SQUAD, indent=1)
    rows = list(read_squad(written(folder, text)))
    assert [row.values["id"] for row in rows] == ["q1", "q2", "7"]
    lines = text.split("\n")
    assert [lines[row.line - 1].strip().rstrip(",") for row in rows] == [
        '"id": "q1"',
        '"id": "q2"',
        '"id": 7',
    ]
    assert rows[2].values["path"] == "data[1].paragraphs[0].qas[0]"
    assert rows[0].values["title"] == "T"
    assert {row.line for row in read_squad(written(folder, json.dumps(SQUAD), "one"))} == {1}


def test_squad_damage(folder):
    assert "no list" in failure(read_squad, written(folder, "{}", "a"))[0]
    message, line = failure(read_squad, written(folder, '{"data": [\n{"x": 1,}\n]}', "b"))
    assert "not valid JSON" in message
    assert line == 2
    broken = {"data": [{"paragraphs": [{"context": "c", "qas": [{"question": "?"}]}]}]}
    assert (
        "data[0].paragraphs[0].qas[0] has no id"
        in failure(read_squad, written(folder, json.dumps(broken), "c"))[0]
    )


def test_header_names_the_columns_and_must_hold_those_wanted(folder):
    path = written(folder, "two\tone\nb\ta\n")
    assert values(read_tsv(path, header=True)) == [{"two": "b", "one": "a"}]
    assert 'no column "three"' in failure(read_tsv, path, header=True, columns=["three"])[0]
    assert "name its columns" in failure(read_tsv, path)[0]


@pytest.mark.parametrize(
    ("name", "content", "options", "message", "line"),
    [
        ("tsv", "a\tb\na\n", {"columns": COLUMNS}, "expected 2 columns, found 1", 2),
        ("tsv", "a\tb\n\na\tb\n", {"columns": COLUMNS}, "expected 2 columns, found 1", 2),
        ("tsv", "a\tb\na\tb\tc\n", {"columns": COLUMNS}, "expected 2 columns, found 3", 2),
        ("tsv", b"a\tb\na\t\xff\n", {"columns": COLUMNS}, "not UTF-8 at byte 3", 2),
        ("tsv", "a\tb\na\0\tb\n", {"columns": COLUMNS}, "NUL", 2),
        ("tsv", "", {"columns": COLUMNS}, "empty", None),
        ("csv", 'one,two\n"a\nb",c\nd\n', {}, "expected 2 columns, found 1", 4),
        ("csv", 'one,two\na,"b\n', {}, "not valid CSV", 2),
        ("csv", 'one,two\n"a"b,c\n', {}, "not valid CSV", 2),
        ("jsonl", '{"a": 1}\n{"a": \n', {}, "not valid JSON", 2),
        ("jsonl", '{"a": 1}\n[1]\n', {}, "expected a JSON object", 2),
        ("jsonl", '{"a": 1}{"a": 2}\n', {}, "not valid JSON", 1),
        ("json", '[\n{"a": 1},\n{"a" 1}\n]', {}, "not valid JSON", 3),
        ("json", '[\n{"a": 1}\n', {}, "not valid JSON", 3),
        ("json", '[{"a": 1}]\nx', {}, "something follows", 1),
        ("json", '{"a": 1}', {}, "JSON array", 1),
        ("json", '[{"a": 1},\n 3]', {}, "expected a JSON object", 2),
        ("columns", "a\tO\nb\tO\tx\n", {}, "found 3 columns", 2),
        ("columns", "a\tO\n\tO\n", {}, "an empty word", 2),
        ("columns", "de:a\tO\nb\tO\n", {"prefix": True}, "no language prefix", 2),
    ],
)  # fmt: skip
@pytest.mark.parametrize("zipped", [False, True])
def test_damage_names_file_and_line(folder, name, content, options, message, line, zipped):
    path = written(folder, content, zipped=zipped)
    found, at = failure(FORMATS[name], path, **options)
    assert message in found
    assert at == line
    assert str(path) in found


@pytest.mark.parametrize("cut", [3, 30, -1, -9])
def test_truncated_gzip_is_caught_in_every_format(folder, cut):
    import random

    noise = random.Random(0)
    whole = gzip.compress("".join(f"{noise.random()}\tb\n" for _ in range(3000)).encode())
    path = folder / "cut.tsv.gz"
    path.write_bytes(whole[:cut])
    found, line = failure(read_tsv, path, columns=COLUMNS)
    assert "gzip file ends too early" in found
    assert line is not None
    assert line > (0 if cut > 0 else 2000)


def test_damaged_gzip(folder):
    path = folder / "bad.tsv.gz"
    path.write_bytes(b"not gzip at all")
    assert "damaged" in failure(read_tsv, path, columns=COLUMNS)[0]
    whole = bytearray(gzip.compress(bytes(range(256)) * 100))
    whole[40] ^= 0xFF
    path.write_bytes(whole)
    with pytest.raises(DataError, match=r"bad\.tsv\.gz"):
        list(read_lines(path, lambda error: None))


def test_mark_and_carriage_returns_are_removed_and_nothing_else(folder):
    content = "\ufeffa\ufeff\tb\r\n\u2028c\tx\ry\u0085\r\n"
    assert values(read_tsv(written(folder, content), columns=COLUMNS)) == [
        {"one": "a\ufeff", "two": "b"},
        {"one": "\u2028c", "two": "x\ry\u0085"},
    ]


def test_bad_rows_can_be_noted_instead(folder):
    path = written(folder, b"a\tb\nbad\n\xff\nc\td\n")
    noted = []
    rows = list(read_tsv(path, noted.append, columns=COLUMNS))
    assert [row.line for row in rows] == [1, 4]
    assert [error.line for error in noted] == [2, 3]


def test_a_bad_line_spoils_its_sentence_only(folder):
    path = written(folder, "a\tO\nb\tO\tO\n\nc\tO\n")
    noted = []
    assert [row.values["words"] for row in read_columns(path, noted.append)] == [["c"]]
    assert len(noted) == 1


def test_missing_tag_rule(folder):
    path = written(folder, "a\tO\nb\n\nc\nd\n")
    first, second = read_columns(path, missing_tag="X")
    assert first.values["tags"] == ["O", "X"]
    assert first.values["filled"] == 1
    # A sentence without any tag is unlabeled, not full of X.
    assert second.values["tags"] == [None, None]
    assert next(iter(read_columns(path))).values["tags"] == ["O", ""]


def test_doubled_and_leading_blank_lines_make_no_sentences(folder):
    path = written(folder, "\n\na\tO\n\n \n\nb\tO")
    assert [row.values["words"] for row in read_columns(path)] == [["a"], ["b"]]


def test_prefix_goes_up_to_the_first_colon(folder):
    path = written(folder, "zh-yue:12:30\tO\n")
    assert next(iter(read_columns(path, prefix=True))).values["words"] == ["12:30"]


def test_bitext(folder):
    ours, theirs = written(folder, "a\nb\n", "x.de"), written(folder, "A\nB\n", "x.en")
    assert values(read_bitext(ours, beside=theirs)) == [
        {"text": "a", "english": "A"},
        {"text": "b", "english": "B"},
    ]
    short = written(folder, "A\n", "y.en")
    found, line = failure(read_bitext, ours, beside=short)
    assert "x.de:2" in found
    assert "y.en ends" in found
    assert line == 2
    assert "x.en:2" in failure(read_bitext, short, beside=theirs)[0]


def test_parquet(folder):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    path = folder / "a.parquet"
    rows = [{"a": "x", "c": {"text": ["l", "r"]}, "n": 1}, {"a": "y", "c": {"text": []}, "n": None}]
    parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    found = list(read_parquet(path))
    assert values(found) == rows
    assert [row.line for row in found] == [1, 2]
    path.write_bytes(path.read_bytes()[:-20])
    assert "not a readable parquet file" in failure(read_parquet, path)[0]
    parquet.write_table(pyarrow.Table.from_pylist(rows).slice(0, 0), path)
    assert "no row" in failure(read_parquet, path)[0]


def test_a_file_that_is_not_there(tmp_path):
    assert "cannot be opened" in failure(read_tsv, tmp_path / "none.tsv", columns=COLUMNS)[0]
