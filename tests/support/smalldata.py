"""A data folder of a few rows per task, in the layouts of the original files."""

import json
import random
from pathlib import Path

import pytest

SENTENCES = {
    "en": "the cat sits on a mat and library was opened in London by Anna seven apples for daughter",
    "de": "die Katze sitzt auf der Matte und Bibliothek wurde in Berlin von Anna sieben Menschen frei",
    "sw": "watu wote wamezaliwa huru hadhi na haki zao ni sawa kila mtu ana kuishi uhuru",
}
WORDS = {language: text.split() for language, text in SENTENCES.items()}
LABELS = ("entailment", "neutral", "contradiction")
# What a hypothesis begins with tells its label, so that it can be learnt.
BEGINNINGS = ("library library", "seven seven", "on on")
TAGS = ("NOUN", "VERB", "DET", "ADP", "PUNCT")


def sentence(rng: random.Random, language: str, words: int) -> str:
    return " ".join(rng.choice(WORDS[language]) for _ in range(words))


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def write_nli(folder: Path, rng: random.Random) -> None:
    for split, languages, rows in (("dev", ("en", "de"), 24), ("test", ("en", "de", "sw"), 18)):
        for language in languages:
            lines = []
            for i in range(rows):
                premise = sentence(rng, language, rng.randint(4, 12))
                lines.append(
                    f"{premise}\t{BEGINNINGS[i % 3]} {sentence(rng, language, 3)}\t{LABELS[i % 3]}\n"
                )
            write(folder / f"xnli/{split}-{language}.tsv", "".join(lines))
    for part in ("R1", "R2", "R3"):
        rows = [
            {
                "uid": f"{part}-{i}",
                "context": sentence(rng, "en", rng.randint(5, 30)),
                "hypothesis": f"{BEGINNINGS[i % 3]} {sentence(rng, 'en', 3)}",
                "label": "enc"[i % 3],  # in the order of LABELS
            }
            for i in range(13)
        ]
        write(folder / f"anli/anli_v1.0/{part}/dev.jsonl", "".join(json.dumps(row) + "\n" for row in rows))


def write_tags(folder: Path, rng: random.Random) -> None:
    parts = (("train", ("en",), 30), ("dev", ("en",), 10), ("test", ("en", "de"), 8))
    for split, languages, rows in parts:
        for language in languages:
            sentences = []
            for _ in range(rows):
                words = [rng.choice(WORDS[language]) for _ in range(rng.randint(1, 14))]
                # A rule that can be learnt: the tag follows from the length of the word.
                sentences.append("".join(f"{word}\t{TAGS[len(word) % len(TAGS)]}\n" for word in words))
            write(folder / f"udpos/{split}-{language}.tsv", "\n".join(sentences) + "\n")


def squad(rng: random.Random, language: str, paragraphs: int, name: str) -> str:
    found = []
    for number in range(paragraphs):
        words = [rng.choice(WORDS[language]) for _ in range(rng.randint(20, 60))]
        context = " ".join(words)
        questions = []
        for question in range(2):
            at = rng.randrange(len(words) - 2)
            start = len(" ".join(words[:at])) + (1 if at else 0)
            answers = [{"text": " ".join(words[at : at + 2]), "answer_start": start}]
            questions.append(
                {"id": f"{name}-{number}-{question}", "question": f"{words[at]} ?", "answers": answers}
            )
        found.append({"context": context, "qas": questions})
    return json.dumps({"version": "1.1", "data": [{"title": name, "paragraphs": found}]}, ensure_ascii=False)


def write_small_data(folder: Path) -> Path:
    """Write all of it; the same bytes every time."""
    rng = random.Random(5)
    write_nli(folder, rng)
    write_tags(folder, rng)
    write(folder / "squad/derived/dev-v1.1.without-xquad.json", squad(rng, "en", 12, "small"))
    for language in ("en", "de"):
        write(folder / f"xquad/xquad.{language}.json", squad(random.Random(9), language, 4, "xq"))
    for code, language in (("deu", "de"), ("swh", "sw")):
        pairs = [(sentence(rng, language, 6 + i % 5), sentence(rng, "en", 6 + i % 4)) for i in range(20)]
        write(folder / f"tatoeba/v1/tatoeba.{code}-eng.{code}", "".join(f"{own}\n" for own, _ in pairs))
        write(folder / f"tatoeba/v1/tatoeba.{code}-eng.eng", "".join(f"{english}\n" for _, english in pairs))
    for split, rows in (("train", 24), ("val", 8)):
        items = [
            {
                "premise": sentence(rng, "en", 6),
                # The right choice begins with the same words, so that it can be learnt.
                "choice1": ("library library " if i % 2 == 0 else "") + sentence(rng, "en", 4),
                "choice2": ("library library " if i % 2 else "") + sentence(rng, "en", 7),
                "question": ("cause", "effect")[i % 2],
                "label": i % 2,
                "idx": i,
            }
            for i in range(rows)
        ]
        write(folder / f"copa/{split}-en.jsonl", "".join(json.dumps(item) + "\n" for item in items))
    for language, lines in (("en", 60), ("de", 30), ("sw", 12)):
        text = "".join(f"{sentence(rng, language, rng.randint(3, 14))}\n" for _ in range(lines))
        write(folder / f"text/mono/{language}.txt", text)
    return folder


@pytest.fixture(scope="session")
def small_data(tmp_path_factory) -> Path:
    """A folder with a few rows of anli, xnli, udpos, xquad, tatoeba, copa, and text; never write into it."""
    return write_small_data(tmp_path_factory.mktemp("small") / "data")


NLI = {
    "extends": "mnli",
    "splits": {"train": {"from": ["anli.dev"]}, "dev": {"holdout": {"of": "train", "share": 0.25}}},
}
XNLI = {"extends": "xnli", "splits": {"train": {"from": ["nli.train"]}, "dev": {"from": ["nli.dev"]}}}
QA = {
    "extends": "squad",
    "splits": {
        "train": {"files": "squad/derived/dev-v1.1.without-xquad.json"},
        "dev": {"holdout": {"of": "train", "share": 0.2}},
    },
}
XQUAD = {"extends": "xquad", "splits": {"train": {"from": ["qa.train"]}, "dev": {"from": ["qa.dev"]}}}


def make_workspace(backbone: Path, data: Path, store: Path, xnli=None):
    """A workspace over the small data with the tasks nli, qa, xnli, xquad made of it."""
    from adaptrans.modeling.backbone import identify
    from adaptrans.runs.store import Store
    from adaptrans.runs.workspace import Workspace
    from adaptrans.tasks import catalogue

    tasks = {}
    for name, values in (("nli", NLI), ("qa", QA), ("xnli", xnli or XNLI), ("xquad", XQUAD)):
        tasks[name] = catalogue.resolve(values, name=name, known=tasks)
    return Workspace(identify(backbone), data, Store(store), tasks, (), "cpu")


def make_planner(workspace, epochs: float = 1):
    """A planner of short float32 runs in a workspace."""
    from adaptrans.experiments.plan import Planner
    from adaptrans.runs.training_args import EvaluationConfig, training_config

    config = training_config({"epochs": epochs, "batch_size": 8, "precision": "fp32", "max_length": 64})
    evaluation = EvaluationConfig(precision="fp32", samples=200)
    return Planner(workspace, lambda task, whole: config, lambda task: evaluation)


@pytest.fixture
def small_workspace(tiny_backbone, small_data, tmp_path):
    """A small workspace with a fresh store."""
    return make_workspace(tiny_backbone, small_data, tmp_path / "store")


@pytest.fixture
def planner(small_workspace):
    """A planner of short runs in the small workspace."""
    return make_planner(small_workspace)
