"""A whole tree that was judged before is not judged again, and what is said of it is what would be said anew."""

from __future__ import annotations

import contextlib
import io
import json
import os
import random
import sys
import zlib
from typing import TYPE_CHECKING, Any

import pytest

from fuzz.changing_tree import ChangingTree
from orchgate.cli import main
from orchgate.errors import OrchgateError
from orchgate.gate import asked, outcomes, suggestions
from orchgate.gate.asked import SETTLED
from orchgate.gate.context import Context
from orchgate.gate.whole.parts import Parts
from orchgate.lib import cache
from orchgate.model import Change

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.repo import Repo

RUN = "2026-01-06T09-26-22-129Z-c2f9cb47"
CHECKS = ("commands", "documents", "evidence")
DOCUMENT = f"# Notes\n\n- [x] built - Evidence: `.runs/0001-a/cli/{RUN}/log.txt`\n- [gone](gone.md)\n"


@pytest.fixture
def judged(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> Repo:
    """A repository with a finding whose whole tree was judged once; a file that was written just now counts as old."""
    monkeypatch.setattr(asked, "RACY", -(10**18))
    repo.commit(files={"docs/notes.md": DOCUMENT, ".gitignore": ".runs/\n"})
    said()
    return repo


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The checks whose outcomes are taken from what was kept."""
    names: list[str] = []
    real = outcomes.Outcomes.find

    def find(self: outcomes.Outcomes, check: Any) -> outcomes.Kept | None:
        kept = real(self, check)
        names.extend([check.id] if kept else [])
        return kept

    monkeypatch.setattr(outcomes.Outcomes, "find", find)
    return names


def said(*args: str) -> dict[str, Any]:
    """The report of the whole tree, in this process."""
    stream = io.StringIO()
    with contextlib.redirect_stdout(stream):
        main(["check", "--all-files", "--output-format", "json", *args])
    report: dict[str, Any] = json.loads(stream.getvalue())
    for check in report["checks"]:
        check.pop("seconds")
    return report


def test_what_was_judged_is_not_judged_again(judged: Repo, found: list[str]) -> None:
    assert said() == said("--no-cache")
    assert found == list(CHECKS)


@pytest.mark.parametrize("name", cache.CI)
def test_ci_takes_nothing_from_it(judged: Repo, found: list[str], name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "1")
    said()
    assert found == []


def test_what_is_on_disk_is_asked_again(judged: Repo, found: list[str]) -> None:
    judged.write(f".runs/0001-a/cli/{RUN}/log.txt")
    assert said() == said("--no-cache")
    assert found == ["commands", "documents"]


def test_a_file_that_was_written_just_now_may_be_written_again_and_look_the_same(
    judged: Repo, found: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    judged.write(f".runs/0001-a/cli/{RUN}/log.txt")
    judged.commit(files={"docs/notes.md": DOCUMENT.replace("log.txt", "log.txt:3")})
    monkeypatch.setattr(asked, "RACY", 2**60)
    said()
    said()
    assert found == ["commands", "documents"]


def test_a_change_of_the_tree_of_the_configuration_or_of_what_is_asked_for_is_judged(
    judged: Repo, found: list[str]
) -> None:
    for args in (["--strict"], ["--no-ignores"], ["--select", "EVD001"]):
        said(*args)
    judged.commit(files={"orchgate.toml": '[severity]\nEVD001 = "note"\n'})
    said()
    judged.commit(files={"docs/gone.md": "# Here\n"})
    said()
    assert found == []


@pytest.mark.parametrize("cut", [10, 200, -1])
def test_an_entry_that_is_damaged_is_none(judged: Repo, found: list[str], cut: int) -> None:
    folder = judged.root / ".git" / "orchgate" / "cache"
    for path in folder.iterdir():
        path.write_bytes(path.read_bytes()[:cut])
    assert said() == said("--no-cache")
    assert found == []


FORGED = (b"", b"[]", b"{}", b'{"fields": 1}', b"\xff", b'{"asked": {"full": {"x": true}}, "fields": []}')


@pytest.mark.parametrize("content", FORGED)
def test_an_entry_of_somebody_who_knows_how_they_look_cannot_crash_it(
    judged: Repo, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = said("--no-cache")
    monkeypatch.setattr(cache.Cache, "read", lambda *_: content)
    assert said() == new


@pytest.mark.parametrize("older", [b"", b"x", zlib.compress(b"[]"), zlib.compress(b'[["error"]]'), zlib.compress(b"{")])
def test_older_findings_of_somebody_who_knows_how_they_look_are_looked_for_again(
    judged: Repo, older: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged.git("checkout", "-q", "-b", "work")
    judged.commit(files={"docs/other.md": "# Other\n\n[gone](gone.md)\n"})
    new = said()
    real = cache.Cache.read

    def read(self: cache.Cache, kind: str, key: bytes) -> bytes | None:
        content = real(self, kind, key)
        head, line, rest = (content or b"").partition(b"\n")
        return head + line + older if kind == outcomes.KIND and rest else content

    monkeypatch.setattr(cache.Cache, "read", read)
    assert sum(one["older"] for one in new["diagnostics"]) == 2
    assert said() == new


def test_every_part_of_a_context_is_settled_by_the_key_or_asked_or_loses_the_outcome() -> None:
    known = {*outcomes._change.__code__.co_names, *outcomes._way.__code__.co_names}
    assert set(Context._fields) - known - {"documents", "snapshot", "base", "share", "noted", *LOSING} == set()


LOSING = ("root", "judged_at", "environ", "target", "repository", "tell", "engine", "asked")


class _Trap:
    def __getattr__(self, name: str) -> object:
        raise AssertionError(f"{name} was taken from what is not settled")


def test_what_follows_from_settled_parts_takes_nothing_else(judged: Repo) -> None:
    from orchgate.gate import session
    from orchgate.git.scope import target
    from orchgate.model import ScopeRequest

    with session.opened() as repository:
        ctx = session.context(repository, target(repository, ScopeRequest(all_files=True), os.environ), os.environ)
        traps: dict[str, Any] = dict.fromkeys(LOSING, _Trap())
        blind = ctx._replace(**traps)
        assert {name for name in SETTLED if getattr(blind, name) is blind} == set()
        assert blind.packets.all == ctx.packets.all


def test_what_is_read_beside_the_tree_was_asked_for(judged: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = f".runs/0001-a/cli/{RUN}"
    judged.write(f"{folder}/manifest.json", json.dumps({"task_id": "0001-a", "status": "failed"}))
    judged.write(f"{folder}/events.jsonl", "{}\n")
    judged.commit(
        files={"docs/notes.md": DOCUMENT + f"- [x] passes: `{folder}/manifest.json`\n- `{folder}/log.txt:3`\n"}
    )
    opened: set[str] = set()
    asking: list[asked.Asked] = []
    real = outcomes.Outcomes.asked

    def asks(self: outcomes.Outcomes) -> asked.Asked:
        asking.append(real(self))
        return asking[-1]

    monkeypatch.setattr(outcomes.Outcomes, "asked", asks)

    def hook(event: str, args: tuple[object, ...]) -> None:
        if event in ("open", "os.listdir", "os.scandir") and isinstance(args[0], str) and "/.runs/" in args[0]:
            opened.add(os.path.dirname(args[0]) if event == "open" else args[0])

    monkeypatch.setattr(suggestions, "MOST", 0)  # hints are looked for each time
    sys.addaudithook(hook)
    said("evidence")
    around = {os.path.dirname(one.full(path)) for one in asking for path in one.answers.get("around", ())}
    assert opened
    assert opened - around == set()


@pytest.fixture
def keyed(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> Context:
    """A whole tree that is held against a base."""
    from orchgate.gate import session
    from orchgate.git.scope import target
    from orchgate.model import ScopeRequest

    repo.commit(files={"docs/notes.md": DOCUMENT})
    repo.git("checkout", "-q", "-b", "work")
    repo.commit(files={"docs/notes.md": "# Notes\n\nwords\n"})
    monkeypatch.chdir(repo.root)
    with session.opened() as repository:
        return session.context(repository, target(repository, ScopeRequest(all_files=True), os.environ), os.environ)


OID = "1" * 40
SCOPE: dict[str, object] = {
    "kind": "range",
    "base": OID,
    "head": OID,
    "beside": (OID,),
    "origin": "other",
    "settled": "why",
    "unknown": OrchgateError("why"),
    "changes": (Change("A", "x", None, "0", "0", OID, OID, 0, 0),),
}
SOURCE = {"file": "other.toml", "text": "# other\n", "shadowed": True, "named": True}
FACTS: dict[str, Callable[[Context], object]] = {
    "accepted": lambda ctx: ctx.config,
    "unread": lambda _: "why",
    "named": lambda _: frozenset(("evidence",)),
    "as_finished": lambda _: True,
    "layout": lambda ctx: ctx.packets.layout,
    "snapshot": lambda ctx: ctx.base,
    **{
        which: lambda ctx: ctx.config._replace(review=ctx.config.review._replace(max_age_days=1))
        for which in ("config", "proposed")
    },
}


def key_of(ctx: Context) -> bytes:
    assert ctx.repository is not None
    return outcomes.Outcomes(cache.Cache(""), ctx.repository.blobs, ctx, ())._key


def test_whatever_is_otherwise_in_a_judgement_makes_another_key(keyed: Context) -> None:
    config = keyed.config
    others = [
        *(keyed._replace(scope=keyed.scope._replace(**{name: value})) for name, value in SCOPE.items()),  # type: ignore[arg-type]
        *(keyed._replace(**{name: other(keyed)}) for name, other in FACTS.items()),  # type: ignore[arg-type]
        *(
            keyed._replace(config=config._replace(source=config.source._replace(**{name: value})))  # type: ignore[arg-type]
            for name, value in SOURCE.items()
        ),
        keyed._replace(config=config._replace(origins={"review.max-age-days": "x"})),
    ]

    assert len({key_of(keyed), *map(key_of, others)}) == len(others) + 1


def test_what_is_known_of_parts_is_known_in_one_situation(keyed: Context) -> None:
    ctx = keyed.judging(parts=Parts(keyed.situation))
    others: list[dict[str, Any]] = [{name: object()} for name in Context._fields if name != "noted"]
    same = {name for change in others for name in change if ctx._replace(**change).parts is not None}

    assert ctx.parts is ctx.noted is not None
    assert same == {"tell", "engine", "share", "asked"}


def test_what_is_not_settled_loses_the_outcome(keyed: Context) -> None:
    def asking() -> asked.Asked:
        return asked.Asked("", (), keyed.today)

    def lost(name: str) -> str:
        heard = asking()
        getattr(asked.WatchedContext(keyed, heard), name)
        return heard.lost

    unsettled = ("root", "judged_at", "environ", "target", "repository", "tell", "engine", "asked", "branch", "now")
    assert [lost(name) for name in (*SETTLED, "today")] == [""] * (len(SETTLED) + 1)
    assert [lost(name) for name in unsettled] == [f"{name} was asked for" for name in unsettled]

    joined = asking()
    joined.join({}, "why")
    assert joined.lost == "why"

    rooted = asking()
    assert (asked.WatchedArtifacts(rooted, ()).root, rooted.lost) == ("", "the root of the work tree was asked for")


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_what_is_kept_says_what_is_said_anew_however_the_tree_changes(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asked, "RACY", -(10**18))
    tree = ChangingTree(str(tmp_path), random.Random(seed))
    for _ in range(10):
        tree.compare()
        tree.change()
