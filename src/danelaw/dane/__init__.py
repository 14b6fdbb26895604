"""TLSA records: made, written, and held against the chains that services present (RFC 6698, RFC 7671, RFC 7672).

A TLSA record pins a certificate or a public key to a service's name. Its *usage* says what is pinned: the service's own
certificate (3, DANE-EE; 1, PKIX-EE) or a CA certificate above it (2, DANE-TA; 0, PKIX-TA). Its *selector* says which
part: the whole certificate (0) or the public key alone (1), which renewals over one key leave unchanged. Its *matching
type* says how: in full (0), by SHA-256 (1) or SHA-512 (2).

Two questions look alike and are not. A sender asks whether *any* record it can use matches (`accepts`). A publisher
must know that *every* combination of the three has a record that matches (`covers`), since it cannot know which of them
a sender understands. A record that does not match is an answer here, never an error.
"""

from danelaw.dane.evidence import verify
from danelaw.dane.matching import accepts, covers, matches, name_matches, selects
from danelaw.dane.tlsa import (
    association,
    generic,
    parse_record,
    parse_spec,
    select,
    tlsa_record,
    trust_anchors,
    usable,
    zone_line,
)

__all__ = [
    "accepts",
    "association",
    "covers",
    "generic",
    "matches",
    "name_matches",
    "parse_record",
    "parse_spec",
    "select",
    "selects",
    "tlsa_record",
    "trust_anchors",
    "usable",
    "verify",
    "zone_line",
]
