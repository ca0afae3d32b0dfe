import pytest

from adaptrans.errors import DataError
from adaptrans.tasks.readers.conll import read_columns, read_conllu


def conllu(*tokens):
    lines = ["# text = x"]
    for token in tokens:
        number, form, tag = token.split("/")
        lines.append("\t".join([number, form, "_", tag, *["_"] * 6]))
    return "\n".join(lines) + "\n\n"


def read(tmp_path, text, **options):
    path = tmp_path / "x.conllu"
    path.write_text(text, encoding="utf-8")
    return list(read_conllu(path, **options))


def test_multi_word_tokens_stand_as_fused_forms(tmp_path):
    text = conllu("1/Il/PRON", "2/va/VERB", "3-4/au/_", "3/à/ADP", "4/le/DET", "4.1/x/VERB", "5/parc/NOUN")
    (row,) = read(tmp_path, text, lang="fr")
    assert row.values["words"] == ["Il", "va", "au", "parc"]
    assert row.values["tags"] == ["PRON", "VERB", "ADP", "NOUN"]
    assert row.values["lines"] == [2, 3, 4, 8]
    assert row.line == 2


@pytest.mark.parametrize(
    ("lang", "tags", "expected"),
    [("default", ("ADP", "NOUN"), "NOUN"), ("fr", ("NOUN", "AUX"), "AUX"),
     ("default", ("NOUN", "AUX"), "NOUN"), ("es", ("DET", "PRON"), "PRON"),
     ("es", ("NOUN", "ADJ"), "NOUN"), ("es", ("NOUN", "DET"), "DET"),
     ("it", ("PRON", "ADV"), "ADV")],
)  # fmt: skip
def test_the_tag_of_a_fused_form_is_the_preferred_one(tmp_path, lang, tags, expected):
    text = conllu("1-2/ab/_", f"1/a/{tags[0]}", f"2/b/{tags[1]}")
    assert read(tmp_path, text, lang=lang)[0].values["tags"] == [expected]


def test_zero_width_non_joiner_and_spaces_are_removed(tmp_path):
    assert read(tmp_path, conllu("1/می\u200cرود 1 000/VERB"))[0].values["words"] == ["میرود1000"]


@pytest.mark.parametrize(
    ("forms", "kept"),
    [("a_b", True), ("ab_", True), ("__a", False), ("___", False), ("_", False), ("_a", False)],
)
def test_sentences_of_missing_words_are_left_out(tmp_path, forms, kept):
    text = conllu(*(f"{number}/{form}/X" for number, form in enumerate(forms, 1)))
    (row,) = read(tmp_path, text)
    assert (row.values is not None) == kept


def test_damage_names_the_line(tmp_path):
    good = conllu("1/a/X")
    for text, message in [
        (good + "1\ta\tX\n", "expected 10 columns, found 3"),
        (good + conllu("2/a/X")[11:], 'token id "2" does not follow 0'),
    ]:
        with pytest.raises(DataError, match=message) as info:
            read(tmp_path, text)
        assert info.value.line == 4


def test_a_bad_line_spoils_its_sentence_only(tmp_path):
    noted = []
    rows = read(tmp_path, "1\ta\n\n" + conllu("1/b/X"), problem=noted.append)
    assert [row.values["words"] for row in rows] == [["b"]]
    assert len(noted) == 1


@pytest.mark.parametrize(
    ("treebank", "lang", "words", "tags"),
    [("Spanish-GSD", "es", 1400, 1339), ("French-GSD", "fr", 1446, 1137), ("German-GSD", "de", 794, 402),
     ("Telugu-MTG", "te", 131, 131), ("Greek-GDT", "el", 403, 272), ("Finnish-TDT", "fi", 1364, 1349)],
)  # fmt: skip
def test_words_equal_those_of_xtreme(data_folder, treebank, lang, words, tags):
    """The dev sets of newer treebanks against XTREME's files of UD 2.5, which were made by the reference.

    Tags were revised between the releases, words hardly.
    """
    reference = {
        tuple(row.values["words"]): row.values["tags"]
        for row in read_columns(data_folder / f"udpos/dev-{lang}.tsv.gz")
    }
    (path,) = (data_folder / f"ud/UD_{treebank}").glob("*-dev.conllu.gz")
    found = [row.values for row in read_conllu(path, lang=lang)]
    same = [row for row in found if tuple(row["words"]) in reference]
    assert len(same) >= words
    assert sum(row["tags"] == reference[tuple(row["words"])] for row in same) >= tags
