"""What is signed of a run: a Statement of in-toto with the predicate of a test result.

It is a function of what was recorded, so the same run gives the same bytes, whoever signs it and whenever. Names and
fields are those of https://in-toto.io/Statement/v1 and https://in-toto.io/attestation/test-result/v0.1; what they have
no place for is in annotations.
"""

from __future__ import annotations

import json
from datetime import datetime

from orchgate.attest import envelope
from orchgate.lib import files
from orchgate.lib.lazy import lazy
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.runs import locate
from orchgate.runs.run import from_manifest, timestamp

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from orchgate.runs.run import RecordedTree, Run, StageRun

TYPE = "https://in-toto.io/Statement/v1"
PREDICATE = "https://in-toto.io/attestation/test-result/v0.1"
PASSED, WARNED, FAILED = "PASSED", "WARNED", "FAILED"
MOST_NAMED = 200  # paths beside a commit, and stages of one outcome
_HEX = lazy(r"[0-9a-f]{40}|[0-9a-f]{64}")
_DEFINITION = ("id", "title", "kind", "command", "argv", "allow_failure")  # of a stage, as a run records it
_TREE, _COMMIT = "tree", "commit"


class Subject(NamedTuple):
    """What a statement is about, as hex digits; None for what a run does not have. `passed`: whether it succeeded.

    `dirty` says whether the work tree differed from the tree, `changed` and `untracked` are digests of what lay beside
    it (see `digest_of`), so that nobody takes a run of a tree for one of another tree. `run` is the run's task and id,
    so that one run is not two, `accepts` a digest of the item that it is to prove. Of what follows `commit`, what is
    None is not compared.
    """

    manifest: str
    journal: str | None = None
    tree: str | None = None
    commit: str | None = None
    passed: bool | None = None
    pipeline: str | None = None
    changed: str | None = None
    untracked: str | None = None
    dirty: str | None = None
    run: str | None = None
    accepts: str | None = None


class Claim(NamedTuple):
    """What somebody signed: about what, and when the run ended, where that is said."""

    subject: Subject
    result: str
    ended_at: datetime | None


def subject_of(run: Run, manifest: bytes, journal: bytes | None) -> Subject:
    """What a statement of a run has to be about."""
    git = run.git
    sha256 = None if journal is None else files.sha256_hex(journal)
    ids = (git.tree, git.commit) if git else ()
    tree, commit = (one if one and _HEX.fullmatch(one) else None for one in ids) if ids else (None, None)
    changed, untracked, dirty = _digests(_beside(git) if git else {}) if tree else (None, None, None)
    return Subject(
        *(files.sha256_hex(manifest), sha256, tree, commit),
        passed=run.status == "succeeded",
        pipeline=text_of(run.pipeline_id),
        changed=changed,
        untracked=untracked,
        dirty=dirty,
        run=name_of(run.task_id, run.run_id),
        accepts=accepted(_accepts(run)),
    )


def digest_of(paths: Mapping[str, str | None] | None) -> str:
    """Of what lay beside a tree, by path, as a statement has it."""
    return _digest(_noted(paths))


def dirty_text(dirty: bool | None) -> str:
    """Whether a work tree differed from its tree, as a subject has it."""
    return json.dumps(dirty)


def name_of(task: object, run_id: object) -> str:
    """A run, as a subject has it."""
    return text_of(f"{task}/{run_id}")


def accepted(accepts: Mapping[str, str]) -> str:
    """Of the item that a run is to prove, as a pin has it."""
    return _digest({name: text_of(value) for name, value in accepts.items()})


def _accepts(run: Run) -> dict[str, str]:
    return run.accepts.pinned() if run.accepts and run.format == locate.OURS else {}


def render(path: str, manifest: bytes, journal: bytes | None, document: Mapping[str, object]) -> bytes:
    """The statement of a run. `path` is where the repository has its manifest, `document` the manifest as parsed."""
    run = from_manifest(document, path)
    names = _outcomes(run)
    predicate = {
        "result": result_of(run),
        "configuration": [_configuration(run, document)],
        "passedTests": names[PASSED],
        "warnedTests": names[WARNED],
        "failedTests": names[FAILED],
    }
    statement = {
        "_type": TYPE,
        "subject": list(_subjects(run, path, subject_of(run, manifest, journal))),
        "predicateType": PREDICATE,
        "predicate": predicate,
    }
    return json.dumps(statement, sort_keys=True, separators=(",", ":")).encode("ascii")


def result_of(run: Run) -> str:
    """PASSED, FAILED, or WARNED: it passed, but a stage failed that may fail, or passed only when tried again.

    So it is where tests failed of a stage that ended with exit 0 all the same.
    """
    if run.status != "succeeded":
        return FAILED
    return WARNED if any(_outcome(stage) == WARNED for stage in run.stages) else PASSED


def _outcome(stage: StageRun) -> str:
    if stage.status == "succeeded":
        return WARNED if stage.flaky or (stage.tests and stage.tests.failed + stage.tests.errors) else PASSED
    if stage.status == "failed" and stage.allow_failure:
        return WARNED
    return "" if stage.status in ("skipped", "pending") else FAILED


def _outcomes(run: Run) -> Mapping[str, list[str]]:
    """The ids of the stages that ended in each way, as far as they are few enough to be told.

    Behind each are its tests that failed, as `STAGE: TEST`.
    """
    found: dict[str, list[str]] = {PASSED: [], WARNED: [], FAILED: []}
    for stage in run.stages:
        if outcome := _outcome(stage):
            named = (stage.id, *(f"{stage.id}: {test}" for test in stage.failed_tests))
            found[outcome] += map(text_of, named[: MOST_NAMED - len(found[outcome])])
    return found


def _configuration(run: Run, document: Mapping[str, object]) -> dict[str, object]:
    """The pipeline as the run recorded it: what its stages were, not how they ended."""
    stages = document.get("commands")
    listed = [stage for stage in stages if isinstance(stage, dict)] if isinstance(stages, list) else []
    parts = [{key: stage[key] for key in _DEFINITION if key in stage} for stage in listed]
    data = json.dumps({"id": run.pipeline_id, "stages": parts}, sort_keys=True, separators=(",", ":"))
    return {
        "name": text_of(f"pipeline:{run.pipeline_id}"),
        "digest": {"sha256": files.sha256_hex(data.encode("ascii"))},
    }


def _subjects(run: Run, path: str, subject: Subject) -> Iterator[dict[str, object]]:
    if subject.tree:
        git = run.git
        yield _described(_TREE, {"gitTree": subject.tree}, _beside(git) if git else {})
    if subject.commit:
        yield _described(_COMMIT, {"gitCommit": subject.commit})
    about = {"task_id": run.task_id, "run_id": run.run_id, "pipeline_id": run.pipeline_id, "status": run.status}
    ended = {"completed_at": timestamp(run.completed_at)} if run.completed_at else {}
    texts = {name: text_of(value) for name, value in about.items()}
    proves = {name: text_of(value) for name, value in _accepts(run).items()}
    notes = {**texts, **ended, **({"accepts": proves} if proves else {})}
    yield _described(path, {"sha256": subject.manifest}, notes)
    if subject.journal:
        yield _described(locate.journal_of(path), {"sha256": subject.journal})


def _described(name: str, digest: Mapping[str, str], notes: Mapping[str, object] | None = None) -> dict[str, object]:
    return {"name": text_of(name), "digest": digest, **({"annotations": notes} if notes else {})}


def _beside(git: RecordedTree) -> dict[str, object]:
    """What the work tree held beside its commit, so that nobody takes the tree for what was run; {} for nothing."""
    if git.dirty is False and not git.changed and not git.untracked:
        return {}
    notes: dict[str, object] = {"dirty": git.dirty}
    notes |= {"changed": _noted(git.changed), "untracked": _noted(git.untracked)}
    return notes


def _noted(paths: Mapping[str, str | None] | None) -> dict[str, str | None] | None:
    """None also for more than a statement names."""
    if paths is None or len(paths) > MOST_NAMED:
        return None
    return dict(sorted((text_of(path), content) for path, content in paths.items()))


def text_of(value: str) -> str:
    """Text that every reader of JSON takes: a name that is no UTF-8 has its bytes as escapes."""
    return value.encode("utf-8", "backslashreplace").decode("utf-8")


def read(payload: bytes) -> Claim:
    """What a statement says. Raises ValueError for one that is not such a statement, or is not clear."""
    fields = envelope.parsed(payload)
    if fields.get("_type") != TYPE or fields.get("predicateType") != PREDICATE:
        raise ValueError(f"is not a statement {PREDICATE}")
    subjects, predicate = fields.get("subject"), fields.get("predicate")
    result = predicate.get("result") if isinstance(predicate, dict) else None
    if result not in (PASSED, WARNED, FAILED):
        raise ValueError(f"result: expected {PASSED}, {WARNED} or {FAILED}")
    if not isinstance(subjects, list) or not all(isinstance(one, dict) for one in subjects):
        raise ValueError("subject: expected an array of objects")
    manifest = _one(subjects, "sha256", locate.NAME)
    if manifest is None:
        raise ValueError(f"subject: names no {locate.NAME}")
    journal = _one(subjects, "sha256", locate.JOURNAL)
    tree, commit = _one(subjects, "gitTree"), _one(subjects, "gitCommit")
    notes = _notes(subjects, "sha256", locate.NAME)
    changed, untracked, dirty = _digests(_notes(subjects, "gitTree")) if tree else (None, None, None)
    subject = Subject(
        *(manifest, journal, tree, commit),
        passed=result != FAILED,
        pipeline=str(notes.get("pipeline_id", "")),
        changed=changed,
        untracked=untracked,
        dirty=dirty,
        run=name_of(notes.get("task_id", ""), notes.get("run_id", "")),
        accepts=_digest(notes.get("accepts", {})),
    )
    return Claim(subject, str(result), _ended(subjects))


def _notes(subjects: list[dict[str, object]], algorithm: str, name: str = "") -> dict[str, object]:
    """The annotations of a subject."""
    for one in subjects:
        digest, notes = one.get("digest"), one.get("annotations")
        named = str(one.get("name", "")).rpartition("/")[2]
        if isinstance(digest, dict) and algorithm in digest and name in ("", named):
            return notes if isinstance(notes, dict) else {}
    return {}


def _digests(notes: dict[str, object]) -> tuple[str, str, str]:
    """Of what lay beside a tree, and whether anything did: nothing, where nothing is noted."""
    none: dict[str, object] = {"changed": {}, "untracked": {}, "dirty": False}
    changed, untracked, dirty = ((notes or none).get(name) for name in none)
    return _digest(changed), _digest(untracked), json.dumps(dirty)


def _digest(noted: object) -> str:
    return files.sha256_hex(json.dumps(noted, sort_keys=True).encode("ascii"))


def _one(subjects: list[dict[str, object]], algorithm: str, name: str = "") -> str | None:
    """The digest of the one subject of that algorithm, and of a name that ends so. Raises ValueError for several."""
    found = []
    for one in subjects:
        digest = one.get("digest")
        named = str(one.get("name", "")).rpartition("/")[2]
        if isinstance(digest, dict) and algorithm in digest and name in ("", named):
            found.append(digest[algorithm])
    if len(found) > 1:
        raise ValueError(f"subject: several of {name or algorithm}")
    if found and not (isinstance(found[0], str) and _HEX.fullmatch(found[0])):
        raise ValueError(f"subject: the digest of {name or algorithm} is not hexadecimal digits")
    return found[0] if found else None


def _ended(subjects: list[dict[str, object]]) -> datetime | None:
    for one in subjects:
        notes = one.get("annotations")
        text = notes.get("completed_at") if isinstance(notes, dict) else None
        if isinstance(text, str):
            moment = datetime.fromisoformat(text)  # raises ValueError
            if moment.tzinfo is None:
                raise ValueError("completed_at: is of no time zone")
            return moment
    return None
