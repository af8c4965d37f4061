/* The limit of the path bench: recv, look for the mark, send.
 * `bare PORT CLIENT block|adaptive|spin|relay CPU [CA-FILE]`.
 *
 * Problem: "as close to bare C as possible" needs the bare C, on the same two sockets, with the same way of waiting and
 * on the same processor as what is compared with it. This is the least a program can do and still answer a marked tick
 * with an order of the right quantity: walk the frames, compare seven bytes, patch eight digits, send once.
 * `relay` is the same cut in two processes with one word of shared memory between them, woken for every read: what the
 * split into feed and brain costs by itself, for comparison.
 * What must stay true: no parsing beyond the mark, no signature, no book, no gate; it misses nothing either.
 */
#include "wire.h"

#include <linux/futex.h>
#include <openssl/err.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#define ROOM (1 << 20)
#define SPIN_NS 50000
#define ASK_KEY "\"a\":\""
#define MARK "76960.30"

static const char ORDER[] =
    "{\"id\":\"ae-00000000-00000000\",\"method\":\"order.place\",\"params\":{\"symbol\":\"BTCUSDT\",\"side\":\"BUY\","
    "\"type\":\"LIMIT\",\"timeInForce\":\"IOC\",\"quantity\":\"0.000\",\"price\":\"76960.3\",\"newClientOrderId\":"
    "\"ae-00000000-00000000\",\"newOrderRespType\":\"ACK\",\"selfTradePreventionMode\":\"EXPIRE_MAKER\","
    "\"recvWindow\":5000,\"timestamp\":1789469121938,\"apiKey\":"
    "\"0123456789012345678901234567890123456789012345678901234567890123\",\"signature\":"
    "\"0123456789012345678901234567890123456789012345678901234567890123\"}}";

/* A WebSocket to the peer after its handshake. */
static wire_t open_socket(int port, const char *path, SSL_CTX *tls)
{
    wire_t w = {socket(AF_INET, SOCK_STREAM, 0), NULL};
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int one = 1;
    if (w.fd < 0 || connect(w.fd, (struct sockaddr *)&to, sizeof to))
        die("connect");
    setsockopt(w.fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (tls) {
        w.ssl = SSL_new(tls);
        SSL_set_fd(w.ssl, w.fd);
        SSL_set1_host(w.ssl, "localhost");
        if (SSL_connect(w.ssl) != 1) {
            ERR_print_errors_fp(stderr);
            exit(1);
        }
    }
    char text[512];
    int n = snprintf(text, sizeof text, "GET %s HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
                     "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                     "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", path);
    if (wire_send(&w, (uint8_t *)text, (size_t)n))
        die("send");
    size_t used = 0;
    while (used < 4 || memcmp(text + used - 4, "\r\n\r\n", 4)) {
        if (used == sizeof text || wire_recv(&w, (uint8_t *)text + used, 1) != 1)
            die("handshake");
        used++;
    }
    return w;
}

/* Patch the mark's four digits and a running number into the order and send it. */
static void answer(wire_t *api, uint8_t *frame, size_t bytes, size_t number_at[2], size_t qty_at, const uint8_t *qty)
{
    static uint32_t number;
    char digits[16];
    snprintf(digits, sizeof digits, "%08u", ++number);
    memcpy(frame + number_at[0], digits, 8);
    memcpy(frame + number_at[1], digits, 8);
    memcpy(frame + qty_at, qty, 5);
    if (wire_send(api, frame, bytes))
        die("order");
}

/* The marked tick's quantity, or NULL. Best prices have one width: the place of the ask is learned once. */
static const uint8_t *marked(const uint8_t *payload, size_t size)
{
    static size_t width, at;
    if (!width) {
        const uint8_t *key = memmem(payload, size, ASK_KEY, sizeof ASK_KEY - 1);
        if (!key || !memmem(payload, size, "bookTicker", 10))
            return NULL;
        width = size;
        at = (size_t)(key - payload) + sizeof ASK_KEY - 1;
    }
    return size == width && !memcmp(payload + at, MARK, sizeof MARK - 1) ? payload + at + sizeof MARK + 6 : NULL;
}

/* Receive by the chosen strategy; bytes, or the end of the program when the peer is gone. */
static size_t take(wire_t *w, uint8_t *to, size_t room, char how)
{
    int64_t until = how == 'a' ? now_ns() + SPIN_NS : 0;
    for (;;) {
        int got = wire_recv(w, to, room);
        if (got < 0)
            exit(0);
        if (got)
            return (size_t)got;
        if (how == 'a' && now_ns() > until) {
            struct pollfd one = {w->fd, POLLIN, 0};
            poll(&one, 1, -1);
        }
    }
}

/* One line between the two processes of `relay`: the receiver writes marks and counts reads, the sender sleeps on it. */
typedef struct between {
    uint32_t reads;
    uint32_t asleep;
    uint32_t marks;
    uint8_t qty[64][8];
} between_t;

static long futex(uint32_t *word, int what, uint32_t value)
{
    return syscall(SYS_futex, word, what, value, NULL, NULL, 0);
}

/* The receiving process read once more: wake the sender if it sleeps. */
static void tell(between_t *b)
{
    __atomic_fetch_add(&b->reads, 1, __ATOMIC_SEQ_CST);    /* pairs with the look in hear */
    if (__atomic_load_n(&b->asleep, __ATOMIC_SEQ_CST))     /* pairs with the store in hear */
        futex(&b->reads, FUTEX_WAKE, 1);
}

/* The sending process: an order for each mark, asleep otherwise. */
static void hear(between_t *b, wire_t *api, uint8_t *frame, size_t bytes, size_t number_at[2], size_t qty_at)
{
    static uint8_t junk[ROOM / 4];
    for (uint32_t done = 0;;) {
        uint32_t seen = __atomic_load_n(&b->reads, __ATOMIC_SEQ_CST); /* pairs with tell */
        uint32_t marks = __atomic_load_n(&b->marks, __ATOMIC_ACQUIRE); /* pairs with the release in main */
        for (; done != marks; done++) {
            answer(api, frame, bytes, number_at, qty_at, b->qty[done % 64]);
            if (wire_recv(api, junk, sizeof junk) < 0)
                exit(0);
        }
        __atomic_store_n(&b->asleep, 1, __ATOMIC_SEQ_CST);
        futex(&b->reads, FUTEX_WAIT, seen);
        __atomic_store_n(&b->asleep, 0, __ATOMIC_SEQ_CST);
    }
}

int main(int argc, char **argv)
{
    static uint8_t in[ROOM], junk[ROOM / 4], frame[2048];
    if (argc < 5) {
        fprintf(stderr, "bare PORT CLIENT block|adaptive|spin|relay CPU [CA-FILE]\n");
        return 2;
    }
    int port = atoi(argv[1]);
    char how = argv[3][0], path[64];
    SSL_CTX *tls = NULL;
    if (argc > 5) {
        tls = SSL_CTX_new(TLS_client_method());
        SSL_CTX_set_verify(tls, SSL_VERIFY_PEER, NULL);
        if (SSL_CTX_load_verify_locations(tls, argv[5], NULL) != 1)
            die("CA");
    }
    pin(atoi(argv[4]));
    snprintf(path, sizeof path, "/%s/public/stream", argv[2]);
    wire_t stream = open_socket(port, path, tls);
    snprintf(path, sizeof path, "/%s/ws-api/v1", argv[2]);
    wire_t api = open_socket(port, path, tls);

    size_t head = frame_head(frame, sizeof ORDER - 1, 1, 1), bytes = head + sizeof ORDER - 1;
    memcpy(frame + head, ORDER, sizeof ORDER - 1);
    const char *first = strstr(ORDER, "ae-0"), *second = strstr(first + 1, "ae-0");
    size_t number_at[2] = {head + (size_t)(first - ORDER) + 12, head + (size_t)(second - ORDER) + 12};
    size_t qty_at = head + (size_t)(strstr(ORDER, "0.000") - ORDER);

    static const char ASK[] = "{\"method\":\"SUBSCRIBE\",\"params\":[\"btcusdt@bookTicker\"],\"id\":1}";
    uint8_t ask[128];
    size_t n = frame_head(ask, sizeof ASK - 1, 1, 1);
    memcpy(ask + n, ASK, sizeof ASK - 1);
    if (wire_send(&stream, ask, n + sizeof ASK - 1))
        die("subscribe");
    set_blocking(stream.fd, how == 'b' || how == 'r');
    set_blocking(api.fd, 0);
    between_t *b = mmap(NULL, sizeof *b, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (b == MAP_FAILED)
        die("mmap");
    if (how == 'r' && !fork()) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        hear(b, &api, frame, bytes, number_at, qty_at);
    }

    size_t used = 0;
    for (;;) {
        used += take(&stream, in + used, ROOM - used, how);
        size_t at = 0, got;
        int opcode;
        uint8_t *payload;
        size_t size;
        int sent = 0;
        while ((got = frame_next(in + at, used - at, &opcode, &payload, &size))) {
            const uint8_t *qty = marked(payload, size);
            if (qty && how == 'r') {
                memcpy(b->qty[b->marks % 64], qty, 8);
                __atomic_store_n(&b->marks, b->marks + 1, __ATOMIC_RELEASE); /* publishes qty to hear */
            } else if (qty) {
                answer(&api, frame, bytes, number_at, qty_at, qty);
                sent = 1;
            }
            at += got;
        }
        memmove(in, in + at, used - at);
        used -= at;
        if (how == 'r')
            tell(b);
        if (sent && wire_recv(&api, junk, sizeof junk) < 0) /* answers to earlier orders: read, not looked at */
            return 0;
    }
}
