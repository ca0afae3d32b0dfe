"""A task that has nothing but labels, and texts in many scripts."""

from types import SimpleNamespace

import pytest
from hypothesis import strategies as st

# What makes offsets and word ids hard: scripts without spaces, right-to-left marks, characters of no
# width, combining marks, characters that normalization splits or joins, emoji of several characters.
HARD = [
    "the cat", "Würde", "e\u0301te\u0301", "ﬁn", "½", "北京大学", "人人生而自由，", "図書館", "도서관",
    "ทำงาน", "มนุษย์ทั้งหลาย", "الناس", "أحرا\u0651را", "\u200fمكتبة\u200e", "व्यक्ति",
    "a\u200bb", "10\u00a0000", "\u3000",
    "😀", "👨\u200d👩\u200d👧", "a\u0327\u0301", "“q”", ".", "3.5", " ", "  ", "\n", "Z",
]  # fmt: skip


@pytest.fixture(scope="session")
def tokenizer(tiny_backbone):
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(str(tiny_backbone))


@pytest.fixture(scope="session")
def task():
    """`task("A", "B")`: all that `encode` needs of a task."""
    return lambda *labels, tag_on="first_piece": SimpleNamespace(
        labels=labels, labels_from=None, tag_on=tag_on
    )


@pytest.fixture(scope="session")
def hard_texts():
    """Strategy: texts of hard pieces, stripped, not empty."""
    joined = st.lists(st.sampled_from(HARD), min_size=1, max_size=60).map("".join)
    return joined.map(str.strip).filter(bool)


@pytest.fixture(scope="session")
def hard_words():
    """Strategy: words of hard pieces, without white space at their ends, not empty."""
    joined = st.lists(st.sampled_from(HARD), min_size=1, max_size=4).map("".join)
    return joined.map(str.strip).filter(bool)


@pytest.fixture
def no_warnings(tokenizer, caplog, monkeypatch):
    """Fails a test during which transformers warned about anything."""
    import logging

    # It warns of long texts once per tokenizer and notes here that it did.
    tokenizer.deprecation_warnings.clear()
    monkeypatch.setattr(logging.getLogger("transformers"), "propagate", True)
    yield
    assert [record.message for record in caplog.get_records("call")] == []
