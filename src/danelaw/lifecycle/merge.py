"""Lay new facts over known ones in memory, as a store does: for `plan`, which stores nothing."""

from collections.abc import Iterable
from dataclasses import fields, replace
from typing import Any

from danelaw.model import FACT_KEYS, Fact, Facts


def merge(facts: Facts, new: Iterable[Fact]) -> Facts:
    """Return the facts with each new one added, or in the place of the one with its natural key."""
    by_kind: dict[type, dict[Any, Fact]] = {}
    for fact in new:
        by_kind.setdefault(type(fact), {})[key_of(fact)] = fact
    changes: dict[str, tuple[Any, ...]] = {}
    for kind, fresh in by_kind.items():
        name = FIELDS[kind]
        kept = {key_of(row): row for row in getattr(facts, name)}
        changes[name] = tuple((kept | fresh).values())
    return replace(facts, **changes)


def key_of(fact: Fact) -> tuple[object, ...]:
    """Return a fact's natural key."""
    return tuple(getattr(fact, name) for name in FACT_KEYS[type(fact)])


def _fields() -> dict[type, str]:
    """Map each kind of fact to the field of `Facts` that holds it, read from the annotations themselves."""
    return {field.type.__args__[0]: field.name for field in fields(Facts) if field.name != "effects"}  # type: ignore[union-attr]


FIELDS = _fields()
