"""How often intervals of analyses hold, and how often a page has a false mark, with 10 languages and 3 seeds.

    python tests/benchmarks/study_simulation.py --tables 4000 --out simulation.json

Scores have random levels and slopes of languages, runs that are better or worse in all languages, and noise
of items. A page has the analyses below, corrected together.
"""

import argparse
import json
import math
import time
from pathlib import Path

import numpy as np
import pandas

from adaptrans.analysis.study.base import analysis_of
from adaptrans.analysis.study.findings import corrected_parts
from adaptrans.analysis.study.score_table import ScoreTable

SIZES, SEEDS, LANGUAGES = (250, 1000, 4000), (1, 2, 3), 10

PAGE = [
    {"kind": "slope", "on": "log10(size)"},
    {"kind": "correlation", "on": "text"},
    {"kind": "correlation", "on": "text", "method": "spearman", "samples": 50},
    {"kind": "correlation", "on": "text", "slope_on": "log10(size)", "samples": 50},
    {"kind": "difference", "factor": "size", "baseline": 250},
    {"kind": "mixed_effects", "on": ["log10(size)", "text"], "effects": ["language", "run"]},
]
"""The mixed model has no random slopes: it is simulated without any, see `slopes`."""


def table(generator, slope, rho, slopes, runs):
    """One table of scores.

    Args:
        generator: Random numbers.
        slope: True mean slope.
        rho: True correlation of the languages' measured means with `text`.
        slopes: Standard deviation of slopes over languages.
        runs: Standard deviation of runs.
    """
    text = generator.standard_normal(LANGUAGES)
    own = slopes * generator.standard_normal(LANGUAGES)
    noise = 1.0
    # The measured mean of a language has the noise of its nine runs too.
    spread = 3.0
    middle = math.log10(1000)
    level = rho * text + math.sqrt(1 - rho**2) * generator.standard_normal(LANGUAGES)
    rows = []
    shared = {(size, seed): runs * generator.standard_normal() for size in SIZES for seed in SEEDS}
    for (size, seed), run in shared.items():
        for code in range(LANGUAGES):
            dose = math.log10(size) - middle
            score = 60 + spread * level[code] + (slope + own[code]) * dose + run
            score += 0.3 * noise * generator.standard_normal()
            rows.append((f"l{code}", size, seed, f"s{size}", f"{size} {seed}", score, text[code]))
    names = ["language", "size", "seed", "configuration", "run", "score", "text"]
    return ScoreTable(pandas.DataFrame(rows, columns=names))


def simulate(tables, slope, rho, slopes, runs, seed):
    """Coverage of each analysis, and the share of pages with a mark."""
    generator = np.random.default_rng(seed)
    page = [analysis_of(item) for item in PAGE if slopes == 0 or item["kind"] != "mixed_effects"]
    true = {"slope": slope, "pearson": rho, "spearman": 6 / math.pi * math.asin(rho / 2), "mixed": slope}
    covered = {name: [] for name in true}
    marked = 0
    for _ in range(tables):
        found = table(generator, slope, rho, slopes, runs)
        parts = corrected_parts([item.run(found) for item in page])
        marked += any(finding.significant for part in parts for finding in part.findings)
        own = {"slope": parts[0], "pearson": parts[1], "spearman": parts[2]}
        if slopes == 0:
            own["mixed"] = parts[-1]
        for name, part in own.items():
            finding = part.findings[0]
            covered[name].append(finding.low <= true[name] <= finding.high)
    facts = {"slope": slope, "rho": rho, "slopes": slopes, "runs": runs, "tables": tables}
    shares = {name: round(float(np.mean(found)), 4) for name, found in covered.items() if found}
    return {**facts, "coverage": shares, "pages_with_a_mark": round(marked / tables, 4)}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tables", type=int, default=2000)
    parser.add_argument("--out", type=Path, default=Path("study-simulation.json"))
    given = parser.parse_args()
    start, found = time.time(), []
    for number, (slope, rho) in enumerate([(0.0, 0.0), (1.0, 0.5)]):
        for slopes, runs in ((1.0, 0.3), (0.3, 1.0), (0.0, 0.5)):
            found.append(simulate(given.tables, slope, rho, slopes, runs, seed=number))
            print(json.dumps(found[-1]), flush=True)
    null = [item for item in found if item["slope"] == 0]
    result = {
        "cases": found,
        "false_positive_rate": max(item["pages_with_a_mark"] for item in null),
        "seconds": round(time.time() - start),
    }
    given.out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
