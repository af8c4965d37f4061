/* The two lists of a depth frame -> level records. */
#ifndef AE_LEVELS_H
#define AE_LEVELS_H

#include "digits.h"
#include "scan.h"

/* Where level records go. `like` is a level record of this run but for price, quantity and exponents above the
 * symbol's; `plan` may start out not ready and is made from the first level that allows it; digits NULL: one by one. */
typedef struct ae_levels {
    const uint8_t *from; /* first byte of the frame */
    const uint8_t *end;
    const ae_digits_t *digits;
    ae_level_plan_t *plan;
    ae_tick_t like;
    ae_tick_t *out;
    uint32_t out_max;
    uint32_t count; /* records in out, the header included */
    uint32_t depth; /* brackets around a number of a level */
} ae_levels_t;

uint32_t ae_levels_read(ae_levels_t *l, const uint8_t *p, const uint8_t **after);

/* Texts of numbers -> integers; each returns 0 or a reason. */
uint32_t ae_to_int(const ae_span_t *v, int64_t *out);
uint32_t ae_to_mantissas(const ae_span_t *const *from, uint32_t count, uint8_t *exp, int64_t *const *to);

#endif
