"""Commands and other short texts as they may be written down: with the name of a form in place of each secret.

The commands of a run are looked at before it starts, nearly always in vain: words that every form needs come first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from orchgate.secrets.scan import Found

MARK = "[secret: "  # stands before the name of the form
# One of these is in every word of a form: a command without any of them costs nothing.
WORDS = tuple(
    """
    bearer secret aws pass pwd token credential key string login curl --user identified auth AKIA ASIA ABIA ACCA A3T
    aiza ya29. gocspx- sig= q~ eyj :// hooks.slack.com /api/webhooks/ webhook.office.com ghp_ gho_ ghu_ ghs_ ghr_
    github_pat_ glpat- gldt- glrt- glcbt- glptt- glft- glimt- glagent- gloas- glsoat- glffct- gr1348941 xox xapp-
    _live_ _test_ whsec_ npm_ pypi- SG. SK sk- hf_ api_org_ _v1_ shp :aa dapi dckr_ atatt3 atctt3 ATBB hvs. hvb.
    hvr. .atlasv1. glsa_ glc_ sntry nrak- nral- lin_ ntn_ pmak- pul- dp. pscale_ rubygems_ fm1a_ fm1r_ fm2_ fo1_
    ls0tls1crudjti mysql mariadb hrku- gsk_ pplx- xai- r8_ sbp_ figd_ akcp dt0c01. pnu_
    """.split()  # noqa: SIM905 -- a hundred strings would hide what they are
)


def redacted(text: str) -> str:
    """A text without its secrets."""
    return redacted_words((text,))[0]


def redacted_words(words: Sequence[str]) -> tuple[str, ...]:
    """The words of a command without their secrets; what one word holds, the word before it may say."""
    texts = [word.encode("utf-8", "surrogateescape") for word in words]
    whole = b" ".join(texts)
    if not may_hold(whole):
        return tuple(words)
    from orchgate.secrets import scan

    # The form of a token, which is found later, tells more than the key word beside it.
    spans = [*reversed([*scan.among(whole)]), *_options(texts)]
    spans.sort(key=lambda one: (one.start, -one.end))
    shown, start = [], 0
    for text in texts:
        end = start + len(text)
        shown.append(_cut(whole, start, end, spans).decode("utf-8", "surrogateescape"))
        start = end + 1
    return tuple(shown)


def is_redacted(words: Iterable[str]) -> bool:
    """Whether something was taken out of a command that was recorded: it cannot be run again."""
    return any(MARK in word for word in words)


def may_hold(text: bytes) -> bool:
    """Whether any word is in a text that every form of a secret has one of."""
    words = (text + text.lower()).decode("latin-1")
    return any(word in words for word in WORDS)


def _options(texts: Sequence[bytes]) -> Iterator[Found]:
    """Whole words, or what is left of one, behind an option that says that a secret follows."""
    from orchgate.secrets import judged
    from orchgate.secrets.scan import Found

    start = 0
    for word, following in zip(texts, [*texts[1:], b""], strict=True):
        option, equals, value = word.partition(b"=")
        if judged.is_option(option):
            value = value if equals else following
            first = start + (len(option) if equals else len(word)) + 1
            if judged.is_value(value):
                yield Found("key-value", first, first + len(value))
        start += len(word) + 1


def _cut(whole: bytes, start: int, end: int, spans: Sequence[Found]) -> bytes:
    """One word of the whole, with marks in place of the parts of it that are secret."""
    shown, at = [], start
    for one in spans:
        first, last = max(one.start, at), min(one.end, end)
        if first < last:
            shown += [whole[at:first], f"{MARK}{one.name}]".encode()]
            at = last
    return b"".join((*shown, whole[at:end]))
