"""Signatures and payloads against the standard library's own HMAC, with keys made here."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from urllib.parse import parse_qsl, quote

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from aegis.errors import ConfigError
from aegis.messages import OrderType, Place, Side, Tif
from aegis.units import Num
from aegis.venue.request import order_params, query, signed_query, ws_params, ws_payload, ws_signed
from aegis.venue.sign import ed25519_signer, hmac_signer

SECRET = secrets.token_bytes(32)


@pytest.mark.parametrize("symbol", ["BTCUSDT", "币安人生USDT", "a b&c=d/e+f"])
def test_rest_signs_the_encoded_text_and_puts_the_signature_last(symbol: str) -> None:
    """Law: the payload is the query as sent, without its signature; decoding gives the parameters back."""
    text = signed_query({"symbol": symbol, "limit": 5, "none": None}, hmac_signer(SECRET), 1_700_000_000_000, 5000)
    payload, _, signature = text.rpartition("&signature=")
    assert signature == hmac.new(SECRET, payload.encode(), hashlib.sha256).hexdigest()
    assert payload.isascii() and parse_qsl(payload) == [
        ("symbol", symbol), ("limit", "5"), ("recvWindow", "5000"), ("timestamp", "1700000000000"),
    ]  # fmt: skip


def test_ed25519_is_base64_and_encoded_in_a_query() -> None:
    """Law: the raw signature verifies over the payload; `+`, `/` and `=` never stand bare in a query."""
    key = Ed25519PrivateKey.generate()
    sign = ed25519_signer(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    key.public_key().verify(base64.b64decode(sign("timestamp=1")), b"timestamp=1")
    payload, _, signature = signed_query({}, sign, 1, 2).rpartition("&signature=")
    assert signature == quote(sign(payload), safe="") and not set("+/=") & set(signature)


def test_keys_of_another_kind_are_refused_without_being_shown() -> None:
    """Law: a wrong PEM is one line of configuration error."""
    rsa = generate_private_key(65537, 2048).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    for pem in (rsa, b"no key", b""):
        with pytest.raises(ConfigError, match="ed25519_pem"):
            ed25519_signer(pem)


def test_ws_payload_is_sorted_raw_and_typed() -> None:
    """Law: keys sorted, text raw, integers as JSON numbers, decimals as text; the signature is not in its payload."""
    params = ws_params({"symbol": "牛来USDT", "quantity": Num.parse("0.10"), "orderId": 2**60, "x": None}, 7, 500)
    assert params == {"symbol": "牛来USDT", "quantity": "0.10", "orderId": 2**60, "recvWindow": 500, "timestamp": 7}
    signed = ws_signed(params, "key", hmac_signer(SECRET))
    text = f"apiKey=key&orderId={2**60}&quantity=0.10&recvWindow=500&symbol=牛来USDT&timestamp=7"
    assert ws_payload(signed) == text
    assert signed["signature"] == hmac.new(SECRET, text.encode(), hashlib.sha256).hexdigest()


def test_order_params() -> None:
    """Law: STP and answer type always; TIF and price only where they belong; reduceOnly only when set."""
    always = {"newClientOrderId": "id", "newOrderRespType": "ACK", "selfTradePreventionMode": "EXPIRE_MAKER"}
    place = Place(symbol="A", side=Side.SELL, qty=Num(1, 3), price=Num(10, 0), tif=Tif.GTX, reduce_only=True)
    assert order_params(place, "id") == always | {
        "symbol": "A", "side": "SELL", "type": "LIMIT", "timeInForce": "GTX", "quantity": "0.001", "price": "10",
        "reduceOnly": "true",
    }  # fmt: skip
    market = Place(symbol="A", side=Side.BUY, qty=Num(2, 0), type=OrderType.MARKET)
    assert order_params(market, "id") == always | {"symbol": "A", "side": "BUY", "type": "MARKET", "quantity": "2"}
    assert query({"ids": ["a", "b"], "on": True}) == "ids=%5B%22a%22%2C%22b%22%5D&on=true"
