/* Stress of wait.c: two ring writers and one writer of an event descriptor, each sending its next only when the last
 * was taken, so that one lost wake stops everything and shows as a time-out. "block", "adaptive", "spin", "single"
 * (kernel without futex_waitv), "alone" (block on one ring, where no other source covers a lost wake). The descriptor
 * counts down in steps, so it stays ready without a new edge. Exit 0 good, 1 wrong. */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "ae_internal.h"

#define SLOTS 8
#define STEPS 3
#define LIMIT_NS 4000000000

typedef struct source {
    ae_ring_t ring;
    uint64_t taken; /* by the waiting thread */
    int fd;
} source_t;

static uint64_t total;

static void *publish_all(void *arg)
{
    source_t *source = arg;
    for (uint64_t n = 1; n <= total; n++) {
        uint64_t record[2] = {0, n};
        while (__atomic_load_n(&source->taken, __ATOMIC_ACQUIRE) < n - 1)
            sched_yield();
        ae_ring_publish(&source->ring, record, 1);
        ae_ring_wake(&source->ring);
    }
    return NULL;
}

static void *signal_all(void *arg)
{
    source_t *source = arg;
    for (uint64_t n = 0; n < total; n += STEPS) {
        uint64_t steps = STEPS;
        while (__atomic_load_n(&source->taken, __ATOMIC_ACQUIRE) < n)
            sched_yield();
        if (write(source->fd, &steps, sizeof steps) != sizeof steps)
            return NULL;
    }
    return NULL;
}

static void take_ring(source_t *source, ae_cursor_t *cursor, uint64_t *wrong)
{
    uint64_t record[2];
    while (ae_ring_read(&source->ring, cursor, record, 1) == 1)
        *wrong += record[1] != cursor->taken;
    __atomic_store_n(&source->taken, cursor->taken, __ATOMIC_RELEASE);
}

int main(int argc, char **argv)
{
    static const char *const names[] = {"block", "adaptive", "spin", "single", "alone"};
    uint32_t how = 0;
    while (how < 5 && argc > 2 && strcmp(argv[1], names[how]) != 0)
        how++;
    if (argc < 3 || how > 4)
        return 2;
    total = strtoull(argv[2], NULL, 10) / STEPS * STEPS;
    static source_t source[3];
    ae_cursor_t cursor[2] = {{0}, {0}};
    ae_wait_t wait;
    pthread_t thread[3];
    ae_wait_init(&wait, how < 3 ? how : AE_WAIT_BLOCK, 5000);
    wait.single = how == 3;
    void *bases[2];
    for (uint32_t i = 0; i < 2; i++) {
        bases[i] = aligned_alloc(4096, 8192);
        memset(bases[i], 0, 8192);
        ae_ring_init(bases[i], SLOTS, 16, "stress");
        ae_ring_take(&source[i].ring, bases[i], 1);
        ae_wait_ring(&wait, i * 2, &source[i].ring, &cursor[i]);
    }
    int inner = epoll_create1(0);
    source[2].fd = eventfd(0, EFD_SEMAPHORE | EFD_NONBLOCK);
    struct epoll_event event = {.events = EPOLLIN};
    if (epoll_ctl(inner, EPOLL_CTL_ADD, source[2].fd, &event) || ae_wait_watch(&wait, inner))
        return 1;
    uint64_t signals = how == 4 ? total : 0, wrong = 0, idle = 0;
    cursor[1].taken = source[1].taken = signals; /* alone: nothing to come from these */
    for (uint32_t i = 0; i < (how == 4 ? 1U : 3U); i++)
        pthread_create(&thread[i], NULL, i == 2 ? signal_all : publish_all, &source[i]);
    while (signals < total || cursor[0].taken < total || cursor[1].taken < total) {
        for (volatile uint64_t late = cursor[0].taken % 256 * 4; late; late--) /* meet the writer anywhere */
            continue;
        int64_t begun = ae_hist_now();
        int mask = ae_wait_any(&wait, LIMIT_NS);
        if (mask == 0 || ae_hist_now() - begun >= LIMIT_NS) { /* found by the time-out */
            idle++;
            break;
        }
        for (uint32_t i = 0; i < 2; i++)
            if (mask & 1 << i * 2)
                take_ring(&source[i], &cursor[i], &wrong);
        uint64_t one;
        if (mask & AE_WAIT_FD && epoll_wait(inner, &event, 1, 0) == 1 && read(source[2].fd, &one, sizeof one) > 0)
            __atomic_store_n(&source[2].taken, ++signals, __ATOMIC_RELEASE);
    }
    printf("%s: %llu and %llu records, %llu signals, %llu wrong, %llu time-outs\n", argv[1],
           (unsigned long long)cursor[0].taken, (unsigned long long)cursor[1].taken, (unsigned long long)signals,
           (unsigned long long)wrong, (unsigned long long)idle);
    if (idle)
        return 1; /* the writers wait for ever */
    for (uint32_t i = 0; i < (how == 4 ? 1U : 3U); i++)
        pthread_join(thread[i], NULL);
    int quiet = ae_wait_any(&wait, 1000000);
    ae_wait_close(&wait);
    ae_wait_close(&wait);
    for (uint32_t i = 0; i < 2; i++)
        free(bases[i]);
    close(inner);
    close(source[2].fd);
    return wrong || quiet;
}
