"""What the parts of a config must agree on: paths that two write, endpoints that nothing proves, one RRset, one TTL.

Every check takes drafts and reports what contradicts; none of them stops the others. Where a part did not fit and was
reported already, what would only follow from it is left out.
"""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from danelaw.config.certificate import CertificateDraft
from danelaw.config.deploy import DeploymentDraft, ProofDraft
from danelaw.config.services import place, proven, watched
from danelaw.config.table import Report, Spot, quote
from danelaw.config.tlsa import ClaimDraft
from danelaw.model import AppProtocol, CertificateSpec, Endpoint, RecordSpec, ServiceSetup, TlsaClaim
from danelaw.names import covers, format_host_port, is_address, parse_host_port


def agree(
    report: Report,
    certificates: Sequence[CertificateDraft],
    *,
    state_dir: str,
    read: Mapping[str, str],
    connect: Mapping[str, tuple[Spot, str]],
) -> tuple[CertificateSpec, ...]:
    """Return the certificates whole, their endpoints and claims resolved; report what contradicts.

    ``read`` maps every path that danelaw reads to what it is, in words.
    """
    check_paths(report, certificates, state_dir, read)
    check_keys(report, certificates, state_dir)
    for draft in certificates:
        for deployment in draft.deployments:
            if deployment.by_services:
                deployment.proofs += _service_proofs(draft, deployment)
    check_claims(report, certificates)
    check_chains(report, certificates)
    check_protocols(report, certificates)
    specs = tuple(_assemble(report, draft, certificates) for draft in certificates)
    check_connect(report, specs, connect)
    return specs


def check_paths(
    report: Report, certificates: Iterable[CertificateDraft], state_dir: str, read: Mapping[str, str]
) -> None:
    """Report files that two deployments write, that danelaw reads, or that lie in its state."""
    written: dict[str, tuple[CertificateDraft, Spot]] = {}
    sources = {place(path): what for path, what in read.items()}
    state = os.path.realpath(state_dir)
    for certificate in certificates:
        for deployment in certificate.deployments:
            for draft in deployment.files:
                path, shown = place(draft.file.path), draft.file.path
                if path in written:
                    other, first = written[path]
                    at = first.where if first.file == draft.spot.file else f"{first.where} in {first.file}"
                    expected = "a path of its own for each file"
                    if deployment.setups and other is certificate:
                        expected += "; services that share one are named in one table"
                    elif deployment.setups:
                        expected += ", in the service's configuration: one of each certificate"
                    report.problem(draft.spot, f"{shown}, which {at} writes too", expected)
                elif path in sources:
                    expected = "a path that danelaw does not read"
                    if deployment.setups and path == place(certificate.spec.key or ""):
                        expected += "; name a copy of it as key"
                    report.problem(draft.spot, f"{shown}, which is {sources[path]}", expected)
                elif path == state or path.startswith(state.rstrip("/") + "/"):
                    report.problem(draft.spot, f"{shown}, in the state_dir", "a path outside: services read copies")
                written.setdefault(path, (certificate, draft.spot))


def check_keys(report: Report, certificates: Iterable[CertificateDraft], state_dir: str) -> None:
    """Report a key that is another file of danelaw's own, and warn of one key file of two certificates.

    A copy in the state's ``keys`` may be adopted (after a lost database). What lies elsewhere in it are the keys of
    accounts and other certificates' deployed files, which come and go; a deployed path may be a link to one. Two
    certificates with one key work until one of them is revoked (RFC 5280 section 5.3.1). So do two with one next key.
    """
    spares: dict[bytes, CertificateDraft] = {}
    first: dict[str, CertificateDraft] = {}
    state = os.path.realpath(state_dir)
    for certificate in certificates:
        spare, key = certificate.spec.spare, certificate.spec.key
        if spare is not None and (other := spares.setdefault(spare.spki_der, certificate)) is not certificate:
            found = f"{spare.path}, the next key of {other.spot.where} too"
            report.warning(certificate.spot.key("next_key_public"), found, "a next key of its own")
        if key is None:
            continue
        real, spot = os.path.realpath(key), certificate.spot.key("key")
        if real.startswith(f"{state}/") and not real.startswith(f"{state}/keys/"):
            found = f"{key}, in the state_dir" if real == key else f"{key}, a link to {real} in the state_dir"
            report.problem(spot, found, "a file outside of it, or a copy: danelaw's own files there come and go")
        other = first.setdefault(real, certificate)
        if other is not certificate:
            found = f"{key}, which is the key of {other.spot.where} too"
            expected = "a key of its own: who revokes one certificate for keyCompromise revokes both"
            report.warning(spot, found, expected)


def check_claims(report: Report, certificates: Sequence[CertificateDraft]) -> None:
    """Report claims at one owner name that cannot both hold, and claims that no deployment proves.

    An RRset has one TTL (RFC 2181 section 5.2) and one writer; and it must cover every chain in each combination of
    parameters that it has (RFC 7671 section 8), so all that claim it publish the same combinations.
    """
    everywhere: dict[tuple[str, int], ClaimDraft] = {}
    for certificate in certificates:
        own: dict[tuple[str, int], ClaimDraft] = {}
        for draft in certificate.claims:
            at = draft.claim.endpoint.host, draft.claim.endpoint.port
            first = own.setdefault(at, draft)
            if first is not draft:
                differ = (
                    _difference(first, draft) is not None
                    or first.claim.prune != draft.claim.prune
                    or first.claim.external != draft.claim.external
                )
                if differ and first.sound and draft.sound:
                    found = f"{draft.claim.endpoint} for the second time, and not as in {first.spot.where}"
                    report.problem(draft.spot, found, "one table for each host and port of a certificate")
                continue
            other = everywhere.setdefault(at, draft)
            different = _difference(other, draft)
            if different is not None:
                here, there = different
                report.problem(
                    draft.spot,
                    f"{here} for {draft.claim.endpoint}, where {other.spot.where} has {there}",
                    "the same records, dns, ttl and wait wherever several certificates claim one host and port",
                )
        _check_proven(report, certificate, own)


def _difference(first: ClaimDraft, second: ClaimDraft) -> tuple[str, str] | None:
    """Return in words what two claims of one owner name differ in: of the second, then of the first."""
    one, two = first.claim, second.claim
    if not (first.sound and second.sound):
        return None
    if set(one.records) != set(two.records):
        return f"records {_records(two.records)}", _records(one.records)
    if one.publisher != two.publisher:
        return f"dns {quote(two.publisher)}", quote(one.publisher)
    if one.ttl != two.ttl:
        return f"ttl {two.ttl}", str(one.ttl)
    if one.strict != two.strict:
        shown = {True: 'wait "strict"', False: "no wait"}
        return shown[two.strict], shown[one.strict]
    return None


def _records(records: Iterable[RecordSpec]) -> str:
    return " and ".join(f'"{each}"' for each in records)


def _check_proven(report: Report, certificate: CertificateDraft, claims: Mapping[tuple[str, int], ClaimDraft]) -> None:
    if not all(each.complete for each in certificate.deployments) or not all(
        each.complete for each in certificate.tlsa
    ):
        return
    proofs = [proof for deployment in certificate.deployments for proof in deployment.proofs]
    for (host, port), draft in claims.items():
        at = [proof for proof in proofs if (proof.host, proof.port) == (host, port)]
        shown = format_host_port(host, port)
        everywhere = [proof for proof in at if proof.connect is None]
        if draft.claim.external:
            if everywhere:
                found = f"{shown}, external, where {everywhere[0].spot.where} proves it"
                report.problem(draft.spot, found, "one of them: external is what no deployment here presents")
        elif not at:
            offered = _offered(certificate)
            expected = f'"{shown}" in the prove of a deployment{offered}; or external = true: nothing here presents it'
            report.problem(draft.spot, f"{shown}, which no deployment proves", expected)
        elif not everywhere:
            report.problem(
                draft.spot,
                f"{shown}, proven at {at[0].connect} alone",
                f'"{shown}" in a prove, since senders use every address; [connect] says how to reach it from here',
            )


def _offered(certificate: CertificateDraft) -> str:
    """Return what the named services offer, in words; "" where none is named."""
    setups = [draft.setup for deployment in certificate.deployments for draft in deployment.setups]
    offered = (f"{each.service.name} offers {', '.join(str(port) for port, _ in each.ports)}" for each in setups)
    return "".join(f"; {each}" for each in dict.fromkeys(offered))


def check_chains(report: Report, certificates: Sequence[CertificateDraft]) -> None:
    """Report a deployment without the issuers where records pin one: it must be presented (RFC 7671 section 5.2)."""
    for certificate in certificates:
        pinned = {
            (claim.endpoint.host, claim.endpoint.port): spec
            for claim in (draft.claim for draft in certificate.claims)
            for spec in claim.records
            if spec.usage in {0, 2}
        }
        for draft in certificate.deployments:
            parts = {part for file in draft.files for part in file.file.parts}
            specs = [pinned[at] for proof in draft.proofs if (at := (proof.host, proof.port)) in pinned]
            if draft.complete and specs and "chain" not in parts:
                found = f'no file that holds the chain, where "{specs[0]}" pins the CA\'s certificate'
                expected = 'fullchain, or "chain" in the combined parts: without it no client finds what is pinned'
                report.problem(draft.spot, found, expected)


def check_protocols(report: Report, certificates: Sequence[CertificateDraft]) -> None:
    """Report an endpoint for which two protocols stand in the config."""
    spoken: dict[tuple[str, int], tuple[AppProtocol, Spot]] = {}
    for certificate in certificates:
        for spot, host, port, protocol in _protocols(certificate):
            first, where = spoken.setdefault((host, port), (protocol, spot))
            if first != protocol:
                found = f"{protocol} at {format_host_port(host, port)}, where {where.where} has {first}"
                report.problem(spot, found, "one protocol for each host and port")


def _protocols(certificate: CertificateDraft) -> Iterator[tuple[Spot, str, int, AppProtocol]]:
    for draft in certificate.claims:
        endpoint = draft.claim.endpoint
        yield draft.spot, endpoint.host, endpoint.port, endpoint.protocol
    claimed = _claimed(certificate)
    for deployment in certificate.deployments:
        for proof in deployment.proofs:
            # A port that says how TLS starts is no word of the user's: a tlsa table may know better.
            if proof.protocol is not None and (proof.stated or (proof.host, proof.port) not in claimed):
                yield proof.spot, proof.host, proof.port, proof.protocol


def _claimed(certificate: CertificateDraft) -> dict[tuple[str, int], AppProtocol]:
    endpoints = [draft.claim.endpoint for draft in certificate.claims]
    return {(each.host, each.port): each.protocol for each in endpoints}


def _assemble(report: Report, draft: CertificateDraft, certificates: Sequence[CertificateDraft]) -> CertificateSpec:
    """Return a certificate with its claims, each once, and its deployments with their endpoints."""
    claimed = _claimed(draft)
    deployments = []
    for each in draft.deployments:
        endpoints = [
            endpoint for proof in each.proofs if (endpoint := _endpoint(report, draft, proof, claimed)) is not None
        ]
        beside = _watched(draft, each, endpoints, certificates)
        deployments.append(replace(each.deployment, endpoints=tuple(endpoints), watched=beside))
    claims: dict[Endpoint, TlsaClaim] = {}
    for claim in draft.claims:
        claims.setdefault(claim.claim.endpoint, claim.claim)
    return replace(draft.spec, claims=tuple(claims.values()), deployments=tuple(deployments))


def _service_proofs(certificate: CertificateDraft, deployment: DeploymentDraft) -> list[ProofDraft]:
    """Return what proves a deployment whose services say it; an endpoint of two of them once."""
    here = [draft.claim.endpoint for draft in certificate.claims if not draft.claim.external]
    elsewhere = {(each.claim.endpoint.host, each.claim.endpoint.port) for each in certificate.claims} - {
        (each.host, each.port) for each in here
    }
    claims = [(each.host, each.port) for each in here]
    proofs: dict[tuple[str, int], ProofDraft] = {}
    for draft in deployment.setups:
        for host, port, protocol in proven(draft.setup, certificate.spec.names, claims):
            if (host, port) not in elsewhere:
                proofs.setdefault((host, port), ProofDraft(draft.spot, host, port, protocol, named=False))
    return list(proofs.values())


def _watched(
    certificate: CertificateDraft,
    deployment: DeploymentDraft,
    endpoints: Sequence[Endpoint],
    certificates: Sequence[CertificateDraft],
) -> tuple[Endpoint, ...]:
    """Return what a deployment's services offer and it does not prove, under every name that leads to them.

    Those are the certificate's names, its hosts, and those of other certificates that a mail service has too.
    """
    hosts = [endpoint.host for endpoint in endpoints]
    known = [(endpoint.host, endpoint.port) for endpoint in endpoints]
    claimed = {at: protocol for draft in certificates for at, protocol in _claimed(draft).items()}
    claimed |= _claimed(certificate)
    found: dict[Endpoint, None] = {}
    for draft in deployment.setups:
        shared = [*hosts, *_shared_hosts(draft.setup, certificate, certificates)]
        for host, port, protocol in watched(draft.setup, certificate.spec.names, shared, known):
            found[Endpoint(host, port, claimed.get((host, port), protocol))] = None
    return tuple(found)


def _shared_hosts(
    setup: ServiceSetup, certificate: CertificateDraft, certificates: Iterable[CertificateDraft]
) -> Iterator[str]:
    """Yield the names of other certificates that the same mail service presents: RSA beside ECDSA.

    It presents both to whoever asks, by whatever name, where a web server chooses by name.
    """
    if not setup.files or any(protocol == "https" for _, protocol in setup.ports):
        return
    for other in certificates:
        for deployment in other.deployments if other is not certificate else ():
            setups = [draft.setup for draft in deployment.setups]
            if any(each.service.name == setup.service.name and each.files for each in setups):
                yield from (name for name in other.spec.names if not name.startswith("*."))
                yield from (proof.host for proof in deployment.proofs)


def _endpoint(
    report: Report, draft: CertificateDraft, proof: ProofDraft, claimed: Mapping[tuple[str, int], AppProtocol]
) -> Endpoint | None:
    names = draft.spec.names
    if proof.named and names and not any(covers(name, proof.host) for name in names):
        report.warning(proof.spot, f"{proof.host}, which is not among names", "a name of the certificate")
    protocol = proof.protocol if proof.stated else claimed.get((proof.host, proof.port), proof.protocol)
    if protocol is None:
        if all(each.complete for each in draft.tlsa):
            example = f'{{ name = "{proof.host}", port = {proof.port}, protocol = "smtp" }}'
            found = f"port {proof.port}, which does not say how TLS starts"
            report.problem(proof.spot, found, f"its protocol too: {example}")
        return None
    return Endpoint(proof.host, proof.port, protocol, proof.connect)


def check_connect(
    report: Report, certificates: Sequence[CertificateSpec], connect: Mapping[str, tuple[Spot, str]]
) -> None:
    """Warn of a map from an endpoint that does not exist: a typing mistake there would go unseen."""
    known = {
        str(endpoint)
        for certificate in certificates
        for endpoint in (
            *(claim.endpoint for claim in certificate.claims),
            *(each for deployment in certificate.deployments for each in (*deployment.endpoints, *deployment.watched)),
        )
    }
    # where http-01 is asked for, and where redirects lead from there
    known |= {f"{name}:{port}" for certificate in certificates for name in certificate.names for port in (80, 443)}
    for source, (spot, _) in connect.items():
        if not is_address(parse_host_port(source)[0]) and source not in known:
            report.warning(spot, f"{source}, which no prove and no tlsa table has", "an endpoint of a certificate")
