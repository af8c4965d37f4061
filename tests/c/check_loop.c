/* loop.c over local sockets, with the owner's thread at work beside it: every record arrives, in order; control frames,
 * text and ends are told once and in order, however small the queue; what is held and given back later is what was
 * sent; a connection that starts or stops others (snapshot, reset, fill, write) meets no race (built with
 * -fsanitize=thread as well). `check_loop [frames]`; says nothing and ends with 0 when it holds. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ae_internal.h"

#define LINKS 3
#define CAPACITY 65536
#define SLOTS 1048576
#define NEED(what)                                                                                                     \
    do {                                                                                                               \
        if (!(what)) {                                                                                                 \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #what);                                         \
            exit(1);                                                                                                   \
        }                                                                                                              \
    } while (0)

typedef struct side {
    ae_link_t link;
    ae_conn_t *conn;
    int peer;
    uint32_t seed;
    uint64_t texts;    /* told so far */
    uint64_t controls; /* told so far */
    int closed;
    uint8_t *held;
    uint64_t held_bytes;
} side_t;

static ae_market_t *market;
static ae_ring_t ring;
static ae_loop_t *loop;
static side_t sides[LINKS];
static uint64_t frames_each = 20000;

static void *zeroed(uint64_t bytes)
{
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    NEED(p != MAP_FAILED);
    return p;
}

static uint32_t frame(uint8_t *to, uint8_t opcode, const char *body, uint32_t bytes)
{
    uint32_t head = bytes < 126 ? 2 : 4;
    to[0] = 0x80 | opcode;
    to[1] = (uint8_t)(bytes < 126 ? bytes : 126);
    if (head == 4) {
        to[2] = (uint8_t)(bytes >> 8);
        to[3] = (uint8_t)bytes;
    }
    memcpy(to + head, body, bytes);
    return head + bytes;
}

/* The n-th frame of a side: a bookTicker of its own symbol, now and then a text or a ping. */
static uint32_t make(uint8_t *to, uint32_t side, uint64_t n)
{
    char body[256];
    if (n % 97 == 5)
        return frame(to, 1, body, (uint32_t)snprintf(body, sizeof body, "{\"id\":%llu}", (unsigned long long)n));
    if (n % 101 == 7)
        return frame(to, 9, body, (uint32_t)snprintf(body, 100, "%llu", (unsigned long long)n));
    int bytes = snprintf(body, sizeof body,
                         "{\"e\":\"bookTicker\",\"u\":%llu,\"s\":\"S%u\",\"b\":\"%llu.25\",\"B\":\"3.1\",\"a\":\"%llu.50\","
                         "\"A\":\"4.2\",\"T\":1700000000000,\"E\":1700000000001}",
                         (unsigned long long)n, side, (unsigned long long)n, (unsigned long long)n);
    return frame(to, 1, body, (uint32_t)bytes);
}

/* A venue: writes all frames of its side, cut anywhere, then hangs up. */
static void *venue(void *arg)
{
    side_t *side = arg;
    static const uint32_t batch = 40;
    uint8_t *buffer = malloc(batch * 512);
    uint32_t index = (uint32_t)(side - sides);
    for (uint64_t n = 1; n <= frames_each;) {
        uint32_t have = 0;
        for (uint32_t i = 0; i < batch && n <= frames_each; i++, n++)
            have += make(buffer + have, index, n);
        for (uint32_t at = 0; at < have;) {
            side->seed = side->seed * 1664525U + 1013904223U;
            uint32_t cut = 1 + side->seed % 3000;
            ssize_t sent = write(side->peer, buffer + at, cut < have - at ? cut : have - at);
            NEED(sent > 0);
            at += (uint32_t)sent;
        }
    }
    free(buffer);
    shutdown(side->peer, SHUT_WR);
    return NULL;
}

static void hear(const ae_event_t *event, const uint8_t *body)
{
    side_t *side = NULL;
    for (int i = 0; i < LINKS; i++)
        if (sides[i].link.id == event->link)
            side = &sides[i];
    NEED(side && !side->closed);
    char text[64] = {0};
    memcpy(text, body, event->bytes < 63 && event->kind != AE_EVENT_HELD ? event->bytes : 0);
    if (event->kind == AE_EVENT_TEXT) {
        char *end;
        uint64_t n = 5 + 97 * side->texts++;
        NEED(strtoull(text + 6, &end, 10) == n && *end == '}');
    } else if (event->kind == AE_EVENT_CONTROL) {
        uint64_t n = 7 + 101 * side->controls++;
        while (n % 97 == 5)
            n = 7 + 101 * side->controls++;
        NEED((body[0] & 15) == 9 && strtoull(text + 2, NULL, 10) == n);
    } else if (event->kind == AE_EVENT_HELD) {
        memcpy(side->held + side->held_bytes, body, event->bytes);
        side->held_bytes += event->bytes;
        NEED(event->recv_ns > 0);
    } else {
        NEED(event->kind == AE_EVENT_TAP || event->kind == AE_EVENT_CLOSED);
        side->closed = event->kind == AE_EVENT_CLOSED;
        NEED(!side->closed || (event->reason == 0 && strstr(text, "closed by the peer")));
    }
}

static void drain(void)
{
    uint64_t told;
    if (read(ae_loop_fd(loop), &told, sizeof told) < 0)
        (void)told;
    uint8_t *at;
    uint64_t bytes = ae_loop_take(loop, &at);
    for (uint64_t done = 0; done < bytes;) {
        ae_event_t event;
        memcpy(&event, at + done, sizeof event);
        hear(&event, at + done + sizeof event);
        done += sizeof event + ((uint64_t)event.bytes + 7) / 8 * 8;
    }
}

static void begin(uint64_t half_bytes, uint32_t wait)
{
    void *base = zeroed(ae_ring_bytes(SLOTS, AE_TICK_BYTES));
    ae_ring_init(base, SLOTS, AE_TICK_BYTES, "check");
    ae_ring_take(&ring, base, 1);
    market = zeroed(ae_market_bytes());
    ae_market_init(market, &ring, zeroed(AE_BOOKS_HEADER_BYTES + AE_SYMBOLS_MAX * sizeof(ae_book_entry_t)));
    ae_hist_block_t *hist = zeroed(sizeof *hist);
    ae_market_measure(market, hist);
    loop = zeroed(ae_loop_bytes());
    NEED(ae_loop_init(loop, market, zeroed(2 * half_bytes), half_bytes) == 0);
    memset(sides, 0, sizeof sides);
    for (uint32_t i = 0; i < LINKS; i++) {
        char name[8];
        int pair[2];
        NEED(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
        NEED(ae_market_append(market, (const uint8_t *)name, (uint32_t)snprintf(name, sizeof name, "S%u", i), 2, 1,
                              zeroed(sizeof(ae_book_t))) == (int)i);
        sides[i].peer = pair[0];
        sides[i].seed = i + 1;
        sides[i].held = zeroed(frames_each * 300);
        sides[i].conn = zeroed(ae_conn_bytes());
        NEED(ae_conn_init(sides[i].conn, pair[1], NULL, "") == 0 && ae_conn_handshake(sides[i].conn) == 0);
        ae_link_init(&sides[i].link, sides[i].conn, zeroed(CAPACITY),
                     zeroed(CAPACITY), CAPACITY, market);
        NEED(ae_loop_add(loop, &sides[i].link) > 0);
    }
    NEED(ae_loop_start(loop, wait, -1) == 0);
}

/* What the ring holds: each side's tickers, whole and in order. */
static void judge(void)
{
    static ae_tick_t ticks[4096];
    ae_cursor_t cursor = {0};
    uint64_t next[LINKS], other = 0;
    for (int i = 0; i < LINKS; i++)
        next[i] = 1;
    int got;
    while ((got = ae_ring_read(&ring, &cursor, ticks, 4096)) > 0)
        for (int i = 0; i < got; i++) {
            if (ticks[i].kind != AE_KIND_BOOK_TICKER) {
                other++;
                continue;
            }
            uint64_t *n = &next[ticks[i].symbol];
            while (*n % 97 == 5 || *n % 101 == 7)
                ++*n;
            NEED(ticks[i].a == (int64_t)*n * 100 + 25 && ticks[i].c == (int64_t)*n * 100 + 50 && ticks[i].recv_ns > 0);
            ++*n;
        }
    for (int i = 0; i < LINKS; i++)
        while (next[i] % 97 == 5 || next[i] % 101 == 7)
            next[i]++;
    NEED(cursor.lost == 0);
    for (int i = 0; i < LINKS; i++)
        NEED(next[i] > frames_each);
    NEED(other > 0);
}

/* The owner's calls while the bytes flow. */
static void meddle(uint32_t turn)
{
    ae_level_t bid = {100, 1}, ask = {200, 1};
    ae_tick_t fill = {.kind = AE_KIND_TRADE, .symbol = (uint16_t)(turn % LINKS)};
    side_t *side = &sides[turn % LINKS];
    (void)ae_market_snapshot(market, turn % LINKS, turn, &bid, 1, &ask, 1, 1);
    ae_market_reset(market, turn % LINKS, AE_KIND_DEPTH, 1);
    NEED(ae_market_fill(market, &fill, 1) == 1);
    (void)ae_loop_write(loop, &side->link, (const uint8_t *)"pong", 4);
    ae_loop_mode(loop, &side->link, turn % 7 == 3 ? AE_LINK_PAUSED : AE_LINK_RUNS, turn % 5 == 0);
    uint8_t sink[256];
    while (recv(side->peer, sink, sizeof sink, MSG_DONTWAIT) > 0)
        continue;
}

static int open_sides(void)
{
    int n = 0;
    for (int i = 0; i < LINKS; i++)
        n += !sides[i].closed;
    return n;
}

static void end(void)
{
    for (int i = 0; i < LINKS; i++) {
        ae_loop_remove(loop, &sides[i].link);
        ae_loop_remove(loop, &sides[i].link);
        ae_conn_close(sides[i].conn);
        close(sides[i].peer);
    }
    ae_loop_close(loop);
    uint64_t turns = ae_loop_counters(loop)[AE_LOOP_TURNS];
    NEED(turns > 0);
}

static void scene(uint64_t half_bytes, uint32_t wait)
{
    pthread_t venues[LINKS];
    begin(half_bytes, wait);
    for (int i = 0; i < LINKS; i++)
        pthread_create(&venues[i], NULL, venue, &sides[i]);
    for (uint32_t turn = 0; open_sides(); turn++) {
        drain();
        meddle(turn);
    }
    for (int i = 0; i < LINKS; i++) {
        pthread_join(venues[i], NULL);
        NEED(sides[i].texts > 0 && sides[i].controls > 0);
    }
    judge();
    end();
}

/* Held from the first byte, given back at the end: the same records and events. */
static void held(void)
{
    pthread_t venues[LINKS];
    begin(2 * CAPACITY, AE_WAIT_BLOCK);
    for (int i = 0; i < LINKS; i++) {
        ae_loop_mode(loop, &sides[i].link, AE_LINK_HOLDS, 0);
        pthread_create(&venues[i], NULL, venue, &sides[i]);
    }
    while (open_sides())
        drain();
    NEED(ae_ring_newest(&ring) == 0);
    ae_tick_t fill = {.kind = AE_KIND_TRADE};
    NEED(ae_market_fill(market, &fill, 1) == 1);
    for (int i = 0; i < LINKS; i++) {
        side_t *side = &sides[i];
        pthread_join(venues[i], NULL);
        side->closed = 0;
        side->link.over = 0; /* as if the bytes had been released before the end: the loop is not told of more */
        for (uint64_t at = 0; at < side->held_bytes;) {
            uint64_t left = side->held_bytes - at;
            at += ae_loop_replay(loop, &side->link, side->held + at, (uint32_t)(left < 70000 ? left : 70000), 9);
            drain();
        }
        side->link.over = 1;
    }
    judge();
    end();
}

/* Bytes that are no frames end a connection with a reason; the others go on. */
static void broken(void)
{
    begin(2 * CAPACITY, AE_WAIT_BLOCK);
    for (int i = 0; i < LINKS; i++)
        ae_loop_mode(loop, &sides[i].link, AE_LINK_RUNS, 0);
    NEED(write(sides[0].peer, "\xff\xff\xff", 3) == 3);
    uint64_t told;
    uint8_t *at;
    while (read(ae_loop_fd(loop), &told, sizeof told) < 0)
        continue;
    ae_event_t event;
    NEED(ae_loop_take(loop, &at) == sizeof event);
    memcpy(&event, at, sizeof event);
    NEED(event.kind == AE_EVENT_CLOSED && event.reason == AE_WS_RESERVED_BITS && event.link == sides[0].link.id);
    NEED(ae_loop_write(loop, &sides[0].link, (const uint8_t *)"x", 1) == AE_BAD);
    NEED(ae_loop_write(loop, &sides[1].link, (const uint8_t *)"x", 1) == 0);
    end();
}

int main(int argc, char **argv)
{
    if (argc > 1)
        frames_each = strtoull(argv[1], NULL, 10);
    scene(4 * CAPACITY, AE_WAIT_BLOCK);
    scene(256, AE_WAIT_BLOCK); /* room for a few events only: nothing is lost, the sockets wait */
    scene(4 * CAPACITY, AE_WAIT_ADAPTIVE);
    scene(4 * CAPACITY, AE_WAIT_SPIN);
    held();
    broken();
    return 0;
}
