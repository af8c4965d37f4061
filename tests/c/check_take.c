/* Batches in memory of exactly their room, on a ring that laps its reader now and then, between batches and within one:
 * no byte written beside them; every record is given, conflated, cut or lost, once; within a batch no half run. */
#include <pthread.h>
#include <stdlib.h>

#include "ae_internal.h"

#define SLOTS 256
#define FEW 16
#define SYMBOLS 5U

static uint64_t luck = 1;

static uint32_t draw(uint32_t below)
{
    luck = luck * 6364136223846793005ULL + 1442695040888963407ULL;
    return (uint32_t)((luck >> 33) % below);
}

static void publish_event(ae_ring_t *ring)
{
    ae_tick_t run[6];
    memset(run, 0, sizeof run);
    uint32_t kind = 1 + draw(10);
    int many = kind == AE_KIND_DEPTH || kind == AE_KIND_DEPTH_SNAPSHOT;
    int pair = kind == AE_KIND_KLINE || kind == AE_KIND_TICKER_24H;
    uint32_t count = many ? 1 + draw(6) : pair ? 2 : 1, symbol = draw(SYMBOLS);
    if (symbol == SYMBOLS - 1)
        symbol = AE_SYMBOLS_MAX - 1 + draw(2); /* the last place, and one that is none */
    for (uint32_t i = 0; i < count; i++) {
        run[i].kind = (uint8_t)kind;
        run[i].symbol = (uint16_t)symbol;
        if (many || pair)
            run[i].flags = (uint8_t)((i == 0 ? AE_FLAG_BEGIN : 0) | (i + 1 == count ? AE_FLAG_END : 0));
    }
    ae_ring_publish(ring, run, count);
}

static int round_of(ae_ring_t *ring, const void *page)
{
    static ae_take_t take;
    ae_cursor_t cursor = {ae_ring_newest(ring), 0, 0};
    uint64_t begun = cursor.taken, given = 0;
    uint32_t room = 1 + draw(60);
    ae_tick_t *out = malloc(room * sizeof *out);
    ae_take_init(&take, draw(2) ? page : NULL);
    for (int turn = 0; turn < 50; turn++) {
        for (uint32_t events = draw(draw(20) ? 12 : 400); events; events--)
            publish_event(ring);
        int got = ae_take(&take, ring, &cursor, out, room, draw(3) * 20);
        for (int i = 0; i < got; i++)
            if (out[i].kind == 0 || out[i].seq > cursor.taken || (i && out[i].seq <= out[i - 1].seq))
                return 1;
        given += (uint64_t)got;
        if (given + take.conflated + take.cut + cursor.lost != cursor.taken - begun)
            return 1;
    }
    free(out);
    return 0;
}

static void *publish_many(void *arg)
{
    for (int i = 0; i < 300000; i++)
        publish_event(arg);
    return NULL;
}

/* 1 when a run begins within the batch, other records follow, and its end is not there. */
static int half_run(const ae_tick_t *out, int count)
{
    const ae_tick_t *open = NULL;
    for (int i = 0; i < count; i++) {
        if (open && (out[i].flags & AE_FLAG_BEGIN || out[i].kind != open->kind || out[i].symbol != open->symbol))
            return 1;
        if (out[i].flags & AE_FLAG_BEGIN)
            open = &out[i];
        if (out[i].flags & AE_FLAG_END)
            open = NULL;
    }
    return 0;
}

/* The writer runs while batches are taken: laps strike within a batch. */
static int race(void *base, const void *page)
{
    static ae_take_t take;
    static ae_tick_t out[SLOTS];
    ae_cursor_t cursor = {0, 0, 0};
    uint64_t begun = 0, given = 0;
    ae_ring_t ring, view;
    pthread_t writer;
    int wrong = 0;
    memset(base, 0, ae_ring_bytes(FEW, AE_TICK_BYTES));
    ae_ring_init(base, FEW, AE_TICK_BYTES, "race");
    ae_ring_take(&ring, base, 1);
    ae_ring_attach(&view, base);
    ae_take_init(&take, page);
    pthread_create(&writer, NULL, publish_many, &ring);
    for (uint64_t turn = 0; turn < 100000 || cursor.taken < ae_ring_newest(&view); turn++) {
        int got = ae_take(&take, &view, &cursor, out, SLOTS, turn % 2 * 20);
        given += (uint64_t)got;
        wrong |= half_run(out, got);
    }
    pthread_join(writer, NULL);
    given += (uint64_t)ae_take(&take, &view, &cursor, out, SLOTS, 0);
    return wrong || given + take.conflated + take.cut + cursor.lost != cursor.taken - begun;
}

static void publish_run(ae_ring_t *ring, uint8_t kind, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        ae_tick_t t = {.kind = kind};
        if (kind == AE_KIND_DEPTH_SNAPSHOT)
            t.flags = (uint8_t)((i == 0 ? AE_FLAG_BEGIN : 0) | (i + 1 == count ? AE_FLAG_END : 0));
        ae_ring_publish(ring, &t, 1);
    }
}

/* A lap planted within a batch: record 4 of a run of 6 is already the next round's. What was given of the run is taken
 * back, and nothing later is replaced in its stead; landing within the next run, that one is cut too. */
static int planted_lap(void *base, uint32_t trades)
{
    static ae_take_t take;
    ae_tick_t out[FEW];
    ae_cursor_t cursor = {0, 0, 0};
    ae_ring_t ring;
    memset(base, 0, ae_ring_bytes(FEW, AE_TICK_BYTES));
    ae_ring_init(base, FEW, AE_TICK_BYTES, "lap");
    ae_ring_take(&ring, base, 1);
    ae_take_init(&take, NULL);
    publish_run(&ring, AE_KIND_DEPTH_SNAPSHOT, 6);
    publish_run(&ring, AE_KIND_TRADE, trades);
    publish_run(&ring, AE_KIND_DEPTH_SNAPSHOT, 10 - trades);
    ((ae_tick_t *)(void *)ring.slots)[3].seq = ring.header->head = FEW + 4;
    int got = ae_take(&take, &ring, &cursor, out, FEW, 1);
    if (trades == 5)
        return got || take.cut != 3 + 4 || take.conflated || cursor.lost != 9;
    return got != 4 || out[0].seq != 13 || out[3].seq != 16 || take.cut != 3 || take.conflated || cursor.lost != 9;
}

static int edges(ae_hist_block_t *block)
{
    for (uint32_t bit = 0; bit < 63; bit++)
        for (int64_t off = -1; off <= 1; off++)
            ae_hist_add(block, AE_HOP_GATED, ((int64_t)1 << bit) + off);
    ae_hist_add(block, AE_HOP_GATED, INT64_MAX);
    ae_hist_add(block, AE_HOP_GATED, INT64_MIN);
    ae_hist_add(block, AE_HOPS, 1);
    ae_hist_add(NULL, AE_HOP_GATED, 1);
    ae_hist_t copy;
    uint64_t count = 0;
    ae_hist_copy(block, AE_HOP_GATED, &copy);
    for (uint32_t i = 0; i < AE_HIST_CELLS; i++)
        count += copy.cells[i];
    ae_hist_copy(block, AE_HOPS, &copy);
    return count != 63 * 3 + 2 || copy.max;
}

int main(void)
{
    void *base = aligned_alloc(4096, ae_ring_bytes(SLOTS, AE_TICK_BYTES));
    uint8_t *page = calloc(1, AE_BOOKS_HEADER_BYTES + 2 * sizeof(ae_book_entry_t));
    ae_hist_block_t *block = calloc(1, sizeof *block);
    memset(base, 0, ae_ring_bytes(SLOTS, AE_TICK_BYTES));
    ae_books_header_t *header = (ae_books_header_t *)(void *)page;
    header->count = 2;
    ((ae_book_entry_t *)(void *)(page + AE_BOOKS_HEADER_BYTES))->with_book = 1;
    ae_ring_t ring;
    ae_ring_init(base, SLOTS, AE_TICK_BYTES, "take");
    ae_ring_take(&ring, base, 1);
    int wrong = edges(block);
    for (int i = 0; i < 2000 && !wrong; i++)
        wrong = round_of(&ring, page);
    wrong = wrong || planted_lap(base, 8) || planted_lap(base, 5);
    for (int i = 0; i < 5 && !wrong; i++)
        wrong = race(base, page);
    free(base);
    free(page);
    free(block);
    return wrong;
}
