/* One measure of the ring, N times: instructions are counted from outside. Usage: count_ring WHAT N */
#include <stdio.h>
#include <stdlib.h>

#include "ae_internal.h"

#define SLOTS 4096U

int main(int argc, char **argv)
{
    static const char *const names[] = {"publish", "publish16", "read", "take", "conflate", "hop", "ready"};
    uint32_t what = 0;
    while (argc > 2 && what < 7 && strcmp(argv[1], names[what]) != 0)
        what++;
    if (argc < 3 || what == 7)
        return 2;
    uint32_t times = (uint32_t)strtoul(argv[2], NULL, 10) / 16 * 16;
    static ae_tick_t batch[SLOTS];
    static ae_take_t take;
    static ae_hist_block_t block;
    ae_ring_t ring;
    ae_cursor_t cursor = {0, 0, 0};
    ae_wait_t wait;
    void *base = aligned_alloc(4096, ae_ring_bytes(SLOTS, AE_TICK_BYTES));
    memset(base, 0, ae_ring_bytes(SLOTS, AE_TICK_BYTES));
    ae_ring_init(base, SLOTS, AE_TICK_BYTES, "count");
    ae_ring_take(&ring, base, 1);
    ae_take_init(&take, NULL);
    ae_wait_init(&wait, AE_WAIT_BLOCK, 0);
    ae_wait_ring(&wait, 0, &ring, &cursor);
    for (uint32_t i = 0; i < SLOTS; i++) {
        batch[i].kind = AE_KIND_BOOK_TICKER;
        batch[i].symbol = (uint16_t)(i % 50);
    }
    uint64_t sum = 0;
    ae_ring_publish(&ring, batch, SLOTS / 2); /* the same for any count; what is read ends there */
    cursor.taken = SLOTS / 2 - (what <= 4 ? times : 0);
    if (what == 3)
        sum += (uint64_t)ae_take(&take, &ring, &cursor, batch, 16, 0); /* the first batch is judged, the next flow */
    switch (what) {
    case 0:
        for (uint32_t i = 0; i < times; i++)
            ae_ring_publish(&ring, batch, 1);
        break;
    case 1:
        for (uint32_t i = 0; i < times; i += 16)
            ae_ring_publish(&ring, batch, 16);
        break;
    case 2:
        sum += (uint64_t)ae_ring_read(&ring, &cursor, batch, SLOTS);
        break;
    case 5:
        for (uint32_t i = 0; i < times; i++)
            ae_hist_add(&block, AE_HOP_TAKEN, (int64_t)i * 37);
        break;
    case 6:
        for (uint32_t i = 0; i < times; i++)
            sum += (uint64_t)ae_wait_any(&wait, 0);
        break;
    default:
        sum += (uint64_t)ae_take(&take, &ring, &cursor, batch, SLOTS, what == 4);
    }
    printf("%llu\n", (unsigned long long)sum);
    free(base);
    return 0;
}
