"""What `--task` takes in every command: the full id of a task or a unique beginning of it, its slug, or its number."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, NamedTuple

from orchgate.errors import OrchgateError, UsageError
from orchgate.lib import files
from orchgate.packets.layout import layout_of
from orchgate.packets.tasks import MAX_BYTES, read_task_list
from orchgate.runs import ids

if TYPE_CHECKING:
    import argparse
    from collections.abc import Collection, Iterable, Iterator

    from orchgate.config.settings import Config, Documents
    from orchgate.packets.layout import Layout
    from orchgate.packets.packet import Packet

LISTED = 5
_NUMBER = re.compile(r"\d+-(?=.)", re.ASCII)  # what stands before the slug in a task's id


def option(parser: argparse.ArgumentParser, what: str, *, required: bool = False, default: str = "") -> None:
    what += "; its id, or a beginning of it that no other task has"
    parser.add_argument("--task", required=required, default=default, metavar="ID", help=what)


class KnownTasks(NamedTuple):
    """Tasks by their full ids, and slugs that documents carry without one."""

    tasks: Collection[str]
    slugs: Collection[str] = ()

    @property
    def names(self) -> list[str]:
        own = {_slug(task) for task in self.tasks}
        return sorted({*self.tasks, *(slug for slug in self.slugs if slug not in own)})


def recorded(root: str, config: Config, given: str) -> str:
    """The task whose run is about to be recorded. Where there are packets it is one of theirs, or a helper of one.

    Raises UsageError, which names the likeliest.
    """
    ids.check_task(given)
    if os.path.isdir(os.path.join(root, ids.RUNS, given)):
        return given
    known = _of_documents(root, config.documents)
    if not known.names:
        return given
    return resolved(given, known, helpers=True)


def with_runs(root: str, given: str) -> str:
    """The task that is asked for, by what is recorded here and by the packets of this work tree. Raises UsageError."""
    ids.check_task(given)
    recorded_ = _folders(os.path.join(root, ids.RUNS))
    if given in recorded_:
        return given
    from orchgate.config.load import load_work_tree

    documents = _of_documents(root, load_work_tree(root).documents)
    return resolved(given, KnownTasks({*recorded_, *documents.tasks}, documents.slugs))


def resolved(given: str, known: KnownTasks, *, helpers: bool = False) -> str:
    """The full id of a task, from whatever names it. Raises UsageError where none does, or several do."""
    names = known.names
    slug = _slug(given)
    exact = [name for name in names if given in (name, _slug(name))]
    if len(exact) == 1:
        return exact[0]
    if not exact and slug in known.slugs and slug in names:  # its documents carry no number
        return given
    if helpers and any(given.startswith(f"{name}-") for name in names):
        return given
    found = exact or [name for name in names if name.startswith(given) or _slug(name).startswith(given)]
    if len(found) == 1:
        return found[0]
    if found:
        raise UsageError(f"several tasks begin with {given}: {listed(found)}", "name one of them")
    raise unknown(given, names)


def unknown(given: str, names: Collection[str]) -> UsageError:
    import difflib

    near = difflib.get_close_matches(given[:200], names, n=1, cutoff=0.6)
    if near:
        return UsageError(f"unknown task {given}; did you mean {near[0]}?")
    there = f"there are {listed(names)}" if names else "there is none here"
    return UsageError(f"unknown task {given}; {there}", "`orchgate new SLUG` begins a task")


def packet(packets: Iterable[Packet], given: str) -> Packet:
    """The packet of a task that is named as `--task` names one. Raises UsageError."""
    known = tuple(packets)
    exact = [one for one in known if given in one.names]
    found = exact or [one for one in known if any(name.startswith(given) for name in one.names)]
    if len(found) == 1:
        return found[0]
    if found:
        raise UsageError(f"{given} may be {listed(one.name for one in found)}", "name one of them")
    raise unknown(given, [one.name for one in known])


def listed(names: Iterable[str]) -> str:
    shown = list(names)
    return ", ".join(shown[:LISTED]) + (f" and {len(shown) - LISTED} more" if len(shown) > LISTED else "")


def documents(root: str, layout: Layout) -> Iterator[str]:
    """The repository paths at which the documents of tasks are on disk; a file that cannot be one is none."""
    import glob

    for pattern in layout.patterns:
        parts = re.split(r"\{slug\}|\{task\}", pattern.text)
        yield from glob.iglob("*".join(glob.escape(part) for part in parts), root_dir=root)


def _of_documents(root: str, settings: Documents) -> KnownTasks:
    layout = layout_of(settings)
    places = list(layout.documents_among(documents(root, layout)))
    tasks = {place.task for place in places if place.task}
    slugs = {place.slug for place in places if place.slug}
    if settings.task_index:
        for names in _of_index(root, settings.task_index):
            tasks.add(names[0])
            slugs.update(names[1:2])
    return KnownTasks(tasks, slugs)


def _of_index(root: str, path: str) -> Iterator[tuple[str, ...]]:
    """The names of every task in the list; none of one that cannot be read, which is for the checks to say."""
    try:
        index = read_task_list(path, files.read(os.path.join(root, path), MAX_BYTES))
    except (OSError, OrchgateError):
        return
    yield from (item.names for item in index.items if item.names)


def _folders(path: str) -> set[str]:
    try:
        with os.scandir(path) as entries:
            return {entry.name for entry in entries if entry.is_dir()}
    except OSError:
        return set()


def _slug(task: str) -> str:
    return _NUMBER.sub("", task, count=1)
