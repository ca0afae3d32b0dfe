"""Untrained answers are those of plain transformers code that fills the template by hand."""

import pytest
import torch
from transformers import AutoModelForMaskedLM, AutoTokenizer

from adaptrans.formulations.base import Asked
from adaptrans.formulations.prompts import UNIVERSAL
from adaptrans.modeling.heads import HeadSpec, MaskedLMHead
from adaptrans.modeling.model import SetupModel
from adaptrans.modeling.setup.parser import parse
from adaptrans.task_types.classification import ClassificationExample
from adaptrans.task_types.multiple_choice import MultipleChoiceExample
from adaptrans.tasks import catalogue

PAIR = ClassificationExample("1", "The man sleeps in the house.", "A man rests!", "neutral")
TEXT = ClassificationExample("2", "The team won the game.", None, "sports")
CHOICE = MultipleChoiceExample("3", "It rained. What was the effect?", ("The street was wet.", "He ran."), 0)


@pytest.fixture(scope="module")
def tokenizer(base):
    return AutoTokenizer.from_pretrained(base.path)


@pytest.fixture(scope="module")
def plain(base):
    return AutoModelForMaskedLM.from_pretrained(base.path).eval()


def answered(base, task, example, language, tokenizer, *, lent=None, labels=(), setup="full"):
    """Our scores of the candidates under the pretrained or a lent head."""
    form = task.type
    features = form.encode([Asked(example.id, example, language)], tokenizer, task, 128, False)
    head = HeadSpec(task.name, form.head, labels)
    parents = {} if lent is None else {"mnli": lent, "squad": lent}
    module = None if lent is None else lent / "heads" / ("squad" if form.head == "span_qa" else "mnli")
    model = SetupModel.untrained(
        base, parse(setup), head=head, lent=module, method="seq_bn", parents=parents, seed=1
    )
    with torch.inference_mode():
        batch = form.batch(features, 1, torch.device("cpu"))
        return form, form.decode(model(batch), features)


def log_probs(plain, tokenizer, text):
    """Log-probabilities at the masks of a text, shape (masks, vocabulary)."""
    inputs = tokenizer(text, return_tensors="pt")
    with torch.inference_mode():
        logits = plain(**inputs).logits[0]
    return logits.log_softmax(-1)[inputs.input_ids[0] == tokenizer.mask_token_id]


def word_by_hand(plain, tokenizer, before, word, after, first=False):
    ids = tokenizer(word, add_special_tokens=False).input_ids
    if len(ids) > 1 and tokenizer.convert_ids_to_tokens(ids[0]) == "▁":
        ids = ids[1:]
    ids = ids[:1] if first else ids
    found = log_probs(plain, tokenizer, before + tokenizer.mask_token * len(ids) + after)
    return sum(found[place, token].item() for place, token in enumerate(ids)) / len(ids)


@pytest.mark.parametrize("first", [False, True], ids=["mean", "first"])
def test_cloze(base, tokenizer, plain, first):
    option = "/first_token" if first else ""
    task = catalogue.get("xnli").put(f"cloze:en/untrained{option}")
    form, (own,) = answered(base, task, PAIR, "en", tokenizer)
    before = "The man sleeps in the house. Question: A man rests? Answer: "
    by_hand = [word_by_hand(plain, tokenizer, before, word, ".", first) for word in ("Yes", "Maybe", "No")]
    assert own == pytest.approx(by_hand, abs=1e-5)
    best = max(range(3), key=by_hand.__getitem__)
    assert form.predict(Asked("1", PAIR, "en"), [own], ()) == task.labels[best]


def test_several_prompts_answer_together_and_are_calibrated(base, tokenizer, plain):
    task = catalogue.get("xnli").put("cloze:en+own:en/untrained/calibrated")
    form, (english, german) = answered(base, task, PAIR, "de", tokenizer)
    words = ("Yes", "Maybe", "No")
    for own, question, answer in ((english, "Question", "Answer"), (german, "Frage", "Antwort")):
        texts = [
            f"{text}. {question}: {pair}? {answer}: "
            for text, pair in (("The man sleeps in the house", "A man rests"), ("N/A", "N/A"))
        ]
        found = [[word_by_hand(plain, tokenizer, text, word, ".") for word in words] for text in texts]
        assert own == pytest.approx([a - b for a, b in zip(*found, strict=True)], abs=1e-5)
    mean = [(a + b) / 2 for a, b in zip(english, german, strict=True)]
    best = max(range(3), key=mean.__getitem__)
    assert form.predict(Asked("1", PAIR, "de"), [english, german], ()) == task.labels[best]


def test_cloze_of_choices(base, tokenizer, plain):
    task = catalogue.get("xcopa").put("cloze:own/untrained")
    form, (own,) = answered(base, task, CHOICE, "sw", tokenizer)
    by_hand = [
        word_by_hand(plain, tokenizer, "It rained ", "kwa hiyo", f" {choice}")
        for choice in ("the street was wet.", "he ran.")
    ]
    assert own == pytest.approx(by_hand, abs=1e-5)
    best = max(range(2), key=by_hand.__getitem__)
    assert form.predict(Asked("3", CHOICE, "sw"), [own], ()) == best


def test_trained_vectors_stand_before_a_template(base, tokenizer, plain, tmp_path):
    task = catalogue.get("xnli").put("cloze:universal")
    (feature,) = task.type.encode([Asked("1", PAIR, "en")], tokenizer, task, 128, False)
    model = SetupModel.from_setup(
        base, parse("adapter"), target="xnli", head=HeadSpec("xnli", "mlm"), parents={}, seed=5,
        method="prompt_tuning[prompt_length=4]",
    )  # fmt: skip
    (name,) = [name for name in model.trained if "prompt" in name]
    vectors = model.trained_parameters()[name].detach().normal_(generator=torch.Generator().manual_seed(5))
    model.save(tmp_path / "soft")
    batch = task.type.batch([feature], 1, torch.device("cpu"))
    with torch.inference_mode():
        (own,) = task.type.decode(model(batch), [feature])
        (again,) = task.type.decode(SetupModel.load(tmp_path / "soft", base)(batch), [feature])
        by_hand = []
        for row, word in zip(feature["row"], feature["words"], strict=True):
            ids = torch.tensor([feature["input_ids"][row]])
            states = torch.cat([vectors[None], plain.roberta.embeddings(ids)], dim=1)
            found = plain.lm_head(plain.roberta.encoder(states).last_hidden_state[:, 4:]).log_softmax(-1)
            at = found[ids == tokenizer.mask_token_id]
            by_hand.append(sum(at[place, token].item() for place, token in enumerate(word)) / len(word))
    assert own == again
    assert own == pytest.approx(by_hand, abs=1e-5)


def test_a_language_adapter_is_inverted_before_the_head(base, tokenizer, tmp_path):
    spoken = SetupModel.for_language(base, "en", "seq_bn_inv[reduction_factor=2]", seed=1)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for value in spoken.trained_parameters().values():
            value.add_(0.05 * torch.randn(value.shape, generator=generator))
    spoken.save(tmp_path / "en", {"language": "en"})
    task = catalogue.get("xnli").put("cloze:en/untrained")
    features = task.type.encode([Asked("1", PAIR, "en")], tokenizer, task, 128, False)
    batch, found = task.type.batch(features, 1, torch.device("cpu")), []
    for setup, parents in (("{lang} > target", {"{en}": tmp_path / "en"}), ("full", {})):
        model = SetupModel.untrained(
            base, parse(setup), head=HeadSpec("xnli", "mlm"), lent=None,
            method="seq_bn", parents=parents, seed=1,
        )  # fmt: skip
        with torch.inference_mode():
            found += task.type.decode(model(batch), features)
    with torch.inference_mode():
        # What the adapter was trained with: the pretrained head behind its inverse.
        (trained,) = task.type.decode(MaskedLMHead(base)(spoken, batch), features)
    assert found[0] == pytest.approx(trained, abs=1e-5)
    assert max(abs(a - b) for a, b in zip(*found, strict=True)) > 1e-2


def head_by_hand(states, folder, layers):
    """The logits of a stored head on states, shape (..., labels)."""
    from safetensors.torch import load_file

    weights = load_file(next(folder.rglob("*.safetensors")))
    for place, layer in enumerate(layers):
        name = next(key for key in weights if key.endswith(f".{layer}.weight")).removesuffix(".weight")
        states = torch.nn.functional.linear(states, weights[f"{name}.weight"], weights[f"{name}.bias"])
        states = torch.tanh(states) if place + 1 < len(layers) else states
    return states


TOPICS = ("entertainment", "geography", "health", "politics", "science", "sports", "travel")


@pytest.mark.parametrize("own", [True, False], ids=["own words", "english words"])
def test_entailment(base, tokenizer, plain, nli, own):
    task = catalogue.get("sib200").put(f"entailment:{'own' if own else 'en'}/untrained")
    form, (found,) = answered(
        base, task, TEXT, "de", tokenizer, lent=nli, setup="full(mnli)", labels=("entailment", "b", "c")
    )
    words = list(task.type.book.of("de" if own else "en").words.values())
    assert own or tuple(words) == TOPICS
    statements = [
        f"In diesem Text geht es um {word}." if own else f"This text is about {word}." for word in words
    ]
    inputs = tokenizer([TEXT.text] * 7, statements, return_tensors="pt", padding=True)
    with torch.inference_mode():
        states = plain.roberta(**inputs).last_hidden_state[:, 0]
        logits = head_by_hand(states, nli / "heads" / "mnli", (1, 4))
    by_hand = logits.log_softmax(-1)[:, 0].tolist()
    assert found == pytest.approx(by_hand, abs=1e-5)
    assert max(found) - min(found) > 1e-4
    assert form.predict(Asked("2", TEXT, "de"), [found], ()) == task.labels[by_hand.index(max(by_hand))]


def test_question(base, tokenizer, plain, qa):
    task = catalogue.get("sib200").put("question:en/untrained")
    _, (found,) = answered(base, task, TEXT, "en", tokenizer, lent=qa, setup="full(squad)")
    passage = ", ".join(TOPICS) + ". " + TEXT.text
    encoded = tokenizer("What is this text about?", passage, return_tensors="pt")
    with torch.inference_mode():
        states = plain.roberta(**encoded).last_hidden_state[0]
        logits = head_by_hand(states, qa / "heads" / "squad", (1,)).log_softmax(0)
    by_hand, at = [], 0
    for topic in TOPICS:
        at = passage.index(topic, at)
        start, end = (encoded.char_to_token(0, place, 1) for place in (at, at + len(topic) - 1))
        by_hand.append((logits[start, 0] + logits[end, 1]).item())
    assert found == pytest.approx(by_hand, abs=1e-5)


@pytest.mark.parametrize("text", ["xnli[cloze:en]", "sib200[entailment:en]", "sib200[question:en]"])
def test_the_template_is_never_cut(tokenizer, text):
    name, _, written = text.removesuffix("]").partition("[")
    task = catalogue.get(name).put(written)
    example = (PAIR if name == "xnli" else TEXT).__class__(
        "4", "the house " * 90, PAIR.pair if name == "xnli" else None, None
    )
    (feature,) = task.type.encode([Asked("4", example, "en")], tokenizer, task, 90, False)
    assert {len(row) for row in feature["input_ids"]} <= set(range(60, 91))
    shown = [tokenizer.decode(row) for row in feature["input_ids"]]
    ends = {"cloze": "Answer:", "entailment": "This text is about", "question": "What is this text about?"}
    assert all(ends[written.partition(":")[0]] in row for row in shown)


def test_a_switched_prompt_is_drawn_by_the_id(tokenizer):
    form = catalogue.get("xnli").put("cloze:switched").type
    drawn = [form.wordings(Asked(str(number), PAIR, "en"))[0] for number in range(200)]
    assert drawn == [form.wordings(Asked(str(number), PAIR, "de"))[0] for number in range(200)]
    assert {template for template, _ in drawn} == set(form.book.languages) - {UNIVERSAL}
