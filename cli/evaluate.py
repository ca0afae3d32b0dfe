"""`adaptrans evaluate`, `predict`, `mine`: trained setups on benchmarks and on text of one's own."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from adaptrans_cli import completion, options
from adaptrans_cli.options import DataPlace, Printing, TaskPlace, grouped

if TYPE_CHECKING:
    from adaptrans.runs.evaluation import EvaluateSpec
    from adaptrans.task_types.base import TaskType


@grouped
def evaluate(
    task: Annotated[
        str,
        typer.Argument(
            help="Target task: xnli, tatoeba, xnli\\[cloze:en], ...", autocompletion=completion.task
        ),
    ],
    place: DataPlace,
    printing: Printing,
    setup: Annotated[
        list[str] | None,
        typer.Option(
            "--setup",
            help="full, adapter, 'mnli > target', ...; several, repeated, side by side.",
            autocompletion=completion.setup,
        ),
    ] = None,
    formulation: Annotated[
        list[str] | None,
        typer.Option("--formulation", help="head, cloze:en, cloze:own/untrained, ...; several, repeated."),
    ] = None,
    languages: Annotated[
        str | None,
        typer.Option(
            "--languages",
            help="Comma-separated; by default all that have data.",
            autocompletion=completion.languages,
        ),
    ] = None,
    split: Annotated[str | None, typer.Option("--split", help="Split to score; by default test.")] = None,
    run: Annotated[str | None, typer.Option("--run", help="Key of one trained run of the store.")] = None,
    method: options.Method = options.DEFAULT_METHOD,
    seed: options.Seed = 1,
    precision: options.Precision = None,
    limit_eval: options.LimitEval = None,
    trim_vocabulary: options.TrimVocabulary = None,
    quantize: options.Quantize = None,
    perturb: Annotated[
        list[str] | None,
        typer.Option("--perturb", help="Also on a changed test set: typos:10, ...; several, repeated."),
    ] = None,
    layer: Annotated[
        int | None, typer.Option("--layer", help="Retrieval: hidden_states\\[LAYER], 0 = embeddings.")
    ] = None,
    pooling: Annotated[
        str | None, typer.Option("--pooling", help="Retrieval: mean or cls; by default mean.")
    ] = None,
    text_prefix: Annotated[
        str | None,
        typer.Option("--text-prefix", help="Retrieval, mining: put before every text; backbone: its own."),
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
        text_prefix=text_prefix,
        threshold=threshold,
    )
    where = place.workspace().remembering()
    targets = [f"{task}[{text}]" for text in dict.fromkeys(formulation or ())] or [task]
    rows = [(text, target) for text in setups for target in targets]
    perturbed = (given.get("perturb"), *dict.fromkeys(perturb or ()))
    specs = [
        plan_evaluate(
            target,
            where=where,
            setup=text,
            method=method,
            seed=seed,
            run=run,
            tell=options.say,
            languages=options.codes(languages),
            **{**given, "perturb": changed},
        )
        for text, target in rows
        for changed in perturbed
    ]
    cells = tuple(Cell(str(spec.setup), spec.task.shown, spec) for spec in specs)
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
    from adaptrans.evaluation.results import better_layer_notes, load_language
    from adaptrans.stats.aggregate import task_score
    from adaptrans_cli.tables import language_results

    found = [load_language(spec.run, code) for code in spec.wanted_languages]
    results = [result for result in found if result is not None]
    facts = spec.run.result()
    scored = {result.language: result.values for result in results if result.values}
    mean = None
    if scored:
        primary, source = facts["score"], facts["source_languages"]
        mean = task_score(scored, facts["task_languages"], primary=primary, source=source)
    remarks = [*facts["notes"], *better_layer_notes(facts, [result.half for result in results])]
    if as_json:
        return {
            "mean": asdict(mean) if mean else None,
            "run": spec.run.name,
            "folder": str(spec.run.path),
            "computed": computed,
            **facts,
            "notes": remarks,
            "languages": [asdict(result) for result in results],
        }
    put = "" if spec.task.formulation is None else f" as {spec.task.formulation}"
    changed = "" if spec.perturbation is None else f" ~{spec.perturbation}"
    title = f"{facts['target']}{put}: {spec.answering}{changed}"
    language_results(title, facts["score"], results, mean, remarks)
    print(f"predictions: {spec.run.path}")
    return {}


@grouped
def predict(
    task: Annotated[
        str,
        typer.Argument(help="Target task whose head answers, such as xnli.", autocompletion=completion.task),
    ],
    place: TaskPlace,
    text: Annotated[str | None, typer.Option("--text", help="Text to classify, or words to tag.")] = None,
    pair: Annotated[str | None, typer.Option("--pair", help="Second text of a pair.")] = None,
    question: Annotated[str | None, typer.Option("--question", help="Question on --context.")] = None,
    context: Annotated[str | None, typer.Option("--context", help="Passage that holds the answer.")] = None,
    choice: Annotated[list[str] | None, typer.Option("--choice", help="One choice after --text.")] = None,
    input_: Annotated[
        Path | None,
        typer.Option("--input", help="JSON lines with the fields of the task's type; - for stdin."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="File of JSON lines; else standard output.")
    ] = None,
    lang: Annotated[
        str | None,
        typer.Option(
            "--lang",
            help="Language of the text, for prompts in it: xnli\\[cloze:own].",
            autocompletion=completion.language,
        ),
    ] = None,
    setup: options.SetupText = "full",
    run: Annotated[str | None, typer.Option("--run", help="Key of one trained run of the store.")] = None,
    method: options.Method = options.DEFAULT_METHOD,
    seed: options.Seed = 1,
    precision: options.Precision = None,
    quantize: options.Quantize = None,
    set_: options.Settings = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say which run would answer how many inputs; answer none.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="As the other commands; answers are JSON lines in any case.")
    ] = False,
) -> None:
    """Answer your own text, in any language, with a trained setup; prints JSON lines."""
    import json

    from adaptrans import api
    from adaptrans.errors import ConfigError
    from adaptrans.experiments.commands import plan_evaluate
    from adaptrans.utils.io import atomic_write

    if out is not None and out.is_dir():
        raise ConfigError(f"--out {out} is a folder", remedy="name a file")
    where = place.workspace()
    own = {"text": text, "pair": pair, "question": question, "context": context, "choices": choice}
    given = {name: value for name, value in own.items() if value}
    rows = _rows(input_) if input_ is not None else [_row(where.task(task).type, given)]
    chosen: dict[str, Any] = {
        "setup": setup, "run": run, "method": method, "seed": seed, "languages": options.codes(lang),
        **options.settings(set_, precision=precision, quantize=quantize),
    }  # fmt: skip
    if dry_run:
        _show_predicting(plan_evaluate(task, where=where, **chosen), len(rows), as_json)
        return
    answers = api.predict(task, rows, where=where, **chosen)
    if out is None:
        for row in answers:
            print(json.dumps(row, ensure_ascii=False))
        return
    with atomic_write(out) as temporary, temporary.open("w", encoding="utf-8") as file:
        for row in answers:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


def _show_predicting(spec: EvaluateSpec, inputs: int, as_json: bool) -> None:
    from adaptrans.errors import ConfigError

    if not spec.task.type.trainable:
        raise ConfigError(
            f"{spec.task.name} compares sentences and has no head", remedy="name another target"
        )
    if spec.trained is None:
        who = {"run": None, "setup": spec.answering}
        told = f"{spec.answering} would answer untrained"
    else:
        who = {"run": spec.trained.name, "folder": str(spec.trained.path)}
        told = f"run {spec.trained.name} would answer"
    if as_json:
        options.print_json({**who, "inputs": inputs})
    else:
        print(f"{told}; inputs: {inputs}")


def _row(kind: TaskType, given: dict[str, Any]) -> dict[str, Any]:
    """The fields given, `--text` under the name that the type has for it."""
    return {kind.text_field if name == "text" else name: value for name, value in given.items()}


def _rows(path: Path) -> list[dict[str, Any]]:
    from adaptrans.tasks.readers.files import read_jsonl

    return [row.values for row in read_jsonl(path) if row.values is not None]


def mine(
    source: Annotated[Path, typer.Argument(help="Text file, plain or .gz, one sentence per line.")],
    target: Annotated[Path, typer.Argument(help="Text file of the other language.")],
    out: Annotated[Path, typer.Option("--out", help="File of pairs: score, both lines, both sentences.")],
    backbone: options.Backbone = None,
    setup: options.SetupText = "full",
    artifact: Annotated[
        Path | None, typer.Option("--artifact", help="Folder of a trained artifact, in place of --setup.")
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option("--threshold", help="Least margin of a pair, such as 1.06; by default all."),
    ] = None,
    top: Annotated[int | None, typer.Option("--top", min=1, help="Write the best N pairs at most.")] = None,
    search: Annotated[
        str | None, typer.Option("--search", help="exact or IVF (approximate); by default by size.")
    ] = None,
    layer: Annotated[
        int | None,
        typer.Option(
            "--layer", help="hidden_states\\[LAYER], 0 = embeddings; by default the backbone's or 14 of 24."
        ),
    ] = None,
    pooling: Annotated[str, typer.Option("--pooling", help="mean or cls.")] = "mean",
    max_length: Annotated[int, typer.Option("--max-length", min=3, help="Tokens per sentence.")] = 128,
    tokens_per_batch: Annotated[
        int, typer.Option("--tokens-per-batch", min=16, help="Padded tokens per forward pass.")
    ] = 8192,
    text_prefix: Annotated[
        str, typer.Option("--text-prefix", help="Put before every sentence; backbone: its own.")
    ] = "",
    data: options.Data = None,
    store: options.StoreFolder = options.DEFAULT_STORE,
    tasks: options.TaskFolders = None,
    method: options.Method = options.DEFAULT_METHOD,
    seed: options.Seed = 1,
    device: options.Device = "auto",
    precision: options.Precision = None,
    as_json: options.Json = False,
) -> None:
    """Find sentences that translate each other in two unaligned files, by ratio margin."""
    from adaptrans import api

    found = api.mine(
        source,
        target,
        out,
        where=TaskPlace(backbone, store, device, data, tasks).workspace(),
        setup=setup,
        artifact=artifact,
        method=method,
        seed=seed,
        layer=layer,
        pooling=pooling,
        max_length=max_length,
        tokens_per_batch=tokens_per_batch,
        precision=precision or "auto",
        search=search,
        threshold=threshold,
        top=top,
        text_prefix=text_prefix,
    )
    if as_json:
        options.print_json(asdict(found))
        return
    for path, side in ((source, found.sources), (target, found.targets)):
        left_out = f"{side['repeated']:,} repeated and {side['blank']:,} blank lines left out"
        print(f"{path}: {side['sentences']:,} sentences, {left_out}")
    searched = "exact" if found.search == "exact" else "approximate (IVF)"
    print(f"vectors: {found.vectors}; {searched} search; kept in {found.work}")
    print(f"{found.out}: {found.written:,} of {found.candidates:,} candidate pairs")
