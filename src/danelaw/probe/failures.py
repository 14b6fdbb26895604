"""The one error of the probe ring: why a handshake brought no chain."""

from danelaw.model import FailureKind


class Failed(Exception):
    """A handshake brought no chain; the text goes on from "192.0.2.1:25 " and says what was found."""

    def __init__(self, kind: FailureKind, message: str) -> None:
        self.kind = kind
        super().__init__(message)
