"""A commented task file of each type to begin one's own with, and rows that fit it. Torch-free."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from textwrap import indent

from adaptrans.errors import ConfigError, UnknownNameError
from adaptrans.task_types.base import TASK_TYPES, Template
from adaptrans.tasks.schema import is_name, like
from adaptrans.utils.io import atomic_write

HEAD = """\
# {asks}
# Prove it:   adaptrans tasks check {name} --tasks {folder} --data DATA
# Look at it: adaptrans tasks preview {name} --tasks {folder} --data DATA
name: {name}  # as this file's name: a-z, 0-9, _ and -
version: 1  # raise it with every change that can move a score
title: what it is, in a few words
type: {kind}
roles: [{roles}]  # target: evaluated in other languages; intermediate: trained on before
languages: [en, sw]  # ISO 639-1 codes, or 639-3 where there is none
"""

TAIL = """\
license: none stated
citation: none
homepage: none
"""

TRAINED = """\
splits:
  train:
    files: {name}/train-{{lang}}.{suffix}  # below DATA; .gz may follow
    languages: [en]
  # Without a dev set of its own, a tenth of train:  dev: {{holdout: {{of: train, share: 0.1}}}}
  # Rows of other tasks, joined:                     train: {{from: [mnli.train, xnli.dev[en]]}}
  dev:
    files: {name}/dev-{{lang}}.{suffix}
    languages: [en]
  test:
    files: {name}/test-{{lang}}.{suffix}  # {{lang3}}: three-letter code, {{name}}: English name
    # labeled: false     if the answers are kept by the authors
    # counts: {{en: 750, sw: 750}}     as published; a difference is noted
"""


def templates() -> dict[str, Template]:
    """The templates by type, of those that have one."""
    return {name: template for name in TASK_TYPES.names() if (template := TASK_TYPES[name].template)}


def _template(kind: str) -> Template:
    template = TASK_TYPES[kind].template
    if template is None:
        raise UnknownNameError("kind with a template", kind, templates())
    return template


def task_file(kind: str, name: str, folder: str = "FOLDER") -> str:
    """A commented task file of a type.

    Args:
        kind: Name of the type.
        name: Name of the new task.
        folder: The folder of the file, for the commands in its comments.

    Raises:
        UnknownNameError: If there is no template of the type.
    """
    template, own = _template(kind), TASK_TYPES[kind]
    text = HEAD.format(
        asks=template.asks,
        name=name,
        folder=folder,
        kind=kind,
        roles=", ".join(["intermediate"] * own.trainable + ["target"] * (not own.plain_text)),
    )
    if not own.trainable:
        text = text.replace("languages: [en, sw]", "languages: [sw]")
    sections = template.sections or TRAINED
    return (
        text
        + template.settings
        + "sources:\n  files:\n"
        + indent(template.format, "    ")
        + sections.format(name=name, suffix=template.suffix)
        + TAIL
    )


def example_rows(kind: str, name: str) -> dict[str, str]:
    """Data files that fit the template of a type: path below the data folder to content."""
    template = _template(kind)
    files: dict[str, str] = {}
    for split, languages in template.splits.items():
        for language in languages:
            place = f"{split}-{language}"
            rows = template.rows.get(place) or template.rows[language]
            files[f"{name}/{place}.{template.suffix}"] = rows
            files |= {f"{name}/{place}.{more}": text for more, text in template.beside.items()}
    return files


def write_new(files: Mapping[Path, str]) -> None:
    """Write files of which none may be there.

    Raises:
        ConfigError: If one is; nothing is then written.
    """
    for path in files:
        if path.exists():
            raise ConfigError(f"{path} is already there", remedy="give another name, or delete it")
    for path, content in files.items():
        with atomic_write(path) as temporary:
            temporary.write_text(content, encoding="utf-8")


def name_of(path: Path) -> str:
    """The name a task of this file has.

    Raises:
        ConfigError: If the file has no name that a task may have.
    """
    if path.suffix not in (".yaml", ".yml") or not is_name(path.stem):
        raise ConfigError(
            f"{path.name} is no name of a task file",
            remedy=f"as {like(path.stem)}.yaml: a-z, 0-9, _ and -, and no word of setups",
        )
    return path.stem
