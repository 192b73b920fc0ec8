"""What holds for the project as a whole: layers, start-up cost, and lists that are kept in two places."""

from __future__ import annotations

import ast
import hashlib
import json
import os
import re
import subprocess
import sys
import tarfile
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import jsonschema
import pytest
import yaml
from hypothesis import HealthCheck, settings

from orchgate import __version__, registry
from orchgate.cli import help_text
from orchgate.errors import OrchgateError
from orchgate.gate import suppressions
from orchgate.git import message_hook
from orchgate.lib import files
from orchgate.model import STAGES
from tests import hook_dependencies

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.repo import Repo

TOP = Path(__file__).parent.parent
PACKAGE = TOP / "orchgate"
MODULES = sorted(PACKAGE.rglob("*.py"))

# From the bottom up. A module imports from the rows above its own, and from its own folder; types are imports too.
LAYERS = (
    ("__init__", "errors"),
    ("lib",),
    ("model",),
    ("registry", "layouts"),
    ("measures",),
    ("secrets",),
    ("git",),
    ("config",),
    ("markdown",),
    ("references",),
    ("packets",),
    ("plan_commands",),
    ("verdict",),
    ("charts",),
    ("metrics",),
    ("runs",),
    ("tools",),
    ("attest", "cluster"),
    ("history",),
    ("trends",),
    ("result_files",),
    ("runner",),
    ("agent", "observe"),
    ("hotspots", "speed"),
    ("bisect",),
    ("evidence",),
    ("signers",),
    ("acceptance",),
    ("replay",),
    ("gate",),
    ("checks", "outputs"),
    ("report", "scan", "exports"),
    ("commands",),
    ("cli",),
    ("__main__",),
)
RANK = {name: rank for rank, row in enumerate(LAYERS) for name in row}


class Import(NamedTuple):
    importer: str  # a dotted name below the package, such as checks.evidence
    imported: str  # a dotted name
    line: int
    typed: bool  # only type checkers see it


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts)


def imports(path: Path) -> Iterator[Import]:
    """Everything a module imports, also inside functions."""
    waiting: list[tuple[ast.AST, bool]] = [(TREES[path], False)]
    while waiting:
        node, typed = waiting.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            waiting.extend((inner, True) for inner in node.body)
            waiting.extend((inner, typed) for inner in node.orelse)
            continue
        waiting.extend((inner, typed) for inner in ast.iter_child_nodes(node) if not isinstance(inner, ast.expr))
        if isinstance(node, ast.Import):
            yield from (Import(name_of(path), alias.name, node.lineno, typed) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: a relative import"
            assert node.module is not None
            for alias in node.names:
                inner = node.module == "orchgate" or (TOP / node.module.replace(".", "/") / f"{alias.name}.py").exists()
                imported = f"{node.module}.{alias.name}" if inner else node.module
                yield Import(name_of(path), imported, node.lineno, typed)


TREES = {path: ast.parse(path.read_text()) for path in MODULES}
EVERY_IMPORT = [one for path in MODULES for one in imports(path)]
ALL_IMPORTS = [one for one in EVERY_IMPORT if not one.typed]
OWN_IMPORTS = [one for one in EVERY_IMPORT if one.imported.split(".")[0] == "orchgate"]


def layer(dotted: str) -> str:
    name = dotted.removeprefix("orchgate.").split(".")[0]
    return "__init__" if name == "__version__" else name


# Layers


def test_every_module_has_its_layer() -> None:
    assert {layer(name_of(path)) for path in MODULES} - RANK.keys() == set()


def test_imports_point_down() -> None:
    wrong = [
        one
        for one in OWN_IMPORTS
        if layer(one.importer) != layer(one.imported) and RANK[layer(one.importer)] <= RANK[layer(one.imported)]
    ]

    assert wrong == []


def test_imports_have_no_circle() -> None:
    edges: dict[str, set[str]] = {}
    for one in OWN_IMPORTS:
        edges.setdefault(one.importer, set()).add(one.imported.removeprefix("orchgate."))
    import graphlib

    graphlib.TopologicalSorter(edges).prepare()


def test_checks_import_neither_each_other_nor_outputs() -> None:
    wrong = [
        one for one in OWN_IMPORTS if layer(one.importer) == "checks" and layer(one.imported) in ("checks", "outputs")
    ]

    assert wrong == []


def test_the_gate_knows_no_check_by_name() -> None:
    """What is special about a check is declared in its own file, so that another one can be special too."""
    ids = set(registry.check_ids())
    paths = [path for path in MODULES if layer(name_of(path)) == "gate"]
    constants = {node.value for path in paths for node in ast.walk(TREES[path]) if isinstance(node, ast.Constant)}

    assert constants & ids == set()


def test_outputs_share_only_what_is_no_format() -> None:
    """But for text, whose words others take, and Markdown, which is the summary of a step of GitHub Actions."""
    inner = {
        (one.importer, one.imported.removeprefix("orchgate.outputs."))
        for one in OWN_IMPORTS
        if layer(one.importer) == layer(one.imported) == "outputs"
    }

    assert {both for both in inner if both[1] != "text" and both[1][0] != "_"} <= {("outputs.github", "markdown")}


@pytest.mark.slow
def test_only_commands_and_the_command_line_print() -> None:
    printing = {
        name_of(path) for path in MODULES if re.search(r"\bprint\(|sys\.(stdout|stderr|stdin)\b", path.read_text())
    }
    asked = {"history.parquet_rows", "history.sql.parts"}  # also programs of their own, which read what they are asked

    # The door, where nothing else may be imported yet.
    assert {layer(name) for name in printing - asked} <= {"commands", "cli", "__main__"}


@pytest.mark.parametrize("path", [path for path in MODULES if path.name == "__init__.py"], ids=name_of)
def test_package_files_are_empty(path: Path) -> None:
    expected = f'__version__ = "{__version__}"\n' if path.parent == PACKAGE else ""

    assert path.read_text() == expected


@pytest.mark.slow
def test_one_module_runs_other_programs() -> None:
    modules = ("subprocess", "pty", "multiprocessing")
    importing = {one.importer for one in ALL_IMPORTS if one.imported.split(".")[0] in modules}
    calls = re.compile(r"\bos\.(system|popen|exec[lv]|spawn|posix_spawn)")
    calling = {name_of(path) for path in MODULES if calls.search(path.read_text())}

    assert importing | calling == {"lib.process"}


@pytest.mark.slow
def test_stages_are_run_in_one_place() -> None:
    """Pipelines, agent loops and measurements ask it to: what an end means must not depend on who ran the stage."""
    starting = {name_of(path) for path in MODULES if re.search(r"(?<!class )\bProgram\(", path.read_text())}

    assert starting == {"runner.stage_run"}


@pytest.mark.slow
def test_git_is_run_in_one_folder() -> None:
    """A list or tuple that begins with "git" is a command line."""
    running = set()
    for path in MODULES:
        for node in ast.walk(TREES[path]):
            first = node.elts[0] if isinstance(node, ast.List | ast.Tuple) and len(node.elts) > 1 else None
            if isinstance(first, ast.Constant) and first.value == "git":
                running.add(name_of(path))

    # `try` plays the user of a repository that it made.
    played = {"commands.playground.play", "commands.playground.history"}
    assert {name for name in running if layer(name) != "git"} <= played


def test_git_python_is_imported_where_whole_repositories_are_made_and_walked_only() -> None:
    assert {one.importer for one in ALL_IMPORTS if one.imported.split(".")[0] == "git"} <= {
        "commands.playground.scratch",
        "scan.clones",
        "scan.sources",
    }


# Start-up cost


def test_modules_take_from_our_own_file_what_costs_a_start_less_than_from_typing() -> None:
    """`from orchgate.lib.typed import TYPE_CHECKING, NamedTuple`: type checkers see those of `typing` and `enum`."""
    ours = {"TYPE_CHECKING", "NamedTuple", "Protocol", "Enum"}
    wrong = [
        f"{path.relative_to(TOP)}:{node.lineno}: {alias.name}"
        for path in MODULES
        if name_of(path) != "lib.typed"
        for node in ast.walk(TREES[path])
        if isinstance(node, ast.ImportFrom) and node.module in ("typing", "enum")
        for alias in node.names
        if alias.name in ours
    ]

    assert wrong == []


LOADED = """
import sys
before = set(sys.modules)
from orchgate.cli import main
code = main(sys.argv[1:])
sys.stderr.write("\\n".join(name for name in sys.modules if name not in before))
sys.exit(code)
"""
HEAVY = {
    "ruamel",
    "tomlkit",
    "yaml",
    "git",
    "rich",
    "jsonschema",
    "jsonschema_rs",
    "msgspec",
    "unidiff",
    "dataclasses",
    "inspect",
    "asyncio",
    "pathlib",
    "re2",
    "gettext",  # argparse would have it look for a catalogue of translations
    "shutil",
    "duckdb",
    "obstore",
    "distributed",
    "dask",
}
BEYOND_ONE_MACHINE = ("orchgate.history", "orchgate.trends", "orchgate.cluster", "orchgate.scan")


def loaded(repo: Repo, *argv: str) -> set[str]:
    """Modules that a command loads on top of the bare interpreter."""
    completed = subprocess.run([sys.executable, "-c", LOADED, *argv], cwd=repo.root, capture_output=True, check=False)
    assert completed.returncode == 0, completed.stdout + completed.stderr
    return set(completed.stderr.decode().split())


def test_version_loads_almost_nothing(repo: Repo) -> None:
    assert loaded(repo, "--version") & (HEAVY | {"argparse", "typing", "re", "enum", "json", "subprocess"}) == set()


def test_the_help_of_what_judges_loads_nothing_that_judges(repo: Repo) -> None:
    named = loaded(repo, "hook", "--help")  # and the module of `check` with it

    assert {name for name in named if name.startswith(("orchgate.gate", "orchgate.git", "orchgate.config"))} == set()


@pytest.fixture
def small(repo: Repo) -> Repo:
    """A repository with configuration and documents, and a change to one of them."""
    repo.commit(files={"orchgate.toml": "", "docs/notes.md": "# Notes\n", "a.py": "x = 1\n"})
    repo.stage("docs/notes.md", "# Notes\n\nSee [the code](../a.py).\n")
    return repo


# What takes longer to load than a commit may spend on it: 10 to 60 million instructions each.
NOT_FOR_A_COMMIT = {
    *("typing", "subprocess", "threading", "selectors", "locale", "argparse", "json", "tomllib", "datetime"),
    *(
        "hashlib",
        "difflib",
        "tempfile",
        "traceback",
        "orchgate.runs.run",
        "orchgate.lib.json_data",
        "orchgate.gate.versions",
    ),
}


@pytest.mark.slow
def test_a_commit_loads_nothing_heavy(small: Repo) -> None:
    found = loaded(small, "check", "--staged")

    assert found & (HEAVY | NOT_FOR_A_COMMIT) == set()
    assert {name for name in found if name.startswith((*BEYOND_ONE_MACHINE, "orchgate.tools"))} == set()


@pytest.mark.slow
def test_a_commit_that_is_held_to_a_shared_configuration_loads_nothing_heavy(small: Repo) -> None:
    shared = "[diff-budget]\nmax-lines = 400\n"
    digest = hashlib.sha256(shared.encode()).hexdigest()
    small.commit("shared", {"p.toml": shared, "orchgate.toml": f'extends = ["p.toml#sha256={digest}"]\n'})
    small.stage("docs/notes.md", "# Notes\n")

    found = loaded(small, "check", "--staged")

    assert found & (HEAVY | NOT_FOR_A_COMMIT | {"ssl", "urllib.request", "http.client", "socket"}) == set()
    assert "orchgate.config.shared.policy" not in found


SIGNED = "[signatures]\nroles.ci = ['ci@*']\nrequired = ['*:ci']\n"


@pytest.mark.slow
@pytest.mark.parametrize(("policy", "named"), [("", set()), (SIGNED, {"orchgate.config.signing"})])
def test_what_knows_of_signatures_is_loaded_where_something_is_claimed(
    small: Repo, policy: str, named: set[str]
) -> None:
    small.commit(files={"orchgate.toml": policy})
    small.stage("docs/notes.md", "# Notes\n\nSee [the code](../a.py), twice.\n")

    rooms = ("orchgate.attest", "orchgate.signers", "orchgate.config.signing")
    assert {name for name in loaded(small, "check", "--staged") if name.startswith(rooms)} == named


@pytest.mark.slow
def test_a_push_that_is_not_measured_loads_nothing_of_other_machines(small: Repo) -> None:
    base = small.git("rev-parse", "HEAD")
    small.commit("more", {"a.py": "x = 2\n"})

    found = loaded(small, "check", "--from-ref", base, "--to-ref", "HEAD")

    assert found & HEAVY == set()
    assert {name for name in found if name.startswith((*BEYOND_ONE_MACHINE, "orchgate.speed"))} == set()


# Half a million instructions a module, and as many a pattern, are paid by every commit of everybody. Both limits are
# what is reached: whoever needs less lowers them, whoever needs more says for what.
MOST_MODULES, MOST_PATTERNS = 86, 11

COUNTED = """
import re, sys
compile, counted = re._compiler.compile, []
re._compiler.compile = lambda source, flags=0: counted.append(source) or compile(source, flags)
from orchgate.cli import main
code = main(["check", "--staged"])
named = [name for name in sys.modules if name.startswith("orchgate")]
sys.stderr.write(f"{len(named)} {len(counted)}")
sys.exit(code)
"""


@pytest.mark.slow
def test_a_commit_loads_few_modules_and_compiles_few_patterns(small: Repo) -> None:
    done = subprocess.run([sys.executable, "-c", COUNTED], cwd=small.root, capture_output=True, check=True, text=True)
    modules, patterns = map(int, done.stderr.split())

    assert modules <= MOST_MODULES, "load it where it is used: python -X importtime -m orchgate check --staged"
    assert patterns <= MOST_PATTERNS, "declare it with orchgate.lib.lazy, or look for plain text first"


@pytest.mark.slow
def test_a_commit_loads_nothing_from_other_packages(small: Repo) -> None:
    names = {name.split(".")[0] for name in loaded(small, "check", "--staged")}

    assert {
        name for name in names if name not in sys.stdlib_module_names and not name.startswith("_sysconfigdata")
    } == {"orchgate"}


@pytest.mark.slow
def test_a_commit_loads_no_format_but_text(small: Repo) -> None:
    named = loaded(small, "check", "--staged")

    assert {name for name in named if name.startswith("orchgate.outputs.")} == {
        "orchgate.outputs._escape",
        "orchgate.outputs.text",
    }
    assert "orchgate.commands.shared.delivery" not in named


@pytest.mark.slow
def test_a_single_check_does_not_load_the_others(small: Repo) -> None:
    checks = {name for name in loaded(small, "check", "--staged", "diff-budget") if name.startswith("orchgate.checks.")}

    assert checks == {"orchgate.checks.diff_budget"}


# Plug-ins


@pytest.mark.parametrize("name", registry.check_ids())
def test_a_check_is_called_as_its_file(name: str) -> None:
    assert registry.load_check(name).id == name


@pytest.mark.parametrize("name", registry.plugins("commands"))
def test_a_command_has_what_the_command_line_needs(name: str) -> None:
    module = registry.load("commands", name)

    assert module.SUMMARY
    assert callable(module.arguments)
    assert callable(module.run)


def test_no_rule_belongs_to_two_checks() -> None:
    ids = [rule.id for name in registry.check_ids() for rule in registry.load_check(name).rules]

    assert len(ids) == len(set(ids))


HOOKS = yaml.safe_load((TOP / ".pre-commit-hooks.yaml").read_text())
(MESSAGE_HOOK,) = (hook for hook in HOOKS if hook["id"] == message_hook.ID)
CHECK_HOOKS = [hook for hook in HOOKS if hook is not MESSAGE_HOOK]


def test_hooks_are_the_checks_one_for_all_and_one_for_the_message() -> None:
    ids = {"orchgate", *(f"orchgate-{name}" for name in registry.check_ids()), message_hook.ID}

    assert [hook["id"] for hook in HOOKS] == sorted(ids)


def test_the_hook_for_the_message_gets_its_file() -> None:
    assert MESSAGE_HOOK == {
        "id": message_hook.ID,
        "name": "orchgate commit-msg",
        "description": "what only the commit's message can excuse, judged with the message",
        "entry": "orchgate hook commit-msg",
        "language": "python",
        "always_run": True,
        "require_serial": True,
        "verbose": True,
        "stages": ["commit-msg"],
        "minimum_pre_commit_version": "3.2.0",
    }


@pytest.mark.parametrize("hook", CHECK_HOOKS, ids=lambda hook: hook["id"])
def test_a_hook_has_every_field(hook: dict[str, object]) -> None:
    name = str(hook["id"]).removeprefix("orchgate").removeprefix("-")

    assert hook == {
        "id": hook["id"],
        "name": f"orchgate {name}".strip(),
        "description": registry.load_check(name).summary if name else "every check of the gate in one process",
        "entry": f"orchgate check {name}".strip(),
        "language": "python",
        "pass_filenames": False,
        "always_run": True,
        "require_serial": True,
        "verbose": True,
        "stages": list(registry.load_check(name).stages if name else STAGES),
        "minimum_pre_commit_version": "3.2.0",
    }


# Rules

CASES = TOP / "tests" / "cases"
EXPECTED = {
    case: (case / "EXPECTED").read_text()
    for check in CASES.iterdir()
    if check.is_dir()
    for case in check.iterdir()
    if case.is_dir()
}
SOURCES = "\n".join(
    path.read_text() for path in sorted((TOP / "tests").glob("*.py")) if path.name != Path(__file__).name
)


@pytest.mark.parametrize("name", suppressions.every_rule())
def test_a_rule_explains_itself(name: str) -> None:
    check, rule = suppressions.every_rule()[name]

    assert rule.id == name
    assert re.fullmatch(r"[A-Z]{3}\d{3}", name)
    assert all(text.strip() for text in (check, rule.title, rule.what, rule.why, rule.bad, rule.good))


@pytest.mark.parametrize("name", suppressions.every_rule())
def test_a_rule_has_a_failing_case(name: str) -> None:
    cases = [case.name for case, lines in EXPECTED.items() if f": {name} " in lines]

    assert cases or name in SOURCES


@pytest.mark.parametrize("name", suppressions.every_rule())
def test_a_rule_weighs_in_some_case_what_it_says(name: str) -> None:
    """Some rules weigh differently by situation; what `explain` calls their weight is one of those."""
    seen = {word for lines in EXPECTED.values() for word in re.findall(rf": {name} (error|warning|note) ", lines)}

    assert not seen or suppressions.every_rule()[name][1].severity.value in seen


@pytest.mark.parametrize("check", [check.name for check in CASES.iterdir() if check.is_dir()])
def test_a_check_has_passing_cases_that_had_something_to_look_at(check: str) -> None:
    passing = [lines for case, lines in EXPECTED.items() if case.parent.name == check and case.name[:5] == "pass-"]
    looked_at = [lines for lines in passing if re.search(r"^examined: .*[1-9]", lines)]

    # What `performance` examines is runs, and a folder has none: tests/test_performance_push.py counts them.
    assert looked_at or (check == "performance" and passing)


@pytest.mark.parametrize("path", sorted((TOP / "schemas").glob("*.json")), ids=lambda path: path.stem)
def test_a_schema_is_valid_and_refers_to_nothing_outside(path: Path) -> None:
    schema = json.loads(path.read_text())
    jsonschema.Draft202012Validator.check_schema(schema)

    assert all(ref.startswith("#") for ref in re.findall(r'"\$ref":\s*"([^"]*)"', path.read_text()))


@pytest.mark.parametrize("name", ["no-such.json", "../pyproject.toml", "/etc/passwd", "", ".", "report"])
def test_only_data_files_are_read_as_data(name: str) -> None:
    with pytest.raises(OrchgateError, match="schemas/ holds no "):
        files.read_data("schemas", name)


# The tests themselves


def test_no_property_test_has_a_deadline() -> None:
    profile = settings()

    assert (profile.deadline, HealthCheck.too_slow in profile.suppress_health_check) == (None, True)


@pytest.mark.slow
def test_no_test_measures_time() -> None:
    """What must not hang or grow is counted with tests/work.py; these wait for something, until only a hang is left."""
    clock = re.compile(r"\btime\.(time|monotonic|perf_counter|process_time)(_ns)?\(\)")
    waiting = {"runs.py", "test_faults.py", "test_observe.py"}
    holding = {path.name for path in (TOP / "tests").glob("*.py") if clock.search(path.read_text())}

    moments = {"test_performance_push.py", "test_wrong_clock.py"}  # no durations
    moments |= {"test_tree_costs.py"}  # its programs say themselves what they took
    moments |= {"test_history_buckets.py"}  # a push is killed in the middle of what one takes

    assert holding - waiting - {Path(__file__).name} <= moments


# Lists in two places


def test_the_version_is_one() -> None:
    assert tomllib.loads((TOP / "pyproject.toml").read_text())["project"]["version"] == __version__


def test_the_oldest_packages_of_the_extra_are_those_that_a_store_asks_for() -> None:
    from orchgate.commands.history.workspace import OLDEST

    extra = tomllib.loads((TOP / "pyproject.toml").read_text())["project"]["optional-dependencies"]["history"]

    assert extra == [f"{name}>={version}" for name, version in OLDEST.items()]


def test_our_own_hooks_need_what_the_project_says() -> None:
    """Out of date? `nox -s hooks` writes it."""
    written = hook_dependencies.CONFIG.read_text()

    assert hook_dependencies.rendered(written) == written


def test_the_help_in_the_readme_is_the_real_one() -> None:
    """ORCHGATE_UPDATE_DOCS=1 writes it."""
    path = TOP / "README.md"
    before, start, rest = path.read_text().partition("<!-- help -->\n```text\n")
    written, end, after = rest.partition("```\n<!-- /help -->")
    if os.environ.get("ORCHGATE_UPDATE_DOCS"):
        path.write_text(before + start + help_text() + end + after)
        written = help_text()
    assert written == help_text()


def test_the_readme_names_every_check() -> None:
    readme = (TOP / "README.md").read_text()

    assert [name for name in registry.check_ids() if f"`{name}`" not in readme] == []


FILES_NAMED = re.compile(r"(?<![\w./-])((?:[\w-]+/)+[\w-]+\.py)\b")
MODULES_NAMED = re.compile(r"`(?:orchgate\.)?([a-z_]+)\.([a-z_]+)(?:\.\w+)*`")
TABLES = ("commands", "evidence")  # rooms, and tables of the configuration
PAGES = [*TOP.glob("*.md"), *(TOP / "docs").rglob("*.md")]


@pytest.mark.slow
def test_files_and_modules_that_a_text_names_are_there() -> None:
    """Names of files and modules in comments, docstrings and pages outlive the files unless somebody looks."""
    rooms = {path.parent.name for path in MODULES} - {"orchgate", *TABLES}
    gone = []
    for path in (*MODULES, *PAGES):
        text = path.read_text()
        made = re.findall(r"^# (orchgate/\S+\.py)$", text, re.MULTILINE)  # what a recipe writes
        for name in {*FILES_NAMED.findall(text)}.difference(made):
            ours = name.split("/")[0] in {*rooms, *TABLES, "bench", "orchgate", "tests"}
            if ours and not (TOP / name).exists() and not (PACKAGE / name).exists():
                gone.append(f"{path.relative_to(TOP)}: {name}")
        for room, name in MODULES_NAMED.findall(text):
            if room in rooms and name not in ("json", "ndjson") and not any(PACKAGE.glob(f"**/{room}/{name}.py")):
                gone.append(f"{path.relative_to(TOP)}: {room}.{name}")

    assert gone == []


# Packages

BASH, FISH = "share/bash-completion/completions/orchgate", "share/fish/vendor_completions.d/orchgate.fish"


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A source distribution, and the wheel built from it and from nothing else."""
    folder = tmp_path_factory.mktemp("dist")
    succeeding(sys.executable, "-m", "build", "--outdir", folder, TOP)
    return folder


def succeeding(*argv: str | Path) -> str:
    completed = subprocess.run(argv, cwd=TOP.parent, capture_output=True, check=False)
    assert completed.returncode == 0, (completed.stdout + completed.stderr).decode()
    return completed.stdout.decode()


@pytest.mark.slow
@pytest.mark.parametrize(
    "install",
    [
        pytest.param(("pip", "--quiet", "--python", "{python}", "install", "--no-index"), id="pip"),
        pytest.param(("uv", "pip", "install", "--quiet", "--python", "{python}", "--no-index"), id="uv"),
    ],
)
def test_the_wheel_of_the_source_distribution_works_elsewhere(
    packages: Path, tmp_path: Path, install: tuple[str, ...]
) -> None:
    fresh = tmp_path / "fresh" / "bin" / "python"
    succeeding(sys.executable, "-m", "venv", "--without-pip", tmp_path / "fresh")
    (wheel,) = packages.glob("*.whl")
    succeeding(sys.executable, "-m", *(word.format(python=fresh) for word in install), "--no-deps", wheel)
    installed = fresh.with_name("orchgate")

    assert succeeding(installed, "--version") == f"orchgate {__version__}\n"
    assert succeeding(installed, "completion", "bash") == (tmp_path / "fresh" / BASH).read_text()
    assert {"share/man/man1/orchgate.1", "share/zsh/site-functions/_orchgate", FISH} <= {
        path.relative_to(tmp_path / "fresh").as_posix() for path in (tmp_path / "fresh" / "share").rglob("*")
    }
    assert succeeding(installed, "schema", "report") == (TOP / "schemas" / "report.json").read_text()
    (package,) = (tmp_path / "fresh" / "lib").glob("python3.*/site-packages/orchgate")
    for folder in ("schemas", "templates"):
        assert {path.name for path in (package / folder).iterdir()} == {path.name for path in (TOP / folder).iterdir()}


@pytest.mark.slow
def test_the_source_distribution_holds_no_link(packages: Path) -> None:
    (archive,) = packages.glob("*.tar.gz")

    with tarfile.open(archive) as opened:
        assert [member.name for member in opened if member.issym() or member.islnk()] == []
