"""`python tools/task_docs.py`: the reference page of all tasks, as Markdown. Torch-free."""

from __future__ import annotations

from adaptrans.task_types.base import TASK_TYPES
from adaptrans.tasks import catalogue
from adaptrans.tasks.schema import Task

HEAD = """\
# Tasks

What `adaptrans tasks list` knows. This page is the output of `python tools/task_docs.py`; a test
compares it with the files in `adaptrans/tasks/catalogue`. `adaptrans tasks show NAME` prints one in full, and
`adaptrans tasks list --language sw --type multiple_choice` lists those of a language or a type.

Sizes are the published numbers of examples, "a-b" the smallest and the largest of several languages, "-"
where none is stated. "of" names the splits of other tasks that a split is made of. `adaptrans tasks check
--all --data DIR` compares them with the files at hand. The hub's files are read as the hub documents them;
of those marked "not tried" only files made in that form were read, so that a name or column may differ.
"""

KINDS = ("classification", "multiple_choice", "span_qa", "span_qa_null", "tagging", "bitext_retrieval", "mlm")
"""Types in the order of the page; others follow."""


def page() -> str:
    """The whole page: a table of tasks for each kind, then licenses and sources."""
    tasks = [catalogue.get(name) for name in catalogue.names()]
    parts = [HEAD]
    kinds = dict.fromkeys([*KINDS, *(task.kind for task in tasks)])
    for kind in kinds:
        found = [task for task in tasks if task.kind == kind]
        if found:
            parts.append(_table(TASK_TYPES[kind].title, found))
    parts.append(_sources(tasks))
    return "\n".join(parts)


def _table(title: str, tasks: list[Task]) -> str:
    lines = [
        f"## {title}",
        "",
        "| task | what it is | scores | languages | splits and sizes |",
        "|---|---|---|---|---|",
    ]
    for task in tasks:
        splits = "; ".join(_split(task, name) for name in task.splits)
        cells = [f"`{task.name}`", task.title, ", ".join(task.scores), _languages(task), splits]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def _languages(task: Task) -> str:
    codes = " ".join(task.languages)
    return codes if len(task.languages) < 4 else f"{len(task.languages)}: {codes}"


def _split(task: Task, name: str) -> str:
    split = task.split(name)
    counts = split.counts
    if isinstance(counts, dict):
        sizes = sorted(set(counts.values()))
        size = f"{sizes[0]:,}" if len(sizes) == 1 else f"{sizes[0]:,}-{sizes[-1]:,}"
    else:
        size = "-" if counts is None else f"{counts:,}"
    of = f" of {' + '.join(split.compose)}" if split.compose else ""
    return f"{name} {size}{of}{'' if split.labeled else ' without labels'}"


def _sources(tasks: list[Task]) -> str:
    lines = ["## Licenses and sources", "", "| task | license | from | notes |", "|---|---|---|---|"]
    for task in tasks:
        hubs = {(str(hub.repo), hub.tried) for split in task.splits for hub in task.hub_sources(split)}
        shown = [f"hub `{repo}`{'' if tried else ' (not tried)'}" for repo, tried in sorted(hubs)]
        places = [f"<{task.homepage}>", *shown]
        notes = [task.note, *(f"{name}: {split.note}" for name, split in task.splits.items() if split.note)]
        told = "; ".join(" ".join(note.split()) for note in notes if note).replace("|", "\\|")
        lines.append(f"| `{task.name}` | {task.license} | {', '.join(places)} | {told} |")
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    print(page(), end="")
