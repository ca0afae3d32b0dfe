"""The functions do what the commands do."""

import json

import pytest

import adaptrans
from adaptrans.errors import ArtifactError, ConfigError, UnknownNameError

OPTIONS = {"epochs": 1, "batch_size": 8, "precision": "fp32", "max_length": 64}


def test_train_evaluate_predict_compare(small_workspace):
    where = small_workspace
    with pytest.raises(
        ArtifactError, match="'nli > target' has not been trained on xnli; run: adaptrans target xnli --setup"
    ):
        adaptrans.evaluate("xnli", where=where, setup="nli > target")
    parent = adaptrans.intermediate("nli", where=where, method="lora", **OPTIONS)
    run = adaptrans.target("xnli", where=where, setup="nli > target", method="lora", **OPTIONS)
    assert json.loads((run.path / "config.json").read_text())["parents"] == {"nli": parent.key}
    results = adaptrans.evaluate("xnli", where=where, setup="nli > target", method="lora", precision="fp32")
    assert set(results) == {"en", "de", "sw"}
    assert adaptrans.evaluate("xnli", where=where, run=run.key, precision="fp32") == results
    (table,) = adaptrans.compare(where.store.root, baseline="nli > target (lora)")
    assert table.rows[0].setup == "nli > target (lora)"
    rows = [{"text": "the cat", "pair": "die Katze"}, {"text": "a", "pair": "b", "id": "x"}]
    found = list(adaptrans.predict("xnli", rows, where=where, run=run.key, precision="fp32"))
    assert [row["text"] for row in found] == ["the cat", "a"]
    assert all(row["prediction"] in ("entailment", "neutral", "contradiction") for row in found)


@pytest.mark.parametrize(
    ("task", "row", "kind"),
    [
        ("udpos", {"words": "the cat sits on the mat"}, list),
        ("udpos", {"words": ["die", "Katze"]}, list),
        ("xquad", {"question": "where ?", "context": "the cat sits on the mat"}, str),
        ("copa", {"prompt": "the cat sits .", "choices": ["on a mat", "in London", "free"]}, int),
    ],
)
def test_own_text_of_every_kind(small_workspace, task, row, kind):
    adaptrans.target(task, where=small_workspace, setup="adapter", **OPTIONS)
    (found,) = adaptrans.predict(task, [row], where=small_workspace, setup="adapter", precision="fp32")
    assert isinstance(found["prediction"], kind)
    if task == "udpos":
        assert len(found["prediction"]) == (6 if isinstance(row["words"], str) else 2)


def test_own_text_that_does_not_fit(small_workspace):
    run = adaptrans.target("udpos", where=small_workspace, setup="adapter", **OPTIONS)
    for rows, words in (
        ([{"text": "the cat"}], 'row 1: tagging has no field "text"; use words'),
        ([{"words": "a"}, {"words": ""}], "row 2: the sentence has no words"),
        ([], "there is no text to answer"),
    ):
        with pytest.raises(ConfigError, match=words):
            list(adaptrans.predict("udpos", rows, where=small_workspace, run=run.key))
    with pytest.raises(ConfigError, match="tatoeba compares sentences and has no head"):
        list(adaptrans.predict("tatoeba", [{"text": "a"}], where=small_workspace))


def test_a_run_of_another_task_is_refused(small_workspace):
    run = adaptrans.target("udpos", where=small_workspace, setup="adapter", **OPTIONS)
    with pytest.raises(ArtifactError, match="is no target run of xnli"):
        adaptrans.evaluate("xnli", where=small_workspace, run=run.key)


def test_wrong_options(small_workspace):
    with pytest.raises(UnknownNameError, match='did you mean "batch_size"'):
        adaptrans.target("xnli", where=small_workspace, setup="adapter", batchsize=3)
    with pytest.raises(ConfigError, match="no backbone given; add --backbone"):
        adaptrans.workspace(backbone=None)
    with pytest.raises(AttributeError):
        adaptrans.nothing  # noqa: B018


def test_language_adapters_and_those_made_elsewhere(small_workspace, tmp_path):
    from adapters import XLMRobertaAdapterModel

    (tmp_path / "sw.txt").write_text("watu wote wamezaliwa huru\n" * 50, encoding="utf-8")
    options = {"method": "seq_bn_inv[reduction_factor=4]", "max_steps": 1, "max_length": 32}
    run = adaptrans.language("swa", text=tmp_path, where=small_workspace, **options)
    assert run == adaptrans.language("sw", text=tmp_path, where=small_workspace, **options)
    made = adaptrans.export(run.artifact, out=tmp_path / "x", backbone=small_workspace.backbone.path)
    model = XLMRobertaAdapterModel.from_pretrained(small_workspace.backbone.path)
    model.load_adapter(str(made.folder / "sw"), with_head=False, use_safetensors=True)
    adopted = adaptrans.adopt(made.folder / "sw", where=small_workspace, name="again")
    stored = [path.read_bytes() for place in (run, adopted) for path in place.artifact.rglob("*.safetensors")]
    assert len(stored) == 2
    assert adopted.result()["method"] == options["method"]


def test_bundled_names():
    from adaptrans import mini, samples

    where = adaptrans.workspace(backbone="mini", data="samples")
    assert where.backbone.path == mini.FOLDER
    assert where.data == samples.DATA
    assert where.task("sample_nli").languages[0] == "en"
