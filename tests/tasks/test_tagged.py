import gzip

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adaptrans.errors import DataError
from adaptrans.tasks.readers.conll import read_characters, read_columns, read_derivations, read_supertags
from adaptrans.tasks.readers.files import FORMATS

WORD = st.text(
    st.characters(exclude_characters="\0#\ufeff", exclude_categories=["Cs", "Zs", "Zl", "Zp", "Cc"]),
    min_size=1,
)
PLAIN = st.text("abc|/\\[]Ω中", min_size=1)
TAG = st.text("SNP/\\[]dcl", min_size=1)


def written(folder, content, name="file"):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def failure(reader, path, **options):
    with pytest.raises(DataError) as info:
        list(reader(path, **options))
    return str(info.value), info.value.line


def sentences(rows):
    return [list(zip(row.values["words"], row.values["tags"], strict=True)) for row in rows]


@settings(max_examples=50, deadline=None)
@given(given=st.lists(st.lists(st.tuples(WORD, st.sampled_from(["O", "B-X"])), min_size=1), min_size=1))
def test_columns_with_a_space_between(tmp_path_factory, given):
    content = "\n\n".join("\n".join(f"{word} {tag}" for word, tag in sentence) for sentence in given)
    path = written(tmp_path_factory.mktemp("columns"), content)
    assert sentences(read_columns(path, separator=" ")) == given


def test_empty_words_are_kept_only_where_the_task_says_so(tmp_path):
    path = written(tmp_path, "a O\n O\n")
    assert failure(read_columns, path, separator=" ") == (
        f"{path}:2: expected a word and a tag, found an empty word",
        2,
    )
    (row,) = read_columns(path, separator=" ", empty_words=True)
    assert row.values["words"] == ["a", ""]


def test_characters_are_joined_to_words(tmp_path):
    text = "## a comment\n<\tO\n경\tB-OG\n찰\tI-OG\n은\tO\n \tO\n또\tO\n\n"
    (row,) = read_characters(written(tmp_path, text))
    assert sentences([row]) == [[("<경찰은", "B-OG"), ("또", "O")]]
    assert row.values["lines"] == [2, 7]
    assert row.line == 2


def test_a_name_over_white_space_stays_one_name(tmp_path):
    text = "A\tB-PS\n \tI-PS\nB\tI-PS\nx\tO\n"
    assert sentences(read_characters(written(tmp_path, text))) == [[("A", "B-PS"), ("Bx", "I-PS")]]


@settings(max_examples=50, deadline=None)
@given(given=st.lists(st.lists(st.tuples(PLAIN, TAG), min_size=1), min_size=1))
def test_supertags_round_trip(tmp_path_factory, given):
    content = "# preamble\n\n" + "\n".join(" ".join(f"{w}|NN|{t}" for w, t in s) for s in given)
    path = written(tmp_path_factory.mktemp("ccg"), content)
    assert sentences(read_supertags(path)) == given


AUTO = (
    "ID=wsj_0001.1 PARSER=GOLD NUMPARSE=1\n"
    "(<T S[dcl] 0 2> (<T NP 0 1> (<L N NNP NNP Vinken N>) ) (<T S[dcl]\\NP 1 2> "
    "(<L (S[dcl]\\NP)/NP VBZ VBZ is (S[dcl]\\NP_67)/NP_68>) (<L NP CD CD 61 NP>) ) )\n"
)


def test_leaves_of_derivations(tmp_path):
    (row,) = read_derivations(written(tmp_path, AUTO))
    assert sentences([row]) == [[("Vinken", "N"), ("is", "(S[dcl]\\NP)/NP"), ("61", "NP")]]
    assert row.line == 2


@settings(max_examples=50, deadline=None)
@given(given=st.lists(st.lists(st.tuples(PLAIN, TAG), min_size=1), min_size=1))
def test_derivations_round_trip(tmp_path_factory, given):
    lines = []
    for number, sentence in enumerate(given):
        leaves = " ".join(f"(<L {tag} X X {word} {tag}>)" for word, tag in sentence)
        lines += [f"ID=wsj.{number}", f"(<T S 0 {len(sentence)}> {leaves} )"]
    path = written(tmp_path_factory.mktemp("auto"), "\n".join(lines))
    assert sentences(read_derivations(path)) == given


READERS = {"columns": "a\tO\n", "characters": "a\tO\n", "supertags": "a|X|N\n", "ccgbank": AUTO}


@pytest.mark.parametrize(
    ("name", "content", "message", "line"),
    [
        ("characters", "a\tO\nab\tO\n", "expected a character, a tab and a tag", 2),
        ("characters", "a\tO\nb\n", "expected a character", 2),
        ("characters", "a\tO\nb\t \n", "expected a character", 2),
        ("supertags", "a|X|N\na|N\n", 'expected word|POS|supertag, found "a|N"', 2),
        ("supertags", "a|X|\n", "expected word|POS|supertag", 1),
        ("ccgbank", "ID=1\n(<T S 0 1> (<L N X a N>) )\n", "expected a derivation", 2),
        ("ccgbank", "ID=1\nno derivation\n", "expected a derivation", 2),
    ],
)
def test_damage_names_file_and_line(tmp_path, name, content, message, line):
    path = written(tmp_path, content)
    found, at = failure(FORMATS[name], path)
    assert message in found
    assert found.startswith(f"{path}:{line}: ")
    assert at == line


@pytest.mark.parametrize("name", READERS)
def test_faults_of_whole_files(tmp_path, name):
    good = READERS[name]
    last = good.count("\n") + 1
    assert "empty" in failure(FORMATS[name], written(tmp_path, "", "a"))[0]
    assert failure(FORMATS[name], written(tmp_path, good.encode() + b"\xff\n", "b"))[1] == last
    assert "NUL" in failure(FORMATS[name], written(tmp_path, good + "\0\n", "c"))[0]
    cut = gzip.compress(good.encode() * 200)[:-9]
    assert "ends too early" in failure(FORMATS[name], written(tmp_path, cut, "d.gz"))[0]
    expected = list(FORMATS[name](written(tmp_path, good, "e")))
    assert list(FORMATS[name](written(tmp_path, "\ufeff" + good.replace("\n", "\r\n"), "f"))) == expected


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("characters", "a\tO\n\n", "b\n\n"),
        ("supertags", "a|X|N\n", "b\n"),
        ("ccgbank", "(<L N X X a N>)\n", "b\n"),
    ],
)
def test_a_bad_line_spoils_its_sentence_only(tmp_path, name, good, bad):
    noted = []
    rows = list(FORMATS[name](written(tmp_path, good + bad + good), noted.append))
    assert [row.values["words"] for row in rows] == [["a"], ["a"]]
    assert len(noted) == 1
