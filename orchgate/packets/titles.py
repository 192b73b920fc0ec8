"""Headings as people write them: one title in many spellings."""

from __future__ import annotations

import re
from functools import lru_cache

from orchgate.lib.lazy import lazy
from orchgate.lib.typed import NamedTuple

MAX_TITLE = 500  # characters that are compared
DASHES = "‐‑‒–—―−﹣-"  # noqa: RUF001 -- telling them apart is the point
KIND_WORDS = {
    "prd": "prd",
    "product requirements": "prd",
    "product requirements document": "prd",
    "tech spec": "tech-spec",
    "technical spec": "tech-spec",
    "technical specification": "tech-spec",
    "tech specification": "tech-spec",
    "action plan": "action-plan",
    "task checklist": "checklist",
    "checklist": "checklist",
    "mini spec": "mini-spec",
    "mini-spec": "mini-spec",
}

_TO_HYPHEN = dict.fromkeys(map(ord, DASHES), "-")
_COMMENT = lazy(r"<!--.{0,500}?-->")
_LINK = lazy(r"!?\[([^\[\]]*)\](?:\([^()]*\)|\[[^\[\]]*\])")
_ORNAMENT = lazy(r"^[^\w(§]+")
_NUMBERING = lazy(r"^(?:§\s*)?(?:\d{1,3}(?:\.\d{1,3}){0,5}[.):]?|[a-z][.)])\s+")
_SUFFIX = lazy(r"\s*\([^()]*\)$")
_AFTER_KIND = lazy(r"(?: mirror)?(?:\s+-\s*|\s*[:|]\s*|$)(?P<rest>.*)", re.DOTALL)
_TASK = lazy(r"(?:task\s+)?#?(?P<id>\d{4})(?:\s*[-:|]|\s|$)")


@lru_cache(maxsize=8192)
def normal(title: str) -> str:
    """A section title as it is compared: `## 2. **Goals & Aims** (draft):` is `goals and aims`."""
    text = _plain(title)
    if not text[:1].isalnum():
        text = _ORNAMENT.sub("", text)
    if text[:1] == "§" or text[:1].isdecimal() or text[1:2] in (".", ")"):
        text = _NUMBERING.sub("", text, count=1)
    while text.endswith(")") and (shorter := _SUFFIX.sub("", text, count=1)) not in ("", text):
        text = shorter
    return " ".join(text.replace("&", " and ").replace("-", " ").split()).rstrip(" :.")


@lru_cache(maxsize=8192)
def spellings(title: str) -> tuple[str, ...]:
    """All titles that a section counts as: `Scope / Non-Goals` is both."""
    whole = normal(title)
    return (whole, *(normal(part) for part in whole.split(" / "))) if " / " in whole else (whole,)


def _plain(title: str) -> str:
    """Lower case without markup, every dash a hyphen, closing `#`s and colons gone."""
    text = title[:MAX_TITLE]
    if not text.isascii():
        import unicodedata

        text = unicodedata.normalize("NFKC", text).translate(_TO_HYPHEN)
    if "[" in text or "<" in text:
        text = _LINK.sub(r"\1", _COMMENT.sub("", text))
    text = text.replace("&amp;", "&")
    for mark in "*`~":
        text = text.replace(mark, "")
    text = text.replace("_", " ").replace("\\", "").casefold().strip()
    return " ".join(text.rstrip("#").rstrip(" :").split())


def choices(required: str) -> tuple[str, ...]:
    """The titles that satisfy one configured section: `Summary | Overview` is two."""
    return tuple(part.strip() for part in required.split("|") if part.strip())


class DocumentName(NamedTuple):
    """What a first heading names: a kind of document and a four-digit task id, "" for none."""

    kind: str
    task_id: str
    rest: str


def _kind(text: str) -> tuple[str, str] | None:
    """The kind that a plain title begins with, and what follows it."""
    for words in sorted(filter(text.startswith, KIND_WORDS), key=len, reverse=True):
        if match := _AFTER_KIND.fullmatch(text, len(words)):
            return KIND_WORDS[words], match["rest"]
    return None


def document_name(title: str) -> DocumentName:
    """`TECH_SPEC — 0939 Faster runs` as ("tech-spec", "0939", "0939 faster runs"), in every spelling seen of it."""
    text = _plain(title)
    kind, rest = _kind(text) or ("", text)
    task = _TASK.match(rest)
    return DocumentName(kind, task["id"] if task else "", rest)
