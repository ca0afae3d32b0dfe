"""A small file of every format, and what 12 kinds of damage do to it."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

KINDS = (
    "truncated gzip",
    "column count",
    "bad JSON",
    "unknown label",
    "answer offset",
    "unaligned",
    "duplicate id",
    "byte order mark",
    "CRLF",
    "NUL",
    "not UTF-8",
    "empty",
)
Change = Callable[[bytes], bytes]


@dataclass(frozen=True)
class Refused:
    """Damage that stops the reading.

    Args:
        change: What is done to the file.
        message: Part of what is said.
        line: The line named, None for the file alone, -1 for any.
        file: The file changed.
        named: The file named, if it is another one.
    """

    change: Change
    message: str
    line: int | None
    file: str = "rows"
    named: str = ""


@dataclass(frozen=True)
class Read:
    """A change that is no damage: the same examples come of it."""

    change: Change


@dataclass(frozen=True)
class Cannot:
    """Damage that a format cannot have."""

    reason: str


@dataclass(frozen=True)
class Sample:
    """A task of one format and its files.

    Args:
        task: Keys of its task file but for what all have in common.
        files: Content by name below the data folder; `rows` is the language's own file.
        damage: What becomes of each kind of damage.
        binary: Whether the file is no text, so that there is no gzip and no line in it.
    """

    task: dict
    files: dict[str, bytes]
    damage: dict[str, Refused | Read | Cannot]
    binary: bool = False

    def definition(self) -> dict:
        """Keys of the task file."""
        source = {"path": "rows", **self.task["source"]}
        rest = {key: value for key, value in self.task.items() if key != "source"}
        split = {"files": [source]}
        return {
            "version": 1, "title": "t", "roles": ["target"], "languages": ["de"], "license": "none",
            "citation": "none", "homepage": "none", "splits": {"test": split}, **rest,
        }  # fmt: skip

    def write(self, folder: Path, name: str = "", change: Change | None = None, zipped: bool = False) -> Path:
        """Write the files, one of them changed and perhaps gzipped (cut short); its path."""
        import gzip

        for file, content in self.files.items():
            (folder / file).write_bytes(content)
        path = folder / name
        if change is not None:
            path.write_bytes(change(path.read_bytes()))
        if zipped:
            whole = gzip.compress(path.read_bytes())
            path.unlink()
            path = path.with_name(f"{name}.gz")
            path.write_bytes(whole[: len(whole) * 2 // 3])
        return path


def line(number: int, text: str, content: bytes) -> bytes:
    """The content with another line in the place of one."""
    lines = content.split(b"\n")
    lines[number - 1] = text.encode()
    return b"\n".join(lines)


def swap(old: str, new: str, content: bytes) -> bytes:
    """The content with the first occurrence of something replaced."""
    assert old.encode() in content, old
    return content.replace(old.encode(), new.encode(), 1)


def twice(number: int, content: bytes) -> bytes:
    """The content with a line repeated after itself."""
    lines = content.split(b"\n")
    return b"\n".join([*lines[:number], *lines[number - 1 :]])


def without_last_line(content: bytes) -> bytes:
    return content[: content.rstrip(b"\n").rindex(b"\n") + 1]


def at_line(number: int, byte: bytes, content: bytes) -> bytes:
    """The content with a byte put before the last character of a line."""
    lines = content.split(b"\n")
    lines[number - 1] = lines[number - 1][:-1] + byte + lines[number - 1][-1:]
    return b"\n".join(lines)


def mark(content: bytes) -> bytes:
    return b"\xef\xbb\xbf" + content


def crlf(content: bytes) -> bytes:
    return content.replace(b"\n", b"\r\n")


def nothing(content: bytes) -> bytes:
    return b""


def of_text(number: int) -> dict[str, Refused | Read | Cannot]:
    """What every format of text lines does; NUL and stray bytes are put in a line."""
    return {
        "truncated gzip": Refused(lambda content: content, "the gzip file ends too early", -1),
        "byte order mark": Read(mark),
        "CRLF": Read(crlf),
        "NUL": Refused(partial(at_line, number, b"\0"), "holds a NUL character", number),
        "not UTF-8": Refused(partial(at_line, number, b"\xff"), "not UTF-8 at byte", number),
        "empty": Refused(nothing, "the file is empty", None),
    }


def lines_of(*rows: str) -> dict[str, bytes]:
    return {"rows": "".join(f"{row}\n" for row in rows).encode()}


NO_JSON = Cannot("no JSON in it")
NO_ANSWERS = Cannot("no answers with offsets")
NO_IDS = Cannot("no ids")
ONE_FILE = Cannot("one file, nothing beside it")
NO_COLUMNS = Cannot("a line is a sentence, whatever is in it")
NO_LABELS = Cannot("no labels")

LABELS = {
    "kind": "classification",
    "labels": ["yes", "no"],
    "scores": ["accuracy"],
    "fields": {"id": "id", "text": "text", "label": "label"},
}
ANSWERS = {
    "kind": "span_qa",
    "scores": ["squad"],
    "fields": {"id": "id", "question": "question", "context": "context", "answers": "answers"},
}
TAGS = {
    "kind": "tagging",
    "labels": ["NOUN", "VERB", "N", "S\\NP"],
    "scores": ["chunk_f1"],
    "fields": {"words": "words", "tags": "tags", "lines": "lines"},
}
RANKED = {
    "kind": "passage_ranking",
    "scores": ["map_at_20"],
    "fields": {"id": "id", "query": "query", "passage": "passage", "keys": "keys"},
}
ROWS = [{"id": f"r{i}", "text": f"Wort {i}", "label": ("yes", "no")[i % 2]} for i in range(4)]
QUESTIONS = [
    {
        "id": f"q{i}",
        "question": "?",
        "context": "Es ist gut.",
        "answers": [{"text": "gut", "answer_start": 7}],
    }
    for i in range(3)
]
NOT_THERE = 'answer "gut" is not at offset 6'


def separated(sign: str, **source) -> Sample:
    rows = [sign.join(ROWS[0]), *(sign.join(row.values()) for row in ROWS)]
    return Sample(
        {**LABELS, "source": source},
        lines_of(*rows),
        {
            **of_text(3),
            "column count": Refused(partial(line, 4, f"r2{sign}Wort"), "expected 3 columns, found 2", 4),
            "bad JSON": NO_JSON,
            "unknown label": Refused(
                partial(swap, "1" + sign + "no", "1" + sign + "maybe"), 'label "maybe"', 3
            ),
            "answer offset": NO_ANSWERS,
            "unaligned": ONE_FILE,
            "duplicate id": Refused(partial(twice, 4), 'id "r2" was already used at rows:4', 5),
        },
    )


def array(rows: list[dict]) -> bytes:
    return ("[\n" + ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows) + "\n]\n").encode()


def json_damage(first: int) -> dict[str, Refused | Read | Cannot]:
    """Damage of JSON rows, the first of which stands at a line."""
    return {
        **of_text(first + 1),
        "column count": Refused(
            partial(swap, '"text": "Wort 1"', '"texts": "Wort 1"'), '"text" is missing', first + 1
        ),
        "bad JSON": Refused(partial(swap, '"Wort 2"', 'Wort 2"'), "not valid JSON", first + 2),
        "unknown label": Refused(partial(swap, '"no"', '"maybe"'), 'unknown label "maybe"', first + 1),
        "unaligned": ONE_FILE,
        "duplicate id": Refused(partial(swap, '"r2"', '"r1"'), 'id "r1" was already used', first + 2),
    }  # fmt: skip


def escapes(first: int, form: str, content: bytes) -> list[Sample]:
    """The same damage written as an escape, which is valid JSON."""
    found = []
    for kind, escape in (("NUL", "\\u0000"), ("not UTF-8", "\\ud83d")):
        message = "holds a NUL character" if kind == "NUL" else "which is half a character"
        change = Refused(partial(swap, "Wort 1", f"Wort {escape}"), message, first + 1)
        found.append(Sample({**LABELS, "source": {"format": form}}, {"rows": content}, {kind: change}))
    return found


JSON_LINES = b"".join(json.dumps(row).encode() + b"\n" for row in ROWS)
QUESTION_LINES = b"".join(json.dumps(row).encode() + b"\n" for row in QUESTIONS)
SQUAD = (
    json.dumps(
        {"data": [{"title": "t", "paragraphs": [{"context": "Es ist gut.", "qas": [
            {"id": f"q{i}", "question": f"Was {i}?", "answers": [{"text": "gut", "answer_start": 7}]}
            for i in range(3)]}]}]},
        indent=1,
    ).encode() + b"\n"
)  # fmt: skip
SENTENCES = json.dumps(
    {"data": [{"paragraphs": [{
        "context": "Es ist gut. Ja.", "sentences": ["Es ist gut.", "Ja."],
        "sentence_breaks": [[0, 11], [12, 15]],
        "qas": [{"id": f"q{i}", "question": f"Was {i}?", "answers": [{"text": "gut", "answer_start": 7}]}
                for i in range(3)]}]}]},
    indent=1,
).encode() + b"\n"  # fmt: skip


def line_of(content: bytes, text: str) -> int:
    """Line in which a text first stands."""
    return content[: content.index(text.encode())].count(b"\n") + 1


def questions(form: str, content: bytes, wrong: str) -> Sample:
    """SQuAD's JSON, whose rows are named by the line of their id."""
    first, second = (line_of(content, f'"q{i}"') for i in (0, 1))
    asked = line_of(content, "Was 1?")
    missing = {"squad": '"context" is missing', "lareqa": "KeyError: 'context'"}[form]
    return Sample(
        {**(ANSWERS if form == "squad" else RANKED), "source": {"format": form}},
        {"rows": content},
        {
            **of_text(asked),
            "column count": Refused(
                partial(swap, '"context"', '"text"'), missing, first if form == "squad" else 1
            ),
            "bad JSON": Refused(partial(swap, '"Was 1?"', 'Was 1?"'), "not valid JSON", asked),
            "unknown label": NO_LABELS,
            "answer offset": Refused(partial(swap, '"answer_start": 7', '"answer_start": 6'), wrong, first),
            "unaligned": ONE_FILE,
            "duplicate id": Refused(partial(swap, '"q1"', '"q0"'), 'id "q0" was already used', second),
        },
    )  # fmt: skip


def mention(number: int) -> str:
    text = "Anna ist in Bonn."
    context = {"language": "de", "text": text, "sentence_spans": [{"start": 0, "end": len(text)}]}
    span = {"start": 12, "end": 16, "text": "Bonn"}
    inside = [{"example_id": f"m{number}", "entity_id": "Q586", "mention_span": span}]
    return json.dumps({"context": context, "mentions": inside})


BITEXT = {"rows": b"eins\nzwei\ndrei\n", "rows.en": b"one\ntwo\nthree\n"}
CORPUS = {
    "rows": b"de-1\teins\nde-2\tzwei\nde-3\tdrei\n",
    "rows.en": b"en-1\tone\nen-2\ttwo\nen-3\tthree\n",
    "rows.gold": b"de-1\ten-1\nde-2\ten-2\n",
}
CONLLU = [
    line
    for number in range(2)
    for line in (
        f"# sent_id = {number}",
        "1\tHunde\tHund\tNOUN\t_\t_\t2\tnsubj\t_\t_",
        "2\tbellen\tbellen\tVERB\t_\t_\t0\troot\t_\t_",
        "",
    )
]
LEAF = "(<L {} NN NN {} {}>)"
DERIVATION = (
    f"(<T S[dcl] 0 2> {LEAF.format('N', 'dogs', 'N')} {LEAF.format(chr(83) + chr(92) + 'NP', 'bark', 'X')} )"
)


def tagged(form: str, rows: list[str], damage: dict, **options) -> Sample:
    usual = {
        "bad JSON": NO_JSON,
        "answer offset": NO_ANSWERS,
        "unaligned": ONE_FILE,
        "duplicate id": NO_IDS,
    }
    return Sample(
        {**TAGS, "source": {"format": form, "options": options}}, lines_of(*rows), {**usual, **damage}
    )


def parquet(rows: list[dict]) -> bytes:
    import pyarrow
    from pyarrow import parquet as writer

    stream = io.BytesIO()
    writer.write_table(pyarrow.Table.from_pylist(rows), stream)
    return stream.getvalue()


def with_stray_bytes(content: bytes) -> bytes:
    """A file whose text column is not UTF-8, as a writer that does not look can make it."""
    import pyarrow
    from pyarrow import parquet as writer

    good = pyarrow.Table.from_pylist(ROWS)
    bad = pyarrow.array([b"Wort", b"\xff\xfe", b"Wort", b"Wort"], pyarrow.binary())
    bad = pyarrow.Array.from_buffers(pyarrow.string(), len(bad), bad.buffers())
    stream = io.BytesIO()
    writer.write_table(good.set_column(good.column_names.index("text"), "text", bad), stream)
    return stream.getvalue()


def changed(rows: list[dict], number: int, **values) -> Change:
    new = [{**row, **(values if place == number else {})} for place, row in enumerate(rows)]
    return lambda content: parquet(new)


def parquet_samples() -> list[Sample]:
    unreadable = "not a readable parquet file"
    return [
        Sample(
            {**LABELS, "source": {"format": "parquet"}},
            {"rows": parquet(ROWS)},
            {
                "truncated gzip": Refused(lambda content: content[:-20], unreadable, None),
                "column count": Refused(
                    lambda content: parquet([{"id": "a", "label": "yes"}]), '"text" is missing', 1
                ),
                "bad JSON": NO_JSON,
                "unknown label": Refused(changed(ROWS, 2, label="maybe"), 'unknown label "maybe"', 3),
                "unaligned": ONE_FILE,
                "duplicate id": Refused(changed(ROWS, 2, id="r1"), 'id "r1" was already used at rows:2', 3),
                "byte order mark": Refused(mark, unreadable, None),
                "CRLF": Refused(lambda content: content.replace(b"\x15", b"\r\n"), unreadable, None),
                "NUL": Refused(changed(ROWS, 1, text="a\0b"), "holds a NUL character", 2),
                "not UTF-8": Refused(with_stray_bytes, "not UTF-8 in one of the rows up to 4", 1),
                "empty": Refused(nothing, unreadable, None),
            },
            binary=True,
        ),
        Sample(
            {**ANSWERS, "source": {"format": "parquet"}},
            {"rows": parquet(QUESTIONS)},
            {
                "answer offset": Refused(
                    changed(QUESTIONS, 1, answers=[{"text": "gut", "answer_start": 6}]), NOT_THERE, 2
                ),
                "empty": Refused(
                    lambda content: parquet_without_rows(), "holds no row", None
                ),
            },
            binary=True,
        ),
    ]  # fmt: skip


def parquet_without_rows() -> bytes:
    import pyarrow
    from pyarrow import parquet as writer

    stream = io.BytesIO()
    writer.write_table(pyarrow.Table.from_pylist(QUESTIONS).slice(0, 0), stream)
    return stream.getvalue()


def answers_in(form: str, content: bytes, first: int) -> Sample:
    wrong = Refused(partial(swap, '"answer_start": 7', '"answer_start": 6'), NOT_THERE, first)
    return Sample({**ANSWERS, "source": {"format": form}}, {"rows": content}, {"answer offset": wrong})


CHOICE = {"kind": "multiple_choice", "scores": ["accuracy"]}
NO_OFFSETS = {"answer offset": NO_ANSWERS, "unaligned": ONE_FILE}
SCHEMA = (
    "de\tx\tx\tDie Katze frisst, weil sie Hunger hat.\t"
    '["Die", "Katze", "frisst", ",", "weil", "sie", "Hunger", "hat", "."]\t'
    '["sie", [5, 6], ["sie"]]\t[["Die Katze", [0, 2], [], true], ["Die Maus", [0, 2], [], false]]'
)
COPA = """<?xml version="1.0"?>
<copa>
<item id="1" asks-for="cause" most-plausible-alternative="1">
<p>Das Glas fiel.</p>
<a1>Es rutschte.</a1>
<a2>Es sang.</a2>
</item>
<item id="2" asks-for="effect" most-plausible-alternative="2">
<p>Es regnete.</p>
<a1>Es brannte.</a1>
<a2>Es wurde nass.</a2>
</item>
</copa>"""

SAMPLES: dict[str, Callable[[], list[Sample]]] = {
    "winograd": lambda: [
        Sample(
            {
                **CHOICE,
                "fields": {"prompt": "sentence", "choices": ["option1", "option2"], "label": "answer"},
                "label_map": {"1": 0, "2": 1},
                "source": {"format": "winograd"},
            },
            lines_of(SCHEMA, SCHEMA),
            {
                **of_text(2),
                **NO_OFFSETS,
                "column count": Refused(partial(line, 2, "de\tx"), "expected 7 columns, found 2", 2),
                "bad JSON": Refused(partial(swap, '["sie", [5', '["sie" [5'), "not valid JSON", 1),
                "unknown label": Refused(partial(swap, "true", "false"), "one of them right; found 2, 0", 1),
                "duplicate id": NO_IDS,
            },
        ),
        Sample(
            {
                **CHOICE,
                "fields": {"prompt": "sentence", "choices": ["option1", "option2"], "label": "answer"},
                "label_map": {"1": 0, "2": 1},
                "source": {"format": "winograd"},
            },
            lines_of(SCHEMA),
            {"bad JSON": Refused(partial(swap, "[5, 6]", "[4, 5]"), 'are "weil", not the pronoun', 1)},
        ),
    ],
    "bmlama": lambda: [
        Sample(
            {
                **CHOICE,
                "fields": {"id": "id", "prompt": "prompt", "choices": "choices", "label": "label"},
                "source": {"format": "bmlama"},
            },
            lines_of(
                "Prompt\tAns\tCandidate Ans\tSubject",
                "Rom liegt in <mask>.\tItalien\tItalien, Polen\tRom",
                "Bonn liegt in <mask>.\tDeutschland\tPolen, Deutschland\tBonn",
            ),
            {
                **of_text(2),
                **NO_OFFSETS,
                "column count": Refused(partial(line, 3, "Bonn\tx"), "expected 4 columns, found 2", 3),
                "bad JSON": NO_JSON,
                "unknown label": Refused(
                    partial(swap, "\tItalien\t", "\tItalein\t"), '"Italein" is 0 of the candidates', 2
                ),
                "duplicate id": NO_IDS,
            },
        )
    ],
    "copa_xml": lambda: [
        Sample(
            {
                **CHOICE,
                "fields": {
                    "id": "id",
                    "prompt": "{premise} {question}",
                    "choices": ["choice1", "choice2"],
                    "label": "label",
                },
                "source": {"format": "copa_xml"},
            },
            {"rows": COPA.encode()},
            {
                **of_text(4),
                **NO_OFFSETS,
                "column count": Refused(partial(swap, "<a2>Es sang.</a2>", ""), 'the item has no "a2"', 3),
                "bad JSON": Refused(partial(swap, "</a1>", "</a>"), "not valid XML: mismatched tag", 5),
                "unknown label": Refused(
                    partial(swap, 'alternative="2"', 'alternative="3"'), "no 1 or 2 as its right choice", 8
                ),
                "duplicate id": Refused(
                    partial(swap, 'id="2"', 'id="1"'), 'id "1" was already used at rows:3', 8
                ),
            },
        )
    ],
    "tsv": lambda: [
        separated("\t", format="tsv", options={"header": True}),
        Sample(
            {**LABELS, "source": {"format": "tsv", "options": {"header": True}}},
            lines_of("id\ttext\tlabel", "r0\tWort\tyes"),
            {
                "empty": Refused(lambda content: b"id\ttext\tlabel\n", "holds no row", None),
                "column count": Refused(lambda content: b"id\ttext\tid\n", 'column "id" twice', 1),
            },
        ),
    ],
    "csv": lambda: [
        separated(",", format="csv"),
        Sample(
            {**LABELS, "source": {"format": "csv"}},
            lines_of("id,text,label", "r0,Wort,yes"),
            {"column count": Refused(lambda content: content + b'r1,"a\nb",no\nr2,"c\n', "not valid CSV", 5)},
        ),
    ],
    "jsonl": lambda: [
        Sample({**LABELS, "source": {"format": "jsonl"}}, {"rows": JSON_LINES}, json_damage(1)),
        answers_in("jsonl", QUESTION_LINES, 1),
        *escapes(1, "jsonl", JSON_LINES),
        Sample(
            {**LABELS, "source": {"format": "jsonl"}},
            {"rows": JSON_LINES},
            {
                "empty": Refused(lambda content: b"\n\n", "holds no row", None),
                "bad JSON": Refused(lambda content: content + b"1" * 5_000, "not valid JSON", 5),
            },
        ),
    ],
    "json": lambda: [
        Sample({**LABELS, "source": {"format": "json"}}, {"rows": array(ROWS)}, json_damage(2)),
        answers_in("json", array(QUESTIONS), 2),
        *escapes(2, "json", array(ROWS)),
        Sample(
            {**LABELS, "source": {"format": "json"}},
            {"rows": array(ROWS)},
            {
                "empty": Refused(lambda content: b"[]\n", "holds no row", None),
                "bad JSON": Refused(lambda content: b"[\n" + b"1" * 5_000, "not valid JSON", 2),
            },
        ),
    ],
    "squad": lambda: [
        questions("squad", SQUAD, NOT_THERE),
        Sample(
            {**ANSWERS, "source": {"format": "squad"}},
            {"rows": SQUAD},
            {
                "NUL": Refused(partial(swap, "Was 0", "\\u0000"), "NUL", line_of(SQUAD, '"q0"')),
                "empty": Refused(lambda content: b'{"data": []}', "holds no row", None),
                "bad JSON": Refused(lambda content: b"1" * 5_000, "not valid JSON", 1),
            },
        ),
    ],
    "lareqa": lambda: [questions("lareqa", SENTENCES, '"gut" of q0 is not at offset 6')],
    "mewsli": lambda: [
        Sample(
            {**RANKED, "source": {"format": "mewsli"}},
            lines_of(*(mention(number) for number in range(3))),
            {
                **of_text(2),
                "column count": Refused(partial(swap, '"entity_id"', '"entity"'), "KeyError: 'entity_id'", 1),
                "bad JSON": Refused(partial(line, 2, mention(1)[:-1]), "not valid JSON", 2),
                "unknown label": NO_LABELS,
                "answer offset": Refused(
                    partial(swap, '"start": 12', '"start": 11'), "'Bonn' is not at 11", 1
                ),
                "unaligned": ONE_FILE,
                "duplicate id": Refused(partial(swap, '"m1"', '"m0"'), 'id "m0" was already used', 2),
            },
        )
    ],
    "bitext": lambda: [
        Sample(
            {
                "kind": "bitext_retrieval",
                "scores": ["accuracy"],
                "fields": {"text": "text", "english": "english"},
                "source": {"format": "bitext", "beside": "rows.en"},
            },
            BITEXT,
            {
                **of_text(2),
                "column count": NO_COLUMNS,
                "bad JSON": NO_JSON,
                "unknown label": NO_LABELS,
                "answer offset": NO_ANSWERS,
                "unaligned": Refused(without_last_line, "rows.en ends", 3, "rows.en", "rows"),
                "duplicate id": NO_IDS,
            },
        ),
        Sample(
            {
                "kind": "bitext_retrieval",
                "scores": ["accuracy"],
                "fields": {"text": "text", "english": "english"},
                "source": {"format": "bitext", "beside": "rows.en"},
            },
            BITEXT,
            {"unaligned": Refused(partial(line, 2, ""), "one side of the pair is empty", 2)},
        ),
    ],
    "bucc": lambda: [
        Sample(
            {
                "kind": "bitext_mining",
                "scores": ["bucc_f1"],
                "fields": {"id": "id", "text": "text", "references": "references", "pool": "pool"},
                "source": {"format": "bucc", "beside": "rows.en", "references": "rows.gold"},
            },
            CORPUS,
            {
                **of_text(2),
                "column count": Refused(partial(line, 2, "de-2"), "found 1 columns", 2),
                "bad JSON": NO_JSON,
                "unknown label": Refused(
                    partial(swap, "de-2", "de-9"), 'no sentence has the id "de-9"', 2, "rows.gold"
                ),
                "answer offset": NO_ANSWERS,
                "unaligned": Cannot("corpora are not aligned"),
                "duplicate id": Refused(
                    partial(swap, "de-2", "de-1"), 'id "de-1" was already used in line 1', 2
                ),
            },
        )
    ],
    "lines": lambda: [
        Sample(
            {
                "kind": "mlm",
                "scores": ["masked_pieces"],
                "fields": {"text": "text"},
                "source": {"format": "lines"},
            },
            lines_of("eins", "zwei", "", "drei"),
            {
                **of_text(2),
                "column count": NO_COLUMNS,
                "bad JSON": NO_JSON,
                "unknown label": NO_LABELS,
                "answer offset": NO_ANSWERS,
                "unaligned": ONE_FILE,
                "duplicate id": NO_IDS,
            },
        )
    ],
    "conllu": lambda: [
        tagged(
            "conllu",
            CONLLU,
            {
                **of_text(3),
                "column count": Refused(
                    partial(line, 3, "2\tbellen\tVERB"), "expected 10 columns, found 3", 3
                ),
                "unknown label": Refused(partial(swap, "VERB", "VREB"), 'unknown tag "VREB" of word 2', 3),
                "duplicate id": Refused(
                    partial(swap, "2\tbellen", "1\tbellen"), 'token id "1" does not follow', 3
                ),
            },
        )
    ],
    "columns": lambda: [
        tagged(
            "columns",
            ["Hunde\tNOUN", "bellen\tVERB", "", "Katze\tNOUN"],
            {
                **of_text(2),
                "column count": Refused(partial(line, 2, "bellen\tx\tVERB"), "found 3 columns", 2),
                "unknown label": Refused(partial(swap, "VERB", "VREB"), 'unknown tag "VREB" of word 2', 2),
            },
        ),
        tagged(
            "columns",
            ["Hunde\tNOUN", "bellen\tVERB", "", "Katze\tNOUN"],
            {
                "column count": Refused(partial(line, 2, "bellen"), 'no tag for word 2 "bellen"', 2),
                "empty": Refused(lambda content: b"\n\n", "holds no row", None),
            },
        ),
    ],
    "characters": lambda: [
        tagged(
            "characters",
            ["## 1", "H\tNOUN", "u\tNOUN", "", "## 2", "b\tVERB"],
            {
                **of_text(3),
                "column count": Refused(partial(line, 3, "u"), "expected a character, a tab and a tag", 3),
                "unknown label": Refused(
                    partial(swap, "H\tNOUN", "H\tNUON"), 'unknown tag "NUON" of word 1', 2
                ),
            },
        ),
    ],
    "supertags": lambda: [
        tagged(
            "supertags",
            ["# preamble", "Hunde|NN|NOUN bellen|VB|VERB", "Katze|NN|NOUN"],
            {
                **of_text(2),
                "column count": Refused(partial(line, 3, "Katze|NOUN"), "expected word|POS|supertag", 3),
                "unknown label": Refused(partial(swap, "|VERB", "|VREB"), 'unknown tag "VREB" of word 2', 2),
            },
        ),
    ],
    "ccgbank": lambda: [
        tagged(
            "ccgbank",
            ["ID=1 PARSER=GOLD NUMPARSE=1", DERIVATION, "ID=2 PARSER=GOLD NUMPARSE=1", DERIVATION],
            {
                **of_text(2),
                "column count": Refused(
                    partial(swap, "(<L N NN NN dogs N>)", "(<L N NN dogs>)"), "leaves are", 2
                ),
                "unknown label": Refused(partial(swap, "(<L N ", "(<L NN "), 'unknown tag "NN" of word 1', 2),
            },
        ),
    ],
    "parquet": parquet_samples,
}
