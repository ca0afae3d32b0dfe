"""The shuffled-weights baseline of every result: the same encoder with its weights shuffled. Torch-free.

`random(NAME)` is backbone NAME in which the entries of each weight tensor have changed places.
Every layer keeps the distribution of its weights, the tokenizer stays; what pretraining learned is
gone. What a run on it scores is what head, data and training give by themselves.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from adaptrans.errors import ArtifactError
from adaptrans.utils.io import atomic_write, digest
from adaptrans.utils.safetensors_header import SIZES, Damaged, read_header

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

    try:
        tensors = read_header(path)
    except Damaged as error:
        raise ArtifactError(f"{path} is damaged: {error}", remedy="fetch the backbone again") from None
    data = np.memmap(path, dtype=np.uint8, mode="r+")
    for name, tensor in tensors.items():
        part = data[tensor.start : tensor.end]
        # A copy, because tensors need not be aligned in the file.
        entries = np.frombuffer(part.tobytes(), dtype=f"u{SIZES[tensor.dtype]}").copy()
        np.random.default_rng([seed, *name.encode()]).shuffle(entries)
        part[:] = entries.view(np.uint8)
    data.flush()
