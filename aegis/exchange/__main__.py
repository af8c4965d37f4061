"""`python -m aegis.exchange`: the venue alone, without the rest of the product."""

from __future__ import annotations

import sys

from aegis.exchange.options import parser
from aegis.exchange.server import run

sys.exit(run(parser().parse_args()))
