"""Example rows of templates in the files' formats. Torch-free."""

from __future__ import annotations

import json


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
