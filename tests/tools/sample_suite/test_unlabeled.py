import pytest
from sample_suite import suite, unlabeled

from adaptrans.errors import ConfigError


@pytest.fixture(scope="module")
def lines():
    return unlabeled.parallel(60, seed=1, languages=("en", "sw", "zh"))


def test_lines_are_parallel_new_and_the_same_every_time(lines):
    assert {name: len(found) for name, found in lines.items()} == {"en": 60, "sw": 60, "zh": 60}
    assert len({unlabeled.normal(line) for line in lines["en"]}) == 60
    assert unlabeled.parallel(60, seed=1, languages=("en", "sw", "zh")) == lines
    assert unlabeled.parallel(60, seed=2, languages=("en", "sw", "zh")) != lines


def test_nothing_of_the_test_data(lines):
    forbidden = unlabeled.held_out(("en", "sw", "zh"))
    for language, found in lines.items():
        assert not {(language, unlabeled.normal(line)) for line in found} & forbidden
    texts = dict(suite.files(("en", "sw")))
    tested = [line for line in texts["retrieval/sw-en.sw"].splitlines() if line]
    tested += [column for row in texts["nli/test-sw.tsv"].splitlines() for column in row.split("\t")[:2]]
    for sentence in tested:
        assert ("sw", unlabeled.normal(sentence)) in forbidden


def test_more_than_there_are(monkeypatch):
    monkeypatch.setattr(unlabeled, "_TRIES", 1)
    monkeypatch.setattr(unlabeled, "held_out", lambda languages: set())
    monkeypatch.setattr(unlabeled, "normal", lambda sentence: "the same")
    with pytest.raises(ConfigError, match="only 1 different sample sentences"):
        unlabeled.parallel(20, seed=1, languages=("en",))
