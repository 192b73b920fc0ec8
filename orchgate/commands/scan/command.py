"""`orchgate scan`: judges many commits, or many repositories."""

from __future__ import annotations

import os
import sys
import time

from orchgate.commands.check import tell
from orchgate.commands.shared import options
from orchgate.errors import UsageError, quoted
from orchgate.lib.text import counted
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.outputs import _document

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Generator, Iterator

    from orchgate.commands.shared.command_line import Parser
    from orchgate.scan.lines import KeptLines
    from orchgate.scan.sources import ScanSource
    from orchgate.scan.summary import ScanSummary
    from orchgate.scan.values import Judging, UnitResult, UnitSpec

SUMMARY = "judge many commits, or many repositories, and add up what is found"
ABOUT = """\
Judges every commit of a range against its first parent, as of the day it was
made, or the default branch of every repository of a list as a whole. Nothing is
checked out, run or measured. Each is judged by its own configuration; by default
--jobs is the number of cores."""
EXAMPLES = (
    "orchgate scan v1.0..HEAD",
    "orchgate scan HEAD~300..HEAD --profile codex-orchestrator --output scan.jsonl",
    "orchgate scan --repositories repositories.txt --output-format json",
)
EXIT_CODES = {
    0: "all of them passed",
    1: "at least one is refused",
    3: "none is refused, and something could not be judged",
}
VERSION = 1
TIMEOUT = 600.0  # seconds
MOST_JOBS = 256
_PROGRESS_SECONDS = 0.2


def arguments(parser: Parser) -> None:
    parser.usage = "orchgate scan (REV..REV | --repositories FILE) [OPTIONS]"
    parser.add_argument("range", nargs="?", default="", metavar="REV..REV", help="the commits; REV: all up to it")
    what = "a list: `URL-or-path [@REF] [NAME]` on each line, # begins a comment"
    parser.add_argument("--repositories", default="", metavar="FILE", help=what)
    parser.add_argument("--first-parent", action="store_true", help="only commits of the first-parent line")
    what = "judge all of them by this configuration instead of their own"
    parser.add_argument("--config", default="", metavar="FILE", help=what)
    what = "for those without a configuration; detect: by their files (commits: default, repositories: detect)"
    parser.add_argument("--profile", default="", metavar="NAME", help=what)
    parser.add_argument("--jobs", type=options.whole_number(1, MOST_JOBS), metavar="N", help="so many at once")
    options.scheduler(parser, "judge on the workers of this Dask scheduler")
    what = "also keep the lines there, as JSON; the same command continues where it stopped"
    parser.add_argument("-o", "--output", default="", metavar="FILE", help=what)
    what = "keep clones in this folder for the next time (removed when they are judged)"
    parser.add_argument("--clones", default="", metavar="DIR", help=what)
    what = f"give up on a clone, and on a judgement, after so long ({options.duration_text(TIMEOUT)})"
    parser.add_argument("--timeout", type=options.up_to(options.DAY), default=TIMEOUT, metavar="TIME", help=what)
    parser.add_argument("-v", "--verbose", action="store_true", help="print a line for each that is judged")
    options.output_format(parser, "scan", about="json: one object a line, the last one is the summary (%(default)s)")


class _Plan(NamedTuple):
    source: ScanSource
    judging: Judging
    identity: dict[str, object]
    noun: str


def run(args: argparse.Namespace) -> int:
    plan = _planned(args)
    if not args.output:
        return _scanned(args, plan, None)
    from orchgate.scan.lines import KeptLines

    with KeptLines(args.output) as kept:
        return _scanned(args, plan, kept)


def _planned(args: argparse.Namespace) -> _Plan:
    """What is scanned and by what. Raises UsageError, ConfigError, GitError."""
    from orchgate.scan import sources, values

    if bool(args.range) == bool(args.repositories):
        raise UsageError("name REV..REV or --repositories FILE, one of them", "orchgate scan HEAD~100..HEAD")
    _refuse(args)
    if args.repositories:
        source, noun = sources.repositories(args.repositories), "repository"
    else:
        from orchgate.gate import session

        with session.opened() as repository:
            source, noun = sources.commits(repository, args.range, first_parent=args.first_parent), "commit"
    config = _configuration(args.config)
    profile = _profile(args.profile or ("detect" if args.repositories else "default"))
    clones = os.path.abspath(args.clones) if args.clones else ""
    judging = values.Judging(config, profile, float(int(time.time())), clones, patience=args.timeout)
    return _Plan(source, judging, _identity(source, judging), noun)


def _refuse(args: argparse.Namespace) -> None:
    """Raises UsageError for what does not go together."""
    if args.repositories and args.first_parent:
        raise UsageError("--first-parent is about commits, and --repositories has none", "leave out one of the two")
    if args.scheduler:
        from orchgate.cluster import connection

        connection.checked_address(args.scheduler)
        if args.jobs or args.clones:
            one = "--jobs" if args.jobs else "--clones"
            raise UsageError(f"{one} is about this machine, not about workers", f"leave out {one} or --scheduler")


def _identity(source: ScanSource, judging: Judging) -> dict[str, object]:
    from orchgate import __version__
    from orchgate.lib.files import sha256_hex

    text = judging.config[1]
    configuration = sha256_hex(text.encode("utf-8", "surrogateescape")) if judging.config[0] else None
    return {**source.identity, "configuration": configuration, "profile": judging.profile, "orchgate": __version__}


def _configuration(path: str) -> tuple[str, str]:
    """The named file with its text, which is read once for all. Raises ConfigError where it is wrong."""
    if not path:
        return ("", "")
    from orchgate.config.load import load_outside

    whole = os.path.abspath(path)
    return whole, load_outside(whole).source.text


def _profile(name: str) -> str:
    from orchgate import registry
    from orchgate.config import profiles
    from orchgate.scan.values import DETECT

    known = (*profiles.NAMES, DETECT)
    if name not in known:
        raise UsageError(f"there is no profile {name[:40]}; {registry.nearest(name, known)}")
    return name


def _scanned(args: argparse.Namespace, plan: _Plan, kept: KeptLines | None) -> int:
    import contextlib

    from orchgate.scan.summary import ScanSummary

    summary, start = ScanSummary(), time.monotonic()
    screen = _Screen(args, plan)
    try:
        with contextlib.closing(_results(args, plan, kept)) as results:  # wherever an interrupt meets us
            for one, is_new in results:
                summary.add(one)
                line = _line(one)
                if kept is not None and is_new:
                    kept.write(line)
                screen.show(one, line, summary)
    except KeyboardInterrupt:
        screen.clear()
        if kept is not None:
            tell(f"{counted(summary.units, 'line')} in {kept.path}; the same command continues there")
        raise
    finally:
        screen.clear()
    last = _text({"summary": {**summary.facts(), "exit_code": summary.exit_code}})
    if kept is not None:
        kept.write(last)
    screen.end(summary, last, time.monotonic() - start)
    return summary.exit_code


def _results(
    args: argparse.Namespace, plan: _Plan, kept: KeptLines | None
) -> Generator[tuple[UnitResult, bool], None, None]:
    """Results in the order of the units, those that are in the file already first; and whether each is new."""
    from orchgate.scan import lines

    judging, units = plan.judging, plan.source.units()
    if kept is not None:
        head = kept.head()
        if head is not None:
            kept.require(head, plan.identity)
            judging = judging._replace(judged_at=lines.seconds_of(head["scan"].get("judged_at")))
        yield from ((one, False) for one in kept.results(units))
        if head is None:
            scan = {name: value for name, value in plan.identity.items() if name != "orchgate"}
            kept.write(_text({"scan": {**scan, "judged_at": lines.time_of(judging.judged_at)}}))
    if args.scheduler:
        found = _judged_elsewhere(args.scheduler, judging, units, str(plan.source.identity.get("head", "")))
    else:
        found = _judged(judging, units, args.jobs or _cores(), args.timeout)
    yield from ((one, True) for one in found)


def _judged_elsewhere(address: str, judging: Judging, specs: Iterator[UnitSpec], head: str) -> Iterator[UnitResult]:
    """By the workers of a cluster, who see the repository, or are sent its history. Raises OrchgateError."""
    import contextlib
    import functools

    from orchgate.cluster import connection
    from orchgate.gate import session
    from orchgate.git.store import parcel
    from orchgate.scan import farmed

    with contextlib.ExitStack() as stack:
        commits = None
        if head:
            repository = stack.enter_context(session.opened())
            packed = functools.partial(parcel.history, repository, head)
            commits = farmed.Commits(repository.git_dir, head, packed)
        cluster = stack.enter_context(connection.connected(address, tell=tell))
        yield from farmed.judged(cluster, judging, specs, commits)


def _judged(judging: Judging, specs: Iterator[UnitSpec], jobs: int, patience: float) -> Iterator[UnitResult]:
    import contextlib
    import functools
    import tempfile
    from collections import deque

    from orchgate.scan import clones, units, values, workers

    given: deque[UnitSpec] = deque()  # specs whose results are on their way, which come in their order

    def drawn() -> Iterator[UnitSpec]:
        for spec in specs:
            given.append(spec)
            yield spec

    # Of a process that is ended clones are left, which go away with this folder.
    with tempfile.TemporaryDirectory(prefix=clones.PREFIX, ignore_cleanup_errors=True) as scratch:
        work = functools.partial(units.judge_alone, judging._replace(scratch=scratch))
        # A clone has its own clock, and a judgement comes after it.
        with contextlib.closing(workers.in_order(work, drawn(), jobs, 2 * patience)) as results:
            for result in results:
                spec = given.popleft()
                yield values.failed(spec, result.why) if isinstance(result, workers.FailedJob) else result


def _cores() -> int:
    from orchgate.lib.forks import cores

    return cores()


def _line(one: UnitResult) -> str:
    from orchgate.scan.lines import facts_of

    return _text(facts_of(one))


def _text(facts: dict[str, object]) -> str:
    return _document.text_of(_document.headed("scan", facts, VERSION), indent=None)


class _Screen:
    """What is printed while it goes on, and at the end."""

    def __init__(self, args: argparse.Namespace, plan: _Plan) -> None:
        self._as_json = args.output_format == "json"
        self._verbose = args.verbose
        self._noun = plan.noun
        self._config = plan.judging.config[0]
        self._own = not args.profile  # so that `check` judges by the same
        self._count: Callable[[], int] = plan.source.size
        self._total = 0
        self._drawn = 0.0
        self._width = 0  # of what is drawn now

    def show(self, one: UnitResult, line: str, summary: ScanSummary) -> None:
        if self._as_json:
            _document.begin()
            sys.stdout.write(line + "\n")
            sys.stdout.flush()  # whoever reads it works on
        elif self._verbose:
            from orchgate.commands.scan import words
            from orchgate.commands.shared import screen

            self.clear()
            sys.stdout.write(words.unit_line(one, screen.here().width) + "\n")
        self._draw(summary)

    def _draw(self, summary: ScanSummary) -> None:
        """One line on a terminal that says how far it is."""
        now = time.monotonic()
        if not sys.stderr.isatty() or now - self._drawn < _PROGRESS_SECONDS:
            return
        from orchgate.commands.scan import words

        self._drawn = now
        self._total = self._total or self._count()
        self.clear()
        text = words.progress(summary, self._total)[:78]
        sys.stderr.write(f"\r{text}")
        sys.stderr.flush()
        self._width = len(text)

    def clear(self) -> None:
        if self._width:
            sys.stderr.write("\r" + " " * self._width + "\r")
            sys.stderr.flush()
            self._width = 0

    def end(self, summary: ScanSummary, last: str, seconds: float) -> None:
        if self._as_json:
            _document.begin()
            sys.stdout.write(last + "\n")
            return
        from orchgate.commands.scan import words
        from orchgate.commands.shared import screen

        sys.stdout.writelines(f"{line}\n" for line in words.summary_lines(summary, self._noun, seconds, screen.here()))
        sys.stdout.write(self._next(summary))

    def _next(self, summary: ScanSummary) -> str:
        """How to see all that the worst commit is told, where `check` would judge it by the same configuration."""
        worst = summary.worst()
        if not worst or self._noun != "commit" or not self._own:
            return ""
        from orchgate.commands.scan import words

        config = f" --config {quoted(os.path.relpath(self._config))}" if self._config else ""
        return f"the first in full: `orchgate check --commit {words.name_of(worst[0]['unit'], self._noun)}{config}`\n"
