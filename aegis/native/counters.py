"""Every counter of the control page: name and what it counts, in one table.

A name that is not here still counts (a process must not die of a missing row); a test compares this table with the
names used in the source.
"""

from __future__ import annotations

UNITS = {
    "frames": "market data frames taken by the pump",
    "records": "records published on the market ring",
    "texts": "text messages that are no market data",
    "duplicates": "frames seen before (overlapping sockets), not published",
    "dropped_na": "trades of no market kind (X other than MARKET, RPI), dropped",
    "book_breaks": "breaks of a book's pu chain",
    "book_joins": "books that joined a snapshot",
    "book_levels_dropped": "levels dropped beyond 4096 a side",
    "book_buffer_dropped": "buffered depth events dropped, buffer full",
    "book_inexact": "depth events a book could not hold at its exponents",
    "top_checked": "bookTickers compared with the book's top at equal update id",
    "top_mismatch": "of those, the ones that differ",
    "frames_bad": "WebSocket frames that break the protocol",
    "filled": "records published by gap filling",
    "pump_reads": "reads of a socket by the pump thread",
    "pump_taps_dropped": "raw reads a socket's judge did not see, for want of room",
    "pump_starved": "times a socket waited for room in the event queue",
    "reconnects": "connections replaced after a loss",
    "connect_failed": "connection attempts that failed",
    "rotations": "planned replacements of sockets",
    "rotations_failed": "planned replacements given up",
    "streams_dead": "streams without a first frame in time",
    "streams_stale": "streams gone silent",
    "sockets_stale": "sockets gone silent",
    "subscribe_refused": "subscriptions the venue refused",
    "text_bad": "text messages that could not be read",
    "user_events": "private events written to the account ring",
    "user_events_bad": "private events that could not be read",
    "gap_filled": "records published by gap filling",
    "book_snapshots": "book snapshots fetched",
    "book_snapshots_failed": "book snapshots that failed",
}
MARKET = (
    ("frames", 0),
    ("records", 1),
    ("texts", 2),
    ("duplicates", 3),
    ("dropped_na", 4),
    ("book_breaks", 5),
    ("book_joins", 6),
    ("book_levels_dropped", 7),
    ("book_buffer_dropped", 8),
    ("book_inexact", 9),
    ("top_checked", 10),
    ("top_mismatch", 11),
    ("frames_bad", 12),
    ("filled", 13),
)  # name -> index of enum ae_counter; refused_<reason> follow at AE_C_REFUSED + reason
LOOP = (
    ("pump_reads", 1),
    ("pump_taps_dropped", 2),
    ("pump_starved", 3),
)  # name -> index of enum ae_loop_counter
