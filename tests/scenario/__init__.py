"""The administrator's site of the scenario: a danelaw config over the test world, and somebody who watches it."""

from scenario.site import Site
from scenario.watcher import Watcher

__all__ = ["Site", "Watcher"]
