"""What of a run becomes a package: every kind of artifact, and nothing of the machine."""

import json

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from adaptrans.errors import ArtifactError, ConfigError
from adaptrans.hub import pull as pulling
from adaptrans.hub import push
from adaptrans.hub.base import Address, name_problem, parse_artifact
from adaptrans.hub.package import found_in, parse_package, recorded, unpublished
from adaptrans.hub.pull import pull, verify


@pytest.fixture
def made(fresh, tmp_path):
    """`made(text, method, parents)`: a finished run whose artifact was assembled and never trained."""
    from adaptrans.modeling.heads import HeadSpec
    from adaptrans.modeling.model import SetupModel
    from adaptrans.modeling.setup.parser import parse

    def make(text, method="seq_bn", parents=None, task="xnli"):
        parents = parents or {}
        inputs = {
            "phase": "target",
            "setup": text,
            "task": f"{task}@1",
            "method": method,
            "train": {"en": "0"},
            "parents": {name: run.key for name, run in parents.items()},
        }
        run = fresh.store.run("target", f"{task}.{text}.{method}", inputs)
        head = HeadSpec(task, "classification", ("entailment", "neutral", "contradiction"))
        assembled = SetupModel.from_setup(
            fresh.backbone,
            parse(text),
            target=task,
            head=head,
            method="seq_bn" if method == "full" else method,
            parents={name: parent.artifact for name, parent in parents.items()},
            seed=1,
        )
        with torch.no_grad():
            for name, value in assembled.model.named_parameters():
                if name in assembled.trained:
                    value += 0.01
        with fresh.store.working_on(run, inputs):
            assembled.save(run.artifact, {"kind": "classification"})
            run.finish({"source_languages": ["en"], "notes": []})
        return run

    return make


METHODS = [
    "full",
    "seq_bn",
    "double_seq_bn_inv",
    "lora",
    "prefix_tuning",
    "compacter[reduction_factor=4]",
    "mam",
]


@pytest.mark.parametrize("method", METHODS)
def test_every_method_is_sound_and_answers_alike(made, method, fresh, places, tmp_path, logits_of):
    run = made("full" if method == "full" else "adapter", method)
    push.push(run, fresh.store, f"{tmp_path}/hub/thing")
    assert verify(f"{tmp_path}/hub/thing", backbone=fresh.backbone) == []
    pulled = pull(f"{tmp_path}/hub/thing", places(tmp_path / "other").store, backbone=fresh.backbone)
    assert torch.equal(logits_of(run, fresh.backbone), logits_of(pulled.run, fresh.backbone))


def test_a_card_sets_what_the_library_s_files_do_not_tell(made, fresh, tmp_path):
    from adaptrans.hub.model_card import card

    shown = {
        method: card(push.push(made("adapter", method), fresh.store, f"{tmp_path}/hub/{method}").package)
        for method in ("direft", "noreft")
    }
    assert "unit.subtract_projection = False" in shown["direft"]
    assert "subtract_projection" not in shown["noreft"]


def test_a_fusion_and_its_members(made, fresh, places, tmp_path, logits_of):
    parents = {name: made("adapter", task=name) for name in ("mnli", "qqp")}
    run = made("fuse(mnli, qqp) > target", parents=parents)
    shared = push.push(run, fresh.store, f"{tmp_path}/hub/fused")
    assert len(shared.parents) == 2
    store = places(tmp_path / "other").store
    pulled = pull(f"{tmp_path}/hub/fused", store, backbone=fresh.backbone)
    assert torch.equal(logits_of(run, fresh.backbone), logits_of(pulled.run, fresh.backbone))


def test_what_was_trained_further_is_named_and_not_needed(made, fresh, places, tmp_path, logits_of):
    first = made("adapter", task="mnli")
    run = made("continue(mnli)", parents={"mnli": first})
    shared = push.push(run, fresh.store, f"{tmp_path}/hub/further")
    assert shared.parents == ()
    assert [(item.reference, item.name, item.content) for item in shared.package.parents] == [
        ("mnli", None, None)
    ]
    assert {item.task for item in shared.package.training_data} >= {"mnli@1", "xnli@1"}
    pulled = pull(f"{tmp_path}/hub/further", places(tmp_path / "other").store, backbone=fresh.backbone)
    assert torch.equal(logits_of(run, fresh.backbone), logits_of(pulled.run, fresh.backbone))


def test_sources_recorded_in_another_form_count_as_none():
    source = unpublished("mine", "trained elsewhere")
    values = source.model_dump(mode="json")
    assert recorded({"training_data": {"sources": [values]}}) == [source]
    values["licence"] = values.pop("license")
    assert recorded({"training_data": {"sources": [values]}}) is None


def test_weights_that_are_no_part_of_an_artifact_are_not_shared(made, fresh, tmp_path):
    run = made("adapter")
    (run.artifact / "notes.txt").write_text("mine")
    with pytest.raises(ArtifactError, match=r"notes.txt, which is no part of an artifact"):
        push.push(run, fresh.store, f"{tmp_path}/hub/thing")


def test_a_base_that_is_not_at_hand_is_asked_for(made, fresh, tmp_path):
    run = made("adapter")
    path = run.artifact / "artifact.json"
    values = json.loads(path.read_text())
    values["backbone"]["name"] = str(tmp_path / "gone")
    path.write_text(json.dumps(values))
    with pytest.raises(ArtifactError, match=r"is not at hand: .*; give it with --backbone"):
        push.push(run, fresh.store, f"{tmp_path}/hub/thing")
    push.push(run, fresh.store, f"{tmp_path}/hub/thing", backbone=fresh.backbone)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("hf://ann/mnli", Address("hf", "hf://ann", "mnli")),
        ("hf://ann/mnli@v2", Address("hf", "hf://ann", "mnli", "v2")),
        ("s3://b/a/c/x@best", Address("s3", "s3://b/a/c", "x", "best")),
        ("shared/hub/x", Address("folder", "shared/hub", "x")),
        ("/x", Address("folder", "/", "x")),
        ("x", Address("folder", ".", "x")),
        ("file:///mnt/hub/x", Address("folder", "/mnt/hub", "x")),
    ],
)
def test_addresses(text, found):
    assert parse_artifact(text) == found


@pytest.mark.parametrize(
    "text",
    [
        "hf://ann",
        "hf://",
        "s3://bucket",
        "hub/",
        "hub/a b",
        "hub/-a",
        "hub/a..b",
        "hub/nl\u0456",
        "hub/a@",
        "hf://a/b/c",
        "",
    ],
)
def test_what_is_no_address_is_told(text):
    with pytest.raises(ConfigError) as caught:
        parse_artifact(text)
    assert "; " in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_unknown_scheme_is_told():
    with pytest.raises(ConfigError, match="no hub has addresses that start with gopher://"):
        pulling.show("gopher://a/b")


@given(st.text(max_size=20))
def test_a_name_that_is_taken_is_a_safe_file_name(name):
    if name_problem(name) is None:
        assert name.isascii()
        assert "/" not in name
        assert ".." not in name
        assert not name.startswith((".", "-"))


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda part: st.lists(part) | st.dictionaries(st.text(), part),
        max_leaves=10,
    )
)
def test_any_json_as_a_manifest_is_told_in_one_line(value):
    with pytest.raises(ArtifactError):
        parse_package(json.dumps(value), "manifest.json")


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("trained in /home/ann/x", "the local path /home/ann/x"),
        ('{"a": "/root/data/y"}', "the local path /root/data/y"),
        ("C:\\Users\\ann", "the local path C:\\U"),
        ("~/data/z", "the local path ~/data/z"),
        ("hf_" + "A" * 34, "a token of the Hugging Face Hub"),
        ("AKIA" + "B" * 16, "an AWS access key"),
        ("https://example.org/home/ann/x", None),
        ("and/or, 1/2, /s", None),
    ],
)
def test_what_is_private_is_found(text, what):
    assert found_in(text) == what


def test_a_language_adapter_and_a_target_above_it(made, fresh, places, tmp_path, logits_of):
    from adaptrans.modeling.model import SetupModel
    from adaptrans.runs.language_adapter import language_runs

    inputs = {
        "phase": "language",
        "language": "en",
        "text": ["0" * 64],
        "backbone": fresh.backbone.fingerprint,
    }
    language = fresh.store.run("language", "en.seq_bn_inv.s1", inputs)
    with fresh.store.working_on(language, inputs):
        SetupModel.for_language(fresh.backbone, "en", "seq_bn_inv", 1).save(
            language.artifact, {"language": "en"}
        )
        language.finish({"source_languages": [], "notes": []})
    run = made("{lang} > target", parents={"{en}": language})
    shared = push.push(run, fresh.store, f"{tmp_path}/hub/above")
    assert [item.package.kind for item in shared.parents] == ["language"]
    other = places(tmp_path / "other")
    pulled = pull(f"{tmp_path}/hub/above", other.store, backbone=fresh.backbone)
    assert list(language_runs(other)) == ["en"]
    assert torch.equal(logits_of(run, fresh.backbone), logits_of(pulled.run, fresh.backbone))
