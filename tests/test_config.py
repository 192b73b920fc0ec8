"""Configuration: where it is found, what it may say, and how it says that something is wrong."""

from __future__ import annotations

import copy
import json
import os
import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchgate.checks.diff_budget import Budget
from orchgate.checks.specs import Code
from orchgate.cli import main
from orchgate.commands.config.command import reference_page
from orchgate.config.faults import Reading, toml
from orchgate.config.keys import GLOBS, every
from orchgate.config.load import build, declared, load
from orchgate.config.loosening import table_of
from orchgate.config.settings import Config
from orchgate.config.source import Source, find, unread_edit
from orchgate.errors import ConfigError
from orchgate.git.snapshot import FolderSnapshot, WorkTree
from tests.reference_pages import config_schema
from tests.support import write_tree
from tests.work import no_hang

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from orchgate.config.keys import Key
    from tests.repo import Repo

TOP = Path(__file__).parent.parent
SCHEMA_FILE = TOP / "schemas" / "config.json"
PAGE = TOP / "docs" / "reference" / "configuration.md"
DECLARED = {((name, *path) if name else path): one for name, table in declared().items() for path, one in every(table)}
TABLES_OF_KEYS = {name: [path for path, _ in every(table)] for name, table in declared().items()}
EXAMPLE = """
profile = "default"

[documents]
paths.prd = "docs/PRD-{slug}.md"
paths.tech-spec = ["docs/TECH_SPEC-{slug}.md", "tasks/specs/{task}.md"]
required-sections.prd = ["Summary", "Goals", "Non-Goals"]

[evidence]
roots = [".runs", "out"]
required-runs = ["diagnostics:before", "diagnostics:after"]

[diff-budget]
max-files = 25
max-lines = 800
extend-exclude = ["vendor/**"]
[diff-budget.areas.docs]
paths = ["docs/**", "tasks/**", "*.md"]
max-lines = 1500

[[pipelines.diagnostics.stages]]
id = "build"
run = ["python", "-m", "build"]
[[pipelines.diagnostics.stages]]
id = "test"
run = ["pytest", "-q", "--junitxml=report.xml"]
needs = ["build"]
timeout-seconds = 600
retries = 1
inputs = ["orchgate/**", "tests/**"]
results = ["report.xml"]

[performance]
pipeline = "diagnostics"
max-seconds = 30
paths = ["orchgate/**", "pyproject.toml"]
[performance.metrics]
cpu-seconds = { fail-above = 0.05, tolerance = 0.01 }
manifest-writes = { fail-above = 0 }

[[ignore]]
paths = ["docs/legacy/**"]
rules = ["DOC002"]
reason = "before the templates"
"""


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., Config]:
    """Loads a tree of files; the text alone is orchgate.toml."""

    def read(toml: str | bytes | None = None, **files: str | bytes) -> Config:
        named: dict[str, str | bytes] = {name.replace("__", "."): content for name, content in files.items()}
        write_tree(tmp_path, named if toml is None else {**named, "orchgate.toml": toml})
        return load(FolderSnapshot(str(tmp_path)))

    return read


def said(read: Callable[..., Config], toml: str | bytes) -> str:
    """What is wrong first, without its place."""
    with pytest.raises(ConfigError) as caught:
        read(toml)
    return re.sub(r"^(orchgate\.toml):\d+:\d+: (?!not valid)", "", caught.value.message)


# Where it is found


def test_a_tree_without_configuration_gets_the_defaults(read: Callable[..., Config]) -> None:
    assert read().of(Budget).max_lines == 800


def test_an_empty_file_is_valid(read: Callable[..., Config]) -> None:
    assert read("") == read()._replace(source=read("").source)


def test_pyproject_table_counts(read: Callable[..., Config]) -> None:
    assert read(pyproject__toml="[tool.orchgate.diff-budget]\nmax-files = 7\n").of(Budget).max_files == 7


def test_pyproject_without_our_table_is_no_configuration(read: Callable[..., Config]) -> None:
    assert read(pyproject__toml="[project]\ndependencies = ['orchgate']\n").source.file == ""


def test_orchgate_toml_wins_over_pyproject(read: Callable[..., Config]) -> None:
    both = read("[diff-budget]\nmax-files = 3\n", pyproject__toml="[tool.orchgate.diff-budget]\nmax-files = 7\n")

    assert (both.of(Budget).max_files, both.shadowed) == (3, True)


def test_one_configuration_shadows_nothing(read: Callable[..., Config]) -> None:
    assert not read("", pyproject__toml="[tool.black]\n# orchgate\n").shadowed


def test_a_pyproject_that_does_not_count_may_be_broken(read: Callable[..., Config]) -> None:
    assert read("profile = 'default'\n", pyproject__toml="orchgate = [").top.profile == "default"


def test_a_broken_pyproject_that_mentions_us_is_an_error(read: Callable[..., Config]) -> None:
    with pytest.raises(ConfigError, match=r"^pyproject\.toml:1:15: not valid TOML"):
        read(pyproject__toml="[tool.orchgate\n")


def test_a_broken_pyproject_that_does_not_mention_us_is_nobodys_business(read: Callable[..., Config]) -> None:
    assert read(pyproject__toml="[tool.black\n").top.profile == "default"


@pytest.mark.parametrize("text", ["[tool]\norchgate = 3\n", "tool = 'orchgate'\n", "[[tool]]\norchgate = 1\n"])
def test_a_pyproject_of_odd_shape_is_an_error_or_none_of_ours(read: Callable[..., Config], text: str) -> None:
    try:
        assert read(pyproject__toml=text).top.profile == "default"
    except ConfigError as error:
        assert error.message == "pyproject.toml: tool.orchgate: expected a table, got 3"  # noqa: PT017 -- either way is right


# What makes a file unreadable


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"max = [", "orchgate.toml: not valid TOML: "),
        (b"profile = '\xff'\n", "orchgate.toml: not valid TOML: 'utf-8' codec"),
        ("profile = 'default'".encode("utf-16"), "orchgate.toml: not valid TOML: "),
        (b"a = " + b"[" * 100_000, "orchgate.toml: not valid TOML: maximum recursion depth"),
        (b"a = " + b"9" * 5000, "orchgate.toml: not valid TOML: Exceeds the limit"),
        (b"#" * (1024 * 1024 + 1), "orchgate.toml: is larger than 1048576 bytes"),
        (b"a." * 400_000 + b"a = 1", "orchgate.toml: a line has more than 1000 dots"),
        (b"a = 1\na = 2\n", "orchgate.toml: not valid TOML: "),
    ],
    ids=["syntax", "bytes", "utf-16", "nesting", "digits", "size", "dots", "duplicate"],
)
def test_unreadable_file_says_why(read: Callable[..., Config], content: bytes, message: str) -> None:
    assert re.sub(r"^(orchgate\.toml):\d+:\d+:", r"\1:", said(read, content)).startswith(message)


def test_no_content_keeps_us_busy(read: Callable[..., Config]) -> None:
    with no_hang():
        for content in ("a." * 400_000 + "a = 1", "a = " + "[" * 900_000, "[" * 900_000, "{" * 900_000):
            assert said(read, content)


def test_a_directory_in_place_of_the_file_is_no_configuration(tmp_path: Path) -> None:
    write_tree(tmp_path, {"orchgate.toml/readme": "x"})

    assert load(FolderSnapshot(str(tmp_path))).top.profile == "default"


def test_a_dangling_symlink_is_not_toml(tmp_path: Path) -> None:
    os.symlink("nowhere/else", tmp_path / "orchgate.toml")

    with pytest.raises(ConfigError, match=r"^orchgate\.toml:1:8: not valid TOML") as caught:
        load(FolderSnapshot(str(tmp_path)))

    assert caught.value.hint.startswith("it is a symbolic link")


def test_the_configuration_on_disk_is_read_without_a_look_at_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_tree(tmp_path, {"orchgate.toml": "[diff-budget]\nmax-files = 3\n"})
    monkeypatch.setattr(os, "walk", None)  # a work tree may hold a million files that nobody tracks

    judging = find(WorkTree(str(tmp_path)))

    assert (judging.table, unread_edit(judging, str(tmp_path))) == ({"diff-budget": {"max-files": 3}}, "")
    write_tree(tmp_path, {"orchgate.toml": "[diff-budget]\nmax-files = 4\n"})
    assert "differs from the one that judges" in unread_edit(judging, str(tmp_path))


def test_a_byte_order_mark_is_no_part_of_the_first_key(read: Callable[..., Config]) -> None:
    assert read(b"\xef\xbb\xbfdefault-branch = 'trunk'\n").top.default_branch == "trunk"


# What a wrong value says

PROFILES = '"default", "adr", "ai-dev-tasks", "codex-orchestrator", "openspec", "spec-kit"'
WRONG = [
    ("profile = 'codex'", f'profile: expected one of {PROFILES}, got "codex"'),
    ("profile = ['default']", f'profile: expected one of {PROFILES}, got ["default"]'),
    ("[diff-budget]\nmax-files = '25'", 'diff-budget.max-files: expected a whole number of 0 or more, got "25"'),
    ("[diff-budget]\nmax-files = -1", "diff-budget.max-files: expected a whole number of 0 or more, got -1"),
    ("[diff-budget]\nmax-files = true", "diff-budget.max-files: expected a whole number of 0 or more, got true"),
    ("[diff-budget]\nmax-files = 2.0", "diff-budget.max-files: expected a whole number of 0 or more, got 2.0"),
    (
        "[diff-budget]\nexclude = '*.lock'",
        'diff-budget.exclude: expected an array; write `exclude = ["*.lock"]`',
    ),
    ("[diff-budget]\nextend-exclude = 3", "diff-budget.extend-exclude: expected an array; write"),
    ("[diff-budget]\nexclude = ['a', 1]", "diff-budget.exclude[1]: expected a string, got 1"),
    ("[diff-budget]\nexclude = ['']", 'diff-budget.exclude[0]: expected a path or a glob, got ""'),
    ('exclude = ["a\\nb"]', "exclude[0]: expected a path or a glob, got"),
    ("diff-budget = 3", "diff-budget: expected a table, got 3"),
    ("[diff-budget.areas]\ndocs = 3", "diff-budget.areas.docs: expected a table, got 3"),
    ("[diff-budget.areas.docs]\nmax-lines = 3", "diff-budget.areas.docs.paths: required key is missing"),
    ("[diff-budget.areas.'my docs']\npaths = 3", 'diff-budget.areas."my docs".paths: expected an array; write'),
    ("[diff-budget]\noverride-trailer = 'Over ride'", "diff-budget.override-trailer: expected a trailer's name"),
    ("[diff-budget]\noverride-variable = 'A-B'", "diff-budget.override-variable: expected a variable's name"),
    ("default-branch = 'my branch'", 'default-branch: expected the name of a branch, got "my branch"'),
    ("required-version = 'new'", "required-version: expected bounds such as"),
    ("[documents]\nrequired = ['prd', 'plan']", "documents.required[1]: expected one of"),
    ("[documents]\nrequired-sections = []", "documents.required-sections: expected a table, got []"),
    (
        "[documents.required-sections]\nprd = 'Summary'",
        'documents.required-sections.prd: expected an array; write `prd = ["Summary"]`',
    ),
    (
        "[documents.paths]\nmini-spec = []\n[documents]\nrequired = ['mini-spec']",
        "documents.required[0]: expected a kind",
    ),
    ("[review]\nmax-age-days = 0", "review.max-age-days: expected a whole number from 1 to 36500, got 0"),
    (
        "[performance.metrics]\ncpu = { fail-above = 'x' }",
        'performance.metrics.cpu.fail-above: expected a fraction from 0 to 10, got "x"',
    ),
    ("[performance]\nmax-seconds = nan", "performance.max-seconds: expected seconds from 1 to 240, got nan"),
    ("[performance]\nmax-seconds = 241", "performance.max-seconds: expected seconds from 1 to 240, got 241"),
    ("[performance]\nsetup = 'make deps'", 'performance.setup: expected an array; write `setup = ["make", "deps"]`'),
    ("[severity]\nDOC001 = 'fatal'", 'severity.DOC001: expected one of "error", "warning", "note", "off", got "fatal"'),
    ("ignore = ['x']", 'ignore[0]: expected a table, got "x"'),
    ("[[ignore]]\npaths = ['a']\nrules = ['DOC001']", "ignore[0].reason: required key is missing"),
    ("[[ignore]]\npaths = ['a']\nreason = 'r'", "ignore[0].rules: required key is missing"),
    ("[[ignore]]\npaths = ['a']\nrules = ['DOC001']\nreason = ' '", "ignore[0].reason: expected a reason"),
    ("[[ignore]]\npaths = ['a']\nrules = []\nreason = 'r'", "ignore[0].rules: expected at least one rule"),
    ("[[ignore]]\npaths = []\nrules = ['DOC']\nreason = 'r'", "ignore[0].paths: expected at least one glob"),
    ("[[ignore]]\npaths = ['!a']\nrules = ['DOC']\nreason = 'r'", "ignore[0].paths: !a takes back from a list"),
    ("[evidence]\nroots = ['../out']", 'evidence.roots[0]: expected a folder inside the repository, got "../out"'),
    ("[evidence]\nroots = ['/out']", 'evidence.roots[0]: expected a folder inside the repository, got "/out"'),
    ("[evidence]\nroots = ['out', '.']", 'evidence.roots[1]: expected a folder inside the repository, got "."'),
    ("[evidence]\nrequired-runs = ['test:befor']", "evidence.required-runs[0]: expected a pipeline, or one with"),
    ("[signatures]\nrequired = ['ci']", "signatures.required[0]: expected a pipeline and a role, such as"),
    ("[signatures]\nrequired = [':ci']", "signatures.required[0]: expected a pipeline and a role, such as"),
    ("[signatures]\nrequired = ['build:']", "signatures.required[0]: expected a pipeline and a role, such as"),
    ("[signatures]\nrequired = [1]", "signatures.required[0]: expected a string, got 1"),
    ("[signatures]\nrequired = ['build:ci']", 'signatures.required[0]: there is no role "ci"'),
    ("[signatures]\nrole.ci = ['a']", "signatures.role: unknown key"),
    ("[signatures.roles]\n'c i' = ['a']", 'signatures.roles."c i": expected a role\'s name'),
    ("[signatures]\nroles.ci = 'ci@x'", 'signatures.roles.ci: expected an array; write `ci = ["ci@x"]`'),
    ("[signatures]\nroles.ci = []", "signatures.roles.ci: expected at least one signer"),
    ("[signatures]\nroles.ci = ['a', '']", "signatures.roles.ci[1]: expected a signer as .orchgate/allowed_signers"),
    ("[signatures]\nroles.ci = ['a,b']", "signatures.roles.ci[0]: expected a signer as .orchgate/allowed_signers"),
    ("[signatures]\nroles.ci = ['!a']", "signatures.roles.ci[0]: expected a signer as .orchgate/allowed_signers"),
    (
        "[evidence]\nmax-artifact-bytes = 1073741825",
        "evidence.max-artifact-bytes: expected a whole number from 1024 to 1073741824, got 1073741825",
    ),
    (
        "[manifests]\nmax-bytes = 268435457",
        "manifests.max-bytes: expected a whole number from 1024 to 268435456, got 268435457",
    ),
    ("[manifests]\nmax-depth = 501", "manifests.max-depth: expected a whole number from 8 to 500, got 501"),
    ("[evidence]\nroots = ['!out']", "evidence.roots[0]: a leading ! takes back from a list of globs"),
    ("[documents.paths]\nprd = '!docs/{slug}.md'", "documents.paths.prd[0]: a leading ! takes back"),
    (
        "[documents.paths]\nchecklist = ['a/{task}.md', '!b/{task}.md']",
        "documents.paths.checklist[1]: a leading ! takes back",
    ),
    ("[documents.paths]\nprd = 'docs/{slug}/'", "documents.paths.prd[0]: expected a path inside the repository"),
    ("[documents.paths]\nprd = 'docs//{slug}.md'", "documents.paths.prd[0]: expected a path inside the repository"),
    ("[documents.paths]\nprd = 'a/./{slug}.md'", "documents.paths.prd[0]: expected a path inside the repository"),
    ("[documents.paths]\nprd = 'docs/PRD.md'", "documents.paths.prd[0]: expected a path with {slug} or {task}"),
    ("[documents]\ntask-index = '../tasks.json'", "documents.task-index: expected a path inside the repository"),
    ("[documents]\ntask-index = '/tasks.json'", "documents.task-index: expected a path inside the repository"),
    ("[performance]\nwatch = ['!out']", "performance.watch[0]: a leading ! takes back"),
    ("[diff-budget.areas.'!docs']\npaths = ['docs/**']", 'diff-budget.areas."!docs": a leading ! takes'),
    ("[[pipelines.p.stages]]\nid = 'a'\nrun = ['a']\nresults = '!r.xml'", "pipelines.p.stages[0].results: a leading !"),
    (
        "[[pipelines.p.stages]]\nid = 'a'\nrun = ['a']\nresults = [5]",
        "pipelines.p.stages[0].results[0]: expected a path",
    ),
    (
        "[[pipelines.p.stages]]\nid = 'a'\nrun = ['a']\nresults = [{ path = 'r', format = 'junt' }]",
        'pipelines.p.stages[0].results[0].format: expected one of "junit", "ctrf", ',
    ),
    ("[diff-budget]\nexclude = ['!a']", "diff-budget.exclude: !a takes back from a list that names nothing"),
    ("[evidence]\ndocuments = ['!a', '!b']", "evidence.documents: !a, !b take back from a list that names nothing"),
    ("[performance]\npaths = ['src/**', '!']", 'performance.paths[1]: expected a glob after the !, got "!"'),
    ("[pipelines]\np = []", "pipelines.p: expected a table, got []"),
    ("[[pipelines.p.stages]]\nrun = ['a']", "pipelines.p.stages[0].id: required key is missing"),
    ("[[pipelines.p.stages]]\nid = ' '\nrun = ['a']", 'pipelines.p.stages[0].id: expected a name, got " "'),
    ("[[pipelines.p.stages]]\nid = 'a'", "pipelines.p.stages[0]: expected one of run (an array), shell (a line)"),
    ("[[pipelines.p.stages]]\nid = 'a'\nrun = ['a']\nshell = 'a'", "pipelines.p.stages[0]: has run and shell"),
    (
        "[[pipelines.p.stages]]\nid = 'a'\nrun = 'make all'",
        'pipelines.p.stages[0].run: expected an array; write `run = ["make", "all"]` or `shell = "make all"`',
    ),
    ("[[pipelines.p.stages]]\nid = 'a'\nshell = 'a'\nretries = 101", "pipelines.p.stages[0].retries: expected a whole"),
    ("[[pipelines.p.stages]]\nid = 'a'\nshell = 'a'\ncwd = '../b'", "pipelines.p.stages[0].cwd: expected a folder"),
    (
        "[[pipelines.p.stages]]\nid = 'a'\nshell = 'a'\nallow-failure = 1",
        "pipelines.p.stages[0].allow-failure: expected true",
    ),
    (
        "[[pipelines.p.stages]]\nid = 'a'\nshell = 'a'\nenv = { A = 1 }",
        "pipelines.p.stages[0].env.A: expected a string",
    ),
    (
        "[[pipelines.p.stages]]\nid = 'a'\nshell = 'a'\nenv = { 'A=B' = '1' }",
        'pipelines.p.stages[0].env."A=B": expected the name of a variable',
    ),
    ("[[pipelines.p.stages]]\nid = 'a'\nshell = 'a'\nneeds = ['b']", 'pipelines.p.stages[0].needs[0]: no stage "b"'),
    (
        "[[pipelines.p.stages]]\nid = 'a'\nshell = 'a'\nneeds = ['a']",
        "pipelines.p.stages[0].needs[0]: stage a needs itself",
    ),
    ("[[pipelines.p.stages]]\nid = 'a'\npipeline = 'p'", 'pipelines.p.stages[0].pipeline: pipeline "p" calls itself'),
    (
        "[[pipelines.p.stages]]\nid = 'a'\nshell = 'a'\n[[pipelines.p.stages]]\nid = 'a'\nshell = 'b'",
        'pipelines.p.stages[1].id: "a" is already a stage of this pipeline',
    ),
    (
        (
            "[[pipelines.p.stages]]\nid = 'a'\nshell = 'a'\nneeds = ['b']\n"
            "[[pipelines.p.stages]]\nid = 'b'\nshell = 'b'\nneeds = ['a']"
        ),
        "pipelines.p.stages[0].needs: stages need each other in a circle: a -> b -> a",
    ),
]


@pytest.mark.parametrize(("toml", "message"), WRONG, ids=[message.split(":")[0] for _, message in WRONG])
def test_wrong_value_is_named_by_its_dotted_path(read: Callable[..., Config], toml: str, message: str) -> None:
    assert said(read, toml).startswith(message)


def test_a_wrong_value_is_shown_on_sixty_characters(read: Callable[..., Config]) -> None:
    assert len(said(read, f"profile = '{'x' * 100_000}'")) < 180


def test_a_table_too_deep_to_show_is_still_a_wrong_value(read: Callable[..., Config]) -> None:
    deep: dict[str, object] = {}
    for _ in range(5000):
        deep = {"a": deep}

    with pytest.raises(ConfigError, match="default-branch: expected the name of a branch, got a table"):
        build(Source("orchgate.toml", {"default-branch": deep}))


def test_an_integer_too_long_to_show_is_still_a_wrong_value(read: Callable[..., Config]) -> None:
    assert (
        said(read, f"default-branch = 0x{'f' * 5000}")
        == "default-branch: expected the name of a branch, got a huge number"
    )


@pytest.mark.parametrize(
    ("toml", "message", "hint"),
    [
        ("profil = 'x'", "profil: unknown key", "did you mean `profile`?"),
        ("max-files = 3", "max-files: unknown key", "did you mean `diff-budget.max-files`?"),
        ("[diff-budget]\nmax_files = 3", "diff-budget.max_files: unknown key", "did you mean `diff-budget.max-files`?"),
        ("[documents]\nmax-lines = 3", "documents.max-lines: unknown key", "did you mean `diff-budget.max-lines`?"),
        (
            "[diff-budget.areas.d]\npaths = []\nmax-line = 3",
            "diff-budget.areas.d.max-line: unknown key",
            "did you mean `diff-budget.areas.d.max-lines`?",
        ),
        (
            "[[pipelines.p.stages]]\nid='build'\nshell='a'\n[[pipelines.p.stages]]\nid='b'\nshell='b'\nneeds=['biuld']",
            'pipelines.p.stages[1].needs[0]: no stage "biuld" in this pipeline',
            "did you mean build?",
        ),
        ("[diffbudget]\nmax-files = 3", "diffbudget: unknown key", "did you mean `diff-budget`?"),
        (
            "[[pipelines.p.stages]]\nid='a'\nwhen='x'",
            "pipelines.p.stages[0].when: unknown key",
            "known here: allow-failure, cwd",
        ),
        (
            "[manifests]\nzzz = 1",
            "manifests.zzz: unknown key",
            "known here: abandoned-after-minutes, max-bytes",
        ),
        ("'a\"b' = 1", '"a\\"b": unknown key', "`orchgate config keys` lists all keys"),
        ("'' = 1", '"": unknown key', "`orchgate config keys` lists all keys"),
    ],
)
def test_an_unknown_name_has_a_suggestion(read: Callable[..., Config], toml: str, message: str, hint: str) -> None:
    assert said(read, toml) == message
    with pytest.raises(ConfigError) as caught:
        read(toml)
    assert caught.value.hint.startswith(hint)


# Where it stands


def places(source: Source) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        build(source)
    return [message.partition(": ")[0] for message in (caught.value.message, *(one for one, *_ in caught.value.others))]


def source(text: str, *below: str) -> Source:
    table: Any = tomllib.loads(text)
    for name in below:
        table = table[name]
    return Source("pyproject.toml" if below else "orchgate.toml", table, text, below)


def test_all_that_is_wrong_is_said_at_once_in_the_order_of_the_file(read: Callable[..., Config]) -> None:
    text = (
        "profil = 'x'\r\n"
        "[diff-budget] # [not.a.header]\r\n"
        'exclude = "*.lock" # x = 3\r\n'
        'areas.\'d\' = { max-lines = 3, max-file = """}\n""" }\r\n'
        "[[pipelines.p.stages]]\r\nid = 'a'\r\n"
        "[[pipelines.p.stages]]\r\n  id = 'b'\r\n  run = [ # ]\r\n    'x',\r\n    3 ]\r\n"
    )

    assert places(source(text)) == [
        "orchgate.toml:1:1",
        "orchgate.toml:3:11",
        "orchgate.toml:4:7",
        "orchgate.toml:4:30",
        "orchgate.toml:6:1",
        "orchgate.toml:12:5",
    ]


def test_places_count_characters_and_know_the_table_of_pyproject() -> None:
    text = "[tool.other]\nmax-files = 'x'\n[tool.orchgate.diff-budget]\n'max-files' = 'ü'\nmax-lines = ['ü', 'x']\n"

    assert places(source(text, "tool", "orchgate")) == ["pyproject.toml:4:15", "pyproject.toml:5:13"]


@pytest.mark.slow
def test_what_is_said_of_very_many_faults_ends_somewhere(read: Callable[..., Config]) -> None:
    with no_hang(), pytest.raises(ConfigError) as caught:
        read("".join(f"key{number} = 1\n" for number in range(10_000)))

    assert len(caught.value.others) == 20
    assert caught.value.others[-1][:2] == ("and 9980 more errors", "")


@pytest.mark.slow
@given(st.recursive(st.integers() | st.text(max_size=4), lambda one: st.lists(one) | st.dictionaries(st.text(), one)))
def test_every_value_is_shown_as_toml_writes_it(value: object) -> None:
    assert tomllib.loads(f"value = {toml(value)}") == {"value": value}


# What a right value means


@pytest.mark.parametrize("path", [path for path, one in DECLARED.items() if one.kind is GLOBS], ids=".".join)
def test_every_list_of_globs_may_take_back(read: Callable[..., Config], path: tuple[str, ...]) -> None:
    config = read(f"{'.'.join(path)} = ['a/**', '!a/b']\n")

    assert table_of(config)[".".join(path)] == ("a/**", "!a/b")


@pytest.mark.parametrize("path", [path for path, one in DECLARED.items() if one.extendable], ids=".".join)
def test_every_list_can_be_extended(read: Callable[..., Config], path: tuple[str, ...]) -> None:
    *table, name = path
    words = {"documents.required": "mini-spec", "evidence.required-runs": "x:before", "signatures.required": "x:ci"}
    word = words.get(".".join(path), "z/{slug}.md")
    more = ".".join((*table, f"extend-{name}"))

    config = read(f"{more} = ['{word}']\nsignatures.roles.ci = ['ci@example.org']\n")

    assert table_of(config)[".".join(path)] == (*DECLARED[path].default, word)  # type: ignore[misc]  # a list's


def test_what_extends_the_defaults_may_take_back_from_them(read: Callable[..., Config]) -> None:
    found = read("[diff-budget]\nextend-exclude = ['!a/go.sum']\n").of(Budget).exclude

    assert (found[-1], "**/go.sum" in found) == ("!a/go.sum", True)


def test_an_extension_adds_to_what_the_profile_says(read: Callable[..., Config]) -> None:
    found = read("profile = 'codex-orchestrator'\n[specs]\nextend-paths = ['src/**']\n").of(Code).paths

    assert (found[0], found[-1]) == ("orchestrator/src/**", "src/**")


def test_what_the_top_excludes_counts_in_every_table_that_excludes(read: Callable[..., Config]) -> None:
    config = read("exclude = ['gen/**']\n[evidence]\nextend-exclude = ['!gen/a.md']\n")

    assert config.evidence.exclude == ("gen/**", "!gen/a.md")
    assert all(config.of(table).exclude[0] == "gen/**" for table in (Budget, Code))  # type: ignore[attr-defined]  # have it
    assert config.documents.exclude == ("gen/**", "**/README.md")


def test_the_example_of_the_documentation_loads(read: Callable[..., Config]) -> None:
    config = read(EXAMPLE)

    assert config.documents.paths.prd == ("docs/PRD-{slug}.md",)
    assert tuple(config.performance.metrics["cpu-seconds"]) == (0.05, 0.01, None, None)
    assert config.pipelines["diagnostics"].stages[1].timeout_seconds == 600
    assert config.of(Budget).areas["docs"].max_files is None


def test_required_sections_replace_those_of_the_named_kind_only(read: Callable[..., Config]) -> None:
    sections = read(EXAMPLE).documents.sections

    assert sections["prd"] == ("Summary", "Goals", "Non-Goals")
    assert sections["action-plan"] == read("").documents.sections["action-plan"]


def test_profile_changes_the_defaults(read: Callable[..., Config]) -> None:
    config = read("profile = 'codex-orchestrator'")

    assert config.documents.required_sections.checklist == ()
    assert config.origins["documents.required-sections.prd"] == "profile codex-orchestrator"


def test_a_key_beats_its_profile(read: Callable[..., Config]) -> None:
    config = read("profile = 'codex-orchestrator'\n[specs]\npaths = ['src/**']\n")

    assert (config.of(Code).paths, config.origins["specs.paths"]) == (("src/**",), "orchgate.toml")


def test_stages_that_need_each_other_in_order_are_fine(read: Callable[..., Config]) -> None:
    needs = [f"'{number + 1}'" for number in range(200)] + [""]
    stages = "".join(
        f"[[pipelines.p.stages]]\nid='{number}'\nshell='x'\nneeds=[{need}]\n" for number, need in enumerate(needs)
    )

    assert len(read(stages).pipelines["p"].stages) == 201


@pytest.mark.parametrize(("path", "one"), DECLARED.items(), ids=[".".join(path) for path in DECLARED])
def test_every_default_is_what_its_kind_would_read(path: tuple[str, ...], one: Key) -> None:
    raw = list(one.default) if isinstance(one.default, tuple) else one.default
    reading = Reading()

    assert (one.kind.read(raw, path, reading), reading.faults) == (one.default, [])


def test_nothing_comes_from_anywhere_where_nothing_is_set() -> None:
    assert build(Source("", {})).origins == {}


# Anything at all

keys = st.sampled_from(
    sorted(
        {
            "stages",
            "id",
            "run",
            "shell",
            "needs",
            "rules",
            "reason",
            "paths",
            "max-lines",
            "block",
            "fail-above",
            "title",
            "env",
            "prd",
        }
        | set(TABLES_OF_KEYS)
        | {part for path in DECLARED for part in path}
    )
)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["prd", "error", "a/../b", "*"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8) | keys, inner, max_size=4),
    max_leaves=12,
)
TABLES = st.fixed_dictionaries(
    {},
    optional={
        **{path[0]: values for path in TABLES_OF_KEYS[""]},
        **{
            name: values | st.fixed_dictionaries({}, optional={path[0]: values for path in paths})
            for name, paths in TABLES_OF_KEYS.items()
            if name
        },
        **{
            name: values | st.dictionaries(st.text(max_size=6), values, max_size=3)
            for name in ("severity", "pipelines")
        },
    },
)


@pytest.mark.slow
@given(TABLES | st.dictionaries(keys, values))
def test_any_value_anywhere_is_a_configuration_or_an_error_with_a_path(table: dict[str, object]) -> None:
    try:
        assert isinstance(build(Source("orchgate.toml", table)), Config)
    except ConfigError as error:
        assert ": " in error.message  # noqa: PT017 -- both answers are right


VALIDATOR = jsonschema.Draft202012Validator(config_schema())


@pytest.mark.slow
@given(TABLES)
def test_whatever_loads_is_valid_by_the_schema(table: dict[str, object]) -> None:
    try:
        build(Source("orchgate.toml", table))
    except ConfigError:
        return
    VALIDATOR.validate(table)


# The schema


def test_schema_file_is_the_one_the_table_makes() -> None:
    assert SCHEMA_FILE.read_text() == json.dumps(config_schema(), indent=2, ensure_ascii=False) + "\n"


def test_every_property_of_the_schema_says_what_it_is() -> None:
    def bare(schema: dict[str, Any], at: str) -> Iterator[str]:
        for name, one in schema.get("properties", {}).items():
            if not one.get("description") and not one.get("deprecated"):
                yield f"{at}/{name}"
            yield from bare(one, f"{at}/{name}")
        for inner in ("items", "additionalProperties"):
            if isinstance(schema.get(inner), dict):
                yield from bare(schema[inner], f"{at}/{inner}")

    assert list(bare(config_schema(), "")) == []


def test_page_of_the_documentation_is_the_one_the_declarations_make() -> None:
    assert PAGE.read_text() == reference_page()


@pytest.mark.slow
def test_schema_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(config_schema())


def test_schema_accepts_the_example() -> None:
    jsonschema.Draft202012Validator(config_schema()).validate(tomllib.loads(EXAMPLE))


# Rules between keys, which a schema cannot say, or not in words that help.
BEYOND_SCHEMA = (
    "evidence.roots",
    "a path inside",
    "a path or a glob",
    "is already a stage",
    "no stage",
    "needs itself",
    "need each other",
    "calls itself",
    "a kind",
    "signatures.",
    "required-version",
    "got 2.0",
)


@pytest.mark.parametrize(
    "toml",
    [toml for toml, message in WRONG if not any(word in message for word in BEYOND_SCHEMA) and "nan" not in toml]
    + ["profil = 'x'", "[diff-budget]\nmax_files = 3", "[[pipelines.p.stages]]\nid='a'\nrun=['a']\ncmd='x'"],
)
def test_schema_rejects_what_loading_rejects(toml: str) -> None:
    assert not jsonschema.Draft202012Validator(config_schema()).is_valid(tomllib.loads(toml))


def test_every_key_of_the_schema_is_described() -> None:
    tables: list[dict[str, Any]] = [config_schema(), *config_schema()["properties"].values()]  # type: ignore[attr-defined]
    described = [key for table in tables for key in table.get("properties", {}).values() if "properties" not in key]

    assert all(key["description"] for key in described)


# As a user meets it


@pytest.mark.slow
def test_wrong_configuration_is_exit_2_and_said_on_stderr(repo: Repo, capsys: pytest.CaptureFixture[str]) -> None:
    repo.stage("orchgate.toml", "[diff-budget]\nmax-fils = 3\n")

    code = main(["check", "--staged"])

    captured = capsys.readouterr()
    assert (code, captured.out) == (2, "")
    assert captured.err == (
        "orchgate: orchgate.toml:2:1: diff-budget.max-fils: unknown key\n"
        "  hint: did you mean `diff-budget.max-files`?\n"
    )


@pytest.mark.slow
def test_the_staged_configuration_counts_not_the_one_on_disk(repo: Repo) -> None:
    repo.stage("orchgate.toml", "")
    repo.write("orchgate.toml", "not toml")

    assert main(["check", "--staged"]) == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("toml", "message"),
    [
        ("[severity]\nDOC01 = 'off'\n", '2:1: severity.DOC01: there is no rule "DOC01"\n  hint: did you mean DOC0'),
        ("[severity]\nspec = 'off'\n", '2:1: severity.spec: there is no rule "spec"\n  hint: did you mean specs?'),
        (
            "[[ignore]]\npaths = ['a/*']\nrules = ['doc001', 'ABC777']\nreason = 'r'\n",
            '3:20: ignore[0].rules[1]: there is no rule "ABC777"\n  hint: families of rules: CFG, CMD',
        ),
    ],
)
def test_a_rule_that_does_not_exist_is_an_error(
    repo: Repo, capsys: pytest.CaptureFixture[str], toml: str, message: str
) -> None:
    repo.stage("orchgate.toml", toml)

    assert main(["check", "--staged"]) == 2
    assert capsys.readouterr().err.startswith(f"orchgate: orchgate.toml:{message}")


@pytest.mark.slow
def test_two_configurations_are_a_warning(repo: Repo) -> None:
    repo.stage("orchgate.toml", "")
    repo.stage("pyproject.toml", "[tool.orchgate]\nprofile = 'default'\n")

    report = repo.report("--staged", "configuration")

    assert [(d["rule"], d["severity"], d["path"]) for d in report["diagnostics"]] == [
        ("CFG002", "warning", "pyproject.toml")
    ]


@pytest.mark.slow
def test_show_config_names_every_key_with_its_origin(repo: Repo, capsys: pytest.CaptureFixture[str]) -> None:
    repo.stage(
        "orchgate.toml", "profile = 'codex-orchestrator'\n[diff-budget]\nmax-files = 3\n[severity]\nDOC007 = 'off'\n"
    )

    assert main(["check", "--staged", "--show-config"]) == 0

    lines = capsys.readouterr().out.splitlines()
    assert "diff-budget.max-files = 3  # orchgate.toml" in lines
    assert "diff-budget.max-lines = 800  # default" in lines
    assert next(line for line in lines if line.startswith("severity = ")).endswith("  # orchgate.toml")
    assert 'profile = "codex-orchestrator"  # orchgate.toml' in lines
    assert next(line for line in lines if line.startswith("specs.paths = ")).endswith("  # profile codex-orchestrator")
    assert len(lines) == len(DECLARED)


@pytest.mark.slow
def test_show_config_is_a_configuration_that_means_the_same(repo: Repo, capsys: pytest.CaptureFixture[str]) -> None:
    repo.stage("orchgate.toml", EXAMPLE)
    main(["check", "--staged", "--show-config"])

    shown = build(Source("orchgate.toml", tomllib.loads(capsys.readouterr().out)))

    assert table_of(shown) == table_of(build(Source("orchgate.toml", tomllib.loads(EXAMPLE))))


@pytest.mark.slow
def test_show_config_says_which_limits_are_those_of_the_base(repo: Repo, capsys: pytest.CaptureFixture[str]) -> None:
    repo.commit(files={"orchgate.toml": "[diff-budget]\nmax-files = 3\n"})
    repo.stage("orchgate.toml", "default-branch = 'trunk'\n[diff-budget]\nmax-files = 9\n")

    main(["check", "--staged", "--show-config"])

    lines = capsys.readouterr().out.splitlines()
    assert "diff-budget.max-files = 3  # orchgate.toml at the base; in the work tree 9" in lines
    assert 'default-branch = ""  # default; in the work tree "trunk"' in lines


@pytest.mark.slow
def test_show_config_says_where_places_come_from(repo: Repo, capsys: pytest.CaptureFixture[str]) -> None:
    repo.commit(files={"orchgate.toml": "[evidence]\nroots = ['a']\n"})
    repo.stage("orchgate.toml", "[evidence]\nroots = ['b']\n")

    main(["check", "--staged", "--show-config"])

    lines = capsys.readouterr().out.splitlines()
    assert (
        'evidence.roots = ["b", "a"]  # orchgate.toml, and orchgate.toml at the base; in the work tree ["b"]' in lines
    )


def test_loading_does_not_change_the_table_it_reads() -> None:
    table = tomllib.loads(EXAMPLE)
    before = copy.deepcopy(table)

    build(Source("orchgate.toml", table))

    assert table == before
