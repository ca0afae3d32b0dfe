"""Rich tables of results: setups in rows, targets or languages in columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from adaptrans.utils.format import size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from adaptrans.analysis.aggregates import GroupTable, Mean, OverallTable
    from adaptrans.analysis.comparison import Row, TargetTable
    from adaptrans.analysis.published import Line, PublishedBaselines
    from adaptrans.evaluation.results import LanguageResult
    from adaptrans.hub.package import Package, PackageRow
    from adaptrans.stats.aggregate import TaskScore
    from adaptrans.stats.intervals import Difference


TARGETS_PER_TABLE = 4
"""Columns of targets that fit a terminal; the rest follows in a further table."""
NOT_ABOVE = "°"
"""Mark of a score whose interval does not lie above chance."""
MARK = "p < 0.05 after Holm's correction over the table, paired bootstrap; intervals are not corrected"
LANGUAGES_PER_TABLE = 12
"""Columns of languages that fit a terminal of 120 characters; the rest follows in a further table."""


def console() -> Console:
    """Standard output; wide enough for a table where it is not a terminal."""
    found = Console()
    return found if found.is_terminal else Console(width=200)


def listing(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Rows of plain text under a title."""
    table = Table(title=Text(title, "bold"), title_justify="left")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    console().print(table)


def language_results(title: str, facts: dict[str, Any], results: Sequence[LanguageResult]) -> None:
    """Scores of one evaluation, a language in each row, then the means of the task."""
    table = Table(title=Text(title), title_justify="left")
    parts = list(dict.fromkeys(part for result in results for part in result.values))
    table.add_column("language")
    for part in parts or [facts["score"]]:
        table.add_column(part, justify="right")
    table.add_column("95 % interval", justify="right")
    table.add_column("n", justify="right")
    for result in results:
        values = [f"{result.values[part]:.1f}" if part in result.values else "-" for part in parts or [""]]
        bounds = "-" if result.low is None else f"{result.low:.1f} to {result.high:.1f}"
        table.add_row(result.language, *values, bounds, str(result.n))
    out = console()
    scored = {result.language: result.values for result in results if result.values}
    mean = averages(facts, scored)
    if mean is not None:
        table.add_section()
        table.add_row("mean", *(f"{mean.averages[part]:.1f}" for part in parts), "", "")
    out.print(table)
    if mean is not None:
        zero_shot = "" if mean.zero_shot is None else f", zero-shot languages alone {mean.zero_shot:.1f}"
        out.print(Text(f"task score {mean}{zero_shot}"))
    notes = [f"{result.language}: {note}" for result in results for note in result.notes]
    from adaptrans.evaluation.layer_choice import better_layer_notes

    better = better_layer_notes(facts, [result.half for result in results])
    _print_notes(out, [*facts["notes"], *better, *notes])


def averages(facts: dict[str, Any], scored: dict[str, dict[str, float]]) -> TaskScore | None:
    """The means of a task over its languages, None if nothing is scored."""
    from adaptrans.stats.aggregate import task_score

    if not scored:
        return None
    return task_score(
        scored, facts["task_languages"], primary=facts["score"], source=facts["source_languages"]
    )


def by_language(found: TargetTable, baseline: str, lines: Sequence[Line] = ()) -> None:
    """One target: setups in rows, languages in columns, differences to the baseline below the scores.

    Args:
        found: The table.
        baseline: The setup that differences are taken to.
        lines: Published scores that are comparable, in rows of their own.
    """
    out = console()
    columns = [*found.scored, *found.partial]
    out.print()
    compared = any(row.difference for row in found.rows)
    second = f"; second line: difference to {baseline}" if compared else f"; {without(found, baseline)}"
    out.print(Text(f"{found.target}, {found.score} by language{second}{_seen(found)}", "bold"))
    for start in range(0, len(columns), LANGUAGES_PER_TABLE):
        part = columns[start : start + LANGUAGES_PER_TABLE]
        table = Table(show_lines=True)
        table.add_column("setup")
        if start == 0:
            table.add_column("mean", justify="right")
            table.add_column("zero-shot", justify="right")
        for code in part:
            table.add_column(code, justify="right")
        for row in found.rows:
            cells = [_language_cell(row, code) for code in part]
            first = [mean_cell(row), "-" if row.zero_shot is None else f"{row.zero_shot:.1f}"]
            table.add_row(Text(row.setup), *(first if start == 0 else []), *cells)
        for line in lines:
            cells = [f"{line.languages[code]:.1f}" if code in line.languages else "-" for code in part]
            table.add_row(Text(line.label), *([f"{line.value:.1f}", "-"] if start == 0 else []), *cells)
        out.print(table)
    if compared:
        out.print(Text(f"* {MARK}"))
    sources = [line.note for line in lines]
    _print_notes(out, [*_seeds([found]), *found.notes, *_coverage(found), *sources])


def without(found: TargetTable, baseline: str) -> str:
    """Why a table has no differences."""
    alone = [row.setup for row in found.rows] == [baseline]
    return f"no row beside the baseline {baseline}" if alone else f"no row is the baseline {baseline}"


def reasons(found: Sequence[PublishedBaselines]) -> None:
    """Why published scores are not shown, in one line."""
    from adaptrans.analysis.published import why_not

    text = why_not(found)
    if text:
        console().print(Text(f"note: {text}"), soft_wrap=True)


def languages(tables: Sequence[TargetTable]) -> None:
    """All targets by language: value and interval, marked where the interval is not above chance."""
    out = console()
    columns = list(dict.fromkeys(code for found in tables for code in found.scored))
    for start in range(0, len(columns), LANGUAGES_PER_TABLE):
        part = columns[start : start + LANGUAGES_PER_TABLE]
        table = Table(title=Text("By language, 95 % interval"), title_justify="left", padding=(0, 1, 0, 0))
        for name in ("setup", "chance", *part):
            table.add_column(name, justify="left" if name == "setup" else "right", no_wrap=True)
        for found in tables:
            levels = [level for row in found.rows if (level := row.chance(found.scored)) is not None]
            shown = f"{levels[0]:.1f}" if levels else "-"
            table.add_section()
            on = f" on {found.backbone}" if len({other.backbone for other in tables}) > 1 else ""
            table.add_row(Text(f"{found.target}, {found.score}{on}{_seen(found)}", "bold"), shown)
            for row in found.rows:
                table.add_row(Text(f"  {row.setup}"), "", *(_interval_cell(row, code) for code in part))
        out.print(table)
    out.print(f"{NOT_ABOVE} the interval is not above chance (the column has the mean over languages)")


def _interval_cell(row: Row, code: str) -> str:
    result = row.languages.get(code)
    if result is None or result.value is None:
        return "-"
    mark = NOT_ABOVE if result.above_chance is False else ""
    return f"{result.value:.1f}{mark} {result.low:.0f}-{result.high:.0f}"


def overview(tables: Sequence[TargetTable], setups: Sequence[str], baseline: str, backbone: str) -> None:
    """All targets: setups in rows, targets in columns, each cell the mean over languages.

    What was seen of the target languages, and the backbone, set tables apart.
    """
    from itertools import groupby

    from adaptrans.modeling.setup.parser import parse

    out = console()
    order = [str(parse(text)) for text in setups]
    for (name, regime), group in groupby(tables, lambda found: (found.backbone, found.regime)):
        members = list(group)
        for start in range(0, len(members), TARGETS_PER_TABLE):
            part = members[start : start + TARGETS_PER_TABLE]
            head = (
                f"Mean over languages, 95 % interval, difference to {baseline}; backbone {name or backbone}"
            )
            table = Table(
                title=Text(f"{head}; {regime}" if regime else head), title_justify="left", show_lines=True
            )
            table.add_column("setup")
            for found in part:
                number = len(found.scored)
                heading = f"{found.target}\n{found.score}, {number} language{'' if number == 1 else 's'}"
                heading += f"\n{found.which}" if found.which else ""
                table.add_column(heading, justify="right")
            for setup in _in_order([row.setup for found in part for row in found.rows], order):
                rows = [next((row for row in found.rows if row.setup == setup), None) for found in part]
                table.add_row(Text(setup), *("-" if row is None else mean_cell(row) for row in rows))
            out.print()
            out.print(table)
    out.print(f"* {MARK}")
    if any(row.above_control for found in tables for row in found.rows):
        out.print("shuffled: difference to the shuffled-weights baseline, the same run on shuffled weights")
    _print_notes(out, [*_seeds(tables), *dict.fromkeys(note for found in tables for note in found.notes)])


def by_group(groups: Sequence[GroupTable], by: str, baseline: str) -> None:
    """Targets by group of languages: setups in rows, groups in columns."""
    from itertools import groupby

    out = console()
    for (target, regime, backbone, which), members in groupby(
        groups,
        lambda group: (group.table.target, group.table.regime, group.table.backbone, group.table.which),
    ):
        own = list(members)
        for start in range(0, len(own), TARGETS_PER_TABLE):
            part = own[start : start + TARGETS_PER_TABLE]
            head = f"{target}, {own[0].table.score} by {by}, difference to {baseline}; backbone {backbone}"
            table = Table(
                title=Text("; ".join(filter(None, (head, regime, which)))),
                title_justify="left",
                show_lines=True,
            )
            table.add_column("setup")
            for group in part:
                table.add_column(f"{group.group}\n{' '.join(group.languages)}", justify="right")
            for row in part[0].table.rows:
                cells = [next(r for r in group.table.rows if r.setup == row.setup) for group in part]
                table.add_row(Text(row.setup), *map(mean_cell, cells))
            out.print()
            out.print(table)
    out.print(f"* {MARK}")
    tables = [group.table for group in groups]
    _print_notes(out, [*_seeds(tables), *dict.fromkeys(note for found in tables for note in found.notes)])


def by_benchmark(
    found: Sequence[OverallTable], name: str, baseline: str, tables: Sequence[TargetTable] = ()
) -> None:
    """Means of a benchmark: setups in rows, groups and all tasks in columns.

    Args:
        found: The means.
        name: The benchmark.
        baseline: The setup that differences are taken to.
        tables: What they were made of; a backbone or regime without a whole group is named.
    """
    out = console()
    for means in found:
        head = f"{means.benchmark}, mean of task scores, difference to {baseline}; backbone {means.backbone}"
        table = Table(
            title=Text(f"{head}; {means.regime}" if means.regime else head),
            title_justify="left",
            show_lines=True,
        )
        table.add_column("setup")
        for column in means.columns:
            table.add_column(column, justify="right")
        for setup, own in means.rows.items():
            table.add_row(Text(setup), *(_group_mean(own.get(column)) for column in means.columns))
        out.print()
        out.print(table)
        without = [f"no group is whole for {', '.join(means.without)}"] if means.without else []
        _print_notes(out, [*(f"{task}: {reason}" for task, reason in means.lacking.items()), *without])
    if not found:
        out.print(Text(f"note: no group of {name} is whole for any setup"))
        return
    shown = {(means.backbone, means.regime) for means in found}
    others = dict.fromkeys((table.backbone, table.regime) for table in tables)
    for backbone, regime in others:
        if (backbone, regime) not in shown:
            where = f"{backbone}; {regime}" if regime else backbone
            out.print(Text(f"note: no group of {name} is whole for any setup on {where}"))


def _group_mean(found: Mean | None) -> str:
    if found is None:
        return "-"
    lines = [f"{found.value:.1f} ({found.low:.1f} to {found.high:.1f})"]
    if found.difference is not None:
        lines.append(f"{found.difference:+.1f} ({found.difference_low:+.1f} to {found.difference_high:+.1f})")
    return "\n".join(lines)


def _in_order(rows: Sequence[str], setups: Sequence[str]) -> list[str]:
    """Names of rows, each once, in the order of the setups that they begin with; others last.

    Example:
        >>> _in_order(["full +5-shot", "adapter +5-shot"], ["adapter", "full"])
        ['adapter +5-shot', 'full +5-shot']
        >>> _in_order(["full seed 1", "adapter"], ["full", "adapter"])
        ['adapter', 'full seed 1']
    """
    own = dict.fromkeys(rows)
    known = [row for setup in setups for row in own if row == setup or row.startswith(f"{setup} +")]
    return list(dict.fromkeys([*known, *own]))


def _seen(found: TargetTable) -> str:
    """What was seen of the target languages, and what sets the table apart, after a title."""
    return "".join(f"; {said}" for said in (found.regime, found.which) if said)


def _seeds(tables: Sequence[TargetTable]) -> list[str]:
    """How many seeds stand behind the numbers."""
    numbers = sorted({len(row.seeds) for found in tables for row in found.rows if row.seeds})
    if not numbers or numbers == [1]:
        return []
    which = " or ".join(map(str, numbers))
    few = ["intervals over two seeds cover 90 to 92 %, not 95 %"] if 2 in numbers else []
    return [f"median over {which} seeds; intervals cover seeds and examples (hierarchical bootstrap)", *few]


def mean_cell(row: Row) -> str:
    """A mean with its interval, and the difference to the baseline below it."""
    lines = [f"{row.mean.value:.1f} ({row.mean.low:.1f} to {row.mean.high:.1f})"]
    if row.difference is not None:
        lines.append(_difference(row.difference, bounds=True))
    if row.above_control is not None:
        lines.append(f"shuffled {_difference(row.above_control, bounds=True)}")
    return "\n".join(lines)


def _language_cell(row: Row, code: str) -> str:
    result = row.languages.get(code)
    if result is None or result.value is None:
        return "-"
    lines = [f"{result.value:.1f}"]
    if code in row.differences:
        lines.append(_difference(row.differences[code], bounds=False))
    return "\n".join(lines)


def _difference(found: Difference, *, bounds: bool) -> str:
    mark = "*" if found.significant else ""
    text = f"{found.value:+.1f}{mark}"
    return f"{text} ({found.low:+.1f} to {found.high:+.1f})" if bounds else text


def _coverage(found: TargetTable) -> list[str]:
    notes = []
    if found.partial:
        notes.append(f"in no mean, because not every setup has them: {', '.join(found.partial)}")
    if found.missing:
        notes.append(f"languages of the task without scored data: {', '.join(found.missing)}")
    return notes


def _print_notes(out: Console, notes: Sequence[str]) -> None:
    for note in notes:
        out.print(Text(f"note: {note}"))


SHOWN = 100
"""Rows of a table; the rest is counted."""


def shared_rows(place: str, found: Sequence[PackageRow]) -> None:
    """Print the versions of a hub."""
    from rich.table import Table
    from rich.text import Text

    from adaptrans.hub.verification.errors import printable

    table = Table(title=Text(f"{place}: {len(found)} versions"), title_justify="left")
    for name in ("artifact", "tags", "base", "task", "setup", "method", "languages", "scores", "size"):
        table.add_column(name, justify="right" if name == "size" else "left")
    for row in found[:SHOWN]:
        shown = ", ".join(f"{name} {value:.1f}" for name, value in list(row.scores.items())[:2])
        more = f" +{len(row.languages) - 6}" if len(row.languages) > 6 else ""
        cells = (
            f"{row.name}@v{row.version}" if row.version else row.name,
            " ".join(row.tags),
            row.base,
            row.task,
            row.setup,
            row.method,
            " ".join(row.languages[:6]) + more,
            shown or "-",
            size(row.size) if row.size else "-",
        )
        table.add_row(*(Text(printable(cell)) for cell in cells))
    console().print(table)
    if len(found) > SHOWN:
        print(f"and {len(found) - SHOWN} more: name filters, or print all with --json")


def shared_package(package: Package, title: str) -> None:
    """Print what one version is."""
    from rich.table import Table
    from rich.text import Text

    from adaptrans.hub.verification.errors import printable

    table = Table(title=Text(title), title_justify="left", show_header=False)
    base = package.base
    lines = [
        ("setup", package.setup),
        ("task", package.task),
        ("method", package.method),
        ("labels", ", ".join(package.labels[:20]) or "-"),
        ("base", f"{base.id}, {base.depth} layers x {base.width}, {base.vocabulary} tokens"),
        ("fingerprint", base.fingerprint[:12]),
        ("license", package.license),
        *(("training data", f"{item.task}: {item.license}") for item in package.training_data),
        *(
            (
                "built on",
                f"{item.reference}: {item.name or 'not shared'}{f'@v{item.version}' if item.version else ''}",
            )
            for item in package.parents
        ),
        *(("score", f"{name} {value:.1f}") for name, value in package.means().items()),
        ("run", package.run.folder),
        ("files", f"{len(package.files)}, {size(package.size)}"),
    ]
    for name, value in lines:
        table.add_row(name, Text(printable(value)))
    console().print(table)
