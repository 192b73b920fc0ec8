"""No key of the configuration can be loosened by the change that its old value refuses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from orchgate import registry
from orchgate.config.keys import Looser, Role, every
from orchgate.config.load import declared
from tests.loosenings import CASES
from tests.support import checked

if TYPE_CHECKING:
    from tests.loosenings import Case, Files
    from tests.repo import Repo

KEYS = {
    ".".join((name, *path) if name else path): one for name, table in declared().items() for path, one in every(table)
}
# Keys of one kind, of which one is played.
ALIKE = tuple(f"documents.required-sections.{kind}" for kind in ("tech-spec", "action-plan", "checklist", "mini-spec"))
ALIKE += ("performance.benchmarks.format",)
PLAYED = [(f"{key}-{number}", key, case) for key, cases in CASES.items() for number, case in enumerate(cases, 1)]


def test_every_limit_has_a_case() -> None:
    assert {key for key, one in KEYS.items() if one.role is not Role.TASTE} == {*CASES, *ALIKE}


def test_a_key_that_any_change_loosens_has_a_case_for_both_directions() -> None:
    single = {key for key, one in KEYS.items() if one.looser is Looser.CHANGE and len(CASES.get(key, "ab")) < 2}

    # A branch has no direction.
    # The other direction of the last two is stricter.
    assert single == {
        "default-branch",
        "documents.until-finished",
        "version-bump.allow-releases",
    }


def start(repo: Repo, toml: str, case: Case) -> str:
    """The base of a case, with one configuration or the other."""
    return repo.commit(files={"orchgate.toml": toml, ".gitignore": "art/\nout/\n/.runs/0001-x/\n", **case.base})


def land(repo: Repo, case: Case, files: Files) -> None:
    for path, content in case.beside.items():
        repo.write(path, content)
    repo.commit(case.message, files)


def judged(base: str, case: Case) -> dict[str, Any]:
    owner = [check.id for check in registry.checks() if case.rule and any(r.id == case.rule for r in check.rules)]
    return checked("--base", base, "configuration", *(owner or ["evidence"]))


def errors(report: dict[str, Any]) -> set[str]:
    shown = (d for d in report["diagnostics"] if d["suppressed"] is None and d["severity"] == "error")
    return {d["rule"] for d in shown}


@pytest.mark.slow
@pytest.mark.parametrize(("key", "case"), [(key, case) for _, key, case in PLAYED], ids=[name for name, *_ in PLAYED])
def test_a_key_cannot_be_loosened_together_with_what_its_old_value_refuses(repo: Repo, key: str, case: Case) -> None:
    base = start(repo, case.old, case)
    land(repo, case, {"orchgate.toml": case.new, **case.change})

    report = judged(base, case)

    assert (report["verdict"], "CFG001" in errors(report)) == (case.verdict, not case.warns), report["diagnostics"]
    assert any(d["rule"] == "CFG001" and d["message"].startswith(key) for d in report["diagnostics"])


@pytest.mark.slow
@pytest.mark.parametrize(
    "case",
    [case for *_, case in PLAYED if case.rule and not case.elsewhere],
    ids=[name for name, _, case in PLAYED if case.rule and not case.elsewhere],
)
def test_a_case_is_about_its_key(repo: Repo, case: Case) -> None:
    base = start(repo, case.new, case)
    land(repo, case, case.change)

    assert case.rule not in errors(judged(base, case))
