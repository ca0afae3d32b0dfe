import json

import pytest
from mini_pretraining import tokenizer as pieces
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from adaptrans import mini
from adaptrans.errors import ArtifactError, ConfigError


@pytest.fixture(scope="module")
def saved(shared, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokenizer")
    pieces.save(shared[2], folder)
    return AutoTokenizer.from_pretrained(str(folder))


def test_special_tokens_are_where_xlmr_has_them(saved):
    assert [saved.convert_tokens_to_ids(name) for name in pieces.SPECIALS] == [0, 1, 2, 3]
    assert saved.mask_token_id == len(saved) - 1
    assert saved.model_max_length == 512


def test_the_file_and_no_class_says_how_text_is_read(saved, shared):
    """transformers 5 makes tokenizers of classes that it knows anew, and forgets the file's normalizer."""
    assert type(saved) is PreTrainedTokenizerFast
    text = "Haus，Hund！ ｗａｔｅｒ  Brot"
    assert saved(text)["input_ids"] == shared[2].encode(text).ids
    assert list(saved(text)) == ["input_ids", "attention_mask"]
    named = {name: getattr(saved, name) for name in ("bos_token", "cls_token", "eos_token", "sep_token")}
    assert named == {"bos_token": "<s>", "cls_token": "<s>", "eos_token": "</s>", "sep_token": "</s>"}


def test_the_bundled_tokenizer_is_of_no_named_class():
    said = json.loads((mini.FOLDER / "tokenizer_config.json").read_text())
    assert said["tokenizer_class"] == "PreTrainedTokenizerFast"
    ids = AutoTokenizer.from_pretrained(str(mini.FOLDER))("他说：“你好！”", "Ｈｅ  left.")["input_ids"]
    by_file = pieces.read_file(mini.FOLDER / "tokenizer.json")
    assert ids == by_file.encode("他说：“你好！”", "Ｈｅ  left.").ids


def test_pair_template(saved):
    ids = saved("house dog", "Hund")["input_ids"]
    first = saved("house dog", add_special_tokens=False)["input_ids"]
    second = saved("Hund", add_special_tokens=False)["input_ids"]
    assert ids == [0, *first, 2, 2, *second, 2]


@pytest.mark.parametrize("text", ["house dog water.", "Baum  Hund\tWasser", "mtoto nyumba"])
def test_round_trip(saved, text):
    assert saved.decode(saved(text)["input_ids"], skip_special_tokens=True) == " ".join(text.split())


def test_offsets_cut_the_original_text(saved):
    text = "house  Wasser"
    found = saved(text, return_offsets_mapping=True, add_special_tokens=False)
    names = saved.convert_ids_to_tokens(found["input_ids"])
    assert "".join(text[a:b].strip() for a, b in found["offset_mapping"]) == "houseWasser"
    assert "".join(names).replace(pieces.BOUNDARY, " ") == " house Wasser"


def test_mask_token_takes_the_space_before_it(saved):
    ids = saved("house <mask> dog", add_special_tokens=False)["input_ids"]
    assert saved.mask_token_id in ids
    assert ids.count(saved.convert_tokens_to_ids(pieces.BOUNDARY)) == 0


def test_rare_characters_get_no_piece():
    lines = ["house dog water bread"] * 300 + ["ɮ"]
    made = pieces.train(lines, vocabulary=60, coverage=0.999)
    assert made.token_to_id("ɮ") is None
    assert pieces.train(lines, vocabulary=60, coverage=1.0).token_to_id("ɮ") is not None


def test_balanced_sample_lifts_the_small_language():
    texts = {"en": ["a" * 10] * 900, "sw": ["b" * 10] * 100}
    chosen = pieces.balanced_sample(texts, characters=1000, smoothing=0.5, seed=1)
    small = sum(line[0] == "b" for line in chosen)
    assert small == 25
    assert chosen == pieces.balanced_sample(texts, characters=1000, smoothing=0.5, seed=1)


def test_too_little_text_and_no_tokenizer(tmp_path):
    with pytest.raises(ConfigError, match="cannot train a tokenizer of 30 pieces on no text"):
        pieces.train([], vocabulary=30)
    with pytest.raises(ArtifactError, match="no fast tokenizer in"):
        pieces.load(str(tmp_path))
