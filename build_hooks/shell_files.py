"""What shells and `man` read: completions for bash, zsh and fish, and a page for each command, made from the parsers.

Imports nothing that orchgate itself depends on: a build has only what pyproject.toml asks for under `build-system`.
"""

from __future__ import annotations

import argparse
import os
import re
from typing import TYPE_CHECKING

from orchgate import __version__, registry
from orchgate.cli import GROUPS
from orchgate.commands.shared import command_line
from orchgate.commands.shared.command_line import Parser

if TYPE_CHECKING:
    from collections.abc import Iterator

SHELLS = {"bash": "orchgate.bash", "zsh": "_orchgate", "fish": "orchgate.fish"}
# Where they belong below a prefix.
PLACES = {
    "orchgate.bash": "share/bash-completion/completions/orchgate",
    "_orchgate": "share/zsh/site-functions/_orchgate",
    "orchgate.fish": "share/fish/vendor_completions.d/orchgate.fish",
}
_HERE = os.path.dirname(os.path.abspath(__file__))
# What stands for a value in --help, and what a tab offers for it.
_VALUES = {
    "PIPELINE": "pipelines",
    "PIPELINE | -- CMD": "pipelines",
    "REV": "revisions",
    "RUN": "runs",
    "RUN|TASK|FILE": "tasks",
    "TASK": "tasks",
}
_BY_DEST = {"task": "tasks", "remote": "remotes"}
_PATHS = ("FILE", "PATH", "FOLDER")

# bash takes `--task=x` for three words, shtab for one option and a value behind it.
_SPLIT = """
_orchgate_split() {
  local -a words=()
  local at line count=$COMP_CWORD
  for at in "${!COMP_WORDS[@]}"; do
    if [[ ${COMP_WORDS[at]} != "=" || ${COMP_WORDS[at - 1]} != --* ]]; then
      words+=("${COMP_WORDS[at]}")
    elif ((at == COMP_CWORD)); then
      words+=("")
    else
      ((at > COMP_CWORD)) || ((count -= 1))
    fi
  done
  COMP_WORDS=("${words[@]}")
  COMP_CWORD=$count
  _shtab_orchgate
}
"""


def written(folder: str) -> dict[str, str]:
    """Writes all files into a folder; the place of each below a prefix, by its name there."""
    os.makedirs(folder, exist_ok=True)
    texts = {**{SHELLS[shell]: completion(shell) for shell in SHELLS}, **man_pages()}
    for name, text in texts.items():
        with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
            file.write(text)
    return {name: PLACES.get(name, f"share/man/man1/{name}") for name in texts}


def completion(shell: str) -> str:
    """The text that a shell reads to complete command lines of orchgate."""
    import shtab

    text = str(shtab.complete(_root(shell), shell=shell, preamble=_preamble(shell)))
    return text.replace("-F _shtab_orchgate orchgate", "-F _orchgate_split orchgate") + (
        _SPLIT if shell == "bash" else ""
    )


def _root(shell: str) -> argparse.ArgumentParser:
    """One parser with all commands and verbs below it, each value marked with what may stand there."""
    root = argparse.ArgumentParser(prog="orchgate", description="A gate in front of commits and pushes.")
    root.add_argument("--version", action="version", version=__version__, help="print the version")
    listed = root.add_subparsers(dest="command", parser_class=Parser)
    for name in registry.plugins("commands"):
        module = registry.load("commands", name)
        parser = listed.add_parser(name, help=module.SUMMARY, description=module.SUMMARY)
        command_line.describe(parser, module)
        for one in _with_verbs(parser):
            one.description = one.module.SUMMARY if one.module else ""
            for action in one._actions:
                _mark(action, one.prog, shell)
    return root


def _with_verbs(parser: Parser) -> Iterator[Parser]:
    parser.complete()
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for verb in action.choices.values():
                yield from _with_verbs(verb)


def _mark(action: argparse.Action, prog: str, shell: str) -> None:
    metavar = action.metavar if isinstance(action.metavar, str) else ""
    if action.nargs in {"...", 0} or action.choices:
        return
    if fixed := _fixed(metavar, prog):
        action.choices = fixed
    elif metavar in _PATHS:
        import shtab

        action.complete = shtab.DIRECTORY if metavar == "FOLDER" else shtab.FILE  # type: ignore[attr-defined]
    elif kind := _VALUES.get(metavar) or _BY_DEST.get(action.dest, ""):
        call = f"(_orchgate_values {kind})" if shell == "fish" else f"_orchgate_{kind}"
        action.complete = {shell: call}  # type: ignore[attr-defined]


def _fixed(metavar: str, prog: str) -> tuple[str, ...]:
    """Words that are the same in every repository."""
    if metavar == "CHECK":
        return registry.check_ids()
    if metavar in {"RULE", "RULES"}:
        return tuple(sorted(registry.rules()))
    if prog == "orchgate schema":
        folder = os.path.join(_HERE, os.pardir, "schemas")
        return tuple(sorted(name.removesuffix(".json") for name in os.listdir(folder) if name.endswith(".json")))
    return ()


def _preamble(shell: str) -> str:
    with open(os.path.join(_HERE, "values.sh"), encoding="utf-8") as file:
        text = file.read()
    kinds = sorted({*_VALUES.values(), *_BY_DEST.values()})
    if shell == "bash":
        offer = '_orchgate_{0}() {{ compgen -W "$(_orchgate_values {0})" -- "$1"; }}\n'
        return text + "".join(offer.format(kind) for kind in kinds)
    if shell == "zsh":
        offer = '_orchgate_{0}() {{ local -a found; found=(${{(f)"$(_orchgate_values {0})"}}); compadd -a found }}\n'
        return text + "".join(offer.format(kind) for kind in kinds)
    # fish has functions of its own; what is between the quotes is for sh in any case.
    script = re.search(r"command sh -c '\n(.*?)\n  ' sh", text, re.DOTALL)
    assert script is not None
    quoted = script[1].replace("\\", "\\\\")
    return f"function _orchgate_values\n  command sh -c '\n{quoted}\n  ' sh $argv[1] 2>/dev/null\nend\n"


def man_pages() -> dict[str, str]:
    """A page for each command, by file name, and `orchgate.1`, which lists them."""
    pages = {}
    for name in registry.plugins("commands"):
        module = registry.load("commands", name)
        parser = Parser(prog=f"orchgate {name}")
        command_line.describe(parser, module)
        parser.complete()
        pages[f"orchgate-{name}.1"] = _page(parser, module.SUMMARY)
    return {"orchgate.1": _first_page(), **pages}


def _page(parser: Parser, summary: str) -> str:
    from argparse_manpage.manpage import Manpage

    for one in _with_verbs(parser):
        one.format_help()  # it puts the texts of a command into its parser
        # A page has sections for what stands above and below the options in --help.
        one.description = (one.description or "").partition("\n\n")[2] or summary
        one.epilog = None if one is not parser else one.epilog
    examples, _, codes = (parser.epilog or "").removeprefix("examples:\n").partition("\n\nexit codes:\n")
    parser.epilog = None
    page = Manpage(parser, _data={**_DATA, "description": summary})
    page.prog = parser.prog.replace(" ", "-")  # as its file is called, and `man` asks for it
    page.add_section("examples", ">", f".nf\n{_roff(examples)}\n.fi")
    page.add_section("exit status", ">", f".nf\n{_roff(codes)}\n.fi")
    page.add_section("see also", ">", "orchgate(1)")
    # Where the library breaks a line before a path such as .orchgate, it would be a request, and be left out.
    return re.sub(r"(?m)^(\.[a-z]{3})", r"\\&\1", str(page))


_DATA = {"project_name": "orchgate", "version": __version__, "manual_title": "orchgate"}


def _first_page() -> str:
    from argparse_manpage.manpage import Manpage

    root = argparse.ArgumentParser(prog="orchgate", usage="orchgate COMMAND [OPTIONS]", add_help=False)
    root.description = (
        "Nothing lands that its own evidence does not support, and nothing is pushed that makes the pipelines worse."
    )
    page = Manpage(root, _data={**_DATA, "description": "a gate in front of commits and pushes"})
    known = registry.plugins("commands")
    for title, names in GROUPS.items():
        rows = [
            f".TP\n.B {_roff(f'orchgate-{name}(1)')}\n{_roff(registry.command_summary(name))}"
            for name in names
            if name in known
        ]
        page.add_section(title, ">", "\n".join(rows))
    codes = "\n".join(command_line.code_lines(command_line.EXIT_CODES))
    page.add_section("exit status", ">", f".nf\n{_roff(codes)}\n.fi")
    return str(page)


def _roff(text: str) -> str:
    """Text that is no markup: no request at the start of a line, and a hyphen that can be copied."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-")
    return re.sub(r"(?m)^([.'])", r"\\&\1", escaped)
