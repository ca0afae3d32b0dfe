"""How an exported model answers: the rules of its task, and Python that follows them without this package.

A model's logits alone are no answers: which piece of a word bears its tag, how long an answer may be and
where texts are cut is said by the task and by this package. An export says it in the configuration, for
programs, and in its README as code, for people; a test runs that code and compares it with this package.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from string import Template
from typing import TYPE_CHECKING, Any

from adaptrans.task_types import passage_ranking, span_qa, tagging
from adaptrans.utils.registry import Registry

if TYPE_CHECKING:
    from adaptrans.tasks.schema import Task


KEY = "adaptrans"
"""Key of an exported `config.json` under which the rules stand; transformers does not look."""
ANSWERING = "answering"
"""Key of `artifact.json`: the rules by the name of the head."""
VECTOR_PIECES = 128
"""Most pieces of a sentence whose vector is compared. Source: task file `tatoeba`."""


def rules(task: Task, max_length: int) -> dict[str, Any]:
    """What of a task says how a model answers it, for `artifact.json`.

    Args:
        task: The task.
        max_length: Pieces per model input that it was trained with.

    Example:
        >>> from adaptrans.tasks import catalogue
        >>> rules(catalogue.get("udpos"), 128)
        {'kind': 'tagging', 'max_length': 128, 'tag_on': 'first_piece'}
    """
    found: dict[str, Any] = {"kind": task.kind, "max_length": max_length}
    if task.kind == "tagging":
        found["tag_on"] = task.tag_on
    if task.kind == "classification":
        found["pair"] = "pair" in task.fields
    return found


@dataclass(frozen=True)
class Recipe:
    """How models of a kind answer.

    Args:
        settings: The numbers and names that `config.json` states and the code needs, of a task's rules.
        says: What a reader has to know, in a sentence or two; `$name` is a setting.
        code: Python that defines `answer`, given `tokenizer`, `model` and, where there are labels, `labels`.
        labeled: Whether there are labels.
        further: A further way, in words and as code, for a plain model.
        imports: What the code needs first.
    """

    settings: Callable[[Mapping[str, Any]], dict[str, Any]]
    says: str
    code: str
    labeled: bool = False
    further: tuple[str, str] | None = None
    imports: tuple[str, ...] = ("import torch",)


RECIPES: Registry[Recipe] = Registry("kind of task with a recipe")

RECIPES.add(
    "classification",
    Recipe(
        lambda own: {"inputs": "pair" if own.get("pair") else "text", "truncation": "longest_first"},
        "Texts are stripped; of $max_length pieces at most, the longer text of a pair is cut first.",
        """\
def answer(text, pair=None):
    texts = [text.strip()] if pair is None else [text.strip(), pair.strip()]
    inputs = tokenizer(*texts, truncation=True, max_length=$max_length, return_tensors="pt")
    with torch.inference_mode():
        logits = model(**inputs).logits[0]
    return labels[int(logits.argmax())]
""",
        labeled=True,
    ),
)

RECIPES.add(
    "tagging",
    Recipe(
        lambda own: {"tag_on": own["tag_on"], "reserved_pieces": tagging.RESERVED_PIECES},
        "The tag of a word is that of its $piece. A sentence is given as words, and a long one in parts of "
        "whole words, of $room pieces at most.",
        """\
def answer(words):
    encoded = tokenizer(list(words), is_split_into_words=True, add_special_tokens=False)
    pieces = [[] for _ in words]
    for piece, word in zip(encoded["input_ids"], encoded.word_ids()):
        pieces[word].append(piece)
    # A word without pieces, or longer than any input, is the unknown token.
    pieces = [own if 0 < len(own) <= $room else [tokenizer.unk_token_id] for own in pieces]
    parts, used = [[]], 0
    for own in pieces:
        if parts[-1] and used + len(own) > $room:
            parts, used = [*parts, []], 0
        parts[-1].append(own)
        used += len(own)
    return [tag for part in parts for tag in tags(part)]


def tags(pieces):
    ids, places = [tokenizer.bos_token_id], []
    for own in pieces:
        places.append(len(ids)$place)
        ids += own
    with torch.inference_mode():
        logits = model(input_ids=torch.tensor([[*ids, tokenizer.eos_token_id]])).logits[0]
    return [labels[int(logits[place].argmax())] for place in places]
""",
        labeled=True,
    ),
)

_SPANS = '''\
def answer(question, context$more):
    context = context.strip()
    asked = tokenizer(question.strip(), add_special_tokens=False)["input_ids"][:$question]
    passage = tokenizer(context, add_special_tokens=False, return_offsets_mapping=True)
    ids, offsets = passage["input_ids"], letters(context, passage["offset_mapping"])
    room, windows = $max_length - len(asked) - 4, [0]
    while windows[-1] + room < len(ids):
        windows.append(windows[-1] + min($step, room))
    windows = [(start, min(start + room, len(ids))) for start in windows]
    best, nothing = None, []
    for start, end in windows:
        row = [tokenizer.bos_token_id, *asked, *2 * [tokenizer.eos_token_id]]
        row, first = [*row, *ids[start:end], tokenizer.eos_token_id], len(row)
        with torch.inference_mode():
            output = model(input_ids=torch.tensor([row]))
        begins, ends = output.start_logits[0], output.end_logits[0]
        nothing.append(float(begins[0] + ends[0]))
        # The $n_best best of each; of two pieces, the one that is in this window and most at home in it.
        for b in begins.sort(descending=True, stable=True).indices[:$n_best].tolist():
            for e in ends.sort(descending=True, stable=True).indices[:$n_best].tolist():
                if not first <= b <= e < min(b + $pieces, len(row) - 1):
                    continue
                piece, score = start + b - first, float(begins[b] + ends[e])
                if home(piece, windows) == (start, end) and (best is None or score > best[0]):
                    best = score, offsets[piece][0], offsets[start + e - first][1]
$result

def home(piece, windows):
    """The window that shows most of the passage on both sides of a piece."""

    def shown(window):
        start, end = window
        return min(piece - start, end - 1 - piece) + 0.01 * (end - start) if start <= piece < end else -1

    return max(windows, key=shown)


def letters(text, offsets):
    """Pieces that begin and end with whole letters: the marks behind a piece are its own, blanks of none."""
    found, taken = [], 0
    for start, end in offsets:
        while start < end and blank(text[start]):
            start += 1
        while start < end and blank(text[end - 1]):
            end -= 1
        while start < min(end, taken) and continues(text, start):
            start += 1
        while start < end < len(text) and continues(text, end):
            end += 1
        taken = max(taken, end if start < end else 0)
        found.append([start, end] if start < end else [None, taken])
    following = len(text)
    for own in reversed(found):
        following = own[0] = following if own[0] is None else own[0]
    return found


def blank(character):
    """Whether the tokenizer sees a space, or nothing."""
    normal = getattr(tokenizer.backend_tokenizer.normalizer, "normalize_str", str)
    if character.isspace() or character.isalnum():
        return character.isspace()
    return normal(f"a{character}b") in (normal("ab"), normal("a b"))


def continues(text, place):
    """Whether a character belongs to the letter before it."""
    character = text[place]
    if character in "\\u200c\\u200d":
        return place > 0 and unicodedata.combining(text[place - 1]) == 9
    jamo = "\\u1160" <= character <= "\\u11ff" or "\\ud7b0" <= character <= "\\ud7ff"
    return unicodedata.category(character)[0] == "M" or jamo or character in "\\u0e33\\u0eb3\\uff9e\\uff9f"
'''
_ANSWER = """\
    return "empty" if best is None else context[best[1] : best[2]]
"""
_MAYBE = """\
    if best is None or min(nothing) - best[0] > threshold:
        return ""
    return context[best[1] : best[2]]
"""
_NEEDED = ("import unicodedata", "", "import torch")


def _spans(own: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "max_question_length": min(span_qa.QUESTION_PIECES, own["max_length"] // 2),
        "window_step": span_qa.WINDOW_STEP,
        "n_best": span_qa.N_BEST,
        "max_answer_length": span_qa.ANSWER_PIECES,
        "align_to_words": False,
        "whole_letters": True,
    }


_PIPELINE = (
    "Or with the `question-answering` pipeline, which transformers 4 has and 5 has not. Left alone it widens "
    "an answer to the next space, which no Chinese, Japanese or Thai text has; for a passage that fits into "
    "one window these arguments give the same answers, but for combining marks behind the last letter:",
    """\
from transformers import pipeline

reader = pipeline("question-answering", model=folder, tokenizer=tokenizer)


def read(question, context):
    found = reader(
        question=question,
        context=context,
        align_to_words=False,
        max_answer_len=$pieces,
        max_seq_len=$max_length,
        max_question_len=$question,
    )
    return found["answer"].strip()
""",
)
RECIPES.add(
    "span_qa",
    Recipe(
        _spans,
        "The answer is the best span of at most $pieces pieces, cut out of the passage by whole letters; "
        "a long passage is read in windows of $max_length pieces, $step apart.",
        _SPANS.replace("$more", "").replace("$result", _ANSWER),
        further=_PIPELINE,
        imports=_NEEDED,
    ),
)
RECIPES.add(
    "span_qa_null",
    Recipe(
        _spans,
        "The answer is the best span of at most $pieces pieces, cut out of the passage by whole letters; "
        "a long passage is read in windows of $max_length pieces, $step apart. There is no answer "
        "where that of the first token is better by more than a threshold: tune it on development data, as "
        "`adaptrans evaluate` does, which prints it.",
        _SPANS.replace("$more", ", threshold=0.0").replace("$result", _MAYBE),
        imports=_NEEDED,
    ),
)

RECIPES.add(
    "multiple_choice",
    Recipe(
        lambda own: {"inputs": "prompt, choice", "truncation": "longest_first"},
        "The answer is the number of the choice, counted from 0. Texts are stripped; of $max_length pieces "
        "at most, the longer of prompt and choice is cut first.",
        """\
def answer(prompt, choices):
    texts = [prompt.strip()] * len(choices), [choice.strip() for choice in choices]
    inputs = tokenizer(*texts, truncation=True, max_length=$max_length, padding=True, return_tensors="pt")
    with torch.inference_mode():
        scores = model(**{name: value.unsqueeze(0) for name, value in inputs.items()}).logits
    return int(scores.flatten().argmax())
""",
    ),
)

RECIPES.add(
    "passage_ranking",
    Recipe(
        lambda own: {
            "max_query_length": min(passage_ranking.QUERY_PIECES, own["max_length"]),
            "pooling": "logits of the first token",
        },
        "The vector of a text is what the head answers to its first token, divided by its length: nearer "
        "passages have a larger product with the query. Queries are cut after $query pieces, passages after "
        "$max_length.",
        """\
def answer(text, query=False):
    most = $query if query else $max_length
    inputs = tokenizer(text.strip(), truncation=True, max_length=most, return_tensors="pt")
    with torch.inference_mode():
        vector = model(**inputs).logits$first
    return vector / vector.norm()
""",
    ),
)

VECTORS = Recipe(
    lambda own: {"layer": own["layer"], "pooling": "mean", "max_length": VECTOR_PIECES, "prefix": ""},
    "For retrieval this package takes the mean over all tokens of layer $layer, `<s>` and `</s>` included, "
    "and puts nothing before the text; for an encoder that was trained for retrieval try the last layer.",
    """\
def vector(text):
    inputs = tokenizer(text.strip(), truncation=True, max_length=$pieces, return_tensors="pt")
    with torch.inference_mode():
        states = model.base_model(**inputs, output_hidden_states=True).hidden_states[$layer]
    return states[0].mean(0)
""",
)

PLACES = {"first_piece": "", "first_text_piece": " + (len(own) > 1 and own[0] == space)"}
"""Where in a word its tag sits, by `tag_on`."""
PIECES = {
    "first_piece": "first piece",
    "first_text_piece": "first piece with text: the piece of a lone space before a word bears none",
}


def settings(own: Mapping[str, Any]) -> dict[str, Any]:
    """What `config.json` of an export says of answering, empty for a kind without answers.

    Args:
        own: The rules of a task, see `rules`.
    """
    if own["kind"] not in RECIPES:
        return {}
    return {"kind": own["kind"], "max_length": own["max_length"], **RECIPES[own["kind"]].settings(own)}


def text(own: Mapping[str, Any], *, plain: bool) -> str:
    """The part of a README that says how to answer, with its code; empty for a kind without answers.

    Args:
        own: The rules of a task, see `rules`.
        plain: For a plain transformers model, not one of the adapters library.
    """
    if own["kind"] not in RECIPES:
        return ""
    recipe = RECIPES[own["kind"]]
    names = {
        "max_length": own["max_length"],
        "room": own["max_length"] - tagging.RESERVED_PIECES,
        "place": PLACES.get(own.get("tag_on", ""), ""),
        "piece": PIECES.get(own.get("tag_on", ""), ""),
        "question": min(span_qa.QUESTION_PIECES, own["max_length"] // 2),
        "step": span_qa.WINDOW_STEP,
        "n_best": span_qa.N_BEST,
        "pieces": span_qa.ANSWER_PIECES,
        "query": min(passage_ranking.QUERY_PIECES, own["max_length"]),
        "first": "[0, 0]" if plain else "[0]",
    }
    begin = list(recipe.imports)
    if recipe.labeled:
        ours = "[model.config.id2label[i] for i in range(model.config.num_labels)]"
        # The library's own list of them is in the order of the alphabet.
        begin += ["", f"labels = {ours if plain else 'model.get_labels_dict()'}"]
    if own.get("tag_on") == "first_text_piece":
        begin.append(f'space = tokenizer.convert_tokens_to_ids("{tagging.SPACE}")')
    code = "\n".join([*begin, "", "", recipe.code])
    found = _part("Answer with it", recipe.says, code, names)
    if recipe.further and plain:
        said, further = recipe.further
        found += f"\n{_filled(said, names)}\n\n```python\n{_filled(further, names)}```\n"
    return found


def vector_text(layer: int) -> str:
    """The part of a README that says how to make vectors of sentences, with its code.

    Args:
        layer: The layer whose states are taken; 0 is the output of the embeddings.
    """
    names = {"layer": layer, "pieces": VECTOR_PIECES}
    return _part("Vectors of sentences", VECTORS.says, "import torch\n\n\n" + VECTORS.code, names)


def _part(heading: str, says: str, code: str, names: Mapping[str, Any]) -> str:
    return f"\n## {heading}\n\n{_filled(says, names)}\n\n```python\n{_filled(code, names)}```\n"


def _filled(text: str, names: Mapping[str, Any]) -> str:
    return Template(text).substitute(names)
