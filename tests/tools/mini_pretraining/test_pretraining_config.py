from itertools import pairwise
from pathlib import Path

import pytest
import yaml
from mini_pretraining.config import SAMPLES, changed, fingerprint, load_config, parse

from adaptrans.errors import ConfigError

MINI = Path(__file__).parents[3] / "tools" / "mini_pretraining" / "mini.yaml"


def test_unknown_key_is_named_with_the_nearest(values):
    values["optimizer"] = {"rte": 0.1}
    with pytest.raises(ConfigError, match=r'tiny.yaml: unknown key "rte"; did you mean "rate"\?'):
        parse(values, "tiny.yaml")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": {"width": 30, "heads": 4}}, "model: width 30 is not a multiple of heads 4"),
        ({"steps": 0}, "steps: Input should be greater than or equal to 1"),
        ({"languages": ["en", "en"]}, "en is named twice"),
        ({"from": "xlm-roberta-base"}, "leave out tokenizer: and model:"),
        ({"lengths": [{"length": 16}, {"length": 32}]}, "only the last stage may be without steps"),
        ({"lengths": [{"length": 100}]}, "lengths: 100 is beyond model.positions 64"),
        ({"objectives": {"masked": {"share": 0}}}, "every share is 0"),
        ({"objectives": {"contrastive": {"share": 1, "layer": 5}}}, "layer beyond model.layers 2"),
        ({"text": {"mono": {"fr": {"news": [1, 2]}}}}, 'unknown language under text.mono "fr"'),
        ({"text": {"mono": {"en": {"news": [5, 2]}}}}, "mono.en.news: last line 2 before first line 5"),
        ({"text": {"parallel": ["tales"], "sources": {"tale": {"licence": "CC0"}}}}, 'did you mean "tale"'),
    ],
)
def test_impossible_values_are_refused(values, change, message):
    with pytest.raises(ConfigError) as caught:
        parse({**values, **change}, "tiny.yaml")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_and_broken_files(tmp_path):
    with pytest.raises(ConfigError, match="cannot read"):
        load_config(tmp_path / "none.yaml")
    (tmp_path / "bad.yaml").write_text("a: [1", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"bad\.yaml:2: not valid YAML"):
        load_config(tmp_path / "bad.yaml")


def test_shares_sum_to_one(values):
    shares = parse(values, "tiny").objectives.shares()
    assert sum(shares.values()) == pytest.approx(1)
    assert shares["contrastive"] == pytest.approx(0.3)


def test_options_replace_values_and_are_checked(values):
    plan = parse(values, "tiny")
    assert changed(plan, seed=9, steps=None).seed == 9
    assert changed(plan, seed=None) is plan
    with pytest.raises(ConfigError, match="steps"):
        changed(plan, steps=0)


def test_fingerprint_ignores_steps_and_timing_only(values):
    plan = parse(values, "tiny")
    assert fingerprint(plan) == fingerprint(changed(plan, steps=99, save_every=5))
    assert fingerprint(plan) != fingerprint(changed(plan, seed=99))


def test_mini_reads_only_text_with_a_licence_that_allows_changes():
    plan = load_config(MINI)
    used = {*plan.text.parallel, *plan.text.dictionary}
    used |= {source for parts in plan.text.mono.values() for source in parts}
    assert plan.text.samples
    assert used | {SAMPLES} == set(plan.text.sources)
    for name, source in plan.text.sources.items():
        assert "ND" not in source.licence.replace("-", " ").split(), name
    excluded = ("ted", "masakhanews", "wmt", "multi30k", "udhr", "xling", "freedict")
    assert not [name for name in used if name.startswith(excluded)]


def test_mini_ranges_do_not_overlap():
    plan = load_config(MINI)
    for parts in plan.text.mono.values():
        ranges = sorted(parts.values())
        for (_, last), (first, _) in pairwise(ranges):
            assert last < first


def test_norwegian_is_a_language_and_no_falsehood(tmp_path, values):
    values = {**values, "languages": ["en", "no"], "text": {"mono": {"no": {"news": [1, 2]}}}}
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(values).replace("'no'", "no"), encoding="utf-8")
    found = load_config(path)
    assert tuple(found.languages) == ("en", "no")
    assert list(found.text.mono) == ["no"]
