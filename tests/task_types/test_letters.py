"""Where pieces begin and end as whole letters."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers

from adaptrans.task_types.letters import Blanks, continues, whole_letters

# As XLM-R's own normalizer: marks are joined, characters of no width are spaces, control characters go.
XLMR = normalizers.Sequence(
    [
        normalizers.Replace(Regex("[\u0001-\u0008\u000b\u000e-\u001f]"), ""),
        normalizers.Replace(Regex("[\u200b-\u200f\u2581\ufeff\ufffd]"), " "),
        normalizers.NFKC(),
        normalizers.Replace(Regex(" {2,}"), " "),
    ]
)
PLAIN = normalizers.Sequence(
    [normalizers.NFKC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Strip()]
)


def offsets_of(text, normalizer, pieces=()):
    """Offsets of a SentencePiece-like tokenizer with these pieces, else single characters."""
    vocabulary = [("<unk>", 0.0), *((piece, -1.0) for piece in pieces)]
    seen = {c for c in normalizer.normalize_str(text) if c != " "} | {"▁"}
    tokenizer = Tokenizer(models.Unigram([*vocabulary, *((c, -20.0) for c in sorted(seen - set(pieces)))], 0))
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    encoded = tokenizer.encode(text)
    return encoded.tokens, encoded.offsets


def texts(text, normalizer, pieces=()):
    tokens, offsets = offsets_of(text, normalizer, pieces)
    found = whole_letters(text, offsets, Blanks(normalizer))
    return dict(zip(tokens, (text[start:end] for start, end in found), strict=True))


def test_a_piece_takes_in_the_marks_that_normalization_joined_to_its_last_letter():
    for normalizer in (XLMR, PLAIN):
        found = texts("la Jose\u0301 e", normalizer, ["▁Jos\u00e9"])
        assert found["▁Jos\u00e9"] == "Jose\u0301"
        found = texts("ăn pho\u031b\u0309 ngon", normalizer, ["▁ph\u1edf"])
        assert found["▁ph\u1edf"] == "pho\u031b\u0309"
        found = texts("\u1112\u1161\u11ab\u1100\u116e\u11a8 x", normalizer, ["▁\ud55c"])
        assert found["▁\ud55c"] == "\u1112\u1161\u11ab"
        assert found["\uad6d"] == "\u1100\u116e\u11a8"
        # Half-width kana with its voiced sound mark.
        assert texts("\uff76\uff9e\uff72 x", normalizer)["\u30ac"] == "\uff76\uff9e"


def test_characters_without_width_are_cut_off_where_the_tokenizer_sees_a_space():
    for blank in "\u200b\u200e\u200f\ufeff":
        assert (
            texts(f"in {blank}Erg\u00e4nzung", XLMR, ["▁Erg\u00e4nzung"])["▁Erg\u00e4nzung"]
            == "Erg\u00e4nzung"
        )
    # Elsewhere they are text, with pieces of their own.
    assert texts("a\u200bb", PLAIN)["\u200b"] == "\u200b"


def test_marks_that_are_a_piece_of_their_own_belong_to_the_letter_before_them():
    text = "मूर्ति में"
    pieces = [(0, 4), (4, 6), (6, 8)]
    assert [text[a:b] for a, b in pieces] == ["मूर्", "ति", " म"]
    assert [text[a:b] for a, b in whole_letters(text, pieces, Blanks(None))] == ["मूर्", "ति", "में"]
    text = "কলিকাতার"
    assert [text[a:b] for a, b in whole_letters(text, [(0, 4), (4, 6), (6, 8)], Blanks(None))] == [
        "কলিকা", "তা", "র",
    ]  # fmt: skip
    # Vowel and final consonant of a syllable that is not joined: nothing begins in its middle.
    text = "\u1112\u1161\u11ab\u1100"
    assert whole_letters(text, [(0, 1), (1, 2), (2, 3), (3, 4)], Blanks(None)) == [
        (0, 3), (3, 3), (3, 3), (3, 4),
    ]  # fmt: skip


def test_a_joiner_belongs_to_a_virama_only():
    telugu = "లాల్\u200c లో"
    assert whole_letters(telugu, [(0, 4), (5, 8)], Blanks(XLMR))[0] == (0, 5)
    # In Persian it parts a word from its ending.
    assert whole_letters("کتاب\u200cها", [(0, 4), (4, 7)], Blanks(XLMR)) == [(0, 4), (5, 7)]


def test_pieces_of_one_character_keep_it():
    assert texts("a \u00bd b", PLAIN)["\u2044"] == "\u00bd"
    assert texts("ดื่ม น้ำ", PLAIN, ["▁น้\u0e4d"])["▁น้\u0e4d"] == "น้ำ"


def test_nothing_is_taken_of_a_blank_piece():
    text = "Maria \u200b was"
    offsets = [(0, 5), (5, 7), (7, 11)]
    found = whole_letters(text, offsets, Blanks(XLMR))
    assert text[found[0][0] : found[1][1]] == "Maria"
    assert text[found[1][0] : found[2][1]] == "was"
    assert text[found[1][0] : found[1][1]] == ""


HARD = st.text(
    st.sampled_from(
        "ab é\u0301\u0323\u031b\u200b\u200c\u200d\ufeff\u3000 ½…ｶﾞ한\u1112\u1161\u11abकि्षनि้ำน👩\n\u0007"
    ),
    max_size=30,
)


@given(HARD, st.sampled_from([XLMR, PLAIN]))
def test_answers_begin_and_end_with_whole_letters(text, normalizer):
    _, offsets = offsets_of(text, normalizer)
    blanks = Blanks(normalizer)
    found = whole_letters(text, offsets, blanks)
    assert len(found) == len(offsets)
    for (start, end), (first, _) in zip(found, offsets, strict=True):
        assert first <= start <= len(text)
        if start < end and not blanks[text[end - 1]]:
            assert end == len(text) or not continues(text, end)
            assert not blanks[text[start]]
    # Ends and starts never go back, so that a later piece never ends an answer earlier.
    ends = [end for _, end in found]
    assert ends == sorted(ends)


@pytest.mark.parametrize("form", ["NFC", "NFD", "NFKC", "NFKD"])
@given(text=st.text(st.characters(categories=("L", "M")), max_size=12))
def test_every_letter_of_any_form_is_of_some_piece(form, text):
    text = unicodedata.normalize(form, "x" + text)
    _, offsets = offsets_of(text, PLAIN)
    covered = set()
    for start, end in whole_letters(text, offsets, Blanks(PLAIN)):
        covered |= set(range(start, end))
    lost = [c for place, c in enumerate(text) if place not in covered and not Blanks(PLAIN)[c]]
    assert lost == []
