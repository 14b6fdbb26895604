"""The configuration: TOML in, a checked `Config` out, or one `ConfigError` that holds every problem at once.

`head` and `digest` import nothing but the standard library's tomllib and hashlib: they are all that a run with nothing
due needs. `load` and `Config` are imported at their first use, so that importing this package stays as cheap.
"""

from typing import TYPE_CHECKING, Any

from danelaw.config.files import digest, head

if TYPE_CHECKING:
    from danelaw.config.loading import Config, load

__all__ = ["Config", "digest", "head", "load"]


def __getattr__(name: str) -> Any:
    if name in {"Config", "load"}:
        from danelaw.config import loading  # noqa: PLC0415 - keeps the nothing-due path free of dataclasses and model

        return getattr(loading, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
