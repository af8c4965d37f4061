"""Frames of orders: what C writes and signs is what the Python stations would, byte for byte."""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from typing import Any

import msgspec
import pytest
from aegis.native._aegis import ffi, lib
from hypothesis import given, settings
from hypothesis import strategies as st

from aegis.errors import ConfigError
from aegis.messages import OrderType, Place, Side, Tif
from aegis.native.encoder import Encoder
from aegis.orders.ids import base36
from aegis.units import Num
from aegis.venue import request
from aegis.venue.sign import hmac_signer

KEY, SECRET = secrets.token_urlsafe(48), secrets.token_bytes(40)
HEAD = 8
NOW_MS = 1_795_000_000_123


def unmasked(frame: bytes) -> str:
    """Payload of a masked text frame of the long form, after its head was checked."""
    assert frame[0] == 0x81 and frame[1] == 0xFE
    assert int.from_bytes(frame[2:4], "big") == len(frame) - HEAD
    mask = frame[4:HEAD]
    return bytes(b ^ mask[i % 4] for i, b in enumerate(frame[HEAD:])).decode()


def intent_of(place: Place, slot: int, px_exp: int, qty_exp: int) -> Any:
    """The intent C is given for it."""
    px = 0 if place.price is None else place.price.at(px_exp)
    fields = {"symbol": slot, "side": place.side, "type": place.type, "tif": place.tif, "bits": place.reduce_only}
    return ffi.new("ae_intent_t *", fields | {"px": px, "qty": place.qty.at(qty_exp)})


def wanted(place: Place, client_id: str, now_ms: int, window: int, api_key: str, secret: bytes | None) -> str:
    """The same message by the Python stations; without a secret, of a connection that is logged on."""
    fields = request.ws_params(request.order_params(place, client_id), now_ms, window)
    if secret is not None:
        fields = request.ws_signed(fields, api_key, hmac_signer(secret))
    return msgspec.json.encode({"id": client_id, "method": "order.place", "params": fields}).decode()


@st.composite
def places(draw: st.DrawFn) -> tuple[Place, int, int]:
    """(order, exponent of price, exponent of quantity), from one tick to 63 bits."""
    px_exp, qty_exp = draw(st.integers(0, 18)), draw(st.integers(0, 18))
    mantissa = st.one_of(
        st.integers(1, 2**63 - 1), st.builds(lambda a, b: a * 10**b, st.integers(1, 999), st.integers(0, 15))
    )
    limit = draw(st.booleans())
    place = Place(
        symbol=draw(st.sampled_from(["BTCUSDT", "A", "1000PEPEUSDT_260327", "币安人生USDT", "X" * 47])),
        side=draw(st.sampled_from([Side.BUY, Side.SELL])), qty=Num(draw(mantissa), qty_exp),
        price=Num(draw(mantissa), px_exp) if limit else None, type=OrderType.LIMIT if limit else OrderType.MARKET,
        tif=draw(st.sampled_from([Tif.GTC, Tif.IOC, Tif.FOK, Tif.GTX, Tif.GTD])), reduce_only=draw(st.booleans()),
    )  # fmt: skip
    return place, px_exp, qty_exp


@settings(max_examples=600, deadline=None)
@given(
    what=places(), epoch=st.integers(0, 2**63), skip=st.integers(0, 80), now_ms=st.integers(1, 2**43),
    window=st.integers(1, 60000), key_chars=st.integers(1, 120), secret=st.binary(max_size=140),
    logged_on=st.booleans(), slot=st.integers(0, 1023),
)  # fmt: skip
def test_frame_equals_the_stations(
    what: tuple[Place, int, int], epoch: int, skip: int, now_ms: int, window: int, key_chars: int, secret: bytes,
    logged_on: bool, slot: int,
) -> None:  # fmt: skip
    """Any order, id, key and time: the frame's text is the stations' message."""
    place, px_exp, qty_exp = what
    key = (KEY * 2)[:key_chars]
    with Encoder(key, secret, window, epoch) as encoder:
        assert encoder.slot(slot, place.symbol, px_exp, qty_exp)
        encoder.logon(logged_on)
        for _ in range(skip):
            encoder.next()
        client_id = f"ae-{base36(epoch)}-{base36(skip)}"
        assert encoder.client_id == client_id and encoder.seq == skip
        frame = encoder.frame(intent_of(place, slot, px_exp, qty_exp), now_ms)
        assert frame is not None
        assert unmasked(frame) == wanted(place, client_id, now_ms, window, key, None if logged_on else secret)


def test_ids_go_on_for_ever() -> None:
    """Each id is that of aegis.orders.ids, through three carries; warm walks change none."""
    with Encoder(KEY, SECRET, 5000, 7) as encoder:
        encoder.slot(0, "BTCUSDT", 1, 3)
        room = ffi.new("uint8_t[]", lib.AE_ORDER_FRAME_BYTES)
        for seq in range(36**3 + 40):
            if seq % 1000 == 0 or seq in (35, 36, 37, 1295, 1296, 46655, 46656):
                lib.ae_encoder_warm(encoder.c, 0, NOW_MS, room)
                place = Place(symbol="BTCUSDT", side=Side.BUY, qty=Num(5, 3), price=Num(670001, 1))
                frame = encoder.frame(intent_of(place, 0, 1, 3), NOW_MS)
                assert frame is not None
                assert unmasked(frame) == wanted(place, f"ae-7-{base36(seq)}", NOW_MS, 5000, KEY, SECRET)
            encoder.next()


def test_masks_differ() -> None:
    """Every frame has a mask of its own, and it is not that of the next encoder."""
    seen = set()
    for _ in range(2):
        with Encoder(KEY, SECRET, 5000, 7) as encoder:
            encoder.slot(0, "BTCUSDT", 1, 3)
            intent = intent_of(Place(symbol="BTCUSDT", side=Side.BUY, qty=Num(5, 3), price=Num(6, 1)), 0, 1, 3)
            seen |= {encoder.frame(intent, NOW_MS)[4:HEAD] for _ in range(200)}  # type: ignore[index]
    assert len(seen) > 390


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("symbol", 1), ("symbol", 1024), ("qty", 0), ("qty", -1), ("px", 0), ("px", -1), ("side", 0), ("side", 2),
        ("type", 0), ("type", 3), ("tif", 0), ("tif", 6),
    ],
)  # fmt: skip
def test_what_is_no_order(field: str, value: int) -> None:
    """Refused before a byte is written."""
    with Encoder(KEY, SECRET, 5000, 7) as encoder:
        encoder.slot(0, "BTCUSDT", 1, 3)
        intent = intent_of(Place(symbol="BTCUSDT", side=Side.BUY, qty=Num(5, 3), price=Num(6, 1)), 0, 1, 3)
        assert encoder.frame(intent, NOW_MS) is not None
        setattr(intent, field, value)
        assert encoder.frame(intent, NOW_MS) is None


@pytest.mark.parametrize("name", ["", 'A"', "A\\", "A&B", "A=B", "A B", "A\n", "X" * 48])
def test_symbols_that_would_change_the_message(name: str) -> None:
    """Quotes, separators and names too long are no symbols."""
    with Encoder(KEY, SECRET, 5000, 7) as encoder:
        assert not encoder.slot(0, name, 1, 3)
        assert encoder.slot(0, "A", 18, 18) and not encoder.slot(0, "A", 19, 0) and not encoder.slot(1024, "A", 0, 0)


@pytest.mark.parametrize(("key", "window"), [("", 1), ("a" * 121, 1), ('a"b', 1), ("a&b", 1), ("a", 0), ("a", 60001)])
def test_settings_that_cannot_be_signed_for(key: str, window: int) -> None:
    """Refused at the start, without showing the key."""
    with pytest.raises(ConfigError) as refused:
        Encoder(key, SECRET, window, 7)
    assert "b" * 3 not in str(refused.value) and 'a"b' not in str(refused.value)


def test_the_secret_is_not_kept() -> None:
    """Neither repr nor the memory itself holds the secret, and closing wipes what signs."""
    encoder = Encoder(KEY, SECRET, 5000, 7)
    shown = repr(encoder) + repr(vars(encoder))
    assert repr(encoder) == "Encoder(...)" and KEY not in shown and repr(SECRET)[2:-1] not in shown
    held = bytes(encoder._map)
    assert SECRET not in held and KEY.encode() in held
    assert isinstance(encoder.locked, bool)
    encoder.close()
    encoder.close()


@settings(max_examples=300, deadline=None)
@given(key=st.binary(max_size=200), text=st.binary(max_size=400), simd=st.booleans())
def test_hmac_equals_the_library(key: bytes, text: bytes, simd: bool) -> None:
    """Both twins, every length."""
    simd = simd and bool(lib.ae_sha256_simd())
    inner, outer, mac = ffi.new("uint32_t[8]"), ffi.new("uint32_t[8]"), ffi.new("uint32_t[8]")
    digest = ffi.new("uint8_t[32]")
    lib.ae_hmac_start(key, len(key), inner, outer, simd)
    room = ffi.new("uint8_t[]", len(text) + 72)
    ffi.memmove(room, text, len(text))
    lib.ae_hmac_finish(inner, outer, room, len(text), 64 + len(text), mac, simd)
    lib.ae_sha256_digest(mac, digest)
    assert bytes(digest) == hmac.digest(key, text, hashlib.sha256)


def test_documented_example() -> None:
    """The message is JSON whose params are in the stations' order and end with the signature."""
    with Encoder(KEY, SECRET, 5000, 7) as encoder:
        encoder.slot(3, "BTCUSDT", 1, 3)
        place = Place(symbol="BTCUSDT", side=Side.SELL, qty=Num(10, 3), price=Num(670000, 1), reduce_only=True)
        frame = encoder.frame(intent_of(place, 3, 1, 3), NOW_MS)
        assert frame is not None
        params = json.loads(unmasked(frame))["params"]
        assert params["price"] == "67000" and params["quantity"] == "0.01" and params["reduceOnly"] == "true"
        assert list(params)[-1] == "signature"
