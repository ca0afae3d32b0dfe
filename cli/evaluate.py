"""`adaptrans evaluate`: score a trained setup in every language."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from adaptrans_cli import options
from adaptrans_cli.options import DataPlace, Printing, grouped

if TYPE_CHECKING:
    from adaptrans.runs.evaluation import EvaluateSpec


@grouped
def evaluate(
    task: Annotated[str, typer.Argument(help="Target task, such as xnli or tatoeba.")],
    place: DataPlace,
    printing: Printing,
    setup: Annotated[
        list[str] | None,
        typer.Option("--setup", help="full, adapter, 'mnli > target', ...; several, repeated, side by side."),
    ] = None,
    languages: Annotated[
        str | None, typer.Option("--languages", help="Comma-separated; by default all that have data.")
    ] = None,
    split: Annotated[str | None, typer.Option("--split", help="Split to score; by default test.")] = None,
    run: Annotated[str | None, typer.Option("--run", help="Key of one trained run of the store.")] = None,
    method: options.Method = options.DEFAULT_METHOD,
    seed: options.Seed = 1,
    precision: options.Precision = None,
    limit_eval: options.LimitEval = None,
    trim_vocabulary: options.TrimVocabulary = None,
    quantize: options.Quantize = None,
    layer: Annotated[
        int | None, typer.Option("--layer", help="Retrieval: hidden_states\\[LAYER], 0 = embeddings.")
    ] = None,
    pooling: Annotated[
        str | None, typer.Option("--pooling", help="Retrieval: mean or cls; by default mean.")
    ] = None,
    threshold: Annotated[
        str | None,
        typer.Option(
            "--threshold",
            help="Mining: margin of a pair, or where it is tuned: dev, or own, the scored split.",
        ),
    ] = None,
    set_: options.Settings = None,
) -> None:
    """Evaluate trained setups zero-shot: one load, all languages, predictions kept."""
    from adaptrans import api
    from adaptrans.errors import ConfigError
    from adaptrans.experiments.commands import plan_evaluate
    from adaptrans.experiments.plan import Cell, Plan, jobs_of

    setups = list(dict.fromkeys(setup or ["full"]))
    if run is not None and len(setups) > 1:
        raise ConfigError("--run names one run", remedy="leave it out, or give one --setup")
    given = options.settings(
        set_,
        split=split,
        precision=precision,
        limit=limit_eval,
        trim_vocabulary=trim_vocabulary,
        quantize=quantize,
        layer=layer,
        pooling=pooling,
        threshold=threshold,
    )
    where = place.workspace().remembering()
    specs = [
        plan_evaluate(
            task,
            where=where,
            setup=text,
            method=method,
            seed=seed,
            run=run,
            tell=options.say,
            languages=[code.strip() for code in languages.split(",") if code.strip()] if languages else (),
            **given,
        )
        for text in setups
    ]
    cells = tuple(Cell(text, task, spec) for text, spec in zip(setups, specs, strict=True))
    items = jobs_of(Plan((), cells))
    if printing.dry_run:
        options.show_plan(items, printing.as_json)
        return
    api.evaluate_all(specs, options.announce)
    computed = sum(not item.done for item in items)
    found = [report(spec, computed, printing.as_json) for spec in specs]
    if printing.as_json:
        options.print_json(found if len(found) > 1 else found[0])


def report(spec: EvaluateSpec, computed: int, as_json: bool) -> dict[str, Any]:
    """Print the scores of an evaluation, or return them as JSON."""
    from dataclasses import asdict

    from adaptrans.evaluation.layer_choice import better_layer_notes
    from adaptrans.evaluation.results import load_language
    from adaptrans_cli.tables import averages, language_results

    found = [load_language(spec.run, code) for code in spec.wanted_languages]
    results = [result for result in found if result is not None]
    facts = spec.run.result()
    if as_json:
        mean = averages(facts, {result.language: result.values for result in results if result.values})
        return {
            "mean": asdict(mean) if mean else None,
            "run": spec.run.name,
            "folder": str(spec.run.path),
            "computed": computed,
            **facts,
            "notes": [*facts["notes"], *better_layer_notes(facts, [result.half for result in results])],
            "languages": [asdict(result) for result in results],
        }
    language_results(f"{facts['target']}: {spec.answering}", facts, results)
    print(f"predictions: {spec.run.path}")
    return {}
