/* The one receive loop: a thread that owns the reading of many connections, from readable socket to woken reader.
 *
 *   epoll or sweep -> ae_conn_read into the pump's buffer -> frames -> records (pump.c) -> ring, wake
 *                                                             \-> what is no market data -> events -> owner's thread
 *
 * Problem: a read that waits for an interpreter waits for its garbage collector too. So nothing here needs the owner:
 * he is told of control frames, text, ends, and of raw bytes he asked to see, through a queue in memory he gave, and
 * an eventfd he can wait on. He takes a whole half of the queue at once while the other half fills.
 * What must stay true: no allocation after ae_loop_start; one lock (the market's) guards everything but `turns` and
 * `stop`, held for one read of one connection; an event is never lost: a connection whose event finds no room is not
 * read until there is some (only a tap may be dropped, and says so); slow readers of the ring are not waited for.
 *
 * Modes of a connection: PAUSED is not read; RUNS feeds its pump; HOLDS hands its raw bytes to the owner, who gives
 * them to the pump later, with the times they came at (ae_loop_replay). */
#define _GNU_SOURCE
#include "ae_internal.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

enum {
    READ_BYTES = 65536,   /* of one connection at once: bounds how long the others wait */
    READY_MAX = 32,
    SWEEP_LINKS = 4,      /* up to so many, asking each socket is cheaper than asking epoll */
    TURN_MS = 100,        /* the loop turns at least so often: its sign of life */
    SPIN_NS = 50000       /* adaptive: how long silence may last before it sleeps */
};

#define KICK UINT64_MAX

struct ae_loop {
    ae_market_t *market;
    uint8_t *half[2];
    uint64_t half_bytes;
    uint64_t used;
    uint32_t filling;
    uint32_t told;
    int32_t epoll;
    int32_t kick;
    int32_t events;
    uint32_t wait;
    uint32_t links_used;
    uint32_t ids;
    uint32_t again;
    uint32_t starved;
    uint32_t running;
    uint32_t stop;
    uint64_t counters[AE_LOOP_COUNTERS];
    ae_link_t *links[AE_LOOP_LINKS];
    pthread_t thread;
};

/* Size of a loop; the caller gives zeroed memory. */
uint64_t ae_loop_bytes(void)
{
    return sizeof(ae_loop_t);
}

/* ---- events for the owner (all under the lock) */

/* Append one event; 0 when it does not fit now. */
static int push(ae_loop_t *loop, ae_link_t *link, uint32_t kind, const uint8_t *data, uint32_t bytes, int64_t recv_ns)
{
    uint64_t need = sizeof(ae_event_t) + ((uint64_t)bytes + 7) / 8 * 8;
    if (need > loop->half_bytes - loop->used)
        return 0;
    uint8_t *to = loop->half[loop->filling] + loop->used;
    ae_event_t event = {.recv_ns = recv_ns, .link = link->id, .bytes = bytes, .kind = (uint8_t)kind,
                        .cut = link->tap_cut, .reason = (uint16_t)link->pump.reason};
    memcpy(to, &event, sizeof event);
    if (bytes)
        memcpy(to + sizeof event, data, bytes);
    loop->used += need;
    if (!loop->told) {
        uint64_t one = 1;
        loop->told = write(loop->events, &one, sizeof one) == (ssize_t)sizeof one;
    }
    return 1;
}

/* Have epoll watch for what this connection can use now. */
static void watch(ae_loop_t *loop, ae_link_t *link)
{
    uint32_t wants = 0;
    if (!link->over && !link->stuck && !link->starved && link->mode != AE_LINK_PAUSED)
        wants |= EPOLLIN;
    if (!link->over && ae_conn_unsent(link->conn) > 0)
        wants |= EPOLLOUT;
    if (wants == link->watched)
        return;
    int how = !link->watched ? EPOLL_CTL_ADD : wants ? EPOLL_CTL_MOD : EPOLL_CTL_DEL;
    struct epoll_event event = {.events = wants, .data.u64 = (uint64_t)link->id << 32 | link->slot};
    if (epoll_ctl(loop->epoll, how, ae_conn_fd(link->conn), &event) == 0)
        link->watched = wants;
}

/* No room for what this connection has to say: it is not read until the owner took the events. */
static void starve(ae_loop_t *loop, ae_link_t *link, uint32_t event)
{
    link->stuck = (uint8_t)event;
    link->starved = 1;
    loop->starved = 1;
    loop->counters[AE_LOOP_STARVED]++;
}

/* The connection is over: say so once. */
static void finish(ae_loop_t *loop, ae_link_t *link)
{
    const char *why = ae_conn_error(link->conn);
    link->over = 1;
    if (!push(loop, link, AE_EVENT_CLOSED, (const uint8_t *)why, (uint32_t)strlen(why), link->heard_ns))
        starve(loop, link, AE_EVENT_CLOSED);
}

/* Take the frames of `bytes` just put into the pump (0: go on after an event). */
static void frames(ae_loop_t *loop, ae_link_t *link, uint32_t bytes, int64_t recv_ns)
{
    int what;
    while ((what = ae_pump_frames(&link->pump, bytes, recv_ns)) != AE_PUMP_NEED) {
        bytes = 0;
        if (what == AE_PUMP_BAD) {
            finish(loop, link);
            return;
        }
        uint32_t kind = what == AE_PUMP_CONTROL ? AE_EVENT_CONTROL : AE_EVENT_TEXT;
        if (!push(loop, link, kind, link->pump.event, link->pump.event_bytes, recv_ns)) {
            starve(loop, link, kind);
            return;
        }
    }
}

/* Say what found no room before, and go on where it stopped. 0: there is still none. */
static int unstick(ae_loop_t *loop, ae_link_t *link)
{
    uint32_t kind = link->stuck;
    if (!kind)
        return 1;
    link->stuck = 0;
    if (kind == AE_EVENT_CLOSED)
        finish(loop, link);
    else if (push(loop, link, kind, link->pump.event, link->pump.event_bytes, link->heard_ns))
        frames(loop, link, 0, link->heard_ns);
    else
        starve(loop, link, kind);
    return !link->stuck;
}

/* ---- one connection's turn (under the lock) */

/* Show the owner the bytes just read. A tap never holds up the market: without room it is dropped, and the next one is
 * marked as cut. */
static void tap(ae_loop_t *loop, ae_link_t *link, const uint8_t *data, uint32_t bytes)
{
    if (push(loop, link, AE_EVENT_TAP, data, bytes, link->heard_ns)) {
        link->tap_cut = 0;
        return;
    }
    link->tap_cut = 1;
    loop->counters[AE_LOOP_TAPS_DROPPED]++;
}

static void take(ae_loop_t *loop, ae_link_t *link)
{
    uint32_t room = ae_pump_room(&link->pump);
    if (room > READ_BYTES)
        room = READ_BYTES;
    int holds = link->mode == AE_LINK_HOLDS;
    if (holds && room + sizeof(ae_event_t) + 8 > loop->half_bytes - loop->used) {
        starve(loop, link, 0);
        return;
    }
    uint8_t *at = link->pump.data + link->pump.write;
    int64_t stamp_ns = 0;
    int got = ae_conn_read(link->conn, at, room, &stamp_ns);
    if (got == AE_MORE)
        return;
    if (got < 0) {
        finish(loop, link);
        return;
    }
    loop->counters[AE_LOOP_READS]++;
    __atomic_store_n(&link->bytes_in, link->bytes_in + (uint64_t)got, __ATOMIC_RELAXED); /* looked at by the owner */
    link->heard_ns = stamp_ns;
    link->again = ae_conn_pending(link->conn) > 0; /* no poll will tell of these */
    if (holds) {
        (void)push(loop, link, AE_EVENT_HELD, at, (uint32_t)got, stamp_ns); /* the room was made sure of */
        return;
    }
    if (link->pump.market)
        ae_market_received(link->pump.market, stamp_ns);
    if (link->tap)
        tap(loop, link, at, (uint32_t)got);
    frames(loop, link, (uint32_t)got, stamp_ns);
    if (link->pump.market)
        ae_market_flush(link->pump.market);
}

static void serve(ae_loop_t *loop, ae_link_t *link)
{
    link->again = 0;
    if (!link->over && ae_conn_unsent(link->conn) > 0 && ae_conn_flush(link->conn) == AE_BAD)
        finish(loop, link);
    if (unstick(loop, link) && !link->starved && !link->over && link->mode != AE_LINK_PAUSED)
        take(loop, link);
    loop->again |= link->again;
    watch(loop, link);
}

/* Serve the connection in a slot; id 0: whoever is there. `only_again`: unless nothing is at hand. */
static void serve_slot(ae_loop_t *loop, uint32_t slot, uint32_t id, int only_again)
{
    ae_market_lock(loop->market);
    ae_link_t *link = slot < AE_LOOP_LINKS ? loop->links[slot] : NULL;
    if (link && (!id || link->id == id) && (!only_again || link->again))
        serve(loop, link);
    ae_market_unlock(loop->market);
}

/* ---- the thread */

static int64_t mono_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* Read and clear the flag that says some connection has bytes no poll announces. */
static int take_again(ae_loop_t *loop)
{
    ae_market_lock(loop->market);
    int again = (int)loop->again;
    loop->again = 0;
    ae_market_unlock(loop->market);
    return again;
}

/* Ask epoll, at most `timeout_ms`, and serve who is ready. Returns how many were. */
static int poll_once(ae_loop_t *loop, int timeout_ms)
{
    struct epoll_event ready[READY_MAX];
    int n = epoll_wait(loop->epoll, ready, READY_MAX, timeout_ms);
    for (int i = 0; i < n; i++) {
        uint64_t which = ready[i].data.u64;
        uint64_t kicks;
        if (which != KICK)
            serve_slot(loop, (uint32_t)which, (uint32_t)(which >> 32), 0);
        else if (read(loop->kick, &kicks, sizeof kicks) < 0)
            continue;
    }
    return n;
}

/* Serve every connection without asking who is ready. Returns whether any byte came. */
static int sweep(ae_loop_t *loop)
{
    uint64_t reads = loop->counters[AE_LOOP_READS]; /* this thread alone writes it */
    uint32_t slots = __atomic_load_n(&loop->links_used, __ATOMIC_RELAXED); /* a hint; serve_slot looks under the lock */
    for (uint32_t slot = 0; slot < slots; slot++)
        serve_slot(loop, slot, 0, 0);
    return loop->counters[AE_LOOP_READS] != reads;
}

static void *run(void *arg)
{
    ae_loop_t *loop = arg;
    int64_t busy_until_ns = 0;
    while (!__atomic_load_n(&loop->stop, __ATOMIC_ACQUIRE)) { /* pairs with the release in ae_loop_stop */
        __atomic_fetch_add(&loop->counters[AE_LOOP_TURNS], 1, __ATOMIC_RELAXED); /* looked at by the owner */
        int spins = loop->wait == AE_WAIT_SPIN || (loop->wait == AE_WAIT_ADAPTIVE && mono_ns() < busy_until_ns);
        int again = take_again(loop);
        int did;
        if (spins && __atomic_load_n(&loop->links_used, __ATOMIC_RELAXED) <= SWEEP_LINKS)
            did = sweep(loop);
        else
            did = poll_once(loop, spins || again ? 0 : TURN_MS) > 0;
        for (uint32_t slot = 0; again && slot < AE_LOOP_LINKS; slot++)
            serve_slot(loop, slot, 0, 1);
        if (loop->wait == AE_WAIT_ADAPTIVE && (did || again))
            busy_until_ns = mono_ns() + SPIN_NS;
    }
    return NULL;
}

/* Make the thread look again. */
static void kick(ae_loop_t *loop)
{
    uint64_t one = 1;
    ssize_t done = write(loop->kick, &one, sizeof one);
    (void)done; /* a full counter kicks as well */
}

/* ---- the owner's face: any one thread that is not the loop's */

/* Bind a market (its lock is the loop's lock) and a queue of two halves, half_bytes each, both outlive the loop. A half
 * holds the longest message and 64 KiB. 0, AE_BAD: no descriptors left. */
int ae_loop_init(ae_loop_t *loop, ae_market_t *market, uint8_t *queue, uint64_t half_bytes)
{
    loop->market = market;
    loop->half[0] = queue;
    loop->half[1] = queue + half_bytes;
    loop->half_bytes = half_bytes;
    loop->epoll = epoll_create1(EPOLL_CLOEXEC);
    loop->kick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    loop->events = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = KICK};
    if (loop->epoll < 0 || loop->kick < 0 || loop->events < 0 ||
        epoll_ctl(loop->epoll, EPOLL_CTL_ADD, loop->kick, &event) != 0)
        return AE_BAD;
    return 0;
}

/* Start the thread, with every signal blocked. wait: enum ae_wait_how. cpu: processor to stay on, -1 any. Returns 0, 1 when
 * it runs but could not be pinned, AE_BAD when it does not run. Allocates: the thread's stack. */
int ae_loop_start(ae_loop_t *loop, uint32_t wait, int cpu)
{
    loop->wait = wait;
    loop->stop = 0;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int made = pthread_create(&loop->thread, NULL, run, loop);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (made != 0)
        return AE_BAD;
    loop->running = 1;
    (void)pthread_setname_np(loop->thread, "aegis pump");
    if (cpu < 0)
        return 0;
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET((size_t)cpu, &set);
    return pthread_setaffinity_np(loop->thread, sizeof set, &set) != 0;
}

/* End the thread and wait for it; connections stay where they are. May be called twice. */
void ae_loop_stop(ae_loop_t *loop)
{
    if (!loop->running)
        return;
    __atomic_store_n(&loop->stop, 1, __ATOMIC_RELEASE); /* pairs with the acquire in run */
    kick(loop);
    pthread_join(loop->thread, NULL);
    loop->running = 0;
}

/* Stop and give the descriptors back. */
void ae_loop_close(ae_loop_t *loop)
{
    ae_loop_stop(loop);
    close(loop->epoll);
    close(loop->kick);
    close(loop->events);
}

/* Descriptor that is readable when there are events; read it, then ae_loop_take. */
int ae_loop_fd(const ae_loop_t *loop) { return loop->events; }

/* Counters by enum ae_loop_counter. */
uint64_t *ae_loop_counters(ae_loop_t *loop) { return loop->counters; }

/* A link of a connection whose handshake is done, with buffers and market of its pump (see ae_pump_init). */
void ae_link_init(ae_link_t *link, ae_conn_t *conn, uint8_t *data, uint8_t *joined, uint32_t capacity,
                  ae_market_t *market)
{
    memset(link, 0, sizeof *link);
    link->conn = conn;
    ae_pump_init(&link->pump, data, joined, capacity, market);
}

/* Take a link in, PAUSED; from now on the connection is used under the lock only. Returns its id, > 0; AE_BAD: full. */
int ae_loop_add(ae_loop_t *loop, ae_link_t *link)
{
    ae_market_lock(loop->market);
    uint32_t slot = 0;
    while (slot < AE_LOOP_LINKS && loop->links[slot])
        slot++;
    int id = AE_BAD;
    if (slot < AE_LOOP_LINKS) {
        loop->ids = loop->ids % INT32_MAX + 1;
        link->id = loop->ids;
        link->slot = slot;
        loop->links[slot] = link;
        if (slot >= loop->links_used)
            __atomic_store_n(&loop->links_used, slot + 1, __ATOMIC_RELAXED); /* a hint for sweep */
        id = (int)link->id;
    }
    ae_market_unlock(loop->market);
    return id;
}

/* Let a link go: after this the loop touches neither it nor its connection. May be called twice. */
void ae_loop_remove(ae_loop_t *loop, ae_link_t *link)
{
    ae_market_lock(loop->market);
    if (link->slot < AE_LOOP_LINKS && loop->links[link->slot] == link) {
        link->over = 1;
        watch(loop, link);
        loop->links[link->slot] = NULL;
        uint32_t used = loop->links_used;
        while (used && !loop->links[used - 1])
            used--;
        __atomic_store_n(&loop->links_used, used, __ATOMIC_RELAXED); /* a hint for sweep */
    }
    ae_market_unlock(loop->market);
}

/* What is done with the bytes that come from now on (enum ae_link_mode), and whether the owner sees them as well. */
void ae_loop_mode(ae_loop_t *loop, ae_link_t *link, uint32_t mode, uint32_t with_tap)
{
    ae_market_lock(loop->market);
    link->mode = (uint8_t)mode;
    link->tap = with_tap != 0;
    link->again = 1; /* bytes may be at hand already */
    loop->again = 1;
    watch(loop, link);
    ae_market_unlock(loop->market);
    kick(loop);
}

/* Write bytes on a link. Results as ae_conn_write. */
int ae_loop_write(ae_loop_t *loop, ae_link_t *link, const uint8_t *data, uint32_t bytes)
{
    ae_market_lock(loop->market);
    int result = link->over ? AE_BAD : ae_conn_write(link->conn, data, bytes);
    watch(loop, link);
    ae_market_unlock(loop->market);
    return result;
}

/* Give a PAUSED link's pump bytes that were read earlier, at recv_ns. Returns how many it took: fewer when the events
 * have to be taken first, or the link is over. */
uint32_t ae_loop_replay(ae_loop_t *loop, ae_link_t *link, const uint8_t *data, uint32_t bytes, int64_t recv_ns)
{
    ae_market_lock(loop->market);
    uint32_t at = 0;
    link->heard_ns = recv_ns;
    while (at < bytes && unstick(loop, link) && !link->over) {
        uint32_t n = ae_pump_room(&link->pump);
        n = n < bytes - at ? n : bytes - at;
        memcpy(link->pump.data + link->pump.write, data + at, n);
        at += n;
        frames(loop, link, n, recv_ns);
    }
    if (link->pump.market)
        ae_market_flush(link->pump.market);
    ae_market_unlock(loop->market);
    return at;
}

/* Take the events there are: *events points at them (ae_event_t, its bytes, padded to 8), valid until the next call.
 * Returns their size in bytes. */
uint64_t ae_loop_take(ae_loop_t *loop, uint8_t **events)
{
    ae_market_lock(loop->market);
    uint64_t used = loop->used;
    *events = loop->half[loop->filling];
    loop->filling ^= 1;
    loop->used = 0;
    loop->told = 0;
    int starved = (int)loop->starved;
    loop->starved = 0;
    for (uint32_t slot = 0; starved && slot < AE_LOOP_LINKS; slot++) {
        ae_link_t *link = loop->links[slot];
        if (!link || !link->starved)
            continue;
        link->starved = 0;
        link->again = 1;
        loop->again = 1;
        watch(loop, link);
    }
    ae_market_unlock(loop->market);
    if (starved)
        kick(loop);
    return used;
}
