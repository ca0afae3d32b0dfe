import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from adaptrans.task_types.base import TASK_TYPES
from adaptrans.task_types.inputs import IGNORED, pad, padded_inputs, summed_cross_entropy

ROWS = st.lists(st.lists(st.integers(0, 50), max_size=9), min_size=1, max_size=6)


@given(ROWS)
def test_padding_keeps_every_row_and_fills_the_rest(rows):
    padded = pad(rows, -7)
    assert padded.shape == (len(rows), max(len(row) for row in rows))
    assert padded.dtype == torch.long
    for row, wide in zip(rows, padded.tolist(), strict=True):
        assert wide == row + [-7] * (len(wide) - len(row))


@given(ROWS)
def test_mask_counts_real_tokens_even_where_they_are_padding_ids(rows):
    inputs = padded_inputs(rows, 1)
    assert inputs["attention_mask"].sum(dim=1).tolist() == [len(row) for row in rows]
    # Real tokens on the left, without gaps.
    assert (inputs["attention_mask"].diff(dim=1) <= 0).all()


def test_a_padding_id_inside_a_text_stays_real():
    inputs = padded_inputs([[0, 1, 1, 2], [0, 2]], padding_id=1)
    assert inputs["attention_mask"].tolist() == [[1, 1, 1, 1], [1, 1, 0, 0]]
    assert inputs["input_ids"].tolist() == [[0, 1, 1, 2], [0, 2, 1, 1]]


@pytest.mark.parametrize("shape", [(5,), (3, 4)])
def test_sum_over_terms_is_the_mean_of_torch(shape):
    generator = torch.Generator().manual_seed(3)
    logits = torch.randn(*shape, 6, generator=generator)
    labels = torch.randint(0, 6, shape, generator=generator)
    labels.view(-1)[::3] = IGNORED
    total, terms = summed_cross_entropy(logits, labels)
    assert terms == int((labels != IGNORED).sum())
    mean = functional.cross_entropy(logits.view(-1, 6), labels.view(-1), ignore_index=IGNORED)
    assert total.item() / terms == pytest.approx(mean.item(), rel=1e-6)


def test_cross_entropy_is_the_textbook_one():
    total, terms = summed_cross_entropy(torch.tensor([[1.0, 2.0, 3.0]]), torch.tensor([0]))
    # -log(e / (e + e^2 + e^3))
    assert (round(total.item(), 5), terms) == (2.40761, 1)


def test_low_precision_logits_are_summed_in_float32():
    total, _ = summed_cross_entropy(
        torch.zeros(1000, 4, dtype=torch.bfloat16), torch.zeros(1000, dtype=torch.long)
    )
    assert total.dtype == torch.float32
    assert total.item() == pytest.approx(1386.294, abs=1e-2)


def test_only_ignored_labels_give_zero_and_no_terms():
    logits = torch.randn(2, 3, requires_grad=True)
    total, terms = summed_cross_entropy(logits, torch.full((2,), IGNORED))
    total.backward()
    assert (total.item(), terms) == (0.0, 0)
    assert logits.grad is not None
    assert logits.grad.abs().sum() == 0


@pytest.mark.parametrize("name", TASK_TYPES.names())
def test_every_kind_is_registered_under_its_own_name(name):
    assert TASK_TYPES[name].name == name


def test_the_scores_layout_and_head_of_every_type_exist():
    from adaptrans.evaluation.metrics import SCORES
    from adaptrans.evaluation.xtreme_format import LAYOUTS
    from adaptrans.modeling.heads import HEADS

    for name in TASK_TYPES:
        own = TASK_TYPES[name]
        assert own.scores, name
        assert all(score in SCORES for score in own.scores), name
        assert own.layout in LAYOUTS, name
        assert own.head is None or own.head in HEADS, name
        assert own.title, name


def test_kinds_without_a_head_compare_vectors():
    headless = {name for name in TASK_TYPES if not TASK_TYPES[name].trainable}
    assert headless == {"bitext_retrieval", "bitext_mining"}
    assert all(TASK_TYPES[name].compares_vectors for name in headless)
