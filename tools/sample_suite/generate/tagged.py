"""Sentences for tagging and retrieval. Torch-free."""

from __future__ import annotations

from dataclasses import replace

from sample_suite import world
from sample_suite.generate.draw import Draw
from sample_suite.model import NP, Event

Sentence = tuple[Event, ...]


def _resident(draw: Draw) -> Event:
    return Event("live", draw.name(surname=True), place=draw.pick(world.CITIES), present=True)


def _native(draw: Draw) -> Event:
    return Event("born", draw.name(surname=True), place=draw.pick(world.CITIES))


def _employee(draw: Draw) -> Event:
    event = Event(
        "work_for", draw.name(surname=True), organisation=draw.pick(world.ORGANISATIONS), present=True
    )
    return replace(event, place=draw.pick(world.CITIES)) if draw.chance(0.5) else event


def _office(draw: Draw) -> Event:
    subject = NP(draw.pick(world.ORGANISATIONS), "org")
    event = Event("establish", subject, NP("branch", "indef"), place=draw.pick(world.CITIES))
    return draw.timed(event, 0.7)


def _traveller(draw: Draw) -> Event:
    event = draw.journey(names=True)
    return draw.timed(replace(event, subject=draw.name(surname=True)), 0.7)


def _meeting(draw: Draw) -> Event:
    event = draw.encounter(names=True)
    if event.object is None:
        return event
    subject = draw.name(but=event.object, surname=draw.chance(0.5))
    return draw.timed(replace(event, subject=subject, place=draw.pick(world.CITIES)), 0.6)


def named(draw: Draw) -> Sentence:
    """A sentence with persons, cities or organisations, now and then one without."""

    def one() -> Event:
        makers = [_resident, _native, _employee, _employee, _office, _office, _traveller, _meeting]
        return draw.random.choice(makers)(draw)

    if draw.chance(0.1):
        event = draw.timed(draw.any_event(), 0.6)
        return (draw.fronted(event),)
    first = draw.fronted(one())
    if draw.chance(0.3):
        second = one()
        if second.subject.head != first.subject.head and second.verb != first.verb:
            return replace(first, front=""), replace(second, front="")
    return (first,)


def mixed(draw: Draw) -> Sentence:
    """A sentence of any kind: past or present, affirmed or denied, one or two clauses."""
    if draw.chance(0.2):
        return named(draw)
    if draw.chance(0.2):
        return (draw.fronted(draw.habit()),)
    event = draw.timed(draw.any_event(), 0.6)
    if draw.chance(0.2):
        event = replace(event, subject=draw.group())
    elif draw.chance(0.2) and not (event.object and event.object.form in {"two", "three", "four", "five"}):
        return (draw.fronted(replace(event, negative=True)),)
    if draw.chance(0.15):
        other = replace(draw.any_event(), subject=draw.name())
        if event.subject.head != other.subject.head and not _shares(event, other):
            return event, other
    return (draw.fronted(event),)


def _shares(event: Event, other: Event) -> bool:
    return bool({other.subject.head} & {part.head for part in (event.object, event.recipient) if part})
