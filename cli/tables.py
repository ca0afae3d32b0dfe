"""Rich tables of results: setups in rows, targets or languages in columns."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any, TypeVar

from rich.console import Console, JustifyMethod
from rich.table import Table
from rich.text import Text

from adaptrans.utils.progress import size

if TYPE_CHECKING:
    from adaptrans.analysis.aggregates import GroupTable, Mean, OverallTable
    from adaptrans.analysis.comparison import Row, TargetTable
    from adaptrans.analysis.published import Line, PublishedBaselines
    from adaptrans.evaluation.results import LanguageResult
    from adaptrans.hub.package import Package, PackageRow
    from adaptrans.stats.aggregate import TaskScore
    from adaptrans.stats.intervals import Difference

T = TypeVar("T")

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


def grid(
    columns: Sequence[str],
    rows: Iterable[Sequence[str | Text]],
    *,
    title: str | Text = "",
    numbers: Collection[str] = (),
    centered: Collection[str] = (),
    column: Mapping[str, Any] | None = None,
    **style: Any,
) -> Table:
    """A table of plain text: nothing in it is read as markup.

    Args:
        columns: Headings.
        rows: Cells of each row; an empty row begins a new section.
        title: What stands above it, on the left.
        numbers: Headings of the columns that are aligned to the right.
        centered: Headings of the columns that are centered.
        column: Further options of each column, see `rich.table.Column`.
        style: Further options of the table, see `rich.table.Table`.
    """
    table = Table(title=Text.assemble(title) if title else None, title_justify="left", **style)
    for name in columns:
        justify: JustifyMethod = "right" if name in numbers else "center" if name in centered else "left"
        table.add_column(Text(name), justify=justify, **(column or {}))
    for row in rows:
        if row:
            table.add_row(*map(Text.assemble, row))
        else:
            table.add_section()
    return table


def listing(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print rows of plain text under a title."""
    console().print(grid(columns, rows, title=Text(title, "bold"), column={"overflow": "fold"}))


def notes(found: Iterable[str], out: Console | None = None) -> None:
    """Print notes, each in a line."""
    for note in found:
        (out or console()).print(Text(f"note: {note}"))


def _pages(items: Sequence[T], length: int) -> list[Sequence[T]]:
    return [items[start : start + length] for start in range(0, len(items), length)]


def language_results(
    title: str,
    score: str,
    results: Sequence[LanguageResult],
    mean: TaskScore | None,
    remarks: Sequence[str],
) -> None:
    """Scores of one evaluation, a language in each row, then the means of the task."""
    parts = list(dict.fromkeys(part for result in results for part in result.values))
    columns = ["language", *(parts or [score]), "95 % interval", "n"]
    rows = []
    for result in results:
        values = [f"{result.values[part]:.1f}" if part in result.values else "-" for part in parts or [""]]
        bounds = "-" if result.low is None else f"{result.low:.1f} to {result.high:.1f}"
        rows.append([result.language, *values, bounds, str(result.n)])
    if mean is not None:
        rows += [[], ["mean", *(f"{mean.averages[part]:.1f}" for part in parts)]]
    out = console()
    out.print(grid(columns, rows, title=title, numbers=columns[1:]))
    if mean is not None:
        zero_shot = "" if mean.zero_shot is None else f", zero-shot languages alone {mean.zero_shot:.1f}"
        out.print(Text(f"task score {mean}{zero_shot}"))
    notes([*remarks, *(f"{result.language}: {note}" for result in results for note in result.notes)], out)


def by_language(found: TargetTable, baseline: str, lines: Sequence[Line] = ()) -> None:
    """One target: setups in rows, languages in columns, differences to the baseline below the scores.

    Args:
        found: The table.
        baseline: The setup that differences are taken to.
        lines: Published scores that are comparable, in rows of their own.
    """
    out = console()
    out.print()
    compared = any(row.difference for row in found.rows)
    second = f"; second line: difference to {baseline}" if compared else f"; {without(found, baseline)}"
    out.print(Text(f"{found.target}, {found.score} by language{second}{_seen(found)}", "bold"))
    for place, part in enumerate(_pages([*found.scored, *found.partial], LANGUAGES_PER_TABLE)):
        columns = [*([] if place else ["mean", "zero-shot"]), *part]
        rows = []
        for row in found.rows:
            first = [mean_cell(row), "-" if row.zero_shot is None else f"{row.zero_shot:.1f}"]
            cells = [_language_cell(row, code) for code in part]
            rows.append([row.setup, *([] if place else first), *cells])
        for line in lines:
            first = [f"{line.value:.1f}", "-"]
            cells = [f"{line.languages[code]:.1f}" if code in line.languages else "-" for code in part]
            rows.append([line.label, *([] if place else first), *cells])
        out.print(grid(["setup", *columns], rows, numbers=columns, show_lines=True))
    if compared:
        out.print(Text(f"* {MARK}"))
    notes([*_seeds([found]), *found.notes, *_coverage(found), *(line.note for line in lines)], out)


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
    codes = list(dict.fromkeys(code for found in tables for code in found.scored))
    several = len({found.backbone for found in tables}) > 1
    for part in _pages(codes, LANGUAGES_PER_TABLE):
        rows: list[list[str | Text]] = []
        for found in tables:
            levels = [level for row in found.rows if (level := row.chance(found.scored)) is not None]
            on = f" on {found.backbone}" if several else ""
            name = Text(f"{found.target}, {found.score}{on}{_seen(found)}", "bold")
            rows += [[], [name, f"{levels[0]:.1f}" if levels else "-"]]
            rows += [
                [f"  {row.setup}", "", *(_interval_cell(row, code) for code in part)] for row in found.rows
            ]
        title, columns = "By language, 95 % interval", ["setup", "chance", *part]
        style: dict[str, Any] = {"padding": (0, 1, 0, 0), "column": {"no_wrap": True}}
        out.print(grid(columns, rows, title=title, numbers=columns[1:], **style))
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
    from adaptrans.modeling.setup.parser import parse

    out = console()
    order = [str(parse(text)) for text in setups]
    for (name, regime), members in groupby(tables, lambda found: (found.backbone, found.regime)):
        head = f"Mean over languages, 95 % interval, difference to {baseline}; backbone {name or backbone}"
        for part in _pages(list(members), TARGETS_PER_TABLE):
            columns = []
            for found in part:
                number = len(found.scored)
                heading = f"{found.target}\n{found.score}, {number} language{'' if number == 1 else 's'}"
                columns.append(f"{heading}\n{found.which}" if found.which else heading)
            own = [{row.setup: mean_cell(row) for row in found.rows} for found in part]
            rows = [
                [setup, *(cells.get(setup, "-") for cells in own)]
                for setup in _in_order([row.setup for found in part for row in found.rows], order)
            ]
            _print_setups(out, f"{head}; {regime}" if regime else head, columns, rows)
    out.print(f"* {MARK}")
    if any(row.above_control for found in tables for row in found.rows):
        out.print("shuffled: difference to the shuffled-weights baseline, the same run on shuffled weights")
    _print_table_notes(out, tables)


def by_group(groups: Sequence[GroupTable], by: str, baseline: str) -> None:
    """Targets by group of languages: setups in rows, groups in columns."""
    out = console()
    for (target, regime, backbone, which), members in groupby(
        groups,
        lambda group: (group.table.target, group.table.regime, group.table.backbone, group.table.which),
    ):
        for part in _pages(list(members), TARGETS_PER_TABLE):
            score = part[0].table.score
            head = f"{target}, {score} by {by}, difference to {baseline}; backbone {backbone}"
            columns = [f"{group.group}\n{' '.join(group.languages)}" for group in part]
            own = [{row.setup: mean_cell(row) for row in group.table.rows} for group in part]
            rows = [[setup, *(cells[setup] for cells in own)] for setup in own[0]]
            _print_setups(out, "; ".join(filter(None, (head, regime, which))), columns, rows)
    out.print(f"* {MARK}")
    _print_table_notes(out, [group.table for group in groups])


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
        rows = [
            [setup, *(_group_mean(own.get(column)) for column in means.columns)]
            for setup, own in means.rows.items()
        ]
        _print_setups(out, f"{head}; {means.regime}" if means.regime else head, means.columns, rows)
        notes((f"{task}: {reason}" for task, reason in means.lacking.items()), out)
        notes([f"no group is whole for {', '.join(means.without)}"] if means.without else [], out)
    if not found:
        notes([f"no group of {name} is whole for any setup"], out)
        return
    shown = {(means.backbone, means.regime) for means in found}
    others = dict.fromkeys((table.backbone, table.regime) for table in tables)
    for other in others:
        if other not in shown:
            notes([f"no group of {name} is whole for any setup on {'; '.join(filter(None, other))}"], out)


def _print_setups(
    out: Console, title: str, columns: Sequence[str], rows: Iterable[Sequence[str | Text]]
) -> None:
    """Print a table with a setup in each row, and a line between them."""
    out.print()
    out.print(grid(["setup", *columns], rows, title=title, numbers=columns, show_lines=True))


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


def _print_table_notes(out: Console, tables: Sequence[TargetTable]) -> None:
    notes([*_seeds(tables), *dict.fromkeys(note for found in tables for note in found.notes)], out)


SHOWN = 100
"""Rows of a table; the rest is counted."""


def shared_rows(place: str, found: Sequence[PackageRow]) -> None:
    """Print the versions of a hub."""
    from adaptrans.hub.verification.checks import printable

    columns = ("artifact", "tags", "base", "task", "setup", "method", "languages", "scores", "size")
    rows = []
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
        rows.append([printable(cell) for cell in cells])
    console().print(grid(columns, rows, title=f"{place}: {len(found)} versions", numbers=["size"]))
    if len(found) > SHOWN:
        print(f"and {len(found) - SHOWN} more: name filters, or print all with --json")


def shared_package(package: Package, title: str) -> None:
    """Print what one version is."""
    from adaptrans.hub.verification.checks import printable

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
    rows = [(name, printable(value)) for name, value in lines]
    console().print(grid(("", ""), rows, title=title, show_header=False))
