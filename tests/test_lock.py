"""The evidence lock as a file: what it says, what it refuses, and how it merges."""

from __future__ import annotations

import contextlib
import json
import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchgate.evidence import lock as locks
from orchgate.evidence.facts import facts_of
from orchgate.evidence.lock import Lock, LockError, Pinned, RunFacts, both_sides, parse, render
from orchgate.evidence.pin import ATTRIBUTES
from orchgate.lib.paths import git_name
from orchgate.runs.run import from_manifest

if TYPE_CHECKING:
    from tests.repo import Repo

RUN = ".runs/0001-demo/cli/2026-01-06T09-26-22-129Z-c2f9cb47/manifest.json"
PIN = Pinned("out/a.txt", "a" * 64, 3)
FACTS = RunFacts(
    "0001-demo", "r", "diagnostics", "succeeded", "b" * 40, "c" * 40, False, "f" * 16, {"wall_seconds": 1.25}
)


def lock(*lines: str, header: str = '{"evidence-lock": 1}') -> bytes:
    return "".join(line + "\n" for line in (header, *lines)).encode()


def line(**changes: object) -> str:
    return json.dumps({"path": "out/a.txt", "sha256": "a" * 64, "size": 3} | changes)


NAMES = st.binary(min_size=1, max_size=8).filter(lambda name: not {b"", b".", b".."} & {name}).map(os.fsdecode)
PATHS = st.lists(NAMES.filter(lambda name: "/" not in name and "\0" not in name), min_size=1, max_size=3).map("/".join)
PATHS = PATHS.filter(lambda path: not git_name(path))
PINS = st.lists(
    st.builds(
        Pinned,
        PATHS,
        st.text("0123456789abcdef", min_size=64, max_size=64),
        st.integers(0, 2**40),
        st.none() | st.builds(RunFacts, st.text(max_size=5), status=st.text(max_size=5)),
    ),
    max_size=5,
    unique_by=lambda pin: pin.path,
)


@pytest.mark.slow
@given(PINS)
def test_what_is_written_is_read_again(pins: list[Pinned]) -> None:
    assert parse(render(pins)).pins == {pin.path: pin for pin in pins}


@pytest.mark.slow
@given(PINS)
def test_the_order_of_pins_means_nothing(pins: list[Pinned]) -> None:
    assert render(pins) == render(reversed(pins))


def test_facts_survive() -> None:
    assert parse(render([PIN._replace(path=RUN, run=FACTS)])).get(RUN) == PIN._replace(path=RUN, run=FACTS)


def test_one_artifact_is_one_line_whatever_its_name() -> None:
    assert render([PIN._replace(path="out/a\nb\udce9\u2028.txt")]).count(b"\n") == 2


def test_lines_are_sorted_as_sort_would() -> None:
    lines = render([PIN._replace(path=path) for path in ("b", "a b", "a", "é", "a/b", "Z")]).splitlines()

    assert lines == sorted(lines)


def test_folders_are_those_above_the_pins() -> None:
    lock = Lock([PIN, PIN._replace(path=RUN)])

    assert [lock.holds(folder) for folder in ("out", ".runs/0001-demo/cli", "out/a.txt", "ou")] == [
        True,
        True,
        False,
        False,
    ]


WRONG = [
    (b"", "1: is empty"),
    (b"\n\n", "1: is empty"),
    (b"\x00\xff", "1: is not JSON: "),
    (lock(line(), header="[]"), "1: is not a JSON object"),
    (lock(header=line()), '1: does not begin with {"evidence-lock": 1}'),
    (lock(header='{"evidence-lock": 2}'), "1: is of version 2, this orchgate reads 1"),
    (lock(header='{"evidence-lock": true}'), "1: is of version True, this orchgate reads 1"),
    (lock("<<<<<<< HEAD", line()), "2: holds the marks of a merge conflict"),
    (lock(line(), ">>>>>>> other"), "3: holds the marks of a merge conflict"),
    (lock(line(sha256="a" * 63)), "2: sha256: expected 64 hexadecimal digits, got 63 characters: "),
    (lock(line(sha256="A" * 64)), "2: sha256: expected 64 hexadecimal digits, got 64 characters: "),
    (lock(line(sha256=None)), "2: sha256: expected 64 hexadecimal digits, got None"),
    (lock(line(size=-1)), "2: size: expected bytes, got -1"),
    (lock(line(size=True)), "2: size: expected bytes, got True"),
    (lock(line(size=1.5)), "2: size: expected bytes, got 1.5"),
    (lock(line(path="/etc/passwd")), "2: path: expected one inside the repository, got '/etc/passwd'"),
    (lock(line(path="out/../../x")), "2: path: expected one inside the repository, got 'out/../../x'"),
    (lock(line(path="out/")), "2: path: expected one inside the repository, got 'out/'"),
    (lock(line(path="")), "2: path: expected one inside the repository, got ''"),
    (lock(line(path="out/\0")), "2: path: expected one inside the repository, got "),
    (lock(line(path="out/\ud800")), "2: path: expected one inside the repository, got 'out/\\ud800'"),
    (lock(line(path=3)), "2: path: expected one inside the repository, got 3"),
    (lock(line(extra=1)), "2: has a key 'extra' that version 1 does not know"),
    (lock(line(), line(size=4)), "3: pins 'out/a.txt' differently from line 2"),
    (lock('{"path": "a", "path": "b"}'), "2: is not JSON: a key appears twice"),
    (lock(line()[:-1]), "2: is not JSON: "),
    (lock("[" * 100_000), "2: is longer than 65536 bytes"),
    (lock("[" * 60_000), "2: is not JSON: "),
    (lock(line(run=[])), "2: run: expected an object, got []"),
    (lock(line(run={"state": "x"})), "2: run: has a key 'state' that version 1 does not know"),
    (lock(line(run={"status": 1})), "2: run.status: expected a text, got 1"),
    (lock(line(run={"tree": "abc"})), "2: run.tree: expected an object id, got 'abc'"),
    (lock(line(run={"dirty": 1})), "2: run.dirty: expected true or false, got 1"),
    (lock(line(run={"numbers": {"x": "1"}})), "2: run.numbers: expected numbers by name"),
    (lock('{"path": "a", "size": NaN}'), "2: is not JSON: NaN is not a number"),
    (lock(line(run={"numbers": {"x": 1}}).replace("1}", "1e999}")), "2: run.numbers: expected numbers by name"),
]


@pytest.mark.parametrize(("data", "message"), WRONG, ids=[message[:40] for _, message in WRONG])
def test_a_lock_that_nobody_should_believe_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(LockError) as caught:
        parse(data)

    assert f"{caught.value.line}: {caught.value.message}".startswith(message)


def test_a_huge_lock_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "MAX_BYTES", 10)

    with pytest.raises(LockError, match="is larger than 10 bytes"):
        parse(lock(line()))


@pytest.mark.slow
@given(st.binary(max_size=200))
def test_no_bytes_crash_it(data: bytes) -> None:
    with contextlib.suppress(LockError):
        parse(lock() + data)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(lock(line(), line()), id="the same line twice"),
        pytest.param(lock(line()).replace(b"\n", b"\r\n"), id="carriage returns"),
        pytest.param(lock(line(), '{"evidence-lock": 1}'), id="the first line twice"),
        pytest.param(lock("", line(), ""), id="empty lines"),
    ],
)
def test_what_merges_and_editors_leave_behind_is_read(data: bytes) -> None:
    assert parse(data).get("out/a.txt") == PIN


def test_of_a_conflict_both_sides_are_kept_and_the_original_is_not() -> None:
    text = b"a\n<<<<<<< ours\nb\n||||||| base\nold\n=======\nc\n>>>>>>> theirs\nd"

    assert both_sides(text).split() == [b"a", b"b", b"c", b"d"]


def test_a_manifest_of_another_kind_has_few_facts() -> None:
    odd = {"status": 3, "git": {"tree": "xyz", "dirty": "no"}, "usage": [], "tests": {"passed": True}}
    told = facts_of(from_manifest(odd))

    assert told == RunFacts()


def test_seconds_of_a_run_without_usage_are_those_between_its_moments() -> None:
    times = {"started_at": "2026-01-06T09:26:22.129Z", "completed_at": "2026-01-06T09:26:23.379Z"}
    told = facts_of(from_manifest(times))

    assert told.numbers == {"wall_seconds": 1.25}


@pytest.mark.slow
@pytest.mark.parametrize("attributes", [True, False])
def test_branches_that_pin_different_artifacts_merge(repo: Repo, attributes: bool) -> None:
    """With the attributes that pinning writes git takes both; without, the conflict is one that pinning resolves."""
    if attributes:
        repo.stage(".orchgate/.gitattributes", ATTRIBUTES)
    repo.commit(files={locks.PATH: render([PIN])})
    for branch, path in (("one", "out/b"), ("two", "out/c")):
        repo.git("checkout", "--quiet", "-b", branch, "main")
        repo.commit(files={locks.PATH: render([PIN, PIN._replace(path=path)])})

    code, _ = repo.attempt("git", "merge", "--quiet", "one")

    data = (repo.root / locks.PATH).read_bytes()
    assert (code, set(parse(both_sides(data)).pins)) == (int(not attributes), {"out/a.txt", "out/b", "out/c"})


@pytest.mark.slow
def test_branches_that_pin_one_artifact_differently_do_not_merge_into_a_lie(repo: Repo) -> None:
    repo.stage(".orchgate/.gitattributes", ATTRIBUTES)
    repo.commit(files={locks.PATH: render([PIN])})
    for branch, digit in (("one", "b"), ("two", "c")):
        repo.git("checkout", "--quiet", "-b", branch, "main")
        repo.commit(files={locks.PATH: render([PIN._replace(sha256=digit * 64)])})
    repo.attempt("git", "merge", "--quiet", "one")

    with pytest.raises(LockError, match="differently from line 2"):
        parse((repo.root / locks.PATH).read_bytes())
