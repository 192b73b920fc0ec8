"""The gate's fire drill: one violation of each rule that refuses, planted into a throw-away copy of HEAD.

Each is judged by this repository's own configuration, so that what it leaves unguarded shows.
"""

from __future__ import annotations

import contextlib
import os
import tempfile

from orchgate import registry
from orchgate.commands.doctor import plants
from orchgate.errors import GitError
from orchgate.gate import session
from orchgate.gate.engine import OFF
from orchgate.git import scope
from orchgate.git.call import Git, scrubbed
from orchgate.git.repository import open_repository
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.model import ScopeRequest, Severity

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from orchgate.commands.doctor.plants import Ground, Plant
    from orchgate.config.settings import Config
    from orchgate.gate.context import Context
    from orchgate.model import Report, Rule

UNJUDGED = "unjudged"
BRANCH = "canary"  # no release branch, and the name of no task


class Drill(NamedTuple):
    """One planted violation. `status`: refused, off (nobody judges by the rule here, `about` says why),
    unjudged (the check could not be made), or passed.
    """

    rule: str
    status: str
    about: str


def drills() -> Iterator[Drill]:
    """Plants and judges one violation after the other. Raises OrchgateError where there is nothing to copy."""
    with session.opened() as repository, tempfile.TemporaryDirectory(prefix="orchgate-canary-") as folder:
        if repository.head is None:
            raise GitError("there is no commit to make a copy of", "git commit")
        source = os.fsdecode(repository.git("rev-parse", "--path-format=absolute", "--git-common-dir")).strip()
        copy = _Copy(os.path.join(folder, "copy"), source, repository.head)
        ground = plants.ground(copy.config(), copy.paths)
        copy.plant(ground.files, {})
        copy.git("commit", "--quiet", "--no-verify", "--message", "a packet in order")
        for rule in _refusing():
            yield _drill(copy, ground, rule)


def _refusing() -> Iterator[Rule]:
    """The rules that may refuse a change."""
    for _, rule in registry.rules().values():
        if Severity.ERROR in (rule.severity, rule.worst):
            yield rule


def _drill(copy: _Copy, ground: Ground, rule: Rule) -> Drill:
    plant = plants.PLANTS.get(rule.id)
    if plant is None:
        return Drill(rule.id, OFF, plants.ELSEWHERE.get(rule.id, "nothing is planted for it"))
    planted = plant.files(ground)
    if isinstance(planted, str):
        return Drill(rule.id, OFF, planted)
    try:
        copy.plant(planted.files, planted.beside)
        report = copy.judged(registry.rules()[rule.id][0])
    finally:
        copy.restore(planted.beside)
    return _outcome(rule, plant, report, ground.config)


def _outcome(rule: Rule, plant: Plant, report: Report, config: Config) -> Drill:
    found = [one for one in report.diagnostics if one.finding.rule == rule.id and one.counts]
    if any(one.severity is Severity.ERROR for one in found):
        return Drill(rule.id, "refused", plant.about)
    weight = config.severity_of(rule.id, registry.rules()[rule.id][0])
    if weight and weight != Severity.ERROR.value:
        return Drill(rule.id, OFF, f"severity.{rule.id} is {weight}")
    off = next((str(check.facts["off"]) for check in report.checks if "off" in check.facts), "")
    if off:
        return Drill(rule.id, OFF, off)
    troubles = [trouble.message for check in report.checks for trouble in check.troubles]
    if troubles:  # exit 3: nothing lands either, but whether this rule would refuse it was not seen
        return Drill(rule.id, UNJUDGED, f"{plant.about}: {troubles[0]}")
    suppressed = next(
        (one.suppressed for one in report.diagnostics if one.finding.rule == rule.id and one.suppressed), ""
    )
    lighter = f"only a {found[0].severity.value}" if found else suppressed or "not found"
    return Drill(rule.id, "passed", f"{plant.about}: {lighter}")


class _Copy:
    """A clone that shares the objects, with nothing of this process's repository in its environment."""

    def __init__(self, root: str, source: str, head: str) -> None:
        self.root = root
        self._env = {**scrubbed(os.environ), "GIT_CONFIG_GLOBAL": os.devnull}
        for role in ("AUTHOR", "COMMITTER"):
            self._env |= {f"GIT_{role}_NAME": "canary", f"GIT_{role}_EMAIL": "canary@orchgate.invalid"}
        Git(None, self._env)("init", "--quiet", "--template=", f"--initial-branch={BRANCH}", root)
        self.git = Git(root, self._env)
        # Not a clone: no branch or tag of the source need hold the commit that is checked out.
        with open(os.path.join(root, ".git", "objects", "info", "alternates"), "w", encoding="utf-8") as file:
            file.write(os.path.join(source, "objects") + "\n")
        self.git("reset", "--quiet", "--hard", head)
        self.paths = tuple(os.fsdecode(self.git("ls-files", "-z")).split("\0"))

    @contextlib.contextmanager
    def _context(self) -> Iterator[Context]:
        repository = open_repository(self.root, self._env)
        try:
            target = scope.target(repository, ScopeRequest(staged=True), self._env)
            yield session.context(repository, target, self._env)
        finally:
            repository.close()

    def config(self) -> Config:
        with self._context() as ctx:
            return ctx.config

    def plant(self, files: Mapping[str, str | None], beside: Mapping[str, str]) -> None:
        """Stages files (None: deleted), and puts others beside them that git does not know."""
        for path, text in {**files, **beside}.items():
            full = os.path.join(self.root, path)
            if text is None:
                os.unlink(full)
                continue
            os.makedirs(os.path.dirname(full), exist_ok=True)
            with open(full, "w", encoding="utf-8", newline="") as file:
                file.write(text)
        self.git("add", "--force", "--", *files)

    def restore(self, beside: Mapping[str, str]) -> None:
        self.git("reset", "--quiet", "--hard")
        for path in beside:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(os.path.join(self.root, path))

    def judged(self, check: str) -> Report:
        with self._context() as ctx:
            return session.judge(ctx, [check])
