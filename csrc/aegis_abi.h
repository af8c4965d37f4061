/* The one truth of layouts. Only what cffi's cdef can parse: no guards, no asserts, no expressions.
 * Guard and includes: ae_internal.h. Asserts: ae_abi_check.c. Python derives its dtypes from here. */

#define AE_ABI_VERSION 1
#define AE_MAGIC 23734433837401415
#define AE_HEADER_BYTES 4096
#define AE_TICK_BYTES 64
#define AE_WIDE_BYTES 256
#define AE_NAME_BYTES 48
#define AE_TOP_LEVELS 20
#define AE_SYMBOLS_MAX 1024
#define AE_KINDS 12
#define AE_REASONS 32
#define AE_MORE -2
#define AE_BAD -1
#define AE_E_HELD -10
#define AE_E_FOREIGN -11
#define AE_E_SYSTEM -12

/* header of every shared file; writer: the file's one writer */
typedef struct {
    uint64_t magic;
    uint32_t abi;
    uint32_t header_bytes;
    uint32_t slot_bytes;
    uint32_t pid;
    uint64_t slots;
    uint64_t epoch;
    char name[32];
    uint64_t reserved[6];
    uint64_t head;
    uint32_t wake;
    uint32_t waiters;
} ae_header_t;

typedef struct {
    uint64_t seq;
    int64_t exch_ns;
    int64_t recv_ns;
    uint16_t symbol;
    uint8_t kind;
    uint8_t flags;
    uint8_t px_exp;
    uint8_t qty_exp;
    uint16_t aux;
    int64_t a;
    int64_t b;
    int64_t c;
    int64_t d;
} ae_tick_t;

/* one account-ring record; which numbers mean what is in aegis/native/account.py */
typedef struct {
    uint64_t seq;
    int64_t exch_ns;
    int64_t recv_ns;
    uint8_t kind;
    uint8_t flags;
    int8_t side;
    uint8_t type;
    uint8_t tif;
    uint8_t exec_type;
    uint8_t status;
    uint8_t expiry_reason;
    int64_t order_id;
    int64_t trade_id;
    int64_t num[8];
    uint8_t exp[8];
    char symbol[40];
    char client_id[40];
    char text[16];
    char reason[24];
    uint8_t reserved[8];
} ae_account_t;

typedef struct {
    uint64_t seq;
    int64_t now_ns;
    uint8_t step;
    int8_t side;
    uint8_t type;
    uint8_t tif;
    uint8_t state;
    uint8_t reduce_only;
    uint8_t exp[3];
    uint8_t reserved0[3];
    int32_t reason;
    int64_t order_id;
    int64_t num[3];
    int64_t market_seq;
    int64_t account_seq;
    uint64_t digest;
    char symbol[40];
    char client_id[40];
    char tag[16];
    uint8_t reserved[64];
} ae_order_t;

/* ring handles; the writer belongs to one thread */
typedef struct ae_ring ae_ring;
int ae_ring_create(const char *path, uint64_t slots, uint32_t slot_bytes, const char *name, ae_ring **out);
int ae_ring_attach(const char *path, uint32_t slot_bytes, ae_ring **out);
const char *ae_ring_reason(void);
void ae_ring_close(ae_ring *r);
uint64_t ae_ring_publish(ae_ring *r, const void *records, uint64_t count);
void ae_ring_wake(ae_ring *r);
int64_t ae_ring_read(ae_ring *r, uint64_t *cursor, void *out, uint64_t max, uint64_t *lost);
int ae_ring_wait(ae_ring *r, uint64_t cursor, int32_t timeout_ms);
uint64_t ae_ring_newest(ae_ring *r);
uint64_t ae_ring_oldest(ae_ring *r);
uint64_t ae_ring_epoch(ae_ring *r);
uint64_t ae_ring_file_bytes(ae_ring *r);
uint32_t ae_ring_pid(ae_ring *r);

#define AE_OTHER -3
#define AE_KIND_BOOK_TICKER 1
#define AE_KIND_TRADE 2
#define AE_KIND_AGG_TRADE 3
#define AE_KIND_DEPTH 4
#define AE_KIND_DEPTH_SNAPSHOT 5
#define AE_KIND_MARK 6
#define AE_KIND_KLINE 7
#define AE_KIND_FORCE_ORDER 8
#define AE_KIND_TICKER_24H 9
#define AE_KIND_BOOK_STATE 10
#define AE_FLAG_BEGIN 1
#define AE_FLAG_END 2
#define AE_FLAG_FILLED 4
#define AE_FLAG_CLOSED 8
#define AE_FLAG_RPI 16
#define AE_EVENT_RECORDS_MAX 32768

enum ae_reason {
    AE_OK,
    AE_R_NOT_JSON,
    AE_R_DEPTH,
    AE_R_TOO_MANY_KEYS,
    AE_R_MISSING,
    AE_R_BAD_DECIMAL,
    AE_R_DECIMAL_RANGE,
    AE_R_BAD_INTEGER,
    AE_R_UNKNOWN_SYMBOL,
    AE_R_NOT_MARKET_TRADE,
    AE_R_TOO_MANY_LEVELS,
    AE_R_ESCAPED_SYMBOL,
    AE_R_DUPLICATE,
    AE_R_FRAME,
    AE_R_FRAME_TOO_LONG,
    AE_R_MASKED,
    AE_R_UTF8
};

/* what tells one event from another; filled beside the records */
typedef struct {
    int64_t id;
    int64_t first_id;
    int64_t prev_id;
    int64_t event_ms;
    uint32_t symbol;
    uint32_t kind;
    uint32_t aux;
    uint32_t reason;
} ae_event_t;

/* symbol table: exact UTF-8 names, append only */
typedef struct ae_symbols ae_symbols;
ae_symbols *ae_symbols_new(void);
void ae_symbols_free(ae_symbols *t);
int ae_symbols_add(ae_symbols *t, const char *name, uint8_t px_exp, uint8_t qty_exp);
int ae_symbols_find(const ae_symbols *t, const char *name, uint64_t bytes);

/* one message to records: count, AE_BAD with event->reason, or AE_OTHER (no market event). Pure; allocates: no */
int64_t ae_tick_parse(const ae_symbols *t, const uint8_t *text, uint64_t bytes, int64_t recv_ns, ae_tick_t *out,
                      uint64_t max, ae_event_t *event);

#define AE_FRAME_BYTES_MAX 4194304

/* one WebSocket frame inside a buffer */
typedef struct {
    uint64_t length;
    uint32_t head;
    uint8_t fin;
    uint8_t opcode;
    uint8_t reserved[2];
} ae_frame_t;

/* bytes the frame takes, AE_MORE, or AE_BAD with a reason. Allocates: no */
int64_t ae_frame_scan(const uint8_t *p, uint64_t bytes, ae_frame_t *out, uint32_t *reason);
