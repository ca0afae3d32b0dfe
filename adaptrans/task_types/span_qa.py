"""Extractive question answering over windows of a passage.

Settings and search of XTREME (google-research/xtreme `third_party/run_squad.py`
and its SQuAD processor): windows step by 128 pieces, questions take at most 64,
n-best 20, answers at most 30 pieces. Answers are cut out of the passage by the
tokenizer's character offsets, widened to whole letters; the reference re-aligns
them through whitespace words instead, which ruins Chinese with XLM-R.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeAlias

from adaptrans.errors import ConfigError
from adaptrans.task_types.base import (
    Batch,
    Feature,
    Input,
    Level,
    Recipe,
    TaskSettings,
    TaskType,
    answer_text,
    tokens,
)
from adaptrans.task_types.inputs import IGNORED, pair_frame, summed_cross_entropy
from adaptrans.task_types.letters import Blanks, characters, whole_letters
from adaptrans.task_types.rows import Example, Prefixes, RowError, Rules, text_field

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerFast


WINDOW_STEP = 128
QUESTION_PIECES = 64
N_BEST = 20
ANSWER_PIECES = 30
NO_ANSWER = "empty"
"""The reference's literal answer where no valid span exists."""
NEVER_ANSWERED = 1e6
"""Score of no answer over a span where there is no valid span at all."""

Window = tuple[int, int]
"""First and one past last piece of the passage in a window."""

Span = tuple[float, int, int]
"""Score, first and one past last character in the passage."""

Output: TypeAlias = tuple[Span | None, float]
"""Best span of a window, and the window's score of no answer."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A piece of a context; `start` counts characters from 0, -1 if the text stands nowhere in it."""

    text: str
    start: int


@dataclass(frozen=True, slots=True)
class SpanQAExample(Example):
    """A question on a context; no answers means not given."""

    id: str
    question: str
    context: str
    answers: tuple[Answer, ...]

    def prefixed(self, prefixes: Prefixes) -> Self:
        """With the prefix before the question; places in the context stay those of the data."""
        return replace(self, question=prefixes.text + self.question)

    def changed(self, change: Callable[[str, str], str]) -> Self:
        """The question alone: a changed passage would move the answers."""
        return replace(self, question=change("question", self.question))


def answer_pairs(raw: Any) -> list[tuple[Any, Any]]:
    """(text, start) pairs of SQuAD's list of answers, the hub's columns, or a list of [start, text]."""
    if raw is None:
        return []
    if isinstance(raw, Mapping):
        texts, starts = raw.get("text"), raw.get("answer_start", raw.get("start"))
        if isinstance(texts, str) and not isinstance(starts, list | tuple):
            # One answer that stands in no list.
            return [(texts, starts)]
        if not isinstance(texts, list | tuple) or not isinstance(starts, list | tuple):
            raise RowError("answers need lists of texts and offsets")
        if len(texts) != len(starts):
            raise RowError("answers need as many texts as offsets")
        return list(zip(texts, starts, strict=True))
    if not isinstance(raw, list | tuple):
        raise RowError(f'field "answers" is {raw!r}, not a list')
    if raw and all(isinstance(item, list | tuple) and len(item) == 2 for item in raw):
        return [(text, start) for start, text in raw]
    if not all(isinstance(item, Mapping) and "text" in item and "answer_start" in item for item in raw):
        raise RowError('an answer lacks "text" or "answer_start"')
    return [(item["text"], item["answer_start"]) for item in raw]


def answer_at(text: Any, start: Any, context: str, lead: int, approximate: bool | str) -> Answer:
    """The answer of a text and an offset, where it stands in its stripped context.

    Args:
        text: The text.
        start: Its offset in the context as it stands in the file.
        context: That context.
        lead: Characters of white space before it.
        approximate: Whether the nearest occurrence will do; `or-none`: and no occurrence.

    Raises:
        RowError: If it does not stand there.
    """
    if (text, start) == ("", -1) and approximate == "or-none":
        return Answer("", -1)
    if type(text) in (int, float) and str(text) in context:
        text = str(text)
    start = _whole(start)
    if not isinstance(text, str) or not text.strip() or start is None:
        raise RowError(f"answer {text!r} at {start!r} is not a text with an offset")
    if context[start : start + len(text)] != text:
        found = _nearest(context, text, start) if approximate else -1
        if found < 0 and approximate == "or-none":
            return Answer(text.strip(), -1)
        if found < 0:
            there = context[max(start, 0) : max(start, 0) + len(text)]
            raise RowError(f'answer "{text}" is not at offset {start} of its context, "{there}" is')
        start = found
    start += len(text) - len(text.lstrip())
    return Answer(text.strip(), start - lead)


def _whole(value: Any) -> int | None:
    """A whole number, also as 3.0 (a column with a gap in it) or "3" (csv); None for other values."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str) and value.strip().isdecimal():
        return int(value)
    return value if type(value) is int else None


def _nearest(context: str, text: str, start: int) -> int:
    """Offset of the occurrence of `text` nearest to `start`, -1 if there is none."""
    after = context.find(text, max(start, 0))
    before = context.rfind(text, 0, max(start, 0) + len(text))
    found = [place for place in (before, after) if place >= 0]
    return min(found, key=lambda place: abs(place - start)) if found else -1


def windows(pieces: int, capacity: int) -> list[Window]:
    """Windows of a passage, `WINDOW_STEP` apart, the last one reaching its end.

    Example:
        >>> windows(300, capacity=200)
        [(0, 200), (128, 300)]
    """
    found, start = [], 0
    while True:
        end = min(start + capacity, pieces)
        found.append((start, end))
        if end == pieces:
            return found
        start += min(WINDOW_STEP, capacity)


def best_window(piece: int, spans: Sequence[Window]) -> int:
    """Index of the window in which a piece has its maximum context, the first of equal ones.

    Source: the `max_context` rule of the SQuAD reference: the smaller of the
    contexts to the left and right, plus 0.01 times the window's length.
    """

    def context(span: Window) -> float:
        start, end = span
        if not start <= piece < end:
            return -1.0
        return min(piece - start, end - 1 - piece) + 0.01 * (end - start)

    return max(range(len(spans)), key=lambda index: (context(spans[index]), -index))


def answer_pieces(offsets: Sequence[tuple[int, int]], start: int, end: int) -> Window | None:
    """First and last piece that overlap characters [start, end), None if none does.

    Example:
        >>> answer_pieces([(0, 2), (3, 6), (7, 9)], 3, 9)
        (1, 2)
    """
    touched = [i for i, (first, last) in enumerate(offsets) if first < end and last > start]
    return (touched[0], touched[-1]) if touched else None


def highest(logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The `N_BEST` highest logits and their positions, the first of equal ones first.

    `torch.topk` leaves the order of equal values open, and values of low precision often are equal.
    """
    import torch

    values, positions = torch.sort(logits, descending=True, stable=True)
    return values[:N_BEST], positions[:N_BEST]


def best_span(start_logits: torch.Tensor, end_logits: torch.Tensor, feature: Feature) -> Span | None:
    """Highest start + end logit among the `N_BEST` of each that make a valid span in the passage."""
    import torch

    length = feature["length"]
    top_starts, top_ends = highest(start_logits[:length]), highest(end_logits[:length])
    first = feature["first_piece"]
    pieces = len(feature["char_starts"])
    starts = top_starts[1][:, None] - first
    ends = top_ends[1][None, :] - first
    may_start = torch.tensor([*feature["may_start"], False])
    valid = (starts >= 0) & (ends < pieces) & (ends >= starts) & (ends - starts < ANSWER_PIECES)
    valid &= may_start[starts.clamp(0, pieces)]
    if not valid.any():
        return None
    scores = (top_starts[0][:, None] + top_ends[0][None, :]).masked_fill(~valid, float("-inf"))
    row, column = divmod(int(scores.argmax()), scores.shape[1])
    begin, finish = int(starts[row, 0]), int(ends[0, column])
    return float(scores[row, column]), feature["char_starts"][begin], feature["char_ends"][finish]


def passages(context: str, answer: str, places: int = 8) -> list[str]:
    """Passages of a context with as many words as an answer, evenly spread, for the level of chance.

    In scripts written without spaces each character counts as a word. More than 8 passages per question move
    that level by less than its interval.

    Example:
        >>> passages("The cat sat on the mat.", "a dog", places=3)
        ['The cat', 'sat on', 'the mat.']
        >>> passages("图书馆在哪里", "北京", places=2)
        ['图书', '哪里']
    """
    unit = r"\S" if len(characters(context)) > 2 * len(context.split()) else r"\S+"
    found = [match.span() for match in re.finditer(unit, context)]
    wanted = min(max(1, len(re.findall(unit, answer))), len(found))
    last = len(found) - wanted
    starts = sorted({round(last * place / max(1, places - 1)) for place in range(places)})
    return [context[found[start][0] : found[start + wanted - 1][1]] for start in starts]


def answer_settings(own: Mapping[str, Any]) -> dict[str, Any]:
    """What an export says of how spans are found, in the pipeline's words where it has some."""
    return {
        "max_question_length": min(QUESTION_PIECES, own["max_length"] // 2),
        "window_step": WINDOW_STEP,
        "n_best": N_BEST,
        "max_answer_length": ANSWER_PIECES,
        "align_to_words": False,
        "whole_letters": True,
    }


def answer_names(own: Mapping[str, Any]) -> dict[str, Any]:
    """The same for the text and code of an export, for questions that all have an answer."""
    return {
        "question": min(QUESTION_PIECES, own["max_length"] // 2),
        "step": WINDOW_STEP,
        "n_best": N_BEST,
        "pieces": ANSWER_PIECES,
        "none": "",
        "more": "",
        "nothing": "best is None",
        "empty": NO_ANSWER,
    }


def null_names(own: Mapping[str, Any]) -> dict[str, Any]:
    """The same where a question may have none."""
    return {
        **answer_names(own),
        "none": " There is no answer where that of the first token is better by more than a threshold: tune "
        "it on development data, as `adaptrans evaluate` does, which prints it.",
        "more": ", threshold=0.0",
        "nothing": "best is None or min(nothing) - best[0] > threshold",
        "empty": "",
    }


class SpanQA(TaskType):
    """A question whose answer is a piece of a passage."""

    name = "span_qa"
    title = "Question answering by a span of a passage"
    version = 2
    required = ("question", "context", "answers")
    reference_fields: ClassVar[tuple[str, ...]] = ("answers",)
    head = "span_qa"
    text_roles = ("question",)
    takes_prefix = ("text",)
    targets: ClassVar[Mapping[str, str]] = {"starts": "start", "ends": "end"}
    fixed_inputs = True
    scores: ClassVar[tuple[str, ...]] = ("squad",)
    layout = "answers"
    too_long = "are read in several windows"
    pipeline = "question-answering"

    recipe = Recipe(
        answer_settings, answer_text("span_qa"), answer_names, further=answer_text("span_qa_pipeline")
    )

    def build(self, id: str, fields: Mapping[str, Any], rules: Rules) -> SpanQAExample:
        """A question whose answers stand in the context where their offsets say.

        White space around context and answers is cut and offsets follow, because
        copies of the same data differ only there.
        """
        raw = fields.get("context")
        if not isinstance(raw, str) or not raw.strip():
            raise RowError('field "context" is missing or empty')
        lead = len(raw) - len(raw.lstrip())
        context = raw.strip()
        question = text_field(fields, "question")
        pairs = answer_pairs(fields.get("answers"))
        if rules.approximate_offsets == "or-none":
            # Where every answer is empty the question stays, with a reference that nothing but "" equals.
            pairs = [pair for pair in pairs if pair[0] != ""] or [("", -1)] * bool(pairs)
        answers = tuple(answer_at(text, start, raw, lead, rules.approximate_offsets) for text, start in pairs)
        if not answers and rules.labeled:
            raise RowError("the question has no answer")
        return SpanQAExample(id, question, context, answers)

    def group(self, example: SpanQAExample) -> str:
        """Questions on the same passage stay together."""
        return example.context

    def encode(
        self,
        examples: Sequence[SpanQAExample],
        tokenizer: PreTrainedTokenizerFast,
        task: TaskSettings,
        max_length: int,
        training: bool,
    ) -> list[Feature]:
        """One feature per window; in training the first reference answer, or piece 0 where it lies outside.

        Raises:
            ConfigError: If the maximum length leaves no room for the passage.
        """
        questions = tokenizer(
            [example.question for example in examples], add_special_tokens=False, verbose=False
        )["input_ids"]
        contexts = tokenizer(
            [example.context for example in examples],
            add_special_tokens=False,
            return_offsets_mapping=True,
            verbose=False,
        )
        frame, blanks = pair_frame(tokenizer), Blanks.of(tokenizer)
        features: list[Feature] = []
        for index, example in enumerate(examples):
            question = questions[index][: min(QUESTION_PIECES, max_length // 2)]
            offsets = whole_letters(example.context, contexts["offset_mapping"][index], blanks)
            ids = contexts["input_ids"][index]
            capacity = max_length - len(question) - frame.size
            if capacity < 1:
                raise ConfigError(f"max_length {max_length} leaves no room for a passage", remedy="raise it")
            spans = windows(len(ids), capacity)
            owners = [best_window(piece, spans) if len(spans) > 1 else 0 for piece in range(len(ids))]
            answer = None
            placed = [given for given in example.answers if given.start >= 0]
            if training and placed:
                answer = answer_pieces(offsets, placed[0].start, placed[0].start + len(placed[0].text))
            # Of a question whose answers stand nowhere in the passage nothing can be learned.
            outside = IGNORED if example.answers and not placed else 0
            for number, (start, end) in enumerate(spans):
                whole = frame.around(question, ids[start:end])
                first_piece = len(whole) - len(frame.after) - (end - start)
                inside = answer is not None and start <= answer[0] and answer[1] < end
                features.append(
                    {
                        "example": index,
                        "length": len(whole),
                        "input_ids": whole,
                        "first_piece": first_piece,
                        "char_starts": [offset[0] for offset in offsets[start:end]],
                        "char_ends": [offset[1] for offset in offsets[start:end]],
                        "may_start": [owner == number for owner in owners[start:end]],
                        "start": first_piece + answer[0] - start if inside and answer else outside,
                        "end": first_piece + answer[1] - start if inside and answer else outside,
                    }
                )
        return features

    def loss(self, logits: tuple[torch.Tensor, torch.Tensor], batch: Batch) -> tuple[torch.Tensor, int]:
        """Mean of the cross-entropies of start and end, each of shape (batch, tokens)."""
        start, terms = summed_cross_entropy(logits[0], batch["starts"])
        end, _ = summed_cross_entropy(logits[1], batch["ends"])
        return (start + end) / 2, terms

    def decode(self, logits: tuple[torch.Tensor, torch.Tensor], features: Sequence[Feature]) -> list[Any]:
        """The best valid span of every window."""
        starts, ends = logits[0].float(), logits[1].float()
        return [best_span(starts[row], ends[row], feature) for row, feature in enumerate(features)]

    def predict(self, example: SpanQAExample, outputs: Sequence[Any], labels: Sequence[str]) -> Any:
        """The text of the best span over all windows, `empty` where none is valid."""
        found = [output for output in outputs if output is not None]
        if not found:
            return NO_ANSWER
        _, start, end = max(found, key=lambda span: span[0])
        return example.context[start:end]

    def reference(self, example: SpanQAExample) -> Any:
        """The reference answer texts."""
        return [answer.text for answer in example.answers]

    def chance(
        self, task: TaskSettings, examples: Iterable[Any], references: Iterable[Any], level: Level
    ) -> float:
        """The mean score of passages as long as the answer, from places spread over the context."""
        tried = (
            (reference, passage)
            for example, reference in zip(examples, references, strict=True)
            for passage in passages(example.context, reference[0])
        )
        return level(tried)

    def preview(
        self,
        example: Any,
        features: Sequence[Feature],
        tokenizer: PreTrainedTokenizerFast,
        task: TaskSettings,
    ) -> list[Input]:
        """The tokens of every window, with the answer where it is in one."""
        found = []
        for number, feature in enumerate(features, start=1):
            row = tokens(tokenizer, feature["input_ids"])
            # Position 0 stands for "not in this window".
            inside = feature["start"] > 0
            note = f"window {number} of {len(features)}"
            if not inside:
                note += ", the answer is not in it" if any(a.text for a in example.answers) else ", no answer"
            span = (feature["start"], feature["end"]) if inside else None
            found.append(Input(row, span=span, note=note))
        return found


NULL_ANSWER = Answer("", 0)
"""The reference answer of a question that its context does not answer."""


class SpanQANull(SpanQA):
    """A question whose answer is a piece of a passage, or none (SQuAD 2.0).

    Windows, training and span search are those of `SpanQA`; a question without an answer is trained on the
    first position of every window. The prediction is the best span with the score of no answer minus its own
    score, so that a threshold can be tuned on dev data afterwards: above it the answer is none.
    """

    name = "span_qa_null"
    title = "Question answering with questions that have no answer"
    optional = ("impossible",)
    reference_fields = ("answers", "impossible")
    may_be_unanswered = True
    options_like = "span_qa"
    scores = ("squad2", "squad2_best")
    layout = "answers_or_none"

    recipe = Recipe(answer_settings, answer_text("span_qa"), null_names)

    def build(self, id: str, fields: Mapping[str, Any], rules: Rules) -> SpanQAExample:
        """As `SpanQA.build`, for questions that may have no answer.

        A question without answers is one its context does not answer, if the field
        `impossible`, where it is mapped, agrees.
        """
        impossible = fields.get("impossible")
        answers = answer_pairs(fields.get("answers"))
        # As it stands in a csv file, where "False" would be true.
        if isinstance(impossible, str):
            impossible = impossible.strip().lower() not in ("", "false", "no", "0")
        if impossible is not None and bool(impossible) == bool(answers):
            found = (
                "is marked impossible but has answers" if answers else "has no answer but is not marked so"
            )
            raise RowError(f"the question {found}")
        example = super().build(id, fields, replace(rules, labeled=False))
        if example.answers or not rules.labeled:
            return example
        return replace(example, answers=(NULL_ANSWER,))

    def decode(self, logits: tuple[torch.Tensor, torch.Tensor], features: Sequence[Feature]) -> list[Output]:
        """The best valid span of every window, and start + end logit of its first position."""
        nulls = (logits[0][:, 0].float() + logits[1][:, 0].float()).tolist()
        return list(zip(super().decode(logits, features), nulls, strict=True))

    def predict(
        self, example: SpanQAExample, outputs: Sequence[Output], labels: Sequence[str]
    ) -> dict[str, Any]:
        """The best span's text, and how much higher no answer scores (`no_answer`, a difference of logits).

        The score of no answer is the lowest of all windows.

        Source: the `null_score_diff` rule of the SQuAD 2.0 reference scripts.
        """
        null = min(score for _, score in outputs)
        found = [span for span, _ in outputs if span is not None]
        if not found:
            return {"text": "", "no_answer": NEVER_ANSWERED}
        score, start, end = max(found, key=lambda span: span[0])
        return {"text": example.context[start:end], "no_answer": null - score}

    def chance(
        self, task: TaskSettings, examples: Iterable[Any], references: Iterable[Any], level: Level
    ) -> float:
        """The better of no answer for all and of passages, see `SpanQA.chance`."""
        return max(
            level((given, "") for given in references), super().chance(task, examples, references, level)
        )
