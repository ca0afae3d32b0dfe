"""What an experiment would compute, as a tree: every run below what it builds on, with a forecast."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adaptrans_cli import options

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.tree import Tree

    from adaptrans.experiments.cost_forecast import Forecast, Total
    from adaptrans.experiments.plan import Plan, Work

NO_KEY = "no key yet"


def show_plan(name: str, plan: Plan, as_json: bool) -> None:
    """Print the runs of an experiment: what exists, what is absent, and what the others will take.

    Args:
        name: Name of the experiment.
        plan: Its runs.
        as_json: As JSON.
    """
    from adaptrans.experiments.cost_forecast import Forecast, forecasts, total
    from adaptrans.experiments.plan import absent, partial_plan, without_key, work

    items, keyless, lacks = work(plan), without_key(plan), absent(plan)
    to_do = [item.run.path for item in items if not item.done]
    judged = forecasts(plan) if to_do else {}
    found = {path: judged.get(path, Forecast()) for path in to_do}
    whole = total(found.values())
    if as_json:
        options.print_json(
            {
                "experiment": name,
                "runs": [_row(item, item.run.path in keyless, found) for item in items],
                "total": asdict(whole),
                "absent": lacks,
                "partial": partial_plan(plan),
                "left_out": list(plan.left_out),
            }
        )
        return
    _show(name, items, keyless, found)
    for line in (*plan.left_out, *partial_plan(plan)):
        print(f"note: {line}")
    _show_total(whole)
    if lacks:
        print("not on this machine, to be fetched before or while it is run:")
        print("\n".join(f"  {line}" for line in lacks))
        print(f"{len(keyless)} runs have a key, and show whether they are done, only when that is here")


def _row(item: Work, keyless: bool, found: Mapping[Path, Forecast]) -> dict[str, Any]:
    """A run as JSON has it."""
    known = {"run": None, "folder": None} if keyless else {"run": item.run.name, "folder": str(item.run.path)}
    forecast = None if item.done else asdict(found[item.run.path])
    return {**known, "what": item.what, "done": item.done, "forecast": forecast}


def _show(name: str, items: Sequence[Work], keyless: frozenset[Path], found: Mapping[Path, Forecast]) -> None:
    """Print the tree."""
    from rich.text import Text
    from rich.tree import Tree

    from adaptrans_cli.tables import console

    root = Tree(Text(f"{name}: {len(items)} runs, {len(found)} to compute", "bold"))
    branches: dict[Path, Tree] = {}
    for item in items:
        needs = [path for path in sorted(item.needs) if path in branches]
        others = f" (and {len(needs) - 1} more)" if len(needs) > 1 else ""
        below = branches[needs[-1]] if needs else root
        mark = "done " if item.done else "to do"
        key = NO_KEY if item.run.path in keyless else item.run.key
        label = Text(f"{mark} {item.what}{others} [{key}]", "green" if item.done else "")
        if not item.done:
            label.append(_short(found[item.run.path]), "dim")
        branches[item.run.path] = below.add(label)
    console().print(root)


def _short(forecast: Forecast) -> str:
    """A forecast behind a run; nothing where there is none."""
    parts = [
        *([_time(forecast.seconds)] if forecast.seconds is not None else []),
        *_sizes(forecast.memory, forecast.device_memory),
        *([f"{_bytes(forecast.disk)} on disk"] if forecast.disk is not None else []),
    ]
    return f" ~ {', '.join(parts)}, by {forecast.basis}" if parts else ""


def _show_total(whole: Total) -> None:
    """Print what the runs to compute take together."""
    from adaptrans.experiments.cost_forecast import NO_PAST

    if whole.unknown < whole.runs:
        parts = [
            f"{_time(whole.seconds)} one after another",
            *_sizes(whole.memory, whole.device_memory, "at most "),
            f"{_bytes(whole.disk)} on disk",
        ]
        print(f"forecast for {whole.runs - whole.unknown} of {whole.runs} runs: {', '.join(parts)}")
    if whole.unknown:
        print(f"no forecast of the time of {whole.unknown} runs: {NO_PAST}, or it was not timed")


def _sizes(memory: int | None, device: int | None, before: str = "") -> list[str]:
    """Memory of the process and of the device, as far as they are known."""
    return [
        f"{before}{_bytes(value)} {what}"
        for value, what in ((memory, "memory"), (device, "GPU memory"))
        if value is not None
    ]


def _time(seconds: float) -> str:
    """A length of time in the two largest units.

    Example:
        >>> _time(3725), _time(40), _time(200000)
        ('1 h 2 min', '40 s', '2 d 8 h')
    """
    minutes, hours = round(seconds / 60), round(seconds / 3600)
    if seconds < 100:
        return f"{seconds:.0f} s"
    if minutes < 60:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min" if hours < 48 else f"{hours // 24} d {hours % 24} h"


def _bytes(number: int) -> str:
    """A size in the largest unit that it fills.

    Example:
        >>> _bytes(1_300_000_000), _bytes(4_200_000), _bytes(900)
        ('1.3 GB', '4.2 MB', '0.9 kB')
    """
    for unit, size in (("GB", 1e9), ("MB", 1e6)):
        if number >= size:
            return f"{number / size:.1f} {unit}"
    return f"{number / 1e3:.1f} kB"
