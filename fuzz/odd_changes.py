"""Changes that few people make: what only an index or one machine holds, and files that look like others."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
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
    nowhere = "1" * 40  # which git refuses to compare, and no more is said
    plain = written if written or tree.chance.random() < 0.8 else nowhere
    mode, oid = tree.chance.choice((("160000", nowhere), ("100644", plain)))
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


def folder(tree: ChangingTree) -> None:
    """A folder has another name."""
    old, new = tree.chance.choice((("docs", "plans"), ("plans", "docs"), ("docs/deep", "docs/Deep"), ("site", "web")))
    if os.path.isdir(os.path.join(tree.root, old)):
        os.makedirs(os.path.join(tree.root, os.path.dirname(new)), exist_ok=True)
        tree.git("mv", "-k", old, new)


def cased(tree: ChangingTree) -> None:
    """A document whose name is written otherwise, and is no other one to some file systems."""
    path = tree.chance.choice(DOCUMENTS)
    head, slash, name = path.rpartition("/")
    tree.git("mv", "-k", "-f", path, head + slash + tree.chance.choice((name.swapcase(), name.title(), name.upper())))


def encoded(tree: ChangingTree) -> None:
    """The same words in other bytes: line ends, marks, what is no text, and more of them than anybody reads."""
    path = tree.chance.choice((*DOCUMENTS, "tasks/index.json", "orchgate.toml", ".orchgate/evidence.lock"))
    with contextlib.suppress(OSError), open(os.path.join(tree.root, path), "rb") as file:
        content = file.read().replace(b"\r\n", b"\n")
        made = (
            content.replace(b"\n", b"\r\n"),
            content.replace(b"\n", b"\r", 2),
            b"\xef\xbb\xbf" + content,
            content.replace(b"e", b"\xe9", 2),
            content + b"\0",
            content.decode("utf-8", "replace").encode("utf-16"),
            content.rstrip(b"\n"),
            content + b"more words\n" * tree.chance.choice((2_000, 800_000)),
        )
        tree.write(path, tree.chance.choice(made))


def variables(tree: ChangingTree) -> None:
    """What the environment says of branches and bases."""
    name = tree.chance.choice(("main", "work", "0001-slim"))
    tree.variables = tree.chance.choice(
        (
            {},
            {"GITHUB_HEAD_REF": name},
            {"GITHUB_REF_NAME": name, "GITHUB_REF": f"refs/heads/{name}"},
            {"PRE_COMMIT_FROM_REF": "HEAD~1"},
            {"CI_MERGE_REQUEST_TARGET_BRANCH_NAME": name},
            {"CI": "true"},
        )
    )


def flipped(tree: ChangingTree) -> None:
    """One bit of an entry of the cache is another one."""
    folder = os.path.join(tree.root, ".git/orchgate/cache")
    path = os.path.join(folder, tree.chance.choice(os.listdir(folder) or ["none"]))
    with open(path, "r+b") as file:
        content = file.read()
        at = tree.chance.randrange(len(content))
        file.seek(at)
        file.write(bytes([content[at] ^ 1 << tree.chance.randrange(8)]))


def stored(tree: ChangingTree) -> None:
    """What is kept is put aside, or is what was put aside before: as if it came with another clone."""
    folder, aside = (os.path.join(tree.root, ".git/orchgate", name) for name in ("cache", "aside"))
    if os.path.isdir(aside) and tree.chance.random() < 0.6:
        shutil.rmtree(folder, ignore_errors=True)
        os.rename(aside, folder)
    elif os.path.isdir(folder):
        shutil.rmtree(aside, ignore_errors=True)
        shutil.copytree(folder, aside)


def moved(tree: ChangingTree) -> None:
    """The repository is a copy of what it was, with all that is kept, and has another name."""
    if not os.path.isdir(tree.beside):  # which knows where the repository is
        copy = f"{tree.root}-again"
        shutil.copytree(tree.root, copy, symlinks=True)
        shutil.rmtree(tree.root)
        if tree.chance.random() < 0.5:
            os.rename(copy, tree.root)
        else:
            tree.root = copy


WAYS: tuple[tuple[Callable[[ChangingTree], None], int], ...] = (
    (pointer, 3),
    (unfetched, 2),
    (entry, 1),
    (intent, 1),
    (replaced, 1),
    (beside, 2),
    (kept, 1),
    (swapped, 2),
    (folder, 2),
    (cased, 1),
    (encoded, 3),
    (variables, 2),
    (flipped, 1),
    (stored, 2),
    (moved, 1),
)
