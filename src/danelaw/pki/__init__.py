"""Certificates, chains, public keys and the contents of CSRs: parsing and building. No signing, no randomness.

What it prevents: a TLSA digest over anything but the bytes that were signed, a chain whose oddities take the program
down, and a private key that travels further than its public half needs.
"""

from danelaw.pki.chain import (
    cert_pem,
    certificates,
    chain_from_der,
    chain_pem,
    load,
    parse_chain,
    presented_chain,
    spki_of_certificate,
    subject_text,
)
from danelaw.pki.csr import (
    SUBJECT_FIELDS,
    CsrContents,
    csr_builder,
    csr_names,
    csr_subject,
    lone_common_name,
    read_csr,
    requested_names,
)
from danelaw.pki.keys import check_public_key, key_type, load_public_key, spki_of_csr, spki_of_public_key
from danelaw.pki.path import climb, is_ca, is_issued_by, is_signed_by, is_valid_at, issuers, serves_tls, validity
from danelaw.pki.private import MAX_PASSWORD_BYTES, Opened, open_private_key, password_line, what_is_found
from danelaw.pki.source import EncryptedKey, Source, load_source, load_sources

__all__ = [
    "MAX_PASSWORD_BYTES",
    "SUBJECT_FIELDS",
    "CsrContents",
    "EncryptedKey",
    "Opened",
    "Source",
    "cert_pem",
    "certificates",
    "chain_from_der",
    "chain_pem",
    "check_public_key",
    "climb",
    "csr_builder",
    "csr_names",
    "csr_subject",
    "is_ca",
    "is_issued_by",
    "is_signed_by",
    "is_valid_at",
    "issuers",
    "key_type",
    "load",
    "load_public_key",
    "load_source",
    "load_sources",
    "lone_common_name",
    "open_private_key",
    "parse_chain",
    "password_line",
    "presented_chain",
    "read_csr",
    "requested_names",
    "serves_tls",
    "spki_of_certificate",
    "spki_of_csr",
    "spki_of_public_key",
    "subject_text",
    "validity",
    "what_is_found",
]
