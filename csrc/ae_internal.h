/* Include guard, system headers and memory-order names for the sources; the two it
 * includes must stay cffi-parsable. */
#ifndef AE_INTERNAL_H
#define AE_INTERNAL_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "aegis_abi.h" /* before aegis_api.h, which speaks of its structs */
#include "aegis_api.h"

/* The canary build: with every release weakened, ThreadSanitizer has to report the ring. */
#ifdef AE_MUTANT_RELAXED
#define AE_RELEASE __ATOMIC_RELAXED
#else
#define AE_RELEASE __ATOMIC_RELEASE
#endif

/* The frame nearly all are: a whole text message, unmasked, shortest form, under 64 KiB. Returns its header's bytes and
 * *payload, or 0: ae_ws_parse decides. What this takes, ae_ws_parse takes as the same frame. */
static inline uint32_t ae_ws_text(const uint8_t *data, uint32_t bytes, uint32_t payload_max, uint32_t *payload)
{
    if (bytes < 4 || data[0] != 0x81 || data[1] > 126)
        return 0;
    uint32_t header = data[1] == 126 ? 4 : 2;
    uint32_t length = data[1] == 126 ? (uint32_t)data[2] << 8 | data[3] : data[1];
    if ((header == 4 && length < 126) || length > payload_max || bytes - header < length)
        return 0;
    *payload = length;
    return header;
}

/* pump.c for loop.c: all under the market's lock but the first. */
void ae_market_lock(ae_market_t *market);
void ae_market_unlock(ae_market_t *market);
void ae_market_received(ae_market_t *market, int64_t stamp_ns);
void ae_market_flush(ae_market_t *market);
int ae_pump_frames(ae_pump_t *pump, uint32_t bytes, int64_t recv_ns);

#endif
