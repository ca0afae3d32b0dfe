"""LAReQA's and Mewsli-X's files: queries, candidates, pairs, and what damage is told."""

import json

import pytest

from adaptrans.errors import DataError
from adaptrans.tasks import catalogue
from adaptrans.tasks.loading import read_examples, stream_examples
from adaptrans.tasks.readers.retrieval import mention_query, read_lareqa, read_mewsli, sentence_spans

CONTEXT = "It rained. It rained. We left\nat 5."
PARAGRAPH = {
    "context": CONTEXT,
    "sentence_breaks": [[0, 10], [11, 21], [22, 35]],
    "sentences": ["It rained.", "It rained.", "We left\nat 5."],
    "qas": [
        {"id": "q1", "question": "What?", "answers": [{"text": "rained", "answer_start": 14}]},
        {"id": "q2", "question": "When?", "answers": [{"text": "5", "answer_start": 33}]},
        {"id": "q3", "question": "Nothing?", "answers": [{"text": "", "answer_start": 10}]},
    ],
}
ALONE = {**PARAGRAPH, "qas": [PARAGRAPH["qas"][2]]}


def lareqa(tmp_path, paragraphs, **options):
    path = tmp_path / "de.json"
    path.write_text(json.dumps({"data": [{"title": "t", "paragraphs": paragraphs}]}))
    return [row.values for row in read_lareqa(path, language="de", **options)]


def test_a_question_is_answered_by_every_equal_sentence_of_its_context(tmp_path):
    rows = lareqa(tmp_path, [ALONE, PARAGRAPH], part="candidates")
    assert [(row["id"], row["keys"]) for row in rows] == [
        ("de:1:0", ["q1"]),
        ("de:1:1", ["q1"]),
        ("de:1:2", ["q2"]),
    ], "a context without a kept question gives no candidates, but counts"
    assert rows[0]["passage"] == "It rained.It rained. It rained. We leftat 5."


def test_questions_and_pairs(tmp_path):
    assert lareqa(tmp_path, [PARAGRAPH]) == [
        {"id": "q1", "query": "What?", "keys": ["q1"]},
        {"id": "q2", "query": "When?", "keys": ["q2"]},
        None,
    ], "a question whose answer is in no sentence is left out, but counts"
    pairs = lareqa(tmp_path, [PARAGRAPH], part="pairs")
    assert pairs[1]["passage"].startswith("We leftat 5.It rained.")


def test_training_files_without_sentences_are_cut_by_a_rule(tmp_path):
    bare = {key: PARAGRAPH[key] for key in ("context", "qas")}
    assert lareqa(tmp_path, [bare], part="candidates") == lareqa(tmp_path, [PARAGRAPH], part="candidates")
    text = 'He said "No." Then 3.5 m fell, e.g. here! 7 left?'
    assert [text[start:end] for start, end in sentence_spans(text)] == [
        'He said "No.',
        "Then 3.5 m fell, e.g. here!",
        "7 left?",
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p: p.pop("context"), r"de.json:1: data\[0\].paragraphs\[0\] is not in XQuAD-R's form"),
        (lambda p: p["sentences"].pop(), "3 sentence_breaks"),
        (lambda p: p["qas"][0]["answers"].clear(), "IndexError"),
        (lambda p: p["qas"][0].pop("id"), "KeyError"),
        (lambda p: p["qas"][1]["answers"][0].update(text="6"), '"6" of q2 is not at offset 33'),
    ],
)
def test_damaged_paragraphs_are_named(tmp_path, change, message):
    paragraph = json.loads(json.dumps(PARAGRAPH))
    change(paragraph)
    with pytest.raises(DataError, match=message):
        lareqa(tmp_path, [paragraph])


def test_damaged_files_are_named(tmp_path):
    path = tmp_path / "x.json"
    for text, message in (
        ('{"data":\n[}', r"x.json:2: not valid JSON"),
        ('{"date": []}', 'no list "data"'),
        ("[]", 'no list "data"'),
    ):
        path.write_text(text)
        with pytest.raises(DataError, match=message):
            list(read_lareqa(path))


MENTION = {
    "context": {
        "language": "de",
        "text": "Eins.\nAm Tag kam  Anna nach Bonn. Ende.",
        "sentence_spans": [{"start": 0, "end": 5}, {"start": 6, "end": 33}, {"start": 34, "end": 39}],
    },
    "mentions": [
        {"example_id": "m1", "entity_id": "Q586", "mention_span": {"start": 28, "end": 32, "text": "Bonn"}},
        {"example_id": "m2", "entity_id": "Q1", "mention_span": {"start": 18, "end": 22, "text": "Anna"}},
    ],
}
ENTITY = {
    "entity_id": "Q586",
    "title": "Bonn",
    "description": "Bonn is a city.",
    "description_language": "en",
}
PAIR = {
    "contextual_mention": {"context": MENTION["context"], "mention": MENTION["mentions"][0]},
    "entity": ENTITY,
}


def mewsli(tmp_path, *rows, **options):
    path = tmp_path / "x.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return [row.values for row in read_mewsli(path, **options)]


def test_mentions_of_a_language_in_their_sentence(tmp_path):
    other = json.loads(json.dumps(MENTION).replace('"de"', '"tr"'))
    assert mewsli(tmp_path, other, MENTION, language="de") == [
        {"id": "m1", "query": "Bonn: Am Tag kam Anna nach { Bonn } .", "keys": ["Q586"]},
        {"id": "m2", "query": "Anna: Am Tag kam { Anna } nach Bonn.", "keys": ["Q1"]},
    ]
    assert len(mewsli(tmp_path, other, MENTION)) == 4


def test_entities_and_pairs(tmp_path):
    expected = {"id": "Q586", "passage": "Bonn is a city.", "keys": ["Q586"]}
    assert mewsli(tmp_path, ENTITY, part="entities") == [expected]
    (pair,) = mewsli(tmp_path, PAIR, part="pairs")
    assert (pair["id"], pair["passage"], pair["keys"]) == ("m1", "Bonn is a city.", ["Q586"])


def test_a_mention_that_is_not_where_it_should_be(tmp_path):
    moved = json.loads(json.dumps(MENTION).replace('"start": 28', '"start": 27'))
    with pytest.raises(DataError, match=r"x.jsonl:2: .*'Bonn' is not at 27"):
        mewsli(tmp_path, MENTION, moved)
    bare = {"text": "", "sentence_spans": []}
    with pytest.raises(ValueError, match="the article has no text"):
        mention_query(bare, MENTION["mentions"][0])
    with pytest.raises(DataError, match=r"x.jsonl:1: .*KeyError"):
        mewsli(tmp_path, {"entity": 1}, part="entities")


def test_the_catalogue_reads_both(tmp_path):
    (tmp_path / "lareqa/xquad-r").mkdir(parents=True)
    (tmp_path / "mewslix").mkdir()
    lareqa(tmp_path / "lareqa/xquad-r", [PARAGRAPH])
    for name, rows in (("wikinews_mentions-test", MENTION), ("candidate_set_entities", ENTITY)):
        (tmp_path / f"mewslix/{name}.jsonl").write_text(json.dumps(rows) + "\n")
    (tmp_path / "mewslix/wikipedia_pairs-train.jsonl").write_text(json.dumps(PAIR) + "\n")
    first, second = catalogue.get("lareqa"), catalogue.get("mewslix")
    assert [e.query for e in read_examples(first, "test", "de", tmp_path)] == ["What?", "When?"]
    assert [e.id for e in stream_examples(first, "candidates", "de", tmp_path)] == [
        "de:0:0",
        "de:0:1",
        "de:0:2",
    ]
    assert [e.keys for e in read_examples(second, "test", "de", tmp_path)] == [("Q586",), ("Q1",)]
    assert [e.query for e in read_examples(second, "candidates", "en", tmp_path)] == [None]
    assert [e.passage for e in read_examples(second, "train", "en", tmp_path)] == ["Bonn is a city."]


def test_the_real_pool_has_the_published_sizes(data_folder):
    if not (data_folder / "lareqa").is_dir():
        pytest.skip("no LAReQA in the data folder")
    task = catalogue.get("lareqa")
    questions = read_examples(task, "test", "tr", data_folder)
    candidates = read_examples(task, "candidates", "tr", data_folder)
    assert (len(questions), len(candidates)) == (1190, 1167)
    answered = {key for candidate in candidates for key in candidate.keys}
    assert {question.id for question in questions} == answered
