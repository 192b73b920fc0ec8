"""A repository that asks for signed runs: its keys, real runs, claims by them, and what the gate says."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from orchgate.attest import bundle
from orchgate.attest.bundle import ALLOWED_SIGNERS as ALLOWED
from orchgate.runs import state
from orchgate.runs.locate import place_of
from tests import signing
from tests.support import checked

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.repo import Repo
    from tests.signing import Key

TASK = "0001-demo"
CHECKLIST = f"tasks/tasks-{TASK}.md"
TICKED = "- [x] {} passes. Evidence: `{}`\n"
LOCK = ".orchgate/evidence.lock"
STAGES = "[[pipelines.{0}.stages]]\nid = '{0}'\nrun = ['test', '!', '-e', 'broken']\n"
POLICY = """\
[signatures]
roles = { ci = ["ci@*"], people = ["*@example.org"] }
required = ["build:ci"]
"""
CONFIGURATION = STAGES.format("build") + STAGES.format("test")


class SignedRuns(NamedTuple):
    """A repository, and keys by who has them: ci, ann, and eve, whom nobody knows."""

    repo: Repo
    keys: Mapping[str, Key]

    def run(self, pipeline: str = "build", code: int = 0) -> str:
        """A real run of the tree as it is; the path of its manifest."""
        ended = self.repo.orchgate("run", pipeline, "--task", TASK)
        assert ended.code == code, ended.out
        newest = max((self.repo.root / ".runs" / TASK / "cli").glob("*/manifest.json"))
        return newest.relative_to(self.repo.root).as_posix()

    def claim(self, run: str, text: str = TICKED, what: str = "Build", path: str = CHECKLIST) -> None:
        """Adds a claim to a document, pins what it cites and stages both."""
        full = self.repo.root / path
        self.repo.stage(path, (full.read_text() if full.exists() else "# Checklist\n\n") + text.format(what, run))
        self.pin(run)

    def pin(self, run: str) -> None:
        ended = self.repo.orchgate("evidence", "pin", run)
        assert ended.code == 0, ended.out
        self.repo.git("add", ".orchgate")

    def forge(self, run: str) -> None:
        """Writes a run that failed anew, as one that passed: its journal by hand, and the manifest that this makes."""
        path = self.repo.root / run
        journal = path.with_name("events.jsonl")
        text = journal.read_text().replace('"failed"', '"succeeded"')
        journal.write_text(re.sub(r'"exit_code": ?1', '"exit_code": 0', text))
        path.write_bytes(state.render(state.manifest(json.loads(line) for line in journal.read_text().splitlines())))

    def statement(self, run: str) -> bytes:
        return bundle.recorded(str(self.repo.root), run, (".runs",), 1 << 20).statement

    def sign(self, run: str, who: str = "ci", namespace: str = "") -> str:
        """Adds a signature of a run and stages it; the path of its file. Ours makes none for another namespace."""
        path = signatures_of(run)
        if namespace:
            self.repo.stage(path, self.keys[who].line(self.statement(run), namespace))
            return path
        ended = self.repo.orchgate("evidence", "sign", run, "--key", str(self.keys[who].path))
        assert ended.code == 0, ended.out
        self.repo.git("add", ".orchgate")
        return path

    def said(self, *args: str) -> list[str]:
        """Messages of EVD014 about what is staged, after what it is about."""
        found = self.report(*args)
        wrong = [one for one in found["diagnostics"] if one["rule"] not in ("EVD014", "EVD005")]
        assert wrong == [], wrong
        return [one["message"].partition("/manifest.json ")[2] or one["message"] for one in self.only(found)]

    def only(self, report: dict[str, Any], rule: str = "EVD014") -> list[dict[str, Any]]:
        return [one for one in report["diagnostics"] if one["rule"] == rule]

    def report(self, *args: str) -> dict[str, Any]:
        return checked("evidence", *(args or ("--staged",)))


def signatures_of(run: str) -> str:
    place = place_of(run, (".runs",))
    assert place is not None
    return bundle.path_of(place)


def allowed(keys: Mapping[str, Key]) -> str:
    return keys["ci"].signer("ci@example.org") + keys["ann"].signer("ann@example.org")


def made(repo: Repo, folder: Path, policy: str = POLICY) -> SignedRuns:
    """The repository of the current folder, with a base that has a policy and signers."""
    keys = {who: signing.make(folder, who) for who in ("ci", "ann", "eve")}
    files = {".gitignore": "/.runs/\n", "src/a.py": "x = 1\n", CHECKLIST: "# Checklist\n\n", ALLOWED: allowed(keys)}
    repo.commit(files={**files, "docs/PRD-demo.md": "# PRD\n", "orchgate.toml": CONFIGURATION + policy})
    return SignedRuns(repo, keys)
