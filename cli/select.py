"""`adaptrans select`: which intermediate task will help a target."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from adaptrans_cli import completion, options

if TYPE_CHECKING:
    from adaptrans.selection.select import Selection


@options.grouped
def select(
    target: Annotated[str, typer.Argument(help="The target task.", autocompletion=completion.task)],
    place: options.DataPlace,
    candidates: Annotated[
        str,
        typer.Option(
            "--from",
            help="Intermediate tasks with commas between: mnli,squad,qqp.",
            autocompletion=completion.tasks,
        ),
    ],
    measures: Annotated[
        str | None,
        typer.Option(
            "--measures",
            help="text_embedding, task_embedding, leep, nce, logme, h_score, few_steps; by default all.",
        ),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=8, help="Training examples of each task.")] = 500,
    steps: Annotated[int, typer.Option("--steps", min=1, help="Optimizer steps of few_steps.")] = 30,
    seed: options.Seed = 1,
    as_json: options.Json = False,
) -> None:
    """Rank intermediate tasks for a target before they are trained, and judge the measures by the store."""
    from adaptrans import api
    from adaptrans.utils.progress import progress

    names = references(candidates)
    wanted = options.codes(measures)
    with progress(f"selecting for {target}", 2 * len(names) + 1) as meter:
        found = api.select(
            target,
            names,
            where=place.workspace(),
            limit=limit,
            steps=steps,
            seed=seed,
            advance=lambda what: meter.advance(note=what),
            **({"measures": wanted} if wanted else {}),
        )
    if as_json:
        options.print_json(found)
        return
    _print(found)


def references(text: str) -> list[str]:
    """Tasks with commas between them; commas within brackets belong to a task.

    Example:
        >>> references("mnli[de,ru], squad")
        ['mnli[de,ru]', 'squad']
    """
    import re

    return [part.strip() for part in re.split(r",(?![^\[]*\])", text) if part.strip()]


def _print(found: Selection) -> None:
    from adaptrans_cli.tables import console, grid, notes

    out = console()
    columns = ["candidate", *found.rankings]
    first = next(iter(found.rankings.values()))
    names = dict.fromkeys([*first, *(name for order in found.rankings.values() for name in order)])
    rows = []
    for name in names:
        cells = [
            f"{found.values[measure][name]:.3f} ({order.index(name) + 1})" if name in order else "-"
            for measure, order in found.rankings.items()
        ]
        rows.append([name, *cells])
    title = f"{found.target}: value of each measure, place in its ranking"
    out.print(grid(columns, rows, title=title, numbers=columns[1:]))
    if found.judged:
        form, worth = next(iter(found.worth.items()))
        ks = list(next(iter(found.judged.values())).regret)
        head = ["measure", *(f"regret@{k}" for k in ks), "NDCG"]
        judged = [
            [name, *(f"{100 * own.regret[k]:.1f} %" for k in ks), f"{own.ndcg:.3f}"]
            for name, own in found.judged.items()
        ]
        order = ", ".join(f"{name} {worth[name]:.1f}" for name in sorted(worth, key=lambda n: -worth[n]))
        out.print(grid(head, judged, title=f"judged by {form}: {order}", numbers=head[1:]))
    else:
        notes(["the store has no scores after two of the candidates to judge the measures by"], out)
    notes(found.notes, out)
