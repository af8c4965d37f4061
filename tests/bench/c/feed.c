/* The feed at full blast against a bare receive loop on the same sockets, taking turns.
 *
 *   feed blast FRAMES ROUNDS BURST   one JSON line a round: ns and CPU ns of bare, ours, bare again; what was lost
 *   feed huge ROUNDS                 CPU ns one depth frame of 2259 levels, and one read full of bookTickers, keep
 *                                    the thread from the other connections
 *
 * A child on one core writes FRAMES frames, BURST bytes a write, over four connections; the parent takes them on
 * another: bare (epoll, recv, walk the frame headers, count) or ours (loop.c into the ring). Nothing is verified while
 * time is taken; afterwards the records published, and what was refused or doubled, must add up to what was sent. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include "wire_feed.h"

#define CONNS 4
#define READ_BYTES 65536
#define CAPACITY (1U << 20)
#define SLOTS 65536
#define LEVELS 2259

static void *zeroed(uint64_t bytes)
{
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (p == MAP_FAILED)
        abort();
    return p;
}

static void need(int yes, const char *what)
{
    if (!yes) {
        perror(what);
        exit(1);
    }
}

static int64_t clock_ns(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void pin(int wanted)
{
    cpu_set_t set;
    int cpus = (int)sysconf(_SC_NPROCESSORS_ONLN);
    CPU_ZERO(&set);
    CPU_SET((size_t)(wanted % cpus), &set);
    (void)sched_setaffinity(0, sizeof set, &set);
}

/* ---- the child: writes what it is told to, where it is told to */

static int connect_to(uint16_t port)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0), yes = 1;
    need(connect(fd, (struct sockaddr *)&to, sizeof to) == 0, "connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    return fd;
}

static void put_all(int fd, const uint8_t *data, uint32_t bytes)
{
    while (bytes) {
        ssize_t sent = send(fd, data, bytes, MSG_NOSIGNAL);
        need(sent > 0, "send");
        data += sent;
        bytes -= (uint32_t)sent;
    }
}

static void child(uint16_t port, int orders, uint64_t frames, uint32_t burst)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    pin(0);
    int fds[2 * CONNS];
    for (int i = 0; i < 2 * CONNS; i++)
        fds[i] = connect_to(port);
    static wire_t wires[CONNS];
    for (int i = 0; i < CONNS; i++)
        wire_init(&wires[i], (uint32_t)i * WIRE_SYMBOLS);
    uint8_t *buffer = zeroed(burst + WIRE_FRAME_MAX);
    char set;
    while (read(orders, &set, 1) == 1)
        for (uint64_t sent = 0, turn = 0; sent < frames; turn++) {
            uint32_t have = 0;
            while (have < burst && sent < frames) {
                have += wire_next(&wires[turn % CONNS], buffer + have);
                sent++;
            }
            put_all(fds[(set ? CONNS : 0) + (int)(turn % CONNS)], buffer, have);
        }
    exit(0);
}

/* ---- the parent */

typedef struct run {
    int64_t ns;
    int64_t cpu_ns;
} run_t;

/* CPU time of all threads but this one, which only looks on while the pump works. */
static int64_t pump_cpu_ns(void)
{
    return clock_ns(CLOCK_PROCESS_CPUTIME_ID) - clock_ns(CLOCK_THREAD_CPUTIME_ID);
}

/* The limit: wait, receive, walk the frames, count. */
static run_t bare(int orders, const int *fds, uint64_t frames)
{
    static uint8_t buffers[CONNS][READ_BYTES];
    static uint32_t have[CONNS];
    uint64_t counted = 0;
    int epoll = epoll_create1(0);
    for (uint32_t i = 0; i < CONNS; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.u32 = i};
        epoll_ctl(epoll, EPOLL_CTL_ADD, fds[i], &event);
    }
    pin(1);
    int64_t cpu = clock_ns(CLOCK_THREAD_CPUTIME_ID), from = clock_ns(CLOCK_MONOTONIC);
    need(write(orders, "\0", 1) == 1, "order");
    while (counted < frames) {
        struct epoll_event ready[CONNS];
        int n = epoll_wait(epoll, ready, CONNS, -1);
        for (int r = 0; r < n; r++) {
            uint32_t i = ready[r].data.u32;
            ssize_t got = recv(fds[i], buffers[i] + have[i], READ_BYTES - have[i], 0);
            need(got > 0, "recv");
            uint32_t end = have[i] + (uint32_t)got, at = 0;
            for (;;) {
                const uint8_t *head = buffers[i] + at;
                if (end - at < 4)
                    break;
                uint32_t bytes = head[1] < 126 ? 2U + head[1] : 4U + ((uint32_t)head[2] << 8 | head[3]);
                if (end - at < bytes)
                    break;
                at += bytes;
                counted++;
            }
            memmove(buffers[i], buffers[i] + at, end - at);
            have[i] = end - at;
        }
    }
    run_t run = {clock_ns(CLOCK_MONOTONIC) - from, clock_ns(CLOCK_THREAD_CPUTIME_ID) - cpu};
    pin(0);
    close(epoll);
    return run;
}

typedef struct feed {
    ae_ring_t ring;
    ae_market_t *market;
    ae_loop_t *loop;
    ae_link_t links[CONNS];
} feed_t;

static void make_market(feed_t *feed, uint32_t symbols)
{
    void *base = zeroed(ae_ring_bytes(SLOTS, AE_TICK_BYTES));
    ae_ring_init(base, SLOTS, AE_TICK_BYTES, "market");
    ae_ring_take(&feed->ring, base, 1);
    feed->market = zeroed(ae_market_bytes());
    ae_market_init(feed->market, &feed->ring, zeroed(AE_BOOKS_HEADER_BYTES + AE_SYMBOLS_MAX * sizeof(ae_book_entry_t)));
    ae_market_measure(feed->market, zeroed(sizeof(ae_hist_block_t)));
    wire_symbols(feed->market, symbols);
}

static void make_feed(feed_t *feed, const int *fds)
{
    make_market(feed, CONNS * WIRE_SYMBOLS);
    feed->loop = zeroed(ae_loop_bytes());
    need(ae_loop_init(feed->loop, feed->market, zeroed(2 * CAPACITY), CAPACITY) == 0, "loop");
    for (int i = 0; i < CONNS; i++) {
        ae_conn_t *conn = zeroed(ae_conn_bytes());
        need(ae_conn_init(conn, fds[i], NULL, "") == 0 && ae_conn_handshake(conn) == 0, "conn");
        ae_link_init(&feed->links[i], conn, zeroed(CAPACITY), zeroed(CAPACITY),
                     CAPACITY, feed->market);
        need(ae_loop_add(feed->loop, &feed->links[i]) > 0, "add");
        ae_loop_mode(feed->loop, &feed->links[i], AE_LINK_RUNS, 0);
    }
}

static uint64_t taken(feed_t *feed)
{
    return __atomic_load_n(&ae_market_counters(feed->market)[AE_C_FRAMES], __ATOMIC_RELAXED); /* looked at, no more */
}

static run_t ours(feed_t *feed, int orders, uint64_t frames)
{
    uint64_t wanted = taken(feed) + frames;
    int cpus = (int)sysconf(_SC_NPROCESSORS_ONLN);
    need(ae_loop_start(feed->loop, AE_WAIT_BLOCK, 1 % cpus) >= 0, "start");
    int64_t cpu = pump_cpu_ns(), from = clock_ns(CLOCK_MONOTONIC);
    need(write(orders, "\1", 1) == 1, "order");
    struct timespec nap = {0, 200000};
    while (taken(feed) < wanted)
        nanosleep(&nap, NULL);
    run_t run = {clock_ns(CLOCK_MONOTONIC) - from, pump_cpu_ns() - cpu};
    ae_loop_stop(feed->loop);
    return run;
}

static int blast(uint64_t frames, int rounds, uint32_t burst)
{
    int orders[2], fds[2 * CONNS];
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t bytes = sizeof at;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    need(bind(listener, (struct sockaddr *)&at, sizeof at) == 0 && listen(listener, 16) == 0, "listen");
    getsockname(listener, (struct sockaddr *)&at, &bytes);
    need(pipe(orders) == 0, "pipe");
    if (fork() == 0) {
        close(orders[1]);
        child(ntohs(at.sin_port), orders[0], frames, burst);
    }
    for (int i = 0; i < 2 * CONNS; i++)
        fds[i] = accept(listener, NULL, NULL);
    feed_t *feed = zeroed(sizeof *feed);
    make_feed(feed, fds + CONNS);
    pin(0);
    const uint64_t *counters = ae_market_counters(feed->market);
    (void)bare(orders[1], fds, frames);
    (void)ours(feed, orders[1], frames);
    for (int round = 0; round < rounds; round++) {
        uint64_t before = counters[AE_C_RECORDS];
        run_t first = bare(orders[1], fds, frames), mine = ours(feed, orders[1], frames);
        run_t last = bare(orders[1], fds, frames);
        printf("{\"bare_ns\":%lld,\"ours_ns\":%lld,\"again_ns\":%lld,\"bare_cpu_ns\":%lld,\"ours_cpu_ns\":%lld,"
               "\"again_cpu_ns\":%lld,\"lost\":%lld,\"reads\":%llu}\n",
               (long long)first.ns, (long long)mine.ns, (long long)last.ns, (long long)first.cpu_ns,
               (long long)mine.cpu_ns, (long long)last.cpu_ns,
               (long long)(frames - (counters[AE_C_RECORDS] - before)),
               (unsigned long long)ae_loop_counters(feed->loop)[AE_LOOP_READS]);
        fflush(stdout);
    }
    ae_loop_close(feed->loop);
    return 0;
}

/* ---- how long one connection keeps the others waiting */

static uint32_t depth_frame(uint8_t *to, uint64_t first, uint32_t turn)
{
    char *body = (char *)to + 10;
    int n = sprintf(body,
                    "{\"stream\":\"coin00usdt@depth@100ms\",\"data\":{\"e\":\"depthUpdate\",\"E\":1789469121904,"
                    "\"T\":1789469121836,\"s\":\"COIN00USDT\",\"U\":%llu,\"u\":%llu,\"pu\":%llu,\"b\":[",
                    (unsigned long long)first, (unsigned long long)first, (unsigned long long)first - 1);
    for (uint32_t i = 0; i < LEVELS; i++) {
        if (i == LEVELS / 2)
            n += sprintf(body + n, "],\"a\":[");
        uint32_t px = i < LEVELS / 2 ? 600000000 - i * 10 : 600000000 + (i - LEVELS / 2 + 1) * 10;
        n += sprintf(body + n, "%s[\"%u.%02u\",\"%u.%03u\"]", i == 0 || i == LEVELS / 2 ? "" : ",", px / 100, px % 100,
                     10000000 + (i * 977 + turn) % 900000, (i * 7 + turn) % 1000);
    }
    n += sprintf(body + n, "]}}");
    to[0] = 0x81;
    to[1] = 127;
    for (int i = 0; i < 8; i++)
        to[2 + i] = (uint8_t)((uint64_t)n >> (8 * (7 - i)));
    return (uint32_t)n + 10;
}

static int64_t step_ns(ae_pump_t *pump, const uint8_t *data, uint32_t bytes)
{
    (void)ae_pump_room(pump);
    memcpy(pump->data + pump->write, data, bytes);
    int64_t from = clock_ns(CLOCK_THREAD_CPUTIME_ID);
    need(ae_pump_step(pump, bytes, 1) == AE_PUMP_NEED, "step");
    return clock_ns(CLOCK_THREAD_CPUTIME_ID) - from;
}

static int huge(int rounds)
{
    static feed_t feed;
    ae_pump_t pump;
    wire_t wire;
    uint8_t *data = zeroed(CAPACITY);
    make_market(&feed, 0);
    need(ae_market_append(feed.market, (const uint8_t *)"COIN00USDT", 10, 2, 3, zeroed(sizeof(ae_book_t))) == 0, "book");
    wire_symbols(feed.market, WIRE_SYMBOLS);
    ae_pump_init(&pump, zeroed(CAPACITY), zeroed(CAPACITY), CAPACITY, feed.market);
    wire_init(&wire, 0);
    pin(1);
    for (int round = 0; round < rounds; round++) {
        uint32_t bytes = depth_frame(data, 1000 + (uint64_t)round, (uint32_t)round);
        int64_t depth_ns = step_ns(&pump, data, bytes);
        if (round == 0) {
            ae_level_t bid = {1, 1}, ask = {1000000000, 1};
            need(ae_market_snapshot(feed.market, 0, 1000, &bid, 1, &ask, 1, 1) == AE_BOOK_LIVE, "join");
        }
        uint32_t have = 0;
        while (have < READ_BYTES - WIRE_FRAME_MAX)
            have += wire_next(&wire, data + have);
        printf("{\"depth_ns\":%lld,\"depth_bytes\":%u,\"read_ns\":%lld}\n", (long long)depth_ns, bytes,
               (long long)step_ns(&pump, data, have));
    }
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 5 && strcmp(argv[1], "blast") == 0)
        return blast(strtoull(argv[2], NULL, 10), atoi(argv[3]), (uint32_t)atoi(argv[4]));
    if (argc == 3 && strcmp(argv[1], "huge") == 0)
        return huge(atoi(argv[2]));
    fprintf(stderr, "usage: feed blast FRAMES ROUNDS BURST | feed huge ROUNDS\n");
    return 2;
}
