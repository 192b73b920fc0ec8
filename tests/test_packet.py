"""Which documents make a packet, which packets a change touches, and what the task list says of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from orchgate.checks import documents, specs
from orchgate.config.load import build
from orchgate.config.source import Source
from orchgate.errors import ConfigError, Unreadable
from orchgate.model import ABSENT, Change, Scope, Severity
from orchgate.packets.catalog import Packets
from orchgate.packets.joining import find_packets
from orchgate.packets.layout import layout_of
from orchgate.packets.tasks import TaskEntry, normal_status, read_task_list, with_item
from tests.support import folder_context, target, write_tree
from tests.work import growth, no_hang

if TYPE_CHECKING:
    from pathlib import Path

    from orchgate.gate.context import Context
    from orchgate.model import Finding
    from orchgate.packets.layout import Packet

LAYOUT = layout_of(build(Source("", {})).documents)
PRD = "# PRD — Faster start\n\n## Summary\n\nA.\n"
SMALL = """\
[documents]
required = ["prd", "checklist"]
required-sections.prd = ["Summary"]
required-sections.checklist = []
required-sections.tech-spec = []
required-sections.mini-spec = []
"""


def packets(*paths: str, items: tuple[TaskEntry, ...] = ()) -> tuple[Packet, ...]:
    return find_packets(paths, LAYOUT, items)


def entry(**fields: object) -> TaskEntry:
    import json

    return read_task_list("tasks/index.json", json.dumps([fields]).encode()).items[0]


def test_a_slug_belongs_to_the_task_that_ends_with_it() -> None:
    (packet,) = packets("docs/PRD-faster-start.md", "tasks/tasks-0007-faster-start.md")

    assert (packet.task, packet.slug) == ("0007-faster-start", "faster-start")


def test_a_slug_belongs_to_the_task_of_the_same_name() -> None:
    (packet,) = packets("docs/PRD-linear-1a2b.md", "tasks/tasks-linear-1a2b.md")

    assert packet.documents == {"prd": "docs/PRD-linear-1a2b.md", "checklist": "tasks/tasks-linear-1a2b.md"}


def test_a_slug_does_not_belong_to_a_task_that_only_ends_alike() -> None:
    assert len(packets("docs/PRD-start.md", "tasks/tasks-0007-faster-start.md")) == 2


def test_two_tasks_may_share_a_slug() -> None:
    found = packets("docs/PRD-x.md", "tasks/tasks-0001-x.md", "tasks/tasks-0002-x.md")

    assert [packet.documents["prd"] for packet in found] == ["docs/PRD-x.md", "docs/PRD-x.md"]


def test_the_first_pattern_of_a_kind_wins() -> None:
    (packet,) = packets("tasks/specs/0007-x.md", "docs/TECH_SPEC-x.md")

    assert (packet.documents["tech-spec"], packet.mini_spec_as_tech_spec) == ("docs/TECH_SPEC-x.md", False)


def test_a_mini_spec_stands_in_for_a_tech_spec() -> None:
    (packet,) = packets("docs/PRD-x.md", "tasks/specs/0007-x.md")

    assert packet.mini_spec_as_tech_spec


def test_a_spec_that_extends_a_tasks_name_is_the_tasks() -> None:
    (packet,) = packets("docs/PRD-t-1a.md", "tasks/tasks-t-1a.md", "tasks/specs/t-1a-more-words.md")

    assert packet.documents["tech-spec"] == "tasks/specs/t-1a-more-words.md"


def test_documents_alike_by_name_are_one_packet() -> None:
    (packet,) = packets("docs/PRD-codex-start-autonomy.md", "tasks/tasks-0303-start-autonomy.md")

    assert packet.grouped_by_name == ("tasks/tasks-0303-start-autonomy.md",)


def test_documents_equally_like_two_packets_are_neither_ones() -> None:
    found = packets("docs/PRD-a-b-c-one.md", "docs/PRD-a-b-c-two.md", "tasks/tasks-0001-a-b-c.md")

    assert len(found) == 3


def test_complete_packets_are_never_joined() -> None:
    one = [f"docs/{kind}-a-b-c.md" for kind in ("PRD", "TECH_SPEC", "ACTION_PLAN")] + ["tasks/tasks-0001-a-b-c.md"]

    assert len(packets(*one, "tasks/tasks-0002-a-b-d.md")) == 2


def test_an_entry_joins_documents_of_two_names() -> None:
    item = entry(id="t-1", path="tasks/tasks-t-1.md", paths={"prd": "docs/PRD-quite-another.md"})

    (packet,) = packets("tasks/tasks-t-1.md", "docs/PRD-quite-another.md", items=(item,))

    assert packet.entry is item


@pytest.mark.parametrize(
    "fields",
    [
        {"id": "0007", "slug": "x"},
        {"id": 7, "slug": "0007-x"},
        {"id": "0007-x"},
        {"id": "20260301-0007-x"},
        {"id": "whatever", "path": "tasks/tasks-0007-x.md"},
        {"id": "whatever", "relates_to": "tasks/tasks-0007-x.md"},
    ],
)
def test_an_entry_finds_its_packet(fields: dict[str, object]) -> None:
    item = entry(**fields)

    (packet,) = packets("docs/PRD-x.md", "tasks/tasks-0007-x.md", items=(item,))

    assert packet.entry is item


def test_of_two_entries_the_one_with_a_status_counts() -> None:
    silent, speaking = entry(id="0007", slug="x"), entry(id="20260301-0007-x", status="done")

    (packet,) = packets("tasks/tasks-0007-x.md", items=(silent, speaking))

    assert packet.entry is speaking


def test_names_may_hold_anything_but_a_slash() -> None:
    (packet,) = packets("docs/PRD-a\nb\udcff -–.md")  # noqa: RUF001 -- any character

    assert packet.slug == "a\nb\udcff -–"  # noqa: RUF001


def test_a_document_in_a_folder_below_is_no_packet() -> None:
    assert packets("docs/PRD-a/b.md", "docs/PRD-.md") == ()


def found_among(number: int) -> tuple[Packet, ...]:
    """What is found where there are so many packets, and other files beside them."""
    paths = [f"docs/{kind}-t-{n}.md" for kind in ("PRD", "TECH_SPEC", "ACTION_PLAN") for n in range(number)]
    paths += [f"tasks/tasks-{n:04d}-t-{n}.md" for n in range(number)] + [f"src/{n}.py" for n in range(4 * number)]
    return packets(*paths)


@pytest.mark.slow
def test_a_thousand_packets_are_found() -> None:
    assert len(found_among(1000)) == 1000


@pytest.mark.slow
def test_many_packets_are_no_more_work_each_than_few() -> None:
    assert growth(found_among, 100, 8) < 2


@pytest.mark.slow
def test_many_incomplete_packets_with_like_names_are_no_more_work_each_than_few() -> None:
    def alike(number: int) -> None:
        packets(
            *(
                f"{kind}-a-b-c-{end}-{n}.md"
                for kind, end in (("docs/PRD", "d"), ("tasks/tasks", "e"))
                for n in range(number)
            )
        )

    assert growth(alike, 100, 8) < 2


@pytest.mark.parametrize("written", ["In Progress", "in_progress", "in-progress", " IN  PROGRESS "])
def test_a_status_is_known_in_every_spelling(written: str) -> None:
    assert normal_status(written) == "in-progress"


@pytest.mark.parametrize("written", [None, 5, True, ["done"], {"a": 1}])
def test_a_status_that_is_no_text_is_none(written: object) -> None:
    assert normal_status(written) == ""


NO_LISTS = (b"", b"{", b"5", b'{"items": 1}', b"[[]]", b"\xff", b"[" * 100_000, b'{"a": NaN')


@pytest.mark.parametrize("content", NO_LISTS)
def test_an_index_that_is_no_list_of_tasks_is_unreadable(content: bytes) -> None:
    with pytest.raises(Unreadable):
        read_task_list("tasks/index.json", content)


@pytest.mark.parametrize(
    "text",
    [
        '{\n  "items": []\n}\n',
        '{"items": []}',
        "[]",
        '{"items": [{"id": "1"}]}',
        '[{"id": "1"}, {"id": "2"}]\n',
        '{\n    "items": [\n        {\n            "id": "1",\n            "a": {"b": null}\n        }\n    ]\n}\n',
        '{\n\t"items": [\n\t\t{\n\t\t\t"id": "1"\n\t\t}\n\t]\n}',
        '{\r\n  "items": [\r\n    {\r\n      "id": "1"\r\n    }\r\n  ]\r\n}\r\n',
        '\ufeff{"items": [\n  {"id": "1"}\n]}',
        '{"items": [{"id": "]"}], "specs": [1]}',
        '{"specs": [], "items": [\n {"id": "}]"}\n ]\n}',
        '{"note": "\\"items\\": [", "items": []}',
    ],
)
def test_an_added_task_is_the_last_and_the_others_stay(text: str) -> None:
    before = read_task_list("i", text.encode()).items

    after = read_task_list("i", with_item("i", text, {"id": "9", "title": "Größe"}).encode()).items

    assert ([item.raw for item in after[:-1]], after[-1].id) == ([item.raw for item in before], "9")


def test_an_added_task_is_written_like_its_neighbours() -> None:
    text = '{\n    "items": [\n        {\n            "id": "1"\n        }\n    ]\n}\n'

    added = with_item("i", text, {"id": "2"})

    assert added == text.replace("}\n    ]", '},\n        {\n            "id": "2"\n        }\n    ]')


def test_line_ends_of_the_index_are_kept() -> None:
    text = '{\r\n  "items": [\r\n    {\r\n      "id": "1"\r\n    }\r\n  ]\r\n}\r\n'

    assert "\n" not in with_item("i", text, {"id": "2"}).replace("\r\n", "")


def judged(ctx: Context) -> list[tuple[str, str]]:
    return [(finding.rule, finding.message) for finding in documents.CHECK.run(ctx).findings]


def renamed(ctx: Context, *pairs: tuple[str, str]) -> Context:
    changes = tuple(Change("R", new, old, "100644", "100644", "1" * 40, "1" * 40, 0, 0) for old, new in pairs)
    return ctx._replace(scope=Scope("staged", None, None, changes))


def test_a_renamed_prd_is_missed_once(tmp_path: Path) -> None:
    tree = {"orchgate.toml": SMALL, "docs/PRD-quick.md": PRD, "tasks/tasks-0007-faster-start.md": "# x\n"}
    ctx = renamed(folder_context(write_tree(tmp_path, tree)), ("docs/PRD-faster-start.md", "docs/PRD-quick.md"))

    assert judged(ctx) == [
        ("DOC001", "packet 0007-faster-start has no PRD: this change renames it to docs/PRD-quick.md"),
    ]


def test_a_packet_renamed_as_a_whole_is_complete(tmp_path: Path) -> None:
    tree = {"orchgate.toml": SMALL, "docs/PRD-quick.md": PRD, "tasks/tasks-0007-quick.md": "# x\n"}
    moved = (("docs/PRD-slow.md", "docs/PRD-quick.md"), ("tasks/tasks-0007-slow.md", "tasks/tasks-0007-quick.md"))

    assert judged(renamed(folder_context(write_tree(tmp_path, tree)), *moved)) == []


@pytest.mark.slow
def test_a_document_that_is_too_large_is_trouble(tmp_path: Path) -> None:
    tree = {"orchgate.toml": SMALL, "docs/PRD-x.md": "a" * 9_000_000, "tasks/tasks-x.md": "# x\n"}

    outcome = documents.CHECK.run(folder_context(write_tree(tmp_path, tree)))

    assert [trouble.location.path for trouble in outcome.troubles] == ["docs/PRD-x.md"]


@pytest.mark.slow
def test_an_index_that_is_too_large_is_trouble(tmp_path: Path) -> None:
    tree = {"orchgate.toml": SMALL, "docs/PRD-x.md": PRD, "tasks/tasks-x.md": "# x\n"}
    root = write_tree(tmp_path, {**tree, "tasks/index.json": b" " * (16 * 1024 * 1024 + 1)})

    outcome = documents.CHECK.run(folder_context(root))

    assert [trouble.location.path for trouble in outcome.troubles] == ["tasks/index.json"]


def test_the_examined_packets_and_documents_are_counted(tmp_path: Path) -> None:
    tree = {"orchgate.toml": SMALL, "docs/PRD-x.md": PRD, "tasks/tasks-x.md": "# x\n", "docs/PRD-y.md": PRD}
    root = write_tree(tmp_path, tree)

    assert documents.CHECK.run(folder_context(root, root)).examined == {"packets": 0, "documents": 0}
    assert documents.CHECK.run(folder_context(root, tree=True)).examined == {"packets": 2, "documents": 3}


def test_a_change_of_other_files_reads_no_index(tmp_path: Path) -> None:
    root = write_tree(tmp_path / "repo", {"tasks/index.json": "{", "README.md": "new\n"})
    base = write_tree(tmp_path / "base", {"tasks/index.json": "{", "README.md": "old\n"})

    assert documents.CHECK.run(folder_context(root, base)).troubles == ()


def review_findings(tmp_path: Path, *, edited: bool) -> tuple[Finding, ...]:
    old = "---\nlast_review: 2025-01-01\n---\n# Mini-Spec\n"
    tree = {"orchgate.toml": SMALL, "docs/PRD-x.md": PRD, "tasks/tasks-x.md": "# x\n", "tasks/specs/x.md": old}
    root = write_tree(tmp_path / "repo", tree)
    base = write_tree(tmp_path / "base", {**tree, "docs/PRD-x.md": "# old\n"})
    if edited:
        write_tree(base, {"tasks/specs/x.md": old + "less\n"})
    return documents.CHECK.run(folder_context(root, base)).findings


def test_an_overdue_review_is_a_note_while_the_document_is_left_alone(tmp_path: Path) -> None:
    assert [finding.severity for finding in review_findings(tmp_path, edited=False)] == [Severity.NOTE]


@pytest.mark.slow
def test_an_overdue_review_is_an_error_in_a_document_the_change_edits(tmp_path: Path) -> None:
    assert [finding.severity for finding in review_findings(tmp_path, edited=True)] == [Severity.ERROR]


@pytest.mark.parametrize(
    ("status", "boxes", "weight"),
    [
        ("in-progress", "- [ ] a\n", Severity.WARNING),
        ("in-progress", "- [x] a\n", Severity.WARNING),
        ("done", "- [ ] a\n", Severity.ERROR),
        ("", "- [x] a\n", Severity.ERROR),
    ],
)
def test_an_empty_section_weighs_more_once_the_packet_is_finished(
    tmp_path: Path, status: str, boxes: str, weight: Severity
) -> None:
    index = f'[{{"id": "x", "status": "{status}"}}]'
    tree = {
        "orchgate.toml": SMALL,
        "docs/PRD-x.md": "## Summary\n",
        "tasks/tasks-x.md": boxes,
        "tasks/index.json": index,
    }

    (finding,) = documents.CHECK.run(folder_context(write_tree(tmp_path, tree))).findings

    assert finding.severity is weight


@pytest.mark.slow
@pytest.mark.parametrize(
    "unit", ["[", "`", "- [x] ", "# a\n", "- Product:\n", "|", "<!--", "- TBD\n", "\n", "* ", "TBD "]
)
def test_many_marks_do_not_keep_us_busy(tmp_path: Path, unit: str) -> None:
    hostile = "# PRD\n\n## Summary\n\nA.\n\n## Approvals\n" + unit * (150_000 // len(unit))
    tree = {
        "orchgate.toml": SMALL,
        "docs/PRD-x.md": hostile,
        "tasks/tasks-x.md": "- [x] a\n",
        "tasks/specs/x.md": hostile,
    }
    ctx = folder_context(write_tree(tmp_path, tree))

    with no_hang():
        documents.CHECK.run(ctx)


CODE = '[specs]\ncode = ["src/**"]\n'


def spec_findings(root: Path, *, branch: str = "", trailers: dict[str, tuple[str, ...]] | None = None) -> list[str]:
    """Findings of the specs check when only src/a.py changes."""
    changes = (Change("A", "src/a.py", None, "000000", "100644", ABSENT, "2" * 40, 1, 0),)
    scope = Scope("staged", None, None, changes)
    ctx = folder_context(root)._replace(scope=scope, target=target(branch, trailers or {}))
    return [finding.message for finding in specs.CHECK.run(ctx).findings]


@pytest.fixture
def tasks(tmp_path: Path) -> Path:
    """Task 0007 with a spec, task 0008 without, neither in a list."""
    names = ("docs/TECH_SPEC-faster-start", "tasks/tasks-0007-faster-start", "tasks/tasks-0008-faster-start-again")
    tree = {f"{name}.md": "# x\n" for name in names}
    return write_tree(tmp_path, {"orchgate.toml": CODE, "src/a.py": "a\n", **tree})


@pytest.mark.parametrize(
    "branch", ["0007-faster-start", "ada/0007-faster-start", "task/0007", "fix_faster-start.2", "x/0007/y"]
)
def test_a_branch_names_the_task(tasks: Path, branch: str) -> None:
    assert spec_findings(tasks, branch=branch) == []


@pytest.mark.parametrize("branch", ["main", "", "faster", "10007", "faster-started", "0007faster"])
def test_another_branch_names_no_task(tasks: Path, branch: str) -> None:
    assert [message.split(";")[0] for message in spec_findings(tasks, branch=branch)] == [
        "cannot tell which task this change belongs to (1 code file changed)"
    ]


def test_the_longest_name_in_a_branch_counts(tasks: Path) -> None:
    (message,) = spec_findings(tasks, branch="0008-faster-start-again")

    assert message.startswith("1 code file changed, but task 0008-faster-start-again (named by branch 0008")


def test_a_trailer_names_the_task(tasks: Path) -> None:
    assert spec_findings(tasks, trailers={"task": ("0007-faster-start",)}) == []


def test_a_trailer_that_names_no_packet_is_said(tasks: Path) -> None:
    assert spec_findings(tasks, trailers={"task": ("0042-other",)}) == [
        "1 code file changed, but task 0042-other (named by trailer Task: 0042-other) has no packet"
    ]


def test_without_a_base_code_cannot_be_judged(tasks: Path) -> None:
    ctx = folder_context(tasks)._replace(scope=Scope("tree", None, None, (), ConfigError("no base")))

    with pytest.raises(ConfigError):
        specs.CHECK.run(ctx)


def test_a_few_packets_are_found_as_among_all(tmp_path: Path) -> None:
    names = ["docs/PRD-{0}.md", "docs/TECH_SPEC-{0}.md", "docs/ACTION_PLAN-{0}.md", "tasks/tasks-000{1}-{0}.md"]
    tree = {name.format(slug, n): "x\n" for n, slug in enumerate(("a-b", "a-b-c", "d-a-b", "zz")) for name in names}
    lonely = {"tasks/tasks-0008-yy-w-v.md": "x\n", "docs/PRD-xx-yy-w-v.md": "x\n", "tasks/specs/0003-zz-more.md": "x\n"}
    index = (
        '[{"id": "0001", "slug": "a-b-c"}, {"id": "t", "path": "docs/PRD-zz.md", "paths": {"x": "docs/PRD-a-b.md"}}]'
    )
    ctx = folder_context(write_tree(tmp_path, {**tree, **lonely, "tasks/index.json": index}))
    everything = Packets(ctx.config.documents, ctx.snapshot)
    assert len(everything.all) == 5

    alone = {path: Packets(ctx.config.documents, ctx.snapshot).of([path]) for path in ctx.snapshot.entries}

    assert alone == {path: everything.of([path]) for path in ctx.snapshot.entries}


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"packets": "docs/PRD.md"}, "documents.packets[0]: expected a path with {slug} or {task}"),
        ({"checklist": ["../{task}.md"]}, "documents.checklist[0]: expected a path inside the repository"),
        ({"action-plan": []}, "documents.required[2]: expected a kind of document that has a place"),
    ],
)
def test_a_place_that_cannot_hold_packets_is_a_configuration_error(table: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        build(Source("orchgate.toml", {"documents": table}))

    assert error.value.message.startswith(message)


def test_a_profile_presets_severities_that_the_file_may_change() -> None:
    config = build(Source("orchgate.toml", {"profile": "codex-orchestrator", "severity": {"DOC006": "error"}}))

    assert (config.top.severity["DOC002"], config.top.severity["DOC006"]) == ("warning", "error")
