"""`adaptrans evaluate`: score a trained setup in every language."""

from __future__ import annotations

from typing import Annotated

import typer

from adaptrans.models.methods import DEFAULT_METHOD
from adaptrans_cli import common
from adaptrans_cli.options import DataPlace, Printing, grouped


@grouped
def evaluate(
    task: Annotated[str, typer.Argument(help="Target task, such as xnli or tatoeba.")],
    place: DataPlace,
    printing: Printing,
    setup: common.SetupText = "full",
    languages: Annotated[
        str | None, typer.Option("--languages", help="Comma-separated; by default all that have data.")
    ] = None,
    split: Annotated[str, typer.Option("--split", help="Split to score.")] = "test",
    run: Annotated[str | None, typer.Option("--run", help="Key of one trained run of the store.")] = None,
    method: common.Method = DEFAULT_METHOD,
    seed: common.Seed = 1,
    precision: common.Precision = None,
    limit_eval: common.LimitEval = None,
    layer: Annotated[
        int | None, typer.Option("--layer", help="Retrieval: hidden_states\\[LAYER], 0 = embeddings.")
    ] = None,
    pooling: Annotated[str, typer.Option("--pooling", help="Retrieval: mean or cls.")] = "mean",
    threshold: Annotated[
        str | None,
        typer.Option(
            "--threshold",
            help="Mining: margin of a pair, or where it is tuned: dev, or own, the scored split.",
        ),
    ] = None,
) -> None:
    """Evaluate a trained setup zero-shot: one load, all languages, predictions kept."""
    from adaptrans import api
    from adaptrans.experiments import engine
    from adaptrans.experiments.plan import Cell, Plan

    spec = api.plan_evaluate(
        task,
        where=place.workspace(),
        setup=setup,
        method=method,
        seed=seed,
        run=run,
        tell=common.say,
        languages=[code.strip() for code in languages.split(",") if code.strip()] if languages else (),
        split=split,
        precision=precision,
        limit=limit_eval,
        layer=layer,
        pooling=pooling,
        threshold=threshold,
    )
    plan = Plan((), (Cell(setup, task, spec),))
    if printing.dry_run:
        common.show_plan(engine.work(plan), printing.as_json)
        return
    computed = engine.execute(plan, common.announce)
    report(spec, computed, printing.as_json)


def report(spec: object, computed: int, as_json: bool) -> None:
    """Print the scores of an evaluation."""
    from dataclasses import asdict

    from adaptrans.evaluation.results import load_language
    from adaptrans.runs.evaluations import EvaluateSpec
    from adaptrans_cli.tables import averages, language_results

    assert isinstance(spec, EvaluateSpec)
    found = [load_language(spec.run, code) for code in spec.wanted_languages]
    results = [result for result in found if result is not None]
    facts = spec.run.result()
    if as_json:
        mean = averages(facts, {result.language: result.values for result in results if result.values})
        common.print_json(
            {
                "mean": asdict(mean) if mean else None,
                "run": spec.run.name,
                "folder": str(spec.run.path),
                "computed": computed,
                **facts,
                "languages": [asdict(result) for result in results],
            }
        )
        return
    language_results(f"{facts['target']}: {spec.answering}", facts, results)
    print(f"predictions: {spec.run.path}")
