r"""Forms of secrets that issuers publish and token scanners look for, one expression each.

Expressions are read by RE2, over a whole text at once, and by Python's own engine, over one command line. So that both
take linear time, repeats are bounded: what is longer than its shortest form is found by its beginning. In a string that
was escaped, `\n` may stand before a token and its `n` is no letter of it: hence `_START`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from orchgate.secrets import judged

if TYPE_CHECKING:
    from collections.abc import Callable

    Span = tuple[int, int]

_START = r"(?:\b|\\[nrt]|\x1b\[[0-9;]{1,8}m|%[0-9A-F]{2})"
_ALNUM = "[A-Za-z0-9]"
_WORD = "[A-Za-z0-9_-]"
_HEX = "[0-9a-f]"


class Form(NamedTuple):
    """A kind of secret. A text without one of `words`, as it is or in small letters, holds none.

    `judge` is given the text and where the expression matched; it says where the secret is, or None when there is none.
    """

    name: str
    words: tuple[str, ...]
    expression: str
    judge: Callable[[bytes, int, int], Span | None] = judged.token


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
        judged.authorization,
    ),
    Form(
        "aws-secret-key",
        ("secret", "aws"),
        r"(?i:secret|aws)[A-Za-z0-9_. -]{0,30}\\{0,3}[\"']?"
        r"[ \t]{0,8}(?:=>|[:=,])[ \t]{0,8}\\{0,3}[\"']?[A-Za-z0-9/+]{40}",
        judged.aws_secret,
    ),
    Form(
        "key-value",
        judged.KEY_WORDS,
        judged.KEY_VALUE,
        judged.key_value,
    ),
    Form(
        "login",
        ("login", "curl", "--user", "identified", "pass", "auth", "mysql", "mariadb"),
        judged.LOGIN,
        judged.login,
    ),
    Form(
        "private-key",
        ("private key", "putty-user-key", "age-secret-key", "ls0tls1crudjti"),
        r"----[ -] ?BEGIN (?:[A-Z0-9]{2,12} ){0,4}PRIVATE KEY|PuTTY-User-Key-File-\d|AGE-SECRET-KEY-1[0-9A-Z]{50}"
        # The same first line in base64, as a cluster's configuration has it: "PRIVATE KEY" begins at any of three bits.
        r"|LS0tLS1CRUdJTi[A-Za-z0-9]{1,16}(?:UFJJVkFURSBLRVk|QUklWQVRFIEtFW|BSSVZBVEUgS0VZ)",
        judged.private_key,
    ),
    Form(
        "aws-access-key",
        ("AKIA", "ASIA", "ABIA", "ACCA", "A3T"),
        _START + r"(?:AKIA|ASIA|ABIA|ACCA|A3T[A-Z0-9])[A-Z0-9]{16}\b",
        judged.token,
    ),
    Form("google-api-key", ("aiza",), f"AIza{_WORD}{{35}}"),
    Form("google-oauth", ("ya29.", "gocspx-"), f"{_START}(?:ya29\\.{_WORD}{{20}}|GOCSPX-{_WORD}{{20}})"),
    Form("azure-client-secret", ("q~",), r"Q~[A-Za-z0-9_~.-]{31}", judged.behind(rb"[A-Za-z0-9_~.]{3}\d$", 4)),
    Form("jwt", ("eyj",), _START + r"eyJ[A-Za-z0-9_-]{10}", judged.jwt),
    Form(
        "url-password",
        ("://",),
        r":(?:\\?/){2}[^\s/:@\"'<>\\]{0,60}:[^\s/\"'<>\\]{3,100}@[A-Za-z0-9\[._$-]",
        judged.url_password,
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
    Form("telegram-token", (":aa",), f":AA{_WORD}{{32,33}}\\b", judged.behind(rb"\d{8,10}$", 10)),
    Form("databricks-token", ("dapi",), f"{_START}dapi{_HEX}{{32}}"),
    Form("docker-token", ("dckr_",), f"{_START}dckr_(?:pat|oat)_{_WORD}{{20}}"),
    Form(
        "atlassian-token", ("atatt3", "atctt3", "ATBB"), f"{_START}(?:AT(?:ATT|CTT)3{_WORD}{{50}}|ATBB{_ALNUM}{{28}})"
    ),
    Form("vault-token", ("hvs.", "hvb.", "hvr."), f"{_START}hv[sbr]\\.{_WORD}{{24}}"),
    Form("terraform-token", (".atlasv1.",), f"\\.atlasv1\\.{_WORD}{{60}}", judged.behind(rb"[A-Za-z0-9]{14}$", 14)),
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
