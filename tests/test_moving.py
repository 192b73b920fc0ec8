"""Documents and their configured places move in one change: honest moves pass, what they would hide is refused."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING

import pytest

from orchgate.lib import files
from tests.support import checked

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.repo import Repo

PLACES = {
    "PRD.md": "docs/PRD-demo.md",
    "TECH_SPEC.md": "docs/TECH_SPEC-demo.md",
    "ACTION_PLAN.md": "docs/ACTION_PLAN-demo.md",
    "CHECKLIST.md": "tasks/tasks-0001-demo.md",
}
NEW = {
    "packets": ("PRD.md", "work/{task}/prd.md"),
    "tech-spec": ("TECH_SPEC.md", "work/{task}/spec.md"),
    "action-plan": ("ACTION_PLAN.md", "work/{task}/plan.md"),
    "checklist": ("CHECKLIST.md", "work/{task}/list.md"),
}
UNASKED = ("DOC003",)  # empty sections of an open packet
STEP = "```bash\norchgate run p\n```\n"
INDEX = '[{"id": "0001", "slug": "demo", "status": "%s", "path": "tasks/tasks-0001-demo.md"}]\n'


def document(template: str) -> str:
    text = files.read_data("templates", template).replace("{task}", "0001-demo").replace("{title}", "Demo")
    for name, value in {"prd": "PRD.md", "tech-spec": "TECH_SPEC.md", "action-plan": "ACTION_PLAN.md"}.items():
        text = text.replace("{" + name + "}", PLACES[value])
    return text.replace("{checklist}", PLACES["CHECKLIST.md"]).replace(
        "{date}", datetime.datetime.now(datetime.UTC).date().isoformat()
    )


@pytest.fixture
def packet(repo: Repo) -> Repo:
    """A repository with one packet at the default places and an empty configuration."""
    repo.commit(files={path: document(template) for template, path in PLACES.items()})
    repo.commit(files={"orchgate.toml": "", "tasks/index.json": INDEX % "in-progress"})
    return repo


def moved(repo: Repo, *kinds: str, keep: bool = False) -> None:
    """The documents of some kinds are moved, the others name their new places, and the configuration says so."""
    lines = ["[documents]"]
    targets = {PLACES[NEW[kind][0]]: NEW[kind][1].replace("{task}", "0001-demo") for kind in kinds}
    for kind in kinds:
        template, place = NEW[kind]
        target = place.replace("{task}", "0001-demo")
        (repo.root / target).parent.mkdir(parents=True, exist_ok=True)
        if not keep:
            repo.git("mv", PLACES[template], target)
        lines.append(f'paths.{"prd" if kind == "packets" else kind} = "{place}"')
    repo.stage("orchgate.toml", "\n".join(lines) + "\n")
    for path in () if keep else repo.git("ls-files", "*.md", "*.json").split():
        renamed(repo, path, targets)


def renamed(repo: Repo, path: str, names: Mapping[str, str]) -> None:
    text = (repo.root / path).read_text()
    for old, new in names.items():
        text = text.replace(old, new)
    repo.stage(path, text)


def judged(*checks: str) -> tuple[str, set[str]]:
    """The verdict, and the rules with their weight."""
    report = checked("--staged", *checks)
    shown = [d for d in report["diagnostics"] if d["suppressed"] is None]
    return report["verdict"], {f"{d['rule']} {d['severity']}" for d in shown if d["rule"] not in UNASKED}


@pytest.mark.slow
@pytest.mark.parametrize("kinds", [(kind,) for kind in NEW] + [("packets", "checklist"), tuple(NEW)], ids="+".join)
def test_documents_that_move_with_their_places_pass(packet: Repo, kinds: tuple[str, ...]) -> None:
    moved(packet, *kinds)

    assert judged("configuration", "documents", "specs") == ("warn", {"CFG001 warning"})


@pytest.mark.slow
def test_documents_that_are_rewritten_while_they_move_pass(packet: Repo) -> None:
    packet.git("rm", "-q", PLACES["PRD.md"])
    rewritten = "# PRD - Demo\n\n" + "".join(f"## {t}\n\nNew.\n\n" for t in ("Summary", "Goals", "Non-Goals"))
    packet.stage(
        "work/0001-demo/prd.md", rewritten + "## Metrics & Guardrails\n\nNone.\n\n## Approvals\n\n- Jo: open\n"
    )
    packet.stage("orchgate.toml", '[documents]\npaths.prd = "work/{task}/prd.md"\n')
    for path in (PLACES["TECH_SPEC.md"], PLACES["CHECKLIST.md"]):
        renamed(packet, path, {PLACES["PRD.md"]: "work/0001-demo/prd.md"})

    assert judged("configuration", "documents") == ("warn", {"CFG001 warning"})


@pytest.mark.slow
def test_a_task_list_that_moves_too_still_says_which_packets_rest(packet: Repo) -> None:
    packet.commit(files={"tasks/index.json": INDEX % "archived", PLACES["PRD.md"]: "# PRD\n"})
    packet.git("mv", "tasks/index.json", "work.json")
    moved(packet, *NEW)
    packet.stage("orchgate.toml", (packet.root / "orchgate.toml").read_text() + 'task-index = "work.json"\n')

    assert judged("configuration", "documents") == ("warn", {"CFG001 warning"})


def empty_goals(repo: Repo, path: str) -> None:
    text = (repo.root / path).read_text()
    repo.stage(path, text.replace("## Goals", "## Wishes"))


def breaks_in_the_old_place(repo: Repo) -> None:
    moved(repo, "packets", keep=True)
    empty_goals(repo, PLACES["PRD.md"])


def breaks_on_the_way(repo: Repo) -> None:
    moved(repo, "packets")
    empty_goals(repo, "work/0001-demo/prd.md")


def hides_behind_a_decoy(repo: Repo) -> None:
    moved(repo, "packets", keep=True)
    repo.stage("work/0001-demo/prd.md", document("PRD.md"))
    empty_goals(repo, PLACES["PRD.md"])


def loses_a_document(repo: Repo) -> None:
    moved(repo, "packets")
    repo.git("rm", "-q", PLACES["ACTION_PLAN.md"])


def calls_one_document_two(repo: Repo) -> None:
    repo.stage("orchgate.toml", '[documents]\npaths.action-plan = "docs/PRD-{slug}.md"\n')
    repo.git("rm", "-q", PLACES["ACTION_PLAN.md"])


def looks_nowhere(repo: Repo) -> None:
    nowhere = "".join(f'{kind} = "no/{kind}-{{task}}.md"\n' for kind in NEW)
    repo.stage("orchgate.toml", "[documents]\n" + nowhere)
    empty_goals(repo, PLACES["PRD.md"])


def has_no_places(repo: Repo) -> None:
    repo.stage(
        "orchgate.toml",
        '[documents]\nrequired = ["prd"]\npaths = { action-plan = [], checklist = [], tech-spec = [] }\n',
    )
    repo.stage(PLACES["ACTION_PLAN.md"], "# ACTION_PLAN\n")


@pytest.mark.slow
@pytest.mark.parametrize(
    "change",
    [
        breaks_in_the_old_place,
        breaks_on_the_way,
        hides_behind_a_decoy,
        loses_a_document,
        calls_one_document_two,
        looks_nowhere,
        has_no_places,
    ],
)
def test_a_move_hides_nothing_that_the_old_places_show(packet: Repo, change: Callable[[Repo], None]) -> None:
    change(packet)

    verdict, found = judged("configuration")

    assert (verdict, "CFG001 error" in found) == ("fail", True)


@pytest.mark.slow
def test_a_packet_that_is_new_at_its_new_place_is_judged_there(packet: Repo) -> None:
    moved(packet, *NEW)
    packet.stage("work/0002-other/prd.md", "# PRD - Other\n")

    assert {"DOC001 error", "DOC002 error"} <= judged("documents")[1]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["old.toml", "conf/orchgate.toml"])
def test_a_configuration_that_is_moved_away_still_judges(packet: Repo, name: str) -> None:
    packet.commit(files={"orchgate.toml": "[diff-budget]\nmax-lines = 5\n", "conf/readme": ""})
    packet.git("mv", "orchgate.toml", name)
    packet.stage("code.py", "x\n" * 10)

    assert judged("configuration", "diff-budget") == ("fail", {"CFG001 error", "DIF001 error"})


@pytest.mark.slow
@pytest.mark.parametrize("target", ["conf/real.toml", "#conf", "profile='default'"])
def test_a_configuration_that_becomes_a_link_is_refused(packet: Repo, target: str) -> None:
    (packet.root / "orchgate.toml").unlink()
    (packet.root / "orchgate.toml").symlink_to(target)
    packet.git("add", "orchgate.toml")

    result = packet.orchgate("check", "--staged")

    assert (result.code, "orchgate.toml" in result.out) == (2, True)


@pytest.mark.slow
def test_a_file_that_shadows_the_table_with_the_same_values_loosens_nothing(packet: Repo) -> None:
    packet.git("rm", "-q", "orchgate.toml")
    packet.commit(files={"pyproject.toml": "[tool.orchgate.diff-budget]\nmax-lines = 5\n"})
    packet.stage("orchgate.toml", "[diff-budget]\nmax-lines = 5\n")

    assert judged("configuration") == ("warn", {"CFG002 warning"})


@pytest.mark.slow
def test_a_file_that_shadows_the_table_is_judged_by_its_values(packet: Repo) -> None:
    packet.git("rm", "-q", "orchgate.toml")
    packet.commit(files={"pyproject.toml": "[tool.orchgate.diff-budget]\nmax-lines = 5\n"})
    packet.stage("orchgate.toml", "[diff-budget]\nmax-files = 5\n")
    packet.stage("code.py", "x\n" * 10)

    assert judged("configuration") == ("fail", {"CFG001 error", "CFG002 warning"})


@pytest.mark.slow
def test_a_pipeline_that_the_change_brings_is_known_to_its_plan(packet: Repo) -> None:
    text = document("ACTION_PLAN.md").replace(
        "## Concrete Steps\n", "## Concrete Steps\n\n```bash\norchgate run p\n```\n"
    )
    packet.stage("orchgate.toml", "[[pipelines.p.stages]]\nid = 'a'\nrun = ['true']\n")
    packet.stage(PLACES["ACTION_PLAN.md"], text)

    assert judged("commands") == ("pass", set())


@pytest.mark.slow
def test_a_base_of_defaults_asks_for_no_runs_it_does_not_know(packet: Repo) -> None:
    packet.stage("orchgate.toml", "[diff-budget]\nmax-lines = 700\n")
    packet.stage("tasks/index.json", INDEX % "done")

    assert "EVD010 error" not in judged("evidence")[1]


@pytest.mark.slow
def test_a_layout_and_its_first_documents_land_together(repo: Repo) -> None:
    """At places that only the new configuration names, only the new one asks for anything."""
    repo.commit("begin", {"orchgate.toml": ""})
    repo.stage("orchgate.toml", '[documents.paths]\nprd = "specs/{task}/spec.md"\n[documents]\nrequired = ["prd"]\n')
    repo.write("orchgate.toml", (repo.root / "orchgate.toml").read_text() + 'required-sections.prd = ["Story"]\n')
    repo.stage("specs/001-login/spec.md", "# Login\n\n## Story\n\nA user signs in.\n")
    repo.git("add", ".")

    assert judged("documents", "configuration")[0] == "warn"

    repo.stage("specs/001-login/spec.md", "# Login\n")
    assert judged("documents")[1] == {"DOC002 error"}
