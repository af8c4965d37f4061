/* What a connection's frames looked like so far, and the reading of the next one by it. Used by tick.c. */
#ifndef AE_PREDICT_H
#define AE_PREDICT_H

#include "levels.h"
#include "scan.h"

/* A shape seen: how the frame looks, and what its numbers mean. Of a depth frame `look` is what stands before the
 * first level. */
typedef struct ae_shape {
    ae_layout_t look;
    ae_level_plan_t plan;
    uint16_t symbol;
    uint8_t kind;
    uint8_t flags;
    uint8_t px_exp;
    uint8_t qty_exp;
    uint8_t first_side;
    uint8_t middle_bytes;
    uint8_t tail_bytes;
    int8_t side;
    uint8_t depth;
    uint8_t reserved[5];
    uint8_t middle[24];
    uint8_t tail[24];
} ae_shape_t;

/* A general answer to learn from: `body` is at the brace of the event's object, `members` are of it. */
typedef struct ae_lesson {
    const uint8_t *data;
    uint32_t bytes;
    const uint8_t *body;
    const ae_members_t *members;
    const ae_level_plan_t *plan;
    const ae_tick_t *out;
    const ae_parsed_t *parsed;
} ae_lesson_t;

#define AE_PREDICT_SETS 512
#define AE_PREDICT_LEAST 72

/* Two shapes a set; tags: their keys (0 none); seen: the key that last found nothing in a set. */
struct ae_predict {
    uint64_t tags[AE_PREDICT_SETS][2];
    uint64_t seen[AE_PREDICT_SETS];
    uint64_t hits;
    uint64_t learned;
    const ae_digits_t *digits;
    ae_shape_t shapes[AE_PREDICT_SETS][2];
};

int ae_predict_take(ae_predict_t *p, const uint8_t *data, uint32_t bytes, ae_tick_t *out, uint32_t out_max,
                    ae_parsed_t *parsed);
void ae_predict_learn(ae_predict_t *p, const ae_lesson_t *lesson, const ae_symtab_t *tab);

#endif
