"""Features of images, computed beforehand: a file of ids, vectors or grids, and boxes, memory-mapped.

Two formats hold the same: npz with the arrays `ids`, `features` and, where there are any, `boxes`; or
safetensors with the tensors `features` and `boxes`, and the ids as a JSON list under `ids` in its metadata.
Opening reads the ids alone. Numbers are looked at as they are read, or all of them by `check`. Torch-free.
"""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np

from adaptrans.errors import DataError
from adaptrans.utils.safetensors_header import FLOATS, Damaged, read_header

LOCAL_HEADER = 30
"""Bytes before the name of a member of a zip file. Source: PKWARE APPNOTE 4.3.7."""

CHECKED = 256
"""Images whose numbers are looked at together, so that a check takes little memory."""

DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, ValueError, OSError, NotImplementedError, RuntimeError)
"""What a damaged file raises."""


class ImageFeatures:
    """The features of images by id, from an npz or safetensors file.

    Attributes:
        path: The file.
        ids: Ids of the images, in the order of the file.
        width: Numbers of one feature vector.
        vectors: Feature vectors of one image: 1, the regions, or the cells of a grid.
        has_boxes: Whether there is a box for each vector.

    Args:
        path: The file.
        width: Width that the vectors must have; None for any.

    Raises:
        DataError: If the file is damaged, has an id twice, or vectors of another width.

    Example: for two images of three numbers::

        numpy.savez("pictures.npz", ids=["cat", "dog"], features=numpy.ones((2, 3), "float16"))
        ImageFeatures(Path("pictures.npz")).features("dog")     # array of shape (1, 3), float32
    """

    def __init__(self, path: Path, width: int | None = None) -> None:
        self.path = path
        if not path.is_file():
            raise self._error("there is no such file of image features", "make it, or correct its path")
        readers = {".npz": _read_npz, ".safetensors": _read_safetensors}
        if path.suffix not in readers:
            raise self._error("is neither .npz nor .safetensors", "save the features as one of them")
        try:
            arrays = readers[path.suffix](path)
        except PermissionError:
            raise
        except DAMAGE as error:
            # Also `Damaged`, a ValueError, whose text says what of the header is wrong.
            raise self._error(f"is damaged: {error or type(error).__name__}", "make it anew") from error
        for name in ("ids", "features"):
            if name not in arrays:
                raise self._error(f"has no {name}", "save ids, features and, where there are any, boxes")
        self.ids = self._read_ids(arrays["ids"])
        self._place = {id: place for place, id in enumerate(self.ids)}
        if len(self._place) < len(self.ids):
            twice = next(id for place, id in enumerate(self.ids) if self._place[id] != place)
            raise self._error(f'has the image "{twice}" twice', "give each image one id")
        self._features = self._checked_features(arrays["features"])
        self.width = self._features.shape[-1]
        self.vectors = int(np.prod(self._features.shape[1:-1], dtype=np.int64))
        if width is not None and self.width != width:
            raise self._error(
                f"has vectors of {self.width} numbers, expected {width}",
                "take features of the image encoder that was trained with",
            )
        self._boxes = arrays.get("boxes")
        self.has_boxes = self._boxes is not None
        wanted = (len(self.ids), self.vectors, 4)
        if self._boxes is not None and (self._boxes.shape != wanted or self._boxes.dtype.kind != "f"):
            raise self._error(
                f"has boxes of shape {self._boxes.shape} and type {self._boxes.dtype}, expected {wanted}",
                "give x1, y1, x2, y2 of each vector as floating-point shares of the image",
            )

    def __len__(self) -> int:
        return len(self.ids)

    def __contains__(self, id: object) -> bool:
        return id in self._place

    def features(self, id: str) -> np.ndarray:
        """The vectors of an image, shape (vectors, width), float32; a grid row by row.

        Raises:
            DataError: If the file lacks the image, or a number is NaN or infinite.
        """
        place = self._find(id)
        self._check_numbers(place, place + 1)
        return np.asarray(self._features[place], dtype=np.float32).reshape(self.vectors, self.width)

    def boxes(self, id: str) -> np.ndarray | None:
        """The boxes of an image as x1, y1, x2, y2 in shares of it, shape (vectors, 4), float32; None without.

        Raises:
            DataError: If the file lacks the image, or a box is reversed or not inside it.
        """
        place = self._find(id)
        if self._boxes is None:
            return None
        self._check_boxes(place, place + 1)
        return np.asarray(self._boxes[place], dtype=np.float32)

    def require(self, ids: Sequence[str]) -> None:
        """Refuse a file that lacks one of these images.

        Raises:
            DataError: If it does.
        """
        for id in ids:
            self._find(id)

    def check(self) -> None:
        """Look at every number of the file.

        Raises:
            DataError: At the first image with one that cannot be.
        """
        for start in range(0, len(self), CHECKED):
            self._check_numbers(start, start + CHECKED)
            if self._boxes is not None:
                self._check_boxes(start, start + CHECKED)

    def _find(self, id: str) -> int:
        if id not in self._place:
            raise self._error(
                f'has no image "{id}"', f"compute its features; the file has {len(self)} images"
            )
        return self._place[id]

    def _read_ids(self, stored: np.ndarray) -> tuple[str, ...]:
        if stored.ndim != 1 or stored.dtype.kind not in "Uiu":
            raise self._error(
                f"has ids of shape {stored.shape} and type {stored.dtype}",
                "give one text or integer per image",
            )
        return tuple(map(str, stored.tolist()))

    def _checked_features(self, stored: np.ndarray) -> np.ndarray:
        if stored.dtype.kind != "f" or stored.ndim not in (2, 3, 4) or 0 in stored.shape[1:]:
            raise self._error(
                f"has features of shape {stored.shape} and type {stored.dtype}",
                "give floating-point numbers: images x width, images x regions x width, or images x rows x "
                "columns x width",
            )
        if len(stored) != len(self.ids):
            raise self._error(f"has {len(self.ids)} ids and features of {len(stored)} images", "make it anew")
        return stored

    def _check_numbers(self, start: int, end: int) -> None:
        part = np.asarray(self._features[start:end])
        finite = np.isfinite(part)
        if finite.all():
            return
        row = int(np.argmin(finite.reshape(len(part), -1).all(axis=1)))
        id = self.ids[start + row]
        if np.isnan(part[row]).any():
            raise self._error(f'has NaN in the features of the image "{id}"', "compute them anew")
        raise self._error(
            f'has an infinite number in the features of the image "{id}", of type {part.dtype}',
            "save them as float32: the largest float16 is 65504"
            if part.dtype == np.float16
            else "compute them anew",
        )

    def _check_boxes(self, start: int, end: int) -> None:
        assert self._boxes is not None, "only called where there are boxes"
        part = np.asarray(self._boxes[start:end], dtype=np.float32)
        # Written so that NaN fails: it compares as false. A box may be empty: zeros fill up missing regions.
        inside = (part >= 0) & (part <= 1)
        good = inside.all(axis=2) & (part[..., 0] <= part[..., 2]) & (part[..., 1] <= part[..., 3])
        if good.all():
            return
        row, box = np.argwhere(~good)[0]
        numbers = ", ".join(f"{number:g}" for number in part[row, box])
        raise self._error(
            f'has a box {numbers} of the image "{self.ids[start + row]}" that is reversed or not inside it',
            "give x1, y1, x2, y2 with x1 <= x2 and y1 <= y2, divided by the image's width and height",
        )

    def _error(self, message: str, remedy: str) -> DataError:
        return DataError(message, self.path, remedy=remedy)


def _read_npz(path: Path) -> dict[str, np.ndarray]:
    """The arrays of an npz file: mapped where they are stored as they are, read where compressed."""
    with zipfile.ZipFile(path) as archive, path.open("rb") as file:
        return dict(_npz_arrays(archive, file, path))


def _npz_arrays(archive: zipfile.ZipFile, file: IO[bytes], path: Path) -> Iterator[tuple[str, np.ndarray]]:
    for item in archive.infolist():
        name = item.filename.removesuffix(".npy")
        if name not in ("ids", "features", "boxes"):
            continue
        if name == "ids" or item.compress_type != zipfile.ZIP_STORED:
            with archive.open(item) as member:
                yield name, np.lib.format.read_array(member, allow_pickle=False)
            continue
        file.seek(item.header_offset)
        local = file.read(LOCAL_HEADER)
        # Name and further fields of the local header, whose lengths are its last two numbers.
        file.seek(int.from_bytes(local[26:28], "little") + int.from_bytes(local[28:30], "little"), 1)
        before = file.tell()
        version = np.lib.format.read_magic(file)
        headers: dict[tuple[int, int], Any] = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }
        if version not in headers:
            raise ValueError(f"{name} is of version {version} of numpy's format")
        shape, fortran, dtype = headers[version](file)
        size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
        if dtype.hasobject or file.tell() - before + size != item.file_size:
            raise ValueError(f"{name} is not the numbers that its header says")
        yield name, _mapped(path, dtype, file.tell(), shape, "F" if fortran else "C")


def _read_safetensors(path: Path) -> dict[str, np.ndarray]:
    """The tensors of a safetensors file, mapped, and the ids of its metadata."""
    stored = read_header(path)
    with path.open("rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    found: dict[str, np.ndarray] = {}
    text = header.get("__metadata__", {}).get("ids")
    if text is not None:
        ids = json.loads(text)
        if not isinstance(ids, list) or not all(isinstance(id, str) for id in ids):
            raise Damaged("header", "its ids are no JSON list of texts")
        found["ids"] = np.array(ids, dtype=np.str_)
    for name in ("features", "boxes"):
        if name in stored:
            item = stored[name]
            if item.dtype not in FLOATS:
                raise Damaged("header", f"{name} are {item.dtype}, not F16, F32 or F64")
            found[name] = _mapped(path, np.dtype(FLOATS[item.dtype]), item.start, item.shape, "C")
    return found


def _mapped(path: Path, dtype: np.dtype, start: int, shape: tuple[int, ...], order: Any) -> np.ndarray:
    """Numbers of a file that are read when they are needed; an empty array cannot be mapped."""
    if 0 in shape:
        return np.empty(shape, dtype)
    return np.memmap(path, dtype=dtype, mode="r", offset=start, shape=shape, order=order)
