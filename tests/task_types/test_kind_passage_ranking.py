import math

import pytest
import torch

from adaptrans.task_types.base import TASK_TYPES
from adaptrans.task_types.passage_ranking import QUERY_PIECES, SCALE, PassageRanking, RankingExample
from adaptrans.task_types.rows import RowError, Rules

KIND = PassageRanking()
collate = KIND.collate
encode = KIND.encode
loss = KIND.loss

build_ranking = TASK_TYPES["passage_ranking"].build

PAIRS = [
    RankingExample("1", "the library " * 90, "the cat sits " * 90, ("a",)),
    RankingExample("2", "London?", "It was opened in London.", ("b",)),
]


def test_queries_and_passages_are_cut_apart(tokenizer, task):
    first, second = encode(PAIRS, tokenizer, task(), 128, True)
    assert [len(row) for row in first["input_ids"]] == [QUERY_PIECES, 128]
    assert first["length"] == 2 * 128
    assert second["input_ids"] == [tokenizer(text)["input_ids"] for text in ("London?", PAIRS[1].passage)]


def test_single_texts_make_single_rows(tokenizer, task):
    query = RankingExample("1", "London?", None, ("a",))
    passage = RankingExample("2", None, "London " * 200, ())
    rows = encode([query, passage], tokenizer, task(), 110, False)
    assert [[len(ids) for ids in row["input_ids"]] for row in rows] == [
        [len(tokenizer("London?")["input_ids"])],
        [110],
    ]


def test_a_batch_holds_all_queries_then_all_passages(tokenizer, task):
    features = encode(PAIRS, tokenizer, task(), 128, True)
    batch = collate(features, 1)
    lengths = batch["attention_mask"].sum(dim=1).tolist()
    order = [(0, 0), (1, 0), (0, 1), (1, 1)]
    assert lengths == [len(features[i]["input_ids"][side]) for i, side in order]


def test_loss_is_the_softmax_over_the_passages_of_the_batch():
    vectors = torch.tensor([[2.0, 0.0], [0.0, 3.0], [1.0, 0.0], [1.0, 0.0]])
    total, terms = loss(vectors, {})
    # The first query meets two equal passages, the second is orthogonal to both.
    assert terms == 2
    assert total.item() == pytest.approx(2 * math.log(2), abs=1e-5)
    right = torch.tensor([[1.0, 0.0], [0.0, 1.0], [4.0, 0.0], [0.0, 0.1]])
    assert loss(right, {})[0].item() == pytest.approx(0, abs=1e-5)
    assert SCALE == 100
    assert KIND.whole


def test_a_row_needs_a_text_and_a_query_its_answer():
    assert build_ranking("1", {"passage": " p "}, Rules()) == RankingExample("1", None, "p", ())
    for fields, message in (({"keys": ["a"]}, "neither a query"), ({"query": "q"}, "what answers the query")):
        with pytest.raises(RowError, match=message):
            build_ranking("1", fields, Rules())
