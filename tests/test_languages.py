import pytest

from adaptrans import languages
from adaptrans.errors import UnknownNameError

XTREME_R = [
    "af", "ar", "az", "bg", "bn", "de", "el", "en", "es", "et", "eu", "fa", "fi", "fr", "gu", "he",
    "hi", "ht", "hu", "id", "it", "ja", "jv", "ka", "kk", "ko", "lt", "ml", "mr", "ms", "my", "nl",
    "pa", "pl", "pt", "qu", "ro", "ru", "sw", "ta", "te", "th", "tl", "tr", "uk", "ur", "vi", "wo",
    "yo", "zh",
]  # fmt: skip


def test_covers_the_fifty_languages_of_xtreme_r_with_a_resource_class():
    assert len(XTREME_R) == 50
    for code in XTREME_R:
        language = languages.get(code)
        assert language.code == code
        assert language.resource_class in range(6)
        assert language.family
        assert len(language.script) == 4


def test_no_code_means_two_languages():
    seen = {}
    for language in languages.table().values():
        for code in {language.code, language.iso3, *language.others}:
            assert code not in seen, (code, seen[code], language.code)
            seen[code] = language.code
        assert len(language.iso3) == 3
        assert language.name
        assert language.own_name


@pytest.mark.parametrize(
    ("other", "code"),
    [
        ("cmn", "zh"),
        ("pes", "fa"),
        ("swh", "sw"),
        ("ell", "el"),
        ("ekk", "et"),
        ("zsm", "ms"),
        ("jap", "ja"),
        ("deu", "de"),
    ],
)
def test_other_codes_lead_to_the_same_language(other, code):
    assert languages.get(other).code == code


def test_three_letter_codes():
    assert languages.lang3("zh") == "zho"
    assert languages.get("zh").codes3 == ("zho", "cmn")
    assert languages.get("he").codes3 == ("heb",)


def test_xlmr_saw_a_hundred_languages_or_fewer_are_listed():
    seen = [language.code for language in languages.table().values() if language.in_xlmr]
    assert len(seen) <= 100
    assert {"sw", "ur", "zh", "qu"} - set(seen) == {"qu"}
    assert not languages.get("yo").in_xlmr
    assert not languages.get("ht").in_xlmr


def test_every_language_of_cc100_and_no_other_has_a_size():
    sizes = {code: language.cc100_gib for code, language in languages.table().items() if language.cc100_gib}
    assert set(sizes) == {code for code, language in languages.table().items() if language.in_xlmr}
    assert (sizes["en"], sizes["sw"], sizes["zh"], sizes["my"]) == (300.8, 1.6, 63.5, 2.0)
    # The table's five rows of romanised text, 2.1 GiB, belong to no language here.
    assert sum(sizes.values()) == pytest.approx(2_465.1)


def test_unknown_code_suggests_the_nearest_and_a_name_its_code():
    with pytest.raises(UnknownNameError, match="did you mean"):
        languages.get("enn")
    with pytest.raises(UnknownNameError, match='the code of german is "de"'):
        languages.get("german")
