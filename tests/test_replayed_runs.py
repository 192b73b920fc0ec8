"""Runs that are really replayed: in a work tree of their own, whatever was done to their records."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from orchgate.runs import state
from tests.repo import ORCHGATE, Repo, clone
from tests.runs import TASK, Project, manifest, until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.slow

OTHER = "2026-01-01T00-00-00-000Z-00000000"
TESTED = 'test "$(cat a.txt)" = good && echo "3 passed in 0.1s"'


@pytest.fixture
def project(repo: Repo, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Project:
    """A repository with a pipeline of two stages, a run of it, and a file that the run was of."""
    monkeypatch.setenv("ORCHGATE_TREES", str(tmp_path / "trees"))
    repo.commit("start", {".gitignore": ".runs/\nout/\n", "a.txt": "good\n"})
    made = Project(repo)
    made.define("demo", {"id": "build", "run": ["cat", "a.txt"]}, {"id": "test", "shell": TESTED, "needs": ["build"]})
    return made


def replayed(project: Project, *argv: str, env: dict[str, str] | None = None) -> tuple[int, dict[str, Any]]:
    """Exit code and document of a replay of the newest run that is none itself."""
    names = argv or (next(one.name for one in reversed(project.folders()) if "replays" not in manifest(one)),)
    done = subprocess.run(
        [ORCHGATE, "evidence", "replay", *names, "--output-format", "json"],
        cwd=project.root,
        capture_output=True,
        check=False,
        env={**os.environ, **(env or {})},
    )
    assert done.stdout, done.stderr.decode()
    return done.returncode, json.loads(done.stdout)


def one(project: Project, *argv: str, env: dict[str, str] | None = None) -> tuple[int, str, str]:
    """Exit code, verdict and reason, or else the differences, of one run."""
    code, document = replayed(project, *argv, env=env)
    (row,) = document["runs"]
    listed = "; ".join(f"{one['stage_id']} {one['what']} {one['recorded']} {one['now']}" for one in row["differences"])
    return code, row["verdict"], row["reason"] or listed


def forge(folder: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    """Rewrites a run by hand: every event of its journal, and the manifest that they add up to."""
    journal = folder / "events.jsonl"
    events = [json.loads(line) for line in journal.read_text().splitlines()]
    for event in events:
        edit(event)
    journal.write_text("".join(json.dumps(event, separators=(",", ":")) + "\n" for event in events))
    (folder / "manifest.json").write_bytes(state.render(state.manifest(events)))


def succeed(event: dict[str, Any]) -> None:
    """A run that failed, as if it had not."""
    if event.get("status") == "failed":
        event |= {"status": "succeeded", "detail": None} | ({"exit_code": 0} if "exit_code" in event else {})


def test_a_run_is_confirmed_in_a_work_tree_of_its_own(project: Project) -> None:
    project.run()
    recorded = project.folders()[-1].name
    project.repo.write("a.txt", "bad\n")  # what lies here now is not what was run

    code, document = replayed(project)

    (row,) = document["runs"]
    again = project.manifest()
    assert (code, document["verdict"], row["run_id"]) == (0, "confirmed", recorded)
    assert again["replays"]["run_id"] == recorded
    assert (again["status"], again["tests"]["passed"]) == ("succeeded", 3)
    assert again["git"]["commit"] == project.repo.git("rev-parse", "HEAD")
    assert len(project.entries()) == 1  # a replay does not count twice
    assert project.repo.git("worktree", "list").count("\n") == 0
    assert project.repo.orchgate("check", "manifests", "--all-files").code == 0


def test_what_lay_there_uncommitted_is_brought_back(project: Project) -> None:
    repo = project.repo
    repo.commit("more", {"a.txt": "bad\n", "gone.txt": "x\n", "dir/b.txt": "b\n"})
    repo.write("a.txt", "good\n")
    repo.write("new one.txt", "new\n")
    os.symlink("../a.txt", repo.root / "dir/link")
    os.unlink(repo.root / "gone.txt")
    os.chmod(repo.root / "dir/b.txt", 0o755)
    project.define(
        "beside",
        {
            "id": "look",
            "shell": 'test "$(cat a.txt new*.txt dir/link | tr "\\n" .)" = good.new.good. && test ! -e gone.txt '
            "&& test -x dir/b.txt",
        },
    )
    assert project.run("beside").code == 0
    repo.git("add", "--all")
    repo.commit("all of it")

    assert one(project) == (0, "confirmed", "")
    before, after = (manifest(folder)["git"] for folder in project.folders()[-2:])
    assert {**before, "branch": None} == {**after, "branch": None}


def test_new_files_that_were_staged_and_files_that_git_no_longer_knew_are_brought_back(project: Project) -> None:
    repo = project.repo
    repo.commit("more", {"kept.txt": "x\n", "old.txt": "y\n"})
    project.define("look", {"id": "look", "shell": "git ls-files | tr '\\n' ' ' | grep -q 'a.txt b.txt new.txt orch'"})
    repo.write("new.txt", "new\n")
    repo.git("add", "new.txt")
    repo.git("mv", "old.txt", "b.txt")
    repo.git("rm", "--quiet", "--cached", "kept.txt")
    assert project.run("look").code == 0
    repo.git("add", "--all")
    repo.commit("all of it")

    assert one(project) == (0, "confirmed", "")


def test_what_was_never_committed_cannot_be_brought_back(project: Project) -> None:
    project.repo.write("a.txt", "good\nand more\n")
    project.run()

    code, verdict, reason = one(project)

    assert (code, verdict) == (3, "unrepeatable")
    assert reason == "what a.txt held was never committed, and is not in this repository"


def test_a_forged_run_passes_the_gate_without_signatures_and_is_contradicted(project: Project) -> None:
    repo = project.repo
    repo.orchgate("new", "demo", "--task", TASK)
    repo.git("add", "--all")
    repo.commit("bad", {"a.txt": "bad\n"})
    assert project.run().code == 1
    folder = project.folders()[-1]
    forge(folder, succeed)
    path = f".runs/{TASK}/cli/{folder.name}/manifest.json"
    with (repo.root / f"tasks/tasks-{TASK}.md").open("a") as checklist:
        checklist.write(f"- [x] The tests pass. Evidence: `{path}`\n")
    assert repo.orchgate("evidence", "pin", "--task", TASK).code == 0
    repo.git("add", "--all")

    judged = repo.orchgate("check", "evidence", "manifests", "--staged")
    code, verdict, differing = one(project, "--task", TASK)

    assert judged.code == 0, judged.out
    assert (code, verdict) == (1, "contradicted"), differing
    assert "test status succeeded failed (exit 1)" in differing

    for name, file in (("journal", "events.jsonl"), ("manifest", "manifest.json")):
        (folder / file).write_bytes((folder / file).read_bytes().replace(b"succeeded", b"Succeeded"))
        assert one(project, "--task", TASK) == (3, "unrepeatable", f"its {name} is not what was pinned")


def test_tests_that_never_ran_are_contradicted(project: Project) -> None:
    project.run()

    def thirty(event: dict[str, Any]) -> None:
        if event.get("tests"):
            event["tests"]["passed"] = 30

    forge(project.folders()[-1], thirty)

    code, verdict, differing = one(project)

    assert (code, verdict, differing) == (1, "contradicted", "test tests 30 passed 3 passed")
    assert len(project.folders()) == 3  # it was replayed twice


@pytest.mark.parametrize(
    ("edit", "verdict", "reason"),
    [
        (lambda event: event.get("pipeline", {}).update(digest="0" * 64), "unrepeatable", "is defined otherwise"),
        (
            lambda event: event.get("pipeline", {}).update(id="gone"),
            "unrepeatable",
            "defines no pipeline gone",
        ),
        (lambda event: "git" in event and event.update(git=None), "unrepeatable", "it ran outside of git"),
        (lambda event: "git" in event and event["git"].update(tree="1" * 40), "contradicted", "has tree"),
        (
            lambda event: "git" in event and event["git"].update(commit="1" * 40, tree="2" * 40),
            "unrepeatable",
            "its commit 111111111111 is not in this repository",
        ),
        (
            lambda event: "git" in event and event["git"].update(commit="--output=x"),
            "unrepeatable",
            "its commit or its tree is no id of an object",
        ),
        (
            lambda event: "git" in event and event["git"].update(dirty=True, changed=None),
            "unrepeatable",
            "it ran on more uncommitted changes than its manifest names",
        ),
        (
            lambda event: "git" in event and event["git"].update(untracked={"../x": None}),
            "unrepeatable",
            "cannot be laid out as it was",
        ),
        (lambda event: event.get("event") == "run" and event.update(observed={}), "unrepeatable", "observed"),
        (
            lambda event: event.get("event") == "run" and event.update(parent_run_id=OTHER),
            "unrepeatable",
            "it is part of run",
        ),
    ],
)
def test_what_a_record_says_decides_whether_it_can_be_repeated(
    project: Project, edit: Callable[[dict[str, Any]], object], verdict: str, reason: str
) -> None:
    project.run()
    forge(project.folders()[-1], edit)

    code, found, why = one(project)

    assert (found, code) == (verdict, 1 if verdict == "contradicted" else 3)
    assert reason in why
    assert len(project.folders()) == 1  # nothing ran


@pytest.mark.parametrize("path", ["../out.txt", ".git/hooks/pre-commit", "link/out.txt"])
def test_no_file_is_laid_out_beyond_the_work_tree(project: Project, path: str, tmp_path: Path) -> None:
    os.symlink(tmp_path, project.root / "link")
    project.repo.git("add", "link")
    project.repo.commit("link")
    project.run()
    oid = project.repo.git("rev-parse", "HEAD:a.txt")
    forge(
        project.folders()[-1],
        lambda event: "git" in event and event["git"].update(untracked={path: f"100644 {oid}"}),
    )

    code, verdict, _ = one(project)

    assert (code, verdict) == (3, "unrepeatable")
    assert not (tmp_path / "out.txt").exists()
    assert not list(tmp_path.glob("trees/**/out.txt"))
    assert not (project.root / ".git/hooks/pre-commit").exists()


def test_a_manifest_that_contradicts_its_journal_is_contradicted_and_nothing_runs(project: Project) -> None:
    project.run()
    path = project.folders()[-1] / "manifest.json"
    path.write_text(path.read_text().replace('"passed": 3', '"passed": 30'))

    code, verdict, reason = one(project)

    assert (code, verdict, len(project.folders())) == (1, "contradicted", 1)
    assert "contradicts its journal (MAN007)" in reason


def test_a_manifest_alone_cannot_be_repeated(project: Project) -> None:
    project.run()
    (project.folders()[-1] / "events.jsonl").unlink()

    assert one(project) == (3, "unrepeatable", "its manifest has no journal beside it, and alone proves nothing")


def test_a_program_that_is_not_here_contradicts_nothing(project: Project, tmp_path: Path) -> None:
    tool = tmp_path / "bin/some-tool"
    tool.parent.mkdir()
    tool.write_text("#!/bin/sh\n")
    tool.chmod(0o755)
    project.define("tools", {"id": "use", "run": ["some-tool"]}, {"id": "after", "run": ["true"], "needs": ["use"]})
    path = os.environ["PATH"]
    assert project.run("tools", env={"PATH": f"{tool.parent}:{path}"}).code == 0

    code, document = replayed(project)

    (row,) = document["runs"]
    assert (code, row["verdict"]) == (3, "unrepeatable")
    assert "performance.setup" in row["hint"]


@pytest.mark.parametrize("ignored", ["built/\n", ""])
def test_what_a_setup_makes_is_there(project: Project, ignored: str) -> None:
    repo = project.repo
    repo.commit("ignore", {".gitignore": f".runs/\nout/\n{ignored}"})
    project.define("made", {"id": "use", "shell": "test -e built/x"})
    with (repo.root / "orchgate.toml").open("a") as config:
        config.write('[performance]\nsetup = ["sh", "-c", "mkdir -p built && touch built/x made.txt"]\n')
    repo.git("add", "--all")
    repo.commit("setup")
    repo.write("built/x")
    assert project.run("made").code == 0
    repo.git("add", "--all")
    repo.commit("built")

    assert one(project)[:2] == (0, "confirmed")
    assert one(project)[:2] == (0, "confirmed")


def test_what_a_setup_made_is_made_again_where_a_stage_altered_it(project: Project) -> None:
    project.define("used", {"id": "use", "shell": "grep -q good out/x && echo bad >out/x"})
    with (project.root / "orchgate.toml").open("a") as config:
        config.write('[performance]\nsetup = ["sh", "-c", "mkdir -p out && echo good >out/x"]\n')
    project.repo.git("add", "--all")
    project.repo.commit("setup")
    project.repo.write("out/x", "good\n")
    assert project.run("used").code == 0

    assert replayed(project, "latest", "--runs", "2")[1]["verdict"] == "confirmed"
    assert one(project, "latest")[:2] == (0, "confirmed")


def test_what_leads_into_the_developers_tree_leads_into_the_repeated_one(project: Project) -> None:
    repo = project.repo
    repo.write("tools/say", "#!/bin/sh\necho good\n")
    os.chmod(project.root / "tools/say", 0o755)
    repo.git("add", "--all")
    repo.commit("tools", {"lib/said.py": "print('good')\n"})
    project.define("led", {"id": "use", "shell": 'test "$(say; python3 -m said)" = "$(printf "good\\ngood")"'})
    env = {"PATH": f"{project.root}/tools:{os.environ['PATH']}", "PYTHONPATH": f"{project.root}/lib"}
    assert project.run("led", env=env).code == 0
    name = project.folders()[-1].name
    repo.write("tools/say", "#!/bin/sh\necho bad\n")
    repo.write("lib/said.py", "print('bad')\n")

    code, document = replayed(project, name, env={**env, "SETTINGS": f"{project.root}/settings"})

    (row,) = document["runs"]
    assert (code, row["verdict"]) == (0, "confirmed"), row
    assert row["notes"] == ["SETTINGS in the environment: into your work tree, not the replayed one"]


def test_a_package_that_is_installed_from_the_developers_tree_is_the_repeated_one(
    project: Project, tmp_path: Path
) -> None:
    repo = project.repo
    repo.commit("package", {"src/package.py": "print('good')\n", "pyproject.toml": "[project]\nname = 'package'\n"})
    project.define("led", {"id": "use", "shell": 'test "$(python3 -m package)" = good'})
    venv = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
    (packages,) = venv.glob("lib/python*/site-packages")
    (packages / "package.pth").write_text(f"{project.root}/src\n")
    facts = packages / "package-1.dist-info/direct_url.json"
    facts.parent.mkdir()
    facts.write_text(json.dumps({"url": f"file://{project.root}", "dir_info": {"editable": True}}))
    env = {"PATH": f"{venv}/bin:{os.environ['PATH']}"}
    assert project.run("led", env=env).code == 0
    name = project.folders()[-1].name
    repo.write("src/package.py", "print('bad')\n")

    code, document = replayed(project, name, env=env)

    (row,) = document["runs"]
    assert (code, row["verdict"]) == (0, "confirmed"), row
    assert row["notes"][0].startswith("package-1: installed from your work tree")


def test_a_setup_that_fails_leaves_a_run_unrepeated(project: Project) -> None:
    with (project.root / "orchgate.toml").open("a") as config:
        config.write('[performance]\nsetup = ["sh", "-c", "echo no network; exit 3"]\n')
    project.repo.git("add", "--all")
    project.repo.commit("setup")
    assert project.run().code == 0

    code, verdict, reason = one(project)

    assert (code, verdict) == (3, "unrepeatable")
    assert reason == "performance.setup of its tree fails here: exit 3; no network"


def test_a_variable_that_is_not_set_contradicts_nothing(project: Project) -> None:
    project.define("secret", {"id": "use", "shell": 'for f in a; do test "$TOKEN" = 1; done'})
    assert project.run("secret", env={"TOKEN": "1"}).code == 0

    code, verdict, _ = one(project)

    assert (code, verdict) == (3, "unrepeatable")
    assert project.manifest()["replays"]["lacking"] == {"use": "$TOKEN"}
    assert one(project, env={"TOKEN": "1"})[:2] == (0, "confirmed")


def test_a_flaky_stage_neither_confirms_nor_contradicts(project: Project, tmp_path: Path) -> None:
    toggle = f"test -e {tmp_path}/on && rm {tmp_path}/on || {{ touch {tmp_path}/on; exit 1; }}"
    project.define("flaky", {"id": "use", "shell": toggle})
    (tmp_path / "on").touch()
    assert project.run("flaky").code == 0

    code, verdict, _ = one(project)

    assert (code, verdict) == (3, "unrepeatable")


def test_no_replay_finds_what_another_one_left_in_its_tree(project: Project) -> None:
    project.define("tidy", {"id": "make", "shell": "mkdir made out && echo bad >a.txt"})
    project.define("sly", {"id": "pass", "shell": "test -e mark || { touch mark; exit 1; }"})
    assert project.run("tidy").code == 0

    code, document = replayed(project, "latest", "--runs", "2")
    assert (code, document["verdict"], len(document["runs"][0]["replays"])) == (0, "confirmed", 2)

    project.repo.git("checkout", "a.txt")
    assert project.run("sly").code == 1
    forge(project.folders()[-1], succeed)
    os.unlink(project.root / "mark")
    code, verdict, found = one(project, "latest")
    assert (code, verdict) == (1, "contradicted"), found


def test_branches_that_a_stage_switches_to_stay_where_they_are(project: Project) -> None:
    repo = project.repo
    main = repo.git("rev-parse", "--abbrev-ref", "HEAD")
    before = repo.git("rev-parse", "HEAD")
    repo.git("checkout", "--quiet", "-b", "topic")
    project.define("away", {"id": "away", "shell": f"git checkout --quiet {main} && echo $RANDOM >a.txt"})
    repo.git("worktree", "add", "--quiet", "--detach", "../aside")
    assert project.run("away").code == 0
    repo.git("checkout", "--quiet", "--force", "topic")

    assert replayed(project, "latest", "--runs", "2")[1]["verdict"] == "confirmed"
    assert repo.git("rev-parse", main) == before


def test_a_submodule_that_is_not_there_contradicts_nothing(project: Project) -> None:
    repo = project.repo
    repo.git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(project.root), "inner")
    repo.commit("with a submodule")
    project.define("deep", {"id": "use", "shell": "test -e inner/a.txt"})
    project.define("flat", {"id": "use", "shell": "test -e a.txt"})
    assert project.run("deep").code == 0

    code, document = replayed(project)
    assert (code, document["runs"][0]["differences"][0]["why"]) == (3, "submodule inner is not here")

    assert project.run("flat").code == 0
    assert one(project)[:2] == (0, "confirmed")


def test_a_variable_that_a_sub_pipeline_names_contradicts_nothing(project: Project) -> None:
    project.define("inner", {"id": "use", "shell": 'test "$TOKEN" = x'})
    project.define("outer", {"id": "call", "pipeline": "inner"})
    assert project.run("outer", env={**os.environ, "TOKEN": "x"}).code == 0

    code, document = replayed(project, "latest")

    assert (code, document["runs"][0]["differences"][0]["why"]) == (3, "it names $TOKEN, not set here")


def test_a_run_that_takes_too_long_is_unrepeatable(project: Project, tmp_path: Path) -> None:
    project.define("slow", {"id": "wait", "shell": f"test ! -e {tmp_path}/slow || sleep 600"})
    assert project.run("slow").code == 0
    (tmp_path / "slow").touch()

    code, verdict, _ = one(project, project.folders()[-1].name, "--timeout", "1s")

    assert (code, verdict) == (3, "unrepeatable")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_leaves_nothing_behind(project: Project, tmp_path: Path, number: int) -> None:
    started = tmp_path / "started"
    project.define("slow", {"id": "wait", "shell": f"test ! -e {tmp_path}/slow || {{ touch {started}; sleep 600; }}"})
    assert project.run("slow").code == 0
    (tmp_path / "slow").touch()
    before = project.folders()
    child = subprocess.Popen(
        [ORCHGATE, "evidence", "replay", before[-1].name],
        cwd=project.root,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    until(started.exists)

    child.send_signal(number)
    child.communicate(timeout=120)

    assert child.returncode in (130, -number, 128 + number)
    assert project.folders() == before
    assert project.repo.git("worktree", "list").count("\n") == 0
    assert not [path for path in tmp_path.glob("trees/*/*") if path.is_dir()]


def test_what_a_replay_said_is_shown_until_the_record_is_another_one(project: Project) -> None:
    repo = project.repo
    project.run()
    name = project.folders()[0].name
    replayed(project)

    again = project.folders()[-1].name
    shown = repo.orchgate("status", name).out
    listed = json.loads(repo.orchgate("status", "--output-format", "json").out)["runs"]
    page = json.loads(repo.orchgate("report", "--output-format", "json").out)

    assert f"{name}: confirmed by replay on 2" in shown
    assert f"{again}: replays {name}, which is confirmed" in repo.orchgate("status").out
    assert [row["replays_run_id"] for row in listed] == [name, None]
    rows = {row["run_id"]: row for row in page["runs"]}
    assert rows[name]["replayed"].startswith("confirmed by replay on 2")
    assert rows[again]["replays"] == name

    forge(project.folders()[0], lambda event: event.get("tests") and event["tests"].update(passed=30))

    assert "by replay" not in repo.orchgate("status", name).out
    assert "which is" not in repo.orchgate("status").out


def test_the_command_of_an_item_is_repeated_as_its_document_says(project: Project) -> None:
    repo = project.repo
    repo.orchgate("new", "demo", "--task", TASK)
    with (repo.root / f"tasks/tasks-{TASK}.md").open("a") as checklist:
        checklist.write("- [ ] The file is there — accept: `test -e a.txt`\n")
    repo.git("add", "--all")
    repo.commit("task")
    assert "succeeded" in repo.orchgate("tasks", "check", TASK).out
    assert project.manifest()["accepts"]["command"] == "test -e a.txt"
    name = project.folders()[-1].name

    assert one(project, name) == (0, "confirmed", "")

    def other(event: dict[str, Any]) -> None:
        if "accepts" in event:
            event["accepts"]["command"] = "touch /tmp/never"

    forge(project.folders()[0], other)
    code, verdict, reason = one(project, name)
    assert (code, verdict, reason) == (
        3,
        "unrepeatable",
        f"no item of tasks/tasks-{TASK}.md names the command that it ran",
    )

    (repo.root.parent / "outside.md").write_text("- [ ] The file is there — accept: `touch /tmp/never`\n")
    for path in ("../outside.md", str(repo.root.parent / "outside.md"), "a.md/../../outside.md", ".git/a.md"):

        def elsewhere(event: dict[str, Any], path: str = path) -> None:
            if "accepts" in event:
                event["accepts"]["document"] = path

        forge(project.folders()[0], elsewhere)
        code, verdict, reason = one(project, name)
        assert (code, verdict, "is no document of a tree" in reason) == (3, "unrepeatable", True)


def test_a_tool_that_is_another_one_is_named(project: Project, tmp_path: Path) -> None:
    for name, text in (("old", "exit 0"), ("new", "echo cannot; exit 1")):
        tool = tmp_path / name / "some-tool"
        tool.parent.mkdir()
        tool.write_text(f"#!/bin/sh\n{text}\n")
        tool.chmod(0o755)
    project.define("tools", {"id": "use", "run": ["some-tool"]})
    path = os.environ["PATH"]
    assert project.run("tools", env={"PATH": f"{tmp_path}/old:{path}"}).code == 0

    code, document = replayed(project, env={"PATH": f"{tmp_path}/new:{path}"})

    (row,) = document["runs"]
    assert (code, row["verdict"]) == (1, "contradicted")
    assert row["tool_differences"][0].startswith("some-tool: another file (sha256 ")


def test_a_killed_replay_lets_go_of_its_tree_when_the_last_process_is_dead(project: Project, tmp_path: Path) -> None:
    started = tmp_path / "started"
    project.define("slow", {"id": "wait", "shell": f"test ! -e {tmp_path}/slow || {{ touch {started}; sleep 600; }}"})
    assert project.run("slow").code == 0
    (tmp_path / "slow").touch()
    name = project.folders()[-1].name
    child = subprocess.Popen([ORCHGATE, "evidence", "replay", name], cwd=project.root, stdin=subprocess.DEVNULL)
    until(started.exists)
    (slot,) = (path for path in tmp_path.glob("trees/*/*") if path.is_dir())
    (watchdog,) = [pid for pid in _holding(slot / "lock") if pid != child.pid]

    child.kill()
    child.wait()
    until(lambda: watchdog not in _holding(slot / "lock"))

    assert [pid for pid in _pids() if _cwd(pid).startswith(str(slot))] == []
    (tmp_path / "slow").unlink()
    assert one(project, name)[:2] == (0, "confirmed")
    shown = project.repo.orchgate("status").out
    assert f"hint: orchgate evidence replay {name}" in shown


def _pids() -> list[int]:
    return [int(entry) for entry in os.listdir("/proc") if entry.isdigit()]


def _cwd(pid: int) -> str:
    try:
        return os.readlink(f"/proc/{pid}/cwd")
    except OSError:
        return ""


def _holding(path: Path) -> set[int]:
    """The processes that have a file open."""
    found = set()
    for pid in _pids():
        try:
            names = [os.readlink(f"/proc/{pid}/fd/{one}") for one in os.listdir(f"/proc/{pid}/fd")]
        except OSError:
            continue
        if str(path) in names:
            found.add(pid)
    return found


def test_the_latest_run_is_one_that_is_part_of_none(project: Project) -> None:
    project.define("outer", {"id": "inner", "pipeline": "demo"})
    assert project.run("outer").code == 0

    assert one(project, "latest") == (0, "confirmed", "")


def test_the_latest_run_is_one_that_replays_none(project: Project) -> None:
    project.run()
    name = project.folders()[0].name

    for _ in range(2):
        (row,) = replayed(project, "latest")[1]["runs"]
        assert row["run_id"] == name
    assert name in project.repo.orchgate("evidence", "export", "latest").out  # what a signature would be about


def test_a_run_in_the_folder_of_another_one_is_not_repeated(project: Project) -> None:
    project.run()
    folder = project.folders()[0]
    folder.rename(folder.with_name(OTHER))

    code, verdict, reason = one(project, OTHER)

    assert (code, verdict) == (3, "unrepeatable")
    assert reason == f"its manifest is that of run {folder.name} of task {TASK}"


def test_a_replay_cannot_be_resumed(project: Project) -> None:
    project.repo.commit("bad", {"a.txt": "bad\n"})
    project.run()
    replayed(project)

    done = project.repo.orchgate("resume", project.folders()[-1].name)

    assert (done.code, "replays run" in done.out) == (3, True)


def test_hooks_of_the_repository_are_not_run(project: Project, tmp_path: Path) -> None:
    for name in ("post-checkout", "post-index-change", "reference-transaction"):
        hook = project.root / ".git/hooks" / name
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(f"#!/bin/sh\ntouch {tmp_path}/{name}\n")
        hook.chmod(0o755)
    project.repo.write("new.txt", "new\n")
    project.run()
    project.repo.git("add", "--all")
    project.repo.commit("new")
    for left in tmp_path.glob("*-*"):
        left.unlink()

    assert one(project)[:2] == (0, "confirmed")
    assert not list(tmp_path.glob("*-*"))


def test_a_shallow_clone_says_what_brings_the_commit(project: Project, tmp_path: Path) -> None:
    project.run()
    run = project.folders()[-1]
    project.repo.commit("later", {"b.txt": "b\n"})
    made = clone(Repo(project.root), tmp_path / "shallow", "--depth=1", "--no-local")
    _bring(run, made)

    code, document = replayed(Project(made), run.name)

    (row,) = document["runs"]
    assert (code, row["verdict"]) == (3, "unrepeatable")
    assert row["hint"].startswith("git fetch --unshallow origin ")
    made.git(*row["hint"].split()[1:])
    assert replayed(Project(made), run.name)[0] == 0


def test_documents_that_nobody_committed_then_do_not_keep_a_run_from_being_repeated(project: Project) -> None:
    repo = project.repo
    repo.write("docs/notes.md", "# Notes\n")
    assert project.run().code == 0
    repo.write("docs/notes.md", "# Notes\n\nMore of them.\n")
    repo.git("add", "--all")
    repo.commit("notes")

    code, document = replayed(project)

    (row,) = document["runs"]
    assert (code, row["verdict"]) == (0, "confirmed")
    assert row["notes"][0].endswith("docs/notes.md")


def test_documents_that_are_not_here_may_be_why_a_stage_fails(project: Project) -> None:
    project.repo.write("notes.md", "# Notes\n")
    project.define("docs", {"id": "look", "run": ["test", "-e", "notes.md"]})
    assert project.run("docs").code == 0

    assert one(project)[:2] == (3, "unrepeatable")


def test_a_partial_clone_says_what_brings_the_objects(project: Project, tmp_path: Path) -> None:
    project.run()
    run = project.folders()[-1]
    project.repo.commit("later", {"a.txt": "other\n"})
    project.repo.git("config", "uploadpack.allowFilter", "true")
    made = clone(Repo(project.root), tmp_path / "partial", "--filter=blob:none", "--no-local")
    _bring(run, made)

    code, document = replayed(Project(made), run.name)

    (row,) = document["runs"]
    assert (code, row["verdict"]) == (3, "unrepeatable"), row
    assert "its tree cannot be laid out" in row["reason"]
    assert row["hint"].endswith(": git fetch --refetch --no-filter")
    made.git("fetch", "--refetch", "--no-filter")
    assert replayed(Project(made), run.name)[0] == 0


def _bring(run: Path, made: Repo) -> None:
    there = made.root / ".runs" / TASK / "cli" / run.name
    there.parent.mkdir(parents=True)
    subprocess.run(["cp", "-r", str(run), str(there)], check=True)


def test_another_commit_of_the_same_tree_does(project: Project) -> None:
    repo = project.repo
    project.run()
    repo.git("commit", "--quiet", "--amend", "-m", "in other words")
    repo.git("reflog", "expire", "--expire=now", "--all")
    repo.git("gc", "--quiet", "--prune=now")

    code, document = replayed(project)

    (row,) = document["runs"]
    assert (code, row["verdict"]) == (0, "confirmed")
    assert row["notes"] == [
        f"at commit {repo.git('rev-parse', 'HEAD')[:12]}, which has the same tree: the recorded one is not here"
    ]


def test_a_clone_replays_what_was_fetched(project: Project, tmp_path: Path) -> None:
    repo = project.repo
    repo.orchgate("new", "demo", "--task", TASK)
    repo.git("add", "--all")
    base = repo.commit("task")
    assert project.run().code == 0
    path = f".runs/{TASK}/cli/{project.folders()[-1].name}/manifest.json"
    with (repo.root / f"tasks/tasks-{TASK}.md").open("a") as checklist:
        checklist.write(f"- [x] The tests pass. Evidence: `{path}`\n")
    assert repo.orchgate("evidence", "pin", "--task", TASK).code == 0
    repo.git("add", "--all")
    repo.commit("cite")
    bare = clone(Repo(repo.root), tmp_path / "bare.git", "--bare")
    repo.git("remote", "add", "origin", str(bare.root))
    assert repo.orchgate("evidence", "push").code == 0
    made = Project(clone(bare, tmp_path / "clone"))

    before = replayed(made, "--base", base)
    fetched = made.repo.orchgate("evidence", "fetch")
    after = replayed(made, "--base", base)

    assert (before[0], before[1]["verdict"]) == (3, "unrepeatable")
    assert before[1]["runs"][0]["reason"] == "its manifest is pinned, but its content is not here"
    assert before[1]["runs"][0]["hint"].startswith("run `orchgate evidence fetch`")
    assert fetched.code == 0, fetched.out
    assert (after[0], after[1]["verdict"]) == (0, "confirmed")


def test_the_policy_of_the_base_says_what_ci_replays(project: Project) -> None:
    repo = project.repo
    repo.orchgate("new", "demo", "--task", TASK)
    config = repo.root / "orchgate.toml"
    config.write_text(config.read_text() + '[evidence]\nreplay = "sample:1"\n')
    repo.git("add", "--all")
    base = repo.commit("task")
    for _ in range(3):
        assert project.run().code == 0
    with (repo.root / f"tasks/tasks-{TASK}.md").open("a") as checklist:
        for folder in project.folders():
            checklist.write(f"- [x] The tests pass. Evidence: `.runs/{TASK}/cli/{folder.name}/manifest.json`\n")
    repo.orchgate("evidence", "pin", "--task", TASK)
    config.write_text(config.read_text().replace("sample:1", "never"))
    repo.git("add", "--all")
    repo.commit("cite, and loosen")

    _, first = replayed(project, "--policy", "--base", base, env={"GITHUB_RUN_ID": "7"})
    _, again = replayed(project, "--policy", "--base", base, env={"GITHUB_RUN_ID": "7"})
    _, every = replayed(project, "--base", base)
    _, none = replayed(project, "--policy", "--base", "HEAD")

    assert (first["policy"], first["cited_count"], first["run_count"]) == ("sample:1", 3, 1)
    assert [row["run_id"] for row in again["runs"]] == [row["run_id"] for row in first["runs"]]
    assert (every["policy"], every["run_count"]) == (None, 3)
    assert (none["policy"], none["run_count"], none["verdict"]) == ("never", 0, None)
    loosened = repo.orchgate("check", "configuration", "--base", base)
    assert 'evidence.replay is looser: changed from "sample:1" to "never"' in loosened.out
