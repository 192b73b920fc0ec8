"""A leading `!` in a list of globs takes back what entries before it matched, whichever key the list belongs to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support import checked

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.repo import Repo

BROKEN = "# Notes\n\n[gone](gone.md)\n"
PLAN = "# ACTION_PLAN - x\n\n## Concrete Steps\n\n```bash\n{step}\n```\n"
BUMPED = ('{"version": "1"}\n', '{"version": "2"}\n')


def rules(check: str) -> list[str]:
    """What the check refuses, by rule and path."""
    return [
        f"{d['rule']} {d['path'] or ''}".strip()
        for d in checked("--staged", check)["diagnostics"]
        if d["rule"] != "CFG001"
    ]


def configured(repo: Repo, toml: str, before: Mapping[str, str] | None = None) -> None:
    """A repository whose configuration landed earlier."""
    repo.commit(files={"orchgate.toml": toml, **(before or {})})


@pytest.mark.slow
def test_files_are_counted_again(repo: Repo) -> None:
    configured(repo, '[diff-budget]\nmax-files = 1\nignore = ["gen/**", "!gen/keep/**"]\n')
    for name in ("gen/a", "gen/b", "gen/keep/a", "gen/keep/b"):
        repo.stage(name)

    assert rules("diff-budget") == ["DIF001"]


@pytest.mark.slow
def test_what_is_taken_back_twice_is_ignored_again(repo: Repo) -> None:
    configured(repo, '[diff-budget]\nmax-files = 1\nignore = ["gen/**", "!gen/keep/**", "gen/keep/b"]\n')
    for name in ("gen/a", "gen/keep/a", "gen/keep/b"):
        repo.stage(name)

    assert rules("diff-budget") == []


@pytest.mark.slow
def test_files_leave_an_area(repo: Repo) -> None:
    configured(repo, '[diff-budget]\nmax-files = 1\n[diff-budget.areas.docs]\npaths = ["**/*.md", "!src/**"]\n')
    for name in ("a.md", "b.md", "src/a.md", "src/b.md"):
        repo.stage(name)

    assert rules("diff-budget") == ["DIF001"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "setting", ['exclude = ["old/**", "!old/a.md"]', 'documents = ["new/**", "old/**", "!old/b.md"]']
)
def test_links_are_checked_again(repo: Repo, setting: str) -> None:
    configured(repo, f"[evidence]\n{setting}\n")
    repo.stage("old/a.md", BROKEN)
    repo.stage("old/b.md", BROKEN)

    assert rules("evidence") == ["EVD001 old/a.md"]


@pytest.mark.slow
def test_documents_are_of_packets_again(repo: Repo) -> None:
    configured(repo, '[documents]\nexclude = ["docs/**", "!docs/PRD-y.md"]\nrequired = ["tech-spec"]\n')
    repo.stage("docs/PRD-x.md", "# PRD\n")
    repo.stage("docs/PRD-y.md", "# PRD\n")

    assert "DOC001 docs/PRD-y.md" in rules("documents")
    assert "DOC001 docs/PRD-x.md" not in rules("documents")


@pytest.mark.slow
def test_a_folder_named_with_a_slash_is_excluded_whole(repo: Repo) -> None:
    configured(repo, '[documents]\nexclude = ["docs/"]\nrequired = ["tech-spec"]\n')
    repo.stage("docs/PRD-x.md", "# PRD\n")

    assert rules("documents") == []


@pytest.mark.slow
@pytest.mark.parametrize("setting", ['code = ["**/*.py", "!tests/**"]', 'code = ["**/*.py"]\nexempt = ["**", "!a.py"]'])
def test_code_needs_no_spec(repo: Repo, setting: str) -> None:
    configured(repo, f"[specs]\n{setting}\n")
    repo.stage("a.py")
    repo.stage("tests/a.py")

    assert rules("specs") == ["SPC001 a.py"]
    repo.git("rm", "-qf", "--cached", "a.py")
    assert rules("specs") == []


@pytest.mark.slow
def test_files_carry_no_version(repo: Repo) -> None:
    before = dict.fromkeys(("a/package.json", "vendor/package.json"), BUMPED[0])
    configured(repo, '[version-bump]\nallow-releases = false\nfiles = ["**/package.json", "!vendor/**"]\n', before)
    for name in before:
        repo.stage(name, BUMPED[1])

    assert rules("version-bump") == ["VER001 a/package.json"]


@pytest.mark.slow
@pytest.mark.parametrize(("branch", "expected"), [("release/1", []), ("release/x", ["VER001 package.json"])])
def test_branches_are_no_place_for_releases(repo: Repo, branch: str, expected: list[str]) -> None:
    toml = '[version-bump]\nallow-releases = false\nallow-branches = ["release/*", "!release/x"]\n'
    toml += '[severity]\nVER001 = "error"\n'
    configured(repo, toml, {"package.json": BUMPED[0]})
    repo.git("switch", "-q", "-c", branch)
    repo.stage("package.json", BUMPED[1])

    errors = [d for d in checked("--staged", "version-bump")["diagnostics"] if "allow" not in d["message"]]

    assert [f"{d['rule']} {d['path']}" for d in errors] == expected


@pytest.mark.slow
@pytest.mark.parametrize(("step", "expected"), [("make build", []), ("make deploy", ["CMD002 docs/ACTION_PLAN-x.md"])])
def test_commands_are_judged_again(repo: Repo, step: str, expected: list[str]) -> None:
    configured(repo, '[commands]\nallow = ["make *", "!make deploy*"]\n', {"Makefile": "all:\n"})
    repo.stage("docs/ACTION_PLAN-x.md", PLAN.format(step=step))

    assert rules("commands") == expected


@pytest.mark.slow
def test_a_change_is_not_worth_measuring(repo: Repo) -> None:
    toml = '[performance]\npipeline = "p"\npaths = ["src/**", "!src/docs/**"]\n'
    base = repo.commit(files={"orchgate.toml": toml + "[[pipelines.p.stages]]\nid = 'a'\nrun = ['true']\n"})
    repo.commit(files={"src/docs/a.txt": "x\n"})

    report = checked("--base", base, "performance")

    assert report["checks"][0]["facts"]["not measured"] == "1 changed file, none that performance.paths names"
