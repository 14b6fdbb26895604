"""The whole of danelaw but its rings, in virtual time, against models of everything that can go wrong.

The real `lifecycle.step`, runner and store run against a simulated clock, DNS, CA, host and services, with faults and
crashes. One question is asked of every history: could any sender have held an RRset that refused the chain which it was
shown? It is answered exhaustively, from what every server served and every service presented, and when.
"""
