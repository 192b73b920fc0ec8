"""What one run asks the cache, and what it tells it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from orchgate.runner.cache import Cache
    from orchgate.runner.inputs import Keys
    from orchgate.runner.products import Product
    from orchgate.runner.session import Setting
    from orchgate.runs.stages import Pipeline

UNCHECKED = "what it left behind is not checked: it declares no outputs"


class Recall:
    """The cache as one run uses it; costs nothing where no stage names inputs. Stages are numbered from 1."""

    def __init__(self, setting: Setting, pipeline: Pipeline, inherited: Mapping[str, str]) -> None:
        self._root = setting.root
        self._pipeline = pipeline
        self._inherited = inherited
        self._found: dict[int, str] = {}
        self._needed: dict[int, tuple[str, ...]] = {}
        self._left: dict[int, str] = {}  # digests of what stages left behind
        self._worthy: dict[int, tuple[Product, ...]] = {}  # of successes that are to be remembered
        self._keys: Keys | None = None
        self.reasons: dict[int, str] = {}  # why a stage that could be cached has to run
        self.written = 0  # entries
        if setting.cache and any(stage.inputs for stage in pipeline.stages):
            from orchgate.runner.cache import Cache
            from orchgate.runner.inputs import Keys

            self._keys = Keys(setting.repository, pipeline.stages, setting.environ)
            self._cache: Cache = Cache(setting.root)

    def hit(self, index: int, needed: Iterable[int]) -> dict[str, Any] | None:
        """The fields of a `cached` event, when a stage is known to succeed with what it reads now."""
        stage = self._pipeline.stages[index - 1]
        if self._keys is None or not stage.inputs:
            return None
        self._needed[index] = tuple(token for other in sorted(needed) if (token := self._token(other)))
        key, self.reasons[index] = self._key(index)
        if not key:
            return None
        self._found[index] = key
        from orchgate.runner.cache import Miss

        known = self._cache.lookup(key)
        if isinstance(known, Miss):
            self.reasons[index] = known.reason
            return None
        if stage.outputs and not known.products:
            self.reasons[index] = "its cache entry does not say what it left behind"
            return None
        if known.products:
            self._remember_left(index, known.products)
        unchecked = not known.products and any(stage.id in other.needs for other in self._pipeline.stages)
        fields = {"from": known.run_id, "cache_key": key, "summary": known.summary, "metrics": dict(known.metrics)}
        return fields | {"tests": _told(known.tests), "detail": UNCHECKED if unchecked else None}

    def _token(self, index: int) -> str:
        """What stands for a stage in the keys of those that need it, its inputs and what it left behind."""
        return " ".join(filter(None, (self._found.get(index), self._left.get(index))))

    def _remember_left(self, index: int, left: Iterable[Product]) -> None:
        from orchgate.runner import products

        self._left[index] = products.digest(left)

    def _key(self, index: int) -> tuple[str, str]:
        """The key as things are now, "" for none, and then why."""
        assert self._keys is not None
        stage = self._pipeline.stages[index - 1]
        key = self._keys.key(stage, self._pipeline.id, self._inherited, self._needed[index])
        return key.value, key.reason

    def key(self, index: int) -> str:
        return self._found.get(index, "")

    def ended(self, index: int, *, succeeded: bool) -> str:
        """A stage really ran, which is not recorded yet: it may have changed what others read.

        Returns what people should know of a success that did not leave what it declares, or cannot be remembered.
        """
        if self._keys is not None:
            self._keys.forget()
        if not succeeded:
            return ""
        stage, key = self._pipeline.stages[index - 1], self._found.get(index, "")
        left: tuple[Product, ...] = ()
        if stage.outputs:
            from orchgate.runner import products

            try:
                if self._keys is None:  # nobody will ask what they were
                    products.find(self._root, stage.outputs)
                    return ""
                left = products.collect(self._root, stage.outputs)
            except products.NotKeptError as error:
                return f"{error.message}: not remembered" if key else error.message
            self._remember_left(index, left)
        if key and key != self._key(index)[0]:  # nobody knows which of the two it liked
            return "what it reads changed while it ran: not remembered"
        if key:
            self._worthy[index] = left
        return ""

    def ran(self, index: int, event: Mapping[str, Any], task: str, run_id: str) -> None:
        """A stage's end is recorded: its success may be worth remembering. What is flaky has to run every time."""
        left = self._worthy.pop(index, None)
        if left is None or event["attempt"] > 1:
            return
        from orchgate.runner.cache import Hit
        from orchgate.runs.ids import log_path
        from orchgate.runs.junit import Counts

        name = self._pipeline.stages[index - 1].id
        tests = Counts(**event["tests"]) if event.get("tests") else None
        metrics = event.get("metrics") or {}
        hit = Hit(task, run_id, name, log_path(index, name), event["summary"], tests, metrics, left)
        if not self._cache.record(self._found[index], hit):
            self.written += 1


def _told(tests: Any) -> dict[str, Any] | None:
    return {key: value for key, value in tests._asdict().items() if value is not None} if tests else None
