"""The documentation: its reference is what the code says, and what its pages name is there."""

from __future__ import annotations

import os
import re
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from orchgate.config.keys import EXTEND, every
from orchgate.config.load import build, declared
from orchgate.config.source import outside
from orchgate.errors import ConfigError
from orchgate.gate import suppressions
from tests import reference_pages, test_strangers
from tests.command_lines import refused_words

TOP = Path(__file__).parent.parent
DOCS = TOP / "docs"
PAGES = {path.relative_to(DOCS).as_posix(): path.read_text() for path in sorted(DOCS.rglob("*.md"))}
DOCUMENTS = {**PAGES, **{name: (TOP / name).read_text() for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")}}


@pytest.mark.parametrize("name", reference_pages.PAGES)
def test_a_page_of_the_reference_is_what_the_code_says(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """ORCHGATE_UPDATE_DOCS=1 writes it."""
    if name == "reference/commands.md" and sys.version_info[:2] != (3, 11):
        pytest.skip("argparse lays its help out otherwise in other versions")
    monkeypatch.setenv("COLUMNS", "80")
    path, text = DOCS / name, reference_pages.PAGES[name]()
    if os.environ.get("ORCHGATE_UPDATE_DOCS"):
        path.write_text(text)

    assert path.read_text() == text


class _Site(yaml.SafeLoader):
    """mkdocs.yml names Python functions, which nobody needs to call here."""


_Site.add_multi_constructor("tag:yaml.org,2002:python/", lambda *_: None)


def test_the_navigation_names_every_page_once() -> None:
    waiting: list[object] = list(yaml.load((TOP / "mkdocs.yml").read_text(), _Site)["nav"])
    named = []
    while waiting:
        match waiting.pop():
            case str(page):
                named.append(page)
            case dict() as section:
                waiting += section.values()
            case list() as inner:
                waiting += inner

    assert sorted(named) == sorted(PAGES)


def test_every_command_line_is_taken() -> None:
    wrong = [
        f"{name}: {line}: {said}"
        for name, text in DOCUMENTS.items()
        for line in commands_in(text)
        if (said := refused_words(line))
    ]

    assert wrong == []


def commands_in(text: str) -> list[str]:
    """The `orchgate …` lines of blocks in a page, without comments, variables and what is left out."""
    found = []
    for kind, block in re.findall(r"^ *```(console|sh)[^\n]*\n(.*?)^ *```", text, re.DOTALL | re.MULTILINE):
        lines = block.replace("\\\n", " ").splitlines()
        for line in [line for line in lines if kind == "sh" or line.startswith("$ ")]:
            said = re.sub(r"\s{2,}\S.*$|\s+#\s.*$", "", line.strip().removeprefix("$ "))
            parts = re.split(r"\s*(?:&&|\|)\s*", said)
            found += [part for part in parts if part.startswith("orchgate ") and "…" not in part]
    return found


def test_every_rule_that_a_page_names_is_there() -> None:
    known = {*suppressions.every_rule()}
    families = {name[:3] for name in known}
    named = {
        (page, rule)
        for page, text in PAGES.items()
        for rule in re.findall(r"\b[A-Z]{3}\d{3}\b", text)
        if rule[:3] in families
    }

    assert [one for one in sorted(named) if one[1] not in known] == []


TABLES = declared()
KEYS = {".".join((name, *path) if name else path) for name, table in TABLES.items() for path, _ in every(table)}
OPEN = ("diff-budget.areas.", "performance.metrics.", "pipelines.", "severity.")  # tables whose names users choose
KEY = re.compile(r"`([a-z-]+(?:\.[\w-]+)+)(?: = [^`]*)?`")


def test_every_key_that_a_page_names_is_there() -> None:
    sections = {key.rpartition(".")[0] for key in KEYS}
    old = {"performance.budget-seconds", "per-file-ignores"}
    unknown = [
        f"{page}: {key}"
        for page, text in PAGES.items()
        for key in KEY.findall(text if page != "reference/configuration.md" else "")  # which names old ones, too
        if key.split(".")[0] in TABLES and not key.startswith(OPEN) and not key.endswith((".py", ".md", ".lock"))
        if key.replace(f".{EXTEND}", ".") not in KEYS | sections | old
    ]

    assert unknown == []


def test_every_toml_of_a_page_is_a_configuration(tmp_path: Path) -> None:
    wrong = []
    for page, text in DOCUMENTS.items():
        for number, block in enumerate(re.findall(r"^```toml[^\n]*\n(.*?)^```", text, re.DOTALL | re.MULTILINE)):
            (tmp_path / f"{number}.toml").write_text(block + _missing(block))
            try:
                build(outside(str(tmp_path / f"{number}.toml")))  # what it may extend is not there
            except ConfigError as error:
                wrong.append(f"{page}: {error.message}: {block}")

    assert wrong == []


def _missing(block: str) -> str:
    """The pipeline that an excerpt measures, where it is not in it."""
    name = re.search(r'^pipeline = "([^"]+)"', block, re.MULTILINE)
    if name is None or f"pipelines.{name[1]}." in block:
        return ""
    return f'\n[[pipelines.{name[1]}.stages]]\nid = "x"\nrun = ["x"]\n'


KINDS = ("console", "text")
OURS = "https://github.com/orchgate/orchgate/blob/main/"


def test_what_a_page_names_on_github_is_in_the_repository() -> None:
    named = {path for text in PAGES.values() for path in re.findall(rf"{re.escape(OURS)}([^\s)#]+)", text)}

    assert [path for path in sorted(named) if not (TOP / path).exists()] == []


def test_a_page_asks_nothing_of_another_host() -> None:
    shown = re.compile(r"!\[[^\]]*\]\(https?:|<(?:img|script|link|iframe)\b", re.IGNORECASE)

    assert [page for page, text in PAGES.items() if shown.search(text)] == []


def test_every_screen_was_printed_by_a_page_that_is_followed() -> None:
    """A refusal in one page is quoted from another, whose commands a test runs."""
    screen, quotation = (re.compile(rf"^```{kind}[^\n]*\n(.*?)^```", re.DOTALL | re.MULTILINE) for kind in KINDS)
    screens = "\n".join(block for text in PAGES.values() for block in screen.findall(text))
    quoted = [
        (page, line)
        for page, text in PAGES.items()
        if page not in reference_pages.PAGES
        for block in quotation.findall(text)
        if re.search(r"^orchgate: |\b[A-Z]{3}\d{3} ", block, re.MULTILINE)
        for line in block.splitlines()
    ]

    assert [one for one in quoted if one[1] not in screens] == []


def test_the_site_needs_no_newer_python_than_the_program() -> None:
    groups = tomllib.loads((TOP / "pyproject.toml").read_text())["dependency-groups"]

    assert [line.partition(">")[0] for line in groups["docs"]] == ["zensical"]


@pytest.mark.slow
def test_every_environment_variable_of_ours_is_on_its_page() -> None:
    sources = "".join(path.read_text() for path in (TOP / "orchgate").rglob("*.py"))

    assert {*re.findall(r"ORCHGATE_[A-Z_]+[A-Z]", sources)} == {
        *re.findall(r"ORCHGATE_[A-Z_]+[A-Z]", PAGES["reference/environment.md"])
    }


OF_OTHERS = {  # git, pre-commit, Bencher, hyperfine, Dask, clones of CI, and a secret in an example
    "--adapter",
    "--benchmark-json",
    "--command-name",
    "--depth",
    "--hook-stage",
    "--no-verify",
    "--nthreads",
    "--single-branch",
    "--token",
}


def test_every_option_that_a_page_names_is_one_of_ours_or_of_git() -> None:
    """An option outside of a command line; what stands in one is parsed."""
    ours = {option for _, parser in reference_pages.parsers() for option in parser._option_string_actions}
    ours |= {old for _, parser in reference_pages.parsers() for old in parser.old_names}
    unknown = {
        (page, option)
        for page, text in PAGES.items()
        if page not in reference_pages.PAGES
        for option in re.findall(r"`(--[a-z][a-z-]+)[^`]*`", text)
        if option not in ours | OF_OTHERS
    }

    assert unknown == set()


def test_every_file_of_ours_that_the_page_about_files_names_is_one_the_code_knows() -> None:
    sources = "".join(path.read_text() for path in (TOP / "orchgate").rglob("*.py"))
    listed = re.findall(
        r"`[^`]*?([\w.-]+\.(?:json|jsonl|lock|toml|index)|\.gitattributes)`", PAGES["reference/files.md"]
    )

    assert [name for name in listed if name not in sources] == []


def test_what_runs_nothing_was_tried_in_a_hostile_repository() -> None:
    """The first row of the page about promises."""
    promised = re.findall(r"`([^`]+)`", PAGES["security.md"].partition("| no:")[0].rpartition("\n")[2])
    tried = {*test_strangers.READING, *test_strangers.WRITING}

    untried = [command for command in promised if not any(line.startswith(command) for line in tried)]
    assert untried == ["performance"]  # which it says is left out


def test_only_evidence_that_travels_uses_the_network() -> None:
    using = [path for path in (TOP / "orchgate").rglob("*.py") if re.search(r"\.online\(", path.read_text())]

    assert [path.relative_to(TOP).as_posix() for path in using] == ["orchgate/git/store/contents.py"]


def test_every_file_of_this_repository_that_a_page_names_is_there() -> None:
    ours = re.compile(r"`((?:bench|fuzz|orchgate|schemas|templates|tests)/[\w./-]+\.\w+)`")
    named = {(page, path) for page, text in PAGES.items() for path in ours.findall(text)}

    assert [
        one for one in sorted(named) if not (TOP / one[1]).exists() and not (TOP / "orchgate" / one[1]).exists()
    ] == []
