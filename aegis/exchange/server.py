"""The venue as a process: one port for REST, streams, WebSocket API and control, one loop for the market.

What must stay true: it binds loopback only; it prints one ready line; on SIGTERM or SIGINT it is gone within half a
second; its watchdog ping comes from the loop that moves the market, so a stuck market is seen.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
from typing import Any

import sdnotify
from aiohttp import web

from aegis.exchange import clock
from aegis.exchange.account import Account
from aegis.exchange.assembly import make_exchange, tick
from aegis.exchange.auth import ENCODINGS, Gate, load_keys
from aegis.exchange.capture import load
from aegis.exchange.control import Control
from aegis.exchange.limits import Limits, add_options, quota_of
from aegis.exchange.market import Flow, make_markets
from aegis.exchange.replay import Replay
from aegis.exchange.rest import Rest
from aegis.exchange.rules import Rules
from aegis.exchange.streams import Hub
from aegis.exchange.symbols import E8, listing
from aegis.exchange.wsapi import WsApi
from aegis.units import Num

TICK_S = 0.01
PING_NS = 300_000_000


def parser() -> argparse.ArgumentParser:
    """Options of `aegis venue`; a namespace of these names is what `run` takes."""
    p = argparse.ArgumentParser(prog="aegis venue", description="Simulated exchange on loopback")
    p.add_argument("--port", type=int, default=0, help="TCP port on 127.0.0.1; 0 chooses one")
    p.add_argument("--seed", type=int, default=1, help="seed of the synthetic flow")
    p.add_argument("--symbols", type=int, default=6, help="how many symbols to list")
    p.add_argument("--bands", action="store_true", help="every symbol in a price band of its own")
    p.add_argument("--keys", default="", help="JSON file with api_key, secret and/or ed25519_pem")
    p.add_argument("--replay", default="", help="stream this capture instead of the synthetic flow")
    p.add_argument("--speed", default="1", help="replay pace: 1, a factor, or max")
    p.add_argument("--wallet", default="10000", help="starting balance per quote asset")
    p.add_argument(
        "--events-per-s",
        dest="events_per_s",
        type=int,
        default=200,
        help="synthetic events per second over all symbols",
    )
    p.add_argument("--maker-ppm", dest="maker_ppm", type=int, default=200, help="maker fee in millionths")
    p.add_argument("--taker-ppm", dest="taker_ppm", type=int, default=500, help="taker fee in millionths")
    p.add_argument("--listen-key-s", dest="listen_key_s", type=float, default=3600.0, help="life of a listen key")
    p.add_argument(
        "--lifetime-s", dest="lifetime_s", type=float, default=86400.0, help="forced disconnect of websockets"
    )
    p.add_argument("--weight", type=int, default=2400, help="REQUEST_WEIGHT per minute; 0 off")
    p.add_argument(
        "--ws-encoding",
        dest="ws_encoding",
        choices=ENCODINGS,
        default="either",
        help="text a WebSocket API message signs where raw and percent-encoded differ",
    )
    add_options(p)
    p.add_argument("--json", action="store_true", help="machine-readable output (the ready line always is)")
    return p


class Venue:
    """Everything of one venue process, without its sockets."""

    def __init__(self, options: argparse.Namespace) -> None:
        given = vars(parser().parse_args([])) | {k: v for k, v in vars(options).items() if v is not None}
        o = argparse.Namespace(**given)
        self.hub = Hub(float(o.lifetime_s))
        base = clock.now_ms() * 1000
        self.replay = self._replay(o)
        markets = self.replay.make_markets(base) if self.replay else self._markets(o, base)
        wallet = Num.parse(str(o.wallet)).at(E8)
        quotes = {m.spec.quote for m in markets.values()} | {"USDT"}
        account = Account(dict.fromkeys(sorted(quotes), wallet), int(o.maker_ppm), int(o.taker_ppm), base)
        rules = Rules(listen_key_s=float(o.listen_key_s))
        self.ex = make_exchange(markets, [account], self.hub, clock.now_ms, rules)
        self.flow = None if self.replay else Flow(self.ex, int(o.seed), int(o.events_per_s))
        if self.replay:
            self.replay.attach(self.ex)
        gate, limits = Gate(load_keys(o.keys), str(o.ws_encoding)), Limits(quota_of(o))
        self.rest, self.api = Rest(self.ex, gate, limits), WsApi(self.ex, gate, limits, float(o.lifetime_s))
        self.control = Control(self.ex, self.api, self.state, self.start_replay)

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
        """Replay fields of /aegis/state."""
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
        app.router.add_route("*", "/aegis/{name:.*}", self.control.serve)
        app.router.add_get("/ws-fapi/v1", self.api.serve)
        app.router.add_route("*", "/fapi/{name:.*}", self.rest.serve)
        app.router.add_route("*", "/futures/{name:.*}", self.rest.serve)
        app.router.add_get("/{name:.*}", self.hub.serve)
        return app

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
            if streaming is not None and streaming.done():
                streaming.result()
            if now - pinged > PING_NS:
                pinged = now
                notify.notify("WATCHDOG=1")
            await asyncio.sleep(TICK_S)
        notify.notify("STOPPING=1")
        if streaming is not None:
            streaming.cancel()


async def serve(options: argparse.Namespace) -> int:
    """Open the port, print the ready line, run until a signal."""
    venue = Venue(options)
    runner = web.AppRunner(venue.app(), access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", int(getattr(options, "port", 0) or 0))
    await site.start()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for sig in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(sig, stop.set)
    port = runner.addresses[0][1]
    print(json.dumps({"event": "ready", "port": port}), flush=True)
    try:
        await venue.loop(stop)
    finally:
        for conn in list(venue.hub.conns):
            conn.close(1008)
        await asyncio.wait({asyncio.ensure_future(runner.cleanup())}, timeout=0.4)
    return 0


def run(options: argparse.Namespace) -> int:
    """
    Run the venue until SIGTERM or SIGINT.

    Returns:
        0 after an orderly stop, 2 when options, keys or capture cannot be used (one line on stderr).
    """
    try:
        return asyncio.run(serve(options))
    except (OSError, ValueError, KeyError) as e:
        print(f"venue: {type(e).__name__}: {e}", file=sys.stderr)
        return 2
