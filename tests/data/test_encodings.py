from dataclasses import dataclass, replace
from types import SimpleNamespace

import pytest

from adaptrans.data import encoding
from adaptrans.data.encoding import CHUNK, Encoder, count_examples, encode, encoded_file, stream_features
from adaptrans.task_types.base import TASK_TYPES
from adaptrans.task_types.bitext_mining import MiningExample
from adaptrans.task_types.bitext_retrieval import BitextExample
from adaptrans.task_types.classification import ClassificationExample
from adaptrans.task_types.multiple_choice import MultipleChoiceExample
from adaptrans.task_types.passage_ranking import RankingExample
from adaptrans.task_types.span_qa import Answer, SpanQAExample
from adaptrans.task_types.tagging import TaggingExample


@dataclass
class Counted:
    """An `encode` that counts its calls: two features for every third example."""

    calls: int = 0
    fail_at: int | None = None

    def __call__(self, examples, tokenizer, task, max_length, training):
        self.calls += 1
        if self.calls == self.fail_at:
            raise RuntimeError("killed")
        return [
            {"example": i, "length": text % 7 + 1, "input_ids": [text] * (text % 7 + 1), "part": part}
            for i, text in enumerate(examples)
            for part in range(2 if text % 3 == 0 else 1)
        ]


@pytest.fixture
def counted():
    return Counted()


@pytest.fixture
def encoder(counted):
    kind = SimpleNamespace(name="made up", version=1, source="", encode=counted)
    task = SimpleNamespace(name="made up", labels=("a", "b"), tag_on="first_piece")
    return Encoder(kind, task, None, "tok", 128, True)


def rows(dataset):
    return dataset.to_list()


def test_the_second_time_nothing_is_encoded_and_the_rows_are_the_same(encoder, counted, tmp_path):
    first = rows(encode(encoder, [4, 6, 8], "data", tmp_path))
    assert counted.calls == 1
    again = rows(encode(encoder, [4, 6, 8], "data", tmp_path))
    assert counted.calls == 1
    assert again == first == counted([4, 6, 8], None, None, 128, True)


def test_other_data_are_encoded_anew(encoder, counted, tmp_path):
    encode(encoder, [4], "data", tmp_path)
    assert rows(encode(encoder, [5], "other", tmp_path))[0]["input_ids"] == [5] * 6
    assert counted.calls == 2
    assert rows(encode(encoder, [4], "data", tmp_path))[0]["input_ids"] == [4] * 5


def test_every_input_changes_the_key(encoder):
    variants = [
        encoder,
        replace(encoder, kind=SimpleNamespace(**{**vars(encoder.kind), "name": "other"})),
        replace(encoder, kind=SimpleNamespace(**{**vars(encoder.kind), "version": 2})),
        replace(encoder, task=SimpleNamespace(name="made up", labels=("b", "a"), tag_on="first_piece")),
        replace(encoder, tokenizer_key="kot"),
        replace(encoder, max_length=64),
        replace(encoder, training=False),
    ]
    keys = [variant.key("data") for variant in variants] + [encoder.key("atad")]
    assert len(set(keys)) == 8
    assert encoder.key("data") == keys[0]


@pytest.mark.parametrize("count", [CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK + 500])
def test_example_numbers_run_on_over_chunks(encoder, counted, tmp_path, count):
    done = []
    dataset = encode(encoder, range(count), "data", tmp_path, tick=done.append)
    expected = [i for i in range(count) for _ in range(2 if i % 3 == 0 else 1)]
    assert dataset["example"][:] == expected
    assert [ids[0] for ids in dataset["input_ids"][:]] == expected
    assert counted.calls == -(-count // CHUNK)
    assert done == [*range(CHUNK, count, CHUNK), count]


@pytest.mark.parametrize("fail_at", [1, 3])
def test_a_broken_write_leaves_nothing_that_is_taken_for_whole(encoder, counted, tmp_path, fail_at):
    counted.fail_at = fail_at
    with pytest.raises(RuntimeError, match="killed"):
        encode(encoder, range(3 * CHUNK), "data", tmp_path)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    counted.fail_at = None
    assert len(set(encode(encoder, range(3 * CHUNK), "data", tmp_path)["example"][:])) == 3 * CHUNK


def test_the_part_of_a_killed_process_is_not_taken_for_whole(encoder, counted, tmp_path):
    name = f"{encoder.key('data')}.arrow"
    (tmp_path / "encodings").mkdir()
    (tmp_path / "encodings" / f".{name}.1.part").write_bytes(b"half")
    assert len(encode(encoder, [1, 2], "data", tmp_path)) == 2
    assert counted.calls == 1


@pytest.mark.parametrize(
    "name",
    [
        "classification",
        "tagging",
        "span_qa",
        "multiple_choice",
        "bitext_retrieval",
        "bitext_mining",
        "passage_ranking",
    ],
)
def test_features_of_every_kind_survive_the_disk(name, tiny_backbone, tmp_path, monkeypatch):
    from transformers import AutoTokenizer

    monkeypatch.setattr(encoding, "CHUNK", 2)
    items = {
        "classification": [
            ClassificationExample("1", "a", "b", "x"),
            ClassificationExample("2", "cat " * 90, "b", None),
            ClassificationExample("3", "", "人人", "y"),
        ],
        "tagging": [
            TaggingExample("1", ("a", "cat"), None),
            TaggingExample("2", ("人人",) * 90, ("y",) * 90),
            TaggingExample("3", ("a",), ("x",)),
        ],
        "span_qa": [
            SpanQAExample("1", "Where?", "", ()),
            SpanQAExample("2", "Where?", "cat " * 90, (Answer("cat", 8),)),
            SpanQAExample("3", "", "the cat", ()),
        ],
        "multiple_choice": [
            MultipleChoiceExample("1", "Who?", ("a", "b", "cat sits"), None),
            MultipleChoiceExample("2", "Who?", ("a", "b"), 1),
            MultipleChoiceExample("3", "", ("a", ""), 0),
        ],
        "bitext_retrieval": [
            BitextExample("0", "a", "b"),
            BitextExample("1", "cat " * 90, "人"),
            BitextExample("2", "c", "d"),
        ],
        "bitext_mining": [
            MiningExample("de-1", "a", (), (("en-1", "b"), ("en-2", "cat " * 90))),
            MiningExample("de-2", "cat " * 90, ("en-1",), ()),
            MiningExample("de-3", "人", None, ()),
        ],
        "passage_ranking": [
            RankingExample("1", "Who?", "the cat", ("a",)),
            RankingExample("2", "cat " * 90, "人", ("b",)),
            RankingExample("3", "Where?", "cat " * 90, ()),
        ],
    }[name]
    task = SimpleNamespace(name="made up", labels=("x", "y"), labels_from=None, tag_on="first_piece")
    kind = TASK_TYPES[name]
    encoder = Encoder(kind, task, AutoTokenizer.from_pretrained(str(tiny_backbone)), "tok", 64, True)
    dataset = encode(encoder, items, "data", tmp_path)
    assert rows(dataset) == kind.encode(items, encoder.tokenizer, task, 64, True)
    batch = kind.collate(rows(dataset), 1)
    assert batch["input_ids"].shape == batch["attention_mask"].shape
    assert batch["input_ids"].shape[0] == (2 if name == "passage_ranking" else 1) * len(dataset)


def test_features_are_streamed_and_their_examples_counted(encoder, tmp_path):
    path = encoded_file(encoder, iter(range(CHUNK + 700)), "data", tmp_path)
    assert list(stream_features(path)) == rows(encode(encoder, [], "data", tmp_path))
    assert count_examples(path) == CHUNK + 700


def test_it_is_told_whether_the_cache_was_used_and_why_not(encoder, tmp_path, capsys):
    told = []
    other = replace(encoder, max_length=64)
    encoded_file(encoder, [1], "data", tmp_path, tell=told.append)
    encoded_file(encoder, [1], "data", tmp_path, tell=told.append)
    encoded_file(other, [1], "data", tmp_path, tell=told.append)
    encoded_file(replace(other, tokenizer_key="kot"), [1], "data", tmp_path, tell=told.append)
    encoded_file(encoder, [1], "other", tmp_path, tell=told.append)
    assert told == [
        "made now, the cache has none of these data",
        "from the cache",
        "made now, the cache has them for another max_length",
        "made now, the cache has them for another tokenizer",
        "made now, the cache has none of these data",
    ]
    path = encoded_file(encoder, [1], "data", tmp_path)
    assert capsys.readouterr().err == "[cache] token ids of made up (training): from the cache\n"
    path.unlink()
    encoded_file(encoder, [1], "data", tmp_path, tell=told.append)
    assert told[-1] == "made now, the file of these very inputs was deleted"
