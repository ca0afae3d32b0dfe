"""Cloze: a template hides the answer, and the masked language model head says which word stands there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar

from adaptrans.errors import ConfigError
from adaptrans.formulations.base import Asked, Formulation, Put, Row
from adaptrans.formulations.prompts import Prompt
from adaptrans.formulations.written import CALIBRATED, FIRST_TOKEN, UNTRAINED
from adaptrans.task_types.base import Batch, Feature, TaskSettings
from adaptrans.task_types.inputs import pad

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerFast

SPACE = "▁"
"""How SentencePiece writes a space."""

NONE = -1


class Cloze(Formulation):
    """The word of an answer is hidden in a template.

    An answer scores the log-probability of its word where the template has its mask: of a word of several
    subword tokens the mean over as many masks, or of its first token alone under one mask. For a choice the
    word is the same, such as a connector, and the rest of the text is its own.

    Source: Schick and Schuetze 2021 (arXiv 2001.07676), for words of several tokens Zhao and Schuetze 2021
    (arXiv 2109.03630).
    """

    NAME = "cloze"
    OPTIONS = (UNTRAINED, CALIBRATED, FIRST_TOKEN)
    MUST = ("mask",)
    FIELDS = ("text", "pair", "prompt", "choice")
    head: ClassVar[str | None] = "mlm"
    fills_masks: ClassVar[bool] = True

    def put(
        self, example: Any, prompt: Prompt, words: Mapping[str, str], tokenizer: PreTrainedTokenizerFast
    ) -> Put:
        """A row for each number of masks, or for each choice."""
        mask = str(tokenizer.mask_token)
        values, choices = self.texts(example)
        values = {name: text.replace(mask, " ") for name, text in values.items()}
        ids = {label: self.word_ids(tokenizer, word) for label, word in words.items()}
        template = (prompt.template,)
        if not choices:
            self._refuse_same(ids, words)
            counts = sorted({len(own) for own in ids.values()})
            rows = tuple(Row(template, values, {"mask": mask * count}) for count in counts)
            candidates = tuple(
                {"row": counts.index(len(ids[label])), "prior": NONE, "words": ids[label]}
                for label in self.labels
            )
            named = tuple(f"{label}: {_shown(tokenizer, words[label], ids[label])}" for label in self.labels)
            return self.with_priors(Put(rows, candidates, named))
        key = values.pop("question", next(iter(words)))
        if key not in words:
            raise ConfigError(
                f'{self}: there is no word for "{key}" of {example.id}', remedy="add it to words"
            )
        fixed = {"mask": mask * len(ids[key]), "question": key}
        rows = tuple(
            Row(template, {**values, "choice": choice.replace(mask, " ")}, fixed) for choice in choices
        )
        candidates = tuple({"row": place, "prior": NONE, "words": ids[key]} for place in range(len(rows)))
        said = _shown(tokenizer, words[key], ids[key])
        named = tuple(f"choice {number}: {said}" for number in range(len(rows)))
        return self.with_priors(Put(rows, candidates, named), kept="choice")

    def word_ids(self, tokenizer: PreTrainedTokenizerFast, word: str) -> list[int]:
        """Ids of the subword tokens of a word that stand for its masks."""
        found = word_tokens(tokenizer, word)
        return found[:1] if FIRST_TOKEN in self.written.options else found

    def _refuse_same(self, ids: Mapping[str, list[int]], words: Mapping[str, str]) -> None:
        met: dict[tuple[int, ...], str] = {}
        for label, own in ids.items():
            other = met.setdefault(tuple(own), label)
            if other != label:
                raise ConfigError(
                    f'{self}: the words "{words[other]}" and "{words[label]}" are the same subword tokens',
                    remedy="leave first_token out, or give other words",
                )

    def remarks(self, languages: Sequence[str], tokenizer: PreTrainedTokenizerFast) -> list[str]:
        """Also which words are more than one subword token, and so stand under several masks."""
        found = super().remarks(languages, tokenizer)
        spoken = {words for code in languages for _, words in self.wordings(Asked("", None, code))}
        for code in (code for code in self.book.languages if code in spoken):
            words = self.book.of(code).words.values()
            ids = {word: word_tokens(tokenizer, word) for word in words}
            long = [_shown(tokenizer, word, own) for word, own in ids.items() if len(own) > 1]
            if long:
                found.append(f"{code}: more than one subword token: {', '.join(long)}")
        return found

    def constants(self, tokenizer: PreTrainedTokenizerFast) -> dict[str, Any]:
        """The id of the mask."""
        return {"mask": tokenizer.mask_token_id}

    def collate(self, features: Sequence[Feature], padding_id: int) -> Batch:
        """Also `hidden`, true where a mask is, shape (rows, tokens)."""
        batch = super().collate(features, padding_id)
        batch["hidden"] = batch["input_ids"] == features[0]["mask"]
        return batch

    def answers(self, features: Sequence[Feature]) -> Batch:
        """Also `words`, shape (features, candidates, tokens), and `first_mask`, shape (rows)."""
        import torch

        batch = super().answers(features)
        width = batch["row"].shape[1]
        flat = []
        for feature in features:
            flat += [*feature["words"], *[[]] * (width - len(feature["words"]))]
        batch["words"] = pad(flat, NONE).view(len(features), width, -1)
        mask = features[0]["mask"]
        counts: dict[tuple[int, ...], int] = {}
        for feature in features:
            for row in feature["input_ids"]:
                counts.setdefault(tuple(row), row.count(mask))
        number = torch.tensor([0, *counts.values()])
        batch["first_mask"] = number.cumsum(0)[:-1]
        return batch

    def candidate_scores(self, logits: torch.Tensor, batch: Batch, which: str) -> torch.Tensor:
        """Mean log-probability of the tokens of each candidate's word at the masks of its row.

        Args:
            logits: Shape (masks, vocabulary), those of the rows one after the other.
            batch: What `answers` gives.
            which: `row` or `prior`.
        """
        import torch

        words = batch["words"]
        here = words != NONE
        place = batch["first_mask"][batch[which].clamp(min=0)].unsqueeze(-1)
        place = (place + torch.arange(words.shape[-1], device=words.device)).clamp(max=len(logits) - 1)
        values = logits.float()
        chosen = values[place, words.clamp(min=0)] - values.logsumexp(dim=-1)[place]
        return (chosen * here).sum(dim=-1) / here.sum(dim=-1).clamp(min=1)

    def head_labels(self, task: TaskSettings, examples: Sequence[Any], width: int) -> tuple[str, ...]:
        """None: the head answers over the vocabulary."""
        return ()


def word_tokens(tokenizer: PreTrainedTokenizerFast, word: str) -> list[int]:
    """Ids of the subword tokens of a word; one for the space before it alone, as of SentencePiece, is none.

    Args:
        tokenizer: The tokenizer.
        word: The word, or words.
    """
    return list(_word_tokens(tokenizer, word))


@lru_cache(maxsize=4096)
def _word_tokens(tokenizer: PreTrainedTokenizerFast, word: str) -> tuple[int, ...]:
    ids = tokenizer(word, add_special_tokens=False, verbose=False)["input_ids"]
    if len(ids) > 1 and tokenizer.convert_ids_to_tokens(ids[0]) == SPACE:
        ids = ids[1:]
    return tuple(ids)


def _shown(tokenizer: PreTrainedTokenizerFast, word: str, ids: Sequence[int]) -> str:
    pieces = " ".join(tokenizer.convert_ids_to_tokens(list(ids)))
    return f"{word} ({pieces})"
