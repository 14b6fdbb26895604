"""This host's store, in the hands of one incarnation of the process after another; and its backups."""

from collections.abc import Callable, Sequence
from datetime import datetime

from danelaw.errors import RetryLater
from danelaw.model import EffectOutcome, Fact, KeyFact
from danelaw.store import SqliteStore
from danelaw.store.process import Holder, Processes
from simulation.faults import nobody
from simulation.keys import NAME
from simulation.timeline import SimClock, Timeline


class SimProcesses(Processes):
    """One process lives at a time: each incarnation has a pid of its own, and those before it are dead."""

    def __init__(self) -> None:
        self.incarnation = 0

    def this(self, host: str, boot_id: str) -> Holder:
        return Holder(host, 1000 + self.incarnation, self.incarnation, boot_id)

    def lives(self, holder: Holder, host: str, boot_id: str) -> bool:
        return holder == self.this(host, boot_id)


class SimStore(SqliteStore):
    """The store's file, which outlives a process. While the disk is full it can be read and not written."""

    def __init__(self, timeline: Timeline) -> None:
        self.processes = SimProcesses()
        self.is_full = False
        self.became_current: Callable[[KeyFact], None] = nobody
        """Hears of each key that becomes its certificate's current one in the place of another."""
        super().__init__(":memory:", SimClock(timeline), NAME, self.processes)

    def begin_process(self) -> None:
        """Let a new process open the file: what one before it kept in memory is gone."""
        self.processes.incarnation += 1

    def forget(self) -> None:
        """Let everything be read anew, as by a process that has just been started."""
        self._seen_version = None

    def backup(self) -> bytes:
        return self._db.serialize()

    def restore(self, backup: bytes) -> None:
        self._db.deserialize(backup)
        self.forget()

    def record(self, facts: Sequence[Fact]) -> None:
        self._refuse_if_full()
        super().record(facts)

    def begin(self, kind: str, subject: str, detail: str, at: datetime) -> int:
        self._refuse_if_full()
        return super().begin(kind, subject, detail, at)

    def end(
        self,
        effect: int,
        outcome: EffectOutcome,
        evidence: str,
        at: datetime,
        facts: Sequence[Fact] = (),
        retry_at: datetime | None = None,
    ) -> None:
        self._refuse_if_full()
        before = {(key.certificate, key.spki_sha256) for key in self.snapshot().keys if not key.current_since}
        super().end(effect, outcome, evidence, at, facts, retry_at)
        for fact in facts:
            if isinstance(fact, KeyFact) and fact.current_since and (fact.certificate, fact.spki_sha256) in before:
                self.became_current(fact)

    def _refuse_if_full(self) -> None:
        if self.is_full:
            raise RetryLater("facts.sqlite: the disk is full; make room; nothing was stored")
