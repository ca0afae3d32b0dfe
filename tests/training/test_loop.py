"""The arithmetic of the loop."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adaptrans.runs.training_args import TrainingConfig
from adaptrans.training.checkpoint import TrainingLog
from adaptrans.training.loop import Schedule


@given(
    items=st.integers(1, 500),
    batch=st.integers(1, 64),
    epochs=st.floats(0.1, 5),
    warmup=st.floats(0, 1),
    limit=st.none() | st.integers(1, 50),
)
def test_rates_rise_to_the_peak_and_fall_to_nearly_nothing(items, batch, epochs, warmup, limit):
    config = TrainingConfig(batch_size=batch, epochs=epochs, warmup=warmup, max_steps=limit)
    plan = Schedule.of(config, items)
    assert 1 <= plan.total_steps <= (limit or 10**9)
    factors = [plan.rate_factor(step, "linear") for step in range(plan.total_steps)]
    assert all(0 < factor <= 1 for factor in factors)
    top = factors.index(max(factors))
    assert factors[: top + 1] == sorted(factors[: top + 1])
    assert factors[top:] == sorted(factors[top:], reverse=True)
    assert max(factors) == pytest.approx(1.0)
    assert [plan.rate_factor(step, "none") for step in range(plan.warmup_steps, plan.total_steps)] == [
        1.0
    ] * (plan.total_steps - plan.warmup_steps)


def test_a_resumed_log_drops_what_was_trained_twice_and_a_cut_line(tmp_path):
    (tmp_path / "log.jsonl").write_text('{"step": 1, "loss": 3.0}\n{"step": 2, "loss": 2.0}\n{"step": 3, "lo')
    with TrainingLog(tmp_path, resumed_at=1) as log:
        log.add(2, loss=2.5)
    assert (tmp_path / "log.jsonl").read_text() == '{"step": 1, "loss": 3.0}\n{"step": 2, "loss": 2.5}\n'
