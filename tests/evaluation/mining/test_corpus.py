"""Corpora and their vectors on disk: nothing twice, nothing lost, a kill loses a chunk at most."""

import gzip

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adaptrans.errors import DataError
from adaptrans.evaluation.mining import shelf
from adaptrans.evaluation.mining.corpus import corpus
from adaptrans.evaluation.mining.shelf import Shelf

LINES = st.lists(st.text(st.characters(exclude_characters="\0\r\n", exclude_categories=["Cs"]), max_size=4))


@given(LINES, st.booleans(), st.booleans())
def test_different_sentences_with_their_first_lines(tmp_path_factory, lines, zipped, ended):
    work = tmp_path_factory.mktemp("work")
    text = "\n".join(lines) + ("\n" if ended else "")
    path = work / ("file.gz" if zipped else "file")
    path.write_bytes(gzip.compress(text.encode()) if zipped else text.encode())
    seen = {}
    for number, line in enumerate(text.split("\n"), start=1):
        line = line.removeprefix("\ufeff") if number == 1 else line
        cleaned = " ".join(line.strip().splitlines())
        if cleaned:
            seen.setdefault(cleaned, number)
    if not seen:
        with pytest.raises(DataError, match=r"holds no sentence|is empty"):
            corpus(path, work)
        return
    found = corpus(path, work)
    assert found.texts(0, found.sentences) == list(seen)
    assert list(found.at(np.arange(found.sentences))) == [(line, text) for text, line in seen.items()]
    total = len(text.split("\n")) - text.endswith("\n")
    assert found.sentences + found.repeated + found.blank == total
    assert corpus(path, work) == found


def test_bad_files_are_named(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        corpus(tmp_path / "no.txt", tmp_path)
    (tmp_path / "bad.txt").write_bytes(b"good\nb\xffd\n")
    with pytest.raises(DataError, match=r"bad.txt:2: not UTF-8"):
        corpus(tmp_path / "bad.txt", tmp_path)
    assert not list(tmp_path.glob("corpus-*"))


class Encoder:
    """Makes a vector of each sentence's first id, and fails when told to."""

    def __init__(self, fails_at=None):
        self.calls, self.fails_at = 0, fails_at

    def vectors(self, rows, tick):
        self.calls += 1
        if self.calls == self.fails_at:
            raise KeyboardInterrupt
        return np.array([[row[0], 1.0] for row in rows], dtype=np.float32)


def tokenizer(texts, **options):
    return {"input_ids": [[int(text)] for text in texts]}


def test_a_killed_run_goes_on_where_it_stopped(tmp_path, monkeypatch):
    monkeypatch.setattr(shelf, "CHUNK", 3)
    (tmp_path / "numbers.txt").write_text("".join(f"{i}\n" for i in range(8)))
    found = corpus(tmp_path / "numbers.txt", tmp_path)
    store = Shelf(tmp_path / "vectors", 2)
    with pytest.raises(KeyboardInterrupt):
        store.fill(found, Encoder(fails_at=2), tokenizer, 8)
    assert store.done == 3
    with (tmp_path / "vectors/vectors.f32").open("ab") as file:
        file.write(b"half a row")
    second = Encoder()
    seen = []
    vectors = store.fill(found, second, tokenizer, 8, seen.append)
    assert second.calls == 2
    assert vectors[:, 0].tolist() == list(range(8))
    assert seen[-1] == 8
    third = Encoder()
    assert np.array_equal(store.fill(found, third, tokenizer, 8), vectors)
    assert third.calls == 0
