"""Pretrained encoders: which one it is, without loading it. Torch-free until a tokenizer is loaded."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adaptrans import mini
from adaptrans.errors import ArtifactError, ConfigError
from adaptrans.modeling import e5_small
from adaptrans.modeling.config_keys import (
    DECODING,
    RETRIEVAL_LAYER,
    TEXT_PREFIXES,
    deciding,
    refuse_repositories,
)
from adaptrans.modeling.encoder import ENCODERS, EncoderSpec, spec_of
from adaptrans.modeling.known_backbones import find, known, suggestion
from adaptrans.tasks.locate import hub_cache
from adaptrans.utils.io import atomic_write, cache_folder, cached_sha256, digest
from adaptrans.utils.safetensors_header import SIZES, Damaged, read_header

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


OUTLINED = "xlm-roberta"
"""The architecture that a message names an example of."""
WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
TOKENIZER_FILES = (
    "tokenizer.json",
    "sentencepiece.bpe.model",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
)
VERSIONED_TOKENIZERS = "tokenizer.*.json"
"""Files that `fast_tokenizer_files` of tokenizer_config.json may put in the place of tokenizer.json."""

REGEX_AS_IT_IS = False
"""`fix_mistral_regex` of every tokenizer that is loaded: without it transformers 4.57.3 to 4.57.6 warn of a
fault of other models' tokenizers; with True they put another rule for words in place of the file's own."""


class NotFetchedError(ArtifactError):
    """A backbone of the hub is not on this machine, and the hub did not give it."""


@dataclass(frozen=True)
class Backbone:
    """A pretrained encoder, identified by its content.

    Args:
        name: As given: hub name, or folder.
        path: Folder with config, weights and tokenizer.
        revision: Commit of the hub repository; None for a folder.
        architecture: `model_type` of its config.
        depth: Number of layers.
        width: Hidden size.
        vocabulary: Rows of the embedding matrix.
        fingerprint: Hash of the weights and of what in its config can change an output, see `config_keys`.
        fetched: Whether it is at hand; if not, its shape is known and its content is not, see `outlined`.
        longest: Pieces of its longest input.
        retrieval_layer: The layer that it recommends for retrieval, see `recommended_layer`.
        prefixes: What it was trained to find before texts, or before queries and before passages.
    """

    name: str
    path: Path
    revision: str | None
    architecture: str
    depth: int
    width: int
    vocabulary: int
    fingerprint: str
    fetched: bool = True
    longest: int = mini.LONGEST
    retrieval_layer: int | None = None
    prefixes: tuple[str, ...] = ()

    @property
    def spec(self) -> EncoderSpec:
        """Its architecture."""
        return ENCODERS[self.architecture]

    def described(self) -> dict[str, Any]:
        """What an artifact says of its base: what identifies it, not where it lies on this machine."""
        return {
            "name": self.name,
            "revision": self.revision,
            "architecture": self.architecture,
            "depth": self.depth,
            "width": self.width,
            "vocabulary": self.vocabulary,
            "fingerprint": self.fingerprint,
            "fetched": self.fetched,
        }


PROVIDED: Mapping[str, Callable[[], Path]] = {
    "mini": lambda: mini.FOLDER,
    e5_small.NAME: e5_small.folder,
}
"""Encoders that come with the package or with an extra of it, by name, each with what gives its folder."""


def identify(
    name_or_folder: str | Path,
    cache: Path | None = None,
    controls: Path | None = None,
    fetch: bool = True,
) -> Backbone:
    """Find a backbone and hash it; no model is loaded.

    Args:
        name_or_folder: A folder, a name on the Hugging Face Hub, or `random(NAME)`, the control of one. What
            the hub cache holds is used as it is; what it lacks is downloaded, unless HF_HUB_OFFLINE is set.
        cache: Folder of the remembered hashes of weight files; by default that of `adaptrans.utils.io`, which
            all stores share: ADAPTRANS_CACHE, else adaptrans in the user's cache folder.
        controls: Folder where controls are made; by default in the same place.
        fetch: Download what the hub cache lacks.

    Returns:
        The backbone; weight files whose size and time have not changed are not read again.

    Raises:
        ArtifactError: If there is no such backbone, or none that can be used.
    """
    name = full_name(str(name_or_folder))
    shuffled = None if Path(name).is_dir() else control_of(name)
    folder, revision = (
        _locate(name, fetch) if shuffled is None else _control(shuffled, cache, controls, fetch)
    )
    config = _read_object(folder / "config.json", name)
    refuse_repositories(config, f"backbone {name}")
    architecture = config.get("model_type")
    if not isinstance(architecture, str) or architecture not in ENCODERS:
        raise ArtifactError(
            f"backbone {name} is of type {architecture!r}",
            remedy=f"supported: {', '.join(ENCODERS)}, for instance {ENCODERS[OUTLINED].example}",
        )
    depth, width, vocabulary = (_count(config, key, name) for key in SHAPE_KEYS)
    check_encoder(config, name)
    hashes = cached_sha256(weight_files(folder, name), cache)
    return Backbone(
        name,
        folder,
        revision,
        architecture,
        depth,
        width,
        vocabulary,
        fingerprint=digest([deciding(config), hashes], 64),
        longest=_longest(config, name),
        retrieval_layer=recommended_layer(config, name),
        prefixes=trained_prefixes(config, name),
    )


def trained_prefixes(config: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """What an encoder was trained to find before texts: `text_prefixes` in config.json, or what is known.

    Args:
        config: What its `config.json` holds.
        name: The backbone, of which something may be known.

    Returns:
        One for every text, or one for queries and one for passages; empty where there is none.

    Raises:
        ArtifactError: If the key holds something else.

    Example:
        >>> trained_prefixes({}, "e5-small"), trained_prefixes({"text_prefixes": ["q: "]}, "mine")
        (('query: ', 'passage: '), ('q: ',))
    """
    said = config.get(TEXT_PREFIXES)
    if said is None:
        known = find(control_of(name) or name)
        return known.prefixes if known is not None else ()
    if not isinstance(said, list) or not all(isinstance(text, str) for text in said) or len(said) > 2:
        raise ArtifactError(
            f"backbone {name}: config.json has {TEXT_PREFIXES} {said!r}",
            remedy='write a list of one or two texts, as ["query: ", "passage: "]',
        )
    return tuple(said)


def check_encoder(config: Mapping[str, Any], name: str) -> None:
    """Refuse a configuration that makes a decoder.

    Raises:
        ArtifactError: Naming the key.
    """
    for key in DECODING:
        if config.get(key):
            raise ArtifactError(
                f"backbone {name}: config.json says {key}, which makes it a decoder, not an encoder",
                remedy=f"set {key} to false",
            )


def recommended_layer(config: Mapping[str, Any], name: str) -> int | None:
    """The layer whose vectors find translations best: `retrieval_layer` in config.json, if it is there.

    Encoders that were trained to find sentences answer best at their last layer, others in the middle.

    Args:
        config: What its `config.json` holds.
        name: The backbone, for the message.

    Returns:
        A number as in `hidden_states[layer]`, 0 for the embeddings; None where it recommends none.

    Raises:
        ArtifactError: If it is no layer of this encoder.

    Example:
        >>> config = {"model_type": "bert", "num_hidden_layers": 12, "retrieval_layer": 12}
        >>> recommended_layer(config, "mine")
        12
        >>> recommended_layer({"model_type": "bert", "num_hidden_layers": 12}, "mine")
    """
    layer = config.get(RETRIEVAL_LAYER)
    if layer is None:
        return None
    depth = _count(config, "num_hidden_layers", name)
    if type(layer) is not int or not 0 <= layer <= depth:
        raise ArtifactError(
            f"backbone {name}: config.json has {RETRIEVAL_LAYER} {layer!r} of {depth} layers",
            remedy=f"say 0 to {depth}",
        )
    return layer


def check_length(backbone: Backbone, length: int, where: str) -> None:
    """Refuse inputs that are longer than a backbone has positions for.

    Args:
        backbone: The encoder.
        length: Pieces of the longest input.
        where: What asks for it, for the message.

    Raises:
        ConfigError: If it is too long.
    """
    if length > backbone.longest:
        raise ConfigError(
            f"{where}: max_length {length} is beyond the {backbone.longest} positions of {backbone.name}",
            remedy=f"give {backbone.longest} or less, with --max-length or as max_length in the file",
        )


def weight_files(folder: Path, name: str) -> list[Path]:
    """The safetensors files of a backbone, in order.

    Raises:
        ArtifactError: If there are none, or only pickles.
    """
    if (folder / WEIGHTS).is_file():
        return [folder / WEIGHTS]
    if (folder / INDEX).is_file():
        table = _read_object(folder / INDEX, name).get("weight_map")
        shards = sorted(set(table.values())) if isinstance(table, dict) and table else []
        missing = [shard for shard in shards if not (folder / str(shard)).is_file()]
        if not shards or missing:
            raise ArtifactError(
                f"backbone {name} lacks {', '.join(map(str, missing)) or 'weights'}", remedy="fetch it again"
            )
        return [folder / shard for shard in shards]
    if any(folder.glob("*.bin")):
        raise ArtifactError(
            f"backbone {name} has only .bin weights, which are pickles and can run code",
            remedy="take a copy with model.safetensors, or convert one you trust: load it with transformers"
            " and save_pretrained(FOLDER, safe_serialization=True)",
        )
    raise ArtifactError(f"backbone {name} has no {WEIGHTS}", remedy="fetch it again, with its weights")


def tokenizer_files(folder: Path) -> list[Path]:
    """The files that decide the pieces of a backbone's tokenizer, as far as it has them."""
    named = [folder / name for name in TOKENIZER_FILES if (folder / name).is_file()]
    return [*named, *sorted(folder.glob(VERSIONED_TOKENIZERS))]


def tokenizer_fingerprint(backbone: Backbone) -> str:
    """Hash of the files of a backbone's tokenizer; files that have not changed are not read again.

    Of a backbone that is not at hand what stands for it.

    Raises:
        ArtifactError: If it has none.
    """
    if not backbone.fetched:
        return backbone.fingerprint
    files = tokenizer_files(backbone.path)
    if not any(path.name in TOKENIZER_FILES[:2] for path in files):
        raise ArtifactError(
            f"backbone {backbone.name} has no tokenizer",
            remedy=f"put its tokenizer.json into {backbone.path}",
        )
    return digest([[path.name, hashed] for path, hashed in zip(files, cached_sha256(files), strict=True)], 64)


def load_tokenizer(backbone: Backbone) -> PreTrainedTokenizerFast:
    """Load the tokenizer of a backbone; it knows where in the text each piece stands.

    Raises:
        ArtifactError: If it is missing, damaged, a slow one without positions, or not that of the encoder.
    """
    tokenizer_fingerprint(backbone)
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(
            str(backbone.path), use_fast=True, local_files_only=True, fix_mistral_regex=REGEX_AS_IT_IS
        )
    except Exception as error:  # the tokenizers library raises bare Exception for a damaged file
        raise ArtifactError(
            f"the tokenizer of backbone {backbone.name} cannot be read: {error}", remedy="fetch it again"
        ) from error
    if not tokenizer.is_fast:
        raise ArtifactError(
            f"the tokenizer of backbone {backbone.name} is a slow one", remedy="add its tokenizer.json"
        )
    _check_tokenizer(tokenizer, backbone)
    return tokenizer


def _check_tokenizer(tokenizer: PreTrainedTokenizerFast, backbone: Backbone) -> None:
    """Refuse a tokenizer that cannot be that of the encoder.

    XLM-R counts positions from the id of its padding, so another id moves every position. The other ids of
    special tokens in config.json are read by nobody.
    """
    if tokenizer.pad_token_id is None:
        raise ArtifactError(
            f"the tokenizer of backbone {backbone.name} names no padding piece",
            remedy="put its pad_token into tokenizer_config.json",
        )
    if len(tokenizer) > backbone.vocabulary:
        raise ArtifactError(
            f"the tokenizer of backbone {backbone.name} has {len(tokenizer):,} pieces, its embedding matrix "
            f"{backbone.vocabulary:,} rows",
            remedy="take the tokenizer that belongs to the weights, or resize_token_embeddings and save both",
        )
    if not backbone.spec.counts_from_padding:
        return  # The model follows its tokenizer.
    pad = _read_object(backbone.path / "config.json", backbone.name).get("pad_token_id", backbone.spec.pad)
    if pad != tokenizer.pad_token_id:
        raise ArtifactError(
            f"backbone {backbone.name}: config.json has pad_token_id {pad}, from which positions count, the "
            f"tokenizer pads with {tokenizer.pad_token_id}",
            remedy="put the id that the encoder was trained with into config.json",
        )


def full_name(name: str) -> str:
    """The name on the hub that a short name stands for; any other name as it is.

    A folder of that name wins, and so does a repository of that name in the hub cache: the hub's own old
    names, such as `xlm-roberta-base`, are among the short ones.

    Example:
        >>> full_name("labse"), full_name("random(labse)"), full_name("mini")
        ('sentence-transformers/LaBSE', 'random(sentence-transformers/LaBSE)', 'mini')
    """
    if Path(name).is_dir():
        return name
    of = control_of(name)
    if of is not None:
        return control_name(full_name(of))
    short = known().get(name)
    return name if short is None or (hub_cache() / f"models--{name}").is_dir() else short.backbone


def _locate(name: str, fetch: bool = True) -> tuple[Path, str | None]:
    """Folder and revision of a backbone; a folder wins over one that the package has."""
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder.resolve(), None
    if name in PROVIDED:
        return PROVIDED[name](), None
    if not name.strip() or name.startswith((".", "/", "~")) or name.count("/") > 1 or "\\" in name:
        raise ArtifactError(f"there is no backbone folder {name!r}", remedy="give a folder or a hub name")
    return _from_hub(name, fetch)


def _from_hub(name: str, fetch: bool = True) -> tuple[Path, str]:
    from huggingface_hub import constants, snapshot_download

    patterns = ["config.json", "*.safetensors", INDEX, *TOKENIZER_FILES, VERSIONED_TOKENIZERS]
    for offline in (True, False):
        if not offline and (constants.HF_HUB_OFFLINE or not fetch):
            break
        # Whatever goes wrong, the cause for the user is that the backbone is not at hand.
        with contextlib.suppress(Exception):
            folder = Path(snapshot_download(name, allow_patterns=patterns, local_files_only=offline))
            if not offline or _complete(folder):
                return folder, folder.name
    reason = "HF_HUB_OFFLINE is set" if constants.HF_HUB_OFFLINE else "the hub did not give it"
    raise NotFetchedError(
        f"backbone {name!r} is neither a folder nor in the hub cache, and {reason}",
        remedy=suggestion(name) or f"fetch it where there is a network: huggingface-cli download {name}",
    )


def _complete(folder: Path) -> bool:
    """Whether a snapshot in the hub cache holds config, weights and tokenizer."""
    with contextlib.suppress(ArtifactError):
        weight_files(folder, folder.name)
        tokenizer = any((folder / name).is_file() for name in TOKENIZER_FILES[:2])
        return tokenizer and (folder / "config.json").is_file()
    return False


def _read_object(path: Path, name: str) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ArtifactError(
            f"backbone {name} has no {path.name}", remedy="give the folder of a pretrained encoder"
        ) from None
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{path} cannot be read: {error}", remedy="fetch it again") from error
    if not isinstance(value, dict):
        raise ArtifactError(f"{path} is not a JSON object", remedy="fetch it again")
    return value


def _longest(config: dict[str, Any], name: str) -> int:
    """Pieces of the longest input."""
    try:
        found = spec_of(config).longest_input(config)
    except (TypeError, ValueError):
        found = 0
    if found < 1:
        raise ArtifactError(
            f"backbone {name}: config.json has max_position_embeddings "
            f"{config.get('max_position_embeddings')!r} with pad_token_id {config.get('pad_token_id')!r}",
            remedy="fetch it again",
        )
    return found


def _count(config: Mapping[str, Any], key: str, name: str) -> int:
    value = spec_of(config).value(config, key)
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ArtifactError(f"backbone {name}: config.json has no {key}", remedy="fetch it again")
    return value


ABSENT = "absent:"
"""What stands for the hash of content that is not here begins with it; no hash does."""


def outlined(name_or_folder: str | Path, controls: Path | None = None) -> Backbone:
    """The backbone of a name, not downloaded: where it is not at hand, what is known of it.

    Args:
        name_or_folder: As for `identify`.
        controls: As for `identify`.

    Returns:
        The backbone; if it is not at hand, `fetched` is False and its fingerprint stands for none.

    Raises:
        ArtifactError: If there is no such folder, it cannot be used, or nothing is known of its shape.

    Example:
        >>> outlined("mini").fetched
        True
    """
    name = full_name(str(name_or_folder))
    of = control_of(name) or name
    # The hub's client takes longer to import than a plan: it is asked only where it may have something.
    places = (Path(of), hub_cache() / f"models--{of.replace('/', '--')}")
    try:
        if of in PROVIDED or find(of) is None or any(place.is_dir() for place in places):
            return identify(name, controls=controls, fetch=False)
    except (NotFetchedError, e5_small.MissingExtraError):
        pass
    config = _config(of)
    depth, width, vocabulary = (_count(config, key, name) for key in SHAPE_KEYS)
    return Backbone(
        name,
        Path(),
        None,
        config["model_type"],
        depth,
        width,
        vocabulary,
        f"{ABSENT}{name}",
        fetched=False,
        longest=spec_of(config).longest_input(config),
        retrieval_layer=recommended_layer(config, name),
        prefixes=trained_prefixes(config, name),
    )


SHAPE_KEYS = ("num_hidden_layers", "hidden_size", "vocab_size")


def _config(name: str) -> dict[str, Any]:
    """What the configuration of a backbone of the hub says of its shape; at most that file is read."""
    known = find(name)
    if known is not None and known.spec is not None:
        return dict(known.config)
    from huggingface_hub import constants, hf_hub_download

    try:
        path = hf_hub_download(name, "config.json", local_files_only=constants.HF_HUB_OFFLINE)
        config = json.loads(Path(path).read_text(encoding="utf-8"))
        spec_of(config).longest_input(config)
        return {**config, **{spec_of(config).key(key): _count(config, key, name) for key in SHAPE_KEYS}}
    except Exception as error:  # the client raises a dozen kinds for "no network" and "no such repository"
        raise ArtifactError(
            f"backbone {name!r} is neither a folder nor in the hub cache, and nothing is known of its shape",
            remedy=f"fetch it where there is a network: huggingface-cli download {name} config.json",
        ) from error


# The shuffled-weights baseline: `random(NAME)` is backbone NAME in which the entries of each weight tensor
# have changed places. Every layer keeps the distribution of its weights, the tokenizer stays; what
# pretraining learned is gone. What a run on it scores is what head, data and training give by themselves.

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


def _control(name: str, cache: Path | None, controls: Path | None, fetch: bool) -> tuple[Path, str | None]:
    """Folder and revision of the control of a backbone, made now unless it is there.

    Raises:
        ArtifactError: If a weight file is damaged.
    """
    backbone = identify(name, cache, fetch=fetch)
    beside = [backbone.path / file for file in ("config.json", INDEX)]
    shared = [path for path in beside if path.is_file()] + tokenizer_files(backbone.path)
    weights = weight_files(backbone.path, name)
    # Of the same weights with another tokenizer, or another note in config.json, there is another control.
    fingerprint = digest(
        [backbone.fingerprint, [path.name for path in shared], cached_sha256(shared, cache)], 64
    )
    folder = (controls or cache_folder() / "controls") / f"random-{digest([fingerprint, SEED])}"
    if not folder.is_dir():
        with atomic_write(folder) as temporary:
            temporary.mkdir()
            for file in [*shared, *weights]:
                shutil.copyfile(file, temporary / file.name)
            for file in weights:
                shuffle(temporary / file.name)
    return folder, backbone.revision


def shuffle(path: Path) -> None:
    """Permute the entries of every tensor of a safetensors file, in place.

    The order depends on `SEED` and the tensor's name alone, so it is the same in one file or many.

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
        np.random.default_rng([SEED, *name.encode()]).shuffle(entries)
        part[:] = entries.view(np.uint8)
    data.flush()
