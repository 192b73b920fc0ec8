"""What the verbs of `history` share: this repository and its own runs, the store, and how an outcome is told."""

from __future__ import annotations

import contextlib
import os

from orchgate.commands.shared import servers, work_tree
from orchgate.errors import GitError, OrchgateError, UsageError
from orchgate.lib.text import counted
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.model import Verdict
from orchgate.outputs._document import headed, problem, problem_of

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from orchgate.commands.shared.servers import Say
    from orchgate.config.settings import Config
    from orchgate.git.repository import Repository
    from orchgate.git.store.reference import Store
    from orchgate.history.collect import Collected
    from orchgate.history.git_store import RemoteSegments
    from orchgate.history.objects.addresses import StoreAddress
    from orchgate.history.objects.part_store import CachedParts, PartStore
    from orchgate.history.repositories import RepositoryIdentity
    from orchgate.history.segments import SegmentFault

VERSION = 1
OLDEST = {"duckdb": "2.0.1", "obstore": "0.7"}  # of the extra `history`; pyproject.toml says why
NAMED = 20  # of what is wrong, one by one


class HistoryWorkspace(NamedTuple):
    root: str
    config: Config
    identity: RepositoryIdentity
    store: Store
    repository: Repository


@contextlib.contextmanager
def here(remote: str = "") -> Iterator[HistoryWorkspace]:
    """The work tree around the current folder; `remote` is the one that somebody named.

    Raises OrchgateError, GitError, ConfigError.
    """
    from orchgate.config.load import load_work_tree
    from orchgate.gate import session
    from orchgate.git.store.reference import Store
    from orchgate.history import repositories
    from orchgate.history.git_store import HISTORY

    with session.opened() as repository:
        if not repository.root:
            raise GitError("a bare repository has no runs of its own", "run this in a clone")
        config = load_work_tree(repository.root)
        identity = repositories.identify(repository, config.history.repository, remote)
        store = Store(repository, os.environ, HISTORY)
        yield HistoryWorkspace(repository.root, config, identity, store, repository)


def own_runs(place: HistoryWorkspace) -> Collected:
    from orchgate.history import collect

    return collect.collect(place.root, collect.ahead())


def address(place: HistoryWorkspace, given: str) -> StoreAddress | None:
    """Which store is meant; None for the reference of a remote. Raises UsageError, ConfigError."""
    from orchgate.history.objects import addresses

    return addresses.parse(given, os.getcwd()) if given else configured_store(place.repository, place.config)


def configured_store(repository: Repository, config: Config) -> StoreAddress | None:
    """That of `[history] to`; None for the reference of a remote. Raises UsageError, ConfigError.

    The configuration is that of what is judged, which must not say by itself where runs go and what is read: an
    address in it counts as the default branch has it.
    """
    from orchgate.history.objects import addresses

    named = config.history.to
    try:
        found = addresses.parse(named, repository.root)
    except UsageError as error:
        raise UsageError(f"history.to: {error.message}", error.hint) from None
    if found is not None and named != _of_default_branch(repository):
        hint = "the store can be named, if you trust it: --to URL, or --from URL"
        raise UsageError("history.to is another store than the default branch says, so it was not used", hint)
    return found


def _of_default_branch(repository: Repository) -> str:
    from orchgate.config.branches import wishes
    from orchgate.config.load import load
    from orchgate.git.base import JudgedBranch, default_tip

    try:
        tip = default_tip(repository, JudgedBranch(repository.branch), wishes(repository)).commit
        return load(repository.looked_up(tip)).history.to
    except OrchgateError:  # nobody knows which branch that is, or what it says
        return ""


def parts_of(place: HistoryWorkspace, where: StoreAddress, timeout: float | None = None) -> PartStore:
    """The parts of a folder or a bucket. Raises OrchgateError."""
    require_extra()
    from orchgate.git.call import common_dir
    from orchgate.history.objects.addresses import FILE
    from orchgate.history.objects.buckets import BucketObjects
    from orchgate.history.objects.cached import PartCache
    from orchgate.history.objects.folders import FolderObjects
    from orchgate.history.objects.part_store import PartStore

    objects = FolderObjects(where.path) if where.scheme == FILE else BucketObjects(where, timeout, os.environ)
    return PartStore(objects, PartCache(common_dir(place.repository.git_dir), str(where)))


def cached_parts(place: HistoryWorkspace, say: Say) -> Iterator[CachedParts]:
    """What is here of the parts of any store."""
    from orchgate.git.call import common_dir
    from orchgate.history.objects.cached import caches

    for cache in caches(common_dir(place.repository.git_dir)):
        if missing := _missing():
            say(f"runs that were fetched from {cache.where} are left out: reading them needs {missing}")
            continue
        from orchgate.history.objects.part_store import CachedParts

        yield CachedParts(cache, f"what is kept of {cache.where}")


def require_extra() -> None:
    """Raises UsageError without what the extra `history` installs."""
    if missing := _missing():
        raise UsageError(f"a history in a folder or a bucket needs {missing}", "pip install 'orchgate[history]'")


def require_duckdb() -> None:
    """Raises UsageError without what answers a query."""
    if missing := _missing("duckdb"):
        raise UsageError(f"--sql needs {missing}", "pip install 'orchgate[history]'")


def _missing(*names: str) -> str:
    """What of the extra is not here, in words; an older DuckDB would take good parts for damaged ones."""
    from importlib import metadata
    from importlib.util import find_spec

    found = []
    for name in names or OLDEST:
        if find_spec(name) is None:
            found.append(name)
            continue
        with contextlib.suppress(metadata.PackageNotFoundError):  # brought along by whoever packed all of it
            version = metadata.version(name)
            numbers = [int(one) for one in version.split(".")[:3] if one.isdecimal()]
            if numbers < [int(one) for one in OLDEST[name].split(".")]:
                found.append(f"{name} {OLDEST[name]} or later ({version} is installed)")
    return " and ".join(found)


@contextlib.contextmanager
def segments_of(
    place: HistoryWorkspace, args: argparse.Namespace, given: str, say: Say
) -> Iterator[RemoteSegments | PartStore]:
    """The store that is meant; what was wrong there is said afterwards. Raises OrchgateError."""
    where = address(place, given)
    if where is None:
        with remote_segments(place, args, say) as there:
            yield there
        return
    parts = parts_of(place, where, args.timeout)
    yield parts
    for line in parts.notes:
        say(line)


@contextlib.contextmanager
def remote_segments(place: HistoryWorkspace, args: argparse.Namespace, say: Say) -> Iterator[RemoteSegments]:
    """The history of the remote that is meant; what was wrong there is said afterwards. Raises GitError, WriteError."""
    from orchgate.history.git_store import RemoteSegments

    remote = args.remote or place.store.default_remote()
    with place.store.connect(remote, args.timeout) as connection:
        yield RemoteSegments(connection, remote)
        servers.note(connection, say)


class HistoryOutcome(NamedTuple):
    """What a verb did, for programs; None for what it does not do."""

    verdict: Verdict = Verdict.PASS
    remote: str | None = None
    run_count: int | None = None
    sent_run_count: int | None = None
    stored_run_count: int | None = None
    segment_count: int | None = None
    new_segment_count: int | None = None
    removed_segment_count: int | None = None
    sent_bytes: int | None = None
    is_dry_run: bool = False
    problems: tuple[Mapping[str, object], ...] = ()


def carried_out(args: argparse.Namespace, verb: Callable[[HistoryWorkspace, Say], HistoryOutcome]) -> Verdict:
    """The verdict of a verb that talks to a server, once what became of it is told."""
    with servers.said(args) as (lines, say), here(args.remote) as place:
        done = verb(place, say)
    if args.output_format == "json":
        facts = done._asdict() | {"verdict": done.verdict.value, "problems": list(done.problems)}
        name = place.identity.name if place.identity.is_named else None
        head = {"verb": args.verb, "verdict": done.verdict.value, "repository": name}
        work_tree.print_json(headed("history-transfer", {**head, **facts, "notes": lines}, VERSION))
    return done.verdict


def faults_of(faults: Iterable[SegmentFault]) -> list[Mapping[str, object]]:
    """Segments that do not count, as problems of a document."""
    return [problem("damaged_segment", f"{one.name}: {one.why}", _helps(one), (one.name, 0, 0)) for one in faults]


def _helps(fault: SegmentFault) -> str:
    from orchgate.history.segments import WRONG_BYTES

    return "where its runs were recorded, `orchgate history push` replaces it" if fault.why == WRONG_BYTES else ""


def left_out(runs: Iterable[tuple[str, str]]) -> Iterator[Mapping[str, object]]:
    """Runs that do not count, by id and why, as problems of a document."""
    return (problem("left_out", f"run {run_id} {why}") for run_id, why in runs)


def kept_out(own: Collected) -> list[Mapping[str, object]]:
    """What of a clone's own runs does not count, as problems of a document."""
    found: list[Mapping[str, object]] = [problem_of(error) for error in own.unreadable]
    found += [problem("left_out", f"run {one.run} {one.why}" if one.run else one.why) for one in own.left_out]
    if own.uncommitted:
        found.append(problem("left_out", f"{counted(own.uncommitted, 'run')} recorded before there was a commit"))
    return found


def say_problems(problems: Iterable[Mapping[str, object]], say: Say) -> None:
    """Names the first of what does not count, and counts the others."""
    every = list(problems)
    for number, one in enumerate(every[:NAMED], 1):
        say(f"{'left out' if one['code'] == 'left_out' else 'problem'}: {one['message']}")
        if one["hint"] and one["hint"] not in [later["hint"] for later in every[number:NAMED]]:
            say(f"  hint: {one['hint']}")
    if len(every) > NAMED:
        say(f"and {len(every) - NAMED:,} more; --output-format json names all")
