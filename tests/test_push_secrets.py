"""What `evidence push` does with artifacts that look as if they held a secret, or that nobody can look into."""

from __future__ import annotations

import gzip
import hashlib
from typing import TYPE_CHECKING

import pytest

from orchgate.evidence.lock import PATH, Pinned, render
from orchgate.git.store.contents import REF

if TYPE_CHECKING:
    from tests.repo import Repo, Result

pytestmark = pytest.mark.slow

RUN = ".runs/0001-demo/cli/2026-01-06T09-26-22-129Z-c2f9cb47"
LOG = f"{RUN}/stages/01-build.log"
# In parts, so that no scanner takes this file for a leak.
TOKEN = "gh" + "p_" + "a1B2c3D4" * 4 + "wxyz"
SECRET = f"start\nauthorization: {TOKEN}\n".encode()
ZSTD = b"\x28\xb5\x2f\xfd and more"


@pytest.fixture
def cloned(repo: Repo) -> Repo:
    """A repository with a remote that has no evidence yet."""
    remote = repo.root / ".git" / "remote.git"
    repo.git("init", "--quiet", "--bare", str(remote))
    repo.git("remote", "add", "origin", str(remote))
    repo.commit(files={".gitignore": "/.runs/\n"})
    return repo


def push(repo: Repo, contents: dict[str, bytes], *options: str) -> Result:
    pins = []
    for path, content in contents.items():
        repo.write(path, content)
        pins.append(Pinned(path, hashlib.sha256(content).hexdigest(), len(content)))
    repo.write(PATH, render(pins))
    return repo.orchgate("evidence", "push", *options)


def sent(repo: Repo) -> int:
    """How many contents the remote has."""
    remote = str(repo.root / ".git" / "remote.git")
    if not repo.git("--git-dir", remote, "for-each-ref", REF):
        return 0
    return len(repo.git("--git-dir", remote, "ls-tree", "-r", "--name-only", REF).split())


@pytest.mark.parametrize(
    ("path", "content", "said"),
    [
        (LOG, SECRET, f"{LOG}:2 looks like a secret (github-token)"),
        (f"{LOG}.gz", gzip.compress(SECRET, mtime=0), f"{LOG}.gz:2 (unpacked) looks like a secret (github-token)"),
        (LOG, SECRET.decode().encode("utf-16"), f"{LOG}:2 looks like a secret (github-token)"),
        (f"{RUN}/{TOKEN}.log", b"ok\n", f"{RUN}/[secret: github-token] has a name that looks like a secret"),
    ],
    ids=["plain", "gzip", "UTF-16", "name"],
)
def test_a_secret_stays_here_and_is_not_printed(cloned: Repo, path: str, content: bytes, said: str) -> None:
    pushed = push(cloned, {path: content, f"{RUN}/stages/02-ok.log": b"ok then\n"})

    assert (pushed.code, said in pushed.out, TOKEN in pushed.out) == (1, True, False), pushed.out
    assert sent(cloned) == 1


def test_what_cannot_be_looked_into_stays_here_unchecked(cloned: Repo) -> None:
    pushed = push(cloned, {f"{LOG}.zst": ZSTD})

    said = f"not sent: {LOG}.zst is packed by zstd, which is not looked into"
    assert (pushed.code, said in pushed.out, sent(cloned)) == (3, True, 0), pushed.out


@pytest.mark.parametrize(
    ("allowed", "content"),
    [("^unseen: is packed by zstd", ZSTD), ("^github-token: ", SECRET), ("a1B2c3D4", SECRET)],
    ids=["unseen", "form", "text"],
)
def test_what_is_allowed_is_sent(cloned: Repo, allowed: str, content: bytes) -> None:
    cloned.write("orchgate.toml", f"[evidence]\nsecrets-allowed = ['{allowed}']\n")
    pushed = push(cloned, {LOG: content})

    assert (pushed.code, sent(cloned)) == (0, 1), pushed.out


def test_an_exception_that_cannot_be_read_is_wrong_configuration(cloned: Repo) -> None:
    cloned.write("orchgate.toml", "[evidence]\nsecrets-allowed = ['(?=a)']\n")
    pushed = push(cloned, {LOG: b"ok\n"})

    assert (pushed.code, "evidence.secrets-allowed[0]: cannot read" in pushed.out) == (2, True)


def test_no_pattern_of_a_configuration_switches_the_forms_off(cloned: Repo) -> None:
    cloned.write("orchgate.toml", "[evidence]\nsecrets = []\n")

    assert push(cloned, {LOG: SECRET}).code == 1


def test_a_dry_run_looks_too(cloned: Repo) -> None:
    assert push(cloned, {LOG: SECRET}, "--dry-run").code == 1
