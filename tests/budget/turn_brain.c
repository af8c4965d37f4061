/* argv[1] rounds of one quote published, and with argv[2] = 1 taken by a turn of the brain (no desk), for counting
 * instructions. */
#include "ae_internal.h"

#include <stdlib.h>

int main(int argc, char **argv)
{
    int rounds = argc > 1 ? atoi(argv[1]) : 0, turns = argc > 2 && atoi(argv[2]);
    void *base = aligned_alloc(4096, ae_ring_bytes(64, AE_TICK_BYTES));
    ae_turn_t *turn = calloc(1, sizeof *turn);
    ae_features_t *features = calloc(1, sizeof *features);
    ae_hist_block_t *hist = calloc(1, sizeof *hist);
    if (!base || !turn || !features || !hist)
        return 2;
    memset(base, 0, ae_ring_bytes(64, AE_TICK_BYTES));
    ae_ring_init(base, 64, AE_TICK_BYTES, "market");
    ae_ring_t writer, reader;
    ae_ring_take(&writer, base, 1);
    ae_ring_attach(&reader, base);
    ae_wait_t wait;
    ae_cursor_t cursor = {0};
    ae_wait_init(&wait, AE_WAIT_BLOCK, 0);
    ae_turn_init(turn, &wait, features, 1000000000, 1000000);
    turn->hist = hist;
    ae_turn_market(turn, &reader, &cursor, NULL);
    ae_tick_t tick = {.kind = AE_KIND_BOOK_TICKER, .px_exp = 1, .qty_exp = 3, .a = 100000, .b = 5, .c = 100001, .d = 7};
    int missed = 0;
    for (int i = 0; i < rounds; i++) {
        tick.recv_ns = 1 + i;
        tick.b = 5 + i % 3;
        ae_ring_publish(&writer, &tick, 1);
        if (turns)
            missed += !(ae_turn_step(turn, 0) & AE_TURN_MARKET);
#ifdef AE_MUTANT_SLOW
        if (turns)
            missed += ae_turn_step(turn, 0) & AE_TURN_MARKET;
#endif
    }
    return missed > 0;
}
