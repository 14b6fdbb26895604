"""Threads that signals are not delivered to.

A signal may go to any thread of a process. Where another thread gets it, the main one, which is to be told to stop,
may go on waiting for a CA that says nothing, as long as that lasts.
"""

import signal
import threading


def start_deaf(thread: threading.Thread) -> None:
    """Start a thread that gets no signals. One that comes meanwhile is raised when the thread runs."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        thread.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
