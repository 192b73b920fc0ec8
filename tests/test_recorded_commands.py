"""What is written down of a command that holds a secret: everything but the secret. What runs is the command itself."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any

import pytest

from orchgate.lib import process
from orchgate.runs import stages
from orchgate.secrets.redact import WORDS, is_redacted, redacted, redacted_words
from orchgate.secrets.scan import FORMS
from tests.runs import TASK, Project, events

if TYPE_CHECKING:
    from pathlib import Path

    from tests.repo import Repo

# In parts, so that no scanner takes this file for a leak.
TOKEN = "gh" + "p_" + "a1B2c3D4" * 4 + "wxyz"
SECRET = "tr0ub" + "4dor-9"
WRITE = "import sys; open('heard', 'w').write(' '.join(sys.argv[1:]))"  # outside of what is recorded
AGENT = "sh -c 'cat > heard; echo x >> made'"


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (("deploy", f"--token={TOKEN}"), ("deploy", "--token=[secret: github-token]")),
        (("deploy", "--token", TOKEN), ("deploy", "--token", "[secret: github-token]")),
        (("deploy", TOKEN), ("deploy", "[secret: github-token]")),
        (("deploy", "--db-password", f"{SECRET} with blanks"), ("deploy", "--db-password", "[secret: key-value]")),
        (("env", f"DB_PASSWORD={SECRET}", "make"), ("env", "DB_PASSWORD=[secret: key-value]", "make")),
        (("curl", "-u", f"joe:{SECRET}", "x"), ("curl", "-u", "joe:[secret: login]", "x")),
        (("mysql", f"-p{SECRET}", "app"), ("mysql", "[secret: login]", "app")),
        (("deploy", f"--db-password=it is {SECRET}"), ("deploy", "--db-password=[secret: key-value]")),
        (("psql", f"postgres://joe:{SECRET}@db/x"), ("psql", "postgres://joe:[secret: url-password]@db/x")),
        (
            ("curl", "-H", f"Authorization: Bearer {SECRET}ab1"),
            ("curl", "-H", "Authorization: Bearer [secret: authorization-header]"),
        ),
        (("a", TOKEN, "b", TOKEN), ("a", "[secret: github-token]", "b", "[secret: github-token]")),
        (("é", f"{TOKEN}\udcff"), ("é", "[secret: github-token]\udcff")),
    ],
)
def test_a_secret_is_taken_out_of_the_words_of_a_command(words: tuple[str, ...], shown: tuple[str, ...]) -> None:
    assert redacted_words(words) == shown


@pytest.mark.parametrize(
    "words",
    [
        ("true",),
        (),
        ("",),
        ("deploy", "--token", "$TOKEN"),
        ("deploy", "--token-file", "/run/secrets/a1"),
        ("deploy", "--password"),
        ("deploy", "--password", "--force1"),
        ("pytest", "-k", "password", "tests/test_token_1.py"),
        ("docker", "run", "-u", "1000:1000", "x"),
        ("run", "--max-tokens", "4096000"),
        ("git", "show", "0a1b2c3d" * 5),
        ("docker", "build", "--secret", "id=npm1,src=.npmrc", "."),
        ("docker", "build", "--secret=id=npm1,src=.npmrc", "."),
        ("mysql", "-p", "app12345"),
    ],
)
def test_other_words_stay_as_they_are(words: tuple[str, ...]) -> None:
    assert redacted_words(words) == words


def test_what_is_taken_out_is_taken_out_once() -> None:
    shown = redacted(f"curl -H 'Authorization: Bearer {TOKEN}'")

    assert (redacted(shown), is_redacted([shown])) == (shown, True)


def test_every_form_has_a_word_by_which_it_is_noticed() -> None:
    assert [word for form in FORMS for word in form.words if not any(one in word for one in WORDS)] == []


IDLE = """
import sys
from orchgate.secrets.redact import redacted
redacted("make -j4 all")
sys.exit("re2" in sys.modules or "orchgate.secrets.scan" in sys.modules)
"""


def test_a_command_without_such_words_imports_no_engine() -> None:
    assert process.run([sys.executable, "-c", IDLE]).code == 0


# Runs


def kept(repo: Repo) -> str:
    """Everything that is under `.runs` and `.orchgate`."""
    texts = []
    for top in (".runs", ".orchgate"):
        for folder, _, names in os.walk(repo.root / top):
            for name in names:
                with open(os.path.join(folder, name), "rb") as file:
                    texts.append(file.read().decode("utf-8", "replace"))
    assert texts
    return "\n".join(texts)


def heard(repo: Repo) -> str:
    return (repo.root / "heard").read_text()


@pytest.fixture
def project(repo: Repo) -> Project:
    repo.commit(files={".gitignore": "/.runs/\nheard\nmade\n", "a.py": "x = 1\n"})
    return Project(repo)


@pytest.mark.slow
def test_a_stage_runs_with_its_secret_and_is_recorded_without(project: Project) -> None:
    project.define("demo", {"id": "a", "run": [sys.executable, "-c", WRITE, f"--token={TOKEN}"]})
    project.run()

    assert (heard(project.repo), TOKEN in kept(project.repo)) == (f"--token={TOKEN}", False)
    assert project.stages()["a"]["argv"][-1] == "--token=[secret: github-token]"
    assert "--token=[secret: github-token]" in project.stages()["a"]["command"]


@pytest.mark.slow
def test_so_is_a_shell_line(project: Project) -> None:
    line = f"printf %s 'Authorization: Bearer {TOKEN}' > heard"
    project.define("demo", {"id": "a", "shell": line, "title": f"with {TOKEN}"})
    project.run()

    assert (TOKEN in heard(project.repo), TOKEN in kept(project.repo)) == (True, False)
    assert "Bearer [secret: github-token]" in project.stages()["a"]["command"]


@pytest.mark.slow
def test_a_recorded_run_passes_the_check_of_manifests(project: Project) -> None:
    project.define("demo", {"id": "a", "shell": f"test -n {TOKEN}"})
    project.run()
    manifest = os.path.relpath(project.folders()[-1] / "manifest.json", project.root)
    project.repo.write("docs/x.md", f"- [x] a. Evidence: `{manifest}`\n")
    project.repo.git("add", "docs")

    assert project.repo.orchgate("check", "manifests", "--staged").code == 0


@pytest.mark.slow
def test_another_secret_is_another_command_for_the_cache(project: Project) -> None:
    for number in (1, 1, 2):
        toml = f'[[pipelines.demo.stages]]\nid = "a"\nshell = "true {TOKEN}{number}"\ninputs = ["a.py"]\n'
        project.repo.write("orchgate.toml", toml)
        project.run()

    cached = [
        json.loads((folder / "manifest.json").read_text())["commands"][0]["cached"] for folder in project.folders()
    ]
    assert cached == [False, True, False]


@pytest.mark.slow
def test_a_run_whose_commands_were_recorded_without_secrets_can_be_resumed(project: Project) -> None:
    project.define(
        "demo",
        {"id": "a", "shell": f"test -f go && echo {TOKEN} > heard"},
        {"id": "b", "shell": "true", "needs": ["a"]},
    )
    project.run()
    project.repo.write("go", "")
    project.repo.orchgate("resume", project.folders()[-1].name)

    assert heard(project.repo).strip() == TOKEN


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="file events are counted on Linux only")
def test_an_observed_program_is_recorded_without_its_secret(project: Project) -> None:
    project.repo.orchgate("observe", "--", sys.executable, "-c", WRITE, "--password", SECRET)
    first = events(next((project.root / ".runs" / "observed" / "cli").iterdir()))[0]["stages"][0]

    assert (heard(project.repo), SECRET in kept(project.repo)) == (f"--password {SECRET}", False)
    assert first["argv"][-2:] == ["--password", "[secret: key-value]"]


def loop(project: Project, *options: str) -> Any:
    return project.repo.orchgate("rlm", "--task", TASK, *options)


def prompts(folder: Path) -> list[str]:
    return [path.read_text() for path in sorted((folder / "artifacts").glob("prompt-*.txt"))]


@pytest.mark.slow
def test_an_agent_hears_the_secret_and_the_record_does_not(project: Project) -> None:
    validator = f"sh -c 'test -f made && test -n \"$0\"' {TOKEN}"
    loop(project, "--goal", f"log in with {TOKEN}", "--agent", f"{AGENT} --token={TOKEN}", "--validator", validator)

    assert (f"log in with {TOKEN}" in heard(project.repo), TOKEN in kept(project.repo)) == (True, False)
    assert "log in with [secret: github-token]" in prompts(project.folders()[-1])[0]


@pytest.mark.slow
def test_a_loop_recorded_without_its_secrets_is_not_taken_up(project: Project) -> None:
    loop(project, "--goal", "x", "--agent", f"{AGENT} {TOKEN}", "--validator", "false", "--max-iterations", "1")
    resumed = project.repo.orchgate("rlm", "--task", TASK, "--resume", "latest", "--max-iterations", "3")

    assert (resumed.code, "recorded without their secrets" in resumed.out) == (10, True), resumed.out


def test_a_baseline_is_named_without_the_secret() -> None:
    assert stages.command_name(("curl", TOKEN)) == "-- curl '[secret: github-token]'"


@pytest.mark.slow
def test_what_a_stage_says_last_is_recorded_without_its_secret(project: Project) -> None:
    project.define("demo", {"id": "a", "shell": f"printf 'x%.0s' $(seq 190); echo ' {TOKEN}'"})

    project.run("demo")

    (summary,) = [event["summary"] for event in events(project.folders()[0]) if event["event"] == "end"]
    assert TOKEN[:10] not in summary
