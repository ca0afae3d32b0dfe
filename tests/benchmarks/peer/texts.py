"""Real rows that both sides read, in files that ours reads."""

import gzip
import json
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

LABELS = ("entailment", "neutral", "contradiction")
LANGUAGES = ("en", "ar", "bg", "de", "el", "es", "fr", "hi", "ru", "sw", "th", "tr", "ur", "vi", "zh")
NLI, QA = "bench_nli", "bench_qa"
TASKS: dict[str, dict[str, Any]] = {
    NLI: {
        "kind": "classification",
        "labels": list(LABELS),
        "scores": ["accuracy"],
        "max_length": 128,
        "fields": {"text": "premise", "pair": "hypothesis", "label": "label"},
        "sources": {"files": {"format": "jsonl"}},
    },
    QA: {
        "kind": "span_qa",
        "scores": ["squad"],
        "max_length": 384,
        "fields": {"id": "id", "question": "question", "context": "context", "answers": "answers"},
        "sources": {"files": {"format": "squad", "approximate_offsets": True}},
    },
}

Row = Mapping[str, Any]


def pairs(data: Path, language: str = "en", split: str = "test") -> list[dict[str, str]]:
    """Premises, hypotheses and labels of a split of XNLI."""
    with gzip.open(data / f"xnli/{split}-{language}.tsv.gz", "rt", encoding="utf-8") as lines:
        rows = [line.rstrip("\n").split("\t") for line in lines]
    names = {"contradictory": "contradiction"}
    return [
        {"premise": premise, "hypothesis": hypothesis, "label": names.get(label, label)}
        for premise, hypothesis, label in rows
    ]


def long_pairs(data: Path) -> list[dict[str, str]]:
    """Pairs of which each side is longer than 128 pieces, so that every input is cut to exactly 128."""
    rows = pairs(data)
    return [
        {
            "premise": " ".join(row["premise"] for row in rows[start : start + 12]),
            "hypothesis": " ".join(row["hypothesis"] for row in rows[start : start + 24]),
            "label": rows[start]["label"],
        }
        for start in range(len(rows) - 24)
    ]


def questions(data: Path) -> list[dict[str, Any]]:
    """Questions of SQuAD dev without XQuAD, each with its passage and its answers."""
    path = data / "squad/derived/dev-v1.1.without-xquad.json.gz"
    with gzip.open(path, "rt", encoding="utf-8") as file:
        articles = json.load(file)["data"]
    return [
        {
            "id": question["id"],
            "question": question["question"],
            "context": paragraph["context"],
            "answers": question["answers"],
        }
        for article in articles
        for paragraph in article["paragraphs"]
        for question in paragraph["qas"]
    ]


def drawn(rows: Sequence[Any], number: int, seed: int) -> list[Any]:
    """So many rows, drawn without replacement."""
    return random.Random(seed).sample(rows, number)


def write_task(
    folder: Path, name: str, rows: Sequence[Row], tests: Mapping[str, Sequence[Row]] | None = None
) -> None:
    """Write rows and the task file that says how to read them.

    Args:
        folder: Where to.
        name: `NLI` or `QA`.
        rows: The training set, English.
        tests: Test sets by language, if any.
    """
    folder.mkdir(parents=True, exist_ok=True)
    ending = "jsonl" if name == NLI else "json"
    task = {
        **TASKS[name],
        "name": name,
        "version": 1,
        "title": f"{name}, rows for timing",
        "roles": ["intermediate", "target"],
        "languages": list(tests or ["en"]),
        "provenance": "native",
        "splits": {
            "train": {"files": f"{name}.{ending}", "languages": ["en"]},
            **({"test": {"files": f"{name}-{{lang}}.{ending}"}} if tests else {}),
        },
        "license": "see the data",
        "citation": "none",
        "homepage": "none",
    }
    (folder / f"{name}.yaml").write_text(json.dumps(task), encoding="utf-8")
    (folder / f"{name}.{ending}").write_text(_text(name, rows), encoding="utf-8")
    for language, test in (tests or {}).items():
        (folder / f"{name}-{language}.{ending}").write_text(_text(name, test), encoding="utf-8")


def _text(name: str, rows: Sequence[Row]) -> str:
    """Rows as the file of a task."""
    if name == NLI:
        return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    paragraphs = [
        {"context": row["context"], "qas": [{key: row[key] for key in ("id", "question", "answers")}]}
        for row in rows
    ]
    return json.dumps({"data": [{"title": name, "paragraphs": paragraphs}]}, ensure_ascii=False)
