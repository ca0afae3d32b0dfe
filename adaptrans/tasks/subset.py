"""Which examples of a split a `limit` takes: a fixed random part, the same in every language. Torch-free."""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from adaptrans.tasks.examples import Example, MiningExample

RULE = "hash of the place, 1"
"""Names how a limit chooses; it stands in the keys of runs with a limit, and of no others."""

SEED = b"adaptrans subset"


def places(total: int, limit: int | None) -> list[int]:
    """Places of the examples that a limit takes, in the order of the data.

    They are those whose places have the smallest hashes. So the choice is random against any order of
    the data, such as labels that go round in a circle; it is the same in every run, whatever its seed,
    and the same items in every language of a parallel set; and a smaller limit takes a part of what a
    larger one takes.

    Args:
        total: Examples of the split in a language.
        limit: How many at most; None for all.

    Example:
        >>> places(10, 3), places(10, 5), places(2, 5)
        ([6, 7, 9], [0, 1, 6, 7, 9], [0, 1])
    """
    if limit is None or limit >= total:
        return list(range(total))
    return sorted(sorted(range(total), key=_hash)[:limit])


def part(examples: Sequence[Example], limit: int | None) -> list[Example]:
    """The examples that a limit takes; of those to mine, the first carries the other corpus."""
    found = [examples[place] for place in places(len(examples), limit)]
    if found and isinstance(found[0], MiningExample) and isinstance(examples[0], MiningExample):
        found[0] = replace(found[0], pool=examples[0].pool)
    return found


def streamed(examples: Iterable[Example], limit: int | None) -> Iterator[Example]:
    """What `part` takes, of examples that are no list; only those that it takes are kept in memory."""
    if limit is None:
        return iter(examples)
    taken = heapq.nsmallest(limit, enumerate(examples), key=lambda pair: _hash(pair[0]))
    return (example for _, example in sorted(taken, key=lambda pair: pair[0]))


def _hash(place: int) -> bytes:
    return hashlib.blake2b(place.to_bytes(8, "big"), digest_size=8, key=SEED).digest()


def rule(*limits: int | None) -> dict[str, Any]:
    """What the inputs of a run say of its limits: how they choose, if there is one.

    Example:
        >>> rule(None, None), rule(None, 100)
        ({}, {'subset': 'hash of the place, 1'})
    """
    return {} if all(limit is None for limit in limits) else {"subset": RULE}
