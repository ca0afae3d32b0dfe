import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from adaptrans.evaluation.metrics import SCORES
from adaptrans.task_types.base import TASK_TYPES
from adaptrans.task_types.masked_lm import TextExample, blocks, masked
from adaptrans.tasks import catalogue
from adaptrans.tasks.loading import read_examples

KIND = TASK_TYPES["mlm"]


def examples_of(*texts, language="en"):
    return [TextExample(f"{language}-{number}", text, language) for number, text in enumerate(texts)]


@given(data=st.data())
@settings(max_examples=30)
def test_blocks_hold_every_piece_once_in_order(data, tokenizer, hard_texts):
    texts = data.draw(st.lists(hard_texts, min_size=1, max_size=8))
    length = data.draw(st.integers(8, 40))
    lines = tokenizer(texts, add_special_tokens=False)["input_ids"]
    found = list(blocks(lines, tokenizer, length))
    joined = [piece for line in lines for piece in (*line, tokenizer.eos_token_id)]
    assert [piece for _, ids in found for piece in ids[1:-1]] in (joined, joined[:-1])
    for number, ids in found:
        assert 0 <= number < len(texts)
        assert (ids[0], ids[-1]) == (tokenizer.bos_token_id, tokenizer.eos_token_id)
    assert all(len(ids) == length for _, ids in found[:-1])
    assert all(len(ids) <= length for _, ids in found)


def test_languages_are_not_joined(tokenizer, task):
    mixed = [*examples_of("the cat", "a mat"), *examples_of("watu wote", language="sw")]
    features = KIND.encode(mixed, tokenizer, task(), 32, True)
    assert [feature["example"] for feature in features] == [1, 2]
    assert mixed[features[1]["example"]].language == "sw"


def test_for_scoring_every_example_has_its_own_blocks(tokenizer, task, no_warnings):
    found = examples_of("the cat sits on the mat " * 20, "a mat", "library")
    features = KIND.encode(found, tokenizer, task(), 16, False)
    owners = [feature["example"] for feature in features]
    assert sorted(set(owners)) == [0, 1, 2]
    assert owners.count(0) > 3
    assert owners == sorted(owners)


def test_a_seventh_is_hidden_and_special_tokens_never(tokenizer, task):
    (feature, *_) = KIND.encode(examples_of("the cat sits on the mat " * 400), tokenizer, task(), 1024, True)
    ids = np.array(feature["input_ids"])
    shares = []
    for number in range(20):
        shown, hidden = masked({**feature, "draw": (1, number, 0)})
        shares.append(hidden.mean())
        assert not hidden[ids < feature["first_piece"]].any()
        assert (shown == ids)[~hidden].all()
        masks = shown[hidden] == tokenizer.mask_token_id
        assert 0.65 < masks.mean() < 0.95
    assert np.mean(shares) == pytest.approx(0.15, abs=0.02)


def test_guesses_are_counted_by_example(tokenizer, task):
    found = examples_of("the cat sits on the mat", "library")
    features = KIND.encode(found, tokenizer, task(), 32, False)
    batch = KIND.collate(features, 1)
    right = torch.nn.functional.one_hot(batch["labels"], len(tokenizer)).float()
    counts = KIND.decode(right, features)
    predictions = [KIND.predict(example, [count], ()) for example, count in zip(found, counts, strict=True)]
    assert sum(hidden for _, hidden in predictions) == len(batch["labels"])
    golds = [KIND.reference(example) for example in found]
    assert SCORES["masked_pieces"].compute(golds, predictions) == {"masked_pieces": 100.0}
    wrong = KIND.decode(right.roll(1, dims=-1), features)
    assert all(count == (0, hidden) for count, (_, hidden) in zip(wrong, predictions, strict=True))


def test_text_of_the_shared_data(data_folder, tokenizer):
    task = catalogue.get("mlm")
    for language in ("sw", "zh"):
        found = read_examples(task, "train", language, data_folder, limit=50)
        assert {example.language for example in found} == {language}
        assert all(example.text.strip() for example in found)
        features = KIND.encode(found, tokenizer, task, 64, True)
        assert all(feature["length"] == 64 for feature in features[:-1])
