"""Tiny random encoders of every architecture, each with a tokenizer of the kind that such encoders have."""

from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import Any

from conftest import TEXT, make_backbone, make_tokenizer, pieces

from support.bert import make_bert
from support.bert import make_tokenizer as make_wordpiece
from support.smalldata import SENTENCES

DEPTH, WIDTH = 4, 32
SIZES = {
    "num_hidden_layers": DEPTH,
    "hidden_size": WIDTH,
    "num_attention_heads": 2,
    "intermediate_size": 2 * WIDTH,
    "initializer_range": 0.2,
}
ARCHITECTURES = (
    "roberta", "xlm-roberta-xl", "distilbert", "deberta-v2", "electra", "modernbert",
)  # fmt: skip
"""Those beside XLM-R and BERT, which have tests of their own."""


def make_byte_level(names: dict[str, str]):
    """A byte-level BPE tokenizer, with a few merges, and special pieces of these names."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    specials = list(dict.fromkeys(names.values()))
    merges = [("Ġ", "t"), ("h", "e"), ("Ġt", "he"), ("Ġ", "a"), ("i", "n"), ("e", "r")]
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = [*specials, *alphabet, *("".join(pair) for pair in merges)]
    tokenizer = Tokenizer(models.BPE({word: i for i, word in enumerate(words)}, merges, unk_token=None))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    first, last = names["cls_token"], names["sep_token"]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{first} $A {last}",
        pair=f"{first} $A {last} {last} $B {last}" if first == "<s>" else f"{first} $A {last} $B {last}",
        special_tokens=[(first, specials.index(first)), (last, specials.index(last))],
    )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=512, **names)


def make_sentencepiece():
    """A Unigram tokenizer over running text with DeBERTa's special pieces, as mDeBERTa's file has it."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
    from transformers import DebertaV2TokenizerFast

    specials = ("[PAD]", "[CLS]", "[SEP]", "[UNK]")
    vocabulary = [(name, 0.0) for name in specials]
    vocabulary += pieces(unicodedata.normalize("NFKC", TEXT), 900)
    vocabulary += [("[MASK]", 0.0)]
    tokenizer = Tokenizer(models.Unigram(vocabulary, unk_id=3))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Strip()])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS]:0 $A:0 [SEP]:0",
        pair="[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 1), ("[SEP]", 2)],
    )
    return DebertaV2TokenizerFast(tokenizer_object=tokenizer, model_max_length=512)


ROBERTA_NAMES = {
    "bos_token": "<s>", "pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>",
    "cls_token": "<s>", "sep_token": "</s>", "mask_token": "<mask>",
}  # fmt: skip
MODERNBERT_NAMES = {
    "pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]",
    "mask_token": "[MASK]",
}  # fmt: skip

TOKENIZERS = {
    "xlm-roberta": make_tokenizer,
    "bert": lambda: make_wordpiece((TEXT, *SENTENCES.values())),
    "roberta": lambda: make_byte_level(ROBERTA_NAMES),
    "xlm-roberta-xl": make_tokenizer,
    "distilbert": lambda: make_wordpiece((TEXT, *SENTENCES.values())),
    "deberta-v2": make_sentencepiece,
    "electra": lambda: make_wordpiece((TEXT, *SENTENCES.values())),
    "modernbert": lambda: make_byte_level(MODERNBERT_NAMES),
}
"""A tokenizer for each architecture: Unigram, WordPiece, SentencePiece in DeBERTa's form, byte-level BPE."""


def settings(architecture: str, tokenizer: Any) -> dict[str, Any]:
    """The keyword arguments of a tiny configuration of transformers."""
    from adaptrans.modeling.encoder import ENCODERS

    spec = ENCODERS[architecture]
    own = {spec.key(name): value for name, value in SIZES.items()}
    own |= {"vocab_size": len(tokenizer), "pad_token_id": tokenizer.pad_token_id}
    return own | {
        "roberta": {"max_position_embeddings": 514, "type_vocab_size": 1},
        "xlm-roberta-xl": {"max_position_embeddings": 514, "type_vocab_size": 1},
        "distilbert": {"max_position_embeddings": 512},
        "deberta-v2": {
            "max_position_embeddings": 512, "type_vocab_size": 0, "relative_attention": True,
            "position_buckets": 8, "norm_rel_ebd": "layer_norm", "share_att_key": True,
            "pos_att_type": ["p2c", "c2p"], "position_biased_input": False, "max_relative_positions": -1,
        },
        "electra": {"max_position_embeddings": 512, "embedding_size": WIDTH},
        "modernbert": {
            "max_position_embeddings": 512, "local_attention": 8, "global_attn_every_n_layers": 2,
            "cls_token_id": tokenizer.cls_token_id, "sep_token_id": tokenizer.sep_token_id,
            "bos_token_id": None, "eos_token_id": None, "reference_compile": False,
            "initializer_cutoff_factor": 2.0,
        },
    }[architecture]  # fmt: skip


def make_encoder(folder: Path, architecture: str, **more: Any) -> Path:
    """Save a random encoder with its masked language model head and its tokenizer, and return the folder.

    `more` are further keys of its configuration, except of XLM-R's and BERT's.
    """
    if architecture == "xlm-roberta":
        return make_backbone(folder)
    if architecture == "bert":
        return make_bert(folder)
    import torch

    from adaptrans.modeling.encoder import ENCODERS

    spec, tokenizer = ENCODERS[architecture], TOKENIZERS[architecture]()
    config = spec.of_transformers("Config")(**{**settings(architecture, tokenizer), **more})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        model = spec.of_transformers("ForMaskedLM")(config)
        with torch.no_grad():
            for name, value in model.named_parameters():
                if "bias" in name or "norm" in name.lower():
                    value += 0.1 * torch.randn(value.shape)
    model.save_pretrained(folder, safe_serialization=True)
    tokenizer.save_pretrained(folder)
    return folder
