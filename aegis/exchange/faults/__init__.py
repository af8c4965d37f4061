"""Faults on command: a venue that breaks when it is told to, and never by itself.

Problem: what kills trading programs is rare at the real venue and impossible to wait for. A fake that breaks at random
proves nothing either, because the failing run cannot be had again. So every fault is one named function of `frames`,
`sockets`, `door`, `reads`, `private` or `market`, injected by name now or at a counted moment, with every choice drawn
from the venue's seed.
What must stay true: without an injection nothing here acts; the books behind a fault stay exact, only what a client is
told of them is wrong, late or missing; a fault's docstring is what an operator reads of it.
"""
