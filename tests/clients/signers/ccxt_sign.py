"""Requests as ccxt's `binanceusdm` signs them, run inside ccxt's own environment."""

from __future__ import annotations

import json
from typing import Any

import ccxt.pro
from calls import RECV_WINDOW, sign_all

HOST = "http://venue"
VERSIONS = {"v1": "fapiPrivate", "v2": "fapiPrivateV2", "v3": "fapiPrivateV3"}


def client(key: dict[str, str]) -> Any:
    """An exchange object with this key; it never connects."""
    api = {name: f"{HOST}/fapi/{version}" for version, name in VERSIONS.items()}
    return ccxt.pro.binanceusdm(
        {
            "apiKey": key["api_key"],
            "secret": key["secret"],
            "urls": {"api": api},
            "options": {"recvWindow": RECV_WINDOW},
        }
    )


def spelt(params: dict[str, Any]) -> dict[str, Any]:
    """Lists of ids under the names, and with the texts, that ccxt's signer looks for."""
    out = dict(params)
    if "orderIdList" in out:
        out["orderidlist"] = [str(i) for i in out.pop("orderIdList")]
    if "origClientOrderIdList" in out:
        out["origclientorderidlist"] = out.pop("origClientOrderIdList")
    return out


def sign(call: dict[str, Any], key: dict[str, str]) -> dict[str, Any]:
    """One call, signed."""
    ex = client(key)
    if call["method"] == "WS":
        message = {"id": str(ex.milliseconds()), "method": call["path"], "params": ex.sign_params(dict(call["params"]))}
        return {"text": json.dumps(message, separators=(",", ":"))}
    _, _, version, path = call["path"].split("/", 3)
    done = ex.sign(path, [VERSIONS[version]], call["method"], spelt(call["params"]))
    headers = {k: v for k, v in done["headers"].items() if v is not None}
    return {"target": done["url"].removeprefix(HOST), "body": done["body"] or "", "headers": headers}


if __name__ == "__main__":
    sign_all(sign)
