"""Pinned artifacts travel with the repository: real remotes, several clones, and remotes that refuse."""

from __future__ import annotations

import hashlib
import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from orchgate.evidence.lock import PATH, Pinned, render
from orchgate.git.repository import open_repository
from orchgate.git.store.contents import REF
from orchgate.git.store.reference import Store
from orchgate.secrets import search
from tests.repo import ORCHGATE, Repo, clone

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

pytestmark = pytest.mark.slow

RUN = ".runs/0001-demo/cli/2026-01-06T09-26-22-129Z-c2f9cb47"
LOG = f"{RUN}/stages/01-build.log"


class Pair:
    """Two clones of one bare remote."""

    def __init__(self, remote: Repo, one: Repo, other: Repo) -> None:
        self.remote, self.one, self.other = remote, one, other


@pytest.fixture
def pair(new_repo: Callable[[str], Repo], tmp_path: Path) -> Pair:
    seed = new_repo("seed")
    seed.commit("start", {".gitignore": ".runs/\nout/\n"})
    remote = clone(seed, tmp_path / "remote.git", "--bare")
    return Pair(remote, clone(remote, tmp_path / "one"), clone(remote, tmp_path / "other"))


def pin(repo: Repo, artifacts: Mapping[str, bytes]) -> None:
    """Writes artifacts and a lock that pins them, and nothing else."""
    pins = []
    for path, content in artifacts.items():
        repo.write(path, content)
        pins.append(Pinned(path, hashlib.sha256(content).hexdigest(), len(content)))
    repo.write(PATH, render(pins))


def share_lock(source: Repo, target: Repo) -> None:
    target.write(PATH, (source.root / PATH).read_bytes())


def remote_names(pair: Pair) -> set[str]:
    return {path.replace("/", "", 1) for path in pair.remote.git("ls-tree", "-r", "--name-only", REF).splitlines()}


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def test_what_one_clone_pushes_another_can_fetch(pair: Pair) -> None:
    pin(pair.one, {LOG: b"built\n"})
    pushed = pair.one.orchgate("evidence", "push")
    share_lock(pair.one, pair.other)

    fetched = pair.other.orchgate("evidence", "fetch")

    assert (pushed.code, fetched.code, (pair.other.root / LOG).read_bytes()) == (0, 0, b"built\n"), pushed.out
    assert "1 artifact sent (6 bytes)" in pushed.out


def test_a_second_push_sends_nothing(pair: Pair) -> None:
    pin(pair.one, {LOG: b"built\n"})
    pair.one.orchgate("evidence", "push")
    before = pair.remote.git("rev-parse", REF)

    again = pair.one.orchgate("evidence", "push")

    assert ("0 artifacts sent" in again.out, pair.remote.git("rev-parse", REF)) == (True, before)


def test_two_clones_that_push_one_after_the_other_leave_both_sets(pair: Pair) -> None:
    pin(pair.one, {LOG: b"one\n"})
    pin(pair.other, {LOG: b"other\n"})
    pair.one.orchgate("evidence", "push")
    pair.other.orchgate("evidence", "push")

    assert remote_names(pair) == {sha256(b"one\n"), sha256(b"other\n")}


@pytest.mark.slow
def test_two_clones_that_push_at_once_leave_both_sets(pair: Pair) -> None:
    expected = set()
    for round_ in range(3):
        running = []
        for repo in (pair.one, pair.other):
            content = f"{repo.root.name} {round_}\n".encode()
            pin(repo, {LOG: content})
            expected.add(sha256(content))
            running.append(subprocess.Popen([ORCHGATE, "evidence", "push"], cwd=repo.root, stdout=subprocess.DEVNULL))
        assert [process.wait() for process in running] == [0, 0]

    assert remote_names(pair) == expected


def test_a_lost_race_is_repeated(pair: Pair) -> None:
    pin(pair.other, {LOG: b"other\n"})
    repository = open_repository(str(pair.one.root), os.environ)
    with Store(repository, os.environ).connect("origin") as connection:
        there = connection.look()
        faster = pair.other.orchgate("evidence", "push").code
        pushed = connection.push(there, [(sha256(b"one\n"), b"one\n")])
    repository.close()

    assert (faster, pushed.races, remote_names(pair)) == (0, 1, {sha256(b"one\n"), sha256(b"other\n")})


def test_artifacts_are_compressed_and_kept_once(pair: Pair) -> None:
    content = b"the same line\n" * 20_000
    pin(pair.one, {LOG: content, f"{RUN}/stages/02-test.log": content})
    pair.one.orchgate("evidence", "push")

    size = int(pair.remote.git("cat-file", "--batch-check=%(objectsize:disk)", stdin=_blob(pair, content)).strip())
    assert (len(remote_names(pair)), size < len(content) / 50) == (1, True)


def _blob(pair: Pair, content: bytes) -> bytes:
    name = sha256(content)
    return f"{REF}:{name[:2]}/{name[2:]}\n".encode()


def test_an_artifact_with_a_token_is_not_sent_and_its_line_is_said(pair: Pair) -> None:
    token = "gh" + "p_" + "a1B2" * 9
    pin(pair.one, {LOG: f"start\nauthorization: {token}\n".encode(), f"{RUN}/stages/02-ok.log": b"ok\n"})

    pushed = pair.one.orchgate("evidence", "push")

    assert (pushed.code, f"{LOG}:2 looks like a secret" in pushed.out, token in pushed.out) == (1, True, False)
    assert remote_names(pair) == {sha256(b"ok\n")}


def test_what_counts_as_a_secret_is_configurable(pair: Pair) -> None:
    pair.one.write("orchgate.toml", "[evidence]\nsecrets = ['hunter[0-9]']\n")
    pin(pair.one, {LOG: b"password hunter2\n"})

    assert pair.one.orchgate("evidence", "push").code == 1


def test_a_pattern_that_is_none_is_wrong_usage(pair: Pair) -> None:
    pair.one.write("orchgate.toml", "[evidence]\nsecrets = ['(']\n")
    pin(pair.one, {LOG: b"x\n"})

    pushed = pair.one.orchgate("evidence", "push")

    assert (pushed.code, "evidence.secrets[0]" in pushed.out) == (2, True)


def test_a_secret_in_a_very_long_line_is_found() -> None:
    token = b"gh" + b"p_" + b"a1B2" * 9
    patterns = search.compiled([r"\bgh[pousr]_[A-Za-z0-9]{36}"])

    assert all(search.first(b"x " * filler + token, patterns) for filler in range(8_000, 8_200))


def test_an_artifact_over_the_limit_is_not_sent(pair: Pair) -> None:
    pair.one.write("orchgate.toml", "[evidence]\nmax-artifact-bytes = 1024\n")
    pin(pair.one, {LOG: b"x" * 2000})

    pushed = pair.one.orchgate("evidence", "push")

    assert (pushed.code, "2000 bytes long, limit 1024" in pushed.out) == (3, True)


def test_an_artifact_that_changed_since_it_was_pinned_is_not_sent(pair: Pair) -> None:
    pin(pair.one, {LOG: b"built\n"})
    pair.one.write(LOG, b"forged\n")

    pushed = pair.one.orchgate("evidence", "push")

    assert (pushed.code, "is not what was pinned" in pushed.out) == (3, True)


def test_a_file_of_lines_that_grew_is_sent_as_it_was_pinned(pair: Pair) -> None:
    pin(pair.one, {".runs/0001-demo/metrics.json": b"{}\n"})
    pair.one.write(".runs/0001-demo/metrics.json", b"{}\n{}\n")
    pair.one.orchgate("evidence", "push")

    assert remote_names(pair) == {sha256(b"{}\n")}


def test_an_artifact_that_is_nowhere_is_named(pair: Pair) -> None:
    pin(pair.one, {LOG: b"built\n"})
    (pair.one.root / LOG).unlink()

    pushed = pair.one.orchgate("evidence", "push")

    assert (pushed.code, "neither on disk nor in the store" in pushed.out) == (3, True)


def test_a_pinned_pipe_does_not_hold_anybody_up(pair: Pair) -> None:
    pin(pair.one, {LOG: b"built\n"})
    (pair.one.root / LOG).unlink()
    os.mkfifo(pair.one.root / LOG)

    assert pair.one.orchgate("evidence", "push").code == 3


def test_a_remote_that_refuses_the_ref_is_named_and_nothing_changes_here(pair: Pair) -> None:
    hook = pair.remote.root / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    pin(pair.one, {LOG: b"built\n"})

    pushed = pair.one.orchgate("evidence", "push")

    assert (pushed.code, "origin refuses refs/orchgate/evidence" in pushed.out) == (3, True), pushed.out
    assert pair.one.attempt("git", "rev-parse", "--verify", "--quiet", REF).code == 1


def test_a_remote_that_is_not_there_is_named(pair: Pair) -> None:
    pin(pair.one, {LOG: b"built\n"})

    pushed = pair.one.orchgate("evidence", "push", str(pair.remote.root) + "-gone")

    assert (pushed.code, "git ls-remote" in pushed.out) == (3, True), pushed.out


def test_no_hook_judges_a_push_of_evidence(pair: Pair) -> None:
    hook = pair.one.root / ".git" / "hooks" / "pre-push"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    pin(pair.one, {LOG: b"built\n"})

    assert pair.one.orchgate("evidence", "push").code == 0


@pytest.mark.slow
def test_a_push_that_is_killed_leaves_the_old_state_or_the_new(pair: Pair) -> None:
    contents = {f"{RUN}/stages/{n:02}-x.log": os.urandom(20_000) for n in range(40)}
    pin(pair.one, contents)
    for wait in (0.02, 0.06, 0.1, 0.15):
        process = subprocess.Popen([ORCHGATE, "evidence", "push"], cwd=pair.one.root, stdout=subprocess.DEVNULL)
        try:
            process.wait(wait)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        refs = pair.remote.git("for-each-ref", "--format=%(refname)", "refs/orchgate").splitlines()
        assert not refs or remote_names(pair) == {sha256(content) for content in contents.values()}

    assert pair.one.orchgate("evidence", "push").code == 0
    assert pair.remote.git("fsck", "--connectivity-only", "--no-dangling") == ""


def test_fetch_leaves_alone_what_differs(pair: Pair) -> None:
    pin(pair.one, {LOG: b"built\n"})
    pair.one.orchgate("evidence", "push")
    share_lock(pair.one, pair.other)
    pair.other.write(LOG, b"mine\n")

    fetched = pair.other.orchgate("evidence", "fetch")

    assert (fetched.code, (pair.other.root / LOG).read_bytes()) == (1, b"mine\n")


def test_fetch_with_force_brings_back_what_was_pinned(pair: Pair) -> None:
    pin(pair.one, {LOG: b"built\n"})
    pair.one.orchgate("evidence", "push")
    pair.one.write(LOG, b"mine\n")

    assert pair.one.orchgate("evidence", "fetch", "--force", LOG).code == 0
    assert (pair.one.root / LOG).read_bytes() == b"built\n"


def test_fetch_names_what_nobody_has_pushed(pair: Pair) -> None:
    pin(pair.one, {LOG: b"built\n"})
    share_lock(pair.one, pair.other)

    fetched = pair.other.orchgate("evidence", "fetch")

    assert (fetched.code, f"missing: {LOG}" in fetched.out) == (3, True)


def test_fetch_does_not_write_through_a_link_that_leads_outside(pair: Pair, tmp_path: Path) -> None:
    pin(pair.one, {LOG: b"built\n"})
    pair.one.orchgate("evidence", "push")
    share_lock(pair.one, pair.other)
    (tmp_path / "elsewhere").mkdir()
    (pair.other.root / ".runs").symlink_to(tmp_path / "elsewhere")

    fetched = pair.other.orchgate("evidence", "fetch")

    assert (fetched.code != 0, list((tmp_path / "elsewhere").iterdir())) == (True, [])


def test_fetch_writes_only_under_the_roots_of_artifacts(pair: Pair) -> None:
    pin(pair.one, {LOG: b"#!/bin/sh\n"})
    pair.one.orchgate("evidence", "push")
    pair.other.write(PATH, render([Pinned("tools/run.sh", sha256(b"#!/bin/sh\n"), 10)]))

    assert pair.other.orchgate("evidence", "fetch").code != 0
    assert not (pair.other.root / "tools").exists()


def test_a_store_with_other_bytes_under_a_name_is_not_believed(pair: Pair) -> None:
    pin(pair.one, {LOG: b"built\n"})
    forged = pair.one.git("hash-object", "-w", "--stdin", stdin=b"forged\n")
    name = sha256(b"built\n")
    inner = pair.one.git("mktree", stdin=f"100644 blob {forged}\t{name[2:]}\n".encode())
    tree = pair.one.git("mktree", stdin=f"040000 tree {inner}\t{name[:2]}\n".encode())
    pair.one.git("push", "--quiet", "origin", f"{pair.one.git('commit-tree', '-m', 'x', tree)}:{REF}")
    share_lock(pair.one, pair.other)

    fetched = pair.other.orchgate("evidence", "fetch")

    assert (fetched.code, "other bytes under the name" in fetched.out) == (3, True)


def test_show_prints_what_is_only_in_the_store(pair: Pair) -> None:
    pin(pair.one, {LOG: b"built\x00\xff\n"})
    pair.one.orchgate("evidence", "push")
    (pair.one.root / LOG).unlink()

    shown = subprocess.run([ORCHGATE, "evidence", "show", LOG], cwd=pair.one.root, capture_output=True, check=True)

    assert shown.stdout == b"built\x00\xff\n"


@pytest.mark.parametrize("link", [LOG, f"`{LOG}`", f"../../{LOG}", f"{LOG}#L3", f"./{LOG}"])
def test_a_link_may_be_given_as_the_document_writes_it(pair: Pair, link: str) -> None:
    pin(pair.one, {LOG: b"built\n"})

    assert pair.one.orchgate("evidence", "show", link).out == "built\n"


def test_show_says_when_an_artifact_is_on_this_disk_only(pair: Pair) -> None:
    pair.one.write(LOG, b"built\n")

    assert "not pinned" in pair.one.orchgate("evidence", "show", LOG).out


def test_a_size_that_a_lock_makes_up_costs_no_memory(pair: Pair) -> None:
    pin(pair.one, {LOG: b"built\n"})
    lock = pair.one.root / PATH
    lock.write_text(lock.read_text().replace('"size": 6', f'"size": {2**52}'))

    shown = pair.one.orchgate("evidence", "show", LOG)

    assert (shown.code, "is not what was pinned" in shown.out) == (3, True)


def test_show_never_writes_over_a_file(pair: Pair) -> None:
    pin(pair.one, {LOG: b"built\n"})

    assert pair.one.orchgate("evidence", "show", LOG, "-o", ".gitignore").code == 3


def test_show_of_what_is_nowhere_says_what_to_do(pair: Pair) -> None:
    pin(pair.one, {LOG: b"built\n"})
    (pair.one.root / LOG).unlink()

    shown = pair.one.orchgate("evidence", "show", LOG)

    assert (shown.code, "orchgate evidence fetch" in shown.out) == (3, True)


def test_push_and_fetch_touch_neither_index_nor_work_tree(pair: Pair) -> None:
    pin(pair.one, {LOG: b"built\n"})
    before = pair.one.git("status", "--porcelain"), (pair.one.root / ".git" / "index").read_bytes()

    pair.one.orchgate("evidence", "push")
    pair.one.orchgate("evidence", "fetch")

    assert (pair.one.git("status", "--porcelain"), (pair.one.root / ".git" / "index").read_bytes()) == before


def test_a_clone_of_another_objects_format_keeps_evidence_too(new_repo: Callable[[str], Repo], tmp_path: Path) -> None:
    one = Repo(tmp_path / "sha256")
    one.root.mkdir()
    one.git("init", "--quiet", "--object-format=sha256", "--initial-branch=main")
    one.commit("start", {".gitignore": ".runs/\n"})
    one.git("remote", "add", "origin", str(clone(one, tmp_path / "sha256.git", "--bare").root))
    pin(one, {LOG: b"built\n"})

    assert one.orchgate("evidence", "push").code == 0


def test_verify_hashes_what_is_in_the_store_too(pair: Pair) -> None:
    pin(pair.one, {LOG: b"built\n"})
    pair.one.orchgate("evidence", "push")

    assert "1 ok, 1 contents in the store" in pair.one.orchgate("evidence", "verify").out


def test_verify_finds_a_content_that_is_damaged_in_the_store(pair: Pair) -> None:
    pin(pair.one, {LOG: b"built\n"})
    forged = pair.one.git("hash-object", "-w", "--stdin", stdin=b"forged\n")
    name = sha256(b"built\n")
    inner = pair.one.git("mktree", stdin=f"100644 blob {forged}\t{name[2:]}\n".encode())
    tree = pair.one.git("mktree", stdin=f"040000 tree {inner}\t{name[:2]}\n".encode())
    pair.one.git("update-ref", REF, pair.one.git("commit-tree", "-m", "x", tree))

    verified = pair.one.orchgate("evidence", "verify")

    assert (verified.code, f"damaged in the store: {LOG}" in verified.out) == (3, True)
