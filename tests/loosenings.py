"""For every key: what its old value refuses, and the edit that would let it through. `test_every_key.py` plays them."""

from __future__ import annotations

import datetime
import hashlib
import json
import sys
from typing import TYPE_CHECKING, NamedTuple

from orchgate.evidence.lock import PATH as LOCK
from orchgate.evidence.lock import Pinned, RunFacts, render
from tests.manifest_samples import PATH as MANIFEST
from tests.manifest_samples import encoded, january, own

if TYPE_CHECKING:
    from collections.abc import Mapping

    Files = Mapping[str, str | bytes]


class Case(NamedTuple):
    """A repository with the configuration `old` and the files `base`; a change that makes it `new` and brings `change`.

    `rule` refuses the change under the old value; "" where no rule of a check does. `beside` lies on disk and is in no
    tree. `elsewhere` says why the rule would refuse under the new value as well. `warns`: CFG001 is only a warning.
    """

    old: str
    new: str
    change: Files
    rule: str
    base: Mapping[str, str | bytes] = {}
    beside: Mapping[str, str | bytes] = {}
    message: str = "change"
    elsewhere: str = ""
    verdict: str = "fail"
    warns: bool = False


NOW = datetime.datetime.now(datetime.UTC)
HALF_AN_HOUR_AGO = f"{NOW - datetime.timedelta(minutes=30):%Y-%m-%dT%H:%M:%S.000Z}"
TEN_DAYS_AGO = (NOW.date() - datetime.timedelta(days=10)).isoformat()
ALONE = '[documents]\nrequired = []\nrequired-sections = { prd = ["Goals"] }\n'
NEEDS_TWO = ALONE.replace("required = []", 'required = ["prd", "checklist"]')
NOTHING_BUT_GOALS = "[documents]\nrequired = []\n" + "".join(
    f'required-sections.{kind} = ["Goals"]\n' for kind in ("prd", "tech-spec", "action-plan", "checklist", "mini-spec")
)
BAD = "# X\n\nNo section.\n"
DONE = '[{"id": "0001", "slug": "x", "status": "%s", "path": "docs/PRD-x.md"}]\n'
PRD = "docs/PRD-x.md"
OPEN = "# PRD\n\n## Goals\n\n- Impact: TBD\n"
BROKEN = "# N\n\n[gone](gone.md)\n"
REVIEWED = f"---\nid: x\nlast_review: {TEN_DAYS_AGO}\n---\n\n# TECH_SPEC - X\n\n## Design\n\n%s\n"
PLAN = "# ACTION_PLAN - X\n\n## Concrete Steps\n\n```bash\n%s\n```\n"
PLANNED = {"Makefile": "all:\n"}
LINES = "x\n" * 30
VERSIONS = ('{"version": "1"}\n', '{"version": "2"}\n')


def documents(text: str) -> str:
    return ALONE + text + "\n"


def place(key: str) -> tuple[Case, ...]:
    """The documents of a kind are looked for elsewhere, in both directions."""
    others = "".join(f'paths.{one} = "z/{one}-{{slug}}.md"\n' for one in ("tech-spec", "mini-spec") if one != key)
    one, two = (f'{NOTHING_BUT_GOALS}{others}paths.{key} = "{folder}/{{slug}}.md"\n' for folder in ("k", "l"))
    return Case(one, two, {"k/x.md": BAD}, "DOC002"), Case(two, one, {"l/x.md": BAD}, "DOC002")


def manifest(**changed: object) -> bytes:
    return encoded(own(**changed))


def pinned(content: bytes, size: int | None = None, path: str = ".runs/0001-x/cli/r/a.log") -> dict[str, str | bytes]:
    """A lock that pins an artifact by some content and a document that cites it."""
    sha256 = hashlib.sha256(content).hexdigest()
    return {
        LOCK: render([Pinned(path, sha256, len(content) if size is None else size)]),
        "n.md": f"# N\n\n[log]({path})\n",
    }


def section(name: str, *lines: str) -> str:
    return "\n".join((f"[{name}]", *lines)) + "\n"


def ignored(glob: str, *rules: str) -> str:
    return f"[[ignore]]\npaths = ['{glob}']\nrules = {list(rules)}\nreason = 'r'\n"


def metrics(*lines: str) -> str:
    return section("performance", *lines) + "[performance.metrics]\ndiff-files = { max = 1 }\n"


def benchmarks(path: str) -> str:
    return f'benchmarks = {{ file = "{path}", format = "bmf" }}'


def extending(shared: str) -> str:
    """A configuration that extends `p.toml`."""
    return f'extends = ["p.toml#sha256={hashlib.sha256(shared.encode()).hexdigest()}"]\n'


STRICT = section("diff-budget", "max-lines = 5")
ALLOWING = "may-loosen = ['diff-budget']\n"
ARTIFACT = ".runs/0001-x/cli/r/a.log"
HUNTER = b"pass%b: hunter2\n" % b"word"  # in parts, so that no scanner takes this file for a leak
MOOT = "the limit on the size of a change is not this key's; what the key itself refuses takes minutes to measure"
TWO_FILES = {"a.py": "x\n", "b.py": "x\n"}
PIPELINE = f"[[pipelines.p.stages]]\nid = 'a'\nrun = ['{sys.executable}', '-I', '-S', 'a.py']\n"
FAILS = "raise SystemExit(1)\n"
FINISHED = {"tasks/index.json": DONE % "done", PRD: "# PRD\n\n## Goals\n\nMet.\n"}
RUNS = ALONE + '[severity]\nEVD010 = "error"\n'
DIAGNOSTICS = "[[pipelines.diagnostics.stages]]\nid = 'a'\nrun = ['true']\n"

SIGNERS = {".orchgate/allowed_signers": "ci@example.org ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA==\n"}
UNSIGNED: Files = {
    LOCK: render(
        [Pinned(".runs/0001-x/cli/r/manifest.json", "0" * 64, 1, RunFacts(pipeline="tests", status="succeeded"))]
    ),
    "n.md": "# N\n\n- [x] Tests pass. Evidence: `.runs/0001-x/cli/r/manifest.json`\n",
}


def signatures(ci: tuple[str, ...] = ("ci@example.org",), required: tuple[str, ...] = ("*:ci",)) -> str:
    return section("signatures", f"roles.ci = {list(ci)}", f"required = {list(required)}")


CASES: Mapping[str, tuple[Case, ...]] = {
    "profile": (
        Case("", 'profile = "codex-orchestrator"\n', {PRD: BAD}, "DOC002"),
        Case('profile = "codex-orchestrator"\n', "", {"scripts/a.sh": "x\n"}, "SPC001", {"tasks/specs/0001-x.md": ""}),
    ),
    "extends": (Case(extending(STRICT), "", {"a": LINES}, "DIF001", base={"p.toml": STRICT}),),
    "may-loosen": (
        Case(
            extending(STRICT),
            extending(ALLOWING + STRICT) + "[diff-budget]\nmax-lines = 900\n",
            {"a": LINES, "p.toml": ALLOWING + STRICT},
            "DIF001",
            base={"p.toml": STRICT},
        ),
    ),
    "default-branch": (
        Case(
            section("diff-budget", "max-lines = 5"),
            'default-branch = "x"\n[diff-budget]\nmax-lines = 5\n',
            {"a": LINES},
            "DIF001",
            elsewhere="it says from where later changes are judged",
            warns=True,
        ),
    ),
    "orphan-branches": (
        Case(
            section("diff-budget", "max-lines = 5"),
            'orphan-branches = ["*"]\n[diff-budget]\nmax-lines = 5\n',
            {"a": LINES},
            "DIF001",
            elsewhere="only the first push of a branch with a history of its own asks for it",
        ),
    ),
    "exclude": (
        Case("", 'exclude = ["n.md"]\n', {"n.md": BROKEN}, "EVD001"),
        Case("", 'extend-exclude = ["n.md"]\n', {"n.md": BROKEN}, "EVD001"),
    ),
    "documents.paths.prd": place("prd"),
    "documents.paths.tech-spec": place("tech-spec"),
    "documents.paths.action-plan": place("action-plan"),
    "documents.paths.checklist": (
        *place("checklist"),
        Case(
            NEEDS_TWO,
            NEEDS_TWO + 'paths.checklist = "docs/PRD-{slug}.md"\n',
            {PRD: "# PRD\n\n## Goals\n\nMany.\n"},
            "DOC001",
        ),
    ),
    "documents.paths.mini-spec": place("mini-spec"),
    "documents.task-index": (
        Case(
            documents(""),
            documents('task-index = "other.json"'),
            {PRD: OPEN},
            "DOC004",
            {"tasks/index.json": DONE % "done"},
        ),
        Case(
            documents('task-index = "other.json"'), documents(""), {PRD: OPEN}, "DOC004", {"other.json": DONE % "done"}
        ),
    ),
    "documents.required": (
        Case(
            '[documents]\nrequired = ["prd", "checklist"]\n', '[documents]\nrequired = ["prd"]\n', {PRD: OPEN}, "DOC001"
        ),
    ),
    "documents.until-finished": (Case(documents(""), documents('until-finished = "note"'), {PRD: BAD}, "DOC002"),),
    "documents.status.lines": (
        Case(
            documents('status.lines = ["State"]'),
            documents("status.lines = []"),
            {PRD: OPEN.replace("# PRD\n", "# PRD\n\nState: done\n")},
            "DOC004",
        ),
    ),
    "documents.required-sections.prd": (
        Case(documents(""), documents("").replace('prd = ["Goals"]', "prd = []"), {PRD: BAD}, "DOC002"),
    ),
    "documents.status.finished": (
        Case(
            documents(""),
            documents('status.finished = ["never"]'),
            {PRD: OPEN},
            "DOC004",
            {"tasks/index.json": DONE % "done"},
        ),
    ),
    "documents.status.inactive": (
        Case(
            documents(""),
            documents('status.inactive = ["paused"]'),
            {PRD: BAD},
            "DOC002",
            {"tasks/index.json": DONE % "paused"},
        ),
    ),
    "documents.placeholders": (
        Case(
            documents('placeholders = ["TBD"]'),
            documents("placeholders = []"),
            {PRD: OPEN},
            "DOC004",
            {"tasks/index.json": DONE % "done"},
        ),
    ),
    "review.max-age-days": (
        Case(
            documents("") + "[review]\nmax-age-days = 5\n",
            documents("") + "[review]\nmax-age-days = 50\n",
            {"docs/TECH_SPEC-x.md": REVIEWED % "two"},
            "DOC007",
            {"docs/TECH_SPEC-x.md": REVIEWED % "one"},
        ),
    ),
    "documents.exclude": (Case(documents(""), documents('exclude = ["docs/PRD-x.md"]'), {PRD: BAD}, "DOC002"),),
    "documents.stub-markers": (Case(documents(""), documents('stub-markers = ["No section"]'), {PRD: BAD}, "DOC002"),),
    "evidence.roots": (
        Case(
            "",
            section("evidence", 'roots = [".runs", "out", "art"]'),
            {"n.md": "# N\n\n[a](art/a.json)\n"},
            "EVD001",
            beside={"art/a.json": "{}\n"},
        ),
        Case(
            section("evidence", 'roots = [".runs", "out"]'),
            section("evidence", 'roots = ["out"]'),
            {MANIFEST: b"{"},
            "MAN001",
        ),
    ),
    "evidence.documents": (
        Case("", section("evidence", 'documents = ["x/**"]'), {"n.md": BROKEN}, "EVD001"),
        Case("", section("evidence", 'documents = ["**/*.md", "!n.md"]'), {"n.md": BROKEN}, "EVD001"),
        Case(
            section("evidence", 'documents = ["a/**"]'),
            section("evidence", 'documents = ["b/**"]'),
            {"a/n.md": BROKEN},
            "EVD001",
        ),
    ),
    "evidence.exclude": (
        Case("", section("evidence", 'exclude = ["n.md"]'), {"n.md": BROKEN}, "EVD001"),
        Case(
            section("evidence", 'exclude = ["n*", "!n.md"]'),
            section("evidence", 'exclude = ["n*"]'),
            {"n.md": BROKEN},
            "EVD001",
        ),
        Case(
            section("evidence", 'exclude = ["n*", "!n.md"]'),
            section("evidence", 'exclude = ["!n.md", "n*"]'),
            {"n.md": BROKEN},
            "EVD001",
        ),
    ),
    "evidence.link-roots": (
        Case(
            "",
            section("evidence", 'link-roots = ["pages"]'),
            {"n.md": "# N\n\n[a](/a)\n", "pages/a.md": "# A\n"},
            "EVD001",
        ),
    ),
    "evidence.required-runs": (
        Case(
            documents("") + '[evidence]\nrequired-runs = ["diagnostics"]\n',
            documents("") + "[evidence]\nrequired-runs = []\n",
            FINISHED,
            "EVD010",
        ),
    ),
    "signatures.required": (
        Case(signatures(), signatures(required=()), UNSIGNED, "EVD014", SIGNERS),
        Case(signatures(), signatures(required=("build:ci",)), UNSIGNED, "EVD014", SIGNERS),
    ),
    # Whoever signed is asked of ssh-keygen: see tests/test_signed_claims.py.
    "signatures.roles": (
        Case(
            signatures(),
            signatures(ci=("*",)),
            UNSIGNED,
            "EVD014",
            SIGNERS,
            elsewhere="nobody signed, and so nobody whom the new value lets sign",
        ),
    ),
    "evidence.max-artifact-bytes": (
        Case(
            section("evidence", "max-artifact-bytes = 4096"),
            section("evidence", "max-artifact-bytes = 1024"),
            pinned(b"a" * 2000),
            "EVD008",
            beside={ARTIFACT: b"b" * 2000},
        ),
        Case(
            section("evidence", "max-artifact-bytes = 1024"),
            section("evidence", "max-artifact-bytes = 4096"),
            pinned(b"a" * 2000),
            "",
            beside={ARTIFACT: b"a" * 2000},
            verdict="broken",
            warns=True,
        ),
    ),
    "evidence.secrets": (
        Case(
            section("evidence", "secrets = ['hunter[0-9]']"),
            section("evidence", "secrets = []"),
            pinned(b"hunter2\n"),
            "",
            beside={ARTIFACT: b"hunter2\n"},
        ),
    ),
    "evidence.secrets-allowed": (
        Case(
            section("evidence", "secrets-allowed = ['^key-value: hunter1']"),
            section("evidence", "secrets-allowed = ['^key-value: hunter']"),
            pinned(HUNTER),
            "",
            beside={ARTIFACT: HUNTER},
        ),
    ),
    "evidence.replay": (
        Case(
            section("evidence", 'replay = "sample:3"'),
            section("evidence", 'replay = "sample:2"'),
            {"a.txt": "x\n"},
            "",
            verdict="warn",
            warns=True,
        ),
    ),
    "manifests.max-bytes": (
        Case(
            section("manifests", "max-bytes = 1024"),
            section("manifests", "max-bytes = 100000"),
            {MANIFEST: manifest()},
            "MAN001",
        ),
        Case(
            section("manifests", "max-bytes = 100000"),
            section("manifests", "max-bytes = 1024"),
            {MANIFEST: manifest(status="failed")},
            "MAN003",
        ),
    ),
    "manifests.max-depth": (
        Case(
            section("manifests", "max-depth = 8"),
            section("manifests", "max-depth = 64"),
            {MANIFEST: json.dumps({"a": [[[[[[[[[[]]]]]]]]]]})},
            "MAN001",
        ),
    ),
    "manifests.abandoned-after-minutes": (
        Case(
            '[severity]\nMAN006 = "error"\n[manifests]\nabandoned-after-minutes = 1\n',
            '[severity]\nMAN006 = "error"\n[manifests]\nabandoned-after-minutes = 1000\n',
            {
                MANIFEST: encoded(
                    january(
                        status="in_progress",
                        completed_at=None,
                        heartbeat_stale_after_seconds=90_000,
                        heartbeat_at=HALF_AN_HOUR_AGO,
                        updated_at=HALF_AN_HOUR_AGO,
                    )
                )
            },
            "MAN006",
        ),
    ),
    "commands.sections": (
        Case(
            "",
            section("commands", 'sections = ["Other"]'),
            {"docs/ACTION_PLAN-x.md": PLAN % "make nope"},
            "CMD002",
            PLANNED,
        ),
    ),
    "commands.interactive": (
        Case(
            section("commands", 'interactive = ["mytool"]'),
            section("commands", "interactive = []"),
            {"docs/ACTION_PLAN-x.md": PLAN % "mytool go"},
            "CMD001",
            PLANNED,
        ),
    ),
    "commands.allow": (
        Case(
            "",
            section("commands", 'allow = ["make *"]'),
            {"docs/ACTION_PLAN-x.md": PLAN % "make nope"},
            "CMD002",
            PLANNED,
        ),
    ),
    "specs.paths": (
        Case(section("specs", 'paths = ["*.py"]'), section("specs", 'paths = ["x/**"]'), {"a.py": "x\n"}, "SPC001"),
    ),
    "specs.allow-branches": (
        Case(
            section("specs", 'paths = ["*.py"]'),
            section("specs", 'paths = ["*.py"]', 'allow-branches = ["*"]'),
            {"a.py": "x\n"},
            "SPC001",
        ),
    ),
    "specs.exclude": (
        Case(
            section("specs", 'paths = ["*.py"]'),
            section("specs", 'paths = ["*.py"]', 'exclude = ["a.py"]'),
            {"a.py": "x\n"},
            "SPC001",
        ),
    ),
    "review.spec-max-age-days": (
        Case(
            documents("") + section("specs", 'paths = ["*.py"]') + "[review]\nspec-max-age-days = 5\n",
            documents("") + section("specs", 'paths = ["*.py"]') + "[review]\nspec-max-age-days = 50\n",
            {"a.py": "x\n", "docs/TECH_SPEC-x.md": REVIEWED % "two"},
            "SPC001",
            {"docs/TECH_SPEC-x.md": REVIEWED % "one"},
        ),
    ),
    "diff-budget.max-files": (Case(section("diff-budget", "max-files = 2"), "", {"a": "x", "b": "x"}, "DIF001"),),
    "diff-budget.max-lines": (Case(section("diff-budget", "max-lines = 20"), "", {"a": LINES}, "DIF001"),),
    "diff-budget.exclude": (
        Case(
            section("diff-budget", "max-lines = 20"),
            section("diff-budget", "max-lines = 20", 'exclude = ["a"]'),
            {"a": LINES},
            "DIF001",
        ),
        Case(
            section("diff-budget", "max-lines = 20", 'exclude = ["*", "!a"]'),
            section("diff-budget", "max-lines = 20", 'exclude = ["*"]'),
            {"a": LINES},
            "DIF001",
        ),
    ),
    "diff-budget.areas": (
        Case(
            section("diff-budget", "max-lines = 20"),
            section("diff-budget", "max-lines = 20") + '[diff-budget.areas.x]\npaths = ["a"]\n',
            {"a": LINES},
            "DIF001",
        ),
        Case('[diff-budget.areas.x]\npaths = ["a"]\nmax-lines = 20\n', "", {"a": LINES}, "DIF001"),
    ),
    "diff-budget.override-variable": (
        Case(
            section("diff-budget", "max-lines = 20"),
            section("diff-budget", "max-lines = 20", 'override-variable = "PATH"'),
            {"a": LINES},
            "DIF001",
        ),
        Case(
            section("diff-budget", "max-lines = 20", 'override-variable = ""'),
            section("diff-budget", "max-lines = 20", 'override-variable = "PATH"'),
            {"a": LINES},
            "DIF001",
        ),
    ),
    "diff-budget.override-trailer": (
        Case(
            section("diff-budget", "max-lines = 20"),
            section("diff-budget", "max-lines = 20", 'override-trailer = "Why"'),
            {"a": LINES},
            "DIF001",
            message="change\n\nWhy: so\n",
        ),
        Case(
            section("diff-budget", "max-lines = 20", 'override-trailer = ""'),
            section("diff-budget", "max-lines = 20", 'override-trailer = "Why"'),
            {"a": LINES},
            "DIF001",
            message="change\n\nWhy: so\n",
        ),
    ),
    "version-bump.files": (
        Case(
            "",
            section("version-bump", 'files = ["x"]'),
            {"package.json": VERSIONS[1]},
            "VER001",
            {"package.json": VERSIONS[0]},
        ),
    ),
    "version-bump.allow-releases": (
        Case(
            section("version-bump", "allow-releases = false"),
            section("version-bump", "allow-releases = true"),
            {"package.json": VERSIONS[1]},
            "VER001",
            {"package.json": VERSIONS[0]},
        ),
    ),
    "version-bump.changelogs": (
        Case(
            "",
            section("version-bump", 'changelogs = ["src/**"]'),
            {"package.json": VERSIONS[1], "src/a.py": "x\n"},
            "VER001",
            {"package.json": VERSIONS[0]},
        ),
    ),
    "version-bump.allow-branches": (
        Case(
            "",
            section("version-bump", 'allow-branches = ["*"]'),
            {"package.json": VERSIONS[1]},
            "VER001",
            {"package.json": VERSIONS[0]},
        ),
    ),
    "version-bump.override-trailer": (
        Case(
            "",
            section("version-bump", 'override-trailer = "Why"'),
            {"package.json": VERSIONS[1]},
            "VER001",
            {"package.json": VERSIONS[0]},
            message="change\n\nWhy: so\n",
        ),
        Case(
            section("version-bump", 'override-trailer = ""'),
            section("version-bump", 'override-trailer = "Why"'),
            {"package.json": VERSIONS[1]},
            "VER001",
            {"package.json": VERSIONS[0]},
            message="change\n\nWhy: so\n",
        ),
    ),
    "performance.pipeline": (
        Case(
            section("performance", 'pipeline = "p"') + PIPELINE,
            PIPELINE,
            {"a.py": FAILS},
            "PRF005",
            {"a.py": "x = 1\n"},
        ),
    ),
    "performance.paths": (
        Case(
            section("performance", 'pipeline = "p"') + PIPELINE,
            section("performance", 'pipeline = "p"', 'paths = ["b.py"]') + PIPELINE,
            {"a.py": FAILS},
            "PRF005",
            {"a.py": "x = 1\n"},
        ),
        Case(
            section("performance", 'pipeline = "p"', 'paths = ["a.py"]') + PIPELINE,
            section("performance", 'pipeline = "p"', 'paths = ["b.py"]') + PIPELINE,
            {"a.py": FAILS},
            "PRF005",
            {"a.py": "x = 1\n"},
        ),
    ),
    "performance.metrics": (
        Case(metrics(), "", TWO_FILES, "PRF002"),
        Case(metrics(), metrics().replace("max = 1", "max = 9"), TWO_FILES, "PRF002"),
    ),
    "performance.benchmarks.file": (
        Case(metrics(benchmarks("a.json")), metrics(benchmarks("b.json")), TWO_FILES, "PRF002", elsewhere=MOOT),
        Case(metrics(benchmarks("a.json")), metrics(), TWO_FILES, "PRF002", elsewhere=MOOT),
    ),
    "performance.max-seconds": (
        Case(metrics("max-seconds = 60"), metrics("max-seconds = 1"), TWO_FILES, "PRF002", elsewhere=MOOT),
    ),
    "performance.setup": (
        Case(metrics('setup = ["make"]'), metrics('setup = ["true"]'), TWO_FILES, "PRF002", elsewhere=MOOT),
        Case(metrics(), metrics('setup = ["true"]'), TWO_FILES, "PRF002", elsewhere=MOOT),
    ),
    "performance.watch": (Case(metrics(), metrics("watch = []"), TWO_FILES, "PRF002", elsewhere=MOOT),),
    "performance.baseline-max-age-days": (
        Case(metrics(), metrics("baseline-max-age-days = 9999"), TWO_FILES, "PRF002", elsewhere=MOOT),
    ),
    "performance.exact": (
        Case(metrics("exact = true"), metrics(), TWO_FILES, "PRF002", elsewhere=MOOT),
        Case(metrics(), metrics("exact = true"), TWO_FILES, "PRF002", elsewhere=MOOT),
    ),
    "performance.rates-from-task": (
        Case(
            metrics('rates-from-task = "0001-x"'),
            metrics('rates-from-task = "0002-y"'),
            TWO_FILES,
            "PRF002",
            elsewhere=MOOT,
        ),
        Case(metrics('rates-from-task = "0001-x"'), metrics(), TWO_FILES, "PRF002", elsewhere=MOOT),
    ),
    "pipelines": (
        Case(RUNS + DIAGNOSTICS, RUNS, FINISHED, "EVD010"),
        Case(
            RUNS + DIAGNOSTICS,
            RUNS + DIAGNOSTICS.replace("true", "false"),
            FINISHED,
            "EVD010",
            elsewhere="a run is owed all the same",
        ),
    ),
    "severity": (
        Case("", '[severity]\nEVD001 = "off"\n', {"n.md": BROKEN}, "EVD001"),
        Case("", '[severity]\nEVD001 = "warning"\n', {"n.md": BROKEN}, "EVD001"),
        Case("", '[severity]\nevd = "off"\n', {"n.md": BROKEN}, "EVD001"),
        Case("", '[severity]\nevidence = "off"\n', {"n.md": BROKEN}, "EVD001"),
        Case('[severity]\nDIF002 = "error"\n', "", {"a.txt": "x\n", ".gitattributes": "a.txt -diff\n"}, "DIF002"),
    ),
    "ignore": (
        Case("", ignored("n.md", "EVD001"), {"n.md": BROKEN}, "EVD001"),
        Case(ignored("*.md", "EVD002"), ignored("*.md", "EVD002", "evd001"), {"n.md": BROKEN}, "EVD001"),
        Case(ignored("*.md", "EVD002"), ignored("*.md", "evd"), {"n.md": BROKEN}, "EVD001"),
        # The old name, on both sides and on one.
        Case("", "[per-file-ignores]\n'n.md' = { rules = ['EVD001'], reason = 'r' }\n", {"n.md": BROKEN}, "EVD001"),
        Case(
            "[per-file-ignores]\n'*.md' = { rules = ['EVD002'], reason = 'r' }\n",
            ignored("*.md", "EVD002", "EVD001"),
            {"n.md": BROKEN},
            "EVD001",
        ),
    ),
}
