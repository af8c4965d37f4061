"""The venue as a process: one port for REST, streams and WebSocket API, one for control, one loop for the market.

What must stay true: it binds loopback only; it prints one ready line; on SIGTERM or SIGINT it is gone within half a
second; its watchdog ping comes from the loop that moves the market, so a stuck market is seen.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import logging
import signal
import ssl
import sys
import tempfile
from pathlib import Path
from typing import Any

import sdnotify
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from aegis.errors import AegisError
from aegis.exchange import clock, tls
from aegis.exchange.account import Account
from aegis.exchange.assembly import make_exchange, tick
from aegis.exchange.auth import Gate, Key, load_keys, load_public
from aegis.exchange.capture import load
from aegis.exchange.control import Control
from aegis.exchange.faults.injector import Injector
from aegis.exchange.faults.plan import load as load_plan
from aegis.exchange.limits import Limits, quota_of
from aegis.exchange.market import Flow, make_markets
from aegis.exchange.options import complete
from aegis.exchange.replay import Replay
from aegis.exchange.rest import Rest
from aegis.exchange.rules import Rules
from aegis.exchange.streams import Hub
from aegis.exchange.symbols import E8, listing
from aegis.exchange.wsapi import WsApi
from aegis.units import Num

TICK_S = 0.01
PING_NS = 300_000_000
LINE_MAX = 1 << 17  # bytes of an address: 1024 stream names fit
LOG = logging.getLogger(__name__)
REST = ("/fapi/", "/futures/", "/api/", "/sapi/")  # paths of REST, whatever headers come with them
NAMES = ("main", "second", "third", "fourth", "fifth")


def open_accounts(o: argparse.Namespace, quotes: set[str], base: int) -> tuple[list[Account], dict[str, Key]]:
    """
    The accounts of a venue, and the keys that act for them: `main`, then one for each further --account.

    Args:
        quotes: assets every wallet starts with.
        base: start of ids.

    Raises:
        OSError, ValueError, KeyError: a key file that cannot be used.
    """
    keys = load_keys(o.keys)
    for i, (api_key, secret, pem) in enumerate(o.account):
        if api_key in keys:
            raise ValueError(f"key {api_key} is given twice")
        name = NAMES[i] if i < len(NAMES) else f"account{i + 1}"
        keys[api_key] = Key(api_key, secret.encode(), load_public(pem) if pem else None, name)
    wallet = Num.parse(str(o.wallet)).at(E8)
    names = dict.fromkeys(["main", *(key.account for key in keys.values())])
    start = dict.fromkeys(sorted(quotes), wallet)
    fees = int(o.maker_ppm), int(o.taker_ppm)
    made = [Account(start, *fees, base, name=name, number=i, opened_ms=base // 1000) for i, name in enumerate(names, 1)]
    return made, keys


class Venue:
    """Everything of one venue process, without its sockets."""

    def __init__(self, options: argparse.Namespace) -> None:
        o = complete(options)
        self.hub = Hub(float(o.lifetime_s), str(o.unrouted), float(o.ping_s), float(o.pong_s))
        base = clock.now_ms() * 1000
        self.replay = self._replay(o)
        markets = self.replay.make_markets(base) if self.replay else self._markets(o, base)
        accounts, keys = open_accounts(o, {m.spec.quote for m in markets.values()} | {"USDT"}, base)
        rules = Rules(listen_key_s=float(o.listen_key_s), **dict(o.rule))
        self.ex = make_exchange(markets, accounts, self.hub, clock.now_ms, rules)
        self.flow = None if self.replay else Flow(self.ex, int(o.seed), int(o.events_per_s))
        if self.replay:
            self.replay.attach(self.ex)
        gate, limits = Gate(keys, str(o.ws_encoding)), Limits(quota_of(o))
        self.rest, self.api = Rest(self.ex, gate, limits), WsApi(self.ex, gate, limits, float(o.lifetime_s))
        self.api.ping_s, self.api.pong_s = float(o.ping_s), float(o.pong_s)
        self.injector = Injector(self.ex, self.api, int(o.seed))
        self.control = Control(self.ex, self.injector, self.state, self.start_replay)
        if o.faults:
            self.injector.schedule(load_plan(o.faults))

    def _markets(self, o: argparse.Namespace, base: int) -> dict[str, Any]:
        return make_markets(listing(int(o.symbols), bool(o.bands)), base, int(o.seed))

    @staticmethod
    def _replay(o: argparse.Namespace) -> Replay | None:
        if not o.replay:
            return None
        speed = 0 if str(o.speed) == "max" else int(o.speed)
        if speed < 0:
            raise ValueError("speed is a whole factor or max")
        return Replay(load(str(o.replay)), speed)

    def state(self) -> dict[str, Any]:
        """Replay fields of /control/state."""
        r = self.replay
        if r is None:
            return {
                "replay_done": False,
                "replay_started": False,
                "frames_in_capture": 0,
                "replay_sent": 0,
                "replay_streams": [],
            }
        return {
            "replay_done": r.done,
            "replay_started": r.started.is_set(),
            "frames_in_capture": r.capture.frames,
            "replay_sent": r.sent,
            "replay_streams": sorted(r.capture.streams),
        }

    def start_replay(self) -> bool:
        """Start the capture; false when there is none."""
        if self.replay is not None:
            self.replay.started.set()
        return self.replay is not None

    def app(self) -> web.Application:
        """The web application of this venue."""
        app = web.Application(client_max_size=1 << 20)
        app.router.add_route("*", "/{name:.*}", self.door)
        return app

    async def door(self, request: web.Request) -> web.StreamResponse:
        """REST, or the WebSocket API or the streams for who asks for an upgrade outside REST's paths."""
        upgrade = request.method == "GET" and request.headers.get("Upgrade", "").lower() == "websocket"
        if not upgrade or request.path.startswith(REST):
            return await self.rest.serve(request)
        return await (self.api.serve if request.path == "/ws-fapi/v1" else self.hub.serve)(request)

    async def loop(self, stop: asyncio.Event) -> None:
        """Move the market until `stop`."""
        notify = sdnotify.SystemdNotifier()
        notify.notify("READY=1")
        before = pinged = clock.mono_ns()
        streaming = asyncio.create_task(self.replay.run()) if self.replay else None
        while not stop.is_set():
            now = clock.mono_ns()
            if self.flow is not None:
                self.flow.advance(now - before)
            before = now
            tick(self.ex)
            self.injector.tick()
            if streaming is not None and streaming.done():
                streaming.result()
            if now - pinged > PING_NS:
                pinged = now
                notify.notify("WATCHDOG=1")
            await asyncio.sleep(TICK_S)
        notify.notify("STOPPING=1")
        if streaming is not None:
            streaming.cancel()


def ours(record: logging.LogRecord) -> bool:
    """Whether a line of the log tells of a fault here: a client's broken bytes, or its leaving, are none."""
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, ConnectionError | HttpProcessingError | web.RequestPayloadError)


async def listen(app: web.Application, port: int, tls: ssl.SSLContext | None = None) -> web.AppRunner:
    """Serve an application on a loopback port; the runner knows which."""
    LOG.addFilter(ours)
    runner = web.AppRunner(app, access_log=None, logger=LOG, shutdown_timeout=0.1, max_line_size=LINE_MAX)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, ssl_context=tls).start()
    return runner


def certificate(o: argparse.Namespace, folder: Path) -> tuple[ssl.SSLContext | None, dict[str, str]]:
    """The TLS context asked for, if any, with its authority's file in `folder`, and what the ready line says of it."""
    if not o.tls:
        return None, {}
    made, ca = tls.context(folder)
    return made, {"ca_file": str(ca)}


async def serve(options: argparse.Namespace) -> int:
    """Open the ports, print the ready line, run until a signal."""
    o = complete(options)
    venue = Venue(o)
    with tempfile.TemporaryDirectory(prefix="venue-") as spare:
        secure, facts = certificate(o, Path(o.tls_dir or spare))
        doors = [await listen(venue.app(), int(o.port), secure), await listen(venue.control.app(), int(o.control_port))]
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for sig in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(sig, stop.set)
        port, control_port = (runner.addresses[0][1] for runner in doors)
        print(json.dumps({"event": "ready", "port": port, "control_port": control_port} | facts), flush=True)
        try:
            await venue.loop(stop)
        except Exception as e:
            if venue.replay is None:  # a capture may hold what cannot be played; else it is a fault of the venue's own
                raise RuntimeError("the market stopped") from e
            raise
        finally:
            for conn in list(venue.hub.conns):
                conn.close(1008)
            await asyncio.wait([asyncio.ensure_future(runner.cleanup()) for runner in doors], timeout=0.4)
            gc.freeze()  # a last look for cycles among the orders of hundreds of symbols would outlast the half second
    return 0


def run(options: argparse.Namespace) -> int:
    """
    Run the venue until SIGTERM or SIGINT.

    Returns:
        0 after an orderly stop, 2 when options, keys or capture cannot be used (one line on stderr).

    Raises:
        RuntimeError: the market broke while it ran.
    """
    try:
        return asyncio.run(serve(options))
    except (OSError, ValueError, KeyError, TypeError, AegisError) as e:
        print(f"venue: {type(e).__name__}: {e}", file=sys.stderr)
        return 2
