import math

import pytest
import torch
from mini_pretraining import batches, network, objectives, store
from mini_pretraining.config import Alignment, changed


def test_contrastive_loss_by_hand():
    vectors = torch.tensor([[1.0, 0.0], [0.0, 1.0], [2.0, 0.0], [1.0, 1.0]])
    ignored = torch.eye(4, dtype=torch.bool) | torch.eye(4, dtype=torch.bool).roll(2, 0)
    half = math.sqrt(0.5)
    # Cosines of rows 0..3 with (translation, the two others).
    rows = [(1.0, 0.0, half), (half, 0.0, 0.0), (1.0, 0.0, half), (half, half, half)]
    expected = 0.0
    for right, *wrong in rows:
        scores = [right / 0.5, *(score / 0.5 for score in wrong)]
        expected += math.log(sum(map(math.exp, scores))) - scores[0]
    assert float(objectives.contrastive_loss(vectors, ignored, 0.5)) == pytest.approx(expected / 4, rel=1e-5)


def test_ignored_rows_are_no_negatives():
    vectors = torch.randn(4, 8)
    everything = torch.ones(4, 4, dtype=torch.bool)
    assert float(objectives.contrastive_loss(vectors, everything, 0.05)) == pytest.approx(0.0)


@pytest.fixture(scope="module")
def model(shared):
    return network.make(shared[0], shared[2].get_vocab_size()).eval()


def test_hidden_states_equal_the_model_own(model):
    ids = torch.tensor([[0, 10, 11, 2], [0, 12, 2, 1]])
    attention = ids != 1
    own = model.roberta(ids, attention_mask=attention.long(), output_hidden_states=True)
    for layers in (1, 2):
        found = network.hidden_states(model, ids, attention, layers=layers)
        assert torch.allclose(found[attention], own.hidden_states[layers][attention], atol=1e-5)


def test_guessing_loss_equals_the_full_one(model):
    ids = torch.tensor([[0, 10, 11, 12, 2]])
    chosen = torch.tensor([[False, True, False, True, False]])
    labels = torch.where(chosen, ids, -100)
    full = model(ids, labels=labels).loss
    hidden = network.hidden_states(model, ids, torch.ones_like(chosen))
    assert torch.allclose(objectives.guessing_loss(model, hidden, chosen, ids[chosen]), full, atol=1e-5)


@pytest.mark.parametrize("name", ["masked", "translation", "contrastive", "words"])
def test_every_objective_has_a_gradient(shared, model, name):
    plan, _, _, data = shared
    loss = objectives.loss_of(model, batches.BUILDERS[name](data, plan, 1), plan, torch.device("cpu"))
    model.zero_grad()
    loss.backward()
    assert float(model.roberta.embeddings.word_embeddings.weight.grad.abs().sum()) > 0


def test_aligned_pieces_are_each_others_nearest_and_differ():
    unit = torch.eye(4)
    rows = torch.stack([unit[[0, 1, 2, 3]], torch.stack([unit[0], unit[2], unit[2] * 0.9, unit[3]])])
    ids = torch.tensor([[0, 5, 6, 7], [0, 8, 9, 7]])
    usable = torch.tensor([[False, True, True, True]] * 2)
    left, right = objectives.aligned_pieces(rows, ids, usable, threshold=0.5, most=9)
    # Place 2 finds place 1 of the translation; place 1 finds nothing; place 3 has the same piece.
    assert (left.tolist(), right.tolist()) == ([2], [5])
    none = objectives.aligned_pieces(rows, ids, usable, threshold=1.5, most=9)
    assert [len(side) for side in none] == [0, 0]


def test_alignment_has_a_gradient_and_may_find_nothing(shared, model):
    plan, _, _, data = shared
    batch = batches.contrastive_batch(data, plan, 1)
    ids, usable = torch.from_numpy(batch.ids), torch.from_numpy(batch.attention)
    hidden = network.hidden_states(model, ids, usable)
    loss = objectives.alignment_loss(model, hidden, ids, usable, Alignment(weight=1, threshold=-1))
    assert float(loss.detach()) > 0
    nothing = objectives.alignment_loss(model, hidden, ids, usable, Alignment(weight=1, threshold=2))
    assert float(nothing.detach()) == 0
    only = {"share": 1, "pairs": 8, "length": 16}
    both = changed(plan, objectives={"contrastive": {**only, "alignment": {"weight": 1, "threshold": -1}}})
    without = changed(plan, objectives={"contrastive": only})
    losses = [
        float(objectives.loss_of(model, batch, plan, torch.device("cpu")).detach())
        for plan in (both, without)
    ]
    assert losses[0] > losses[1]


def test_new_model_guesses_pieces_as_often_as_they_occur(shared):
    plan, _, tokenizer, data = shared
    new = network.make(plan, tokenizer.get_vocab_size())
    counts = torch.from_numpy(store.counts(data))
    network.start_bias(new, counts)
    shares = new.lm_head.bias.softmax(0)
    assert torch.allclose(shares, (counts + 1) / (counts + 1).sum())
    assert int(counts.sum()) == sum(data.tokens().values())


def test_mean_pool_counts_real_tokens_only():
    hidden = torch.tensor([[[1.0], [3.0], [99.0]]])
    assert network.mean_pool(hidden, torch.tensor([[True, True, False]])).tolist() == [[2.0]]
