"""The vocabulary of the gate as frozen values. Pure: standard library only, no input or output.

Paths are relative to the repository's top level, with `/`, decoded from git's bytes with
`surrogateescape`, so that any file name survives the round trip. Lines and columns count from 1;
0 means "the whole file".
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from orchgate.errors import OrchgateError

ABSENT = "0" * 40


class Severity(Enum):
    """How much a finding weighs. Only an error refuses the change."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


class Verdict(Enum):
    """The answer to "may this land?". The values are the words of the JSON report."""

    PASS = "pass"  # noqa: S105 -- a verdict, not a password
    WARN = "warn"
    INCONCLUSIVE = "inconclusive"
    BROKEN = "broken"
    FAIL = "fail"

    @property
    def exit_code(self) -> int:
        """0 may land, 1 refused, 3 nobody knows. Inconclusive reaches here only where the policy blocks it."""
        match self:
            case Verdict.PASS | Verdict.WARN:
                return 0
            case Verdict.FAIL:
                return 1
            case Verdict.BROKEN | Verdict.INCONCLUSIVE:
                return 3


_ORDER = {verdict: rank for rank, verdict in enumerate(Verdict)}


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """The verdict of several; a certain refusal outranks "could not check", nothing at all is a pass."""
    return max(verdicts, key=_ORDER.__getitem__, default=Verdict.PASS)


class Location(NamedTuple):
    path: str
    line: int = 0
    column: int = 0


class Rule(NamedTuple):
    """What a rule is about; `orchgate explain` prints all of it."""

    id: str
    title: str
    severity: Severity
    what: str
    why: str
    bad: str
    good: str
    refuses: Verdict = Verdict.FAIL  # what an error makes of the check: "nobody can tell" is not "no"
    worst: Severity | None = None  # what a finding may weigh by situation, where that is more than `severity`


class Step(NamedTuple):
    """A command that a person may run next, and what for: `reproduce`, `orchgate perf …`."""

    label: str
    command: str


class Finding(NamedTuple):
    """What a check says. It neither prints nor decides: the engine stamps it."""

    rule: str
    location: Location
    message: str
    hint: str = ""
    severity: Severity | None = None  # set only where one rule weighs differently by situation
    excuse: str = ""  # the commit trailer that would make an exception of it
    sought: tuple[str, ...] = ()  # what its check can look for a better hint by, see `suggestions`
    lifted: bool = False  # an exception with a reason was made: it refuses nothing, whatever is configured
    listed: tuple[str, ...] = ()  # ("empty sections", "Goals"): several of a document may be one line of text
    steps: tuple[Step, ...] = ()


class Trouble(NamedTuple):
    """One input a check could not read. It makes the check's verdict `broken`, never a pass."""

    location: Location
    message: str
    hint: str = ""
    steps: tuple[Step, ...] = ()


class Diagnostic(NamedTuple):
    """A finding with what the engine knows: its check, its severity, and why it is suppressed, if it is."""

    check: str
    severity: Severity
    finding: Finding
    suppressed: str | None = None


class Outcome(NamedTuple):
    """All a check returns. `examined` counts inputs by name; `facts` is JSON-able."""

    findings: tuple[Finding, ...] = ()
    examined: Mapping[str, int] = {}
    facts: Mapping[str, object] = {}
    troubles: tuple[Trouble, ...] = ()


STAGES = ("pre-commit", "pre-merge-commit", "pre-push", "manual")


class RunOrder(Enum):
    """When a check runs among the others of a judgement."""

    WITH_OTHERS = 0
    AFTER_OTHERS = 1  # it asks for their results
    ALONE = 2  # it measures: nothing may run beside it, and everything else is reported before


class Check(NamedTuple):
    """One plug-in of `checks/`. `run` takes a `gate.context.Context`; its id is its file's name with `-` for `_`.

    `stages` are those of the hook of its own; the hook of all checks runs it at every stage. `suggest` takes the
    context, too, and makes what finds a better hint for what a finding `sought`, "" where there is none. One that is
    `shared` reads every document of a large tree and can do so in parts, see `gate.context.Share`. Findings of one
    that is `excusable` can be excused by the message of the commit. `keys` declares the keys of the check's table in
    the configuration, which is called as the check is.
    """

    id: str
    summary: str
    rules: tuple[Rule, ...]
    run: Callable[..., Outcome]
    stages: tuple[str, ...] = STAGES
    suggest: Callable[..., Callable[[tuple[str, ...]], str]] | None = None
    turn: RunOrder = RunOrder.WITH_OTHERS
    shared: bool = False
    excusable: bool = False
    keys: type | None = None


class CheckResult(NamedTuple):
    """A check's outcome after the engine judged it. `seconds` is wall time."""

    id: str
    verdict: Verdict
    diagnostics: tuple[Diagnostic, ...]
    examined: Mapping[str, int]
    facts: Mapping[str, object]
    troubles: tuple[Trouble, ...]
    seconds: float
    crash: str | None = None


class Change(NamedTuple):
    """One path between base and head.

    `status` is git's letter: A, M, D, R, T. A rename is one change. `path` is the head's name (the base's for D).
    `added` and `removed` count lines as `git diff --numstat` does, None where it prints `-`.
    """

    status: str
    path: str
    old_path: str | None
    old_mode: str
    new_mode: str
    old_oid: str
    new_oid: str
    added: int | None
    removed: int | None

    @property
    def deleted(self) -> bool:
        return self.status == "D"


class Scope(NamedTuple):
    """Which change is judged. `base` and `head` are hex commit ids; None is "no commit" (first commit, the index).

    `kind`: `staged` (HEAD → index), `range` (base → head), `tree` (every file, and base → index), `commit`.
    `unknown` says why there is no base to compare with; then only checks of the whole tree can answer.
    `beside` are further bases, where the change left what it is compared with more than once: a path counts that
    differs from all of them. `settled` says why there is nothing to judge.
    """

    kind: str
    base: str | None
    head: str | None
    changes: tuple[Change, ...] = ()
    unknown: OrchgateError | None = None
    origin: str = ""  # where the base came from, for people
    beside: tuple[str, ...] = ()
    settled: str = ""

    @property
    def whole_tree(self) -> bool:
        return self.kind == "tree"

    def require_changes(self) -> tuple[Change, ...]:
        """The changes, for a check that can say nothing without them.

        Raises the OrchgateError in `unknown` when no base was found.
        """
        if self.unknown is not None:
            raise self.unknown
        return self.changes


class Report(NamedTuple):
    scope: Scope
    checks: tuple[CheckResult, ...]

    @property
    def verdict(self) -> Verdict:
        return worst(check.verdict for check in self.checks)

    @property
    def diagnostics(self) -> tuple[Diagnostic, ...]:
        return tuple(diagnostic for check in self.checks for diagnostic in check.diagnostics)
