"""`orchgate check`: judges a change, or the whole tree."""

from __future__ import annotations

import os
import sys

from orchgate.commands.shared.options import Renamed, output_options, whole_number
from orchgate.errors import OrchgateError, UsageError
from orchgate.lib.typed import TYPE_CHECKING, suppress
from orchgate.model import ScopeRequest, Severity, Verdict
from orchgate.outputs._escape import escape

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Collection
    from typing import TextIO

    from orchgate.commands.shared.command_line import Parser
    from orchgate.gate.suggestions import Printed
    from orchgate.git.repository import Repository
    from orchgate.model import Report
    from orchgate.outputs.text import View

SUMMARY = "judge a change before it lands: documents, evidence, manifests, budget, version"
ABOUT = """\
Without options, what is judged is the change a hook runner or CI names; where
nobody names one, all that is committed or staged since the branch left the
default branch. Unstaged changes are never judged."""
EXAMPLES = (
    "orchgate check --staged",
    "orchgate check --base origin/main --head HEAD",
    "orchgate check documents evidence --all-files --output-format json",
)
INTERNAL_ERROR = 4
MOST = 100  # findings of a rule that are printed: nobody reads ten thousand lines, and many a terminal keeps fewer


def arguments(parser: Parser) -> None:
    parser.add_argument("checks", nargs="*", metavar="CHECK", help="only these checks (all of them)")
    parser.add_argument("--staged", action="store_true", help="judge what the next commit holds")
    parser.add_argument("--all-files", action="store_true", help="judge the whole tree")
    parser.add_argument("--base", type=revision, metavar="REV", help="judge what came since this revision")
    parser.add_argument("--head", type=revision, metavar="REV", help="up to this one (HEAD)")
    parser.add_argument("--commit", type=revision, metavar="REV", help="judge one commit")
    output_options(parser)
    parser.set_defaults(schemas=("report", "config-values", "known-update"))
    # pre-commit's names for the two ends of a change.
    parser.old_names = {"--from-ref": Renamed("--base", silent=True), "--to-ref": Renamed("--head", silent=True)}
    _narrowing(parser)
    _viewing(parser)
    measure_anyway(parser)
    parser.add_argument(
        "--fix", action="store_true", help="first pin the cited artifacts that are here; stages nothing"
    )
    strictly(parser)
    what = "write what is wrong now to .orchgate/known.json, and take out what is not wrong any more"
    parser.add_argument("--accept-known", action="store_true", help=what)
    parser.add_argument("--reason", metavar="WHY", help="of --accept-known: why what is new there is accepted")
    parser.add_argument("--no-ignores", action="store_true", help="show what is suppressed as if it were not")
    parser.add_argument("--exit-zero", action="store_true", help="exit with 0 also where the change is refused")
    parser.add_argument(
        "--config", default="", metavar="FILE", help="the configuration (orchgate.toml, pyproject.toml)"
    )
    what = "judge anew what was judged before; ORCHGATE_NO_CACHE=1 for hooks, and always so in CI"
    parser.add_argument("--no-cache", action="store_true", help=what)
    parser.add_argument("--show-config", action="store_true", help="print the effective configuration and stop")


def _narrowing(parser: argparse.ArgumentParser) -> None:
    what = "judge by these rules or families only, such as EVD001,DOC"
    parser.add_argument("--select", type=rule_names, default=(), metavar="RULES", help=what)
    what = "do not judge by these; what they find is counted as suppressed"
    parser.add_argument("--ignore", type=rule_names, default=(), metavar="RULES", help=what)


def rule_names(text: str) -> tuple[str, ...]:
    """Rules and families of rules, with commas between them and in any case."""
    names = tuple(word.strip().upper() for word in text.split(",") if word.strip())
    if not names:
        raise ValueError
    return names


def _viewing(parser: argparse.ArgumentParser) -> None:
    """How much is printed, and how; none of it changes the verdict."""
    max_per_rule(parser)
    parser.add_argument("-q", "--quiet", action="store_true", help="print only what refuses the change")
    parser.add_argument("-v", "--explain", action="store_true", help="also list what was counted and what was ignored")
    parser.add_argument("--statistics", action="store_true", help="print how many findings each rule has, not each")
    what = "auto: on a terminal, unless NO_COLOR is set (%(default)s)"
    parser.add_argument("--color", choices=("auto", "always", "never"), default="auto", help=what)


def max_per_rule(parser: argparse.ArgumentParser) -> None:
    """The option of every command that prints findings."""
    what = "print at most N findings of a rule, 0 for all; other formats than text hold all (%(default)s)"
    parser.add_argument("--max-per-rule", type=whole_number(0), default=MOST, metavar="N", help=what)


def strictly(parser: argparse.ArgumentParser) -> None:
    """The option of every command that judges."""
    parser.add_argument("--strict", action="store_true", help="also judge by what was there before the change")


def measure_anyway(parser: argparse.ArgumentParser) -> None:
    """The option of every command that may measure."""
    parser.add_argument("--measure-anyway", action="store_true", help="also measure what other checks have refused")


def revision(text: str) -> str:
    """A revision as somebody typed it. An empty one is a variable that was never set, not the wish to find out."""
    if not text.strip():
        raise ValueError
    return text


def run(args: argparse.Namespace) -> Verdict | int:
    from orchgate.gate import session  # --help needs nothing of it
    from orchgate.gate.engine import Narrowing
    from orchgate.lib import cache

    _require_outputs(args)
    request = ScopeRequest(
        args.staged, args.all_files, args.base or "", args.head or "", args.commit or "", args.config
    )
    environ = {**os.environ, cache.VARIABLE: "1"} if args.no_cache else os.environ
    with session.opened(environ) as repository:
        if args.show_config:
            return _show_config(repository, request, args.output_format)
        if args.reason is not None and not args.accept_known:
            raise UsageError("--reason belongs to --accept-known")
        if args.accept_known:
            from orchgate.commands.shared.known import accept

            return accept(repository, args, tell)
        if args.fix:
            _fix(repository, request)
        earlier: list[str] = []
        shown = view(args.max_per_rule, earlier=earlier, quiet=args.quiet, statistics=args.statistics, color=args.color)
        early = args.output_format == "text" and not args.statistics
        report = session.judge_request(
            repository,
            request,
            environ,
            args.checks,
            ignores=not args.no_ignores,
            strict=args.strict,
            tell=tell,
            early=at_once(earlier, shown) if early else None,
            anyway=args.measure_anyway,
            narrowing=Narrowing(args.select, args.ignore) if args.select or args.ignore else None,
            printed=_printed(args),
        )
        result = code(report)
        result = Verdict.PASS if args.exit_zero and result is Verdict.FAIL else result
        if args.output_file or args.output_format != "text":
            return _delivered(repository, report, args, shown, result)
    show(report, explain=args.explain, how=shown)
    return result


def _printed(args: argparse.Namespace) -> Printed:
    """Which findings anybody gets to see, and so their hints."""
    from orchgate.gate.suggestions import EVERYTHING, Printed

    if args.output_format != "text" or args.output_file:
        return EVERYTHING
    if args.statistics:
        return Printed(severities=())
    return Printed(args.max_per_rule, (Severity.ERROR,) if args.quiet else tuple(Severity))


def _require_outputs(args: argparse.Namespace) -> None:
    """Raises UsageError for documents that nobody could write."""
    if args.output_file or args.output_format not in ("text", "json"):
        if args.show_config or args.accept_known:
            what = "--show-config" if args.show_config else "--accept-known"
            raise UsageError(f"{what} judges nothing: there is no report to write")
        from orchgate.commands.shared import delivery

        delivery.require(args.output_file)


def _delivered(
    repository: Repository, report: Report, args: argparse.Namespace, shown: View, result: Verdict | int
) -> int:
    """Writes every document that was asked for; the exit code."""
    from orchgate.commands.shared import delivery

    def as_text(stream: TextIO) -> None:
        printed = stream is sys.stdout
        write(report, stream, explain=args.explain, how=shown if printed else shown._replace(earlier=(), color=False))

    exit_code = result if isinstance(result, int) else result.exit_code
    made = report._replace(about=delivery.about(repository, "check", report, exit_code))
    return delivery.deliver(made, args.output_format, args.output_file, {"text": as_text})


def view(
    most: int, *, earlier: Collection[str] = (), quiet: bool = False, statistics: bool = False, color: str = "auto"
) -> View:
    """How a report is shown on this standard output."""
    from orchgate.outputs.text import ASCII_SEPARATOR, SEPARATOR, View

    encoding = (sys.stdout.encoding if sys.stdout is not None else None) or "ascii"
    try:
        SEPARATOR.encode(encoding)
        separator = SEPARATOR
    except (LookupError, UnicodeEncodeError):
        separator = ASCII_SEPARATOR
    return View(most, earlier, quiet, statistics, _colored(color), separator)


def _colored(when: str) -> bool:
    """Whether standard output gets colors: `always`, `never`, or `auto`, as https://no-color.org has it."""
    if when == "auto":
        environ = os.environ
        dumb = environ.get("NO_COLOR") or environ.get("TERM") == "dumb"
        return not dumb and sys.stdout is not None and sys.stdout.isatty()
    return when == "always"


def _fix(repository: Repository, request: ScopeRequest) -> None:
    """Pins before anything is judged. What keeps it from that is said; the verdict is the checks' business."""
    from orchgate.commands.evidence import workspace
    from orchgate.gate import session
    from orchgate.gate.evidence_sources import judged_documents
    from orchgate.git import scope

    if not repository.root:
        raise UsageError("a bare repository has nothing on disk to pin", "run --fix in a clone")
    ctx = session.context(repository, scope.target(repository, request, os.environ), os.environ, request.config)
    try:
        for line in workspace.fix(ctx, judged_documents(ctx)):
            tell(line)
    except OrchgateError as error:
        place = getattr(error, "path", "")
        tell(f"nothing pinned: {place + ': ' if place else ''}{error.message}")


def tell(line: str) -> None:
    """Says on standard error what takes long, where it cannot spoil a report."""
    with suppress(OSError, AttributeError):  # nobody may be listening there
        sys.stderr.write(f"orchgate: {escape(line)}\n")
        sys.stderr.flush()


def at_once(earlier: list[str], how: View) -> Callable[[Report], None]:
    """Writes the findings that are there before a measurement, and notes in `earlier` which checks they are of."""

    def write(report: Report) -> None:
        from orchgate.outputs import text

        sys.stdout.writelines(line + "\n" for line in text.findings(report, how))
        sys.stdout.flush()
        earlier.extend(check.id for check in report.checks)

    return write


def show(report: Report, *, explain: bool = False, how: View | None = None) -> None:
    """Writes a report to standard output."""
    write(report, sys.stdout, explain=explain, how=how or view(MOST))


def write(report: Report, stream: TextIO, *, explain: bool, how: View) -> None:
    """Writes a report for people."""
    from orchgate.outputs import text

    if explain:
        stream.writelines(line + "\n" for line in text.explained(report))
    text.render(report, stream, how)


def code(report: Report) -> Verdict | int:
    """The report's verdict, or 4 when a check crashed: an internal error is not the change's fault."""
    crashed = any(check.crash is not None for check in report.checks)
    return INTERNAL_ERROR if crashed else report.verdict


def _show_config(repository: Repository, request: ScopeRequest, output: str) -> Verdict:
    from orchgate.commands.config import command as config
    from orchgate.gate import session
    from orchgate.git import scope

    ctx = session.context(repository, scope.target(repository, request, os.environ), os.environ, request.config)
    config.show(ctx.config, *config.work_tree(repository.root), output)
    return Verdict.PASS
