r"""Secrets in a text of any size, in one pass: every form that issuers publish is part of one expression.

Expressions are read by RE2, over a whole text at once, and by Python's own engine, over one command line. So that both
take linear time, repeats are bounded: what is longer than its shortest form is found by its beginning. In a string that
was escaped, `\n` may stand before a token and its `n` is no letter of it: hence `_START`.
"""

from __future__ import annotations

import functools
import re

from orchgate.lib.typed import TYPE_CHECKING, NamedTuple, Protocol
from orchgate.secrets import values

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Span = tuple[int, int]


_START = r"(?:\b|\\[nrt]|\x1b\[[0-9;]{1,8}m|%[0-9A-F]{2})"
_ALNUM = "[A-Za-z0-9]"
_WORD = "[A-Za-z0-9_-]"
_HEX = "[0-9a-f]"


class Form(NamedTuple):
    """A kind of secret. A text without one of `words`, as it is or in lower case, holds none.

    `judge` is given the text and where the expression matched; it says where the secret is, or None when there is none.
    """

    name: str
    words: tuple[str, ...]
    expression: str
    judge: Callable[[bytes, int, int], Span | None] = values.token


BESIDE_KEY_WORDS = 5  # how many of the forms, the first ones, may match at the same place
FORMS = (
    Form(
        "azure-key",
        ("accountkey=", "sharedaccesskey=", "sig="),
        r"(?i:AccountKey|SharedAccessKey)=[A-Za-z0-9+/%]{40}|[?&;]sig=[A-Za-z0-9%+/_-]{40}",
    ),
    Form(
        "authorization-header",
        ("authorization", "bearer"),
        r"(?i:authorization\\{0,3}[\"']?[ \t]{0,4}[:=,][ \t]{0,4}\\{0,3}[\"']?"
        r"(?:[a-z_-]{3,12}[ \t]{1,4})?|\bbearer[ \t+]{1,4})"
        r"[A-Za-z0-9._~+/=-]{8}",
        values.authorization,
    ),
    Form(
        "aws-secret-key",
        ("secret", "aws"),
        r"(?i:secret|aws)[A-Za-z0-9_. -]{0,30}\\{0,3}[\"']?"
        r"[ \t]{0,8}(?:=>|[:=,])[ \t]{0,8}\\{0,3}[\"']?[A-Za-z0-9/+]{40}",
        values.aws_secret,
    ),
    Form(
        "key-value",
        values.KEY_WORDS,
        values.KEY_VALUE,
        values.key_value,
    ),
    Form(
        "login",
        ("login", "curl", "--user", "identified", "pass", "auth", "mysql", "mariadb"),
        values.LOGIN,
        values.login,
    ),
    Form(
        "private-key",
        ("private key", "putty-user-key", "age-secret-key", "ls0tls1crudjti"),
        r"----[ -] ?BEGIN (?:[A-Z0-9]{2,12} ){0,4}PRIVATE KEY|PuTTY-User-Key-File-\d|AGE-SECRET-KEY-1[0-9A-Z]{50}"
        # The same first line in base64, as a cluster's configuration has it: "PRIVATE KEY" begins at any of three bits.
        r"|LS0tLS1CRUdJTi[A-Za-z0-9]{1,16}(?:UFJJVkFURSBLRVk|QUklWQVRFIEtFW|BSSVZBVEUgS0VZ)",
        values.private_key,
    ),
    Form(
        "aws-access-key",
        ("AKIA", "ASIA", "ABIA", "ACCA", "A3T"),
        _START + r"(?:AKIA|ASIA|ABIA|ACCA|A3T[A-Z0-9])[A-Z0-9]{16}\b",
        values.token,
    ),
    Form("google-api-key", ("aiza",), f"AIza{_WORD}{{35}}"),
    Form("google-oauth", ("ya29.", "gocspx-"), f"{_START}(?:ya29\\.{_WORD}{{20}}|GOCSPX-{_WORD}{{20}})"),
    Form("azure-client-secret", ("q~",), r"Q~[A-Za-z0-9_~.-]{31}", values.behind(rb"[A-Za-z0-9_~.]{3}\d$", 4)),
    Form("jwt", ("eyj",), _START + r"eyJ[A-Za-z0-9_-]{10}", values.jwt),
    Form(
        "url-password",
        ("://",),
        r":(?:\\?/){2}[^\s/:@\"'<>\\]{0,60}:[^\s/\"'<>\\]{3,100}@[A-Za-z0-9\[._$-]",
        values.url_password,
    ),
    Form(
        "webhook",
        ("hooks.slack.com", "/api/webhooks/", "webhook.office.com"),
        r"hooks\.slack\.com/(?:services|workflows|triggers)/[A-Za-z0-9/]{20}|"
        r"discord(?:app)?\.com/api/webhooks/\d{10,20}/[A-Za-z0-9_-]{20}|webhook\.office\.com/webhookb2/[0-9a-f-]{36}@[0-9a-f-]{20}",
    ),
    Form(
        "github-token",
        ("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"),
        f"gh[pousr]_{_ALNUM}{{36}}|github_pat_[A-Za-z0-9_]{{40}}",
    ),
    Form(
        "gitlab-token",
        (
            "glpat-",
            "gldt-",
            "glrt-",
            "glcbt-",
            "glptt-",
            "glft-",
            "glimt-",
            "glagent-",
            "gloas-",
            "glsoat-",
            "glffct-",
            "gr1348941",
        ),
        f"gl(?:pat|dt|rt|cbt|ptt|ft|imt|agent|oas|soat|ffct)-{_WORD}{{20}}|GR1348941{_WORD}{{20}}",
    ),
    Form(
        "slack-token",
        ("xox", "xapp-"),
        r"xox[abeoprs](?:\.xox[bp])?-(?:\d{1,13}-)[A-Za-z0-9-]{10}|xox[ar]-[A-Za-z0-9]{20}|xapp-\d-[A-Z0-9]{5,20}-\d{3,20}-[a-f0-9]{10}",
    ),
    Form(
        "stripe-key",
        ("_live_", "_test_", "whsec_"),
        f"{_START}(?:(?:sk|rk)_(?:live|test|prod)_{_ALNUM}{{16}}|whsec_[A-Za-z0-9+/=]{{32}})",
    ),
    Form("npm-token", ("npm_",), f"{_START}npm_{_ALNUM}{{36}}"),
    Form("pypi-token", ("pypi-",), "pypi-AgE(?:IcHlwaS5vcmc|NdGVzdC5weXBpLm9yZw)[A-Za-z0-9_-]{8}"),
    Form("sendgrid-key", ("SG.",), f"{_START}SG\\.{_WORD}{{16,22}}\\.{_WORD}{{32}}"),
    Form("mail-key", ("key-", "xkeysib-"), f"{_START}(?:xkeysib-{_HEX}{{64}}|key-{_HEX}{{32}}\\b)"),
    Form("twilio-key", ("SK",), rf"\bSK{_HEX}{{32}}\b"),
    Form("anthropic-key", ("sk-ant-",), f"{_START}sk-ant-{_WORD}{{32}}"),
    Form("openai-key", ("sk-",), f"{_START}sk-(?:(?:proj|svcacct|admin|or-v1)-{_WORD}{{32}}|{_ALNUM}{{32}})"),
    Form("hugging-face-token", ("hf_", "api_org_"), f"{_START}(?:hf_|api_org_)[A-Za-z]{{34}}"),
    Form("digitalocean-token", ("_v1_",), f"{_START}do[opr]_v1_{_HEX}{{64}}"),
    Form("shopify-token", ("shp",), f"{_START}shp(?:at|ca|pa|ss)_[A-Fa-f0-9]{{32}}"),
    Form("telegram-token", (":aa",), f":AA{_WORD}{{32,33}}\\b", values.behind(rb"\d{8,10}$", 10)),
    Form("databricks-token", ("dapi",), f"{_START}dapi{_HEX}{{32}}"),
    Form("docker-token", ("dckr_",), f"{_START}dckr_(?:pat|oat)_{_WORD}{{20}}"),
    Form(
        "atlassian-token", ("atatt3", "atctt3", "ATBB"), f"{_START}(?:AT(?:ATT|CTT)3{_WORD}{{50}}|ATBB{_ALNUM}{{28}})"
    ),
    Form("vault-token", ("hvs.", "hvb.", "hvr."), f"{_START}hv[sbr]\\.{_WORD}{{24}}"),
    Form("terraform-token", (".atlasv1.",), f"\\.atlasv1\\.{_WORD}{{60}}", values.behind(rb"[A-Za-z0-9]{14}$", 14)),
    Form("grafana-token", ("glsa_", "glc_", "eyjrijoi"), f"{_START}(?:glsa_{_ALNUM}{{32}}_|glc_[A-Za-z0-9+/]{{32}})"),
    Form("sentry-token", ("sntry",), f"{_START}(?:sntryu_{_HEX}{{64}}|sntrys_eyJ{_WORD}{{20}})"),
    Form("new-relic-key", ("nrak-", "nral-"), f"{_START}NRA[KL]-[A-Z0-9]{{27}}"),
    Form("linear-key", ("lin_",), f"{_START}lin_(?:api|oauth)_{_ALNUM}{{40}}"),
    Form("notion-token", ("ntn_", "secret_"), f"{_START}(?:ntn_\\d{{11}}{_ALNUM}{{35}}|secret_{_ALNUM}{{43}}\\b)"),
    Form("postman-key", ("pmak-",), f"{_START}PMAK-{_HEX}{{24}}-{_HEX}{{34}}"),
    Form("pulumi-token", ("pul-",), f"{_START}pul-{_HEX}{{40}}"),
    Form(
        "doppler-token", ("dp.",), f"{_START}dp\\.(?:pt|st|ct|sa|scim|audit)\\.(?:[a-z0-9_-]{{2,35}}\\.)?{_ALNUM}{{40}}"
    ),
    Form("planetscale-token", ("pscale_",), f"{_START}pscale_(?:tkn|pw|oauth)_{_WORD}{{32}}"),
    Form("rubygems-key", ("rubygems_",), f"{_START}rubygems_{_HEX}{{48}}"),
    Form(
        "fly-token",
        ("fm1a_", "fm1r_", "fm2_", "fo1_"),
        f"{_START}(?:fo1_{_WORD}{{43}}|fm(?:1[ar]|2)_[A-Za-z0-9+/]{{60}})",
    ),
    Form("heroku-key", ("hrku-",), f"{_START}HRKU-AA{_WORD}{{30}}"),
    Form(
        "vendor-key",
        ("gsk_", "pplx-", "xai-", "r8_", "sbp_", "figd_", "akcp", "dt0c01.", "tskey-", "pnu_"),
        f"{_START}(?:(?:gsk_|pplx-|xai-){_ALNUM}{{40}}|r8_{_ALNUM}{{37}}|sbp_{_HEX}{{40}}|figd_{_WORD}{{40}}|AKCp{_ALNUM}{{60}}|dt0c01\\.[A-Z0-9]{{24}}\\.|tskey-[a-z]{{3,8}}-{_ALNUM}{{10,20}}-|pnu_{_ALNUM}{{36}})",
    ),
)


_MEMORY = 64 * 1024 * 1024  # bytes for RE2's automaton; with fewer it would start again and again


MOST = 300_000  # places of a text that are looked at closely in vain: ten seconds


class Unseen(Exception):
    """Why nobody can say whether there is a secret. Caught where an artifact is judged."""


class SecretSpan(NamedTuple):
    """A secret of a form, in `text[start:end]`."""

    name: str
    start: int
    end: int


class Matched(Protocol):
    """What an expression matched."""

    def start(self) -> int: ...
    def end(self) -> int: ...


class Engine(Protocol):
    """An expression that RE2 compiled."""

    def search(self, text: bytes, pos: int = 0) -> Matched | None: ...


def found(text: bytes, pos: int = 0) -> Iterator[SecretSpan]:
    """The secrets in a text, from a position on, in order. Raises Unseen."""
    search = _all().search
    dismissed = 0
    while match := search(text, pos):
        one = at(text, match.start())
        if one:
            yield one
        elif (dismissed := dismissed + 1) > MOST:
            raise Unseen(f"more than {MOST:,} places in it look like secrets and are none")
        pos = max(one.end if one else 0, match.start() + 1)


def at(text: bytes, start: int) -> SecretSpan | None:
    """The secret that begins at a place. What several forms match there is what any of them takes for one."""
    for form in FORMS[:BESIDE_KEY_WORDS]:
        if (match := _one(form.expression).match(text, start)) and (span := form.judge(text, start, match.end())):
            return SecretSpan(_issuer(text, *span) or form.name, *span)
    if match := _issued().match(text, start):
        form = FORMS[BESIDE_KEY_WORDS + (match.lastindex or 0) - 1]
        if span := form.judge(text, start, match.end()):
            return SecretSpan(form.name, *span)
    return None


def _issuer(text: bytes, start: int, end: int) -> str:
    """The form of a token that stands beside a key word; "" where it is of none."""
    match = _issued().match(text, start, end)
    form = FORMS[BESIDE_KEY_WORDS + (match.lastindex or 0) - 1] if match else None
    return form.name if form and match and form.judge(text, start, match.end()) else ""


def among(text: bytes) -> Iterator[SecretSpan]:
    """As `found`, in no order and with what overlaps, for a short text: asks only the forms whose words are in it."""
    words = (text + text.lower()).decode("latin-1")
    for form in FORMS:
        if any(word in words for word in form.words):
            for match in _one(form.expression).finditer(text):
                if span := form.judge(text, match.start(), match.end()):
                    yield SecretSpan(form.name, *span)


@functools.cache
def _all() -> Engine:
    # No groups: the one that matched would have to be looked for step by step, in an expression of this size.
    return compiled("|".join(f"(?:{form.expression})" for form in FORMS).encode())


# From one place on, in an expression whose repeats are all bounded, Python's own engine is quick and comes to an end.


@functools.cache
def _one(expression: str) -> re.Pattern[bytes]:
    return re.compile(expression.encode())


@functools.cache
def _issued() -> re.Pattern[bytes]:
    """The forms of tokens, which never begin where another one does."""
    return re.compile("|".join(f"({form.expression})" for form in FORMS[BESIDE_KEY_WORDS:]).encode())


def compiled(expression: bytes) -> Engine:
    """An expression for RE2. Raises re2.error."""
    import re2

    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    options.log_errors = False  # to standard error, in words of its own
    options.max_mem = _MEMORY
    engine: Engine = re2.compile(expression, options)
    return engine
