"""A commented task file of each type to begin one's own with, and rows that fit it. Torch-free."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from adaptrans.errors import ConfigError
from adaptrans.tasks.schema import is_name, like
from adaptrans.utils.io import atomic_write
from adaptrans.utils.registry import Registry


def squad(language: str, *paragraphs: tuple[str, list[tuple[str, str]]]) -> str:
    """A SQuAD file of contexts with questions and answers; an empty answer is none."""
    found = []
    for number, (context, asked) in enumerate(paragraphs):
        questions = [
            {
                "id": f"{language}-{number}-{place}",
                "question": question,
                "answers": [{"text": answer, "answer_start": context.index(answer)}] if answer else [],
                "is_impossible": not answer,
            }
            for place, (question, answer) in enumerate(asked)
        ]
        found.append({"context": context, "qas": questions})
    document = {"data": [{"title": language, "paragraphs": found}]}
    return json.dumps(document, ensure_ascii=False, indent=1) + "\n"


def choices(*items: tuple[str, list[str], int]) -> str:
    """JSON lines of a premise, its options and the number of the right one."""
    rows = ({"premise": premise, "options": options, "label": label} for premise, options, label in items)
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def numbered(text: str, prefix: str) -> str:
    """Lines with an id and a tab before each."""
    return "".join(f"{prefix}-{place}\t{line}\n" for place, line in enumerate(text.splitlines()))


def ranked(*items: tuple[str | None, str | None, str]) -> str:
    """JSON lines of a query, a passage, or both, and the key that they share."""
    rows = (
        {"query": query, "passage": passage, "keys": [key]} if query else {"passage": passage, "keys": [key]}
        for query, passage, key in items
    )
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


@dataclass(frozen=True)
class Template:
    """What differs between the kinds.

    Args:
        asks: What the kind asks of the model, for the first comment.
        settings: Lines of labels, scores, length and fields.
        format: Lines of the source's format.
        suffix: Suffix of the data files.
        splits: Split name to the languages of its example rows.
        rows: The content of a data file, by language or by `split-language`.
        beside: Further files: what follows the split and language in their names, and their content.
        sections: The splits of the task file.
        learns: Whether anything is trained.
        tested: Whether it may be a target.
    """

    asks: str
    settings: str
    format: str
    suffix: str
    splits: Mapping[str, tuple[str, ...]]
    rows: Mapping[str, str]
    beside: Mapping[str, str] = field(default_factory=dict)
    sections: str | None = None
    learns: bool = True
    tested: bool = True


LEARNT = {"train": ("en",), "dev": ("en",), "test": ("en", "sw")}

HEAD = """\
# {asks}
# Prove it:   adaptrans tasks check {name} --tasks {folder} --data DATA
# Look at it: adaptrans tasks preview {name} --tasks {folder} --data DATA
name: {name}  # as this file's name: a-z, 0-9, _ and -
version: 1  # raise it with every change that can move a score
title: what it is, in a few words
kind: {kind}
roles: [{roles}]  # target: evaluated in other languages; intermediate: trained on before
languages: [en, sw]  # ISO 639-1 codes, or 639-3 where there is none
"""

TAIL = """\
licence: none stated
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

TEMPLATES: Registry[Template] = Registry("kind with a template")

TEMPLATES.add(
    "classification",
    Template(
        asks="One text, or a pair of texts, and its label.",
        settings="""\
labels: [entailment, neutral, contradiction]
# label_map: {0: entailment, e: entailment}  # what the files call the labels, if not by these names
scores: [accuracy]  # the first one selects and stands in tables
# parallel: true  # if every language holds the same items in the same order
max_length: 128  # sub-words; what is longer is cut
fields: {text: premise, pair: hypothesis, label: label}  # ours: the file's column; no pair for single texts
""",
        format="""\
    format: tsv  # or csv, jsonl, json; see docs/how-to/own-task.md
    options: {header: true}  # or, without a header, {columns: [premise, hypothesis, label]}
""",
        suffix="tsv",
        splits=LEARNT,
        rows={
            "en": "premise\thypothesis\tlabel\n"
            "The cat sleeps on the mat.\tAn animal sleeps.\tentailment\n"
            "The cat sleeps on the mat.\tThe mat is red.\tneutral\n"
            "The cat sleeps on the mat.\tNothing sleeps.\tcontradiction\n"
            "Two people read a book.\tSomebody reads.\tentailment\n",
            "sw": "premise\thypothesis\tlabel\n"
            "Paka analala.\tMnyama analala.\tentailment\n"
            "Paka analala.\tPaka anakula.\tcontradiction\n",
        },
    ),
)
TEMPLATES.add(
    "tagging",
    Template(
        asks="A sentence, and a tag for each of its words.",
        settings="""\
labels: [O, B-PER, I-PER, B-LOC, I-LOC]
# labels_from: {split: train, at_least: 10}  # in place of labels, for tag sets of hundreds
scores: [entity_f1, token_accuracy]  # for parts of speech: [token_accuracy]
max_length: 128  # sub-words; a longer sentence is read in several parts
fields: {words: words, tags: tags, lines: lines}
""",
        format="""\
    format: columns  # a word, a tab and its tag on a line, a blank line after each sentence; or conllu
    # options: {separator: " "}  # a space in place of the tab
""",
        suffix="txt",
        splits=LEARNT,
        rows={
            "en": "Anna\tB-PER\nlives\tO\nin\tO\nNew\tB-LOC\nYork\tI-LOC\n.\tO\n\nHe\tO\nsleeps\tO\n.\tO\n\n",
            "sw": "Anna\tB-PER\nanaishi\tO\nNairobi\tB-LOC\n.\tO\n\n",
        },
    ),
)


_ENGLISH = "The library was opened in 1906 by Anna Bell. It holds seven thousand books."
_SWAHILI = "Maktaba ilifunguliwa mwaka 1906."
QUESTIONS = """\
max_length: 384  # sub-words of question and passage; a longer passage is read in windows
fields: {id: id, question: question, context: context, answers: answers%s}
"""
SQUAD_FORMAT = """\
    format: squad  # SQuAD's JSON; or jsonl with a list of {text, answer_start} on each line
    # approximate_offsets: true  # if offsets are off by a few characters
"""
TEMPLATES.add(
    "span_qa",
    Template(
        asks="A question, and its answer as a piece of a passage.",
        settings="scores: [squad]  # squad_characters first for Chinese, Japanese, Thai\n" + QUESTIONS % "",
        format=SQUAD_FORMAT,
        suffix="json",
        splits=LEARNT,
        rows={
            "en": squad(
                "en",
                (_ENGLISH, [("When was it opened?", "1906"), ("How many books?", "seven thousand")]),
            ),
            "sw": squad("sw", (_SWAHILI, [("Ilifunguliwa lini?", "1906")])),
        },
    ),
)
TEMPLATES.add(
    "span_qa_null",
    Template(
        asks="A question, and its answer as a piece of a passage, or none (as in SQuAD 2.0).",
        settings="scores: [squad2, squad2_best]\n" + QUESTIONS % ", impossible: is_impossible",
        format=SQUAD_FORMAT,
        suffix="json",
        splits=LEARNT,
        rows={
            "en": squad("en", (_ENGLISH, [("When was it opened?", "1906"), ("Who burnt it?", "")])),
            "sw": squad("sw", (_SWAHILI, [("Ilifunguliwa lini?", "1906"), ("Nani?", "")])),
        },
    ),
)


TEMPLATES.add(
    "multiple_choice",
    Template(
        asks="A beginning and two or more ways to go on, one of them right.",
        settings="""\
# label_map: {A: 0, B: 1}  # labels count the choices from 0
scores: [accuracy]
max_length: 128  # sub-words of beginning and choice
fields: {prompt: premise, choices: options, label: label}
# Words around a column: prompt: "{premise} What was the {question}?". A column per choice:
# choices: [choice1, choice2], with a "?" after one that may be absent, as "choice3?".
""",
        format="    format: jsonl  # one JSON object a line; or json, csv, tsv\n",
        suffix="jsonl",
        splits=LEARNT,
        rows={
            "en": choices(
                ("It rained, so", ["the street is wet.", "the street is dry."], 0),
                ("She was tired, so", ["she ran a race.", "she went to bed."], 1),
            ),
            "sw": choices(("Mvua ilinyesha, kwa hiyo", ["barabara ni kavu.", "barabara ni mbichi."], 1)),
        },
    ),
)
SWAHILI = "Paka analala.\nMvua inanyesha.\nAnasoma kitabu.\n"
ENGLISH = "The cat sleeps.\nIt is raining.\nShe reads a book.\n"
BESIDE = """\
splits:
  test:
    files:
      - path: {name}/test-{{lang}}.txt  # below DATA; .gz may follow
        beside: {name}/test-{{lang}}.en
"""
TEMPLATES.add(
    "bitext_retrieval",
    Template(
        asks="Sentences and their English translations; each has to be found. Nothing is trained.",
        settings="scores: [accuracy]\nmax_length: 128  # sub-words\nfields: {text: text, english: english}\n",
        format="    format: bitext  # line i of one file is the translation of line i of the other\n",
        suffix="txt",
        splits={"test": ("sw",)},
        rows={"sw": SWAHILI},
        beside={"en": ENGLISH},
        sections=BESIDE,
        learns=False,
    ),
)


TEMPLATES.add(
    "bitext_mining",
    Template(
        asks="Two corpora; the pairs that translate each other have to be found. Nothing is trained.",
        settings="""\
scores: [bucc_f1]
max_length: 128  # sub-words
fields: {id: id, text: text, golds: golds, pool: pool}
""",
        format="    format: bucc  # lines of id, tab, sentence; the pairs as lines of id, tab, id\n",
        suffix="txt",
        splits={"dev": ("sw",), "test": ("sw",)},
        rows={"sw": numbered(SWAHILI, "sw")},
        beside={"en": numbered(ENGLISH + "Nobody sleeps.\n", "en"), "gold": "sw-0\ten-0\nsw-1\ten-1\n"},
        sections=BESIDE.replace("  test:\n", "  dev:  # the threshold is tuned on it\n").replace(
            "/test-", "/dev-"
        )
        + "        gold: {name}/dev-{{lang}}.gold\n"
        + BESIDE.removeprefix("splits:\n")
        + "        gold: {name}/test-{{lang}}.gold\n",
        learns=False,
    ),
)


_OPENED, _BOOKS = "The library was opened in 1906.", "It holds seven thousand books."
TEMPLATES.add(
    "passage_ranking",
    Template(
        asks="A query, and the passages that answer it, to be found among all candidates.",
        settings="""\
scores: [map_at_20, mrr_at_20]  # mrr_at_20 first where a query has one right passage
max_length: 256  # sub-words of a passage; a query has at most 96
# Equal keys say that a passage answers a query; in train both stand in one row.
fields: {query: query, passage: passage, keys: keys}
""",
        format="    format: jsonl  # one JSON object a line\n",
        suffix="jsonl",
        splits={"train": ("en",), "candidates": ("en", "sw"), "test": ("en", "sw")},
        rows={
            "train-en": ranked(
                ("When was it opened?", _OPENED, "opened"), ("How many books?", _BOOKS, "books")
            ),
            "candidates-en": ranked((None, _OPENED, "opened"), (None, _BOOKS, "books")),
            "candidates-sw": ranked((None, _SWAHILI, "opened")),
            "test-en": ranked(("When was it opened?", None, "opened"), ("How many books?", None, "books")),
            "test-sw": ranked(("Ilifunguliwa lini?", None, "opened")),
        },
        sections="""\
splits:
  train:
    files: {name}/train-{{lang}}.{suffix}  # below DATA; .gz may follow
    languages: [en]
  candidates:  # those of all languages together are ranked
    files: {name}/candidates-{{lang}}.{suffix}
  test:
    files: {name}/test-{{lang}}.{suffix}
""",
    ),
)

TEMPLATES.add(
    "mlm",
    Template(
        asks="Plain text, of which hidden pieces are guessed; to train on before a target, or beside a task.",
        settings="""\
scores: [masked_pieces]
max_length: 128  # sub-words of a block; lines are joined to blocks of this length
fields: {text: text, language: language}
""",
        format="""\
    format: lines  # one sentence or passage a line; blank lines are left out
    options: {language: "{lang}"}
""",
        suffix="txt",
        splits={"train": ("en", "sw"), "dev": ("en", "sw")},
        rows={
            "en": "The library was opened in 1906.\n\nIt holds seven thousand books.\n",
            "sw": "Maktaba ilifunguliwa mwaka 1906.\nPaka analala.\n",
        },
        sections="""\
splits:
  train:
    files: {name}/train-{{lang}}.{suffix}  # below DATA, or a path from /; .gz may follow
  dev:  # without one of its own:  dev: {{holdout: {{of: train, share: 0.01}}}}
    files: {name}/dev-{{lang}}.{suffix}
""",
        tested=False,
    ),
)


def task_file(kind: str, name: str, folder: str = "FOLDER") -> str:
    """A commented task file of a kind.

    Args:
        kind: Name of the kind.
        name: Name of the new task.
        folder: The folder of the file, for the commands in its comments.

    Raises:
        UnknownNameError: If there is no template of the kind.
    """
    template = TEMPLATES[kind]
    text = HEAD.format(
        asks=template.asks,
        name=name,
        folder=folder,
        kind=kind,
        roles=", ".join(["intermediate"] * template.learns + ["target"] * template.tested),
    )
    if not template.learns:
        text = text.replace("languages: [en, sw]", "languages: [sw]")
    sections = template.sections or TRAINED
    return (
        text
        + template.settings
        + "sources:\n  files:\n"
        + template.format
        + sections.format(name=name, suffix=template.suffix)
        + TAIL
    )


def example_rows(kind: str, name: str) -> dict[str, str]:
    """Data files that fit the template of a kind: path below the data folder to content."""
    template = TEMPLATES[kind]
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
