"""A lock that was read before answers as the one in the tree, whatever became of what was kept of it."""

from __future__ import annotations

import hashlib
import itertools
import os
import random
from typing import TYPE_CHECKING

import pytest

from orchgate.evidence import kept_lock
from orchgate.evidence import lock as locks
from orchgate.evidence.lock import Lock, LockError, Pinned, RunFacts
from orchgate.git.snapshot import TreeEntry
from orchgate.lib.cache import Cache
from orchgate.references.artifacts import Artifacts
from tests.support import checked

if TYPE_CHECKING:
    from pathlib import Path

    from orchgate.git.snapshot import Snapshot
    from tests.repo import Repo

NAMES = ("a", "a b", "ab", "B", "é", '"', "\\", "\n", "\udce9", "😀", "a-", "z" * 30)
FACTS = RunFacts(
    "0001-demo", "r", "p", "failed", "b" * 40, None, True, "", {"x": 1.5, "a": 2}, "", {}, None, 0, {"x": ""}
)


class Tree:
    """A tree that holds a lock, and counts how often that is read."""

    def __init__(self, data: bytes, oid: str = "1" * 40) -> None:
        self.entries = {locks.PATH: TreeEntry("100644", oid)}
        self._data = data
        self.read = 0

    def find(self, _path: str, _limit: int) -> bytes:
        self.read += 1
        return self._data

    def blob(self, _oid: str, limit: int) -> bytes | None:
        return self._data if len(self._data) <= limit else None


def of(tree: Tree, kept: Cache) -> Lock:
    snapshot: Snapshot = tree  # type: ignore[assignment]
    found = kept_lock.of(snapshot, kept)
    assert found is not None
    return found


def pins(number: int, seed: int) -> list[Pinned]:
    chosen = random.Random(seed)
    paths = {"out/" + "/".join(chosen.choices(NAMES, k=chosen.randint(1, 3))) for _ in range(number)}
    ordered = sorted(paths)
    chosen.shuffle(ordered)
    return [Pinned(path, f"{at:064x}", at, FACTS if at % 3 == 0 else None) for at, path in enumerate(ordered)]


def answers(lock: Lock) -> list[object]:
    """What a lock says to everything that may be asked."""
    names = ["out", *(f"out/{name}" for name in NAMES), *(f"out/{a}/{b}" for a, b in itertools.product(NAMES, NAMES))]
    disk = Artifacts("", ("out",), lock)
    globs = ("out/*", "out/**", "out/a*/*", "out/{a,B}/*", "out/a/*", "out/é/**", "out/none/*", "out/a b/?")
    return [
        lock.count,
        [(lock.get(name), lock.holds(name), list(lock.below(name))) for name in names],
        [sorted(lock.starting(name)) for name in names],
        [(disk.exists(name), disk.names(name)) for name in names],
        [disk.matching(glob) for glob in globs],
    ]


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cache:
    monkeypatch.setattr(kept_lock, "MANY", 1)
    monkeypatch.setattr(kept_lock, "PAGE", 500)
    return Cache(str(tmp_path / "orchgate"))


@pytest.mark.parametrize("seed", range(4))
def test_a_kept_lock_answers_as_the_one_in_the_tree(kept: Cache, seed: int) -> None:
    data = locks.render(pins(1 + 40 * seed, seed))
    of(Tree(data), kept)
    tree = Tree(data)
    found = of(tree, kept)

    assert (answers(found), tree.read, found.pins) == (answers(locks.parse(data)), 0, locks.parse(data).pins)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("damaged", [False, True])
def test_two_kept_locks_differ_in_what_the_ones_in_the_trees_do(kept: Cache, seed: int, damaged: bool) -> None:
    one = pins(60, seed)
    other = [*one[:20], one[20]._replace(size=-7 + 2**20), *one[30:50], *pins(9, seed + 50)]
    data = [locks.render(some) for some in (one, {pin.path: pin for pin in other}.values())]
    trees = [Tree(text, oid * 40) for text, oid in zip(data, "12", strict=True)]
    for tree in trees:
        of(tree, kept)
    old, new = (of(Tree(tree._data, tree.entries[locks.PATH].oid), kept) for tree in trees)
    if damaged:
        for entry in os.scandir(kept._folder):
            os.truncate(entry.path, os.stat(entry.path).st_size - 1)

    plain = [locks.parse(text) for text in data]

    assert (old.differing(new), new.differing(old)) == (plain[0].differing(plain[1]), plain[1].differing(plain[0]))
    assert one[20].path in old.differing(new)
    assert (old.differing(Lock()), Lock().differing(old), old.differing(old)) == (set(plain[0].pins), set(), set())


def test_a_number_written_in_another_way_makes_no_other_pin(kept: Cache) -> None:
    one = pins(9, 1)
    other = [pin._replace(run=pin.run._replace(numbers={"x": 1.5, "a": 2.0})) if pin.run else pin for pin in one]
    trees = [Tree(locks.render(some), oid * 40) for oid, some in (("3", one), ("4", other))]
    for tree in trees:
        of(tree, kept)
    old, new = (of(tree, kept) for tree in trees)

    assert (old.differing(new), one == other, locks.render(one) == locks.render(other)) == (set(), True, False)


def test_the_order_of_lines_means_nothing_to_what_is_kept(kept: Cache) -> None:
    header, *lines = locks.render(pins(60, 1)).splitlines(keepends=True)
    of(Tree(b"".join([header, *reversed(lines)])), kept)

    assert answers(of(Tree(b""), kept)) == answers(locks.parse(b"".join([header, *lines])))


def test_what_is_damaged_is_read_from_the_tree(kept: Cache) -> None:
    data = locks.render(pins(40, 2))
    expected = answers(locks.parse(data))
    of(Tree(data), kept)
    (entry,) = os.scandir(kept._folder)
    with open(entry.path, "rb") as file:
        whole = file.read()

    for at in range(0, len(whole), 701):
        with open(entry.path, "wb") as file:
            file.write(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        assert answers(of(Tree(data), kept)) == expected, at


def test_what_is_cut_is_read_from_the_tree(kept: Cache) -> None:
    data = locks.render(pins(40, 2))
    of(Tree(data), kept)
    (entry,) = os.scandir(kept._folder)
    os.truncate(entry.path, os.stat(entry.path).st_size - 1)

    assert answers(of(Tree(data), kept)) == answers(locks.parse(data))


def test_another_lock_is_another_one(kept: Cache) -> None:
    of(Tree(locks.render(pins(20, 1))), kept)
    data = locks.render(pins(20, 2))

    assert answers(of(Tree(data, "2" * 40), kept)) == answers(locks.parse(data))


def test_a_lock_with_a_fault_is_never_kept(kept: Cache) -> None:
    data = locks.render(pins(20, 1)) + b"{}\n"
    for _ in range(2):
        with pytest.raises(LockError):
            of(Tree(data), kept)


def test_few_pins_are_not_kept(kept: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_lock, "MANY", 50)
    of(Tree(locks.render(pins(20, 1))), kept)

    assert not os.path.lexists(kept._folder)


def test_a_lock_that_git_holds_a_pointer_of_is_not_kept(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_lock, "MANY", 1)
    data = locks.render(pins(20, 1))
    sha256 = hashlib.sha256(data).hexdigest()
    stored = f".git/lfs/objects/{sha256[:2]}/{sha256[2:4]}/{sha256}"
    repo.write(stored, data)
    repo.stage(locks.PATH, f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {len(data)}\n")
    repo.commit("Pin")
    repo.stage("docs/a.md", "[link](b.md)\n")
    monkeypatch.chdir(repo.root)

    here = checked("evidence", "--staged")
    (repo.root / stored).unlink()

    assert (here["verdict"], checked("evidence", "--staged")["verdict"]) == ("fail", "broken")


def test_a_check_says_the_same_with_what_is_kept_and_without(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_lock, "MANY", 1)
    run = ".runs/0001-demo/cli/2026-01-06T09-26-22-129Z-c2f9cb47"
    listed = [Pinned(f"{run}/{name}", "a" * 64, 3) for name in ("a.log", "b.log")]
    repo.stage(locks.PATH, locks.render(listed))
    repo.commit("Pin")
    links = "".join(f"- [x] Evidence: `{run}/{name}`\n" for name in ("a.log", "gone.log", "*.log", ""))
    repo.stage("tasks/tasks-0001-demo.md", f"# Task Checklist: 0001\n\n{links}")
    monkeypatch.chdir(repo.root)
    asked = ("evidence", "--staged")

    told = [checked(*asked, *option) for option in (("--no-cache",), (), ())]
    for one in told:
        for check in one["checks"]:
            check.pop("seconds", None)
            check.pop("duration_seconds", None)

    assert told[0]["checks"] == told[1]["checks"] == told[2]["checks"]
    assert any(name.startswith("lock-") for name in os.listdir(repo.root / ".git/orchgate/cache"))
