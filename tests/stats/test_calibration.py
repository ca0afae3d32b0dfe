"""Calibration against slow twins written from their definitions."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import log_softmax

from adaptrans.errors import AdaptransError
from adaptrans.stats.calibration import (
    BINS,
    brier_score,
    expected_calibration_error,
    fitted_temperature,
    tempered,
)
from adaptrans.stats.intervals import interval


@st.composite
def answers(draw):
    labels = draw(st.integers(2, 4))
    logits = st.lists(st.floats(-6, 6, width=16), min_size=labels, max_size=labels)
    rows = draw(st.lists(st.tuples(logits, st.integers(0, labels - 1)), min_size=1, max_size=40))
    return log_softmax(np.array([row for row, _ in rows]), axis=1), np.array([gold for _, gold in rows])


@given(answers())
def test_expected_calibration_error(given_answers):
    logs, right = given_answers
    total = 0.0
    for place in range(BINS):
        inside = []
        for row, gold in zip(logs, right, strict=True):
            best = int(row.argmax())
            sure = math.exp(row[best])
            if place / BINS < sure - 1e-9 / BINS <= (place + 1) / BINS or (place == BINS - 1 and sure > 1):
                inside.append((sure, best == gold))
        if inside:
            accuracy = sum(hit for _, hit in inside) / len(inside)
            confidence = sum(sure for sure, _ in inside) / len(inside)
            total += len(inside) / len(logs) * abs(accuracy - confidence)
    assert expected_calibration_error(logs, right).value == pytest.approx(total, abs=1e-9)


@given(answers())
def test_brier_score(given_answers):
    logs, right = given_answers
    total = 0.0
    for row, gold in zip(logs, right, strict=True):
        total += sum((math.exp(value) - (place == gold)) ** 2 for place, value in enumerate(row))
    assert brier_score(logs, right).value == pytest.approx(total / len(logs), abs=1e-9)


def drawn(number, temperature):
    """Right labels drawn from logits, and the logits as of a model that is `temperature` times as sure."""
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (number, 3))
    chances = np.exp(log_softmax(logits, axis=1))
    right = np.array([rng.choice(3, p=row) for row in chances])
    return log_softmax(logits * temperature, axis=1), right


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_the_temperature_is_found_again_and_mends_the_calibration(temperature):
    logs, right = drawn(4000, temperature)
    found = fitted_temperature(logs, right)
    assert found == pytest.approx(temperature, rel=0.1)
    mended = tempered(logs, found)
    assert (mended.argmax(axis=1) == logs.argmax(axis=1)).all()
    assert np.allclose(np.exp(mended).sum(axis=1), 1)
    assert expected_calibration_error(mended, right).value < 0.03
    if temperature != 1:
        assert brier_score(mended, right).value < brier_score(logs, right).value
        assert expected_calibration_error(logs, right).value > 0.08


@given(answers(), st.floats(0.02, 50))
def test_no_temperature_makes_the_held_out_labels_more_likely(given_answers, other):
    logs, right = given_answers
    rows = np.arange(len(right))

    def likelihood(temperature):
        return tempered(logs, temperature)[rows, right].mean()

    assert likelihood(fitted_temperature(logs, right)) >= likelihood(other) - 1e-6


def test_intervals_hold_the_value():
    logs, right = drawn(300, 2.0)
    measure = brier_score(logs, right)
    found = interval(measure.counts, measure.reduce, samples=300)
    assert found.low < measure.value < found.high


def test_what_does_not_fit_is_refused():
    logs = np.log(np.full((2, 2), 0.5))
    for measure in (brier_score, expected_calibration_error, fitted_temperature):
        with pytest.raises(AdaptransError, match="2 answers and 1 right"):
            measure(logs, np.array([0]))
    with pytest.raises(AdaptransError, match="held-out"):
        fitted_temperature(logs[:0], np.array([], dtype=int))
