/* The ring against the cache line: two pinned threads, all measures taking turns in short slices of one run.
 *
 *   bare       round trip of one word in one line, there and back in another: the limit of a round trip
 *   lines      one word in each of a row of lines, written here and read there: the limit of throughput
 *   ring       ae_ring_put and ae_ring_read, 64-byte records
 *   spsc       a queue in the style of rigtorp::SPSCQueue, written here for this comparison, 64-byte records
 *
 * Each round prints one line: ns of a round trip of bare, ring, spsc, bare again; ns a record of lines, ring one by one,
 * ring in batches of 16, spsc, lines again. The reader of a stream keeps up by construction: the writer waits when it
 * is half a ring ahead, the same way for all. Usage: ring ROUNDS ROUND_TRIPS RECORDS */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "ae_ring.h"

#define SLOTS 4096U
#define WINDOW (SLOTS / 2)
#define ACK_EVERY 64U
#define BATCH 16U

typedef struct line {
    uint64_t value;
    uint64_t rest[7];
} line_t;

/* Written and read index, each with its owner's copy of the other on the same line. */
typedef struct spsc {
    _Alignas(128) line_t write;
    _Alignas(128) line_t read;
    line_t slots[SLOTS];
} spsc_t;

enum measure { BARE, RING, SPSC, BARE_AGAIN, LINES, RING_1, RING_16, SPSC_STREAM, LINES_AGAIN, WORDS, MEASURES };

static _Alignas(128) line_t there;
static _Alignas(128) line_t back;
static _Alignas(128) line_t ack;
static _Alignas(128) line_t go;
static _Alignas(128) line_t done;
static _Alignas(128) line_t row[SLOTS];
static _Alignas(128) spsc_t queue[2];
/* One direction: what its writer and its reader own, on lines of their own. */
typedef struct way {
    _Alignas(128) ae_ring_t ring;
    _Alignas(128) ae_ring_t view;
    ae_cursor_t cursor;
} way_t;
static way_t way[2];
static _Alignas(128) uint64_t trips;
static uint64_t records, sunk;

static uint64_t get(const uint64_t *p) { return __atomic_load_n(p, __ATOMIC_ACQUIRE); } /* partner: put */
static void put(uint64_t *p, uint64_t v) { __atomic_store_n(p, v, __ATOMIC_RELEASE); }  /* partner: get */

/* All of a line, its number last. */
static void put_line(line_t *to, const line_t *from, uint64_t number)
{
    for (int i = 1; i < 7; i += 2)
        memcpy(&to->rest[i], &from->rest[i], 16); /* aligned pairs: the quickest way found to fill a line */
    to->rest[0] = from->rest[0];
    put(&to->value, number);
}

static void spsc_push(spsc_t *q, const line_t *record)
{
    uint64_t at = q->write.value, next = (at + 1) % SLOTS;
    while (next == q->write.rest[0])
        q->write.rest[0] = get(&q->read.value);
    q->slots[at] = *record;
    put(&q->write.value, next);
}

static void spsc_pop(spsc_t *q, line_t *record)
{
    uint64_t at = q->read.value;
    while (at == q->read.rest[0])
        q->read.rest[0] = get(&q->write.value);
    *record = q->slots[at];
    put(&q->read.value, (at + 1) % SLOTS);
}

static void ring_take(int which, line_t *record)
{
    while (ae_ring_read(&way[which].view, &way[which].cursor, record, 1) != 1)
        continue;
}

static void trip(int measure, int me, uint64_t from)
{
    line_t record = {0, {1, 2, 3, 4, 5, 6, 7}};
    uint64_t *mine = me ? &back.value : &there.value, *other = me ? &there.value : &back.value;
    for (uint64_t i = from; i < from + trips; i++) {
        if (me == 0 && measure == RING)
            ae_ring_put(&way[0].ring, &record, 1);
        else if (me == 0 && measure == SPSC)
            spsc_push(&queue[0], &record);
        else if (me == 0)
            put(mine, i + 1);
        if (measure == RING)
            ring_take(!me, &record);
        else if (measure == SPSC)
            spsc_pop(&queue[!me], &record);
        else
            while (get(other) != i + 1)
                continue;
        if (me == 1 && measure == RING)
            ae_ring_put(&way[1].ring, &record, 1);
        else if (me == 1 && measure == SPSC)
            spsc_push(&queue[1], &record);
        else if (me == 1)
            put(mine, i + 1);
    }
}

/* BATCH records from `batch`, numbered from `number` on, in the way of one measure; in loops of their own, so that the
 * needs of others spill no register into memory. */
static void write_batch(int measure, const line_t *batch, uint64_t number)
{
    line_t *to = &row[number % SLOTS];
    if (measure == RING_16)
        ae_ring_put(&way[0].ring, batch, BATCH);
    else if (measure == RING_1)
        for (uint32_t i = 0; i < BATCH; i++)
            ae_ring_put(&way[0].ring, batch + i, 1);
    else if (measure == SPSC_STREAM)
        for (uint32_t i = 0; i < BATCH; i++)
            spsc_push(&queue[0], batch + i);
    else if (measure == WORDS)
        for (uint32_t i = 0; i < BATCH; i++)
            put(&to[i].value, number + i + 1);
    else
        for (uint32_t i = 0; i < BATCH; i++)
            put_line(&to[i], &batch[i], number + i + 1);
}

static void write_stream(int measure, uint64_t from)
{
    static _Alignas(128) line_t ready[WINDOW]; /* made before: a copy right behind its own stores would measure those */
    uint64_t seen = from;
    for (uint64_t i = from; i < from + records; i += BATCH) {
        while (measure != SPSC_STREAM && i - seen >= WINDOW)
            seen = get(&ack.value);
        write_batch(measure, &ready[i % WINDOW], i);
    }
}

static void read_stream(int measure, uint64_t from)
{
    static _Alignas(128) line_t batch[ACK_EVERY];
    uint64_t sum = 0, told = from;
    for (uint64_t i = from; i < from + records;) {
        if (measure == SPSC_STREAM) {
            spsc_pop(&queue[0], batch);
            i++;
        } else if (measure == RING_1 || measure == RING_16) {
            i += (uint64_t)ae_ring_read(&way[0].view, &way[0].cursor, batch, ACK_EVERY);
        } else {
            while (get(&row[i % SLOTS].value) != i + 1)
                continue;
            if (measure != WORDS)
                memcpy(batch, &row[i % SLOTS], sizeof *batch);
            i++;
        }
        sum += batch[0].rest[0];
        if (i - told >= ACK_EVERY || i == from + records) {
            put(&ack.value, i);
            told = i;
        }
    }
    sunk += sum;
}

static void work(int me, int measure, uint64_t trip_from, uint64_t stream_from)
{
    if (measure <= BARE_AGAIN)
        trip(measure, me, trip_from);
    else if (me)
        read_stream(measure, stream_from);
    else
        write_stream(measure, stream_from);
}

static void pin(size_t cpu)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    pthread_setaffinity_np(pthread_self(), sizeof set, &set); /* refused: measured unpinned */
}

static _Alignas(128) uint64_t bare_trips, line_records; /* the plain words go on counting over the slices */
static int stopping;

static void *second(void *arg)
{
    (void)arg;
    pin(1);
    for (uint64_t turn = 1;; turn++) {
        while (get(&go.value) < turn)
            continue;
        if (stopping)
            return NULL;
        int measure = (int)go.rest[0];
        put(&done.value, turn * 2 - 1); /* here we are */
        work(1, measure, bare_trips, line_records);
        put(&done.value, turn * 2);
    }
}

static double slice(int measure, uint64_t turn)
{
    struct timespec a, b;
    go.rest[0] = (uint64_t)measure;
    put(&ack.value, line_records);
    put(&go.value, turn);
    while (get(&done.value) < turn * 2 - 1)
        continue;
    clock_gettime(CLOCK_MONOTONIC, &a);
    work(0, measure, bare_trips, line_records);
    while (get(&done.value) < turn * 2)
        continue;
    clock_gettime(CLOCK_MONOTONIC, &b);
    double ns = (double)(b.tv_sec - a.tv_sec) * 1e9 + (double)(b.tv_nsec - a.tv_nsec);
    if (measure == BARE || measure == BARE_AGAIN)
        bare_trips += trips;
    if (measure == LINES || measure == LINES_AGAIN || measure == WORDS)
        line_records += records;
    return ns / (double)(measure <= BARE_AGAIN ? trips : records);
}

int main(int argc, char **argv)
{
    if (argc < 4)
        return 2;
    uint64_t rounds = strtoull(argv[1], NULL, 10), turn = 0;
    trips = strtoull(argv[2], NULL, 10);
    records = strtoull(argv[3], NULL, 10) / BATCH * BATCH;
    for (int i = 0; i < 2; i++) {
        void *base = aligned_alloc(4096, ae_ring_bytes(SLOTS, 64));
        memset(base, 0, ae_ring_bytes(SLOTS, 64));
        ae_ring_init(base, SLOTS, 64, "bench");
        ae_ring_take(&way[i].ring, base, 1);
        ae_ring_attach(&way[i].view, base);
    }
    pthread_t thread;
    pthread_create(&thread, NULL, second, NULL);
    pin(0);
    for (uint64_t round = 0; round <= rounds; round++) { /* the first one warms up */
        double ns[MEASURES];
        for (int measure = 0; measure < MEASURES; measure++)
            ns[measure] = slice(measure, ++turn);
        for (int measure = 0; round && measure < MEASURES; measure++)
            printf("%.2f%c", ns[measure], measure + 1 < MEASURES ? ' ' : '\n');
    }
    stopping = 1;
    put(&go.value, turn + 1);
    pthread_join(thread, NULL);
    if (way[0].cursor.lost || way[1].cursor.lost)
        return 1; /* a reader was lapped: nothing above counts */
    return sunk == 1;
}
