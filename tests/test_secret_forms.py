"""Every form of a secret that is known: what it looks like, and what only resembles it."""

from __future__ import annotations

import base64
import gzip
from typing import TYPE_CHECKING

import pytest

from orchgate.secrets import search
from orchgate.secrets.scan import FORMS

if TYPE_CHECKING:
    from collections.abc import Callable

# In parts, or with a bar in the middle, so that no scanner takes this file for a leak, our own neither.
BAR = "|"
A = "a1B2c3D4"
H = "0a1b2c3d"
U = "Q7W2E9R4"
HEADER, UNSIGNED = "eyJhbGciOiJIUzI1NiJ9", "eyJhbGciOiJub25lIn0"
BODY = "MIIEowIBAAKCAQEA" + A * 4
PAIR = base64.b64encode(b"joe:tr0ub4dor").decode()


def of(*parts: str) -> str:
    return "".join(parts)


KEY = of("-----BEGIN ", "{}PRIVATE KEY{}-----\n", BODY, "\n-----END ", "{}PRIVATE KEY{}-----")


def key(kind: str, block: str = "") -> str:
    return KEY.format(kind, block, kind, block)


def in_base64(kind: str) -> str:
    return "client-key-data: " + base64.b64encode(key(kind).encode()).decode()


FOUND = {
    "private-key": [
        key("RSA "),
        *(in_base64(kind) for kind in ("", "RSA ", "EC ", "DSA ", "OPENSSH ", "ENCRYPTED ")),
        key("EC "),
        key("OPENSSH "),
        key("ENCRYPTED "),
        key(""),
        key("PGP ", " BLO|CK"),
        key("DSA ").replace("\n", "\r\n"),
        key("RSA ").replace("\n", "\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,0A\n\n", 1),
        '{"private_key": "' + key("").replace("\n", "\\n") + '"}',
        "\n".join("2026-01-06 INFO " + line for line in key("RSA ").split("\n")),
        of("-----BEGIN ", "OPENSSH PRIVATE KEY-----"),  # cut off behind its first line
        of("---- BEGIN SSH2 ", "ENCRYPTED PRIVATE KEY ----\n", BODY),
        of("PuTTY-User-", "Key-File-2: ssh-rsa"),
        of("AGE-SECRET-", "KEY-1", U * 7),
    ],
    "aws-access-key": [of("id=AK", "IA", U * 2), of("'AS", "IA", U * 2, "'"), of("\\nAK", "IA", U * 2)],
    "aws-secret-key": [
        of("aws_secret_access_key = ", A * 5),
        of("AWS_SECRET_ACCESS_KEY=", A * 4, "/+aB1cD/"),
        of('"SecretAccessKey": "', A * 5, '"'),
        of('{\\"secretAccessKey\\": \\"', A * 5, '\\"}'),
    ],
    "google-api-key": [of("AI", "za", A * 4, "-_x")],
    "google-oauth": [of("ya", "29.", A * 5), of("GOC", "SPX-", A * 4)],
    "azure-key": [
        of("AccountName=x;Account", "Key=", A * 10, "aB1c/+==;Endpoint"),
        of("SharedAccess", "Key=", A * 5, "abc="),
        of("https://x.blob.core.windows.net/c?sv=2022-11-02&sp=r&si", "g=", A * 5, "abc%3D"),
    ],
    "azure-client-secret": [of("abC8", "Q~", A * 4)],
    "jwt": [
        of(HEADER, ".eyJzdWIiOiIxIn0.", A * 5),
        of("Authorization: Bearer ", HEADER, ".eyJzdWIiOiIxIn0.", A * 5),
        of(HEADER, "\n  .eyJzdWIiOiIxIn0.", A * 5),
        of("?jwt=", HEADER, ".eyJzdWIiOiIxIn0"),
    ],
    "authorization-header": [
        of("Authorization: Bearer ", A * 3),
        of('"authorization": "token ', A * 3, '"'),
        of("-H 'Authorization: ", A * 4, "'"),
        of("Authorization: Basic ", PAIR),
        of("bearer ", A * 3),
    ],
    "url-password": [
        "postgres:|//app:s3cr3tpassw0rd@db.example.com/app",
        "postgresql+asyncpg:|//app:Tr0ub4dor&3@localhost:5432/app",
        "redis:|//:tr0ub4dor-9@cache:6379/0",
        "https:|//joe:tr0ub4dor@example.com/x.git",
        "amqp:|//joe:84629173@mq",
        "http:|//admin:admin123@localhost:8080",
        "mongodb+srv:|//joe:p@ss-w0rd-9@cluster0.example.net",
        "mysql:|\\/\\/joe:tr0ub4dor@db\\/app",
    ],
    "webhook": [
        of("https://hooks.", "slack.com/services/T", U, "/B", U, "/", A * 3),
        of("https://discord", ".com/api/webhooks/1234567890123456789/", A * 8),
        of("https://x.webhook.", "office.com/webhookb2/", "0a1b2c3d-" * 4, "@", "0a1b2c3d-" * 3),
    ],
    "github-token": [of("gh", kind, "_", A * 4, "wxyz") for kind in "pousr"] + [of("github_", "pat_", A * 8)],
    "gitlab-token": [of("gl", "pat-", A * 3), of("gl", "rt-", A * 3), of("GR13", "48941", A * 3)],
    "slack-token": [
        of("xo", "xb-12345678901-12345678901-", A * 3),
        of("xo", "xp-1234567890-", A * 3),
        of("xa", "pp-1-A0123456-123456-", H * 2),
    ],
    "stripe-key": [of("sk", "_live_", A * 3), of("rk", "_live_", A * 3), of("wh", "sec_", A * 4)],
    "npm-token": [of("np", "m_", A * 4, "wxyz")],
    "pypi-token": [of("pypi-", "AgEIcHlwaS5vcmc", A)],
    "sendgrid-key": [of("S", "G.", A * 2, "wxyz12.", A * 5, "abc")],
    "mail-key": [of("xkey", "sib-", H * 8, "-", A * 2), of("ke", "y-", H * 4)],
    "twilio-key": [of("S", "K", H * 4)],
    "anthropic-key": [of("sk-", "ant-api03-", A * 10)],
    "openai-key": [of("s", "k-proj-", A * 6), of("s", "k-", A * 6)],
    "hugging-face-token": [of("h", "f_", "aBcDeFgHiJkLmNoPqRsTuVwXyZaBcDeFgH")],
    "digitalocean-token": [of("do", "p_v1_", H * 8)],
    "shopify-token": [of("shp", "at_", H * 4)],
    "telegram-token": [of("https://api.telegram.org/bot123456789:", "AA", A * 4, "x/getMe")],
    "databricks-token": [of("da", "pi", H * 4)],
    "docker-token": [of("dckr_", "pat_", A * 3)],
    "atlassian-token": [of("ATA", "TT3", A * 8)],
    "vault-token": [of("hv", "s.", A * 4)],
    "terraform-token": [of(A, "abcdef.atlas", "v1.", A * 8)],
    "grafana-token": [of("gl", "sa_", A * 4, "_", H)],
    "sentry-token": [of("sntry", "u_", H * 8)],
    "new-relic-key": [of("NRA", "K-", U * 3, "ABC")],
    "linear-key": [of("lin_", "api_", A * 5)],
    "notion-token": [of("nt", "n_12345678901", A * 4, "abc")],
    "postman-key": [of("PMA", "K-", H * 3, "-", H * 4, "0a")],
    "pulumi-token": [of("pu", "l-", H * 5)],
    "doppler-token": [of("dp", ".pt.", A * 5)],
    "planetscale-token": [of("pscale", "_tkn_", A * 4)],
    "rubygems-key": [of("ruby", "gems_", H * 6)],
    "fly-token": [of("fm", "2_", A * 8)],
    "heroku-key": [of("HR", "KU-AA", A * 4)],
    "vendor-key": [of("gs", "k_", A * 5), of("r", "8_", A * 4, "abcde"), of("fig", "d_", A * 5)],
    "key-value": [
        "DB_PASS|WORD=correct-horse-battery-9",
        "export DEPLOY_TO|KEN=abcdef1234567890",
        "STRIPE_K|EY=abcdef1234567890",
        '{"api_k|ey": "' + H * 4 + '"}',
        '{\\"client_se|cret\\": \\"' + A * 3 + '\\"}',
        "pass|word: hunter2",
        "  db-pass|word: 'it is 9 o clock, Joe'",
        'pass|phrase = "correcthorsebatterystaple"',
        "se|cret_key_base: " + H * 8,
        "$config['pass|word'] = 'tr0ub4dor';",
        "Pass|word=tr0ub4dor&3;Database=x",
        "//registry.npmjs.org/:_au|thToken=" + A * 3,
        "<pass|word>tr0ub4dor</pass|word>",
        '<add key="Pass|word" value="tr0ub4dor" />',
        "login --pass|word=tr0ub4dor",
        "login --pass|word tr0ub4dor",
        "login --api-k|ey '" + A * 3 + "'",
        "ENV DB_PASS|WORD tr0ub4dor",
        "https://example.com/?access_to|ken=" + A * 3 + "&x=1",
        "X-Api-K|ey: " + A * 3,
        "pass|word: BLOCK\n  tr0ub4dor",
        'b"to|ken": b"' + A * 3 + '"',
        "SE|CRET=aBcDeFgHiJkLmNoP",
        "PGPASS|WORD=secretpw123 psql",
        "pass|word: 84629173",
        "pass|word=correcthorsebatterystaple",
        '"pass|": "tr0ub4dor"',
        "pass|wd: x9$kd!2",
        "- name: DB_PASS|WORD\n  value: tr0ub4dor",
        "- name: DB_PASS|WORD\r\n  value: 'tr0ub4dor'",
        '{"name":"DB_PASS|WORD","value":"tr0ub4dor"}',
        '{"Name": "API_TO|KEN",\n  "Value": "' + A * 3 + '"}',
        '{\\"name\\": \\"DB_PASS|WORD\\",\\n  \\"value\\": \\"tr0ub4dor\\"}',
        "pass|word: ${DB_PASSWORD:-tr0ub4dor}",
    ],
    "login": [
        "machine example.com log|in joe pass|word tr0ub4dor",
        "machine example.com\n  log|in joe\n  pass|word tr0ub4dor",
        "cu|rl -|u joe:tr0ub4dor https://example.com",
        "curl -s \\\n  -|u joe:tr0ub4dor \\\n  https://example.com",
        "curl https://example.com --us|er 'joe:tr0ub4dor'",
        '["curl", "-|u", "joe:tr0ub4dor"]',
        "create user joe ident|ified by 'tr0ub4dor'",
        "sshpass |-p tr0ub4dor ssh joe@example.com",
        "docker login -u joe |-p tr0ub4dor registry.example.com",
        "mysql -u joe |-ptr0ub4dor shop",
        '{"auths": {"x": {"au|th": "' + PAIR + '"}}}',
    ],
}
NEAR = {
    "private-key": [
        of("-----BEGIN ", "PUBLIC KEY-----\n", BODY),
        "certificate-authority-data: " + base64.b64encode(b"-----BEGIN CERTIFICATE-----\nMIIB").decode(),
        of("-----BEGIN ", "CERTIFICATE-----\n", BODY),
        of("starts with `-----BEGIN ", "RSA PRIVATE KEY-----` and so on"),
        of("'-----BEGIN ", "PRIVATE KEY-----' in text"),
        of("if '-----BEGIN ", "PRIVATE KEY-----' in text:\n    see/docs/secrets/keys\n", H * 5),
        of("-----BEGIN ", "PRIVATE KEY-----\n...\n-----END PRIVATE KEY-----"),
    ],
    "aws-access-key": [of("AK", "IA", U), of("AK", "IA", U * 2, "I"), "AKIAxxxxxxxxxxxxxxxx"],
    "aws-secret-key": ["secret_hash = " + H * 5, "aws_role = my-role", "secret: " + "x" * 40],
    "google-api-key": [of("AI", "za", A)],
    "google-oauth": ["ya29.short", "GOCSPX-xxxxxxxxxxxxxxxxxxxxxxxxxxxx"],
    "azure-key": ["AccountKey=<key>", "AccountKey=${KEY}", "?sig=abc"],
    "azure-client-secret": ["Q~" + A * 4],
    "jwt": [of(UNSIGNED, ".eyJzdWIiOiIxIn0."), "eyJmb28iOiJiYXIifQ", "eyJmb28iOiJiYXIifQ.eyJhIjoxfQ.x"],
    "authorization-header": [
        "Authorization: Bearer $TOKEN",
        "Authorization: Bearer <token>",
        "Authorization: Bearer ${{ secrets.TOKEN }}",
        "bearer authentication is used",
        "Authorization: Basic dXNlcjpwYXNzd29yZA==",  # user:password
        "Authorization: AWS4-HMAC-SHA256 Credential=x",
        "Authorization: [secret: authorization-header]",
    ],
    "url-password": [
        "postgres://user:password@localhost/app",
        "postgres://postgres:postgres@localhost/app",
        "postgres://app:$DB_PASSWORD@db",
        "postgres://app:${PW}@db",
        "https://user:***@example.com",
        "https:|//user:<password>@example.com",
        "https://user:xxxx@example.com",
        "http://localhost:8080/@vite/client",
        "http://localhost:8080 joe@example.com",
        "git+ssh://git@github.com:22/x.git",
    ],
    "webhook": [
        of("https://hooks.", "slack.com/services/T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX"),
        "https://discord.com/api/webhooks/ID/TOKEN",
    ],
    "github-token": [of("gh", "s_", A), of("gh", "p_", "x" * 36), "github_pat_YOUR_TOKEN_HERE"],
    "gitlab-token": [of("gl", "pat-", A), of("gl", "pat-", "your-token-goes-here-now")],
    "slack-token": [of("xo", "xb-token-", A * 2), of("xo", "xb-123-xxxxxxxxxxxx")],
    "stripe-key": [of("pk", "_live_", A * 3), "sk_live_xxxxxxxxxxxxxxxxxxxxxxxx", "task_test_case_number_one_is_here"],
    "npm-token": ["npm_config_registry=x", of("np", "m_", A)],
    "pypi-token": ["pypi-server-1.2.3", "pypi-AgEIcHlwaS5vcmc"],
    "sendgrid-key": ["MSG.example.com"],
    "mail-key": ["key-value-pairs", "key-" + A],
    "twilio-key": ["SK" + A * 4, "AC" + H * 4],  # an account's id is public
    "anthropic-key": ["sk-ant-short", "sk-ant-xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"],
    "openai-key": ["task-" + A * 4, "sk-fading-circle-with-many-parts-in-it", "sk-..."],
    "hugging-face-token": ["hf_model_name", "hf_hub_download"],
    "digitalocean-token": ["dop_v1_short"],
    "shopify-token": ["shpat_short"],
    "telegram-token": ["12:AA" + A * 4 + "x", "10:AAAA"],
    "databricks-token": ["dapi" + H],
    "docker-token": ["dckr_pat_short"],
    "atlassian-token": ["ATATT3x"],
    "vault-token": ["hvs.short", "shvs.module.name"],
    "terraform-token": [".atlasv1."],
    "grafana-token": ["glsa_short"],
    "sentry-token": ["sntryu_short"],
    "new-relic-key": ["NRAK-short"],
    "linear-key": ["lin_api_short"],
    "notion-token": ["ntn_short"],
    "postman-key": ["PMAK-short"],
    "pulumi-token": ["pul-requests"],
    "doppler-token": ["dp.pt.x"],
    "planetscale-token": ["pscale_tkn_x"],
    "rubygems-key": ["rubygems_version"],
    "fly-token": ["fm2_x"],
    "heroku-key": ["HRKU-x"],
    "vendor-key": ["gsk_short", "r8_x", "figd_x"],
    "key-value": [
        "password=changeme",
        "password=change-me-please",
        "password: xxxxxxxx",
        "token: <token>",
        "token=${DEPLOY_TOKEN}",
        "password=%(db_password)s",
        "password: ********",
        "api_key: REDACTED",
        "token: none",
        '"password": true',
        "password=getpass()",
        "password = os.environ['DB_PASSWORD1']",
        "token = process.env.GITHUB_TOKEN1",
        "token: ${{ secrets.NPM_TOKEN }}",
        "password: {{ db_password }}",
        "api_key = settings.api_key2",
        "token = read_token(path1)",
        "max_tokens=4096000",
        "total_token: 1234567890",
        "tokens: 48213",
        "next_token: " + A * 3,
        "password is required",
        "password: required",
        "PASS: check-utf8-names",
        "pass: build-42-linux",
        "password: 000000",
        "password=token-123",
        "secretName: my-db-credentials",
        "secret: my-db-credentials",
        "password_file=/run/secrets/db1",
        "token: /run/secrets/token1",
        "PWD=/home/joe/work1",
        "sha256: " + H * 8,
        "digest " + H * 8,
        "0b8a1c5e-7d3f-4a52-9c1b-2f6e8d0a4b7c",
        "2026-01-06T09-26-22-129Z-c2f9cb47",
        "cache_key: " + H * 8,
        "public_key = " + A * 4,
        "integrity=sha512-" + A * 10,
        "tests/test_password_reset.py:12 passed",
        "token: str = None",
        "password: _PasswordType = None",
        "const apiKey = apiKeys[index0];",
        "password: [secret: key-value]",
        "- name: DB_PASSWORD\n  valueFrom: {secretKeyRef: {name: db1}}",
        "- name: DB_PASSWORD\n  value: $(PASSWORD1)",
        '{"name": "password", "value": ""}',
        '{"name": "max_tokens", "value": "abc123def456"}',
        "password: ${DB_PASSWORD:-postgres}",
        "password: !vault |\n  $ANSIBLE_VAULT;1.1;AES256",
        "Password: !Ref DatabasePassword1",
    ],
    "login": [
        "docker run -u 1000:1000 image",
        "curl -u $USER:$PASSWORD https://example.com",
        "curl -u user:password https://example.com",
        "chown --us|er joe:staff9 x",
        "login joe password required",
        "f'machine {host} login {self.name} password {self.password}'",
        '{"auth": "none"}',
        "identified by 'password'",
        "mkdir -p build9/linux64",
        "ssh -p 22222 joe@example.com",
        "docker login -p $PASSWORD9",
        "mysql -padmin -e x",
        "make -parallel9",
    ],
}
PATTERNS = search.compiled([])
WRAPPED: dict[str, Callable[[str], bytes]] = {
    "plain": lambda text: text.encode(),
    "utf-16": lambda text: text.encode("utf-16"),
    "utf-16-le": lambda text: text.encode("utf-16-le"),
    "utf-16-be": lambda text: text.encode("utf-16-be"),
    "gzip": lambda text: gzip.compress(text.encode()),
    "gzip-of-utf-16": lambda text: gzip.compress(text.encode("utf-16")),
}


def names(text: str, wrapped: str) -> set[str]:
    text = text.replace(BAR, "").replace("BLOCK", "|")
    content = WRAPPED[wrapped](f"first\r\n{text}\r\nlast")
    return {match.pattern for match in search.found(content, PATTERNS) if match.line >= 2}


@pytest.mark.parametrize("wrapped", WRAPPED)
@pytest.mark.parametrize(("form", "text"), [(form, text) for form, texts in FOUND.items() for text in texts])
def test_a_secret_is_found_under_its_name(form: str, text: str, wrapped: str) -> None:
    assert form in names(text, wrapped)


@pytest.mark.parametrize("wrapped", WRAPPED)
@pytest.mark.parametrize("text", [text for texts in NEAR.values() for text in texts])
def test_what_only_resembles_a_secret_is_left_alone(text: str, wrapped: str) -> None:
    assert names(text, wrapped) == set()


def test_every_form_has_a_pair() -> None:
    assert {form.name for form in FORMS} == set(FOUND) == set(NEAR)
