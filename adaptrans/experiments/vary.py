"""Factors of an experiment: which intermediates, how many, in which language, how much text. Torch-free."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from adaptrans import languages
from adaptrans.errors import UnknownNameError
from adaptrans.tasks.schema import Names, Strict

ONE, SEVERAL = "{intermediate}", "{intermediates}"

_AT_ONCE = re.compile(r"((?:full|mix)\(\s*)\{intermediates\}")
_LONE_FUSION = re.compile(r"\b(?:fuse|average)\(\s*\{intermediates\}\s*\)")


def _alone(value: Any) -> Any:
    return (value,) if isinstance(value, int | str) else value


Spoken = Callable[[str], str]
"""The training language of a task that a reference names without one."""


def english(name: str) -> str:  # noqa: ARG001 - the signature of a lookup
    """English, whatever the task."""
    return "en"


Size = Annotated[int, Field(ge=1)] | Literal["all"]


class Subsets(Strict):
    """Which sets of the intermediate tasks are trained together.

    Every one, so many drawn of each size, or the beginnings of so many orders. Draws are balanced: every task
    occurs about equally often among the sets of a size, and so does every language family.
    """

    sizes: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        default=(), description="numbers of tasks; by default every one"
    )
    draws: int | None = Field(default=None, ge=1, description="sets of each size; by default all there are")
    orders: int | None = Field(
        default=None, ge=1, description="nested sets: the beginnings of so many orders"
    )
    seed: int = Field(default=1, ge=0, description="seed of the draws")

    @model_validator(mode="after")
    def _one_way(self) -> Subsets:
        if self.draws is not None and self.orders is not None:
            raise ValueError("draws and orders are two ways to choose; take one")
        return self

    def of(self, tasks: Sequence[str], spoken: Spoken = english) -> list[tuple[str, ...]]:
        """The sets, each once, smaller ones first; tasks within a set in the order given.

        Args:
            tasks: All of them.
            spoken: The training language of a task that names none.

        Example:
            >>> Subsets(sizes=(2,)).of(["a", "b", "c"])
            [('a', 'b'), ('a', 'c'), ('b', 'c')]
            >>> [len(own) for own in Subsets(orders=2).of(["a", "b", "c"])][-1]
            3
        """
        wanted = [size for size in (self.sizes or range(1, len(tasks) + 1)) if size <= len(tasks)]
        if self.orders is not None:
            found = [
                frozenset(order[:size]) for order in orders(tasks, self.orders, self.seed) for size in wanted
            ]
        elif self.draws is not None:
            found = [own for size in wanted for own in balanced(tasks, size, self.draws, self.seed, spoken)]
        else:
            found = [frozenset(own) for size in wanted for own in combinations(tasks, size)]
        unique = sorted(dict.fromkeys(found), key=len)
        return [tuple(task for task in tasks if task in own) for own in unique]


def orders(tasks: Sequence[str], number: int, seed: int) -> list[tuple[str, ...]]:
    """Orders of some tasks in which each stands at each place about equally often.

    Every so many orders as there are tasks are the rotations of one that is drawn.

    Example:
        >>> found = orders(["a", "b", "c"], 3, seed=1)
        >>> sorted(order[0] for order in found)
        ['a', 'b', 'c']
    """
    generator = random.Random(seed)
    found: list[tuple[str, ...]] = []
    while len(found) < number:
        drawn = list(tasks)
        generator.shuffle(drawn)
        found += [tuple(drawn[at:] + drawn[:at]) for at in range(len(drawn))]
    return found[:number]


def balanced(
    tasks: Sequence[str], size: int, draws: int, seed: int, spoken: Spoken = english
) -> list[frozenset[str]]:
    """Random sets in which tasks, and families, are about equally frequent; fewer if there are no more.

    Example:
        >>> found = balanced(["a", "b", "c", "d"], 2, 2, seed=1)
        >>> sorted(task for own in found for task in own)
        ['a', 'b', 'c', 'd']
    """
    generator = random.Random(f"{seed} {size}")
    families = {task: family_of(task, spoken) for task in tasks}
    of_task: Counter[str] = Counter()
    of_family: Counter[str] = Counter()
    found: list[frozenset[str]] = []
    for _ in range(20 * draws):
        if len(found) == draws:
            break
        own: list[str] = []
        for _ in range(size):
            rest = [task for task in tasks if task not in own]
            generator.shuffle(rest)
            within = Counter(families[task] for task in own)
            own.append(min(rest, key=lambda t: (of_task[t], within[families[t]], of_family[families[t]])))
        drawn = frozenset(own)
        if drawn in found:
            # The even choice is taken already: one task more often than others, by chance.
            drawn = frozenset(generator.sample(list(tasks), size))
        if drawn not in found:
            found.append(drawn)
            of_task.update(drawn)
            of_family.update(families[task] for task in drawn)
    return found


def family_of(task: str, spoken: Spoken = english) -> str:
    """Family of the training language that a reference names in brackets, or else of the task's own.

    Example:
        >>> family_of("mnli"), family_of("tydiqa[sw]"), family_of("ocnli", lambda name: "zh")
        ('Indo-European', 'Niger-Congo', 'Sino-Tibetan')
    """
    name, _, named = task.partition("[")
    code = named.rstrip("]").partition(",")[0] or spoken(name)
    try:
        return languages.get(code).family
    except UnknownNameError:
        return ""


@dataclass(frozen=True)
class Variant:
    """One setup of an experiment with factors.

    Args:
        setup: The setup, wildcards filled in.
        sizes: Training examples of each intermediate, by its name in the setup; empty for all.
        factors: The values of the factors.
        told: What tells its row from those of the same setup; empty where the setup does.
    """

    setup: str
    sizes: Mapping[str, int]
    factors: tuple[tuple[str, Any], ...]
    told: str = ""


class Vary(Strict):
    """Setups that are repeated for every combination of factors.

    Runs that two combinations have in common are one run. Samples of different sizes are nested: a smaller
    one is a part of a larger one.
    """

    setups: Names = Field(
        min_length=1,
        description="setups with {intermediate}, or with {intermediates} where there are subsets",
    )
    intermediates: Names = Field(default=(), description="tasks; by default those of the experiment")
    provenance: dict[str, Names] = Field(
        default={}, description="instead of intermediates: tasks by where their text is from, as native"
    )
    languages: Names = Field(default=(), description="training languages of each intermediate")
    sizes: Annotated[tuple[Size, ...], BeforeValidator(_alone)] = Field(
        default=(), description="training examples of each intermediate; all for no limit"
    )
    subsets: Subsets | None = Field(default=None, description="sets of intermediates for {intermediates}")

    @model_validator(mode="after")
    def _whole(self) -> Vary:
        if self.provenance and self.intermediates:
            raise ValueError("name intermediates, or tasks under provenance, not both")
        for setup in self.setups:
            if ONE not in setup and SEVERAL not in setup:
                raise ValueError(f"the setup '{setup}' has no wildcard; put it under the experiment's setups")
        return self

    def variants(self, intermediates: Sequence[str] = (), spoken: Spoken = english) -> list[Variant]:
        """Every combination once, in order.

        Args:
            intermediates: Those of the experiment.
            spoken: The training language of a task that is named without one.

        Example:
            >>> vary = Vary(setups=["{intermediate} > target"], intermediates=["a", "b"], sizes=[10, "all"])
            >>> [(item.setup, item.told) for item in vary.variants()][:2]
            [('a > target', '10 examples'), ('a > target', '')]
        """
        found: dict[tuple[str, str], Variant] = {}
        for origin, names in self._origins(intermediates):
            for language in self.languages or (None,):
                tasks = [f"{name}[{language}]" if language else name for name in names]
                for template in self.setups:
                    for own, size in product(self._sets(template, tasks, spoken), self.sizes or ("all",)):
                        variant = self._variant(template, own, size, origin, language)
                        found.setdefault((variant.setup, variant.told), variant)
        return list(found.values())

    def _origins(self, intermediates: Sequence[str]) -> Iterator[tuple[str | None, Sequence[str]]]:
        if self.provenance:
            yield from self.provenance.items()
        else:
            yield None, self.intermediates or intermediates

    def _sets(self, template: str, tasks: Sequence[str], spoken: Spoken) -> list[tuple[str, ...]]:
        if SEVERAL not in template:
            return [(task,) for task in tasks]
        return self.subsets.of(tasks, spoken) if self.subsets is not None else [tuple(tasks)]

    def _variant(
        self, template: str, own: tuple[str, ...], size: int | str, origin: str | None, language: str | None
    ) -> Variant:
        text = template.replace(ONE, own[0]) if ONE in template else template
        if len(own) == 1:
            # A fusion of one adapter is that adapter.
            text = _LONE_FUSION.sub(own[0], text)
        text = _AT_ONCE.sub(lambda match: match[1] + " + ".join(own), text).replace(SEVERAL, ", ".join(own))
        factors: dict[str, Any] = {"intermediates": " + ".join(sorted(own))}
        factors |= {"asked_size": size} if self.sizes else {}
        factors |= {"provenance": origin} if origin is not None else {}
        factors |= {"source_language": language} if language is not None else {}
        limits = {} if isinstance(size, str) else dict.fromkeys(own, size)
        return Variant(text, limits, tuple(factors.items()), f"{size} examples" if limits else "")
