"""Which files are documents, and what MDX adds to Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from orchgate.cli import main
from orchgate.markdown.document import Document
from orchgate.packets.layout import layout_of
from tests.support import checked, folder_context
from tests.work import growth

if TYPE_CHECKING:
    from pathlib import Path

    from tests.repo import Repo

BROKEN = "# Note\n\n[a](gone.md)\n"
NAMES = ["a.md", "a.markdown", "a.MD", "a.mdx", "a.Md", "a.MARKDOWN", "a.MDX", "docs/a.mD", ".github/a.Markdown"]


def said(*args: str) -> list[tuple[str, str, int | None]]:
    return [(d["rule"], d["path"], d["line"]) for d in checked(*(args or ("--staged", "evidence")))["diagnostics"]]


@pytest.mark.slow
@pytest.mark.parametrize("scope", ["--staged", "--all-files"])
@pytest.mark.parametrize("name", NAMES)
def test_a_document_is_read_under_every_name_it_may_have(repo: Repo, name: str, scope: str) -> None:
    repo.stage(name, BROKEN)

    assert said(scope, "evidence") == [("EVD001", name, 3)]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["a.txt", "a.mdc", "amd", "md", "a.md.bak", "a.markdownx", "a.cmd"])
def test_other_files_are_no_documents(repo: Repo, name: str) -> None:
    repo.stage(name, BROKEN)

    assert said() == []


@pytest.mark.slow
def test_what_is_a_document_can_be_configured(repo: Repo) -> None:
    repo.commit("start", {"orchgate.toml": "[evidence]\ndocuments = ['**/*.txt']\n"})
    repo.stage("a.txt", BROKEN)
    repo.stage("a.md", BROKEN)

    assert said() == [("EVD001", "a.txt", 3)]


@pytest.mark.slow
def test_reading_fewer_names_is_a_loosening(repo: Repo) -> None:
    repo.commit("start")
    repo.commit("narrow", {"orchgate.toml": "[evidence]\ndocuments = ['**/*.md']\n", "a.mdx": BROKEN})

    rules = {d["rule"] for d in checked("--base", "HEAD~1")["diagnostics"] if d["severity"] == "error"}
    assert "CFG001" in rules


@pytest.mark.slow
@pytest.mark.parametrize("name", ["b.markdown", "b.MD", "b.mdx", "sub/b.Mdx"])
def test_a_target_that_is_taken_away_is_missed_in_every_document(repo: Repo, name: str) -> None:
    repo.commit("start", {"gone.txt": "x\n", name: "# Note\n\n[a](/gone.txt)\n"})
    repo.git("rm", "-q", "gone.txt")

    assert said() == [("EVD001", name, 3)]


@pytest.mark.slow
def test_a_target_that_is_taken_away_is_missed_in_documents_of_a_configured_name(repo: Repo) -> None:
    files = {
        "gone.md": "x\n",
        "b.rst": "# Note\n\n[a](gone.md)\n",
        "orchgate.toml": "[evidence]\ndocuments=['*.rst']\n",
    }
    repo.commit("start", files)
    repo.git("rm", "-q", "gone.md")

    assert said() == [("EVD001", "b.rst", 3)]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["b.markdown", "b.MD", "b.mdx"])
def test_anchors_of_every_document_are_checked(repo: Repo, name: str) -> None:
    repo.stage(name, "# Title\n\n## Here\n")
    repo.stage("a.md", f"[x]({name}#here)\n[y]({name}#gone)\n")

    assert said() == [("EVD013", "a.md", 2)]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["docs/PRD-x.markdown", "docs/PRD-x.MD", "docs/PRD-x.mdx", "docs/PRD-x.Md"])
def test_a_packet_document_counts_under_every_name(repo: Repo, name: str) -> None:
    repo.stage(name, "# PRD\n")

    assert ("DOC002", name, None) in said("--staged", "documents")


def test_of_two_names_the_usual_one_is_the_packets(tmp_path: Path) -> None:
    paths = ("docs/PRD-x.MD", "docs/PRD-x.markdown", "docs/PRD-x.md", "docs/PRD-x.mdx")
    layout = layout_of(folder_context(tmp_path).config.documents)

    assert min(layout.documents_among(paths), key=lambda place: place.rank).path == "docs/PRD-x.md"


@pytest.mark.slow
def test_an_ignore_comment_works_in_every_document(repo: Repo) -> None:
    repo.stage("a.MARKDOWN", "# Note\n\n<!-- orchgate: ignore[EVD001] moves next week -->\n[a](gone.md)\n")

    assert main(["check", "--staged", "evidence"]) == 0


# MDX


def mdx(text: str) -> Document:
    return Document("a.mdx", text.encode())


IGNORE = "{/* orchgate: ignore[EVD001] moves next week */}"


@pytest.mark.slow
@pytest.mark.parametrize(
    "text",
    [
        f"# T\n\n{IGNORE}\n[a](gone.md)\n",
        f"# T\n\n[a](gone.md) {IGNORE}\n",
        f"{IGNORE}\n[a](gone.md)\n",
        f"# T\n\n  {IGNORE}\n\n\n[a](gone.md)\n",
        f"# T\n\n{IGNORE}\n{{/* another */}}\n[a](gone.md)\n",
        "# T\n\n{/*\n  orchgate: ignore[EVD001]\n\n  moves next week\n*/}\n[a](gone.md)\n",
        "# T\n\n<!-- orchgate: ignore[EVD001] moves next week -->\n[a](gone.md)\n",
    ],
)
def test_a_comment_of_mdx_suppresses(repo: Repo, text: str) -> None:
    repo.stage("a.mdx", text)

    assert main(["check", "--staged", "evidence"]) == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    "text",
    [
        "# T\n\n{/* orchgate: ignore[EVD001] */}\n[a](gone.md)\n",
        f"# T\n\n`{IGNORE}`\n[a](gone.md)\n",
        f"# T\n\n```\n{IGNORE}\n```\n[a](gone.md)\n",
        "# T\n\n{/* orchgate: ignore[EVD001] never closed\n[a](gone.md)\n",
        f"# T\n\n[a](gone.md)\n\n{IGNORE}\n",
    ],
)
def test_what_is_no_comment_of_mdx_suppresses_nothing(repo: Repo, text: str) -> None:
    repo.stage("a.mdx", text)

    assert main(["check", "--staged", "evidence"]) == 1


@pytest.mark.slow
def test_a_comment_of_mdx_is_none_elsewhere(repo: Repo) -> None:
    repo.stage("a.md", f"# T\n\n{IGNORE}\n[a](gone.md)\n")

    assert main(["check", "--staged", "evidence"]) == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    "text",
    [
        "import x from './y'\n\nText.\n",
        "import Tabs from '@theme/Tabs'\nimport {a, b} from '../gone.js'\n\n# T\n",
        "export const rows = [\n  [a][b],\n]\n\n# T\n",
        "export const f = (rows) => rows[0](rows)\n",
        "# T\n\n<Chart data={[[1], [2]][0]} on={() => handlers[0](event)} />\n",
        "# T\n\n<Card href={link} title={titles[0][1]} />\n",
        "# T\n\n<Card\n  style={{color: 'red'}}\n  rows={[\n    [one][two],\n  ]}\n/>\n",
        "# T\n\n{/* [a](gone.md) and\n\n`docs/gone.md` */}\n",
        "# T\n\nThe sum is {totals['a'](b)}.\n",
        "# T\n\n{items.map(item => <li>{names[item](x)}</li>)}\n",
        "## T {#own-id}\n\n[a](#own-id)\n".replace("[a](#own-id)", "text"),
        "# T\n\n<Tabs>\n\n    text below a tag\n\n</Tabs>\n",
    ],
)
def test_code_of_mdx_raises_no_findings(repo: Repo, text: str) -> None:
    repo.stage("a.mdx", text)

    assert said() == []


@pytest.mark.slow
@pytest.mark.parametrize(
    "text",
    [
        "import x from './y'\n\n[a](gone.md)\n",
        "# T\n\n<Tabs>\n\n    [a](gone.md)\n\n</Tabs>\n",
        "# T\n\na brace { that nothing closes [a](gone.md)\n",
        "# T\n\n`{` [a](gone.md) `}`\n",
        "# T\n\n``{ ` `` [a](gone.md) }\n",
        "# T\n\n\\{ [a](gone.md) \\}\n",
        "# T\n\n} [a](gone.md) {\n",
        "# T\n\n{\n\n[a](gone.md)\n\n}\n",
        "import the data, then read [a](gone.md)\n",
        "export everything, then read [a](gone.md)\n",
        "# T\n\n{/* one */} [a](gone.md) {/* two */}\n",
        "# T\n\n{value} [a](gone.md) {other}\n",
        "---\nid: x\n---\n[a](gone.md)\n",
    ],
)
def test_links_of_mdx_are_checked(repo: Repo, text: str) -> None:
    repo.stage("a.mdx", text)

    assert [rule for rule, *_ in said()] == ["EVD001"]


def test_blanking_keeps_every_place() -> None:
    text = "# T {a}\n\n{/* x\n\ny */} [a](gone.md)\n\nexport const a = {\n  b: 1,\n}\n"
    document = mdx(text)

    assert (len(document.text), document.text.count("\n")) == (len(text), text.count("\n"))


@pytest.mark.parametrize("text", ["{/*", "{", "}", "{}", "{/* a */}", "`{", "export const a\n\n", "{/* a\n", "{{}}\n"])
def test_mdx_is_read_in_linear_work(text: str) -> None:
    def read(number: int) -> object:
        return mdx(text * number).comments

    assert growth(read, 200, 4) < 1.3


SITE = {
    "docs/intro.mdx": "# Intro\n",
    "docs/more/index.mdx": "# More\n",
    "static/img/a.png": "png\n",
    "src/pages/about.mdx": "# About\n",
    "site/docs/inner.md": "# Inner\n",
}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("docs/a.mdx", "intro"),
        ("docs/a.mdx", "./intro"),
        ("docs/a.mdx", "/docs/intro"),
        ("docs/a.mdx", "/docs/intro/"),
        ("docs/a.mdx", "more"),
        ("docs/a.mdx", "/img/a.png"),
        ("docs/a.mdx", "@site/static/img/a.png"),
        ("docs/a.mdx", "/about"),
        ("site/docs/a.mdx", "/docs/inner"),
        ("a.mdx", "/docs/intro"),
    ],
)
def test_what_a_site_serves_is_there_for_its_pages(repo: Repo, name: str, target: str) -> None:
    repo.commit("start", SITE)
    repo.stage(name, f"# A\n\n[a]({target})\n")

    assert said() == []


@pytest.mark.slow
@pytest.mark.parametrize("target", ["gone", "/docs/gone", "/img/b.png", "@site/static/b.png", "/../../intro"])
def test_what_a_site_does_not_serve_is_not(repo: Repo, target: str) -> None:
    repo.commit("start", SITE)
    repo.stage("docs/a.mdx", f"# A\n\n[a]({target})\n")

    assert said() in ([("EVD001", "docs/a.mdx", 3)], [("EVD004", "docs/a.mdx", 3)])


@pytest.mark.slow
def test_headings_of_a_page_without_its_suffix_are_judged(repo: Repo) -> None:
    repo.commit("start", SITE)
    repo.stage("docs/a.mdx", "# A\n\n[a](/docs/intro#gone)\n")

    assert [rule for rule, _, _ in said()] == ["EVD013"]


@pytest.mark.slow
def test_a_page_that_is_taken_away_is_missed_where_it_is_named_without_its_suffix(repo: Repo) -> None:
    repo.commit("start", {**SITE, "docs/a.mdx": "# A\n\n[a](/docs/intro)\n"})
    repo.git("rm", "-q", "docs/intro.mdx")

    assert said() == [("EVD001", "docs/a.mdx", 3)]


@pytest.mark.slow
def test_other_documents_are_read_as_github_reads_them(repo: Repo) -> None:
    repo.commit("start", SITE)
    repo.stage("docs/a.md", "# A\n\n[a](/docs/intro)\n")

    assert said() == [("EVD001", "docs/a.md", 3)]
