"""cffi build script of `aegis.native._aegis` (API mode): the header is the cdef, the sources are csrc/*.c.

What must stay true: no second copy of a layout. `AEGIS_CFLAGS` adds flags (sanitizers, mutants) for other builds.
"""

import os
from pathlib import Path

from cffi import FFI

HERE = Path(__file__).resolve().parent
SOURCES = ("ring.c", "frame.c", "symbols.c", "tick.c", "book.c", "pump.c", "ae_abi_check.c")

ffibuilder = FFI()
ffibuilder.cdef((HERE / "aegis_abi.h").read_text())
ffibuilder.set_source(
    "aegis.native._aegis",
    '#include "ae_internal.h"',
    sources=[f"csrc/{name}" for name in SOURCES if (HERE / name).exists()],
    include_dirs=["csrc"],
    depends=["csrc/aegis_abi.h", "csrc/ae_internal.h"],
    extra_compile_args=["-std=c11", "-O2", "-g", *os.environ.get("AEGIS_CFLAGS", "").split()],
    extra_link_args=os.environ.get("AEGIS_CFLAGS", "").split(),
)

if __name__ == "__main__":
    ffibuilder.compile(verbose=True)
