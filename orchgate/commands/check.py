"""`orchgate check`: judges a change, or the whole tree."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TYPE_CHECKING

from orchgate import registry
from orchgate.commands.shared.options import Renamed, whole_number
from orchgate.errors import OrchgateError, UsageError
from orchgate.gate import session
from orchgate.git.target import ScopeRequest
from orchgate.model import Verdict
from orchgate.outputs._escape import escape

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Collection

    from orchgate.commands.shared.options import Parser
    from orchgate.git.repository import Repository
    from orchgate.model import Report

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
    parser.add_argument("--output-format", choices=registry.plugins("outputs"), default="text", help="(%(default)s)")
    # pre-commit's names for the two ends of a change.
    parser.old_names = {"--from-ref": Renamed("--base", silent=True), "--to-ref": Renamed("--head", silent=True)}
    max_per_rule(parser)
    measure_anyway(parser)
    parser.add_argument("--explain", action="store_true", help="also list what was counted and what was ignored")
    parser.add_argument(
        "--fix", action="store_true", help="first pin the cited artifacts that are here; stages nothing"
    )
    parser.add_argument("--no-ignores", action="store_true", help="show what is suppressed as if it were not")
    parser.add_argument("--exit-zero", action="store_true", help="exit with 0 also where the change is refused")
    parser.add_argument(
        "--config", default="", metavar="FILE", help="the configuration (orchgate.toml, pyproject.toml)"
    )
    parser.add_argument("--show-config", action="store_true", help="print the effective configuration and stop")


def max_per_rule(parser: argparse.ArgumentParser) -> None:
    """The option of every command that prints findings."""
    what = "print at most N findings of a rule, 0 for all; other formats than text hold all (%(default)s)"
    parser.add_argument("--max-per-rule", type=whole_number(0), default=MOST, metavar="N", help=what)


def measure_anyway(parser: argparse.ArgumentParser) -> None:
    """The option of every command that may measure."""
    parser.add_argument("--measure-anyway", action="store_true", help="also measure what other checks have refused")


def revision(text: str) -> str:
    """A revision as somebody typed it. An empty one is a variable that was never set, not the wish to find out."""
    if not text.strip():
        raise ValueError
    return text


def run(args: argparse.Namespace) -> Verdict | int:
    request = ScopeRequest(
        args.staged, args.all_files, args.base or "", args.head or "", args.commit or "", args.config
    )
    with session.opened() as repository:
        if args.show_config:
            return _show_config(repository, request, args.output_format)
        if args.fix:
            _fix(repository, request)
        said: list[str] = []
        report = session.judge_request(
            repository,
            request,
            os.environ,
            args.checks,
            ignores=not args.no_ignores,
            tell=tell,
            early=at_once(said, args.max_per_rule) if args.output_format == "text" else None,
            anyway=args.measure_anyway,
        )
    show(report, args.output_format, explain=args.explain, most=args.max_per_rule, said=said)
    result = code(report)
    return Verdict.PASS if args.exit_zero and result is Verdict.FAIL else result


def _fix(repository: Repository, request: ScopeRequest) -> None:
    """Pins before anything is judged. What keeps it from that is said; the verdict is the checks' business."""
    from orchgate.commands.evidence import pinning
    from orchgate.gate.candidates import judged_documents
    from orchgate.git import scope

    if not repository.root:
        raise UsageError("a bare repository has nothing on disk to pin", "run --fix in a clone")
    ctx = session.context(repository, scope.target(repository, request, os.environ), os.environ, request.config)
    try:
        for line in pinning.fix(ctx, judged_documents(ctx)):
            tell(line)
    except OrchgateError as error:
        place = getattr(error, "path", "")
        tell(f"nothing pinned: {place + ': ' if place else ''}{error.message}")


def tell(line: str) -> None:
    """Says on standard error what takes long, where it cannot spoil a report."""
    with contextlib.suppress(OSError, AttributeError):  # nobody may be listening there
        sys.stderr.write(f"orchgate: {escape(line)}\n")
        sys.stderr.flush()


def at_once(said: list[str], most: int) -> Callable[[Report], None]:
    """Writes the findings that are there before a measurement, and notes in `said` which checks they are of."""

    def write(report: Report) -> None:
        from orchgate.outputs import text

        sys.stdout.writelines(line + "\n" for line in text.findings(report, most))
        sys.stdout.flush()
        said.extend(check.id for check in report.checks)

    return write


def show(
    report: Report, output: str = "text", *, explain: bool = False, most: int = MOST, said: Collection[str] = ()
) -> None:
    """Writes a report to standard output in one of the formats; as text at most so many findings of a rule.

    The findings of checks that were `said` are there already.
    """
    if output != "text":
        registry.load("outputs", output).render(report, sys.stdout)
        return
    from orchgate.outputs import text

    if explain:
        sys.stdout.writelines(line + "\n" for line in text.explained(report))
    text.render(report, sys.stdout, most, said)


def code(report: Report) -> Verdict | int:
    """The report's verdict, or 4 when a check crashed: an internal error is not the change's fault."""
    crashed = any(check.crash is not None for check in report.checks)
    return INTERNAL_ERROR if crashed else report.verdict


def _show_config(repository: Repository, request: ScopeRequest, output: str) -> Verdict:
    from orchgate.commands import config
    from orchgate.git import scope

    ctx = session.context(repository, scope.target(repository, request, os.environ), os.environ, request.config)
    config.show(ctx.config, *config.work_tree(repository.root), output)
    return Verdict.PASS
