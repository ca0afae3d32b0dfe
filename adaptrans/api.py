"""The commands as functions: same names, same options, same power. Torch-free until something is computed.

Example:
    >>> import adaptrans
    >>> run = adaptrans.intermediate("nli", where=adaptrans.workspace(backbone="xlm-r"))  # doctest: +SKIP
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adaptrans.analysis.aggregates import GroupTable, OverallTable, grouped, overall
from adaptrans.analysis.comparison import TargetTable, corrected
from adaptrans.analysis.entries import evaluated, export, long_rows, tables_of, told_apart
from adaptrans.analysis.published import PublishedBaselines, published_baselines
from adaptrans.analysis.study.page import StudyPage, analyzed, with_covariates
from adaptrans.analysis.study.reading import read_results
from adaptrans.errors import ArtifactError, ConfigError, FailedRunsError
from adaptrans.evaluation.results import LanguageResult, load_language
from adaptrans.experiments.commands import (
    plan_evaluate,
    plan_intermediate,
    plan_language,
    plan_mining,
    plan_run,
    plan_target,
    workspace,
)
from adaptrans.experiments.config import Experiment, bundled, load_experiment
from adaptrans.experiments.cost_forecast import forecasts
from adaptrans.experiments.execution.base import Carried, Execution, RunCallback, carry_out, execute
from adaptrans.experiments.plan import Cell, Job, Plan, jobs_of, planned_tables
from adaptrans.experiments.scores import score_table
from adaptrans.experiments.study import is_study, load_study, study_file
from adaptrans.modeling.adapter_methods import DEFAULT_METHOD
from adaptrans.report.html import write_page
from adaptrans.report.study import write_study
from adaptrans.runs.base import RunSpec
from adaptrans.runs.evaluation import EvaluateSpec
from adaptrans.runs.store import DEFAULT_STORE, Run, Store
from adaptrans.runs.workspace import Workspace
from adaptrans.selection.select import Selection
from adaptrans.selection.select import select as select_intermediates
from adaptrans.utils.renames import ARGUMENTS, current

if TYPE_CHECKING:
    from adaptrans.evaluation.bitext_mining.files import Mined

Announce = Callable[[Job, int, int], None]


def _silent(item: Job, place: int, total: int) -> None:
    """Announce nothing."""


def language(code: str, *, text: str | Path, where: Workspace, **options: Any) -> Run:
    """Train a language adapter on plain text; setups with `{lang}` use it. The same call again finds it.

    Args:
        code: Code of the language, such as `sw`.
        text: A text file, or a folder with `CODE.txt` or `CODE/*.txt`, plain or `.gz`.
        where: The workspace.
        **options: `method`, `seed`, and the fields of `TrainingConfig`.
    """
    return _carried_out(plan_language(code, text=text, where=where, **options))


def add_head(
    out: str | Path,
    *,
    where: Workspace,
    task: str = "mlm",
    languages: Sequence[str] = (),
    license: str | None = None,
    seed: int = 1,
    announce: Announce = _silent,
    **options: Any,
) -> dict[str, Any]:
    """Train a masked language model head for an encoder that has none, and write both as one backbone.

    The encoder stays as it is. The same call again finds run and folder.

    Args:
        out: Folder of the new backbone.
        where: The workspace; its backbone gets the head, its data folder holds the text.
        task: A text task.
        languages: Languages of the text; by default all that have text.
        license: License of the text, in words, for the record beside the weights.
        seed: Seed of weights, masks and batches.
        announce: Called before the run is computed.
        **options: Fields of `TrainingConfig`.

    Returns:
        `folder`, `run`, whether it was `written` now, and what was measured on held-out text by language:
        `held_out`, and `untrained` for the head before its first step.
    """
    from adaptrans.modeling.added_head import refuse_other, write_backbone
    from adaptrans.runs.masked_lm_head import head_spec

    spec = head_spec(where, task, languages, seed, options)
    folder = Path(out)
    # Before the hours of training, not after them.
    refuse_other(folder, spec.run.key)
    execute(Plan((spec,), ()), announce)
    result = spec.run.result()
    measured = {name: result[name] for name in ("held_out", "untrained")}
    about = {"license_of_text": license, "notes": result["notes"], **measured}
    written = write_backbone(where.backbone, spec.run.artifact, folder, spec.run.key, about)
    return {
        "folder": str(folder),
        "run": spec.run.name,
        "written": written,
        "notes": result["notes"],
        **measured,
    }


def _carried_out(spec: RunSpec) -> Run:
    """One training run, computed unless the store has it."""
    execute(Plan((spec,), ()))
    return spec.run


def adopt(
    folder: str | Path,
    *,
    where: Workspace,
    name: str | None = None,
    language: str | None = None,
    above_language: bool = False,
    allow_bin: bool = False,
    method: str | None = None,
    **former: Any,
) -> Run:
    """Take an adapter made with the `adapters` library, or a LoRA of PEFT, into the store, for setups to use.

    Args:
        folder: What the library's `save_adapter`, or PEFT's `save_pretrained`, wrote.
        where: The workspace.
        name: What setups call it; by default its own name.
        language: For a language adapter, its language.
        above_language: Whether it was trained above a language adapter.
        allow_bin: Also read `pytorch_adapter.bin`, a pickle, as bare tensors.
        method: `direft` or `noreft`, where the file does not tell which.
        **former: `pickles`, the former name of `allow_bin`.

    Returns:
        The run: setups name it `NAME#KEY`, or its folder, and a language adapter `{lang}`.
    """
    from adaptrans.hub.import_adapterhub import adopt as take

    others = current(former, ARGUMENTS)
    return take(
        Path(folder),
        where.store,
        where.backbone,
        name=name,
        language=language,
        above_language=above_language,
        pickles=others.pop("allow_bin", allow_bin),
        method=method,
        **others,
    )


def intermediate(task: str, *, where: Workspace, **options: Any) -> Run:
    """Train an intermediate task, into the whole model or into an adapter. The same call again finds it.

    Args:
        task: Task name, with training languages in brackets if not English: `mnli[de,ru]`; or several,
            `mnli + squad`, of which each step trains one.
        where: The workspace.
        **options: `method` (`full` or an adapter method), `seed`, and the fields of `TrainingConfig`.
    """
    return _carried_out(plan_intermediate(task, where=where, **options))


def target(task: str, *, where: Workspace, announce: Announce = _silent, **options: Any) -> Run:
    """Train a setup on a target task, and first what it builds on. The same call again finds it.

    Args:
        task: The target's name.
        where: The workspace.
        announce: Called before each run that is computed.
        **options: `setup` (an expression, by default `full`), `method`, `seed`, and the fields of
            `TrainingConfig`, which apply to the target alone.
    """
    found = plan_target(task, where=where, **options)
    execute(found, announce)
    return found.training[-1].run


def evaluate(task: str, *, where: Workspace, **options: Any) -> dict[str, LanguageResult]:
    """Evaluate a trained setup zero-shot in every language that has data.

    Args:
        task: The target's name.
        where: The workspace.
        **options: `setup`, `method`, `seed`, `run` (key of one stored run), `languages`, and the fields
            of `EvaluationConfig`.

    Returns:
        Results by language; languages that are done are not computed again.

    Raises:
        ArtifactError: If the setup has not been trained; says how.
    """
    return evaluate_all([plan_evaluate(task, where=where, **options)])[0]


def evaluate_all(
    specs: Sequence[EvaluateSpec], announce: Announce = _silent
) -> list[dict[str, LanguageResult]]:
    """The same of several planned evaluations; what adapter setups on one target share is computed once.

    Args:
        specs: What `plan_evaluate` returned.
        announce: Called before each run that is computed.
    """
    cells = tuple(Cell(str(spec.setup), spec.task.name, spec) for spec in specs)
    execute(Plan((), cells), announce, together=True)
    found = [{code: load_language(spec.run, code) for code in spec.wanted_languages} for spec in specs]
    return [{code: result for code, result in results.items() if result is not None} for results in found]


def compare(
    store: str | Path = DEFAULT_STORE, *, target: str | None = None, baseline: str | None = None
) -> list[TargetTable]:
    """Tables of all finished evaluations of a store, one per target and options.

    Args:
        store: Folder of the runs.
        target: Only this target.
        baseline: The setup that differences are taken to; by default `full`, where it was evaluated.

    Raises:
        ArtifactError: If the store holds no evaluation of it.
        UnknownNameError: If a baseline is given that no table has.
    """
    root = Store(Path(store))
    entries = evaluated(root, target, baseline)
    tables = [table for members, row in entries for table in tables_of(members, row, root.cache)]
    if not tables:
        raise ArtifactError(
            f"the evaluations of {root.root} have no score: their data have no reference labels",
            remedy="evaluate on a split with reference labels",
        )
    return corrected(told_apart(tables, {run.key: run for run in root.runs("evaluate")}))


def compare_by(
    by: str,
    store: str | Path = DEFAULT_STORE,
    *,
    target: str | None = None,
    baseline: str | None = None,
) -> list[GroupTable]:
    """Tables as `compare` makes them, the languages of each group apart.

    Args:
        by: `family`, or `resource` for the classes of Joshi et al. 2020.
        store: Folder of the runs.
        target: As for `compare`.
        baseline: As for `compare`.

    Raises:
        UnknownNameError: If languages are not grouped so.
    """
    root = Store(Path(store))
    found = evaluated(root, target, baseline)
    groups = [item for entries, row in found for item in grouped(entries, row, by, root.cache)]
    tables = told_apart([group.table for group in groups], {run.key: run for run in root.runs("evaluate")})
    return [replace(group, table=table) for group, table in zip(groups, tables, strict=True)]


def benchmark_means(
    benchmark: str, tables: Sequence[TargetTable], store: str | Path = DEFAULT_STORE
) -> list[OverallTable]:
    """Means of a benchmark's groups and of all its tasks, a table per backbone and transfer setting.

    Args:
        benchmark: `xtreme` or `xtreme-r`.
        tables: What `run` or `compare` returned.
        store: Where the runs behind the tables are.
    """
    return overall(tables, benchmark, {found.key: found for found in Store(Path(store)).runs()})


def published(tables: Sequence[TargetTable], store: str | Path = DEFAULT_STORE) -> list[PublishedBaselines]:
    """Published scores that are comparable with each of some tables, or why none is.

    Args:
        tables: What `run` or `compare` returned.
        store: Where the runs behind the tables are.
    """
    runs = {found.key: found for found in Store(Path(store)).runs()}
    return [published_baselines(table, runs) for table in tables]


def export_results(out: str | Path, store: str | Path = DEFAULT_STORE, *, target: str | None = None) -> Path:
    """Write all scores of a store as one long table, one row per setup, language, seed and score.

    Args:
        out: The file, `.csv` or `.parquet`.
        store: Folder of the runs.
        target: Only this target.

    Raises:
        ArtifactError: If the store holds no evaluation of it.
        ConfigError: If the file is of another kind.
    """
    root = Store(Path(store))
    runs = [run for entries, _ in evaluated(root, target, None) for entry in entries for run in entry.runs]
    return export(list(long_rows(list({run.path: run for run in runs}.values()))), Path(out))


@dataclass(frozen=True)
class Outcome:
    """A finished experiment.

    Args:
        experiment: What was asked.
        tables: One per target, in the experiment's order.
        unscored: Targets without a table: no language has reference labels in every setup.
        computed: Runs that were computed now; the others were in the store.
        left_out: Cells that cannot be, each with its reason in one line.
        carried: Also which runs failed, and which were not begun because of them.
    """

    experiment: Experiment
    tables: tuple[TargetTable, ...]
    unscored: tuple[str, ...]
    computed: int
    left_out: tuple[str, ...] = ()
    carried: Carried = field(default_factory=Carried)


def run(
    experiment: Experiment | Path | str,
    *,
    where: Workspace,
    execution: Execution | None = None,
    callback: RunCallback | None = None,
    **options: Any,
) -> Outcome:
    """Carry out an experiment and compare its setups; what is in the store is not computed again.

    A run that fails stops only what builds on it.

    Args:
        experiment: An experiment or its YAML file.
        where: The workspace.
        execution: Where and how its runs are computed; by default one after another in this process.
        callback: Called as they come along.
        **options: `training` and `evaluation` (options that win over the file's), `seed`, `control`: `random`
            for the same runs on the shuffled backbone, and `hours`: the balanced part that fits into them.

    Raises:
        FailedRunsError: If a run failed, when all others are done; its `outcome` is what there is.
    """
    found = experiment if type(experiment) is Experiment else load_experiment(Path(str(experiment)))
    planned = plan_run(found, where=where, **options)
    items = jobs_of(planned)
    known = {} if all(item.done for item in items) else forecasts(planned)
    carried = carry_out(items, execution, callback, known)
    if not carried.failed:
        return _outcome(found, planned, where, carried)
    outcome = _outcome(found, _finished_part(planned), where, carried)
    failed, waiting = len(carried.failed), len(carried.waiting)
    held_up = f", {waiting} that build on {'it' if failed == 1 else 'them'} not begun" if waiting else ""
    raise FailedRunsError(
        f"{failed} {'run' if failed == 1 else 'runs'} failed{held_up}",
        outcome,
        unexpected=not all(one.failure.expected for one in carried.failed),
        remedy=f"mend what {carried.failed[0].item.run.error_log} says, then run the same command again",
    )


def _finished_part(planned: Plan) -> Plan:
    """A plan without the cells that have no scores yet."""
    return replace(planned, cells=tuple(cell for cell in planned.cells if cell.evaluation.is_done))


def finished(experiment: Experiment, *, where: Workspace, **options: Any) -> Outcome:
    """The tables of what the store has of an experiment; nothing is computed. Options as for `run`.

    The control's runs take part if they are there.

    Raises:
        ArtifactError: If nothing of it is finished.
    """
    planned = plan_run(experiment, where=where, **{"control": "random", **options})
    done = _finished_part(planned)
    if not done.cells:
        raise ArtifactError(
            f"{where.store.root} has nothing of experiment {experiment.name} yet",
            remedy="carry it out with adaptrans run",
        )
    return _outcome(experiment, done, where, Carried())


def report(
    tables: Sequence[TargetTable],
    *,
    out: str | Path = "report.html",
    store: str | Path = DEFAULT_STORE,
    experiment: Experiment | None = None,
    baseline: str | None = None,
    figures: str | Path | None = None,
) -> Path:
    """Write one self-contained HTML page of some tables; see `adaptrans.report`.

    Args:
        tables: What `run` or `compare` returned.
        out: The page.
        store: Where the runs behind the tables are.
        experiment: The experiment they belong to, if there is one.
        baseline: The setup that differences are taken to, where there is no experiment to say it; by default
            `full`.
        figures: Folder for its figures (PNG, SVG) and tables (CSV, LaTeX) as files of their own.
    """
    folder = None if figures is None else Path(figures)
    return write_page(tables, Store(Path(store)), Path(out), experiment, baseline or "full", folder)


def analyze(
    study: str | Path,
    *,
    data: str | Path | None = None,
    advance: Callable[[str], None] = lambda what: None,
    **place: Any,
) -> StudyPage:
    """Carry out the analyses of a study of others' results, or of what the store has of an experiment.

    Args:
        study: Its file, or the name of a bundled one.
        data: The data folder.
        advance: Told what is being done.
        **place: For an experiment: `overrides` (values that win over its file), `backbone`, `store`, `tasks`.

    Raises:
        ConfigError: If the file has no analysis, or a table of scores is missing.
        ArtifactError: If the store has nothing of the experiment.
    """
    path = study_file(str(study), bundled())
    folder = None if data is None else Path(data)
    if is_study(path):
        found = load_study(path)
        advance("reading scores")
        table = read_results(found.results, found.distances, folder, path.parent)
        table = with_covariates(table, found.distances, folder)
        return analyzed(found.name, " ".join(found.description.split()), found.analysis, table, advance)
    experiment = load_experiment(path, tuple(place.pop("overrides", ()))).on(place.pop("backbone", None))
    if not experiment.analysis:
        raise ConfigError(f"{path} has no analysis", remedy="add one, as docs/reference/analysis.md shows")
    advance("planning")
    where = workspace(backbone=experiment.first_backbone, data=data, **place)
    folder = where.data or folder
    table = score_table(plan_run(experiment, where=where).cells, advance)
    table = with_covariates(table, experiment.distances, folder)
    description = " ".join(experiment.description.split())
    return analyzed(experiment.name, description, experiment.analysis, table, advance)


def select(target: str, candidates: Sequence[str], *, where: Workspace, **options: Any) -> Selection:
    """Rank intermediate tasks for a target before they are trained.

    Args:
        target: The target's name.
        candidates: Intermediate tasks.
        where: The workspace.
        **options: `measures`, `limit` (training examples of each task), `steps` (of few-step fine-tuning),
            `seed`, `advance`.
    """
    return select_intermediates(target, candidates, where=where, **options)


def report_study(
    page: StudyPage, *, out: str | Path | None = None, figures: str | Path | None = None
) -> Path:
    """Write one self-contained HTML page of a study.

    Args:
        page: What `analyze` returned.
        out: The page; by default `NAME.html`.
        figures: Folder for its figures (PNG, SVG) and tables (CSV, LaTeX) as files of their own.
    """
    return write_study(page, Path(out or f"{page.name}.html"), None if figures is None else Path(figures))


def _outcome(found: Experiment, planned: Plan, where: Workspace, carried: Carried) -> Outcome:
    """The tables of an experiment whose cells are done."""
    # A target of which nothing is done has no table for another reason than a lack of reference labels.
    done = {cell.target for cell in planned.cells}
    targets = [name for name in found.targets if name in done or not carried.failed]
    tables, unscored = planned_tables(planned, targets, found.baseline, where.store.cache)
    return Outcome(found, tuple(tables), tuple(unscored), carried.computed, planned.left_out, carried)


def predict(
    task: str, rows: Sequence[Mapping[str, Any]], *, where: Workspace, **options: Any
) -> Iterator[dict[str, Any]]:
    """Answers of a trained setup to one's own text.

    Args:
        task: The target whose head answers.
        rows: One mapping per input with the kind's fields: `text` and `pair`; `words`; `question` and
            `context`; `prompt` and `choices`.
        where: The workspace.
        **options: As for `evaluate`.

    Yields:
        Each row with its `prediction`.
    """
    from adaptrans.evaluation.inference import predict_rows

    yield from predict_rows(plan_evaluate(task, where=where, **options), rows)


def mine(
    source: str | Path,
    target: str | Path,
    out: str | Path,
    *,
    where: Workspace,
    setup: str = "full",
    artifact: str | Path | None = None,
    method: str = DEFAULT_METHOD,
    seed: int = 1,
    **options: Any,
) -> Mined:
    """Write the pairs of sentences of two unaligned files that translate each other, by ratio margin.

    Args:
        source: Text file, plain or .gz, one sentence per line.
        target: That of the other language.
        out: File of pairs: score, both lines, both sentences.
        where: The workspace.
        setup: What makes the vectors is everything below its `target`.
        artifact: Folder of a trained artifact, in place of a setup.
        method: Adapter method of parts that say none.
        seed: Seed of the parts.
        **options: Fields of `adaptrans.evaluation.bitext_mining.files.Options`.

    Returns:
        How much was found, and where it is.
    """
    from adaptrans.evaluation.bitext_mining.files import Options, artifact_model, mine_files, setup_model

    how = Options(**options)
    if artifact is None:
        model = setup_model(where, *plan_mining(setup, where=where, method=method, seed=seed), method, seed)
    else:
        model = artifact_model(where, Path(artifact))
    return mine_files(Path(source), Path(target), Path(out), where=where, model=model, options=how)
