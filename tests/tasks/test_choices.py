"""Readers of multiple-choice data, choices put in another order, and files in zip archives."""

import json
import zipfile

import pytest

from adaptrans.errors import DataError
from adaptrans.task_types.base import TASK_TYPES
from adaptrans.task_types.multiple_choice import shuffled
from adaptrans.task_types.rows import RowError, Rules
from adaptrans.tasks.readers.choices import read_bmlama, read_copa_xml, read_winograd
from adaptrans.tasks.readers.files import read_jsonl

TOKENS = ["``", "He", "saw", "Bo", "''", ",", "said", "he", "."]
SENTENCE = '"He saw Bo", said he.'
CANDIDATES = [["Al", [0, 1], ["Al"], False], ["Bo", [3, 4], ["Bo"], True]]


def schema(sentence=SENTENCE, tokens=TOKENS, pronoun=("he", [7, 8], ["he"]), candidates=CANDIDATES):
    cells = ["en", "original", "?", sentence, *map(json.dumps, (tokens, pronoun, candidates))]
    return "\t".join(cells) + "\n"


def item(id, answer=2, premise="It rained\n  today.", second="The street got wet."):
    return (
        f'<item id="{id}" asks-for="effect" most-plausible-alternative="{answer}">\n<p>{premise}</p>\n'
        f"<a1>It was &lt;dry&gt;.</a1><a2>{second}</a2>\n</item>\n"
    )


def copa(*items):
    return '<?xml version="1.0"?>\n<copa-corpus>\n' + "".join(items) + "</copa-corpus>\n"


def rows(reader, folder, text):
    path = folder / "file"
    path.write_text(text, encoding="utf-8")
    return list(reader(path))


def test_the_gap_of_a_schema_is_at_its_pronoun_and_not_at_an_equal_word(tmp_path):
    [row] = rows(read_winograd, tmp_path, schema())
    assert row.values == {
        "language": "en",
        "set": "original",
        "sentence": '"He saw Bo", said _.',
        "pronoun": "he",
        "option1": "Al",
        "option2": "Bo",
        "answer": 2,
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("en\ta\n", "expected 7 columns, found 2"),
        (schema(tokens=["He", "ran"]), 'the token "ran" is not where it should be'),
        (schema(pronoun=("she", [7, 8], ["she"])), 'tokens 7 to 8 are "he", not the pronoun "she"'),
        (schema(pronoun=("he", [8, 20], ["he"])), "has no tokens 8 to 20"),
        (schema(pronoun="he"), "is not [text, [from, to], tokens]"),
        (schema(candidates=[*CANDIDATES, CANDIDATES[0]]), "found 3, 1 right"),
        (schema(candidates=[CANDIDATES[0]] * 2), "found 2, 0 right"),
        (schema().replace("[[", "[", 1), "not valid JSON"),
    ],
)
def test_a_bad_schema_is_one_line_with_its_number(tmp_path, text, message):
    with pytest.raises(DataError) as info:
        rows(read_winograd, tmp_path, schema() + text)
    assert message in str(info.value)
    assert "file:2:" in str(info.value)


def test_facts_have_their_number_as_id_under_any_header(tmp_path):
    text = 'Prompt\tAns\tCandidate\tAns\tSubject\n"A" is in <mask>.\tX Y\tZ, X Y\tA\n'
    text += "B eats <mask>.\tc\tc, d\tB\n"
    first, second = rows(read_bmlama, tmp_path, text)
    assert first == (
        2,
        {"id": 1, "prompt": '"A" is in _.', "choices": ["Z", "X Y"], "label": 1, "subject": "A"},
    )
    assert (second.values["id"], second.values["label"]) == (2, 0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("A\tb\tb, c\n", "expected 4 columns, found 3"),
        ("A is.\tb\tb, c\tA\n", "the prompt has 0 <mask>, expected one"),
        ("A <mask>\td\tb, c\tA\n", 'the answer "d" is 0 of the candidates'),
        ("A <mask>\tb\tb, b\tA\n", 'the answer "b" is 2 of the candidates'),
    ],
)
def test_a_bad_fact_is_one_line_with_its_number(tmp_path, text, message):
    with pytest.raises(DataError, match="file:2: ") as info:
        rows(read_bmlama, tmp_path, "header\n" + text)
    assert message in str(info.value)


def test_items_of_copa_and_their_twins(tmp_path):
    first, second = rows(read_copa_xml, tmp_path, copa(item(1000), item(1001, answer=1)))
    assert first.line == 3
    assert first.values == {
        "id": "1000",
        "question": "effect",
        "premise": "It rained today.",
        "choice1": "It was <dry>.",
        "choice2": "The street got wet.",
        "label": 1,
        "twin": "original",
    }
    assert (second.line, second.values["label"], second.values["twin"]) == (8, 0, "mirrored")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (copa(item(1), item(2, second=" ")), 'file:8: the item has no "a2"'),
        (copa(item(1), item(2, answer=3)), "file:8: the item has no number as id, or no 1 or 2"),
        (copa(item(1), item("x")), "file:8: the item has no number as id"),
        (copa(item(1))[:-5], "file:8: not valid XML"),
        ('<!DOCTYPE c [<!ENTITY e "x">]>\n<c>&e;</c>', "file:1: declares an entity"),
    ],
)
def test_a_bad_item_is_one_line_with_its_number(tmp_path, text, message):
    with pytest.raises(DataError) as info:
        rows(read_copa_xml, tmp_path, text)
    assert message in str(info.value)


def build(**fields):
    return TASK_TYPES["multiple_choice"].build("1", {"prompt": "p", **fields}, Rules(label_map={}))


def test_choices_put_in_another_order_keep_the_right_one():
    choices = [str(number) for number in range(10)]
    places = []
    for key in range(200):
        example = build(choices=choices, label=9, shuffle_by=key)
        assert sorted(example.choices) == choices
        assert example.choices[example.label] == "9"
        places.append(example.label)
        assert example == build(choices=choices, label=9, shuffle_by=str(key))
    # Of 200 draws of 10 places each is drawn 20 times; all of 8 to 36 happen by luck in 99 of 100 sets.
    assert all(8 <= places.count(place) <= 36 for place in range(10))
    assert shuffled("a", 5) != shuffled("b", 5)


def test_the_order_depends_on_the_key_and_the_number_alone_so_parallel_items_stay_so():
    one = build(choices=["a", "b", "c"], label=2, shuffle_by=7)
    other = build(choices=["A", "B", "C"], label=2, shuffle_by=7)
    assert [choice.lower() for choice in other.choices] == list(one.choices)
    assert one.label == other.label


def test_a_label_may_mark_the_right_choice():
    assert build(choices=["a", "b", "c"], label=[0, 1, 0]).label == 1
    for label, message in (
        ([1, 0], "marks 2 choices, there are 3"),
        ([1, 1, 0], "must hold one 1 and otherwise 0"),
        ([0, 2, 1], "must hold one 1 and otherwise 0"),
    ):
        with pytest.raises(RowError) as info:
            build(choices=["a", "b", "c"], label=label)
        assert message in info.value.message


def test_a_file_in_a_zip_archive(tmp_path):
    path = tmp_path / "data.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("data/README.txt", "no rows")
        archive.writestr("data/rows.jsonl", '{"a": 1}\r\n{"a": 2}\r\n' + '{"a": 3}\n' * 2000)
    assert [row.values["a"] for row in read_jsonl(path, member="data/rows.jsonl")][:3] == [1, 2, 3]
    with pytest.raises(DataError, match=r'data\.zip: the archive holds no file "rows.jsonl"'):
        list(read_jsonl(path, member="rows.jsonl"))
    content = bytearray(path.read_bytes())
    content[150] ^= 0xFF
    path.write_bytes(bytes(content))
    with pytest.raises(DataError, match=r"data\.zip:.*the zip file is damaged|is no zip archive"):
        list(read_jsonl(path, member="data/rows.jsonl"))
    path.write_text("no archive")
    with pytest.raises(DataError, match="is no zip archive that can be read"):
        list(read_jsonl(path, member="data/rows.jsonl"))
