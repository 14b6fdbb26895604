"""This machine: its private keys, the files that services read, and the commands that reload them.

What it prevents: a half-written file under a running service, a key that the world can read, a key that is lost or
written over, and a reload that hangs the whole run.
"""

from danelaw.deploy.host import LocalHost

__all__ = ["LocalHost"]
