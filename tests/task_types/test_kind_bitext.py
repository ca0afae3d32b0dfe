import pytest

from adaptrans.task_types.bitext_retrieval import BitextExample, BitextRetrieval

KIND = BitextRetrieval()
encode = KIND.encode

EXAMPLES = [
    BitextExample("0", "图书馆在哪里？", "Where is the library?"),
    BitextExample("1", "Ein Haus " * 40, "A house."),
]


def test_both_sides_follow_each_other(tokenizer, task):
    features = encode(EXAMPLES, tokenizer, task(), 512, False)
    texts = ["图书馆在哪里？", "Where is the library?", EXAMPLES[1].text, "A house."]
    assert [(feature["example"], feature["side"]) for feature in features] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert [feature["input_ids"] for feature in features] == [tokenizer(text)["input_ids"] for text in texts]


def test_sentences_are_cut_to_the_maximum_with_both_special_tokens(tokenizer, task):
    features = encode(EXAMPLES, tokenizer, task(), 16, False)
    whole = tokenizer(EXAMPLES[1].text)["input_ids"]
    assert features[2]["input_ids"] == [*whole[:15], tokenizer.eos_token_id]
    assert features[2]["length"] == 16


def test_a_batch_is_padded_and_an_example_holds_no_gold(tokenizer, task):
    features = encode(EXAMPLES, tokenizer, task(), 512, False)
    batch = KIND.collate(features, 1)
    assert set(batch) == {"input_ids", "attention_mask"}
    assert batch["attention_mask"].sum(dim=1).tolist() == [feature["length"] for feature in features]
    assert not KIND.trainable
    with pytest.raises(NotImplementedError, match="no part of an example"):
        KIND.reference(EXAMPLES[0])
