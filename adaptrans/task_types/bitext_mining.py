"""Find the pairs of sentences of two corpora that translate each other (BUCC 2018).

Nothing is trained: the setup is everything below `target`. One feature per sentence of the
language's corpus (`side` 0); the first example carries the English corpus, whose sentences follow
its own (`side` 1). `adaptrans.evaluation.bitext_mining` turns their vectors into pairs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

from adaptrans.task_types.base import Feature, Level, TaskSettings
from adaptrans.task_types.bitext_retrieval import TranslationSearch
from adaptrans.task_types.inputs import cut_to
from adaptrans.task_types.rows import Example, Prefixes, RowError, Rules

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


CHUNK = 10_000
"""Sentences of the English corpus that are tokenized together."""

SHOWN = 3
"""Sentences of the other corpus that are shown with the first example."""


@dataclass(frozen=True, slots=True)
class MiningExample(Example):
    """A sentence of a corpus and the ids of its translations in the other one (None: not given).

    The first example of a corpus carries the other corpus as pairs of id and sentence.
    """

    id: str
    text: str
    references: tuple[str, ...] | None
    pool: tuple[tuple[str, str], ...]

    def in_place_of(self, first: MiningExample) -> Self:
        """The example with the other corpus."""
        return replace(self, pool=first.pool)

    def prefixed(self, prefixes: Prefixes) -> Self:
        """With the prefix before the sentence, and before those of the other corpus."""
        pool = tuple((name, prefixes.text + text) for name, text in self.pool)
        return replace(self, text=prefixes.text + self.text, pool=pool)

    def shortened(self) -> Self:
        """The example with a few sentences of the other corpus."""
        return replace(self, pool=self.pool[:SHOWN]) if self.pool else self


class BitextMining(TranslationSearch):
    """Two corpora whose pairs of translations are to be found."""

    name = "bitext_mining"
    title = "Bitext mining"
    required = ("text", "references", "pool")
    reference_fields = ("references",)
    retriever = "adaptrans.evaluation.bitext_mining.answer:answer"
    searches = ("both", "each side looks for its translations in the other, and pairs are mutual")
    mines = True
    scores = ("bucc_f1",)
    layout = "pairs"

    def build(self, id: str, fields: Mapping[str, Any], rules: Rules) -> MiningExample:
        """A sentence as it stands, its translations, and with the first one the other corpus."""
        text = fields.get("text")
        if not isinstance(text, str) or not text.strip():
            raise RowError('field "text" is missing or empty')
        references = fields.get("references")
        if references is None and rules.labeled:
            raise RowError("there are no reference pairs")
        return MiningExample(
            id, text, None if references is None else tuple(references), tuple(fields.get("pool") or ())
        )

    def encode(
        self,
        examples: Sequence[MiningExample],
        tokenizer: PreTrainedTokenizerFast,
        task: TaskSettings,
        max_length: int,
        training: bool,
    ) -> list[Feature]:
        """Every sentence, pieces cut to the maximum length."""
        texts: list[tuple[int, int, str]] = []
        for index, example in enumerate(examples):
            texts += [(index, 0, example.text), *((index, 1, text) for _, text in example.pool)]
        features: list[Feature] = []
        for start in range(0, len(texts), CHUNK):
            part = texts[start : start + CHUNK]
            rows = cut_to(tokenizer, [text for _, _, text in part], max_length)
            features += [
                {"example": index, "length": len(ids), "input_ids": ids, "side": side}
                for (index, side, _), ids in zip(part, rows, strict=True)
            ]
        return features

    def chance(
        self, task: TaskSettings, examples: Iterable[Any], references: Iterable[Any], level: Level
    ) -> float:
        """One in the sentences of the other corpus."""
        return 100 / max(1, sum(len(example.pool) for example in examples))
