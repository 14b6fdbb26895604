"""What `check` looks with: the real outside as a config has it, and what the config wishes for."""

from collections.abc import Mapping
from dataclasses import dataclass

from danelaw.check.outside import AT_ONCE, MOST_AT_ONCE, Outside
from danelaw.config.views import load_views
from danelaw.errors import DanelawError
from danelaw.model import Clock
from danelaw.names import dialled
from danelaw.run.system import SystemClock


@dataclass(frozen=True, slots=True)
class Checking:
    """What a check looks with, and the TTLs that the config asks for, in seconds by owner name (with the final dot)."""

    clock: Clock
    outside: Outside
    ttls: Mapping[str, int]


def checking(config: str | None, *, timeout: float, jobs: int = 0) -> Checking:
    """Return what `check.examine` looks with, as a config wants it; ``timeout`` bounds a handshake, in seconds.

    ``jobs`` targets are to be looked at at once: as many that are silent hold nobody else up, as far as they go.
    Without a config the defaults hold. Raises `ConfigError` for `[resolver]`, `[authoritative]` and `[connect]` alone.
    """
    clock = SystemClock()
    at_once = min(max(AT_ONCE, jobs), MOST_AT_ONCE)
    if config is None:
        return Checking(clock, Outside(clock, timeout=timeout, at_once=at_once), {})
    views = load_views(config)
    connect = dialled(views.connect)
    made = Outside(
        clock,
        views.resolver,
        authoritative=views.authoritative,
        connect=connect,
        timeout=timeout,
        at_once=at_once,
    )
    return Checking(clock, made, _ttls(config) if views.certificates else {})


def _ttls(config: str) -> Mapping[str, int]:
    """Return the TTLs that a whole config asks for; none of one that is at fault: a check is not about that."""
    from danelaw.config import load  # noqa: PLC0415 (start-up: most checks have no config)
    from danelaw.run.compose import survey  # noqa: PLC0415 (start-up)

    try:
        desired = load(config, survey(config, prefers_last=True)).desired
    except DanelawError:
        return {}
    return {claim.endpoint.owner: claim.ttl for each in desired.certificates for claim in each.claims}
