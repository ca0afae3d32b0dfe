"""Every score once more, slowly: from the rules alone, in exact fractions, without regular expressions.

A function takes golds, predictions and a language, and gives the values x 100 of all parts as fractions.
"""

from __future__ import annotations

import unicodedata
from fractions import Fraction

ASCII_PUNCTUATION = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"


def mean(values):
    values = list(values)
    return Fraction(sum(values, Fraction(0))) / len(values)


def quotient(numerator, denominator):
    return Fraction(numerator, denominator) if denominator else Fraction(0)


def harmonic(precision, recall):
    return 2 * precision * recall / (precision + recall) if precision + recall else Fraction(0)


# Labels


def accuracy(golds, predictions, language=None):
    right = 0
    for gold, prediction in zip(golds, predictions, strict=True):
        bare = [value.strip() if isinstance(value, str) else value for value in (gold, prediction)]
        right += bare[0] == bare[1]
    return {"accuracy": 100 * Fraction(right, len(predictions))}


def token_accuracy(golds, predictions, language=None):
    gold = [tag for sentence in golds for tag in sentence]
    found = [tag for sentence in predictions for tag in sentence]
    return {
        "token_accuracy": 100 * quotient(sum(a == b for a, b in zip(gold, found, strict=True)), len(gold))
    }


def masked_pieces(golds, predictions, language=None):
    right, hidden = (sum(counts[place] for counts in predictions) for place in (0, 1))
    return {"masked_pieces": 100 * quotient(right, hidden)}


# Chunks


def chunk_set(sentences):
    """(type, first, last) of all chunks, positions over the whole corpus, an O after each sentence."""
    tags = []
    for sentence in sentences:
        tags += [*sentence, "O"]

    def kind(tag):
        return tag.split("-")[-1]

    def opens(place):
        tag = tags[place]
        before = tags[place - 1] if place else "O"
        if before == "O" or kind(before) != kind(tag):
            return True
        return tag[:1] == "B" or tag[:1] == "S" or before[:1] == "S" or before[:1] == "E"

    found, open_at = set(), None
    for place, tag in enumerate(tags):
        if open_at is not None and (tag == "O" or opens(place)):
            found.add((kind(tags[place - 1]), open_at, place - 1))
            open_at = None
        if tag != "O" and open_at is None:
            open_at = place
    return found


def precision_recall(gold, found):
    correct = len(gold & found)
    precision, recall = quotient(correct, len(found)), quotient(correct, len(gold))
    return {"f1": 100 * harmonic(precision, recall), "precision": 100 * precision, "recall": 100 * recall}


def chunk_f1(golds, predictions, language=None):
    return precision_recall(chunk_set(golds), chunk_set(predictions))


def span_set(sentences):
    """(type, sentence, first, last) of all spans: every stretch of words is tried and asked for both ends."""

    def parts(tag):
        if len(tag) >= 2 and tag[1] == "-" and tag[0] in "BIESMLU":
            return tag[0], tag[2:]
        return "", tag

    def parted(left, right):
        """Whether a span ends between two words."""
        if left == "O" or right == "O":
            return True
        (one, type), (other, next_type) = parts(left), parts(right)
        return type != next_type or one in ("E", "L", "S", "U") or other in ("B", "S", "U")

    found = set()
    for number, sentence in enumerate(sentences):
        tags = ["O", *sentence, "O"]
        for first in range(1, len(tags) - 1):
            for last in range(first, len(tags) - 1):
                inner = any(parted(tags[at], tags[at + 1]) for at in range(first, last))
                ends = parted(tags[first - 1], tags[first]) and parted(tags[last], tags[last + 1])
                if tags[first] != "O" and ends and not inner:
                    found.add((parts(tags[first])[1], number, first, last))
    return found


def entity_f1(golds, predictions, language=None):
    return precision_recall(span_set(golds), span_set(predictions))


def bucc_f1(golds, predictions, language=None):
    gold, found = ({(row, id) for row, ids in enumerate(side) for id in ids} for side in (golds, predictions))
    return precision_recall(gold, found)


# Answers


def is_word(character):
    return character.isalnum() or character == "_"


def without_words(text, words):
    """Every maximal run of word characters that is one of the words, as a space."""
    out, run = "", ""
    for character in [*text, "\n"]:
        if is_word(character):
            run += character
            continue
        out += (" " if run in words else run) + character
        run = ""
    return out[:-1]


def collapsed(text):
    """Runs of white space as one space, none at the ends."""
    out = ""
    for character in text:
        out += " " if character.isspace() else character
    return " ".join(piece for piece in out.split(" ") if piece)


def squad_form(text, language=None):
    bare = "".join(character for character in text.lower() if character not in ASCII_PUNCTUATION)
    return collapsed(without_words(bare, ("a", "an", "the")))


ARTICLES = {
    "en": "a an the",
    "es": "un una unos unas el la los las",
    "de": "ein eine einen einem eines einer der die das den dem des",
    "vi": "của là cái chiếc những",
    "ar": "",
    "hi": "",
    "zh": "",
}


def mlqa_form(text, language):
    language = language.split("-")[0]
    bare = "".join(
        character
        for character in text.lower()
        if character not in ASCII_PUNCTUATION and unicodedata.category(character)[0] != "P"
    )
    bare = without_words(bare, ARTICLES[language].split())
    if language == "ar":
        bare = " ".join(bare.split("ال"))
    if language == "zh":
        bare = "".join(f" {c} " if 0x4E00 <= ord(c) <= 0x9FA5 else c for c in bare)
    return collapsed(bare)


# Thai, Lao; Burmese; Khmer; CJK signs and kana; kana; ideographs; forms of them; the supplementary plane.
UNSPACED = (
    (0x0E00, 0x0EFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0x3000, 0x30FF), (0x31F0, 0x31FF),
    (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0xFF00, 0xFFEF), (0x20000, 0x323AF),
)  # fmt: skip


def spaced(text):
    """A text with a space on both sides of every character of scripts written without spaces."""
    return "".join(f" {c} " if any(first <= ord(c) <= last for first, last in UNSPACED) else c for c in text)


def tokens_of(text):
    return [token for token in text.split(" ") if token]


def bag_f1(gold, found):
    rest, common = list(gold), 0
    for token in found:
        if token in rest:
            rest.remove(token)
            common += 1
    return harmonic(Fraction(common, len(found)), Fraction(common, len(gold))) if common else Fraction(0)


def answers(golds, predictions, form, cut):
    """F1 and exact match, the best gold for each apart; no prediction is 0 for both."""
    f1s, exact = [], []
    for texts, prediction in zip(golds, predictions, strict=True):
        if prediction is None:
            f1s.append(Fraction(0))
            exact.append(0)
            continue
        given = form(prediction)
        f1s.append(max(bag_f1(tokens_of(cut(form(text))), tokens_of(cut(given))) for text in texts))
        exact.append(max(int(form(text) == given) for text in texts))
    f1, em = 100 * mean(f1s), 100 * mean(exact)
    return {"score": (f1 + em) / 2, "f1": f1, "exact_match": em}


def squad(golds, predictions, language=None):
    return answers(golds, predictions, squad_form, str)


def squad_characters(golds, predictions, language=None):
    return answers(golds, predictions, squad_form, spaced)


def mlqa(golds, predictions, language=None):
    return answers(golds, predictions, lambda text: mlqa_form(text, language or "en"), str)


def squad2_rows(golds, texts):
    """F1, exact match and whether there is an answer, for each question."""
    found = []
    for gold, text in zip(golds, texts, strict=True):
        given = squad_form(text)
        right = [form for form in map(squad_form, gold) if form] or [""]
        f1s = [
            bag_f1(tokens_of(form), tokens_of(given)) if form and given else Fraction(int(form == given))
            for form in right
        ]
        found.append((max(f1s), Fraction(int(given in right)), right != [""]))
    return found


def squad2_at(golds, predictions, threshold):
    texts = []
    for prediction in predictions:
        if prediction is None or isinstance(prediction, str):
            texts.append(prediction or "")
        else:
            texts.append("" if prediction["no_answer"] > threshold else prediction["text"])
    found = squad2_rows(golds, texts)

    def part(column, answered=None):
        rows = [row for row in found if answered is None or row[2] == answered]
        return 100 * mean(row[column] for row in rows) if rows else Fraction(0)

    return {
        "f1": part(0),
        "exact_match": part(1),
        "has_answer_f1": part(0, True),
        "has_answer_exact_match": part(1, True),
        "no_answer_accuracy": part(0, False),
    }


def squad2(golds, predictions, language=None):
    return squad2_at(golds, predictions, 0)


def squad2_best(golds, predictions, language=None):
    """At the lowest threshold that no other one beats, among those the scorer can choose.

    What it compares (find_best_thresh of evaluate-v2.0.py) is F1, but that any text given for a question
    without an answer is wrong there, also one of which nothing is left once normalized, such as "the".
    """
    odds = sorted({p["no_answer"] for p in predictions if isinstance(p, dict)})
    thresholds = [min([0, *odds]) - 1, *odds]

    def compared(threshold):
        total = Fraction(0)
        for gold, prediction in zip(golds, predictions, strict=True):
            text = prediction["text"] if prediction["no_answer"] <= threshold else ""
            if any(map(squad_form, gold)):
                total += squad2_rows([gold], [text])[0][0]
            else:
                total += not text
        return total

    best = max(map(compared, thresholds))
    return squad2_at(golds, predictions, next(value for value in thresholds if compared(value) == best))


# Ranked lists


def map_at_20(golds, predictions, language=None):
    values = []
    for gold, ranking in zip(golds, predictions, strict=True):
        total = Fraction(0)
        for rank in range(1, min(20, len(ranking)) + 1):
            if ranking[rank - 1] in gold and ranking[rank - 1] not in ranking[: rank - 1]:
                total += Fraction(len(set(gold) & set(ranking[:rank])), rank)
        values.append(total / min(20, len(set(gold))))
    return {"map_at_20": 100 * mean(values)}


def mrr_at_20(golds, predictions, language=None):
    values = []
    for gold, ranking in zip(golds, predictions, strict=True):
        ranks = [rank for rank, item in enumerate(ranking, start=1) if rank <= 20 and item in gold]
        values.append(Fraction(1, ranks[0]) if ranks else Fraction(0))
    return {"mrr_at_20": 100 * mean(values)}


SLOW = {
    "accuracy": accuracy,
    "bucc_f1": bucc_f1,
    "chunk_f1": chunk_f1,
    "entity_f1": entity_f1,
    "map_at_20": map_at_20,
    "masked_pieces": masked_pieces,
    "mlqa": mlqa,
    "mrr_at_20": mrr_at_20,
    "squad": squad,
    "squad2": squad2,
    "squad2_best": squad2_best,
    "squad_characters": squad_characters,
    "token_accuracy": token_accuracy,
}

# Means


def task_score(values, languages, kind):
    """Plain mean over languages: of exact match and F1 in equal shares, or of the first part."""
    parts = ("exact_match", "f1") if kind in ("span_qa", "span_qa_null") else None
    averages = []
    for part in parts or [next(iter(next(iter(values.values()))))]:
        averages.append(mean(Fraction(values[language][part]) for language in languages))
    return mean(averages)


# Mining


def threshold(pairs, scores, golds):
    """By trying the extraction after every candidate; (threshold, F1 as a fraction of 100)."""
    best, value = Fraction(0), 0.0
    for number in range(1, len(pairs) + 1):
        f1 = precision_recall(set(golds), set(pairs[:number]))["f1"]
        if f1 > best:
            best = f1
            following = scores[number] if number < len(scores) else scores[number - 1]
            value = (scores[number - 1] + following) / 2
    return value, best


def nearest(index, queries):
    """Squared distances of each query from all index vectors, all of length 1."""
    import numpy as np

    def unit(vector):
        vector = np.asarray(vector, dtype=np.float64)
        return vector / np.sqrt((vector * vector).sum())

    units = [unit(vector) for vector in index]
    found = []
    for query in map(unit, queries):
        distances = [float(((query - other) ** 2).sum()) for other in units]
        found.append(distances)
    return found
