"""Every bound of the product in one place, each with its reason."""

from __future__ import annotations

SYMBOLS_MAX = 1024  # exchangeInfo of 2026 lists about 900; the symbol field is 16 bits
SYMBOL_BYTES = 48  # UTF-8; the longest listed in 2026 is 22 bytes
CLIENT_ID_CHARS = 36  # PROTOCOL 5.1
MARKET_SLOTS = 65536  # 100 ms and more at full rate; a virtual machine stalls up to 18 ms
ACCOUNT_SLOTS = 8192  # loss here is a fault; minutes of a very busy account
ORDERS_SLOTS = 8192
FRAME_BYTES_MAX = 4 * 1024 * 1024  # largest seen 70 KiB; a bound against a broken peer
STREAMS_PER_SOCKET = 1024  # PROTOCOL 2.1
CLIENT_MESSAGES_PER_S = 5  # the venue disconnects at 10 (PROTOCOL 2.1)
WEIGHT_PER_MINUTE = 2400  # PROTOCOL 7
WEIGHT_RESERVE = 480  # the last 20 % belong to cancels and exits
RISK_MONEY_MAX = 90_000_000_000  # quote money of a cap: 64 bits at 8 decimals hold 92 thousand million
BOOK_TOP_LEVELS = 20  # what readers of the books page see per side
TURN_BATCH_MAX = 4096  # records one brain turn takes at most
STOP_SECONDS = 5  # Ctrl-C to nothing left
