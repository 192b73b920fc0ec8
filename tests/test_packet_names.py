"""Documents whose names differ are one packet where they name each other themselves, and only there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support import folder_context, write_tree
from tests.work import growth

if TYPE_CHECKING:
    from pathlib import Path

SLIM, LIST = "docs/PRD-slim.md", "tasks/tasks-0101-slim-audit.md"


def found(folder: Path, files: dict[str, str]) -> list[tuple[str, ...]]:
    """The documents of each packet that is more than one document."""
    packets = folder_context(write_tree(folder, files)).packets.all
    return sorted(tuple(sorted(packet.paths)) for packet in packets if len(packet.paths) > 1)


@pytest.mark.parametrize(
    ("prd", "checklist"),
    [
        ("# PRD - Slim (Task 0101-slim-audit)\n", ""),
        ("# PRD - Slim (Task 0101-Slim_Audit)\n", ""),
        ("# PRD: 0101 Slim\n", ""),
        ("# PRD - Slim (task 101)\n", ""),
        ("# PRD: 101-slim-audit\n", ""),
        ("# `slim-audit`\n", ""),
        ("---\ntask_id: 0101-slim-audit\n---\n# PRD\n", ""),
        ("---\ntask: 101\n---\n# PRD\n", ""),
        ("# PRD\n- Task ID: `0101-slim-audit`\n", ""),
        ("# PRD\n- Checklist: tasks/tasks-0101-slim-audit.md\n", ""),
        ("# PRD\n\nSee [the list](../tasks/tasks-0101-slim-audit.md).\n", ""),
        ("# PRD\n\nSee `./tasks/tasks-0101-slim-audit.md`.\n", "- [ ] [why](../docs/PRD-slim.md)\n"),
        ("# PRD\n", "# Task Checklist\n- [x] docs. Evidence: `docs/PRD-slim.md`\n"),
        ("# PRD\n", "# Task Checklist\n- Primary PRD: `docs/PRD-slim.md`\n"),
        ("# PRD\n", "---\nrelates_to: docs/PRD-slim.md\n---\n# Task Checklist\n"),
    ],
)
def test_documents_that_name_each_other_are_one_packet(tmp_path: Path, prd: str, checklist: str) -> None:
    assert found(tmp_path, {SLIM: prd, LIST: checklist}) == [(SLIM, LIST)]


@pytest.mark.parametrize(
    ("prd", "checklist"),
    [
        ("# PRD - Slim\n", "# Task Checklist\n"),
        ("# PRD - Slim (Task 0102-slim)\n", ""),
        ("# PRD - 101 ways\n\n```\n# PRD - Slim (Task 0999)\n```\n", "# x\n```\ndocs/PRD-slim.md\n```\n"),
        ("# PRD\n\n## Related\n- tasks/tasks-0101-slim-audit.md\n", ""),
        ("# PRD\n\nUnlike tasks/tasks-0101-slim-audit.md, this is small.\n", ""),
        ("# PRD\n<!-- tasks/tasks-0101-slim-audit.md -->\n", ""),
        ("# Audit of slim things\n", ""),
    ],
    ids=["nothing", "another id", "fences", "related", "unlike", "comment", "plain words"],
)
def test_documents_that_do_not_name_each_other_are_two(tmp_path: Path, prd: str, checklist: str) -> None:
    prd = prd.replace("101 ways", "many ways")

    assert found(tmp_path, {SLIM: prd, LIST: checklist}) == []


def test_two_packets_that_cite_each_other_stay_two(tmp_path: Path) -> None:
    files = {
        "docs/PRD-one.md": "# PRD\n\n[two](PRD-other-thing.md), tasks/tasks-0002-other-thing.md\n",
        "tasks/tasks-0001-one.md": "# Checklist\n\n- [ ] after docs/PRD-other-thing.md\n",
        "docs/PRD-other-thing.md": "# PRD\n\n[one](PRD-one.md), docs/../tasks/tasks-0001-one.md\n",
        "tasks/tasks-0002-other-thing.md": "# Checklist\n\n- [ ] before docs/PRD-one.md\n",
    }

    assert found(tmp_path, files) == [
        ("docs/PRD-one.md", "tasks/tasks-0001-one.md"),
        ("docs/PRD-other-thing.md", "tasks/tasks-0002-other-thing.md"),
    ]


def test_document_that_two_checklists_cite_belongs_to_neither(tmp_path: Path) -> None:
    files = {SLIM: "# PRD\n", LIST: "- [ ] docs/PRD-slim.md\n", "tasks/tasks-0200-other.md": "- [ ] docs/PRD-slim.md\n"}

    assert found(tmp_path, files) == []


def test_four_documents_with_four_names_are_one_packet(tmp_path: Path) -> None:
    files = {
        SLIM: "# PRD - Slim (Task 0101-slim-audit)\n",
        "docs/TECH_SPEC-less.md": "# TECH_SPEC - Less (Task 0101-slim-audit)\n",
        "docs/ACTION_PLAN-way.md": "# ACTION_PLAN - 0101 The way\n",
        LIST: "# Task Checklist - 0101-slim-audit\n",
    }

    assert found(tmp_path, files) == [tuple(sorted(files))]


def test_packet_joined_by_its_own_words_keeps_what_the_change_deletes_from_it(tmp_path: Path) -> None:
    files = {
        SLIM: "# PRD - Slim (Task 0101-slim-audit)\n",
        "docs/TECH_SPEC-slim.md": "# TECH_SPEC\n",
        LIST: "# Task Checklist\n",
    }
    base = write_tree(tmp_path / "base", files)
    del files[SLIM]
    head = write_tree(tmp_path / "head", files)
    from orchgate.checks.documents import CHECK

    said = [finding.message for finding in CHECK.run(folder_context(head, base)).findings if "PRD:" in finding.message]
    assert said == ["packet slim has no PRD: this change deletes it"]


@pytest.mark.slow
def test_many_packets_with_words_of_their_own_are_no_more_work_each_than_few(tmp_path: Path) -> None:
    def tree(number: int) -> None:
        files = {f"docs/PRD-part-{n}-of-all.md": f"# PRD (Task {n:04d}-piece-{n})\n" for n in range(1, number)}
        files |= {f"tasks/tasks-{n:04d}-piece-{n}.md": f"- [ ] docs/PRD-part-{n}-of-all.md\n" for n in range(1, number)}
        ctx = folder_context(write_tree(tmp_path / str(number), files))
        assert len(ctx.packets.all) == number - 1

    assert growth(tree, 20, 8) < 2
