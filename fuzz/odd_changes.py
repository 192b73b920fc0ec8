"""Changes that few people make: what only an index or one machine holds, and files that look like others."""

from __future__ import annotations

import contextlib
import hashlib
import os
from typing import TYPE_CHECKING

from fuzz.changing_tree import ARTIFACTS, DOCUMENTS

if TYPE_CHECKING:
    from collections.abc import Callable

    from fuzz.changing_tree import ChangingTree


def pointer(tree: ChangingTree) -> None:
    """What git holds a pointer of; its content is here."""
    path = tree.chance.choice((*DOCUMENTS, "tasks/index.json", ".orchgate/evidence.lock", "package.json"))
    with contextlib.suppress(OSError), open(os.path.join(tree.root, path), "rb") as file:
        content = file.read()
        named = hashlib.sha256(content).hexdigest()
        tree.put(f".git/lfs/objects/{named[:2]}/{named[2:4]}/{named}", content)
        text = f"version https://git-lfs.github.com/spec/v1\noid sha256:{named}\nsize {len(content)}\n"
        tree.write(path, text.encode())


def unfetched(tree: ChangingTree) -> None:
    """The content of pointers is not here any more."""
    tree.remove(".git/lfs")


def entry(tree: ChangingTree) -> None:
    """What only an index may hold."""
    written = tree.git("hash-object", "-w", "orchgate.toml").strip()
    mode, oid = tree.chance.choice((("160000", "1" * 40), ("100644", written or "1" * 40)))
    path = os.fsdecode(tree.chance.choice((b"sub", b"docs/\xff.md", b"docs/a\nb.md", b"docs/deep")))
    tree.git("update-index", "--add", "--replace", "--cacheinfo", f"{mode},{oid},{path}")


def intent(tree: ChangingTree) -> None:
    path = tree.chance.choice(DOCUMENTS)
    tree.git("rm", "-q", "--cached", "--ignore-unmatch", path)
    tree.git("add", "--intent-to-add", "--", path)


def replaced(tree: ChangingTree) -> None:
    """Objects that stand for others on this machine only."""
    oids = tree.git("ls-tree", "-r", "--format=%(objectname)", "HEAD").split()
    tree.git("replace", "-f", *tree.chance.choices(oids, k=2))


def beside(tree: ChangingTree) -> None:
    if not os.path.isdir(tree.beside):
        tree.git("worktree", "add", "-q", "--detach", tree.beside)
    path = tree.chance.choice(ARTIFACTS)
    if os.path.isdir(tree.beside):  # there may be no commit
        tree.put(os.path.join(tree.beside, path), tree.content(path))


def kept(tree: ChangingTree) -> None:
    """An entry of the cache is gone, cut, or has the name of another one."""
    folder = os.path.join(tree.root, ".git/orchgate/cache")
    one, other = (os.path.join(folder, name) for name in tree.chance.choices(os.listdir(folder) or ["none"], k=2))
    if one != other and tree.chance.random() < 0.6:
        os.replace(one, other)
    else:
        os.truncate(one, os.stat(one).st_size // 2)


def swapped(tree: ChangingTree) -> None:
    """Another file of the same size and time, or another name of one."""
    path, other = (os.path.join(tree.root, one) for one in tree.chance.sample(ARTIFACTS, 2))
    status = os.stat(path)
    if tree.chance.random() < 0.5:
        tree.remove(path)
        os.link(other, path)
        return
    with open(path, "rb") as file:
        tree.put(f"{path}.new", file.read().swapcase())
    os.utime(f"{path}.new", ns=(status.st_atime_ns, status.st_mtime_ns))
    os.replace(f"{path}.new", path)


WAYS: tuple[tuple[Callable[[ChangingTree], None], int], ...] = (
    (pointer, 3),
    (unfetched, 2),
    (entry, 1),
    (intent, 1),
    (replaced, 1),
    (beside, 2),
    (kept, 1),
    (swapped, 2),
)
