import pytest
import torch

from adaptrans.errors import UnknownNameError
from adaptrans.evaluation.sentence_vectors import POOLINGS, first_token, mean_pool


def test_mean_takes_special_tokens_and_leaves_padding_out():
    hidden = torch.tensor([[[1.0], [3.0], [100.0]], [[2.0], [4.0], [6.0]]])
    mask = torch.tensor([[1, 1, 0], [1, 1, 1]])
    assert mean_pool(hidden, mask).tolist() == [[2.0], [4.0]]
    assert first_token(hidden, mask).tolist() == [[1.0], [2.0]]


def test_unknown_pooling_names_the_known_ones():
    with pytest.raises(UnknownNameError, match='unknown pooling "max"'):
        POOLINGS["max"]
