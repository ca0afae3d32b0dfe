import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from adaptrans.task_types.inputs import IGNORED
from adaptrans.task_types.multiple_choice import MultipleChoice, MultipleChoiceExample

KIND = MultipleChoice()
encode = KIND.encode

EXAMPLES = [
    MultipleChoiceExample("1", "The man bought apples.", ("He was hungry.", "It rained in London."), 1),
    MultipleChoiceExample("2", "Where?", ("In Berlin.", "人人", "a", "the library on the second floor"), 3),
    MultipleChoiceExample("3", "Who sat on the mat?", ("the cat", "no one", "Anna"), None),
]


def test_every_choice_is_a_pair_with_the_prompt(tokenizer, task):
    features = encode(EXAMPLES, tokenizer, task(), 128, True)
    for index, (example, feature) in enumerate(zip(EXAMPLES, features, strict=True)):
        rows = [tokenizer(example.prompt, choice)["input_ids"] for choice in example.choices]
        assert feature["input_ids"] == rows
        assert feature["example"] == index
        assert feature["length"] == max(map(len, rows)) * len(rows)
    assert [feature["label"] for feature in features] == [1, 3, IGNORED]


def test_the_longer_of_prompt_and_choice_is_cut(tokenizer, task):
    example = MultipleChoiceExample("1", "the cat " * 60, ("a mat", "the daughter " * 60), 0)
    (feature,) = encode([example], tokenizer, task(), 32, True)
    assert [len(ids) for ids in feature["input_ids"]] == [32, 32]
    kept = tokenizer("a mat", add_special_tokens=False)["input_ids"]
    assert feature["input_ids"][0][-1 - len(kept) : -1] == kept


def test_unequal_numbers_of_choices_share_a_batch(tokenizer, task):
    features = encode(EXAMPLES, tokenizer, task(), 128, True)
    batch = KIND.collate(features, 1)
    width = max(len(row) for feature in features for row in feature["input_ids"])
    assert batch["input_ids"].shape == batch["attention_mask"].shape == (3, 4, width)
    assert batch["choice_mask"].tolist() == [
        [True, True, False, False], [True] * 4, [True, True, True, False]
    ]  # fmt: skip
    for feature, ids, mask in zip(features, batch["input_ids"], batch["attention_mask"], strict=True):
        for row, wide, real in zip(feature["input_ids"], ids.tolist(), mask.tolist(), strict=False):
            assert wide[: len(row)] == row
            assert real == [1] * len(row) + [0] * (width - len(row))
    # A row without any real token would make attention divide by zero.
    assert (batch["attention_mask"].sum(dim=-1) > 0).all()


def test_the_masked_loss_is_that_of_every_example_alone(tokenizer, task):
    features = encode(EXAMPLES, tokenizer, task(), 128, True)
    logits = torch.randn(3, 4, generator=torch.Generator().manual_seed(5)).requires_grad_()
    total, terms = KIND.loss(logits, KIND.collate(features, 1))
    assert terms == 2
    alone = [
        functional.cross_entropy(logits[row, : len(example.choices)], torch.tensor(example.label))
        for row, example in enumerate(EXAMPLES)
        if example.label is not None
    ]
    assert total.item() == pytest.approx(sum(alone).item(), rel=1e-6)
    assert total.item() / terms == pytest.approx(torch.stack(alone).mean().item(), rel=1e-6)
    parts = [
        KIND.loss(logits[i : i + 1, : len(e.choices)], KIND.collate(features[i : i + 1], 1))[0].item()
        for i, e in enumerate(EXAMPLES)
    ]
    assert sum(parts) == pytest.approx(total.item(), rel=1e-6)
    total.backward()
    assert torch.isfinite(logits.grad).all()
    assert logits.grad[0, 2:].abs().sum() == logits.grad[2].abs().sum() == 0
    assert (logits.grad[1].abs() > 0).all()


@settings(deadline=None)
@given(st.data())
def test_a_padded_choice_is_never_chosen(data):
    sizes = data.draw(st.lists(st.integers(2, 5), min_size=1, max_size=4))
    width = max(sizes)
    values = data.draw(
        st.lists(
            st.lists(st.integers(-3, 3), min_size=width, max_size=width),
            min_size=len(sizes),
            max_size=len(sizes),
        )
    )
    features = [{"input_ids": [[0, 2]] * size} for size in sizes]
    outputs = KIND.decode(torch.tensor(values).bfloat16(), features)
    # list.index: the first of equal ones.
    expected = [row[:n].index(max(row[:n])) for row, n in zip(values, sizes, strict=True)]
    assert [KIND.predict(None, [output], ()) for output in outputs] == expected
    for output, row, size in zip(outputs, values, sizes, strict=True):
        chances = torch.tensor(row[:size], dtype=torch.float64).softmax(dim=-1).log()
        assert KIND.log_probabilities([output]) == pytest.approx(chances.tolist())


def test_perfect_logits_give_the_gold_choices_back(tokenizer, task):
    examples = EXAMPLES[:2]
    features = encode(examples, tokenizer, task(), 128, True)
    batch = KIND.collate(features, 1)
    outputs = KIND.decode(functional.one_hot(batch["labels"], 4).float(), features)
    predicted = [KIND.predict(e, [o], ()) for e, o in zip(examples, outputs, strict=True)]
    assert predicted == [KIND.reference(example) for example in examples] == [1, 3]
    assert KIND.reference(EXAMPLES[2]) is None


def test_equal_numbers_of_choices_batch_without_padding_rows(tokenizer, task):
    features = encode([EXAMPLES[0]] * 2, tokenizer, task(), 128, True)
    assert KIND.collate(features, 1)["choice_mask"].all()
