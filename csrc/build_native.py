"""cffi build script of `aegis.native._aegis` (API mode): the headers are the cdef, the sources are csrc/*.c.

What must stay true: no second copy of a layout. `AEGIS_CFLAGS` adds flags (sanitizers, mutants) for other builds.
"""

import os
from pathlib import Path

from cffi import FFI

HERE = Path(__file__).resolve().parent
SOURCES = sorted(f"csrc/{path.name}" for path in HERE.glob("*.c"))
HEADERS = sorted(f"csrc/{path.name}" for path in HERE.glob("*.h"))

ffibuilder = FFI()
ffibuilder.cdef("".join((HERE / name).read_text() for name in ("aegis_abi.h", "aegis_api.h")))
ffibuilder.set_source(
    "aegis.native._aegis",
    '#include "ae_internal.h"',
    sources=SOURCES,
    include_dirs=["csrc"],
    depends=HEADERS,
    libraries=["ssl", "crypto", "pthread", "m"],
    extra_compile_args=["-std=c11", "-O2", "-g", *os.environ.get("AEGIS_CFLAGS", "").split()],
    extra_link_args=os.environ.get("AEGIS_CFLAGS", "").split(),
)

if __name__ == "__main__":
    ffibuilder.compile(verbose=True)
