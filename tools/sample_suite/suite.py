"""All files of the suite: items drawn once, written in every language. Torch-free."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from sample_suite.generate import causes, nli, paraphrase, passages, tagged
from sample_suite.generate.draw import Draw, unique
from sample_suite.generate.passages import ROLE_OF, Passage
from sample_suite.grammar import LANGUAGES, grammar
from sample_suite.model import Event

SEED = 2020
SPLITS = ("train", "dev", "test")
Sentence = tuple[Event, ...]
Items = dict[str, list[Any]]


@dataclass(frozen=True)
class Part:
    """One task of the suite.

    Attributes:
        make: Draws one item, or None where the draw is of no use.
        key: What must not occur twice, in one split or in two.
        put: Lines of an item in a language; for questions, the whole file.
        sizes: Items per split; train and dev exist in English only.
        suffix: File ending.
    """

    make: Callable[[Draw], Any]
    key: Callable[[Any], object]
    put: Callable[[Sequence[Any], str], str]
    sizes: tuple[int, int, int]
    suffix: str


def say(sentence: Sentence, language: str) -> str:
    """The text of a sentence."""
    words = grammar(language)
    return words.text(words.sentence(*sentence))


def _all_differ(first: Sentence, second: Sentence) -> bool:
    return all(say(first, language) != say(second, language) for language in LANGUAGES)


# one function per task that draws an item, and one that puts items into words ----------


def _make_sentence(make: Callable[[Draw], Sentence]) -> Callable[[Draw], Sentence | None]:
    """The maker, with None where somebody would do something to themselves."""

    def made(draw: Draw) -> Sentence | None:
        sentence = make(draw)
        return sentence if all(event.sound for event in sentence) else None

    return made


def _make_triple(draw: Draw) -> tuple[nli.Pair, ...] | None:
    item = nli.triple(draw)
    if item is None or not all(pair.premise.sound and pair.hypothesis.sound for pair in item):
        return None
    if not all(_all_differ((pair.premise,), (pair.hypothesis,)) for pair in item):
        return None
    return item


def _put_triples(items: Sequence[tuple[nli.Pair, ...]], language: str) -> str:
    rows = (
        (say((pair.premise,), language), say((pair.hypothesis,), language), pair.label)
        for item in items
        for pair in item
    )
    return "".join("\t".join(row) + "\n" for row in rows)


def _make_paraphrases(draw: Draw) -> tuple[paraphrase.Paraphrase, ...] | None:
    item = paraphrase.both(draw)
    if item is None or not all(event.sound for pair in item for event in (*pair.first, *pair.second)):
        return None
    if not all(_all_differ(pair.first, pair.second) for pair in item):
        return None
    return item


def _put_paraphrases(items: Sequence[tuple[paraphrase.Paraphrase, ...]], language: str) -> str:
    return "".join(
        f"{say(pair.first, language)}\t{say(pair.second, language)}\t{int(pair.same)}\n"
        for item in items
        for pair in item
    )


def _put_tags(items: Sequence[Sentence], language: str) -> str:
    words = grammar(language)
    return "".join(
        "".join(f"{token.text}\t{token.tag}\n" for token in words.sentence(*item)) + "\n" for item in items
    )


def _put_entities(items: Sequence[Sentence], language: str) -> str:
    words = grammar(language)
    return "".join(
        "".join(f"{token.text}\t{token.entity}\n" for token in words.sentence(*item)) + "\n" for item in items
    )


def _put_choices(items: Sequence[causes.Choice], language: str) -> str:
    rows = ({**causes.put(item, language), "idx": number} for number, item in enumerate(items))
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def _put_sentences(items: Sequence[Sentence], language: str) -> str:
    return "".join(say(item, language) + "\n" for item in items)


def answer(item: Passage, index: int, role: str, language: str) -> tuple[str, str, int]:
    """A passage with the answer that one role of one of its sentences gives.

    Returns:
        Context, answer text and its first character in the context.
    """
    words = grammar(language)
    sentences = [words.sentence(event) for event in item.events]
    space = " " if words.spaced else ""
    before = "".join(words.text(tokens) + space for tokens in sentences[:index])
    tokens = sentences[index]
    marked = [number for number, token in enumerate(tokens) if token.role == role]
    first, last = marked[0], marked[-1]
    if marked != list(range(first, last + 1)):
        raise ValueError(f"{role} of {words.text(tokens)!r} is not in one piece")
    text = words.text(tokens[first : last + 1])
    start = len(before) + len(words.text(tokens[: last + 1])) - len(text)
    return space.join(words.text(tokens) for tokens in sentences), text, start


def _put_passages(items: Sequence[Passage], language: str) -> str:
    words = grammar(language)
    paragraphs = []
    for number, item in enumerate(items):
        questions = []
        for place, question in enumerate(item.questions):
            context, text, start = answer(item, question.index, ROLE_OF[question.slot], language)
            questions.append(
                {
                    "id": f"{number:04d}-{place}",
                    "question": words.ask(item.events[question.index], question.slot),
                    "answers": [{"text": text, "answer_start": start}],
                }
            )
        paragraphs.append({"context": context, "qas": questions})
    data = [{"title": "Sample passages", "paragraphs": paragraphs}]
    return json.dumps({"version": "1.1", "data": data}, ensure_ascii=False, separators=(",", ":")) + "\n"


def _english(sentence: Sentence) -> str:
    return say(sentence, "en")


def _in_every_language(sentence: Sentence) -> tuple[str, ...]:
    return tuple(say(sentence, language) for language in LANGUAGES)


PARTS: dict[str, Part] = {
    "nli": Part(
        _make_triple, lambda item: _english((item[0].hypothesis,)), _put_triples, (800, 100, 200), "tsv"
    ),
    "paraphrase": Part(
        _make_paraphrases, lambda item: _english(item[0].first), _put_paraphrases, (1000, 150, 300), "tsv"
    ),
    "pos": Part(_make_sentence(tagged.mixed), _english, _put_tags, (2000, 300, 600), "tsv"),
    "ner": Part(_make_sentence(tagged.named), _english, _put_entities, (2000, 300, 600), "tsv"),
    "qa": Part(passages.passage, lambda item: item.events[0], _put_passages, (1000, 150, 300), "json"),
    "copa": Part(
        causes.choice, lambda item: (item.pair, item.other, item.asked, item.person), _put_choices,
        (2000, 300, 600), "jsonl",
    ),
    "retrieval": Part(_make_sentence(tagged.mixed), _english, _put_sentences, (0, 0, 600), "txt"),
}  # fmt: skip


@cache
def items(name: str, seed: int = SEED) -> Items:
    """The items of a task, per split; no key occurs twice."""
    part = PARTS[name]
    seen: set[object] = set()
    drawn: Items = {}
    for split, number in zip(SPLITS, part.sizes, strict=True):
        draw = Draw.seeded(seed, name, split)
        drawn[split] = unique(lambda draw=draw: part.make(draw), part.key, seen, number)  # type: ignore[misc]
    if name == "retrieval":
        drawn["test"] = _distinct(drawn["test"])
    return drawn


def _distinct(sentences: list[Sentence], number: int = 500) -> list[Sentence]:
    """The first sentences that no language writes like an earlier one."""
    seen: set[tuple[str, str]] = set()
    kept = []
    for sentence in sentences:
        lines = set(zip(LANGUAGES, _in_every_language(sentence), strict=True))
        if not lines & seen:
            seen |= lines
            kept.append(sentence)
    return kept[:number]


def files(languages: Sequence[str] = LANGUAGES, seed: int = SEED) -> Iterator[tuple[str, str]]:
    """Yield every file of the suite that concerns the languages: its name and its text."""
    for name, part in PARTS.items():
        drawn = items(name, seed)
        for split in SPLITS:
            for language in languages if split == "test" else ("en",):
                if not drawn[split] or (name == "retrieval" and language == "en"):
                    continue
                text = part.put(drawn[split], language)
                if name == "retrieval":
                    yield f"retrieval/{language}-en.{language}", text
                    yield f"retrieval/{language}-en.en", part.put(drawn[split], "en")
                else:
                    yield f"{name}/{split}-{language}.{part.suffix}", text


def packed(text: str) -> bytes:
    """The text gzipped without a time stamp, so that the same text gives the same bytes."""
    buffer = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", fileobj=buffer, compresslevel=9, mtime=0) as stream:
        stream.write(text.encode())
    return buffer.getvalue()


def write(folder: Path, seed: int = SEED) -> tuple[int, int]:
    """Write the whole suite below a folder.

    Returns:
        Number of files and of bytes.
    """
    number = size = 0
    for name, text in files(seed=seed):
        path = folder / f"{name}.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        content = packed(text)
        path.write_bytes(content)
        number, size = number + 1, size + len(content)
    return number, size


def stale(folder: Path, seed: int = SEED) -> list[str]:
    """Names of files that are absent or whose text is another one than would be written."""
    return [
        name
        for name, text in files(seed=seed)
        if not (folder / f"{name}.gz").is_file()
        or gzip.decompress((folder / f"{name}.gz").read_bytes()).decode() != text
    ]
