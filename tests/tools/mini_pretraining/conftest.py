"""A text folder of three made-up languages, small enough to train on in a second."""

from __future__ import annotations

import gzip
import random
from pathlib import Path

import pytest
import yaml

WORDS = {
    "en": "house dog water bread road child night letter stone river tree hand eye fire book",
    "de": "Haus Hund Wasser Brot Weg Kind Nacht Brief Stein Fluss Baum Hand Auge Feuer Buch",
    "sw": "nyumba mbwa maji mkate njia mtoto usiku barua jiwe mto mti mkono jicho moto kitabu",
}


def write_gz(path: Path, lines: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress("".join(line + "\n" for line in lines).encode("utf-8")))


def make_text_folder(folder: Path) -> Path:
    rng = random.Random(7)
    rows = [[rng.randrange(15) for _ in range(rng.randint(3, 9))] for _ in range(120)]
    for language, text in WORDS.items():
        words = text.split()
        mono = [" ".join(rng.choice(words) for _ in range(8)) + "." for _ in range(60)]
        write_gz(folder / "mono" / f"{language}.txt.gz", mono)
        lines = [" ".join(words[i] for i in row) + "." for row in rows]
        if language == "sw":
            lines[5] = ""
        write_gz(folder / "parallel" / "tales" / f"{language}.gz", lines)
    for target in ("de", "sw"):
        pairs = [f"{a}\t{b}" for a, b in zip(WORDS["en"].split(), WORDS[target].split(), strict=True)]
        write_gz(folder / "dictionary" / "words" / f"en-{target}.tsv.gz", pairs)
    return folder


def tiny_values() -> dict:
    return {
        "name": "tiny",
        "languages": ["en", "de", "sw"],
        "seed": 3,
        "steps": 12,
        "tokens": 256,
        "lengths": [{"length": 16, "steps": 6}, {"length": 32}],
        "tokenizer": {"vocabulary": 120, "characters": 20000},
        "model": {"layers": 2, "width": 32, "heads": 2, "feedforward": 64, "positions": 64},
        "objectives": {
            "masked": {"share": 0.4, "switch": 0.5},
            "translation": {"share": 0.2},
            "contrastive": {"share": 0.3, "pairs": 8, "length": 16},
            "words": {"share": 0.1, "pairs": 4, "length": 8},
        },
        "optimizer": {"warmup": 2},
        "text": {"parallel": ["tales"], "dictionary": ["words"], "held_out": 10},
    }


@pytest.fixture
def text_folder(tmp_path: Path) -> Path:
    return make_text_folder(tmp_path / "text")


@pytest.fixture
def values() -> dict:
    return tiny_values()


@pytest.fixture
def config_file(tmp_path: Path, values: dict) -> Path:
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def shared(tmp_path_factory):
    """Configuration, text and store built once; none of them can be changed."""
    from mini_pretraining import config, run, store, text

    folder = make_text_folder(tmp_path_factory.mktemp("shared") / "text")
    plan = config.parse(tiny_values(), "tiny")
    found = text.read(folder, plan)
    out = tmp_path_factory.mktemp("out")
    tokenizer = run.make_tokenizer(found, plan, out)
    return plan, found, tokenizer, store.build(found, plan, tokenizer)
