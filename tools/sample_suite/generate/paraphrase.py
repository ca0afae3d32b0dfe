"""Sentence pairs that say the same or not, most of them with the same words. Torch-free."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from sample_suite import world
from sample_suite.generate.draw import Draw
from sample_suite.generate.nli import excluding
from sample_suite.model import NP, Event

Sentence = tuple[Event, ...]


@dataclass(frozen=True)
class Paraphrase:
    """Two sentences of one or two clauses, and whether they say the same."""

    first: Sentence
    second: Sentence
    same: bool


def _pair_of_people(draw: Draw) -> Sentence:
    """Two people do something together."""
    event = draw.one_of(draw.deed, draw.activity, draw.journey)
    first = draw.name()
    return (replace(event, subject=replace(first, also=draw.name(but=first))),)


def _two_clauses(draw: Draw) -> Sentence:
    """Two people do the same to different things."""
    verb = draw.pick([verb for verb, things in world.OBJECTS.items() if len(draw.allowed(things)) > 1])
    first, thing = draw.name(), draw.thing(verb)
    other = draw.thing(verb, but=thing.head)
    return Event(verb, first, thing), Event(verb, draw.name(but=first), other)


def _base(draw: Draw) -> Sentence:
    sentence: Sentence = draw.one_of(
        lambda: (draw.encounter(names=True),),
        lambda: (draw.gift(names=True),),
        lambda: (draw.journey(),),
        lambda: (draw.deed(counted=0.2),),
        lambda: _pair_of_people(draw),
        lambda: _two_clauses(draw),
    )
    return tuple(draw.timed(event, 0.9) for event in sentence) if len(sentence) == 1 else sentence


def _reordered(sentence: Sentence, draw: Draw) -> Sentence:
    """The same said in another order: clauses, people joined by "and", adverbials."""
    if len(sentence) == 2:
        return sentence[1], sentence[0]
    event = sentence[0]
    subject = event.subject
    if subject.also is not None and draw.chance(0.7):
        turned = replace(subject.also, also=NP(subject.head, subject.form))
        return (draw.fronted(replace(event, subject=turned)),)
    return (draw.fronted(event),)


def _exchanged(sentence: Sentence, draw: Draw) -> Sentence | None:
    """The same words with other roles."""
    if len(sentence) == 2:
        first, second = sentence
        turned = replace(first, object=second.object), replace(second, object=first.object)
        return turned if draw.chance(0.5) else (turned[1], turned[0])
    event = sentence[0]
    if event.verb == "travel":
        return (replace(event, source=event.goal, goal=event.source),)
    if event.recipient:
        return (replace(event, subject=event.recipient, recipient=event.subject),)
    if event.verb in world.PERSON_VERBS and event.verb not in world.MUTUAL_VERBS and event.object:
        return (replace(event, subject=event.object, object=event.subject),)
    return None


def _replaced(sentence: Sentence, draw: Draw) -> Sentence | None:
    """One part replaced by what it excludes."""
    *others, event = sentence
    changes: list[Callable[[], Event | None]] = [
        lambda: draw.random.choice([*excluding(event, draw), None]),
        lambda: replace(event, time=draw.time(but=event.time)) if event.time else None,
        lambda: replace(event, subject=draw.name(but=event.subject)) if not event.subject.also else None,
        lambda: replace(event, verb=_other_verb(event, draw)),
    ]
    changed = draw.one_of(*changes)
    if changed is None or changed == event:
        return None
    return (*others, changed)


def _other(sentence: Sentence, draw: Draw) -> Sentence | None:
    """Another sentence of the same form with the same first person."""
    other = _base(draw)
    if len(other) != len(sentence) or {event.verb for event in other} & {event.verb for event in sentence}:
        return None
    return (replace(other[0], subject=sentence[0].subject), *other[1:])


def _other_verb(event: Event, draw: Draw) -> str:
    """Another verb that takes the same object, or the same one."""
    if event.verb in world.PERSON_VERBS:
        return draw.pick(world.PERSON_VERBS, but=event.verb)
    thing = event.object
    pairs = {"buy": "sell", "sell": "buy", "open": "close", "close": "open", "find": "lose", "lose": "find"}
    if thing and event.verb in pairs and thing.head in world.OBJECTS[pairs[event.verb]]:
        return pairs[event.verb]
    return event.verb


def both(draw: Draw) -> tuple[Paraphrase, Paraphrase] | None:
    """A sentence with one that says the same and one that does not, or None."""
    sentence = _base(draw)
    first = tuple(draw.fronted(event) for event in sentence) if len(sentence) == 1 else sentence
    same = _reordered(first, draw)
    # Half of the negatives share little but a person and the form; the other half are near misses.
    near = draw.one_of(lambda: _exchanged, lambda: _replaced)
    other = _other(sentence, draw) if draw.chance(0.5) else near(first, draw)
    if other is None:
        return None
    if len(other) == 1:
        other = (draw.fronted(other[0]),)
    return Paraphrase(first, same, True), Paraphrase(first, other, False)
