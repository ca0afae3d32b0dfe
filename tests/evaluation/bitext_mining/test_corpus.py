"""Corpora and their vectors on disk: nothing twice, nothing lost, a kill loses a chunk at most."""

import gzip

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.damaged import at_line, crlf, mark

from adaptrans.errors import DataError
from adaptrans.evaluation.bitext_mining import corpus as corpora
from adaptrans.evaluation.bitext_mining.corpus import Shelf, corpus

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


TEXT = b"good\nbetter\n\nbest\ngood\n"


@pytest.mark.parametrize(
    ("content", "message", "line"),
    [
        (at_line(2, b"\xff", TEXT), "not UTF-8 at byte 6", 2),
        (at_line(2, b"\0", TEXT), "holds a NUL character", 2),
        (b"", "the file is empty", None),
        (b"\n \n", "holds no sentence", None),
    ],
)
def test_damaged_text_is_named_and_leaves_no_corpus(tmp_path, content, message, line):
    path = tmp_path / "bad.txt"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message) as info:
        corpus(path, tmp_path)
    assert (info.value.path, info.value.line) == (path, line)
    assert not list(tmp_path.glob("corpus-*"))


def test_truncated_gzip_is_named_with_a_line(tmp_path):
    path = tmp_path / "bad.txt.gz"
    path.write_bytes(gzip.compress(TEXT)[:-9])
    with pytest.raises(DataError, match="gzip file ends too early") as info:
        corpus(path, tmp_path)
    assert info.value.line is not None
    with pytest.raises(DataError, match="no such file"):
        corpus(tmp_path / "no.txt", tmp_path)


@pytest.mark.parametrize("change", [mark, crlf])
def test_marks_and_carriage_returns_make_no_other_sentences(tmp_path, change):
    (tmp_path / "plain.txt").write_bytes(TEXT)
    (tmp_path / "other.txt").write_bytes(change(TEXT))
    plain, other = (corpus(tmp_path / f"{name}.txt", tmp_path) for name in ("plain", "other"))
    assert other.texts(0, 3) == plain.texts(0, 3) == ["good", "better", "best"]
    assert (other.repeated, other.blank) == (plain.repeated, plain.blank) == (1, 1)


class Encoder:
    """Makes a vector of each sentence's first id, and fails when told to."""

    def __init__(self, fails_at=None):
        self.calls, self.fails_at = 0, fails_at

    def vectors(self, rows, tick, before):
        self.calls += 1
        if self.calls == self.fails_at:
            raise KeyboardInterrupt
        return np.array([[row[0], 1.0] for row in rows], dtype=np.float32)


def tokenizer(texts, **options):
    return {"input_ids": [[int(text)] for text in texts]}


def test_a_killed_run_goes_on_where_it_stopped(tmp_path, monkeypatch):
    monkeypatch.setattr(corpora, "READ_CHUNK", 3)
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
