"""The documented answer of every endpoint, one line each, and a check of a value against such a line.

Source: the public USDⓈ-M documentation and the official SDK 18.1.0 of October 2026; the order of keys and the digits
from recorded answers where there are some, else from the documented examples. Objects that start with "~" have keys in
an order nobody knows.
Words: s text, i integer, n number, b boolean, l null, e "", o any object; decimal texts: d any, p with the price's
places, q the quantity's, v both together, m eight, z eight but "0" for nothing, t without trailing zeros.
{key:word} object, key? may be missing, * any key; [word] list that is not empty, [word]* may be; (word word) row.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from shapes import DECIMAL, Grid

PUBLIC = """
GET /fapi/v1/ping {}
GET /fapi/v1/time {serverTime:i}
GET /api/v3/ping {}
GET /api/v3/time {serverTime:i}
GET /sapi/v1/system/status {status:i msg:s}
GET /sapi/v1/capital/config/getall [s]*
GET /sapi/v1/margin/allPairs [s]*
GET /fapi/v1/tradingSchedule {updateTime:i marketSchedules:{*:{sessions:[{startTime:i endTime:i type:s}]}}}
GET /fapi/v1/exchangeInfo {timezone:s serverTime:i futuresType:s rateLimits:[$limit] exchangeFilters:[s]* \
assets:[{asset:s marginAvailable:b autoAssetExchange:d}] symbols:[$listing]}
GET /fapi/v1/depth $book
GET /fapi/v1/rpiDepth $book
GET /fapi/v1/trades [$trade]
GET /fapi/v1/historicalTrades [$trade]
GET /fapi/v1/aggTrades [{a:i p:p q:q nq:q f:i l:i T:i m:b}]
GET /fapi/v1/klines [$candle]
GET /fapi/v1/continuousKlines [$candle]
GET /fapi/v1/indexPriceKlines [$untraded]
GET /fapi/v1/markPriceKlines [$untraded]
GET /fapi/v1/premiumIndexKlines [$untraded]
GET /fapi/v1/premiumIndex $premiumIndex|[$premiumIndex]
GET /fapi/v1/fundingRate [{symbol:s fundingTime:i fundingRate:m markPrice:m rateType:s}]
GET /fapi/v1/fundingInfo [{symbol:s adjustedFundingRateCap:d adjustedFundingRateFloor:d fundingIntervalHours:i \
disclaimer:b updateTime?:i|l}]
GET /fapi/v1/ticker/24hr $day|[$day]
GET /fapi/v1/ticker/price $price|[$price]
GET /fapi/v2/ticker/price $price|[$price]
GET /fapi/v1/ticker/bookTicker $bookTicker|[$bookTicker]
GET /fapi/v1/openInterest ~{symbol:s openInterest:q time:i}
GET /fapi/v1/indexInfo [{symbol:s time:i component:s baseAssetList:[o]}]*
GET /fapi/v1/assetIndex $assetIndex|[$assetIndex]
GET /fapi/v1/constituents {symbol:s time:i constituents:[{exchange:s symbol:s price:d weight:m}]}
GET /fapi/v1/insuranceBalance $insuranceBalance|[$insuranceBalance]
GET /fapi/v1/symbolAdlRisk $symbolAdlRisk|[$symbolAdlRisk]
GET /fapi/v1/apiTradingStatus {indicators:{*:[o]} updateTime:i}
GET /futures/data/openInterestHist [{symbol:s sumOpenInterest:d sumOpenInterestValue:d CMCCirculatingSupply:d \
timestamp:i}]
GET /futures/data/topLongShortPositionRatio [$ratio]
GET /futures/data/topLongShortAccountRatio [$ratio]
GET /futures/data/globalLongShortAccountRatio [$ratio]
GET /futures/data/takerlongshortRatio [{buySellRatio:d buyVol:d sellVol:d timestamp:i}]
GET /futures/data/basis [{indexPrice:d contractType:s basisRate:d futuresPrice:d annualizedBasisRate:s basis:d \
pair:s timestamp:i}]
GET /futures/data/delivery-price [{deliveryTime:i deliveryPrice:n}]
"""
PRIVATE = """
POST /fapi/v1/order $ack
PUT /fapi/v1/order $amended
GET /fapi/v1/order $order
DELETE /fapi/v1/order $ack
POST /fapi/v1/order/test ~{orderId:i symbol:s status:s clientOrderId:s price:p avgPrice:d origQty:q executedQty:q \
cumQty:q cumQuote:d timeInForce:s type:s reduceOnly:b closePosition:b side:s positionSide:s stopPrice:p \
workingType:s priceProtect:b origType:s priceMatch:s selfTradePreventionMode:s goodTillDate:i updateTime:i}
DELETE /fapi/v1/allOpenOrders $done
POST /fapi/v1/batchOrders [$ack|$done]
PUT /fapi/v1/batchOrders [$amended|$done]
DELETE /fapi/v1/batchOrders [$ack|$done]
POST /fapi/v1/countdownCancelAll {symbol:s countdownTime:s}
GET /fapi/v1/openOrder $listed
GET /fapi/v1/openOrders [$listed]
GET /fapi/v1/allOrders [{orderId:i symbol:s pair:s status:s clientOrderId:s price:t avgPrice:d origQty:t \
executedQty:t cumQuote:d cumBase:t timeInForce:s type:s reduceOnly:b closePosition:b side:s positionSide:s stopPrice:t \
workingType:s priceProtect:b origType:s priceMatch:s selfTradePreventionMode:s goodTillDate:i time:i updateTime:i}]
GET /fapi/v1/forceOrders [{orderId:i symbol:s pair:s status:s clientOrderId:s price:t avgPrice:d origQty:t \
executedQty:t cumQuote:d cumBase:t timeInForce:s type:s reduceOnly:b closePosition:b side:s positionSide:s stopPrice:t \
workingType:s origType:s time:i updateTime:i}]
GET /fapi/v1/orderAmendment [{amendmentId:i symbol:s pair:s orderId:i clientOrderId:s time:i amendment:{\
price:{before:d after:d} origQty:{before:d after:d} count:i modifyId?:i} priceMatch?:s}]
GET /fapi/v1/userTrades [~{symbol:s id:i orderId:i side:s price:p qty:q realizedPnl:m quoteQty:d commission:m \
commissionAsset:s marginAsset:s baseQty:d pair:s time:i buyer:b maker:b positionSide:s}]
GET /fapi/v1/rateLimit/order [$limit]
POST /fapi/v1/algoOrder $algo
GET /fapi/v1/algoOrder $conditional
DELETE /fapi/v1/algoOrder {algoId:i clientAlgoId:s code:s msg:s}
GET /fapi/v1/openAlgoOrders [$conditional]
GET /fapi/v1/allAlgoOrders [$conditional]
DELETE /fapi/v1/algoOpenOrders $done
GET /fapi/v2/account $account2
GET /fapi/v3/account $account3
GET /fapi/v2/balance [$balance]
GET /fapi/v3/balance [$balance]
GET /fapi/v2/positionRisk [$risk2]
GET /fapi/v3/positionRisk [$risk3]
GET /fapi/v1/income [~{symbol:s incomeType:s income:m asset:s info:s time:i tranId:i tradeId:s}]
GET /fapi/v1/income/asyn $ordered
GET /fapi/v1/income/asyn/id $file
GET /fapi/v1/order/asyn $ordered
GET /fapi/v1/order/asyn/id $file
GET /fapi/v1/trade/asyn $ordered
GET /fapi/v1/trade/asyn/id $file
POST /fapi/v1/stock/contract $done
GET /fapi/v1/pmAccountInfo {maxWithdrawAmountUSD:d asset:s maxWithdrawAmount:d}
GET /fapi/v1/convert/exchangeInfo [{fromAsset:s toAsset:s fromAssetMinAmount:t fromAssetMaxAmount:t \
toAssetMinAmount:t toAssetMaxAmount:t}]
POST /fapi/v1/convert/getQuote {quoteId:s ratio:t inverseRatio:t validTimestamp:i toAmount:t fromAmount:t}
POST /fapi/v1/convert/acceptQuote {orderId:s createTime:i orderStatus:s}
GET /fapi/v1/convert/orderStatus {orderId:i orderStatus:s fromAsset:s fromAmount:t toAsset:s toAmount:t ratio:t \
inverseRatio:t createTime:i}
GET /fapi/v1/accountConfig {feeTier:i canTrade:b canDeposit:b canWithdraw:b dualSidePosition:b updateTime:i \
multiAssetsMargin:b tradeGroupId:i}
GET /fapi/v1/symbolConfig [{symbol:s marginType:s isAutoAddMargin:b leverage:i maxNotionalValue:s}]
GET /fapi/v1/leverageBracket [{symbol:s notionalCoef?:n brackets:[{bracket:i initialLeverage:i notionalCap:i \
notionalFloor:i maintMarginRatio:n cum:n}]}]
GET /fapi/v1/commissionRate {symbol:s makerCommissionRate:d takerCommissionRate:d rpiCommissionRate:d}
GET /fapi/v1/adlQuantile [{symbol:s adlQuantile:{*:i}}]
POST /fapi/v1/leverage ~{symbol:s leverage:i maxNotionalValue:s}
POST /fapi/v1/marginType $done
POST /fapi/v1/positionMargin ~{amount:n code:i msg:s type:i}
GET /fapi/v1/positionMargin/history [{symbol:s type:i deltaType:s amount:d asset:s time:i positionSide:s \
clientTranId?:s}]
POST /fapi/v1/positionSide/dual $done
GET /fapi/v1/positionSide/dual {dualSidePosition:b}
POST /fapi/v1/multiAssetsMargin $done
GET /fapi/v1/multiAssetsMargin {multiAssetsMargin:b}
POST /fapi/v1/feeBurn $done
GET /fapi/v1/feeBurn {feeBurn:b}
POST /fapi/v1/listenKey {listenKey:s}
PUT /fapi/v1/listenKey {listenKey:s}
DELETE /fapi/v1/listenKey {}
"""
METHODS = """
WS ping {}
WS time {serverTime:i}
WS depth $book
WS ticker.price $price
WS ticker.book ~{symbol:s bidPrice:p bidQty:q askPrice:p askQty:q time:i lastUpdateId:i}
WS session.logon $session
WS session.status $session
WS session.logout $session
WS order.place $ack
WS order.modify $amended
WS order.cancel $ack
WS order.status $order
WS algoOrder.place $algo
WS algoOrder.cancel {algoId:i clientAlgoId:s code:s msg:s}
WS account.balance [$balance]
WS v2/account.balance [$balance]
WS account.status $account2
WS v2/account.status $account3
WS account.position [$risk2]
WS v2/account.position [$risk3]
WS userDataStream.start {listenKey:s}
WS userDataStream.ping {listenKey:s}
WS userDataStream.stop {}
"""
EVENTS = """
EVENT ORDER_TRADE_UPDATE {e:s T:i E:i o:{s:s c:s S:s o:s f:s q:t p:t ap:t sp:t x:s X:s i:i M?:i l:t z:t L:t n:t N:s \
T:i t:i b:t a:t m:b R:b wt:s ot:s ps:s cp:b rp:t pP:b si:i ss:i V:s pm:s gtd:i er:s}}
EVENT ALGO_UPDATE {e:s T:i E:i o:{caid:s aid:i at:s o:s s:s S:s ps:s f:s q:t X:s ai:s ap?:t aq?:t act?:s tp:t p:t V?:s \
wt?:s pm?:s cp?:b pP?:b R:b AP?:t cr?:t tt:i gtd:i rm?:s ia:b}}
EVENT ACCOUNT_UPDATE {e:s T:i E:i a:{B:[{a:s wb:t cw:t bc:t}]* \
P:[{s:s pa:t ep:d cr:t up:t mt:s iw:t ps:s ma:s bep:d}]* m:s S?:s}}
EVENT TRADE_LITE {e:s E:i T:i s:s q:q p:p m:b c:s S:s L:p l:q t:i i:i}
EVENT 24hrMiniTicker ~{e:s E:i s:s ps:s c:p o:p h:p l:p v:q q:d st:i}
EVENT continuous_kline {e:s E:i ps:s ct:s k:{t:i T:i i:s f:i L:i o:p c:p h:p l:p v:q n:i x:b q:d V:q Q:d B:s}}
EVENT contractInfo {e:s E:i s:s ct:s dt:i ot:i cs:s bks:[{bs:i bnf:i bnc:i mmr:n cf:n mi:i ma:i}] st:i}
EVENT assetIndexUpdate {e:s E:i s:s i:m b:m a:m B:m A:m q:m g:m Q:m G:m}
EVENT EquityUpdate {e:s E:i t:i T:i S:s}
EVENT listenKeyExpired {e:s E:i|s listenKey:s}
EVENT MARGIN_CALL {e:s E:i cw:d p:[{s:s ps:s pa:d mt:s iw:d mp:d up:d mm:d}]}
EVENT ACCOUNT_CONFIG_UPDATE {e:s E:i T:i ac:{s:s l:i}}|{e:s E:i T:i ai:{j:b}}
"""
NAMES = {
    "symbolAdlRisk": """{symbol:s adlRisk:s updateTime:i}""",
    "ordered": """{avgCostTimestampOfLast30d:i downloadId:s}""",
    "file": """{downloadId:s status:s url:s notified:b expirationTimestamp:i isExpired:l}""",
    "insuranceBalance": """{symbols:[s] assets:[{asset:s marginBalance:m updateTime:i}]}""",
    "assetIndex": """{symbol:s time:i index:m bidBuffer:m askBuffer:m bidRate:m askRate:m
        autoExchangeBidBuffer:m autoExchangeAskBuffer:m autoExchangeBidRate:m autoExchangeAskRate:m}""",
    "bookTicker": """{symbol:s bidPrice:p bidQty:q askPrice:p askQty:q time:i lastUpdateId?:i}""",
    "day": """{symbol:s priceChange:p priceChangePercent:d weightedAvgPrice:p lastPrice:p lastQty:q openPrice:p
        highPrice:p lowPrice:p volume:q quoteVolume:d openTime:i closeTime:i firstId:i lastId:i count:i}""",
    "premiumIndex": """{symbol:s markPrice:m indexPrice:m estimatedSettlePrice:m lastFundingRate:m|e
        interestRate:m|e nextFundingTime:i time:i}""",
    "limit": "{rateLimitType:s interval:s intervalNum:i limit:i}",
    "book": "{lastUpdateId:i E:i T:i bids:[(p q)] asks:[(p q)]}",
    "trade": "{id:i price:p qty:q quoteQty:d time:i isBuyerMaker:b isRPITrade:b}",
    "candle": "(i p p p p q i v i q v s)",
    "untraded": "(i m m m m s i s i s s s)",
    "price": "{symbol:s price:p time:i}",
    "ratio": "{symbol:s longShortRatio:d longAccount:d shortAccount:d timestamp:i}",
    "done": "{code:i msg:s}",
    "listing": """{symbol:s pair:s contractType:s deliveryDate:i onboardDate:i status:s maintMarginPercent:d
        requiredMarginPercent:d baseAsset:s quoteAsset:s marginAsset:s pricePrecision:i quantityPrecision:i
        baseAssetPrecision:i quotePrecision:i underlyingType:s underlyingSubType:[s]* settlePlan?:i triggerProtect:d
        liquidationFee:d marketTakeBound:d maxMoveOrderLimit:i filters:[o] orderTypes:[s] timeInForce:[s]
        permissionSets:[s]}""",
    "ack": """{orderId:i symbol:s status:s clientOrderId:s price:p origQty:q executedQty:q cumQty:q timeInForce:s
        type:s reduceOnly:b closePosition:b side:s positionSide:s stopPrice:p workingType:s priceProtect:b origType:s
        priceMatch:s selfTradePreventionMode:s goodTillDate:i updateTime:i}""",
    "amended": """{orderId:i symbol:s pair:s status:s clientOrderId:s modifyId?:i price:p origQty:q executedQty:q
        cumQty:q timeInForce:s type:s reduceOnly:b closePosition:b side:s positionSide:s stopPrice:p workingType:s
        priceProtect:b origType:s priceMatch:s selfTradePreventionMode:s goodTillDate:i updateTime:i}""",
    "order": """{orderId:i symbol:s status:s clientOrderId:s price:p avgPrice:d origQty:q executedQty:q cumQuote:v
        timeInForce:s type:s reduceOnly:b closePosition:b side:s positionSide:s stopPrice:p workingType:s
        priceProtect:b origType:s priceMatch:s selfTradePreventionMode:s goodTillDate:i time:i updateTime:i}""",
    "listed": """{orderId:i symbol:s status:s clientOrderId:s price:t avgPrice:d origQty:t executedQty:t cumQuote:v
        timeInForce:s type:s reduceOnly:b closePosition:b side:s positionSide:s stopPrice:t workingType:s
        priceProtect:b origType:s priceMatch:s selfTradePreventionMode:s goodTillDate:i time:i updateTime:i}""",
    "algo": """{algoId:i clientAlgoId:s algoType:s orderType:s symbol:s side:s positionSide:s timeInForce:s quantity:q
        algoStatus:s triggerPrice:p price:p icebergQuantity:l selfTradePreventionMode:s workingType:s priceMatch:s
        closePosition:b priceProtect:b reduceOnly:b activatePrice?:s callbackRate?:s createTime:i updateTime:i
        triggerTime:i goodTillDate:i}""",
    "conditional": """{algoId:i clientAlgoId:s algoType:s orderType:s symbol:s side:s positionSide:s timeInForce:s
        quantity:q algoStatus:s actualOrderId:s actualPrice:d actualType?:s actualQty?:q triggerPrice:p price:p
        icebergQuantity:l tpTriggerPrice:p tpPrice:p slTriggerPrice:p slPrice:p tpOrderType:s selfTradePreventionMode:s
        workingType:s priceMatch:s closePosition:b priceProtect:b reduceOnly:b activatePrice?:s callbackRate?:s
        createTime:i updateTime:i triggerTime:i goodTillDate:i}""",
    "totals": """totalInitialMargin:m totalMaintMargin:m totalWalletBalance:m totalUnrealizedProfit:m
        totalMarginBalance:m totalPositionInitialMargin:m totalOpenOrderInitialMargin:m totalCrossWalletBalance:m
        totalCrossUnPnl:m availableBalance:m maxWithdrawAmount:m""",
    "asset": """asset:s walletBalance:m unrealizedProfit:m marginBalance:m maintMargin:m initialMargin:m
        positionInitialMargin:m openOrderInitialMargin:m crossWalletBalance:m crossUnPnl:m availableBalance:m
        maxWithdrawAmount:m""",
    "account2": """{feeTier:i feeBurn?:b canTrade:b canDeposit:b canWithdraw:b updateTime:i multiAssetsMargin:b
        tradeGroupId:i $totals assets:[{$asset marginAvailable:b updateTime:i}] positions:[{symbol:s initialMargin:z
        maintMargin:z unrealizedProfit:m positionInitialMargin:z openOrderInitialMargin:z leverage:s isolated:b
        entryPrice:d breakEvenPrice:d maxNotional:s positionSide:s positionAmt:d notional:z isolatedWallet:z
        updateTime:i bidNotional:d askNotional:d}]}""",
    "account3": """{$totals assets:[{$asset updateTime:i}] positions:[{symbol:s positionSide:s positionAmt:q
        unrealizedProfit:m isolatedMargin:m notional:z isolatedWallet:z initialMargin:z maintMargin:z
        updateTime:i}]}""",
    "balance": """{accountAlias:s asset:s balance:m crossWalletBalance:m crossUnPnl:m availableBalance:m
        maxWithdrawAmount:m marginAvailable:b updateTime:i}""",
    "risk2": """{symbol:s positionAmt:q entryPrice:d breakEvenPrice:d markPrice:m unRealizedProfit:m liquidationPrice:d
        leverage:s maxNotionalValue:s marginType:s isolatedMargin:m isAutoAddMargin:s positionSide:s notional:z
        isolatedWallet:z updateTime:i isolated?:b adlQuantile?:i}""",
    "risk3": """{symbol:s positionSide:s positionAmt:q entryPrice:d breakEvenPrice:d markPrice:m unRealizedProfit:m
        liquidationPrice:d isolatedMargin:z notional:z marginAsset:s isolatedWallet:z initialMargin:z maintMargin:z
        positionInitialMargin:z openOrderInitialMargin:z adl:i bidNotional:d askNotional:d updateTime:i}""",
    "session": "{apiKey:s|l authorizedSince:i|l connectedSince:i returnRateLimits:b serverTime:i}",
}  # fmt: skip
TOKEN = re.compile(r"\s*([{}\[\]()|~*]|[^\s{}\[\]()|~]+)")
TYPES: dict[str, tuple[type, ...]] = {"i": (int,), "n": (int, float), "b": (bool,), "l": (type(None),), "s": (str,)}


def table() -> dict[str, str]:
    """Line by its name, such as "GET /fapi/v1/time"."""
    rows = (line.split(" ", 2) for text in (PUBLIC, PRIVATE, METHODS, EVENTS) for line in text.strip().splitlines())
    return {f"{method} {path}": spec for method, path, spec in rows}


class Reader:
    """Reads a line into nested tuples: ("any", [...]), ("object", ordered, {key: (word, may be missing)}), …"""

    def __init__(self, spec: str) -> None:
        while "$" in spec:
            spec = re.sub(r"\$(\w+)", lambda found: NAMES[found[1]], spec)
        self.tokens = TOKEN.findall(re.sub(r"(\w|\*)(\??):", r"\1\2: ", spec))

    def next(self, wanted: str = "") -> str:
        """The next token, which must be `wanted` if that is given."""
        token = str(self.tokens.pop(0))
        if wanted and token != wanted:
            raise ValueError(f"{token} where {wanted} is needed, before {' '.join(self.tokens[:5])}")
        return token

    def word(self) -> tuple[Any, ...]:
        """One word or several alternatives."""
        found = [self.one()]
        while self.tokens and self.tokens[0] == "|":
            self.next()
            found.append(self.one())
        return found[0] if len(found) == 1 else ("any", found)

    def one(self) -> tuple[Any, ...]:
        """One word."""
        token = self.next()
        ordered = token != "~"
        token = token if ordered else self.next("{")
        if token == "{":
            keys: dict[str, tuple[Any, bool]] = {}
            while self.tokens[0] != "}":
                name = self.next()
                name = name + self.next() if name == "*" else name
                keys[name.rstrip(":?")] = (self.word(), name.endswith("?:"))
            self.next("}")
            return ("object", ordered, keys)
        if token == "[":
            inner = self.word()
            self.next("]")
            empty = bool(self.tokens) and self.tokens[0] == "*"
            if empty:
                self.next()
            return ("list", inner, empty)
        if token == "(":
            row = []
            while self.tokens[0] != ")":
                row.append(self.word())
            self.next(")")
            return ("row", row)
        return ("leaf", token)


@cache
def read(spec: str) -> tuple[Any, ...]:
    """A line read, to its end."""
    reader = Reader(spec)
    found = reader.word()
    if reader.tokens:
        raise ValueError(f"{' '.join(reader.tokens)} left over in {spec}")
    return found


class Judge:
    """Says where values are not what their lines say; `grids` are the places of each symbol's numbers."""

    def __init__(self, grids: Mapping[str, Grid]) -> None:
        self.grids = grids

    def mismatches(self, value: Any, spec: tuple[Any, ...], places: Grid, at: str = "answer") -> list[str]:
        """In words; `places` hold until an object names its symbol."""
        kind = spec[0]
        if kind == "any":
            return min((self.mismatches(value, one, places, at) for one in spec[1]), key=len)
        if kind == "leaf":
            return [] if fits(value, spec[1], places) else [f"{at}: {value!r} is not {spec[1]}"]
        if kind == "object":
            return self._object(value, spec, places, at)
        if not isinstance(value, list):
            return [f"{at}: {str(value)[:40]} is no list"]
        if kind == "row":
            if len(value) != len(spec[1]):
                return [f"{at}: {len(value)} items, should be {len(spec[1])}"]
            pairs = enumerate(zip(value, spec[1], strict=True))
            return [told for i, (v, s) in pairs for told in self.mismatches(v, s, places, f"{at}[{i}]")]
        if not value and not spec[2]:
            return [f"{at}: empty, so nothing was compared"]
        return list(dict.fromkeys(told for v in value for told in self.mismatches(v, spec[1], places, f"{at}[]")))

    def _object(self, value: Any, spec: tuple[Any, ...], places: Grid, at: str) -> list[str]:
        if not isinstance(value, dict):
            return [f"{at}: {str(value)[:40]} is no object"]
        _, ordered, keys = spec
        places = self.grids.get(value.get("symbol", value.get("s", "")), places)
        if "*" in keys:
            return [told for k, v in value.items() for told in self.mismatches(v, keys["*"][0], places, f"{at}.{k}")]
        out = [f"{at}.{k}: missing" for k, (_, optional) in keys.items() if k not in value and not optional]
        out += [f"{at}.{k}: should not be there" for k in value if k not in keys]
        have, want = [k for k in value if k in keys], [k for k in keys if k in value]
        if ordered and have != want:
            out.append(f"{at}: keys in the order {' '.join(have)}, should be {' '.join(want)}")
        for k in have:
            out += self.mismatches(value[k], keys[k][0], places, f"{at}.{k}")
        return out


def fits(value: Any, word: str, places: Grid) -> bool:
    """Is a value what one word says?"""
    if word == "o":
        return isinstance(value, dict)
    if word == "e":
        return value == ""
    if word in TYPES:
        return isinstance(value, TYPES[word]) and (word == "b" or not isinstance(value, bool))
    if not isinstance(value, str) or not DECIMAL.fullmatch(value):
        return False
    count = len(value.partition(".")[2])
    wanted = {"p": places["price"], "q": places["quantity"], "v": places["notional"], "m": 8}
    if word in wanted:
        return count == wanted[word]
    if word == "z":
        return value == "0" or count == 8
    if word == "t":
        return not count or value[-1] != "0"
    assert word == "d", word
    return True
