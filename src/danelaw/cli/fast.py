"""Say that nothing is due, without looking. What this imports is on a list that a test holds it to."""

import os
from collections.abc import Sequence
from datetime import UTC, datetime

from danelaw.config.files import DEFAULT_PATH, digest, head, paths
from danelaw.store import agenda


def plain_apply(argv: Sequence[str]) -> tuple[str, bool] | None:
    """Return (config, quiet) where the command line is ``apply`` with these options alone, spelled in full, else None.

    It reads no line otherwise than argparse, which costs as much as all that follows.
    """
    config, loudness = DEFAULT_PATH, ""
    words = list(argv)
    if not words or words.pop() != "apply":
        return None
    while words:
        word = words.pop(0)
        if word == "--config" and words and words[0] and not words[0].startswith("-"):
            config = words.pop(0)
        elif word in {"-q", "--quiet", "-v", "--verbose"} and not loudness:
            loudness = word
        else:
            return None
    return config, "q" in loudness


def nothing_due(config: str, *, quiet: bool) -> str | None:
    """Return what to say where nothing can be due yet, or None where a look is needed."""
    state_dir = head(config)
    if state_dir is None:
        return None
    # The only clock outside the composition point: importing that would cost what this module saves.
    now = datetime.now(UTC)  # noqa: TID251 (see above)
    try:
        found = agenda.nothing_due(state_dir, paths(config), lambda: digest(config), now)
    except OSError:
        return None
    if found is None:
        return None
    if quiet:
        return ""
    looked, due = (f"{at:%Y-%m-%d %H:%M:%SZ}" for at in found)
    return f"Nothing is due until {due}; the last look was at {looked}.{os.linesep}"
