"""Of a whole tree, what is the same in the base is judged once; what may have been otherwise there is judged there."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from orchgate.gate.whole import noted
from orchgate.gate.whole.parts import Parts
from orchgate.model import Finding, Location
from tests.support import checked

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.repo import Repo

RUN = "2026-01-06T09-26-22-129Z-c2f9cb47"
ITEM = {"id": "0001", "slug": "slim", "status": "in-progress", "path": "tasks/tasks-0001-slim.md"}
OTHER = {"id": "0002", "slug": "fast", "status": "in-progress", "path": "tasks/tasks-0002-fast.md"}


def tasks(*items: dict[str, str]) -> str:
    return json.dumps({"items": list(items)}, indent=1)


BEFORE = {
    "docs/PRD-slim.md": f"# PRD - 0002\n\n- [gone](gone.md)\n- Evidence: `.runs/0002-fast/cli/{RUN}/log.txt`\n",
    "docs/TECH_SPEC-slim.md": "# TECH_SPEC\n\n[goals](guide.md#goals), [any](*.rst), `src/a.py:3`, [b](../src/b)\n",
    "tasks/tasks-0001-slim.md": "# Checklist\n\n- Primary PRD: `docs/PRD-fast.md`\n- [x] it passes\n",
    "docs/guide.md": "# Guide\n\n## Goals\n\n- [src](../src/b) and [a](../src/a.py)\n- [route](/site/page)\n",
    "docs/notes.md": "# Notes\n\n`src/a.py`, [gone](gone.md)\n\nAt `later/a.py`.\n\n`src/*.py` and `docs/gone/*.txt`\n",
    "src/a.py": "1\n2\n3\n",
    "src/b/c.py": "",
    "tasks/index.json": tasks(ITEM),
}
CHANGES: dict[str, Mapping[str, str | None]] = {
    "a path that comes": {"docs/gone.md": "# Here\n"},
    "a path that goes": {"src/a.py": None},
    "a folder that goes": {"src/b/c.py": None},
    "a folder that comes": {"docs/gone/a.txt": ""},
    "an anchor that goes": {"docs/guide.md": "# Guide\n"},
    "lines that go": {"src/a.py": "1\n"},
    "a task that is finished": {"tasks/index.json": tasks({**ITEM, "status": "completed"})},
    "a task that comes": {"tasks/index.json": tasks(ITEM, OTHER), "tasks/tasks-0002-fast.md": "# Checklist\n"},
    "a list that moves its lines": {"tasks/index.json": "\n" + tasks(ITEM)},
    "a packet that takes a document": {"docs/PRD-fast.md": "# PRD - 0002\n", "tasks/index.json": tasks(ITEM, OTHER)},
    "a document that its packet lacked": {"docs/ACTION_PLAN-slim.md": "# ACTION_PLAN\n"},
    "another name of a packet": {"tasks/tasks-0001-slim.md": None, "tasks/tasks-0003-slim.md": "# Checklist\n"},
    "a site": {"docs/.vitepress/config.js": "", "docs/site/page.md": "# Page\n"},
    "a configuration": {"orchgate.toml": '[documents]\nuntil-finished = "note"\n'},
    "the folder of a span": {"later/b.py": ""},
    "a pattern that matches": {"docs/a.rst": ""},
    "words": {"docs/notes.md": "# Notes\n\nwords\n"},
    "a pattern that matches at the top": {"src/b/d.py": ""},
    "a manifest in the tree": {".runs/0002-fast/cli/" + RUN + "/manifest.json": '{"status": "failed"}'},
    "nothing": {"lib/other.txt": ""},
}


def judged(*args: str) -> dict[str, Any]:
    report = checked("--all-files", "--no-cache", *args)
    for check in report["checks"]:
        check.pop("seconds")
    return report


@pytest.fixture
def changed(repo: Repo, request: pytest.FixtureRequest) -> Repo:
    """A branch with one change of a tree with findings."""
    repo.commit(files=BEFORE)
    repo.git("checkout", "-q", "-b", "work")
    change: Mapping[str, str | None] = CHANGES[request.param]
    for path, content in change.items():
        if content is None:
            repo.git("rm", "-q", path)
    repo.commit(files={path: content for path, content in change.items() if content is not None})
    return repo


@pytest.mark.parametrize("changed", CHANGES, indirect=True)
def test_what_is_taken_from_the_tree_for_the_base_is_what_the_base_says(
    changed: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = judged()
    monkeypatch.setattr(Parts, "compare", lambda *_: None)

    assert shared == judged()


def test_what_the_new_places_ask_of_a_packet_is_not_what_the_base_says_of_it(
    repo: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo.commit(files={**BEFORE, "plans/slim-two/PRD.md": "# PRD\n", "orchgate.toml": "[review]\nmax-age-days = 90\n"})
    repo.git("checkout", "-q", "-b", "work")
    places = '[documents]\npaths.prd = "plans/{slug}/PRD.md"\nrequired-sections.prd = ["Risks"]\n'
    repo.commit(files={"orchgate.toml": f"[review]\nmax-age-days = 90\n{places}"})
    shared = judged()
    monkeypatch.setattr(Parts, "compare", lambda *_: None)
    told = [one["older"] for one in shared["diagnostics"] if "'Risks'" in one["message"]]

    assert (told, shared == judged()) == ([False], True)


@pytest.mark.parametrize("changed", ["words"], indirect=True)
def test_what_is_the_same_in_the_base_is_not_judged_there(changed: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    found: dict[str, frozenset[str]] = {}
    real = Parts.same_in

    def same_in(self: Parts, check: str) -> frozenset[str]:
        found[check] = frozenset(real(self, check))
        return found[check]

    monkeypatch.setattr(Parts, "same_in", same_in)
    judged()

    assert {check: len(documents) for check, documents in found.items()} == {"documents": 3, "evidence": 4}


def test_an_entry_says_nothing_of_a_content_that_was_not_asked_for(repo: Repo) -> None:
    from orchgate.git.snapshot import FolderSnapshot

    repo.write("a.md", "a")
    names: set[str] = set()
    tree = noted.NotedTree(FolderSnapshot(str(repo.root), (".git",)), names)

    assert (tree.entries["a.md"].oid, tree.entries.get("a.md"), names) == ("", ("100644", ""), {"a.md"})
    assert (tree.read("a.md"), names) == (b"a", {"a.md", noted.CONTENT + "a.md"})
    assert (tree.mentioning(["a"]), noted.NEVER in names) == ({"a.md"}, True)


def test_a_finding_about_several_documents_is_looked_for_in_the_base() -> None:
    from orchgate.gate.older import _stands_in
    from orchgate.model import Diagnostic, Severity

    def stands(rule: str, *documents: str) -> bool:
        finding = Finding(rule, Location("a.md"), "", documents=documents)
        return _stands_in(Diagnostic("x", Severity.ERROR, finding), {"a.md"})

    assert [stands("EVD001"), stands("EVD001", "b.md"), stands("DOC005")] == [True, False, False]
