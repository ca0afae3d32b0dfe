"""Part of an encoder computes what the whole one computes there, and leaves the model as it was."""

import pytest
import torch

from adaptrans.errors import ArtifactError
from adaptrans.evaluation.sentence_vectors import SentenceEncoder
from adaptrans.modeling.efficiency.shared_layers import (
    LayerPosition,
    first_place,
    resumed_at,
    states_below,
    stopped_after,
)

METHODS = ["seq_bn", "seq_bn[leave_out='first:2']", "lora", "prefix_tuning", "seq_bn_inv"]


def inputs_of(tools):
    batch = tools.batch_of("classification")
    return {name: batch[name] for name in ("input_ids", "attention_mask")}


@pytest.mark.parametrize("method", METHODS)
def test_a_stopped_encoder_gives_the_states_of_the_whole_one(build, tools, method):
    assembled = build("adapter", tools.spec("classification"), method=method)
    inputs = inputs_of(tools)
    with torch.inference_mode():
        whole = assembled.hidden_states(**inputs)
        for layer in range(len(whole)):
            with stopped_after(assembled.model, layer):
                part = assembled.hidden_states(**inputs)
            # A stack that runs has one layer at least.
            assert len(part) == max(1, layer) + 1
            assert all(torch.equal(a, b) for a, b in zip(part, whole, strict=False))
        again = assembled.hidden_states(**inputs)
    assert all(torch.equal(a, b) for a, b in zip(again, whole, strict=True))


def test_a_stopped_encoder_still_refuses_adapters_that_add_tokens(build, tools):
    assembled = build("adapter", tools.spec("classification"), method="prompt_tuning")
    with stopped_after(assembled.model, 1), pytest.raises(ArtifactError, match="add tokens"):
        assembled.hidden_states(**inputs_of(tools))


PLACES = {
    "seq_bn[leave_out='first:2']": LayerPosition(2, inside=True),
    "seq_bn": LayerPosition(0, inside=True),
    "double_seq_bn[leave_out='first:2']": LayerPosition(2),
    "lora[leave_out='first:2']": LayerPosition(2),
    "prefix_tuning": LayerPosition(0),
    "seq_bn_inv": LayerPosition(0),
}


@pytest.mark.parametrize(("method", "place"), PLACES.items())
def test_the_first_place_is_where_the_lowest_adapter_acts(build, tools, method, place):
    assembled = build("adapter", tools.spec("classification"), method=method)
    assert first_place(assembled.model, assembled.layers) == place
    assert LayerPosition(1, inside=True) < LayerPosition(2) < LayerPosition(2, inside=True) < LayerPosition(3)


@pytest.mark.parametrize("kind", ["classification", "span_qa", "multiple_choice"])
@pytest.mark.parametrize("method", ["seq_bn[leave_out='first:2']", "lora[leave_out='first:2']", "par_bn"])
def test_a_resumed_encoder_answers_as_the_whole_one(build, tools, method, kind):
    assembled = build("adapter", tools.spec(kind), method=method)
    batch = tools.batch_of(kind)
    before = tools.answers(assembled, batch)
    place = first_place(assembled.model, assembled.layers)
    with torch.inference_mode():
        states = states_below(assembled, place, batch)
    assert [tuple(found.shape[1:]) for found in states] == [(11, 32)] * (2 if place.inside else 1)
    with resumed_at(assembled.model, place, states):
        resumed = tools.answers(assembled, batch)
    assert all(torch.equal(a, b) for a, b in zip(resumed, before, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(tools.answers(assembled, batch), before, strict=True))


@pytest.mark.parametrize("place", [LayerPosition(2), LayerPosition(2, inside=True)])
def test_the_states_that_are_given_decide(build, tools, place):
    assembled = build("adapter", tools.spec("classification"), method="seq_bn[leave_out='first:2']")
    batch = tools.batch_of("classification")
    with resumed_at(assembled.model, place, (torch.zeros(3, 11, 32),) * (2 if place.inside else 1)):
        moved = tools.answers(assembled, batch)
    assert not torch.equal(moved[0], tools.answers(assembled, batch)[0])


def test_mining_runs_no_layer_above_the_one_that_it_compares(build, monkeypatch):
    assembled = build("full", None)
    encoder = SentenceEncoder(assembled, 2, "mean", 1, 64, torch.device("cpu"), "fp32")
    rows = [[0, 10, 20, 2], [0, 30, 2]]
    whole = [assembled.hidden_states(torch.tensor([row]), torch.ones(1, len(row)))[2] for row in rows]
    expected = torch.stack([torch.nn.functional.normalize(states[0].mean(0), dim=0) for states in whole])
    above = assembled.model.roberta.encoder.layer[2]
    monkeypatch.setattr(above, "forward", lambda *_, **__: pytest.fail("computed for nothing"))
    assert encoder.vectors(rows) == pytest.approx(expected.detach().numpy(), abs=1e-5)
