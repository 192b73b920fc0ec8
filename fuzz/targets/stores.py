"""The evidence reference with odd trees in it, written as a stranger's server could hold them."""

from __future__ import annotations

import contextlib
import hashlib
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from fuzz.violation import Violation
from orchgate.errors import OrchgateError
from orchgate.evidence.lock import PATH, Pinned, render
from orchgate.git.contents import REF
from orchgate.git.repository import open_repository
from orchgate.git.store import Store
from tests.repo import Repo, init

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

SMOKE = 12  # inputs of the quick test: each takes a dozen git processes
RIGHT = b"what was pinned\n"
NAME = hashlib.sha256(RIGHT).hexdigest()
KINDS = ("right", "wrong", "empty", "tree", "commit", "tag", "missing")


def seeds() -> Iterable[bytes]:
    """Lines of a tree below the top one: folder, mode, name, and what the entry names."""
    usual = f"{NAME[:2]} 100644 {NAME[2:]} "
    for kind in KINDS:
        yield f"{usual}{kind}\n".encode()
    yield f"{usual}right\n{usual}wrong\nab 40000 cd tree\n. 100644 .git right\n".encode()
    yield f"{NAME[:2]} 120000 {NAME[2:]} right\nab 160000 {NAME[2:]} commit\n.. 100644 x right\n".encode()
    yield b"ref tag\n"
    yield b"ref tree\n"
    yield b"ref right\n"


def prepare(folder: str) -> Callable[[bytes], None]:

    remote, mine = init(Path(folder, "remote"), "--bare"), init(Path(folder, "mine"))
    known = _objects(remote)
    mine.commit("start", {"a.txt": "a\n", PATH: render([Pinned(".runs/a/cli/b.log", NAME, len(RIGHT))])})

    def one(data: bytes) -> None:
        for repo in (remote, mine):
            with contextlib.suppress(AssertionError):
                repo.git("update-ref", "-d", REF)
        _plant(remote, data, known)
        _use(mine.root, remote.root)

    return one


def _objects(repo: Repo) -> dict[str, str]:
    """An object of each kind, by its word."""
    made = {"right": RIGHT, "wrong": b"something else\n", "empty": b""}
    known = {word: _written(repo, "blob", content) for word, content in made.items()}
    known["tree"] = _written(repo, "tree", b"")
    known["commit"] = repo.git("commit-tree", "-m", "x", known["tree"])
    known["tag"] = _written(repo, "tag", f"object {known['commit']}\ntype commit\ntag t\n\nx\n".encode())
    return {**known, "missing": "1" * 40}


def _written(repo: Repo, kind: str, content: bytes) -> str:
    return repo.git("hash-object", "-w", "--literally", "-t", kind, "--stdin", stdin=content)


def _plant(remote: Repo, data: bytes, known: Mapping[str, str]) -> None:
    """Lets the reference name what the lines say, as far as git lets us."""
    folders: dict[bytes, bytes] = {}
    for line in data.split(b"\n")[:50]:
        words = line.split(b" ")
        if words[0] == b"ref" and len(words) == 2:
            oid = known.get(words[1].decode("utf-8", "replace"), "")
            with contextlib.suppress(OSError, AssertionError):
                remote.git("update-ref", REF, oid)
                return
        if len(words) == 4 and b"\0" not in line:
            oid = known.get(words[3].decode("utf-8", "replace"), known["right"])
            entry = words[1] + b" " + words[2] + b"\0" + bytes.fromhex(oid)
            folders[words[0]] = folders.get(words[0], b"") + entry
    top = b"".join(
        b"40000 " + name + b"\0" + bytes.fromhex(_written(remote, "tree", content)) for name, content in folders.items()
    )
    commit = _written(
        remote,
        "commit",
        b"tree %s\nauthor A <a@b> 1 +0000\ncommitter A <a@b> 1 +0000\n\nx\n" % (_written(remote, "tree", top).encode()),
    )
    with contextlib.suppress(AssertionError):
        remote.git("update-ref", REF, commit)


def _use(root: Path, remote: Path) -> None:
    repository = open_repository(str(root), os.environ)
    try:
        store = Store(repository, os.environ)
        for use in (_fetched, _right, _pushed):
            with contextlib.suppress(OrchgateError):
                use(store, str(remote))
    finally:
        repository.close()


def _fetched(store: Store, remote: str) -> None:
    with store.visit(remote) as visit:
        visit.keep(visit.look())


def _right(store: Store, _: str) -> None:
    content = store.read(NAME, 1 << 20)
    if content not in (None, RIGHT):
        raise Violation("something else was read under the name of a content")


def _pushed(store: Store, remote: str) -> None:
    other = b"pushed meanwhile\n"
    name = hashlib.sha256(other).hexdigest()
    with store.visit(remote) as visit:
        visit.push(visit.look(), [(name, other)])
    listed = subprocess.run(
        ["git", "--git-dir", remote, "ls-tree", "-r", "--name-only", REF], capture_output=True, check=False
    )
    if f"{name[:2]}/{name[2:]}".encode() not in listed.stdout:
        raise Violation("a push that reported success has sent nothing")
