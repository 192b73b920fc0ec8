"""`orchgate rlm`: a scripted agent works towards a goal, and how that ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from orchgate.agent import iterations
from orchgate.agent.loop import detect_validators
from tests.repo import ORCHGATE, Repo, Result
from tests.runs import events, living, manifest, stop, until

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

PASSES_AT_3 = "test $(cat count) -ge 3"
# Adds one to a file, the way an agent gets nearer to its goal; it never looks at its input.
COUNTS = "echo $(($(cat count 2>/dev/null || echo 0) + 1)) > count"


class Loops(NamedTuple):
    """A repository in which an agent is let loose."""

    repo: Repo

    def agent(self, shell: str) -> str:
        """A command line that runs a shell script."""
        self.repo.write(".git/agent.sh", shell + "\n")
        return "sh .git/agent.sh"

    def argv(self, agent: str, validator: str, *options: str) -> list[str]:
        return ["rlm", "--goal", "count", "--agent", agent, "--validator", validator, *options]

    def run(self, shell: str, validator: str = f"sh -c '{PASSES_AT_3}'", *options: str) -> Result:
        return self.repo.orchgate(*self.argv(self.agent(shell), validator, *options))

    def start(self, shell: str, validator: str = f"sh -c '{PASSES_AT_3}'", *options: str) -> subprocess.Popen[bytes]:
        argv = [ORCHGATE, *self.argv(self.agent(shell), validator, *options)]
        return subprocess.Popen(argv, cwd=self.repo.root, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    @property
    def folder(self) -> Path:
        (folder,) = (self.repo.root / ".runs" / "rlm" / "cli").iterdir()
        return folder

    def state(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / "artifacts" / "state.json").read_text())
        return found

    def ended(self) -> tuple[str, int]:
        final = self.state()["final"]
        return final["status"], final["exitCode"]


@pytest.fixture
def loops(repo: Repo) -> Loops:
    repo.commit(files={"a.py": "x = 1\n", ".gitignore": ".runs/\n"})
    return Loops(repo)


FAILING_TEST = "from count import value\n\n\ndef test_count():\n    assert value == 3\n"
COUNTS_IN_PYTHON = "n=$(sed -n 's/value = //p' count.py); echo \"value = $((n + 1))\" > count.py"


def test_an_agent_that_needs_three_turns_gets_them(loops: Loops) -> None:
    loops.repo.commit(files={"test_it.py": FAILING_TEST, "count.py": "value = 0\n", "pytest.ini": "[pytest]\n"})
    options = ("-B", "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:randomly")
    result = loops.run(COUNTS_IN_PYTHON, " ".join([sys.executable, *options]))
    codes = [one["validatorExitCode"] for one in loops.state()["iterations"]]
    assert (result.code, codes, loops.ended()) == (0, [1, 1, 0], ("passed", 0)), result.out


def test_an_agent_that_never_gets_there_ends_with_its_iterations(loops: Loops) -> None:
    result = loops.run(COUNTS, "false", "--max-iterations", "4")
    assert (result.code, len(loops.state()["iterations"]), loops.ended()) == (3, 4, ("max-iterations", 3))


def test_an_agent_that_changes_nothing_is_stopped(loops: Loops) -> None:
    result = loops.run("true", "false", "--max-iterations", "0")
    assert (result.code, len(loops.state()["iterations"]), loops.ended()) == (3, 2, ("no-progress", 3))


def test_seconds_in_the_validator_s_output_are_no_progress(loops: Loops) -> None:
    result = loops.run("true", "sh -c 'echo 1 failed in 0.$(date +%N)s; exit 1'", "--max-iterations", "0")
    assert (result.code, len(loops.state()["iterations"])) == (3, 2)


def test_a_validator_that_never_says_the_same_does_not_keep_an_idle_agent_going(loops: Loops) -> None:
    result = loops.run("true", "sh -c 'head -c 9 /dev/urandom | od -c; exit 1'", "--max-iterations", "0")
    assert (result.code, len(loops.state()["iterations"]), loops.ended()[0]) == (3, 5, "no-progress")


def test_an_agent_that_hangs_is_ended_with_all_its_processes(loops: Loops) -> None:
    word = f"86{os.getpid()}"
    result = loops.run(f"setsid sleep {word} & sleep {word}", "true", "--max-time", "0.6s")
    assert (result.code, loops.ended(), living(word)) == (3, ("max-minutes", 3), []), result.out


def test_an_agent_that_ignores_its_end_is_killed(loops: Loops) -> None:
    word = f"87{os.getpid()}"
    result = loops.run(f"trap '' TERM; sleep {word}; sleep {word}", "true", "--max-time", "0.3s")
    assert (result.code, living(word)) == (3, [])


def test_a_validator_that_hangs_is_ended_too(loops: Loops) -> None:
    word = f"88{os.getpid()}"
    result = loops.run(COUNTS, f"sleep {word}", "--max-time", "0.6s")
    assert (result.code, loops.ended()[0], living(word)) == (3, "max-minutes", [])


def test_a_validator_that_is_not_there_is_4(loops: Loops) -> None:
    result = loops.run(COUNTS, "no-such-validator --at-all")
    assert (result.code, loops.ended()) == (4, ("validator-not-started", 4)), result.out


def test_without_a_validator_every_iteration_takes_place(loops: Loops) -> None:
    result = loops.run("true", "none", "--max-iterations", "3")
    assert (result.code, len(loops.state()["iterations"]), loops.ended()) == (0, 3, ("complete", 0))


def test_without_a_validator_a_failing_agent_is_no_success(loops: Loops) -> None:
    assert loops.run("exit 1", "none", "--max-iterations", "2").code == 10


@pytest.mark.parametrize(
    "options",
    [
        ("--max-iterations", "-1"),
        ("--max-iterations", "three"),
        ("--max-iterations", "1.5"),
        ("--max-time", "0s"),
        ("--max-time", "nan"),
        ("--max-time", "soon"),
        ("--validator", ""),
        ("--validator", "'open"),
        ("--agent", ""),
        ("--agent", "no-such-agent"),
        ("--goal", " "),
        ("--goal", "x" * 10_000),
        ("--task", "../up"),
        ("--validator", "none", "--max-iterations", "0"),
        ("--resume", "latest"),
    ],
)
def test_wrong_options_are_5(loops: Loops, options: tuple[str, ...]) -> None:
    result = loops.run(COUNTS, "true", *options)
    assert (result.code, (loops.repo.root / ".runs").exists()) == (5, False), result.out


def test_wrong_configuration_is_5(loops: Loops) -> None:
    loops.repo.write("orchgate.toml", "[pipelines\n")
    assert loops.run(COUNTS).code == 5


def test_a_runs_folder_that_cannot_be_written_is_10(loops: Loops) -> None:
    loops.repo.write(".runs", "a file\n")
    assert loops.run(COUNTS).code == 10


def test_several_possible_validators_are_listed_and_2(loops: Loops) -> None:
    for name in ("package.json", "yarn.lock", "go.mod"):
        loops.repo.write(name, "{}\n")
    result = loops.run(COUNTS, "auto")
    assert (result.code, "yarn test (yarn.lock), go test ./... (go.mod)" in result.out) == (2, True), result.out


def test_no_possible_validator_is_2(loops: Loops) -> None:
    assert loops.run(COUNTS, "auto").code == 2


@pytest.mark.parametrize(
    ("names", "commands"),
    [
        (("package.json", "package-lock.json"), ["npm test"]),
        (("package.json", "pnpm-lock.yaml"), ["pnpm test"]),
        (("package.json",), []),
        (("yarn.lock",), []),
        (("pyproject.toml", "pytest.ini"), ["pytest"]),
        (("Cargo.toml",), ["cargo test"]),
    ],
)
def test_files_tell_the_validator(tmp_path: Path, names: tuple[str, ...], commands: list[str]) -> None:
    for name in names:
        (tmp_path / name).touch()
    assert [one.command for one in detect_validators(str(tmp_path))] == commands


def test_the_run_passes_the_check_of_manifests(loops: Loops) -> None:
    loops.run(COUNTS)
    checked = loops.repo.orchgate("check", "manifests", "--all-files")
    assert (checked.code, "1 manifest" in checked.out) == (0, True), checked.out


@pytest.mark.parametrize(("shell", "validator"), [("true", "false"), ("exit 3", "no-such-validator"), ("true", "none")])
def test_so_does_one_that_failed(loops: Loops, shell: str, validator: str) -> None:
    loops.run(shell, validator)
    checked = loops.repo.orchgate("check", "manifests", "--all-files")
    assert (checked.code, "1 manifest" in checked.out) == (0, True), checked.out


def test_every_turn_is_two_stages(loops: Loops) -> None:
    loops.run(COUNTS)
    stages = [(stage["id"], stage["kind"], stage["status"]) for stage in manifest(loops.folder)["commands"]]
    assert stages[:3] == [
        ("iteration-1", "agent", "succeeded"),
        ("validator-1", "command", "failed"),
        ("iteration-2", "agent", "succeeded"),
    ]


def test_how_it_ended_is_in_the_manifest(loops: Loops) -> None:
    loops.run("true", "false")
    told = manifest(loops.folder)
    assert (told["status"], told["status_detail"]) == ("failed", "agent:no-progress")


@pytest.mark.parametrize("commits", [False, True])
def test_a_passed_run_is_of_what_the_agent_made(loops: Loops, commits: bool) -> None:
    commit = "; git add --all; git commit -qm made" if commits else ""
    loops.run(f"echo y = 2 >> a.py{commit}", "true")
    run = f".runs/rlm/cli/{loops.folder.name}/manifest.json"
    loops.repo.write("docs/PRD-demo.md", f"- [x] It passes. Evidence: `{run}`\n")
    loops.repo.git("add", "--all")

    checked = loops.repo.orchgate("check", "evidence", "manifests", "--staged")

    assert (checked.code, "EVD012" in checked.out) == (0, False), checked.out


def test_the_difference_counts_untracked_files(loops: Loops) -> None:
    loops.run("printf 'one\\ntwo\\n' > new; echo y = 2 >> a.py", "true")
    (one,) = loops.state()["iterations"]
    assert one["diffSummary"] == {"files": 2, "insertions": 3, "deletions": 0, "names": ["a.py", "new"]}


def test_what_an_agent_commits_counts(loops: Loops) -> None:
    loops.run("echo y = 2 >> a.py; git commit -qam more", "true")
    assert loops.state()["iterations"][0]["diffSummary"]["names"] == ["a.py"]


def test_the_repository_is_left_as_it_was(loops: Loops) -> None:
    before = loops.repo.git("count-objects", "-v"), (loops.repo.root / ".git" / "index").read_bytes()
    loops.run(COUNTS)
    assert (loops.repo.git("count-objects", "-v"), (loops.repo.root / ".git" / "index").read_bytes()) == before


def test_nothing_but_prompts_and_state_is_left_in_the_artifacts(loops: Loops) -> None:
    loops.run(COUNTS)
    names = sorted(path.name for path in (loops.folder / "artifacts").iterdir())
    assert names == ["prompt-01.txt", "prompt-02.txt", "prompt-03.txt", "state.json"]


def test_the_logs_of_the_validator_are_kept(loops: Loops) -> None:
    loops.run(COUNTS, f"sh -c 'echo count is $(cat count); {PASSES_AT_3}'")
    logs = [(loops.folder / one["validatorLogPath"]).read_text() for one in loops.state()["iterations"]]
    assert logs == ["count is 1\n", "count is 2\n", "count is 3\n"]


def test_the_prompt_comes_on_standard_input(loops: Loops) -> None:
    loops.run(f"{COUNTS}; cat > heard", f"sh -c 'echo not enough yet; {PASSES_AT_3}'")
    heard = (loops.repo.root / "heard").read_text()
    wanted = ("# Goal\n\ncount\n", "iteration 3 of 10", "\na.py\n", "?? count", "not enough yet", "validator exited 1")
    assert [text for text in wanted if text not in heard] == []


def test_or_in_place_of_an_argument(loops: Loops) -> None:
    agent = loops.agent('printf %s "$1" > heard; cat > input') + " {prompt}"
    result = loops.repo.orchgate(*loops.argv(agent, "true"))
    texts = [(loops.repo.root / name).read_text()[:6] for name in ("heard", "input")]
    assert (result.code, texts) == (0, ["# Goal", ""])


def test_an_agent_that_does_not_read_is_not_waited_for(loops: Loops) -> None:
    loops.repo.commit(files={f"a-long-name-{number:0200}": "" for number in range(500)})
    result = loops.run(COUNTS, "sh -c 'head -c 99999 /dev/zero | tr \\\\0 x; test $(cat count) -ge 3'")
    assert result.code == 0, result.out


def test_a_prompt_is_bounded() -> None:
    long = "\N{SNOWMAN}" * 100_000
    verdict = iterations.LastValidation(long, long)
    now = iterations.Situation(long, 2, 0, 60.0, long, long, [long[:3000]] * 1000, verdict)
    assert len(iterations.build_prompt(now).encode()) <= iterations.LIMIT


def test_a_prompt_holds_nothing_that_cannot_be_an_argument() -> None:
    now = iterations.Situation("a\0b\udc80", 1, 1, None, "", "", ["new\nline\udcff"], None)
    assert [char for char in iterations.build_prompt(now) if char == "\0" or "\ud800" <= char <= "\udfff"] == []


def test_an_interrupt_ends_the_agent_and_is_130(loops: Loops) -> None:
    word = f"89{os.getpid()}"
    child = loops.start(f"echo begun; sleep {word}")
    until(lambda: living(word))
    result = stop(child, signal.SIGINT)
    assert (result.code, living(word), loops.ended()) == (130, [], ("cancelled", 130)), result.out


HANGS_ONCE = "test -e .git/hung || {{ touch .git/hung; sleep {}; }}; " + COUNTS


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_loop_that_was_ended_goes_on(loops: Loops, number: int) -> None:
    word = f"85{os.getpid()}"
    loops.repo.write("count", "1\n")
    child = loops.start(HANGS_ONCE.format(word))
    until(lambda: living(word))
    stop(child, number)
    until(lambda: not living(word))
    result = loops.repo.orchgate("rlm", "--resume", "latest")
    attempts = [len(stage["attempts"]) for stage in manifest(loops.folder)["commands"]]
    assert (result.code, loops.ended()[0], attempts) == (0, "passed", [2, 1, 1, 1]), result.out


def test_a_loop_out_of_iterations_gets_more(loops: Loops) -> None:
    loops.run(COUNTS, f"sh -c '{PASSES_AT_3}'", "--max-iterations", "1")
    result = loops.repo.orchgate("rlm", "--resume", "latest", "--max-iterations", "5")
    assert (result.code, len(loops.state()["iterations"])) == (0, 3), result.out


def test_a_loop_is_not_made_endless(loops: Loops) -> None:
    loops.run("exit 1", "none", "--max-iterations", "1")
    assert loops.repo.orchgate("rlm", "--resume", "latest", "--max-iterations", "0").code == 5


def test_an_agent_that_vanishes_is_5(loops: Loops) -> None:
    loops.repo.write("agent", "#!/bin/sh\nrm agent\n")
    (loops.repo.root / "agent").chmod(0o755)
    result = loops.repo.orchgate(*loops.argv("./agent", "false"))
    assert (result.code, loops.ended()) == (5, ("agent-not-started", 5)), result.out


def test_a_disk_that_is_full_is_10_and_says_so(loops: Loops) -> None:
    limited = ["sh", "-c", 'ulimit -f 8; exec "$@"', "sh", ORCHGATE]  # blocks of 512 bytes
    result = loops.repo.attempt(*limited, *loops.argv(loops.agent(COUNTS), "false", "--max-iterations", "90"))
    assert (result.code, "cannot write" in result.out) == (10, True), result.out


def test_a_loop_that_passed_is_not_run_again(loops: Loops) -> None:
    loops.run(COUNTS)
    before = events(loops.folder)
    result = loops.repo.orchgate("rlm", "--resume", "latest")
    assert (result.code, events(loops.folder)) == (0, before)


def test_resume_of_a_loop_says_which_command_does_it(loops: Loops) -> None:
    loops.run("true", "false")
    result = loops.repo.orchgate("resume", "latest")
    assert (result.code, "orchgate rlm --resume" in result.out) == (3, True), result.out


def test_outside_of_a_repository_there_is_no_difference(tmp_path: Path) -> None:
    plain = Loops(Repo(tmp_path / "plain"))
    plain.repo.write(".git/x")  # the folder of the script, and no repository
    plain.repo.write("agent.sh", COUNTS)
    (plain.repo.root / ".git" / "x").unlink()
    (plain.repo.root / ".git").rmdir()
    result = plain.repo.orchgate(*plain.argv("sh agent.sh", f"sh -c '{PASSES_AT_3}'"))
    assert (result.code, plain.state()["iterations"][0]["diffSummary"]) == (0, None), result.out


def test_the_outcome_as_json(loops: Loops) -> None:
    document = json.loads(loops.run(COUNTS, "true", "--output-format", "json").out)
    assert (document["version"], document["final"]) == (1, {"status": "passed", "exitCode": 0})
