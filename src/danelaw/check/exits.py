"""The exit status of several checks."""

from collections.abc import Iterable

WORST_FIRST = (1, 4, 3, 0)
"""Some sender would not deliver, cannot tell, not protected, good for every sender."""


def exit_status(statuses: Iterable[int]) -> int:
    """Return the first of 1, 4, 3, 0 that is among the statuses of reports; 0 where there is none."""
    return min(statuses, key=WORST_FIRST.index, default=0)
