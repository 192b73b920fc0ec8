"""`orchgate check --all-files` over a large tree of documents: python bench/documents.py [REPOSITORY]

Without a repository it makes one: 5,800 Markdown files, 16.6 MB, 126,000 code spans and links, 10,000 of them to
artifacts of runs. A repository is measured as it is checked out, whatever its verdict.
"""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import staged
from common import (
    ORCHGATE,
    REAL,
    Bench,
    Row,
    commit,
    cost,
    costs,
    environment,
    git,
    instructions_row,
    main,
    missing,
    prose,
    scratch,
    spread,
    write,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

LIMIT_SECONDS = 1.0
TASKS = 1_450  # four documents each
CHECK = [ORCHGATE, "check", "--all-files"]
FRESH = [*CHECK, "--no-cache"]
AGAIN_SECONDS, PASSING_SECONDS = 0.35, 0.2  # of CPU, where nothing changed
FIRST_CPU, FIRST_SECONDS = 1.4, 0.8  # of the real repository, where nothing is kept
EDITED = "edited-by-the-benchmark.md"
COMMAND_WORDS = ("pytest -q", "--format json", "max_bytes", "runStage()", "status", "origin/main", "text/html")


def run_id(number: int) -> str:
    return f"2026-01-{number % 28 + 1:02}T09-{number % 60:02}-22-{number % 1000:03}Z-{number:08x}"


class Task:
    """One task's names and the paths that its documents cite."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.slug = f"improve-part-{number}-of-the-pipeline"
        self.id = f"{number:04}-{self.slug}"
        self.log = f".runs/{self.id}/cli/{run_id(number)}/commands/01-build.log"
        self.state = f"out/{self.id}/state.json"
        self.documents = {
            "prd": f"docs/PRD-{self.slug}.md",
            "spec": f"docs/TECH_SPEC-{self.slug}.md",
            "plan": f"docs/ACTION_PLAN-{self.slug}.md",
            "checklist": f"tasks/tasks-{self.id}.md",
        }

    def cited(self, chance: random.Random) -> str:
        """A code span or link: mostly words and code, then files, then artifacts of runs."""
        draw = chance.random()
        if draw < 0.70:
            return f"`{chance.choice(COMMAND_WORDS)} {chance.randrange(30)}`"
        if draw < 0.82:
            return f"`{chance.choice(list(self.documents.values()))}`"
        if draw < 0.90:
            return f"`src/module_{chance.randrange(400)}.py`"
        return f"`{chance.choice((self.log, self.state))}`"


SECTIONS = {
    "prd": ("Summary", "Goals", "Non-Goals", "Metrics & Guardrails", "Approvals"),
    "spec": ("Overview", "Design", "Testing Strategy", "Validation and Acceptance"),
    "plan": (
        "Progress",
        "Surprises & Discoveries",
        "Decision Log",
        "Concrete Steps",
        "Artifacts and Notes",
        "Idempotence and Recovery",
        "Outcomes & Retrospective",
    ),
    "checklist": ("Checklist",),
}


def document(task: Task, kind: str, chance: random.Random) -> str:
    """About 2.9 KB with 22 spans and links."""
    titles = SECTIONS[kind]
    parts = [
        f"# {kind} of task {task.id}\n\n<!-- task {task.number} -->\n\nPart of [the plan](/{task.documents['plan']}).\n"
    ]
    left = 21
    for position, title in enumerate(titles):
        count = left // (len(titles) - position)
        left -= count
        box = "[x] " if kind == "checklist" else ""
        lines = (
            f"- {box}{prose(1 + (chance.random() < 0.2), chance.randrange(9_999))} Evidence: {task.cited(chance)}.\n"
            for _ in range(count)
        )
        parts.append(f"\n## {title}\n{''.join(lines)}")
    return "".join(parts)


def make_tree(root: Path) -> None:
    chance = random.Random(1)
    write(root, ".gitignore", ".runs/\nout/\n")
    for number in range(400):
        write(root, f"src/module_{number}.py", "")
    for number in range(1, TASKS + 1):
        task = Task(number)
        write(root, task.log, "done\n")
        write(root, task.state, "{}\n")
        for kind, path in task.documents.items():
            write(root, path, document(task, kind, chance))
    commit(root, "start")


def examined(root: Path) -> dict[str, int]:
    """What the evidence check looked at: one that looks at nothing would be fast."""
    done = subprocess.run(
        [*FRESH, "--output-format", "json"], cwd=root, env=environment(), stdout=subprocess.PIPE, check=False
    )
    checks = json.loads(done.stdout)["checks"]
    return next(check["examined"] for check in checks if check["id"] == "evidence")


def measured(root: Path, name: str) -> Row:
    seen = examined(root)
    if not seen["documents"]:
        sys.exit("the check looked at no document")
    spent = cost(FRESH, root, times=5)
    figure = f"{spent.wall:.2f} s ({spent.cpu:.2f} s of CPU)"
    what = f"check --all-files, {name}: {seen['documents']} documents, {seen['links']} paths"
    return Row(what, figure, f"<= {LIMIT_SECONDS:.1f} s", spent.wall <= LIMIT_SECONDS)


def again(root: Path, name: str) -> Iterator[Row]:
    """The same tree once more; the same where nothing is wrong; and after one document changed."""
    spent = cost(CHECK, root, times=5).cpu  # the first one that is not counted fills the cache
    passing = subprocess.run(CHECK, cwd=root, env=environment(), stdout=subprocess.DEVNULL, check=False).returncode == 0
    limit = PASSING_SECONDS if passing else AGAIN_SECONDS
    what = f"check --all-files again, {name}{', passing' if passing else ''}"
    yield Row(what, f"{spent:.2f} s of CPU", f"<= {limit} s", spent <= limit)
    edited = root / EDITED
    number = 0

    def edit() -> None:
        nonlocal number
        number += 1
        edited.write_text(f"# Notes {number}\n\nOf [this](README.md).\n", encoding="utf-8")
        git(root, "add", "--", EDITED)

    try:
        spent = cost(CHECK, root, times=5, before=edit).cpu
    finally:
        git(root, "rm", "-q", "-f", "--", EDITED)
    yield Row(f"check --all-files after one document changed, {name}", f"{spent:.2f} s of CPU", "-", None)


def real(clone: str = REAL) -> Iterator[Row]:
    """The real repository: judged for the first time, in turn with a run that keeps nothing, and then again."""
    what = "check --all-files, Kbediako/CO"
    limit = f"{FIRST_CPU} s of CPU, {FIRST_SECONDS} s"
    if not clone:
        yield missing(what, "BENCH_REAL names no clone", limit)
        return
    with scratch() as root:
        staged.cloned(root, clone)
        git(root, "reset", "--quiet", "--hard")

        def forget() -> None:
            shutil.rmtree(root / ".git" / "orchgate", ignore_errors=True)

        first, fresh = costs([CHECK, FRESH], root, 5, forget)
        met = first.cpu <= FIRST_CPU and first.wall <= FIRST_SECONDS
        yield Row(f"{what}: for the first time", f"{spread(first.cpus)} of CPU, {first.wall:.2f} s", limit, met)
        yield Row("  with --no-cache", f"{spread(fresh.cpus)} of CPU, {fresh.wall:.2f} s")
        yield from again(root, "Kbediako/CO")
        yield instructions_row("  again,", CHECK, root)


def passing_tree(root: Path) -> None:
    """As many documents, in which nothing is wrong."""
    write(root, "README.md", "# Read me\n")
    for number in range(4 * TASKS):
        text = f"# Note {number}\n\n{prose(20, number)} See [this](../README.md#read-me) and `README.md`.\n"
        write(root, f"notes/note-{number}.md", text)
    commit(root, "start")


def rows(repository: str = "") -> Iterator[Row]:
    if repository:
        root = Path(repository)
        yield measured(root, root.resolve().name)
        yield from again(root, root.resolve().name)
        return
    for make, name in ((make_tree, "made"), (passing_tree, "nothing wrong")):
        with scratch() as root:
            make(root)
            yield measured(root, name)
            yield from again(root, name)


BENCHES = (Bench("documents", rows, limit=True), Bench("documents-real", real, limit=True))

if __name__ == "__main__":
    main(lambda: rows(*sys.argv[1:2]))
