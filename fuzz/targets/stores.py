"""The evidence reference with odd trees in it, written as a stranger's server could hold them."""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from fuzz.calling import called
from fuzz.violation import Violation
from orchgate.evidence.lock import PATH, Pinned, render
from tests.repo import Repo, init

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

SMOKE = 12  # inputs of the quick test: each takes a dozen git processes
REF = "refs/orchgate/evidence"
RIGHT = b"what was pinned\n"
NAME = hashlib.sha256(RIGHT).hexdigest()
ARTIFACT = ".runs/a/cli/b.log"
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
    mine.commit("start", {"a.txt": "a\n", PATH: render([Pinned(ARTIFACT, NAME, len(RIGHT))])})

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


def _answered(root: Path, *argv: str) -> int:
    """The exit code of a command, which is none of an internal error."""
    code, out = called(str(root), list(argv))
    if code not in (0, 1, 2, 3):
        raise Violation(f"{argv[1]} ends with {code}: {out.strip().splitlines()[-2:]}")
    return code


def _use(mine: Path, remote: Path) -> None:
    artifact = mine / ARTIFACT
    shutil.rmtree(mine / ".runs", ignore_errors=True)
    _answered(mine, "evidence", "fetch", "--remote", str(remote))
    if artifact.exists() and artifact.read_bytes() != RIGHT:
        raise Violation("something else was written under the name of what was pinned")
    artifact.parent.mkdir(parents=True, exist_ok=True)
    artifact.write_bytes(RIGHT)
    if _answered(mine, "evidence", "push", str(remote)) == 0 and _sent(remote) != RIGHT:
        raise Violation("a push that reported success has not sent what was pinned")


def _sent(remote: Path) -> bytes:
    argv = ["git", "--git-dir", str(remote), "cat-file", "blob", f"{REF}:{NAME[:2]}/{NAME[2:]}"]
    return subprocess.run(argv, capture_output=True, check=False).stdout
