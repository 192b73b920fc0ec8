"""Packets of which some document is missing are found among all, and those are found once."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from orchgate.gate import session
from orchgate.model import ScopeTarget
from orchgate.packets import kept_packets
from orchgate.packets.catalog import Packets

if TYPE_CHECKING:
    from orchgate.packets.layout import Packet
    from tests.repo import Repo

DOCUMENTS = {
    "docs/PRD-slim.md": "# PRD - Slim\n",
    "docs/TECH_SPEC-other-words.md": "# TECH_SPEC - Slim\n\nPRD: docs/PRD-slim.md\n",
    "tasks/tasks-0101-far.md": "# Task Checklist\n\n- Primary PRD: docs/PRD-slim.md\n",
    "docs/PRD-alone.md": "# PRD - Alone\n",
}
TOGETHER = ["docs/PRD-slim.md", "docs/TECH_SPEC-other-words.md", "tasks/tasks-0101-far.md"]


def packets(path: str) -> tuple[Packet, ...]:
    """Those of one document of the index."""
    with session.opened() as repository:
        return session.context(repository, ScopeTarget("staged", None), os.environ).packets.of((path,))


@pytest.fixture
def known(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> Repo:
    """A repository whose packets were found, where nobody can find them once more."""
    repo.commit("first", DOCUMENTS)
    packets("docs/PRD-slim.md")
    monkeypatch.setattr(kept_packets, "find_packets", None)
    return repo


def test_incomplete_packets_are_found_once(known: Repo) -> None:
    known.stage("docs/PRD-alone.md", "# PRD - Alone\n\nMore words.\n")

    assert [sorted(packet.paths) for packet in packets("docs/PRD-slim.md")] == [TOGETHER]


@pytest.mark.usefixtures("known")
def test_whether_an_id_is_a_tasks_is_known_then() -> None:
    with session.opened() as repository:
        found = session.context(repository, ScopeTarget("staged", None), os.environ).packets

        assert [found.has_id(name) for name in ("0101", "0102", "010")] == [True, False, False]


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("docs/TECH_SPEC-other-words.md", "# TECH_SPEC - Alone\n"),  # it says something else
        ("docs/PRD-new.md", "# PRD\n"),  # there is another document
        ("tasks/index.json", '{"items": [{"id": "0101-far"}]}'),
    ],
)
def test_what_decides_which_there_are_has_them_found_again(known: Repo, path: str, content: str) -> None:
    known.stage(path, content)

    with pytest.raises(TypeError):
        packets("docs/PRD-slim.md")


@pytest.mark.parametrize("cut", [True, False])
def test_what_is_damaged_has_them_found_again(repo: Repo, cut: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    repo.commit("first", DOCUMENTS)
    packets("docs/PRD-slim.md")
    for entry in (repo.root / ".git/orchgate/cache").iterdir():
        whole = entry.read_bytes()
        if not entry.name.startswith("names"):
            entry.write_bytes(whole[:-1] if cut else whole[:-1] + bytes([whole[-1] ^ 1]))

    assert [sorted(packet.paths) for packet in packets("docs/PRD-slim.md")] == [TOGETHER]
    monkeypatch.setattr(kept_packets, "find_packets", None)
    assert [sorted(packet.paths) for packet in packets("docs/PRD-slim.md")] == [TOGETHER]


def test_a_packet_that_only_similar_names_complete_is_looked_for_among_all(repo: Repo) -> None:
    places = 'prd = ["docs/PRD-{slug}.md", "docs/{slug}.md"]\nchecklist = "docs/TECH_SPEC-{task}.md"\n'
    task = [f"docs/{kind}-0102-slim-words.md" for kind in ("ACTION_PLAN", "TECH_SPEC")]
    words = dict.fromkeys(("docs/PRD-far.md", "docs/PRD-slim-words.md", task[0]), "# Words\n")
    repo.commit("first", {**words, "orchgate.toml": f"[documents.paths]\n{places}"})
    repo.stage(task[1], "---\nrelates_to: docs/PRD-far.md\n---\n# Words\n\n- Primary PRD: docs/PRD-far.md\n")

    with session.opened() as repository:
        found = session.context(repository, ScopeTarget("staged", None), os.environ).packets

        assert found.owners_of("docs/PRD-slim-words.md") == found.owners["docs/PRD-slim-words.md"]


def beside(repo: Repo, files: dict[str, str]) -> tuple[Packets, Packets]:
    """The packets of a commit, which are known, and of the files that follow it, beside those."""
    repo.commit("first", {**DOCUMENTS, "tasks/index.json": '{"items": [{"id": "0101-far"}]}'})
    for path, content in files.items():
        repo.stage(path, content)
    with session.opened() as repository:
        ctx = session.context(repository, ScopeTarget("staged", None), os.environ)
        documents, base, now = ctx.config.documents, repository.tree("HEAD"), ctx.snapshot
        first = Packets(documents, base)
        second = Packets(documents, now, beside=first)
        assert (first.all, second.all) == (Packets(documents, base).all, Packets(documents, now).all)
        return first, second


def test_two_trees_with_the_same_documents_of_packets_have_the_same_packets(repo: Repo) -> None:
    first, second = beside(repo, {"src/more.py": "", "docs/notes.md": "# Notes\n"})

    assert second.all is first.all
    assert second.tasks is first.tasks


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("docs/TECH_SPEC-other-words.md", "# TECH_SPEC - Alone\n"),  # it says something else
        ("docs/PRD-new.md", "# PRD\n"),  # there is another document
        ("tasks/index.json", '{"items": [{"id": "0102-far"}]}'),
    ],
)
def test_what_decides_which_there_are_has_those_of_two_trees_found_apart(repo: Repo, path: str, content: str) -> None:
    first, second = beside(repo, {path: content})

    assert second.all is not first.all
    assert second.all != first.all
