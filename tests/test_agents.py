"""Coding agents: the files that `orchgate init --agent` writes, and what they are stopped with at the end of a turn."""

from __future__ import annotations

import io
import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from orchgate.cli import main
from tests.published import closed
from tests.repo import ORCHGATE

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.repo import Repo

    Output = pytest.CaptureFixture[str]

SETTINGS = """\
{
    "permissions": {"allow": ["Bash(ls)"]},
    "hooks": {
        "Stop": [
            {"hooks": [{"type": "command", "command": "say done"}]}
        ]
    }
}
"""
SCHEMA = closed("agent")
DEAD = "# Notes\n\nSee [the run](nowhere.md).\n"


@pytest.fixture
def tell(monkeypatch: pytest.MonkeyPatch) -> Callable[[object], None]:
    """Puts what a tool says on standard input."""

    def say(what: object) -> None:
        stream = io.TextIOWrapper(io.BytesIO(json.dumps(what).encode()))
        monkeypatch.setattr("sys.stdin", stream)

    return say


def stopped(capsys: Output) -> dict[str, Any]:
    said: dict[str, Any] = json.loads(capsys.readouterr().err)
    jsonschema.validate(said, SCHEMA)
    return said


# What is written


def test_settings_that_are_there_keep_every_byte(repo: Repo) -> None:
    repo.write(".claude/settings.json", SETTINGS)

    assert main(["init", "--agent", "claude"]) == 0

    made = (repo.root / ".claude/settings.json").read_text()
    stop = json.loads(made)["hooks"]["Stop"]
    assert (stop[0]["hooks"][0]["command"], "orchgate hook agent claude" in stop[1]["hooks"][0]["command"]) == (
        "say done",
        True,
    )
    assert [line for line in SETTINGS.splitlines() if line not in made] == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("tool", "files"),
    [
        ("claude", {".claude/settings.json", "CLAUDE.md"}),
        ("codex", {".codex/hooks.json", "AGENTS.md"}),
        ("cursor", {".cursor/hooks.json", ".cursor/rules/orchgate.mdc"}),
        ("generic", {"AGENTS.md"}),
    ],
)
def test_each_tool_gets_its_files_once_and_loses_them_again(
    repo: Repo, capsys: Output, tool: str, files: set[str]
) -> None:
    def there() -> set[str]:
        return {
            str(path.relative_to(repo.root))
            for path in repo.root.rglob("*")
            if path.is_file() and ".git" not in path.parts
        }

    assert (main(["init", "--agent", tool]), there()) == (0, files)
    capsys.readouterr()
    assert (main(["init", "--agent", tool]), "nothing to do" in capsys.readouterr().out) == (0, True)
    (repo.root / ".git/orchgate/init.json").unlink()  # a colleague's clone has no record
    assert (main(["init", "--remove"]), there()) == (0, set())


@pytest.mark.slow
@pytest.mark.parametrize("text", ["# Ours\n", "# Ours", "# Ours\r\n\r\nx\r\n"])
def test_instructions_that_are_there_stay_above_and_come_back(repo: Repo, text: str) -> None:
    repo.write("AGENTS.md", text)
    main(["init", "--agent", "codex"])
    made = (repo.root / "AGENTS.md").read_bytes().decode()
    (repo.root / ".git/orchgate/init.json").unlink()

    assert made.startswith(text)
    assert (main(["init", "--remove"]), (repo.root / "AGENTS.md").read_bytes().decode().rstrip()) == (0, text.rstrip())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "said"),
    [('{"hooks": [}', ":1:12: is not valid JSON"), ("{}\n\xff".encode("latin-1"), "UTF-8"), ('{"hooks": 3}', "form")],
)
def test_settings_that_are_no_json_are_named_and_nothing_is_written(
    repo: Repo, capsys: Output, text: str | bytes, said: str
) -> None:
    repo.write(".claude/settings.json", text)

    code = main(["init", "--agent", "claude"])

    assert (code, said in capsys.readouterr().err, (repo.root / "CLAUDE.md").exists()) == (3, True, False)


# What an agent is stopped with


@pytest.mark.slow
def test_a_work_tree_that_passes_stops_nobody(repo: Repo, capsys: Output, tell: Callable[[object], None]) -> None:
    repo.commit("base", {"a.txt": "x\n"})
    tell({"stop_hook_active": False})

    assert (main(["hook", "agent", "claude"]), capsys.readouterr().out) == (0, "")


@pytest.mark.slow
def test_what_was_never_staged_is_judged_and_the_index_stays(
    repo: Repo, capsys: Output, tell: Callable[[object], None]
) -> None:
    repo.commit("base", {"a.txt": "x\n"})
    repo.write("notes.md", DEAD)
    before = repo.git("status", "--porcelain"), repo.git("count-objects")
    tell({})

    code = main(["hook", "agent", "claude"])

    said = stopped(capsys)
    assert (code, [(one["rule"], one["path"], one["line"]) for one in said["findings"]]) == (
        2,
        [("EVD001", "notes.md", 3)],
    )
    assert (repo.git("status", "--porcelain"), repo.git("count-objects")) == before


def test_cursor_gets_a_message_and_a_person_who_ended_the_turn_is_left_alone(
    repo: Repo, capsys: Output, tell: Callable[[object], None]
) -> None:
    repo.write("notes.md", DEAD)
    tell({"status": "completed", "loop_count": 0})
    code = main(["hook", "agent", "cursor"])
    message = json.loads(json.loads(capsys.readouterr().out)["followup_message"])
    tell({"status": "aborted"})

    assert (code, message["findings"][0]["rule"], main(["hook", "agent", "cursor"])) == (0, "EVD001", 0)


@pytest.mark.parametrize(("active", "code"), [(False, 2), (True, 1)])
def test_what_no_agent_can_help_stops_it_once(
    repo: Repo, capsys: Output, tell: Callable[[object], None], active: bool, code: int
) -> None:
    repo.write("orchgate.toml", "[nonsense\n")
    tell({"stop_hook_active": active})

    assert (main(["hook", "agent", "codex"]), stopped(capsys)["verdict"]) == (code, "broken")


def test_an_unknown_tool_is_wrong_usage(repo: Repo) -> None:
    assert main(["hook", "agent", "clippy"]) == 2


# One real loop: an agent that knows nothing but what it is told


@pytest.mark.slow
def test_an_agent_that_reads_the_findings_repairs_until_it_may_stop(repo: Repo) -> None:
    repo.commit("base", {"docs/run.md": "# Run\n", "orchgate.toml": "[diff-budget]\nmax-lines = 20\n"})
    assert repo.orchgate("init", "--agent", "claude").code == 0
    repo.commit("agent", {".claude/settings.json": (repo.root / ".claude/settings.json").read_bytes(), "CLAUDE.md": ""})
    command = json.loads((repo.root / ".claude/settings.json").read_text())["hooks"]["Stop"][0]["hooks"][0]["command"]
    repo.write("notes.md", DEAD.replace("nowhere.md", "docs/rum.md") + "x\n" * 40)
    turns: list[list[str]] = []

    while len(turns) < 5:
        ended = turn(repo, command, active=bool(turns))
        if ended.returncode == 0:
            break
        said = json.loads(ended.stderr)
        jsonschema.validate(said, SCHEMA)
        turns.append(sorted(one["rule"] for one in said["findings"]))
        for one in said["findings"]:
            repair(repo, one)

    assert turns == [["DIF001", "EVD001"]]
    repo.git("add", "--all")
    assert repo.orchgate("check", "--staged").code == 0


def turn(repo: Repo, command: str, *, active: bool) -> subprocess.CompletedProcess[str]:
    """The end of a turn, as the tool asks for it."""
    asked = json.dumps({"hook_event_name": "Stop", "stop_hook_active": active})
    path = f"export PATH={Path(ORCHGATE).parent}:$PATH; {command}"
    return subprocess.run(["sh", "-c", path], cwd=repo.root, input=asked, capture_output=True, text=True, check=False)


def repair(repo: Repo, finding: dict[str, Any]) -> None:
    """What a person would do with a finding, from the finding alone."""
    lines = (repo.root / "notes.md").read_text().splitlines()
    if finding["rule"] == "DIF001":
        assert "limit 20" in finding["message"]
        lines = [line for line in lines if line != "x"]
    else:
        at = finding["line"] - 1
        wrong = finding["message"].partition(" ")[0]
        meant = finding["hint"].removeprefix("did you mean ").removesuffix("?")
        lines[at] = lines[at].replace(wrong, meant)
    repo.write("notes.md", "\n".join(lines) + "\n")
