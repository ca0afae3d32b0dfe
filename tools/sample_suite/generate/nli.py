"""Inference pairs: three premises for every hypothesis, one per label. Torch-free.

Since each hypothesis occurs once with each label, nothing can be guessed from it.
As usual, both sentences are taken to speak of the same event, so that another
place, color, size or number excludes the first one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from sample_suite import world
from sample_suite.generate.draw import Draw
from sample_suite.model import NP, NUMERALS, Event

LABELS = ("entailment", "neutral", "contradiction")


@dataclass(frozen=True)
class Pair:
    """A premise, a hypothesis and how they are related."""

    premise: Event
    hypothesis: Event
    label: str


def broader(event: Event) -> Iterator[Event]:
    """Events that say less: without place, time or adjective, or with a more general noun."""
    if event.place:
        yield replace(event, place=None)
    if event.time:
        yield replace(event, time=None)
    thing = event.object
    if thing is None:
        return
    if thing.adjective:
        yield replace(event, object=replace(thing, adjective=None))
    general = world.HYPERNYMS.get(thing.head)
    if general and thing.form in {"def", "indef"}:
        form = "mass" if general in world.MASS else "indef"
        yield replace(event, object=NP(general, form))  # type: ignore[arg-type]


def narrower(event: Event, draw: Draw) -> Iterator[Event]:
    """Events that say more: with a place, time or adjective, or with a more special noun."""
    if not event.place and not event.goal and event.verb != "send":
        yield replace(event, place=draw.place("feed" if event.verb == "see" else event.verb))
    if not event.time:
        yield replace(event, time=draw.time())
    thing = event.object
    if thing is None:
        return
    special = [head for head, general in world.HYPERNYMS.items() if general == thing.head]
    fitting = [head for head in draw.allowed(special) if event.verb not in world.OBJECTS or
               head in world.OBJECTS[event.verb]]  # fmt: skip
    if fitting:
        yield replace(event, object=NP(draw.random.choice(fitting), "indef"))
    elif not thing.adjective and thing.form in {"def", "indef"} and draw.adjective(thing.head):
        yield replace(event, object=replace(thing, adjective=draw.adjective(thing.head)))


def excluding(event: Event, draw: Draw) -> Iterator[Event]:
    """Positive events that cannot be the same as this one."""
    if event.place:
        place = draw.place("feed" if event.verb == "see" else event.verb, but=event.place)
        yield replace(event, place=place)
    if event.goal:
        pool = world.CITIES if event.goal in world.CITIES else world.PLACES
        goal = draw.pick(pool, but=event.goal)
        if goal != event.source:
            yield replace(event, goal=goal)
    thing = event.object
    if thing is None:
        return
    if thing.adjective:
        fitting = world.DESCRIBED[thing.head]
        others = [word for word in draw.allowed(world.OPPOSITES[thing.adjective]) if word in fitting]
        if others:
            yield replace(event, object=replace(thing, adjective=draw.random.choice(others)))
    if thing.form in NUMERALS:
        other = draw.random.choice([form for form in NUMERALS if form != thing.form])
        yield replace(event, object=replace(thing, form=other))


def negated(event: Event) -> Event:
    """The event denied."""
    return replace(event, negative=True, front="time" if event.front == "time" else "")


def _other_thing(event: Event, draw: Draw) -> list[Event]:
    """The same deed with an unrelated thing or person."""
    if event.object is None or event.object.form in NUMERALS:
        return []
    if event.verb in world.PERSON_VERBS and event.object.head in world.GENDERS:
        other = draw.person(but=event.object)
        return [replace(event, object=other)] if other.head != event.subject.head else []
    if event.verb in world.OBJECTS:
        related = {event.object.head, world.HYPERNYMS.get(event.object.head), "fruit", "flower"}
        thing = draw.thing(event.verb, described=0.2)
        family = {thing.head, world.HYPERNYMS.get(thing.head)} - {None}
        return [] if family & related else [replace(event, object=thing)]
    return []


def _swapped(event: Event) -> list[Event]:
    """Doer and other person changed over."""
    asymmetric = event.verb in world.PERSON_VERBS and event.verb not in world.MUTUAL_VERBS
    if asymmetric and event.object and event.object.head in world.GENDERS:
        return [replace(event, subject=event.object, object=event.subject)]
    if event.recipient:
        return [replace(event, subject=event.recipient, recipient=event.subject)]
    return []


def triple(draw: Draw) -> tuple[Pair, ...] | None:
    """Three pairs with one hypothesis, or None where a premise cannot be made."""
    event = draw.timed(draw.any_event(), 0.35)
    if draw.chance(0.25):
        event = draw.random.choice([*broader(event), event])
    choose = draw.random.choice
    less, more = list(broader(event)), list(narrower(event, draw))
    counted = event.object is not None and event.object.form in NUMERALS
    if not less or not more:
        return None
    if draw.chance(0.5) and not counted:
        hypothesis = negated(event)
        entails = negated(choose(less))
        other = [*_other_thing(event, draw), *_swapped(event)]
        neutral = choose(other) if other and draw.chance(0.4) else negated(choose(more))
        against = choose([event, *more])
    else:
        hypothesis = event
        entails = choose(more)
        other = [] if counted else [negated(item) for item in _other_thing(event, draw)]
        other += _swapped(event)
        neutral = choose(other) if other and draw.chance(0.4) else choose(less)
        different = list(excluding(event, draw))
        if different and (counted or draw.chance(0.4)):
            against = choose(different)
        else:
            against = negated(choose([event, *(item for item in less if not counted)]))
        if counted and against.negative:
            return None
    hypothesis = draw.fronted(hypothesis)
    premises = (entails, neutral, against)
    return tuple(
        Pair(draw.fronted(premise), hypothesis, label)
        for premise, label in zip(premises, LABELS, strict=True)
    )
