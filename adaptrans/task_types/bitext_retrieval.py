"""Find each English sentence's translation by nearest neighbor (Tatoeba).

Nothing is trained: the setup is everything below `target`. Two features per
example, the sentence in the language (`side` 0) and the English one (`side` 1).
`adaptrans.evaluation.dense_retrieval` turns their vectors into predictions; the reference
of sentence i is i.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

from adaptrans.task_types.base import Feature, Level, TaskSettings, TaskType
from adaptrans.task_types.inputs import cut_to
from adaptrans.task_types.rows import Example, Prefixes, RowError, Rules, text_field

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


@dataclass(frozen=True, slots=True)
class BitextExample(Example):
    """Line i of a language and line i of English: its reference answer has the same index."""

    id: str
    text: str
    english: str

    def prefixed(self, prefixes: Prefixes) -> Self:
        """With the prefix before both sentences."""
        return replace(self, text=prefixes.text + self.text, english=prefixes.text + self.english)


class TranslationSearch(TaskType):
    """Sentences of a language (`side` 0) and of English (`side` 1), compared by their vectors."""

    pipeline = "sentence-similarity"
    takes_prefix = ("text",)

    def other_languages(self, languages: Sequence[str]) -> Sequence[str]:
        """One side of every pair is English."""
        return ("en",)

    def notes(self, example: Any, features: Sequence[Feature]) -> Sequence[str]:
        """The side of each sentence."""
        return ["English" if feature["side"] else "the language" for feature in features]


class BitextRetrieval(TranslationSearch):
    """A translation to be found among all sentences of a language."""

    name = "bitext_retrieval"
    title = "Retrieval of translations"
    required = ("text", "english")
    reference_fields = ()
    retriever = "adaptrans.evaluation.inference:nearest_sentences"
    # Source: google-research/xtreme, third_party/utils_retrieve.py: the index holds the other language and
    # the queries are English. Other tools (mteb) look up English: their scores are some points away.
    searches = (
        "english_to_language",
        "each English sentence looks for its translation in the language",
    )
    scores = ("accuracy",)
    layout = "line_numbers"

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
        rows = cut_to(tokenizer, texts, max_length)
        return [
            {"example": index // 2, "length": len(ids), "input_ids": ids, "side": index % 2}
            for index, ids in enumerate(rows)
        ]

    def chance(
        self, task: TaskSettings, examples: Iterable[Any], references: Iterable[Any], level: Level
    ) -> float:
        """One in the number of candidates."""
        return 100 / sum(1 for _ in examples)
