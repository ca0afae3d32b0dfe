import math
import subprocess
import sys
from itertools import pairwise
from statistics import mean

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adaptrans.data.batching import POOL_BATCHES, epoch_batches, micro_batches, own_share, padding_share

LENGTHS = st.lists(st.integers(1, 600), max_size=300)


def skewed(count):
    """Lengths as of real text: many short, few long."""
    return [3 + (i * i * 7919) % 60 + (200 if i % 37 == 0 else 0) for i in range(count)]


@given(LENGTHS, st.integers(1, 40), st.integers(0, 2**32), st.integers(0, 50))
def test_every_index_comes_once_per_epoch(lengths, size, seed, epoch):
    batches = epoch_batches(lengths, size, seed=seed, epoch=epoch)
    assert sorted(i for batch in batches for i in batch) == list(range(len(lengths)))
    # The number of steps that the training plan counts on; all full but one.
    assert len(batches) == math.ceil(len(lengths) / size)
    assert sorted((len(batch) for batch in batches), reverse=True)[:-1] == [size] * max(0, len(batches) - 1)


@given(LENGTHS, st.integers(1, 40), st.integers(0, 1000), st.integers(0, 9))
def test_batches_are_plain_lists_of_plain_numbers(lengths, size, seed, epoch):
    batches = epoch_batches(lengths, size, seed=seed, epoch=epoch)
    assert {type(i) for batch in batches for i in batch} <= {int}
    assert batches == epoch_batches(tuple(lengths), size, seed=seed, epoch=epoch)


def test_seed_and_epoch_both_change_the_order():
    lengths = skewed(400)
    runs = {
        (seed, epoch): str(epoch_batches(lengths, 8, seed=seed, epoch=epoch))
        for seed in (0, 1, 2)
        for epoch in (0, 1)
    }
    assert len(set(runs.values())) == 6


def test_the_order_is_the_same_in_another_process():
    code = (
        "from adaptrans.data.batching import epoch_batches;"
        "print(epoch_batches([i * 7 % 31 for i in range(500)], 4, seed=3, epoch=2))"
    )
    here = str(epoch_batches([i * 7 % 31 for i in range(500)], 4, seed=3, epoch=2))
    there = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert there.stdout.strip() == here


def test_batches_hold_like_lengths():
    lengths = skewed(4000)
    batches = epoch_batches(lengths, 16, seed=0, epoch=0)
    unsorted = [list(range(start, start + 16)) for start in range(0, 4000, 16)]
    assert padding_share(unsorted, lengths) > 0.4
    assert padding_share(batches, lengths) < 0.1


def test_batches_are_in_random_order_of_length():
    lengths = skewed(4000)
    firsts = [max(lengths[i] for i in batch) for batch in epoch_batches(lengths, 16, seed=0, epoch=0)]
    assert firsts != sorted(firsts)
    half = len(firsts) // 2
    assert mean(firsts[:half]) == pytest.approx(mean(firsts[half:]), rel=0.25)
    # Neighbors in the epoch are no more alike than any two batches.
    steps = mean(abs(a - b) for a, b in pairwise(firsts))
    any_two = mean(abs(a - b) for a in firsts for b in firsts)
    assert steps == pytest.approx(any_two, rel=0.3)


def test_chance_and_not_length_decides_what_the_smaller_batch_holds():
    # An example in it has more weight in its step than in a full one: on average all have to weigh the same.
    lengths, size, epochs = [2, 3, 5, 8, 13, 21, 34], 4, 3000
    often = [0] * len(lengths)
    for epoch in range(epochs):
        (smaller,) = [batch for batch in epoch_batches(lengths, size, seed=0, epoch=epoch) if len(batch) == 3]
        for index in smaller:
            often[index] += 1
    chance = 3 / 7
    error = (epochs * chance * (1 - chance)) ** 0.5
    assert often == pytest.approx([epochs * chance] * len(lengths), abs=4 * error)


def test_who_shares_a_batch_changes_from_epoch_to_epoch():
    size, count = 4, 4 * POOL_BATCHES * 4
    lengths = [10 + i % 5 for i in range(count)]

    def pairs(epoch):
        batches = epoch_batches(lengths, size, seed=0, epoch=epoch)
        return {frozenset((a, b)) for batch in batches for a in batch for b in batch if a < b}

    assert len(pairs(0) & pairs(1)) < 0.05 * len(pairs(0))


def test_a_pool_is_sorted_on_its_own():
    # With more than one pool a batch of the shortest of all and a second such batch must be possible:
    # lengths start anew in every pool.
    count = 2 * POOL_BATCHES * 10
    lengths = list(range(count))
    batches = epoch_batches(lengths, 2, seed=1, epoch=0)
    spans = [max(batch) - min(batch) for batch in batches]
    assert mean(spans) > 2, "the whole epoch is sorted together"


@given(st.lists(st.integers(1, 300), min_size=1, max_size=80), st.integers(1, 900), st.data())
def test_parts_hold_all_items_once_within_the_budget(lengths, budget, data):
    items = data.draw(st.lists(st.sampled_from(range(len(lengths))), unique=True))
    parts = micro_batches(items, lengths, budget)
    assert sorted(i for part in parts for i in part) == sorted(items)
    for part in parts:
        assert len(part) == 1 or max(lengths[i] for i in part) * len(part) <= budget


@settings(max_examples=50)
@given(st.lists(st.integers(1, 30), max_size=30), st.integers(1, 100))
def test_parts_are_as_full_as_the_budget_allows(lengths, budget):
    parts = micro_batches(range(len(lengths)), lengths, budget)
    order = [i for part in parts for i in part]
    assert [lengths[i] for i in order] == sorted(lengths)
    for part, following in pairwise(parts):
        assert lengths[following[0]] * (len(part) + 1) > budget


def test_an_item_over_the_budget_is_a_part_of_its_own():
    assert micro_batches([0, 1, 2], [100, 2, 3], 10) == [[1, 2], [0]]
    assert micro_batches([], [5], 10) == []


def test_padding_share():
    assert padding_share([[0, 1], [2]], [3, 1, 7]) == pytest.approx(2 / 13)
    assert padding_share([[0], [], [1]], [3, 1]) == 0.0
    assert padding_share([], []) == 0.0


@given(LENGTHS.filter(len), st.integers(1, 6))
def test_processes_divide_a_step_evenly(lengths, processes):
    items = list(range(len(lengths)))
    shares = [own_share(items, lengths, process, processes) for process in range(processes)]
    assert sorted(item for share in shares for item in share) == items
    assert max(map(len, shares)) - min(map(len, shares)) <= 1
    tokens = [sum(lengths[item] for item in share) for share in shares]
    # Dealt out in the order of their lengths, the shares differ by less than the longest input.
    assert max(tokens) - min(tokens) <= max(lengths)


@given(st.integers(1, 12), st.integers(1, 8), st.integers(0, 1000))
def test_every_input_weighs_the_same_in_the_loss_of_an_epoch(batches, size, seed):
    # A step is divided by its terms, so an input weighs the inverse of the size of its batch, whatever its
    # length and however the batch is cut: all alike but for the one batch that is not full.
    for lengths in (skewed(batches * size), skewed(batches * size + size // 2)):
        found = epoch_batches(lengths, size, seed=seed, epoch=0)
        full = [item for batch in found if len(batch) == size for item in batch]
        cut = [item for item in range(len(lengths)) if item not in set(full)]
        assert len(cut) == len(lengths) % size
        parts = [part for batch in found for part in micro_batches(batch, lengths, 64)]
        assert sorted(item for part in parts for item in part) == list(range(len(lengths)))
