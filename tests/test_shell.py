from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchgate.plan_commands.checker import fence_commands, is_shell, language
from orchgate.plan_commands.shell import ShellCommand, ShellWord, script
from tests.work import growth, no_hang


def argvs(text: str) -> list[tuple[str, ...]]:
    return [command.argv for command in script(text)[0]]


def only(text: str) -> ShellCommand:
    (command,) = script(text)[0]
    return command


@pytest.mark.parametrize(
    ("line", "argv"),
    [
        ("npm run lint", ("npm", "run", "lint")),
        ("git commit -m 'a: b c'", ("git", "commit", "-m", "a: b c")),
        ('git commit -m "it\'s \\"x\\""', ("git", "commit", "-m", 'it\'s "x"')),
        ("a b\\ c d", ("a", "b c", "d")),
        ("a 'x'\"y\"z", ("a", "xyz")),
        ("a \\\n  b", ("a", "b")),
        ("a \\\r\n  b\r", ("a", "b")),
        ("a # npm run x", ("a",)),
        ("a b#c", ("a", "b#c")),
        ("a > out 2>&1", ("a",)),
        ("a 2>/dev/null b", ("a", "b")),
        ("A=1 B='x y' cmd c", ("cmd", "c")),
        ("if cmd x", ("cmd", "x")),
        ("! cmd x", ("cmd", "x")),
    ],
)
def test_words_of_a_line(line: str, argv: tuple[str, ...]) -> None:
    assert argvs(line) == [argv]


@pytest.mark.parametrize(
    ("text", "programs"),
    [
        ("a && b || c; d | e & f", ["a", "b", "c", "d", "e", "f"]),
        ("(a; b) && { c; }", ["a", "b", "c"]),
        ("for x in a b; do c; done", ["c"]),
        ("case $x in vim) a;; nano) b;; esac", ["a", "b"]),
        ("name() { a; }", ["a"]),
        ("cat <<EOF\nvim\nEOF\na", ["cat", "a"]),
        ("cat <<-'X' <<Y\nvim\n\tX\nless\nY\na", ["cat", "a"]),
        ("cat <<EOF\nvim\nnever closed", ["cat"]),
        ("# a\n\n   \nb", ["b"]),
        ("A=1", []),
        ("[[ -f x ]] && a", ["a"]),
        ("a $(b; c) `d`", ["a"]),
        ("a 'open\nb", ["a"]),
        ('a "open\nb', ["a"]),
        ("a $(open\nb", ["a"]),
        ("", []),
    ],
)
def test_simple_commands_of_a_script(text: str, programs: list[str]) -> None:
    assert [argv[0] for argv in argvs(text)] == programs


@pytest.mark.parametrize(
    "word", ["$X", "${X:-y}", "$(x)", "`x`", "<task-id>", "a*", "{a,b}", "...", "x…", "~/a", '"$X"', "<a|b>"]
)
def test_a_word_that_a_shell_expands_is_not_literal(word: str) -> None:
    assert not only(f"cmd {word}").words[1].literal


def test_a_quoted_star_is_literal() -> None:
    assert only("cmd 'a*'").words[1] == ShellWord("a*")


def test_a_placeholder_is_no_redirection() -> None:
    assert not only("TASK=<task-id> cmd <a b>").fed


def test_names_of_variables_set_for_one_command() -> None:
    assert only("A=1 B=<x> cmd").env == ("A", "B")


def test_source_runs_from_the_first_assignment_to_the_last_word() -> None:
    assert only("  A=1 cmd 'x y'  # why").text == "A=1 cmd 'x y'"


def test_offset_points_at_the_command() -> None:
    text = "a &&  b"

    assert text[script(text)[0][1].offset :] == "b"


@pytest.mark.parametrize("text", ["x | cmd", "cmd < f", "cmd <<< y", "cmd <<E\nE", "x |& cmd"])
def test_input_from_elsewhere(text: str) -> None:
    assert script(text)[0][-1].fed


@pytest.mark.parametrize("text", ["cmd | x", "cmd > f", "cmd >> f", "cmd &> f", "cmd 1> f"])
def test_output_to_elsewhere(text: str) -> None:
    assert script(text)[0][0].captured


@pytest.mark.parametrize("text", ["cmd", "cmd 2> f", "cmd || x", "cmd >&2"])
def test_output_that_stays(text: str) -> None:
    assert not script(text)[0][0].captured


def test_background() -> None:
    assert [command.background for command in script("a & b && c")[0]] == [True, False, False]


@pytest.mark.parametrize(
    ("text", "folder"),
    [
        ("x", ""),
        ("cd a && x", "a"),
        ("cd a; cd b; x", "a/b"),
        ("cd a/../b && x", "b"),
        ("cd a && cd .. && x", ""),
        ("(cd a); x", ""),
        ("cd .. && x", None),
        ("cd /srv && x", None),
        ("cd && x", None),
        ("cd - && x", None),
        ("cd $X && x", None),
        ("popd; x", None),
        ("pushd a; x", "a"),
        ('cd "$(git rev-parse --show-toplevel)" && x', ""),
    ],
)
def test_where_a_command_runs(text: str, folder: str | None) -> None:
    assert script(text)[0][-1].folder == folder


def test_a_script_ends_in_a_folder() -> None:
    assert script("x; cd a")[1] == "a"


def test_a_transcript_holds_only_what_was_typed() -> None:
    found, _ = fence_commands("$ a \\\n  b\noutput c\n> d\n$ cat <<E\nvim\nE\nless\n$ e")

    assert [command.argv for command in found] == [("a", "b"), ("cat",), ("e",)]


def test_offsets_in_a_transcript_are_those_of_the_block() -> None:
    text = "out\n$ cmd x"
    found, _ = fence_commands(text)

    assert text[found[0].offset :] == "cmd x"


def test_a_transcript_moves_from_folder_to_folder() -> None:
    found, after = fence_commands("$ cd a\n$ x")

    assert (found[1].folder, after) == ("a", "a")


def test_a_quote_left_open_spoils_one_line_of_a_transcript_only() -> None:
    found, _ = fence_commands("$ echo 'a\n$ b")

    assert [command.argv[0] for command in found] == ["echo", "b"]


@pytest.mark.parametrize(
    ("info", "name"),
    [
        ("bash", "bash"),
        ("Bash title=x", "bash"),
        ("{.sh .numberLines}", "sh"),
        ("language-zsh", "zsh"),
        ("", ""),
        ("sh,x", "sh"),
    ],
)
def test_language_of_a_fence(info: str, name: str) -> None:
    assert language(info) == name


def test_powershell_is_another_language() -> None:
    assert not is_shell("powershell")


@pytest.mark.slow
@given(st.text(alphabet="ab $(){}'\"\\`<>|&;#=\n\t-\x00é\udc80", max_size=80))
def test_any_text_is_read_and_every_source_stands_in_it(text: str) -> None:
    found, _ = script(text)

    assert all(text.startswith(command.text, command.offset) and command.words for command in found)


@pytest.mark.slow
@pytest.mark.parametrize(
    "piece",
    [
        "[",
        "`",
        "${",
        "$(",
        "<a",
        "'",
        '"',
        "\\",
        "a ",
        "(\n",
        "<<a\n",
        '"$(',
        "if ",
        "$ x\\\n",
        "$ a<<b\n",
        "$ '\n",
        "<",
        ")",
    ],
)
def test_work_is_linear_in_the_text(piece: str) -> None:
    def read(size: int) -> None:
        fence_commands(piece * (size // len(piece)))

    with no_hang():
        read(100_000)
    assert growth(read, 500, 8) < 2


@pytest.mark.parametrize(
    "blank", [*"\x1c\x1d\x1e\x1f\x85\xa0\u1680\u2003\u2028\u2029\u202f\u205f\u3000", "\u3000\\\n\x85"]
)
@pytest.mark.parametrize("text", ["vim{}x", "{}vim x{}", "$x{}", "cat <<{}x", "vim >{}x", "vim{}#c", "&{}vim x"])
def test_every_blank_ends_a_word(text: str, blank: str) -> None:
    assert argvs(text.replace("{}", blank)) == argvs(text.replace("{}", " "))
