"""Runs a recorded pipeline again, at its recorded tree and by that tree's own definition.

It happens in a work tree of ours, outside of the repository; what is recorded lies beside the run that is replayed. The
programs of the recorded tree run, whoever wrote them: nothing here may be called by what promises to run nothing.
"""

from __future__ import annotations

import contextlib
import os

from orchgate.config.load import load_work_tree
from orchgate.errors import ConfigError, GitError, OrchgateError, Unreadable, UsageError
from orchgate.evidence.run_trees import not_counting
from orchgate.git import state, worktree_cache
from orchgate.lib import working_time
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.replay import comparison, standing, surroundings, tree
from orchgate.replay.comparison import ReplayVerdict
from orchgate.replay.recorded import Contradicted, ReplayableRun, Unrepeatable
from orchgate.runner import pipeline_run
from orchgate.runner.session import RunSettings
from orchgate.runs import ids, machine
from orchgate.runs.pipeline import find, load_all
from orchgate.runs.run import from_manifest
from orchgate.speed import sampling

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from orchgate.git.repository import Repository
    from orchgate.git.worktree_cache import Checkout
    from orchgate.replay.comparison import Difference
    from orchgate.runner.session import Reporter
    from orchgate.runs.run import Acceptance, Run
    from orchgate.runs.stages import Pipeline

_LISTED = 5
_MOST_BYTES = 4 << 20  # of a document
MOST_TIMES = 2  # where nobody says how often, and the first replay says otherwise than the record


class ReplayRequest(NamedTuple):
    """How runs are replayed: for `seconds` at most each, `times` times (None: again where the first one differs).

    `made` are the work trees that are to be taken away in the end: several runs may be of one tree.
    """

    repository: Repository
    environ: Mapping[str, str]
    reporter: Reporter
    made: list[Checkout]
    seconds: float | None = None
    times: int | None = None


class ReplayOutcome(NamedTuple):
    """What became of one run: the verdict, why where nothing was run, and what ran where something was."""

    verdict: ReplayVerdict
    reason: str = ""
    hint: str = ""
    run: Run | None = None
    replayed: tuple[Run, ...] = ()
    differences: tuple[Difference, ...] = ()
    notes: tuple[str, ...] = ()


class _Scene(NamedTuple):
    """Where a run is replayed, once all is ready for it."""

    settings: RunSettings
    pipeline: Pipeline
    notes: tuple[str, ...]


def refused(error: OrchgateError, run: Run | None = None) -> ReplayOutcome:
    """The outcome of a run that is not replayed, for a reason."""
    found = ReplayVerdict.CONTRADICTED if isinstance(error, Contradicted) else ReplayVerdict.UNREPEATABLE
    return ReplayOutcome(found, error.message, error.hint, run)


def replay(recorded: ReplayableRun, asked: ReplayRequest) -> ReplayOutcome:
    """Replays a run. Raises KeyboardInterrupt for a signal, once nothing of it is left."""
    try:
        notes, replayed = zip(*_replays(recorded, asked), strict=True)
        return _judged(recorded, notes[0], replayed)
    except OrchgateError as error:
        return refused(error, recorded.run)


def tidy(asked: ReplayRequest) -> None:
    """Takes away what nobody has set up. No errors: what is left is cleaned before it is used again."""
    for found in {one.root: one for one in asked.made}.values():
        with contextlib.suppress(OrchgateError, OSError):
            worktree_cache.discard(asked.repository, found)


def _replays(recorded: ReplayableRun, asked: ReplayRequest) -> Iterator[tuple[tuple[str, ...], Run]]:
    """What is to be known of each replay, and its run; each begins in a tree without what the others left there."""
    deadline = None if asked.seconds is None else working_time.now() + asked.seconds
    for number in range(asked.times or MOST_TIMES):
        left = None if deadline is None else max(0.0, deadline - working_time.now())
        if number and left == 0.0:
            return
        with _scene(recorded, asked) as scene:
            ran = _once(scene, left)
        yield scene.notes, ran
        contradicts = (one.weight is comparison.Weight.CONTRADICTS for one in standing.differences(recorded.run, ran))
        if asked.times is None and not any(contradicts):
            return


def _once(scene: _Scene, seconds: float | None) -> Run:
    """One replay. One that a signal ended is taken away: it shows nothing, and nobody can resume it."""
    ended = pipeline_run.run(scene.settings, scene.pipeline, seconds)
    run = from_manifest(ended.manifest, os.path.join(ended.folder, ids.MANIFEST))
    if run.status == "cancelled" and (run.status_detail or "").startswith("signal:"):
        for folder in (ended.folder, *(os.path.dirname(run.place(child.manifest)) for child in run.child_runs)):
            worktree_cache.erase(folder)
        raise KeyboardInterrupt
    return run


def _judged(recorded: ReplayableRun, known: tuple[str, ...], replayed: Sequence[Run]) -> ReplayOutcome:
    found = standing.combined(recorded.run, replayed)
    times = [one.usage.wall_seconds for one in replayed if one.usage and one.usage.wall_seconds is not None]
    usage = recorded.run.usage
    cached = any(stage.cached for stage in recorded.run.stages)
    gross = comparison.gross(usage.wall_seconds if usage and not cached else None, times)
    notes = (*known, *((f"it {gross}: that alone decides nothing",) if gross else ()))
    return ReplayOutcome(
        comparison.verdict(found),
        run=recorded.run,
        replayed=tuple(replayed),
        differences=tuple(found),
        notes=notes,
    )


@contextlib.contextmanager
def _scene(recorded: ReplayableRun, asked: ReplayRequest) -> Iterator[_Scene]:
    """The recorded tree, ready to run. Raises Unrepeatable, Contradicted, KeyboardInterrupt."""
    repository = asked.repository
    commit = tree.commit_at(repository, recorded.git)
    config_setup = _setup_at(repository, commit)
    beside = ascii((recorded.git.changed, recorded.git.untracked))
    variant = ascii(("replay", beside, machine.fingerprint()["fingerprint"] if config_setup else "", *config_setup))
    with contextlib.ExitStack() as stack:
        try:
            found = stack.enter_context(worktree_cache.checkout(repository, commit, variant, asked.environ))
            if found.prepared and not tree.is_as_prepared(found, _beside(recorded)):
                stack.close()
                worktree_cache.discard(repository, found)
                found = stack.enter_context(worktree_cache.checkout(repository, commit, variant, asked.environ))
        except GitError as error:
            raise tree.missing_objects(error) from error
        if not config_setup:
            asked.made.append(found)
        yield _ready(recorded, asked, found, commit)


def _beside(recorded: ReplayableRun) -> set[str]:
    """The paths that lay beside the commit, which are laid out anew each time."""
    return {*(recorded.git.changed or {}), *(recorded.git.untracked or {})}


def _setup_at(repository: Repository, commit: str) -> tuple[str, ...]:
    from orchgate.config.load import load

    try:
        return load(repository.tree(commit)).performance.setup
    except OrchgateError:  # said once the tree is laid out
        return ()


def _ready(recorded: ReplayableRun, asked: ReplayRequest, found: Checkout, commit: str) -> _Scene:
    """What is to be run there, once the tree is the recorded one and set up."""
    at = state.around(found.root, worktree_cache.unbound(asked.repository))
    assert at is not None
    with at:
        try:
            config = load_work_tree(found.root)
        except ConfigError:
            config = None
        roots = config.evidence.roots if config else ()
        laid = tree.lay(
            at, recorded.git, (ids.RUNS, *roots), not_counting(config) if config else (), prepared=found.prepared
        )
    pipelines, pipeline, setup = _definition(found.root, recorded, asked.repository.root)
    environ, notes = surroundings.of(asked.environ, asked.repository.root, found.root)
    asked.repository.blobs.close()  # what runs stages ends every process below it
    if setup:
        _prepare(asked, found, commit, setup, environ)
        if not found.prepared:
            tree.note_prepared(found, _beside(recorded))
    if laid.left_out:
        named = ", ".join(laid.left_out[:_LISTED]) + (" and more" if laid.left_out[_LISTED:] else "")
        notes = (*notes, f"documents as the commit has them, for what they held then was never committed: {named}")
    if commit != recorded.git.commit:
        notes = (*notes, f"at commit {commit[:12]}, which has the same tree: the recorded one is not here")
    settings = RunSettings(
        found.root,
        recorded.run.task_id,
        pipelines,
        environ,
        None,
        laid.state,
        machine.fingerprint(),
        asked.reporter,
        cache=False,
        measured=recorded.measured,
        tools=load_work_tree(found.root).top.tools,
        home=asked.repository.root,
        held=(found.lock,),
        replays=_link(recorded, surroundings.lacking(pipelines, pipeline, environ, tree.empty_submodule(at))),
    )
    return _Scene(settings, pipeline, notes)


def _definition(
    root: str, recorded: ReplayableRun, home: str
) -> tuple[Mapping[str, Pipeline], Pipeline, tuple[str, ...]]:
    """The pipelines that the tree defines, the recorded one, and what sets a tree up. Raises Unrepeatable."""
    name = recorded.run.pipeline_id
    try:
        config = load_work_tree(root)
        if recorded.run.accepts:
            pipeline = _of_item(recorded.run.accepts, (root, home))
            return {name: pipeline}, pipeline, config.performance.setup
        pipelines = load_all(root, config, name)
        pipeline = find(pipelines, name)
    except UsageError as error:
        raise Unrepeatable(f"its tree defines no pipeline {name}", error.hint) from error
    except ConfigError as error:
        raise Unrepeatable(f"what its tree defines cannot be read: {error.message}", error.hint) from error
    if pipeline.digest != recorded.digest:
        said = f"its journal says {recorded.digest[:12] or 'none'}, the tree's is {pipeline.digest[:12]}"
        by = f"recorded by {recorded.runner}" if recorded.runner else ""
        raise Unrepeatable(f"pipeline {name} is defined otherwise at its tree: {said}", by)
    return pipelines, pipeline, config.performance.setup


def _of_item(accepts: Acceptance, roots: Sequence[str]) -> Pipeline:
    """What runs the command of an item, as its document names it in one of the trees: not as a manifest says.

    Raises Unrepeatable.
    """
    from orchgate.acceptance.clauses import accepted_items
    from orchgate.acceptance.findings import recorded_words
    from orchgate.acceptance.proving import pipeline_of
    from orchgate.git.snapshot import WorkTree
    from orchgate.lib import paths
    from orchgate.markdown.document import Document

    path = accepts.document
    if "\0" in path or os.path.isabs(path) or paths.why_outside(path):
        raise Unrepeatable(f"the document that is to name its command is no document of a tree: {path[:200]}")
    for root in roots:
        try:
            text = WorkTree(root).find(accepts.document, _MOST_BYTES)
        except Unreadable:
            continue
        for item in accepted_items(Document(accepts.document, text)) if text is not None else ():
            if recorded_words(item) == (accepts.item, accepts.command):
                return pipeline_of(item, accepts.document, None)
    raise Unrepeatable(f"no item of {accepts.document} names the command that it ran", "orchgate tasks check")


def _prepare(
    asked: ReplayRequest, found: Checkout, commit: str, setup: tuple[str, ...], environ: Mapping[str, str]
) -> None:
    """Runs `performance.setup` of the tree, unless this tree was set up before. Raises Unrepeatable."""
    if found.prepared:
        return
    side = sampling.Side(
        "replay",
        commit,
        found.tree,
        found.root,
        found.scratch,
        (),
        lambda: worktree_cache.keep(asked.repository, found),
        found.lock,
    )
    with sampling.open_harness([side], environ) as harness:
        failed = sampling.prepare(harness, side, setup, asked.seconds)
    if failed is not None:
        last = f"; {failed.last_line}" if failed.last_line else ""
        raise Unrepeatable(f"performance.setup of its tree fails here: {failed.detail}{last}")


def _link(recorded: ReplayableRun, lacking: Mapping[str, str]) -> Mapping[str, object]:
    """What the journal of a replay says of the run that it replays."""
    known: dict[str, object] = {"run_id": recorded.run.run_id, "manifest_sha256": recorded.sha256}
    return known | ({"lacking": lacking} if lacking else {})
