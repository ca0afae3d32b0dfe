import subprocess
import sys

import pytest
import yaml

from adaptrans import languages
from adaptrans.errors import ConfigError, UnknownNameError
from adaptrans.tasks import catalogue

XTREME = {
    "xnli": "ar bg de el en es fr hi ru sw th tr ur vi zh",
    "pawsx": "de en es fr ja ko zh",
    "udpos": "af ar bg de el en es et eu fa fi fr he hi hu id it ja kk ko mr nl pt ru ta te th tl tr ur vi "
    "yo zh",
    "panx": "ar he vi id jv ms tl eu ml ta te af nl en de el bn hi mr ur fa fr it pt es bg ru ja ka ko th sw "
    "yo my zh kk tr et fi hu",
    "xquad": "en es de el ru tr ar vi th zh hi",
    "tydiqa": "en ar bn fi id ko ru sw te",
    "xcopa": "et ht id it qu sw ta th tr vi zh",
    "tatoeba": "ar he vi id jv tl eu ml ta te af nl de el bn hi mr ur fa fr it pt es bg ru ja ka ko th sw "
    "zh kk tr et fi hu",
}
INTERMEDIATE = [
    "mnli",
    "anli",
    "snli",
    "anli_plus",
    "snli_cad",
    "winogrande",
    "qqp",
    "squad",
    "squad2",
    "hellaswag",
    "ccg",
    "cosmosqa",
    "csqa",
    "csqa_v1",
    "siqa",
    "copa",
    "arc",
    "m_arc",
    "ocnli",
    "cmrc2018",
    "klue_nli",
    "klue_sts",
    "klue_ner",
    "kornli",
    "parsinlu_entailment",
    "parsinlu_farstail",
    "parsinlu_qqp",
    "parsinlu_choice",
    "parsinlu_reading",
    "farstail",
    "jaquad",
    "arcd",
    "squad_it",
    "ud",
    "mlm",
]
TARGETS = [
    "xnli",
    "sib200",
    "snli_cad",
    "pawsx",
    "udpos",
    "panx",
    "xquad",
    "mlqa",
    "mlqa_cross",
    "multichecklist",
    "tydiqa",
    "bucc2018",
    "tatoeba",
    "xcopa",
    "xcopa_translated",
    "lareqa",
    "mewslix",
    "udpos_r",
    "panx_r",
    "tatoeba_r",
    "xquad_r",
    "tatoeba_all",
    "wikiann",
    "m_hellaswag",
    "xstorycloze",
    "xcsqa",
    "xcodah",
    "americasnli",
    "masakhaner1",
    "masakhaner2",
    "masakhapos",
    "xvnli_text",
    "xvnli_text_translated",
    "afrixnli",
    "belebele",
    "bmlama",
    "breaking_nli",
    "copa_balanced",
    "global_mmlu",
    "indicxnli",
    "m_truthfulqa",
    "masakhanews",
    "massive_intent",
    "taxi1500",
    "xnli_fewshot",
    "xwinograd",
]
XTREME_R = {
    "udpos_r": XTREME["udpos"] + " lt pl uk wo ro",
    "panx_r": XTREME["panx"] + " qu pl uk az lt pa gu ro",
    "tatoeba_r": XTREME["tatoeba"] + " az lt pl uk ro",
    "xquad_r": XTREME["xquad"] + " ro",
    "mlqa": "en es de ar hi vi zh",
}


@pytest.mark.parametrize("name", catalogue.names())
def test_every_task_loads_and_is_documented(name):
    task = catalogue.get(name)
    assert task.name == name
    assert task.license
    assert len(task.citation) > 30
    assert task.homepage.startswith("https://")
    assert catalogue.get(name) is task
    for language in task.languages:
        for code in language.split("-"):
            assert languages.get(code).code == code
    for split in task.splits:
        assert set(task.languages_of(split)) <= {*task.languages, "en"}
        counts = task.split(split).counts
        if isinstance(counts, dict):
            assert set(counts) <= set(task.languages_of(split))


def test_the_catalogue_is_what_was_announced():
    assert set(catalogue.names()) == {*INTERMEDIATE, *TARGETS}
    both = {name for name in catalogue.names() if "intermediate" in catalogue.get(name).roles}
    assert both == set(INTERMEDIATE)


@pytest.mark.parametrize(("name", "codes"), {**XTREME, **XTREME_R}.items())
def test_languages_of_the_targets(name, codes):
    task = catalogue.get(name)
    assert set(task.languages) == set(codes.split())
    assert len(task.languages) == len(codes.split())
    assert set(task.languages_of("test")) == set(task.languages)


def test_languages_without_a_dev_set():
    udpos = catalogue.get("udpos")
    assert set(udpos.languages) - set(udpos.languages_of("dev")) == {"kk", "th", "tl", "yo"}
    assert set(udpos.languages) - set(udpos.languages_of("train")) == {"th", "tl", "yo"}


def test_targets_train_on_english_of_another_task():
    for name, origin in {"xnli": "mnli.train[en]", "xquad": "squad.train", "xcopa": "copa.train"}.items():
        task = catalogue.get(name)
        assert task.split("train").compose == (origin,)
        assert task.languages_of("train") == ("en",)


def test_unknown_task_suggests_the_nearest():
    with pytest.raises(UnknownNameError, match='did you mean "xnli"'):
        catalogue.get("xnil")


def test_inline_task_over_the_catalogue():
    task = catalogue.resolve(
        {
            "extends": "xnli",
            "note": "dev set used as training data",
            "splits": {"train": {"from": ["anli.dev", "xnli.dev[en]"]}, "dev": None},
        },
        name="xnli",
    )
    assert task.name == "xnli"
    assert set(task.splits) == {"train", "test"}
    assert task.languages_of("train") == ("en",)
    assert task.labels == catalogue.get("xnli").labels
    assert catalogue.get("xnli").split("train").compose == ("mnli.train[en]",)


def test_inline_task_holds_out_of_its_own_new_split():
    task = catalogue.resolve(
        {
            "extends": "anli",
            "splits": {"train": {"from": "anli.dev"}, "dev": {"holdout": {"of": "train", "share": 0.1}}},
        }
    )
    assert task.name == "anli"
    assert task.languages_of("dev") == ("en",)


def test_later_inline_tasks_may_use_earlier_ones():
    mine = catalogue.resolve({"extends": "copa", "note": "mine"}, name="mine")
    other = catalogue.resolve(
        {"extends": "xcopa", "splits": {"train": {"from": "mine.train"}}}, "other", known={"mine": mine}
    )
    assert other.origins["mine"] is mine


def write(folder, name, **keys):
    mapping = {"extends": "copa", "name": name, **keys}
    (folder / f"{name}.yaml").write_text(yaml.safe_dump(mapping), encoding="utf-8")


def test_folders_come_before_the_catalogue_and_may_extend_it(tmp_path):
    write(tmp_path, "copa", title="Mine")
    write(tmp_path, "new", extends="copa", version=7)
    assert catalogue.get("copa", [tmp_path]).title == "Mine"
    assert str(catalogue.get("new", [tmp_path])) == "new@7"
    assert catalogue.get("new", [tmp_path]).title == "Mine"
    assert set(catalogue.names([tmp_path])) == {*catalogue.names(), "new"}
    assert catalogue.get("xcopa", [tmp_path]).origins["copa"].title == "Mine"


def test_circles_are_refused(tmp_path):
    write(tmp_path, "a", splits={"train": {"from": "b.train"}})
    write(tmp_path, "b", splits={"train": {"from": "a.train"}})
    with pytest.raises(ConfigError, match="circle: a -> b -> a"):
        catalogue.get("a", [tmp_path])


def test_one_name_may_not_mean_two_tasks_in_one_task(tmp_path):
    write(tmp_path, "copa", title="Mine", splits={"train": {"from": "copa.dev"}})
    with pytest.raises(ConfigError, match="means another task"):
        catalogue.resolve(
            {"extends": "copa", "splits": {"dev": {"from": "copa.test"}}}, "x", folders=[tmp_path]
        )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "extends: copa\nname: bad\nlangauges: [en]\n",
            'bad.yaml:3: unknown key "langauges"; did you mean "languages"?',
        ),
        ("extends: copa\nname: bad\nsplits:\n  train:\n    flies: x\n", 'bad.yaml:5: unknown key "flies"'),
        ("extends: copa\nname: bad\nversion: 0\n", "bad.yaml:3: version"),
        ("extends: copa\nname: other\n", 'holds the task "other"'),
        ("extends: copa\nname: bad\nname: bad\n", 'bad.yaml:3: key "name" is given twice'),
        ("extends: copa\n  name: bad\n", "bad.yaml:2: not valid YAML"),
        ("extends: !!python/name:os.system x\n", "not valid YAML"),
        ("- a\n", "expected a mapping"),
        ("", "expected a mapping"),
        ("name: bad\nversion: 1\n", 'the key "title" is missing'),
        ("extends: copa\nname: bad\nsplits:\n  dev:\n    counts: x\n    files: x\n", "bad.yaml:5"),
    ],
)
def test_a_bad_file_is_named_with_its_line(tmp_path, text, message):
    (tmp_path / "bad.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as info:
        catalogue.get("bad", [tmp_path])
    assert message in str(info.value)
    assert "\n" not in str(info.value)


def test_no_is_a_language_not_a_boolean(tmp_path):
    (tmp_path / "nordic.yaml").write_text(
        "extends: copa\nname: nordic\nlanguages: [no, en]\n", encoding="utf-8"
    )
    assert catalogue.get("nordic", [tmp_path]).languages == ("no", "en")


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(ConfigError, match="no such folder"):
        catalogue.names([tmp_path / "none"])


def test_loading_the_catalogue_imports_nothing_heavy():
    code = (
        "import sys\n"
        "from adaptrans.tasks import catalogue, loading, validation, locate\n"
        "[catalogue.get(name) for name in catalogue.names()]\n"
        "heavy = ('torch', 'pandas', 'datasets', 'pyarrow', 'transformers', 'numpy')\n"
        "print([m for m in heavy if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", ["xquad", "tydiqa"])
def test_question_answering_in_scripts_without_spaces_has_a_clean_variant_beside_the_reference(name):
    assert catalogue.get(name).scores == ("squad", "squad_characters")


def test_a_task_in_a_file_of_another_name_is_found(tmp_path):
    (tmp_path / "mine.yaml").write_text("name: my_pos\n")
    (tmp_path / "broken.yaml").write_text("{")
    with pytest.raises(
        ConfigError, match=r'mine\.yaml: the file holds the task "my_pos"; give both the same'
    ):
        catalogue.get("my_pos", [tmp_path])


def test_a_task_of_the_samples_says_what_to_add():
    with pytest.raises(
        UnknownNameError, match='"sample_nli"; it comes with the sample data: add --data samples'
    ):
        catalogue.get("sample_nli")
