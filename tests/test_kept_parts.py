"""Of a whole tree that was judged before, what rests on nothing that is otherwise is not judged again."""

from __future__ import annotations

import contextlib
import io
import json
from typing import TYPE_CHECKING, Any

import pytest

from orchgate.cli import main
from orchgate.evidence.reference_checks import ReferenceChecks
from orchgate.gate import asked, parts
from orchgate.gate.kept_parts import KIND
from orchgate.lib.cache import Cache
from tests.test_parts import BEFORE, CHANGES, ITEM, RUN, tasks

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.repo import Repo

MANIFEST = f".runs/0001-slim/cli/{RUN}/manifest.json"


def said(*args: str) -> dict[str, Any]:
    """The report of the whole tree, in this process."""
    stream = io.StringIO()
    with contextlib.redirect_stdout(stream):
        main(["check", "--all-files", "--output-format", "json", *args])
    report: dict[str, Any] = json.loads(stream.getvalue())
    for check in report["checks"]:
        check.pop("seconds")
    return report


@pytest.fixture
def judged(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> Repo:
    """A tree that was judged once, of parts with one document; what was written just now counts as old."""
    monkeypatch.setattr(asked, "RACY", -(10**18))
    monkeypatch.setattr(parts, "SIZE", 1)
    repo.commit(files={**BEFORE, ".gitignore": ".runs/\n", "docs/cites.md": f"# Run\n\n- [x] passes: `{MANIFEST}`\n"})
    said()
    return repo


@pytest.fixture
def documents(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The documents that the check `evidence` judges."""
    paths: list[str] = []
    real = ReferenceChecks.findings

    def findings(self: ReferenceChecks, document: Any) -> Any:
        paths.append(document.path)
        return real(self, document)

    monkeypatch.setattr(ReferenceChecks, "findings", findings)
    return paths


@pytest.mark.parametrize("change", CHANGES)
def test_what_was_kept_of_parts_is_what_is_said_anew(judged: Repo, change: str) -> None:
    files: Mapping[str, str | None] = CHANGES[change]
    for path in (path for path, content in files.items() if content is None):
        judged.git("rm", "-q", path)
    judged.commit(files={path: content for path, content in files.items() if content is not None})

    assert said() == said("--no-cache")

    judged.git("checkout", "-q", "HEAD~1", "--", ".")

    assert said() == said("--no-cache")


@pytest.mark.parametrize(
    ("path", "content", "rests"),
    [
        ("docs/notes.md", "# Notes\n\nother words\n", {"docs/notes.md"}),
        ("docs/guide.md", "# Guide\n", {"docs/guide.md", "docs/TECH_SPEC-slim.md"}),
        ("src/a.py", "1\n", {"docs/TECH_SPEC-slim.md"}),
        ("docs/gone.md", "# Here\n", {"docs/PRD-slim.md", "docs/notes.md", "docs/guide.md"}),
        ("lib/a.txt", "", {"docs/guide.md"}),  # a route of a site may lead anywhere
        ("tasks/index.json", tasks({**ITEM, "status": "completed"}), {"tasks/tasks-0001-slim.md"}),
    ],
)
def test_only_documents_that_rest_on_what_is_otherwise_are_judged(
    judged: Repo, documents: list[str], path: str, content: str, rests: set[str]
) -> None:
    judged.stage(path, content)
    report = said()

    assert set(documents) - {"docs/gone.md"} == rests

    assert report == said("--no-cache")


def test_an_artifact_that_changes_is_looked_at_again(judged: Repo, documents: list[str]) -> None:
    judged.write(MANIFEST, json.dumps({"task_id": "0001-slim", "status": "failed"}, indent=2))
    judged.stage("docs/notes.md", "# Notes\n")
    first = said()
    seen = set(documents)
    judged.write(MANIFEST, json.dumps({"task_id": "0001-slim", "status": "FAILED"}, indent=2))
    judged.stage("docs/notes.md", "# Notes\n\nwords\n")

    assert (first != said(), said() == said("--no-cache")) == (True, True)
    assert {"docs/cites.md", "docs/notes.md"} <= seen
    assert "docs/guide.md" not in seen


def test_a_document_with_a_comment_is_judged_each_time(judged: Repo, documents: list[str]) -> None:
    text = "# C\n\n<!-- orchgate: ignore[EVD001] old -->\n[gone](gone.md)\n"
    judged.stage("docs/comment.md", text)
    said()
    judged.stage("docs/gone.md", "# Here\n")
    documents.clear()

    assert said() == said("--no-cache")
    assert "docs/comment.md" in documents


def _damaged(content: bytes, how: str) -> bytes:
    head, _, names = content.partition(b"\n")
    kept = json.loads(head)
    match how:
        case "numbers":
            kept["parts"] = [[size, [[documents, ["x"]] for documents, _ in things]] for size, things in kept["parts"]]
        case "count":
            kept["parts"] = [[size, [[documents, [1]] for documents, _ in things]] for size, things in kept["parts"]]
        case "rows":
            kept["rows"] = {path: [["error"]] for path in kept["rows"]}
        case "names":
            names = names[:-1]
        case "answers":
            kept["answers"] = {"full": {"x": True}}
        case "state":
            kept["state"] = kept["state"][:2]
    return json.dumps(kept).encode() + b"\n" + names


@pytest.mark.parametrize("how", ["numbers", "count", "rows", "names", "answers", "state"])
def test_what_somebody_made_who_knows_how_it_looks_is_none(
    judged: Repo, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged.stage("docs/notes.md", "# Notes\n")
    new = said("--no-cache")
    real = Cache.read

    def read(self: Cache, kind: str, key: bytes) -> bytes | None:
        content = real(self, kind, key)
        return _damaged(content, how) if content and kind == KIND else content

    monkeypatch.setattr(Cache, "read", read)
    assert said() == new
