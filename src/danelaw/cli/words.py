"""Plans, outcomes and states as lines for people, from the same values that `--json` prints."""

import re
from collections.abc import Container, Iterable
from typing import Any

Json = dict[str, Any]

_FAILURE = re.compile(r"(?P<head>.*? (?:was not proven|failed)): (?P<failure>.+)", re.DOTALL)
"""A sentence that says what failed, and with which words."""


def plan_lines(plan: Json) -> Iterable[str]:
    """Return one line an entry: when, what, why."""
    entries = plan["plan"]
    if not entries:
        yield "Nothing to do, now or later."
    cached: Json = {}
    for when, entry in sorted(((_when(entry), entry) for entry in entries), key=lambda each: each[0]):
        yield f"{shown_instant(when) or 'now':<20}  {_what(entry)}"
        if "step" in entry:
            yield from _cached(cached, entry["cached"])
            cached = entry["cached"]
    yield from _notes(plan)


def _cached(before: Json, cached: Json) -> Iterable[str]:
    """Say what senders may hold from an instant on, where that changes; owner names with the same are said together."""
    alike: dict[str, list[str]] = {}
    for owner, rrsets in cached.items():
        if rrsets and rrsets != before.get(owner):
            held = " or ".join("{" + ", ".join(_clip(record) for record in rrset) + "}" for rrset in rrsets)
            alike.setdefault(held, []).append(owner)
    for held, owners in alike.items():
        yield f"{'':<20}  senders may hold {held} at {', '.join(owners)}"


def is_to_do(plan: Json) -> bool:
    """Return whether a plan has something to do now, needs a person, or is to do again what failed, if later."""
    return any(
        entry["wait"] == "backoff" if "wait" in entry else entry["now"]  # a failure is no rest
        for entry in plan["plan"]
    )


def _when(entry: Json) -> str:
    """Return the instant at which an entry is due, "" for now."""
    return str(entry["until"]) if "wait" in entry else "" if entry["now"] else str(entry["at"])


def once(text: str, told: Container[str]) -> str:
    """Return a sentence without the failure that it ends with, where that was told before."""
    found = _FAILURE.fullmatch(text)
    return found["head"] if found and found["failure"] in told else text


def outcome_lines(outcome: Json, told: Iterable[str] = ()) -> Iterable[str]:
    """Return what failed, what needs a person, and what is waited for. Failures ``told`` before are not repeated."""
    told = set(told)
    for hold in outcome["holds"]:
        yield f"HOLD  {hold['subject']}: {hold['why']}"
        yield f"      to do: {hold['remedy']}"
    for failure in dict.fromkeys(outcome["failed"]):
        if failure not in told:
            yield f"FAILED  {failure}"
    yield from _waits(outcome["waits"], told | set(outcome["failed"]))
    yield from _notes(outcome)
    if not (outcome["holds"] or outcome["failed"] or outcome["waits"]):
        yield "Done; nothing is waited for."


def _waits(found: Iterable[Json], told: Iterable[str]) -> Iterable[str]:
    waits, said = list(found), set(told)
    for wait in waits:
        again = wait["wait"] == "backoff"
        yield f"{'again' if again else 'next':<5} {shown_instant(wait['until'])}  {once(_wait(wait), said)}"
        said.update(found["failure"] for found in [_FAILURE.fullmatch(_wait(wait))] if found)
    if any(wait["wait"] == "backoff" for wait in waits):
        yield "again at once: danelaw apply --retry-now"


def status_lines(state: Json) -> Iterable[str]:
    """Return a block a certificate."""
    for certificate in state["certificates"]:
        yield f"{certificate['name']}: {', '.join(certificate['names'])}"
        issued = certificate["certificate"]
        yield from _keys(certificate)
        if issued:
            yield (
                f"  certificate  {issued['leaf_sha256'][:16]}…, until {shown_instant(issued['not_after'])} "
                f"({issued['days_left']} days left)"
            )
        else:
            yield "  certificate  none yet"
        yield f"  renewal      {shown_instant(certificate['next_renewal']) if certificate['next_renewal'] else 'due'}"
        for deployment in certificate["deployments"]:
            yield from _deployment(deployment)
        for endpoint in certificate["endpoints"]:
            yield from _endpoint(endpoint)
    for owed in state["owed"]:
        yield f"OWED  {owed}; danelaw recover runs it"
    for due in state["due"]:
        yield f"due   at the next run: {due['does']}: {due['why']}"
    for hold in state["holds"]:
        yield f"HOLD  {hold['subject']}: {hold['why']}"
        yield f"      to do: {hold['remedy']}"
    told = {each["failure"] for certificate in state["certificates"] for each in certificate["deployments"]}
    yield from _waits((wait for wait in state["waits"] if wait["wait"] != "renewal"), told)
    yield from _notes(state)


def _keys(certificate: Json) -> Iterable[str]:
    """Say how a certificate's keys stand, and where its rollover is."""
    if not certificate["keys"]:
        yield "  key          none yet"
    for key in certificate["keys"]:
        name = "key" if key["state"] == "current" else f"{key['state']} key"
        leaked = f"; COMPROMISED since {shown_instant(key['compromised_at'])}" if key["compromised_at"] else ""
        yield (
            f"  {name:<13}{key['algorithm']} {key['spki_sha256'][:16]}… ({key['origin']}), {_key_state(key)}{leaked}"
        )
    rollover = certificate["rollover"]
    if rollover["phase"] != "steady":
        after = f"; next at {shown_instant(rollover['next'])}" if rollover["next"] else ""
        why = f", {rollover['why']}" if rollover["why"] else ""
        yield f"  rollover     {PHASES[rollover['phase']]}{why}{after}"
    elif rollover["scheduled_at"]:
        yield f"  rollover     due {shown_instant(rollover['scheduled_at'])}"


PHASES = {
    "publishing": "the next key is made and its records published",
    "ripening": "caches that lack the next key's records are waited for",
    "ordering": "a certificate over the next key is ordered",
    "cutover": "services go over to the next key",
    "settling": "the old key's records stay until another proof",
    "retiring": "done; the old key is kept until nothing can need it",
}
"""Where a rollover is, in words."""


def _key_state(key: Json) -> str:
    if key["state"] == "current":
        return f"since {shown_instant(key['since'])}"
    if key["state"] == "retired":
        return f"kept until {shown_instant(key['needed_until'])}" if key["needed_until"] else "nothing needs it now"
    if not key["published_at"]:
        return "not published yet"
    published = f"published {shown_instant(key['published_at'])}"
    return f"{published}, ripe {shown_instant(key['ripe_at'])}" if key["ripe_at"] else f"{published}, not ripe yet"


def _notes(value: Json) -> Iterable[str]:
    for note in value["notes"]:
        yield f"note  {note['text']}"


def _deployment(deployment: Json) -> Iterable[str]:
    proven = f", proven {shown_instant(deployment['proven_at'])}" if deployment["proven_at"] else ""
    number = "" if deployment["generation"] is None else f", generation {deployment['generation']}"
    yield f"  deployment   {' '.join(deployment['paths'])}: {deployment['state']}{number}{proven}"
    if deployment["failure"]:
        yield f"               failed: {deployment['failure']}"


def _endpoint(endpoint: Json) -> Iterable[str]:
    records = ", ".join(_clip(record) for record in endpoint["records"]) or "no TLSA"
    yield f"  endpoint     {endpoint['endpoint']}: DNSSEC {endpoint['dnssec'] or 'not looked at'}; {records}"
    for address in endpoint["addresses"]:
        shown = ", ".join(f"{leaf[:16]}…" for leaf in address["presents"]) or "nothing seen"
        silent = f", silent since {shown_instant(address['silent_since'])}" if address["silent_since"] else ""
        whose = "" if address["ours"] else " (another host's)"
        yield f"                 {address['address']}{whose} presents {shown}{silent}"
    for row in endpoint["unreachable"]:
        since = shown_instant(row["since"])
        yield f"                 name server {row['server']} unreachable since {since}: {row['problem']}"
    for server in endpoint["left_out"]:
        yield f"                 name server {server} left out: this host has no route to it"


def _what(entry: Json) -> str:
    if "step" in entry:
        return f"{entry['does']}: {entry['why']}"
    if "hold" in entry:
        return f"HOLD {entry['subject']}: {entry['why']}; to do: {entry['remedy']}"
    return _wait(entry) if entry["wait"] in TOLD else f"until then: {_wait(entry)}"


TOLD = frozenset({"renewal", "scheduled", "retiring"})
"""Waits that nothing is held up by."""


def _wait(wait: Json) -> str:
    named = {
        "renewal": f"renew {wait['subject']}: {wait['why']}",
        "scheduled": f"roll over {wait['subject']}: {wait['why']}",
    }
    return named.get(wait["wait"], str(wait["why"]))


def _clip(record: str) -> str:
    return record if len(record) <= 24 else f"{record[:22]}…"


def shown_instant(instant: str) -> str:
    """Return an instant of a JSON value as people read it."""
    return instant.replace("T", " ")
