"""Conversion of coins: a quote is taken once, in time, for its own amounts; the books of both coins hold."""

from __future__ import annotations

import pytest
from core import Venue

from aegis.errors import VenueError
from aegis.exchange.convert import Desk, pairs
from aegis.exchange.symbols import E8


def refused(code: int, call: object, *args: object) -> None:
    """The call ends with this code."""
    with pytest.raises(VenueError) as e:
        call(*args)  # type: ignore[operator]
    assert e.value.code == code


@pytest.fixture
def venue() -> Venue:
    """1000 USDT and a bitcoin at 50000."""
    it = Venue({"main": 1000, "other": 1000})
    it.mark("BTCUSDT", "50000")
    return it


def test_a_quote_moves_its_amounts_once(venue: Venue) -> None:
    """The methods of the official clients: quote, acceptance, status; each side told, listed and in the books."""
    ex, acc, desk = venue.ex, venue.acc(), Desk()
    quote = desk.quote(ex, acc, {"fromAsset": "USDT", "toAsset": "BTC", "fromAmount": "100"})
    assert (quote["ratio"], quote["inverseRatio"], quote["toAmount"]) == ("0.00002", "50000", "0.002")
    taken = desk.accept(ex, acc, {"quoteId": quote["quoteId"]})
    assert (acc.wallet["USDT"], acc.wallet["BTC"]) == (900 * 10**E8, 200_000)
    assert [(r.kind, r.asset) for r in acc.income] == [("COIN_SWAP_WITHDRAW", "USDT"), ("COIN_SWAP_DEPOSIT", "BTC")]
    assert [e["a"]["m"] for e in venue.events("ACCOUNT_UPDATE")] == ["COIN_SWAP_WITHDRAW", "COIN_SWAP_DEPOSIT"]
    for ask in ({"orderId": taken["orderId"]}, {"quoteId": quote["quoteId"]}):
        assert desk.status(ex, acc, ask)["toAmount"] == "0.002"
        refused(-2013, desk.status, ex, venue.acc("other"), ask)
    refused(-1130, desk.accept, ex, acc, {"quoteId": quote["quoteId"]})
    ex.verify()


def test_a_quote_by_what_is_wanted(venue: Venue) -> None:
    """`toAmount` is met to the last digit, and what is given is rounded up."""
    quote = Desk().quote(venue.ex, venue.acc(), {"fromAsset": "USDT", "toAsset": "BTC", "toAmount": "0.00200001"})
    assert (quote["toAmount"], quote["fromAmount"]) == ("0.00200001", "100.0005")


def test_a_quote_that_cannot_be_taken(venue: Venue) -> None:
    """Too old, another account's, unknown, or the money went elsewhere meanwhile: nothing moves."""
    ex, acc, desk = venue.ex, venue.acc(), Desk()
    ask = {"fromAsset": "USDT", "toAsset": "USDC", "fromAmount": "600"}
    first, second = desk.quote(ex, acc, ask), desk.quote(ex, acc, ask)
    refused(-1130, desk.accept, ex, venue.acc("other"), {"quoteId": first["quoteId"]})
    refused(-1130, desk.accept, ex, acc, {"quoteId": "nothing"})
    desk.accept(ex, acc, {"quoteId": first["quoteId"]})
    refused(-2019, desk.accept, ex, acc, {"quoteId": second["quoteId"]})
    late = desk.quote(ex, acc, ask | {"fromAmount": "10"})
    venue.now += 10_001
    refused(-1130, desk.accept, ex, acc, {"quoteId": late["quoteId"]})
    assert acc.wallet["USDT"] == 400 * 10**E8


@pytest.mark.parametrize(
    ("code", "ask"),
    [
        (-1128, {"toAsset": "USDC"}),
        (-1128, {"toAsset": "USDC", "fromAmount": "1", "toAmount": "1"}),
        (-1130, {"toAsset": "NOSUCH", "fromAmount": "1"}),
        (-1130, {"toAsset": "USDT", "fromAmount": "10"}),
        (-1130, {"toAsset": "USDC", "fromAmount": "0.5"}),
        (-1130, {"toAsset": "USDC", "fromAmount": "10", "validTime": "9s"}),
        (-2019, {"toAsset": "USDC", "fromAmount": "1001"}),
    ],
)
def test_what_is_not_quoted(venue: Venue, code: int, ask: dict[str, str]) -> None:
    """Amounts by none or both, unknown or equal coins, too little, an unknown validity, more than there is."""
    refused(code, Desk().quote, venue.ex, venue.acc(), {"fromAsset": "USDT"} | ask)


def test_pairs(venue: Venue) -> None:
    """Both ways, narrowed by the coins named; the limits are worth a dollar and a million."""
    every = pairs(venue.ex, {})
    assert {("USDT", "BTC"), ("BTC", "USDT")} <= {(r["fromAsset"], r["toAsset"]) for r in every}
    (row,) = pairs(venue.ex, {"fromAsset": "BTC", "toAsset": "USDT"})
    assert (row["fromAssetMinAmount"], row["toAssetMaxAmount"]) == ("0.00002", "1000000")
