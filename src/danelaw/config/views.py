"""The tables of the config that say how the outside is seen, by themselves: for commands that need no more of it."""

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass

from danelaw.config import files
from danelaw.config.sections import read_authoritative, read_connect, read_resolver, read_serve
from danelaw.config.table import NAMED, TOP_KEYS, WHOLE, Report, Spot, Table
from danelaw.errors import ConfigError
from danelaw.model import ResolverSpec, ServeSpec


@dataclass(frozen=True, slots=True)
class Views:
    """``[resolver]``, ``[connect]``, ``[authoritative]`` and ``[serve]``, the first three as `Config` has them.

    ``certificates`` says whether there is any ``[certificate.NAME]``.
    """

    resolver: ResolverSpec
    connect: Mapping[str, str]
    authoritative: Mapping[str, tuple[str, ...]]
    serve: ServeSpec
    certificates: bool = False


def load_views(path: str) -> Views:
    """Return these tables of the config in a file and the conf.d beside it; of the others, only their names are.

    Raises `ConfigError` where a file cannot be read or parsed, one of the tables has a fault, or a section has a name
    that the config does not know: it may be one of these, misspelt.
    """
    report = Report()
    found: dict[str, Table] = {}
    certificates = False
    for each in _paths(report, path):
        top = Table(report, Spot(each, ""), _contents(report, each))
        for section in WHOLE:
            table = top.table(section, f"[{section}]")
            if table is not None and section in found:
                top.problem(section, f"a table that {found[section].spot.file} has too", "one file for each table")
            elif table is not None:
                found[section] = table
        for key in (*NAMED, *TOP_KEYS):
            value = top.raw(key)  # known, and nothing to these views
            certificates = certificates or (key == "certificate" and bool(value))
        top.finish()
    folder = os.path.dirname(os.path.abspath(path))  # noqa: PTH100, PTH120 - as `danelaw.config.load` has it
    views = Views(
        read_resolver(found["resolver"], folder) if "resolver" in found else ResolverSpec(),
        read_connect(found["connect"]) if "connect" in found else {},
        read_authoritative(found["authoritative"]) if "authoritative" in found else {},
        read_serve(found["serve"]) if "serve" in found else ServeSpec(),
        certificates,
    )
    if report.problems:
        raise ConfigError(report.problems)
    return views


def _paths(report: Report, path: str) -> tuple[str, ...]:
    try:
        return files.paths(path)
    except (OSError, ValueError) as error:
        report.problem(Spot(path, ""), f"conf.d beside it: {error}", "a folder that can be listed")
        return ()


def _contents(report: Report, path: str) -> dict[str, object]:
    try:
        return tomllib.loads(files.read(path).decode())
    except OSError as error:
        report.problem(Spot(path, ""), error.strerror or str(error), "a config file, or another one with --config")
    except (ValueError, RecursionError) as error:
        report.problem(Spot(path, ""), str(error)[:200], "TOML (https://toml.io)")
    return {}
