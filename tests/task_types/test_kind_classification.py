import pytest
import torch
from torch.nn import functional

from adaptrans.task_types.classification import Classification, ClassificationExample
from adaptrans.task_types.inputs import IGNORED

KIND = Classification()
encode = KIND.encode

LABELS = ("entailment", "neutral", "contradiction")
PAIRS = [
    ClassificationExample("1", "The cat sits.", "A cat sits on the mat.", "neutral"),
    ClassificationExample("2", "人人生而自由", "人人", "entailment"),
    ClassificationExample("3", "No.", "Where is the library? It was opened in 1987.", None),
]


def test_pairs_are_encoded_as_the_tokenizer_does(tokenizer, task):
    features = encode(PAIRS, tokenizer, task(*LABELS), 128, True)
    expected = [tokenizer(example.text, example.pair)["input_ids"] for example in PAIRS]
    assert [feature["input_ids"] for feature in features] == expected
    assert [feature["length"] for feature in features] == [len(ids) for ids in expected]
    assert [feature["label"] for feature in features] == [1, 0, IGNORED]
    assert [feature["example"] for feature in features] == [0, 1, 2]
    assert not any(feature["cut"] for feature in features)


def test_single_texts_and_pairs_may_be_mixed(tokenizer, task):
    single = ClassificationExample("4", "Yes, no, maybe.", None, "neutral")
    for examples in ([single, *PAIRS], [*PAIRS, single]):
        features = encode(examples, tokenizer, task(*LABELS), 128, True)
        for example, feature in zip(examples, features, strict=True):
            assert feature["input_ids"] == tokenizer(example.text, example.pair)["input_ids"]


def test_an_empty_second_text_keeps_the_form_of_a_pair(tokenizer, task):
    (feature,) = encode(
        [ClassificationExample("1", "cat", "", "neutral")], tokenizer, task(*LABELS), 128, True
    )
    assert feature["input_ids"].count(tokenizer.eos_token_id) == 3


def test_the_longer_text_is_cut_and_said_to_be(tokenizer, task):
    long, short = "the cat " * 60, "a mat"
    examples = [
        ClassificationExample("1", long, short, "neutral"),
        ClassificationExample("2", short, long, "neutral"),
        ClassificationExample("3", short, short, "neutral"),
        ClassificationExample("4", long, None, "neutral"),
    ]
    features = encode(examples, tokenizer, task(*LABELS), 32, True)
    assert [feature["cut"] for feature in features] == [True, True, False, True]
    assert [feature["length"] for feature in features][:2] == [32, 32]
    assert features[3]["length"] == 32
    kept = tokenizer(short, add_special_tokens=False)["input_ids"]
    first, second = features[0]["input_ids"], features[1]["input_ids"]
    assert first[-1 - len(kept) : -1] == kept
    assert second[1 : 1 + len(kept)] == kept
    assert first[0] == second[0] == tokenizer.bos_token_id
    assert first[-1] == second[-1] == tokenizer.eos_token_id


def test_a_text_of_exactly_the_limit_is_not_cut(tokenizer, task):
    example = ClassificationExample("1", "a " * 20, None, "neutral")
    size = len(tokenizer(example.text)["input_ids"])
    assert not encode([example], tokenizer, task(*LABELS), size, True)[0]["cut"]
    assert encode([example], tokenizer, task(*LABELS), size - 1, True)[0]["cut"]


def test_long_texts_do_not_warn(tokenizer, task, no_warnings):
    encode([ClassificationExample("1", "cat " * 900, "mat", None)], tokenizer, task(*LABELS), 64, False)


def test_perfect_logits_give_the_gold_labels_back(tokenizer, task):
    examples = PAIRS[:2]
    features = encode(examples, tokenizer, task(*LABELS), 128, True)
    batch = KIND.collate(features, 1)
    outputs = KIND.decode(functional.one_hot(batch["labels"], 3).bfloat16(), features)
    predicted = [KIND.predict(e, [o], LABELS) for e, o in zip(examples, outputs, strict=True)]
    assert predicted == [KIND.reference(example) for example in examples] == ["neutral", "entailment"]


def test_the_first_of_equal_logits_wins():
    outputs = KIND.decode(torch.tensor([[0.0, 2.0, 2.0], [1.0, 1.0, 1.0]]), [{}, {}])
    assert [KIND.predict(None, [output], LABELS) for output in outputs] == [LABELS[1], LABELS[0]]


def test_logits_that_differ_in_the_last_bit_still_decide():
    logits = torch.tensor([[12.0, torch.nextafter(torch.tensor(12.0), torch.tensor(13.0)), -20.0]])
    (output,) = KIND.decode(logits, [{}])
    assert KIND.answer(None, [output], LABELS).prediction == LABELS[1]


def test_an_answer_has_the_log_probability_of_each_label():
    logits = torch.tensor([[0.5, 2.0, -1.0]])
    answer = KIND.answer(None, KIND.decode(logits, [{}]), LABELS)
    assert answer.prediction == LABELS[1]
    assert answer.log_probabilities == pytest.approx(logits.log_softmax(dim=-1)[0].tolist(), abs=1e-6)


def test_batch_shapes_and_loss(tokenizer, task):
    features = encode(PAIRS, tokenizer, task(*LABELS), 128, True)
    batch = KIND.collate(features, 1)
    width = max(feature["length"] for feature in features)
    assert batch["input_ids"].shape == batch["attention_mask"].shape == (3, width)
    assert batch["labels"].shape == (3,)
    logits = torch.randn(3, 3, generator=torch.Generator().manual_seed(0))
    total, terms = KIND.loss(logits, batch)
    assert terms == 2
    mean = functional.cross_entropy(logits, torch.tensor([1, 0, IGNORED]))
    assert total.item() / terms == pytest.approx(mean.item(), rel=1e-6)
    parts = [KIND.loss(logits[i : i + 1], KIND.collate(features[i : i + 1], 1)) for i in range(3)]
    assert sum(part.item() for part, _ in parts) == pytest.approx(total.item(), rel=1e-6)
    assert sum(number for _, number in parts) == terms


def test_hidden_labels_are_none():
    assert KIND.reference(PAIRS[2]) is None
