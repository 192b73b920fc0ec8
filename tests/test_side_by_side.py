"""A large tree is judged by two processes; nobody can tell from the report."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from orchgate.cli import main
from orchgate.gate import engine
from orchgate.gate.documents import ParsedDocuments
from orchgate.gate.engine import Raw
from orchgate.gate.whole import whole_tree
from orchgate.gate.whole.whole_tree import HalfDone, joined
from orchgate.model import Finding, Location, Outcome, Trouble

if TYPE_CHECKING:
    from orchgate.model import Check
    from tests.repo import Repo

COMMAND = ["check", "--all-files", "--no-cache"]


@pytest.fixture
def tree(repo: Repo) -> Repo:
    """Documents with every kind of outcome: findings, suppressions used and unused, a packet, nothing at all."""
    files: dict[str, str | bytes] = {
        f"docs/note-{number:03}.md": f"# Note {number}\n\n[next](note-{number + 1:03}.md)\n" for number in range(150)
    }
    files |= {
        "docs/PRD-demo.md": "# PRD\n",
        "docs/used.md": "# A\n\n<!-- orchgate: ignore[EVD001] it moves next week -->\n[gone](gone.md)\n",
        "docs/unused.md": "# A\n\n<!-- orchgate: ignore[EVD001] it moves next week -->\n[here](used.md)\n",
        "docs/nul.md": b"# A\xff\n[gone](gone.md)\n",
    }
    repo.commit("Start", files)
    return repo


def said(capsys: pytest.CaptureFixture[str], *, split: bool, monkeypatch: pytest.MonkeyPatch) -> tuple[int, str]:
    monkeypatch.setattr(whole_tree, "MANY_FILES", 0 if split else 10**9)
    monkeypatch.setattr(whole_tree, "cores", lambda: 2)
    monkeypatch.setattr("orchgate.lib.forks.cores", lambda: 2)
    return main(COMMAND), capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.usefixtures("tree")
def test_two_processes_say_what_one_says(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    alone = said(capsys, split=False, monkeypatch=monkeypatch)

    assert said(capsys, split=True, monkeypatch=monkeypatch) == alone


@pytest.mark.usefixtures("tree")
def test_a_document_that_the_other_process_read_is_not_read_again(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    own, read = os.getpid(), set[str]()
    monkeypatch.setattr(ParsedDocuments, "one", lambda _self, path: read.add(path) if os.getpid() == own else None)
    said(capsys, split=True, monkeypatch=monkeypatch)

    assert read == set()


@pytest.mark.parametrize("leads", [True, False])
def test_what_is_said_of_one_place_has_one_order_whichever_process_read_the_document(*, leads: bool) -> None:
    judged = Finding("EVD006", Location("a.md", 3), "of its document")
    once = Finding("EVD012", Location("a.md", 3), "of the whole tree")
    unread = [Trouble(Location(path), "cannot be read") for path in ("a.md", "b.md")]
    mine = Outcome((judged, once) if leads else (once,), troubles=tuple(unread if leads else unread[1:]))
    theirs = Outcome(() if leads else (judged,), troubles=() if leads else tuple(unread[:1]))
    halves_done = [HalfDone([Raw("evidence", one, 0.0)], [], [], {}, None) for one in (mine, theirs)]

    (raw,) = joined(*halves_done)

    assert (raw.outcome.findings, raw.outcome.troubles) == ((judged, once), tuple(unread))


@pytest.mark.slow
@pytest.mark.usefixtures("tree")
def test_a_suppression_counts_whichever_process_read_its_document(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, out = said(capsys, split=True, monkeypatch=monkeypatch)

    assert ("1 suppressed" in out, out.count("SUP002")) == (True, 1)


@pytest.mark.slow
@pytest.mark.usefixtures("tree")
def test_a_killed_helper_is_could_not_check(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    parent = os.getpid()
    original = engine.CheckRun._outcome

    def dying(self: engine.CheckRun, check: Check) -> Raw:
        if os.getpid() != parent:
            os._exit(9)
        return original(self, check)

    monkeypatch.setattr(engine.CheckRun, "_outcome", dying)
    code, _ = said(capsys, split=True, monkeypatch=monkeypatch)

    assert code == 3


@pytest.mark.parametrize("leads", [True, False])
def test_what_only_one_process_counted_is_counted(*, leads: bool) -> None:
    mine, theirs = Outcome(examined={"links": 1}), Outcome(examined={"links": 2, "unjudged site links": 1})
    done = [HalfDone([Raw("evidence", one, 0.0)], [], [], {}, None) for one in (mine, theirs)]

    (raw,) = joined(*(done if leads else reversed(done)))

    assert raw.outcome.examined == {"links": 3, "unjudged site links": 1}
