"""Choices between two causes or two effects. Torch-free."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from sample_suite import world
from sample_suite.generate.draw import Draw
from sample_suite.grammar import grammar
from sample_suite.grammar.base import Grammar
from sample_suite.model import NP

#: What each pair of cause and effect is about; a wrong choice comes from one that shares no theme,
#: since otherwise it could be right as well ("ran for two hours": very thirsty, very tired).
THEMES: dict[str, frozenset[str]] = {
    name: frozenset(themes.split())
    for name, themes in {
        "umbrella": "weather wet shoes",
        "alarm": "sleep late school",
        "hungry": "body food shop sleep sad",
        "thirsty": "body heat race",
        "sleepless": "body sleep school",
        "studied": "school success body",
        "lazy": "school sad",
        "keys": "house sad police late",
        "race": "success body",
        "glass": "break wet phone laugh sad",
        "pan": "health food sad",
        "coat": "weather health",
        "seeds": "garden",
        "battery": "phone",
        "bus": "travel late sleep sad",
        "nail": "travel bicycle late sad car",
        "oven": "food window sad",
        "storm": "weather wet window",
        "tail": "dog laugh sad",
        "dark": "light read",
        "music": "sleep noise dog school",
        "joke": "laugh",
        "film": "sad sleep school",
        "salt": "food",
        "thief": "police sad dog late",
        "sweets": "health food body sleep sad",
        "ice": "weather health sad travel laugh phone",
        "speed": "police travel late car",
        "birthday": "success",
        "savings": "success car",
        "heat": "heat window sleep",
        "fever": "health body sad late sleep school",
        "lift": "stairs house late",
        "fridge": "food shop",
        "glasses": "read school",
        "snow": "weather house late shoes",
        "map": "travel late",
        "shoes": "health body shoes sad",
        "coffee": "wet shirt sleep laugh late",
        "noise": "noise sleep",
    }.items()
}
#: Pairs that occur in the test data only.
HELD_OUT = ("hungry", "battery", "tail", "joke", "salt", "ice", "savings", "lift", "map", "coffee")
_ALTERNATIVE = re.compile(r"\[([^|\]]*)\|([^\]]*)\]")


@dataclass(frozen=True)
class Choice:
    """A premise, two choices and which one is right."""

    pair: str
    other: str
    asked: Literal["cause", "effect"]
    person: NP
    label: int


def choice(draw: Draw) -> Choice:
    """A right pair of cause and effect beside a wrong one."""
    known = [name for name in THEMES if draw.held_out or name not in HELD_OUT]
    pair = draw.random.choice(known)
    others = [name for name in known if not THEMES[name] & THEMES[pair]]
    person = draw.name() if draw.chance(0.5) else NP(draw.pick(world.ROLES), "def")
    asked: Literal["cause", "effect"] = "cause" if draw.chance(0.5) else "effect"
    return Choice(pair, draw.random.choice(others), asked, person, int(draw.chance(0.5)))


def subject(person: NP, language: str) -> str:
    """A person as the subject of a sentence."""
    words = grammar(language)
    return words.text(words.subject(person))


def filled(template: str, gender: str, phrase: str, words: Grammar) -> str:
    """A clause with its person: forms of the gender chosen, capital letter set."""
    text = _ALTERNATIVE.sub(lambda match: match[1] if gender == "m" else match[2], template)
    text = text.replace("{S} " if not phrase else "{S}", phrase).strip()
    return words.upper(text[0]) + text[1:]


def put(item: Choice, language: str) -> dict[str, object]:
    """The item in a language, as a row of the file; without its running number.

    A choice speaks of the person with a pronoun where the premise has named them.
    """
    words = grammar(language)
    right, wrong = words.lexicon.forms("cause", item.pair), words.lexicon.forms("cause", item.other)
    column = 0 if item.asked == "cause" else 1
    gender = world.GENDERS[item.person.head]
    full = subject(item.person, language)
    premise = right[1 - column]
    again = words.pronoun(gender) if "{S}" in premise else full
    choices = [filled(text, gender, again, words) for text in (right[column], wrong[column])]
    if item.label:
        choices.reverse()
    return {
        "premise": filled(premise, gender, full, words),
        "choice1": choices[0],
        "choice2": choices[1],
        "question": item.asked,
        "label": item.label,
    }
