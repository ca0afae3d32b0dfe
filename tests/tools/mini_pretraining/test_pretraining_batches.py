import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mini_pretraining import batches, store, switching
from mini_pretraining.config import changed
from mini_pretraining.text import Dictionary

from adaptrans.task_types import masked_lm


def masked(ids, starts, **options):
    rng = np.random.default_rng(5)
    eligible = ids >= 4
    return masked_lm.mask_tokens(ids, eligible, starts, rng, mask=len(starts) - 1, first_piece=4, **options)


def test_masking_statistics():
    ids = np.random.default_rng(1).integers(4, 998, (500, 64))
    ids[:, 0], ids[:, -1] = 0, 2
    hidden, chosen = masked(ids, np.ones(1000, dtype=bool), rate=0.15)
    assert chosen.mean() * 64 / 62 == pytest.approx(0.15, abs=0.006)
    assert not chosen[:, 0].any()
    assert not chosen[:, -1].any()
    assert (hidden[~chosen] == ids[~chosen]).all()
    assert (hidden[chosen] == 999).mean() == pytest.approx(0.8, abs=0.02)
    assert (hidden[chosen] == ids[chosen]).mean() == pytest.approx(0.1, abs=0.02)
    assert hidden.min() == 0
    assert hidden[chosen].min() >= 4


def test_whole_words_are_masked_together():
    starts = np.arange(100) % 2 == 0
    ids = np.tile(np.array([0, 4, 5, 7, 6, 8, 9, 2]), (400, 1))
    _, chosen = masked(ids, starts, rate=0.3, whole_words=True)
    assert (chosen[:, 1] == chosen[:, 2]).all()
    assert (chosen[:, 2] == chosen[:, 3]).all()
    assert (chosen[:, 5] == chosen[:, 6]).all()
    assert chosen[:, 4].mean() == pytest.approx(0.3, abs=0.08)
    assert (chosen[:, 3] != chosen[:, 4]).any()


def test_long_runs_without_spaces_are_not_one_word():
    found = masked_lm.groups(np.array([[1] * 12]), np.array([False, False]), whole_words=True)
    assert np.bincount(found).tolist() == [5, 5, 2]


def test_a_batch_depends_on_seed_and_step_only(shared):
    plan, _, _, data = shared
    for step in range(20):
        first, second = (batches.batch_at(data, plan, step) for _ in range(2))
        assert first.objective == second.objective
        assert (first.ids == second.ids).all()
    other = batches.batch_at(data, changed(plan, seed=4), 0)
    assert (
        other.ids.shape != batches.batch_at(data, plan, 0).ids.shape
        or (other.ids != batches.batch_at(data, plan, 0).ids).any()
    )


def test_objectives_come_by_share(shared):
    plan = shared[0]
    drawn = [batches.objective_at(plan, step) for step in range(2000)]
    for name, share in plan.objectives.shares().items():
        assert drawn.count(name) / 2000 == pytest.approx(share, abs=0.04)


def test_length_stages(shared):
    plan = shared[0]
    assert [batches.length_at(plan, step) for step in (0, 5, 6, 1000)] == [16, 16, 32, 32]


def test_masked_batch_fits_its_budget(shared):
    plan, _, _, data = shared
    batch = batches.masked_batch(data, plan, 3)
    assert batch.ids.shape[0] == 16
    assert batch.ids.shape[1] <= 16
    assert (batch.ids[:, 0] == data.special.start).all()
    assert len(batch.targets) == batch.chosen.sum()
    assert (batch.targets >= data.special.first_piece).all()


def test_translation_segments(shared):
    plan, _, _, data = shared
    batch = batches.translation_batch(data, plan, 8)
    assert batch.ids.size <= plan.tokens
    full = batch.ids.copy()
    full[batch.chosen] = batch.targets
    known = {
        tuple(lines[i][:14].tolist())
        for corpus in data.sentences.tuples
        for lines in corpus.sentences.values()
        for i in range(len(lines))
    }
    for row, attention in zip(full, batch.attention, strict=True):
        row = row[attention].tolist()
        middle = row.index(data.special.end)
        assert row[middle + 1] == data.special.end
        assert row[-1] == data.special.end
        assert tuple(row[1:middle]) in known
        assert tuple(row[middle + 2 : -1]) in known


def test_contrastive_rows_are_translations(shared):
    plan, _, _, data = shared
    batch = batches.contrastive_batch(data, plan, 2)
    assert batch.ids.shape[0] == 16
    meanings = {}
    for corpus in data.sentences.tuples:
        for lines in corpus.sentences.values():
            for i in range(len(lines)):
                meanings.setdefault(tuple(lines[i][:14].tolist()), set()).add(i)
    rows = [tuple(r[a].tolist()[1:-1]) for r, a in zip(batch.ids, batch.attention, strict=True)]
    for left, right in zip(rows[:8], rows[8:], strict=True):
        assert meanings[left] & meanings[right]
    assert batch.ignored.diagonal().all()


def test_held_out_rows_are_never_drawn(shared):
    data = shared[3]
    trained = {tuple(row) for rows in data.sentences.rows for row in rows.tolist()}
    held = {tuple(row) for rows in data.held_sentences.rows for row in rows.tolist()}
    assert held
    assert not trained & held
    assert all(row % 10 == 9 for _, row in held)


def test_empty_lines_are_no_pairs(shared):
    table = shared[3].sentences
    for pair, rows in zip(table.pairs, table.rows, strict=True):
        assert ([0, 5] in rows.tolist()) == ("sw" not in pair)


def test_pivot_share(shared):
    plan, _, _, data = shared
    english = data.sentences.tuples[0].sentences["en"]
    known = {lines.tobytes() for lines in (english[i] for i in range(len(english)))}
    drawn = batches.draw_pairs(data.sentences, plan, 2000, np.random.default_rng(2))
    share = np.mean([a.tobytes() in known or b.tobytes() in known for a, b, _ in drawn])
    assert share == pytest.approx(0.7, abs=0.05)


def test_words_are_switched_in_both_directions(shared):
    _, _, tokenizer, data = shared
    encode = lambda text: np.array(tokenizer.encode(text, add_special_tokens=False).ids)  # noqa: E731
    starts, rng = data.special.word_starts, np.random.default_rng(0)
    there = switching.switch_words(encode("house dog."), starts, data.switch["en"]["de"], 1.0, rng)
    assert tokenizer.decode(there.tolist()) == "Haus Hund."
    back = switching.switch_words(encode("mkate njia"), starts, data.switch["sw"]["en"], 1.0, rng)
    assert tokenizer.decode(back.tolist()) == "bread road"


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 9), min_size=1, max_size=30), st.integers(0, 99))
def test_nothing_is_lost_where_no_word_is_known(ids, seed):
    starts = np.arange(10) % 3 == 0
    sequence = np.array(ids, dtype=np.int32)
    rng = np.random.default_rng(seed)
    assert switching.switch_words(sequence, starts, {}, 1.0, rng).tolist() == ids


def test_words_have_pairs_of_two_languages_without_a_dictionary(shared):
    _, _, tokenizer, data = shared
    rows = dict(zip(data.words.pairs, data.words.rows, strict=True))
    assert set(rows) == {("en", "de"), ("en", "sw"), ("de", "sw")}
    texts = set()
    for corpus, row in rows["de", "sw"].tolist():
        sides = (data.words.tuples[corpus].sentences[name][row].tolist() for name in ("de", "sw"))
        texts.add(tuple(tokenizer.decode(side) for side in sides))
    assert {("Haus", "nyumba"), ("Haus", "Nyumba"), ("Buch", "kitabu")} <= texts


def test_held_out_words_are_in_no_training_data(shared):
    _, _, tokenizer, data = shared

    def texts(table):
        return {
            tokenizer.decode(table.tuples[corpus].sentences["en"][row].tolist())
            for pair, rows in zip(table.pairs, table.rows, strict=True)
            for corpus, row in rows.tolist()
            if "en" in pair
        }

    assert texts(data.held_words) == {"river"}
    assert "river" not in texts(data.words)
    known = {tokenizer.decode(list(word)) for word in data.switch["en"]["de"]}
    assert "house" in known
    assert "river" not in known


def test_words_with_several_translations_have_several_rows(shared):
    tokenizer = shared[2]
    pairs = (("house", "Haus"), ("house", "Weg"), ("dog", "Hund"))
    found = [
        Dictionary("d", "en", "de", pairs),
        Dictionary("d", "en", "sw", (("house", "nyumba"),)),
    ]
    small, capital = store._word_tuples(found, tokenizer)
    rows = [
        [tokenizer.decode(small.sentences[name][i].tolist()) for name in ("en", "de", "sw")] for i in range(3)
    ]
    assert rows == [["house", "Haus", "nyumba"], ["house", "Weg", "nyumba"], ["dog", "Hund", ""]]
    assert small.groups.tolist() == capital.groups.tolist() == [0, 0, 1]
    assert tokenizer.decode(capital.sentences["en"][0].tolist()) == "House"
