"""Unigram tokenizers in the form of XLM-R: training, saving, loading.

Free of torch; `tokenizers` and `transformers` are imported inside the functions.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adaptrans.errors import ArtifactError, ConfigError, DataError
from adaptrans.modeling.backbone import REGEX_AS_IT_IS

if TYPE_CHECKING:
    from tokenizers import AddedToken, Tokenizer


BEGIN, PADDING, END, UNKNOWN = "<s>", "<pad>", "</s>", "<unk>"
SPECIALS = (BEGIN, PADDING, END, UNKNOWN)
"""Ids 0 to 3, in the order of XLM-R; `<mask>` is the last id."""
MASK = "<mask>"
MODEL_INPUTS = ("input_ids", "attention_mask")
"""What a tokenizer hands on: XLM-R has one type of token, so their types are left out."""
BOUNDARY = "▁"
"""What begins a word in the tokens (the metaspace)."""


def balanced_sample(
    texts: Mapping[str, Sequence[str]], *, characters: int, smoothing: float, seed: int
) -> list[str]:
    """Lines of every language, as many characters of each as its smoothed share.

    A language with less text than its share gives all it has.

    Args:
        texts: Lines per language.
        characters: Characters in all.
        smoothing: Exponent on the sizes, between 0 (equal shares) and 1 (as they are).
        seed: Seed of the choice of lines.

    Returns:
        The lines, language after language in alphabetical order.

    Example:
        >>> len(balanced_sample({"en": ["one two"] * 9, "sw": ["moja"]}, characters=28, smoothing=0, seed=1))
        3
    """
    sizes = {language: sum(map(len, lines)) for language, lines in texts.items()}
    weights = {language: size**smoothing for language, size in sizes.items() if size}
    total = sum(weights.values())
    chosen: list[str] = []
    for language in sorted(weights):
        budget = characters * weights[language] / total
        order = list(texts[language])
        random.Random(f"{seed}:{language}").shuffle(order)
        taken = 0
        for line in order:
            if taken >= budget:
                break
            chosen.append(line)
            taken += len(line)
    return chosen


def _covered(lines: Sequence[str], coverage: float) -> Iterator[str]:
    """The lines with characters beyond the coverage made spaces: each kept one costs a token."""
    import unicodedata

    normal = [unicodedata.normalize("NFKC", line) for line in lines]
    counts: Counter[str] = Counter()
    for line in normal:
        counts.update(line)
    allowed = sum(counts.values()) * coverage
    seen, rare = 0, {}
    for character, count in counts.most_common():
        if seen >= allowed:
            rare[ord(character)] = " "
        seen += count
    for line in normal:
        yield line.translate(rare)


def train(lines: Sequence[str], *, vocabulary: int, coverage: float = 0.9995) -> Tokenizer:
    """Train a Unigram tokenizer with the normalizer, tokens and templates of XLM-R.

    Args:
        lines: Text, already balanced over the languages.
        vocabulary: Number of ids, special tokens included.
        coverage: Fraction of the characters of the text that get a token of their own.
            Source: 0.9995, the SentencePiece default XLM-R was trained with.

    Returns:
        The tokenizer, without truncation or padding; with fewer ids if the text has too
        few different pieces.

    Raises:
        ConfigError: If there is no text, or it has more characters than the vocabulary.
    """
    from tokenizers import (
        Regex,
        Tokenizer,
        decoders,
        models,
        normalizers,
        pre_tokenizers,
        trainers,
    )

    if not any(lines):
        raise ConfigError(f"cannot train a tokenizer of {vocabulary} pieces on no text")
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFKC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Strip()]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement=BOUNDARY, prepend_scheme="always")
    tokenizer.decoder = decoders.Metaspace(replacement=BOUNDARY, prepend_scheme="always")
    trainer = trainers.UnigramTrainer(
        vocab_size=vocabulary - 1,
        special_tokens=list(SPECIALS),
        unk_token="<unk>",
        max_piece_length=12,
        show_progress=False,
    )
    try:
        tokenizer.train_from_iterator(_covered(lines, coverage), trainer=trainer, length=len(lines))
    except Exception as error:  # the library raises bare exceptions with its own texts
        raise ConfigError(
            f"cannot train a tokenizer of {vocabulary} pieces on {len(lines)} lines: {error}",
            remedy="lower tokenizer.vocabulary or give more text",
        ) from None
    tokenizer.add_special_tokens([_mask()])
    tokenizer.post_processor = _template(tokenizer)
    return tokenizer


def _mask() -> AddedToken:
    """The mask takes the space before it."""
    from tokenizers import AddedToken

    return AddedToken(MASK, lstrip=True, normalized=False, special=True)


def _template(tokenizer: Tokenizer) -> Any:
    from tokenizers.processors import TemplateProcessing

    return TemplateProcessing(
        single="<s> $A </s>",
        pair="<s> $A </s> </s> $B </s>",
        special_tokens=[(name, tokenizer.token_to_id(name)) for name in ("<s>", "</s>")],
    )


def save(tokenizer: Tokenizer, folder: Path, *, max_length: int = 512) -> None:
    """Write the tokenizer as `AutoTokenizer` loads it: as tokenizer.json says, of no named class.

    transformers 5 builds the tokenizers of classes that it knows, XLM-R's among them, anew from their tokens,
    with another normalizer than the file's: of Chinese text with its own punctuation other ids come out.

    Args:
        tokenizer: Result of `train`.
        folder: Where the files go; made if needed.
        max_length: Longest input in tokens, special tokens included.
    """
    from transformers import PreTrainedTokenizerFast

    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=max_length,
        model_input_names=list(MODEL_INPUTS),
        clean_up_tokenization_spaces=False,
        bos_token=BEGIN,
        cls_token=BEGIN,
        eos_token=END,
        sep_token=END,
        pad_token=PADDING,
        unk_token=UNKNOWN,
        mask_token=_mask(),
    )
    wrapped.save_pretrained(str(folder))


def load(folder_or_id: str) -> Tokenizer:
    """Load the fast tokenizer of a backbone.

    Args:
        folder_or_id: A folder with `tokenizer.json`, or a name on the hub.

    Returns:
        The tokenizer, without truncation or padding.

    Raises:
        ArtifactError: If there is none, or it is not one of XLM-R's form.
    """
    from transformers import AutoTokenizer

    try:
        tokenizer: Tokenizer = AutoTokenizer.from_pretrained(
            folder_or_id, use_fast=True, fix_mistral_regex=REGEX_AS_IT_IS
        ).backend_tokenizer
    except (OSError, ValueError, AttributeError) as error:
        raise ArtifactError(
            f"no fast tokenizer in {folder_or_id}: {str(error).splitlines()[0]}",
            remedy="name a folder with tokenizer.json, as save_pretrained writes it",
        ) from None
    missing = [name for name in (*SPECIALS, MASK) if tokenizer.token_to_id(name) is None]
    if missing:
        raise ArtifactError(
            f"the tokenizer in {folder_or_id} has no {' '.join(missing)}",
            remedy="pretraining needs a tokenizer of XLM-R's form",
        )
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def encode_lines(tokenizer: Tokenizer, lines: Iterable[str], *, batch: int = 2000) -> Iterator[list[int]]:
    """Ids of each line, without special tokens.

    Args:
        tokenizer: The tokenizer.
        lines: Text, one sentence or passage each.
        batch: Lines handed to the library at once.

    Yields:
        One list of ids a line.
    """
    waiting: list[str] = []
    for line in lines:
        waiting.append(line)
        if len(waiting) == batch:
            yield from (found.ids for found in tokenizer.encode_batch_fast(waiting, add_special_tokens=False))
            waiting = []
    if waiting:
        yield from (found.ids for found in tokenizer.encode_batch_fast(waiting, add_special_tokens=False))


def word_starts(tokenizer: Tokenizer) -> list[bool]:
    """For every id, whether the token begins a word (or is a special token)."""
    names = [tokenizer.id_to_token(i) for i in range(tokenizer.get_vocab_size())]
    return [name is None or name.startswith(BOUNDARY) or name in (*SPECIALS, MASK) for name in names]


def read_file(path: Path) -> Tokenizer:
    """Load a `tokenizer.json`.

    Raises:
        DataError: If the file is missing or damaged.
    """
    from tokenizers import Tokenizer

    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises bare exceptions
        raise DataError(f"not a tokenizer: {error}", path, remedy="delete it to train it again") from None
