"""The control of every result: the same encoder with its knowledge shuffled away. Torch-free.

`random(NAME)` is backbone NAME in which the entries of each weight tensor have changed places.
Every layer keeps the distribution of its weights, the tokenizer stays; what pretraining learnt is
gone. What a run on it scores is what head, data and training give by themselves.
"""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adaptrans.errors import ArtifactError
from adaptrans.utils.io import atomic_write, digest

if TYPE_CHECKING:
    import numpy as np


SEED = 2020
_NAME = re.compile(r"random\((?P<of>.+)\)\Z")


def control_of(name: str) -> str | None:
    """The backbone that a control's name stands for; None if it names no control.

    Example:
        >>> control_of("random(mini)"), control_of("mini")
        ('mini', None)
    """
    match = _NAME.match(name)
    return match["of"] if match else None


def control_name(name: str) -> str:
    """Name of the control of a backbone.

    Example:
        >>> control_name("mini")
        'random(mini)'
    """
    return f"random({name})"


def make_shuffled_baseline(files: list[Path], weights: list[Path], fingerprint: str, folder: Path) -> Path:
    """The folder of a control, made now unless it is there.

    Args:
        files: What the control shares with its backbone: config, tokenizer, index.
        weights: The backbone's safetensors files.
        fingerprint: The backbone's.
        folder: Where controls are kept.

    Returns:
        A folder that can be used as any backbone; the same content every time.

    Raises:
        ArtifactError: If a weight file is damaged.
    """
    path = folder / f"random-{digest([fingerprint, SEED])}"
    if not path.is_dir():
        with atomic_write(path) as temporary:
            temporary.mkdir()
            for file in [*files, *weights]:
                shutil.copyfile(file, temporary / file.name)
            for file in weights:
                shuffle(temporary / file.name)
    return path


def shuffle(path: Path, seed: int = SEED) -> None:
    """Permute the entries of every tensor of a safetensors file, in place.

    The order depends on the seed and the tensor's name alone, so it is the same in one file or many.

    Raises:
        ArtifactError: If the file is damaged.
    """
    import numpy as np

    data = np.memmap(path, dtype=np.uint8, mode="r+")
    try:
        start, tensors = _header(data)
        for name, tensor in tensors.items():
            begin, end = tensor["data_offsets"]
            part = data[start + begin : start + end]
            size = entry_bytes(tensor["dtype"])
            # A copy, because tensors need not be aligned in the file.
            entries = np.frombuffer(part.tobytes(), dtype=f"u{size}").copy()
            np.random.default_rng([seed, *name.encode()]).shuffle(entries)
            part[:] = entries.view(np.uint8)
    except (KeyError, TypeError, ValueError) as error:
        raise ArtifactError(f"{path} is damaged: {error!r}", remedy="fetch the backbone again") from None
    data.flush()


def entry_bytes(dtype: str) -> int:
    """Bytes of one entry, from the names of the format.

    Source: huggingface/safetensors, README, section Format.

    Example:
        >>> [entry_bytes(name) for name in ("BOOL", "F8_E5M2", "BF16", "F32", "I64")]
        [1, 1, 2, 4, 8]
    """
    bits = re.search(r"\d+", dtype)
    return int(bits.group()) // 8 if bits else 1


def _header(data: np.ndarray) -> tuple[int, dict[str, Any]]:
    """Where the tensors begin, and what the file says of each: a length, JSON, then the bytes."""
    length = int.from_bytes(data[:8].tobytes(), "little")
    table = json.loads(data[8 : 8 + length].tobytes())
    table.pop("__metadata__", None)
    return 8 + length, table
