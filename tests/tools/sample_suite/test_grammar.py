"""Sentences whose form is known, one trap each."""

from __future__ import annotations

import pytest
from sample_suite import world
from sample_suite.generate import causes
from sample_suite.grammar import LANGUAGES, grammar
from sample_suite.lexicon import read_lexicon, read_rows
from sample_suite.model import NP, Event

from adaptrans.errors import DataError, UnknownNameError

ANNA, OMAR = NP("anna", "name"), NP("omar", "name")

CASES = [
    ("en", Event("eat", ANNA, NP("orange", "indef"), negative=True), "Anna did not eat an orange."),
    ("en", Event("see", ANNA, NP("animal", "indef"), negative=True), "Anna did not see any animal."),
    ("en", Event("read", NP("cook"), NP("book", "indef"), present=True), "The cook reads a book."),
    # separable verb, weak noun, verb second, "kein", dative
    ("de", Event("invite", ANNA, NP("student"), time="monday", front="time"),
     "Am Montag lud Anna den Studenten ein."),
    ("de", Event("buy", OMAR, NP("hat", "indef", "red"), negative=True), "Omar kaufte keinen roten Hut."),
    ("de", Event("help", OMAR, NP("teacher"), negative=True), "Omar half der Lehrerin nicht."),
    ("de", Event("rest", OMAR, place="park", front="place"), "Im Park ruhte sich Omar aus."),
    # contraction, personal a, clitic, e before i
    ("es", Event("help", ANNA, NP("doctor")), "Anna ayudó al médico."),
    ("es", Event("give", ANNA, NP("key", "indef", "small"), OMAR), "Anna le dio una llave pequeña a Omar."),
    ("es", Event("sleep", NP("anna", "name", also=NP("ivan", "name"))), "Anna e Iván durmieron."),
    # partitive, elision, agreement with être, "de" after negation, before a vowel
    ("fr", Event("drink", OMAR, NP("water", "mass")), "Omar a bu de l'eau."),
    ("fr", Event("drink", OMAR, NP("milk", "mass"), negative=True), "Omar n'a pas bu de lait."),
    ("fr", Event("rest", ANNA, negative=True), "Anna ne s'est pas reposée."),
    ("fr", Event("call", ANNA, NP("boy")), "Anna a téléphoné au garçon."),
    ("fr", Event("lose", ANNA, NP("camera", "indef", "old")), "Anna a perdu un vieil appareil photo."),
    ("id", Event("buy", ANNA, NP("horse", "two")), "Anna membeli dua ekor kuda."),
    ("id", Event("buy", ANNA, NP("hat", "indef", "red"), negative=True), "Anna tidak membeli topi merah."),
    # aspect under negation, dative, numerals, animate accusative
    ("ru", Event("open", ANNA, NP("window"), negative=True), "Анна не открывала окно."),
    ("ru", Event("help", ANNA, OMAR), "Анна помогла Омару."),
    ("ru", Event("buy", OMAR, NP("hat", "two")), "Омар купил две шляпы."),
    ("ru", Event("buy", OMAR, NP("chair", "five")), "Омар купил пять стульев."),
    ("ru", Event("travel", ANNA, source="rome", goal="lima"), "Анна отправилась из Рима в Лиму."),
    # concords, object marker, habit
    ("sw", Event("buy", ANNA, NP("book", "indef", "red")), "Anna alinunua kitabu chekundu."),
    ("sw", Event("buy", ANNA, NP("egg", "three")), "Anna alinunua mayai matatu."),
    ("sw", Event("help", NP("nurse", "two"), OMAR), "Wauguzi wawili walimsaidia Omar."),
    ("sw", Event("eat", OMAR, NP("cake", "indef"), negative=True), "Omar hakula keki."),
    ("sw", Event("drink", NP("cat"), NP("milk", "mass"), time="every_day", present=True),
     "Paka hunywa maziwa kila siku."),
    # object marking, dotted capital, singular after a numeral
    ("tr", Event("open", OMAR, NP("door")), "Omar kapıyı açtı."),
    ("tr", Event("buy", OMAR, NP("bag", "indef", "red")), "Omar kırmızı bir çanta satın aldı."),
    ("tr", Event("eat", NP("engineer", "two"), NP("apple", "three")), "İki mühendis üç elma yedi."),
    ("tr", Event("see", ANNA, OMAR), "Anna, Omar'ı gördü."),
    ("zh", Event("buy", ANNA, NP("bicycle", "indef", "new"), place="market"),
     "安娜在市场上买了一辆新自行车。"),
    ("zh", Event("give", ANNA, NP("book", "indef"), OMAR), "安娜给了奥马尔一本书。"),
    ("zh", Event("help", ANNA, OMAR, place="park", negative=True), "安娜没有在公园里帮助奥马尔。"),
]  # fmt: skip


@pytest.mark.parametrize(("language", "event", "expected"), CASES)
def test_sentences(language, event, expected):
    words = grammar(language)
    assert words.text(words.sentence(event)) == expected


QUESTIONS = [
    ("en", "where", "Where did Anna help the doctor on Monday?"),
    ("de", "whom", "Wem half Anna am Montag im Park?"),
    ("es", "whom", "¿A quién ayudó Anna en el parque el lunes?"),
    ("fr", "when", "Quand est-ce qu'Anna a aidé le médecin au parc\u00a0?"),
    ("id", "whom", "Siapa yang dibantu oleh Anna di taman pada hari Senin?"),
    ("ru", "whom", "Кому Анна помогла в парке в понедельник?"),
    ("sw", "when", "Anna alimsaidia daktari katika bustani ya umma lini?"),
    ("tr", "whom", "Anna pazartesi günü parkta kime yardım etti?"),
    ("zh", "where", "安娜星期一在哪里帮助了医生？"),
]


@pytest.mark.parametrize(("language", "slot", "expected"), QUESTIONS)
def test_questions(language, slot, expected):
    event = Event("help", ANNA, NP("doctor"), place="park", time="monday")
    assert grammar(language).ask(event, slot) == expected


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_concept_has_its_forms(language):
    rows = read_lexicon(language).rows
    english = read_lexicon("en").rows
    for kind in (
        "noun",
        "verb",
        "adjective",
        "place",
        "city",
        "name",
        "surname",
        "org",
        "time",
        "number",
        "cause",
    ):
        assert rows[kind].keys() == english[kind].keys(), kind
        widths = {len(forms) for concept, forms in rows[kind].items()}
        if kind not in {"number", "noun"}:
            assert len(widths) == 1, (kind, widths)
    assert set(causes.THEMES) == set(rows["cause"])
    assert set(world.NAMES) == set(rows["name"])
    assert set(world.CITIES) == set(rows["city"])


def test_gender_of_the_person_runs_through_causes():
    assert causes.filled("{S} [забыл|забыла] зонт.", "f", "она", grammar("ru")) == "Она забыла зонт."
    assert causes.filled("{S} işe geç kaldı.", "f", "", grammar("tr")) == "İşe geç kaldı."


def test_wrong_choices_share_no_theme():
    for name, themes in causes.THEMES.items():
        assert any(not themes & other for other in causes.THEMES.values()), name


def test_an_unknown_language_is_refused():
    with pytest.raises(UnknownNameError, match='unknown sample language "dee"'):
        grammar("dee")


def test_a_short_row_is_named_with_its_line(tmp_path):
    path = tmp_path / "xx.tsv"
    path.write_text("# words\nnoun\tdog\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"xx\.tsv:2: expected 3 or more columns, found 2"):
        list(read_rows(path))
