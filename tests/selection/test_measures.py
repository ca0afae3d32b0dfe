"""Measures of transferability: values of slow twins, and the right order where the order is known."""

import math
from collections import Counter

import numpy as np
import pytest

from adaptrans.selection.h_score import h_score
from adaptrans.selection.leep import leep
from adaptrans.selection.logme import logme
from adaptrans.selection.nce import nce
from adaptrans.selection.probing import fitted, softmax
from adaptrans.selection.ranking import ndcg, ranked, regret


@pytest.fixture
def generator():
    return np.random.default_rng(0)


def test_leep_is_its_definition(generator):
    predictions, labels = softmax(generator.standard_normal((40, 3))), generator.integers(0, 4, 40)
    joint = {}
    for row, label in zip(predictions, labels, strict=True):
        for z, share in enumerate(row):
            joint[label, z] = joint.get((label, z), 0) + share / 40
    shares = [sum(joint.get((y, z), 0) for y in range(4)) for z in range(3)]
    expected = sum(
        math.log(sum(joint.get((label, z), 0) / shares[z] * row[z] for z in range(3)))
        for row, label in zip(predictions, labels, strict=True)
    )
    assert leep(predictions, labels) == pytest.approx(expected / 40)


def test_nce_is_its_definition(generator):
    sources, labels = generator.integers(0, 3, 60), generator.integers(0, 2, 60)
    pairs, ones = Counter(zip(sources, labels, strict=True)), Counter(sources)
    expected = sum(n / 60 * math.log(n / ones[z]) for (z, _), n in pairs.items())
    assert nce(sources, labels) == pytest.approx(expected)


def test_h_score_is_its_definition(generator):
    x, labels = generator.standard_normal((50, 4)), generator.integers(0, 3, 50)
    spread = np.cov(x, rowvar=False, bias=True)
    means = np.array([x[labels == label].mean(axis=0) for label in labels])
    expected = np.trace(np.linalg.inv(spread) @ np.cov(means, rowvar=False, bias=True))
    assert h_score(x, labels) == pytest.approx(expected)
    assert h_score(x @ generator.standard_normal((4, 4)), labels) == pytest.approx(expected)


@pytest.mark.parametrize("width", [3, 30])
def test_logme_is_the_highest_evidence_of_a_slow_twin(generator, width):
    from scipy.optimize import minimize
    from scipy.stats import multivariate_normal

    x = generator.standard_normal((24, width))
    labels = (x[:, 0] + 0.7 * generator.standard_normal(24) > 0).astype(int)
    values = []
    for label in (0, 1):
        y = (labels == label).astype(float)

        def negative(logs, y=y):
            alpha, beta = np.exp(logs)
            cover = x @ x.T / alpha + np.eye(24) / beta
            return -multivariate_normal(np.zeros(24), cover).logpdf(y) / 24

        values.append(-minimize(negative, [0.0, 0.0], method="Nelder-Mead").fun)
    assert logme(x, labels) == pytest.approx(np.mean(values), abs=2e-3)


def test_a_probe_is_at_the_lowest_loss(generator):
    x, labels = generator.standard_normal((60, 3)), generator.integers(0, 3, 60)
    probe = fitted(x, labels)
    scaled = (x - x.mean(axis=0)) / x.std(axis=0)

    def loss(weights):
        logits = scaled @ weights[:-1] + weights[-1]
        own = -np.log(softmax(logits)[np.arange(60), labels]).sum()
        return own + 0.5 * (weights[:-1] ** 2).sum()

    lowest = loss(probe.weights)
    for _ in range(20):
        assert loss(probe.weights + 0.05 * generator.standard_normal(probe.weights.shape)) > lowest


def test_measures_rank_sources_as_they_are_related(generator):
    # The target's label is a direction of the features; sources are labels of directions nearer and farther.
    x = generator.standard_normal((600, 8))
    target = (x[:, 0] > 0).astype(int)
    angles = {"near": 0.2, "middle": 0.8, "far": 1.3}
    found = {name: {} for name in ("leep", "nce", "logme", "h_score")}
    for name, angle in angles.items():
        source = (math.cos(angle) * x[:, 0] + math.sin(angle) * x[:, 1] > 0).astype(int)
        probe = fitted(x[:300], source[:300])
        logits, labels = probe.logits(x[300:]), target[300:]
        predicted = probe.probabilities(x[300:])
        found["leep"][name] = leep(predicted, labels)
        found["nce"][name] = nce(predicted.argmax(axis=1), labels)
        found["logme"][name] = logme(logits, labels)
        found["h_score"][name] = h_score(logits, labels)
    for values in found.values():
        assert ranked(values) == list(angles)


def test_regret_and_ndcg():
    worth = {"a": 50.0, "b": 40.0, "c": 45.0}
    assert regret(["b", "c", "a"], worth, 1) == pytest.approx(0.2)
    assert regret(["b", "c", "a"], worth, 2) == pytest.approx(0.1)
    assert regret(["b", "c", "a"], worth, 3) == 0
    assert ndcg(["a", "c", "b"], worth) == 1
    gains = 0 / math.log2(2) + 5 / math.log2(3) + 10 / math.log2(4)
    assert ndcg(["b", "c", "a"], worth) == pytest.approx(gains / (10 / math.log2(2) + 5 / math.log2(3)))
