"""A text file as a corpus of different sentences on disk, and their vectors: its size needs no memory."""

from __future__ import annotations

import hashlib
import os
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from adaptrans.errors import DataError
from adaptrans.evaluation.sentence_vectors import SentenceEncoder
from adaptrans.tasks.readers.files import read_lines
from adaptrans.utils.io import atomic_write, cached_sha256, read_json, write_json

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


@dataclass(frozen=True)
class Corpus:
    """Different sentences of a file, in the order of their first lines.

    Attributes:
        folder: Where `sentences.txt`, `offsets.npy` and `lines.npy` lie.
        source: The file they were read from.
        sentences: How many there are.
        repeated: Lines that repeat an earlier one.
        blank: Lines without text.
    """

    folder: Path
    source: Path
    sentences: int
    repeated: int
    blank: int

    def texts(self, start: int, stop: int) -> list[str]:
        """Sentences from one place up to another."""
        offsets = np.load(self.folder / "offsets.npy", mmap_mode="r")
        first, last = int(offsets[start]), int(offsets[stop])
        with (self.folder / "sentences.txt").open("rb") as file:
            file.seek(first)
            return file.read(last - first).decode("utf-8").split("\n")[: stop - start]

    def at(self, places: np.ndarray) -> Iterator[tuple[int, str]]:
        """Line number in the file, from 1, and text of the sentences at these places."""
        offsets = np.load(self.folder / "offsets.npy", mmap_mode="r")
        lines = np.load(self.folder / "lines.npy", mmap_mode="r")
        with (self.folder / "sentences.txt").open("rb") as file:
            for place in places:
                file.seek(int(offsets[place]))
                text = file.read(int(offsets[place + 1]) - int(offsets[place]) - 1)
                yield int(lines[place]), text.decode("utf-8")


def corpus(path: Path, work: Path) -> Corpus:
    """The corpus of a plain or gzipped text file with one sentence per line; made once, then found.

    White space around a sentence is cut, blank lines are left out, and of equal lines the first stays.
    In memory is a hash of 16 bytes per different line.

    Args:
        path: The file.
        work: Folder that keeps corpora by the hash of their file.

    Raises:
        DataError: If the file cannot be read or holds no sentence; names the line.
    """
    if not path.is_file():
        raise DataError("no such file", path, remedy="give a text file with one sentence per line")
    folder = work / f"corpus-{cached_sha256([path])[0][:16]}"
    if not (folder / "corpus.json").is_file():
        with atomic_write(folder) as temporary:
            temporary.mkdir(parents=True)
            _write(path, temporary)
    facts = read_json(folder / "corpus.json")
    return Corpus(folder, path, facts["sentences"], facts["repeated"], facts["blank"])


def _write(path: Path, folder: Path) -> None:
    seen: set[bytes] = set()
    offsets, numbers, blank, total = array("q", [0]), array("q"), 0, 0
    with (folder / "sentences.txt").open("wb") as file:
        for number, line in read_lines(path):
            total = number
            # What else ends a line for some programs would make two lines of one.
            text = " ".join(line.strip().splitlines())
            if not text:
                blank += 1
                continue
            content = text.encode("utf-8")
            key = hashlib.blake2b(content, digest_size=16).digest()
            if key in seen:
                continue
            seen.add(key)
            numbers.append(number)
            offsets.append(offsets[-1] + file.write(content + b"\n"))
    if not numbers:
        raise DataError("holds no sentence", path)
    np.save(folder / "offsets.npy", np.frombuffer(offsets, dtype=np.int64), allow_pickle=False)
    np.save(folder / "lines.npy", np.frombuffer(numbers, dtype=np.int64), allow_pickle=False)
    facts = {"sentences": len(numbers), "repeated": total - blank - len(numbers), "blank": blank}
    write_json(folder / "corpus.json", facts)


READ_CHUNK = 8_192
"""Sentences that are encoded and written together: what a kill can lose."""


@dataclass(frozen=True)
class Shelf:
    """A folder with `vectors.f32`, rows of float32 one after the other, and `done.json`, how many.

    Args:
        folder: The folder; its name must tell corpus, model and settings apart.
        width: Numbers per vector.
    """

    folder: Path
    width: int

    @property
    def done(self) -> int:
        """Vectors that are whole on disk."""
        path = self.folder / "done.json"
        return int(read_json(path)["vectors"]) if path.is_file() else 0

    def fill(
        self,
        corpus: Corpus,
        encoder: SentenceEncoder,
        tokenizer: PreTrainedTokenizerFast,
        max_length: int,
        tick: Callable[[int], None] = lambda done: None,
        prefix: str = "",
    ) -> np.ndarray:
        """All vectors of a corpus, memory-mapped; those that are there are not made again.

        Args:
            corpus: The sentences.
            encoder: What makes vectors of token ids.
            tokenizer: What makes token ids.
            max_length: Pieces per sentence.
            tick: Called with the number of vectors done.
            prefix: What is put before every sentence.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / "vectors.f32"
        done = self.done
        with path.open("r+b" if path.is_file() else "w+b") as file:
            # What was written after the last note of it may be incomplete.
            file.truncate(done * self.width * 4)
            file.seek(0, os.SEEK_END)
            while done < corpus.sentences:
                texts = corpus.texts(done, min(done + READ_CHUNK, corpus.sentences))
                if prefix:
                    texts = [prefix + text for text in texts]
                rows = tokenizer(texts, truncation=True, max_length=max_length, return_attention_mask=False)[
                    "input_ids"
                ]
                file.write(encoder.vectors(rows, tick, done).tobytes())
                file.flush()
                os.fsync(file.fileno())
                done += len(texts)
                write_json(self.folder / "done.json", {"vectors": done})
                tick(done)
        return np.memmap(path, dtype=np.float32, mode="r", shape=(corpus.sentences, self.width))
