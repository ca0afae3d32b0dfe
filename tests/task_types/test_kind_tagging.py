import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adaptrans.task_types.inputs import IGNORED
from adaptrans.task_types.tagging import RESERVED_PIECES, Tagging, TaggingExample, segments, word_pieces

KIND = Tagging()
encode = KIND.encode

TAGS = ("O", "B-PER", "I-PER", "B-LOC")
CALM = settings(deadline=None, max_examples=40, suppress_health_check=list(HealthCheck))


def slow_segments(lengths, budget):
    """XTREME's rule, word by word: a new input starts at the word that would exceed the budget."""
    inputs, used = [], budget + 1
    for word, length in enumerate(lengths):
        if used + length > budget:
            inputs.append([])
            used = 0
        inputs[-1].append(word)
        used += length
    return inputs


def answered(example, features, labels):
    """The predictions when the model is sure of the gold tag at every labeled piece."""
    batch = KIND.collate(features, 1)
    logits = torch.zeros(*batch["labels"].shape, len(labels))
    rows, columns = torch.nonzero(batch["labels"] != IGNORED, as_tuple=True)
    logits[rows, columns, batch["labels"][rows, columns]] = 5.0
    outputs = KIND.decode(logits, features)
    return KIND.predict(example, outputs, labels)


@given(st.integers(1, 12).flatmap(lambda b: st.tuples(st.lists(st.integers(1, b), max_size=40), st.just(b))))
def test_segments_are_those_of_the_slow_rule(case):
    lengths, budget = case
    found = segments(lengths, budget)
    assert [list(words) for words in found] == slow_segments(lengths, budget)
    assert [word for words in found for word in words] == list(range(len(lengths)))
    assert all(0 < sum(lengths[word] for word in words) <= budget for words in found)


def test_segments_fill_the_budget_exactly():
    assert segments([3, 2, 5, 1], 5) == [range(2), range(2, 3), range(3, 4)]


def test_pieces_of_words_are_those_of_the_words_alone(tokenizer):
    words = ["The", "cat", "北京", "الناس", "ทำงาน", "e\u0301", "3.5"]
    alone = [tokenizer(word, add_special_tokens=False)["input_ids"] for word in words]
    assert word_pieces([words], tokenizer, 100) == [alone]


@pytest.mark.parametrize("word", ["", " ", "\u00a0"])
def test_a_word_without_pieces_becomes_unknown(tokenizer, word):
    pieces = word_pieces([["a", word, "b"]], tokenizer, 100)[0]
    assert len(pieces) == 3
    assert pieces[1] == [tokenizer.unk_token_id]


def test_a_word_of_more_pieces_than_the_budget_becomes_unknown(tokenizer):
    exact, over = "qz" * 30, "qz" * 30 + "q"
    size = len(tokenizer(exact, add_special_tokens=False)["input_ids"])
    assert len(tokenizer(over, add_special_tokens=False)["input_ids"]) == size + 1
    pieces = word_pieces([[exact, over]], tokenizer, size)[0]
    assert [len(ids) for ids in pieces] == [size, 1]
    assert pieces[1] == [tokenizer.unk_token_id]


def test_the_budget_keeps_three_pieces_free(tokenizer, task):
    assert RESERVED_PIECES == 3
    words = ("a",) * 40
    assert len(tokenizer("a", add_special_tokens=False)["input_ids"]) == 1
    features = encode([TaggingExample("1", words, None)], tokenizer, task(*TAGS), 16, False)
    # 13 pieces and the two special tokens.
    assert [feature["length"] for feature in features] == [15, 15, 15, 3]


@pytest.mark.parametrize("tag_on", ["first_piece", "first_text_piece"])
def test_the_tag_sits_on_one_piece_only(tokenizer, task, tag_on):
    words = ("international", "cats", "x")
    sizes = [len(tokenizer(word, add_special_tokens=False)["input_ids"]) for word in words]
    assert max(sizes) > 1, "the test needs a word of several pieces"
    example = TaggingExample("1", words, ("B-PER", "O", "B-LOC"))
    (feature,) = encode([example], tokenizer, task(*TAGS, tag_on=tag_on), 128, True)
    pieces = [tokenizer.tokenize(word) for word in words]
    bare = [int(found[0] == "▁" and len(found) > 1) for found in pieces]
    assert 0 < sum(bare) < len(bare), "the test needs words with and without a piece for the space alone"
    bare = bare if tag_on == "first_text_piece" else [0, 0, 0]
    expected = [IGNORED]
    for size, tag, place in zip(sizes, (1, 0, 3), bare, strict=True):
        expected += [IGNORED] * place + [tag] + [IGNORED] * (size - 1 - place)
    assert feature["token_labels"] == [*expected, IGNORED]
    assert feature["starts"] == [1 + bare[0], 1 + sizes[0] + bare[1], 1 + sizes[0] + sizes[1] + bare[2]]
    assert feature["input_ids"][0] == tokenizer.bos_token_id
    assert feature["input_ids"][-1] == tokenizer.eos_token_id
    assert feature["length"] == len(feature["input_ids"]) == len(feature["token_labels"])


def test_a_short_sentence_is_encoded_as_the_tokenizer_does_alone(tokenizer, task):
    words = ("All", "human", "beings", "人人", "الناس")
    (feature,) = encode([TaggingExample("1", words, None)], tokenizer, task(*TAGS), 128, False)
    assert feature["input_ids"] == tokenizer(list(words), is_split_into_words=True)["input_ids"]


def test_hidden_tags_give_no_terms_but_predictions(tokenizer, task):
    example = TaggingExample("1", ("a", "b"), None)
    features = encode([example], tokenizer, task(*TAGS), 128, False)
    batch = KIND.collate(features, 1)
    assert (batch["labels"] == IGNORED).all()
    logits = torch.zeros(*batch["labels"].shape, len(TAGS))
    logits[..., 2] = 1
    assert KIND.predict(example, KIND.decode(logits, features), TAGS) == ["I-PER", "I-PER"]
    assert KIND.reference(example) is None


@pytest.mark.parametrize(
    "words",
    [
        ["cat"] * 300,
        ["international", "x", "", "\u200b"] * 75,
        ["人人生而自由", "在尊严和权利上"] * 20,
        ["มนุษย์ทั้งหลายเกิดมา", "ห้องสมุด"] * 20,
        ["يولد", "جميع\u200f", "\u200fالناس"] * 30,
    ],
)
@pytest.mark.parametrize("max_length", [16, 64, 128])
def test_perfect_logits_give_the_gold_tags_back(tokenizer, task, words, max_length):
    tags = tuple(TAGS[(7 * i + i // 5) % len(TAGS)] for i in range(len(words)))
    example = TaggingExample("1", tuple(words), tags)
    features = encode([example], tokenizer, task(*TAGS), max_length, True)
    assert max(feature["length"] for feature in features) <= max_length
    assert answered(example, features, TAGS) == list(tags) == KIND.reference(example)


def test_perfect_logits_give_the_gold_tags_back_in_any_sentence(tokenizer, task, hard_words):
    sentences = st.lists(st.tuples(hard_words, st.sampled_from(TAGS)), min_size=1, max_size=60)

    @CALM
    @given(st.lists(sentences, min_size=1, max_size=3), st.sampled_from([8, 16, 64]))
    def check(corpus, max_length):
        examples = [
            TaggingExample(str(i), tuple(w for w, _ in rows), tuple(t for _, t in rows))
            for i, rows in enumerate(corpus)
        ]
        features = encode(examples, tokenizer, task(*TAGS), max_length, True)
        assert [f["example"] for f in features] == sorted(f["example"] for f in features)
        assert max(feature["length"] for feature in features) < max_length
        for index, example in enumerate(examples):
            own = [feature for feature in features if feature["example"] == index]
            assert answered(example, own, TAGS) == list(example.tags)

    check()


def test_sentences_do_not_share_inputs(tokenizer, task):
    examples = [TaggingExample(str(i), ("a", "b"), ("O", "O")) for i in range(3)]
    features = encode(examples, tokenizer, task(*TAGS), 128, True)
    assert [feature["example"] for feature in features] == [0, 1, 2]


def test_loss_is_the_mean_over_words_and_adds_up_over_micro_batches(tokenizer, task):
    examples = [
        TaggingExample("1", ("international", "cats"), ("O", "B-LOC")),
        TaggingExample("2", ("a",), ("I-PER",)),
        TaggingExample("3", ("人人", "生", "而"), ("O", "O", "B-PER")),
    ]
    features = encode(examples, tokenizer, task(*TAGS), 128, True)
    whole = KIND.collate(features, 1)
    logits = torch.randn(*whole["labels"].shape, 4, generator=torch.Generator().manual_seed(1))
    total, terms = KIND.loss(logits, whole)
    assert terms == 6
    by_hand = sum(
        -logits[row, start].log_softmax(-1)[TAGS.index(tag)].item()
        for row, (example, feature) in enumerate(zip(examples, features, strict=True))
        for tag, start in zip(example.tags, feature["starts"], strict=True)
    )
    assert total.item() == pytest.approx(by_hand, rel=1e-5)
    parts = 0.0
    for row, feature in enumerate(features):
        batch = KIND.collate([feature], 1)
        parts += KIND.loss(logits[row : row + 1, : feature["length"]], batch)[0].item()
    assert parts == pytest.approx(total.item(), rel=1e-5)


def test_long_sentences_do_not_warn(tokenizer, task, no_warnings):
    encode([TaggingExample("1", ("cat",) * 900, None)], tokenizer, task(*TAGS), 128, False)
