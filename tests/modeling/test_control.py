import json
import shutil

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from adaptrans.errors import ArtifactError
from adaptrans.modeling import backbone as b


@pytest.fixture
def places(tmp_path):
    return tmp_path / "hashes", tmp_path / "controls"


def test_a_control_keeps_every_value_and_no_order(tiny_backbone, places):
    made = b.identify(f"random({tiny_backbone})", *places)
    before, after = load_file(tiny_backbone / b.WEIGHTS), load_file(made.path / b.WEIGHTS)
    assert before.keys() == after.keys()
    for name, values in before.items():
        assert values.shape == after[name].shape
        assert np.array_equal(np.sort(values, axis=None), np.sort(after[name], axis=None))
    moved = [name for name in before if not np.array_equal(before[name], after[name])]
    # Biases are all 0 and norms all 1 in fresh weights: their order is no order.
    assert set(moved) == {name for name, values in before.items() if len(np.unique(values)) > 1}


def test_a_control_has_its_own_fingerprint_and_the_same_tokenizer(tiny_backbone, places):
    base, made = b.identify(tiny_backbone, places[0]), b.identify(f"random({tiny_backbone})", *places)
    assert made.name == f"random({tiny_backbone})"
    assert made.fingerprint != base.fingerprint
    assert b.tokenizer_fingerprint(made) == b.tokenizer_fingerprint(base)
    shutil.rmtree(places[1])
    assert b.identify(f"random({tiny_backbone})", *places) == made


def test_a_control_is_made_once(tiny_backbone, places, monkeypatch):
    b.identify(f"random({tiny_backbone})", *places)
    monkeypatch.setattr(b, "shuffle", lambda path: pytest.fail("shuffled again"))
    b.identify(f"random({tiny_backbone})", *places)


def test_a_control_follows_the_tokenizer_and_the_notes_of_its_backbone(tiny_backbone, places, tmp_path):
    """The weights, and so the fingerprint, stay as they are: what lies beside them is part of a control."""
    folder = shutil.copytree(tiny_backbone, tmp_path / "copied")
    made = b.identify(f"random({folder})", *places)
    config, tokenizer = folder / "config.json", folder / "tokenizer_config.json"
    tokenizer.write_text(tokenizer.read_text() + " ")
    config.write_text(json.dumps(json.loads(config.read_text()) | {"retrieval_layer": 4}))
    base, again = b.identify(folder, places[0]), b.identify(f"random({folder})", *places)
    assert again.fingerprint == made.fingerprint
    assert b.tokenizer_fingerprint(again) == b.tokenizer_fingerprint(base) != b.tokenizer_fingerprint(made)
    assert (made.retrieval_layer, again.retrieval_layer) == (None, 4)


def test_a_control_of_nothing_is_refused(places, tmp_path):
    with pytest.raises(ArtifactError, match="there is no backbone folder"):
        b.identify("random(./nowhere)", *places)


def test_a_damaged_file_is_refused_and_leaves_nothing(tiny_backbone, places, tmp_path):
    broken = shutil.copytree(tiny_backbone, tmp_path / "broken")
    (broken / b.WEIGHTS).write_bytes(b"\x08\0\0\0\0\0\0\0not json, and no tensors")
    with pytest.raises(ArtifactError, match="is damaged"):
        b.identify(f"random({broken})", *places)
    assert list(places[1].iterdir()) == []


@pytest.mark.parametrize("kind", ["float16", "float32", "int64", "bool"])
def test_every_width_of_entry_is_permuted_whole(tmp_path, kind):
    values = np.arange(60).reshape(6, 10).astype(kind)
    save_file({"odd": np.arange(3, dtype=np.uint8), "matrix": values}, tmp_path / "weights")
    b.shuffle(tmp_path / "weights")
    after = load_file(tmp_path / "weights")["matrix"]
    assert np.array_equal(np.sort(after, axis=None), np.sort(values, axis=None))
    assert not np.array_equal(after, values)
