"""Find the pairs of sentences of two corpora that translate each other (BUCC 2018).

Nothing is trained: the setup is everything below `target`. One feature per sentence of the
language's corpus (`side` 0); the first example carries the English corpus, whose sentences follow
its own (`side` 1). `adaptrans.evaluation.bitext_mining` turns their vectors into pairs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

from adaptrans.task_types.base import Feature, Level, TaskSettings, Template
from adaptrans.task_types.bitext_retrieval import BESIDE, ENGLISH, SWAHILI, TranslationSearch
from adaptrans.task_types.rows import Example, RowError, Rules

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
    golds: tuple[str, ...] | None
    pool: tuple[tuple[str, str], ...]

    def in_place_of(self, first: MiningExample) -> Self:
        """The example with the other corpus."""
        return replace(self, pool=first.pool)

    def shortened(self) -> Self:
        """The example with a few sentences of the other corpus."""
        return replace(self, pool=self.pool[:SHOWN]) if self.pool else self


def numbered(text: str, prefix: str) -> str:
    """Lines with an id and a tab before each."""
    return "".join(f"{prefix}-{place}\t{line}\n" for place, line in enumerate(text.splitlines()))


class BitextMining(TranslationSearch):
    """Two corpora whose pairs of translations are to be found."""

    name = "bitext_mining"
    title = "Bitext mining"
    required = ("text", "golds", "pool")
    gold_fields = ("golds",)
    retriever = "adaptrans.evaluation.bitext_mining.answer:answer"
    searches = ("both", "each side looks for its translations in the other, and pairs are mutual")
    mines = True
    scores = ("bucc_f1",)
    layout = "pairs"

    template = Template(
        asks="Two corpora; the pairs that translate each other have to be found. Nothing is trained.",
        settings="""\
scores: [bucc_f1]
max_length: 128  # sub-words
fields: {id: id, text: text, golds: golds, pool: pool}
""",
        format="    format: bucc  # lines of id, tab, sentence; the pairs as lines of id, tab, id\n",
        suffix="txt",
        splits={"dev": ("sw",), "test": ("sw",)},
        rows={"sw": numbered(SWAHILI, "sw")},
        beside={"en": numbered(ENGLISH + "Nobody sleeps.\n", "en"), "gold": "sw-0\ten-0\nsw-1\ten-1\n"},
        sections=BESIDE.replace("  test:\n", "  dev:  # the threshold is tuned on it\n").replace(
            "/test-", "/dev-"
        )
        + "        gold: {name}/dev-{{lang}}.gold\n"
        + BESIDE.removeprefix("splits:\n")
        + "        gold: {name}/test-{{lang}}.gold\n",
    )

    def build(self, id: str, fields: Mapping[str, Any], rules: Rules) -> MiningExample:
        """A sentence as it stands, its translations, and with the first one the other corpus."""
        text = fields.get("text")
        if not isinstance(text, str) or not text.strip():
            raise RowError('field "text" is missing or empty')
        golds = fields.get("golds")
        if golds is None and rules.labeled:
            raise RowError("there are no gold pairs")
        return MiningExample(
            id, text, None if golds is None else tuple(golds), tuple(fields.get("pool") or ())
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
            rows = tokenizer(
                [text for _, _, text in part],
                truncation=True,
                max_length=max_length,
                return_attention_mask=False,
            )["input_ids"]
            features += [
                {"example": index, "length": len(ids), "input_ids": ids, "side": side}
                for (index, side, _), ids in zip(part, rows, strict=True)
            ]
        return features

    def chance(
        self, task: TaskSettings, examples: Iterable[Any], golds: Iterable[Any], level: Level
    ) -> float:
        """One in the sentences of the other corpus."""
        return 100 / max(1, sum(len(example.pool) for example in examples))
