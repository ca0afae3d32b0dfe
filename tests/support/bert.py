"""A tiny random BERT with a WordPiece tokenizer, beside the tiny XLM-R of the other tests."""

from __future__ import annotations

from pathlib import Path

from conftest import TEXT

SPECIALS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def make_tokenizer(texts: tuple[str, ...]):
    """A WordPiece tokenizer of BERT's form over the words and letters of some texts."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
    from transformers import BertTokenizerFast

    normalizer = normalizers.BertNormalizer(lowercase=False)
    splitter = pre_tokenizers.BertPreTokenizer()
    words = sorted(
        {word for text in texts for word, _ in splitter.pre_tokenize_str(normalizer.normalize_str(text))}
    )
    letters = sorted({letter for word in words for letter in word})
    chosen = [*SPECIALS, *letters, *(f"##{letter}" for letter in letters)]
    chosen += [word for word in words if len(word) > 1]
    tokenizer = Tokenizer(models.WordPiece({word: i for i, word in enumerate(chosen)}, unk_token="[UNK]"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizer, splitter
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS]:0 $A:0 [SEP]:0",
        pair="[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    return BertTokenizerFast(tokenizer_object=tokenizer, do_lower_case=False, model_max_length=512)


def make_bert(folder: Path, *, depth: int = 4, width: int = 32, former: bool = False) -> Path:
    """Save a random BERT with its tokenizer in `folder`, and return the folder.

    Args:
        folder: Where to.
        depth: Layers.
        width: Hidden size.
        former: Call the tensors of layer norms as files converted from TensorFlow do.
    """
    import torch
    from safetensors.torch import load_file, save_file
    from transformers import BertConfig, BertForMaskedLM

    from support.smalldata import SENTENCES

    tokenizer = make_tokenizer((TEXT, *SENTENCES.values()))
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        num_hidden_layers=depth,
        num_attention_heads=2,
        intermediate_size=2 * width,
        max_position_embeddings=512,
        type_vocab_size=2,
        initializer_range=0.2,
        pad_token_id=0,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        model = BertForMaskedLM(config)
    model.save_pretrained(folder, safe_serialization=True)
    tokenizer.save_pretrained(folder)
    if former:
        path = folder / "model.safetensors"
        names = {"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"}
        renamed = {}
        for name, value in load_file(path).items():
            for new, old in names.items():
                name = name.replace(new, old)
            renamed[name] = value
        save_file(renamed, path, metadata={"format": "pt"})
    return folder
