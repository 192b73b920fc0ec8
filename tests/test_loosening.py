"""A change cannot loosen the gate that judges it: which edits loosen, whose limits count, what it says."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Any

import pytest

from orchgate.checks.diff_budget import Budget
from orchgate.cli import main
from orchgate.config.judging import in_force
from orchgate.config.keys import Looser, Role, every, name_of
from orchgate.config.load import build, declared
from orchgate.config.loosening import Loosening, loosened
from orchgate.config.source import Source
from orchgate.gate import suppressions
from tests.support import checked

if TYPE_CHECKING:
    from orchgate.config.settings import Config
    from tests.repo import Repo


def config(toml: str) -> Config:
    return build(Source("orchgate.toml", tomllib.loads(toml)))


def found(base: str, proposed: str) -> list[Loosening]:
    return list(loosened(config(base), config(proposed), suppressions.every_rule()))


def told(base: str, proposed: str) -> list[str]:
    return [f"{one.key} {one.what}" for one in found(base, proposed)]


SIGNED = "[signatures]\nroles = {{ ci = {}, people = ['*@example.org'] }}\nrequired = {}\n"


def signed(required: str, ci: str = "['ci@*.example.org']") -> str:
    return SIGNED.format(ci, required)


IGNORE_A = "[[ignore]]\npaths = ['a.md']\nreason = 'r'\n"
LOOSER = [
    ("", "[diff-budget]\nmax-lines = 900", "diff-budget.max-lines is looser: raised from 800 to 900"),
    ("[diff-budget]\nmax-files = 5", "", "diff-budget.max-files is looser: raised from 5 to 25"),
    ("", "[performance]\nmax-seconds = 5", "performance.max-seconds is looser: lowered from 30.0 to 5.0"),
    (
        "[diff-budget]\nexclude = ['a']",
        "[diff-budget]\nexclude = ['b', 'a']",
        'diff-budget.exclude is looser: adds "b"',
    ),
    (
        "",
        "[documents]\nrequired = ['prd', 'tech-spec', 'action-plan']",
        'documents.required is looser: drops "checklist"',
    ),
    ("[specs]\npaths = ['a', 'b']", "[specs]\npaths = ['c', 'b']", 'specs.paths is looser: drops "a"'),
    (
        "[documents]\nrequired-sections.prd = ['A', 'B']",
        "[documents]\nrequired-sections.prd = ['B', 'C']",
        'documents.required-sections.prd is looser: drops "A"',
    ),
    (
        "",
        "[documents]\npaths.prd = 'x/{slug}.md'",
        'documents.paths.prd may be looser: changed from "docs/PRD-{slug}.md" to "x/{slug}.md"',
    ),
    (
        "",
        "[diff-budget.areas.docs]\npaths = ['docs/**']",
        "diff-budget.areas may be looser: changed from {} to { docs = ",
    ),
    (
        "[diff-budget.areas.docs]\npaths = ['docs/**']\nmax-lines = 5",
        "[diff-budget.areas.docs]\npaths = ['docs/**']",
        "diff-budget.areas may be looser: changed from { docs = ",
    ),
    (
        "[performance.metrics]\ncpu-seconds = { fail-above = 0.1 }",
        "[performance.metrics]\ncpu-seconds = { fail-above = 0.2 }",
        "performance.metrics may be looser: changed from { cpu-seconds = { fail-above = 0.1 } } to { cpu-seconds = ",
    ),
    (
        "[performance.metrics]\nsuccess-rate = { min = 0.9 }",
        "[performance.metrics]\nsuccess-rate = { min = 0.8 }",
        "performance.metrics may be looser: ",
    ),
    (
        "[performance.benchmarks]\nfile = 'b.json'\nformat = 'go'",
        "[performance.benchmarks]\nfile = 'c.json'\nformat = 'go'",
        'performance.benchmarks.file may be looser: changed from "b.json" to "c.json"',
    ),
    (
        "",
        "[performance]\nsetup = ['true']",
        'performance.setup may be looser: changed from nothing to "true"',
    ),
    ("[specs]\npaths = ['a', 'b']", "[specs]\npaths = ['a', '!a/x', 'b']", 'specs.paths is looser: adds "!a/x"'),
    (
        "[diff-budget]\nexclude = ['a', '!a/x']",
        "[diff-budget]\nexclude = ['a']",
        'diff-budget.exclude is looser: drops "!a/x"',
    ),
    (
        "[diff-budget]\nexclude = ['a', '!a/x']",
        "[diff-budget]\nexclude = ['b', 'a']",
        'diff-budget.exclude is looser: adds "b", drops "!a/x"',
    ),
    (
        "[diff-budget]\nexclude = ['a', '!a/x']",
        "[diff-budget]\nexclude = ['!a/x', 'a']",
        'diff-budget.exclude may be looser: reorders "!a/x", "a"',
    ),
    ("[[pipelines.p.stages]]\nid = 'a'\nrun = ['a']", "", "pipelines.p is looser: removed"),
    (
        "[[pipelines.p.stages]]\nid = 'a'\nrun = ['a']",
        "[[pipelines.p.stages]]\nid = 'a'\nrun = ['true']\nallow-failure = true",
        "pipelines.p may be looser: changes run, allow-failure of stage 'a'",
    ),
    (
        "[[pipelines.p.stages]]\nid = 'a'\nrun = ['a']",
        "[[pipelines.p.stages]]\nid = 'b'\nrun = ['a']",
        "pipelines.p may be looser: drops stage 'a'; adds stage 'b'",
    ),
    (
        "[pipelines.p]\nstages = [{ id = 'a', run = ['a'] }]",
        "[pipelines.p]\nstages = [{ id = 'a', run = ['a'] }]\nenv = { FAST = '1' }",
        "pipelines.p may be looser: changed",
    ),
    (
        "[diff-budget]\nmax-files = 5",
        "[diff-budget]\nmax-files = 5\n[[pipelines.implementation-gate.stages]]\nid = 'a'\nrun = ['true']",
        "pipelines.implementation-gate may be looser: replaces what the name stood for",
    ),
    ("", "[severity]\nEVD001 = 'warning'", "severity.EVD001 is looser: lowered from error to warning"),
    (
        "[severity]\nEVD001 = 'note'",
        "[severity]\nEVD001 = 'off'",
        "severity.EVD001 is looser: lowered from note to off",
    ),
    ("", "[severity]\nSUP002 = 'note'", "severity.SUP002 is looser: lowered from warning to note"),
    ("[severity]\nDOC007 = 'error'", "", "severity.DOC007 is looser: lowered from error to "),
    (
        "",
        f"{IGNORE_A}rules = ['EVD001', 'evd002']",
        "ignore[0] is looser: adds EVD001, EVD002 for a.md",
    ),
    (
        f"{IGNORE_A}rules = ['EVD001']",
        "[per-file-ignores]\n'a.md' = { rules = ['EVD001', 'EVD002'], reason = 'r' }",
        "ignore[0] is looser: adds EVD002 for a.md",
    ),
    (
        f"{IGNORE_A}rules = ['EVD001']",
        f"{IGNORE_A}rules = ['evd']",
        "ignore[0] is looser: adds EVD for a.md",
    ),
    (
        f"{IGNORE_A}rules = ['EVD']",
        "[[ignore]]\nreason = 'r'\npaths = ['b.md', 'a.md']\nrules = ['EVD']",
        "ignore[0] is looser: adds EVD for b.md",
    ),
    (
        "[[ignore]]\nreason = 'r'\npaths = ['a/**', '!a/b']\nrules = ['EVD']",
        "[[ignore]]\nreason = 'r'\npaths = ['a/**']\nrules = ['EVD']",
        "ignore[0] is looser: adds EVD for a/**",
    ),
    ("", "[severity]\nsup = 'note'", "severity.SUP is looser: lowered from error to note (SUP001, SUP002)"),
    ("", "[severity]\nspecs = 'off'", "severity.specs is looser: lowered from error to off"),
    ("[severity]\nEVD = 'off'\nEVD001 = 'error'", "[severity]\nEVD = 'off'", "severity.EVD is looser: lowered"),
    ("", "exclude = ['a']", 'exclude is looser: adds "a"'),
    (
        "[performance]\ninconclusive = 'block'",
        "[performance]\ninconclusive = 'warn'",
        "severity.PRF004 is looser: lowered from error to",
    ),
    (signed("['build:ci']"), "", 'signatures.required is looser: drops "build:ci"'),
    (signed("['*:ci']"), signed("['build:ci']"), 'signatures.required is looser: drops "*:ci"'),
    (signed("['*:ci']"), signed("['*:people']"), 'signatures.required is looser: drops "*:ci"'),
    (
        signed("['*:ci']"),
        signed("['*:ci']", "['ci@*.example.org', 'bob@example.org']"),
        'signatures.roles.ci is looser: adds "bob@example.org"',
    ),
    (signed("['*:ci']"), signed("['*:ci']", "['ci@*']"), 'signatures.roles.ci is looser: adds "ci@*"'),
    (signed("['*:ci']", "['ci@?']"), signed("['*:ci']", "['ci@*']"), 'signatures.roles.ci is looser: adds "ci@*"'),
    ("[documents]\nreview-days = 5", "[review]\nmax-age-days = 6", "review.max-age-days is looser: raised from 5 to 6"),
]


def test_a_first_configuration_with_a_pipeline_loosens_nothing() -> None:
    stages = "[[pipelines.{}.stages]]\nid = 'a'\nrun = ['true']\n"
    proposed = stages.format("tests") + stages.format("implementation-gate") + "[performance]\npipeline = 'tests'\n"

    assert told("", proposed) == []


@pytest.mark.parametrize(("base", "proposed", "text"), LOOSER, ids=[text.split(":")[0] for *_, text in LOOSER])
def test_a_looser_key_says_how(base: str, proposed: str, text: str) -> None:
    (line,) = told(base, proposed)

    assert line.startswith(text)


TIGHTER = [
    ("", ""),
    ("", "[diff-budget]\nmax-lines = 700"),
    ("", "[performance]\nmax-seconds = 60"),
    ("[diff-budget]\nexclude = ['a', 'b']", "[diff-budget]\nexclude = ['b']"),
    ("[diff-budget]\nexclude = ['a', 'b']", "[diff-budget]\nexclude = ['b', 'a']"),
    ("[specs]\npaths = ['a']", "[specs]\npaths = ['a', 'b']"),
    ("[documents]\nrequired-sections.prd = ['A']", "[documents]\nrequired-sections.prd = ['B', 'A']"),
    ("[diff-budget.areas.d]\npaths = ['a']\nmax-lines = 5", "[diff-budget.areas.d]\npaths = ['a']\nmax-lines = 4"),
    ("[diff-budget.areas.d]\npaths = ['a']", "[diff-budget.areas.d]\npaths = ['a']\nmax-lines = 4"),
    ("[performance.metrics]\ncpu-seconds = { block = 0.2 }", "[performance.metrics]\ncpu-seconds = { block = 0.1 }"),
    ("[severity]\nEVD001 = 'warning'", "[severity]\nEVD001 = 'error'"),
    ("[severity]\nEVD001 = 'warning'", ""),
    ("", "[severity]\nEVD001 = 'error'"),
    ("", "[severity]\nDOC007 = 'error'"),
    ("[severity]\nSUP002 = 'warning'", ""),
    ("[per-file-ignores]\n'a' = { rules = ['EVD001'], reason = 'r' }", ""),
    (f"{IGNORE_A}rules = ['EVD001']", "[per-file-ignores]\n'a.md' = { rules = ['EVD001'], reason = 'because' }"),
    (f"{IGNORE_A}rules = ['EVD']", f"{IGNORE_A}rules = ['EVD001']"),
    ("[severity]\nEVD = 'warning'", "[severity]\nEVD = 'warning'\nEVD001 = 'error'"),
    ("[performance]\ninconclusive = 'block'", "[severity]\nPRF004 = 'error'"),
    ("[performance]\ninconclusive = 'warn'", ""),
    ("", "required-version = '>=0.0.1'"),
    ("", "[[pipelines.p.stages]]\nid = 'a'\nrun = ['true']"),
    ("", "[[pipelines.diagnostics.stages]]\nid = 'a'\nrun = ['true']"),
    (
        "[[pipelines.p.stages]]\nid = 'a'\nrun = ['true']",
        "[pipelines.p]\ntitle = 'P'\nstages = [{ id = 'a', run = ['true'], title = 'A', summary-hint = 'look' }]",
    ),
    ("[performance.metrics]\nsuccess-rate = { min = 0.8 }", "[performance.metrics]\nsuccess-rate = { min = 0.9 }"),
    ("[specs]\npaths = ['a', '!a/x']", "[specs]\npaths = ['a']"),
    ("[specs]\npaths = ['a', '!a/x']", "[specs]\npaths = ['b', 'a', '!a/x']"),
    ("[diff-budget]\nexclude = ['a']", "[diff-budget]\nexclude = ['a', '!a/x']"),
    ("[diff-budget]\nexclude = ['a', '!a/x', 'b']", "[diff-budget]\nexclude = ['a', '!a/x']"),
    ("[documents]\nplaceholders = ['!', 'a']", "[documents]\nplaceholders = ['a', '!']"),
    ("", "[performance.benchmarks]\nfile = 'b.json'\nformat = 'go'"),
    ("", signed("['build:ci']")),
    (signed("['build:ci']"), signed("['*:ci']")),
    (signed("['build:ci']"), signed("['test:people', 'build:ci']")),
    (signed("['build:ci']"), signed("['build:ci']", "['ci@a.example.org']")),
    (signed("['build:people']"), signed("['build:people']", "['*']")),
    (signed("['build:ci']", "['ci@*']"), signed("['build:ci']", "['ci@?', 'ci@*.org']")),
]


@pytest.mark.parametrize(("base", "proposed"), TIGHTER)
def test_tightening_is_silent(base: str, proposed: str) -> None:
    assert told(base, proposed) == []


ENTRIES = ("pipelines", "severity", "ignore", "signatures", "extends", "may-loosen")  # compared entry by entry
KEYS = {((name, *path) if name else path): one for name, table in declared().items() for path, one in every(table)}


@pytest.mark.parametrize("path", KEYS, ids=".".join)
def test_every_key_but_taste_can_loosen(path: tuple[str, ...]) -> None:
    assert (KEYS[path].role is Role.TASTE) == (KEYS[path].looser is Looser.NO)


LISTED = [path for path, one in KEYS.items() if one.looser is not Looser.NO and path[0] not in ENTRIES]


@pytest.mark.parametrize("path", LISTED, ids=".".join)
def test_every_key_that_can_loosen_does_so_in_one_direction_or_any(path: tuple[str, ...]) -> None:
    base = config("")
    value = _value(base, path)
    more, fewer = _more(value), _fewer(value)
    reported = {
        direction: bool(loosened(base, _with(base, path, other), {}))
        for direction, other in (("more", more), ("fewer", fewer))
        if other != value and path[:2] not in (("performance", "benchmarks"), ("evidence", "replay"))
    }
    expected = KEYS[path].looser.value

    assert all(seen == (expected in ("change", direction)) for direction, seen in reported.items())


def _value(base: Config, path: tuple[str, ...]) -> Any:
    table = declared().get(path[0])
    if table is None:
        return getattr(base.top, path[0].replace("-", "_"))
    values: Any = base.of(table) if name_of(table) == path[0] else getattr(base, path[0])
    for name in path[1:]:
        values = getattr(values, name.replace("-", "_"))
    return values


def _with(base: Config, path: tuple[str, ...], value: object) -> Config:
    """The configuration with another value of one key."""
    *outer, last = (name.replace("-", "_") for name in path)
    table = declared().get(path[0])
    if table is not None and name_of(table) == path[0]:
        changed = base.of(table)._replace(**{last: value})
        return base._replace(tables=base.tables._replace(values={path[0]: changed}))
    values: list[Any] = [base]
    for name in outer or ("top",):
        values.append(getattr(values[-1], name))
    changed = values.pop()._replace(**{last: value})
    for name in reversed(outer or ["top"]):
        changed = values.pop()._replace(**{name: changed})
    found: Config = changed
    return found


def _more(value: Any) -> Any:
    if isinstance(value, dict):
        return {"new": ("x",)}
    return (*value, "new") if isinstance(value, tuple) else value + 1 if isinstance(value, int | float) else value + "x"


def _fewer(value: Any) -> Any:
    if isinstance(value, dict):
        return {kind: titles[1:] for kind, titles in value.items()}
    return value[1:] if isinstance(value, tuple) else value - 1 if isinstance(value, int | float) else value[1:]


def test_every_rule_that_a_key_governs_exists() -> None:
    governed = {rule for one in KEYS.values() for rule in one.governs}

    assert {one for one in governed if not any(rule.startswith(one) for rule in suppressions.every_rule())} == set()


def test_limits_come_from_the_base_and_places_from_both() -> None:
    base = config("[diff-budget]\nmax-files = 3\n[[pipelines.p.stages]]\nid = 'a'\nrun = ['a']")
    proposed = config("[diff-budget]\nmax-files = 9\n[evidence]\nroots = ['r', 'out']")

    force = in_force(proposed, base, ())

    assert (force.of(Budget).max_files, force.evidence.roots, set(force.pipelines)) == (
        3,
        ("r", "out", ".runs"),
        {"p"},
    )


@pytest.mark.parametrize(
    ("entries", "path"),
    [
        (("tasks/index.json",), "tasks/index.json"),
        (("tasks/index.json", "list.json"), "tasks/index.json"),
        (("list.json",), "list.json"),
        ((), "tasks/index.json"),
    ],
)
def test_a_task_list_is_followed_where_it_went(entries: tuple[str, ...], path: str) -> None:
    proposed = config("[documents]\ntask-index = 'list.json'")

    assert in_force(proposed, config(""), entries).documents.task_index == path


# With real git

LIMIT_5 = "[diff-budget]\nmax-lines = 5\n"
LIMIT_50 = "[diff-budget]\nmax-lines = 50\n"
TEN_LINES = "x\n" * 10


def judged(*args: str) -> tuple[str, list[tuple[str, str, str]]]:
    """The verdict and (rule, severity, place) of what counts."""
    report = checked("--staged", *args)
    shown = [d for d in report["diagnostics"] if d["suppressed"] is None]
    places = [":".join(str(part) for part in (d["path"], d["line"]) if part is not None) for d in shown]
    return report["verdict"], [(d["rule"], d["severity"], place) for d, place in zip(shown, places, strict=True)]


@pytest.mark.slow
def test_only_configuration_is_a_warning(repo: Repo) -> None:
    repo.commit(files={"orchgate.toml": LIMIT_5})
    repo.stage("orchgate.toml", LIMIT_50)

    assert judged() == ("warn", [("CFG001", "warning", "orchgate.toml:2")])


@pytest.mark.slow
def test_warning_ends_in_exit_code_0(repo: Repo) -> None:
    repo.commit(files={"orchgate.toml": LIMIT_5})
    repo.stage("orchgate.toml", LIMIT_50)

    assert main(["check", "--staged"]) == 0


@pytest.mark.slow
def test_what_the_old_limit_refuses_is_refused_and_the_loosening_is_an_error(repo: Repo) -> None:
    repo.commit(files={"orchgate.toml": LIMIT_5})
    repo.stage("orchgate.toml", LIMIT_50)
    repo.stage("code.py", TEN_LINES)

    assert judged() == ("fail", [("CFG001", "error", "orchgate.toml:2"), ("DIF001", "error", "")])


@pytest.mark.slow
def test_the_budget_that_judges_is_the_old_one(repo: Repo) -> None:
    repo.commit(files={"orchgate.toml": LIMIT_5})
    repo.stage("orchgate.toml", LIMIT_50)
    repo.stage("code.py", TEN_LINES)

    assert "12 lines (limit 5)" in repo.orchgate("check", "--staged", "diff-budget").out


@pytest.mark.slow
def test_the_error_names_the_rule_that_refuses(repo: Repo) -> None:
    repo.commit(files={"orchgate.toml": LIMIT_5})
    repo.stage("orchgate.toml", LIMIT_50)
    repo.stage("code.py", TEN_LINES)

    result = repo.orchgate("check", "--staged", "configuration")

    assert "this change also contains what the old value refuses (DIF001)" in result.out


@pytest.mark.slow
def test_the_configuration_check_alone_judges_what_it_needs(repo: Repo) -> None:
    repo.commit(files={"orchgate.toml": LIMIT_5})
    repo.stage("orchgate.toml", LIMIT_50)
    repo.stage("code.py", TEN_LINES)

    assert judged("configuration") == ("fail", [("CFG001", "error", "orchgate.toml:2")])


@pytest.mark.slow
def test_a_change_within_the_old_limit_may_raise_it(repo: Repo) -> None:
    repo.commit(files={"orchgate.toml": LIMIT_5})
    repo.stage("orchgate.toml", LIMIT_50)
    repo.stage("code.py", "x\n")

    assert judged() == ("warn", [("CFG001", "warning", "orchgate.toml:2")])


@pytest.mark.slow
def test_adoption_within_the_defaults_passes(repo: Repo) -> None:
    repo.commit(files={"README.md": "# r\n"})
    repo.stage("orchgate.toml", LIMIT_50)
    repo.stage("code.py", TEN_LINES)

    assert judged() == ("pass", [])


def test_adoption_is_judged_by_the_defaults_and_says_what_it_loosens(repo: Repo) -> None:
    repo.commit(files={"README.md": "# r\n"})
    repo.stage("orchgate.toml", "[diff-budget]\nmax-lines = 5000\n")

    assert judged() == ("warn", [("CFG001", "warning", "orchgate.toml:2")])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("orchgate.toml", "[diff-budget]\nmax-lines = 5000\n"),
        ("pyproject.toml", "[tool.orchgate.diff-budget]\nmax-lines = 5000\n"),
        ("orchgate.toml", "[severity]\nDIF001 = 'off'\n"),
        ("orchgate.toml", "[diff-budget]\nexclude = ['**']\n"),
        ("orchgate.toml", "[diff-budget]\noverride-variable = 'HOME'\n"),
    ],
)
def test_a_first_configuration_lifts_no_default_for_its_own_change(repo: Repo, path: str, text: str) -> None:
    repo.commit(files={"README.md": "# r\n"})
    repo.stage(path, text)
    repo.stage("code.py", "x\n" * 900)

    verdict, found = judged()

    assert (verdict, {(rule, weight) for rule, weight, _ in found if weight == "error"}) == (
        "fail",
        {("CFG001", "error"), ("DIF001", "error")},
    )


@pytest.mark.slow
def test_a_first_configuration_is_no_suspect(repo: Repo) -> None:
    repo.commit(files={"README.md": "# r\n"})
    areas = '[diff-budget.areas.docs]\npaths = ["docs/**"]\nmax-lines = 800\n'
    repo.stage(
        "orchgate.toml", f'{areas}[performance]\npipeline = "p"\n[[pipelines.p.stages]]\nid = "a"\nrun = ["a"]\n'
    )

    assert judged() == ("pass", [])


@pytest.mark.slow
def test_the_first_commit_takes_its_own_limits(repo: Repo) -> None:
    repo.stage("orchgate.toml", LIMIT_5)
    repo.stage("code.py", TEN_LINES)

    assert judged() == ("fail", [("DIF001", "error", "")])


@pytest.mark.slow
def test_an_empty_base_configuration_is_one(repo: Repo) -> None:
    repo.commit(files={"orchgate.toml": "# defaults are fine\n"})
    repo.stage("orchgate.toml", "[diff-budget]\nmax-lines = 5000\n")
    repo.stage("code.py", "x\n" * 900)

    assert judged()[0] == "fail"


@pytest.mark.slow
def test_a_pyproject_without_our_table_is_a_base_of_defaults(repo: Repo) -> None:
    repo.commit(files={"pyproject.toml": "[project]\nname = 'orchgate-user'\n"})
    repo.stage("pyproject.toml", "[project]\nname = 'orchgate-user'\n[tool.orchgate.diff-budget]\nmax-lines = 900\n")
    repo.stage("code.py", "x\n" * 890)

    assert judged() == ("fail", [("CFG001", "error", "pyproject.toml:4"), ("DIF001", "error", "")])


@pytest.mark.slow
def test_the_pyproject_table_is_judged_too(repo: Repo) -> None:
    repo.commit(files={"pyproject.toml": "[tool.black]\nline-length = 3\n[tool.orchgate.diff-budget]\nmax-lines = 5\n"})
    repo.stage("pyproject.toml", "[tool.black]\nline-length = 3\n[tool.orchgate.diff-budget]\nmax-lines = 50\n")

    assert judged() == ("warn", [("CFG001", "warning", "pyproject.toml:4")])


@pytest.mark.slow
def test_moving_the_configuration_loosens_nothing(repo: Repo) -> None:
    repo.commit(files={"orchgate.toml": LIMIT_5})
    repo.git("rm", "-q", "orchgate.toml")
    repo.stage("pyproject.toml", "[tool.orchgate.diff-budget]\nmax-lines = 5\n")

    assert judged() == ("pass", [])


@pytest.mark.slow
def test_deleting_the_configuration_loosens_what_it_tightened(repo: Repo) -> None:
    repo.commit(files={"orchgate.toml": LIMIT_5})
    repo.git("rm", "-q", "orchgate.toml")

    assert judged() == ("warn", [("CFG001", "warning", "orchgate.toml")])


@pytest.mark.slow
def test_a_file_beside_the_old_table_does_not_escape_it(repo: Repo) -> None:
    repo.commit(files={"pyproject.toml": "[tool.orchgate.diff-budget]\nmax-lines = 5\n"})
    repo.stage("orchgate.toml", LIMIT_50)
    repo.stage("code.py", TEN_LINES)

    assert ("DIF001", "error", "") in judged()[1]


BROKEN = {"toml": "max = [", "key": "[diff-budget]\nmax-fils = 3\n", "value": "[evidence]\nroots = ['../x']\n"}


@pytest.mark.slow
@pytest.mark.parametrize("base", BROKEN.values(), ids=BROKEN)
def test_a_repair_alone_is_judged_by_its_own_limits_and_that_is_said(repo: Repo, base: str) -> None:
    repo.commit(files={"orchgate.toml": base})
    repo.stage("orchgate.toml", LIMIT_50)

    assert judged() == ("warn", [("CFG001", "warning", "orchgate.toml")])


@pytest.mark.slow
@pytest.mark.parametrize("base", BROKEN.values(), ids=BROKEN)
def test_a_repair_among_other_things_is_judged_by_the_defaults(repo: Repo, base: str) -> None:
    repo.commit(files={"orchgate.toml": base})
    repo.stage("orchgate.toml", "[diff-budget]\nmax-lines = 5000\n")
    repo.stage("code.py", TEN_LINES)

    assert judged() == (
        "warn",
        [("CFG001", "warning", "orchgate.toml"), ("CFG001", "warning", "orchgate.toml:2")],
    )


@pytest.mark.slow
@pytest.mark.parametrize("base", BROKEN.values(), ids=BROKEN)
def test_a_repair_hides_nothing_that_the_defaults_refuse(repo: Repo, base: str) -> None:
    repo.commit(files={"orchgate.toml": base})
    repo.stage("orchgate.toml", "[diff-budget]\nmax-lines = 5000\n")
    repo.stage("code.py", "x\n" * 900)

    assert judged("configuration") == (
        "fail",
        [("CFG001", "error", "orchgate.toml"), ("CFG001", "error", "orchgate.toml:2")],
    )


@pytest.mark.slow
def test_a_repair_of_our_table_alone_keeps_the_exceptions_of_a_whole_tree(repo: Repo) -> None:
    rest = "[project]\nname = 'x'\nversion = '1'\n"
    ignored = "[[tool.orchgate.ignore]]\npaths = ['old.md']\nrules = ['EVD001']\nreason = 'old'\n"
    repo.commit(files={"old.md": BROKEN_LINK, "pyproject.toml": rest + "[tool.orchgate]\nroots = 3\n" + ignored})
    repo.git("switch", "-q", "-c", "topic")
    repo.stage("pyproject.toml", rest + ignored)

    assert checked("--all-files", "configuration", "evidence")["verdict"] == "warn"


@pytest.mark.slow
def test_a_repair_that_also_edits_the_rest_of_pyproject_is_no_repair_alone(repo: Repo) -> None:
    repo.commit(files={"pyproject.toml": "[project]\nversion = '1'\n[tool.orchgate]\nnope = 3\n"})
    repo.stage("pyproject.toml", "[project]\nversion = '2'\n[tool.orchgate.version-bump]\nfiles = []\n")

    assert ("VER001", "error", "pyproject.toml:2") in judged()[1]


def test_a_change_that_breaks_the_configuration_is_not_judged(repo: Repo) -> None:
    repo.commit(files={"orchgate.toml": LIMIT_5})
    repo.stage("orchgate.toml", "max = [")

    assert main(["check", "--staged"]) == 2


@pytest.mark.slow
def test_tightening_is_silent_with_git(repo: Repo) -> None:
    repo.commit(files={"orchgate.toml": LIMIT_50})
    repo.stage("orchgate.toml", LIMIT_5)

    assert judged() == ("pass", [])


@pytest.mark.slow
def test_an_untouched_configuration_costs_no_second_look(repo: Repo) -> None:
    repo.commit(files={"orchgate.toml": LIMIT_5})
    repo.stage("a.txt", "a\n")

    report = checked("--staged", "configuration")

    assert report["checks"][0]["examined"] == {"configuration changes": 0}


@pytest.mark.slow
def test_what_the_old_limit_could_not_judge_is_unknown(repo: Repo) -> None:
    repo.commit(files={"orchgate.toml": ""})
    repo.stage("orchgate.toml", "[evidence]\nexclude = ['x.md']\n")
    repo.stage("big.md", "x" * (9 * 1024 * 1024))

    assert judged("configuration")[0] == "broken"


BROKEN_LINK = "# Notes\n\n[gone](gone.md)\n"
IGNORED = "[[ignore]]\npaths = ['notes.md']\nrules = ['EVD001']\nreason = 'later'\n"


@pytest.mark.slow
def test_a_new_ignore_for_a_finding_of_the_same_change_is_an_error(repo: Repo) -> None:
    repo.commit(files={"orchgate.toml": "", "README.md": "# r\n"})
    repo.stage("orchgate.toml", IGNORED)
    repo.stage("notes.md", BROKEN_LINK)

    assert judged("configuration", "evidence") == (
        "fail",
        [("CFG001", "error", "orchgate.toml:1"), ("EVD001", "error", "notes.md:3")],
    )


@pytest.mark.slow
def test_an_ignore_that_landed_earlier_counts(repo: Repo) -> None:
    repo.commit(files={"orchgate.toml": IGNORED})
    repo.stage("notes.md", BROKEN_LINK)

    assert judged("configuration", "evidence") == ("pass", [])


@pytest.mark.slow
def test_a_lowered_severity_does_not_count_yet(repo: Repo) -> None:
    repo.commit(files={"orchgate.toml": ""})
    repo.stage("orchgate.toml", "[severity]\nEVD001 = 'off'\n")
    repo.stage("notes.md", BROKEN_LINK)

    assert judged("configuration", "evidence") == (
        "fail",
        [("CFG001", "error", "orchgate.toml:2"), ("EVD001", "error", "notes.md:3")],
    )


@pytest.mark.slow
@pytest.mark.parametrize("rule", ["CFG001", "DOC003", "DOC007", "PRF004"])
def test_a_rule_that_weighs_more_in_some_situations_cannot_be_lowered_in_silence(repo: Repo, rule: str) -> None:
    repo.commit(files={"orchgate.toml": ""})
    repo.stage("orchgate.toml", f"[severity]\n{rule} = 'warning'\n")

    assert judged() == ("warn", [("CFG001", "warning", "orchgate.toml:2")])


@pytest.mark.slow
def test_setting_a_warning_to_warning_loosens_nothing(repo: Repo) -> None:
    repo.commit(files={"orchgate.toml": ""})
    repo.stage("orchgate.toml", "[severity]\nDIF002 = 'warning'\n")

    assert judged() == ("pass", [])


@pytest.mark.slow
def test_another_place_is_a_warning_that_says_which_places_are_judged(repo: Repo) -> None:
    repo.commit(files={"orchgate.toml": ""})
    repo.stage("orchgate.toml", "[documents]\npaths.prd = 'plans/{slug}.md'\n")

    assert "this change is judged at both the old and the new paths" in repo.orchgate("check", "configuration").out


@pytest.mark.slow
def test_a_push_is_judged_by_the_limits_where_it_left_the_default_branch(repo: Repo) -> None:
    repo.commit(files={"orchgate.toml": LIMIT_5})
    repo.git("switch", "-q", "-c", "topic")
    repo.commit(files={"orchgate.toml": LIMIT_50})
    repo.commit(files={"code.py": TEN_LINES})

    report = checked("--base", "main", "--head", "topic")

    assert sorted(d["rule"] for d in report["diagnostics"] if d["severity"] == "error") == ["CFG001", "DIF001"]


TABLE_OF_PYPROJECT = "[tool.orchgate.review]\nmax-age-days = 30\n"
EMPTY_SECTION = "# PRD\n\n## Summary\n\nS.\n"


@pytest.mark.slow
def test_a_configuration_that_moves_between_its_files_is_nothing_but_configuration(repo: Repo) -> None:
    repo.commit(files={"pyproject.toml": TABLE_OF_PYPROJECT, "docs/PRD-x.md": EMPTY_SECTION})
    repo.git("checkout", "--quiet", "-b", "work")
    repo.commit(files={"pyproject.toml": "", "orchgate.toml": 'documents.required = ["prd"]\n'})

    severities = {one["severity"] for one in checked("--all-files", "configuration")["diagnostics"]}

    assert severities == {"warning"}


@pytest.mark.slow
def test_anything_beside_it_is_not(repo: Repo) -> None:
    repo.commit(files={"pyproject.toml": TABLE_OF_PYPROJECT})
    repo.git("checkout", "--quiet", "-b", "work")
    loosened = {"orchgate.toml": 'documents.required = ["prd"]\n', "pyproject.toml": ""}
    repo.commit(files={**loosened, "docs/PRD-x.md": EMPTY_SECTION})

    severities = {one["severity"] for one in checked("--all-files", "configuration")["diagnostics"]}

    assert "error" in severities


def test_a_link_beside_the_configuration_is_no_link_in_its_place(repo: Repo) -> None:
    repo.commit(files={"orchgate.toml": "", "a": "x\n"})
    (repo.root / "link").symlink_to("a")
    repo.git("add", "link")
    repo.stage("orchgate.toml", "[diff-budget]\nmax-files = 9\n")

    assert main(["check", "--staged", "configuration"]) == 0


def test_a_link_in_its_place_is_refused(repo: Repo, capsys: pytest.CaptureFixture[str]) -> None:
    repo.commit(files={"orchgate.toml": "", "profile = 'default'": "x\n"})
    (repo.root / "orchgate.toml").unlink()
    (repo.root / "orchgate.toml").symlink_to("profile = 'default'")  # the target's name would be valid TOML
    repo.git("add", "--all")

    assert main(["check", "--staged", "configuration"]) == 2
    assert "is a symbolic link" in capsys.readouterr().err


@pytest.mark.slow
def test_what_stood_there_before_does_not_make_a_change_of_the_configuration_alone_an_error(repo: Repo) -> None:
    repo.commit(files={"orchgate.toml": "", "docs/PRD-x.md": EMPTY_SECTION})
    repo.git("checkout", "--quiet", "-b", "work")
    repo.commit(files={"orchgate.toml": 'documents.required = ["prd"]\n'})

    severities = {one["severity"] for one in checked("--all-files", "configuration")["diagnostics"]}

    assert severities == {"warning"}
