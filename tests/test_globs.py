from __future__ import annotations

from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchgate.lib.paths import compile_glob, expand_braces, matcher, matches
from tests.work import no_hang

PATHS = (
    "a.lock",
    "x/a.lock",
    "x/.lock",
    "x/y/package-lock.json",
    "package-lock.json",
    "docs/a.md",
    "docs/x/a.md",
    "docs",
    "a[b].md",
)


PIECES = st.sampled_from(["a", "b", "/", "*", "**", "**/", "/**/", "?"])
NAMES = st.text("ab", min_size=1, max_size=3)


@pytest.mark.parametrize(
    ("pattern", "hits"),
    [
        ("**/*.lock", {"a.lock", "x/a.lock", "x/.lock"}),
        ("**/package-lock.json", {"x/y/package-lock.json", "package-lock.json"}),
        ("docs/**", {"docs/a.md", "docs/x/a.md"}),
        ("docs/", {"docs/a.md", "docs/x/a.md"}),
        ("docs/*.md", {"docs/a.md"}),
        ("docs/**/a.md", {"docs/a.md", "docs/x/a.md"}),
        ("*.md", {"a[b].md"}),
        ("docs/{a,b}.md", {"docs/a.md"}),
        ("?.lock", {"a.lock"}),
        ("[!b].lock", {"a.lock"}),
        ("docs/a.md", {"docs/a.md"}),
        ("**", set(PATHS)),
    ],
)
def test_a_glob_matches_whole_paths(pattern: str, hits: set[str]) -> None:
    assert {path for path in PATHS if matches(path, (pattern,))} == hits


@pytest.mark.parametrize("pattern", ["**/*.lock", "**/package-lock.json", "docs/**", "docs/a.md"])
@pytest.mark.parametrize("path", PATHS)
def test_the_quick_answer_is_that_of_the_regular_expression(pattern: str, path: str) -> None:
    assert matches(path, (pattern,)) == bool(compile_glob(pattern).fullmatch(path))


def test_a_line_break_in_a_name_is_a_character_like_any_other() -> None:
    assert matches("docs/a\nb.md", ("docs/*.md",))


def test_braces_multiply_up_to_a_bound() -> None:
    assert len(expand_braces("{a,b}" * 20)) < 2000


def test_no_pattern_matches_nothing() -> None:
    assert not matches("a", ())


@pytest.mark.parametrize(
    ("patterns", "hits"),
    [
        (("docs/**", "!docs/x/**"), {"docs/a.md"}),
        (("docs/**", "!docs/x/"), {"docs/a.md"}),
        (("!docs/x/**", "docs/**"), {"docs/a.md", "docs/x/a.md"}),
        (("docs/**", "!docs/x/**", "docs/x/a.md"), {"docs/a.md", "docs/x/a.md"}),
        (("docs/**", "!docs/{a,b}.md"), {"docs/x/a.md"}),
        (("**/*.md", "!docs/**", "!*.md"), set()),
        (("!docs/**",), set()),
        (("docs/**", "!elsewhere/**"), {"docs/a.md", "docs/x/a.md"}),
    ],
)
def test_the_last_entry_that_fits_decides(patterns: tuple[str, ...], hits: set[str]) -> None:
    assert {path for path in PATHS if matches(path, patterns)} == hits


@pytest.mark.parametrize(
    ("pattern", "path", "hit"),
    [
        ("\\!a", "!a", True),
        ("\\!a", "a", False),
        ("\\!a/", "!a/b", True),
        ("a!b", "a!b", True),
        ("*/!b", "a/!b", True),
        ("[!]a", "[!]a", True),
    ],
)
def test_an_escaped_mark_and_one_further_on_are_letters(pattern: str, path: str, hit: bool) -> None:
    assert matches(path, (pattern,)) == hit


@pytest.mark.slow
@given(st.lists(st.sampled_from(["a", "a/**", "**/b", "!a", "!a/**", "!**/b", "!**", "**"]), max_size=6), NAMES)
def test_a_list_means_what_reading_it_in_order_means(patterns: list[str], name: str) -> None:
    path, answer = f"a/{name}", False
    for pattern in patterns:
        if matches(path, (pattern.removeprefix("!"),)):
            answer = not pattern.startswith("!")

    assert matches(path, patterns) == answer


def by_the_book(pattern: str, path: str) -> bool:
    """What a glob means, by trying everything."""

    @cache
    def rest(at: int, place: int) -> bool:
        if at == len(pattern):
            return place == len(path)
        if pattern.startswith("**/", at) and (at == 0 or pattern[at - 1] == "/"):
            slashes = [index + 1 for index in range(place, len(path)) if path[index] == "/"]
            return any(rest(at + 3, start) for start in (place, *slashes))
        if pattern[at] == "*":
            after = len(pattern) - len(pattern[at:].lstrip("*"))
            wide = after - at > 1
            end = len(path) if wide or "/" not in path[place:] else path.index("/", place)
            return any(rest(after, start) for start in range(place, end + 1))
        if place == len(path):
            return False
        same = path[place] != "/" if pattern[at] == "?" else path[place] == pattern[at]
        return same and rest(at + 1, place + 1)

    return rest(0, 0)


@pytest.mark.slow
@given(
    st.lists(PIECES, min_size=1, max_size=7).map(lambda parts: "".join(parts).rstrip("/")),
    st.lists(NAMES, min_size=1, max_size=5).map("/".join),
)
def test_a_glob_means_what_it_means_by_the_book(pattern: str, path: str) -> None:
    assert bool(compile_glob(pattern).fullmatch(path)) == matches(path, (pattern,)) == by_the_book(pattern, path)


@pytest.mark.parametrize(
    ("pattern", "path", "hit"),
    [
        ("[z-a]", "[z-a]", True),
        ("[!]", "[!]", True),
        ("[]", "[]", True),
        ("[", "[", True),
        ("[]a]", "]", True),
        ("[!]a]", "b", True),
        ("[^a]", "b", True),
        ("[!a]", "/", False),
        ("a[!x]b", "a/b", False),
        ("[a-c]", "b", True),
        ("[a--b]", "[a--b]", True),
        ("[a&&b]", "&", True),
        ("[[:x:]", ":", True),
        ("[\\d]", "5", False),
        ("a.b", "axb", False),
        ("a|b", "a", False),
        ("(a)+", "(a)+", True),
        ("\udcff*", "\udcff\n", True),
    ],
)
def test_odd_classes_are_classes_or_letters_never_errors(pattern: str, path: str, hit: bool) -> None:
    assert matches(path, (pattern,)) == hit


@pytest.mark.slow
@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("**/a/" * 20 + "b", "a/" * 200 + "c"),
        ("*a" * 30 + "b", "a" * 4000),
        ("**a" * 30 + "b", "a/" * 2000 + "c"),
        ("**/" * 30 + "x", "a/" * 2000 + "c"),
        ("**/*a*a*a*/**/*b*b*b*c", "ab" * 1000 + "/" + "ab" * 1000),
        ("{a,b}" * 200, "a" * 200),
        ("{" * 50_000, "a"),
        ("{" + "," * 50_000, "a"),
        ("[" * 50_000, "a"),
        ("[z-a" * 20_000 + "]", "a"),
    ],
    ids=lambda text: text[:12],
)
def test_no_glob_keeps_us_busy(pattern: str, path: str) -> None:
    with no_hang():
        matches(path, (pattern,))


def test_the_first_paths_are_compared_as_all_later_ones_are() -> None:
    """Usual globs need no regular expression, which is compiled where there are many paths."""
    globs = [
        "**/*.lock",
        "**/go.sum",
        "docs/**",
        "docs/",
        "a.py",
        "**/*.[mM][dD]",
        "**/*",
        "**/a*.py",
        "*.py",
        "**",
        "!a.py",
    ]
    names = [
        "a.py",
        "a.PY",
        "b.lock",
        ".lock",
        "lock",
        "go.sum",
        "ago.sum",
        "x.md",
        "x.Md",
        "xmd",
        ".MD",
        "x.mD\u212a",
        "",
    ]
    paths = [f"{folder}{name}" for folder in ("", "docs/", "a/docs/", "docsy/", "/", "a//") for name in names]

    for glob in globs:
        for path in paths:
            answer = matcher.__wrapped__((glob,))
            first = answer(path)
            assert [answer(path) for _ in range(70)] == [first] * 70, (glob, path)
