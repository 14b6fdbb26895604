"""The check: it puts `dane.sender`'s questions to DNS, to the services and to the web, and returns its verdict.

What is decided is decided in `dane`; here is what needs an event loop: who is asked, how many at once, and for how
long. The same report comes from the blocking twin, and from answers that were recorded earlier.
"""
