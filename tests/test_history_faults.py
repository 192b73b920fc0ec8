"""A history through what goes wrong: damage, strangers' segments, unwilling servers, wrong clocks, kills."""

from __future__ import annotations

import datetime
import json
import os
import shutil
import signal
from typing import TYPE_CHECKING, Any

import pytest

from orchgate.git.store import contents
from orchgate.history.git_store import HISTORY
from tests.histories import (
    TASK,
    Clones,
    clones,
    line,
    named,
    names,
    plant,
    show,
    told,
    write_lines,
)
from tests.repo import ORCHGATE, Repo
from tests.runs import until

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

pytestmark = pytest.mark.slow


@pytest.fixture
def made(new_repo: Callable[[str], Repo], tmp_path: Path) -> Clones:
    """Clones of a remote that has a run already."""
    found = clones(new_repo("seed"), tmp_path)
    write_lines(found.one, [line(0)])
    told(found.one, "push")
    return found


def state(repo: Repo) -> tuple[str, ...]:
    """What nothing that goes wrong may change."""
    metrics = repo.root / ".runs" / TASK / "metrics.json"
    assert repo.git("fsck", "--no-dangling", "--no-progress") == ""
    return (
        repo.git("for-each-ref"),
        repo.git("status", "--porcelain", "--ignored"),
        metrics.read_text() if metrics.exists() else "",
    )


def messages(document: dict[str, Any]) -> str:
    return "\n".join([*(one["message"] for one in document["problems"]), *document["notes"]])


# Servers


def test_a_remote_that_is_not_reached_harms_nothing(made: Clones) -> None:
    write_lines(made.one, [line(0), line(1)])
    made.one.git("remote", "set-url", "origin", str(made.one.root / "nowhere"))
    before = state(made.one)

    for verb in ("push", "fetch", "compact"):
        refused = told(made.one, verb, code=3)
        assert "nowhere" in refused["error"]["message"], refused
    assert "nowhere" in told(made.one, "show", "--from", "git", code=3)["error"]["message"]

    assert state(made.one) == before
    assert [row["runs"] for row in show(made.one)] == [2]


def test_a_remote_that_can_only_be_read_says_so_in_its_own_words(made: Clones) -> None:
    made.remote.write("hooks/pre-receive", "#!/bin/sh\necho this is a mirror >&2\nexit 1\n")
    (made.remote.root / "hooks/pre-receive").chmod(0o755)
    write_lines(made.one, [line(0), line(1)])
    before = state(made.one)

    pushed = made.one.orchgate("history", "push")

    assert (pushed.code, "remote: this is a mirror" in pushed.out) == (3, True), pushed.out
    assert "deprecated" not in pushed.out  # of how we call git
    assert (state(made.one), told(made.third, "fetch")["run_count"]) == (before, 1)


def test_a_repository_without_a_name_or_a_remote_shows_its_own_runs_and_pushes_none(
    new_repo: Callable[[str], Repo],
) -> None:
    alone = new_repo("alone")
    alone.commit("start", {".gitignore": "/.runs/\n"})
    write_lines(alone, [line(0)])

    refused = told(alone, "push", code=2)

    assert ("[history]" in refused["error"]["hint"], [row["runs"] for row in show(alone)]) == (True, [1])


def test_the_configured_name_travels(made: Clones) -> None:
    made.other.write("orchgate.toml", '[history]\nrepository = "owner/name"\n')
    write_lines(made.other, [line(7)])

    told(made.other, "push")

    assert any("/repo=owner%2Fname/" in f"/{name}" for name in names(made.remote))
    made.other.write("orchgate.toml", '[history]\nrepository = "/home/alice/name"\n')
    assert told(made.other, "push", code=2)["error"]["code"] == "configuration"


def test_a_store_that_there_is_none_of_is_named(made: Clones) -> None:
    refused = told(made.one, "push", "--to", "ftp://host", code=2)
    assert "ftp: stores of this kind are not known" in refused["error"]["message"]
    made.one.write("orchgate.toml", '[history]\nto = "ftp://host"\n')
    assert "history.to" in told(made.one, "fetch", code=2)["error"]["message"]


# What the reference may hold


def segment(*lines: dict[str, Any], **head: Any) -> bytes:
    known = {
        "history": 1,
        "repository": "remote",
        "machine": "0123456789abcdef",
        "month": "2026-03",
        "runs": len(lines),
    }
    return b"".join(json.dumps(one).encode() + b"\n" for one in (known | head, *lines))


def start(run: int = 0) -> str:
    return f"0123456789abcdef-{line(run)['run_id']}"


def test_other_bytes_than_a_name_says_are_not_taken(made: Clones) -> None:
    (good,) = names(made.remote)
    cut = made.remote.git("show", f"{HISTORY.ref}:{good}").encode()[:-40]
    made.remote.git("update-ref", "-d", HISTORY.ref)
    plant(made.remote, {good: cut})

    fetched = told(made.third, "fetch", code=3)

    assert [(one["code"], one["path"]) for one in fetched["problems"]] == [("damaged_segment", good)]
    assert (names(made.third), show(made.third)) == ([], [])
    assert told(made.third, "show", "--from", "git", code=3)["rows"] == []
    assert told(made.third, "verify", "--from", "git", code=1)["verdict"] == "fail"


def test_a_push_heals_what_was_damaged_on_the_remote(made: Clones) -> None:
    (good,) = names(made.remote)
    made.remote.git("update-ref", "-d", HISTORY.ref)
    plant(made.remote, {good: b"half"})

    told(made.one, "push")

    assert told(made.third, "fetch")["run_count"] == 1


ODD = {
    "half": segment(line(5), runs=2),
    "another version": segment(line(5), history=9),
    "text": b"hello\n",
    "a million runs": segment(line(5), runs=1_000_000),
    "very long": b'{"history":1}\n' + b" " * (40 << 20),
}


@pytest.mark.parametrize("kind", ODD)
def test_a_segment_that_cannot_be_read_is_named_and_the_others_count(made: Clones, kind: str) -> None:
    odd = named(ODD[kind], start=start(5))
    plant(made.remote, {odd: ODD[kind]})

    fetched = told(made.third, "fetch", code=3)
    shown = told(made.third, "show", code=3)
    verified = told(made.third, "verify", code=1)

    assert [[one["path"] for one in each["problems"]] for each in (fetched, shown, verified)] == [[odd]] * 3
    assert [row["runs"] for row in shown["rows"]] == [1]
    write_lines(made.other, [line(9)])
    assert told(made.other, "push")["sent_run_count"] == 1
    compacted = told(made.one, "compact", code=3)
    assert (compacted["new_segment_count"], odd in names(made.remote)) == (1, True)


def test_half_a_million_lines_in_one_segment_are_not_read(made: Clones) -> None:
    many = segment(*(line(number) for number in range(501)))
    plant(made.remote, {named(many, start=start(0)): many})

    shown = told(made.third, "show", "--from", "git", code=3)

    assert "at most 500" in messages(shown)


def entries(repo: Repo, *rows: tuple[str, str, str]) -> str:
    """A tree of any entries, whatever git thinks of their names: mode, name and object id."""
    data = b"".join(f"{mode} {name}".encode() + b"\0" + bytes.fromhex(oid) for mode, name, oid in rows)
    return repo.git("hash-object", "-t", "tree", "-w", "--stdin", "--literally", stdin=data)


HOSTILE = ["..", ".", ".git", "a" * 100_000, "a\nb", "\x1b[31mred", "C:\\x", "-rf", "repo=..", "month=9999-99", "é"]


@pytest.mark.parametrize("name", HOSTILE, ids=[f"{one[:8]!r}" for one in HOSTILE])
def test_names_that_are_none_are_left_out(made: Clones, name: str) -> None:
    data = segment(line(5))
    blob = made.remote.git("hash-object", "-w", "--stdin", stdin=data)
    top = entries(made.remote, ("100644", name, blob))
    for _ in range(2):
        top = entries(made.remote, ("40000", name, top), ("100644", "zz", blob))
    held = made.remote.git("ls-tree", HISTORY.ref).split()[2]
    whole = entries(made.remote, ("40000", name, top), ("40000", "v1", held), ("100644", "~", blob))
    made.remote.git("update-ref", HISTORY.ref, made.remote.git("commit-tree", "-m", "x", whole))
    before = sorted(os.listdir(made.third.root))

    shown = made.third.orchgate("history", "show", "--from", "git", "--output-format", "json")
    fetched = made.third.orchgate("history", "fetch")

    assert (shown.code, [row["runs"] for row in json.loads(shown.out[shown.out.index("{") :])["rows"]]) == (0, [1])
    assert "what is no history" in fetched.out
    assert "\x1b" not in fetched.out
    assert (sorted(os.listdir(made.third.root)), len(names(made.third))) == (before, 1)


def test_a_tree_that_repeats_itself_without_end_is_refused(made: Clones) -> None:
    blob = made.remote.git("hash-object", "-w", "--stdin", stdin=b"x")
    tree = entries(made.remote, *(("100644", f"a-{number:064x}.jsonl", blob) for number in range(2000)))
    months = [f"month={2000 + number // 12}-{number % 12 + 1:02d}" for number in range(1200)]
    tree = entries(made.remote, *(("40000", month, tree) for month in months))
    tree = entries(made.remote, *(("40000", f"repo={number:04d}", tree) for number in range(1000)))
    whole = entries(made.remote, ("40000", "v1", tree))
    made.remote.git("update-ref", HISTORY.ref, made.remote.git("commit-tree", "-m", "x", whole))

    refused = told(made.third, "fetch", code=3)

    assert f"{contents.MOST_ENTRIES:,} entries" in refused["error"]["message"]
    assert "--force-with-lease" in refused["error"]["hint"]


def test_what_is_no_history_at_all_is_not_pushed_to(made: Clones) -> None:
    made.remote.git("update-ref", HISTORY.ref, made.remote.git("rev-parse", "main"))
    write_lines(made.one, [line(1)])

    refused = told(made.one, "push", code=3)

    assert "names a commit that is no history" in refused["error"]["message"]


def test_an_own_reference_that_is_not_all_here_says_how_it_is_repaired(made: Clones) -> None:
    told(made.third, "fetch")
    oid = made.third.git("rev-parse", f"{HISTORY.ref}:v1")
    made.third.git("repack", "-adq")
    (pack,) = (made.third.root / ".git/objects/pack").glob("*.pack")
    aside = pack.rename(made.third.root / "aside.pack")
    made.third.git("unpack-objects", "-q", stdin=aside.read_bytes())
    (made.third.root / ".git/objects" / oid[:2] / oid[2:]).unlink()

    refused = told(made.third, "show", code=3)
    made.third.git(*refused["error"]["hint"].split()[1:])
    told(made.third, "fetch")

    assert [row["runs"] for row in show(made.third)] == [1]


# Runs


def test_runs_of_the_future_and_of_long_ago_are_named_and_kept_out(made: Clones) -> None:
    ahead = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=3)
    future = line(1, run_id="2099-01-01T00-00-00-000Z-00000001", started_at=ahead.isoformat(), completed_at=None)
    past = line(2, run_id="1999-01-01T00-00-00-000Z-00000002", started_at="1999-01-01T00:00:00Z", completed_at=None)
    backwards = line(3, run_id="2026-03-02T00-00-00-000Z-00000003", completed_at="2026-01-01T00:00:00Z")
    write_lines(made.other, [future, past, backwards, line(4)])

    pushed = told(made.other, "push")
    shown = told(made.other, "show")

    for document in (pushed, shown):
        assert [run in messages(document) for run in (future["run_id"], past["run_id"], backwards["run_id"])] == [
            True
        ] * 3
    assert (pushed["sent_run_count"], [row["runs"] for row in shown["rows"]]) == (1, [2])  # one came from the remote


def test_a_run_of_the_future_that_a_machine_with_a_wrong_clock_pushed_is_named_and_kept_out(made: Clones) -> None:
    future = line(1, run_id="x-1", started_at="2999-03-01T00:00:00Z", completed_at=None, machine="a")
    data = segment(future, month="2999-03", machine="a")
    plant(made.remote, {named(data, "2999-03", start="a-x-1"): data})
    told(made.third, "fetch")

    shown, verified = told(made.third, "show"), told(made.third, "verify")

    assert [row["runs"] for row in shown["rows"]] == [1]
    assert ["x-1 is dated in the future" in messages(one) for one in (shown, verified)] == [True, True]


def test_entries_of_other_versions_and_what_are_none_are_named_and_kept_out(made: Clones) -> None:
    odd: list[dict[str, Any] | bytes] = [
        line(2, entry=2),
        b"hello",
        b'{"run_id":"x"}',
        line(3, wall_seconds=-1),
        line(5, run_id="../../x"),
        b"\xff\x00",
    ]
    write_lines(made.other, [*odd, line(4, commit=None), line(6)])
    path = made.other.root / ".runs" / TASK / "metrics.json"
    path.write_bytes(path.read_bytes() + b'{"entry":1,"run_id":"torn')

    pushed = told(made.other, "push")

    said = messages(pushed)
    assert pushed["sent_run_count"] == 1
    assert [
        one
        for one in (
            "entry of another version",
            "not JSON",
            "missing field",
            "impossible value",
            "not UTF-8",
            "../../x",
            "before there was a commit",
        )
        if one not in said
    ] == []


def test_an_entry_of_another_version_in_a_segment_is_named_and_kept_out(made: Clones) -> None:
    data = segment(line(5, entry=2), line(6))
    plant(made.remote, {named(data, start=start(5)): data})
    told(made.third, "fetch")

    shown = told(made.third, "show")

    assert ([row["runs"] for row in shown["rows"]], "another version (2)" in messages(shown)) == ([2], True)


def test_runs_of_another_project_that_a_link_leads_to_stay_there(made: Clones) -> None:
    write_lines(made.other, [line(6)])
    (made.other.root / ".runs/0002-odd").symlink_to(made.one.root / ".runs" / TASK)

    pushed = told(made.other, "push", code=3)

    assert (pushed["sent_run_count"], "0002-odd" in messages(pushed)) == (1, True)


@pytest.mark.parametrize("kind", ["folder", "pipe", "long line"])
def test_metrics_that_cannot_be_read_are_named_and_the_others_travel(made: Clones, kind: str) -> None:
    write_lines(made.other, [line(6)])
    path = made.other.root / ".runs/0002-odd/metrics.json"
    path.parent.mkdir()
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.write_bytes(b"x" * (20 << 20) + b"\n")

    pushed = told(made.other, "push", code=0 if kind == "long line" else 3)

    assert (pushed["sent_run_count"], len(pushed["problems"])) == (1, 1)
    assert "0002-odd" in messages(pushed)


def test_two_repositories_that_share_a_name_and_a_store_are_kept_apart(
    made: Clones, new_repo: Callable[[str], Repo]
) -> None:
    stranger = new_repo("stranger")
    stranger.commit("another beginning", {".gitignore": "/.runs/\n"})
    stranger.git("remote", "add", "origin", str(made.remote.root))
    write_lines(stranger, [line(0), line(1)])

    assert told(stranger, "push")["sent_run_count"] == 2
    shown = told(made.third, "show", "--from", "git", "--by", "repository")

    assert [row["runs"] for row in shown["rows"]] in ([1, 2], [2, 1])
    assert all(row["repository"].startswith("remote (roots ") for row in shown["rows"])
    assert "several repositories are called remote" in messages(shown)


def test_a_shallow_clone_pushes_runs_of_the_same_repository(made: Clones, tmp_path: Path) -> None:
    made.one.commit("second")
    made.one.git("push", "-q", "origin", "HEAD")
    made.one.git("clone", "-q", "--depth=1", f"file://{made.remote.root}", str(tmp_path / "shallow"))
    shallow = Repo(tmp_path / "shallow")
    write_lines(shallow, [line(0), line(3)])

    pushed = told(shallow, "push")

    assert (pushed["sent_run_count"], pushed["stored_run_count"]) == (1, 1)
    rows = told(made.third, "show", "--from", "git", "--by", "repository")["rows"]
    assert [(row["repository"], row["runs"]) for row in rows] == [("remote", 2)]


TOKEN = "ghp_" + "0123456789abcdefghijABCDEFGHIJ012345"


@pytest.mark.parametrize(
    "fields",
    [
        {"pipeline_id": f"deploy {TOKEN}"},
        {"benchmarks": [{"name": "fast", "value": 1}, {"name": f"curl -H {TOKEN}", "value": 1}]},
        {"benchmarks": [{"name": "fast", "value": 1, "stage": TOKEN}]},
        {"stages": [{"id": "build", "status": "succeeded", "metrics": {TOKEN: 1}}]},
    ],
)
def test_a_run_whose_name_looks_like_a_secret_stays_here(made: Clones, fields: Mapping[str, Any]) -> None:
    token = TOKEN
    write_lines(made.other, [line(1, **fields), line(2)])

    pushed = told(made.other, "push", code=1)

    assert (pushed["sent_run_count"], [one["code"] for one in pushed["problems"]]) == (1, ["secret"])
    assert token not in json.dumps(pushed)
    held = "".join(made.remote.git("show", f"{HISTORY.ref}:{name}") for name in names(made.remote))
    assert token not in held


# Kills


WRAPPER = """#!/bin/sh
# git, which kills whoever calls it at the time that is asked for, and then does its work or does not.
count=$(($(cat "$KILLED/count") + 1))
echo $count > "$KILLED/count"
if [ $count = "$KILLED_AT" ]; then
    echo $$ > "$KILLED/pid"
    kill -9 $PPID
    [ "$KILLED_HOW" = before ] || GIT "$@"
    exit 1
fi
exec GIT "$@"
"""


class Killer:
    """Verbs that are killed at one of their calls of git, before it or while it goes on."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir()
        wrapper = folder / "git"
        wrapper.write_text(WRAPPER.replace("GIT", str(shutil.which("git"))))
        wrapper.chmod(0o755)

    def run(self, repo: Repo, verb: str, at: int = 0, how: str = "before") -> int:
        """How often a verb called git, up to where it was killed."""
        (self._folder / "count").write_text("0")
        env = {"KILLED": str(self._folder), "KILLED_AT": str(at), "KILLED_HOW": how}
        path = f"{self._folder}{os.pathsep}{os.environ['PATH']}"
        ended = repo.attempt(ORCHGATE, "history", verb, env={**env, "PATH": path})
        assert ended.code == (-signal.SIGKILL if at else 0), ended.out
        if at:  # what it had started may go on, or end with it
            pid = (self._folder / "pid").read_text().strip()
            until(lambda: not os.path.exists(f"/proc/{pid}"))
        return int((self._folder / "count").read_text())


def test_a_push_that_is_killed_at_any_call_can_be_repeated_without_doubles(made: Clones, tmp_path: Path) -> None:
    killer = Killer(tmp_path / "killer")
    write_lines(made.other, [line(0), line(1)])
    calls = killer.run(made.other, "push")
    metrics = made.other.root / f".runs/{TASK}/metrics.json"
    for at in range(1, calls + 1):
        write_lines(made.other, [line(one) for one in range(at + 2)])
        before = metrics.read_text(), made.other.git("status", "--porcelain"), made.other.git("rev-parse", "HEAD")

        killer.run(made.other, "push", at, ("before", "during")[at % 2])

        assert (
            metrics.read_text(),
            made.other.git("status", "--porcelain"),
            made.other.git("rev-parse", "HEAD"),
        ) == before
        assert made.other.git("fsck", "--no-dangling", "--no-progress") == ""

    pushed = told(made.other, "push")

    assert pushed["sent_run_count"] + pushed["stored_run_count"] == calls + 2
    assert told(made.other, "push")["sent_run_count"] == 0
    assert [row["runs"] for row in show(made.third, "pipeline", "--from", "git")] == [calls + 2]
    held = "".join(made.remote.git("show", f"{HISTORY.ref}:{name}") for name in names(made.remote))
    assert [held.count(line(number)["run_id"]) for number in range(calls + 2)] == [1] * (calls + 2)


def test_a_compaction_that_is_killed_at_any_call_loses_nothing(made: Clones, tmp_path: Path) -> None:
    killer = Killer(tmp_path / "killer")
    write_lines(made.other, [line(0), line(1)])
    told(made.other, "push")
    calls = killer.run(made.other, "compact")
    for at in range(1, calls + 1, 2):
        write_lines(made.other, [line(one) for one in range(at + 2)])
        told(made.other, "push")

        killer.run(made.other, "compact", at, ("before", "during")[at // 2 % 2])

        assert [row["runs"] for row in show(made.third, "pipeline", "--from", "git")] == [at + 2]

    told(made.other, "compact")

    assert len(names(made.remote)) == 1
    assert told(made.other, "verify", "--from", "git")["verdict"] == "pass"
