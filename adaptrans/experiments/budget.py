"""The part of a plan that a number of hours buys, balanced over factors. Torch-free."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

from adaptrans.errors import ConfigError
from adaptrans.experiments.cost_forecast import NO_PAST, forecasts
from adaptrans.experiments.plan import Cell, Plan
from adaptrans.utils.progress import duration


@dataclass(frozen=True)
class Costs:
    """Seconds of the runs of a plan, and which runs each cell needs that are not done.

    Args:
        seconds: By the run's folder.
        needs: Folders that each cell needs, in the order of the cells.
        guessed: Runs without a forecast, which are taken to cost the median of the others.
    """

    seconds: Mapping[Path, float]
    needs: tuple[frozenset[Path], ...]
    guessed: int = 0


def affordable(plan: Plan, hours: float) -> Plan:
    """The cells that fit into a number of hours; what is left out is said in the plan's `left_out`.

    Cells without factors, such as baselines, come first. Of the others the next one taken is one whose
    values of the factors, target and seed were taken least; among those, the one that costs least in
    addition to the runs that are needed anyway. What does not fit any more is passed over.

    Args:
        plan: The whole plan.
        hours: Wall-clock hours, one run after another.

    Raises:
        ConfigError: If there are no past runs to judge by, or the cells without factors do not fit.
    """
    costs = _costs(plan)
    chosen = chosen_cells(plan.cells, costs, 3600 * hours)
    if len(chosen) == len(plan.cells):
        return plan
    cells = tuple(plan.cells[at] for at in sorted(chosen))
    needed = {path for at in chosen for path in costs.needs[at]}
    training = tuple(spec for spec in plan.training if spec.is_done or spec.run.path in needed)
    spent = sum(costs.seconds[path] for path in needed)
    out = [cell for at, cell in enumerate(plan.cells) if at not in chosen]
    lines = [
        f"{len(cells)} of {len(plan.cells)} cells fit into {hours:g} hours (forecast {duration(spent)}); "
        f"left out: {_summary(out)}"
    ]
    if costs.guessed:
        lines.append(f"{costs.guessed} runs without a forecast are taken to cost the median of the others")
    return replace(plan, training=training, cells=cells, left_out=(*plan.left_out, *lines))


def _costs(plan: Plan) -> Costs:
    to_do = {spec.run.path: spec for spec in plan.specs if not spec.is_done}
    judged = forecasts(plan) if to_do else {}
    known = [own for path in to_do if (own := judged[path].seconds) is not None]
    if to_do and not known:
        raise ConfigError(
            f"a budget needs forecasts: {NO_PAST}", remedy="carry out a small part first, without --hours"
        )
    middle = median(known) if known else 0.0
    seconds: dict[Path, float] = {}
    for path in to_do:
        forecast = judged[path].seconds
        seconds[path] = middle if forecast is None else forecast
    guessed = sum(judged[path].seconds is None for path in to_do)
    by_path = {spec.run.path: spec for spec in plan.specs}
    closed: dict[Path, frozenset[Path]] = {}

    def needs(path: Path) -> frozenset[Path]:
        if path not in closed:
            spec = by_path.get(path)
            below = [needs(run.path) for run in spec.needs] if spec is not None and path in to_do else []
            closed[path] = frozenset({path} if path in to_do else ()).union(*below)
        return closed[path]

    return Costs(seconds, tuple(needs(cell.evaluation.run.path) for cell in plan.cells), guessed)


def levels_of(cell: Cell) -> tuple[tuple[str, str], ...]:
    """What a choice of cells is balanced over."""
    own = [("target", cell.target), ("setup", cell.setup), ("seed", str(cell.evaluation.seed))]
    return tuple(own + [(name, str(value)) for name, value in cell.factors])


def chosen_cells(cells: Sequence[Cell], costs: Costs, budget: float) -> set[int]:
    """Places of the cells that fit into a budget of seconds; see `affordable`."""
    chosen: set[int] = set()
    needed: set[Path] = set()
    spent = 0.0
    counts: Counter[tuple[str, str]] = Counter()
    levels = [levels_of(cell) for cell in cells]

    def price(at: int) -> float:
        return sum(costs.seconds[path] for path in costs.needs[at] - needed)

    def take(at: int, cost: float) -> None:
        nonlocal spent
        chosen.add(at)
        needed.update(costs.needs[at])
        spent += cost
        counts.update(levels[at])

    for at, cell in enumerate(cells):
        if not cell.factors:
            take(at, price(at))
    if spent > budget:
        raise ConfigError(
            f"the setups without factors alone take {duration(spent)}", remedy="give more --hours"
        )
    # A price falls as runs are shared, and a count rises: an entry that got out of date is put back.
    heap = [((0, 0.0), at) for at in range(len(cells)) if at not in chosen]
    heap = [((_load(counts, levels[at]), price(at)), at) for _, at in heap]
    heapq.heapify(heap)
    while heap:
        rank, at = heapq.heappop(heap)
        now = (_load(counts, levels[at]), price(at))
        if now > rank:
            heapq.heappush(heap, (now, at))
        elif spent + now[1] <= budget:
            take(at, now[1])
    return chosen


def _load(counts: Mapping[tuple[str, str], int], levels: Sequence[tuple[str, str]]) -> int:
    """How often the values of a cell were taken, all together."""
    return sum(counts[level] for level in levels)


def _summary(cells: Sequence[Cell]) -> str:
    """How many cells of each value of each factor are left out."""
    counts: dict[str, Counter[str]] = {}
    for cell in cells:
        for name, value in levels_of(cell):
            if name != "seed":
                counts.setdefault(name, Counter())[value] += 1
    parts = []
    for name, own in counts.items():
        common = ", ".join(f"{value} {count}" for value, count in own.most_common(4))
        more = f" and {len(own) - 4} more" if len(own) > 4 else ""
        parts.append(f"by {name}: {common}{more}")
    return f"{len(cells)} cells, {'; '.join(parts)}"
