"""A task list that is known from an earlier commit answers as one that was just parsed."""

from __future__ import annotations

import hashlib
import json
import os
import random
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

from orchgate.errors import Unreadable
from orchgate.git.snapshot import TreeEntry
from orchgate.lib import pages
from orchgate.lib.cache import Cache
from orchgate.packets import kept_tasks
from orchgate.packets.catalog import Packets, changed_entries
from orchgate.packets.kept_tasks import KeptTasks
from orchgate.packets.tasks import TaskList, read_task_list

if TYPE_CHECKING:
    from orchgate.git.snapshot import Snapshot

PATH = "tasks/index.json"
WORDS = (
    "slim",
    "slim-audit",
    "0101",
    "é",
    'a"b',
    "back\\slash",
    "new\nline",
    "carriage\rreturn",
    "any\x0b\x0c\x1c\x85\u2028line",
    "nothing\0",
    "ta\tb\\n",
    "x" * 30,
    "docs/PRD-slim.md",
    "\ud800",
)


class Tree:
    """A tree of a task list, among the blobs of all trees."""

    def __init__(self, cache: Cache, blobs: dict[str, bytes], content: bytes) -> None:
        oid = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
        blobs[oid] = content
        self.cache = cache
        self.entries = {PATH: TreeEntry("100644", oid)}
        self._blobs = blobs

    def read(self, _path: str, _limit: int = 0) -> bytes:
        return self._blobs[self.entries[PATH].oid]

    def blob(self, oid: str, _limit: int) -> bytes | None:
        return self._blobs.get(oid)


def task(chance: random.Random) -> Any:
    if chance.random() < 0.02:
        return chance.choice([None, 5, "x", [], [{}]])
    words = [*WORDS[:-1], "", "0102-slim", "20260102-slim"]
    found: dict[str, Any] = {"id": chance.choice(words), "slug": chance.choice(words), "title": chance.choice(words)}
    if chance.random() < 0.5:
        found["id"] = f"{chance.randrange(30):04}-{found['id']}"
    found["status"] = chance.choice([None, "In Progress", "done", 3])
    found["paths"] = {"docs": chance.choice(["docs/PRD-slim.md", "docs/é.md", "docs/x.txt", '{"items": [1, 2]}.md'])}
    found["items"] = [{"id": "nested"}] if chance.random() < 0.1 else chance.random()
    return found


def text_of(chance: random.Random, tasks: list[Any]) -> bytes:
    shape = chance.choice(("object", "object", "list", "twice", "first"))
    indent, ascii_only = chance.choice((None, 2, 4)), chance.random() < 0.3
    value: Any = tasks if shape == "list" else {"a": '"items": [', "items": tasks, "z": {"items": []}}
    if shape == "first":
        value = {"before": {"items": [{"id": "slim"}]}, "items": tasks}
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    if shape == "twice":
        text = text.replace("{", '{"items": [{"slug": "slim"}], ', 1)
    start = "\ufeff" if chance.random() < 0.1 else ""
    return (start + text + chance.choice(("", "\n"))).encode("utf-8", "replace")


def edited(chance: random.Random, tasks: list[Any]) -> list[Any]:
    made = list(tasks)
    for _ in range(chance.choice((1, 1, 2, 5))):
        at = chance.randrange(len(made) + 1)
        kind = chance.random()
        if kind < 0.4 or at == len(made):
            made.insert(at, task(chance))
        elif kind < 0.6:
            del made[at]
        elif kind < 0.9 and isinstance(made[at], dict):
            made[at] = {**made[at], "status": chance.choice(["done", "open"])}
        else:
            chance.shuffle(made)
    return made


def broken(chance: random.Random, content: bytes) -> bytes:
    at = chance.randrange(len(content) + 1)
    what = chance.choice((b"", b",", b"]", b"[", b'"', b"\xff", b"{}", b"\\", b", {}", b'{"id": "slim"},'))
    return content[:at] + what + content[at + chance.randrange(2) :]


def rounds(folder: str, seed: int, count: int) -> None:
    """Lists that follow from each other, read with and without what is known of the ones before."""
    chance = random.Random(seed)
    cache, blobs = Cache(folder), dict[str, bytes]()
    tasks: list[Any] = [task(chance) for _ in range(chance.randrange(8))]
    form = random.Random(seed)
    before, trees = None, list[Tree]()
    for _ in range(count):
        tasks = edited(chance, tasks)
        form.seed(seed if chance.random() < 0.9 else chance.random())
        content = text_of(form, tasks)
        content = broken(chance, content) if chance.random() < 0.2 else content
        tree = Tree(cache, blobs, content) if chance.random() < 0.9 or not trees else chance.choice(trees)
        trees.append(tree)
        compare(tree, before, chance)
        before = tree


def compare(tree: Tree, before: Tree | None, chance: random.Random) -> None:
    try:
        fresh: TaskList | str = read_task_list(PATH, tree.read(PATH))
    except Unreadable as error:
        fresh = error.message
    try:
        kept: KeptTasks | str | None = kept_tasks.of(PATH, cast("Snapshot", tree))
    except Unreadable as error:
        kept = error.message
    if isinstance(fresh, str) or not isinstance(kept, KeptTasks):
        assert kept == fresh
        return
    words = chance.sample(WORDS, 3)
    assert [one._replace(raw={}) for one in kept.mentioning(words)] == [
        one._replace(raw={}) for one in fresh.mentioning(words)
    ]
    assert (kept.lists_any, kept.line_of("slim"), kept.items) == (fresh.lists_any, fresh.line_of("slim"), fresh.items)
    if before is not None:
        assert [one.number for one in changes(tree, before)] == [one.number for one in fresh_changes(fresh, before)]


def changes(tree: Tree, before: Tree) -> list[Any]:
    known = Packets.__new__(Packets)
    known.__dict__.update(_read=(kept_tasks.of(PATH, cast("Snapshot", tree)), ()), settings=Settings, tree=tree)
    return list(changed_entries(known, cast("Snapshot", before)))


class Settings:
    task_index = PATH


def fresh_changes(fresh: TaskList, before: Tree) -> list[Any]:
    try:
        old = {one.names: one.raw for one in read_task_list(PATH, before.read(PATH)).items}
    except Unreadable:
        return []
    return [one for one in fresh.items if old.get(one.names) != one.raw]


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("page", [100, pages.PAGE])
def test_a_known_list_answers_as_a_parsed_one(
    tmp_path: Path, seed: int, page: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "PAGE", page)
    rounds(str(tmp_path / "orchgate"), seed, 12)


@pytest.mark.slow
def test_a_known_list_answers_as_a_parsed_one_however_it_is_edited(tmp_path: Path) -> None:
    for seed in range(100, 160):
        rounds(str(tmp_path / str(seed)), seed, 15)


def test_of_a_list_that_changed_only_the_change_is_parsed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache, blobs = Cache(str(tmp_path / "orchgate")), dict[str, bytes]()
    tasks = [{"id": f"{number:04}-task", "title": "é" * number} for number in range(50)]
    kept_tasks.of(PATH, cast("Snapshot", Tree(cache, blobs, json.dumps({"items": tasks}, indent=2).encode())))
    monkeypatch.setattr(kept_tasks, "read_task_list", None)
    tasks[20:20] = [{"id": "1000-task", "title": "new"}]
    found = kept_tasks.of(PATH, cast("Snapshot", Tree(cache, blobs, json.dumps({"items": tasks}, indent=2).encode())))

    assert found is not None
    assert [(one.number, one.title) for one in found.mentioning(["1000", "0020"])] == [(20, "new"), (21, "é" * 20)]


def test_a_task_whose_title_holds_the_end_of_a_line_is_one_task(tmp_path: Path) -> None:
    cache, blobs = Cache(str(tmp_path / "orchgate")), dict[str, bytes]()
    tasks = [{"id": "0001-a", "title": "two\rlines"}, {"id": "0002-b"}, {"id": "0003-c"}]
    kept_tasks.of(PATH, cast("Snapshot", Tree(cache, blobs, json.dumps({"items": tasks}, indent=2).encode())))
    tasks[2]["id"] = "0004-d"
    found = kept_tasks.of(PATH, cast("Snapshot", Tree(cache, blobs, json.dumps({"items": tasks}, indent=2).encode())))

    assert found is not None
    assert [(one.id, one.title) for one in found.all()] == [("0001-a", "two\rlines"), ("0002-b", ""), ("0004-d", "")]


def test_of_a_series_of_changes_all_lines_are_written_anew_once_in_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_tasks, "_MOST_OWN", 3)
    cache, blobs = Cache(str(tmp_path / "orchgate")), dict[str, bytes]()
    tasks = [{"id": f"{number:04}-task"} for number in range(50)]
    before = None
    for number in range(9):
        tasks.insert(number * 5, {"id": f"1{number:03}-more"})
        tree = Tree(cache, blobs, json.dumps({"items": tasks}, indent=2).encode())
        compare(tree, before, random.Random(number))
        assert [one.number for one in changes(tree, before)] == [number * 5] if before else True
        before = tree

    written = [name for name in os.listdir(cache._folder) if name.startswith("tasks-")]
    assert 1 < len(written) < 9


def test_a_list_is_read_once_where_the_one_before_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache, blobs = Cache(str(tmp_path / "orchgate")), dict[str, bytes]()
    tasks = [{"id": f"{number:04}-task"} for number in range(50)]
    trees = [
        Tree(cache, blobs, json.dumps({"items": some}, indent=2).encode()) for some in (tasks, [*tasks, {"id": "new"}])
    ]
    kept_tasks.of(PATH, cast("Snapshot", trees[0]))
    read: list[str] = []

    def blob(tree: Tree, oid: str, _limit: int) -> bytes | None:
        read.append(oid)
        return tree._blobs.get(oid)

    monkeypatch.setattr(Tree, "blob", blob)
    monkeypatch.setattr(Tree, "read", None)

    assert [one.names for one in changes(trees[1], trees[0])] == [("new",)]
    assert read == [trees[1].entries[PATH].oid, trees[0].entries[PATH].oid]


def test_what_is_damaged_anywhere_is_read_from_the_list(tmp_path: Path) -> None:
    cache, blobs = Cache(str(tmp_path / "orchgate")), dict[str, bytes]()
    tasks = [{"id": f"{number:04}-task", "title": "x" * 99} for number in range(90)]
    trees = [Tree(cache, blobs, json.dumps(some, indent=2).encode()) for some in (tasks, [*tasks[:40], *tasks[41:]])]
    folder = Path(cache._folder)
    chance = random.Random(1)
    for number in range(60):
        for tree in trees:
            compare(tree, trees[0], random.Random(number))
        for path in chance.sample(sorted(folder.iterdir()), 2):
            whole = path.read_bytes()
            at = chance.randrange(len(whole))
            path.write_bytes(chance.choice((whole[:at], whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])))
        cache = Cache(str(tmp_path / "orchgate"))
        for tree in trees:
            tree.cache = cache


def test_a_list_that_is_kept_elsewhere_is_not_kept(tmp_path: Path) -> None:
    """Git LFS has the file: the blob only points at it."""
    tree = Tree(Cache(str(tmp_path / "orchgate")), {}, b"[]")
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:%b\nsize 2\n" % (b"a" * 64)
    tree.entries[PATH] = TreeEntry("100644", "0" * 40)
    tree._blobs["0" * 40] = pointer

    assert kept_tasks.of(PATH, cast("Snapshot", tree)) is None
