"""Requests as the official SDK signs them, caught where they would leave, run inside the SDK's own environment.

`send_request` is what each of its methods calls; its `send_signed_request` raises TypeError in 18.1.0.
"""

from __future__ import annotations

import json
from typing import Any

import requests
from binance_common.configuration import ConfigurationRestAPI, ConfigurationWebSocketAPI
from binance_common.models import WebsocketApiOptions
from binance_common.signature import Signers
from binance_common.utils import send_request, ws_api_payload
from calls import RECV_WINDOW, sign_all

HOST = "http://venue"


class Caught(requests.adapters.BaseAdapter):
    """An adapter that keeps the prepared request and answers with an empty object."""

    def __init__(self) -> None:
        super().__init__()
        self.request: Any = None

    def send(self, request: Any, *_args: object, **_more: object) -> requests.Response:
        """Keep it."""
        self.request = request
        answer = requests.Response()
        answer.status_code, answer._content, answer.request = 200, b"{}", request
        return answer

    def close(self) -> None:
        """Nothing is open."""


def given(key: dict[str, str]) -> dict[str, str]:
    """A key as the SDK's configurations take it."""
    name = "private_key" if "PRIVATE KEY" in key["secret"] else "api_secret"
    return {"api_key": key["api_key"], name: key["secret"]}


def sign(call: dict[str, Any], key: dict[str, str]) -> dict[str, Any]:
    """One call, signed."""
    params = call["params"] | {"recvWindow": RECV_WINDOW}
    signer: Any = Signers.get_signer(key["secret"]) if "PRIVATE KEY" in key["secret"] else None
    if call["method"] == "WS":
        options: Any = WebsocketApiOptions(api_key=True, is_signed=True, skip_auth=False, signer=signer)
        config = ConfigurationWebSocketAPI(**given(key))
        return {"text": json.dumps(ws_api_payload(config, {"method": call["path"], "params": dict(params)}, options))}
    caught, session = Caught(), requests.Session()
    session.mount("http://", caught)
    rest = ConfigurationRestAPI(base_path=HOST, **given(key))
    send_request(session, rest, call["method"], call["path"], params, is_signed=True, signer=signer)
    sent = caught.request
    headers = {k: str(v) for k, v in sent.headers.items() if k.lower() not in ("content-length", "accept-encoding")}
    return {"target": sent.path_url, "body": sent.body or "", "headers": headers}


if __name__ == "__main__":
    sign_all(sign)
