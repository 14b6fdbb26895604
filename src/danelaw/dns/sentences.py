"""libunbound's sentences on why validation failed, in our words."""

import re

_SENTENCE = re.compile(r"validation failure <(?P<what>[^>]*) IN>: (?P<reason>.*)", re.DOTALL)
_STEP = re.compile(r" for (?P<kind>key|DS) (?P<name>\S+) while building chain of trust$")
_SERVERS = re.compile(r" from [0-9a-fA-F.:]+(?: and [0-9a-fA-F.:]+)*")
_LONGEST = 400

_REASONS: tuple[tuple[str, str], ...] = (
    ("signature expired", "an RRSIG over {what} has expired: sign the zone again"),
    ("signature before inception", "an RRSIG over {what} is not valid yet"),
    ("signature verification failed", "an RRSIG over {what} does not verify"),
    ("signature crypto failed", "an RRSIG over {what} does not verify"),
    ("signature labelcount", "an RRSIG over {what} says more labels than its name has"),
    ("signatures from unknown keys", "the RRSIGs over {what} are by keys that the zone has not"),
    ("signature missing", "{what} is not signed with the key that the DS at the parent names"),
    ("no signatures", "{what} has no RRSIG"),
    ("DS hash mismatches key", "the digest in the DS of {what} is not that of its key"),
    ("no keys have a DS", "the DS of {what} names a key that it has not"),
    ("No DNSKEY record", "{what} has a DS at its parent and no DNSKEY"),
    ("no DNSSEC records", "there is no proof that {what} is not signed"),
    ("nodata proof failed", "there is no proof that {what} does not exist"),
    ("nameerror proof failed", "there is no proof that {what} does not exist"),
    ("wildcard proof failed", "there is no proof that nothing closer to {what} than a wildcard exists"),
    ("DS got unsigned CNAME", "the CNAME at {what} has no RRSIG"),
)


def in_our_words(why: str) -> str:
    """Return libunbound's sentence in our words, or itself, short, where it is none that is known."""
    found = _SENTENCE.match(why)
    if found is None:
        return why[:_LONGEST]
    what, reason = found["what"], found["reason"]
    step = _STEP.search(reason)
    about = what if step is None else f"{step['name']} {'DNSKEY' if step['kind'] == 'key' else 'DS'}"
    for beginning, ours in _REASONS:
        if beginning in reason:
            return ours.format(what=about if step is None or "RRSIG" in ours else step["name"])[:_LONGEST]
    return f"{what}: {_SERVERS.sub('', reason)}"[:_LONGEST]
