"""Laws of requests: signatures agree with tools that share no code with ours, numbers fit the filters.

Keys are generated here; the oracle is the openssl command (skipped where it is missing).
"""

from __future__ import annotations

import base64
import secrets
import shutil
import subprocess
from pathlib import Path
from urllib.parse import unquote

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from aegis.messages import OrderType, Place, Side
from aegis.units import Num
from aegis.venue.request import order_params, signed_query, ws_params, ws_payload, ws_signed
from aegis.venue.sign import ed25519_signer, hmac_signer

OPENSSL = shutil.which("openssl")
needs_openssl = pytest.mark.skipif(OPENSSL is None, reason="the openssl command is missing")


def openssl(*args: str, data: bytes) -> bytes:
    return subprocess.run([OPENSSL or "", *args], input=data, capture_output=True, check=True).stdout


@needs_openssl
@pytest.mark.parametrize("symbol", ["BTCUSDT", "币安人生USDT"])
def test_hmac_of_the_sent_query_agrees_with_openssl(symbol: str) -> None:
    secret = secrets.token_hex(32)
    params = {"symbol": symbol, "orderIdList": [1, 2], "price": Num.parse("9000.10"), "skip": None}
    payload, _, signature = signed_query(params, hmac_signer(secret.encode()), 1591702613943, 5000).rpartition(
        "&signature="
    )
    assert payload.isascii()
    assert unquote(payload) == (
        f"symbol={symbol}&orderIdList=[1,2]&price=9000.10&recvWindow=5000&timestamp=1591702613943"
    )
    theirs = openssl("dgst", "-sha256", "-hmac", secret, data=payload.encode()).decode().split()[-1]
    assert signature == theirs


@needs_openssl
def test_ed25519_of_the_raw_sorted_payload_is_verified_by_openssl(tmp_path: Path) -> None:
    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    signed = ws_signed(ws_params({"symbol": "牛来USDT", "a": 1}, 5, 5000), "key", ed25519_signer(pem))
    payload = "a=1&apiKey=key&recvWindow=5000&symbol=牛来USDT&timestamp=5"
    assert ws_payload(signed) == payload
    public, text, sig = (tmp_path / n for n in ("public", "text", "sig"))
    public.write_bytes(
        key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    text.write_text(payload)
    sig.write_bytes(base64.b64decode(signed["signature"]))
    verify = ["pkeyutl", "-verify", "-pubin", "-inkey", str(public), "-rawin", "-in", str(text), "-sigfile", str(sig)]
    assert b"Successfully" in openssl(*verify, data=b"")


def test_an_order_spells_out_its_defaults_and_no_superfluous_digit() -> None:
    place = Place(symbol="BTCUSDT", side=Side.BUY, qty=Num.parse("0.0100"), price=Num.parse("61800.2000"))
    params = order_params(place, "ae-1")
    assert (params["quantity"], params["price"]) == ("0.01", "61800.2")
    assert (params["selfTradePreventionMode"], params["newOrderRespType"]) == ("EXPIRE_MAKER", "ACK")
    assert "reduceOnly" not in params
    market = order_params(
        Place(symbol="B", side=Side.SELL, qty=Num(1), type=OrderType.MARKET, reduce_only=True), "ae-2"
    )
    assert market["reduceOnly"] == "true"
    assert not {"price", "timeInForce"} & set(market)


def test_a_float_never_enters_a_request() -> None:
    with pytest.raises(TypeError):
        signed_query({"price": 0.1}, hmac_signer(b"k"), 1, 5000)
