"""Which examples are drawn."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from adaptrans.runs.base import TransferSetting
from adaptrans.runs.train import drawn

LABELS = st.lists(st.sampled_from(["a", "b", "c"]), max_size=60)


@given(LABELS, st.integers(1, 8), st.integers(0, 5))
def test_every_label_gets_as_many_and_fewer_shots_are_a_part_of_more(labels, shots, seed):
    found = drawn(labels, shots, seed)
    assert found == sorted(set(found))
    counts, there = Counter(labels[place] for place in found), Counter(labels)
    assert counts == {label: min(shots, number) for label, number in there.items()}
    assert set(found) <= set(drawn(labels, shots + 1, seed))


@given(st.integers(0, 60), st.integers(1, 8), st.integers(0, 5))
def test_without_labels_so_many_are_drawn(number, shots, seed):
    assert len(drawn(number, shots, seed)) == min(shots, number)


def test_seeds_draw_differently():
    assert len({tuple(drawn(200, 5, seed)) for seed in range(5)}) == 5


def test_a_setting_is_told_from_the_inputs_of_a_run():
    assert TransferSetting.of({"config": {}, "shots": 5}) == TransferSetting(shots=5)
    assert TransferSetting.of({"config": {}, "shots": 5, "start_target_dev": True}) == TransferSetting(
        True, 5
    )
    assert TransferSetting.of({"config": {"select": "target_dev"}}).label == "+target-dev"
    assert TransferSetting.of({"config": {"epochs": 3}}).zero_shot
