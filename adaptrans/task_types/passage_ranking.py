"""Rank passages for a query by the product of their vectors (LAReQA, Mewsli-X): a dual encoder.

Queries and passages go through the same encoder; a linear layer on the first token makes the
vector, which is then divided by its length. In training every other passage of the batch is a wrong
answer. The scale of the products is 100; the reference learns it from there with Adam, whose steps at
a rate of 2e-5 hardly move it. Lengths and loss: google-research/xtreme `scripts/train_lareqa.sh`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

from adaptrans.task_types.base import Batch, Feature, Level, Recipe, TaskSettings, TaskType, answer_text
from adaptrans.task_types.inputs import cut_to, padded_inputs
from adaptrans.task_types.rows import Example, Prefixes, RowError, Rules, text_field

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerFast


QUERY_PIECES = 96
"""Subword tokens of a query; passages take the task's maximum length."""

SCALE = 100.0
"""What products of unit vectors are multiplied by in the loss."""


@dataclass(frozen=True, slots=True)
class RankingExample(Example):
    """A query, a candidate passage, or for training a pair of both.

    `keys` is what the query looks for, or what the passage answers: they fit if they share one.
    """

    id: str
    query: str | None
    passage: str | None
    keys: tuple[str, ...]

    def prefixed(self, prefixes: Prefixes) -> Self:
        """With the one prefix before the query, and the other before the passage."""
        query = None if self.query is None else prefixes.text + self.query
        passage = None if self.passage is None else prefixes.passage + self.passage
        return replace(self, query=query, passage=passage)


class PassageRanking(TaskType):
    """Passages ranked for a query by the product of their vectors."""

    name = "passage_ranking"
    title = "Passage ranking"
    required = ("keys",)
    optional = ("query", "passage")
    reference_fields = ("keys",)
    head = "passage_ranking"
    takes_prefix = ("text", "passage")
    whole = True
    retriever = "adaptrans.evaluation.passage_ranking:answer"
    searches = ("query_to_candidates", "each query looks among the candidates of all languages")
    scores = ("map_at_20",)
    layout = "rankings"
    pipeline = "sentence-similarity"

    recipe = Recipe(
        lambda own: {
            "max_query_length": min(QUERY_PIECES, own["max_length"]),
            "pooling": "logits of the first token",
        },
        answer_text("passage_ranking"),
        lambda own: {"query": min(QUERY_PIECES, own["max_length"])},
    )

    def build(self, id: str, fields: Mapping[str, Any], rules: Rules) -> RankingExample:
        """A query with what it looks for, a passage with what it answers, or both together."""
        texts = [
            text_field(fields, name) if fields.get(name) is not None else None
            for name in ("query", "passage")
        ]
        if not any(texts):
            raise RowError("the row has neither a query nor a passage")
        given = fields.get("keys")
        # One key may stand in no list.
        listed = given if isinstance(given, list | tuple) else [given]
        keys = tuple(str(key) for key in listed if key not in (None, ""))
        if not keys and texts[0] is not None and rules.labeled:
            raise RowError("nothing says what answers the query")
        return RankingExample(id, texts[0], texts[1], keys)

    def encode(
        self,
        examples: Sequence[RankingExample],
        tokenizer: PreTrainedTokenizerFast,
        task: TaskSettings,
        max_length: int,
        training: bool,
    ) -> list[Feature]:
        """One feature per example with a row of ids for its query, for its passage, or for both."""
        texts = [
            (index, side, text)
            for index, example in enumerate(examples)
            for side, text in enumerate((example.query, example.passage))
            if text is not None
        ]
        rows: list[list[int]] = [[] for _ in texts]
        for side, pieces in ((0, min(QUERY_PIECES, max_length)), (1, max_length)):
            own = [place for place, item in enumerate(texts) if item[1] == side]
            if own:
                ids = cut_to(tokenizer, [texts[place][2] for place in own], pieces)
                for place, row in zip(own, ids, strict=True):
                    rows[place] = row
        features: list[Feature] = [
            {"example": index, "length": 0, "input_ids": []} for index in range(len(examples))
        ]
        for (index, _, _), row in zip(texts, rows, strict=True):
            features[index]["input_ids"].append(row)
        for feature in features:
            feature["length"] = max(map(len, feature["input_ids"])) * len(feature["input_ids"])
        return features

    def collate(self, features: Sequence[Feature], padding_id: int) -> Batch:
        """Inputs of shape (texts, tokens): all queries, then all passages."""
        numbers = {len(feature["input_ids"]) for feature in features}
        assert len(numbers) == 1, "a batch holds pairs, or single texts"
        rows = [feature["input_ids"][side] for side in range(numbers.pop()) for feature in features]
        return padded_inputs(rows, padding_id)

    def head_labels(
        self, task: TaskSettings, examples: Sequence[RankingExample], width: int
    ) -> tuple[str, ...]:
        """The numbers of a vector."""
        return tuple(str(number) for number in range(width))

    def head_size(self, task: TaskSettings, width: int) -> int:
        """The numbers of a vector."""
        return width

    def loss(self, logits: torch.Tensor, batch: Batch) -> tuple[torch.Tensor, int]:
        """In-batch softmax: cross-entropy of the own passage among all of the batch.

        Args:
            logits: Vectors of the queries, then of their passages, shape (2 x pairs, width).
            batch: Not needed.
        """
        import torch
        from torch.nn import functional

        pairs = len(logits) // 2
        vectors = functional.normalize(logits.float(), dim=-1)
        products = SCALE * vectors[:pairs] @ vectors[pairs:].T
        right = torch.arange(pairs, device=logits.device)
        return functional.cross_entropy(products, right, reduction="sum"), pairs

    def decode(self, logits: torch.Tensor, features: Sequence[Feature]) -> list[Any]:
        """The unit vector of every text."""
        from torch.nn import functional

        return list(functional.normalize(logits.float(), dim=-1).numpy())

    def predict(self, example: RankingExample, outputs: Sequence[Any], labels: Sequence[str]) -> Any:
        """The vector of an example with one text, as numbers."""
        return outputs[0].tolist()

    def other_languages(self, languages: Sequence[str]) -> Sequence[str]:
        """Candidates are in all languages."""
        return languages

    def chance(
        self, task: TaskSettings, examples: Iterable[Any], references: Iterable[Any], level: Level
    ) -> float:
        """Nothing: a right one among the first 20 of thousands of candidates is rare at random."""
        return 0.0

    def notes(self, example: RankingExample, features: Sequence[Feature]) -> Sequence[str]:
        """Which is the query, and which the passage."""
        return [name for name in ("query", "passage") if getattr(example, name) is not None]
