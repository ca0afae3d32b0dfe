"""Chunk F1 against a slow reading of the rules over the whole corpus, and every worked example."""

import gzip
import json
import random
from fractions import Fraction
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from adaptrans.errors import AdaptransError
from adaptrans.evaluation.metrics import SCORES
from adaptrans.evaluation.metrics.tagging import chunks, entities

UPOS_TAGS = "ADJ ADP ADV AUX CCONJ DET INTJ NOUN NUM PART PRON PROPN PUNCT SCONJ SYM VERB X _"
UPOS = UPOS_TAGS.split()
NER = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC", "B-ORG", "I-ORG", "S-LOC", "S-PER", "E-LOC", "E-PER"]
ODD = ["B", "I", "S", "-", "B-", "I-X-Y", "B-Y", "", "o", "شخص", "B-شخص", "I-\u0301", "１"]
TAGS = st.sampled_from(UPOS) | st.sampled_from(NER) | st.sampled_from(ODD)


def corpora(tags):
    """Gold and predicted sentences with the same numbers of tags."""
    sentence = st.lists(st.tuples(tags, tags), max_size=12)
    return st.lists(sentence, min_size=1, max_size=8).map(
        lambda corpus: (
            [[gold for gold, _ in pairs] for pairs in corpus],
            [[prediction for _, prediction in pairs] for pairs in corpus],
        )
    )


def corpus_chunks(sentences):
    """All (type, first, last) of a corpus, by testing every pair of positions against the rules."""
    line = []
    for tags in sentences:
        line += [*tags, "O"]

    def opens(at):
        tag, before = line[at], line[at - 1] if at else "O"
        if tag == "O":
            return False
        return (
            before == "O"
            or before.split("-")[-1] != tag.split("-")[-1]
            or tag.startswith(("B", "S"))
            or before.startswith(("E", "S"))
        )

    found = set()
    for first in filter(opens, range(len(line))):
        last = first
        while line[last + 1] != "O" and not opens(last + 1):
            last += 1
        found.add((line[first].split("-")[-1], first, last))
    return found


def slow_f1(golds, predictions):
    gold, predicted = corpus_chunks(golds), corpus_chunks(predictions)
    correct = len([chunk for chunk in predicted if chunk in gold])
    precision = Fraction(correct, len(predicted)) if predicted else Fraction(0)
    recall = Fraction(correct, len(gold)) if gold else Fraction(0)
    total = precision + recall
    f1 = 2 * precision * recall / total if total else Fraction(0)
    return {"f1": f1 * 100, "precision": precision * 100, "recall": recall * 100}


@pytest.mark.parametrize(
    ("tags", "number"),
    [
        ("NOUN NOUN", 1),
        ("SYM SYM", 2),
        ("SCONJ SCONJ", 2),
        ("INTJ INTJ", 1),
        ("X X", 1),
        ("CCONJ CCONJ", 1),
        ("O I-LOC", 1),
        ("I-LOC I-ORG", 2),
        ("B-LOC B-LOC", 2),
        ("I-LOC I-LOC O I-LOC", 2),
        ("S-LOC I-LOC I-LOC", 2),
        ("B-LOC I-LOC B-LOC I-LOC", 2),
        ("B-PER E-PER E-PER", 2),
        ("I-PER E-PER I-PER E-PER", 2),
        ("B-PER I-PER E-PER S-PER", 2),
        ("EVENT EVENT", 2),
        ("ORG ORG", 1),
        (". .", 1),
        ("O O", 0),
        ("", 0),
    ],
)
def test_chunks(tags, number):
    assert len(chunks(tags.split())) == number


def test_type_is_the_text_after_the_last_dash():
    assert chunks(["I-A-B", "I-B"]) == [("B", 0, 1)]
    assert chunks(["B-", "-"]) == [("", 0, 1)]


RECORDED = Path(__file__).parent / "recorded"


@pytest.mark.parametrize(("release", "find"), [("0.0.12", chunks), ("1.2.2", entities)])
def test_spans_equal_those_that_seqeval_found(release, find):
    rows = json.loads((RECORDED / f"seqeval-{release}.json").read_text("utf-8"))
    assert len(rows) >= 60
    for tags, expected in rows:
        assert sorted(find(tags.split())) == sorted(map(tuple, expected)), tags


@pytest.mark.parametrize(("release", "find"), [("0.0.12", chunks), ("1.2.2", entities)])
@pytest.mark.parametrize("letters", ["BI", "IE", "BIES"])
def test_spans_equal_those_of_an_installed_seqeval(release, find, letters):
    labeling = pytest.importorskip("seqeval.metrics.sequence_labeling")
    if metadata.version("seqeval") != release:
        pytest.skip(f"seqeval is not {release}")
    rng = random.Random(letters)
    tags = ["O", *(f"{one}-{type}" for one in letters for type in ("PER", "LOC", "location-other"))]
    for _ in range(20_000):
        sentence = [rng.choice(tags) for _ in range(rng.randrange(12))]
        assert set(find(sentence)) == set(labeling.get_entities([sentence])), sentence


@pytest.mark.parametrize(
    ("tags", "spans"),
    [
        ("B-location-other I-location-other B-person-other", "location-other 0 1, person-other 2 2"),
        ("B-location-other I-person-other", "location-other 0 0, person-other 1 1"),
        ("I-PER I-PER O I-PER", "PER 0 1, PER 3 3"),
        ("I-PER E-PER E-PER", "PER 0 1, PER 2 2"),
        ("B-PER L-PER U-PER U-PER", "PER 0 1, PER 2 2, PER 3 3"),
        ("B-PER M-PER E-PER M-PER", "PER 0 2, PER 3 3"),
        ("NOUN NOUN SYM SYM NOUN-Sing", "NOUN 0 1, SYM 2 3, NOUN-Sing 4 4"),
        ("O O", ""),
    ],
)
def test_entities(tags, spans):
    expected = [tuple(span.split()) for span in spans.split(", ") if span]
    found = [(type, str(first), str(last)) for type, first, last in entities(tags.split())]
    assert found == expected


def test_hyphenated_types_are_apart_in_entity_f1_alone():
    golds, found = [["B-location-other", "O"]], [["B-person-other", "O"]]
    assert SCORES["chunk_f1"].compute(golds, found)["f1"] == 100
    assert SCORES["entity_f1"].compute(golds, found) == {"f1": 0, "precision": 0, "recall": 0}
    assert SCORES["entity_f1"].compute(golds, golds)["f1"] == 100


def test_worked_example_pos():
    gold = [["DET", "NOUN", "NOUN", "VERB", "SCONJ", "SCONJ", "PUNCT"]]
    predicted = [["DET", "NOUN", "PROPN", "VERB", "SCONJ", "SCONJ", "PUNCT"]]
    values = SCORES["chunk_f1"].compute(gold, predicted)
    assert values["precision"] == pytest.approx(100 * 5 / 7, abs=1e-12)
    assert values["recall"] == pytest.approx(100 * 5 / 6, abs=1e-12)
    assert values["f1"] == pytest.approx(100 * 10 / 13, abs=1e-12)
    assert SCORES["token_accuracy"].compute(gold, predicted)["token_accuracy"] == pytest.approx(
        100 * 6 / 7, abs=1e-12
    )


def test_worked_example_ner():
    values = SCORES["chunk_f1"].compute(
        [["B-PER", "I-PER", "O", "I-LOC", "B-LOC", "I-ORG"]],
        [["B-PER", "I-PER", "O", "B-LOC", "I-LOC", "I-ORG"]],
    )
    assert values["precision"] == pytest.approx(100 * 2 / 3, abs=1e-12)
    assert values["recall"] == pytest.approx(100 * 2 / 4, abs=1e-12)
    assert values["f1"] == pytest.approx(100 * 4 / 7, abs=1e-12)


@given(corpora(TAGS))
@example(([["O", "O"]], [["O", "O"]]))
@example(([["O"]], [["B-PER"]]))
@example(([["B-PER"]], [["O"]]))
@example(([[]], [[]]))
@example(([["NOUN"], ["NOUN"]], [["NOUN"], ["NOUN"]]))
def test_chunk_f1_equals_the_rules(corpus):
    golds, predictions = corpus
    values = SCORES["chunk_f1"].compute(golds, predictions)
    for part, exact in slow_f1(golds, predictions).items():
        assert values[part] == pytest.approx(float(exact), abs=1e-10)


@given(corpora(st.sampled_from(UPOS)))
def test_chunk_f1_equals_the_corpus_formula_to_the_last_bit(corpus):
    golds, predictions = corpus
    gold, predicted = corpus_chunks(golds), corpus_chunks(predictions)
    correct = len(gold & predicted)
    p = correct / len(predicted) if predicted else 0
    r = correct / len(gold) if gold else 0
    f1 = 2 * p * r / (p + r) if p + r > 0 else 0
    assert SCORES["chunk_f1"].compute(golds, predictions) == {
        "f1": f1 * 100,
        "precision": p * 100,
        "recall": r * 100,
    }


@given(corpora(TAGS))
def test_counts_add_up_over_sentences(corpus):
    golds, predictions = corpus
    counts = SCORES["chunk_f1"].statistics(golds, predictions)
    assert counts.dtype == np.float64
    assert counts.sum(axis=0).tolist() == [
        len(corpus_chunks(golds) & corpus_chunks(predictions)),
        len(corpus_chunks(predictions)),
        len(corpus_chunks(golds)),
    ]


@given(corpora(TAGS))
def test_token_accuracy_equals_a_flat_count(corpus):
    golds, predictions = corpus
    flat = [
        (a, b)
        for gold, found in zip(golds, predictions, strict=True)
        for a, b in zip(gold, found, strict=True)
    ]
    expected = sum(a == b for a, b in flat) / len(flat) * 100 if flat else 0
    assert SCORES["token_accuracy"].compute(golds, predictions)["token_accuracy"] == expected


def test_a_sentence_with_fewer_tags_is_refused():
    with pytest.raises(AdaptransError, match="sentence 1 has 2 gold tags and 1 predicted"):
        SCORES["chunk_f1"].compute([["O"], ["O", "O"]], [["O"], ["O"]])


def test_different_numbers_of_sentences_are_refused():
    with pytest.raises(AdaptransError, match="1 predictions for 2 examples"):
        SCORES["token_accuracy"].compute([["O"], ["O"]], [["O"]])


def test_real_panx_tags_score_100_against_themselves(data_folder):
    path = data_folder / "panx" / "dev-de.tsv.gz"
    if not path.exists():
        pytest.skip("no PAN-X in German in the data folder")
    sentences, current = [], []
    with gzip.open(path, "rt", encoding="utf-8") as file:
        for line in file:
            if line.strip():
                current.append(line.rstrip("\n").split("\t")[-1].strip())
            elif current:
                sentences.append(current)
                current = []
    sentences = sentences[:500]
    assert len(sentences) > 50
    assert SCORES["chunk_f1"].compute(sentences, sentences) == {"f1": 100, "precision": 100, "recall": 100}
    shifted = [tags[1:] + tags[:1] for tags in sentences]
    values = SCORES["chunk_f1"].compute(sentences, shifted)
    for part, exact in slow_f1(sentences, shifted).items():
        assert values[part] == pytest.approx(float(exact), abs=1e-10)
