"""Brings a run of another clone or work tree into this one: examined whole before anything of it is written here.

What makes it evidence comes with it: manifest, journal, what its stages printed, and its artifacts, within bounds. It
lands in the folder of its own task, where every path that it records still holds.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple

from orchgate.errors import OrchgateError, UsageError, quoted
from orchgate.evidence import origin
from orchgate.lib import files
from orchgate.lib.inside import require_real
from orchgate.runs import derivation, ids, locate, run_folder
from orchgate.runs.decode import parse

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from orchgate.evidence.origin import Origin
    from orchgate.runs.run import Run

MOST_FILES = 200
MOST_INNER = 50  # that come with an observed one
MOST_LEVELS = 3  # of programs that are observed within each other
MOST_BYTES = 256 * 1024 * 1024  # of one run


class Refused(OrchgateError):
    """A run that is here and is no evidence, or that another one of its name stands in the way of."""

    exit_code = 1


class Limits(NamedTuple):
    """In bytes: of a file, and of a manifest."""

    artifact: int
    manifest: int


class Examined(NamedTuple):
    """A run elsewhere that may be brought: its folder there and here, free of links, and what is read of it already."""

    source: str
    target: str
    document: Mapping[str, Any]
    manifest: bytes
    journal: bytes | None
    run: Run


class Brought(NamedTuple):
    """`new`: it was not here before. `left` are files that stay where they are, and why."""

    new: bool
    left: tuple[str, ...] = ()


def examine(root: str, folder: str, limits: Limits) -> Examined:
    """A finished run outside of this repository's own runs. Raises Refused, UsageError, OrchgateError."""
    from orchgate.runs.run import checked
    from orchgate.runs.validate import format_of

    source = os.path.realpath(folder)
    data = _required(source, ids.MANIFEST, limits.manifest)
    document = parse(data, limits.manifest)
    beside = os.path.lexists(os.path.join(source, ids.JOURNAL))
    journal = _required(source, ids.JOURNAL, derivation.MAX_BYTES) if beside else None
    try:
        derivation.require(document, lambda: journal)
    except OrchgateError as error:
        raise Refused(error.message, error.hint) from error
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
    for what, said, there in (("run", run.run_id, name), ("task", run.task_id, task)):
        if said != there:
            raise Refused(f"is of {what} {said[:60]}, and lies in a folder of {there[:60]}", "put it back where it was")
    try:
        ids.check_task(run.task_id)
    except UsageError as error:
        raise Refused(error.message) from error


def bring(found: Examined, limits: Limits, environ: Mapping[str, str]) -> Brought:
    """Copies a run, whole or not at all. Raises Refused where another run of its name is here, WriteError."""
    if os.path.lexists(found.target):
        return _there_already(found, limits)
    left: list[str] = []
    task = os.path.dirname(os.path.dirname(found.target))
    with run_folder.folder_for(task, found.run.run_id) as begun_in:
        try:
            for name, data in _content(found, limits, left):
                place = os.path.join(begun_in, name)
                files.make_folders(os.path.dirname(place))
                files.create(place, data)
            noted = origin.encode(origin_of(found, environ), found.run.run_id)
            files.create(os.path.join(begun_in, origin.NAME), noted)
            run_folder.appear(begun_in, found.target)
        except BaseException:
            run_folder.drop(begun_in)
            raise
    return Brought(new=True, left=tuple(left))


def _there_already(found: Examined, limits: Limits) -> Brought:
    """A run that is here is the same one byte for byte, or none of its name can be brought."""
    same = all(
        _here(os.path.join(found.target, name), limit) == data
        for name, data, limit in (
            (ids.MANIFEST, found.manifest, limits.manifest),
            (ids.JOURNAL, found.journal, derivation.MAX_BYTES),
        )
    )
    if not same:
        here = quoted(os.path.relpath(found.target))
        raise Refused(f"is not what is here under its name: {here}", "find out which is real, and remove the other")
    return Brought(new=False)


def _here(path: str, limit: int) -> bytes | None:
    if not os.path.lexists(path):
        return None
    require_real(os.path.dirname(path), os.path.basename(path))
    return locate.read_file(path, limit)


def _content(found: Examined, limits: Limits, left: list[str]) -> Iterator[tuple[str, bytes]]:
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
    named = [inner for path in recorded if path and (inner := run.within(path)) and _is_file(found.source, inner)]
    if run.format == locate.OURS:
        named += _below(found.source, "artifacts")
    return [name for name in dict.fromkeys(named) if name not in (ids.MANIFEST, ids.JOURNAL, origin.NAME)]


def _is_file(folder: str, name: str) -> bool:
    return os.path.lexists(os.path.join(folder, name))


def _below(folder: str, name: str) -> Iterator[str]:
    """Ordinary files below a folder of a run, in a fixed order; links are named, and refused when they are read."""
    for at, folders, names in os.walk(os.path.join(folder, name)):
        folders.sort()
        yield from (os.path.relpath(os.path.join(at, one), folder) for one in sorted(names))


def origin_of(found: Examined, environ: Mapping[str, str]) -> Origin:
    """Where a run that is to be brought comes from; what was noted there counts, if it was brought there itself."""
    return origin.beside(os.path.join(found.source, ids.MANIFEST)) or origin.of(found.source, environ)


def inner(
    root: str, found: Examined, limits: Limits, environ: Mapping[str, str], levels: int = MOST_LEVELS
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
            bring(one, limits, environ)
        except OrchgateError as error:
            yield f"not copied: {name}, inside of it: {error.message}"
        else:
            yield f"copied: {name}, inside of it"
            if levels > 1:
                yield from inner(root, one, limits, environ, levels - 1)
