"""How an exported model answers: the rules of its task, and Python that follows them without this package.

A model's logits alone are no answers: which piece of a word bears its tag, how long an answer may be and
where texts are cut is said by the task and by this package. An export says it in the configuration, for
programs, and in its README as code, for people; a test runs that code and compares it with this package.
"""

from __future__ import annotations

import pprint
from collections.abc import Mapping
from functools import partial
from string import Template
from typing import Any, Protocol

from adaptrans.task_types.base import TASK_TYPES, Recipe, TaskSettings, TaskType, answer_text
from adaptrans.task_types.rows import Prefixes


class NamedTask(TaskSettings, Protocol):
    """A task that says of what type it is."""

    @property
    def kind(self) -> str:
        """Name of its type."""

    @property
    def type(self) -> TaskType:
        """All that its type knows."""


KEY = "adaptrans"
"""Key of an exported `config.json` under which the rules stand; transformers does not look."""
ANSWERING = "answering"
"""Key of `artifact.json`: the rules by the name of the head."""
PREFIX = "text_prefix"
"""Key of what stood before texts, where something did."""
VECTOR_PIECES = 128
"""Most pieces of a sentence whose vector is compared. Source: task file `tatoeba`."""


def rules(task: NamedTask, max_length: int, prefixes: Prefixes | None = None) -> dict[str, Any]:
    """What of a task says how a model answers it, for `artifact.json`.

    Args:
        task: The task.
        max_length: Pieces per model input that it was trained with.
        prefixes: What stood before texts; None for nothing.

    Example:
        >>> from adaptrans.tasks import catalogue
        >>> rules(catalogue.get("udpos"), 128)
        {'kind': 'tagging', 'max_length': 128, 'tag_on': 'first_piece'}
    """
    own = {"kind": task.kind, "max_length": max_length, **task.type.answering(task)}
    return {**own, PREFIX: prefixes.key} if prefixes else own


def _of_formulation(own: Mapping[str, Any]) -> dict[str, Any]:
    """What the code of a formulation needs of a task's rules, as Python."""
    form = own["formulation"]
    prompts = {code: [item["template"], item["words"]] for code, item in form["languages"].items()}
    named = {"prompts": prompts, "wordings": form["wordings"], "own_labels": form["labels"]}
    named |= {option: option in form["options"] for option in ("calibrated", "first_token", "choice")}
    return {name: pprint.pformat(value, width=100, sort_dicts=False) for name, value in named.items()}


def _said(own: Mapping[str, Any]) -> dict[str, Any]:
    """The formulation and its prompts, for `config.json`."""
    return {"formulation": own["formulation"]}


def _form(name: str) -> Recipe:
    """The recipe of a formulation: what all share, and what is its own."""
    return Recipe(_said, f"{answer_text('prompts')}\n{answer_text(name)}", _of_formulation)


FORMULATED = {name: partial(_form, name) for name in ("cloze", "entailment")}
"""Recipes of formulated classification tasks, by the kind of formulation; the others say no code."""


def _recipe(own: Mapping[str, Any]) -> Recipe | None:
    """The recipe of a task's rules; None for a type without, or one of a package that is not here."""
    form = own.get("formulation")
    if form is not None:
        made = FORMULATED.get(form["kind"]) if own["kind"] == "classification" else None
        return None if made is None else made()
    return TASK_TYPES[own["kind"]].recipe if own["kind"] in TASK_TYPES else None


def settings(own: Mapping[str, Any]) -> dict[str, Any]:
    """What `config.json` of an export says of answering, empty for a kind without answers.

    Args:
        own: The rules of a task, see `rules`.
    """
    recipe = _recipe(own)
    if recipe is None:
        return {}
    before = {PREFIX: own[PREFIX]} if PREFIX in own else {}
    return {"kind": own["kind"], "max_length": own["max_length"], **before, **recipe.settings(own)}


def text(own: Mapping[str, Any], *, plain: bool) -> str:
    """The part of a README that says how to answer, with its code; empty for a kind without answers.

    Args:
        own: The rules of a task, see `rules`.
        plain: For a plain transformers model, not one of the adapters library.
    """
    recipe = _recipe(own)
    if recipe is None:
        return ""
    names = {
        "max_length": own["max_length"],
        "first": "[0, 0]" if plain else "[0]",
        # The adapters library's own list of labels is in the order of the alphabet.
        "labels": "[model.config.id2label[i] for i in range(model.config.num_labels)]"
        if plain
        else "model.get_labels_dict()",
        **recipe.names(own),
    }
    further = f"\n{Template(recipe.further).substitute(names)}" if recipe.further and plain else ""
    before = ""
    if PREFIX in own:
        said = Prefixes.of_key(own[PREFIX])
        before = f"It was trained with a text prefix: put {said} before every text that you give it.\n\n"
    return f"\n## Answer with it\n\n{before}{Template(recipe.text).substitute(names)}{further}"


def vector_text(layer: int) -> str:
    """The part of a README that says how to make vectors of sentences, with its code.

    Args:
        layer: The layer whose states are taken; 0 is the output of the embeddings.
    """
    said = Template(answer_text("vectors")).substitute(layer=layer, pieces=VECTOR_PIECES)
    return f"\n## Vectors of sentences\n\n{said}"
