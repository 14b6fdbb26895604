"""Say that nothing is due, without looking: sqlite3, hashlib and tomllib are all that this imports."""

import argparse
import os
from datetime import UTC, datetime

from danelaw.config.files import digest, head
from danelaw.store.agenda import read_agenda


def nothing_due(arguments: argparse.Namespace) -> str | None:
    """Return what to say where nothing can be due yet, or None where a look is needed.

    A name or any option of `apply` always looks.
    """
    asked = arguments.names or arguments.wait or arguments.force_renewal or arguments.retry_now or arguments.staging
    if asked or arguments.json:
        return None
    state_dir = head(arguments.config)
    agenda = read_agenda(state_dir) if state_dir else None
    if agenda is None:
        return None
    try:
        config_digest = digest(arguments.config)
    except OSError:
        return None
    # The only clock outside the composition point: importing that would cost what this module saves.
    now = datetime.now(UTC)  # noqa: TID251 (see above)
    if not agenda.nothing_due(config_digest, now):
        return None
    if arguments.quiet:
        return ""
    looked, due = (f"{at:%Y-%m-%d %H:%M:%SZ}" for at in (agenda.looked_at, agenda.look_at))
    return f"Nothing is due until {due}; the last look was at {looked}.{os.linesep}"
