/* The pump under a blast with three readers of different speeds, every allocation counted; and its instructions.
 *
 *   blast_pump blast SECONDS   one JSON line: what was sent, allocated, and per reader taken, lost, gaps, wrong
 *   blast_pump count FRAMES    FRAMES frames through the pump, no sockets: for callgrind
 *
 * Two readers keep up: the venue here never gets further ahead of them than half a ring, which is what keeping up means.
 * The third sleeps now and then and is overtaken. Each record carries its own proof: three of its numbers follow from the
 * fourth, which rises by one step from record to record of a symbol.
 * PLANT_ALLOC, PLANT_LOSS, PLANT_TORN, PLANT_TWICE (linked with --wrap) plant what the test has to notice. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "../bench/c/wire_feed.h"

#define CONNS 4
#define CAPACITY (1U << 20)
#define SLOTS 65536
#define BURST 16384
#define READERS 3
#define STEP 10 /* nine digits hold 90 million frames a connection: more than a machine sends in the time */

typedef struct reader {
    ae_cursor_t cursor;
    uint64_t seen; /* cursor.taken, for the venue to look at */
    uint64_t got;
    uint64_t gaps;
    uint64_t gap_records;
    uint64_t wrong;
    int slow;
} reader_t;

static ae_ring_t ring;
static reader_t readers[READERS];
static int peers[CONNS];
static int stop_venue;
static int venue_done;
static int settled;
static uint64_t sent_frames;
static uint64_t allocations;
static int armed;

extern void *__libc_malloc(size_t bytes);
extern void *__libc_calloc(size_t n, size_t bytes);
extern void *__libc_realloc(void *old, size_t bytes);

static void counted(void)
{
    if (__atomic_load_n(&armed, __ATOMIC_RELAXED))
        __atomic_fetch_add(&allocations, 1, __ATOMIC_RELAXED);
}

void *malloc(size_t bytes)
{
    counted();
    return __libc_malloc(bytes);
}

void *calloc(size_t n, size_t bytes)
{
    counted();
    return __libc_calloc(n, bytes);
}

void *realloc(void *old, size_t bytes)
{
    counted();
    return __libc_realloc(old, bytes);
}

#ifdef PLANT_ALLOC
uint32_t __real_ae_pump_room(ae_pump_t *pump);
uint32_t __wrap_ae_pump_room(ae_pump_t *pump)
{
    static uint32_t calls;
    if (++calls % 1000 == 0)
        free(malloc(64 + calls % 7));
    return __real_ae_pump_room(pump);
}
#endif
#ifdef PLANT_TWICE
int __real_ae_tick_parse(const uint8_t *data, uint32_t bytes, const ae_symtab_t *tab, ae_predict_t *predict,
                         ae_tick_t *out, uint32_t out_max, ae_parsed_t *parsed);
int __wrap_ae_tick_parse(const uint8_t *data, uint32_t bytes, const ae_symtab_t *tab, ae_predict_t *predict,
                         ae_tick_t *out, uint32_t out_max, ae_parsed_t *parsed)
{
    (void)__real_ae_tick_parse(data, bytes, tab, predict, out, out_max, parsed);
    return __real_ae_tick_parse(data, bytes, tab, predict, out, out_max, parsed);
}
#endif
#if defined PLANT_LOSS || defined PLANT_TORN
uint64_t __real_ae_ring_publish(ae_ring_t *to, const void *records, uint32_t count);
uint64_t __wrap_ae_ring_publish(ae_ring_t *to, const void *records, uint32_t count)
{
    static uint32_t calls;
    static ae_tick_t copy[64];
    if (++calls % 5000 || count > 64)
        return __real_ae_ring_publish(to, records, count);
#ifdef PLANT_LOSS
    return __real_ae_ring_publish(to, records, count - 1);
#else
    memcpy(copy, records, count * sizeof *copy);
    copy[count / 2].c ^= 1;
    return __real_ae_ring_publish(to, copy, count);
#endif
    (void)copy;
}
#endif

static void need(int yes, const char *what)
{
    if (!yes) {
        perror(what);
        exit(1);
    }
}

static void *zeroed(uint64_t bytes)
{
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    need(p != MAP_FAILED, "memory");
    return p;
}

/* ---- the venue */

static const char FORM[] = "{\"e\":\"bookTicker\",\"u\":100000000,\"s\":\"COIN0XUSDT\",\"b\":\"1000000.00\",\"B\":"
                           "\"100000.000\",\"a\":\"1000000.00\",\"A\":\"100000.000\",\"T\":1789469121836,"
                           "\"E\":1789469121904}";

/* Nine digits (of value, >= 10^8) with a point before the last `places`. */
static void digits(char *to, uint64_t value, int places)
{
    for (int at = 9; at >= 0; at--) {
        if (at == 9 - places)
            continue;
        to[at] = (char)('0' + value % 10);
        value /= 10;
    }
}

static int64_t proof(int64_t number, int64_t by)
{
    return 100000000 + number * by % 899999963;
}

static uint32_t frame(uint8_t *to, uint32_t conn, uint64_t n)
{
    static uint32_t places[5];
    if (!places[0]) {
        const char *keys[] = {"\"u\":", "\"b\":\"", "\"B\":\"", "\"a\":\"", "\"A\":\""};
        for (int i = 0; i < 5; i++)
            places[i] = (uint32_t)(strstr(FORM, keys[i]) - FORM + (long)strlen(keys[i]));
    }
    const uint32_t bytes = sizeof FORM - 1;
    uint32_t head = wire_head((char *)to, bytes);
    char *body = (char *)to + head;
    memcpy(body, FORM, bytes);
    body[strstr(FORM, "COIN0X") - FORM + 5] = (char)('0' + conn);
    int64_t bid = 100000000 + (int64_t)n * STEP;
    char number[10];
    digits(number, 100000000 + n, 0);
    memcpy(body + places[0], number, 9);
    digits(body + places[1], (uint64_t)bid, 2);
    digits(body + places[2], (uint64_t)proof(bid, 7), 3);
    digits(body + places[3], (uint64_t)proof(bid, 11), 2);
    digits(body + places[4], (uint64_t)proof(bid, 13), 3);
    return head + bytes;
}

/* Wait until who keeps up is at most half a ring behind what was sent. PLANT_LOSS takes records out of that sum. */
static void let_them_keep_up(void)
{
    for (int i = 0; i < READERS; i++)
        while (!readers[i].slow && !__atomic_load_n(&stop_venue, __ATOMIC_RELAXED) &&
               sent_frames > __atomic_load_n(&readers[i].seen, __ATOMIC_RELAXED) + SLOTS / 2)
            sched_yield();
}

static void *venue(void *arg)
{
    uint8_t *buffer = arg;
    uint64_t n[CONNS] = {0};
    for (uint32_t turn = 0; !__atomic_load_n(&stop_venue, __ATOMIC_RELAXED); turn++) {
        uint32_t conn = turn % CONNS, have = 0;
        while (have < BURST) {
            have += frame(buffer + have, conn, ++n[conn]);
            sent_frames++;
        }
        for (uint32_t at = 0; at < have;) {
            ssize_t sent = send(peers[conn], buffer + at, have - at, MSG_NOSIGNAL);
            need(sent > 0, "send");
            at += (uint32_t)sent;
        }
        let_them_keep_up();
    }
    __atomic_store_n(&venue_done, 1, __ATOMIC_RELEASE); /* publishes sent_frames to main */
    return NULL;
}

/* ---- readers */

static void *reader(void *arg)
{
    reader_t *me = arg;
    static ae_tick_t batches[READERS][256];
    ae_tick_t *batch = batches[me - readers];
    int64_t last[CONNS] = {0};
    uint64_t seq = 0;
    struct timespec nap = {0, 80000000};
    for (;;) {
        int end = __atomic_load_n(&settled, __ATOMIC_ACQUIRE); /* pairs with main: everything is published */
        int got = ae_ring_read(&ring, &me->cursor, batch, 256);
        __atomic_store_n(&me->seen, me->cursor.taken, __ATOMIC_RELAXED); /* looked at by the venue */
        for (int i = 0; i < got; i++) {
            const ae_tick_t *t = &batch[i];
            int gap = t->seq != seq + 1;
            me->gaps += (uint64_t)gap;
            me->gap_records += t->seq - seq - 1;
            seq = t->seq;
            int64_t *before = &last[t->symbol % CONNS];
            if (gap) /* after a gap only the record itself can be judged */
                memset(last, 0, sizeof last);
            me->wrong += t->kind != AE_KIND_BOOK_TICKER || t->b != proof(t->a, 7) || t->c != proof(t->a, 11) ||
                         t->d != proof(t->a, 13) || (*before && t->a != *before + STEP) || t->recv_ns <= 0;
            *before = t->a;
        }
        me->got += (uint64_t)got;
        if (!got && end)
            return NULL;
        if (me->slow && !end)
            nanosleep(&nap, NULL);
        else if (!got)
            (void)ae_ring_wait(&ring, &me->cursor, 1000000);
    }
}

/* ---- the whole */

static ae_market_t *make_market(void)
{
    void *base = zeroed(ae_ring_bytes(SLOTS, AE_TICK_BYTES));
    ae_ring_init(base, SLOTS, AE_TICK_BYTES, "market");
    ae_ring_take(&ring, base, 1);
    ae_market_t *market = zeroed(ae_market_bytes());
    ae_market_init(market, &ring, zeroed(AE_BOOKS_HEADER_BYTES + AE_SYMBOLS_MAX * sizeof(ae_book_entry_t)));
    ae_market_measure(market, zeroed(sizeof(ae_hist_block_t)));
    wire_symbols(market, WIRE_SYMBOLS);
    return market;
}

static void connect_all(int *fds)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t bytes = sizeof at;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    need(bind(listener, (struct sockaddr *)&at, sizeof at) == 0 && listen(listener, CONNS) == 0, "listen");
    getsockname(listener, (struct sockaddr *)&at, &bytes);
    for (int i = 0; i < CONNS; i++) {
        peers[i] = socket(AF_INET, SOCK_STREAM, 0);
        need(connect(peers[i], (struct sockaddr *)&at, sizeof at) == 0, "connect");
        fds[i] = accept(listener, NULL, NULL);
    }
}

static void nap_until(const int *what, uint64_t *counter, uint64_t wanted)
{
    struct timespec nap = {0, 1000000};
    while (!__atomic_load_n(what, __ATOMIC_ACQUIRE) || __atomic_load_n(counter, __ATOMIC_RELAXED) < wanted)
        nanosleep(&nap, NULL);
}

static int blast(int seconds)
{
    int fds[CONNS];
    pthread_t venue_thread, threads[READERS];
    static ae_link_t links[CONNS];
    ae_market_t *market = make_market();
    ae_loop_t *loop = zeroed(ae_loop_bytes());
    uint64_t *counters = ae_market_counters(market);
    need(ae_loop_init(loop, market, zeroed(2 * CAPACITY), CAPACITY) == 0, "loop");
    connect_all(fds);
    for (int i = 0; i < CONNS; i++) {
        ae_conn_t *conn = zeroed(ae_conn_bytes());
        need(ae_conn_init(conn, fds[i], NULL, "") == 0 && ae_conn_handshake(conn) == 0, "conn");
        ae_link_init(&links[i], conn, zeroed(CAPACITY), zeroed(CAPACITY), CAPACITY,
                     market);
        need(ae_loop_add(loop, &links[i]) > 0, "add");
        ae_loop_mode(loop, &links[i], AE_LINK_RUNS, 0);
    }
    readers[2].slow = 1;
    for (int i = 0; i < READERS; i++)
        pthread_create(&threads[i], NULL, reader, &readers[i]);
    need(ae_loop_start(loop, AE_WAIT_BLOCK, -1) == 0, "start");
    pthread_create(&venue_thread, NULL, venue, zeroed(BURST + WIRE_FRAME_MAX));
    struct timespec whole = {seconds, 0};
    __atomic_store_n(&armed, 1, __ATOMIC_RELAXED);
    nanosleep(&whole, NULL);
    __atomic_store_n(&stop_venue, 1, __ATOMIC_RELAXED);
    nap_until(&venue_done, counters, 0);
    nap_until(&venue_done, &counters[AE_C_FRAMES], sent_frames);
    __atomic_store_n(&armed, 0, __ATOMIC_RELAXED);
    ae_loop_stop(loop);
    __atomic_store_n(&settled, 1, __ATOMIC_RELEASE); /* pairs with the readers' acquire */
    printf("{\"sent\":%llu,\"records\":%llu,\"newest\":%llu,\"allocations\":%llu,\"readers\":[",
           (unsigned long long)sent_frames, (unsigned long long)counters[AE_C_RECORDS],
           (unsigned long long)ae_ring_newest(&ring), (unsigned long long)allocations);
    for (int i = 0; i < READERS; i++) {
        reader_t *r = &readers[i];
        pthread_join(threads[i], NULL);
        printf("%s{\"slow\":%d,\"got\":%llu,\"lost\":%llu,\"laps\":%llu,\"gaps\":%llu,\"gap_records\":%llu,\"wrong\":%llu}",
               i ? "," : "", r->slow, (unsigned long long)r->got, (unsigned long long)r->cursor.lost,
               (unsigned long long)r->cursor.laps, (unsigned long long)r->gaps, (unsigned long long)r->gap_records,
               (unsigned long long)r->wrong);
    }
    printf("]}\n");
    return 0;
}

/* Frames of a realistic mix through the pump, as much at once as one read takes. */
static int count(uint64_t frames)
{
    ae_market_t *market = make_market();
    ae_pump_t pump;
    static wire_t wire;
    uint8_t *data = zeroed(CAPACITY);
    ae_pump_init(&pump, data, zeroed(CAPACITY), CAPACITY, market);
    wire_init(&wire, 0);
    while (frames) {
        uint32_t have = 0;
        (void)ae_pump_room(&pump);
        for (uint32_t i = 0; i < 256 && frames; i++, frames--)
            have += wire_next(&wire, pump.data + pump.write + have);
        need(ae_pump_step(&pump, have, 1) == AE_PUMP_NEED, "step");
    }
    printf("%llu\n", (unsigned long long)ae_market_counters(market)[AE_C_RECORDS]);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "blast") == 0)
        return blast(atoi(argv[2]));
    if (argc == 3 && strcmp(argv[1], "count") == 0)
        return count(strtoull(argv[2], NULL, 10));
    fprintf(stderr, "usage: blast_pump blast SECONDS | count FRAMES\n");
    return 2;
}
