/* What a hop costs: one clock_gettime and one ae_hist_add, against a pair of clock_gettime, in turns. Prints per round
 * the ns of the hop, of the pair, of the add alone. Usage: hist ROUNDS HOPS */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "ae_internal.h"

static ae_hist_block_t block;

static double since(const struct timespec *a)
{
    struct timespec b;
    clock_gettime(CLOCK_MONOTONIC, &b);
    return (double)(b.tv_sec - a->tv_sec) * 1e9 + (double)(b.tv_nsec - a->tv_nsec);
}

int main(int argc, char **argv)
{
    if (argc < 3)
        return 2;
    long rounds = atol(argv[1]), hops = atol(argv[2]);
    int64_t sunk = 0;
    ae_hist_begin(&block, 1, 1);
    for (long round = 0; round < rounds; round++) {
        struct timespec a;
        double ns[3];
        int64_t before = ae_hist_now();
        clock_gettime(CLOCK_MONOTONIC, &a);
        for (long i = 0; i < hops; i++) {
            int64_t now = ae_hist_now();
            ae_hist_add(&block, (uint32_t)i % AE_HOP_COUNT, now - before);
            before = now;
        }
        ns[0] = since(&a) / (double)hops;
        clock_gettime(CLOCK_MONOTONIC, &a);
        for (long i = 0; i < hops; i++) {
            int64_t first = ae_hist_now();
            sunk += ae_hist_now() - first;
        }
        ns[1] = since(&a) / (double)hops;
        clock_gettime(CLOCK_MONOTONIC, &a);
        for (long i = 0; i < hops; i++)
            ae_hist_add(&block, (uint32_t)i % AE_HOP_COUNT, i * 37 % 100000);
        ns[2] = since(&a) / (double)hops;
        printf("%.2f %.2f %.2f\n", ns[0], ns[1], ns[2]);
    }
    return sunk < 0;
}
