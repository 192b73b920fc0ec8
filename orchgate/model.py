"""The vocabulary of the gate as frozen values. Pure: no input or output.

Paths are relative to the repository's top level, with `/`, decoded from git's bytes with
`surrogateescape`, so that any file name survives the round trip. Lines and columns count from 1;
0 means "the whole file".
"""

from __future__ import annotations

from orchgate.lib.typed import TYPE_CHECKING, Enum, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from orchgate.errors import OrchgateError

ABSENT = "0" * 40


class Severity(Enum):
    """How much a finding weighs. Only an error refuses the change."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"

    __hash__ = object.__hash__  # that of an enum is a Python function, and each finding of a large tree is hashed


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
    exceptions: tuple[str, ...] = ()  # ways to make one that only this rule knows, for `orchgate explain`


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
    about: tuple[str, ...] = ()  # the faults it reports, without line numbers; nothing: its message, see `gate.older`
    own: bool = False  # it is about what the change does, and never older than it
    documents: tuple[str, ...] = ()  # of the packet that it is about as a whole: it is no fault of one of them


class Trouble(NamedTuple):
    """One input a check could not read. It makes the check's verdict `broken`, never a pass."""

    location: Location
    message: str
    hint: str = ""
    steps: tuple[Step, ...] = ()


class Diagnostic(NamedTuple):
    """A finding with what the engine knows: its check, its severity, and why it is suppressed, if it is.

    What is `older` than the change is counted, and no fault of the change. `in_source`: a comment suppresses it.
    """

    check: str
    severity: Severity
    finding: Finding
    suppressed: str | None = None
    older: bool = False
    in_source: bool = False

    @property
    def counts(self) -> bool:
        """Whether it weighs in the verdict."""
        return self.suppressed is None and not self.older


class Outcome(NamedTuple):
    """All a check returns. `examined` counts inputs by name; `facts` is JSON-able, its `off` says why nothing was done.

    `headline` takes the place of `examined` in the last line of text, where numbers alone say too little.
    """

    findings: tuple[Finding, ...] = ()
    examined: Mapping[str, int] = {}
    facts: Mapping[str, object] = {}
    troubles: tuple[Trouble, ...] = ()
    headline: str = ""


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
    Findings of one that is `in_documents` stand in Markdown documents, where a comment can silence one line.

    Findings of one that is `of_tree` are about what stands in the tree: those that were there before the change are
    not its fault. They are looked for in the same documents of the tree before, or in those that `again` names, which
    takes the context, that tree and the documents.
    """

    id: str
    summary: str
    rules: tuple[Rule, ...]
    run: Callable[..., Outcome]
    stages: tuple[str, ...] = STAGES
    suggest: Callable[..., Callable[[tuple[str, ...]], str]] | None = None
    order: RunOrder = RunOrder.WITH_OTHERS
    shared: bool = False
    excusable: bool = False
    of_tree: bool = False
    again: Callable[..., Iterable[str]] | None = None
    keys: type | None = None
    in_documents: bool = False


class CheckResult(NamedTuple):
    """A check's outcome after the engine judged it. `seconds` is wall time.

    `uncompared` says what could not be judged as it was before the change: all findings there are charged to it.
    """

    id: str
    verdict: Verdict
    diagnostics: tuple[Diagnostic, ...]
    examined: Mapping[str, int]
    facts: Mapping[str, object]
    troubles: tuple[Trouble, ...]
    seconds: float
    crash: str | None = None
    uncompared: tuple[Trouble, ...] = ()
    headline: str = ""

    @property
    def current(self) -> tuple[Diagnostic, ...]:
        """Diagnostics that are not older than the change."""
        return tuple(one for one in self.diagnostics if not one.older)

    @property
    def older(self) -> int:
        """How many are."""
        return sum(one.older for one in self.diagnostics)

    def with_current(self, current: tuple[Diagnostic, ...]) -> CheckResult:
        """The same with others in the place of those that are not older, as many as there are."""
        others = iter(current)
        return self._replace(diagnostics=tuple(one if one.older else next(others) for one in self.diagnostics))


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


class About(NamedTuple):
    """What a document says besides the judgement, for readers that have nothing but the document.

    `command` made it and ends with `exit_code`. `remote` is the address of the repository, without credentials, `head`
    the judged commit on `branch`; "" is not known. `anchor` is the file that stands for the change as a whole, where a
    format has no place for a finding without one. Where the command ended before anything was judged, `failed` is its
    kind of error, and the report holds nothing but that.
    """

    command: str = "check"
    exit_code: int = 0
    remote: str = ""
    head: str = ""
    branch: str = ""
    anchor: str = ""
    failed: str = ""


class Report(NamedTuple):
    scope: Scope
    checks: tuple[CheckResult, ...]
    about: About = About()

    @property
    def verdict(self) -> Verdict:
        return worst(check.verdict for check in self.checks)

    @property
    def diagnostics(self) -> tuple[Diagnostic, ...]:
        return tuple(diagnostic for check in self.checks for diagnostic in check.diagnostics)

    @property
    def current(self) -> tuple[Diagnostic, ...]:
        """Diagnostics that are not older than the change."""
        return tuple(diagnostic for check in self.checks for diagnostic in check.current)


BRANCH = "refs/heads/"
# Names under which Gerrit and AGit servers take a change for review; what follows is the branch it is meant for.
_REVIEW = ("refs/for/", "refs/for-review/", "refs/drafts/", "refs/publish/", "refs/changes/")


class Push(NamedTuple):
    """One ref of a push, from git's own protocol or from the hook runner's variables; zeros are absent objects."""

    remote: str
    remote_ref: str
    remote_oid: str
    local_oid: str
    beside: tuple[str, ...] = ()  # commits of the same push that are judged on their own
    unrelated: frozenset[str] = frozenset()  # those of them that share nothing with this one but what remotes have

    @property
    def branch(self) -> str:
        """The branch that is pushed, "" for anything else."""
        return self.remote_ref.removeprefix(BRANCH) if self.remote_ref.startswith(BRANCH) else ""


def holds_nothing(remote_ref: str) -> str:
    """Why a ref has no change to judge; "" for branches, tags and changes for review.

    Notes and the metadata of other tools are no part of the project's tree. No name at all is a branch: hook runners
    leave it out.
    """
    if not remote_ref or remote_ref.startswith((BRANCH, "refs/tags/", *_REVIEW)):
        return ""
    return f"{remote_ref} is neither a branch nor a tag: nothing to judge"


class ScopeRequest(NamedTuple):
    """What the command line asked for; all empty means "find out". `config` is a file to be judged by."""

    staged: bool = False
    all_files: bool = False
    base: str = ""
    head: str = ""
    commit: str = ""
    config: str = ""


class ScopeTarget(NamedTuple):
    """A change before its base is looked up: `head` is None for the index.

    `message` reads what the commit in the making will say; None where nobody knows.
    """

    kind: str
    head: str | None
    base: str = ""
    push: Push | None = None
    message: Callable[[], str] | None = None
