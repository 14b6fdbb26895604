"""The configuration: TOML in, a checked `Config` out, or one `ConfigError` that holds every problem at once.

`head` and `digest` are all that a run with nothing due needs, and import what is cheap. `load` and `Config` are
imported at their first use, so that importing this package stays as cheap.
"""

from danelaw.config.files import digest, head

TYPE_CHECKING = False  # as type checkers read it: typing would cost as much as all of a run with nothing due
if TYPE_CHECKING:
    from typing import Any

    from danelaw.config.loading import Config, load

__all__ = ["Config", "digest", "head", "load"]


def __getattr__(name: str) -> "Any":
    if name in {"Config", "load"}:
        from danelaw.config import loading  # noqa: PLC0415 - keeps the nothing-due path free of dataclasses and model

        return getattr(loading, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
