"""Files that a person names on the command line: read whole, bounded, with one clear error."""

import os
import sys
from pathlib import Path

from danelaw.config.files import DEFAULT_PATH
from danelaw.errors import InputError

LARGEST = 1 << 20
"""Bytes of a file that a person points at; chains and keys are far smaller."""

STANDARD_INPUT = "-"


def read_file(name: str, expected: str = "give a PEM or DER file") -> bytes:
    """Return a file's contents, for ``-`` standard input's. Raises `InputError` that ends with ``expected``."""
    try:
        if name == STANDARD_INPUT:
            data = sys.stdin.buffer.read(LARGEST + 1)
        else:
            with Path(name).open("rb") as file:
                data = file.read(LARGEST + 1)
    except OSError as error:
        raise InputError(f"{name}: {error.strerror}; {expected}") from error
    except ValueError:  # a NUL in the name
        raise InputError(f"{name!r}: no name of a file; {expected}") from None
    if len(data) > LARGEST:
        raise InputError(f"{name}: larger than {LARGEST} bytes; {expected}")
    return data


def config_if_any(path: str) -> tuple[str | None, str]:
    """Return the config for a command that needs none: None where the default one is not there or not to be read.

    The second value is a note for the user where it is there, and cannot be read.
    """
    if path != DEFAULT_PATH or os.access(path, os.R_OK):
        return path, ""
    return None, f"{path} cannot be read, so nothing of it counts" if os.path.lexists(path) else ""
