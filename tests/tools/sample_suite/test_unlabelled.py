import pytest
from sample_suite import suite, unlabelled

from adaptrans.errors import ConfigError


@pytest.fixture(scope="module")
def lines():
    return unlabelled.parallel(60, seed=1, languages=("en", "sw", "zh"))


def test_lines_are_parallel_new_and_the_same_every_time(lines):
    assert {name: len(found) for name, found in lines.items()} == {"en": 60, "sw": 60, "zh": 60}
    assert len({unlabelled.normal(line) for line in lines["en"]}) == 60
    assert unlabelled.parallel(60, seed=1, languages=("en", "sw", "zh")) == lines
    assert unlabelled.parallel(60, seed=2, languages=("en", "sw", "zh")) != lines


def test_nothing_of_the_test_data(lines):
    forbidden = unlabelled.held_out(("en", "sw", "zh"))
    for language, found in lines.items():
        assert not {(language, unlabelled.normal(line)) for line in found} & forbidden
    texts = dict(suite.files(("en", "sw")))
    tested = [line for line in texts["retrieval/sw-en.sw"].splitlines() if line]
    tested += [column for row in texts["nli/test-sw.tsv"].splitlines() for column in row.split("\t")[:2]]
    for sentence in tested:
        assert ("sw", unlabelled.normal(sentence)) in forbidden


def test_more_than_there_are(monkeypatch):
    monkeypatch.setattr(unlabelled, "_TRIES", 1)
    monkeypatch.setattr(unlabelled, "held_out", lambda languages: set())
    monkeypatch.setattr(unlabelled, "normal", lambda sentence: "the same")
    with pytest.raises(ConfigError, match="only 1 different sample sentences"):
        unlabelled.parallel(20, seed=1, languages=("en",))
