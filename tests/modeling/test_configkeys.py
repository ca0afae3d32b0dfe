"""Which keys of config.json make another encoder."""

import json
import shutil

import pytest
from transformers import XLMRobertaConfig

from adaptrans.errors import ArtifactError
from adaptrans.modeling import backbone as b
from adaptrans.modeling.config_keys import DECODING, DEFAULTS, ESSENTIALS, HARMLESS, deciding
from adaptrans.modeling.encoder import ENCODERS

KEYS = sorted({*XLMRobertaConfig().to_dict(), "num_labels", "torch_dtype"})


def other(value):
    """A value of the same type that is not the same."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    return f"{value}, changed"


@pytest.fixture
def copied(tiny_backbone, tmp_path):
    return shutil.copytree(tiny_backbone, tmp_path / "copied")


@pytest.fixture
def fingerprint(copied, tmp_path):
    """`fingerprint(key=value)`: that of the backbone with some keys of its config put in."""
    stated = json.loads((copied / "config.json").read_text())

    def make(**values):
        (copied / "config.json").write_text(json.dumps(stated | values))
        return b.identify(copied, tmp_path / "cache").fingerprint

    return make


def test_no_key_is_of_two_kinds():
    assert not set(ESSENTIALS) & set(HARMLESS)
    assert not set(ESSENTIALS) & set(DEFAULTS)
    assert not set(HARMLESS) & set(DEFAULTS)


def test_what_xlmr_does_without_a_key_is_what_the_table_says():
    own = XLMRobertaConfig()
    # Older versions wrote the last one; it is no attribute any more.
    known = {key: value for key, value in DEFAULTS.items() if key != "gradient_checkpointing"}
    assert {key: getattr(own, key) for key in known} == known


@pytest.mark.parametrize("key", KEYS)
def test_every_key_of_transformers_makes_another_encoder_or_is_known_to_be_harmless(key, tiny_backbone):
    stated = json.loads((tiny_backbone / "config.json").read_text())
    value = stated.get(key, XLMRobertaConfig().to_dict().get(key))
    changed = deciding(stated | {key: other(value)}) != deciding(stated)
    assert changed == (key not in HARMLESS)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("hidden_dropout_prob", 0.5),
        ("attention_probs_dropout_prob", 0.0),
        ("classifier_dropout", 0.3),
        ("initializer_range", 0.3),
        ("tie_word_embeddings", False),
        ("pruned_heads", {"0": [1]}),
        ("tokenizer_class", "BertTokenizerFast"),
        ("a_key_of_tomorrow", 1),
    ],
)
def test_a_key_that_can_change_an_output_makes_another_fingerprint(fingerprint, key, value):
    assert fingerprint(**{key: value}) != fingerprint()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("_name_or_path", "elsewhere"),
        ("transformers_version", "5.0.0"),
        ("architectures", ["XLMRobertaModel"]),
        ("dtype", "float16"),
        ("torch_dtype", "bfloat16"),
        ("use_cache", False),
        ("bos_token_id", 5),
        ("id2label", {"0": "yes"}),
        ("retrieval_layer", 4),
        # Said or not, it is the same.
        ("hidden_dropout_prob", 0.1),
        ("classifier_dropout", None),
        ("is_decoder", False),
    ],
)
def test_a_harmless_key_leaves_the_fingerprint_alone(fingerprint, key, value):
    assert fingerprint(**{key: value}) == fingerprint()


@pytest.mark.parametrize("key", DECODING)
def test_a_decoder_is_refused_in_one_line(fingerprint, key):
    with pytest.raises(ArtifactError, match=f"config.json says {key}.*set {key} to false") as caught:
        fingerprint(**{key: True})
    assert "\n" not in str(caught.value)


def test_the_bundled_encoder_has_the_fingerprint_of_the_runs_on_record():
    found = b.identify("mini")
    assert found.fingerprint[:12] == "4c3fea37e8d1"


def test_dropout_of_the_encoder_is_in_the_key_of_a_run(copied, small_workspace, fingerprint, tmp_path):
    from dataclasses import replace

    from adaptrans.modeling.setup.parser import parse
    from adaptrans.runs.train import TrainSpec
    from adaptrans.runs.training_args import training_config

    keys = set()
    for dropout in (0.1, 0.5):
        fingerprint(hidden_dropout_prob=dropout, attention_probs_dropout_prob=dropout)
        where = replace(small_workspace, backbone=b.identify(copied, tmp_path / "cache"))
        spec = TrainSpec(
            where, "target", parse("adapter"), where.task("xnli"), "seq_bn", training_config({}), 1
        )
        keys.add(spec.run.key)
    assert len(keys) == 2


@pytest.mark.parametrize(
    ("architecture", "config", "tokens"),
    [
        ("xlm-roberta", {"max_position_embeddings": 514, "pad_token_id": 1}, 512),
        ("xlm-roberta", {"max_position_embeddings": 130, "pad_token_id": 0}, 129),
        ("xlm-roberta", {"max_position_embeddings": 514}, 512),
        ("xlm-roberta", {}, 510),
        ("bert", {"max_position_embeddings": 512, "pad_token_id": 0}, 512),
        ("bert", {"max_position_embeddings": 130, "pad_token_id": 7}, 130),
        ("bert", {}, 512),
    ],
)
def test_the_longest_input_leaves_room_for_where_positions_begin(architecture, config, tokens):
    assert ENCODERS[architecture].longest_input(config) == tokens


def test_a_config_without_a_longest_input_is_refused(fingerprint):
    for value in ("many", 1, None):
        with pytest.raises(ArtifactError, match="max_position_embeddings"):
            fingerprint(max_position_embeddings=value)


@pytest.mark.parametrize("wrong", [5, -1, 2.0, "last", True])
def test_a_recommended_layer_that_is_none_is_refused(fingerprint, wrong):
    with pytest.raises(ArtifactError, match=r"retrieval_layer .* of 4 layers; say 0 to 4"):
        fingerprint(retrieval_layer=wrong)


def test_a_recommended_layer_is_read(copied, fingerprint, tmp_path):
    fingerprint(retrieval_layer=4)
    assert b.identify(copied, tmp_path / "cache").retrieval_layer == 4
    fingerprint()
    assert b.identify(copied, tmp_path / "cache").retrieval_layer is None
