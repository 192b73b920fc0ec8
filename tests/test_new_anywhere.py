"""`orchgate new`, and what else reads where packets are, under every configuration that is valid."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from orchgate.checks import documents
from orchgate.cli import main
from orchgate.commands.new.command import TEMPLATES, filled, plan_packet
from orchgate.commands.new.packet import write
from orchgate.config.load import build
from orchgate.config.settings import PACKET_KINDS
from orchgate.config.source import Source
from orchgate.errors import ConfigError, OrchgateError, UsageError
from orchgate.lib import files
from orchgate.packets.joining import find_packets
from orchgate.packets.layout import layout_of
from tests.support import folder_context, write_tree

if TYPE_CHECKING:
    from orchgate.commands.new.packet import PacketPlan
    from orchgate.packets.layout import Layout
    from tests.repo import Repo

KEYS = ("packets", "tech-spec", "action-plan", "checklist", "mini-spec")
NAMES = st.sampled_from(
    [
        "{slug}",
        "{task}",
        "{task}-{slug}",
        "{slug}-{task}",
        "{task}/{slug}",
        "{slug}/x",
        "{slug}/{slug}",
        "{task}.{task}",
    ]
)
PARTS = st.sampled_from(["", "docs/", "./", "a b/", "ä/", "[x]/", "{a,b}/", "*/", ".hidden/", "(+)/"])
ENDS = st.sampled_from(["", ".md", "-y.md"])


def tables(*, distinct: bool) -> st.SearchStrategy[dict[str, Any]]:
    """Tables of documents; `distinct` names tell the kinds apart, so that no place is one of another kind too."""
    # One kind's places may overlap as well: a slug in one is a task in the other.
    texts = {
        key: st.builds("{}{}{}{}".format, PARTS, st.just(f"{key}=" if distinct else ""), NAMES, ENDS) for key in KEYS
    }
    places = {key: st.lists(text, max_size=1 if distinct else 2) for key, text in texts.items()}
    return st.fixed_dictionaries(
        {},
        optional={
            "required": st.lists(st.sampled_from(PACKET_KINDS), unique=True),
            "task-index": st.sampled_from(["", "tasks/index.json", "list.json"]),
            **places,
        },
    )


def made(
    table: dict[str, Any], *, mini_spec: bool, profile: str = "default"
) -> tuple[Layout, PacketPlan, list[str]] | None:
    """The layout, what `new` wrote, and the rules of what the gate says of it; None where `new` said why it cannot."""
    raw = {"profile": profile, "documents": table}
    try:
        config = build(Source("orchgate.toml", raw))
    except ConfigError:
        assume(False)
    with tempfile.TemporaryDirectory() as root:
        try:
            plan = plan_packet(root, config.documents, "faster-start", "", "", mini_spec=mini_spec)
            write(root, plan)
        except UsageError as error:
            assert error.hint  # noqa: PT017 -- no place, or one for two documents
            return None
        except OrchgateError as error:
            assert "nothing was kept" in error.message  # noqa: PT017 -- a file where another place wants a folder
            return None
        write_tree(Path(root), {"orchgate.toml": as_toml(raw)})
        found = documents.CHECK.run(folder_context(Path(root)))
    return layout_of(config.documents), plan, [one.rule for one in found.findings]


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(tables(distinct=False), st.booleans(), st.sampled_from(["default", "codex-orchestrator"]))
@example({"required": [], **{key: [] for key in KEYS}}, True, "default")
def test_whatever_the_places_it_writes_or_says_why_not(table: dict[str, Any], mini_spec: bool, profile: str) -> None:
    made(table, mini_spec=mini_spec, profile=profile)


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(tables(distinct=True))
@example({"required": []})
@example({"required": ["mini-spec"]})
@example({"required": ["prd", "mini-spec"]})
@example({"packets": ["docs/PRD-{task}-{slug}.md"], "checklist": ["docs/{slug}-{task}.list"]})
def test_what_is_written_is_one_packet_that_lacks_nothing(table: dict[str, Any]) -> None:
    result = made(table, mini_spec=False)
    assume(result is not None)
    assert result is not None
    layout, plan, rules = result
    packets = find_packets(plan.files, layout)

    assert [set(plan.files) - packet.paths_set for packet in packets] == [set()]
    assert "DOC001" not in rules


def as_toml(table: dict[str, Any]) -> str:
    """A table of tables, texts and lists as TOML."""
    lines = [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in table.items() if key == "profile"]
    lines += ["[documents]"]
    lines += [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in table["documents"].items()]
    return "\n".join(lines) + "\n"


ODD = {
    "nothing required": "[documents]\nrequired = []\n",
    "no places": "[documents]\nrequired = []\n" + "".join(f"{key} = []\n" for key in KEYS),
    "mini-spec only": '[documents]\nrequired = ["mini-spec"]\n',
    "names twice": '[documents]\npackets = "w/{task}/{slug}.md"\nchecklist = "{slug}-{task}.md"\n',
    "one file for all": "[documents]\n" + "".join(f'{key} = "w/{{slug}}.md"\n' for key in KEYS),
    "no list": '[documents]\ntask-index = ""\n',
    "codex": 'profile = "codex-orchestrator"\n',
    "no roots": "[evidence]\nroots = []\n",
    "no documents": "[evidence]\ndocuments = []\nrequired-runs = []\n",
}
VERBS = (
    ["new", "demo"],
    ["new", "other", "--mini-spec", "--dry-run"],
    ["check"],
    ["check", "--all-files"],
    ["check", "--show-config"],
    ["status"],
    ["plan", "implementation-gate"],
    ["init", "--native", "--dry-run"],
    ["evidence", "summarize", "--task", "0001-demo", "--before", "x", "--after", "y"],
    ["evidence", "pin"],
    ["evidence", "push", "--dry-run"],
)


@pytest.mark.slow
@pytest.mark.parametrize("toml", ODD.values(), ids=ODD)
def test_no_verb_crashes_on_a_valid_configuration(repo: Repo, toml: str) -> None:
    repo.commit(files={"orchgate.toml": toml, "w/demo.md": "# Demo\n", "tasks/index.json": "[]\n"})
    codes = {}
    for verb in VERBS:
        codes[" ".join(verb)] = main(list(verb))
        repo.git("add", "-A")

    assert {verb: code for verb, code in codes.items() if code not in (0, 1, 2, 3)} == {}


@pytest.mark.slow
def test_nothing_required_is_a_packet_of_its_first_document(repo: Repo) -> None:
    repo.write("orchgate.toml", "[documents]\nrequired = []\n")

    assert (main(["new", "demo"]), (repo.root / "docs/PRD-demo.md").is_file()) == (0, True)


def test_no_place_at_all_is_wrong_usage(repo: Repo, capsys: pytest.CaptureFixture[str]) -> None:
    repo.write("orchgate.toml", ODD["no places"])

    assert main(["new", "demo"]) == 2
    assert "no kind of document has a place" in capsys.readouterr().err


def test_a_mini_spec_without_a_place_is_wrong_usage(repo: Repo, capsys: pytest.CaptureFixture[str]) -> None:
    repo.write("orchgate.toml", "[documents]\npaths.mini-spec = []\n")

    assert main(["new", "demo", "--mini-spec"]) == 2
    assert "documents.paths.mini-spec names no place" in capsys.readouterr().err


def test_a_document_names_none_that_is_not_written(repo: Repo) -> None:
    repo.write("orchgate.toml", '[documents]\nrequired = ["prd", "checklist"]\n')

    main(["new", "demo"])

    header = (repo.root / "tasks/tasks-0001-demo.md").read_text().partition("## ")[0]
    assert ("docs/PRD-demo.md" in header, "TECH_SPEC" in header, "Action Plan" in header) == (True, False, False)


def test_templates_keep_every_line_where_all_are_written() -> None:
    fields = dict.fromkeys(("title", "task", "slug", "date", *PACKET_KINDS), "x")
    texts = {name: files.read_data("templates", name) for name in TEMPLATES.values()}

    assert [filled(text, fields).count("\n") for text in texts.values()] == [
        text.count("\n") for text in texts.values()
    ]
