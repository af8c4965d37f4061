"""`python -m aegis.exchange`: the venue alone, without the rest of the product."""

from __future__ import annotations

import sys

from aegis.exchange.server import parser, run

sys.exit(run(parser().parse_args()))
