"""The real outside of `run.live`: danelaw's own view of DNS and its own handshakes, as the config wants them."""

from danelaw.config.views import load_views
from danelaw.dns.authoritative import AuthoritativeView
from danelaw.model import ResolverSpec
from danelaw.names import dialled
from danelaw.probe import Handshakes
from danelaw.run.live import Outside
from danelaw.run.system import SystemClock


def outside(config: str | None) -> Outside:
    """Return what looks at live endpoints, with ``[resolver]``, ``[authoritative]`` and ``[connect]`` of a config.

    Without a config the defaults hold. Raises `ConfigError` for these three tables alone.
    """
    clock = SystemClock()
    if config is None:
        return Outside(clock, AuthoritativeView(ResolverSpec(), {}, clock), Handshakes(clock), {})
    views = load_views(config)
    dns = AuthoritativeView(views.resolver, views.authoritative, clock)
    connect = dialled(views.connect)
    return Outside(clock, dns, Handshakes(clock), connect)
