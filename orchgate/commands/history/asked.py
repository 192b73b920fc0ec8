"""What DuckDB is asked by `orchgate history show`: rows of a store, and what somebody wants to know of any source."""

from __future__ import annotations

import contextlib
import sys

from orchgate.commands.history import workspace
from orchgate.commands.shared import options, screen, work_tree
from orchgate.lib.lazy import lazy
from orchgate.lib.text import counted
from orchgate.lib.typed import TYPE_CHECKING
from orchgate.model import Verdict
from orchgate.outputs._document import headed, problem
from orchgate.outputs._escape import escape

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Mapping, Sequence

    from orchgate.commands.history.workspace import HistoryWorkspace
    from orchgate.commands.shared.command_line import Parser
    from orchgate.commands.shared.servers import Say
    from orchgate.history.objects.addresses import StoreAddress
    from orchgate.history.sql.question import QueryResult
    from orchgate.history.sql.relations import Settled
    from orchgate.history.sql.sources import Bounds, HistoryDatabase

VERSION = 1
SECONDS = 60.0
ON_SCREEN, IN_JSON = 200, 100_000  # rows
_MOST_ROWS = 10_000_000
_NONE = "-"
_NARROWEST = 6  # characters of a column
_SIZE = lazy(r"(?ai)[1-9]\d{0,5}(mb|gb)")


def arguments(parser: Parser) -> None:
    what = "answer a SELECT over the tables runs, stages, counters and benchmarks, each run once; needs duckdb"
    parser.add_argument("--sql", metavar="TEXT", help=what)
    number = options.whole_number(1, _MOST_ROWS)
    what = f"rows of the answer ({ON_SCREEN}; {IN_JSON:,} as JSON)"
    parser.add_argument("--limit", type=number, metavar="N", help=what)
    longest = options.up_to(options.DAY)
    parser.add_argument("--max-time", type=longest, default=SECONDS, metavar="TIME", help="of a --sql (1m)")
    what = "that DuckDB may use; the rest goes to disk (1GB)"
    parser.add_argument("--max-memory", type=_size, default="1GB", metavar="SIZE", help=what)


def _size(text: str) -> str:
    from argparse import ArgumentTypeError

    if not _SIZE.fullmatch(text.strip()):
        raise ArgumentTypeError(f"expected a size such as 500MB or 4GB, not {text[:40]!r}")
    return text.strip().upper()


def bounds(args: argparse.Namespace) -> Bounds:
    workspace.require_duckdb()
    from orchgate.history.collect import ahead
    from orchgate.history.sql.sources import Bounds

    return Bounds(ahead(), args.since, args.max_memory, None if args.sql is None else args.max_time)


@contextlib.contextmanager
def of_store(
    place: HistoryWorkspace, args: argparse.Namespace, where: StoreAddress, say: Say
) -> Iterator[HistoryDatabase]:
    """The runs of a folder or a bucket; what was wrong there is said afterwards. Raises OrchgateError."""
    there = workspace.parts_of(place, where, args.timeout)
    from orchgate.history import store
    from orchgate.history.sql import sources

    with sources.of_store(there, store.since(args.since), bounds(args)) as asked:
        yield asked
    for line in there.notes:
        say(line)


def left_out(settled: Settled) -> Iterator[Mapping[str, object]]:
    """Runs that do not count, as problems of a document."""
    yield from workspace.left_out(settled.left_out)
    if settled.more_left_out:
        yield problem("left_out", f"and {counted(settled.more_left_out, 'more run')}, for such a reason")


def answer(
    there: HistoryDatabase,
    args: argparse.Namespace,
    problems: Sequence[Mapping[str, object]],
    lines: Sequence[str],
    say: Say,
    *,
    whole: bool = True,
) -> Verdict:
    """Prints what a query gives; `problems` are what of its source does not count. Raises OrchgateError."""
    from orchgate.history.sql import question

    as_json = args.output_format == "json"
    question.lay_tables(there.database)
    result = question.ask(there.database, args.sql, args.limit or (IN_JSON if as_json else ON_SCREEN))
    problems = [*problems, *left_out(there.settled)]
    if as_json:
        facts = {"columns": result.columns, "rows": result.rows, "is_cut": result.is_cut}
        facts |= {"run_count": there.settled.runs, "problems": problems, "notes": list(lines)}
        work_tree.print_json(headed("history-answer", facts, VERSION))
    else:
        _print(result, f"{counted(there.settled.runs, 'run')} of {there.where}")
        workspace.say_problems(problems, say)
    return Verdict.PASS if whole and not there.faults else Verdict.BROKEN


def _print(result: QueryResult, where: str) -> None:
    """A table as wide as the terminal."""
    seen = screen.here()
    number = counted(len(result.rows), "row")
    sys.stdout.write(f"{f'the first {number}' if result.is_cut else number}, from {where}\n")
    titles = [escape(name) for name in result.columns]
    table = [titles, *([_cell(value) for value in row] for row in result.rows)]
    room = seen.width and seen.width - 2
    kept = len(titles) if room is None else max(1, min(len(titles), (room + 2) // (_NARROWEST + 2)))
    fitted = screen.fitted([row[:kept] for row in table], room, dict.fromkeys(range(kept), _NARROWEST))
    right = [at for at in range(kept) if all(_is_number(row[at]) for row in result.rows)]
    sys.stdout.writelines(f"{line}\n" for line in screen.rows(fitted, right))
    if kept < len(titles):
        hint = f"and {len(titles) - kept} more columns; --output-format json shows all"
        sys.stdout.writelines(f"{line}\n" for line in screen.wrapped(hint, seen.width, 2))
    if result.is_cut:
        sys.stdout.write("there are more: --limit N shows more of them\n")


def _is_number(value: object) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def _cell(value: object) -> str:
    match value:
        case None:
            return _NONE
        case bool():
            return "true" if value else "false"
        case float():
            return f"{value:.6g}"
        case _:
            return escape(str(value))
