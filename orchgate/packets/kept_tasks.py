"""The task list as an earlier commit read it: the few tasks that a change concerns are found without parsing all.

What is kept of a list is a line of text for each task, in pages. A list that differs from a known one between two of
its tasks is known by the lines of that one, and by some of its own: only what is between is parsed.
"""

from __future__ import annotations

import sys
from array import array
from itertools import chain

from orchgate.git.snapshot import LFS_BEGINNING, pointer
from orchgate.lib.pages import Damaged, lines_of, write_lines
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple, cached_property
from orchgate.packets.tasks import MAX_BYTES, Places, TaskEntry, entry_of, line_of, read_task_list

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from orchgate.git.snapshot import Snapshot
    from orchgate.lib.cache import Cache
    from orchgate.lib.pages import Lines
    from orchgate.packets.task_places import TaskListDifference
    from orchgate.packets.tasks import TaskList

_LINES, _LIST, _LATEST = "tasks", "task-list", "latest-task-list"
_FILES = ("100644", "100755")
_MOST_OWN = 200  # lines that a list has beside those of an earlier one; with more, all are written anew
_NUMBER = array("I").itemsize  # bytes


class _Listed(NamedTuple):
    """A list by its lines: `order` has a number for each task, from `base`'s lines on those that are its `own`.

    `changed` are the places of the tasks that are not the same in the list `before`.
    """

    base: bytes
    order: array[int]
    places: Places
    own: tuple[bytes, ...] = ()
    before: bytes = b""
    changed: array[int] = array("I")

    def written(self) -> bytes:
        arrays = (self.order, *self.places, self.changed)
        head = b" ".join((self.base, *(b"%d" % len(one) for one in arrays), self.before))
        return b"".join((head, b"\n", *(one.tobytes() for one in arrays), b"\0".join(self.own)))


def _read_listed(kept: Cache, key: bytes) -> _Listed | None:
    data = kept.shared(_LIST, key)
    if data is None:
        return None
    head, _, rest = data.partition(b"\n")
    base, *sizes, before = head.split(b" ")
    arrays, at = [], 0
    for size in map(int, sizes):
        arrays.append(array("I", rest[at : at + size * _NUMBER]))
        at += size * _NUMBER
    order, starts, ends, changed = arrays
    own = tuple(rest[at:].split(b"\0")) if at < len(rest) else ()
    return _Listed(base, order, Places(starts, ends), own, before, changed)


class KeptTasks:
    """Answers as the `TaskList` of its file; that is parsed where all of it is asked for."""

    def __init__(self, path: str, tree: Snapshot, listed: _Listed, lines: Lines) -> None:
        self.path = path
        self.tree = tree
        self.listed = listed
        self._lines = lines

    @cached_property
    def content(self) -> bytes:
        return self.tree.read(self.path, MAX_BYTES)

    @cached_property
    def whole(self) -> TaskList:
        return read_task_list(self.path, self.content)

    @property
    def text(self) -> str:
        return self.whole.text

    @property
    def items(self) -> tuple[TaskEntry, ...]:
        return self.whole.items

    @property
    def lists_any(self) -> bool:
        return bool(self.listed.order)

    @property
    def oid(self) -> str:
        return self.tree.entries[self.path].oid

    def line_of(self, value: str) -> int:
        """As that of the `TaskList`."""
        return line_of(self.content.decode("utf-8"), value)

    def mentioning(self, words: Collection[str]) -> list[TaskEntry]:
        """The tasks with one of the words in their names or paths, in the list's order; without their `raw`."""
        try:
            return self.found(words) if all(words) else self.whole.mentioning(words)
        except Damaged:
            return self.whole.mentioning(words)

    def found(self, words: Collection[str]) -> list[TaskEntry]:
        """As `mentioning`, of words that are not empty, from the lines alone. Raises Damaged."""
        written = [_written(word) for word in words]
        lines = self._lines.containing(written)
        own = enumerate(self.listed.own, self._lines.count)
        lines.update((number, line) for number, line in own if any(word in line for word in written))
        places = sorted((self._place(number), line) for number, line in lines.items())
        tasks = (_task_of(line, place) for place, line in places if place >= 0)
        return [task for task in tasks if task.mentions(words)]

    def _place(self, number: int) -> int:
        """The place in the list of a line by its number; -1 of one that is not in it any more."""
        wanted, at = number.to_bytes(_NUMBER, sys.byteorder), -1
        while (at := self._order.find(wanted, at + 1)) % _NUMBER > 0:
            if at < 0:
                return -1
        return at // _NUMBER

    @cached_property
    def _order(self) -> bytes:
        return self.listed.order.tobytes()

    def numbered(self, number: int) -> TaskEntry:
        """A task by its number, without its `raw`."""
        try:
            line, own = self.listed.order[number], self._lines.count
            return _task_of(self._lines.line(line) if line < own else self.listed.own[line - own], number)
        except Damaged:
            return self.whole.items[number]._replace(raw={})

    def all(self) -> list[TaskEntry]:
        """Every task, without their `raw`."""
        try:
            return [_task_of(line, number) for number, line in enumerate(self.lines())]
        except Damaged:
            return [task._replace(raw={}) for task in self.whole.items]

    def lines(self) -> list[bytes]:
        """The line of every task. Raises Damaged."""
        lines = [*self._lines.all(), *self.listed.own]
        return [lines[number] for number in self.listed.order]


def of(path: str, tree: Snapshot) -> KeptTasks | None:
    """The list of a tree that has one; None where nothing of it can be kept. Raises Unreadable."""
    entry, kept = tree.entries[path], tree.cache
    if kept is None or entry.mode not in _FILES:
        return None
    key = entry.oid.encode("ascii")
    found = _known(kept, path, tree, key)
    if found is not None:
        return found
    content = tree.blob(entry.oid, MAX_BYTES)
    if content is None or (content.startswith(LFS_BEGINNING) and pointer(content) is not None):
        return None  # nobody knows it, or it is kept elsewhere: what is here may be gone tomorrow
    found = _derived(kept, path, tree, content, key)
    return found or _kept(kept, path, tree, content, key)


def _known(kept: Cache, path: str, tree: Snapshot, key: bytes) -> KeptTasks | None:
    listed = _read_listed(kept, key)
    try:
        return KeptTasks(path, tree, listed, lines_of(kept, _LINES, listed.base)) if listed is not None else None
    except Damaged:
        return None


def _kept(kept: Cache, path: str, tree: Snapshot, content: bytes, key: bytes) -> KeptTasks:
    """A list that has to be parsed. Raises Unreadable."""
    from orchgate.packets.task_places import places_in

    tasks = read_task_list(path, content).items
    places = places_in(content, len(tasks)) if len({task.names for task in tasks}) == len(tasks) else None
    lines = write_lines(kept, _LINES, key, [*map(_line, tasks)])
    listed = _Listed(key, array("I", range(len(tasks))), places or Places(array("I"), array("I")))
    return _write(kept, KeptTasks(path, tree, listed, lines), key)


def _write(kept: Cache, tasks: KeptTasks, key: bytes) -> KeptTasks:
    kept.write(_LIST, key, tasks.listed.written())
    if tasks.listed.places.starts:
        kept.write(_LATEST, b"", key)
    return tasks


def _written(text: str) -> bytes:
    """A text as it is in a line: what parts fields and lines is marked."""
    marked = text.replace("\\", "\\\\").replace("\t", "\\t").replace("\0", "\\0")
    return marked.encode("utf-8", "surrogatepass")


def _read(written: str) -> str:
    if "\\" not in written:
        return written
    return "\\".join(part.replace("\\t", "\t").replace("\\0", "\0") for part in written.split("\\\\"))


def _line(task: TaskEntry) -> bytes:
    values = (task.id, task.slug, task.title, task.status, "x" * task.completed, *chain.from_iterable(task.paths))
    return b"\t".join(map(_written, values))


def _task_of(line: bytes, number: int) -> TaskEntry:
    fields = map(_read, line.decode("utf-8", "surrogatepass").split("\t"))
    name, slug, title, status, completed, *paths = fields
    return TaskEntry(
        name, slug, title, status, bool(completed), tuple(zip(paths[::2], paths[1::2], strict=True)), {}, number
    )


# -- Of a list that differs from a known one ----------------------------------------------------------


def _derived(kept: Cache, path: str, tree: Snapshot, content: bytes, key: bytes) -> KeptTasks | None:
    """A list by the latest known one; None where that does not help."""
    from orchgate.packets.task_places import difference

    latest = kept.read(_LATEST, b"") or b""
    known = _known(kept, path, tree, latest) if latest else None
    earlier = tree.blob(latest.decode("ascii"), MAX_BYTES) if known is not None else None
    if known is None or earlier is None:
        return None
    found = difference(known.listed.places, earlier, content)
    try:
        return _with(kept, known, latest, found, key) if found is not None else None
    except Damaged:
        return None


def _with(kept: Cache, known: KeptTasks, latest: bytes, found: TaskListDifference, key: bytes) -> KeptTasks | None:
    """The list that differs from a known one; None where two tasks have the same names. Raises Damaged."""
    listed, lines = known.listed, lines_of(kept, _LINES, known.listed.base)
    before, after = listed.order[: found.first], listed.order[found.last + 1 :]
    new = [entry_of(raw) for raw in found.after]
    if not _is_unique(new, KeptTasks(known.path, known.tree, listed._replace(order=before + after), lines)):
        return None
    count = lines.count + len(listed.own)
    order = before + array("I", range(count, count + len(new))) + after
    changed = array("I", [task.number for task in found.changed()])
    made = _Listed(listed.base, order, found.places, (*listed.own, *map(_line, new)), latest, changed)
    if len(made.own) > _MOST_OWN:
        lines = write_lines(kept, _LINES, key, KeptTasks(known.path, known.tree, made, lines).lines())
        made = made._replace(base=key, order=array("I", range(len(order))), own=())
    return _write(kept, KeptTasks(known.path, known.tree, made, lines), key)


def _is_unique(tasks: Sequence[TaskEntry], others: KeptTasks) -> bool:
    """Whether no two of the tasks, and none of the others, have the same names. Raises Damaged."""
    names = {task.names for task in tasks}
    if len(names) < len(tasks) or any(not one or "\n" in one[-1] for one in names):
        return False
    return all(other.names != one for one in names for other in others.found(one[-1:]))


def changed(now: KeptTasks, before: KeptTasks) -> list[TaskEntry] | None:
    """The tasks that are not the same in the list before; None where only both whole lists tell."""
    from orchgate.packets.task_places import difference

    if not now.listed.places.starts:
        return None
    if now.listed.before == before.oid.encode("ascii"):
        return [now.numbered(number) for number in now.listed.changed]
    found = difference(before.listed.places, before.content, now.content)
    return None if found is None else [*found.changed()]
