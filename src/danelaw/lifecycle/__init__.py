"""What to do next, and why: pure decisions over stored facts.

`step` decides, `predict` says what a step leads to, `invariants` what must never become false. Nothing here has a
socket, a file, a clock or chance.
"""

from danelaw.lifecycle.due import current_chain, renewal_at
from danelaw.lifecycle.gate import go_live, held
from danelaw.lifecycle.invariants import new_violations, violations
from danelaw.lifecycle.predict import predict
from danelaw.lifecycle.sight import see_owner, see_probes
from danelaw.lifecycle.steps import step

__all__ = [
    "current_chain",
    "go_live",
    "held",
    "new_violations",
    "predict",
    "renewal_at",
    "see_owner",
    "see_probes",
    "step",
    "violations",
]
