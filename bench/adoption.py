"""What a repository's past would have met: its last commits, each judged as `orchgate check --commit` judges it.

    python bench/adoption.py REPOSITORY [COUNT] [--head REV] [--profile NAME] [--list] [--strict]

Every tree gets the same configuration, as if the gate had been there all along, and the time is that of the commit.
Nothing of the repository is written, and no process is started anew for a commit. Printed is which share would have
been refused, and by which rules; the same without the size of changes and without runs that nobody pinned, which a
clone cannot have; and what was refused although it stands on no line that the commit wrote.
"""

from __future__ import annotations

import argparse
import datetime
import os
import re
import sys
import tempfile
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from orchgate import registry
from orchgate.gate import session
from orchgate.git.repository import open_repository
from orchgate.model import RunOrder, ScopeTarget, Severity, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from orchgate.gate.context import Context
    from orchgate.git.repository import Repository
    from orchgate.model import Diagnostic, Report

SIZE = ("DIF001",)
HUNK = re.compile(rb"@@ -\S+ \+(\d+)(?:,(\d+))? @@")


class Judged(NamedTuple):
    """One commit. `refusing` are its errors, `aside` those about size and unpinned runs, `foreign` those elsewhere."""

    commit: str
    subject: str
    report: Report
    refusing: tuple[Diagnostic, ...]
    aside: tuple[Diagnostic, ...]
    foreign: tuple[Diagnostic, ...]

    @property
    def rest(self) -> list[Diagnostic]:
        return [one for one in self.refusing if one not in self.aside]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("repository")
    parser.add_argument("count", nargs="?", type=int, default=200)
    parser.add_argument("--head", default="HEAD")
    parser.add_argument("--profile", default="codex-orchestrator")
    parser.add_argument("--config", default="", metavar="FILE", help="in place of the profile's defaults")
    parser.add_argument("--strict", action="store_true", help="charge what was there before, too")
    parser.add_argument("--list", action="store_true", help="print every commit, and what refuses it")
    args = parser.parse_args()
    with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
        file.write(f'profile = "{args.profile}"\n')
        file.flush()
        found = []
        for one in replayed(args, os.path.abspath(args.config) if args.config else file.name):
            found.append(one)
            if args.list:
                sys.stdout.writelines(line + "\n" for line in described(one))
    sys.stdout.writelines(line + "\n" for line in summed_up(found))


def replayed(args: argparse.Namespace, config: str) -> Iterator[Judged]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "GITHUB_", "CI"))}
    repository = open_repository(args.repository, environ)
    names = [check.id for check in registry.checks() if check.order is not RunOrder.ALONE]
    log = repository.git("log", "--first-parent", f"-{args.count}", "--format=%H %ct %s", args.head).decode()
    for line in log.splitlines():
        commit, seconds, subject = line.split(" ", 2)
        ctx = session.context(repository, ScopeTarget("commit", commit), environ, config)
        now = datetime.datetime.fromtimestamp(int(seconds), datetime.UTC)
        ctx = ctx._replace(judged_at=now.timestamp(), root="")  # what lies on disk today says nothing about then
        yield judged(ctx, repository, session.judge(ctx, names, strict=args.strict), commit, subject)


def judged(ctx: Context, repository: Repository, report: Report, commit: str, subject: str) -> Judged:
    errors = tuple(one for one in report.diagnostics if one.counts and one.severity is Severity.ERROR)
    unpinned = tuple(root + "/" for root in ctx.config.evidence.roots)
    aside = tuple(one for one in errors if one.finding.rule in SIZE or is_unpinned(one, unpinned))
    lines = written(repository, ctx.scope.base, commit) if errors else {}
    about_text = (one for one in errors if one.check in ("documents", "evidence", "manifests", "commands"))
    foreign = tuple(
        one for one in about_text if one.finding.location.line not in lines.get(one.finding.location.path, ())
    )
    return Judged(commit, subject, report, errors, aside, foreign)


def is_unpinned(one: Diagnostic, roots: tuple[str, ...]) -> bool:
    """Whether a finding misses a file of a run that nobody pinned, in this clone or in the one beside it."""
    cited = [text.lstrip("./").replace("../", "") for text in one.finding.about] + list(one.finding.sought[1:2])
    return one.finding.rule in ("EVD001", "EVD004", "EVD009") and any(
        f".{text}".startswith(roots) or text.startswith(roots) for text in cited
    )


def written(repository: Repository, base: str | None, commit: str) -> Mapping[str, set[int]]:
    """The lines that a commit wrote, by path; of a file that it adds, also 0, which is the file as a whole."""
    found: dict[str, set[int]] = {}
    for change in repository.changes(base, commit):
        lines = found.setdefault(change.path, {0} if change.status == "A" else set())
        if change.deleted:
            continue
        paths = [path for path in (change.old_path, change.path) if path]
        for match in HUNK.finditer(repository.patch(base, commit, paths)):
            start, count = int(match[1]), int(match[2] or 1)
            lines.update(range(start, start + count))
    return found


def described(one: Judged) -> Iterator[str]:
    verdict = "refused" if one.rest else "aside" if one.refusing else one.report.verdict.value
    older = sum(diagnostic.older for diagnostic in one.report.diagnostics)
    yield f"{one.commit[:9]} {verdict:8} {older:5} older  {one.subject}"
    for diagnostic in one.rest:
        finding = diagnostic.finding
        mark = "!" if diagnostic in one.foreign else " "
        yield f"    {mark} {finding.rule} {finding.location.path}:{finding.location.line} {finding.message[:150]}"
    for trouble in dict.fromkeys(trouble for check in one.report.checks for trouble in check.troubles):
        yield f"    ? {trouble.location.path} {trouble.message}"


def summed_up(found: list[Judged]) -> Iterator[str]:
    refused = [one for one in found if one.refusing]
    rest = [one for one in found if one.rest]
    broken = [one for one in found if one.report.verdict is Verdict.BROKEN]
    foreign = [one for one in found if any(diagnostic in one.foreign for diagnostic in one.rest)]
    yield f"commits judged                             {len(found):4}"
    yield f"refused                                    {share(refused, found)}"
    yield f"refused, size and unpinned runs aside      {share(rest, found)}"
    yield f"  also for what is on none of their lines  {share(foreign, found)}"
    yield f"could not check                            {share(broken, found)}"
    older = sum(diagnostic.older for one in found for diagnostic in one.report.diagnostics)
    yield f"older findings, a commit                   {older // max(len(found), 1):4}"
    yield "refused by"
    by_rule = Counter(rule for one in found for rule in {diagnostic.finding.rule for diagnostic in one.refusing})
    alone = Counter(
        min(rules) for one in rest if len(rules := {diagnostic.finding.rule for diagnostic in one.rest}) == 1
    )
    for rule, number in by_rule.most_common():
        yield f"  {rule}  {number:4} commits, {alone[rule]:3} by it alone (size and unpinned runs aside)"


def share(some: list[Judged], found: list[Judged]) -> str:
    return f"{len(some):4}  {100 * len(some) / max(len(found), 1):5.1f} %"


if __name__ == "__main__":
    main()
