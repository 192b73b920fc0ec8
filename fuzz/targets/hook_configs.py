"""A .pre-commit-config.yaml: ours is put in without changing another byte of it, or it is left to its owner."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fuzz.violation import Violation
from orchgate.commands.init import hook_config
from orchgate.git import message_hook

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


def seeds() -> Iterable[bytes]:
    yield hook_config.new_file(hook_config.LOCAL_ENTRY).encode()
    yield b"repos:\n- repo: local\n  hooks:\n  - id: a\n    entry: b # orchgate\n    language: system\n"
    yield b"# c\r\nrepos: []\r\ndefault_stages: [commit]\r\n"
    yield b"a: '3'\nrepos:   # all\n  # one\n\n  - repo: https://x/y\n    rev: v1\n    hooks: [{id: z}]\n"


def prepare(_: str) -> Callable[[bytes], None]:
    def one(data: bytes) -> None:
        text = data.decode("utf-8", "surrogateescape")
        message_hook._LISTED.search(text)
        message_hook._CALL.search(text)
        hook_config.reads_message(text)
        if hook_config.is_wired(text):
            return
        made = hook_config.with_entry(text, hook_config.LOCAL_ENTRY)
        if made is None:
            return
        if not hook_config.is_wired(made) or hook_config.with_entry(text, hook_config.LOCAL_ENTRY) != made:
            raise Violation("what was put in is not found again")
        rest = iter(made.split("\n"))
        others = (line for line in text.split("\n") if line.strip() and not line.startswith("repos"))
        if not all(line in rest for line in others):
            raise Violation("something else of the file was changed")

    return one
