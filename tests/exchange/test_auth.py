"""Signatures over the exact bytes, and the time test. The signer here is written anew, from the standard library and
`cryptography` alone."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from aegis.errors import VenueError
from aegis.exchange.auth import Gate, Key, load_keys

SECRET = "a secret of this test"
PRIVATE = Ed25519PrivateKey.generate()
RSA = generate_private_key(65537, 2048)
KEYS = {
    "h": Key("h", SECRET.encode()),
    "e": Key("e", public=PRIVATE.public_key()),
    "r": Key("r", public=RSA.public_key()),
}
GATE = Gate(dict(KEYS))
NOW = 1591702613943
ORDER = (
    "symbol=BTCUSDT&side=BUY&type=LIMIT&quantity=1&price=9000&timeInForce=GTC&recvWindow=5000&timestamp=1591702613943"
)
CHINESE = f"symbol={quote('币安人生USDT')}&newClientOrderId=a%3Ab%2Fc&timestamp={NOW}"
BATCH = f'batchOrders=[{{"symbol":"BTCUSDT","side":"BUY"}}]&timestamp={NOW}'


def signed(api_key: str, text: str) -> str:
    """The signature text of `text`, before percent-encoding."""
    if api_key == "h":
        return hmac.new(SECRET.encode(), text.encode(), hashlib.sha256).hexdigest()
    raw = PRIVATE.sign(text.encode()) if api_key == "e" else RSA.sign(text.encode(), PKCS1v15(), hashes.SHA256())
    return base64.b64encode(raw).decode()


def rest(api_key: str, query: str, body: str = "", now: int = NOW) -> dict[str, str]:
    """A request by its texts."""
    return GATE.rest(KEYS[api_key], query.encode(), body.encode(), now)


def code(api_key: str, query: str, body: str = "", now: int = NOW) -> int:
    """The refusal's code of a REST request."""
    with pytest.raises(VenueError) as caught:
        rest(api_key, query, body, now)
    return caught.value.code


def test_query_body_and_mixed_payloads() -> None:
    """The payload is query then body without a separator; the digest's case does not matter; the query wins."""
    head, tail = ORDER.split("&quantity", 1)
    tail = "quantity" + tail
    assert rest("h", f"{ORDER}&signature={signed('h', ORDER)}")["price"] == "9000"
    assert rest("h", "", f"{ORDER}&signature={signed('h', ORDER).upper()}")["side"] == "BUY"
    assert rest("h", head, f"{tail}&signature={signed('h', head + tail)}")["symbol"] == "BTCUSDT"
    both = f"price=1&{ORDER}"
    assert rest("h", "price=2", f"{both}&signature={signed('h', 'price=2' + both)}")["price"] == "2"
    assert code("h", head, f"{tail}&signature={signed('h', head + '&' + tail)}") == -1022


def test_the_signature_is_taken_out_wherever_it_stands() -> None:
    """First, in the middle or last: the payload is what is left, in its order."""
    head, tail = ORDER.split("&price", 1)
    signature = signed("h", ORDER)
    assert rest("h", f"signature={signature}&{ORDER}") == rest("h", f"{head}&signature={signature}&price{tail}")


@pytest.mark.parametrize("api_key", ["h", "e", "r"])
@pytest.mark.parametrize("text", [ORDER, CHINESE, BATCH])
def test_every_kind_of_key_and_every_bit_of_the_payload(api_key: str, text: str) -> None:
    """What was signed is taken; with any one bit of it flipped, in names, values or marks, it is -1022."""
    signature = signed(api_key, text)
    rest(api_key, f"{text}&signature={quote(signature, safe='')}")
    tail = f"&signature={quote(signature, safe='')}".encode()
    for at in range(len(text)):
        for bit in range(0, 8, 1 if api_key == "h" else 4):
            bad = bytearray(text.encode())
            bad[at] ^= 1 << bit
            with pytest.raises(VenueError) as caught:
                GATE.rest(KEYS[api_key], bytes(bad) + tail, b"", NOW)
            assert caught.value.code == -1022, bytes(bad)


@pytest.mark.parametrize("api_key", ["h", "e", "r"])
def test_every_bit_of_the_signature(api_key: str) -> None:
    """A flipped bit of the signature's text is -1022, in base64's idle bits too; only a hex digit's case is free."""
    signature = signed(api_key, ORDER)
    for at in range(len(signature)):
        for bit in range(7):
            bad = bytearray(signature.encode())
            bad[at] ^= 1 << bit
            if api_key == "h" and bad.lower() == signature.encode():
                continue
            with pytest.raises(VenueError) as caught:
                GATE.rest(KEYS[api_key], f"{ORDER}&signature=".encode() + quote(bytes(bad), safe="").encode(), b"", NOW)
            assert caught.value.code in (-1022, -1102), bytes(bad)


def test_text_must_be_percent_encoded_before_it_is_signed() -> None:
    """A correctly signed text with a raw Chinese symbol is -1022, in the query and in the body."""
    raw = f"symbol=币安人生USDT&timestamp={NOW}"
    assert code("h", f"{raw}&signature={signed('h', raw)}") == -1022
    assert code("h", "", f"{raw}&signature={signed('h', raw)}") == -1022
    good = f"{CHINESE}&signature={signed('h', CHINESE)}"
    assert rest("h", good)["symbol"] == "币安人生USDT"
    assert rest("h", good)["newClientOrderId"] == "a:b/c"


def test_websocket_payload_is_sorted_and_its_encoding_a_switch() -> None:
    """All but the signature, sorted by key; raw or percent-encoded as the gate is set; both when it is `either`."""
    params = {"timestamp": str(NOW), "symbol": "币安人生USDT", "apiKey": "h", "newClientOrderId": "a:b/c d"}
    names = sorted(params)
    texts = {
        "raw": "&".join(f"{k}={params[k]}" for k in names),
        "encoded": "&".join(f"{k}={quote_plus(params[k])}" for k in names),
    }
    for kind, text in texts.items():
        message = params | {"signature": signed("h", text)}
        for setting in ("raw", "encoded", "either"):
            gate = Gate(dict(KEYS), setting)
            if setting in (kind, "either"):
                assert gate.message(KEYS["h"], message, NOW) == params
            else:
                with pytest.raises(VenueError, match="-1022"):
                    gate.message(KEYS["h"], message, NOW)
    with pytest.raises(ValueError, match="ws_encoding"):
        Gate({}, "latin")


@pytest.mark.parametrize(
    ("text", "now", "want", "msg"),
    [
        (ORDER, NOW + 5001, -1021, "Timestamp for this request is outside of the recvWindow."),
        (ORDER, NOW - 1000, -1021, "Timestamp for this request was 1000ms ahead of the server's time."),
        ("symbol=X", NOW, -1102, "Mandatory parameter 'timestamp' was not sent, was empty/null, or malformed."),
        (f"timestamp={NOW}&recvWindow=60001", NOW, -1131, "recvWindow must be less than 60000"),
        ("timestamp=abc", NOW, -1100, "Illegal characters found in parameter 'timestamp'"),
        (f"timestamp={NOW}&recvWindow=-1", NOW, -1100, "Illegal characters found in parameter 'recvWindow'"),
        (f"timestamp={NOW}000", NOW, -1021, "ahead of the server's time"),
    ],
)
def test_times(text: str, now: int, want: int, msg: str) -> None:
    """Each fault of time has its own code and text."""
    with pytest.raises(VenueError) as caught:
        rest("h", f"{text}&signature={signed('h', text)}", "", now)
    assert (caught.value.code, caught.value.status) == (want, 400)
    assert msg in caught.value.msg


def test_edges_of_the_window() -> None:
    """A millisecond inside each edge is taken; 60000 is the widest window; a fraction does not matter."""
    whole = f"{ORDER}&signature={signed('h', ORDER)}"
    rest("h", whole, "", NOW + 5000)
    rest("h", whole, "", NOW - 999)
    for window in ("60000", "60000.0"):
        wide = f"timestamp={NOW}&recvWindow={window}"
        rest("h", f"{wide}&signature={signed('h', wide)}", "", NOW + 60000)


def test_missing_and_wrong_signatures() -> None:
    """No signature and a wrong one are different faults; the signature is judged before any parameter."""
    assert code("h", ORDER) == -1102
    assert code("h", f"{ORDER}&signature=") == -1102
    assert code("h", f"{ORDER}&signature={'0' * 64}") == -1022
    assert code("h", f"symbol=X&signature={'0' * 64}") == -1022
    assert code("e", f"{ORDER}&signature={signed('h', ORDER)}") == -1022


def test_keys_have_a_shape_an_owner_permissions_and_addresses() -> None:
    """-2014 for what cannot be a key, -2015 for unknown, foreign, revoked or not permitted; both with HTTP 401."""
    gate = Gate({"k": Key("k", b"s", trading=False, ips=frozenset({"10.0.0.1"}))})
    for given, ip, want in (
        (None, "", -2014),
        ("a b", "", -2014),
        ("k" * 129, "", -2014),
        ("other", "", -2015),
        ("k", "10.0.0.2", -2015),
    ):
        with pytest.raises(VenueError) as caught:
            gate.key(given, ip)
        assert (caught.value.code, caught.value.status) == (want, 401)
    assert caught.value.msg == "Invalid API-key, IP, or permissions for action, request ip: 10.0.0.2"
    key = gate.key("k", "10.0.0.1")
    assert key.ips
    gate.permit(key, False)
    with pytest.raises(VenueError, match="-2015"):
        gate.permit(key, True)
    assert gate.revoke("k")
    assert not gate.revoke("k")
    with pytest.raises(VenueError, match="-2015"):
        gate.key("k")


def test_keys_come_from_a_file(tmp_path: Path) -> None:
    """Either half of a pair, Ed25519 or RSA; several keys of one account; another kind of file is refused."""
    private = PRIVATE.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    public = RSA.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    file = tmp_path / "keys.json"
    rows = [
        {"api_key": "a", "secret": "hush", "account": "one"},
        {"api_key": "b", "ed25519_pem": private, "account": "one", "trading": False},
        {"api_key": "c", "rsa_pem": public, "ips": ["127.0.0.1"]},
    ]
    file.write_text(json.dumps(rows))
    keys = load_keys(str(file))
    assert [keys[k].account for k in "abc"] == ["one", "one", "main"]
    assert [keys[k].trading for k in "abc"] == [True, False, True]
    assert [keys[k].may_log_on for k in "abc"] == [False, True, False]
    assert "hush" not in repr(keys["a"])
    file.write_text(json.dumps({"api_key": "a", "pem": "no key"}))
    with pytest.raises(ValueError, match="PEM"):
        load_keys(str(file))
