"""Configuration: orchgate.toml and pyproject.toml, alone, as a change of the limits in force, and as those limits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fuzz.judging import Asked, Tree, judge, samples, tracked
from orchgate.config.load import load

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

NAMES = ("orchgate.toml", "pyproject.toml")
PACKET = {
    "docs/PRD-demo.md": b"# PRD - Demo\n\n[gone](gone.md)\n",
    "tasks/tasks-0001-demo.md": b"# Checklist\n\n- [x] done - Evidence: `.runs/0001-demo/metrics.json`\n",
    "src/a.py": b"x = 1\n",
}


def seeds() -> Iterable[bytes]:
    for content in samples("orchgate.toml"):
        yield b"\0" + content
    yield b"\0[diff-budget]\nmax-files = 25\n[diff-budget.areas.tests]\npaths = ['tests/**']\nmax-lines = 30\n"
    yield b"\0[per-file-ignores.'docs/*.md']\nrules = ['EVD001']\nreason = 'why'\n[severity]\nEVD003 = 'warning'\n"
    yield b"\0[[pipelines.a.stages]]\nid = 'x'\nshell = 'true'\n[[pipelines.a.stages]]\nid='y'\nrun=['a']\n"
    yield b"\0[evidence]\nroots = ['.runs']\nsecrets = ['(?i)token=[a-z]+']\n[manifests]\nmax-bytes = 100\n"
    yield b"\1[tool.orchgate]\nprofile = 'codex-orchestrator'\n[project]\nversion = '1'\n[tool.orchgate.documents]\n"


def prepare(folder: str) -> Callable[[bytes], None]:
    files = tracked(PACKET)

    def one(data: bytes) -> None:
        changed = {**files, NAMES[(data[:1] or b"\0")[0] % 2]: data[1:]}
        config = load(Tree(changed))
        judge(Asked(folder, changed, files), "configuration", "documents", "evidence", "diff-budget")
        judge(Asked(folder, files, changed, config=config), "documents", "evidence", "manifests", "specs")

    return one
