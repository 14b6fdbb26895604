"""Record the checks of this folder again, in a world: `PYTHONPATH=tests:. python -m recorded` (as root).

For when a sender asks something new, so that the recordings lack its answer. tests/unit/check/test_check_recorded.py
has the verdict expected of each.
"""

from pathlib import Path

from danelaw.check.examine import examine_blocking
from danelaw.check.outside import Outside
from danelaw.check.recorded import Recording, dumps
from danelaw.check.targets import parse_target
from danelaw.model import Answer, Question, ResolverSpec
from fakes.running_clock import RunningClock
from world import World

FOLDER = Path(__file__).parent
STALE = f"3 1 1 {'ab' * 32}"
CASES: dict[str, tuple[tuple[str, ...], tuple[str, ...], str | None]] = {
    "good": (("{good}",), (), None),
    "no-records": ((), (), None),
    "stale": ((STALE,), (), None),
    "stale-beside-good": (("{good}", STALE), (), None),
    "digest-too-short": (("3 1 1 abcd",), (), None),
    "null-mx": ((), ("delete {zone}. MX", "add {zone}. 5 MX 0 ."), None),
    "nothing-listens": (("{good}",), ("delete mail.{zone}. A", "add mail.{zone}. 5 A 127.25.0.99"), None),
    "second-mx-insecure": (("{good}",), ("add {zone}. 5 MX 20 mail.unsigned.test.",), None),
    "imaps": (
        (),
        ("add _imaps._tcp.{zone}. 5 SRV 0 1 993 mail.{zone}.", "add _993._tcp.mail.{zone}. 5 TLSA {good}"),
        "imaps",
    ),
}
"""Records of port 25, further changes of the zone, and ``--protocol``."""
ZONES = ("unsigned", "bogus", "expired", "nowhere")
"""Below ``test.``, as the world has them or has not."""


def main() -> None:
    """Record all."""
    with World(key_type="p256") as world:
        good = world.initial.tlsa(1)
        for name, (records, updates, protocol) in CASES.items():
            zone = world.zone(f"{name}.test").name
            if records:
                world.publish(f"_25._tcp.mail.{zone}", [each.format(good=good) for each in records])
            if updates:
                world.update(*(each.format(zone=zone, good=good) for each in updates), zone=zone)
            record(world, name, zone, protocol)
        for name in ZONES:
            record(world, name, f"{name}.test", None)


def record(world: World, name: str, text: str, protocol: str | None) -> None:
    """Check one target and keep all answers."""
    target = parse_target(text, protocol)
    known: dict[Question, Answer] = {}
    spec = ResolverSpec(trust_anchor=str(world.root_ds), root_hints=str(world.root_hints))
    report = examine_blocking(target, Outside(RunningClock(), spec), RunningClock(), known=known)
    (FOLDER / f"{name}.json").write_text(dumps(Recording(target, report.at, tuple(known.values()))))
    print(f"{name}: status {report.status}, {dict(report.outcomes)}")


if __name__ == "__main__":
    main()
