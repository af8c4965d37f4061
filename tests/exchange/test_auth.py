"""Signatures over the exact bytes, and the time test."""

from __future__ import annotations

import base64
import hashlib
import hmac
from urllib.parse import quote

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from aegis.errors import VenueError
from aegis.exchange.auth import Gate, make_key

SECRET = "a secret of this test"
PRIVATE = Ed25519PrivateKey.generate()
GATE = Gate({"k": make_key("k", SECRET, PRIVATE)})
NOW = 1591702613943
ORDER = (
    "symbol=BTCUSDT&side=BUY&type=LIMIT&quantity=1&price=9000&timeInForce=GTC&recvWindow=5000&timestamp=1591702613943"
)


def mac(text: str) -> str:
    """HMAC-SHA256 hex, by the standard library."""
    return hmac.new(SECRET.encode(), text.encode(), hashlib.sha256).hexdigest()


def code(*args: object) -> int:
    """The refusal's code of a REST request."""
    with pytest.raises(VenueError) as caught:
        GATE.rest(*args)  # type: ignore[arg-type]
    return caught.value.code


def test_query_body_and_mixed_payloads() -> None:
    """The payload is query then body without a separator; the digest's case does not matter; the query wins."""
    head, tail = ORDER.split("&quantity", 1)
    tail = "quantity" + tail
    assert GATE.rest("k", f"{ORDER}&signature={mac(ORDER)}", "", NOW)["price"] == "9000"
    assert GATE.rest("k", "", f"{ORDER}&signature={mac(ORDER).upper()}", NOW)["side"] == "BUY"
    assert GATE.rest("k", head, f"{tail}&signature={mac(head + tail)}", NOW)["symbol"] == "BTCUSDT"
    both = f"price=1&{ORDER}"
    assert GATE.rest("k", "price=2", f"{both}&signature={mac('price=2' + both)}", NOW)["price"] == "2"
    assert code("k", head, f"{tail}&signature={mac(head + '&' + tail)}", NOW) == -1022


def test_ed25519_and_unicode() -> None:
    """Ed25519 is base64 and percent-encoded; Chinese symbols are signed encoded, raw ones are refused."""
    text = f"symbol={quote('币安人生USDT')}&timestamp={NOW}"
    signature = quote(base64.b64encode(PRIVATE.sign(text.encode())).decode(), safe="")
    assert GATE.rest("k", f"{text}&signature={signature}", "", NOW)["symbol"] == "币安人生USDT"
    raw = f"symbol=币安人生USDT&timestamp={NOW}"
    assert code("k", f"{raw}&signature={mac(raw)}", "", NOW) == -1022


def test_websocket_payload_is_sorted_raw_text() -> None:
    """All but the signature, sorted by key, not percent-encoded."""
    params = {"timestamp": str(NOW), "symbol": "币安人生USDT", "apiKey": "k"}
    signature = mac(f"apiKey=k&symbol=币安人生USDT&timestamp={NOW}")
    assert GATE.message(params | {"signature": signature}, NOW) == params


@pytest.mark.parametrize(
    ("key", "text", "now", "want"),
    [
        (None, ORDER, NOW, -2014),
        ("other", ORDER, NOW, -2015),
        ("k", ORDER, NOW + 5001, -1021),
        ("k", ORDER, NOW - 1000, -1021),
        ("k", "symbol=X", NOW, -1102),
        ("k", f"timestamp={NOW}&recvWindow=60001", NOW, -1131),
        ("k", "timestamp=abc", NOW, -1100),
    ],
)
def test_refusals(key: str | None, text: str, now: int, want: int) -> None:
    """Each fault has its own code; the window's edges are exact."""
    assert code(key, f"{text}&signature={mac(text)}", "", now) == want
    GATE.rest("k", f"{ORDER}&signature={mac(ORDER)}", "", NOW + 5000)
    GATE.rest("k", f"{ORDER}&signature={mac(ORDER)}", "", NOW - 999)


def test_missing_and_wrong_signatures() -> None:
    """No signature and a wrong one are different faults."""
    assert code("k", ORDER, "", NOW) == -1102
    assert code("k", f"{ORDER}&signature={'0' * 64}", "", NOW) == -1022
