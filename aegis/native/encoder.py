"""The order encoder (csrc/order.c): intents as signed `order.place` frames.

Problem: a signature needs a secret, and Python objects are copied, printed and swapped. So the encoder takes the secret
once and keeps in its own locked memory only what signs, not what was given.
What must stay true: no repr, error or attribute shows key material; one thread encodes.
"""

from __future__ import annotations

import mmap
from types import TracebackType
from typing import Any

from aegis.errors import ConfigError
from aegis.native._aegis import ffi, lib

FRAME_BYTES: int = lib.AE_ORDER_FRAME_BYTES


class Encoder:
    """
    Frames of orders for one account.

    Args:
        api_key: key name; secret: HMAC secret (empty when every connection logs on); epoch: of the client ids.

    Raises:
        ConfigError: the key name or the window has a form that cannot be signed for.
    """

    def __init__(self, api_key: str, secret: bytes, recv_window_ms: int, epoch: int) -> None:
        self._map = mmap.mmap(-1, lib.ae_encoder_bytes())
        self._memory = ffi.from_buffer(self._map, require_writable=True)
        self.c = ffi.cast("ae_encoder_t *", self._memory)
        self._frame = ffi.new("uint8_t[]", FRAME_BYTES)
        key = api_key.encode()
        if lib.ae_encoder_init(self.c, key, len(key), secret, len(secret), recv_window_ms, epoch):
            raise ConfigError("credentials: API key not fit for an order, or recv_window_ms not 1 to 60000")

    def __repr__(self) -> str:
        return "Encoder(...)"

    def __enter__(self) -> Encoder:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    @property
    def locked(self) -> bool:
        """Whether the memory is kept out of swap; False where this process may not lock as much."""
        return bool(lib.ae_encoder_locked(self.c))

    @property
    def client_id(self) -> str:
        """The next order's id."""
        room = ffi.new("char[]", 64)
        return bytes(ffi.buffer(room, lib.ae_encoder_id(self.c, room))).decode()

    @property
    def seq(self) -> int:
        """The number in the next order's id."""
        return int(lib.ae_encoder_seq(self.c))

    def slot(self, slot: int, name: str, px_exp: int, qty_exp: int) -> bool:
        """Prepare a symbol; False when it cannot be written into an order."""
        word = name.encode()
        return bool(lib.ae_encoder_slot(self.c, slot, word, len(word), px_exp, qty_exp) == 0)

    def logon(self, on: bool) -> None:
        """Whether the connection is logged on (no key, no signature in the frames)."""
        lib.ae_encoder_logon(self.c, on)

    def frame(self, intent: Any, now_ms: int) -> bytes | None:
        """The frame under the next id, without going on to the one after; None when it is no order."""
        if now_ms <= 0 or lib.ae_encoder_check(self.c, intent):
            return None
        return bytes(ffi.buffer(self._frame, lib.ae_encoder_place(self.c, intent, now_ms, self._frame)))

    def next(self) -> None:
        """Go on to the next id."""
        lib.ae_encoder_next(self.c)

    def close(self) -> None:
        """Forget the key and all symbols: nothing is an order any more."""
        lib.ae_encoder_wipe(self.c)
