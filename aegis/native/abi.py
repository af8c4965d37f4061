"""The layouts of csrc/aegis_abi.h and aegis_api.h as numpy dtypes, and the proof that the compiled module agrees.

Problem: cffi compares a struct with the compiled one only at first use. So every struct and every field's offset is
asked for here, at import: a stale build fails before it touches a shared file.
What must stay true: no offset is written down in Python; dtypes are derived.
"""

from __future__ import annotations

import struct
from typing import Any

import numpy as np

from aegis.errors import AbiMismatch
from aegis.native._aegis import ffi, lib

STRUCTS = (
    "ae_tick_t",
    "ae_account_t",
    "ae_intent_t",
    "ae_order_t",
    "ae_ring_header_t",
    "ae_ring_t",
    "ae_cursor_t",
    "ae_counter_cell_t",
    "ae_control_header_t",
    "ae_control_block_t",
    "ae_level_t",
    "ae_books_header_t",
    "ae_book_entry_t",
    "ae_ws_frame_t",
    "ae_symbol_t",
    "ae_symtab_t",
    "ae_parsed_t",
    "ae_book_event_t",
    "ae_book_change_t",
    "ae_book_t",
    "ae_pump_t",
    "ae_feature_row_t",
    "ae_features_t",
    "ae_turn_t",
    "ae_link_t",
    "ae_cell_t",
    "ae_event_t",
    "ae_take_t",
    "ae_wait_t",
    "ae_caps_t",
    "ae_gate_rules_t",
    "ae_gate_exposure_t",
    "ae_gate_account_t",
    "ae_gate_quote_t",
    "ae_trigger_t",
    "ae_placed_t",
    "ae_hist_t",
    "ae_hist_block_t",
    "ae_hist_header_t",
)
_CODES = {"uint": "u", "int": "i"}
_SIZES = {1: "b", 2: "h", 4: "i", 8: "q"}
_NAMED = {"char": "S1", "double": "<f8"}


def _scalar(ctype: Any) -> Any:
    name = ctype.cname
    if name in _NAMED:
        return np.dtype(_NAMED[name])
    if name.endswith("_t") and name[:-2].rstrip("0123456789") in _CODES:
        return np.dtype(f"<{_CODES[name[:-2].rstrip('0123456789')]}{ffi.sizeof(ctype)}")
    raise AbiMismatch(f"no numpy type for {name}")


def _field(ctype: Any) -> tuple[Any, tuple[int, ...]]:
    if ctype.kind == "array":
        if ctype.item.cname == "char":
            return np.dtype(f"S{ctype.length}"), ()
        inner, shape = _field(ctype.item)
        return inner, (ctype.length, *shape)
    return (dtype_of(ctype) if ctype.kind == "struct" else _scalar(ctype)), ()


def dtype_of(ctype: Any) -> Any:
    """numpy dtype with the names, offsets and size of a cffi struct; raises AbiMismatch."""
    names, formats, offsets = [], [], []
    for name, field in ctype.fields:
        inner, shape = _field(field.type)
        names.append(name)
        formats.append((inner, shape) if shape else inner)
        offsets.append(field.offset)
    return np.dtype({"names": names, "formats": formats, "offsets": offsets, "itemsize": ffi.sizeof(ctype)})


def packer(name: str) -> struct.Struct:
    """
    All fields of a struct in their order as one `struct.Struct`: arrays of integers as so many numbers, of bytes
    (char, uint8_t longer than 8) as one byte string. Zeros fill what the compiler left free.

    Raises:
        AbiMismatch: a field that is no integer.
    """
    ctype, at, form = ffi.typeof(name), 0, "<"
    for _, field in ctype.fields:
        count, item = (field.type.length, field.type.item) if field.type.kind == "array" else (1, field.type)
        if item.kind != "primitive":
            raise AbiMismatch(f"{name}: {item.cname} is no integer")
        form += f"{field.offset - at}x" if field.offset > at else ""
        at = field.offset + ffi.sizeof(field.type)
        if (count > 8 and ffi.sizeof(item) == 1) or item.cname == "char":
            form += f"{count}s"
        else:
            code = _SIZES[ffi.sizeof(item)]
            form += str(count) + (code.upper() if item.cname.startswith("uint") else code)
    return struct.Struct(form + f"{ffi.sizeof(ctype) - at}x")


def verify() -> None:
    """
    Touch every struct and field, so that cffi compares header and compiled module now.

    Raises:
        AbiMismatch: naming the struct.
    """
    for name in STRUCTS:
        try:
            ctype = ffi.typeof(name)
            size = ffi.sizeof(ctype)
            for field, _ in ctype.fields:
                ffi.offsetof(ctype, field)
        except Exception as exc:
            raise AbiMismatch(f"{name}: {exc}; build again (make build)") from exc
        if size % 8:
            raise AbiMismatch(f"{name}: {size} bytes is no multiple of 8")


verify()
VERSION: int = lib.AE_ABI_VERSION
TICK = dtype_of(ffi.typeof("ae_tick_t"))
ACCOUNT = dtype_of(ffi.typeof("ae_account_t"))
ORDER = dtype_of(ffi.typeof("ae_order_t"))
CELL = dtype_of(ffi.typeof("ae_cell_t"))
LEVEL = dtype_of(ffi.typeof("ae_level_t"))
CONTROL_HEADER = dtype_of(ffi.typeof("ae_control_header_t"))
CONTROL_BLOCK = dtype_of(ffi.typeof("ae_control_block_t"))
BOOKS_HEADER = dtype_of(ffi.typeof("ae_books_header_t"))
FEATURE_ROW = dtype_of(ffi.typeof("ae_feature_row_t"))
BOOK_ENTRY = dtype_of(ffi.typeof("ae_book_entry_t"))
HIST = dtype_of(ffi.typeof("ae_hist_t"))
HIST_BLOCK = dtype_of(ffi.typeof("ae_hist_block_t"))
HIST_HEADER = dtype_of(ffi.typeof("ae_hist_header_t"))

KIND_BOOK_TICKER: int = lib.AE_KIND_BOOK_TICKER
KIND_TRADE: int = lib.AE_KIND_TRADE
KIND_AGG_TRADE: int = lib.AE_KIND_AGG_TRADE
KIND_DEPTH: int = lib.AE_KIND_DEPTH
KIND_DEPTH_SNAPSHOT: int = lib.AE_KIND_DEPTH_SNAPSHOT
KIND_MARK: int = lib.AE_KIND_MARK
KIND_KLINE: int = lib.AE_KIND_KLINE
KIND_FORCE_ORDER: int = lib.AE_KIND_FORCE_ORDER
KIND_TICKER_24H: int = lib.AE_KIND_TICKER_24H
KIND_BOOK_STATE: int = lib.AE_KIND_BOOK_STATE
FLAG_BEGIN: int = lib.AE_FLAG_BEGIN
FLAG_END: int = lib.AE_FLAG_END
FLAG_FILLED: int = lib.AE_FLAG_FILLED
FLAG_CLOSED: int = lib.AE_FLAG_CLOSED
FLAG_RPI: int = lib.AE_FLAG_RPI
FLAG_NO_FUNDING: int = lib.AE_FLAG_NO_FUNDING


def enum_names(name: str, prefix: str) -> dict[int, str]:
    """Value -> lower-case name of an enum of the header, without its prefix."""
    return {int(v): str(k).removeprefix(prefix).lower() for v, k in ffi.typeof(f"enum {name}").elements.items()}


REASONS = enum_names("ae_reason", "AE_REASON_")
WS_REASONS = enum_names("ae_ws_reason", "AE_WS_")
BOOK_REASONS = enum_names("ae_book_reason", "AE_BOOK_")
FEATURES = enum_names("ae_feature", "AE_FEATURE_")
KINDS = enum_names("ae_kind", "AE_KIND_")
HOPS = tuple(name for value, name in sorted(enum_names("ae_hop", "AE_HOP_").items()) if value < lib.AE_HOP_COUNT)
