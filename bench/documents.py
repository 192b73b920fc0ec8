"""`orchgate check --all-files` over a large tree of documents: python bench/documents.py [REPOSITORY]

Without a repository it makes one: 5,800 Markdown files, 16.6 MB, 126,000 code spans and links, 10,000 of them to
artifacts of runs. A repository is measured as it is checked out, whatever its verdict.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from common import ORCHGATE, Row, commit, cost, environment, main, prose, scratch, write

if TYPE_CHECKING:
    from collections.abc import Iterator

LIMIT_SECONDS = 1.0
TASKS = 1_450  # four documents each
CHECK = [ORCHGATE, "check", "--all-files", "--output-format", "json"]
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
    done = subprocess.run(CHECK, cwd=root, env=environment(), stdout=subprocess.PIPE, check=False)
    checks = json.loads(done.stdout)["checks"]
    return next(check["examined"] for check in checks if check["id"] == "evidence")


def measured(root: Path, name: str) -> Row:
    seen = examined(root)
    if not seen["documents"]:
        sys.exit("the check looked at no document")
    spent = cost(CHECK, root, times=5)
    figure = f"{spent.wall:.2f} s ({spent.cpu:.2f} s of CPU)"
    what = f"check --all-files, {name}: {seen['documents']} documents, {seen['links']} paths"
    return Row(what, figure, f"<= {LIMIT_SECONDS:.1f} s", spent.wall <= LIMIT_SECONDS)


def rows(repository: str = "") -> Iterator[Row]:
    if repository:
        yield measured(Path(repository), Path(repository).resolve().name)
        return
    with scratch() as root:
        make_tree(root)
        yield measured(root, "made")


if __name__ == "__main__":
    main(lambda: rows(*sys.argv[1:2]))
