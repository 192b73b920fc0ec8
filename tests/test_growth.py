"""Very many of one thing cost as much each as a few do. Counted in lines of Python, or by what would take minutes."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from orchgate import registry
from orchgate.gate.engine import CheckRun
from orchgate.markdown import blocks
from orchgate.markdown.document import Document
from orchgate.plan_commands.shell import script
from tests.support import folder_context, write_tree
from tests.work import growth, no_hang

if TYPE_CHECKING:
    from collections.abc import Callable

    from orchgate.model import Report

PLAN, CHECKLIST = "docs/ACTION_PLAN-big.md", "tasks/tasks-0001-big.md"
RUN = "2026-01-02T03-04-05-678Z-"
FINISHED = json.dumps({"items": [{"id": "0001", "slug": "big", "status": "done"}]})


def judged(files: dict[str, str]) -> Report:
    """What the checks of documents say of a folder."""
    root = Path(tempfile.mkdtemp())
    try:
        write_tree(root, files)
        checks = registry.checks(["commands", "documents", "evidence"])
        return CheckRun(checks, {check.id: check for check in checks}, folder_context(root), ignores=True).report()
    finally:
        shutil.rmtree(root)


def packet(body: str, **files: str) -> dict[str, str]:
    """The same text as the steps of a plan and as a checklist of a finished packet."""
    return {
        PLAN: f"# Action Plan\n\n## Concrete Steps\n\n{body}\n",
        CHECKLIST: f"# Task Checklist\n\n## Checklist\n\n{body}\n",
        "tasks/index.json": FINISHED,
        "package.json": '{"scripts": {"lint": "true"}}',
        "Makefile": "all:\n",
        ".runs/0001-big/cli/kept/manifest.json": "{}",
        **files,
    }


def times(text: str) -> Callable[[int], str]:
    return lambda number: "".join(text.replace("@", str(at)) for at in range(number))


BODIES: dict[str, Callable[[int], str]] = {
    "sections of progress": times("## Progress\n\n- [x] it passes\n\n"),
    "sections of approvals": times("## Approvals\n\n- Product: TBD\n\n"),
    "placeholders": times("- Owner: TBD\n"),
    "claims in a list": times(f"- [x] it passes: `.runs/0001-big/cli/{RUN}0000000@/manifest.json`\n"),
    "missing runs": times(f"- [x] a. Evidence: `.runs/0001-big/cli/{RUN}@/manifest.json`\n"),
    "missing links": times("- [a](gone-@.md)\n"),
    "missing anchors": times("- [a](#gone-@)\n"),
    "undefined references": times("[text @][label-@] passes\n"),
    "words of a command": lambda n: "```sh\nnpm run " + "a " * n + "\n```\n",
    "targets of a command": lambda n: "```sh\nmake all " + times("t@ ")(n) + "\n```\n",
    "scripts": times("- run `npm run lnit-@`\n"),
    "targets": times("- run `make tset-@`\n"),
    "pipes": lambda n: "```sh\n" + "cat a | " * n + "wc\n```\n",
    "table rows": times("| a @ | `b` | [c](gone-@.md) |\n"),
    "table rows in a fence": lambda n: "```sh\n" + times("| a @ | b |\n")(n) + "```\n",
    "folders": lambda n: "```sh\n" + "cd a\n" * n + "make all\n```\n",
    "ignore comments": times("<!-- orchgate: ignore[EVD001] r -->\n"),
}


@pytest.mark.slow
@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_a_document_of_many_is_no_more_work_for_each(body: Callable[[int], str]) -> None:
    assert growth(lambda number: judged(packet(body(number))), 150, 4) < 1.3


def named(number: int) -> dict[str, str]:
    """As many names as commands that misspell them."""
    scripts = json.dumps({"scripts": {f"script-{at}": "true" for at in range(number)}})
    makefile = "".join(f"target-{at}:\n" for at in range(number))
    body = times("- run `yarn run script-@x` and `make target-@x`\n")(number)
    return packet(body, **{"package.json": scripts, "Makefile": makefile})


def beside(number: int) -> dict[str, str]:
    """As many files as commands and links that misspell them."""
    body = times("- run `make made-@` and see [a](../notes/gone-@.txt)\n")(number)
    return packet(body, **{f"notes/note-{at}.txt": "" for at in range(number)})


def linked(number: int) -> dict[str, str]:
    files = {f"docs/note-{at}.md": f"[a](note-{at + 1}.md#head)\n\n## Head\n" for at in range(number)}
    return packet("", **files)


def packets(number: int) -> dict[str, str]:
    names = [f"{at:04}-part{at}" for at in range(number)]
    listed = [{"id": name[:4], "slug": name[5:], "path": f"tasks/gone-{at}.md"} for at, name in enumerate(names)]
    files = {f"tasks/tasks-{name}.md": "# Task Checklist\n\n- [x] done\n" for name in names}
    return {**files, "tasks/index.json": json.dumps({"items": listed})}


@pytest.mark.slow
@pytest.mark.parametrize("files", [named, beside, linked, packets])
def test_as_many_names_as_mentions_are_no_more_work_for_each(files: Callable[[int], dict[str, str]]) -> None:
    assert growth(lambda number: judged(files(number)), 60, 4) < 1.4


@pytest.mark.slow
@pytest.mark.parametrize(
    "lines", ["k: |\n" + "  a\n" * 100_000, "k@: v\n" * 100_000, "k:\n" + "  - docs/a.md\n" * 100_000]
)
def test_front_matter_is_read_in_linear_time(lines: str) -> None:
    with no_hang():
        blocks.parse_front_matter(f"---\n{lines}---")


def test_front_matter_keeps_every_line_of_a_text() -> None:
    assert blocks.parse_front_matter("---\nk: |\n  a\n  b\n\n  c\nl: one\n  two\n---") == {
        "k": "a b c",
        "l": "one two",
    }


@pytest.mark.slow
@pytest.mark.parametrize(
    "text",
    [
        "| " * 100_000,
        "cd a\n" * 20_000,
        "cat <<A <<B\n" * 20_000,
        "make \\\n" * 50_000,
        "(" * 100_000,
        "`" * 100_001,
    ],
    ids=["pipes", "folders", "here-documents", "continued", "subshells", "backticks"],
)
def test_a_script_is_read_in_linear_time(text: str) -> None:
    with no_hang():
        script(text)


@pytest.mark.slow
def test_many_links_to_one_document_are_resolved_once_each() -> None:
    text = "".join(f"[a](b.md#{at})\n" for at in range(50_000))

    with no_hang():
        assert len(Document("a.md", text.encode()).links) == 50_000
