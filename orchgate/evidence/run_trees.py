"""Whether the runs that new claims cite were of the tree that lands (EVD012).

A claim that says "before" or "baseline" is held to the base instead. Documents and artifacts do not count, because a
run can only be cited after it has run; where the run's pipeline declares what it depends on, nothing else counts.
"""

from __future__ import annotations

from orchgate.config.load import load
from orchgate.config.source import FILE, PYPROJECT
from orchgate.errors import OrchgateError
from orchgate.evidence.facts import SUCCEEDED
from orchgate.git.history import merge_bases
from orchgate.git.state import shown
from orchgate.lib.paths import matches
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple, cached_property
from orchgate.model import Finding, Severity, Trouble
from orchgate.runs.locate import OURS

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

    from orchgate.config.settings import Config, PipelineSettings
    from orchgate.evidence.claims import RunClaim
    from orchgate.evidence.facts import CitedRuns
    from orchgate.evidence.lock import RunFacts
    from orchgate.git.repository import Repository
    from orchgate.git.snapshot import Snapshot, TreeEntry
    from orchgate.model import Scope

    Tree = Mapping[str, str]


# `<mode> <object id>` by path, paths as manifests write them

LISTED = 5  # differing paths that a message names
_AGAIN = "run it again on this tree, and cite that run"


class CandidateTrees(NamedTuple):
    """Trees that a claim may be about, the likeliest first, and what to call them."""

    name: str
    trees: tuple[Tree, ...]


class TreeCriteria(NamedTuple):
    """What runs are held against.

    `head` is the tree that lands, `bases` are what it starts from, looked up when a claim asks. `listing` gives the
    paths of a tree object, None when it is not here. `ignored` are globs of what does not count, `inputs` those of what
    alone counts for a run, none for everything. `advanced` tells which paths differ from a run at a commit only because
    the base went on meanwhile. `foreign`: manifests of other formats, which say no tree, are expected. `cut_off` is the
    command that brings history which is not here, "" where all of it is.
    """

    head: CandidateTrees
    bases: Callable[[], CandidateTrees]
    listing: Callable[[str], Mapping[str, TreeEntry] | None]
    ignored: tuple[str, ...]
    inputs: Callable[[RunFacts], tuple[str, ...]]
    advanced: Callable[[str], Collection[str]]
    foreign: bool = False
    cut_off: str = ""


class TreeDifference(NamedTuple):
    """Paths that differ, and those that only lay there untracked when the run was made."""

    paths: tuple[str, ...]
    untracked: tuple[str, ...]


def other_trees(claims: Iterable[RunClaim], runs: CitedRuns, judged: TreeCriteria) -> Iterator[Finding | Trouble]:
    """A finding for each claim whose run is of another tree; a trouble where nobody here can tell."""
    reported: set[tuple[str, str, bool]] = set()
    for claim in claims:
        key = (claim.place.document.path, claim.manifest, claim.before)
        if key not in reported:
            reported.add(key)
            yield from _judge(claim, runs, judged)


def _judge(claim: RunClaim, runs: CitedRuns, judged: TreeCriteria) -> Iterator[Finding | Trouble]:
    try:
        facts = runs.facts(claim.manifest)
    except OrchgateError as error:
        if claim.place.reference.text.endswith("/manifest.json"):
            return  # EVD007 says so
        yield _finding(claim, f"is of a run whose manifest {error.message}", error.hint or _AGAIN)
        return
    if claim.knowing and facts.status.casefold() not in SUCCEEDED:
        return  # it says itself that this run showed no success
    if facts.dirty is None or facts.format != OURS:
        yield from _without_tree(claim, facts, judged)
        return
    ran = _recorded(facts, judged)
    if isinstance(ran, str):
        if judged.cut_off and facts.tree and judged.listing(facts.tree) is None:
            yield Trouble(claim.place.location, f"{claim.place.reference.text} {ran}", judged.cut_off)
        else:
            yield _finding(claim, ran, "commit what it is to show, then " + _AGAIN)
        return
    # An item that is proven by a command is about what lands, whatever else its words say.
    side = judged.bases() if claim.before and not facts.accepts else judged.head
    yield from _compared(claim, facts, ran, side, judged)


def why_other_tree(facts: RunFacts, judged: TreeCriteria) -> str:
    """Why a run is not one of the tree that lands, as the end of a sentence; "" where it is, loose files aside."""
    if facts.dirty is None or facts.format != OURS:
        return "does not say of which tree it is"
    ran = _recorded(facts, judged)
    if isinstance(ran, str):
        return ran
    found = (_difference(facts, ran, tree, judged.inputs(facts), judged) for tree in judged.head.trees)
    nearest = min(found, key=lambda one: len(one.paths))
    return _other_tree(nearest, judged.head) if nearest.paths else ""


def _other_tree(found: TreeDifference, side: CandidateTrees) -> str:
    differ = "differs" if len(found.paths) == 1 else "differ"
    return f"is a run of another tree than {side.name}: {_listed(found.paths)} {differ}"


def _without_tree(claim: RunClaim, facts: RunFacts, judged: TreeCriteria) -> Iterator[Finding]:
    if facts.format == OURS:
        yield _finding(claim, "ran outside of git, so that nobody knows of what", "run it inside the repository")
    elif judged.foreign:
        message = "says no tree: that it ran this code is its author's word"
        yield _finding(claim, message, "`orchgate run` records the tree", Severity.NOTE)
    else:
        hint = '`orchgate run` records the tree; profile = "codex-orchestrator" expects manifests of that tool'
        yield _finding(claim, "does not say of which tree it is", hint)


def _finding(claim: RunClaim, message: str, hint: str, severity: Severity | None = None) -> Finding:
    place = claim.place
    return Finding("EVD012", place.location, f"{place.reference.text} {message}", hint, severity)


def _recorded(facts: RunFacts, judged: TreeCriteria) -> Tree | str:
    """What lay in the work tree when a run was made; or why that is not known."""
    committed: Mapping[str, TreeEntry] | None = {}
    if facts.tree is not None:
        committed = judged.listing(facts.tree)
    if committed is None:
        return f"is a run of tree {(facts.tree or '')[:12]}, which is not in this repository"
    if facts.changed is None and facts.dirty:
        return "ran on more uncommitted changes than its manifest names"
    tree = tree_of(committed)
    for path, there in (facts.changed or {}).items():
        if there is None:
            tree.pop(path, None)
        else:
            tree[path] = there
    return {**tree, **{path: there for path, there in (facts.untracked or {}).items() if there is not None}}


def tree_of(entries: Mapping[str, TreeEntry]) -> dict[str, str]:
    """A listing as manifests write it."""
    return {shown(path): f"{entry.mode} {entry.oid}" for path, entry in entries.items()}


def _compared(
    claim: RunClaim, facts: RunFacts, ran: Tree, side: CandidateTrees, judged: TreeCriteria
) -> Iterator[Finding]:
    inputs = judged.inputs(facts)
    found = (_difference(facts, ran, tree, inputs, judged) for tree in side.trees)
    nearest = min(found, key=lambda one: (len(one.paths), len(one.untracked)))
    if not claim.before and nearest.paths:
        own = frozenset(judged.advanced(facts.commit or "")) - frozenset((facts.changed or {}).keys())
        nearest = nearest._replace(paths=tuple(path for path in nearest.paths if path not in own))
    if nearest.paths:
        also = f"; untracked then: {_listed(nearest.untracked)}" if nearest.untracked else ""
        yield _finding(claim, _other_tree(nearest, side) + also, _AGAIN)
    elif nearest.untracked:
        message = f"ran beside files that {side.name} does not have: {_listed(nearest.untracked)}"
        yield _finding(claim, message, "commit or ignore them if it needs them, and run it again", Severity.WARNING)


def _difference(
    facts: RunFacts, ran: Tree, tree: Tree, inputs: tuple[str, ...], judged: TreeCriteria
) -> TreeDifference:
    """What counts and is not the same in both trees."""
    differing = sorted(path for path in ran.keys() | tree.keys() if ran.get(path) != tree.get(path))
    counting = [path for path in differing if matches(path, inputs or ("**",)) and not matches(path, judged.ignored)]
    loose = frozenset((facts.untracked or {}).keys()) - tree.keys()
    more = ("more files than its manifest names",) if facts.untracked is None else ()
    return TreeDifference(
        tuple(path for path in counting if path not in loose),
        (*(path for path in counting if path in loose), *more),
    )


def not_counting(config: Config) -> tuple[str, ...]:
    """Globs of documents, artifacts and what is written about them: a run can only be cited after it has run."""
    evidence = config.evidence
    roots = tuple(f"{root.strip('/')}/" for root in evidence.roots)
    index = (config.documents.task_index,) if config.documents.task_index else ()
    return (*evidence.documents, *roots, ".orchgate/", *index)


def _listed(paths: tuple[str, ...]) -> str:
    more = f" and {len(paths) - LISTED} more" if len(paths) > LISTED else ""
    return ", ".join(paths[:LISTED]) + more


MOST_BASES = 50  # commits that a change may have started from
FOREIGN = "codex-orchestrator"  # the profile that expects manifests of that tool


class TreeLookup:
    """What one change's claims are held against. Looks into the history only when a claim asks for it.

    `started` gives the commit where the branch that is committed to left the default branch, None when nobody knows.
    """

    def __init__(
        self,
        repository: Repository | None,
        scope: Scope,
        snapshot: Snapshot,
        base: Snapshot,
        config: Config,
        *,
        started: Callable[[], str | None],
    ) -> None:
        self._repository = repository
        self._scope = scope
        self._base = base
        self._config = config
        self._started = started
        self._listings: dict[str, Mapping[str, TreeEntry] | None] = {}
        self.judged = TreeCriteria(
            head=CandidateTrees("the tree that lands", (tree_of(snapshot.entries),)),
            bases=lambda: self._bases,
            listing=self._listing,
            ignored=not_counting(config),
            inputs=self._inputs,
            advanced=self._advanced,
            foreign=config.top.profile == FOREIGN,
            cut_off=repository.deepen if repository and repository.shallow else "",
        )

    def _listing(self, tree: str) -> Mapping[str, TreeEntry] | None:
        if tree not in self._listings:
            self._listings[tree] = self._repository.listing(tree) if self._repository else None
        return self._listings[tree]

    @cached_property
    def _bases(self) -> CandidateTrees:
        """The base, and every other commit at which the change left what was there."""
        trees = [tree_of(self._base.entries)]
        for commit in self._starts():
            listing = self._listing(commit)
            if listing is not None:
                trees.append(tree_of(listing))
        return CandidateTrees("the base", tuple(trees))

    def _starts(self) -> list[str]:
        repository = self._repository
        if repository is None or repository.head is None:
            return []
        if self._scope.kind not in ("staged", "commit"):
            return [commit for commit, own in self._commits.items() if not own][:MOST_BASES]
        # A commit is made on top of others of the same change: what came before it may be any of them.
        fork = self._started()
        span = ("--boundary", f"{fork}..HEAD") if fork else ("HEAD",)
        listed = repository.git("rev-list", "--first-parent", f"--max-count={MOST_BASES}", *span, "--")
        return [line.lstrip("-") for line in listed.decode("ascii").split()]

    @cached_property
    def _commits(self) -> Mapping[str, bool]:
        """The commits of the change, and (False) those outside of it that they stand on."""
        repository, base = self._repository, self._scope.base
        if repository is None or base is None:
            return {}
        head = self._scope.head or repository.head
        lines = repository.git("rev-list", "--boundary", f"{base}..{head}", "--").decode("ascii").split()
        return {line.lstrip("-"): not line.startswith("-") for line in lines}

    def _advanced(self, commit: str) -> frozenset[str]:
        """Paths in which a run at a commit of the change lags behind, because the base went on and was merged."""
        repository, base = self._repository, self._scope.base
        if self._scope.kind in ("staged", "commit") or commit not in self._commits:
            return frozenset()
        assert repository is not None
        assert base is not None
        (fork, *_) = merge_bases(repository, commit, (base,)) or (base,)
        if fork in (base, commit):
            return frozenset()
        theirs = {change.path for change in repository.changes(fork, base)}
        ours = {change.path for change in (*repository.changes(fork, commit), *self._scope.changes)}
        return frozenset(theirs - ours)

    def _inputs(self, facts: RunFacts) -> tuple[str, ...]:
        """What a run depends on by its pipeline's own word; none for everything."""
        pipeline = None if facts.accepts else self._config.pipelines.get(facts.pipeline)
        inputs = self._declared(pipeline, frozenset()) if pipeline else ()
        if not inputs or self._is_same(facts, pipeline):
            return inputs
        return (*inputs, FILE, PYPROJECT)

    def _declared(self, pipeline: PipelineSettings, seen: frozenset[str]) -> tuple[str, ...]:
        """The inputs of all stages; none where one of them declares none and so depends on everything."""
        found: list[str] = []
        for stage in pipeline.stages:
            inner = self._config.pipelines.get(stage.pipeline) if stage.pipeline not in seen else None
            inputs = self._declared(inner, seen | {stage.pipeline}) if inner else stage.inputs
            if not inputs:
                return ()
            found += inputs
        return tuple(found)

    def _is_same(self, facts: RunFacts, pipeline: PipelineSettings | None) -> bool:
        """Whether the pipeline was defined as it is when the run was made."""
        if self._repository is None or facts.commit is None or {FILE, PYPROJECT} & {*(facts.changed or ())}:
            return False
        try:
            return load(self._repository.tree(facts.commit)).pipelines.get(facts.pipeline) == pipeline
        except OrchgateError:
            return False
