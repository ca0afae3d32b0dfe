"""The header of a safetensors file, judged byte by byte before its numbers are looked at. Torch-free.

Source: huggingface/safetensors, README, section Format: eight bytes of length, JSON, then the numbers.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

LARGEST_HEADER = 100_000_000
"""Bytes of a header. Source: MAX_HEADER_SIZE of the library."""

SIZES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "F8_E4M3": 1, "F8_E5M2": 1, "F8_E8M0": 1, "BOOL": 1}
SIZES |= {f"{sign}{8 * size}": size for sign in "IU" for size in (1, 2, 4, 8)}
"""Bytes of one number, by the names of the format."""

FLOATS = {"F64": np.float64, "F32": np.float32, "F16": np.float16}

CHUNK = 1 << 22
"""Numbers that are looked at together."""


@dataclass(frozen=True)
class Stored:
    """A tensor in a file: dtype, shape, and where its bytes are."""

    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int


class Damaged(ValueError):
    """A file of weights that is not what it says, with the reason of the refusal."""

    def __init__(self, reason: str, message: str) -> None:
        self.reason = reason
        super().__init__(message)


def read_header(
    path: Path, *, largest: int = LARGEST_HEADER, dtypes: Mapping[str, int] = SIZES
) -> dict[str, Stored]:
    """The tensors of a safetensors file, from its header alone, in the order of the header.

    Args:
        path: The file.
        largest: Bytes that its header may have.
        dtypes: Types of numbers that it may hold, and their bytes.

    Raises:
        Damaged: If the header is none, or does not fit the file.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        first = file.read(8)
        length = struct.unpack("<Q", first)[0] if len(first) == 8 else 0
        if not 2 <= length <= min(largest, size - 8):
            # Looked at only now: two of these bytes may also begin the length of a sound header.
            if first[:2] in (b"PK", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05"):
                raise Damaged("pickle", "is a pickle under the name of a safetensors file")
            raise Damaged("header", f"says that its header has {length} bytes; the file has {size}")
        text = file.read(length)
    try:
        values = json.loads(text, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise Damaged("header", f"has no readable header: {error}") from None
    if not isinstance(values, dict):
        raise Damaged("header", "has no readable header")
    metadata = values.pop("__metadata__", {})
    if not isinstance(metadata, dict):
        raise Damaged("header", "has metadata that are no object")
    found = {name: _stored(name, entry, 8 + length, dtypes) for name, entry in values.items()}
    place = 8 + length
    for name, item in sorted(found.items(), key=lambda pair: (pair[1].start, pair[1].end)):
        if item.start != place:
            raise Damaged("header", f"has bytes of {name[:80]} that overlap others or leave a gap")
        place = item.end
    if place != size:
        raise Damaged("header", f"claims {place} bytes, the file has {size}")
    return found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        raise ValueError("a name stands twice")
    return values


def _stored(name: str, entry: Any, start: int, dtypes: Mapping[str, int]) -> Stored:
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise Damaged("header", f"describes {name[:80]} in another form")
    shape, offsets = entry["shape"], entry["data_offsets"]
    plain = [*shape, *offsets] if isinstance(shape, list) and isinstance(offsets, list) else [None]
    if not all(type(number) is int and 0 <= number < 1 << 50 for number in plain) or len(offsets) != 2:
        raise Damaged("header", f"gives {name[:80]} an impossible shape or place")
    if entry["dtype"] not in dtypes:
        raise Damaged("header", f"has numbers of type {str(entry['dtype'])[:20]!r} in {name[:80]}")
    count = 1
    for number in shape:
        count *= number
    if count * dtypes[entry["dtype"]] != offsets[1] - offsets[0]:
        raise Damaged("header", f"gives {name[:80]} the shape {shape}, for which it has not the bytes")
    return Stored(entry["dtype"], tuple(shape), start + offsets[0], start + offsets[1])


def not_finite(path: Path, tensors: Mapping[str, Stored]) -> str | None:
    """The first tensor that contains NaN or infinity; None if no tensor does."""
    for name, item in tensors.items():
        if item.dtype not in FLOATS and item.dtype != "BF16":
            continue
        kind = FLOATS.get(item.dtype, np.uint16)
        count = (item.end - item.start) // np.dtype(kind).itemsize
        if count == 0:
            continue
        numbers = np.memmap(path, dtype=kind, mode="r", offset=item.start, shape=(count,))
        for start in range(0, count, CHUNK):
            part = np.asarray(numbers[start : start + CHUNK])
            # A bfloat16 whose eight bits of exponent are all set is infinite or not a number.
            bad = (part & 0x7F80) == 0x7F80 if item.dtype == "BF16" else ~np.isfinite(part)
            if bad.any():
                return name
    return None
