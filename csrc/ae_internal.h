/* Include guard, system headers and memory-order names for the sources; aegis_abi.h itself must stay cffi-parsable. */
#ifndef AE_INTERNAL_H
#define AE_INTERNAL_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "aegis_abi.h"

/* The canary build: with every release weakened, ThreadSanitizer has to report the ring. */
#ifdef AE_MUTANT_RELAXED
#define AE_RELEASE __ATOMIC_RELAXED
#else
#define AE_RELEASE __ATOMIC_RELEASE
#endif

/* pump.c for loop.c: all under the market's lock but the first. */
void ae_market_lock(ae_market_t *market);
void ae_market_unlock(ae_market_t *market);
void ae_market_received(ae_market_t *market, int64_t stamp_ns);
void ae_market_flush(ae_market_t *market);
int ae_pump_frames(ae_pump_t *pump, uint32_t bytes, int64_t recv_ns);

#endif
