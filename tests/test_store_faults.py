"""Evidence on its way through what goes wrong: stale locks, foreign objects, kills, unwilling or silent servers."""

from __future__ import annotations

import contextlib
import hashlib
import os
import pty
import signal
import socket
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from orchgate.git.store.contents import REF
from tests.repo import ORCHGATE, Repo, clone
from tests.runs import until
from tests.test_store_sends import Place, arrived, artifact, name, place, stored

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.slow
__all__ = ["place"]  # the fixture


def left_behind(repo: Repo) -> list[str]:
    """Temporary files and references of ours in a repository."""
    found = [
        os.path.join(folder, one)
        for folder, folders, files in os.walk(repo.root / ".git")
        for one in (*folders, *files)
        if one.startswith(("tmp_", "fast_import_crash")) or one.endswith(".lock")
    ]
    return found + repo.git("for-each-ref", "--format=%(refname)", "refs/orchgate/incoming").splitlines()


def twice(place: Place, verb: str, *words: str) -> str:
    """Runs a verb a second time, which has to succeed; all it says."""
    done = place.repo.orchgate("evidence", verb, *words)
    assert done.code == 0, done.out
    return done.out


# Locks


@pytest.mark.parametrize("lock", ["packed-refs.lock", "shallow.lock", "index.lock", "HEAD.lock", "config.lock"])
def test_a_lock_of_something_else_is_in_nobodys_way(place: Place, lock: str) -> None:
    place.push("origin", "one")
    place.repo.write(f".git/{lock}", "")
    place.push("origin", "two")
    twice(place, "fetch")
    assert stored(place.remote("origin")) == {name("one"), name("two")}


def test_a_push_past_a_lock_that_was_left_behind_sends_and_names_it(place: Place) -> None:
    place.remote("origin")
    lock = f".git/{REF}.lock"
    place.repo.write(lock, "")
    said = place.push("origin", "one")
    assert (arrived(place.remote("origin")), f"rm {place.repo.root / lock}" in said) == ({"one"}, True), said


def test_a_fetch_past_a_lock_that_was_left_behind_writes_and_names_it(place: Place) -> None:
    place.push("origin", "one")
    place.repo.git("update-ref", "-d", REF)
    (place.repo.root / artifact("one")).unlink()
    lock = f".git/{REF}.lock"
    place.repo.write(lock, "")

    said = twice(place, "fetch")

    assert (f"rm {place.repo.root / lock}" in said, (place.repo.root / artifact("one")).exists()) == (True, True), said


def test_a_lock_on_the_server_is_named_in_its_own_words(place: Place) -> None:
    remote = place.remote("origin")
    remote.write(f"{REF}.lock", "")
    place.pin("one")
    pushed = place.repo.orchgate("evidence", "push")
    assert (pushed.code, f"{REF}.lock': File exists" in pushed.out) == (3, True), pushed.out


# Foreign objects


def plant(place: Place, kind: str, repo: Repo) -> str:
    """Lets the reference name what it should not; the object's id."""
    git = repo.git
    good = git("hash-object", "-w", "--stdin", stdin=b"good\n")
    odd = git("hash-object", "-w", "--stdin", stdin=b"odd\n")

    def tree(*entries: str) -> str:
        return git("mktree", "--missing", stdin="".join(f"{entry}\n" for entry in entries).encode())

    def folder(word: str, rest: str = "", mode: str = "100644 blob", oid: str = good) -> str:
        return f"040000 tree {tree(f'{mode} {oid}{chr(9)}{name(word)[2:] + rest}')}\t{name(word)[:2]}"

    head = place.repo.git("rev-parse", "HEAD")
    entries = {
        "readme": [folder("good"), f"100644 blob {odd}\tREADME.md"],
        "deep": [folder("good"), f"040000 tree {tree(folder('odd'))}\tzz"],
        "executable": [folder("good", mode="100755 blob")],
        "link": [folder("good"), folder("odd", mode="120000 blob", oid=odd)],
        "submodule": [folder("good"), folder("odd", mode="160000 commit", oid=head)],
        "short": [folder("good"), folder("odd", rest="0", oid=odd)],
        "upper": [folder("good"), folder("odd").replace(f"\t{name('odd')[:2]}", "\tEF")],
        "wrong": [folder("good"), folder("odd", oid=good)],
        "source": [f"100644 blob {odd}\tmain.py"],
        "empty": [],
    }
    made = {one: git("commit-tree", "-m", "x", tree(*lines)) for one, lines in entries.items()}
    made["tree"] = git("rev-parse", f"{made['readme']}^{{tree}}")
    made["blob"] = odd
    for one, target, type_ in (("tag", made["readme"], "commit"), ("tag of a blob", odd, "blob")):
        text = f"object {target}\ntype {type_}\ntag x\ntagger A <a@b> 0 +0000\n\nx\n"
        made[one] = git("mktag", stdin=text.encode())
    git("update-ref", "--no-deref", REF, made[kind])
    return made[kind]


HOLDING = ["readme", "deep", "executable", "link", "submodule", "short", "upper", "wrong", "tree", "tag"]
NOTHING = ["source", "blob", "tag of a blob"]


@pytest.mark.parametrize("kind", HOLDING)
def test_what_a_remote_holds_beside_foreign_things_is_used(place: Place, kind: str) -> None:
    plant(place, kind, place.remote("origin"))
    place.pin("good")
    (place.repo.root / artifact("good")).unlink()

    fetched = place.repo.orchgate("evidence", "fetch")

    tracked = place.repo.git("ls-tree", "-r", REF).splitlines()
    assert (fetched.code, [line.split()[0] for line in tracked]) == (0, ["100644"]), fetched.out
    assert (place.repo.root / artifact("good")).read_bytes() == b"good\n"


@pytest.mark.parametrize("kind", [*HOLDING, "empty"])
def test_a_push_leaves_out_what_is_foreign_on_the_remote(place: Place, kind: str) -> None:
    remote = place.remote("origin")
    plant(place, kind, remote)
    place.push("origin", "one")
    expected = {name("one")} if kind == "empty" else {name("good"), name("one")}
    assert stored(remote) == expected


@pytest.mark.parametrize("kind", NOTHING)
def test_a_push_onto_something_else_names_the_command_that_removes_it(place: Place, kind: str) -> None:
    remote = place.remote("origin")
    oid = plant(place, kind, remote)
    place.pin("one")

    pushed = place.repo.orchgate("evidence", "push")

    assert (pushed.code, remote.git("rev-parse", REF), "no evidence" in pushed.out) == (3, oid, True), pushed.out
    command = pushed.out.rpartition("hint: ")[2].strip()
    assert place.repo.attempt("sh", "-c", command).code == 0
    twice(place, "push")
    assert stored(remote) == {name("one")}


@pytest.mark.parametrize("kind", NOTHING)
def test_a_fetch_of_something_else_says_what_it_is(place: Place, kind: str) -> None:
    plant(place, kind, place.remote("origin"))
    place.pin("one")
    (place.repo.root / artifact("one")).unlink()
    fetched = place.repo.orchgate("evidence", "fetch")
    assert (fetched.code, "no evidence" in fetched.out) == (3, True), fetched.out


@pytest.mark.parametrize("kind", [*HOLDING, *NOTHING, "empty"])
def test_foreign_things_in_our_own_reference_do_not_travel(place: Place, kind: str) -> None:
    remote = place.remote("origin")
    plant(place, kind, place.repo)
    place.push("origin", "one")
    assert (arrived(remote), remote.git("rev-list", "--count", REF)) == ({"one"}, "1")


@pytest.mark.parametrize("kind", [*HOLDING, *NOTHING, "empty"])
@pytest.mark.parametrize("line", ["verify", f"show {artifact('good')}", "pin --check", "fetch"])
def test_every_verb_has_a_named_outcome_for_our_own_reference(place: Place, kind: str, line: str) -> None:
    place.push("origin", "good")
    plant(place, kind, place.repo)
    assert place.repo.orchgate("evidence", *line.split()).code in {0, 1, 3}


def test_a_content_under_a_wrong_name_is_not_taken_and_put_right_by_a_push(place: Place) -> None:
    remote = place.remote("origin")
    plant(place, "wrong", remote)
    place.pin("odd")
    (place.repo.root / artifact("odd")).unlink()
    fetched = place.repo.orchgate("evidence", "fetch")
    said = place.push("origin", "odd")

    assert (fetched.code, "other bytes under the name" in fetched.out) == (3, True), fetched.out
    assert "1 artifact sent" in said
    word = name("odd")
    assert remote.git("cat-file", "blob", f"{REF}:{word[:2]}/{word[2:]}") == "odd"


def test_our_own_reference_that_stands_for_a_branch_leaves_the_branch_alone(place: Place) -> None:
    before = place.repo.git("rev-parse", "main")
    place.repo.git("symbolic-ref", REF, "refs/heads/main")
    place.push("origin", "one")
    assert (place.repo.git("rev-parse", "main"), arrived(place.remote("origin"))) == (before, {"one"})


def test_our_own_reference_to_what_is_not_here_names_the_command(place: Place) -> None:
    place.push("origin", "one")
    place.repo.write(f".git/{REF}", "1" * 40 + "\n")
    fetched = place.repo.orchgate("evidence", "fetch")
    command = fetched.out.rpartition("hint: ")[2].strip()
    assert (fetched.code, place.repo.attempt("sh", "-c", command).code) == (3, 0), fetched.out
    twice(place, "fetch")


def test_a_tree_that_unfolds_without_end_costs_nothing(place: Place) -> None:
    remote = place.remote("origin")
    inner = remote.git("hash-object", "-w", "--stdin", stdin=b"x")
    kind = "100644 blob"
    for _ in range(30):
        lines = "".join(f"{kind} {inner}\t{number:02x}\n" for number in range(10))
        inner, kind = remote.git("mktree", stdin=lines.encode()), "040000 tree"
    remote.git("update-ref", REF, remote.git("commit-tree", "-m", "x", inner))
    place.pin("one")
    assert place.repo.orchgate("evidence", "push").code == 3


# Kills


def killed(place: Place, verb: str, number: signal.Signals, seconds: float) -> None:
    running = subprocess.Popen(
        [ORCHGATE, "evidence", verb], cwd=place.repo.root, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    with contextlib.suppress(subprocess.TimeoutExpired):
        running.wait(seconds)
    running.send_signal(number)
    running.wait()


@pytest.mark.parametrize("verb", ["push", "fetch"])
def test_whenever_it_is_killed_a_second_call_tidies_up(place: Place, tmp_path: Path, verb: str) -> None:
    words = [f"w{number}" for number in range(150)]
    place.remote("origin")
    if verb == "fetch":
        other = clone(place.repo, tmp_path / "other")
        other.git("remote", "set-url", "origin", str(place.remote("origin").root))
        place.pin(*words, repo=other)
        assert other.orchgate("evidence", "push").code == 0
    place.pin(*words)
    for step in range(8):
        killed(place, verb, signal.SIGKILL, 0.1 + 0.06 * step)
    twice(place, verb)
    until(lambda: not left_behind(place.repo))
    fsck = place.repo.git("fsck", "--no-dangling")
    assert (fsck, stored(place.remote("origin"))) == ("", {name(word) for word in words})


def test_what_somebody_who_lives_has_aside_stays(place: Place) -> None:
    aside = place.repo.root / ".git" / "objects" / f"tmp_objdir-orchgate-{'0' * 12}-1-abc"
    aside.mkdir()
    place.push("origin", "one")
    assert aside.exists()


def test_references_that_an_older_version_left_are_swept(place: Place) -> None:
    place.repo.git("update-ref", "refs/orchgate/incoming/abc", "HEAD")
    place.push("origin", "one")
    assert left_behind(place.repo) == []


def test_two_fetches_at_once_do_not_meet(place: Place) -> None:
    place.push("origin", *[f"w{number}" for number in range(30)])
    place.repo.git("update-ref", "-d", REF)
    running = [subprocess.Popen([ORCHGATE, "evidence", "fetch"], cwd=place.repo.root) for _ in range(4)]
    assert ([one.wait() for one in running], left_behind(place.repo)) == ([0] * 4, [])


# Servers


@pytest.fixture
def silent() -> Iterator[str]:
    """Address of a server that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"127.0.0.1:{listener.getsockname()[1]}"


def children(words: bytes) -> list[int]:
    """Living processes with some words in their command line."""
    found = []
    for entry in os.listdir("/proc"):
        with contextlib.suppress(OSError):
            if entry.isdigit():
                with open(f"/proc/{entry}/cmdline", "rb") as file:
                    if words in file.read():
                        found.append(int(entry))
    return found


@pytest.mark.parametrize("scheme", ["git", "http"])
@pytest.mark.parametrize("verb", ["push", "fetch"])
def test_a_server_that_says_nothing_is_given_up(place: Place, silent: str, scheme: str, verb: str) -> None:
    address = f"{scheme}://{silent}/x.git"
    place.pin("one")

    done = place.repo.orchgate("evidence", verb, "--remote", address, "--timeout", "1")

    assert (done.code, "nothing was heard for 1 s" in done.out, children(silent.encode())) == (3, True, []), done.out


# Of ourselves, whoever guards, git and its two helpers, so many are there when the signal comes.
@pytest.mark.parametrize("met", [1, 2, 3, 4])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_git_and_its_helpers_end_with_us(place: Place, silent: str, number: signal.Signals, met: int) -> None:
    place.pin("one")
    running = subprocess.Popen(
        [ORCHGATE, "evidence", "push", f"http://{silent}/x.git"],
        cwd=place.repo.root,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    until(lambda: len(children(silent.encode())) > met)
    running.send_signal(number)

    code = running.wait()

    assert code == (-9 if number is signal.SIGKILL else 130)
    until(lambda: not children(silent.encode()))


def hooked(place: Place, script: str, name_: str = "pre-receive") -> Repo:
    remote = place.remote("origin")
    remote.write(f"hooks/{name_}", f"#!/bin/sh\n{script}\n")
    (remote.root / "hooks" / name_).chmod(0o755)
    place.pin("one")
    return remote


def test_a_refusing_server_is_quoted(place: Place) -> None:
    hooked(place, "echo 'GH013: Repository rule violations found' >&2; echo 'see https://example.org/x' >&2; exit 1")
    pushed = place.repo.orchgate("evidence", "push")
    assert ("remote: GH013: Repository rule violations found" in pushed.out, "example.org/x" in pushed.out) == (
        True,
        True,
    )
    assert (pushed.code, "pre-receive hook declined" in pushed.out) == (3, True), pushed.out


def test_a_server_that_takes_it_may_speak_too(place: Place) -> None:
    hooked(place, "echo 'this remote is to be archived' >&2")
    pushed = place.repo.orchgate("evidence", "push")
    assert (pushed.code, "remote: this remote is to be archived" in pushed.out) == (0, True), pushed.out


def test_the_words_of_a_server_do_not_reach_the_terminal_as_they_are(place: Place) -> None:
    hooked(place, r"printf '\033[2Jgone\n' >&2; exit 1")
    pushed = place.repo.orchgate("evidence", "push")
    assert ("\x1b" in pushed.out, "gone" in pushed.out) == (False, True)


def test_a_server_that_talks_without_end_is_cut_short(place: Place) -> None:
    hooked(
        place, 'i=0; while [ $i -lt 3000 ]; do echo "line $i xxxxxxxxxxxxxxxxxxxxxxxx"; i=$((i+1)); done >&2; exit 1'
    )
    assert len(place.repo.orchgate("evidence", "push").out.splitlines()) < 30


def test_a_pack_that_is_too_large_for_a_server_is_said(place: Place) -> None:
    remote = place.remote("origin")
    remote.git("config", "receive.maxInputSize", "10")
    place.pin("one")
    pushed = place.repo.orchgate("evidence", "push")
    assert (pushed.code, "pack exceeds maximum allowed size" in pushed.out) == (3, True), pushed.out


def test_a_server_that_hides_the_reference_is_quoted(place: Place) -> None:
    place.remote("origin").git("config", "transfer.hideRefs", "refs/orchgate")
    place.pin("one")
    pushed = place.repo.orchgate("evidence", "push")
    assert (pushed.code, "hidden ref" in pushed.out) == (3, True), pushed.out


def test_a_slow_hook_that_speaks_is_waited_for(place: Place) -> None:
    hooked(place, "for i in 1 2 3 4 5; do echo $i >&2; sleep 0.7; done")
    assert place.repo.orchgate("evidence", "push", "--timeout", "3").code == 0


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "soon"])
def test_a_timeout_that_is_none_is_wrong_usage(place: Place, text: str) -> None:
    place.pin("one")
    assert place.repo.orchgate("evidence", "push", f"--timeout={text}").code == 2


# Room


@pytest.mark.parametrize("verb", ["push", "fetch"])
def test_without_room_nothing_is_half_written(place: Place, tmp_path: Path, verb: str) -> None:
    place.push("origin", "small")
    other = clone(place.repo, tmp_path / "other")
    other.git("remote", "set-url", "origin", str(place.remote("origin").root))
    content = os.urandom(3_000_000).hex()
    place.push("origin", content[:100], "small")
    other.write(".orchgate/evidence.lock", (place.repo.root / ".orchgate" / "evidence.lock").read_bytes())
    place.repo.write("big", content)
    if verb == "push":
        place.pin("small")
        place.repo.write(artifact("small"), content.encode())
        lock = f'{{"evidence-lock": 1}}\n{{"path": "{artifact("small")}", "sha256": "'
        digest = hashlib.sha256(content.encode()).hexdigest()
        place.repo.write(".orchgate/evidence.lock", f'{lock}{digest}", "size": {len(content)}}}\n')
    repo = place.repo if verb == "push" else other
    limit = "200" if verb == "push" else "0"

    done = repo.attempt("sh", "-c", f'ulimit -f {limit}; trap "" XFSZ; exec {ORCHGATE} evidence {verb}')

    assert (done.code, left_behind(repo), repo.git("fsck", "--no-dangling")) == (3, [], ""), done.out


# People


class Unauthorised(BaseHTTPRequestHandler):
    """A server that asks everybody for a password, and takes none."""

    def do_GET(self) -> None:
        self.send_response(401)
        self.send_header("WWW-Authenticate", 'Basic realm="x"')
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def test_nobody_who_is_asked_for_a_password_is_hurried(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.pin("one")
    monkeypatch.setenv("GIT_TERMINAL_PROMPT", "1")
    with ThreadingHTTPServer(("127.0.0.1", 0), Unauthorised) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/x.git"
        pid, terminal = pty.fork()
        if pid == 0:
            os.chdir(place.repo.root)
            os.execv(ORCHGATE, [ORCHGATE, "evidence", "push", address, "--timeout", "0.5"])
        said = b""
        for prompt in (b"Username", b"Password"):
            while prompt not in said:
                said += os.read(terminal, 4096)
            time.sleep(2)
            os.write(terminal, b"ada\n")
        with contextlib.suppress(OSError):
            while data := os.read(terminal, 4096):
                said += data
        _, status = os.waitpid(pid, 0)
        server.shutdown()

    assert (os.waitstatus_to_exitcode(status), b"Authentication failed" in said) == (3, True), said


def test_a_silent_program_for_the_other_side_is_given_up(place: Place) -> None:
    place.pin("one")
    done = place.repo.orchgate(
        "evidence", "push", "ssh://x/y.git", "--timeout", "1", env={"GIT_SSH_COMMAND": "sh -c 'sleep 987.6; :'"}
    )
    assert (done.code, "nothing was heard for 1 s" in done.out, children(b"987.6")) == (3, True, []), done.out


def test_we_end_with_a_git_that_somebody_killed(place: Place, silent: str) -> None:
    place.pin("one")
    running = subprocess.Popen(
        [ORCHGATE, "evidence", "push", f"http://{silent}/x.git"],
        cwd=place.repo.root,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    until(lambda: len(children(silent.encode())) > 2)
    for pid in children(silent.encode()):
        with contextlib.suppress(OSError):
            if int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]) == running.pid:
                os.kill(pid, signal.SIGKILL)

    said, _ = running.communicate()

    for pid in children(silent.encode()):  # which nobody had the time to see
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGKILL)
    assert (running.returncode, b"ended by signal 9" in said) == (3, True), said
