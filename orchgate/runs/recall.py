"""What one run asks the cache, and what it tells it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from orchgate.runs.cache import Cache
    from orchgate.runs.inputs import Keys
    from orchgate.runs.session import Setting
    from orchgate.runs.stages import Pipeline


class Recall:
    """The cache as one run uses it; costs nothing where no stage names inputs. Stages are numbered from 1."""

    def __init__(self, setting: Setting, pipeline: Pipeline, inherited: Mapping[str, str]) -> None:
        self._pipeline = pipeline
        self._inherited = inherited
        self._found: dict[int, str] = {}
        self._needed: dict[int, tuple[str, ...]] = {}
        self._keys: Keys | None = None
        self.reasons: dict[int, str] = {}  # why a stage that could be cached has to run
        self.written = 0  # entries
        if setting.cache and any(stage.inputs for stage in pipeline.stages):
            from orchgate.runs.cache import Cache
            from orchgate.runs.inputs import Keys

            self._keys = Keys(setting.repository, pipeline.stages, setting.environ)
            self._cache: Cache = Cache(setting.root)

    def hit(self, index: int, needed: Iterable[int]) -> dict[str, Any] | None:
        """The fields of a `cached` event, when a stage is known to succeed with what it reads now."""
        stage = self._pipeline.stages[index - 1]
        if self._keys is None or not stage.inputs:
            return None
        self._needed[index] = tuple(self._found[other] for other in sorted(needed) if other in self._found)
        key, self.reasons[index] = self._key(index)
        if not key:
            return None
        self._found[index] = key
        from orchgate.runs.cache import Miss

        known = self._cache.lookup(key)
        if isinstance(known, Miss):
            self.reasons[index] = known.reason
            return None
        fields = {"from": known.run_id, "cache_key": key, "summary": known.summary, "metrics": dict(known.metrics)}
        return fields | {"tests": _told(known.tests)}

    def _key(self, index: int) -> tuple[str, str]:
        """The key as things are now, "" for none, and then why."""
        assert self._keys is not None
        stage = self._pipeline.stages[index - 1]
        key = self._keys.key(stage, self._pipeline.id, self._inherited, self._needed[index])
        return key.value, key.reason

    def key(self, index: int) -> str:
        return self._found.get(index, "")

    def ran(self, index: int, event: Mapping[str, Any], task: str, run_id: str) -> None:
        """A stage really ran: it may have changed what others read, and its success is worth remembering."""
        if self._keys is None:
            return
        self._keys.forget()
        key = self._found.get(index)
        if not key or event["status"] != "succeeded" or event["attempt"] > 1:  # what is flaky has to run every time
            return
        if key != self._key(index)[0]:  # what it read changed while it ran: nobody knows which of the two it liked
            return
        from orchgate.runs.cache import Hit
        from orchgate.runs.ids import log_path
        from orchgate.runs.junit import Counts

        name = self._pipeline.stages[index - 1].id
        tests = Counts(**event["tests"]) if event.get("tests") else None
        hit = Hit(task, run_id, name, log_path(index, name), event["summary"], tests, event.get("metrics") or {})
        if not self._cache.record(key, hit):
            self.written += 1


def _told(tests: Any) -> dict[str, Any] | None:
    return {key: value for key, value in tests._asdict().items() if value is not None} if tests else None
