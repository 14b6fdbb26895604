"""The ACME client (RFC 8555): one flow, order to certificate, over one protocol layer.

From the bottom: `jws` signs, `problem` reads what a CA says is wrong, `messages` reads the CA's objects, `transport`
exchanges one request for one answer, `protocol` signs it and survives what networks and CAs do to it, `account` keeps
who we are, `validation` proves control of names, `flow` takes an order from start to end. `solver` makes http-01
answerable, by webroots or by a listener of our own, and `visits` fetches such an answer as a CA will.

No CA's name stands in the code. Every error that leaves this package is one of `danelaw.errors`.
"""

from danelaw.acme.flow import AcmeAuthority
from danelaw.acme.listener import ListenerSolver
from danelaw.acme.solver import WebrootSolver
from danelaw.acme.visits import HttpVisits

__all__ = ["AcmeAuthority", "HttpVisits", "ListenerSolver", "WebrootSolver"]
