"""Old names of keys, what they are called now, and `orchgate config`."""

from __future__ import annotations

import json
import tomllib
from typing import TYPE_CHECKING

import jsonschema
import pytest

from orchgate.config.load import build, declared, renames
from orchgate.config.migrate import migrated
from orchgate.config.source import Source
from orchgate.errors import ConfigError
from tests.published import closed
from tests.support import checked

if TYPE_CHECKING:
    from pathlib import Path

    from tests.repo import Repo

OLD = """\
# how strict we are
profile = "default" # as shipped

[documents] # where
packets = "plans/{slug}.md"  # one a task
"finished-statuses" = [
  "done", # and nothing else
]
review-days = 10 # ten
[evidence]
exclude = ["n.md"]
[specs]
code = ["src/**"]
exempt = ["src/gen/**"]
review-days = 5
[version-bump]
allow-trailer = 'Release'
[performance]
pipeline = "p"
inconclusive = "block" # strict
budget-seconds = 20
metrics = { cpu-seconds = { block = 0.1 }, "wall-seconds".block = 0.2 }
[per-file-ignores]
# since the move
"a/*" = { rules = ["DOC002"], reason = "old" } # for now
'b' = { reason = "r", rules = ["EVD001"] }
[per-file-ignores."c d"]
rules = ["EVD002"]
reason = "c"
[[pipelines.p.stages]]
id = "a"
run = ["x"]
"""
NEW = """\
# how strict we are
profile = "default" # as shipped

[documents] # where
paths.prd = "plans/{slug}.md"  # one a task
status.finished = [
  "done", # and nothing else
]
[evidence]
exclude = ["n.md"]
[specs]
paths = ["src/**"]
exclude = ["src/gen/**"]
[version-bump]
override-trailer = 'Release'
[performance]
pipeline = "p"
max-seconds = 20
metrics = { cpu-seconds = { fail-above = 0.1 }, wall-seconds.fail-above = 0.2 }
# since the move
[[ignore]]
paths = ["a/*"]
rules = ["DOC002"]
reason = "old" # for now
[[ignore]]
paths = ["b"]
reason = "r"
rules = ["EVD001"]
[[ignore]]
paths = ["c d"]
rules = ["EVD002"]
reason = "c"
[[pipelines.p.stages]]
id = "a"
run = ["x"]

[severity]
PRF004 = "error" # strict

[review]
max-age-days = 10 # ten
spec-max-age-days = 5
"""


def source(text: str, *below: str) -> Source:
    table = tomllib.loads(text)
    for name in below:
        table = table[name]
    return Source("orchgate.toml", table, text, below)


# What a file is rewritten to


def test_every_old_name_becomes_the_new_one_and_comments_stay() -> None:
    assert migrated(source(OLD)) == NEW


def test_what_is_rewritten_is_not_rewritten_again() -> None:
    assert migrated(source(NEW)) == NEW


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("documents.review-days = 3\n", "review.max-age-days = 3\n"),
        ("documents = { packets = 'a/{slug}.md' }\n", "documents = { paths.prd = 'a/{slug}.md' }\n"),
        ("[specs]\nreview-days = 3", "[specs]\n\n[review]\nspec-max-age-days = 3\n"),
        ("[specs]\nreview-days = 3\n[review]\n# r\n", "[specs]\n[review]\nspec-max-age-days = 3\n# r\n"),
        ("[performance]\ninconclusive = 'warn'\nexact = true\n", "[performance]\nexact = true\n"),
        (
            "[performance]\ninconclusive = 'block'\n[severity]\nPRF004 = 'note'\n",
            "[performance]\n[severity]\nPRF004 = 'note'\n",
        ),
        ("[performance.metrics.cpu-seconds]\nblock = 1\n", "[performance.metrics.cpu-seconds]\nfail-above = 1\n"),
        (
            "per-file-ignores.z = { rules = ['EVD001'], reason = 'z' } # zz\n[severity]\nDOC = 'note'",
            "[severity]\nDOC = 'note'\n\n[[ignore]]\npaths = [\"z\"]\nrules = ['EVD001']\nreason = 'z' # zz\n",
        ),
        (
            "[[pipelines.p.stages]]\nid = 'a'\nshell = 'a'\njunit = 'r.xml' # r\n",
            "[[pipelines.p.stages]]\nid = 'a'\nshell = 'a'\nresults = 'r.xml' # r\n",
        ),
        (
            "pipelines.p.stages = [{ id = 'a', shell = 'a', junit = 'r.xml' }]\n",
            "pipelines.p.stages = [{ id = 'a', shell = 'a', results = 'r.xml' }]\n",
        ),
        ("[documents]\r\nreview-days = 3\r\n", "[documents]\r\n\r\n[review]\r\nmax-age-days = 3\r\n"),
    ],
)
def test_a_name_is_replaced_wherever_it_stands(old: str, new: str) -> None:
    assert migrated(source(old)) == new


def test_a_table_of_pyproject_is_rewritten_and_nothing_beside_it() -> None:
    old = "[tool.other]\nreview-days = 1\n[tool.orchgate.documents]\nreview-days = 3\npackets = 'x/{slug}.md'\n"

    assert migrated(source(old, "tool", "orchgate")) == (
        "[tool.other]\nreview-days = 1\n[tool.orchgate.documents]\npaths.prd = 'x/{slug}.md'\n\n"
        "[tool.orchgate.review]\nmax-age-days = 3\n"
    )


@pytest.mark.parametrize(
    "text",
    [
        "specs = { review-days = 3 }\n",
        "[documents]\npackets = 'a/{slug}.md'\n[documents.paths]\nchecklist = 'b/{task}.md'\n",
        "per-file-ignores = { z.rules = ['EVD001'], z.reason = 'z' }\n",
    ],
)
def test_what_cannot_be_renamed_in_place_is_left_to_a_person(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        migrated(source(text))

    assert caught.value.hint in ("rename it by hand", "rename the keys by hand")


def test_every_name_of_the_first_version_is_still_read() -> None:
    olds = {".".join(map(str, old)) for old in renames(declared())}

    assert olds == {
        *(f"documents.{kind}" for kind in ("packets", "tech-spec", "action-plan", "checklist", "mini-spec")),
        *(
            f"documents.{name}"
            for name in ("finished-statuses", "inactive-statuses", "archived-markers", "review-days")
        ),
        *(f"performance.{name}" for name in ("budget-seconds", "relevant", "prepare", "task", "baseline-days")),
        "performance.inconclusive",
        *("diff-budget.ignore", "version-bump.allow-trailer", "manifests.stale-minutes"),
        *("specs.code", "specs.exempt", "specs.review-days", "per-file-ignores"),
    }


def test_an_old_name_beside_the_new_one_is_an_error() -> None:
    with pytest.raises(
        ConfigError, match=r"^orchgate\.toml:2:1: specs\.code: is the old name of specs\.paths, which is"
    ):
        build(source("[specs]\ncode = ['a']\npaths = ['b']\n"))


# What a change is told


def found(*args: str) -> list[tuple[str, str, str]]:
    shown = (one for one in checked(*args)["diagnostics"] if one["rule"].startswith("CFG"))
    return [(one["rule"], one["severity"], f"{one['path']}:{one['line']}:{one['column']}") for one in shown]


@pytest.mark.slow
def test_an_old_name_counts_and_is_a_warning_with_its_place(repo: Repo) -> None:
    repo.commit(files={"orchgate.toml": "# ours\n[diff-budget]\n  ignore = ['a']\nmax-files = 3\n"})
    repo.stage("a", "x\n")

    report = checked("--staged")

    (told,) = report["diagnostics"]
    assert (told["rule"], told["line"], told["column"]) == ("CFG003", 3, 3)
    assert told["message"] == "diff-budget.ignore is called diff-budget.exclude now"
    assert report["verdict"] == "warn"


@pytest.mark.slow
def test_renaming_loosens_nothing(repo: Repo) -> None:
    repo.commit(files={"orchgate.toml": OLD})
    repo.write("orchgate.toml", OLD)

    assert repo.orchgate("config", "migrate").code == 0

    repo.stage("orchgate.toml", (repo.root / "orchgate.toml").read_text())
    assert (repo.root / "orchgate.toml").read_text() == NEW
    assert found("--staged") == []


@pytest.mark.slow
def test_renaming_and_raising_at_once_is_loosening(repo: Repo) -> None:
    repo.commit(files={"orchgate.toml": OLD})
    repo.stage("orchgate.toml", NEW.replace("spec-max-age-days = 5", "spec-max-age-days = 50"))

    assert found("--staged") == [("CFG001", "warning", "orchgate.toml:42:21")]


@pytest.mark.slow
@pytest.mark.parametrize(
    "toml",
    [
        "default-branch = 'mian'\n",
        "[evidence]\nrequired-runs = ['nope:after']\n[[pipelines.p.stages]]\nid = 'a'\nrun = ['x']\n",
        "[[pipelines.p.stages]]\nid = 'a'\nrun = ['x']\ncwd = 'sub'\n",
    ],
)
def test_what_is_named_and_not_there_is_a_warning(repo: Repo, toml: str) -> None:
    repo.commit(files={"orchgate.toml": ""})
    repo.stage("orchgate.toml", toml)

    assert "CFG004" in {rule for rule, *_ in found("--staged")}


# A rule, a family, a check


@pytest.mark.slow
@pytest.mark.parametrize("name", ["EVD001", "evd001", "EVD", "evd", "evidence"])
def test_a_rule_a_family_or_a_check_is_off(repo: Repo, name: str) -> None:
    repo.commit(files={"orchgate.toml": f"[severity]\n{name} = 'off'\n"})
    repo.stage("n.md", "# N\n\n[gone](gone.md)\n")

    assert checked("--staged")["verdict"] == "pass"


@pytest.mark.slow
def test_the_rule_itself_says_more_than_its_family(repo: Repo) -> None:
    repo.commit(files={"orchgate.toml": "[severity]\nEVD = 'off'\nEVD001 = 'warning'\n"})
    repo.stage("n.md", "# N\n\n[gone](gone.md)\n")

    assert checked("--staged")["verdict"] == "warn"


@pytest.mark.slow
def test_what_the_branch_allows_stays_a_note_whatever_is_configured(repo: Repo) -> None:
    allowed = "[version-bump]\nallow-branches = ['*']\n[severity]\nVER001 = 'error'\n"
    repo.commit(files={"orchgate.toml": allowed, "package.json": '{"version": "1"}\n'})
    repo.stage("package.json", '{"version": "2"}\n')

    assert [one["severity"] for one in checked("--staged")["diagnostics"]] == ["note"]


# Which version reads it


@pytest.mark.slow
@pytest.mark.parametrize(
    ("wanted", "code"), [(">=0.0.1", 0), ("<99, !=0.0.1", 0), (">=99", 2), ("==0.0.1", 2), ("", 0)]
)
def test_another_version_does_not_read_what_it_may_not_know(repo: Repo, wanted: str, code: int) -> None:
    repo.stage("orchgate.toml", f"required-version = '{wanted}'\n" + ("new-key = 1\n" if code else ""))

    told = repo.orchgate("check", "--staged")

    assert (told.code, "new-key" in told.out) == (code, False)


# The command


@pytest.mark.slow
def test_migrate_says_what_it_would_do(repo: Repo) -> None:
    repo.write("orchgate.toml", "[specs]\ncode = ['a']\n")

    dry, checking = repo.orchgate("config", "migrate", "--dry-run"), repo.orchgate("config", "migrate", "--check")

    assert (dry.code, checking.code) == (0, 1)
    assert "orchgate.toml:2:1: specs.code -> specs.paths\n" in dry.out
    assert "+paths = ['a']\n" in dry.out
    assert (repo.root / "orchgate.toml").read_text() == "[specs]\ncode = ['a']\n"


@pytest.mark.slow
def test_migrate_has_nothing_to_do_where_all_names_are_new(repo: Repo) -> None:
    repo.write("orchgate.toml", "[specs]\npaths = ['a']\n")

    told = repo.orchgate("config", "migrate", "--check")

    assert (told.code, told.out) == (0, "orchgate.toml: nothing to rename\n")


@pytest.mark.slow
def test_show_is_json_for_programs_with_what_the_work_tree_says(repo: Repo) -> None:
    repo.commit(files={"orchgate.toml": "[diff-budget]\nmax-files = 3\n"})
    repo.write("orchgate.toml", "[diff-budget]\nmax-files = 4\n")

    told = json.loads(repo.orchgate("config", "show", "--output-format", "json").out)

    key = "diff-budget.max-files"
    assert told["judging"][key] == {"value": 3, "origin": "orchgate.toml"}
    assert told["work_tree"][key]["value"] == 4
    schema = closed("config-values")
    jsonschema.Draft202012Validator(schema).validate(told)


@pytest.mark.slow
def test_show_says_beside_a_value_what_the_work_tree_says(repo: Repo) -> None:
    repo.commit(files={"orchgate.toml": "[diff-budget]\nmax-files = 3\n"})
    repo.write("orchgate.toml", "[diff-budget]\nmax-files = 4\n")

    assert "diff-budget.max-files = 3  # orchgate.toml; in the work tree 4\n" in repo.orchgate("config", "show").out


@pytest.mark.slow
def test_keys_lists_those_of_one_table(repo: Repo) -> None:
    told = repo.orchgate("config", "keys", "review").out

    assert told.splitlines()[0] == "review.max-age-days = 90  # days after which a document's last review is overdue"
    assert repo.orchgate("config", "keys", "reviw").code == 2


# Which file


REFUSES = "[diff-budget]\nmax-files = 0\n"


@pytest.mark.slow
def test_a_named_file_inside_of_the_repository_is_that_of_the_base(repo: Repo) -> None:
    repo.commit(files={"ci/gate.toml": REFUSES, "orchgate.toml": ""})
    repo.stage("ci/gate.toml", "")
    repo.stage("a", "x\n")

    told = repo.orchgate("check", "--staged", "--config", "ci/gate.toml")

    assert (told.code, "CFG001" in told.out, "DIF001" in told.out) == (1, True, True)


@pytest.mark.slow
def test_a_named_file_outside_of_the_repository_judges_as_it_is(repo: Repo, tmp_path: Path) -> None:
    (tmp_path / "gate.toml").write_text(REFUSES)
    repo.stage("a", "x\n")

    told = repo.orchgate("check", "--staged", "--config", str(tmp_path / "gate.toml"))

    assert (told.code, "DIF001" in told.out) == (1, True)


@pytest.mark.slow
def test_a_named_file_that_is_not_there_is_an_error(repo: Repo) -> None:
    repo.stage("a", "x\n")

    assert repo.orchgate("check", "--staged", "--config", "no.toml").code == 2


@pytest.mark.slow
@pytest.mark.parametrize(("toml", "code"), [(REFUSES, 0), ("max = [", 2)])
def test_exit_zero_is_about_refusals_only(repo: Repo, toml: str, code: int) -> None:
    repo.stage("orchgate.toml", toml)

    assert repo.orchgate("check", "--staged", "--exit-zero").code == code


@pytest.mark.slow
@pytest.mark.parametrize(
    ("toml", "said"),
    [("max = [", "cannot be read: orchgate.toml: not valid TOML"), (REFUSES, "differs"), ("# other words\n", "")],
)
def test_what_a_person_edited_and_the_gate_does_not_read_is_said(repo: Repo, toml: str, said: str) -> None:
    repo.commit(files={"orchgate.toml": ""})
    repo.write("orchgate.toml", toml)

    told = repo.orchgate("check", "--staged").out

    assert (said in told, "orchgate.toml" in told) == (True, bool(said)), told
