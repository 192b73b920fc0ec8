"""What a stage leaves behind, and that the cache asks for it."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from orchgate.errors import ConfigError
from orchgate.runner import inputs, stage_cache
from orchgate.runner.inputs import NotKeptError, Product
from orchgate.runs.stages import Pipeline, Stage, check_startable
from tests.runs import TASK, Project, events

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.repo import Repo


BUILD = "mkdir -p dist/sub && cp src/a dist/a && cp src/a dist/sub/b && chmod +x dist/sub/b && ln -sfn a dist/link"


@pytest.fixture
def project(repo: Repo) -> Project:
    repo.commit(files={".gitignore": ".runs/\ndist/\n", "src/a": "1\n"})
    return Project(repo)


def build(project: Project, **more: object) -> None:
    stage = {"id": "build", "shell": f"echo x >> ran; {BUILD}", "inputs": ["src/**"], "outputs": ["dist/**"]}
    project.define("demo", {**stage, **more})


def times_run(project: Project) -> int:
    return len((project.root / "ran").read_text().splitlines())


def detail(project: Project, stage: str = "build") -> str:
    return str(project.stages()[stage]["status_detail"])


@pytest.mark.slow
def test_as_long_as_its_products_are_there_it_is_answered_from_the_cache(project: Project) -> None:
    build(project)
    project.run()
    project.run()
    assert (times_run(project), project.stages()["build"]["cached"], detail(project)) == (1, True, "None")


def deleted(root: Path) -> None:
    (root / "dist/a").unlink()


def edited(root: Path) -> None:
    (root / "dist/a").write_text("2\n")


def longer(root: Path) -> None:
    (root / "dist/a").write_text("1\n\n")


def not_executable(root: Path) -> None:
    (root / "dist/sub/b").chmod(0o644)


def pointed_elsewhere(root: Path) -> None:
    (root / "dist/link").unlink()
    (root / "dist/link").symlink_to("b")


def a_folder_now(root: Path) -> None:
    (root / "dist/a").unlink()
    (root / "dist/a").mkdir()
    (root / "dist/a").rmdir()
    os.mkfifo(root / "dist/a")


def moved_behind_a_link(root: Path) -> None:
    (root / "dist/sub").rename(root.parent / "sub")
    (root / "dist/sub").symlink_to(root.parent / "sub")


def a_link_to_itself(root: Path) -> None:
    (root / "dist/a").unlink()
    (root / "dist/a").symlink_to("a")


ALTERED = {
    deleted: "its output dist/a is missing",
    edited: "its output dist/a has changed",
    longer: "its output dist/a has changed",
    not_executable: "its output dist/sub/b has changed",
    pointed_elsewhere: "its output dist/link has changed",
    a_folder_now: "its output dist/a has changed: it is no longer a file",
    moved_behind_a_link: "its output dist/sub/b is reached through a symbolic link",
    a_link_to_itself: "its output dist/a has changed",
}


@pytest.mark.slow
@pytest.mark.parametrize(("alter", "reason"), ALTERED.items(), ids=lambda one: getattr(one, "__name__", ""))
def test_a_product_that_is_not_what_it_was_makes_it_run_again(
    project: Project, alter: Callable[[Path], None], reason: str
) -> None:
    build(project, shell=f"echo x >> ran; rm -rf dist; {BUILD}")
    project.run()
    alter(project.root)
    project.run()
    assert (times_run(project), detail(project)) == (2, f"not from the cache: {reason}")


@pytest.mark.slow
def test_what_lies_beside_its_products_does_not(project: Project) -> None:
    build(project)
    project.run()
    project.repo.write("dist/more")
    project.run()
    assert times_run(project) == 1


@pytest.mark.slow
def test_a_plan_says_what_a_stage_leaves(project: Project) -> None:
    build(project)
    assert "leaves dist/**" in project.repo.orchgate("plan", "demo").out


@pytest.mark.slow
def test_outputs_that_are_declared_later_are_not_taken_for_checked(project: Project) -> None:
    stage = {"id": "build", "shell": f"echo x >> ran; {BUILD}", "inputs": ["src/**"]}
    project.define("demo", stage)
    project.run()
    (project.root / "orchgate.toml").write_text("")
    build(project)
    project.run()
    assert times_run(project) == 2


@pytest.mark.slow
def test_products_of_a_flaky_stage_are_not_remembered(project: Project) -> None:
    build(project, shell=f"echo x >> ran; {BUILD}; test $(wc -l < ran) -gt 1", retries=1)
    project.run()
    project.run()
    assert times_run(project) == 3


NOT_LEFT = {
    "nothing": ("true", ["dist/**"], "its output dist/** does not exist"),
    "one of two": (BUILD, ["dist/**", "report.xml"], "its output report.xml does not exist"),
    "a folder that is empty": ("mkdir -p dist", ["dist"], "its output dist does not exist"),
    "a pipe": ("mkdir dist; mkfifo dist/p", ["dist"], "its output dist/p is not a regular file"),
    "a link outside": ("ln -s /usr dist", ["dist/**"], "its outputs are reached through a symbolic link: dist"),
    "a repository": ("git init -q dist", ["dist/**"], "its output dist/** does not exist"),
}


@pytest.mark.slow
@pytest.mark.parametrize(("shell", "outputs", "said"), NOT_LEFT.values(), ids=NOT_LEFT)
def test_a_success_without_what_it_declares_says_so_and_is_not_remembered(
    project: Project, shell: str, outputs: list[str], said: str
) -> None:
    build(project, shell=f"echo x >> ran; {shell}", outputs=outputs)
    result = project.run()
    assert (result.code, f"build: succeeded ({said}: not cached" in result.out) == (0, True), result.out
    project.run("demo")
    assert times_run(project) == 2


@pytest.mark.slow
@pytest.mark.parametrize("options", [("--no-cache",), ("--measure",)])
def test_it_says_so_without_the_cache_too(project: Project, options: tuple[str, ...]) -> None:
    build(project, shell="true")
    assert "build: succeeded (its output dist/** does not exist" in project.run("demo", *options).out


@pytest.mark.slow
def test_a_stage_that_writes_what_it_reads_says_why_it_is_never_remembered(project: Project) -> None:
    build(project, shell="echo x >> src/gen", outputs=["src/gen"])
    assert "its inputs changed while it ran: not cached" in project.run().out


@pytest.mark.slow
def test_a_link_among_the_products_is_what_it_says_wherever_that_is(project: Project, tmp_path: Path) -> None:
    (tmp_path / "outside").write_text("1")
    build(project, shell=f"echo x >> ran; mkdir -p dist; ln -sfn {tmp_path}/outside dist/link")
    project.run()
    (tmp_path / "outside").write_text("2")
    project.run()
    assert times_run(project) == 1


# What needs them


NEEDY = {"id": "use", "shell": "echo x >> used; cat dist/a", "needs": ["build"], "inputs": ["src/**"]}


def needing(project: Project, **build_: object) -> None:
    stage = {"id": "build", "shell": "mkdir -p dist && date +%N > dist/a", "inputs": ["src/**"]}
    project.define("demo", {**stage, **build_}, NEEDY)


def times_used(project: Project) -> int:
    return len((project.root / "used").read_text().splitlines())


@pytest.mark.slow
def test_a_stage_runs_again_when_what_it_needs_left_something_else(project: Project) -> None:
    needing(project, outputs=["dist/**"])
    project.run()
    (project.root / "dist/a").unlink()
    project.run()
    assert times_used(project) == 2


@pytest.mark.slow
def test_and_is_answered_from_the_cache_when_it_left_the_same(project: Project) -> None:
    needing(project, outputs=["dist/**"], shell="mkdir -p dist && echo same > dist/a")
    project.run()
    (project.root / "dist/a").unlink()
    project.run()
    assert times_used(project) == 1


@pytest.mark.slow
def test_what_a_stage_without_inputs_left_counts_too(project: Project) -> None:
    needing(project, inputs=[], outputs=["dist/**"])
    project.run()
    project.run()
    assert times_used(project) == 2


@pytest.mark.slow
def test_a_cached_stage_whose_products_nobody_checks_says_so_where_one_needs_them(project: Project) -> None:
    needing(project)
    project.run()
    out = project.run().out
    said = "its outputs are not checked: it declares none"
    assert (out.count(said), f"{said})" in out, detail(project)) == (1, True, said)


@pytest.mark.slow
def test_and_keeps_silent_where_none_does(project: Project) -> None:
    project.define("demo", {"id": "build", "shell": BUILD, "inputs": ["src/**"]})
    project.run()
    assert "not checked" not in project.run().out


@pytest.mark.slow
def test_stages_of_the_other_orchestrator_leave_nothing_declared(project: Project) -> None:
    stage = {"kind": "command", "id": "one", "title": "One", "command": "true", "outputs": ["dist/**"]}
    pipeline = {"id": "theirs", "title": "Theirs", "stages": [stage]}
    project.repo.commit(files={"codex.orchestrator.json": json.dumps({"pipelines": [pipeline]})})
    assert "does not exist" not in project.run("theirs").out


# The cache's files


def forge(project: Project, **changed: object) -> None:
    """Changes the one entry of the cache, its digest included; None drops a key."""
    (entry,) = (project.root / ".runs" / ".cache").glob("*.json")
    body = {key: value for key, value in json.loads(entry.read_text()).items() if key != "digest"} | changed
    body = {key: value for key, value in body.items() if value is not None or key not in changed}
    entry.write_text(json.dumps({**body, "digest": stage_cache._digest(body)}) + "\n")


@pytest.mark.slow
def test_an_entry_that_does_not_say_what_was_left_answers_for_no_stage_that_declares_it(project: Project) -> None:
    build(project)
    project.run()
    forge(project, products=None)
    project.run()
    assert detail(project) == "not from the cache: its cache entry does not list its outputs"


@pytest.mark.slow
def test_a_stage_without_outputs_is_remembered_as_before(project: Project) -> None:
    project.define("demo", {"id": "build", "shell": BUILD, "inputs": ["src/**"]})
    project.run()
    (entry,) = (project.root / ".runs" / ".cache").glob("*.json")
    assert (json.loads(entry.read_text())["version"], "products" in json.loads(entry.read_text())) == (1, False)


@pytest.mark.slow
@pytest.mark.parametrize("path", ["../outside", "/etc/passwd", ".git/config", "dist/.GIT/config"])
def test_a_forged_entry_does_not_make_us_look_elsewhere(project: Project, path: str) -> None:
    build(project)
    project.run()
    forge(project, products=[[path, "file", 1, "0" * 64]])
    project.run()
    assert "it holds something unexpected" in detail(project)


@pytest.mark.slow
def test_what_is_recorded_names_each_file_once(project: Project) -> None:
    build(project)
    project.run()
    (entry,) = (project.root / ".runs" / ".cache").glob("*.json")
    recorded = {path: (kind, size) for path, kind, size, _ in json.loads(entry.read_text())["products"]}
    assert recorded == {"dist/a": ("file", 2), "dist/link": ("link", 1), "dist/sub/b": ("program", 2)}


@pytest.mark.slow
def test_the_journal_is_still_one_that_can_be_read(project: Project) -> None:
    needing(project)
    project.run()
    project.run()
    assert [event["event"] for event in events(project.folders()[-1])][1] == "cached"
    assert project.repo.orchgate("status", "latest", "--task", TASK).code == 0


# Limits


@pytest.fixture
def top(tmp_path: Path) -> str:
    (tmp_path / "dist").mkdir()
    (tmp_path / "dist/a").write_text("12345")
    (tmp_path / "dist/b").write_text("12345")
    return str(tmp_path)


@pytest.mark.parametrize(
    ("name", "limit", "said"),
    [("MOST", 1, "are 2 files, limit 1"), ("MOST_BYTES", 9, "more than 9 bytes"), ("MOST_LOOKED_AT", 1, "more than 1")],
)
def test_more_than_anybody_would_wait_for_is_not_kept(
    top: str, monkeypatch: pytest.MonkeyPatch, name: str, limit: int, said: str
) -> None:
    monkeypatch.setattr(inputs, name, limit)
    with pytest.raises(NotKeptError, match=said):
        inputs.collect(top, ["dist/**"])


def test_a_file_that_grows_while_it_is_read_is_not_kept(top: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Growing:
        """Adds to the file between two reads."""

        def __init__(self) -> None:
            self.real = os.fstat

        def __call__(self, descriptor: int) -> os.stat_result:
            found = self.real(descriptor)
            with open(f"{top}/dist/a", "a", encoding="ascii") as file:
                file.write("6")
            return found

    monkeypatch.setattr(os, "fstat", Growing())
    with pytest.raises(NotKeptError, match="its output dist/a changed while it was read"):
        inputs.collect(top, ["dist/a"])


@pytest.mark.parametrize(
    ("outputs", "found"),
    [
        (["dist"], ["dist/a", "dist/b"]),
        (["dist/"], ["dist/a", "dist/b"]),
        (["./dist/*"], ["dist/a", "dist/b"]),
        (["dist/{a,b}"], ["dist/a", "dist/b"]),
        (["**/a"], ["dist/a"]),
        (["dist/**", "!dist/b"], ["dist/a"]),
        (["dist/a", "dist/a"], ["dist/a"]),
    ],
)
def test_outputs_are_globs_of_the_repository(top: str, outputs: list[str], found: list[str]) -> None:
    assert inputs.find(top, outputs) == found


def test_products_with_odd_names_are_kept(top: str) -> None:
    with open(os.fsencode(top) + b"/dist/\xff\n", "w", encoding="ascii") as file:
        file.write("x")
    kept = inputs.collect(top, ["dist/**"])
    assert (len(kept), inputs.why_changed(top, kept)) == (3, "")


def test_products_that_differ_have_other_digests() -> None:
    one = Product("a", "file", 1, "0" * 64)
    assert inputs.digest([one]) != inputs.digest([one._replace(kind="program")])


# The configuration


@pytest.mark.parametrize(
    "pattern", ["/tmp/x", "../x", "a/../../x", ".git/hooks/**", "sub/.GIT/config", "git~1/x", "$HOME/x", "~/x", "a\0b"]
)
def test_outputs_that_lie_elsewhere_are_refused(pattern: str) -> None:
    with pytest.raises(ConfigError, match="outputs"):
        check_startable(Stage("a", "A", ("true",), outputs=(pattern,)), "pipelines.p.stages[0]")


def test_a_pipeline_without_outputs_has_the_digest_it_had_before() -> None:
    pipeline = Pipeline("p", "P", (Stage("a", "A", ("true",), inputs=("src/**",)),))
    assert pipeline.digest == "e534f0d262c021afd7e705572b1e472fa28edcf349282152fb570795272581a7"


def test_one_with_outputs_is_another(project: Project) -> None:
    stage = Stage("a", "A", ("true",))
    assert stage.definition != stage._replace(outputs=("dist/**",)).definition
