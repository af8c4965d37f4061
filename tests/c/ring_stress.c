/* Stress of ring.c, three ways: "shadow" (plain memory published through the ring: ThreadSanitizer judges the
 * memory order), "torn" (checksummed records on a small ring that laps its reader: no torn or old record), "wait"
 * (a sleeping reader is woken; none lost). Exit 0 good, 1 wrong. */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#include "ae_internal.h"

#define SLOTS 16
#define WORDS 32

static uint64_t shadow[SLOTS];
static uint64_t acknowledged;
static int finished, failed;
static ae_ring_t ring;
static uint64_t total;
static int pace;

static void *write_all(void *arg)
{
    (void)arg;
    for (uint64_t n = 1; n <= total && !__atomic_load_n(&failed, __ATOMIC_RELAXED); n++) {
        uint64_t record[WORDS];
        if (pace) /* stay behind the reader: shadow memory and the waiting reader know no laps */
            while (n - __atomic_load_n(&acknowledged, __ATOMIC_ACQUIRE) > SLOTS / 2)
                sched_yield();
        if (pace == 1)
            shadow[n % SLOTS] = n;
        for (int w = 1; w < WORDS; w++)
            record[w] = n * 2654435761U + (uint64_t)w;
        ae_ring_publish(&ring, record, 1);
        if (pace == 2)
            ae_ring_wake(&ring);
    }
    __atomic_store_n(&finished, 1, __ATOMIC_RELEASE);
    return NULL;
}

static int check(const uint64_t *record, uint64_t seq)
{
    for (int w = 1; w < WORDS; w++)
        if (record[0] != seq || record[w] != seq * 2654435761U + (uint64_t)w)
            return 1;
    return pace == 1 && shadow[seq % SLOTS] != seq;
}

int main(int argc, char **argv)
{
    if (argc < 3)
        return 2;
    pace = strcmp(argv[1], "shadow") == 0 ? 1 : strcmp(argv[1], "wait") == 0 ? 2 : 0;
    total = strtoull(argv[2], NULL, 10);
    void *base = aligned_alloc(4096, 4096 + SLOTS * WORDS * 8);
    memset(base, 0, 4096 + SLOTS * WORDS * 8);
    ae_ring_init(base, SLOTS, WORDS * 8, "stress");
    if (ae_ring_check(base, ae_ring_bytes(SLOTS, WORDS * 8), SLOTS, WORDS * 8, "stress"))
        return 1;
    ae_ring_take(&ring, base, 1);
    ae_ring_t view;
    ae_ring_attach(&view, base);
    ae_cursor_t cursor = {0};
    pthread_t writer;
    pthread_create(&writer, NULL, write_all, NULL);
    uint64_t record[WORDS], got = 0, wrong = 0;
    while (cursor.taken < total && !wrong) {
        if (!__atomic_load_n(&finished, __ATOMIC_ACQUIRE) && pace == 2)
            ae_ring_wait(&view, &cursor, 100000000);
        if (!ae_ring_read(&view, &cursor, record, 1))
            continue;
        got++;
        wrong += (uint64_t)check(record, cursor.taken);
        __atomic_store_n(&acknowledged, cursor.taken, __ATOMIC_RELEASE);
    }
    __atomic_store_n(&failed, wrong != 0, __ATOMIC_RELAXED); /* ends write_all; orders nothing */
    pthread_join(writer, NULL);
    printf("%s: %llu taken, %llu lost, %llu laps, %llu wrong\n", argv[1], (unsigned long long)got,
           (unsigned long long)cursor.lost, (unsigned long long)cursor.laps, (unsigned long long)wrong);
    free(base);
    return wrong || got + cursor.lost != total || (pace && cursor.lost);
}
