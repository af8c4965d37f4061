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

#endif
