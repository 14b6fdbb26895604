"""A chain that nobody has issued yet, as far as it can be told: for plans, and for what is ripe before an order."""

import hashlib
from datetime import datetime, timedelta

from danelaw.model import CertificateSpec, Chain, Facts, KeyFact

LIFETIME = timedelta(days=90)
"""Of a certificate that nobody has issued yet."""


def imagined_chain(facts: Facts, spec: CertificateSpec, key: KeyFact, now: datetime) -> Chain:
    """Return a chain over a key that a CA would issue now.

    Its leaf is no certificate, so what a record of usage 3 and selector 0 holds of it is its own. Where records pin its
    CA instead, the newest known chain stands in for it, dates and key aside, since its issuer is told from that alone.
    """
    before = max(
        (row for row in facts.chains if row.certificate == spec.name), key=lambda row: row.obtained_at, default=None
    )
    lifetime = before.chain.not_after - before.chain.not_before if before else LIFETIME
    leaf_der = f"the certificate to be issued for {spec.name} over {key.spki_sha256} at {now}".encode()
    pins_ca = any(each.usage in {0, 2} for claim in spec.claims for each in claim.records)
    return Chain(
        certificates_der=before.chain.certificates_der if before and pins_ca else (leaf_der,),
        leaf_sha256=hashlib.sha256(leaf_der).hexdigest(),
        spki_der=key.spki_der,
        spki_sha256=key.spki_sha256,
        algorithm=key.algorithm,
        not_before=now,
        not_after=now + lifetime,
        names=spec.names,
    )
