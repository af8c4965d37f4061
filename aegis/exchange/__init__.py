"""The venue: a simulator of the exchange on loopback, written from the protocol notes alone.

It judges the rest of AEGIS, so it shares no code with what it judges: only the nouns (units, errors, limits) are
imported.
"""
