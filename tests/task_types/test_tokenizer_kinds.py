"""Offsets, words, windows and answers with every kind of tokenizer, on real rows in hard scripts."""

import itertools
import unicodedata

import pytest
import torch
from support.encoders import TOKENIZERS

from adaptrans.task_types.inputs import IGNORED
from adaptrans.task_types.span_qa import ANSWER_PIECES, SpanQA
from adaptrans.task_types.tagging import Tagging, TaggingExample
from adaptrans.tasks import catalogue
from adaptrans.tasks.loading import stream_examples

ROWS = 12
LANGUAGES = {"th": "xquad", "zh": "xquad", "ar": "xquad", "hi": "xquad", "ja": "jaquad"}
SPLITS = {"xquad": "test", "jaquad": "dev"}


@pytest.fixture(scope="module", params=sorted(TOKENIZERS))
def tokenizer(request):
    return TOKENIZERS[request.param]()


def rows_of(task, split, language, data):
    return list(itertools.islice(stream_examples(task, split, language, data), ROWS))


def plain(text):
    """A text as a reader compares it: composed alike, without white space."""
    return "".join(unicodedata.normalize("NFKC", text.replace("\ufeff", "")).split())


THAI = TaggingExample(
    "1",
    ("ห้องสมุด", "ใน", "กรุงเทพฯ", "เปิด", "ทุก", "วัน", "และ", "นายกรัฐมนตรี", "สมชาย", "อยู่", "ที่", "นี่") * 4,
    ("O", "O", "B-LOC", "O", "O", "O", "O", "O", "B-PER", "O", "O", "O") * 4,
)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("length", [64, 384])
def test_answers_are_found_again_in_short_and_long_inputs(tokenizer, data_folder, language, length):
    task = catalogue.get(LANGUAGES[language])
    kind, found_again = SpanQA(), 0
    for example in rows_of(task, SPLITS[task.name], language, data_folder):
        features = kind.encode([example], tokenizer, task, length, True)
        assert all(len(feature["input_ids"]) <= length for feature in features)
        # Of every window the pieces stand one behind the other in the text, and together they are all of it.
        firsts = [feature["char_starts"] for feature in features]
        assert all(starts == sorted(starts) for starts in firsts)
        covered = {place for f in features for s, e in zip(f["char_starts"], f["char_ends"], strict=True)
                   for place in range(s, e)}  # fmt: skip
        assert plain("".join(example.context[place] for place in sorted(covered))) == plain(example.context)
        spans = [(f["start"], f["end"]) for f in features if f["start"] > 0]
        if not spans or spans[0][1] - spans[0][0] >= ANSWER_PIECES:
            continue  # Longer than a window, or than an answer may be.
        batch = kind.collate(features, tokenizer.pad_token_id)
        starts = torch.zeros(batch["input_ids"].shape)
        ends = torch.zeros(batch["input_ids"].shape)
        rows = torch.arange(len(features))
        starts[rows, batch["starts"]] = 9.0
        ends[rows, batch["ends"]] = 9.0
        found, gold = (
            kind.predict(example, kind.decode((starts, ends), features), ()),
            example.answers[0].text,
        )
        # A piece may reach beyond the answer, but never misses a part of it.
        assert plain(gold) in plain(found), (gold, found)
        assert len(found) <= len(gold) + 24
        found_again += 1
    assert found_again >= 3


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_word_gets_its_tag_back(tokenizer, data_folder, language):
    task, kind = catalogue.get("panx"), Tagging()
    examples = [THAI] if language == "th" else rows_of(task, "dev", language, data_folder)
    for example in examples:
        features = kind.encode([example], tokenizer, task, 64, True)
        assert all(len(feature["input_ids"]) <= 64 for feature in features)
        batch = kind.collate(features, tokenizer.pad_token_id)
        logits = torch.zeros(*batch["labels"].shape, len(task.labels))
        rows, columns = torch.nonzero(batch["labels"] != IGNORED, as_tuple=True)
        assert len(rows) == len(example.words)
        logits[rows, columns, batch["labels"][rows, columns]] = 5.0
        assert kind.predict(example, kind.decode(logits, features), task.labels) == list(example.tags)
