"""Configuration: where it is found, what it may say, and how it says that something is wrong."""

from __future__ import annotations

import copy
import json
import os
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchgate.cli import main
from orchgate.config.load import Source, build, load
from orchgate.config.loosening import table_of
from orchgate.config.schema import schema
from orchgate.config.settings import Config
from orchgate.config.shapes import GLOBS
from orchgate.config.table import FREE, SECTIONS, TABLE
from orchgate.errors import ConfigError
from orchgate.git.snapshot import FolderSnapshot
from tests.support import write_tree
from tests.work import no_hang

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.repo import Repo

SCHEMA_FILE = Path(__file__).parent.parent / "schemas" / "config.json"
EXAMPLE = """
profile = "default"

[documents]
packets = "docs/PRD-{slug}.md"
tech-spec = ["docs/TECH_SPEC-{slug}.md", "tasks/specs/{task}.md"]
required-sections.prd = ["Summary", "Goals", "Non-Goals"]

[evidence]
roots = [".runs", "out"]
required-runs = ["diagnostics:before", "diagnostics:after"]

[diff-budget]
max-files = 25
max-lines = 800
ignore = ["**/*.lock", "package-lock.json"]
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
junit = "report.xml"

[performance]
pipeline = "diagnostics"
budget-seconds = 30
relevant = ["orchgate/**", "pyproject.toml"]
inconclusive = "warn"
[performance.metrics]
cpu-seconds = { block = 0.05, tolerance = 0.01 }
manifest-writes = { block = 0 }

[per-file-ignores]
"docs/legacy/**" = { rules = ["DOC002"], reason = "before the templates" }
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
    with pytest.raises(ConfigError) as caught:
        read(toml)
    return caught.value.message


# Where it is found


def test_a_tree_without_configuration_gets_the_defaults(read: Callable[..., Config]) -> None:
    assert read().diff_budget.max_lines == 800


def test_an_empty_file_is_valid(read: Callable[..., Config]) -> None:
    assert read("") == read()._replace(origins=read("").origins)


def test_pyproject_table_counts(read: Callable[..., Config]) -> None:
    assert read(pyproject__toml="[tool.orchgate.diff-budget]\nmax-files = 7\n").diff_budget.max_files == 7


def test_pyproject_without_our_table_is_no_configuration(read: Callable[..., Config]) -> None:
    assert read(pyproject__toml="[project]\ndependencies = ['orchgate']\n").origins["profile"] == "default"


def test_orchgate_toml_wins_over_pyproject(read: Callable[..., Config]) -> None:
    both = read("[diff-budget]\nmax-files = 3\n", pyproject__toml="[tool.orchgate.diff-budget]\nmax-files = 7\n")

    assert (both.diff_budget.max_files, both.shadowed) == (3, True)


def test_one_configuration_shadows_nothing(read: Callable[..., Config]) -> None:
    assert not read("", pyproject__toml="[tool.black]\n# orchgate\n").shadowed


def test_a_pyproject_that_does_not_count_may_be_broken(read: Callable[..., Config]) -> None:
    assert read("profile = 'default'\n", pyproject__toml="orchgate = [").top.profile == "default"


def test_a_broken_pyproject_that_mentions_us_is_an_error(read: Callable[..., Config]) -> None:
    with pytest.raises(ConfigError, match=r"^pyproject\.toml: not valid TOML"):
        read(pyproject__toml="[tool.orchgate\n")


def test_a_broken_pyproject_that_does_not_mention_us_is_nobodys_business(read: Callable[..., Config]) -> None:
    assert read(pyproject__toml="[tool.black\n").top.profile == "default"


@pytest.mark.parametrize("text", ["[tool]\norchgate = 3\n", "tool = 'orchgate'\n", "[[tool]]\norchgate = 1\n"])
def test_a_pyproject_of_odd_shape_is_an_error_or_none_of_ours(read: Callable[..., Config], text: str) -> None:
    try:
        assert read(pyproject__toml=text).top.profile == "default"
    except ConfigError as error:
        assert error.message == "tool.orchgate: expected a table, got 3"  # noqa: PT017 -- either way is right


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
    assert said(read, content).startswith(message)


def test_no_content_keeps_us_busy(read: Callable[..., Config]) -> None:
    with no_hang():
        for content in ("a." * 400_000 + "a = 1", "a = " + "[" * 900_000, "[" * 900_000, "{" * 900_000):
            assert said(read, content)


def test_a_directory_in_place_of_the_file_is_no_configuration(tmp_path: Path) -> None:
    write_tree(tmp_path, {"orchgate.toml/readme": "x"})

    assert load(FolderSnapshot(str(tmp_path))).top.profile == "default"


def test_a_dangling_symlink_is_not_toml(tmp_path: Path) -> None:
    os.symlink("nowhere/else", tmp_path / "orchgate.toml")

    with pytest.raises(ConfigError, match=r"^orchgate\.toml: not valid TOML") as caught:
        load(FolderSnapshot(str(tmp_path)))

    assert caught.value.hint.startswith("it is a symbolic link")


def test_a_byte_order_mark_is_no_part_of_the_first_key(read: Callable[..., Config]) -> None:
    assert read(b"\xef\xbb\xbfdefault-branch = 'trunk'\n").top.default_branch == "trunk"


# What a wrong value says

WRONG = [
    ("profile = 'codex'", 'profile: expected one of "default", "codex-orchestrator", got \'codex\''),
    ("profile = ['default']", 'profile: expected one of "default", "codex-orchestrator", got [\'default\']'),
    (
        "[diff-budget]\nmax-files = '25'",
        "diff-budget.max-files: expected a whole number from 0 to 9007199254740992, got '25'",
    ),
    (
        "[diff-budget]\nmax-files = -1",
        "diff-budget.max-files: expected a whole number from 0 to 9007199254740992, got -1",
    ),
    (
        "[diff-budget]\nmax-files = true",
        "diff-budget.max-files: expected a whole number from 0 to 9007199254740992, got True",
    ),
    (
        "[diff-budget]\nmax-files = 2.0",
        "diff-budget.max-files: expected a whole number from 0 to 9007199254740992, got 2.0",
    ),
    ("[diff-budget]\nignore = '*.lock'", "diff-budget.ignore: expected a list, got '*.lock'"),
    ("[diff-budget]\nignore = ['a', 1]", "diff-budget.ignore[1]: expected a string, got 1"),
    ("diff-budget = 3", "diff-budget: expected a table, got 3"),
    ("[diff-budget.areas]\ndocs = 3", "diff-budget.areas.docs: expected a table, got 3"),
    ("[diff-budget.areas.docs]\nmax-lines = 3", "diff-budget.areas.docs.paths: required key is missing"),
    ("[diff-budget.areas.'my docs']\npaths = 3", 'diff-budget.areas."my docs".paths: expected a list, got 3'),
    ("[documents]\nrequired = ['prd', 'plan']", "documents.required[1]: expected one of"),
    ("[documents]\nrequired-sections = []", "documents.required-sections: expected a table, got []"),
    (
        "[documents.required-sections]\nprd = 'Summary'",
        "documents.required-sections.prd: expected a list, got 'Summary'",
    ),
    ("[documents]\nreview-days = 0", "documents.review-days: expected a whole number from 1 to 36500, got 0"),
    (
        "[performance.metrics]\ncpu = { block = 'x' }",
        "performance.metrics.cpu.block: expected a fraction from 0 to 10, got 'x'",
    ),
    ("[performance]\nbudget-seconds = nan", "performance.budget-seconds: expected seconds from 1 to 240, got nan"),
    ("[performance]\nbudget-seconds = 241", "performance.budget-seconds: expected seconds from 1 to 240, got 241"),
    (
        "[severity]\nDOC001 = 'fatal'",
        'severity.DOC001: expected one of "error", "warning", "note", "off", got \'fatal\'',
    ),
    ("per-file-ignores = ['x']", "per-file-ignores: expected a table, got ['x']"),
    ("[per-file-ignores]\n'a/*' = ['DOC001']", "per-file-ignores.\"a/*\": expected a table, got ['DOC001']"),
    ("[per-file-ignores]\n'a' = { rules = ['DOC001'] }", "per-file-ignores.a.reason: required key is missing"),
    ("[per-file-ignores]\n'a' = { reason = 'r' }", "per-file-ignores.a.rules: required key is missing"),
    ("[per-file-ignores]\n'a' = { rules = ['DOC001'], reason = ' ' }", "per-file-ignores.a.reason: expected a reason"),
    ("[per-file-ignores]\n'a' = { rules = [], reason = 'r' }", "per-file-ignores.a.rules: expected at least one rule"),
    ("[evidence]\nroots = ['../out']", "evidence.roots[0]: expected a folder inside the repository, got '../out'"),
    ("[evidence]\nroots = ['/out']", "evidence.roots[0]: expected a folder inside the repository, got '/out'"),
    ("[evidence]\nroots = ['out', '.']", "evidence.roots[1]: expected a folder inside the repository, got '.'"),
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
    ("[documents]\npackets = '!docs/{slug}.md'", "documents.packets[0]: a leading ! takes back"),
    ("[documents]\nchecklist = ['a/{task}.md', '!b/{task}.md']", "documents.checklist[1]: a leading ! takes back"),
    ("[documents]\npackets = 'docs/{slug}/'", "documents.packets[0]: expected a path inside the repository"),
    ("[documents]\npackets = 'docs//{slug}.md'", "documents.packets[0]: expected a path inside the repository"),
    ("[documents]\npackets = 'a/./{slug}.md'", "documents.packets[0]: expected a path inside the repository"),
    ("[documents]\ntask-index = '../tasks.json'", "documents.task-index: expected a path inside the repository"),
    ("[documents]\ntask-index = '/tasks.json'", "documents.task-index: expected a path inside the repository"),
    ("[performance]\nwatch = ['!out']", "performance.watch[0]: a leading ! takes back"),
    ("[per-file-ignores]\n'!a' = { rules = ['DOC001'], reason = 'r' }", 'per-file-ignores."!a": a leading ! takes'),
    ("[diff-budget.areas.'!docs']\npaths = ['docs/**']", 'diff-budget.areas."!docs": a leading ! takes'),
    ("[[pipelines.p.stages]]\nid = 'a'\nrun = ['a']\njunit = '!r.xml'", "pipelines.p.stages[0].junit: a leading !"),
    ("[diff-budget]\nignore = ['!a']", "diff-budget.ignore: !a takes back from a list that names nothing"),
    ("[evidence]\ndocuments = ['!a', '!b']", "evidence.documents: !a, !b takes back from a list that names nothing"),
    ("[performance]\nrelevant = ['src/**', '!']", "performance.relevant[1]: expected a glob after the !, got '!'"),
    ("[pipelines]\np = []", "pipelines.p: expected a table, got []"),
    ("[[pipelines.p.stages]]\nrun = ['a']", "pipelines.p.stages[0].id: required key is missing"),
    (
        "[[pipelines.p.stages]]\nid = 'a'",
        "pipelines.p.stages[0]: expected one of run (a list), shell (a line), pipeline",
    ),
    ("[[pipelines.p.stages]]\nid = 'a'\nrun = ['a']\nshell = 'a'", "pipelines.p.stages[0]: expected one of run"),
    ("[[pipelines.p.stages]]\nid = 'a'\nrun = 'make'", "pipelines.p.stages[0].run: expected a list, got 'make'"),
    ("[[pipelines.p.stages]]\nid = 'a'\nshell = 'a'\nretries = 101", "pipelines.p.stages[0].retries: expected a whole"),
    (
        "[[pipelines.p.stages]]\nid = 'a'\nshell = 'a'\nallow-failure = 1",
        "pipelines.p.stages[0].allow-failure: expected true",
    ),
    (
        "[[pipelines.p.stages]]\nid = 'a'\nshell = 'a'\nenv = { A = 1 }",
        "pipelines.p.stages[0].env.A: expected a string",
    ),
    ("[[pipelines.p.stages]]\nid = 'a'\nshell = 'a'\nneeds = ['b']", "pipelines.p.stages[0].needs: no stage 'b'"),
    ("[[pipelines.p.stages]]\nid = 'a'\nshell = 'a'\nneeds = ['a']", "pipelines.p.stages: no order of 'a', 'a'"),
    (
        "[[pipelines.p.stages]]\nid = 'a'\nshell = 'a'\n[[pipelines.p.stages]]\nid = 'a'\nshell = 'b'",
        "pipelines.p.stages[1].id: 'a' is already a stage of this pipeline",
    ),
    (
        (
            "[[pipelines.p.stages]]\nid = 'a'\nshell = 'a'\nneeds = ['b']\n"
            "[[pipelines.p.stages]]\nid = 'b'\nshell = 'b'\nneeds = ['a']"
        ),
        "pipelines.p.stages: no order of 'a', 'b', 'a'",
    ),
]


@pytest.mark.parametrize(("toml", "message"), WRONG, ids=[message.split(":")[0] for _, message in WRONG])
def test_wrong_value_is_named_by_its_dotted_path(read: Callable[..., Config], toml: str, message: str) -> None:
    assert said(read, toml).startswith(message)


def test_a_wrong_value_is_shown_on_sixty_characters(read: Callable[..., Config]) -> None:
    assert len(said(read, f"profile = '{'x' * 100_000}'")) < 140


def test_a_table_too_deep_to_show_is_still_a_wrong_value(read: Callable[..., Config]) -> None:
    deep: dict[str, object] = {}
    for _ in range(5000):
        deep = {"a": deep}

    with pytest.raises(ConfigError, match="default-branch: expected a string, got a table"):
        build(Source("orchgate.toml", {"default-branch": deep}))


def test_an_integer_too_long_to_show_is_still_a_wrong_value(read: Callable[..., Config]) -> None:
    assert said(read, f"default-branch = 0x{'f' * 5000}") == "default-branch: expected a string, got a huge number"


@pytest.mark.parametrize(
    ("toml", "message", "hint"),
    [
        ("profil = 'x'", "profil: unknown key", 'did you mean "profile"?'),
        ("[diff-budget]\nmax_files = 3", "diff-budget.max_files: unknown key", 'did you mean "max-files"?'),
        (
            "[diff-budget.areas.d]\npaths = []\nmax-line = 3",
            "diff-budget.areas.d.max-line: unknown key",
            'did you mean "max-lines"?',
        ),
        ("[diffbudget]\nmax-files = 3", "diffbudget: unknown key", 'did you mean "diff-budget"?'),
        (
            "[[pipelines.p.stages]]\nid='a'\nwhen='x'",
            "pipelines.p.stages[0].when: unknown key",
            "known keys: allow-failure, cwd",
        ),
        ("[manifests]\nzzz = 1", "manifests.zzz: unknown key", "known keys: max-bytes, max-depth, stale-minutes"),
        ("'a\"b' = 1", '"a\\"b": unknown key', "known keys: "),
        ("'' = 1", '"": unknown key', "known keys: "),
    ],
)
def test_unknown_key_comes_with_a_suggestion(read: Callable[..., Config], toml: str, message: str, hint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(toml)

    assert caught.value.message == message
    assert caught.value.hint.startswith(hint)


def test_a_wrong_value_says_which_file_it_stands_in(read: Callable[..., Config]) -> None:
    with pytest.raises(ConfigError) as caught:
        read(pyproject__toml="[tool.orchgate]\nprofile = 3\n")

    assert caught.value.hint == "it stands in pyproject.toml"


# What a right value means


@pytest.mark.parametrize(
    ("name", "key"), [(name, key) for name in TABLE for key in TABLE[name] if TABLE[name][key].kind is GLOBS]
)
def test_every_list_of_globs_may_take_back(read: Callable[..., Config], name: str, key: str) -> None:
    section = getattr(read(f"[{name}]\n{key} = ['a/**', '!a/b']\n"), name.replace("-", "_"))

    assert getattr(section, key.replace("-", "_")) == ("a/**", "!a/b")


def test_the_example_of_the_documentation_loads(read: Callable[..., Config]) -> None:
    config = read(EXAMPLE)

    assert config.documents.packets == ("docs/PRD-{slug}.md",)
    assert config.performance.metrics["cpu-seconds"] == (0.05, 0.01, None, None)
    assert config.pipelines["diagnostics"].stages[1].timeout_seconds == 600
    assert config.diff_budget.areas["docs"].max_files is None


def test_required_sections_replace_those_of_the_named_kind_only(read: Callable[..., Config]) -> None:
    sections = read(EXAMPLE).documents.required_sections

    assert sections["prd"] == ("Summary", "Goals", "Non-Goals")
    assert sections["action-plan"] == read("").documents.required_sections["action-plan"]


def test_profile_changes_the_defaults(read: Callable[..., Config]) -> None:
    config = read("profile = 'codex-orchestrator'")

    assert config.documents.required_sections["checklist"] == ()
    assert config.origins["documents.required-sections"] == "profile codex-orchestrator"


def test_a_key_beats_its_profile(read: Callable[..., Config]) -> None:
    config = read("profile = 'codex-orchestrator'\n[specs]\ncode = ['src/**']\n")

    assert (config.specs.code, config.origins["specs.code"]) == (("src/**",), "orchgate.toml")


def test_stages_that_need_each_other_in_order_are_fine(read: Callable[..., Config]) -> None:
    needs = [f"'{number + 1}'" for number in range(200)] + [""]
    stages = "".join(
        f"[[pipelines.p.stages]]\nid='{number}'\nshell='x'\nneeds=[{need}]\n" for number, need in enumerate(needs)
    )

    assert len(read(stages).pipelines["p"].stages) == 201


@pytest.mark.parametrize("name", TABLE)
def test_every_key_of_the_table_is_a_field(name: str) -> None:
    assert SECTIONS[name]._fields == tuple(key.replace("-", "_") for key in TABLE[name])  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", [name for name in TABLE if name] + list(FREE))
def test_every_table_is_a_field_of_the_configuration(name: str) -> None:
    assert name.replace("-", "_") in Config._fields


@pytest.mark.parametrize(("name", "key"), [(name, key) for name in TABLE for key in TABLE[name]])
def test_every_default_is_what_its_kind_would_read(name: str, key: str) -> None:
    spec = TABLE[name][key]
    if spec.default is None:
        return
    raw = list(spec.default) if isinstance(spec.default, tuple) else spec.default

    assert spec.kind.read(raw, key) == spec.default


def test_every_origin_of_the_default_is_said() -> None:
    config = build(Source("", {}))

    assert set(config.origins) == set(table_of(config))


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
            "title",
            "env",
            "prd",
        }
        | set(TABLE)
        | set(FREE)
        | {key for table in TABLE.values() for key in table}
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
        **dict.fromkeys(TABLE[""], values),
        **{
            name: values | st.fixed_dictionaries({}, optional=dict.fromkeys(TABLE[name], values))
            for name in TABLE
            if name
        },
        **{name: values | st.dictionaries(st.text(max_size=6), values, max_size=3) for name in FREE},
    },
)


@given(TABLES | st.dictionaries(keys, values))
def test_any_value_anywhere_is_a_configuration_or_an_error_with_a_path(table: dict[str, object]) -> None:
    try:
        assert isinstance(build(Source("orchgate.toml", table)), Config)
    except ConfigError as error:
        assert ": " in error.message  # noqa: PT017 -- both answers are right


VALIDATOR = jsonschema.Draft202012Validator(schema())


@given(TABLES)
def test_whatever_loads_is_valid_by_the_schema(table: dict[str, object]) -> None:
    try:
        build(Source("orchgate.toml", table))
    except ConfigError:
        return
    VALIDATOR.validate(table)


# The schema


def test_schema_file_is_the_one_the_table_makes() -> None:
    assert SCHEMA_FILE.read_text() == json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


def test_schema_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(schema())


def test_schema_accepts_the_example() -> None:
    jsonschema.Draft202012Validator(schema()).validate(tomllib.loads(EXAMPLE))


# Rules between keys, which a schema cannot say, or not in words that help.
BEYOND_SCHEMA = (
    "evidence.roots",
    "a path inside",
    "is already a stage",
    "no stage",
    "no order",
    "a whole number from 0 to 9007199254740992, got 2.0",
)


@pytest.mark.parametrize(
    "toml",
    [toml for toml, message in WRONG if not any(word in message for word in BEYOND_SCHEMA) and "nan" not in toml]
    + ["profil = 'x'", "[diff-budget]\nmax_files = 3", "[[pipelines.p.stages]]\nid='a'\nrun=['a']\ncmd='x'"],
)
def test_schema_rejects_what_loading_rejects(toml: str) -> None:
    assert not jsonschema.Draft202012Validator(schema()).is_valid(tomllib.loads(toml))


def test_every_key_of_the_schema_is_described() -> None:
    tables: list[dict[str, Any]] = [schema(), *schema()["properties"].values()]  # type: ignore[attr-defined]
    described = [key for table in tables for key in table.get("properties", {}).values() if "properties" not in key]

    assert all(key["description"] for key in described)


# As a user meets it


def test_wrong_configuration_is_exit_2_and_said_on_stderr(repo: Repo, capsys: pytest.CaptureFixture[str]) -> None:
    repo.stage("orchgate.toml", "[diff-budget]\nmax-fils = 3\n")

    code = main(["check", "--staged"])

    captured = capsys.readouterr()
    assert (code, captured.out) == (2, "")
    assert captured.err == 'orchgate: diff-budget.max-fils: unknown key\n  hint: did you mean "max-files"?\n'


def test_the_staged_configuration_counts_not_the_one_on_disk(repo: Repo) -> None:
    repo.stage("orchgate.toml", "")
    repo.write("orchgate.toml", "not toml")

    assert main(["check", "--staged"]) == 0


@pytest.mark.parametrize(
    ("toml", "message"),
    [
        ("[severity]\nDOC01 = 'off'\n", "severity.DOC01: there is no rule 'DOC01'\n  hint: did you mean DOC0"),
        (
            "[per-file-ignores]\n'a/*' = { rules = ['DOC001', 'ABC777'], reason = 'r' }\n",
            "per-file-ignores.\"a/*\".rules[1]: there is no rule 'ABC777'\n  hint: there are: CMD0",
        ),
    ],
)
def test_a_rule_that_does_not_exist_is_an_error(
    repo: Repo, capsys: pytest.CaptureFixture[str], toml: str, message: str
) -> None:
    repo.stage("orchgate.toml", toml)

    assert main(["check", "--staged"]) == 2
    assert capsys.readouterr().err.startswith(f"orchgate: {message}")


def test_two_configurations_are_a_warning(repo: Repo) -> None:
    repo.stage("orchgate.toml", "")
    repo.stage("pyproject.toml", "[tool.orchgate]\nprofile = 'default'\n")

    report = repo.report("--staged", "configuration")

    assert [(d["rule"], d["severity"], d["path"]) for d in report["diagnostics"]] == [
        ("CFG002", "warning", "pyproject.toml")
    ]


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
    assert next(line for line in lines if line.startswith("specs.code = ")).endswith("  # profile codex-orchestrator")
    assert len(lines) == sum(map(len, TABLE.values())) + len(FREE)


def test_show_config_is_a_configuration_that_means_the_same(repo: Repo, capsys: pytest.CaptureFixture[str]) -> None:
    repo.stage("orchgate.toml", EXAMPLE)
    main(["check", "--staged", "--show-config"])

    shown = build(Source("orchgate.toml", tomllib.loads(capsys.readouterr().out)))

    assert shown._replace(origins={}) == build(Source("orchgate.toml", tomllib.loads(EXAMPLE)))._replace(origins={})


def test_show_config_says_which_limits_are_those_of_the_base(repo: Repo, capsys: pytest.CaptureFixture[str]) -> None:
    repo.commit(files={"orchgate.toml": "[diff-budget]\nmax-files = 3\n"})
    repo.stage("orchgate.toml", "default-branch = 'trunk'\n[diff-budget]\nmax-files = 9\n")

    main(["check", "--staged", "--show-config"])

    lines = capsys.readouterr().out.splitlines()
    assert "diff-budget.max-files = 3  # orchgate.toml at the base" in lines
    assert 'default-branch = ""  # default' in lines


def test_show_config_says_where_places_come_from(repo: Repo, capsys: pytest.CaptureFixture[str]) -> None:
    repo.commit(files={"orchgate.toml": "[evidence]\nroots = ['a']\n"})
    repo.stage("orchgate.toml", "[evidence]\nroots = ['b']\n")

    main(["check", "--staged", "--show-config"])

    lines = capsys.readouterr().out.splitlines()
    assert 'evidence.roots = ["b", "a"]  # orchgate.toml, and orchgate.toml at the base' in lines


def test_loading_does_not_change_the_table_it_reads() -> None:
    table = tomllib.loads(EXAMPLE)
    before = copy.deepcopy(table)

    build(Source("orchgate.toml", table))

    assert table == before
