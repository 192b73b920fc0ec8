"""Runs copied from another clone or work tree: examined whole before anything is written here, with their origin.

What makes a run evidence comes with it: manifest, journal, what its stages printed, and its artifacts, within bounds.
Copies go into the folder of their own task, where every path that they record still holds.
"""

from __future__ import annotations

import contextlib
import os

from orchgate.errors import GitError, OrchgateError, UsageError, quoted
from orchgate.lib import files
from orchgate.lib.lazy import lazy
from orchgate.lib.paths import require_real
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.runs import ids, locate
from orchgate.runs import journal as run_journal
from orchgate.runs.decode import parse

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from orchgate.evidence.lock_checks import SizeLimits
    from orchgate.runs.run import Run


NAME = "origin.json"  # beside the manifest of the run
VERSION = 1
MAX_BYTES = 64 * 1024
_HARMLESS = " !#$%&'()*+,-./:;=@[]^_{}~\\"
_LONGEST = 300  # characters of an address or a path
_WITH_SCHEME = lazy(r"([A-Za-z][A-Za-z0-9+.-]*)://(?:[^/?#]*@)?([^/?#]*)([^?#]*)(?:[?#].*)?")
_OF_SCP = lazy(r"(?:[^/:]*@)?([^/:@]{2,}):([^:?#][^?#]*)(?:[?#].*)?")  # one letter before the colon is a drive


class RunOrigin(NamedTuple):
    """`repository` is the address of a remote without credentials, "" for none that others could use.

    `remote` is that remote's name, `path` the manifest's, relative to the work tree it was in.
    """

    repository: str
    remote: str
    path: str

    @property
    def words(self) -> str:
        return self.repository or "a clone without a shared remote"


def of(folder: str, environ: Mapping[str, str]) -> RunOrigin:
    """The origin of the run in a folder, which is absolute and free of links."""
    from orchgate.git.call import scrubbed
    from orchgate.git.state import around

    repository = None
    with contextlib.suppress(GitError):  # somebody else's, or damaged: then the run's own words have to do
        repository = around(folder, scrubbed(environ))
    manifest = os.path.join(folder, "manifest.json")
    if repository is None:
        return RunOrigin("", "", _shown("/".join(manifest.split(os.sep)[-_levels(folder) :])))
    path = os.path.relpath(manifest, os.path.realpath(repository.root))
    refs = repository.refs
    for remote in refs.remotes:
        for url in refs.settings.get(f"remote.{remote}.url", ()):
            if known := address(url):
                return RunOrigin(known, _shown(remote), _shown(path))
    return RunOrigin("", "", _shown(path))


def _levels(folder: str) -> int:
    """How many names of a manifest's path tell: all of `.runs/<task>/cli/<run>/manifest.json`, or the last two."""
    return 5 if os.path.basename(os.path.dirname(folder)) == "cli" else 2


def address(url: str) -> str:
    """A remote's address as anybody may read it: without user, password, query; "" for a place on one machine."""
    if found := _WITH_SCHEME.fullmatch(url.strip()):
        scheme, host, path = found.groups()
        return "" if scheme.lower() == "file" else _shown(f"{scheme}://{host}{path}")
    found = _OF_SCP.fullmatch(url.strip())
    return _shown(f"{found[1]}:{found[2]}") if found else ""


def _shown(text: str) -> str:
    from orchgate.git.state import shown
    from orchgate.secrets.redact import redacted

    return _plain(redacted(shown(text)))


def _plain(text: str) -> str:
    """A text that ends no comment, line or code span of the document that names it."""
    return "".join(char if char.isalnum() or char in _HARMLESS else "?" for char in text[:_LONGEST])


def encode(origin: RunOrigin, run_id: str) -> bytes:
    """The bytes of origin.json."""
    import json

    named = {key: value or None for key, value in origin._asdict().items()}
    document = {"version": VERSION, "run_id": run_id, "origin": named}
    return (json.dumps(document, ensure_ascii=False, indent=2) + "\n").encode("utf-8", "replace")


def beside(manifest: str) -> RunOrigin | None:
    """The origin that is noted beside a manifest on disk; None for a run that was recorded here, or nobody knows."""
    from orchgate.runs.decode import parse
    from orchgate.runs.locate import read_file

    path = os.path.join(os.path.dirname(manifest), NAME)
    if not os.path.lexists(path):
        return None
    try:
        origin: Any = parse(read_file(path, MAX_BYTES)).get("origin")
    except OrchgateError:
        return None
    if not isinstance(origin, dict):
        return None
    return RunOrigin(*(_plain(value) if isinstance(value := origin.get(key), str) else "" for key in RunOrigin._fields))


MOST_FILES = 200
MOST_INNER = 50  # that come with an observed one
MOST_LEVELS = 3  # of programs that are observed within each other
MOST_BYTES = 256 * 1024 * 1024  # of one run


class CopyRefused(OrchgateError):
    """A run that is here and is no evidence, or that another one of its name stands in the way of."""

    exit_code = 1


class Examined(NamedTuple):
    """A run elsewhere that may be brought: its folder there and here, free of links, and what is read of it already."""

    source: str
    target: str
    document: Mapping[str, Any]
    manifest: bytes
    journal: bytes | None
    run: Run


class Copied(NamedTuple):
    """`new`: it was not here before. `left` are files that stay where they are, and why."""

    new: bool
    left: tuple[str, ...] = ()


def examine(root: str, folder: str, limits: SizeLimits) -> Examined:
    """A finished run outside of this repository's own runs. Raises Refused, UsageError, OrchgateError."""
    from orchgate.runs.decode import format_of
    from orchgate.runs.run import checked

    source = os.path.realpath(folder)
    data = _required(source, ids.MANIFEST, limits.manifest)
    document = parse(data, limits.manifest)
    beside = os.path.lexists(os.path.join(source, ids.JOURNAL))
    journal = _required(source, ids.JOURNAL, run_journal.MAX_BYTES) if beside else None
    try:
        run_journal.require(document, lambda: journal)
    except OrchgateError as error:
        raise CopyRefused(error.message, error.hint) from error
    if not format_of(document):
        raise OrchgateError("is of no format that is known", "orchgate schema manifest-v1")
    run = checked(document, os.path.join(source, ids.MANIFEST))
    _require_place(run, source)
    if not run.finished:
        raise UsageError("is still in progress", "wait for it with `orchgate status --follow`, where it runs")
    return Examined(source, ids.run_folder(root, run.task_id, run.run_id), document, data, journal, run)


def _required(folder: str, name: str, limit: int) -> bytes:
    """A file of a run that nothing can do without; never what a link leads to. Raises OrchgateError."""
    require_real(folder, name)
    return locate.read_file(os.path.join(folder, name), limit)


def _require_place(run: Run, folder: str) -> None:
    """Refuses a run that does not lie where it says it does."""
    above, name = os.path.split(folder)
    task = os.path.basename(os.path.dirname(above)) if os.path.basename(above) == "cli" else run.task_id
    for what, recorded, there in (("run", run.run_id, name), ("task", run.task_id, task)):
        if recorded != there:
            raise CopyRefused(
                f"is of {what} {recorded[:60]}, and is in a folder of {there[:60]}", "put it back where it was"
            )
    try:
        ids.check_task(run.task_id)
    except UsageError as error:
        raise CopyRefused(error.message) from error


def copy(found: Examined, limits: SizeLimits, environ: Mapping[str, str]) -> Copied:
    """Copies a run, whole or not at all. Raises Refused where another run of its name is here, WriteError."""
    if os.path.lexists(found.target):
        return _there_already(found, limits)
    left: list[str] = []
    task = os.path.dirname(os.path.dirname(found.target))
    with run_journal.starting_folder(task, found.run.run_id) as begun_in:
        try:
            for name, data in _content(found, limits, left):
                place = os.path.join(begun_in, name)
                files.make_folders(os.path.dirname(place))
                files.create(place, data)
            noted = encode(origin_of(found, environ), found.run.run_id)
            files.create(os.path.join(begun_in, NAME), noted)
            run_journal.move_into_place(begun_in, found.target)
        except BaseException:
            run_journal.discard(begun_in)
            raise
    return Copied(new=True, left=tuple(left))


def _there_already(found: Examined, limits: SizeLimits) -> Copied:
    """A run that is here is the same one byte for byte, or none of its name can be brought."""
    same = all(
        _here(os.path.join(found.target, name), limit) == data
        for name, data, limit in (
            (ids.MANIFEST, found.manifest, limits.manifest),
            (ids.JOURNAL, found.journal, run_journal.MAX_BYTES),
        )
    )
    if not same:
        here = quoted(os.path.relpath(found.target))
        raise CopyRefused(f"is not what is here under its name: {here}", "find out which is real, and remove the other")
    return Copied(new=False)


def _here(path: str, limit: int) -> bytes | None:
    if not os.path.lexists(path):
        return None
    require_real(os.path.dirname(path), os.path.basename(path))
    return locate.read_file(path, limit)


def _content(found: Examined, limits: SizeLimits, left: list[str]) -> Iterator[tuple[str, bytes]]:
    """Every file of a run by its path in the run's folder; those that cannot come go to `left`."""
    yield ids.MANIFEST, found.manifest
    if found.journal is not None:
        yield ids.JOURNAL, found.journal
    total = len(found.manifest) + len(found.journal or b"")
    for number, name in enumerate(_names(found)):
        if number >= MOST_FILES:
            left.append(f"more than {MOST_FILES} files")
            return
        try:
            data = _required(found.source, name, min(limits.artifact, MOST_BYTES - total))
        except OrchgateError as error:
            left.append(f"{name}: {error.message}")
            continue
        total += len(data)
        yield name, data


def _names(found: Examined) -> list[str]:
    """What the manifest names in its folder, and the artifacts of a run of ours."""
    run = found.run
    recorded = [run.log_path, *(path for stage in run.stages for path in (stage.log_path, stage.error_file))]
    named = [
        copy_inner_runs
        for path in recorded
        if path and (copy_inner_runs := run.within(path)) and _is_file(found.source, copy_inner_runs)
    ]
    if run.format == locate.OURS:
        named += _below(found.source, "artifacts")
    return [name for name in dict.fromkeys(named) if name not in (ids.MANIFEST, ids.JOURNAL, NAME)]


def _is_file(folder: str, name: str) -> bool:
    return os.path.lexists(os.path.join(folder, name))


def _below(folder: str, name: str) -> Iterator[str]:
    """Ordinary files below a folder of a run, in a fixed order; links are named, and refused when they are read."""
    for at, folders, names in os.walk(os.path.join(folder, name)):
        folders.sort()
        yield from (os.path.relpath(os.path.join(at, one), folder) for one in sorted(names))


def origin_of(found: Examined, environ: Mapping[str, str]) -> RunOrigin:
    """Where a run that is to be brought comes from; what was noted there counts, if it was brought there itself."""
    return beside(os.path.join(found.source, ids.MANIFEST)) or of(found.source, environ)


def copy_inner_runs(
    root: str, found: Examined, limits: SizeLimits, environ: Mapping[str, str], levels: int = MOST_LEVELS
) -> Iterator[str]:
    """Copies the runs that an observed program recorded itself, too; tells of each."""
    runs = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(found.source))), "")
    for link in found.run.inner_runs[:MOST_INNER]:
        folder = os.path.dirname(os.path.normpath(os.path.join(found.source, link.manifest)))
        name = f"{link.pipeline_id} {link.run_id}"
        if not folder.startswith(runs):
            yield f"not copied: {name}, inside of it: is of another folder"
            continue
        try:
            one = examine(root, folder, limits)
            copy(one, limits, environ)
        except OrchgateError as error:
            yield f"not copied: {name}, inside of it: {error.message}"
        else:
            yield f"copied: {name}, inside of it"
            if levels > 1:
                yield from copy_inner_runs(root, one, limits, environ, levels - 1)
