"""The committed sample suite: fresh, parallel, balanced, unguessable, whole."""

from __future__ import annotations

import gzip
import json
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise

import pytest
from sample_suite import suite
from sample_suite.__main__ import main
from sample_suite.grammar import LANGUAGES, grammar

from adaptrans.samples import DATA

UPOS = {
    *("ADJ", "ADP", "ADV", "AUX", "CCONJ", "DET", "INTJ", "NOUN", "NUM"),
    *("PART", "PRON", "PROPN", "PUNCT", "SCONJ", "SYM", "VERB", "X"),
}
ENTITIES = {"O", *(f"{mark}-{kind}" for mark in "BI" for kind in ("PER", "LOC", "ORG"))}
SUFFIX = {"nli": "tsv", "paraphrase": "tsv", "pos": "tsv", "ner": "tsv", "qa": "json", "copa": "jsonl"}


def text(name: str) -> str:
    return gzip.decompress((DATA / f"{name}.gz").read_bytes()).decode()


def rows(name: str) -> list[list[str]]:
    return [line.split("\t") for line in text(name).splitlines()]


def blocks(name: str) -> list[list[list[str]]]:
    return [[line.split("\t") for line in block.split("\n")] for block in text(name).strip().split("\n\n")]


def objects(name: str) -> list[dict]:
    return [json.loads(line) for line in text(name).splitlines()]


def paragraphs(name: str) -> list[dict]:
    (article,) = json.loads(text(name))["data"]
    return article["paragraphs"]


@pytest.mark.parametrize("language", ["de", "zh"])
def test_data_on_disk_are_what_the_generator_writes(language):
    for name, content in suite.files([language]):
        assert text(name) == content, f"{name} is stale: run python -m sample_suite"


def test_draws_do_not_depend_on_earlier_ones():
    first = suite.items("copa")
    suite.items.cache_clear()
    assert suite.items("copa") == first
    assert suite.items("copa", seed=1)["test"] != first["test"]


def test_packing_carries_no_time_and_the_whole_is_small():
    assert suite.packed("a\n") == suite.packed("a\n")
    files = [path for path in DATA.rglob("*") if path.is_file()]
    assert len(files) == 82
    for path in files:
        assert path.read_bytes()[4:8] == bytes(4), f"{path} holds a time stamp"
    assert sum(path.stat().st_size for path in files) < 3_000_000


def test_check_names_what_is_stale(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(suite, "files", lambda languages=(), seed=0: iter([("nli/test-en.tsv", "a\n")]))
    assert main(["--out", str(tmp_path), "--check"]) == 1
    assert "nli/test-en.tsv.gz: differs" in capsys.readouterr().err
    assert main(["--out", str(tmp_path)]) == 0
    assert main(["--out", str(tmp_path), "--check"]) == 0


@pytest.mark.parametrize("language", LANGUAGES)
def test_counts_are_the_same_in_every_language(language):
    assert len(rows(f"nli/test-{language}.tsv")) == 600
    assert len(rows(f"paraphrase/test-{language}.tsv")) == 600
    assert len(objects(f"copa/test-{language}.jsonl")) == 600
    assert len(blocks(f"pos/test-{language}.tsv")) == len(blocks(f"ner/test-{language}.tsv")) == 600
    assert sum(len(item["qas"]) for item in paragraphs(f"qa/test-{language}.json")) == 600
    if language != "en":
        sides = [text(f"retrieval/{language}-en.{side}").splitlines() for side in (language, "en")]
        assert [len(side) for side in sides] == [500, 500]
        assert len(set(sides[0])) == len(set(sides[1])) == 500


def test_english_training_and_development_counts():
    for split, least in (("train", 2000), ("dev", 300)):
        assert len(rows(f"nli/{split}-en.tsv")) >= least
        assert len(rows(f"paraphrase/{split}-en.tsv")) >= least
        assert len(objects(f"copa/{split}-en.jsonl")) >= least
        assert min(len(blocks(f"{name}/{split}-en.tsv")) for name in ("pos", "ner")) >= least
        assert sum(len(item["qas"]) for item in paragraphs(f"qa/{split}-en.json")) >= least


@pytest.mark.parametrize("language", LANGUAGES[1:])
def test_items_are_parallel(language):
    for name in ("nli", "paraphrase"):
        english, other = rows(f"{name}/test-en.tsv"), rows(f"{name}/test-{language}.tsv")
        assert [row[2] for row in english] == [row[2] for row in other]
        repeats = [[row[0] == before[0] for before, row in pairwise(side)] for side in (english, other)]
        assert repeats[0] == repeats[1]
    english, other = objects("copa/test-en.jsonl"), objects(f"copa/test-{language}.jsonl")
    for key in ("label", "question", "idx"):
        assert [row[key] for row in english] == [row[key] for row in other]
    ids = [
        [question["id"] for item in paragraphs(f"qa/test-{code}.json") for question in item["qas"]]
        for code in ("en", language)
    ]
    assert ids[0] == ids[1]
    for english, other in zip(blocks("ner/test-en.tsv"), blocks(f"ner/test-{language}.tsv"), strict=True):
        kinds = [Counter(tag for _, tag in side if tag.startswith("B-")) for side in (english, other)]
        assert kinds[0] == kinds[1], (english, other)


@pytest.mark.parametrize("language", LANGUAGES)
def test_answers_stand_where_they_are_said_to_stand(language):
    for split in ("train", "dev", "test") if language == "en" else ("test",):
        seen = set()
        for item in paragraphs(f"qa/{split}-{language}.json"):
            for question in item["qas"]:
                (answer,) = question["answers"]
                start = answer["answer_start"]
                assert item["context"][start : start + len(answer["text"])] == answer["text"] != ""
                assert item["context"].count(question["question"]) == 0
                seen.add(question["id"])
        assert len(seen) == 2 * len(paragraphs(f"qa/{split}-{language}.json"))


@pytest.mark.parametrize("split", ["train", "dev", "test"])
def test_labels_are_balanced(split):
    for name, classes in (("nli", 3), ("paraphrase", 2)):
        labels = Counter(row[2] for row in rows(f"{name}/{split}-en.tsv"))
        assert len(labels) == classes
        assert max(labels.values()) / labels.total() < 1 / classes + 0.02
    labels = Counter(row["label"] for row in objects(f"copa/{split}-en.jsonl"))
    assert set(labels) == {0, 1}
    if split == "train":
        assert abs(labels[0] / labels.total() - 0.5) < 0.02


@pytest.mark.parametrize("language", LANGUAGES)
def test_tags_are_known_and_well_formed(language):
    for sentence in blocks(f"pos/test-{language}.tsv"):
        assert {tag for _, tag in sentence} <= UPOS
        assert "VERB" in {tag for _, tag in sentence}
    for sentence in blocks(f"ner/test-{language}.tsv"):
        tags = [tag for _, tag in sentence]
        assert set(tags) <= ENTITIES
        for before, tag in pairwise(["O", *tags]):
            assert not tag.startswith("I-") or before[2:] == tag[2:], sentence


@pytest.mark.parametrize("language", LANGUAGES)
def test_words_of_the_tagged_files_join_to_the_sentences(language):
    words = grammar(language)
    for item, sentence in zip(suite.items("pos")["test"], blocks(f"pos/test-{language}.tsv"), strict=True):
        whole = suite.say(item, language)
        assert whole.replace(" ", "") == "".join(word for word, _ in sentence)
        assert "  " not in whole
        assert whole[0] == words.upper(whole[0])
        assert whole.endswith(words.stop)


def test_train_dev_and_test_share_no_item():
    for name, suffix in SUFFIX.items():
        seen: list[set] = []
        for split in ("train", "dev", "test"):
            file = f"{name}/{split}-en.{suffix}"
            if suffix == "jsonl":
                keys = [
                    (row["premise"], frozenset((row["choice1"], row["choice2"]))) for row in objects(file)
                ]
            elif suffix == "json":
                keys = [item["context"] for item in paragraphs(file)]
            elif name in {"pos", "ner"}:
                keys = [" ".join(word for word, _ in sentence) for sentence in blocks(file)]
            else:
                keys = [tuple(row[:2]) for row in rows(file)]
            if name != "copa":  # two roles may stand for one person in a clause without a person
                assert len(keys) == len(set(keys)), name
            seen.append(set(keys))
        assert not seen[0] & seen[2], name
        assert not seen[1] & seen[2], name


def test_part_of_the_test_vocabulary_is_new():
    train = {word for sentence in blocks("pos/train-en.tsv") for word, _ in sentence}
    new = Counter(any(word not in train for word, _ in sentence) for sentence in blocks("pos/test-en.tsv"))
    assert new[True] > 200


def accuracy_of_words(train: Sequence[tuple[Iterable[str], str]], test: Sequence[tuple[Iterable[str], str]]):
    """Naive Bayes over words: fitted on the first pairs, accuracy on the second."""
    counts: dict[str, Counter] = {}
    for words, label in train:
        counts.setdefault(label, Counter()).update(words)
    size = len(set().union(*counts.values()))

    def score(words: Iterable[str], label: str) -> float:
        total = counts[label].total() + size
        return sum(math.log((counts[label][word] + 1) / total) for word in words)

    right = sum(max(sorted(counts), key=lambda known: score(words, known)) == label for words, label in test)
    return right / len(test)


def bag(sentence: str) -> list[str]:
    return sentence.lower().replace(".", "").replace(",", "").split()


def test_the_hypothesis_alone_tells_nothing():
    pairs = {
        split: [(bag(row[1]), row[2]) for row in rows(f"nli/{split}-en.tsv")] for split in ("train", "test")
    }
    assert accuracy_of_words(pairs["train"], pairs["test"]) == pytest.approx(1 / 3, abs=0.02)
    denied = Counter(row[2] for row in rows("nli/test-en.tsv") if " not " in row[1])
    assert len(denied) == 3
    assert len(set(denied.values())) == 1


def test_the_second_sentence_alone_tells_little():
    pairs = {
        split: [(bag(row[1]), row[2]) for row in rows(f"paraphrase/{split}-en.tsv")]
        for split in ("train", "test")
    }
    assert accuracy_of_words(pairs["train"], pairs["test"]) < 0.58


def test_the_choice_alone_tells_little():
    def choices(split):
        for row in objects(f"copa/{split}-en.jsonl"):
            for number in (0, 1):
                yield bag(row[f"choice{number + 1}"]), str(row["label"] == number)

    assert accuracy_of_words(list(choices("train")), list(choices("test"))) < 0.6


def test_nobody_does_something_to_themselves():
    for name in ("pos", "ner", "retrieval"):
        assert all(event.sound for item in suite.items(name)["test"] for event in item)
    for item in suite.items("qa")["test"]:
        assert all(event.sound for event in item.events)


def test_passages_give_each_question_one_answer():
    for item in suite.items("qa")["test"]:
        subjects = [event.subject.head for event in item.events]
        assert len(set(subjects)) == len(subjects)
        deeds = [(event.verb, event.object and event.object.head) for event in item.events]
        assert len(set(deeds)) == len(deeds)
