"""When to run again: kept in the store, so that the next `apply` need not look before that."""

from datetime import datetime, timedelta

from danelaw.config import Config, digest
from danelaw.run.rings import Outcome, Rings
from danelaw.store import SqliteStore
from danelaw.store.agenda import sure_stat


def next_look(outcome: Outcome, now: datetime) -> datetime:
    """Return when a run is due again: at the first wait's end, and for the proofs at most a day from now.

    At once where anything failed, a person is needed or a failure is backed off from: each run says so, by its exit
    status too.
    """
    if outcome.exit_status:
        return now
    return min([wait.until for wait in outcome.rest.waits] + [now + timedelta(days=1)])


def keep_agenda(config: Config, rings: Rings, store: SqliteStore, outcome: Outcome) -> None:
    """Store when to look again, with the files whose change would make that sooner.

    How they stand is asked before what they contain: what was changed since the look, and whatever is changed after
    this, is noticed.
    """
    now = rings.clock.now()
    certificates = config.desired.certificates
    paths = {file.path for spec in certificates for d in spec.deployments for file in d.files}
    paths |= set(config.references)
    files = [sure_stat(path, now) for path in sorted(paths)]
    settings = [sure_stat(path, now) for path in config.files]
    look_at = next_look(outcome, now) if _as_looked_at(config, rings, store) else now
    store.set_agenda(config.digest, look_at, now, files, settings)


def _as_looked_at(config: Config, rings: Rings, store: SqliteStore) -> bool:
    """Tell whether the config's files and those that are deployed are now what this run took them for."""
    seen = {row.deployment: dict(row.files) for row in store.snapshot().on_disk}
    deployments = [deployment for spec in config.desired.certificates for deployment in spec.deployments]
    try:
        return digest(config.files[0]) == config.digest and all(
            dict(rings.host.live(deployment)) == seen.get(deployment.id) for deployment in deployments
        )
    except OSError:
        return False
