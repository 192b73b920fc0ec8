"""The Markdown reader: what it finds, where, and that markdown-it agrees."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from orchgate.markdown.anchors import slug, title_of
from orchgate.markdown.document import Document
from orchgate.markdown.inline_text import InlineText
from tests.work import no_hang

CORPUS = Path(os.environ.get("ORCHGATE_CORPUS", Path(__file__).parents[2] / "shared" / "corpus"))
TRICKY = {
    "headings in items": "- a\n\n  # no\n\n  ```\n  ```\n\n  # no\n\n1. b\n   # no\n\n # Yes\n\n-  c\n\n  # Yes\n",
    "setext below definitions": "[a]: b\nTitle\n---\n",
    "headings": "# One\n\n## Two ##\n\n###### Six\n\n####### no\n\n#no\n\n   ### Three\n\n    # code\n",
    "setext headings": "Setext\n===\n\nTwo\nlines\n---\n\n---\n",
    "fences": "# A\n\n```md\n# no `no`\n```\n\n~~~~\n~~~\n# no\n~~~~\n\n`yes`\n",
    "nested fences": "- item\n\n  ```\n  # no\n  ```\n\n> ```\n> `no`\n\n`yes2`\n",
    "unclosed fence": "a `b`\n\n```\n# no\n`no`\n",
    "fence in a list ends with the item": "- ```\n  `no`\n\n# Yes\n",
    "spans": "a `b` ``c ` d`` `e\nf` \\`no` `` ` `` ` ` `x``y`\n\nopen ` here\n\nand `closed` there\n",
    "spans stop at items": "- one `two\n- three` four\n- `five`\n",
    "escapes": "\\\\`a` \\`b` `c\\`\n",
    "comments": "<!-- `no`\n# no\n-->\n\n`yes` <!-- `no` --> `yes2`\n\n`<!-- code -->`\n",
    "indented code": "para\n    `yes`\n\n    `no`\n\n- item\n\n    `yes2`\n\n      `no2`\n",
    "rules": "para\n\n---\n\n* * *\n\nHead\n---\n\n- - -\n",
    "quotes": "> `a`\n> # nested\n\n# Top\n",
    "tabs": "-\t`a`\n\n\t`b`\n\n\t\t`c`\n",
    "empty headings": "#\n\n## ##\n\n# #\n",
}


def reference(text: str) -> tuple[list[tuple[int, int]], list[str]]:
    """Top-level headings as (level, line), and code spans, as markdown-it sees them."""
    tokens = MarkdownIt("commonmark").parse(text)
    headings = [(int(t.tag[1]), t.map[0] + 1) for t in tokens if t.type == "heading_open" and t.level == 0 and t.map]
    spans = [child.content for t in tokens for child in t.children or () if child.type == "code_inline"]
    return headings, spans


def ours(text: str) -> tuple[list[tuple[int, int]], list[str]]:
    document = Document("a.md", text.encode())
    headings = [(heading.level, document.position(heading.offset)[0]) for heading in document.headings]
    return headings, [span.text for span in document.spans]


@pytest.mark.parametrize("text", TRICKY.values(), ids=TRICKY)
def test_headings_and_spans_are_those_of_markdown_it(text: str) -> None:
    assert ours(text) == reference(text)


@pytest.mark.parametrize("text", TRICKY.values(), ids=TRICKY)
def test_windows_line_ends_change_nothing(text: str) -> None:
    assert ours(text.replace("\n", "\r\n")) == ours(text)


def test_the_corpus_is_read_as_markdown_it_reads_it() -> None:
    for path in sorted(CORPUS.rglob("*.md")):
        text = path.read_text()
        if text.startswith("---\n"):
            front, _, rest = text[4:].partition("\n---\n")
            text = "\n" * (front.count("\n") + 3) + rest

        assert ours(text) == reference(text), path


def doc(text: str | bytes) -> Document:
    return Document("docs/a.md", text if isinstance(text, bytes) else text.encode())


def test_a_title_is_plain_text() -> None:
    (heading,) = doc("# A `b` *c* [d](e) ![f](g) __h__ i_j &amp; \\# ##\n").headings

    assert heading.title == "A b c d f h i_j & #"


@pytest.mark.parametrize(
    ("title", "anchor"),
    [
        ("Setup (steps)", "setup-steps"),
        ("One & only", "one--only"),
        ("snake_case `code`!", "snake_case-code"),
        ("Ünïcode — naïve", "ünïcode--naïve"),
        ("1.2.3 - what's new?", "123---whats-new"),
        ("देवनागरी", "देवनागरी"),
        ("日本語 の 見出し", "日本語-の-見出し"),
        ("[link](x.md) text", "link-text"),
        ("Quoi\u00a0?", "quoi"),
        ("A\u00a0b  c", "ab--c"),
        ("![alt](y.png) Logo", "-logo"),
        ("Logo <img src=y.png>", "logo-"),
        ("[![alt](y.png) Build](z)", "-build"),
        (":rocket: Launch", "rocket-launch"),
        ("\U0001f680 Launch", "-launch"),
        ("A &amp; B &lt;C&gt;", "a--b-c"),
        ("`a_b` and `` `c` ``", "a_b-and-c"),
        ("[[1.0]](https://x.y/a_(b)) - 2020", "10---2020"),
        ("See <https://x.y>", "see-httpsxy"),
        ("__init__ and _x_ but _y and a_b_c", "init-and-x-but-_y-and-a_b_c"),
        ("~~old~~ new \\_kept\\_", "old-new-_kept_"),
        ("Array<T> of `Map<K>`", "array-of-mapk"),
        ("Result<T, E>", "resultt-e"),
        ("CAPS \u0130\u00c9", "caps-i\u0307\u00e9"),
    ],
)
def test_anchors_are_made_as_github_makes_them(title: str, anchor: str) -> None:
    assert doc(f"## {title}\n").headings[0].anchor == anchor


def test_repeated_headings_get_numbered_anchors() -> None:
    assert [heading.anchor for heading in doc("# A\n# A\n# A\n# A-1\n").headings] == ["a", "a-1", "a-2", "a-1-1"]


@pytest.mark.parametrize(
    "written",
    [
        "## Goals {#aims}",
        "## Goals { #aims }",
        "## Goals {: #aims .c}",
        '## Goals {:.c #aims k="v"}',
        "## Goals ## {#aims}",
        "Goals {#aims}\n---",
        "## Goals\n{: #aims}",
        "## Goals <!-- #aims -->",
        '## <a id="aims"></a>Goals',
        "## Goals <a class='x' name='aims'>",
    ],
)
def test_an_explicit_id_is_an_anchor_and_no_part_of_the_title(written: str) -> None:
    document = doc(f"# T\n\n{written}\n")

    assert "aims" in document.anchors
    assert document.headings[1].title.rstrip(" #") == "Goals"


def test_mdx_names_a_heading_in_a_comment() -> None:
    assert "aims" in Document("a.mdx", b"## Goals {/* #aims */}\n\n## More {#more}\n").anchors


def test_a_heading_that_explains_braces_keeps_them() -> None:
    titles = [heading.title for heading in doc("## Use `{#id}`\n## A {b}\n## {c: d}\n").headings]

    assert titles == ["Use {#id}", "A {b}", "{c: d}"]


def test_repeated_headings_are_numbered_beside_explicit_ids() -> None:
    anchors = doc("## A {#a}\n\n## A\n\n## A\n").anchors

    assert {"a", "a-1", "a-a", "a-2"} <= anchors


@pytest.mark.parametrize(
    ("text", "anchor"),
    [
        ('<a name="here"></a>', "here"),
        ("<h2 id=there>x</h2>", "there"),
        ("> ## In a quote", "in-a-quote"),
        ("> In a quote\n> ---", "in-a-quote"),
        ("- ## In an item", "in-an-item"),
        ("- Item\n\n  ## Below it", "below-it"),
        ("## A\n\n> ## A\n\n## A", "a-2"),
        ('<h1 align="center">\n  <b>Big</b> &amp; bold\n</h1>', "big--bold"),
        ("<h3>Bad</h3>\n\n# Bad\n\n<h3>Bad</h3>", "bad-2"),
        ("## The [`File`][file] API", "the-filefile-api"),
        ("Note[^n] again[^n]\n\n[^n]: text", "fnref-n-2"),
        ('<td\n  class="x"\n  id="cell">', "cell"),
        ('<a title="a > b" id="behind">', "behind"),
        ("A term {#term} in prose", "term"),
        ("Note[^n]\n\n[^n]: text", "fn-n"),
    ],
)
def test_ids_and_headings_anywhere_are_anchors_too(text: str, anchor: str) -> None:
    assert anchor in doc(text + "\n").anchors


@pytest.mark.parametrize("text", ["`<a id='x'>`", "<!-- <a id='x'> -->", "a > b id=x", ":id='x' <b :id='x'>", "`{#x}`"])
def test_what_only_looks_like_an_id_is_no_anchor(text: str) -> None:
    assert doc(f"a {text} b\n").anchors == frozenset()


def test_a_section_ends_at_the_next_heading_of_its_level() -> None:
    document = doc("# A\none\n## B\ntwo\n# C\nthree")

    assert [document.text[section.start : section.end] for section in document.sections] == [
        "one\n## B\ntwo\n",
        "two\n",
        "three",
    ]


def test_links_of_every_form_are_found_in_order() -> None:
    text = (
        '[a](b.md "t") ![i](<c d.png>) [![j](k.png)](l.md) <https://x.y/z> [r](p(q).md)\n'
        "<img src=\"m.png\"> `[no](no)` \\[no](no)\n\n[ref]: n.md 't'\n[^1]: no.md\n"
    )

    assert [link.target for link in doc(text).links] == [
        "b.md",
        "c d.png",
        "l.md",
        "k.png",
        "https://x.y/z",
        "p(q).md",
        "m.png",
        "n.md",
    ]


def test_a_link_has_its_text_and_place() -> None:
    link = doc("see [the *plan*](plan.md)\n").links[0]

    assert (link.text, link.offset) == ("the *plan*", 4)


def test_fences_keep_their_info_and_lose_their_indent() -> None:
    fences = doc("- x\n\n  ```sh title\n  a\n    b\n  ```\n\n> ~~~\n> c\n> ~~~\n").fences

    assert [(fence.info, fence.text) for fence in fences] == [("sh title", "a\n  b\n"), ("", "c\n")]


def test_items_know_their_box_their_own_text_and_where_they_end() -> None:
    document = doc("- [x] one\n  more\n  - [ ] two\n1) [X] three\nlazy\n\n* four\n")

    assert [(i.checked, i.text, i.indent, document.text[i.offset : i.end].count("\n")) for i in document.items] == [
        (True, "one\nmore", 0, 2),
        (False, "two", 2, 0),
        (True, "three\nlazy", 0, 1),
        (None, "four", 0, 0),
    ]


def test_comments_of_blocks_and_lines_are_listed() -> None:
    assert [c.text for c in doc("<!-- a\nb -->\n\nx <!--c--> y `<!-- no -->`\n\n- <!-- d -->\n").comments] == [
        " a\nb ",
        "c",
        " d ",
    ]


def test_an_unclosed_comment_runs_to_the_end() -> None:
    assert doc("<!-- a\n\n# no `no`\n").headings == ()


def test_front_matter_is_a_simple_table() -> None:
    text = (
        "---\nid: 20260106-x # why\ntitle: \"A: 'b'\"\nowners:\n  - Ann\n  - 'Bob'\ntags: [a, \"b\"]\nempty:\n"
        "long: >\n  two\n  lines\nnested:\n  key: value\nlast_review: 2026-01-06\n---\n\n# T\n"
    )

    assert doc(text).front_matter == {
        "id": "20260106-x",
        "title": "A: 'b'",
        "owners": ["Ann", "Bob"],
        "tags": ["a", "b"],
        "empty": "",
        "long": "two lines",
        "nested": "",
        "last_review": "2026-01-06",
    }


@pytest.mark.parametrize("text", ["---\na: b\n", "--- x\na: b\n---\n", "# T\n---\na: b\n---\n", ""])
def test_what_is_no_front_matter_gives_none(text: str) -> None:
    assert doc(text).front_matter == {}


def test_positions_count_from_one() -> None:
    document = doc("ab\ncd `x`\n")

    assert document.location(document.spans[0].offset) == ("docs/a.md", 2, 4)


@pytest.mark.parametrize(
    "data",
    ["\ufeff# Tïtle\n".encode(), "# Tïtle\n".encode("utf-16"), "\ufeff# Tïtle\n".encode("utf-16-be")],
    ids=["utf-8-sig", "utf-16", "utf-16-be"],
)
def test_byte_order_marks_choose_the_encoding(data: bytes) -> None:
    assert doc(data).headings[0].title == "Tïtle"


def test_bytes_that_are_not_utf8_survive() -> None:
    assert doc(b"`a\xffb.md`\n").spans[0].text.encode("utf-8", "surrogateescape") == b"a\xffb.md"


def test_prose_is_told_from_what_is_hidden() -> None:
    document = doc("a `b`\n\n```\nc\n```\n")

    assert [document.in_code(document.text.index(letter)) for letter in "abc"] == [False, True, True]


HOSTILE = [
    "`",
    "[",
    "](",
    "<!--",
    "#",
    "`` ` ",
    "- ",
    "* - ",
    "> ",
    "[a](",
    '[a](b "',
    "<a:",
    "\\`",
    "```\n",
    "=\n",
    "[x]: ",
    "](  ",
    "a_*",
    "# _a*",
    "<a id=",
    " id=x",
    "<h1>",
    "{#",
    "{: #a ",
    "[^a]:",
    "&amp",
    "# [![",
    "<a href=",
    "> - # x",
    "- x\n  =",
]


@pytest.mark.slow
@pytest.mark.parametrize("piece", HOSTILE)
@pytest.mark.parametrize("ending", ["", "\n"], ids=["one-line", "many-lines"])
def test_a_hundred_kilobytes_of_anything_does_not_keep_us_busy(piece: str, ending: str) -> None:
    document = doc((piece + ending) * (100_000 // len(piece + ending)))

    with no_hang():
        _ = document.spans, document.links, document.sections, document.items, document.anchors, document.comments


@given(st.text("aé1_&;! -`*~[]<>\\n\n", max_size=12))
def test_a_heading_without_marks_is_read_as_one_with_marks(raw: str) -> None:
    inline, title = InlineText(raw.strip()), title_of(raw)

    assert (title.text, title.slug) == (" ".join(inline.text.split()), slug(inline.without_images))
