"""danelaw: keys, certificates, TLSA records and live services that never disagree."""

__version__ = "0.1.0"
