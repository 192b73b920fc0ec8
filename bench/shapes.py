"""Repositories of any size in the shape of Kbediako/CO, the real one: packets of six documents, most of them archived,
a task list, notes, and code. Files, packets and pins are counted separately, so that one can grow alone.
"""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, NamedTuple

from common import git, import_stream, prose

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CONFIG = 'profile = "codex-orchestrator"\n'
IGNORED = "node_modules/\ndist/\ncoverage/\nout/\n.runs/\n.workspaces/\n"
LIST = "tasks/index.json"
LOCK = ".orchgate/evidence.lock"
MOST_REVIEWED = 8_000  # packets; with the reviews of more, the list would be longer than the 16 MB that are read
ARCHIVED = 0.6  # of all packets there are only stubs left
WORDS = ("--format json", "runStage()", "max_bytes", "origin/main", "text/html", "vitest run")
SCRIPTS = ("build", "lint", "test", "docs:check", "docs:freshness", "review", "pack:smoke")
# What their documents call their parts; a third of those that we ask for is in none of them: older findings.
SECTIONS = {
    "prd": ("Traceability", "Summary", "Goals", "Non-Goals", "Stakeholders", "Metrics & Guardrails", "Approvals"),
    "spec": (
        "Canonical Reference",
        "Traceability",
        "Summary",
        "Technical Requirements",
        "Architecture & Data",
        "Validation Plan",
    ),
    "plan": ("Traceability", "Summary", "Milestones & Sequencing", "Dependencies", "Validation", "Risks & Mitigations"),
    "mini-spec": ("Canonical Reference", "Summary", "Technical Requirements", "Readiness Gate", "Approvals"),
    "checklist": ("Docs-first", "Investigation", "Implementation", "Validation", "Delivery"),
    "mirror": ("Docs-first", "Investigation", "Implementation", "Validation", "Delivery"),
}


class Packet(NamedTuple):
    """One task's names."""

    number: int
    slug: str
    id: str
    archived: bool

    @property
    def documents(self) -> dict[str, str]:
        return {
            "prd": f"docs/PRD-{self.slug}.md",
            "spec": f"docs/TECH_SPEC-{self.slug}.md",
            "plan": f"docs/ACTION_PLAN-{self.slug}.md",
            "mini-spec": f"tasks/specs/{self.id}.md",
            "checklist": f"tasks/tasks-{self.id}.md",
            "mirror": f".agent/task/{self.id}.md",
        }


def orchestrator(root: Path, packets: int = 900, files: int = 7000, pins: int = 0) -> list[Packet]:
    """Commits such a repository; `files` in all, as far as packets leave room. Not checked out: `git reset --hard`."""
    chance = random.Random(1)
    made = [_packet(number, chance) for number in range(packets)]
    stream = ["blob\nmark :1\ndata 10\nVALUE = 1\n\n"]
    stream.append("commit refs/heads/main\ncommitter b <b@b> 1700000000 +0000\ndata 5\nstart\n")
    count = 0
    for path, text in _contents(made, pins, chance):
        stream.append(f"M 100644 inline {path}\ndata {len(text.encode())}\n{text}\n")
        count += 1
    more = range(files - count)
    stream += [f"M 100644 :1 src/part{number % 97}/part{number // 97 % 97}/module_{number}.ts\n" for number in more]
    import_stream(root, "".join([*stream, "\n"]))
    return made


def checked_out(root: Path, packets: int = 900, files: int = 7000, pins: int = 0) -> list[Packet]:
    made = orchestrator(root, packets, files, pins)
    git(root, "reset", "--quiet", "--hard")
    return made


def change(root: Path, made: list[Packet]) -> list[str]:
    """Stages a line more in five documents, each of another packet and kind; two of the packets are archived ones."""
    live = [packet for packet in made if not packet.archived]
    gone = [packet for packet in made if packet.archived]
    of = [(live, 1, "prd"), (live, 3, "plan"), (live, 5, "checklist"), (gone, 2, "spec"), (gone, 4, "prd")]
    paths = [group[len(group) * sixth // 6].documents[kind] for group, sixth, kind in of]
    stage_a_line(root, paths)
    return paths


def stage_a_line(root: Path, paths: list[str]) -> None:
    for path in paths:
        with (root / path).open("a") as file:
            file.write("\nA clean line about `package.json`.\n")
    git(root, "add", "--", *paths)


def _packet(number: int, chance: random.Random) -> Packet:
    if number % 2:
        slug = f"linear-{chance.getrandbits(32):08x}-{chance.getrandbits(16):04x}-{chance.getrandbits(48):012x}"
        return Packet(number, slug, slug, archived=chance.random() < ARCHIVED)
    slug = f"coordinator-symphony-aligned-part-{number}-request-shell-extraction"
    return Packet(number, slug, f"{number:04}-{slug}", archived=chance.random() < ARCHIVED)


def _contents(made: list[Packet], pins: int, chance: random.Random) -> Iterator[tuple[str, str]]:
    yield "orchgate.toml", CONFIG
    yield ".gitignore", IGNORED
    yield "package.json", json.dumps({"name": "co", "scripts": dict.fromkeys(SCRIPTS, "true")}, indent=2) + "\n"
    items = [_item(packet, chance) for packet in made]
    if len(made) > MOST_REVIEWED:
        items = [{key: value for key, value in item.items() if key not in ("evidence", "approvals")} for item in items]
    yield LIST, json.dumps({"items": items}, indent=2) + "\n"
    for packet in made:
        for kind, path in packet.documents.items():
            text = _stub(packet, kind, path) if packet.archived else _document(packet, kind, chance)
            yield path, text
    for number in range(len(made) // 3):
        yield (
            f"docs/findings/{number:04}-part-{number}-deliberation.md",
            f"# Findings {number}\n\n{prose(14, number)}\n",
        )
    for number in range(len(made) * 8 // 9):
        yield f"orchestrator/src/module_{number}.ts", f"export const value = {number};\n" * chance.randrange(20, 600)
    if pins:
        yield LOCK, _lock(pins)


def _stub(packet: Packet, kind: str, path: str) -> str:
    return (
        f"# {kind} - Part {packet.number} of the Request Shell Extraction\n\n<!-- docs-archive:stub -->\n"
        f"> Archived on 2026-05-13. Full content: https://example.com/co/blob/doc-archives/{path}\n\n"
        f"- Archive branch: doc-archives\n- Archive path: {path}\n"
    )


def _document(packet: Packet, kind: str, chance: random.Random) -> str:
    """About 6 KB with some twenty spans and links."""
    parts = [f"# {kind.upper()} - Part {packet.number} of the Request Shell Extraction\n"]
    if kind == "mini-spec":
        front = f"id: 20260325-{packet.id}\ntitle: Part {packet.number}\nowners:\n  - b\nlast_review: 2026-03-25\n"
        parts.insert(0, f"---\n{front}---\n")
    if kind in ("checklist", "mirror"):
        names = (("Primary PRD", "prd"), ("TECH_SPEC", "mini-spec"), ("ACTION_PLAN", "plan"))
        parts.append(f"\n- MCP Task ID: `{packet.id}`\n")
        parts += [f"- {label}: `{packet.documents[of]}`\n" for label, of in names]
    for title in SECTIONS[kind]:
        parts.append(f"\n## {title}\n")
        if title == "Approvals":
            parts.append("- Product: Self-approved on 2026-03-25\n- Engineering: Self-approved\n- Design: N/A\n")
            continue
        parts += [_line(packet, kind, chance) for _ in range(chance.randrange(2, 9))]
    return "".join(parts)


def _line(packet: Packet, kind: str, chance: random.Random) -> str:
    text = prose(1 + (chance.random() < 0.3), chance.randrange(9_999))
    if kind in ("checklist", "mirror"):
        done = chance.random() < 0.7
        return f"- [{'x' if done else ' '}] {text} Evidence: {_cited(packet, chance) if done else 'pending'}.\n"
    return f"- {text}\n  - {prose(1, chance.randrange(9_999))[:-1]}: {_cited(packet, chance)}.\n"


def _cited(packet: Packet, chance: random.Random) -> str:
    draw = chance.random()
    if draw < 0.35:
        return f"`npm run {chance.choice(SCRIPTS)}`"
    if draw < 0.60:
        return f"`{chance.choice(list(packet.documents.values()))}`"
    if draw < 0.75:
        return f"`orchestrator/src/module_{chance.randrange(200)}.ts`"
    if draw < 0.80:
        return f"`orchestrator/src/moved_{chance.randrange(9_999)}.ts`"  # missing for long
    if draw < 0.93:
        return f"`{chance.choice(WORDS)} {chance.randrange(30)}`"
    run = f"2026-03-25T07-53-02-243Z-{chance.getrandbits(32):08x}"
    return f"`.runs/{packet.id}/cli/{run}/manifest.json`"


def _item(packet: Packet, chance: random.Random) -> dict[str, object]:
    """About 1.9 KB, as in the real list of 1.7 MB."""
    paths = packet.documents
    reviews = {
        f"lifecycle_audit_{number}": {
            "reviewer": "lifecycle audit",
            "date": "2026-05-18",
            "status": "done",
            "summary": prose(3, chance.randrange(9_999)),
        }
        for number in range(2)
    }
    return {
        "id": f"20260325-{packet.id}",
        "title": f"Part {packet.number} of the Request Shell Extraction",
        "relates_to": paths["checklist"],
        "risk": "medium",
        "owners": ["b"],
        "last_review": "2026-05-18",
        "paths": {
            "spec": paths["mini-spec"],
            "task": paths["checklist"],
            "agent_task": paths["mirror"],
            "docs": paths["spec"],
        },
        "status": "done" if packet.archived else "in_progress",
        "evidence": list(paths.values()),
        "approvals": reviews,
    }


def _lock(pins: int) -> str:
    lines = (
        json.dumps(
            {
                "path": f".runs/0001-part/cli/2026-01-02T03-04-05-678Z-{at:08x}/manifest.json",
                "sha256": f"{at:064x}",
                "size": 3,
            }
        )
        for at in range(pins)
    )
    return '{"evidence-lock": 1}\n' + "\n".join(sorted(lines)) + "\n"
