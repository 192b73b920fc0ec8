"""What is said of a tree that changes: from what was kept, anew, and of the tree and its base each by itself."""

from __future__ import annotations

import io
import json
import os
from typing import TYPE_CHECKING, NamedTuple

from fuzz.changing_tree import OTHER
from fuzz.violation import Violation
from orchgate.errors import OrchgateError
from orchgate.gate import session
from orchgate.gate.engine import Narrowing
from orchgate.gate.suggestions import Printed
from orchgate.gate.whole import parts, whole_tree
from orchgate.gate.whole.parts import Parts
from orchgate.git import scope as scopes
from orchgate.git.repository import open_repository
from orchgate.lib import cache
from orchgate.model import Scope, ScopeRequest
from orchgate.outputs import json as json_output
from orchgate.outputs import text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fuzz.changing_tree import ChangingTree
    from orchgate.git.repository import Repository


class Request(NamedTuple):
    """What is asked for on the command line."""

    names: tuple[str, ...] = ()
    strict: bool = False
    ignores: bool = True
    narrowing: Narrowing | None = None
    most: int = 0
    config: str = ""
    finished: bool = False  # as `orchgate tasks` asks: what would each packet owe?


USUAL = Request()
REQUESTS = (
    Request(strict=True),
    Request(ignores=False),
    Request(narrowing=Narrowing(select=("EVD",))),
    Request(narrowing=Narrowing(ignore=("EVD001", "DOC"))),
    Request(most=1),
    Request(names=("evidence",)),
    Request(names=("documents", "commands"), strict=True, most=2),
    Request(config=OTHER),
    Request(config="pyproject.toml"),
    Request(names=("documents", "evidence"), strict=True, finished=True),
)


def compare(tree: ChangingTree, place: str) -> None:
    """Raises Violation where what was kept says anything else than a judgement anew."""
    chance = tree.chance
    request = chance.choice(REQUESTS) if chance.random() < 0.3 else USUAL
    beside = _also(tree, place, request) if chance.random() < 0.05 else 0
    try:
        kept = said(tree, place, request)
    finally:
        if beside:
            os.waitpid(beside, 0)
    new = said(tree, place, request, anew=True)
    _hold("kept", kept, "anew", new)
    if chance.random() < 0.3:
        _hold("anew", new, "both trees by themselves", _said_apart(tree, place, request))


def _also(tree: ChangingTree, place: str, request: Request) -> int:
    """Judges in another process, too, which reads and writes what is kept at the same time; its id."""
    child = os.fork()
    if child:
        return child
    try:
        said(tree, place, request)
    finally:
        os._exit(0)


def _hold(how: str, one: str, otherwise: str, other: str) -> None:
    """Raises Violation where two judgements of one tree differ."""
    if one != other:
        lines = zip(one.splitlines(), other.splitlines(), strict=False)
        differing = next(((one, other) for one, other in lines if one != other), (one[-80:], other[-80:]))
        raise Violation(f"{how} {differing[0][:200]!r}, {otherwise} {differing[1][:200]!r}")


def _said_apart(tree: ChangingTree, place: str, request: Request) -> str:
    """As `said` anew, where nothing is taken from the tree for the one before."""
    usual, Parts.compare = Parts.compare, lambda *_: None  # type: ignore[method-assign]
    try:
        return said(tree, place, request, anew=True)
    finally:
        Parts.compare = usual  # type: ignore[method-assign]


def said(tree: ChangingTree, place: str, request: Request, *, anew: bool = False) -> str:
    """All that the program prints of the tree, as text and as JSON, without how long it took."""
    environ = {**tree.environ, **tree.variables, **({cache.VARIABLE: "1"} if anew else {})}
    code, cache.identity = cache.identity, lambda: tree.identity  # type: ignore[assignment]
    usual, whole_tree.MANY_FILES, parts.SIZE = whole_tree.MANY_FILES, tree.many, tree.size
    repository = open_repository(place, environ)
    try:
        return _judged(tree, repository, request, environ)
    except OrchgateError as error:
        return f"{type(error).__name__}: {error.message}"
    finally:
        cache.identity, whole_tree.MANY_FILES = code, usual
        repository.close()


def _judged(tree: ChangingTree, repository: Repository, request: Request, environ: Mapping[str, str]) -> str:
    target = scopes.target(repository, ScopeRequest(all_files=True), environ)
    config = os.path.join(repository.root, request.config) if request.config else ""
    ctx = session.context(repository, target, environ, config)._replace(judged_at=tree.now.timestamp())
    if request.finished:
        ctx = ctx._replace(scope=Scope("tree", None, None), as_finished=True)
    report = session.judge(
        ctx,
        request.names,
        ignores=request.ignores,
        strict=request.strict,
        narrowing=request.narrowing,
        printed=Printed(request.most),
    )
    document = json_output.document(report)
    lines = io.StringIO()
    text.render(report, lines, text.View(request.most))
    for check in document["checks"]:  # type: ignore[attr-defined]
        if check.get("crash"):
            raise Violation(f"it crashed: {check['crash']}")
        check["seconds"] = 0.0
    return json.dumps(document, indent=1) + lines.getvalue()
