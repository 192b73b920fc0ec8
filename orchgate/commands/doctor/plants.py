"""A violation of each rule that refuses, in the places that this repository's configuration names."""

from __future__ import annotations

import hashlib
import json

from orchgate.lib.paths import matches
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.packets.layout import layout_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from orchgate.config.settings import Config

SLUG = "orchgate-canary"
TASK = f"9999-{SLUG}"
RUN = "2026-01-06T09-26-22-129Z-c2f9cb47"
FOLDER = f".runs/{TASK}/cli/{RUN}"
PACKAGE = f"{SLUG}/package.json"
_HEADS = {"prd": "PRD", "tech-spec": "TECH_SPEC", "action-plan": "ACTION_PLAN", "mini-spec": "Mini-spec"}
_STEPS = "Concrete Steps"
_COSTS = (
    "wall_seconds",
    "user_seconds",
    "system_seconds",
    "max_rss_bytes",
    "read_bytes",
    "written_bytes",
    "processes",
)
ELSEWHERE = {
    "DIF003": "no change of text alone cannot be measured",
    "EVD011": "a table of runs is judged by the runs that it names",
    "EVD014": "asked for where [signatures] is set, by keys that are not to be had here",
    **dict.fromkeys(
        ("PRF001", "PRF002", "PRF004", "PRF005", "PRF006", "PRF007"),
        "measured at a push; `orchgate try` shows one refused",
    ),
}  # why a rule has no plant


class Ground(NamedTuple):
    """A finished packet that breaks no rule, by kind of document, and what else is committed beside it."""

    config: Config
    paths: Mapping[str, str]
    texts: Mapping[str, str]
    files: Mapping[str, str]
    tracked: tuple[str, ...]

    def with_line(self, kind: str, line: str) -> Planted | str:
        """The packet with a line more at the end of one of its documents."""
        if kind not in self.paths:
            return f"documents.paths.{kind} is empty"
        return Planted({self.paths[kind]: f"{self.texts[kind]}\n{line}\n"})

    def changed(self, kind: str, old: str, new: str) -> Planted | str:
        if kind not in self.paths:
            return f"documents.paths.{kind} is empty"
        if old not in self.texts[kind]:
            return f"documents.required-sections.{kind} asks for no such section"
        return Planted({self.paths[kind]: self.texts[kind].replace(old, new, 1)})


class Planted(NamedTuple):
    """What is staged (None: deleted), and what lies beside it on disk, as runs do."""

    files: Mapping[str, str | None]
    beside: Mapping[str, str] = {}


class Plant(NamedTuple):
    """`about` is what is wrong, `files` makes it, or says why it cannot be wrong here."""

    about: str
    files: Callable[[Ground], Planted | str]


def ground(config: Config, tracked: tuple[str, ...]) -> Ground:
    """A finished packet where this configuration looks for one."""
    paths, texts = _packet(config, TASK)
    files = {paths[kind]: text for kind, text in texts.items()}
    files |= {PACKAGE: '{"name": "canary", "version": "1.0.0"}\n', f"{SLUG}/code.txt": "one\n"}
    return Ground(config, paths, texts, files, tracked)


def _packet(config: Config, task: str) -> tuple[dict[str, str], dict[str, str]]:
    """The paths and the texts of a task's documents, by kind."""
    layout, slug = layout_of(config.documents), task.partition("-")[2]
    paths = {kind: layout.path(kind, slug=slug, task=task) for kind in ("prd", "tech-spec", "action-plan", "checklist")}
    paths = {kind: path for kind, path in paths.items() if path}
    return paths, {kind: _document(config, kind, paths, task) for kind in paths}


def _document(config: Config, kind: str, paths: Mapping[str, str], task: str) -> str:
    names = [title.partition("|")[0].strip() for title in config.documents.sections.get(kind, ())]
    lines = ["---", "last_review: 2001-01-01", "---", ""] if kind == "tech-spec" else []
    lines += [f"# Task Checklist — {task}" if kind == "checklist" else f"# {_HEADS[kind]} — Canary", ""]
    if kind == "checklist":
        lines += [f"- Primary PRD: `{paths['prd']}`", ""] if "prd" in paths else []
        lines += [f"- [x] Draft written. Evidence: `{next(iter(paths.values()))}`", ""]
    if kind == "action-plan":
        names = list(dict.fromkeys([*names, _STEPS]))
    if kind == "prd":
        names = list(dict.fromkeys([*names, "Approvals"]))
    for name in names:
        lines += [f"## {name}", "", "- Product: Jo, 2026-01-06" if name == "Approvals" else "Written.", ""]
    return "\n".join(lines)


def _first_section(at: Ground) -> str:
    names = [title.partition("|")[0].strip() for title in at.config.documents.sections.get("prd", ())]
    return next((name for name in names if name != "Approvals"), "")


def _without_document(at: Ground) -> Planted | str:
    kind = next((one for one in reversed(at.config.documents.required) if one in at.paths), "")
    return Planted({at.paths[kind]: None}) if kind else "documents.required is empty"


def _placeholder(at: Ground) -> Planted | str:
    words = [word for word in at.config.documents.placeholders if "*" not in word]
    return at.changed("prd", "Written.", f"- Impact: {words[0]}") if words else "documents.placeholders is empty"


def _manifest(**changed: object) -> str:
    """A manifest of one stage, as the origin of our formats wrote them in January 2026; `changed` are its faults."""
    begin, end, log = "2026-01-06T09:26:23.000Z", "2026-01-06T09:26:50.000Z", f"{FOLDER}/commands/01-a.ndjson"
    stage = dict.fromkeys(("summary", "error_file", "sub_run_id"))
    stage |= {"title": "a", "command": "true", "kind": "command", "status": "succeeded", "log_path": log}
    whole: dict[str, object] = dict.fromkeys(
        ("parent_run_id", "approval_policy", "status_detail", "summary", "run_summary_path", "plan_target_id")
    )
    whole |= {"version": 1, "task_id": TASK, "task_slug": TASK, "run_id": RUN, "pipeline_id": "diagnostics"}
    whole |= {"pipeline_title": "Diagnostics", "runner": "codex-cli", "status": "succeeded", "metrics_recorded": True}
    whole |= {"started_at": begin, "completed_at": end, "updated_at": end, "heartbeat_at": end}
    whole |= {"heartbeat_interval_seconds": 5, "heartbeat_stale_after_seconds": 30, "resume_token": "0" * 64}
    whole |= {"artifact_root": FOLDER, "compat_path": FOLDER, "log_path": f"{FOLDER}/runner.ndjson"}
    whole |= {"commands": [{"index": 1, "id": "a", "started_at": begin, "completed_at": end, "exit_code": 0, **stage}]}
    whole |= {"resume_events": [], "approvals": [], "child_runs": [], "instructions_hash": None}
    return json.dumps({**whole, "instructions_sources": [], **changed})


def _own_manifest() -> str:
    """A manifest of ours, whole but for the journal that it says it comes from."""
    begin, end, costs = "2026-01-06T09:26:23.000Z", "2026-01-06T09:26:50.000Z", dict.fromkeys(_COSTS, 1)
    attempt = {"status": "succeeded", "started_at": begin, "completed_at": end, "exit_code": 0}
    stage = {**attempt, "index": 1, "id": "a", "title": "a", "command": "true", "kind": "command", "usage": costs}
    stage |= {"status_detail": None, "summary": None, "log_path": None, "attempts": [{"number": 1, **attempt}]}
    whole = dict.fromkeys(("parent_run_id", "status_detail", "summary", "process", "git", "machine"))
    whole |= {"format": "orchgate", "version": 1, "task_id": TASK, "run_id": RUN, "pipeline_id": "diagnostics"}
    whole |= {"pipeline_title": "Diagnostics", "runner": "orchgate", "status": "succeeded", "started_at": begin}
    whole |= {"completed_at": end, "updated_at": end, "journal_path": "events.jsonl", "usage": costs}
    stage |= {"allow_failure": False, "flaky": False, "cached": False}
    writes = dict.fromkeys(("manifest_writes", "journal_writes", "files", "bytes"), 1)
    more = {"child_runs": [], "resume_events": [], "flaky": [], "writes": writes}
    return json.dumps({**whole, **more, "commands": [stage]})


def _cited(at: Ground, manifest: str, line: str = "- [x] The tests pass. Evidence: `{}`") -> Planted | str:
    planted = at.with_line("checklist", line.format(f"{FOLDER}/manifest.json"))
    if isinstance(planted, str) or ".runs" not in at.config.evidence.roots:
        return planted if isinstance(planted, str) else "evidence.roots does not hold .runs"
    return planted._replace(beside={f"{FOLDER}/manifest.json": manifest})


def _pinned(at: Ground) -> Planted | str:
    """A run that has changed since it was pinned."""
    planted = _cited(at, _manifest())
    if isinstance(planted, str):
        return planted
    digest = hashlib.sha256(b"another").hexdigest()
    pin = {"path": f"{FOLDER}/manifest.json", "sha256": digest, "size": 7}
    facts = {"run": {"task": TASK, "run_id": RUN, "pipeline": "diagnostics", "status": "succeeded"}}
    lock = json.dumps({"evidence-lock": 1}) + "\n" + json.dumps({**pin, **facts}) + "\n"
    return planted._replace(files={**planted.files, ".orchgate/evidence.lock": lock})


def _unpinned(at: Ground) -> Planted | str:
    """Something that is on this disk alone, where a lock says what others can have."""
    planted = _cited(at, "")
    if isinstance(planted, str):
        return planted
    lock = json.dumps({"evidence-lock": 1}) + "\n"
    log = at.with_line("checklist", f"- [x] Logged. Evidence: `{FOLDER}/stages/01-a.log`")
    assert not isinstance(log, str)
    return Planted({**log.files, ".orchgate/evidence.lock": lock}, {f"{FOLDER}/stages/01-a.log": "a\n"})


def _over_budget(at: Ground) -> Planted | str:
    from orchgate.checks.diff_budget import Budget

    budget = at.config.of(Budget)
    return Planted({f"{SLUG}/large.txt": "line\n" * (budget.max_lines + 1)})


def _version(text: str) -> Callable[[Ground], Planted | str]:
    def files(at: Ground) -> Planted | str:
        from orchgate.checks.version_bump import Releases

        if not matches(PACKAGE, at.config.of(Releases).files):
            return f"version-bump.files does not look at a package.json such as {PACKAGE}"
        # With the version alone it would be a release, which may land.
        return Planted({PACKAGE: text, f"{SLUG}/code.txt": "two\n"})

    return files


def _code_without_a_task(at: Ground) -> Planted | str:
    from orchgate.checks.specs import Code

    paths = at.config.of(Code).paths
    if not paths:
        return "no specs.paths"
    code = next((path for path in at.tracked if path and matches(path, paths)), "")
    return Planted({code: "canary\n"}) if code else "no file matches specs.paths"


def _plan(line: str) -> Callable[[Ground], Planted | str]:
    return lambda at: at.changed("action-plan", f"## {_STEPS}\n\nWritten.", f"## {_STEPS}\n\n```sh\n{line}\n```")


def _loosened(at: Ground) -> Planted | str:
    """The rule is switched off by the change that breaks it."""
    planted = at.with_line("prd", "[gone](canary-gone.md)")
    if isinstance(planted, str):
        return planted
    # Beside a table in pyproject.toml this file is the one that counts.
    return planted._replace(files={**planted.files, "orchgate.toml": '[severity]\nEVD001 = "off"\n'})


def _empty(at: Ground) -> Planted | str:
    name = _first_section(at)
    return at.changed("prd", f"## {name}\n\nWritten.", f"## {name}\n") if name else "no section is required of a PRD"


def _missing_section(at: Ground) -> Planted | str:
    name = _first_section(at)
    return at.changed("prd", f"## {name}\n", "## Canary\n") if name else "no section is required of a PRD"


def _required_run(at: Ground) -> Planted | str:
    from orchgate.evidence.packet_evidence import required_runs

    if not at.config.evidence.required_runs or not required_runs(at.config):
        return "evidence.required-runs asks for none of the pipelines here"
    paths, texts = _packet(at.config, f"9998-second-{SLUG}")  # what the packet of the base lacks is older than a change
    return Planted({paths[kind]: text for kind, text in texts.items()})


def _of_another_tree(at: Ground) -> Planted | str:
    return _cited(at, _manifest(git={"commit": "1" * 40, "tree": "2" * 40, "dirty": False}))


PLANTS: Mapping[str, Plant] = {
    "CMD001": Plant("a step that asks a question", _plan("npm init")),
    "CMD002": Plant("a step that runs a script nobody has", _plan("npm run orchgate-canary-nowhere")),
    "CFG001": Plant("a rule switched off by the change that breaks it", _loosened),
    "DIF001": Plant("one line more than the budget", _over_budget),
    "DOC001": Plant("a required document deleted", _without_document),
    "DOC002": Plant("a required section renamed", _missing_section),
    "DOC003": Plant("an empty section in a finished packet", _empty),
    "DOC004": Plant("a placeholder in a finished packet", _placeholder),
    "DOC005": Plant(
        "a checklist that names another task",
        lambda at: at.changed("checklist", f"{TASK}\n", f"{TASK}\n\n- Task ID: `9998-another`\n"),
    ),
    "DOC006": Plant(
        "approvals pending in a finished packet", lambda at: at.changed("prd", "Jo, 2026-01-06", "pending")
    ),
    "DOC007": Plant("a review of the next century", lambda at: at.changed("tech-spec", "2001-01-01", "2126-01-01")),
    "EVD001": Plant("a link that leads nowhere", lambda at: at.with_line("prd", "[gone](canary-gone.md)")),
    "EVD002": Plant(
        "a run id that was never filled in",
        lambda at: at.with_line("prd", f"- Manifest: `.runs/{TASK}/cli/<run-id>/manifest.json`"),
    ),
    "EVD003": Plant(
        "evidence on one machine", lambda at: at.with_line("checklist", "- [x] Read. Evidence: `/home/canary/x.log`")
    ),
    "EVD004": Plant(
        "a link out of the repository", lambda at: at.with_line("prd", "[out](../../../../../../etc/canary.md)")
    ),
    "EVD005": Plant("a ticked result without evidence", lambda at: at.with_line("checklist", "- [x] All tests pass.")),
    "EVD007": Plant("a claim on a failed run", lambda at: _cited(at, _manifest(status="failed"))),
    "EVD008": Plant("a run edited since it was pinned", _pinned),
    "EVD009": Plant("evidence that is pinned nowhere", _unpinned),
    "EVD010": Plant("a finished packet without the runs it owes", _required_run),
    "EVD012": Plant("a run of another tree", _of_another_tree),
    "EVD016": Plant(
        "a ticked item whose command never ran",
        lambda at: at.with_line("checklist", "- [x] Import works — accept: `pytest -q`"),
    ),
    "MAN001": Plant("a manifest that is no JSON", lambda at: _cited(at, "{")),
    "MAN002": Plant("a manifest without its keys", lambda at: _cited(at, _manifest(commands="none"))),
    "MAN003": Plant(
        "a run that ended before it began", lambda at: _cited(at, _manifest(completed_at="2026-01-06T09:26:21.000Z"))
    ),
    "MAN004": Plant("a manifest of another task", lambda at: _cited(at, _manifest(task_id="9998-another-canary"))),
    "MAN005": Plant("a manifest whose log is gone", lambda at: _cited(at, _manifest())),
    "MAN007": Plant("a manifest of ours without its journal", lambda at: _cited(at, _own_manifest())),
    "SPC001": Plant("code changed for no task", _code_without_a_task),
    "VER001": Plant("a version raised", _version('{"name": "canary", "version": "1.0.1"}\n')),
    "VER002": Plant("a version that cannot be read", _version('{"name": "canary", "version": \n')),
}
