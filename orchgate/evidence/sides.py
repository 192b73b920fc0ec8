"""The trees that claims about runs are held against: what lands, and what it starts from."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from orchgate.config.load import load
from orchgate.config.source import FILE, PYPROJECT
from orchgate.errors import OrchgateError
from orchgate.evidence.other_tree import Judged, Side, tree_of
from orchgate.git.history import merge_bases

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from orchgate.config.settings import Config, Pipeline
    from orchgate.evidence.lock import Facts
    from orchgate.git.repository import Repository
    from orchgate.git.snapshot import Snapshot, TreeEntry
    from orchgate.model import Scope

MOST_BASES = 50  # commits that a change may have started from
FOREIGN = "codex-orchestrator"  # the profile that expects manifests of that tool


class Sides:
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
        evidence = config.evidence
        roots = tuple(f"{root.strip('/')}/" for root in evidence.roots)
        index = (config.documents.task_index,) if config.documents.task_index else ()
        self.judged = Judged(
            head=Side("the tree that lands", (tree_of(snapshot.entries),)),
            bases=lambda: self._bases,
            listing=self._listing,
            ignored=(*evidence.documents, *roots, ".orchgate/", *index),
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
    def _bases(self) -> Side:
        """The base, and every other commit at which the change left what was there."""
        trees = [tree_of(self._base.entries)]
        for commit in self._starts():
            listing = self._listing(commit)
            if listing is not None:
                trees.append(tree_of(listing))
        return Side("the base", tuple(trees))

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

    def _inputs(self, facts: Facts) -> tuple[str, ...]:
        """What a run depends on by its pipeline's own word; none for everything."""
        pipeline = self._config.pipelines.get(facts.pipeline)
        inputs = self._declared(pipeline, frozenset()) if pipeline else ()
        if not inputs or self._is_same(facts, pipeline):
            return inputs
        return (*inputs, FILE, PYPROJECT)

    def _declared(self, pipeline: Pipeline, seen: frozenset[str]) -> tuple[str, ...]:
        """The inputs of all stages; none where one of them declares none and so depends on everything."""
        found: list[str] = []
        for stage in pipeline.stages:
            inner = self._config.pipelines.get(stage.pipeline) if stage.pipeline not in seen else None
            inputs = self._declared(inner, seen | {stage.pipeline}) if inner else stage.inputs
            if not inputs:
                return ()
            found += inputs
        return tuple(found)

    def _is_same(self, facts: Facts, pipeline: Pipeline | None) -> bool:
        """Whether the pipeline was defined as it is when the run was made."""
        if self._repository is None or facts.commit is None or {FILE, PYPROJECT} & {*(facts.changed or ())}:
            return False
        try:
            return load(self._repository.tree(facts.commit)).pipelines.get(facts.pipeline) == pipeline
        except OrchgateError:
            return False
