"""Handshakes with endpoints: what a service really presents, at one address, for one kind of key.

No certificate is verified here: DANE judges, and only what was presented can be judged. What it prevents is believing a
reload: a daemon's other worker, its other certificate or its other address may still present what was there before.

`Handshakes` makes simultaneous ones and blocks; `Dialer` makes single ones, hundreds at once, in an event loop.
"""

from danelaw.probe.dialer import Dialer
from danelaw.probe.handshakes import Handshakes

__all__ = ["Dialer", "Handshakes"]
