"""Each thing that a kept outcome rests on decides something: what was kept says so, and what is judged anew."""

from __future__ import annotations

import datetime
import hashlib
import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from orchgate.gate import asked
from orchgate.gate.asked import Asked, WatchedArtifacts
from orchgate.gate.outcomes import Outcomes
from orchgate.gate.whole import parts
from orchgate.gate.whole.parts import Parts
from tests.test_kept_parts import rules, said
from tests.test_parts import ITEM, OTHER, RUN, tasks

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from tests.repo import Repo

LOCK = ".orchgate/evidence.lock"
LOG = f".runs/0001-slim/cli/{RUN}/log.txt"
CITES = f"# Run\n\n- [x] passes - Evidence: `{LOG}`\n"
POINTER = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'1' * 64}\nsize 9\n"
FILES = {
    ".gitignore": ".runs/\n",
    "docs/PRD-slim.md": "# PRD\n\n## Impact\n\nTBD\n",
    "docs/notes.md": "# Notes\n",
    "tasks/index.json": tasks(ITEM),
    "tasks/tasks-0001-slim.md": "# Checklist\n",
}


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts of one document; what was written just now counts as old."""
    monkeypatch.setattr(asked, "RACY", -(10**18))
    monkeypatch.setattr(parts, "SIZE", 1)


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The checks whose outcomes are kept."""
    names: list[str] = []
    monkeypatch.setattr(Outcomes, "keep", lambda _self, check, *_: names.append(check.id))
    return names


def both(repo: Repo, before: Mapping[str, str], after: Mapping[str, str]) -> tuple[list[str], list[str]]:
    """The rules of two trees, the second as it is said from what was kept of the first one, which is as anew."""
    repo.commit(files={**FILES, **before})
    first = rules(said())
    repo.commit(files={**after, "docs/notes.md": "# Notes\n\nwords\n"})
    second = said()
    assert second == said("--no-cache")
    return first, rules(second)


def pinned(content: bytes = b"one\n") -> str:
    line = {"path": LOG, "sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}
    return '{"evidence-lock": 1}\n' + json.dumps(line) + "\n"


# -- In the tree -----------------------------------------------------------------------------------------


def test_what_the_task_list_says_of_a_packet_is_said_again(repo: Repo) -> None:
    entry = {**ITEM, "path": "tasks/none.md"}
    first, second = both(repo, {"tasks/index.json": tasks(entry)}, {})
    assert (first.count("DOC005"), second.count("DOC005")) == (1, 1)


def test_what_the_task_list_says_of_a_packet_is_said_of_its_line(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = {**ITEM, "path": "tasks/none.md"}
    both(repo, {"tasks/index.json": tasks(entry)}, {"tasks/index.json": "\n\n" + tasks(entry)})
    repo.git("checkout", "-q", "-b", "work")
    repo.git("branch", "-f", "main", "HEAD~1")
    held_against_the_base(monkeypatch)
    assert said() == said("--no-cache")


@pytest.mark.parametrize(
    ("before", "after", "missing"), [("src", "lib", [0, 1]), ("", "src", [1, 0]), ("src", "", [0, 1])]
)
def test_a_path_leads_through_a_link_to_where_the_link_leads_now(
    repo: Repo, before: str, after: str, missing: list[int]
) -> None:
    repo.commit(files={**FILES, "src/a.py": "", "lib/b.py": "", "docs/reader.md": "# Reader\n\n[a](../linked/a.py)\n"})
    reports = [_said_with_link(repo, aim) for aim in (before, after)]

    assert reports[1] == said("--no-cache")
    assert [rules(report).count("EVD001") for report in reports] == missing


def _said_with_link(repo: Repo, aim: str) -> dict[str, Any]:
    (repo.root / "linked").unlink(missing_ok=True)
    if aim:
        (repo.root / "linked").symlink_to(aim)
    repo.git("add", "--all")
    return said()


def test_a_document_that_is_a_link_says_what_the_file_says_that_it_leads_to(repo: Repo) -> None:
    repo.write("docs/notes.md")
    (repo.root / "docs/linked.md").symlink_to("../src/page.txt")
    repo.git("add", ".")
    first, second = both(repo, {"src/page.txt": "# Page\n\n[gone](gone.md)\n"}, {"src/page.txt": "# Page\n"})
    assert (first.count("EVD001"), second.count("EVD001")) == (1, 0)


def test_a_packet_that_the_task_list_calls_finished_has_no_placeholders(repo: Repo) -> None:
    first, second = both(repo, {}, {"tasks/index.json": tasks({**ITEM, "status": "completed"})})
    assert ("DOC004" in first, "DOC004" in second) == (False, True)


def test_a_document_that_leaves_a_task_cites_that_one_s_runs(repo: Repo) -> None:
    folder = f".runs/0002-fast/cli/{RUN}"
    repo.write(f"{folder}/log.txt")
    text = f"# PRD\n\n- [x] passes - Evidence: `{folder}/log.txt`\n"
    joined = {**OTHER, "paths": {"docs": "docs/PRD-wide.md"}}
    before = {
        "docs/PRD-wide.md": text,
        "tasks/tasks-0002-fast.md": "# Checklist\n",
        "tasks/index.json": tasks(joined),  # type: ignore[arg-type]
    }
    first, second = both(repo, before, {"tasks/index.json": tasks(OTHER)})
    assert ("EVD006" in first, "EVD006" in second) == (False, True)


def test_what_is_wrong_with_a_document_of_two_packets_is_said_once(repo: Repo) -> None:
    first, second = both(repo, {"docs/PRD-slim.md": "# TECH_SPEC\n", "tasks/tasks-0002-slim.md": "# Checklist\n"}, {})
    assert first == second


def test_what_a_finished_packet_requires_is_said_once(repo: Repo) -> None:
    settings = '[evidence]\nrequired-runs = ["build"]\n[pipelines.build]\nstages = [{ id = "a", run = ["true"] }]\n'
    done = {"orchgate.toml": settings, "tasks/index.json": tasks({**ITEM, "status": "completed"})}
    first, second = both(repo, done, {})
    assert (first.count("EVD010"), second.count("EVD010")) == (1, 1)


def test_a_document_that_is_added_among_artifacts_is_said_once(repo: Repo) -> None:
    repo.commit(files={"orchgate.toml": '[evidence]\nroots = ["docs/runs"]\n'})
    repo.git("checkout", "-q", "-b", "work")
    first, second = both(repo, {"docs/runs/a.md": "# A\n\n[gone](gone.md)\n"}, {})
    assert (first.count("EVD015"), second.count("EVD015")) == (1, 1)


# -- The lock --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_lock_that_the_change_takes_away_is_missed(repo: Repo, order: tuple[int, int]) -> None:
    repo.write(LOG, "one\n")
    bases = [repo.commit(files={**FILES, "docs/cites.md": CITES}), repo.commit(files={LOCK: pinned()})]
    repo.git("checkout", "-q", "-b", "work")
    repo.git("rm", "-q", LOCK)
    repo.commit()
    found: dict[int, int] = {}
    for at in order:
        repo.git("branch", "-f", "main", bases[at])
        report = said()
        found[at] = rules(report).count("EVD009")
        assert report == said("--no-cache")

    assert found == {0: 0, 1: 1}


def test_an_artifact_that_is_held_against_its_pin_rests_on_its_own_folders(
    repo: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo.write(LOG, "one\n")
    repo.commit(files={**FILES, "docs/cites.md": CITES, LOCK: pinned()})
    first = said()
    repo.write("beside.txt")
    anew: list[str] = []
    monkeypatch.setattr(Outcomes, "keep", lambda _self, check, *_: anew.append(check.id))

    assert (said(), anew) == (first, [])

    repo.write(LOG, "two\n")
    second = said()

    assert (rules(second).count("EVD008"), second == said("--no-cache")) == (1, True)


def test_what_is_found_in_a_tree_is_kept_also_where_the_change_moves_pins(repo: Repo, kept: list[str]) -> None:
    repo.write(LOG, "one\n")
    repo.commit(files={**FILES, "docs/cites.md": CITES})
    repo.git("checkout", "-q", "-b", "work")
    repo.commit(files={LOCK: pinned()})
    said()
    assert kept == ["commands", "documents", "evidence"]


def test_a_claim_that_runs_show_is_asked_of_the_repository_each_time(repo: Repo, kept: list[str]) -> None:
    manifest = LOG.replace("log.txt", "manifest.json")
    repo.commit(files=FILES)
    repo.git("checkout", "-q", "-b", "work")
    repo.write(manifest, json.dumps({"task_id": "0001-slim", "status": "succeeded"}))
    repo.commit(files={"docs/a.md": f"# A\n\n- [x] passes - Evidence: `{manifest}`\n"})
    said()
    assert kept == ["commands", "documents"]


# -- What the base cannot say ----------------------------------------------------------------------------


def held_against_the_base(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What is said anew, which is as where both trees are judged by themselves."""
    shared = said("--no-cache")
    with monkeypatch.context() as patched:
        patched.setattr(Parts, "compare", lambda *_: None)
        assert shared == said("--no-cache")
    return shared


def test_what_a_link_leads_to_is_not_the_same_in_the_base_because_the_link_is(
    repo: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo.write("docs/notes.md")
    (repo.root / "docs/linked.md").symlink_to("../src/page.txt")
    repo.git("add", ".")
    repo.commit(files={**FILES, "src/page.txt": "# Page\n"})
    repo.git("checkout", "-q", "-b", "work")
    repo.commit(files={"src/page.txt": "# Page\n\n[gone](gone.md)\n"})
    report = held_against_the_base(monkeypatch)
    assert [one["older"] for one in report["diagnostics"] if one["path"] == "docs/linked.md"] == [False]


def test_a_document_whose_manifest_is_elsewhere_is_the_same_in_the_base(
    repo: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = f"runs/0001-slim/cli/{RUN}/manifest.json"
    cites = f"# Run\n\n[gone](gone.md)\n\n- [x] passes: `{path}`\n"
    repo.commit(files={**FILES, "orchgate.toml": '[evidence]\nroots = ["runs"]\n', path: POINTER, "docs/a.md": cites})
    repo.git("checkout", "-q", "-b", "work")
    repo.commit(files={"docs/notes.md": "# Notes\n\nwords\n"})
    report = held_against_the_base(monkeypatch)
    assert [len(one["troubles"]) for one in report["checks"] if one["id"] == "evidence"] == [1]


def test_a_document_whose_artifact_cannot_be_compared_is_the_same_in_the_base(
    repo: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo.write(LOG, b"x" * 2000)
    settings = "[evidence]\nmax-artifact-bytes = 1024\n"
    cites = CITES + "\n[gone](gone.md)\n"
    repo.commit(files={**FILES, "orchgate.toml": settings, LOCK: pinned(b"x" * 2000), "docs/cites.md": cites})
    repo.git("checkout", "-q", "-b", "work")
    repo.commit(files={"docs/notes.md": "# Notes\n\nwords\n"})
    report = held_against_the_base(monkeypatch)
    assert [len(one["troubles"]) for one in report["checks"] if one["id"] == "evidence"] == [1]
    assert [one["older"] for one in report["diagnostics"] if one["path"] == "docs/cites.md"] == [True]


def test_a_packet_with_a_document_that_is_elsewhere_is_the_same_in_the_base(
    repo: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo.commit(files={**FILES, "docs/PRD-slim.md": "# TECH_SPEC\n", "docs/ACTION_PLAN-slim.md": POINTER})
    repo.git("checkout", "-q", "-b", "work")
    repo.commit(files={"docs/notes.md": "# Notes\n\nwords\n"})
    report = held_against_the_base(monkeypatch)
    assert [len(one["troubles"]) for one in report["checks"] if one["id"] == "documents"] == [1]


def test_a_packet_where_only_the_proposed_configuration_looks_owes_what_that_asks(
    repo: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo.commit(files={**FILES, "specs/PRD-fast.md": "# PRD\n"})
    repo.git("checkout", "-q", "-b", "work")
    settings = '[documents]\npaths.prd = "specs/PRD-{slug}.md"\nrequired-sections.prd = ["Limits"]\n'
    repo.commit(files={"orchgate.toml": settings})
    report = held_against_the_base(monkeypatch)
    found = [one for one in report["diagnostics"] if one["rule"] == "DOC002" and one["path"] == "specs/PRD-fast.md"]
    assert [one["older"] for one in found] == [False]


# -- On disk ---------------------------------------------------------------------------------------------


def test_an_artifact_that_leads_out_is_another_thing_than_none(repo: Repo) -> None:
    repo.commit(files={**FILES, "docs/cites.md": CITES})
    place = repo.root / LOG
    place.parent.mkdir(parents=True)
    place.symlink_to(os.devnull)
    first = said()
    place.unlink()
    repo.stage("docs/notes.md", "# Notes\n\nwords\n")
    second = said()

    assert second == said("--no-cache")
    assert [("EVD004" in rules(report), "EVD001" in rules(report)) for report in (first, second)] == [
        (True, False),
        (False, True),
    ]


def test_the_first_of_two_links_on_the_way_to_an_artifact_is_named(repo: Repo) -> None:
    repo.write(LOG.replace(".runs/", "real/").replace("/cli/", "/linked/"), "one\n")
    (repo.root / "real/0001-slim/cli").symlink_to("linked")
    (repo.root / ".runs").symlink_to("real")
    repo.commit(files={**FILES, ".gitignore": "/.runs\n/real\n", "docs/cites.md": CITES, LOCK: pinned()})
    first = said()
    (repo.root / ".runs").unlink()
    (repo.root / ".runs").mkdir()
    (repo.root / ".runs/0001-slim").symlink_to("../real/0001-slim")
    repo.stage("docs/notes.md", "# Notes\n\nwords\n")
    second = said()

    assert second == said("--no-cache")
    found = [one for report in (first, second) for one in report["diagnostics"] if one["rule"] == "EVD008"]
    assert [one["message"].rpartition(" ")[2] for one in found] == [".runs", ".runs/0001-slim"]


def _linked(root: Path, aim: str) -> None:
    (root / "out/link").unlink(missing_ok=True)
    (root / "out/link").symlink_to(aim)


QUESTIONS: dict[str, tuple[Callable[[WatchedArtifacts], object], Callable[[Path], object]]] = {
    "on_disk": (lambda of: of.on_disk("out/a"), lambda root: (root / "out/a").unlink()),
    "is_named": (lambda of: of.is_named("out/a"), lambda root: (root / "out/a").unlink()),
    "leads_out": (lambda of: of.leads_out("out/link"), lambda root: _linked(root, "/dev/null")),
    "linked_at": (lambda of: of.linked_at("out/link"), lambda root: (root / "out/link").unlink()),
    "is_plain": (lambda of: of.is_plain("out"), lambda root: (root / "out").rename(root / "other")),
    "listed": (lambda of: of.listed("out"), lambda root: (root / "out/b").touch()),
    "names": (lambda of: of.names("out"), lambda root: (root / "out/b").touch()),
    "found": (lambda of: list(of.found("out/*")), lambda root: (root / "out/b").touch()),
    "matching": (lambda of: of.matching("out/b*"), lambda root: (root / "out/b").touch()),
    "full": (lambda of: of.full("out/a"), lambda root: (root / "out/a").write_text("other")),
}


@pytest.mark.parametrize("question", QUESTIONS)
def test_what_was_asked_of_the_disk_has_another_answer_where_the_disk_is_another(tmp_path: Path, question: str) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/a").touch()
    _linked(tmp_path, "a")
    ask, change = QUESTIONS[question]
    day = datetime.date(2026, 1, 1)
    asking = Asked(str(tmp_path), ("out",), day)
    ask(WatchedArtifacts(asking, ("out",)))
    same = Asked(str(tmp_path), ("out",), day).still(asking.answers)
    change(tmp_path)

    assert (asking.lost, same, Asked(str(tmp_path), ("out",), day).still(asking.answers)) == ("", True, False)


@pytest.mark.parametrize("question", ["inside", "within"])
def test_where_a_resolved_path_is_depends_on_the_work_tree(tmp_path: Path, question: str) -> None:
    day = datetime.date(2026, 1, 1)
    asking = Asked(str(tmp_path / "one"), ("out",), day)
    getattr(WatchedArtifacts(asking, ("out",)), question)(str(tmp_path / "one/out/a"))

    assert Asked(str(tmp_path / "one"), ("out",), day).still(asking.answers)
    assert not Asked(str(tmp_path / "two"), ("out",), day).still(asking.answers)
