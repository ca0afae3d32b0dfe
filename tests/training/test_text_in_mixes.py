"""Masked language modelling as a task of a mix: what is trained, tied, drawn, kept and resumed."""

import json
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml

from adaptrans.data.encoding import rows
from adaptrans.errors import ArtifactError, MissingDataError, SetupError, UnknownNameError
from adaptrans.modeling import adapters
from adaptrans.modeling.backbone import identify
from adaptrans.modeling.heads import HeadSpec, pretrained_head
from adaptrans.modeling.model import SetupModel
from adaptrans.modeling.safetensors_io import read_tensors
from adaptrans.modeling.setup.parser import parse
from adaptrans.modeling.setup.validation import check
from adaptrans.runs.training_args import training_config
from adaptrans.task_types.masked_lm import MaskedLM
from adaptrans.tasks import catalogue
from adaptrans.training import train
from adaptrans.training.multitask import Streams, TrainingTask

KIND = MaskedLM()

OPTIONS = {"epochs": 1, "batch_size": 8, "precision": "fp32", "max_length": 32, "log_every": 1}
EMBEDDINGS = "roberta.embeddings.word_embeddings.weight"
HEAD = HeadSpec("mlm", "mlm")
INVERTIBLE = "seq_bn_inv[reduction_factor=4]"


def before(planner, setup, **options):
    """The intermediate run of a setup."""
    config = training_config({**OPTIONS, **options})
    chosen = replace(planner, config_for=lambda name, whole: config)
    (spec,) = chosen.parents(parse(setup))[1]
    return spec


def losses_of_text(run):
    lines = [json.loads(line) for line in (run.path / "log.jsonl").read_text().splitlines()]
    return [line["loss"] for line in lines if "loss" in line and line.get("task", "mlm") == "mlm"]


def built(base, setup="full", method="seq_bn"):
    return SetupModel.from_setup(
        base, parse(setup), target="mlm", head=HEAD, method=method, parents={}, seed=1
    )


def batch_of(texts=((0, 5, 6, 7, 2), (0, 9, 8, 2))):
    features = [{"input_ids": list(ids), "mask": 999, "first_piece": 4} for ids in texts]
    return KIND.batch(features, 1, torch.device("cpu"))


@pytest.mark.parametrize("setup", ["full(nli + mlm)", "mix(nli + mlm) > target", "full(mlm)", "mlm > target"])
def test_text_is_trained_alone_and_in_a_mix(planner, setup):
    options = {"epochs": 6, "learning_rate": 1e-2, "mixing_cap": None, "keep_best": False}
    spec = before(planner, setup, mixing="uniform", **options)
    run = spec.execute()
    losses = losses_of_text(run)
    third = len(losses) // 3
    assert sum(losses[-third:]) < sum(losses[:third])
    assert run.result()["source_languages"] == ["de", "en", "sw"]
    model = SetupModel.load(run.artifact, planner.workspace.backbone)
    assert list(model.heads) == (["nli", "mlm"] if spec.others else ["mlm"])
    # The embeddings are no part of the head's file, which would repeat them, and are the head's when loaded.
    saved = read_tensors(run.artifact / "heads" / "mlm" / adapters.HEAD_WEIGHTS)
    assert set(saved) == {f"heads.mlm.{part}" for part in planner.workspace.backbone.spec.lm_head}
    own = dict(model.model.named_parameters())
    assert dict(model.model.heads["mlm"].named_parameters())["3.weight"] is own[EMBEDDINGS]
    assert (EMBEDDINGS in model.trained) == setup.startswith("full")
    begun = pretrained_head(planner.workspace.backbone)
    assert not torch.equal(saved["heads.mlm.0.weight"], begun["0.weight"])


def test_a_target_is_trained_above_a_mix_with_text(planner):
    config = training_config(OPTIONS)
    chosen = replace(planner, config_for=lambda name, whole: config)
    for setup, parents in (
        ("mix(nli + mlm) > target", ["nli + mlm"]),
        ("nli + mlm > target", ["mlm", "nli"]),
    ):
        spec, earlier = chosen.target(parse(setup), planner.workspace.task("xnli"))
        for item in earlier:
            item.execute()
        run = spec.execute()
        assert sorted(run.config()["parents"]) == parents
        reloaded = SetupModel.load(run.artifact, planner.workspace.backbone)
        assert str(reloaded.setup) == setup
        assert reloaded.composition.startswith("Stack")


@pytest.mark.parametrize(
    ("setup", "method"), [("full", "seq_bn"), ("adapter", "seq_bn"), ("adapter", INVERTIBLE)]
)
def test_guesses_are_those_of_the_library_at_the_hidden_pieces(base, setup, method):
    assembled = built(base, setup, method)
    with torch.no_grad():
        generator = torch.Generator().manual_seed(0)
        for name, value in adapters.tensors(assembled.model).items():
            if "adapter" in name:
                value.add_(0.1 * torch.randn(value.shape, generator=generator))
    batch = batch_of()
    with torch.inference_mode():
        inputs = {name: batch[name] for name in ("input_ids", "attention_mask")}
        theirs = assembled.model(**inputs, head="mlm").logits[batch["hidden"]]
        assert torch.allclose(assembled(batch), theirs, atol=1e-5)
    assert len(theirs) == len(batch["labels"]) > 0


def test_the_head_begins_as_the_pretrained_one(base):
    from transformers import XLMRobertaForMaskedLM

    batch = batch_of()
    with torch.inference_mode():
        theirs = XLMRobertaForMaskedLM.from_pretrained(base.path).eval()(
            batch["input_ids"], batch["attention_mask"]
        )
        assert torch.allclose(built(base)(batch), theirs.logits[batch["hidden"]], atol=1e-4)


def test_masks_follow_from_the_place_alone():
    ids = [0, *range(10, 74), 2]

    def hidden(**more):
        features = [{"input_ids": ids, "mask": 999, "first_piece": 4, **more}]
        return KIND.batch(features, 1, torch.device("cpu"))["hidden"]

    one = hidden(draw=(1, 3, 7))
    torch.manual_seed(5)
    assert torch.equal(one, hidden(draw=(1, 3, 7)))
    for other in ((2, 3, 7), (1, 4, 7), (1, 3, 8)):
        assert not torch.equal(one, hidden(draw=other)), other
    assert torch.equal(hidden(), hidden())
    short = KIND.batch([{"input_ids": [0, 5, 2], "mask": 999, "first_piece": 4}], 1, torch.device("cpu"))
    assert short["hidden"].tolist() == [[False, True, False]], "a block without a gap"


def streams_of(planner, setup, **options):
    """The streams of a run, and the language of each of its blocks of text."""
    spec = before(planner, setup, **options)
    sources, languages = [], []
    for part in spec.parts:
        data = train.TaskData(part, part.task.labels)
        examples, features = data.split("train", None, training=True)
        groups = train.language_numbers(examples, features) if part.task.kind == "mlm" else None
        sources.append(TrainingTask(part.reference, None, data.kind, features, [], groups=groups))
        if groups is not None:
            languages = [examples[place].language for place in features["example"]]
            owners = [{rows(features, [i])[0]["example"]} for i in range(len(features))]
            assert len(owners) == len(languages)
    return Streams(sources, spec.config, seed=1), languages


def test_languages_are_drawn_by_smoothed_size(planner):
    counted = {}
    for smoothing in (0.0, 0.3, 1.0):
        streams, languages = streams_of(planner, "full(mlm)", language_smoothing=smoothing, epochs=20)
        steps = 20 * streams.items // 8
        streams.start(0, steps)
        drawn = Counter(languages[item] for _ in range(steps) for item in streams.take().items)
        total = sum(drawn.values())
        counted[smoothing] = {code: number / total for code, number in drawn.items()}
    size = Counter(languages)
    assert max(abs(share - 1 / 3) for share in counted[0.0].values()) < 0.02
    for code, share in counted[1.0].items():
        assert share == pytest.approx(size[code] / sum(size.values()), abs=0.02)
    assert counted[1.0]["sw"] < counted[0.3]["sw"] < counted[0.0]["sw"]


def test_a_task_has_a_share_of_its_own(planner):
    streams, _ = streams_of(planner, "full(nli + qa + mlm)", mixing_shares={"mlm": 0.4})
    plain, _ = streams_of(planner, "full(nli + qa)")
    nli, qa, mlm = streams.shares
    assert mlm == 0.4
    assert nli / qa == pytest.approx(plain.shares[0] / plain.shares[1])
    # The others are seen as often as without it.
    assert streams.items * 0.6 == pytest.approx(plain.items, abs=1)
    weighted, _ = streams_of(planner, "full(nli + mlm[sw,de])", mixing_weights={"nli": 3, "mlm": 1})
    assert weighted.shares == [0.75, 0.25]
    both, _ = streams_of(
        planner, "full(nli + qa + mlm)", mixing_weights={"nli": 3, "qa": 1}, mixing_shares={"mlm": 0.2}
    )
    assert both.shares == pytest.approx([0.6, 0.2, 0.2])


def test_streams_go_on_at_any_step(planner):
    streams, _ = streams_of(planner, "full(nli + mlm)", mixing_temperature=3.0, epochs=4)
    total = 4 * streams.items // 8
    streams.start(0, total)
    whole = [streams.take() for _ in range(total)]
    for step in (1, 7, total - 2):
        other, _ = streams_of(planner, "full(nli + mlm)", mixing_temperature=3.0, epochs=4)
        other.start(step, total)
        assert [other.take() for _ in range(total - step)] == whole[step:]


@pytest.mark.parametrize(
    ("setup", "method", "options"),
    [
        ("full(nli + mlm)", "seq_bn", {"mixing_temperature": 2.0}),
        ("mix(nli + mlm) > target", "seq_bn", {"mixing_shares": {"mlm": 0.5}}),
        ("full(mlm)", "seq_bn", {}),
        ("continue(mlm)", INVERTIBLE, {}),
    ],
)
def test_killed_text_goes_on_to_the_last_bit(planner, elsewhere, kill, same_weights, setup, method, options):
    options = {"epochs": 2, "evaluate_every": 3, "checkpoint_seconds": 0, "batch_size": 4, **options}
    planner = replace(planner, method=method)
    expected = before(planner, setup, **options).execute()
    spec = before(replace(planner, workspace=elsewhere), setup, **options)
    for last in (2, 5):
        kill(lambda: spec.execute(), last)
    resumed = spec.execute()
    assert same_weights(expected, resumed) > 1
    assert losses_of_text(expected) == losses_of_text(resumed)


def test_text_needs_text_and_a_backbone_with_its_head(planner, backbone_maker, tmp_path):
    with pytest.raises(MissingDataError, match=r'no data for mlm.train in "tr"; put text/mono/tr.txt'):
        before(planner, "full(mlm[tr])").execute()
    with pytest.raises(UnknownNameError, match="training language of mlm"):
        before(planner, "full(mlm[xx])").execute()
    with pytest.raises(SetupError, match=r"no target itself; name it in the setup, as 'full\(mlm\)'"):
        planner.target(parse("full"), planner.workspace.task("mlm"))
    bare = identify(backbone_maker(tmp_path / "bare", mlm=False))
    with pytest.raises(ArtifactError, match="has no masked language model head"):
        built(bare)


def test_text_may_lie_in_a_folder_of_its_own(planner, tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    lines = [f"watu {number} wote huru\n\n" for number in range(300)]
    (folder / "sw.txt").write_text("".join(lines), encoding="utf-8")
    task = catalogue.resolve({"extends": "mlm", "splits": {"train": {"files": str(folder / "{lang}.txt")}}})
    where = replace(planner.workspace, tasks={**planner.workspace.tasks, "mlm": task})
    spec = before(replace(planner, workspace=where), "full(mlm)")
    assert spec.train_languages == ("sw",)
    assert spec.execute().result()["source_languages"] == ["sw"]


def test_text_selects_only_where_it_is_alone(planner, monkeypatch):
    asked = []

    def scripted(self, device, precision):
        asked.append(self.spec.task.name)
        return lambda assembled: 1.0

    monkeypatch.setattr(train.TaskData, "dev_score", scripted)
    before(planner, "full(nli + mlm)", max_steps=1).execute()
    before(planner, "full(mlm)", max_steps=1).execute()
    assert asked == ["nli", "mlm"]


def test_the_dev_score_is_the_share_of_pieces_guessed_right(planner):
    run = before(planner, "full(nli + mlm)", epochs=2).execute()
    model = SetupModel.load(run.artifact, planner.workspace.backbone).with_head("mlm")
    assert 0 <= run.result()["dev"] <= 100
    data = train.TaskData(before(planner, "full(mlm)"), ())
    first = data.dev_score(torch.device("cpu"), "fp32")
    assert first(model) == first(model)


def test_the_page_on_mixes_says_what_is_so(planner):
    page = (Path(__file__).parents[2] / "docs/how-to/mix-tasks.md").read_text(encoding="utf-8")
    setups = re.findall(r'--setup "([^"]+)"', page)
    assert len(setups) == 5
    for setup in setups:
        check(parse(setup), "seq_bn")
    mixes = re.findall(r'adaptrans intermediate "([^"]+)"', page)
    assert [str(parse(f"full({text})")) for text in mixes] == [f"full({text})" for text in mixes]
    for option in re.findall(r"--set '?([a-z_]+=[^'`\n]+)", page):
        name, _, value = option.partition("=")
        assert training_config({name: yaml.safe_load(value)})
    (text,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    task = catalogue.resolve(yaml.safe_load(text), known={"mlm": catalogue.get("mlm")})
    assert task.split("train").files[0].path == ("/home/me/wikipedia/{lang}.txt",)
    for pattern in task_patterns():
        assert pattern.replace("{lang}", "sw") in page.replace("DATA/", "")


def task_patterns():
    return [source.path[0] for source in catalogue.get("mlm").split("train").files]
