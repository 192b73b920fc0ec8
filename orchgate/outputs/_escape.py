"""The one choke point through which untrusted text reaches a terminal."""

from __future__ import annotations

from orchgate.lib.lazy import lazy
from orchgate.lib.typed import TYPE_CHECKING

if TYPE_CHECKING:
    import re

# Control characters (ESC among them), lone surrogates that stand for undecodable bytes, characters that reorder or
# hide text, and line separators: a file name must not be able to move the cursor or forge a line.
_UNSAFE = lazy(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff\ufff9-\ufffb\ufffe\uffff\n\t\U000e0000-\U000e007f]"
)
# What logs of CI services obey: `::error::` at the beginning of a line, `##[group]` and `##vso[…]` anywhere in it.
_OBEYED = lazy(r"\A(?P<blanks>\s*):(?=:)|#(?=#\w*\[)")


def escape(text: str) -> str:
    r"""The text on one line, every unsafe character written out as in Python: `\n`, `\x1b`, `\u202e`.

    Nor is any of it a command to a CI service, wherever in a line it is printed.
    """
    if not text.isprintable():
        text = _UNSAFE.sub(written_out, text)
    return _OBEYED.sub(_disarmed, text) if "::" in text or "##" in text else text


def _disarmed(match: re.Match[str]) -> str:
    return f"{match['blanks'] or ''}\\x{ord(match[0][-1]):02x}"


def written_out(match: re.Match[str]) -> str:
    code = ord(match[0])
    if 0xDC80 <= code <= 0xDCFF:  # a byte that is not UTF-8
        return f"\\x{code - 0xDC00:02x}"
    return {"\n": "\\n", "\t": "\\t", "\r": "\\r"}.get(match[0]) or (
        f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" if code < 65536 else f"\\U{code:08x}"
    )


# What Markdown and HTML make something of; and what GitHub and GitLab make a mention, a reference or a picture of.
_MARKUP = lazy(r"[&<\\`*\[\]|~$@]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])|:(?=//)")
_REFERENCE = lazy(r"[@#!$%&~^:](?=[\w/\"])|(?i:www)(?=\.)|(?i:gh)(?=-\d)")
_GAP = "\u200b"  # of no width


def code(text: str) -> str:
    """The text as code in Markdown, where nobody is mentioned and nothing becomes a link; it can be copied from."""
    return f"<code>{_MARKUP.sub(_entity, escape(text))}</code>"


def prose(text: str) -> str:
    """The text as words in Markdown; what stands between backticks is code."""
    parts = escape(text).split("`")
    if len(parts) % 2 == 0:  # one of them has no other
        parts = ["`".join(parts)]
    return "".join(code(part) if at % 2 else _plain(part) for at, part in enumerate(parts))


def _plain(text: str) -> str:
    """Without what refers to something: a gap of no width is behind what begins it."""
    marked = _REFERENCE.sub(lambda match: match[0] + _GAP, text)
    return _MARKUP.sub(_entity, marked).replace(_GAP, "&#8203;")


def _entity(match: re.Match[str]) -> str:
    return f"&#{ord(match[0])};"
