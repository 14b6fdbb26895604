"""Plans, outcomes and states as lines for people, from the same values that `--json` prints."""

from collections.abc import Container, Iterable
from typing import Any

Json = dict[str, Any]


def plan_lines(plan: Json) -> Iterable[str]:
    """Return one line an entry: when, what, why."""
    entries = plan["plan"]
    if not entries:
        yield "Nothing to do, now or later."
    for when, entry in sorted(((_when(entry), entry) for entry in entries), key=lambda each: each[0]):
        yield f"{_short(when) or 'now':<20}  {_what(entry)}"
    yield from _notes(plan)


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
    head, after, failure = text.partition(" was not proven: ")
    return f"{head} was not proven" if after and failure in told else text


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
        yield f"{'again' if again else 'next':<5} {_short(wait['until'])}  {once(_wait(wait), said)}"
        said.add(_wait(wait).partition(" was not proven: ")[2])
    if any(wait["wait"] == "backoff" for wait in waits):
        yield "again at once: danelaw apply --retry-now"


def status_lines(state: Json) -> Iterable[str]:
    """Return a block a certificate."""
    for certificate in state["certificates"]:
        yield f"{certificate['name']}: {', '.join(certificate['names'])}"
        key, issued = certificate["key"], certificate["certificate"]
        shown = f"{key['algorithm']} {key['spki_sha256'][:16]}… ({key['origin']})" if key else "none yet"
        yield f"  key          {shown}"
        if issued:
            yield (
                f"  certificate  {issued['leaf_sha256'][:16]}…, until {_short(issued['not_after'])} "
                f"({issued['days_left']} days left)"
            )
        else:
            yield "  certificate  none yet"
        yield f"  renewal      {_short(certificate['next_renewal']) if certificate['next_renewal'] else 'due'}"
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


def _notes(value: Json) -> Iterable[str]:
    for note in value["notes"]:
        yield f"note  {note['text']}"


def _deployment(deployment: Json) -> Iterable[str]:
    proven = f", proven {_short(deployment['proven_at'])}" if deployment["proven_at"] else ""
    number = "" if deployment["generation"] is None else f", generation {deployment['generation']}"
    yield f"  deployment   {' '.join(deployment['paths'])}: {deployment['state']}{number}{proven}"
    if deployment["failure"]:
        yield f"               failed: {deployment['failure']}"


def _endpoint(endpoint: Json) -> Iterable[str]:
    records = ", ".join(_clip(record) for record in endpoint["records"]) or "no TLSA"
    yield f"  endpoint     {endpoint['endpoint']}: DNSSEC {endpoint['dnssec'] or 'not looked at'}; {records}"
    for address in endpoint["addresses"]:
        shown = ", ".join(f"{leaf[:16]}…" for leaf in address["presents"]) or "nothing seen"
        silent = f", silent since {_short(address['silent_since'])}" if address["silent_since"] else ""
        whose = "" if address["ours"] else " (another host's)"
        yield f"                 {address['address']}{whose} presents {shown}{silent}"
    for row in endpoint["unreachable"]:
        yield f"                 name server {row['server']} unreachable since {_short(row['since'])}: {row['problem']}"
    for server in endpoint["left_out"]:
        yield f"                 name server {server} left out: this host has no route to it"


def _what(entry: Json) -> str:
    if "step" in entry:
        return f"{entry['does']}: {entry['why']}"
    if "hold" in entry:
        return f"HOLD {entry['subject']}: {entry['why']}; to do: {entry['remedy']}"
    return _wait(entry) if entry["wait"] == "renewal" else f"until then: {_wait(entry)}"


def _wait(wait: Json) -> str:
    named = {
        "renewal": f"renew {wait['subject']}: {wait['why']}",
        "backoff": str(wait["why"]),
    }
    return named.get(wait["wait"], str(wait["why"]))


def _clip(record: str) -> str:
    return record if len(record) <= 24 else f"{record[:22]}…"


def _short(instant: str) -> str:
    return instant.replace("T", " ")
