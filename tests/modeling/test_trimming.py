"""The cut embedding matrix answers and learns as the whole one, and is whole again on disk."""

import copy
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from adaptrans.errors import ArtifactError
from adaptrans.modeling import adapters
from adaptrans.modeling.efficiency import vocab_trimming
from adaptrans.modeling.efficiency.vocab_trimming import NOTHING
from adaptrans.modeling.encoder import ENCODERS
from adaptrans.modeling.model import SetupModel
from adaptrans.modeling.safetensors_io import open_tensors

WEIGHT = ENCODERS["xlm-roberta"].word_embeddings


@pytest.fixture
def assembled(build):
    def make(head, tokens, text="adapter", parents=None, **options):
        return build(text, head, parents, shake=False, tokens=tokens, **options)

    return make


def trained(model, batches, weight_decay=0.0):
    """Three steps of AdamW on some batches; returns the losses."""
    own = dict(model.model.named_parameters())
    optimizer = torch.optim.AdamW([own[name] for name in model.trained], lr=0.01, weight_decay=weight_decay)
    losses = []
    for batch in batches:
        loss = model(batch).square().sum()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    return losses


def encoder_of(model):
    cut = vocab_trimming.trimmed(model.model)
    found = adapters.encoder_tensors(model.model)
    return {**found, **({WEIGHT: cut.whole()} if cut else {})}


@pytest.mark.parametrize("kind", ["classification", "tagging", "span_qa", "multiple_choice"])
@pytest.mark.parametrize("known", ["all", "some", "none"])
def test_logits_are_those_of_the_whole_matrix_to_the_last_bit(assembled, base, tools, kind, known):
    batch, head = tools.batch_of(kind), tools.spec(kind)
    ids = batch["input_ids"].unique().numpy()
    tokens = {"all": ids, "some": ids[::2], "none": NOTHING}[known]
    cut = assembled(head, tokens)
    assert vocab_trimming.trimmed(cut.model).kept <= len(ids)
    assert tools.same(cut, assembled(head, None), batch)
    assert len(vocab_trimming.trimmed(cut.model).weight) < base.vocabulary / 3
    # and again, when all rows are there
    assert tools.same(cut, assembled(head, None), batch)


def test_nothing_in_a_cut_model_holds_the_whole_matrix(assembled, base, tools):
    cut = assembled(tools.spec("classification"), NOTHING)
    copied = {}
    copy.deepcopy(cut.model, copied)
    shapes = [value.shape for value in copied.values() if isinstance(value, torch.Tensor)]
    assert (len(vocab_trimming.trimmed(cut.model).weight), base.width) in shapes
    assert (base.vocabulary, base.width) not in shapes


def test_a_piece_outside_the_cut_is_read_and_not_unknown(assembled, tools):
    head = tools.spec("classification")
    cut, whole = assembled(head, np.arange(5)), assembled(head, None)
    for start in range(5, 900, 50):
        ids = torch.arange(start, start + 50).reshape(5, 10)
        batch = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
        assert tools.same(cut, whole, batch)
    found = vocab_trimming.trimmed(cut.model)
    assert found.kept == 905
    assert torch.equal(found.whole(), adapters.encoder_tensors(whole.model)[WEIGHT])


@pytest.mark.parametrize("method", ["seq_bn", "seq_bn_inv", "lora", "prompt_tuning", "prefix_tuning"])
def test_adapters_learn_the_same_to_the_last_bit(assembled, tools, method):
    head, batch = tools.spec("classification"), tools.batch_of("classification")
    pair = [assembled(head, tokens, method=method) for tokens in (NOTHING, None)]
    losses = [trained(model, [batch] * 3) for model in pair]
    assert losses[0] == losses[1]
    own, other = (dict(model.model.named_parameters()) for model in pair)
    assert pair[0].trained == pair[1].trained
    assert all(torch.equal(own[name], other[name]) for name in pair[0].trained)


def test_a_whole_model_learns_the_same_and_is_saved_with_all_its_embeddings(assembled, base, tools, tmp_path):
    head, batch = tools.spec("classification"), tools.batch_of("classification")
    ids = batch["input_ids"].unique().numpy()
    pair = [assembled(head, tokens, text="full") for tokens in (ids, None)]
    assert trained(pair[0], [batch] * 3) == trained(pair[1], [batch] * 3)
    own, other = map(encoder_of, pair)
    assert all(torch.equal(own[name], other[name]) for name in other)
    # the dev set brings further pieces, which are not trained
    more = {**batch, "input_ids": (batch["input_ids"] + 3) % 990}
    assert tools.same(*pair, more)
    assert WEIGHT in pair[0].trained
    assert trained(pair[0], [more]) == trained(pair[1], [more])
    untouched = np.setdiff1d(np.arange(base.vocabulary), ids)
    stored = open_tensors(base.path / "model.safetensors")[WEIGHT].rows(untouched)
    assert torch.equal(encoder_of(pair[0])[WEIGHT][torch.from_numpy(untouched)], stored)
    pair[0].save(tmp_path / "a")
    loaded = SetupModel.load(tmp_path / "a", base)
    assert vocab_trimming.trimmed(loaded.model) is None
    assert tools.same(loaded, pair[0], more)
    assert tools.same(SetupModel.load(tmp_path / "a", base, tokens=NOTHING), loaded, more)


def test_weight_decay_leaves_rows_outside_the_cut_alone(assembled, base, tools):
    head, batch = tools.spec("classification"), tools.batch_of("classification")
    ids = batch["input_ids"].unique()
    pair = [assembled(head, tokens, text="full") for tokens in (ids.numpy(), None)]
    for model in pair:
        trained(model, [batch] * 3, weight_decay=0.1)
    cut, whole = (encoder_of(model)[WEIGHT] for model in pair)
    stored = adapters.encoder_tensors(adapters.bare_model(base))[WEIGHT]
    outside = np.setdiff1d(np.arange(base.vocabulary), ids.numpy())
    assert torch.equal(cut[outside], stored[outside])
    assert not torch.equal(whole[outside], stored[outside])
    assert torch.equal(cut[ids], whole[ids])


def test_an_artifact_of_a_cut_model_is_that_of_the_whole_one(assembled, tools, tmp_path):
    head, batch = tools.spec("classification"), tools.batch_of("classification")
    cut = tools.shaken(assembled(head, NOTHING))
    tools.answers(cut, batch)
    cut.save(tmp_path / "cut")
    tools.shaken(assembled(head, None)).save(tmp_path / "whole")
    for path in sorted((tmp_path / "whole").rglob("*.safetensors")):
        assert path.read_bytes() == (tmp_path / "cut" / path.relative_to(tmp_path / "whole")).read_bytes()


def test_a_setup_on_a_whole_model_and_one_with_a_parent(assembled, tools, parents):
    head, batch = tools.spec("classification"), tools.batch_of("classification")
    for text in ("full(whole)", "mnli > target", "fuse(mnli, squad) > target"):
        cut, whole = (assembled(head, tokens, text, parents=parents) for tokens in (NOTHING, None))
        cut.model.requires_grad_(False)
        assert tools.same(cut, whole, batch), text


def test_masked_language_modelling_keeps_all_embeddings(assembled, tools):
    cut = assembled(tools.spec("mlm"), NOTHING)
    assert vocab_trimming.trimmed(cut.model) is None


def test_rows_met_in_evaluation_serve_training_afterwards(assembled, tools):
    head, batch = tools.spec("classification"), tools.batch_of("classification")
    cut = assembled(head, NOTHING)
    before = tools.answers(cut, batch)[0]  # in inference mode
    assert torch.equal(cut(batch), before)
    trained(cut, [batch])
    more = {**batch, "input_ids": batch["input_ids"] + 1}
    assert trained(cut, [more])


def test_a_file_that_changes_in_use_is_named(assembled, backbone_maker, tools, tmp_path):
    from adaptrans.modeling.backbone import identify

    base = identify(backbone_maker(tmp_path / "b"), tmp_path)
    cut = assembled(tools.spec("classification"), NOTHING, backbone=base)
    path = base.path / "model.safetensors"
    path.write_bytes(path.read_bytes())
    with pytest.raises(ArtifactError, match="has changed while it was in use"):
        tools.answers(cut, tools.batch_of("classification"))


def test_rows_are_read_whatever_their_distance(tmp_path):
    from safetensors.torch import save_file

    value = torch.randn(9000, 3, dtype=torch.float32)
    save_file({"a": torch.ones(7), "x": value, "y": value.to(torch.bfloat16)}, tmp_path / "x.safetensors")
    stored = open_tensors(tmp_path / "x.safetensors")
    for places in ([], [0], [8999], [0, 1, 63, 64, 200, 4095, 4096, 8000], range(9000), range(0, 9000, 65)):
        assert torch.equal(stored["x"].rows(np.array(places, dtype=np.int64)), value[list(places)])
        assert torch.equal(stored["y"].rows(list(places)), value.to(torch.bfloat16)[list(places)])
    target = torch.empty(9000, 3)
    stored["y"].read_into(target)
    assert torch.equal(target, value.to(torch.bfloat16).float())


def test_the_pieces_of_a_data_set():
    import pyarrow

    flat, nested = ([[5, 3], [3]], [[[9], [3, 1]]])
    tables = [SimpleNamespace(data=pyarrow.table({"input_ids": column})) for column in (flat, nested)]
    assert vocab_trimming.tokens_of(tables, 12).tolist() == [1, 3, 5, 9]
