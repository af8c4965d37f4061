/* What the brain's thread does between two decisions, in one call: wait for rings and descriptor, take a batch of the
 * market, show it to the desk, fold its features, stamp its way so far.
 *
 *   step: [the last batch was decided] -> wait -> take -> desk (gate's quotes, armed triggers) -> fold -> what was found
 *
 * Problem: each crossing from Python costs more than the work behind it, and a strategy may be asked 20 000 times a second.
 * What must stay true: account news that came before a batch is told with it (AE_TURN_ACCOUNT is looked at once more after
 * the batch was taken), so no decision is made on an older account than market; a step ends at the next look or timer at
 * the latest, and names the descriptor whenever it is ready, so what is cold is never starved; the watchdog's progress
 * moves with each step and with nothing else; after the market's writer was replaced nothing seen before counts, for
 * features, gate and triggers alike. */
#define _GNU_SOURCE
#include "ae_internal.h"

#include <sys/mman.h>
#include <time.h>

enum { MARKET = 0, ACCOUNT = 1 };
#define LOOK_NS 10000000 /* housekeeping at most a hundred times a second */
#define IDLE_NS 50000000 /* and at least so often */
#define WARM_NS 5000000  /* idle: how often the way of an order is walked, so that caches keep it */

static int64_t mono(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* Prepare a turn over its waiting (place 0: the market's ring, 1: the account's) and features, which outlive it. timer_ns:
 * between two AE_TURN_TIMER; budget_ns: what a strategy may take for a batch before it is counted. hist and block may be
 * set afterwards. Touches all of it, so that no page is missing later. */
void ae_turn_init(ae_turn_t *turn, ae_wait_t *wait, ae_features_t *features, int64_t timer_ns, int64_t budget_ns)
{
    memset(turn, 0, sizeof *turn);
    turn->wait = wait;
    turn->features = features;
    turn->timer_ns = timer_ns;
    turn->budget_ns = budget_ns;
}

/* Another feed writes: what was seen before does not count. */
static void forget(ae_turn_t *turn)
{
    ae_features_reset(turn->features);
    if (turn->gate)
        ae_gate_forget(turn->gate);
    if (turn->desk)
        ae_desk_disarm_all(turn->desk, AE_ENDED_UNTRUSTED);
}

/* Have all pages of a mapping in memory before they are needed. */
static void touch(const void *from, uint64_t bytes)
{
    for (uint64_t at = 0; at < bytes; at += 4096)
        (void)__atomic_load_n((const uint8_t *)from + at, __ATOMIC_RELAXED); /* a look, no data */
}

/* Read the market from this ring (NULL: none) and wait for it at place 0; all starts anew. books_page: for ae_take,
 * NULL: none yet. Call it again with a new page. Owner's thread, as for all here. */
void ae_turn_market(ae_turn_t *turn, const ae_ring_t *ring, ae_cursor_t *cursor, const void *books_page)
{
    ae_take_init(&turn->take, books_page);
    if (turn->market == ring)
        return;
    turn->market = ring;
    turn->taken = cursor;
    turn->epoch = ring ? ring->header->epoch : 0;
    if (ring)
        touch(ring->header, ae_ring_bytes(ring->mask + 1, ring->slot_bytes));
    ae_wait_ring(turn->wait, MARKET, ring, cursor);
    forget(turn);
}

/* The strategy has answered for the batch: its time is counted, once. AE_HOP_DECIDED, and against the budget. Returns the
 * wall clock. */
int64_t ae_turn_decided(ae_turn_t *turn)
{
    if (!turn->undecided)
        return ae_hist_now();
    turn->undecided = 0;
    int64_t took = mono() - turn->mono_ns;
    ae_hist_add(turn->hist, AE_HOP_DECIDED, took);
    if (took > turn->budget_ns)
        turn->over_budget++;
    if (took > turn->worst_ns)
        turn->worst_ns = took;
    return ae_hist_now();
}

static int account_news(const ae_turn_t *turn)
{
    const ae_ring_t *ring = turn->wait->rings[ACCOUNT];
    return ring && ae_ring_newest(ring) > turn->wait->cursors[ACCOUNT]->taken ? AE_TURN_ACCOUNT : 0;
}

/* Records were received before they are taken by what their stamps say; fills of gaps and states of books were not. */
static void stamp_taken(const ae_turn_t *turn)
{
    if (!turn->hist)
        return;
    for (uint32_t i = 0; i < turn->count; i++) {
        const ae_tick_t *tick = turn->batch + i;
        int level = tick->kind == AE_KIND_DEPTH && !(tick->flags & AE_FLAG_BEGIN); /* its event was counted */
        if (tick->recv_ns > 0 && tick->kind != AE_KIND_BOOK_STATE && !level && !(tick->flags & AE_FLAG_FILLED))
            ae_hist_add(turn->hist, AE_HOP_TAKEN, turn->now_ns - tick->recv_ns);
    }
}

/* Show `count` records (0: only that time has passed) to the desk. */
static int show(ae_turn_t *turn)
{
    return turn->desk && ae_desk_look(turn->desk, turn->batch, turn->count, turn->now_ns) ? AE_TURN_ENDED : 0;
}

/* A batch into `batch`, `count` records; bits of what was found. */
static int take(ae_turn_t *turn)
{
    int found = 0;
    uint64_t conflated = turn->take.conflated, lost = turn->taken->lost;
    turn->count = (uint32_t)ae_take(&turn->take, turn->market, turn->taken, turn->batch, AE_TURN_BATCH, turn->lag);
    turn->conflated += turn->take.conflated - conflated;
    turn->now_ns = ae_hist_now();
    uint64_t epoch = __atomic_load_n(&turn->market->header->epoch, __ATOMIC_ACQUIRE); /* partner: ae_ring_take */
    if (epoch != turn->epoch) {
        turn->epoch = epoch;
        forget(turn);
        found = AE_TURN_ANEW;
    }
    if (turn->desk && turn->taken->lost != lost) /* among the records lost may be one that a book broke */
        ae_desk_disarm_all(turn->desk, AE_ENDED_UNTRUSTED);
    found |= show(turn);
    if (!turn->count)
        return found;
    stamp_taken(turn);
    ae_features_fold(turn->features, turn->batch, turn->count);
    turn->undecided = 1;
    turn->records += turn->count;
    return found | AE_TURN_MARKET;
}

/* Wait, and while there is nothing to do keep the way of an order warm. */
static int wait_warm(ae_turn_t *turn, int64_t rest)
{
    for (;;) {
        int64_t slice = turn->desk && rest > WARM_NS ? WARM_NS : rest;
        int ready = ae_wait_any(turn->wait, slice > 0 ? slice : 0);
        if (ready || slice == rest)
            return ready;
        rest -= slice;
        ae_desk_warm(turn->desk, turn->warm_slot, ae_hist_now());
    }
}

/* One turn: wait until until_ns at most (monotonic; 0: only look, INT64_MAX: no limit of the caller's) and take what came.
 * Returns bits of enum ae_turn_found; AE_TURN_MARKET: `batch` holds `count` records and the features are those after
 * them, until the next step. AE_TURN_IDLE: nothing at all came. AE_TURN_DUE: until_ns is past. allocates: no. */
int ae_turn_step(ae_turn_t *turn, int64_t until_ns)
{
    (void)ae_turn_decided(turn);
    int64_t now = mono(), rest = turn->looked_ns + IDLE_NS - now;
    int lull = turn->count && now - turn->looked_ns >= LOOK_NS; /* a look waited for the batch before: now, if nothing comes */
    if (lull)
        rest = 0;
    if (turn->timed_ns + turn->timer_ns - now < rest)
        rest = turn->timed_ns + turn->timer_ns - now;
    if (until_ns < now + rest)
        rest = until_ns - now;
    int ready = wait_warm(turn, rest);
    turn->now_ns = ae_hist_now();
    turn->mono_ns = mono();
    turn->count = 0;
    int found = ready & (1 << MARKET) ? take(turn) : 0;
    found |= account_news(turn) | (ready & AE_WAIT_FD ? AE_TURN_OTHERS : 0);
    if (!found && !lull)
        found = AE_TURN_IDLE;
    int64_t unseen = turn->mono_ns - turn->looked_ns;
    if (unseen >= (turn->count ? IDLE_NS : LOOK_NS)) { /* at 100 ticks/s each would have waited for a look otherwise */
        turn->looked_ns = turn->mono_ns;
        found |= AE_TURN_LOOK;
        if (!turn->count)
            found |= show(turn);
    }
    if (turn->mono_ns - turn->timed_ns >= turn->timer_ns) {
        turn->timed_ns = turn->mono_ns;
        found |= AE_TURN_TIMER;
    }
    if (turn->mono_ns >= until_ns)
        found |= AE_TURN_DUE;
    turn->turns++;
    if (turn->block) {
        __atomic_store_n(&turn->block->beat_ns, turn->mono_ns, __ATOMIC_RELAXED); /* readers look now and then */
        __atomic_store_n(&turn->block->progress, turn->block->progress + 1, __ATOMIC_RELAXED);
    }
    return found;
}

/* Keep in memory what the process has there now, and whatever it touches later. 0, or AE_BAD where the machine does not
 * permit it (nothing is kept then). */
int ae_memory_lock(void)
{
    return mlockall(MCL_CURRENT | MCL_ONFAULT) ? AE_BAD : 0;
}
