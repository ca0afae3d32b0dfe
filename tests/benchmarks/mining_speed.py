"""Mining by margin beside two exact faiss searches and a loop over the margins, on the same vectors.

    python tests/benchmarks/mining_speed.py --sentences 20000 --width 768

Prints the seconds of both, their ratio, and whether the pairs are the same. Two kinds of vectors: spread
in all directions, and crowded in one, as the mean of an encoder's states is.
"""

import argparse
import time

import faiss
import numpy as np

from adaptrans.evaluation.mining.margin import mine


def beside(x, y, k=4):
    """Candidate pairs by two searches of faiss, margins one by one, and mutual greedy matching."""

    def neighbours(queries, index):
        search = faiss.IndexFlatIP(index.shape[1])
        search.add(index)
        return search.search(queries, k)

    def best(own, other, similarities, rows, own_mean, other_mean):
        found = []
        for i in range(len(own)):
            scores = [
                similarities[i, place] / ((own_mean[i] + other_mean[rows[i, place]]) / 2)
                for place in range(k)
            ]
            place = int(np.argmax(scores))
            found.append((scores[place], i, int(rows[i, place])))
        return found

    forward, forward_rows = neighbours(x, y)
    backward, backward_rows = neighbours(y, x)
    means = forward.mean(axis=1), backward.mean(axis=1)
    pairs = best(x, y, forward, forward_rows, *means)
    pairs += [(score, i, j) for score, j, i in best(y, x, backward, backward_rows, *means[::-1])]
    used, taken = (set(), set()), []
    for score, i, j in sorted(pairs, key=lambda pair: -pair[0]):
        if i not in used[0] and j not in used[1]:
            used[0].add(i)
            used[1].add(j)
            if score > 0:
                taken.append((i, j))
    return taken


def unit_vectors(number, width, crowded):
    """Sources and their noisy translations."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((number, width), dtype=np.float32)
    y = x + 1.5 * rng.standard_normal((number, width), dtype=np.float32)
    if crowded:
        centre = 4 * rng.standard_normal(width).astype(np.float32)
        spread = rng.gamma(1, 1, width).astype(np.float32)
        x, y = x * spread + centre, y * spread + centre
    for vectors in (x, y):
        faiss.normalize_L2(vectors)
    return x, y


def seconds():
    """Seconds on the clock and of the processor, which other work on the machine disturbs less."""
    return time.perf_counter(), time.process_time()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sentences", type=int, default=20_000)
    parser.add_argument("--width", type=int, default=768)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    # Both sides load their libraries before the clock runs.
    warm = unit_vectors(4_000, given.width, False)
    beside(*warm)
    mine(*warm, search="exact")
    for crowded in (False, True):
        x, y = unit_vectors(given.sentences, given.width, crowded)
        for _ in range(given.rounds):
            began = seconds()
            expected = beside(x, y)
            between = seconds()
            found = mine(x, y, search="exact")
            spent = [after - before for before, after in zip(between, seconds(), strict=True)]
            other = [after - before for before, after in zip(began, between, strict=True)]
            pairs = set(zip(found.sources.tolist(), found.targets.tolist(), strict=True))
            kind = "crowded" if crowded else "spread"
            print(
                f"{kind}: faiss and loop {other[0]:.2f} s, mine {spent[0]:.2f} s, "
                f"{other[0] / spent[0]:.1f} times as fast "
                f"(processor time {other[1]:.2f} and {spent[1]:.2f} s, {other[1] / spent[1]:.1f} times), "
                f"{len(pairs)} pairs, {len(pairs ^ set(expected))} different"
            )


if __name__ == "__main__":
    main()
