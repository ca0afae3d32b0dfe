"""Find each English sentence's translation by nearest neighbor (Tatoeba).

Nothing is trained: the setup is everything below `target`. Two features per
example, the sentence in the language (`side` 0) and the English one (`side` 1).
`adaptrans.evaluation.dense_retrieval` turns their vectors into predictions; the gold
answer to sentence i is i.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from adaptrans.task_types.base import Batch, Feature, Input, Level, TaskSettings, TaskType, Template, tokens
from adaptrans.task_types.rows import Example, RowError, Rules, text_field
from adaptrans.task_types.tensors import padded_inputs

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


@dataclass(frozen=True, slots=True)
class BitextExample(Example):
    """Line i of a language and line i of English: its reference answer has the same index."""

    id: str
    text: str
    english: str


SWAHILI = "Paka analala.\nMvua inanyesha.\nAnasoma kitabu.\n"
ENGLISH = "The cat sleeps.\nIt is raining.\nShe reads a book.\n"
BESIDE = """\
splits:
  test:
    files:
      - path: {name}/test-{{lang}}.txt  # below DATA; .gz may follow
        beside: {name}/test-{{lang}}.en
"""


class TranslationSearch(TaskType):
    """Sentences of a language (`side` 0) and of English (`side` 1), compared by their vectors."""

    pipeline = "sentence-similarity"

    def collate(self, features: Sequence[Feature], padding_id: int) -> Batch:
        """Padded inputs."""
        return padded_inputs([feature["input_ids"] for feature in features], padding_id)

    def other_languages(self, languages: Sequence[str]) -> Sequence[str]:
        """One side of every pair is English."""
        return ("en",)

    def preview(
        self,
        example: Any,
        features: Sequence[Feature],
        tokenizer: PreTrainedTokenizerFast,
        task: TaskSettings,
    ) -> list[Input]:
        """The tokens of both sides."""
        return [
            Input(
                tokens(tokenizer, feature["input_ids"]), note="English" if feature["side"] else "the language"
            )
            for feature in features
        ]


class BitextRetrieval(TranslationSearch):
    """A translation to be found among all sentences of a language."""

    name = "bitext_retrieval"
    title = "Retrieval of translations"
    required = ("text", "english")
    gold_fields = ()
    retriever = "adaptrans.evaluation.inference:nearest_sentences"
    # Source: google-research/xtreme, third_party/utils_retrieve.py: the index holds the other language and
    # the queries are English. Other tools (mteb) look up English: their scores are some points away.
    searches = (
        "english_to_language",
        "each English sentence looks for its translation in the language",
    )
    scores = ("accuracy",)
    layout = "line_numbers"

    template = Template(
        asks="Sentences and their English translations; each has to be found. Nothing is trained.",
        settings="scores: [accuracy]\nmax_length: 128  # sub-words\nfields: {text: text, english: english}\n",
        format="    format: bitext  # line i of one file is the translation of line i of the other\n",
        suffix="txt",
        splits={"test": ("sw",)},
        rows={"sw": SWAHILI},
        beside={"en": ENGLISH},
        sections=BESIDE,
    )

    def build(self, id: str, fields: Mapping[str, Any], rules: Rules) -> BitextExample:
        """A sentence and its English translation."""
        text, english = text_field(fields, "text"), text_field(fields, "english")
        if not text or not english:
            raise RowError("one side of the pair is empty")
        return BitextExample(id, text, english)

    def encode(
        self,
        examples: Sequence[BitextExample],
        tokenizer: PreTrainedTokenizerFast,
        task: TaskSettings,
        max_length: int,
        training: bool,
    ) -> list[Feature]:
        """Both sentences of each pair, pieces cut to the maximum length."""
        texts = [text for example in examples for text in (example.text, example.english)]
        rows = tokenizer(texts, truncation=True, max_length=max_length, return_attention_mask=False)[
            "input_ids"
        ]
        return [
            {"example": index // 2, "length": len(ids), "input_ids": ids, "side": index % 2}
            for index, ids in enumerate(rows)
        ]

    def chance(
        self, task: TaskSettings, examples: Iterable[Any], golds: Iterable[Any], level: Level
    ) -> float:
        """One in the number of candidates."""
        return 100 / sum(1 for _ in examples)
