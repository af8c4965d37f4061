/* Folds argv[1] quotes (argv[2] = 1: trades) of a few symbols, for counting instructions. */
#include "ae_internal.h"

#include <stdlib.h>

int main(int argc, char **argv)
{
    int rounds = argc > 1 ? atoi(argv[1]) : 0, trades = argc > 2 && atoi(argv[2]);
    ae_features_t *features = calloc(1, sizeof *features);
    ae_tick_t tick = {.px_exp = 1, .qty_exp = 3};
    uint64_t changed = 0;
    for (int i = 0; features && i < rounds; i++) {
        tick.symbol = (uint16_t)(i % 7);
        tick.recv_ns = 1000000 * (int64_t)i;
        tick.kind = trades ? AE_KIND_TRADE : AE_KIND_BOOK_TICKER;
        tick.a = 1000000 + i % 5;
        tick.b = 1000 + i % 13;
        tick.c = 1000010 + i % 3;
        tick.d = trades ? (i & 1) * 2 - 1 : 500 + i % 17;
        changed += (uint64_t)ae_features_fold(features, &tick, 1);
#ifdef AE_MUTANT_SLOW
        changed += (uint64_t)ae_features_fold(features, &tick, 1);
#endif
    }
    free(features);
    return changed < (uint64_t)rounds;
}
