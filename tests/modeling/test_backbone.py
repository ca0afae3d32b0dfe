import json
import os
import shutil
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file

from adaptrans.errors import ArtifactError
from adaptrans.modeling import backbone as b
from adaptrans.modeling.adapters import bare_model, empty_model
from adaptrans.utils import io


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


@pytest.fixture
def copied(tiny_backbone, tmp_path):
    return shutil.copytree(tiny_backbone, tmp_path / "copied")


def change_config(folder, **values):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_a_folder_is_identified_by_its_content(tiny_backbone, copied, cache):
    found = b.identify(tiny_backbone, cache)
    assert (found.architecture, found.depth, found.width) == ("xlm-roberta", 4, 32)
    assert found.vocabulary == len(b.load_tokenizer(found))
    assert found.revision is None
    assert b.identify(copied, cache).fingerprint == found.fingerprint


def test_another_weight_or_config_is_another_backbone(copied, cache):
    before = b.identify(copied, cache).fingerprint
    change_config(copied, layer_norm_eps=1e-12)
    config = b.identify(copied, cache).fingerprint
    weights = load_file(copied / "model.safetensors")
    weights["roberta.embeddings.LayerNorm.bias"][0] += 1
    save_file(weights, copied / "model.safetensors", metadata={"format": "pt"})
    after = b.identify(copied, cache).fingerprint
    assert len({before, config, after}) == 3


def test_hashes_are_kept_and_a_damaged_cache_is_made_anew(copied, cache, monkeypatch):
    found = b.identify(copied, cache)
    tokenizer = b.tokenizer_fingerprint(found)
    with monkeypatch.context() as patched:
        patched.setattr(io, "sha256", lambda path: pytest.fail(f"{path} was hashed again"))
        io._remembered.clear()
        assert b.identify(copied, cache) == found
        assert b.tokenizer_fingerprint(found) == tokenizer
    (cache / "file-hashes.json").write_text("{half")
    io._remembered.clear()
    assert b.identify(copied, cache) == found


def test_only_pickles_are_refused(copied, cache):
    (copied / "model.safetensors").unlink()
    (copied / "pytorch_model.bin").write_bytes(b"\x80")
    with pytest.raises(ArtifactError, match=r"only \.bin weights.*safe_serialization"):
        b.identify(copied, cache)


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (
            lambda folder: change_config(folder, model_type="gpt2"),
            "of type 'gpt2'; supported: bert, deberta-v2, distilbert, electra, modernbert, roberta, ",
        ),
        (lambda folder: change_config(folder, hidden_size="32"), "config.json has no hidden_size"),
        (lambda folder: (folder / "config.json").write_text("[]"), "not a JSON object"),
        (lambda folder: (folder / "config.json").write_text("{"), "cannot be read"),
        (lambda folder: (folder / "config.json").unlink(), "has no config.json"),
        (lambda folder: (folder / "model.safetensors").unlink(), "has no model.safetensors"),
        (
            lambda folder: (folder / "model.safetensors").rename(folder / "model.safetensors.index.json"),
            "cannot be read",
        ),
    ],
)
def test_an_unusable_folder_is_refused_in_one_line(copied, cache, break_it, message):
    break_it(copied)
    with pytest.raises(ArtifactError) as caught:
        b.identify(copied, cache)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_shards_are_read_and_a_lost_one_is_named(tiny_backbone, copied, cache):
    weights = load_file(copied / "model.safetensors")
    names = sorted(weights)
    shards = {"a.safetensors": names[::2], "b.safetensors": names[1::2]}
    for shard, chosen in shards.items():
        save_file({name: weights[name] for name in chosen}, copied / shard, metadata={"format": "pt"})
    table = {name: shard for shard, chosen in shards.items() for name in chosen}
    (copied / "model.safetensors.index.json").write_text(json.dumps({"weight_map": table}))
    (copied / "model.safetensors").unlink()
    ids = torch.arange(5, 15).reshape(1, 10)
    with torch.inference_mode():
        whole = bare_model(b.identify(tiny_backbone, cache)).base_model(ids)[0]
        parts = bare_model(b.identify(copied, cache)).base_model(ids)[0]
    assert torch.equal(whole, parts)
    (copied / "b.safetensors").unlink()
    with pytest.raises(ArtifactError, match=r"lacks b\.safetensors"):
        b.identify(copied, cache)


@pytest.mark.parametrize("name", ["./nowhere", "/nowhere/at/all", "a/b/c", " "])
def test_a_missing_folder_never_asks_the_hub(name, cache, monkeypatch):
    monkeypatch.setattr(b, "_from_hub", lambda name: pytest.fail("asked the hub"))
    with pytest.raises(ArtifactError, match="no backbone folder"):
        b.identify(name, cache)


def test_a_hub_name_offline_is_one_line(tmp_path):
    code = (
        "from adaptrans.modeling.backbone import identify\n"
        "try:\n    identify('FacebookAI/xlm-roberta-base')\nexcept Exception as error:\n    print(error)"
    )
    env = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path), "PYTHONPATH": ":".join(filter(None, sys.path))}
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env)
    assert answer.stdout == (
        "backbone 'FacebookAI/xlm-roberta-base' is neither a folder nor in the hub cache, and HF_HUB_OFFLINE"
        " is set; fetch it where there is a network: huggingface-cli download FacebookAI/xlm-roberta-base\n"
    )


def test_the_hub_cache_is_used_without_the_network(copied, tmp_path, monkeypatch, cache):
    import huggingface_hub

    calls = []

    def download(name, *, local_files_only, **options):
        calls.append(local_files_only)
        return str(copied)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    found = b.identify("someone/tiny", cache)
    assert (found.name, found.path, found.revision, calls) == ("someone/tiny", copied, copied.name, [True])
    # A snapshot that some other program left without weights is completed.
    (copied / "model.safetensors").unlink()
    calls.clear()
    with pytest.raises(ArtifactError, match=r"no model\.safetensors"):
        b.identify("someone/tiny", cache)
    assert calls == [True, False]


def test_tokenizer_points_into_the_text(tiny_backbone, cache):
    tokenizer = b.load_tokenizer(b.identify(tiny_backbone, cache))
    text = "Anna Müller  人人 สิทธิ"
    encoded = tokenizer(text, return_offsets_mapping=True)
    assert [tokenizer.convert_tokens_to_ids(name) for name in ("<s>", "<pad>", "</s>", "<unk>")] == [
        0,
        1,
        2,
        3,
    ]
    assert tokenizer.mask_token_id == len(tokenizer) - 1
    pieces = [
        (tokenizer.convert_ids_to_tokens(token).removeprefix("▁"), text[start:end])
        for token, (start, end) in zip(encoded["input_ids"], encoded["offset_mapping"], strict=True)
    ]
    assert [piece for piece, _ in pieces[1:-1] if piece] == [found for piece, found in pieces[1:-1] if piece]
    assert tokenizer.decode(encoded["input_ids"], skip_special_tokens=True) == "Anna Müller 人人 สิทธิ"


def test_tokenizer_fingerprint_follows_its_files(copied, cache):
    found = b.identify(copied, cache)
    before = b.tokenizer_fingerprint(found)
    change_config_of = copied / "tokenizer_config.json"
    change_config_of.write_text(change_config_of.read_text() + " ")
    assert b.tokenizer_fingerprint(found) != before
    (copied / "tokenizer.json").write_text("{}")
    with pytest.raises(ArtifactError, match="tokenizer of backbone"):
        b.load_tokenizer(found)
    (copied / "tokenizer.json").unlink()
    with pytest.raises(ArtifactError, match="has no tokenizer"):
        b.load_tokenizer(found)


def test_a_tokenizer_of_another_file_name_is_in_the_fingerprint(copied, cache):
    found = b.identify(copied, cache)
    before = b.tokenizer_fingerprint(found)
    (copied / "tokenizer.4.0.0.json").write_bytes((copied / "tokenizer.json").read_bytes())
    assert b.tokenizer_fingerprint(found) != before


def test_more_pieces_than_rows_are_refused_in_one_line(copied, cache):
    found = b.identify(copied, cache)
    tokenizer = b.load_tokenizer(found)
    tokenizer.add_tokens(["zzzz", "Frauen"])
    tokenizer.save_pretrained(copied)
    with pytest.raises(ArtifactError, match=r"has 1,002 pieces, its embedding matrix 1,000 rows") as caught:
        b.load_tokenizer(found)
    assert "\n" not in str(caught.value)


def test_fewer_pieces_than_rows_are_fine(backbone_maker, tmp_path, cache):
    found = b.identify(backbone_maker(tmp_path / "b", depth=1, width=16, vocabulary=1100), cache)
    assert len(b.load_tokenizer(found)) == 1000 < found.vocabulary


@pytest.mark.parametrize("pad", [0, 3, None])
def test_another_padding_in_the_config_is_refused(copied, cache, pad):
    change_config(copied, pad_token_id=pad)
    with pytest.raises(ArtifactError, match=f"pad_token_id {pad}, from which positions count.* pads with 1"):
        b.load_tokenizer(b.identify(copied, cache))


def test_a_config_that_leaves_the_padding_to_xlmr_is_fine(copied, cache):
    values = json.loads((copied / "config.json").read_text())
    del values["pad_token_id"]
    (copied / "config.json").write_text(json.dumps(values))
    assert b.load_tokenizer(b.identify(copied, cache)).pad_token_id == 1


def test_a_tokenizer_without_padding_is_refused(copied, cache):
    for name in ("tokenizer_config.json", "special_tokens_map.json"):
        values = json.loads((copied / name).read_text())
        values.pop("pad_token")
        if "tokenizer_class" in values:
            values["tokenizer_class"] = "PreTrainedTokenizerFast"
        (copied / name).write_text(json.dumps(values))
    with pytest.raises(ArtifactError, match="names no padding piece; put its pad_token"):
        b.load_tokenizer(b.identify(copied, cache))


@pytest.mark.parametrize("version", ["4.57.3", "4.57.6", None])
def test_no_alarm_of_another_family_of_models(backbone_maker, tmp_path, cache, version):
    """transformers looks at large vocabularies alone, so this one is stretched beyond that."""
    size = 100_001
    folder = backbone_maker(tmp_path / "b", depth=1, width=2, vocabulary=size)
    content = json.loads((folder / "tokenizer.json").read_text())
    pieces = content["model"]["vocab"]
    pieces.append(["<mask>", 0.0])  # its id stays the one that it has as an added piece
    pieces += [[f"zz{number}", -20.0] for number in range(size - len(pieces))]
    (folder / "tokenizer.json").write_text(json.dumps(content))
    change_config(folder, transformers_version=version)
    code = (
        "from adaptrans.modeling.backbone import identify, load_tokenizer\n"
        "from mini_pretraining.tokenizer import load\n"
        f"print(len(load_tokenizer(identify({str(folder)!r}))), load({str(folder)!r}).get_vocab_size())\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    assert done.stdout == f"{size} {size}\n"
    assert done.stderr == ""


@pytest.mark.parametrize("mlm", [True, False])
def test_encoder_equals_that_of_transformers(backbone_maker, tmp_path, cache, mlm):
    from transformers import XLMRobertaModel

    folder = backbone_maker(tmp_path / "b", depth=2, width=16, mlm=mlm)
    model = bare_model(b.identify(folder, cache))
    other = XLMRobertaModel.from_pretrained(folder, add_pooling_layer=False).eval()
    ids = torch.randint(5, 900, (2, 12))
    with torch.inference_mode():
        ours, theirs = (m(ids, output_hidden_states=True).hidden_states for m in (model, other))
    assert all(torch.equal(a, c) for a, c in zip(ours, theirs, strict=True))
    assert not model.heads, "a prediction head came along"
    assert model.active_head is None
    assert model.config._attn_implementation == "sdpa"


def test_a_backbone_without_a_weight_is_refused(copied, cache):
    weights = load_file(copied / "model.safetensors")
    del weights["roberta.encoder.layer.1.output.dense.bias"]
    save_file(weights, copied / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ArtifactError, match=r"lacks 1 tensors.*layer\.1\.output\.dense\.bias"):
        bare_model(b.identify(copied, cache))


def test_a_truncated_weight_file_is_refused(copied, cache):
    path = copied / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ArtifactError, match="cannot be read"):
        bare_model(b.identify(copied, cache))


def test_half_precision_weights_load_in_float32(copied, cache):
    weights = {key: value.half() for key, value in load_file(copied / "model.safetensors").items()}
    save_file(weights, copied / "model.safetensors", metadata={"format": "pt"})
    model = bare_model(b.identify(copied, cache))
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


def test_models_do_not_share_a_config(tiny_backbone, cache):
    found = b.identify(tiny_backbone, cache)
    first = bare_model(found)
    first.add_classification_head("xnli", num_labels=3)
    second = bare_model(found)
    second.add_classification_head("xnli", num_labels=3)
    assert second.config is not first.config


@pytest.mark.parametrize(
    "key", ["attn_implementation", "_attn_implementation", "_attn_implementation_internal"]
)
@pytest.mark.parametrize(
    ("value", "refused"),
    [
        ("eager", False),
        ("sdpa", False),
        (None, False),
        ("ann/attention", True),
        ({"": "ann/attention"}, True),
    ],
)
@pytest.mark.parametrize("nested", [False, True])
def test_an_attention_from_a_repository_is_refused(tmp_path, backbone_maker, key, value, refused, nested):
    folder = backbone_maker(tmp_path / "base", depth=1, mlm=False)
    config = json.loads((folder / "config.json").read_text())
    own = {"other": [{key: value}]} if nested else {key: value}
    (folder / "config.json").write_text(json.dumps({**config, **own}))
    if refused:
        with pytest.raises(ArtifactError, match=rf"names the attention .*delete the key '{key}'"):
            b.identify(folder)
        return
    found = b.identify(folder)
    assert bare_model(found).config._attn_implementation == "sdpa"
    assert empty_model(found).config._attn_implementation == "sdpa"
