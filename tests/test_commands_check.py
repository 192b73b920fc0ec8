"""What the cases of tests/cases/commands do not show: hints, weights, counts and hostile documents."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from orchgate.checks.commands import CHECK
from orchgate.model import Outcome, Severity
from tests.support import judge_folder, write_tree
from tests.work import growth, no_hang

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PACKAGE = '{"scripts": {"lint": "x", "test": "x"}}'


def judge(tmp_path: Path, body: str, **files: str) -> Outcome:
    plan = f"# ACTION_PLAN - x\n\n## Steps\n\n{body}\n"
    write_tree(tmp_path, {"docs/ACTION_PLAN-x.md": plan, "package.json": PACKAGE, **files})
    return judge_folder(CHECK, tmp_path)


def shell(*lines: str) -> str:
    return "\n".join(["```sh", *lines, "```"])


def test_sudo_is_only_a_warning(tmp_path: Path) -> None:
    assert [finding.severity for finding in judge(tmp_path, shell("sudo ls")).findings] == [Severity.WARNING]


def test_without_a_near_one_the_hint_lists_what_there_is(tmp_path: Path) -> None:
    assert judge(tmp_path, shell("npm run zzz")).findings[0].hint == "package.json defines lint, test"


def test_the_hint_says_what_to_write_instead(tmp_path: Path) -> None:
    assert judge(tmp_path, shell("npm init")).findings[0].hint == "add `--yes`"


def test_every_command_of_the_sections_is_counted(tmp_path: Path) -> None:
    assert judge(tmp_path, shell("a && b", "c | d") + "\n\n`npm test`").examined == {"documents": 1, "commands": 5}


def test_nothing_to_examine_is_said_as_zero(tmp_path: Path) -> None:
    write_tree(tmp_path, {"a": "b"})

    assert judge_folder(CHECK, tmp_path).examined == {"documents": 0, "commands": 0}


def test_a_long_command_is_shortened(tmp_path: Path) -> None:
    (finding,) = judge(tmp_path, shell("git commit " + "-a " * 100)).findings

    assert (finding.message[:14], len(finding.message) < 100) == ("`git commit -a", True)


def test_two_commands_of_a_line_are_two_findings(tmp_path: Path) -> None:
    assert len(judge(tmp_path, shell("npm run zzz; npm run zzz")).findings) == 2


def test_a_plan_that_is_a_symlink_is_read(tmp_path: Path) -> None:
    write_tree(tmp_path, {"real.md": "## Steps\n\n" + shell("vim x"), "docs/a": ""})
    (tmp_path / "docs" / "ACTION_PLAN-y.md").symlink_to("../real.md")

    assert judge_folder(CHECK, tmp_path).examined == {"documents": 1, "commands": 1}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "size"),
    [
        (lambda n: shell("npm run zzz\n" * n), 1_600),
        (lambda n: shell("npm run zzz;" * n), 1_600),
        (lambda n: "`npm run zzz` " * n, 1_600),
        (lambda n: shell("$(" * n), 50_000),
        (lambda n: shell("sudo " * n), 20_000),
        (lambda n: shell("bash -c 'bash -c \"" * n), 500),
        (lambda n: shell("git commit -" + "a" * n), 100_000),
        (lambda n: shell("make " + "x " * n), 2_000),
        (lambda n: ("## Steps\n\n" + shell("npm run zzz") + "\n\n") * n, 400),
    ],
    ids=["lines", "line", "spans", "open", "sudo", "nested", "cluster", "targets", "sections"],
)
def test_a_hostile_plan_is_no_more_work_than_it_is_long(tmp_path: Path, text: Callable[[int], str], size: int) -> None:
    with no_hang():
        judge(tmp_path, text(size))
    assert growth(lambda n: judge(tmp_path, text(n)), size // 40, 8) < 2
