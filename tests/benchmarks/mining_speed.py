"""Mining by margin beside two exact faiss searches and a loop over the margins, on the same vectors.

    python tests/benchmarks/mining_speed.py --sentences 20000 --width 768

Prints the median seconds of both over rounds in turns, of the clock and of the processor, the median of
their ratios, and how many pairs differ. Two kinds of vectors: spread
in all directions, and crowded in one, as the mean of an encoder's states is.
"""

import argparse
import time

import faiss
import numpy as np

from adaptrans.evaluation.bitext_mining.margin import mine


def beside(x, y, k=4):
    """Candidate pairs by two searches of faiss, margins one by one, and mutual greedy matching."""

    def neighbors(queries, index):
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

    forward, forward_rows = neighbors(x, y)
    backward, backward_rows = neighbors(y, x)
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


def timed(run):
    """What a call gives, its seconds on the clock, and those of the processor.

    Other work on the machine disturbs the clock more than the processor's time.
    """
    began = time.perf_counter(), time.process_time()
    found = run()
    return found, time.perf_counter() - began[0], time.process_time() - began[1]


def compare(x, y, rounds):
    """Seconds of both sides, clock and processor, shape (rounds, sides, 2); the pairs that differ."""
    times, different = np.empty((rounds, 2, 2)), 0
    for number in range(rounds):
        runs = [lambda: beside(x, y), lambda: mine(x, y, search="exact")]
        results = [None, None]
        # In turns, so that neither always comes after the other.
        for side in (0, 1) if number % 2 == 0 else (1, 0):
            results[side], *times[number, side] = timed(runs[side])
        pairs = set(zip(results[1].sources.tolist(), results[1].targets.tolist(), strict=True))
        different += len(pairs ^ set(results[0]))
    return times, different


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sentences", type=int, default=20_000)
    parser.add_argument("--width", type=int, default=768)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--kinds", nargs="+", default=["spread", "crowded"])
    given = parser.parse_args()
    # Both sides load their libraries before the clock runs.
    warm = unit_vectors(4_000, given.width, False)
    beside(*warm)
    mine(*warm, search="exact")
    for kind in given.kinds:
        times, different = compare(
            *unit_vectors(given.sentences, given.width, kind == "crowded"), given.rounds
        )
        for place, what in enumerate(("clock", "processor")):
            a, b = times[:, 0, place], times[:, 1, place]
            shown = ", ".join(f"{ratio:.1f}" for ratio in sorted(a / b))
            print(
                f"{kind}, {what}: faiss and loop {np.median(a):.2f} s, mine {np.median(b):.2f} s, median of "
                f"{given.rounds} rounds {np.median(a / b):.1f} times as fast ({shown})"
            )
        print(f"{kind}: {different} pairs differ")


if __name__ == "__main__":
    main()
