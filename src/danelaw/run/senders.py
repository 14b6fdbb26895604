"""The last proof of a run that changed something: what do senders meet now?

The records were read back from every server, and the chain was seen at every address; here the two are held together
once more, by the code that `danelaw check` judges strangers with.
"""

from collections.abc import Mapping, Sequence

from danelaw.config import Config
from danelaw.model import Clock, Desired, Endpoint, Report, Target
from danelaw.run.rings import Rings, Senders

TIME_LIMIT = 30.0
"""Seconds; an endpoint of this host takes a tenth of one."""


def real_senders(config: Config, connect: Mapping[str, tuple[str, int]], clock: Clock) -> Senders:
    """Return what asks the real outside, as a config has it, anew each time."""

    def ask(targets: Sequence[Target]) -> Sequence[Report]:
        # start-up: most runs change nothing that senders meet
        import asyncio  # noqa: PLC0415

        from danelaw.check.examine import examine  # noqa: PLC0415
        from danelaw.check.outside import Outside  # noqa: PLC0415
        from danelaw.dane.sender import Wishes  # noqa: PLC0415

        async def every() -> list[Report]:
            wishes = Wishes(authorities=False, policy=False)
            async with Outside(clock, config.resolver, authoritative=config.authoritative, connect=connect) as outside:
                asked = (examine(each, outside, clock, wishes, time_limit=TIME_LIMIT) for each in targets)
                return list(await asyncio.gather(*asked))

        return asyncio.run(every())

    return ask


def refusals(desired: Desired, rings: Rings) -> list[str]:
    """Say what senders make of every endpoint that has records of ours; return those that some would not deliver to."""
    endpoints = list(dict.fromkeys(claim.endpoint for spec in desired.certificates for claim in spec.claims))
    if rings.senders is None or not endpoints:
        return []
    reports = rings.senders([_target(endpoint) for endpoint in endpoints])
    refused, good = [], []
    for report in reports:
        refusing = [sender for sender, outcome in report.outcomes.items() if outcome == "deferred"]
        if refusing:
            errors = [each for each in report.findings if each.severity == "error"]
            why = f"{errors[0].subject}: {errors[0].text}. {errors[0].remedy}" if errors else ""
            refused.append(f"{report.target}: senders that obey DANE refuse it ({', '.join(refusing)}): {why}".strip())
        elif report.status == 0:
            good.append(str(report.target))
        else:
            told = {3: "is not yet protected by DANE", 4: "could not be looked at as senders do"}
            rings.tell("progress", f"{report.target} {told[report.status]}; danelaw check {report.target} says why")
    if good:
        rings.tell("done", f"senders that obey DANE are satisfied with {', '.join(good)}")
    return refused


def _target(endpoint: Endpoint) -> Target:
    return Target(endpoint.host, endpoint.port, endpoint.protocol)
