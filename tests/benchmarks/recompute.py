"""Every value of a store's tables and of its page, computed again from the predictions that it holds.

    python tests/benchmarks/recompute.py STORE

Nothing of the package takes part in the arithmetic: the scorers below are written from the rules alone,
with the standard library, and read `predictions/LANGUAGE.jsonl`. The tables are those that `adaptrans compare
--json` prints, the page that of `adaptrans report`. Prints how many values were compared; ends with an error
at the first that is not the same.
"""

import html.parser
import json
import re
import string
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from statistics import mean, median

CLOSE = 1e-6
"""Points by which a value may differ: rounding of sums."""


def accuracy(rows):
    """Equal pairs, percent."""
    return 100 * sum(row["gold"] == row["prediction"] for row in rows) / len(rows)


def chunks(tags):
    """Chunks of a sentence as sets of (type, first, last), by the rule of seqeval 0.0.12."""
    found, begin = set(), None
    for place, tag in enumerate([*tags, "O"]):
        before = tags[place - 1] if place else "O"
        # A chunk also begins after a single one and before what is marked as a beginning.
        new = (
            before == "O" or before.split("-")[-1] != tag.split("-")[-1] or tag[0] in "BS" or before[0] == "S"
        )
        if begin is not None and (tag == "O" or new):
            found.add((before.split("-")[-1], begin, place - 1))
            begin = None
        if tag != "O" and new:
            begin = place
    return found


def harmonic(right, found, wanted):
    """F1 in percent of counts."""
    if not right:
        return 0.0
    precision, recall = right / found, right / wanted
    return 100 * 2 * precision * recall / (precision + recall)


def chunk_f1(rows):
    """Micro F1 of chunks."""
    pairs = [(chunks(row["gold"]), chunks(row["prediction"])) for row in rows]
    right = sum(len(gold & own) for gold, own in pairs)
    return harmonic(right, sum(len(own) for _, own in pairs), sum(len(gold) for gold, _ in pairs))


def bare(text):
    """An answer without case, ASCII punctuation, English articles and surplus space."""
    kept = "".join(letter for letter in text.lower() if letter not in string.punctuation)
    return re.sub(r"\b(a|an|the)\b", " ", kept).split()


def question_score(rows):
    """Mean of exact match and bag-of-words F1, each the best of any gold answer of a question."""
    exact, shared = [], []
    for row in rows:
        own = bare(row["prediction"])
        golds = [bare(gold) for gold in row["gold"]]
        exact.append(100 * any(own == gold for gold in golds))
        overlap = [sum((Counter(own) & Counter(gold)).values()) for gold in golds]
        shared.append(max(harmonic(n, len(own), len(gold)) for n, gold in zip(overlap, golds, strict=True)))
    return (mean(exact) + mean(shared)) / 2


SCORERS = {"accuracy": accuracy, "chunk_f1": chunk_f1, "squad": question_score}


class Cells(html.parser.HTMLParser):
    """Tables of a page: label, then rows of cells as lists of the text between their tags."""

    def __init__(self, text):
        super().__init__()
        self.tables, self.label, self.open = {}, "", False
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        if tag == "div":
            self.label = dict(attributes).get("aria-label", self.label)
        elif tag == "table":
            self.tables.setdefault(self.label, []).append([])
        elif tag == "tr":
            self.tables[self.label][-1].append([])
        elif tag in ("td", "th"):
            self.tables[self.label][-1][-1].append([])
            self.open = True

    def handle_endtag(self, tag):
        self.open = self.open and tag not in ("td", "th")

    def handle_data(self, data):
        if self.open and data.strip():
            self.tables[self.label][-1][-1][-1].append(data.strip())


def stored(store, run):
    """Scores of a run by language, from its predictions."""
    (folder,) = (store / "runs" / "evaluate").glob(f"*-{run.rpartition('-')[2]}")
    scorer = SCORERS[json.loads((folder / "done.json").read_text())["score"]]
    found = {}
    for path in sorted((folder / "predictions").glob("*.jsonl")):
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        if rows and rows[0]["gold"] is not None:
            found[path.stem] = scorer(rows)
    return found


class Recomputation:
    """Tables beside their recomputation."""

    def __init__(self, store):
        self.store = Path(store)
        self.values = 0

    def same(self, shown, own, where, close=CLOSE):
        """Refuse a value that is another one."""
        self.values += 1
        if abs(shown - own) > close:
            raise AssertionError(f"{where}: shown {shown}, from the predictions {own}")

    def table(self, table):
        """Check one table as `compare --json` prints it; returns its rows as recomputed."""
        rows = {}
        for row in table["rows"]:
            where = f"{table['target']} {row['setup']}"
            seeds = [stored(self.store, seed["run"]) for seed in row["seeds"]]
            for shown, own in zip(row["seeds"], seeds, strict=True):
                for code, value in shown["languages"].items():
                    self.same(value, own[code], f"{where} {code} {shown['run']}")
                self.same(
                    shown["mean"], mean(own[code] for code in table["scored"]), f"{where} {shown['run']}"
                )
            languages = {code: median(own[code] for own in seeds) for code in table["scored"]}
            whole = median(mean(own[code] for code in table["scored"]) for own in seeds)
            for code, value in languages.items():
                self.same(next(iter(row["languages"][code]["values"].values())), value, f"{where} {code}")
            self.same(row["mean"]["value"], whole, where)
            if row["zero_shot"] is not None:
                source = self.result(row["run"])["source_languages"]
                unseen = [code for code in table["scored"] if code not in source]
                self.same(
                    row["zero_shot"], median(mean(own[code] for code in unseen) for own in seeds), where
                )
            rows[row["setup"]] = {"mean": whole, "languages": languages}
        self.differences(table, rows)
        return rows

    def result(self, run):
        (folder,) = (self.store / "runs" / "evaluate").glob(f"*-{run.rpartition('-')[2]}")
        return json.loads((folder / "done.json").read_text())

    def differences(self, table, rows):
        """Differences of a table are to its one row that has none."""
        bases = [row["setup"] for row in table["rows"] if row["difference"] is None]
        if len(bases) != 1:
            return
        base = rows[bases[0]]
        for row in table["rows"]:
            if row["difference"] is None:
                continue
            own, where = rows[row["setup"]], f"{table['target']} {row['setup']} to {bases[0]}"
            self.same(row["difference"]["value"], own["mean"] - base["mean"], where)
            for code, shown in row["differences"].items():
                self.same(shown["value"], own["languages"][code] - base["languages"][code], f"{where} {code}")

    def page(self, text, tables, rows):
        """Check the page: means, differences and the numbers by language, with one decimal."""
        cells = Cells(text).tables
        shown = {row[0][0]: row[1:] for row in cells["Means over languages"][0]}
        for place, (table, found) in enumerate(zip(tables, rows, strict=True)):
            base = [row["setup"] for row in table["rows"] if row["difference"] is None]
            # A target has several tables where it was scored on other examples too; their order is the same.
            detail = {row[0][0]: row[1:] for row in cells[f"{table['target']} by language"].pop(0)}
            for row in table["rows"]:
                where = f"page, {table['target']} {row['setup']}"
                own = found[row["setup"]]
                cell = shown[row["setup"]][place]
                self.same(float(cell[0]), own["mean"], where, 0.0501)
                if row["difference"] is not None and len(base) == 1:
                    gap = own["mean"] - found[base[0]]["mean"]
                    self.same(float(cell[-1].rstrip("*")), gap, where, 0.0501)
                for code, (value, *_) in zip(table["scored"], detail[row["setup"]], strict=True):
                    self.same(float(value.rstrip("°")), own["languages"][code], f"{where} {code}", 0.0501)


def check(store, tables, page):
    """Number of values of tables and page that equal those from the predictions.

    Args:
        store: Folder of the runs.
        tables: Tables as `adaptrans compare --json` prints them.
        page: HTML of `adaptrans report`.

    Raises:
        AssertionError: At the first value that does not.
    """
    found = Recomputation(store)
    found.page(page, tables, [found.table(table) for table in tables])
    return found.values


def main():
    """Check a store."""
    store = sys.argv[1]
    command = [sys.executable, "-m", "adaptrans_cli.main"]
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "page.html"
        compared = subprocess.run(
            [*command, "compare", "--store", store, "--json"], capture_output=True, check=True
        )
        subprocess.run([*command, "report", store, "--out", str(page)], capture_output=True, check=True)
        tables = json.loads(compared.stdout)
        values = check(store, tables, page.read_text(encoding="utf-8"))
    seeds = {len(row["seeds"]) for table in tables for row in table["rows"]}
    print(f"{values} values of {len(tables)} tables and their page equal those of the predictions")
    print(f"seeds behind a value: {sorted(seeds)}")


if __name__ == "__main__":
    main()
