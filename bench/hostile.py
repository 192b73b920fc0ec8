"""Hostile inputs of any size: what a stranger may put into one document, one tree, one push or one file of a run."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from common import commit, git, import_stream, write

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

PLAN, CHECKLIST, INDEX = "docs/ACTION_PLAN-big.md", "tasks/tasks-0001-big.md", "tasks/index.json"
CHECK = ("check", "--all-files")
MOST_BYTES = 7_500_000  # the largest document that is read, with some room
RUN = "2026-01-02T03-04-05-678Z-"


class Shape(NamedTuple):
    """`make` fills an empty repository with so many of the thing; `argv` is what has to cope with it.

    `bytes_each`: what one of them takes in a document; 0 where no document grows.
    """

    name: str
    make: Callable[[Path, int], None]
    argv: tuple[str, ...] = CHECK
    bytes_each: int = 0
    stdin: Callable[[Path, int], bytes] = lambda _root, _number: b""


def repeated(text: str) -> Callable[[int], str]:
    """The text again and again; `@` in it is another number each time."""
    return lambda number: "".join(text.replace("@", str(at)) for at in range(number))


DOCUMENTS: dict[str, str | Callable[[int], str]] = {
    "ignore comments": "<!-- orchgate: ignore[EVD001] x -->\n",
    "ignore comments on one line": "<!-- orchgate: ignore[EVD001] x -->",
    "ignore comments with their findings": "<!-- orchgate: ignore[EVD001] x -->\n[a](gone-@.md)\n\n",
    "ignore comments that name many rules": lambda n: (
        "<!-- orchgate: ignore[" + ",".join(f"EVD{at:03}" for at in range(n)) + "] x -->\n"
    ),
    "links to one missing target": "[a](gone.md)\n",
    "links to missing targets": "- [a](gone-@.md)\n",
    "links to missing anchors": "- [a](#gone-@)\n\n## Head @\n\n",
    "links to missing lines": "- `docs/ACTION_PLAN-big.md:99999999@`\n",
    "links in one paragraph": "[a](gone-@.md) and `docs/gone-@.md` ",
    "references without a definition": "[text @][label-@] passes\n",
    "references without a definition in one list": "- [x] [text @][label-@] passes\n",
    "reference definitions": "[label-@]: gone-@.md\n",
    "spans that name scripts": "- run `npm run lnit-@` and `make tset-@`\n",
    "spans that name scripts in one paragraph": "run `npm run lnit-@`, ",
    "shell lines that name targets": lambda n: "```sh\n" + repeated("make tset-@\n")(n) + "```\n",
    "pipes in a fence": lambda n: "```sh\n" + "| " * n + "\n```\n",
    "one pipeline in a fence": lambda n: "```sh\n" + "cat a | " * n + "wc\n```\n",
    "table rows in a fence": lambda n: "```\n" + repeated("| a @ | b | c |\n")(n) + "```\n",
    "table rows": "| a @ | `b` | [c](gone-@.md) |\n",
    "cells of one table row": "| a @ ",
    "fences": "```sh\nmake all\n```\n\n",
    "open quotes in a fence": lambda n: "```sh\n" + "echo 'a\n" * n + "```\n",
    "open substitutions in a fence": lambda n: "```sh\n" + "echo $(a\n" * n + "```\n",
    "backticks in a fence": lambda n: "````sh\n" + "` " * n + "\n````\n",
    "here-documents in a fence": lambda n: "```sh\n" + "cat <<A <<B\n" * n + "```\n",
    "folders changed in a fence": lambda n: "```sh\n" + "cd a\n" * n + "make all\n```\n",
    "subshells in a fence": lambda n: "```sh\n" + "(" * n + "\n```\n",
    "continued lines in a fence": lambda n: "```sh\n" + "make \\\n" * n + "```\n",
    "wrappers in a fence": lambda n: "```sh\n" + "env " * n + "make all\n```\n",
    "words of one command": lambda n: "```sh\nnpm run " + "a " * n + "\n```\n",
    "targets of one command": lambda n: "```sh\nmake all " + "a@ " * n + "\n```\n",
    "transcripts": lambda n: "```console\n" + "$ make all\nout\n" * n + "```\n",
    "backticks": "`",
    "runs of backticks": lambda n: " ".join("`" * at for at in range(1, int((2 * n) ** 0.5))),
    "single backticks": "` \n",
    "comments that never end": "<!--",
    "comments that never end, a line each": "<!-- a\n",
    "comment ends": "-->\n",
    "brackets": "[",
    "closing brackets": "](",
    "images in images": "![",
    "links in links": "[a](",
    "angles": "<a href=",
    "autolinks": "<http://a/@>\n",
    "parentheses": lambda n: "[a](" + "(" * n + "\n",
    "emphasis": "*a_",
    "emphasis in a heading": lambda n: "## " + "*_" * n + "\n",
    "brackets in a heading": lambda n: "## " + "[" * n + "\n",
    "backticks in a heading": lambda n: "## " + "` " * n + "\n",
    "headings": "## Head @\n\n",
    "headings of one name": "## Head\n\n",
    "step sections": "## Concrete Steps\n\n`make all`\n\n",
    "progress sections": "## Progress\n\n- [x] it passes\n\n",
    "approval sections": "## Approvals\n\n- Product: TBD\n\n",
    "underlines": "a\n===\n",
    "underlines of one paragraph": lambda n: "a\n" * n + "===\n" + "===\n" * n,
    "rules": "***\n",
    "list items": "- a\n",
    "nested list items": lambda n: "".join(f"{' ' * (at % 60)}- a {at}\n" for at in range(n)),
    "list markers on one line": "- ",
    "items that nest ever deeper": lambda n: "".join(
        f"{' ' * at}- [x] a\n" for _ in range(1 + n // 300) for at in range(min(n, 300))
    ),
    "nested quotes": "> ",
    "quotes": "> a\n",
    "quotes with fences": "> ```\n> a\n",
    "ticked items": "- [x] it passes @\n",
    "ticked items in a list below a label": "- [x] it passes, see `.runs/0001-big/cli/"
    + RUN
    + "0000000@/manifest.json`\n",
    "ticked items in ticked items": lambda n: "".join(f"{' ' * (at % 60)}- [x] a {at}\n" for at in range(n)),
    "evidence markers": "- [x] a Evidence: \n",
    "evidence markers on one line": "Evidence: a ",
    "placeholders": "- Owner: TBD\n",
    "placeholders on one line": "TODO <fill in> ",
    "unfilled runs": "- [x] a. Evidence: `.runs/0001-big/cli/<run-id>/manifest.json`\n",
    "paths of runs in prose": ".runs/0001-big/cli/@/manifest.json ",
    "paths of runs without blanks": ".runs/a",
    "missing runs": "- [x] a. Evidence: `.runs/0001-big/cli/" + RUN + "@/manifest.json`\n",
    "globs of runs": "- [x] a. Evidence: `.runs/**/@*.json`\n",
    "braces": lambda n: "- [x] a. Evidence: `.runs/" + "{a,b}" * n + "/manifest.json`\n",
    "stars in a path": lambda n: "- [x] a. Evidence: `.runs/" + "*a" * n + "/manifest.json`\n",
    "folders of one path": lambda n: "[a](" + "a/" * n + ")\n",
    "steps up of one path": lambda n: "[a](" + "../" * n + ")\n",
    "one long word": "a",
    "one long line of words": "a ",
    "blank lines": "\n",
    "blanks": " ",
    "tabs": "\t",
    "non-breaking spaces": "\u00a0",
    "carriage returns": "\r",
    "hashes": "#",
    "backslashes": "\\",
    "entities": "&amp;",
    "html ids": "<a id='x@'>\n",
}


def document(text: Callable[[int], str]) -> Callable[[Path, int], None]:
    """The text in the step section of an action plan, and in the checklist of a finished packet."""

    def make(root: Path, number: int) -> None:
        body = text(number)
        write(root, PLAN, f"# Action Plan: big\n\n## Concrete Steps\n\n{body}\n")
        write(root, CHECKLIST, f"# Task Checklist: 0001\n\n## Checklist\n\n{body}\n")
        write(root, INDEX, json.dumps({"items": [{"id": "0001", "slug": "big", "status": "done"}]}))
        write(root, ".runs/0001-big/cli/kept/manifest.json", "{}\n")
        _names(root, 0)
        git(root, "add", "--all")

    return make


def _names(root: Path, number: int) -> None:
    """So many scripts and targets, and a few."""
    scripts = dict.fromkeys(("lint", "test", *(f"script-{at}" for at in range(number))), "true")
    write(root, "package.json", json.dumps({"scripts": scripts}))
    write(root, "Makefile", "all:\n" + "".join(f"target-{at}:\n" for at in range(number)))


def _front_matter(lines: Callable[[int], str]) -> Callable[[Path, int], None]:
    def make(root: Path, number: int) -> None:
        write(root, PLAN, f"---\n{lines(number)}---\n# Action Plan: big\n")
        write(root, "tasks/specs/0001-big.md", f"---\n{lines(number)}---\n# Spec\n")
        git(root, "add", "--all")

    return make


def _scripts_and_spans(root: Path, number: int) -> None:
    document(repeated("- run `npm run script-@x` and `make target-@x`\n"))(root, number)
    _names(root, number)
    git(root, "add", "--all")


def _targets_and_files(root: Path, number: int) -> None:
    document(repeated("- run `make target-@x`\n"))(root, number)
    for at in range(number):
        write(root, f"src/{at % 100}/file-{at}", "")
    git(root, "add", "--all")


def _siblings(root: Path, number: int) -> None:
    """Missing names in one folder that holds as many others."""
    document(repeated("- [a](../notes/gone-@.txt)\n"))(root, number)
    for at in range(number):
        write(root, f"notes/note-{at}.txt", "")
    git(root, "add", "--all")


def _packets(root: Path, number: int) -> None:
    items = []
    for at in range(number):
        name = f"{at:05}-part-{at}"
        write(root, f"docs/PRD-part-{at}.md", f"# PRD: part {at}\n\n## Summary\n\nText.\n")
        write(root, f"tasks/tasks-{name}.md", f"# Task Checklist: {at}\n\n- Primary PRD: docs/PRD-part-{at + 1}.md\n")
        items.append({"id": f"{at:05}", "slug": f"part-{at}", "path": f"tasks/gone-{at}.md", "status": "in progress"})
    write(root, INDEX, json.dumps({"items": items}, indent=1))
    git(root, "add", "--all")


def _index(root: Path, number: int) -> None:
    document(str)(root, 0)
    write(
        root, INDEX, json.dumps({"items": [{"id": f"{at:05}", "path": f"tasks/gone-{at}.md"} for at in range(number)]})
    )
    git(root, "add", "--all")


def _slug_of_many_tasks(root: Path, number: int) -> None:
    for at in range(number):
        write(root, f"tasks/tasks-{at:05}-same.md", "# Task Checklist\n")
    write(root, "docs/PRD-same.md", "# PRD\n")
    git(root, "add", "--all")


def _ignored_files(root: Path, number: int) -> None:
    """As many files as entries of per-file-ignores, each with a fault."""
    entries = (f'"docs/note-{at}.md" = {{ rules = ["EVD001"], reason = "r" }}\n' for at in range(number))
    write(root, "orchgate.toml", "[per-file-ignores]\n" + "".join(entries))
    for at in range(number):
        write(root, f"docs/note-{at}.md", "[a](gone.md)\n")
    commit(root, "Start")


def _globs_and_files(root: Path, number: int) -> None:
    """So many globs; the files stay, as each is compared with each: how many there are is their owner's choice."""
    globs = "".join(f'"docs/**/x-{at}-*.md",\n' for at in range(number))
    write(root, "orchgate.toml", f"[evidence]\nexclude = [\n{globs}]\n")
    for at in range(200):
        write(root, f"docs/note-{at}.md", "text\n")
    commit(root, "Start")


def _lock(root: Path, number: int) -> None:
    pins = [
        {"path": f".runs/0001-big/cli/{RUN}{at:08}/manifest.json", "sha256": f"{at:064x}", "size": 3}
        for at in range(number)
    ]
    lines = sorted(json.dumps(pin) for pin in pins)
    write(root, ".orchgate/evidence.lock", '{"evidence-lock": 1}\n' + "\n".join(lines) + "\n")
    text = repeated("- [x] a. Evidence: `.runs/0001-big/cli/" + RUN + "9@/manifest.json`\n")
    write(root, CHECKLIST, f"# Task Checklist: 0001\n\n## Checklist\n\n{text(number)}")
    git(root, "add", "--all")


def _manifest(root: Path, number: int) -> None:
    stages = [
        {"index": at, "id": f"s{at}", "title": "t", "command": "true", "kind": "command", "status": "succeeded"}
        for at in range(number)
    ]
    run = {"task_id": "0001-big", "run_id": RUN + "00000001", "pipeline_id": "p", "status": "succeeded"}
    write(root, f".runs/0001-big/cli/{RUN}00000001/manifest.json", json.dumps({**run, "commands": stages}))
    write(root, "a.md", f"See `.runs/0001-big/cli/{RUN}00000001/manifest.json`.\n")
    git(root, "add", "--all")


def _manifests(root: Path, number: int) -> None:
    for at in range(number):
        write(root, f".runs/0001-big/cli/{RUN}{at:08x}/manifest.json", '{"run_id": "x", "commands": [{}, {}]}')
    git(root, "add", "--all")


def _trailers(root: Path, number: int) -> None:
    write(root, "a.py", "x = 1\n")
    commit(root, "Start")
    write(root, "a.py", "x = 2\n")
    git(root, "add", "--all")
    write(root, ".git/MESSAGE", "Change\n\n" + "".join(f"Task: {at}\n" for at in range(number)))


def _commits(root: Path, number: int) -> None:
    """Commits whose messages end in trailers, on a branch."""
    write(root, "a.py", "x = 1\n")
    commit(root, "Start")
    git(root, "checkout", "--quiet", "-b", "topic")
    parts = ["feature done\n"]
    for at in range(number):
        message = f"Change {at}\n\nTask: {at}\n"
        parts.append(
            f"commit refs/heads/topic\ncommitter b <b@b> {1_700_000_000 + at} +0000\ndata {len(message)}\n{message}\n"
            + ("from refs/heads/topic^0\n" if at == 0 else "")
            + f"M 100644 inline a.py\ndata {len(str(at)) + 1}\n{at}\n\n"
        )
    import_stream(root, "".join([*parts, "done\n"]))
    git(root, "reset", "--quiet", "--hard")


def _refs(root: Path, number: int) -> None:
    _commits(root, number)


def _ref_lines(root: Path, number: int) -> bytes:
    """Every commit of the branch under a name of its own, as git tells a pre-push hook."""
    import subprocess

    listed = subprocess.run(["git", "rev-list", "topic"], cwd=root, capture_output=True, check=True).stdout.split()
    return b"".join(
        b"refs/heads/b%d %s refs/heads/b%d %s\n" % (at, oid, at, b"0" * 40) for at, oid in enumerate(listed[:number])
    )


def _deletions(_root: Path, number: int) -> bytes:
    return b"".join(b"(delete) %s refs/heads/b%d %s\n" % (b"0" * 40, at, b"1" * 40) for at in range(number))


def _changed_files(root: Path, number: int) -> None:
    write(root, "keep.py", "x = 1\n")
    commit(root, "Start")
    for at in range(number):
        write(root, f"src/{at % 100}/m{at}.py", "x = 1\n")
    git(root, "add", "--all")


def _links_and_documents(root: Path, number: int) -> None:
    for at in range(number):
        write(root, f"docs/note-{at}.md", f"[a](note-{at + 1}.md#head) `docs/note-{at + 2}.md`\n\n## Head\n")
    git(root, "add", "--all")


def _symbolic_links(root: Path, number: int) -> None:
    write(root, "docs/real.md", "text\n")
    for at in range(number):
        (root / f"docs/link-{at}.md").symlink_to("real.md")
    write(root, "a.md", "".join(f"[a](docs/link-{at}.md)\n" for at in range(number)))
    git(root, "add", "--all")


def _lines_of_a_change(root: Path, number: int) -> None:
    write(root, "a.py", "x = 1\n")
    commit(root, "Start")
    write(root, "a.py", "".join(f"x = {at}\n" for at in range(number)))
    git(root, "add", "--all")


TIMES = {"started_at": "2026-01-02T03:04:05.678Z", "completed_at": "2026-01-02T03:05:05.678Z"}


def _metrics(root: Path, number: int) -> None:
    entry = {"task_id": "0001-big", "pipeline_id": "p", "status": "succeeded", "duration_seconds": 60.0, **TIMES}
    lines = (json.dumps({"run_id": f"{RUN}{at:08x}", **entry}) + "\n" for at in range(number))
    write(root, ".runs/0001-big/metrics.json", "".join(lines))


def _log(root: Path, number: int) -> None:
    folder = f".runs/0001-big/cli/{RUN}00000001"
    log = f"{folder}/commands/01-a.ndjson"
    stage = {"index": 1, "id": "a", "title": "a", "command": "true", "kind": "command", "status": "succeeded", **TIMES}
    run = {"task_id": "0001-big", "run_id": RUN + "00000001", "pipeline_id": "p", "status": "succeeded", **TIMES}
    line = '{"type":"exec:chunk","timestamp":"2026-01-02T03:04:%02d.%03dZ","payload":{"data":"x"}}\n'
    stages = [{**stage, "exit_code": 0, "log_path": log}]
    write(root, f"{folder}/manifest.json", json.dumps({**run, "commands": stages}))
    write(root, log, "".join(line % (at // 1000 % 60, at % 1000) for at in range(number)))


def shapes() -> Iterator[Shape]:
    """Every shape that is measured."""
    for name, text in DOCUMENTS.items():
        grow = repeated(text) if isinstance(text, str) else text
        each = max(1, len(grow(200).encode()) // 200)
        yield Shape(name, document(grow), CHECK, each)
    yield Shape("keys of front matter", _front_matter(repeated("k@: v\n")), CHECK, 10)
    yield Shape("folded lines of front matter", _front_matter(lambda n: "k: |\n" + "  a\n" * n), CHECK, 6)
    yield Shape(
        "documents that front matter relates to",
        _front_matter(lambda n: "relates_to:\n" + repeated("  - docs/@.md\n")(n)),
        CHECK,
        20,
    )
    yield Shape("scripts, and spans that misspell them", _scripts_and_spans, CHECK, 60)
    yield Shape("files, and spans that misspell targets", _targets_and_files, CHECK, 40)
    yield Shape("names of a folder, and links that misspell them", _siblings, CHECK, 40)
    yield Shape("packets whose documents disagree", _packets)
    yield Shape("entries of the task list", _index)
    yield Shape("tasks that share one slug", _slug_of_many_tasks)
    yield Shape("per-file-ignores, and as many files", _ignored_files)
    yield Shape("globs of one list", _globs_and_files)
    yield Shape("pins, and citations that miss them", _lock)
    yield Shape("stages of one manifest", _manifest)
    yield Shape("broken manifests", _manifests)
    yield Shape("trailers of one message", _trailers, ("hook", "commit-msg", ".git/MESSAGE"))
    yield Shape("commits with trailers", _commits, ("check", "--base", "main", "--head", "topic"))
    yield Shape("refs of one push", _refs, ("hook", "pre-push", "origin", "url"), 0, _ref_lines)
    yield Shape("deletions in one push", _changed_files, ("hook", "pre-push", "origin", "url"), 0, _deletions)
    yield Shape("changed files", _changed_files, ("check", "--staged"))
    yield Shape("lines of one changed file", _lines_of_a_change, ("check", "--staged"))
    yield Shape("documents that link to each other", _links_and_documents)
    yield Shape("symbolic links to one document", _symbolic_links)
    yield Shape("entries of the metrics", _metrics, ("metrics",), 90)
    yield Shape("lines of one log", _log, ("hotspots", f".runs/0001-big/cli/{RUN}00000001"), 90)
