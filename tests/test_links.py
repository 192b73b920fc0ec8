"""References: what counts as one, where it leads, what its sentence says, and what is suggested instead."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from orchgate.checks.evidence import CHECK, UNJUDGED
from orchgate.git.snapshot import FolderSnapshot
from orchgate.markdown.document import Document
from orchgate.model import Severity
from orchgate.references.artifacts import Artifacts
from orchgate.references.nearest import Nearest
from orchgate.references.resolve import Resolver, Where
from orchgate.references.targets import BarePaths, Sentences, TargetKind, TargetReader
from tests.support import judge_folder, write_tree

if TYPE_CHECKING:
    from pathlib import Path

ROOTS = (".runs", "out")
RUN = "2026-01-06T09-26-22-129Z-c2f9cb47"
LATER = "2026-01-07T10-00-00-000Z-00000001"


@pytest.mark.parametrize(
    "text",
    [
        "npm test",
        "--flag",
        "word",
        "README",
        "@scope/pkg",
        "/api/v1/state",
        "https://x.y/z.md",
        "a...b",
        ".runs/.../x",
        "out/…/x",
        "cat .runs/x/metrics.json",
        "key=out/x",
        "$HOME/x",
        "fn(a)/b",
        "",
        "/Users/ann",
        "~",
        "src/<name>/x",
        "doi:10.1000/a.md",
        "HEAD:docs/a.md",
        "git@host.org:owner/name.git",
        "${OUT}/x.md",
        "%OUT%/x.md",
        "file://",
    ],
)
def test_a_code_span_that_is_no_path_is_no_link(text: str) -> None:
    assert TargetReader(ROOTS).span(text) is None


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("docs/a.md", TargetKind.PATH),
        (".runs/x/metrics.json", TargetKind.PATH),
        ("README.md:12", TargetKind.PATH),
        (".runs/**/manifest.json", TargetKind.PATTERN),
        ("docs/{a,b}.md", TargetKind.PATTERN),
        (".runs/x/cli/<run-id>/manifest.json", TargetKind.UNFILLED),
        ("out/{task}/state.json", TargetKind.UNFILLED),
        ("out/$TASK/state.json", TargetKind.UNFILLED),
        ("out/YYYY-MM-DD/state.json", TargetKind.UNFILLED),
        ("/Users/ann/x.md", TargetKind.LOCAL),
        ("~/x.md", TargetKind.LOCAL),
        ("C:\\Users\\ann\\x.md", TargetKind.LOCAL),
        ("file:///home/ann/x.md", TargetKind.LOCAL),
    ],
)
def test_a_code_span_is_read_as_what_it_is(text: str, kind: TargetKind) -> None:
    target = TargetReader(ROOTS).span(text)

    assert target is not None
    assert target.kind is kind


@pytest.mark.parametrize(
    "text",
    [
        *("https://x.y", "mailto:a@b.c", "//x.y/z", "../../issues/7", "../../../pull/1", "", "…"),
        *("tel:112", "sms:112", "geo:1,2", "doi:10.1000/a.b", "urn:isbn:1", "data:text/plain,x", "javascript:f(x)"),
        *("vscode:extension/a.b", "localhost:3000", "localhost:3000/a.md", "git:a/b.md", "news:12"),
        *('{{<ref"a/b.md">}}', "{%link/a.md%}"),
    ],
)
def test_the_web_is_not_checked(text: str) -> None:
    assert TargetReader(ROOTS).link(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "$OUT/a.md",
        "${OUT}/a.md",
        "%OUT%/a.md",
        "%APPDATA%\\a.md",
        "<repo>/a.md",
        "NNNN-a.md",
        "XXX",
        "{{site.url}}/a.md",
    ],
)
def test_a_variable_in_a_link_is_still_to_be_filled_in(text: str) -> None:
    target = TargetReader(ROOTS).link(text)

    assert target is not None
    assert target.kind is TargetKind.UNFILLED


@pytest.mark.parametrize("text", ["C:\\x", "C:/x", "d:\\a\\b.md"])
def test_a_drive_of_windows_is_a_local_path_and_no_scheme(text: str) -> None:
    target = TargetReader(ROOTS).link(text)

    assert target is not None
    assert target.kind is TargetKind.LOCAL


@pytest.mark.parametrize("text", ["a.md:12", "src/a.py:3:4", "%C3%BC.md", "a%20b%20c.md", "%5Ba%5D.md"])
def test_a_line_or_a_percent_sign_makes_no_other_thing_of_a_path(text: str) -> None:
    target = TargetReader(ROOTS).link(text)

    assert target is not None
    assert target.kind is TargetKind.PATH


def test_attributes_of_templates_are_no_links() -> None:
    text = (
        '<a :href="f(x)">a</a> <a v-bind:href="g.md">b</a> <img data-src="h.png"> <a @click="href=i.md">\n'
        '<a class="c" href="j.md?a=1&amp;b=2"> <img alt=x src=k.png> [l](m&amp;n.md)\n'
    )

    assert [link.target for link in Document("a.md", text.encode()).links] == ["j.md?a=1&b=2", "k.png", "m&n.md"]


def test_lines_anchors_and_queries_are_no_part_of_a_path() -> None:
    read = TargetReader(ROOTS)
    targets = [read.span("src/a.py:12-20"), read.span("src/a.py#L3"), read.link("a.md?plain=1#b"), read.link("a.md:3")]

    assert [(t.path, t.anchor) for t in targets if t] == [
        ("src/a.py", ""),
        ("src/a.py", "L3"),
        ("a.md", "b"),
        ("a.md", ""),
    ]


def test_a_name_full_of_stars_is_no_pattern() -> None:
    assert TargetReader(ROOTS).span(".runs/" + "*a" * 20) is None


def resolver(root: Path) -> Resolver:
    return Resolver(FolderSnapshot(str(root), ROOTS), Artifacts(str(root), ROOTS))


def where(root: Path, text: str, document: str = "docs/a.md") -> Where:
    target = TargetReader(ROOTS).span(text)
    assert target is not None
    return resolver(root).span(target, document).where


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("docs/b.md", Where.HERE),
        ("sub/c.md", Where.HERE),
        ("./sub/c.md", Where.HERE),
        ("../docs/b.md", Where.HERE),
        ("docs/sub/", Where.HERE),
        ("docs/b.md.", Where.HERE),
        ("docs/d%20e.md", Where.HERE),
        ("docs/B.md", Where.MISSING),
        ("docs/b.md/c.md", Where.MISSING),
        ("out/x/state.json", Where.HERE),
        ("out/x", Where.HERE),
        ("out/y/state.json", Where.MISSING),
        ("../../x.md", Where.OUTSIDE),
        ("out/outside/passwd", Where.OUTSIDE),
        ("out/inside/state.json", Where.HERE),
        ("docs/*.md", Where.HERE),
        ("docs/*.txt", Where.MISSING),
        ("out/*/state.json", Where.HERE),
        ("out/x/{state,other}.json", Where.MISSING),
    ],
)
def test_a_path_leads_where_it_leads(tmp_path: Path, text: str, answer: Where) -> None:
    write_tree(tmp_path, {"docs/b.md": "", "docs/sub/c.md": "", "docs/d e.md": "", "out/x/state.json": "{}"})
    os.symlink("/etc", tmp_path / "out/outside")
    os.symlink("x", tmp_path / "out/inside")

    assert where(tmp_path, text) is answer


def test_what_lies_in_a_folder_that_is_a_link_of_the_tree_is_found(tmp_path: Path) -> None:
    write_tree(tmp_path, {"docs/v2/page.md": ""})
    os.symlink("v2", tmp_path / "docs/current")

    assert where(tmp_path, "docs/current/page.md") is Where.HERE


def test_links_in_a_circle_are_missing(tmp_path: Path) -> None:
    write_tree(tmp_path, {"docs/x.md": ""})
    os.symlink("b.md", tmp_path / "docs/a.md")
    os.symlink("a.md", tmp_path / "docs/b.md")

    assert where(tmp_path, "docs/a.md") is Where.MISSING


def said(text: str, before: str = "`x/y`") -> tuple[bool | None, bool, bool, bool]:
    document = Document("a.md", text.encode())
    statement = Sentences(document).at(document.text.index(before))
    return statement.checked, statement.evidence, statement.status, statement.gone


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("- [x] Done - Evidence: `x/y`", (True, True, True, False)),
        ("- [ ] Open. Files/Evidence: `a`, `x/y`", (False, True, True, False)),
        ("1. [X] Wrapped - Evidence:\n   `x/y`", (True, True, True, False)),
        ("- Manifest: `a`, [b](c) and `x/y`", (None, False, True, False)),
        ("- **Manifest (late):** `x/y`", (None, False, True, False)),
        ("- [x] Ran it twice (evidence: kept). See `x/y`", (True, True, False, False)),
        ("- Manifest: see `x/y`", (None, False, False, False)),
        ("Some prose about `x/y`", (None, False, False, False)),
        ("- [x] Removed `x/y`", (True, False, False, True)),
        ("- [x] Removed the old one. Evidence: `x/y`", (True, True, True, False)),
        ("- [x] One - Evidence: `a`\n- two `x/y`", (None, False, False, False)),
        ("Evidence: `a`\n\nNew paragraph `x/y`", (None, False, False, False)),
        ("The `Evidence:` word as code, `x/y`", (None, False, False, False)),
    ],
)
def test_a_sentence_says_what_it_claims(text: str, answer: tuple[bool | None, bool, bool, bool]) -> None:
    assert said(text) == answer


def test_artifacts_without_backticks_are_references() -> None:
    text = (
        "- Manifest: .runs/a/metrics.json, then out/b.json.\nlayout/x `out/c` [d](out/d) src/out/e <!-- out/f -->\n"
        "$out/bin/tool %out/x @out/y\n"
    )
    document = Document("a.md", text.encode())

    assert [reference.text for reference in BarePaths(ROOTS).find(document)] == [".runs/a/metrics.json", "out/b.json"]


def nearest(root: Path) -> Nearest:
    return Nearest(FolderSnapshot(str(root), ROOTS), Artifacts(str(root), ROOTS))


@pytest.mark.parametrize(
    ("path", "hint"),
    [
        ("docs/plam.md", "did you mean docs/plan.md?"),
        ("docs/Plan.md", "did you mean docs/plan.md, which differs in case only?"),
        ("Docs/PLAN.md", "did you mean docs/plan.md, which differs in case only?"),
        ("a/caf\u00e9.md", "did you mean a/cafe\u0301.md, whose name has the Unicode form NFD? Both look alike"),
        ("b/u\u0308.md", "did you mean b/\u00fc.md, whose name has the Unicode form NFC? Both look alike"),
        ("old/plan.md", "did you mean docs/plan.md?"),
        ("old/PLAN.md", "did you mean docs/plan.md?"),
        ("readme.md", "did you mean README.md, which differs in case only?"),
        ("src/README.md", "did you mean README.md?"),
        ("docs/plan.txt", "did you mean docs/plan.md?"),
        ("readmee.txt", "correct the path, or remove the link"),
        ("nothing/like.it", "correct the path, or remove the link"),
        (f".runs/t/cli/{RUN[:-8]}00000000/manifest.json", f"the nearest run in .runs/t/cli/ is {RUN}"),
        (f".runs/t/cli/{RUN}/manifst.json", f"did you mean .runs/t/cli/{RUN}/manifest.json?"),
        (f".runs/tt/cli/{RUN}/manifest.json", "there is no tt in .runs/"),
        ("out/x/state.json", "there is no out/ in this work tree; bring the runs here, or record them again"),
    ],
)
def test_the_nearest_existing_path_is_suggested(tmp_path: Path, path: str, hint: str) -> None:
    runs = {f".runs/t/cli/{run}/manifest.json": "{}" for run in (RUN, LATER)}
    write_tree(tmp_path, {"README.md": "", "docs/plan.md": "", "a/cafe\u0301.md": "", "b/\u00fc.md": "", **runs})

    assert nearest(tmp_path).hint(path) == hint


SLUG = "coordinator-aligned-shell-extraction"


@pytest.mark.parametrize(
    "name",
    [
        *(f"PRD-{at:03}-{SLUG.replace('aligned', word)}.md" for at, word in ((7, "algned"), (38, "alinged"))),
        f"PRD-077-{SLUG.replace('aligned', 'alligned')}.md",
        f"PRD-077-{SLUG.replace('aligned', 'alihned')}.md",
        f"RPD-038-{SLUG}.md",
        f"RD-007-{SLUG}.md",
        f"PRD-007-{SLUG}s.md",
        f"PRD-007-{SLUG}.txt",
        f"PRD-007-{SLUG.upper()}.md",
    ],
)
def test_a_slip_is_found_among_many_names_that_begin_and_end_alike(tmp_path: Path, name: str) -> None:
    write_tree(tmp_path, {f"docs/PRD-{at:03}-{SLUG}.md": "" for at in range(200)})
    number = next(part for part in name.split("-") if part.isdigit())

    assert f"did you mean docs/PRD-{number}-{SLUG}.md" in nearest(tmp_path).hint(f"docs/{name}")


def test_a_file_of_that_name_elsewhere_is_nearer_than_another_one_here(tmp_path: Path) -> None:
    write_tree(tmp_path, {"docs/the-first-plan.md": "", "old/the-second-plan.md": ""})

    assert nearest(tmp_path).hint("docs/the-second-plan.md") == "did you mean old/the-second-plan.md?"


def test_a_file_elsewhere_is_found_beside_names_that_grow_without_capital_letters(tmp_path: Path) -> None:
    write_tree(tmp_path, {"a/\u0130.md": "", "\u00df/\u00dfx.md": "", "z/plan.md": ""})

    assert nearest(tmp_path).hint("docs/plan.md") == "did you mean z/plan.md?"
    assert nearest(tmp_path).hint("docs/\u00dfX.md") == "did you mean \u00df/\u00dfx.md?"


def test_a_link_written_from_the_top_gets_the_right_spelling_as_its_hint(tmp_path: Path) -> None:
    write_tree(tmp_path, {"docs/a.md": "[x](src/b.py)\n", "src/b.py": ""})

    assert "write ../src/b.py" in judge_folder(CHECK, tmp_path).findings[0].hint


VITEPRESS = {"site/.vitepress/config.ts": "", "site/guide/intro.md": "# In\u0303tro 2!\n", "site/public/a.png": ""}
MKDOCS = {"mkdocs.yml": "docs_dir: pages\n", "pages/guide/intro.md": "# Intro\n", "pages/img/a.png": ""}
DOCUSAURUS = {"w/docusaurus.config.js": "", "w/docs/guide/intro.mdx": "# Intro\n", "w/static/img/a.png": ""}
HUGO = {"hugo.toml": "", "content/guide/_index.md": "# Intro\n", "static/img/a.png": ""}


def findings_of(root: Path, files: dict[str, str]) -> list[tuple[str, str, Severity | None]]:
    write_tree(root, files)
    outcome = judge_folder(CHECK, root)
    return [(finding.rule, finding.message.partition(" ")[0], finding.severity) for finding in outcome.findings]


@pytest.mark.parametrize(
    ("site", "page", "text"),
    [
        (VITEPRESS, "site/a.md", "[a](/guide/intro) [b](/guide/intro.html) [c](guide/intro#intro-2) ![d](/a.png)"),
        (MKDOCS, "pages/a.md", '[a](/guide/intro/) [b](guide/intro.md) <img src="../img/a.png">'),
        (MKDOCS, "pages/guide/b.md", "[a](../intro/) [b][plugin.label]"),
        (
            DOCUSAURUS,
            "w/docs/a.md",
            "[a](/docs/guide/intro) [b](/img/a.png) [c](@site/static/img/a.png) [d](./guide/intro)",
        ),
        (HUGO, "content/a.md", "[a](/guide/) [b](/img/a.png) [c](../guide)"),
        (MKDOCS, "other/docs/a.md", "[a](/img/a.png) of a translation that copies it"),
        (MKDOCS, "pages/a.md", "[a](/blog) [b](archive) routes of plug-ins"),
        ({}, "docs/20-core/10-a.md", "[a](routing#server) in chapters of a site that is made elsewhere"),
    ],
)
def test_links_of_pages_lead_where_the_site_serves_them(
    tmp_path: Path, site: dict[str, str], page: str, text: str
) -> None:
    assert findings_of(tmp_path, {**site, page: text + "\n"}) == []


@pytest.mark.parametrize(
    ("page", "text", "severity"),
    [
        ("site/a.md", "[a](/guide/intrro)", Severity.WARNING),
        ("site/a.md", "[a](guide/intrro)", Severity.WARNING),
        ("site/a.md", "[a](/guide/intrro.md)", Severity.ERROR),
        ("site/a.md", "[a](guide/b.png)", Severity.ERROR),
        ("README.md", "[a](/guide/intro)", None),
        ("README.md", "[a](guide/intro)", Severity.ERROR),
        ("README.md", "[a](/intro)", Severity.ERROR),
    ],
)
def test_a_link_of_a_page_that_leads_nowhere_weighs_by_what_is_known(
    tmp_path: Path, page: str, text: str, severity: Severity | None
) -> None:
    found = findings_of(tmp_path, {**VITEPRESS, page: text + "\n"})

    assert [one[2] for one in found] == ([severity] if severity else [])


def test_routes_that_only_the_generator_knows_are_counted(tmp_path: Path) -> None:
    write_tree(tmp_path, {**VITEPRESS, "site/a.md": "[a](/blog) [b](/guide/intro)\n"})

    examined = judge_folder(CHECK, tmp_path).examined

    assert (examined["links"], examined[UNJUDGED]) == (1, 1)


@pytest.mark.parametrize(
    ("roots", "text", "rules"),
    [
        ('["d"]', "[a](/guide/intro) [b](/guide/intro#one) [c](/guide/) [d](/d/guide/intro.md)", []),
        ('["d", "d/public"]', "[a](/a.png) [b](/guide/two)", []),
        ('["d"]', "[a](/guide/intro#nope) [b](/guide/three) [c](/a.png)", ["EVD013", "EVD001", "EVD001"]),
        ("[]", "[a](/guide/intro)", ["EVD001"]),
    ],
)
def test_link_roots_say_what_is_served_from_the_top(tmp_path: Path, roots: str, text: str, rules: list[str]) -> None:
    pages = {"d/guide/intro.md": "# One\n", "d/guide/index.md": "", "d/guide/two.mdx": "", "d/public/a.png": ""}

    found = findings_of(
        tmp_path, {"orchgate.toml": f"[evidence]\nlink-roots = {roots}\n", **pages, "a.md": text + "\n"}
    )

    assert [one[0] for one in found] == rules


def test_severities_follow_what_the_text_claims(tmp_path: Path) -> None:
    text = (
        "# T\n\n- [x] A - Evidence: `out/a.json`\n- [x] B - Evidence: `src/b.py`\n\n"
        "In prose `out/c.json` and `docs/d.md`.\n- [x] no evidence\n- [ ] open\n"
    )
    write_tree(tmp_path, {"tasks/tasks-0001-demo.md": text, "docs/x.md": ""})

    findings = judge_folder(CHECK, tmp_path).findings

    assert [finding.severity for finding in findings] == [
        Severity.ERROR,
        Severity.WARNING,
        Severity.WARNING,
        Severity.WARNING,
        Severity.WARNING,
    ]


@pytest.mark.parametrize(
    ("text", "warned"),
    [
        ("The parser is `src/gone.py`.", True),
        ("The parser is `src/sub/gone.py:12`.", True),
        ("The parser is `./src/gone.py`.", True),
        ("The parser is [it](src/here.py).", False),
        ("It will be `src/gone.py`.", False),
        ("Add `src/gone.py`.", False),
        ("The old `src/gone.py` was removed.", False),
        ("Removed `src/gone.py`.", False),
        ("- [ ] write `src/gone.py`", False),
        ("See `lib/gone.py` of another repository.", False),
        ("On branch `src/gone`.", False),
        ("All of `src/*.rs`.", False),
        ("A package has `./Package.swift`.", False),
    ],
)
def test_a_dead_path_in_backticks_below_a_folder_that_is_there_is_a_warning(
    tmp_path: Path, text: str, warned: bool
) -> None:
    found = findings_of(tmp_path, {"src/here.py": "", "a.md": f"# A\n\n{text}\n"})

    assert [(rule, severity) for rule, _, severity in found] == ([("EVD001", Severity.WARNING)] if warned else [])


def test_what_was_examined_is_counted(tmp_path: Path) -> None:
    write_tree(tmp_path, {"a.md": "[b](b.md) `b.md` `word` `src/x.py` <https://x.y>\n", "b.md": "", "src/x.py": ""})

    assert judge_folder(CHECK, tmp_path).examined == {"documents": 2, "links": 3}


def test_nothing_to_examine_is_said(tmp_path: Path) -> None:
    write_tree(tmp_path, {"a.py": ""})

    assert judge_folder(CHECK, tmp_path).examined == {"documents": 0, "links": 0}


def test_a_document_that_is_too_large_is_trouble(tmp_path: Path) -> None:
    write_tree(tmp_path, {"a.md": "x" * (8 * 1024 * 1024 + 1)})

    assert [trouble.location.path for trouble in judge_folder(CHECK, tmp_path).troubles] == ["a.md"]


def test_an_anchor_of_a_document_that_cannot_be_read_is_trouble(tmp_path: Path) -> None:
    write_tree(tmp_path, {"a.md": "[b](b.md#c)\n", "b.md": "x" * (8 * 1024 * 1024 + 1)})

    outcome = judge_folder(CHECK, tmp_path, tree=True)

    assert {trouble.location.path for trouble in outcome.troubles} == {"b.md"}


@pytest.mark.parametrize("name", ["new\nline.md", "-rf.md", "esc\x1b[31m.md", 'quo"te.md', "a b/c.md"])
def test_documents_with_odd_names_are_judged(tmp_path: Path, name: str) -> None:
    write_tree(tmp_path, {name: "[x](gone.md)\n"})

    assert [finding.location.path for finding in judge_folder(CHECK, tmp_path).findings] == [name]


def test_names_that_are_not_utf8_resolve(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"caf\xe9.md")).write_bytes(b"")
    (tmp_path / "a.md").write_bytes(b"[x](caf%E9.md) [y](caf\xe9.md) [z](caf%E8.md)\n")

    assert [finding.location.column for finding in judge_folder(CHECK, tmp_path).findings] == [29]


def test_a_manifest_that_is_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    path = f".runs/0001-demo/cli/{RUN}/manifest.json"
    write_tree(
        tmp_path,
        {"tasks/tasks-0001-demo.md": f"# T\n\n- [x] A - Evidence: `{path}`\n", f".runs/0001-demo/cli/{RUN}/x": ""},
    )
    os.mkfifo(tmp_path / path)

    assert [finding.rule for finding in judge_folder(CHECK, tmp_path).findings] == ["EVD007"]


# Globs


@pytest.mark.parametrize("pattern", [".runs/**/x.json", ".runs/*/*/*/*/*/*/*/*/*/*/x.json", ".runs/**/l0/**/l1/**/x"])
def test_links_that_lead_back_do_not_make_a_glob_endless(tmp_path: Path, pattern: str) -> None:
    (tmp_path / ".runs/t").mkdir(parents=True)
    for number in range(30):
        (tmp_path / f".runs/t/l{number}").symlink_to(".")

    assert not Artifacts(str(tmp_path), (".runs",)).matching(pattern)


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        (".runs/*/x", [".runs/a/x", ".runs/b/x"]),
        (".runs/**/x", [".runs/a/b/x", ".runs/a/x", ".runs/b/x"]),
        (".runs/**", [".runs", ".runs/.h", ".runs/a", ".runs/a/b", ".runs/a/b/x", ".runs/a/x", ".runs/b", ".runs/b/x"]),
        (".runs/[ab]/?", [".runs/a/b", ".runs/a/x", ".runs/b/x"]),
        (".runs/out/*", []),
        (".runs/a/x/**", []),
    ],
)
def test_a_glob_finds_what_is_there_inside_the_repository(tmp_path: Path, pattern: str, expected: list[str]) -> None:
    root = tmp_path / "repo"
    for name in ("a/x", "a/b/x", "b/x", ".h"):
        (root / ".runs" / name).parent.mkdir(parents=True, exist_ok=True)
        (root / ".runs" / name).write_text("")
    (root / ".runs/out").symlink_to(tmp_path)

    assert sorted(Artifacts(str(root), (".runs",)).found(pattern)) == expected


@pytest.mark.parametrize("pattern", [".runs/*/x", ".runs/**/x", ".runs/last/*", ".runs/last/x"])
def test_a_link_inside_is_followed_and_leads_to_a_file_once(tmp_path: Path, pattern: str) -> None:
    (tmp_path / ".runs/a").mkdir(parents=True)
    (tmp_path / ".runs/a/x").write_text("")
    (tmp_path / ".runs/last").symlink_to("a")

    found = list(Artifacts(str(tmp_path), (".runs",)).found(pattern))

    assert [os.path.realpath(tmp_path / path) for path in found] == [str(tmp_path / ".runs/a/x")]
