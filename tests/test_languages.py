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
    assert languages.get("zh").iso3 == "zho"
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


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("iw", "he"), ("in", "id"), ("jw", "jv"), ("ger", "de"), ("per", "fa"), ("pes", "fa"), ("PES", "fa"),
        ("pt_BR", "pt"), ("pt-BR", "pt"), ("es-419", "es"), ("deu_Latn", "de"), ("zh-Hant", "zh"),
        ("zh-Hans-CN", "zh"), ("de_DE.UTF-8", "de"), ("Hindi", "hi"), ("swh_Latn", "sw"),
    ],
)  # fmt: skip
def test_the_language_that_is_meant_is_suggested(text, code):
    assert languages.meant(text).code == code
    known = ["de", "es", "fa", "he", "hi", "id", "jv", "pt", "sw", "tr", "vi", "zh"]
    told = str(languages.unknown("language of x", text, known))
    assert told == f'unknown language of x "{text}"; did you mean "{code}"?'


def test_the_code_of_a_language_is_never_taken_for_a_slip():
    told = str(languages.unknown("language", "pes", ["de", "es"]))
    assert told == 'unknown language "pes"; choose from de, es (pes is Persian)'
    # Pairs, and codes that a task has made up, are no language's.
    assert languages.meant("de-en") is None
    assert 'did you mean "de-en"' in str(languages.unknown("language", "de-em", ["de-en", "fr-en"]))
    # A task may have the three-letter code.
    assert 'did you mean "deu"' in str(languages.unknown("language", "de", ["deu", "eng"]))


def test_former_codes_hide_no_language():
    assert not set(languages._FORMER) & set(languages._by_any_code())
    assert set(languages._FORMER.values()) <= set(languages.table())
