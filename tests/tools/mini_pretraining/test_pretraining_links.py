import numpy as np
import pytest
from mini_pretraining import batches, links, static
from mini_pretraining.config import changed, parse

from adaptrans.errors import ConfigError

LINKS = {"share": 0.3, "pairs": 8, "length": 3, "layer": 1}


def made_up(count: int, seed: int = 4) -> list[tuple[np.ndarray, np.ndarray]]:
    """Sentences whose pieces 10 to 29 translate to 40 to 59 in another order, most with 30 and 60."""
    rng = np.random.default_rng(seed)
    pairs = []
    for _ in range(count):
        words = rng.choice(np.arange(10, 30), size=5, replace=False)
        often = [30] if rng.random() < 0.8 else []
        other = rng.permutation(words) + 30
        pairs.append((np.concatenate([words, often]).astype(int), np.append(other, [60] * len(often))))
    return pairs


def test_links_find_the_lexicon_and_the_word_of_most_sentences():
    pieces, counts = links.linked(made_up(150), 100)
    found = {(int(a), int(b)): int(n) for (a, b), n in zip(pieces, counts, strict=True)}
    assert {(n, n + 30) for n in range(10, 30)} <= set(found)
    assert found[30, 60] == pytest.approx(120, abs=15)
    wrong = sum(n for (a, b), n in found.items() if b != a + 30)
    assert wrong < 0.02 * sum(found.values())


def test_probabilities_of_a_choosing_piece_sum_to_one():
    held = links.cells(made_up(5), 100)
    for given, choosing in ((0, held.right), (1, held.left)):
        sums = np.bincount(choosing, weights=links.posterior(held, given))
        assert np.allclose(sums, 1)


def test_equal_pieces_and_rare_ones_are_no_links():
    pairs = [(np.array([n, 9]), np.array([n + 10, 9])) for n in (5, 6, 7)]
    assert len(links.linked(pairs * (links.LEAST - 1), 20)[0]) == 0
    pieces, counts = links.linked(pairs * 4, 20)
    assert pieces.tolist() == [[5, 15], [6, 16], [7, 17]]
    assert counts.tolist() == [4, 4, 4]
    assert len(links.linked([], 10)[0]) == 0


@pytest.fixture
def linking(values):
    values["objectives"] = {**values["objectives"], "links": {**LINKS, "begins": 5}}
    return parse(values, "tiny")


def test_links_of_a_store_translate(shared, linking):
    from mini_pretraining import store

    _, text, tokenizer, plain = shared
    assert not plain.links.pairs
    data = store.build(text, linking, tokenizer)
    assert store.fingerprint(data) == store.fingerprint(plain)
    assert data.links.pairs == (("en", "de"), ("en", "sw"))
    batch = batches.links_batch(data, linking, 9)
    assert batch.ids.shape == (16, 3)
    pairs = {
        tuple(tokenizer.decode([int(i)]) for i in sides)
        for sides in zip(batch.ids[:8, 1], batch.ids[8:, 1], strict=True)
    }
    known = {pair for found in text.dictionary for pair in found.pairs}
    assert len(pairs) > 3
    assert pairs <= known | {(b, a) for a, b in known}
    drawn = static.draws(data, changed(linking, static={"steps": 1, "links": {"count": 4}}))
    assert len(drawn["links"](np.random.default_rng(1)).offsets) == 9


def test_objective_that_begins_later(values, linking):
    before = parse(
        {**values, "objectives": {k: v for k, v in values["objectives"].items() if k != "links"}}, ""
    )
    drawn = [batches.objective_at(linking, step) for step in range(60)]
    assert drawn[:5] == [batches.objective_at(before, step) for step in range(5)]
    assert "links" in drawn[5:]
    assert linking.objectives.shares(4) == before.objectives.shares()
    assert sum(linking.objectives.shares().values()) == pytest.approx(1)
    values["objectives"] = {"masked": {"share": 0}, "links": {**LINKS, "begins": 1}}
    with pytest.raises(ConfigError, match="none begins at step 0"):
        parse(values, "tiny")


def test_boundaries_before_pieces_of_some_languages(shared, values):
    data = shared[3]
    special = data.special
    assert special.boundary > 0
    ids = data.streams["sw"][3]
    found = batches.spaced(ids, special, 1.0, np.random.default_rng(1))
    assert found[found != special.boundary].tolist() == ids[ids != special.boundary].tolist()
    inner = ~special.word_starts[found]
    assert (found[np.flatnonzero(inner) - 1] == special.boundary).all()
    plan = parse({**values, "spacing": {"languages": ["sw"], "share": 1, "pieces": 1, "begins": 7}}, "tiny")
    plain = parse(values, "tiny")
    for build in (batches.masked_batch, batches.translation_batch, batches.contrastive_batch):
        assert (build(data, plan, 6).ids == build(data, plain, 6).ids).all()
        later = [build(data, plan, step).ids for step in range(7, 11)]
        usual = [build(data, plain, step).ids for step in range(7, 11)]
        shares = [np.mean([(i == special.boundary).mean() for i in found]) for found in (later, usual)]
        assert shares[0] > shares[1]
