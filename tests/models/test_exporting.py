"""Exported runs: which format, what lies in the folder, and what is refused."""

import json

import pytest

from adaptrans.errors import ArtefactError, ConfigError, SetupError, UnknownNameError
from adaptrans.exporting import export
from adaptrans.models.artefact import save_artefact
from adaptrans.models.language_adapters import assemble_language


@pytest.fixture(scope="module")
def runs(base, build, tools, parents, tmp_path_factory):
    """Artefacts of several setups, and a store with two language adapters."""
    root = tmp_path_factory.mktemp("runs")
    head = tools.spec("classification")
    for name, text, method in (
        ("whole", "full", "seq_bn"),
        ("lora", "adapter", "lora"),
        ("bottleneck", "mnli > target", "seq_bn"),
    ):
        save_artefact(build(text, head, parents, method=method), root / name)
    for seed, code in enumerate(("en", "de")):
        folder = root / "store" / "runs" / "language" / f"{code}.lora-{code * 6}"
        save_artefact(tools.shaken(assemble_language(base, code, "lora", seed), seed), folder / "artefact")
        (folder / "config.json").write_text(json.dumps({"backbone": base.fingerprint, "language": code}))
        (folder / "done.json").write_text("{}")
    parent = root / "store" / "runs" / "language" / "en.lora-enenenenenen" / "artefact"
    save_artefact(build("{lang} > target", head, {"{en}": parent}, method="lora"), root / "swapped")
    return root


def files(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("name", "chosen", "reason"),
    [
        ("whole", "transformers", ""),
        ("lora", "transformers", ""),
        ("bottleneck", "adapters", "the adapter 'mnli' has layers of its own"),
        ("swapped", "adapters", "its language adapter changes with the language, and not one was chosen"),
    ],
)
def test_the_format_is_the_plainest_one_possible(runs, base, tmp_path, name, chosen, reason):
    made = export(runs / name, out=tmp_path / "x", store=runs / "store", backbone=base.path)
    assert (made.format, made.reason) == (chosen, reason)
    text = (tmp_path / "x" / "README.md").read_text()
    assert "\n".join(made.lines) in text
    assert "entailment, neutral, contradiction" in text
    assert str(base.path) not in text, "a folder of this machine is named"
    tokenizer = {"tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"}
    plain = {"README.md", "config.json", "model.safetensors", *tokenizer}
    assert (files(tmp_path / "x") == plain) == (chosen == "transformers")
    assert not any(path.suffix == ".bin" for path in (tmp_path / "x").rglob("*"))


def test_a_pipeline_of_transformers_takes_a_plain_export(runs, base, tmp_path):
    from transformers import pipeline

    export(runs / "lora", out=tmp_path / "x", backbone=base.path)
    answer = pipeline("text-classification", model=str(tmp_path / "x"), device="cpu")
    (found,) = answer([{"text": "The cat sits.", "text_pair": "Where is the library?"}])
    assert found["label"] in ("entailment", "neutral", "contradiction")


def test_a_folder_of_adapters_holds_every_part_and_what_is_asked_for(runs, base, tmp_path):
    made = export(
        runs / "bottleneck", out=tmp_path / "x", format="adapters", backbone=base.path, with_backbone=True
    )
    found = files(tmp_path / "x")
    assert {"adapter_setup.json", "mnli/adapter.safetensors", "xnli/adapter.safetensors"} <= found
    assert {"xnli/model_head.safetensors", "backbone/model.safetensors"} <= found
    assert 'from_pretrained(f"{folder}/backbone")' in "\n".join(made.lines)


def test_language_adapters_go_along_or_one_is_merged(runs, base, tmp_path):
    options = {"store": runs / "store", "backbone": base.path}
    made = export(runs / "swapped", out=tmp_path / "x", format="adapters", languages=["de"], **options)
    assert {"en/adapter.safetensors", "de/adapter.safetensors"} <= files(tmp_path / "x")
    assert "# model.set_active_adapters(Stack('de', 'xnli'))" in made.lines
    plain = {}
    for code in ("en", "de"):
        made = export(runs / "swapped", out=tmp_path / code, languages=[code], **options)
        assert made.format == "transformers"
        plain[code] = (tmp_path / code / "model.safetensors").read_bytes()
    assert plain["en"] != plain["de"]
    with pytest.raises(UnknownNameError, match='unknown language adapter "sw"'):
        export(runs / "swapped", out=tmp_path / "y", languages=["sw"], **options)
    with pytest.raises(ConfigError, match="has no language adapter"):
        export(runs / "lora", out=tmp_path / "y", languages=["de"], **options)
    with pytest.raises(ConfigError, match="a plain model has one language adapter; name it with --languages"):
        export(runs / "swapped", out=tmp_path / "y", format="transformers", **options)


def test_a_language_adapter_alone_is_a_folder_of_adapters(runs, base, tmp_path):
    made = export("dedede", out=tmp_path / "x", store=runs / "store", backbone=base.path)
    assert files(tmp_path / "x") == {"README.md", "de/adapter.safetensors", "de/adapter_config.json"}
    assert made.format == "adapters"
    with pytest.raises(ConfigError, match="an adapter without a head answers nothing"):
        export("dedede", out=tmp_path / "y", store=runs / "store", backbone=base.path, format="transformers")


def test_what_is_no_export_is_left_alone_and_an_older_one_replaced(runs, base, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("")
    with pytest.raises(ArtefactError, match="exists and is no export"):
        export(runs / "lora", out=tmp_path / "mine", backbone=base.path)
    export(runs / "lora", out=tmp_path / "x", format="adapters", backbone=base.path)
    export(runs / "lora", out=tmp_path / "x", backbone=base.path)
    assert not (tmp_path / "x" / "adapter_setup.json").exists()
    with pytest.raises(SetupError, match="is no plain transformers model"):
        export(runs / "bottleneck", out=tmp_path / "x", format="transformers", backbone=base.path)
    assert (tmp_path / "x" / "model.safetensors").is_file(), "a failed export took the old one away"


@pytest.mark.parametrize(
    ("run", "message"),
    [
        ("nothing/here", "there is no folder nothing/here"),
        ("abcdef", 'no finished run with key "abcdef"'),
        ("tests", "holds no artefact.json"),
    ],
)
def test_what_is_no_run_is_refused(runs, tmp_path, run, message, monkeypatch):
    monkeypatch.chdir(runs)
    (runs / "tests").mkdir(exist_ok=True)
    with pytest.raises(ArtefactError, match=message):
        export(run, out=tmp_path / "x", store=runs / "store")


def test_another_base_or_head_or_format_is_refused(runs, base, backbone_maker, tmp_path):
    other = backbone_maker(tmp_path / "other", depth=5)
    with pytest.raises(ArtefactError, match="trained on a backbone of depth 4"):
        export(runs / "lora", out=tmp_path / "x", backbone=other)
    with pytest.raises(UnknownNameError, match='unknown head "mnli"; did you mean "xnli"'):
        export(runs / "whole", out=tmp_path / "x", head="mnli", backbone=base.path)
    with pytest.raises(UnknownNameError, match='did you mean "adapters"'):
        export(runs / "whole", out=tmp_path / "x", format="adapter", backbone=base.path)
    assert not (tmp_path / "x").exists()
