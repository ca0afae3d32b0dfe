"""Tensors of safetensors files read one by one, straight into place, or some rows of one.

`safetensors.torch.load_file` maps a whole file into memory, where it stands beside its copy while a model is
filled. Here nothing is in memory but the model's own tensors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from adaptrans.errors import ArtifactError
from adaptrans.utils.io import give_usual_mode
from adaptrans.utils.safetensors_header import read_header

DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "U16": torch.uint16,
    "U32": torch.uint32,
    "U64": torch.uint64,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
    "BOOL": torch.bool,
}
"""Types of entries by their names in the format. Source: huggingface/safetensors, README, section Format."""

PIECE = 2**24
"""Entries that are converted to another type at once."""

OTHER_MODEL = "use it with the model and the setup it was saved from"

RUN = 64
"""Rows that lie at most so many rows apart are read in one go."""


@dataclass(frozen=True)
class StoredTensor:
    """A tensor in a file.

    Args:
        path: The file.
        dtype: Type of its entries.
        shape: Its shape.
        offset: First byte in the file.
        stamp: Size, time and inode of the file when it was opened.
    """

    path: Path
    dtype: torch.dtype
    shape: tuple[int, ...]
    offset: int
    stamp: tuple[int, int, int]

    def read_into(self, target: Tensor) -> None:
        """Fill a CPU tensor of the same shape, which lies in one piece."""
        if not target.numel():
            return
        with self._open() as file, torch.no_grad():
            flat = target.detach().view(-1)
            if target.dtype == self.dtype:
                file.seek(self.offset)
                # Seen as bytes, because numpy knows no bfloat16.
                self._fill(file, memoryview(flat.view(torch.uint8).numpy()))
                return
            for first in range(0, len(flat), PIECE):
                part = flat[first : first + PIECE]
                part.copy_(self._read(file, first, len(part)))

    def rows(self, places: Sequence[int] | np.ndarray) -> Tensor:
        """Some rows, shape (places, ...), in the order of the places, which rise."""
        width = int(np.prod(self.shape[1:], dtype=np.int64))
        found = torch.empty((len(places), *self.shape[1:]), dtype=self.dtype)
        numbers = np.asarray(places, dtype=np.int64)
        if not len(numbers):
            return found
        # Few large reads: rows in between that are not wanted cost less than a further read.
        cuts = np.flatnonzero(np.diff(numbers) > RUN) + 1
        begin = 0
        with self._open() as file:
            for run in np.split(numbers, cuts):
                first, last = int(run[0]), int(run[-1])
                for start in range(first, last + 1, 4096):
                    chosen = run[(run >= start) & (run < start + 4096)]
                    if not len(chosen):
                        continue
                    rows = min(start + 4096, last + 1) - start
                    block = self._read(file, start * width, rows * width).reshape(rows, *self.shape[1:])
                    found[begin : begin + len(chosen)] = block[torch.from_numpy(chosen - start)]
                    begin += len(chosen)
        return found

    def _read(self, file: Any, first: int, entries: int) -> Tensor:
        """Entries from the first one on, as a flat tensor."""
        buffer = bytearray(entries * self.dtype.itemsize)
        file.seek(self.offset + first * self.dtype.itemsize)
        self._fill(file, memoryview(buffer))
        return torch.frombuffer(buffer, dtype=self.dtype)

    def _fill(self, file: Any, buffer: memoryview) -> None:
        """Read until the buffer is full: the system gives two gigabytes at once at most."""
        done = 0
        while done < len(buffer):
            count = file.readinto(buffer[done:])
            if not count:
                raise ArtifactError(f"{self.path} ends too early", remedy="fetch it again")
            done += count

    def _open(self) -> Any:
        file = self.path.open("rb", buffering=0)
        if _stamp(self.path) != self.stamp:
            file.close()
            raise ArtifactError(
                f"{self.path} has changed while it was in use", remedy="start again, with the file left alone"
            )
        return file


def open_tensors(path: Path) -> dict[str, StoredTensor]:
    """What a safetensors file holds, without reading it.

    Raises:
        ArtifactError: If it is missing or damaged.
    """
    try:
        header, stamp = read_header(path), _stamp(path)
        return {
            name: StoredTensor(path, DTYPES[found.dtype], found.shape, found.start, stamp)
            for name, found in header.items()
        }
    except (OSError, KeyError, ValueError) as error:
        raise ArtifactError(f"{path} cannot be read: {error}", remedy="train or fetch it again") from error


def fill(
    own: Mapping[str, Tensor],
    stored: Mapping[str, StoredTensor],
    what: str,
    remedy: str = OTHER_MODEL,
    but: Sequence[str] = (),
) -> None:
    """Read a model's own tensors, but not some, from files that must hold all with the same shapes.

    Raises:
        ArtifactError: If they do not; then nothing has been read.
    """
    shapes = {name: torch.empty(value.shape, device="meta") for name, value in stored.items()}
    check_tensors(own, shapes, what, remedy)
    for name, value in stored.items():
        if name not in but:
            value.read_into(own[name])


def _stamp(path: Path) -> tuple[int, int, int]:
    """Its last change of content, and which file it is; new rights or links are no change."""
    found = path.stat()
    return found.st_size, found.st_mtime_ns, found.st_ino


def write_tensors(path: Path, values: Mapping[str, Tensor]) -> None:
    """Write a safetensors file, which whoever may read the files beside it can read."""
    plain = {key: value.detach().cpu().contiguous() for key, value in values.items()}
    save_file(plain, str(path), metadata={"format": "pt"})
    give_usual_mode(path)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read a safetensors file.

    Raises:
        ArtifactError: If it is missing or damaged.
    """
    try:
        return load_file(str(path))
    except Exception as error:  # FileNotFoundError, or SafetensorError, which is a bare Exception
        raise ArtifactError(f"{path} cannot be read: {error}", remedy="train or fetch it again") from error


def check_tensors(
    own: Mapping[str, Tensor],
    stored: Mapping[str, Tensor],
    what: str,
    remedy: str = OTHER_MODEL,
) -> None:
    """Refuse stored tensors that have not the names and shapes of a model's own.

    Raises:
        ArtifactError: With the first difference.
    """
    for only, verb in ((own.keys() - stored.keys(), "lacks"), (stored.keys() - own.keys(), "also holds")):
        if only:
            raise ArtifactError(f"{what} {verb} {len(only)} tensors, the first is {min(only)}", remedy=remedy)
    for name, value in stored.items():
        if own[name].shape != value.shape:
            shapes = f"{list(value.shape)}, the model needs {list(own[name].shape)}"
            raise ArtifactError(f"{what}: {name} has shape {shapes}", remedy=remedy)


def copy_tensors(
    own: Mapping[str, Tensor],
    stored: Mapping[str, Tensor],
    what: str,
    remedy: str = OTHER_MODEL,
) -> None:
    """Copy stored tensors into a model's own, which must have the same names and shapes.

    Raises:
        ArtifactError: If they do not; then nothing has been copied.
    """
    check_tensors(own, stored, what, remedy)
    with torch.no_grad():
        for name, value in stored.items():
            own[name].copy_(value)
