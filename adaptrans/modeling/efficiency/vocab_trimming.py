"""Vocabulary trimming: the embeddings of the tokens in the data alone, the others left in their file.

XLM-R's matrix has 250,002 rows, of which a task in fifteen languages meets a tenth. The cut matrix gives the
same numbers: a piece's row is found by its id, and a piece that was not foreseen is read from the file when
it is first met. What is trained is the cut alone; the rows outside it keep their values, whatever the weight
decay.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from adaptrans.modeling.safetensors_io import StoredTensor

if TYPE_CHECKING:
    from datasets import Dataset


NOTHING = np.empty(0, dtype=np.int64)
"""No piece at all: every row is read when its piece is first met."""

AT_ONCE = 4096
"""Rows that are read together."""

SPARE = 8
"""A frozen matrix that has to grow grows by an eighth at least, so that it does so seldom."""


class TrimmedEmbedding(nn.Module):
    """Some rows of an embedding matrix; answers as the whole matrix would.

    Args:
        stored: The whole matrix in its file, shape (vocabulary, width).
        tokens: Ids of the pieces that it is cut to; the padding piece is always among them.
        padding_idx: Id of the padding piece, whose row is never trained.
    """

    places: Tensor
    extra: Tensor

    def __init__(self, stored: StoredTensor, tokens: np.ndarray, padding_idx: int) -> None:
        super().__init__()
        self.num_embeddings, self.embedding_dim = stored.shape
        self.padding_idx = padding_idx
        # Rows in the order of the ids, so that the same pieces make the same matrix, whoever names them.
        ids = np.union1d(np.asarray(tokens, dtype=np.int64), [padding_idx])
        self.kept = len(ids)
        self.padding_place = int(np.searchsorted(ids, padding_idx))
        # Row of each piece in `weight`, after those in `extra`; -1 for a piece that is in the file alone.
        places = torch.full((self.num_embeddings,), -1, dtype=torch.int32)
        places[torch.from_numpy(ids)] = torch.arange(len(ids), dtype=torch.int32)
        self.register_buffer("places", places, persistent=False)
        self.register_buffer("extra", torch.empty(0, self.embedding_dim), persistent=False)
        self.weight = nn.Parameter(torch.empty(len(ids), self.embedding_dim))
        self.read_from(stored)

    def read_from(self, stored: StoredTensor) -> None:
        """Take the rows of another matrix of the same shape, in its file, for the pieces that are here."""
        self.stored = stored
        places = self.places.cpu()
        ids = torch.nonzero(places >= 0)[:, 0]
        inside = places[ids] < self.kept
        self._read(ids[inside], self.weight, places[ids[inside]])
        self._read(ids[~inside], self.extra, places[ids[~inside]] - self.kept)

    def forward(self, ids: Tensor) -> Tensor:
        """Rows of the pieces, shape (..., width)."""
        places = self.places[ids]
        unknown = places < 0
        if unknown.any():
            self.fetch(ids[unknown])
            places = self.places[ids]
        padding = self.padding_place
        if not len(self.extra):
            return functional.embedding(places, self.weight, padding)
        # Pieces beyond the trained rows, met on a dev set: they are read and never change.
        own = functional.embedding(places.clamp(max=self.kept - 1), self.weight, padding)
        other = functional.embedding((places - self.kept).clamp(min=0), self.extra)
        return torch.where((places < self.kept).unsqueeze(-1), own, other)

    @torch.compiler.disable
    @torch.inference_mode(False)
    def fetch(self, ids: Tensor | np.ndarray) -> None:
        """Read the rows of pieces that are not here yet; those that are cost nothing."""
        wanted = np.unique(torch.as_tensor(ids).cpu().numpy())
        new = wanted[self.places.cpu().numpy()[wanted] < 0]
        if not len(new):
            return
        ids, first = torch.from_numpy(new), self.kept + len(self.extra)
        if self.weight.requires_grad:
            old = len(self.extra)
            self.extra = torch.cat(
                [self.extra.to(self.weight), self.weight.new_empty(len(ids), self.embedding_dim)]
            )
            self._read(ids, self.extra, torch.arange(old, len(self.extra)))
        else:
            self._grow(ids)
        numbers = torch.arange(first, first + len(ids), dtype=torch.int32)
        self.places[ids.to(self.places.device)] = numbers.to(self.places.device)

    def whole(self) -> Tensor:
        """The matrix of all pieces on the CPU, trained rows in place, shape (vocabulary, width)."""
        full = torch.empty(self.num_embeddings, self.embedding_dim, dtype=self.weight.dtype)
        self.stored.read_into(full)
        places = self.places.cpu()
        ids = torch.nonzero((places >= 0) & (places < self.kept))[:, 0]
        full[ids] = self.weight.detach().cpu()[places[ids].long()]
        return full

    def _read(self, ids: Tensor, matrix: Tensor, rows: Tensor) -> None:
        """Read pieces, whose ids rise, into rows of a matrix, a few at a time: no copy stands beside."""
        with torch.no_grad():
            for some, where in zip(ids.split(AT_ONCE), rows.long().split(AT_ONCE), strict=True):
                matrix[where.to(matrix.device)] = self.stored.rows(some.numpy()).to(matrix)

    def _grow(self, ids: Tensor) -> None:
        """Read further pieces behind those of the frozen matrix."""
        needed = self.kept + len(ids)
        if needed > len(self.weight):
            room = self.weight.new_empty(needed + needed // SPARE, self.embedding_dim)
            room[: self.kept] = self.weight.detach()[: self.kept]
            self.weight = nn.Parameter(room, requires_grad=False)
        self._read(ids, self.weight, torch.arange(self.kept, needed))
        self.kept = needed


def trim(model: nn.Module, stored: StoredTensor, tokens: np.ndarray) -> TrimmedEmbedding:
    """Cut the word embeddings of a model, wherever it holds them.

    Args:
        model: The model; its own matrix is not read.
        stored: The whole matrix in its file.
        tokens: Ids of the pieces to keep.
    """
    whole = model.get_input_embeddings()
    cut = TrimmedEmbedding(stored, tokens, whole.padding_idx)
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            if child is whole:
                setattr(module, name, cut)
        # The adapters library notes it here as well, where a copy of the model would find and copy it.
        noted: dict[str, nn.Module] = getattr(module, "loaded_embeddings", {})
        noted.update({name: cut for name, held in noted.items() if held is whole})
    return cut


def trimmed(model: nn.Module) -> TrimmedEmbedding | None:
    """The cut embeddings of a model; None if it has all of them."""
    found = model.get_input_embeddings()
    return found if isinstance(found, TrimmedEmbedding) else None


def cover(model: nn.Module, features: Dataset) -> None:
    """Read in one go the rows of all pieces of a data set, which would else be read as they are met."""
    found = trimmed(model)
    if found is not None:
        found.fetch(tokens_of([features], found.num_embeddings))


def tokens_of(datasets: Sequence[Dataset], vocabulary: int) -> np.ndarray:
    """Ids of the pieces in the encodings of some data, each once, rising.

    Args:
        datasets: Encodings, with `input_ids`.
        vocabulary: Number of ids.
    """
    seen = np.zeros(vocabulary, dtype=bool)
    for features in datasets:
        for chunk in features.data.column("input_ids").chunks:
            # Several choices are lists of lists.
            while hasattr(chunk, "flatten") and hasattr(chunk.type, "value_type"):
                chunk = chunk.flatten()
            seen[chunk.to_numpy(zero_copy_only=False)] = True
    return np.flatnonzero(seen)
