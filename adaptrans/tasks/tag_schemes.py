"""How tags say where a span begins and ends, and which tag sets a score cannot tell apart. Torch-free.

A tag is `O`, a prefix and a type (`B-location-other`), or a bare type (`NOUN`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Any, NamedTuple

OUTSIDE = "O"

BEGINS = "B"
"""IOB1, IOB2, BIOES, BMES, BILOU: the first word of a span."""
INSIDE = "IM"
"""A word within a span; `M` in BMES."""
ENDS = "EL"
"""The last word of a span: `E` in IOE1, IOE2, BIOES, BMES; `L` in BILOU."""
SINGLE = "SU"
"""A span of one word: `S` in BIOES and BMES, `U` in BILOU."""

PREFIXES = frozenset(BEGINS + INSIDE + ENDS + SINGLE)


class Tag(NamedTuple):
    """A tag taken apart; `prefix` is empty for a bare type."""

    prefix: str
    type: str


def taken_apart(tag: str) -> Tag:
    """Prefix and type of a tag; the type is all that follows the first hyphen.

    Example:
        >>> taken_apart("B-location-other"), taken_apart("NOUN")
        (Tag(prefix='B', type='location-other'), Tag(prefix='', type='NOUN'))
    """
    if tag[1:2] == "-" and tag[0] in PREFIXES:
        return Tag(tag[0], tag[2:])
    return Tag("", tag)


def last_part(tag: str) -> str:
    """The text after the last hyphen, which seqeval 0.0.12 takes for the type.

    Example:
        >>> last_part("B-location-other"), last_part("PER-B"), last_part("NOUN")
        ('other', 'B', 'NOUN')
    """
    return tag.rpartition("-")[2]


def label_notes(scores: Collection[str], labels: Iterable[str]) -> list[str]:
    """What the scores of a task do not tell apart in its tags, or do not understand, a line each.

    Args:
        scores: Names of the scores.
        labels: The tags.

    Example:
        >>> label_notes(["chunk_f1"], ["O", "B-person-other", "B-location-other"])[0][:69]
        'chunk_f1 takes what follows the last hyphen for the type: B-location-'
        >>> label_notes(["entity_f1"], ["O", "B-person-other", "B-location-other"])
        []
    """
    tags = sorted(set(labels) - {OUTSIDE})
    return [
        note for score in scores if score in _NOTES for rule in _NOTES[score] for note in rule(score, tags)
    ]


def changed_rules(scores: Collection[str], labels: Iterable[str]) -> dict[str, Any]:
    """What the key of a run says of a rule that was corrected; empty where it makes no difference.

    Example:
        >>> changed_rules(["chunk_f1"], ["O", "S-PER", "E-PER"]), changed_rules(["chunk_f1"], ["O", "B-PER"])
        ({'chunk_f1': 'E ends a chunk'}, {})
    """
    ends = "chunk_f1" in scores and any(label.startswith("E") for label in labels)
    return {"chunk_f1": "E ends a chunk"} if ends else {}


def _alike(score: str, tags: list[str]) -> list[str]:
    """Tags of different types that count as one type."""
    types: dict[str, dict[str, str]] = {}
    for tag in tags:
        types.setdefault(last_part(tag), {}).setdefault(taken_apart(tag).type, tag)
    pairs = [list(others.values())[:2] for others in types.values() if len(others) > 1]
    if not pairs or _with_suffix(tags):
        return []
    more = f", and {len(pairs) - 1} more such types" if len(pairs) > 1 else ""
    first, second = pairs[0]
    return [
        f"{score} takes what follows the last hyphen for the type: {first} and {second} count as the same"
        f"{more}; score with entity_f1, whose type is all that follows the prefix"
    ]


def _with_suffix(tags: list[str]) -> list[str]:
    """Tags such as `PER-B`, if no tag has a prefix."""
    if any(taken_apart(tag).prefix for tag in tags):
        return []
    return [tag for tag in tags if "-" in tag[:-1] and last_part(tag) in PREFIXES]


def _suffixes(score: str, tags: list[str]) -> list[str]:
    odd = _with_suffix(tags)
    if not odd:
        return []
    type = odd[0].rpartition("-")[0]
    right = f"{last_part(odd[0])}-{type}"
    return [
        f"{score} reads the prefix of a tag, not a suffix, so that {odd[0]} says nothing of where a span "
        f"begins; write {right}, for instance with label_map: {{{odd[0]}: {right}}}"
    ]


def _no_hyphen(score: str, tags: list[str]) -> list[str]:
    """Tags such as `B_PER`, if both a beginning and its inside are there."""
    types: dict[str, set[str]] = {}
    for tag in tags:
        if tag[:1] in PREFIXES and len(tag) > 2 and not tag[1].isalnum() and tag[1] != "-":
            types.setdefault(tag[1:], set()).add(tag[0])
    several = next((type for type, prefixes in sorted(types.items()) if len(prefixes) > 1), None)
    if several is None:
        return []
    first, second = sorted(types[several])[:2]
    return [
        f"{score} reads a prefix that a hyphen follows: {first}{several} and {second}{several} count as two "
        f"types; write {first}-{several[1:]}, for instance with label_map"
    ]


def _other_letters(score: str, tags: list[str]) -> list[str]:
    """Prefixes that seqeval 0.0.12 does not know."""
    odd = [tag for tag in tags if taken_apart(tag).prefix in tuple("MLU")]
    if not odd:
        return []
    return [f"{score} knows the prefixes B, I, E and S alone, not that of {odd[0]}; score with entity_f1"]


Rule = Callable[[str, list[str]], list[str]]
_NOTES: dict[str, tuple[Rule, ...]] = {
    "chunk_f1": (_alike, _suffixes, _no_hyphen, _other_letters),
    "entity_f1": (_suffixes, _no_hyphen),
}
