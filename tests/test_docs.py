"""What the documents name exists: files, modules, links, commands and their options."""

import importlib.util
import re
import shlex
from pathlib import Path

import pytest
import typer
import yaml

from adaptrans_cli.main import app

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted(
    path.relative_to(ROOT).as_posix()
    for path in (
        *ROOT.glob("*.md"),
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "findings").glob("*.md"),
        *(ROOT / "tools").glob("*.md"),
        *(ROOT / "adaptrans").rglob("*.md"),
    )
)
ROOMS = ("adaptrans", "cli", "configs", "docs", "findings", "tests", "tools")
HISTORY = ("CHANGELOG.md",)
"""Documents that name what was, too."""

QUOTED = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\]\(([^)#]+)(?:#[^)]*)?\)")
BLOCK = re.compile(r"^```\w*\n(.*?)^```", re.MULTILINE | re.DOTALL)
FILE = re.compile(rf"(?:{'|'.join(ROOMS)})/[\w./-]*")
MODULE = re.compile(r"\b(adaptrans(?:\.\w+)+|mini_pretraining|sample_suite|task_docs)\b")
COMMAND = typer.main.get_command(app)


def text_of(document):
    return (ROOT / document).read_text("utf-8")


def commands(text):
    """The command lines of `adaptrans` in the code of a document, quoted pieces of text included."""
    lines = [line for block in BLOCK.findall(text) for line in block.replace("\\\n", " ").splitlines()]
    lines += QUOTED.findall(BLOCK.sub("", text))
    for line in lines:
        line = re.sub(r"^.*?-m adaptrans_cli\.main", "adaptrans", line)
        if re.match(r"(\w+=\S+ )*(\.venv/bin/)?adaptrans [a-z]", line):
            yield line


def exists(name):
    """Whether a dotted name is a module, or stands in one."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        try:
            found = importlib.util.find_spec(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        if found is not None:
            value = importlib.import_module(".".join(parts[:length]))
            for part in parts[length:]:
                if not hasattr(value, part):
                    return False
                value = getattr(value, part)
            return True
    return False


def test_there_are_documents_and_they_have_commands():
    assert {"README.md", "docs/architecture.md", "findings/README.md"} <= set(DOCUMENTS)
    assert sum(1 for document in DOCUMENTS for _ in commands(text_of(document))) > 60


@pytest.mark.parametrize("document", [name for name in DOCUMENTS if name not in HISTORY])
def test_files_that_are_named_exist(document):
    # A path with a place to fill in (NAME, {lang}, *) is checked up to it.
    gone = [
        path
        for quoted in (*QUOTED.findall(text_of(document)), *BLOCK.findall(text_of(document)))
        for path in FILE.findall(re.sub(r"\S*(://|~|\$)\S*|\w+-?/\S*", _own, quoted))
        if not (ROOT / path).exists()
    ]
    assert not gone


def _own(match):
    """A word that begins with one of the rooms; nothing for addresses and folders of other places."""
    word = match.group(0)
    room = re.match(rf"(?:{'|'.join(ROOMS)})/", word)
    filled = re.search(r"[A-Z*{<]{2,}|[*{<]", word)
    return (word[: filled.start()].rpartition("/")[0] if filled else word) if room else ""


@pytest.mark.parametrize("document", [name for name in DOCUMENTS if name not in HISTORY])
def test_modules_that_are_named_exist(document):
    names = set(
        MODULE.findall(" ".join(QUOTED.findall(text_of(document)) + BLOCK.findall(text_of(document))))
    )
    assert not {name for name in names if not name.endswith((".yaml", ".py")) and not exists(name)}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_somewhere(document):
    folder = (ROOT / document).parent
    links = [link for link in LINK.findall(text_of(document)) if "://" not in link]
    assert not [link for link in links if not (folder / link).exists()]


@pytest.mark.parametrize("document", [name for name in DOCUMENTS if name not in HISTORY])
def test_commands_and_their_options_exist(document):
    wrong = []
    for line in commands(text_of(document)):
        words = shlex.split(re.sub(r"\s#.*", "", line).replace("...", ""), posix=True)
        words = words[[word.rpartition("/")[2] for word in words].index("adaptrans") + 1 :]
        command = COMMAND
        while words and isinstance(command, typer.core.TyperGroup):
            name = words.pop(0)
            if name.startswith("--"):
                continue
            if name.rstrip(",") not in command.commands:
                wrong.append(line)
                break
            command = command.commands[name.rstrip(",")]
        known = {
            option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)
        }
        known.add("--help")
        wrong += [
            f"{line}: {word}"
            for word in words
            if word.startswith("--") and word != "--" and word.partition("=")[0] not in known
        ]
    assert not wrong


def test_files_in_the_pictures_of_the_architecture_exist():
    pictures = [block for block in BLOCK.findall(text_of("docs/architecture.md")) if "flowchart" in block]
    paths = {path for picture in pictures for path in re.findall(r"[a-z_]+/[\w/]*(?:\.py)?", picture)}
    assert len(pictures) == 2
    assert len(paths) > 15
    assert not {path for path in paths if not (ROOT / "adaptrans" / path).exists()}


def test_every_bundled_experiment_that_documents_name_is_one():
    names = {path.relative_to(ROOT).as_posix() for path in (ROOT / "configs").rglob("*.yaml")}
    assert all(isinstance(yaml.safe_load((ROOT / name).read_text("utf-8")), dict) for name in names)
    named = {
        path for document in DOCUMENTS for path in re.findall(r"configs/[\w/-]+\.yaml", text_of(document))
    }
    assert named <= names
