"""Files that a person names on the command line: read whole, bounded, with one clear error."""

import sys
from pathlib import Path

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
