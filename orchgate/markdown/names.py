"""Which files are Markdown documents, by name."""

from __future__ import annotations

SUFFIXES = (".md", ".markdown", ".mdx")
MDX = ".mdx"


def is_markdown(path: str) -> bool:
    """Whether a file has the name of a Markdown document, in any case."""
    return path.casefold().endswith(SUFFIXES)


def is_mdx(path: str) -> bool:
    return path.casefold().endswith(MDX)


def as_md(path: str) -> str:
    """The path with the usual suffix: `docs/a.MARKDOWN` is `docs/a.md`."""
    folded = path.casefold()
    suffix = next((suffix for suffix in SUFFIXES if folded.endswith(suffix)), "")
    return path[: len(path) - len(suffix)] + SUFFIXES[0] if suffix else path
