"""Exported runs: which format, what lies in the folder, and what is refused."""

import json
import shutil

import pytest
from safetensors import safe_open
from transformers import AutoModelForQuestionAnswering

from adaptrans.errors import ArtifactError, ConfigError, SetupError, UnknownNameError
from adaptrans.exporting.transformers import export
from adaptrans.modeling.backbone import identify, load_tokenizer
from adaptrans.modeling.model import SetupModel
from adaptrans.task_types.span_qa import SpanQA, SpanQAExample
from adaptrans.tasks import catalogue

KIND = SpanQA()
encode = KIND.encode


@pytest.fixture(scope="module")
def runs(base, build, tools, parents, tmp_path_factory):
    """Artifacts of several setups, and a store with two language adapters."""
    root = tmp_path_factory.mktemp("runs")
    head = tools.spec("classification")
    for name, text, method in (
        ("whole", "full", "seq_bn"),
        ("lora", "adapter", "lora"),
        ("bottleneck", "mnli > target", "seq_bn"),
    ):
        build(text, head, parents, method=method).save(root / name)
    for seed, code in enumerate(("en", "de")):
        folder = root / "store" / "runs" / "language" / f"{code}.lora-{code * 6}"
        tools.shaken(SetupModel.for_language(base, code, "lora", seed), seed).save(folder / "artifact")
        (folder / "config.json").write_text(json.dumps({"backbone": base.fingerprint, "language": code}))
        (folder / "done.json").write_text("{}")
    parent = root / "store" / "runs" / "language" / "en.lora-enenenenenen" / "artifact"
    build("{lang} > target", head, {"{en}": parent}, method="lora").save(root / "swapped")
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


@pytest.mark.parametrize("format", ["transformers", "adapters"])
def test_every_configuration_states_the_numbers_that_its_file_holds(runs, base, tmp_path, format):
    half = shutil.copytree(base.path, tmp_path / "half")
    config = json.loads((half / "config.json").read_text())
    (half / "config.json").write_text(json.dumps({**config, "dtype": "float16"}))
    assert identify(half, tmp_path / "cache").fingerprint == base.fingerprint
    options = {"backbone": half, "format": format}
    export(runs / "whole", out=tmp_path / "x", **options)
    if format == "adapters":
        export(runs / "bottleneck", out=tmp_path / "y", with_backbone=True, **options)
    configs = list(tmp_path.glob("[xy]/**/config.json"))
    assert len(configs) == (1 if format == "transformers" else 2)
    for path in configs:
        with safe_open(path.with_name("model.safetensors"), "pt") as file:
            held = {file.get_slice(key).get_dtype() for key in file.keys()}  # noqa: SIM118 - no mapping
        assert held == {"F32"}
        assert json.loads(path.read_text())["dtype"] == "float32"
        assert (path.parent / "tokenizer.json").is_file(), "a model without its tokenizer"


def test_an_export_on_which_another_head_was_trained_has_not_the_labels_of_the_first(
    runs, base, build, tools, tmp_path
):
    export(runs / "lora", out=tmp_path / "nli", backbone=base.path)
    merged = identify(tmp_path / "nli", tmp_path)
    build("full", tools.spec("span_qa"), backbone=merged).save(tmp_path / "qa")
    export(tmp_path / "qa", out=tmp_path / "x", backbone=merged.path)
    assert "entailment" not in (tmp_path / "x" / "config.json").read_text()
    model, said = AutoModelForQuestionAnswering.from_pretrained(tmp_path / "x", output_loading_info=True)
    assert model.qa_outputs.weight.shape[0] == 2
    assert not said["missing_keys"]


def test_questions_over_an_export_have_their_special_tokens(runs, base, tmp_path):
    # Its tokenizer is of a class whose own method for pairs of ids puts none in.
    export(runs / "lora", out=tmp_path / "x", backbone=base.path)
    example = SpanQAExample("1", "Where is the library?", "It is in London.", ())
    rows = [
        encode([example], load_tokenizer(of), catalogue.get("xquad"), 64, False)[0]["input_ids"]
        for of in (base, identify(tmp_path / "x", tmp_path))
    ]
    assert rows[0] == rows[1]
    assert rows[0].count(2) == 3


def test_a_run_that_did_not_record_its_rules_says_so(runs, base, tmp_path):
    export(runs / "whole", out=tmp_path / "x", backbone=base.path)
    text = (tmp_path / "x" / "README.md").read_text()
    assert "is not recorded with this run" in text
    assert "def vector(text)" in text
    assert "adaptrans" not in json.loads((tmp_path / "x" / "config.json").read_text())


def test_the_alarm_of_large_vocabularies_is_not_followed(base):
    from dataclasses import replace

    from adaptrans.exporting.adapters import tokenizer_line

    assert tokenizer_line("folder", base) == "tokenizer = AutoTokenizer.from_pretrained(folder)"
    large = tokenizer_line("folder", replace(base, vocabulary=250_002))
    assert large == "tokenizer = AutoTokenizer.from_pretrained(folder, fix_mistral_regex=False)"


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
    assert 'backbone = f"{folder}/backbone"' in "\n".join(made.lines)


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
    with pytest.raises(ArtifactError, match="exists and is no export"):
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
        ("tests", "holds no artifact.json"),
    ],
)
def test_what_is_no_run_is_refused(runs, tmp_path, run, message, monkeypatch):
    monkeypatch.chdir(runs)
    (runs / "tests").mkdir(exist_ok=True)
    with pytest.raises(ArtifactError, match=message):
        export(run, out=tmp_path / "x", store=runs / "store")


def test_another_base_or_head_or_format_is_refused(runs, base, backbone_maker, tmp_path):
    other = backbone_maker(tmp_path / "other", depth=5)
    with pytest.raises(ArtifactError, match="trained on a backbone of depth 4"):
        export(runs / "lora", out=tmp_path / "x", backbone=other)
    with pytest.raises(UnknownNameError, match='unknown head "mnli"; did you mean "xnli"'):
        export(runs / "whole", out=tmp_path / "x", head="mnli", backbone=base.path)
    with pytest.raises(UnknownNameError, match='did you mean "adapters"'):
        export(runs / "whole", out=tmp_path / "x", format="adapter", backbone=base.path)
    assert not (tmp_path / "x").exists()
