/* Latency histograms in shared memory, always on: adding a value is a shift, an increment and a compare.
 *
 * Cells are log-linear: 32 to each power of two, so a cell is at most 1/32 of its value wide; below 32 ns each value
 * has its own. The last cell also holds everything longer than it (18 minutes); `max` is exact. Each block has one
 * writer, so an increment needs no locked instruction; readers in other processes see whole words. */
#define _GNU_SOURCE
#include "ae_internal.h"

#include <time.h>

#define SUB_BITS 5
#define SUB (1U << SUB_BITS)
#define VALUE_BITS 40

/* Wall clock in ns, the clock of the kernel's receive stamps. Any thread. Allocates: no. */
int64_t ae_hist_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static uint32_t cell_of(uint64_t value)
{
    if (value < SUB)
        return (uint32_t)value;
    if (value >> VALUE_BITS)
        return AE_HIST_CELLS - 1;
    uint32_t shift = (uint32_t)(63 - __builtin_clzll(value)) - SUB_BITS;
    return shift * SUB + (uint32_t)(value >> shift);
}

/* Count one duration of `ns` at a hop. block NULL: nothing is measured. Only the block's writer thread may call.
 * Allocates: no. */
void ae_hist_add(ae_hist_block_t *block, uint32_t hop, int64_t ns)
{
    if (!block || hop >= AE_HOPS)
        return;
    ae_hist_t *hist = &block->hops[hop];
    if (ns < 0) {
        __atomic_store_n(&hist->backwards, hist->backwards + 1, __ATOMIC_RELAXED); /* seen by ae_hist_copy */
        ns = 0;
    }
    uint64_t *cell = &hist->cells[cell_of((uint64_t)ns)];
    __atomic_store_n(cell, *cell + 1, __ATOMIC_RELAXED); /* seen by ae_hist_copy; one writer, so no locked add */
    if (ns > hist->max)
        __atomic_store_n(&hist->max, ns, __ATOMIC_RELAXED); /* seen by ae_hist_copy */
}

/* A new process takes its block: all its histograms start empty (and their pages are in memory). */
void ae_hist_begin(ae_hist_block_t *block, uint64_t pid, int64_t now_ns)
{
    memset(block->hops, 0, sizeof block->hops);
    block->since_ns = now_ns;
    __atomic_store_n(&block->pid, pid, AE_RELEASE); /* seen by readers that show the pid; orders nothing else */
}

/* Copy one hop's histogram, any process. A value counted meanwhile may be in or out, never half. */
void ae_hist_copy(const ae_hist_block_t *block, uint32_t hop, ae_hist_t *out)
{
    memset(out, 0, sizeof *out);
    if (hop >= AE_HOPS)
        return;
    const ae_hist_t *hist = &block->hops[hop];
    for (uint32_t i = 0; i < AE_HIST_CELLS; i++)
        out->cells[i] = __atomic_load_n(&hist->cells[i], __ATOMIC_RELAXED); /* partner: ae_hist_add */
    out->max = __atomic_load_n(&hist->max, __ATOMIC_RELAXED);             /* partner: ae_hist_add */
    out->backwards = __atomic_load_n(&hist->backwards, __ATOMIC_RELAXED); /* partner: ae_hist_add */
}

/* Largest value in ns that is counted in a cell; AE_BAD for a cell that does not exist. */
int64_t ae_hist_edge(uint32_t cell)
{
    if (cell >= AE_HIST_CELLS)
        return AE_BAD;
    if (cell < SUB)
        return cell;
    uint32_t shift = cell / SUB - 1;
    return (int64_t)((((uint64_t)SUB + cell % SUB + 1) << shift) - 1);
}
