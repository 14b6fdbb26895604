"""Presets: what the services of this host say of themselves, read through their own programs.

What it prevents: a certificate written to a path that no service reads, over a file that another tool or a package
owns, or in a form that the service cannot load. Nothing here changes anything.
"""

from danelaw.deploy.services.remembered import RememberedSurvey
from danelaw.deploy.services.survey import HostSurvey

__all__ = ["HostSurvey", "RememberedSurvey"]
