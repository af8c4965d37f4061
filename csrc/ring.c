/* Broadcast ring in a shared file: one writer, any number of readers, the writer never waits.
 *
 *   header page | slot 0 | slot 1 | ... | slot n-1        slot of sequence s (from 1): (s - 1) mod n
 *   slot = seq u64, then payload words
 *
 * Writing s:  seq = 0 (relaxed) ; payload words (release) ; seq = s (release).
 * Reading s:  seq == s (acquire) ; payload words (acquire) ; seq still s (relaxed, ordered by the acquires).
 *
 * Forbidden outcomes:
 *   - a reader returns a payload of which one word belongs to another sequence;
 *   - a reader that was overtaken goes on without having counted what it lost;
 *   - two live writers hold one file; a writer continues a file whose layout is not its own;
 *   - a record that was published before a writer died cannot be read after the next one took over.
 */
#include "ae_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#ifdef AE_MUTANT_RELAXED
#define AE_PUBLISH __ATOMIC_RELAXED
#else
#define AE_PUBLISH __ATOMIC_RELEASE
#endif

struct ae_ring {
    ae_header_t *head;
    unsigned char *slots;
    uint64_t mask;
    uint64_t next; /* writer only: sequence of the next record */
    uint64_t bytes;
    uint32_t slot_bytes;
    int fd;
    int writer;
};

static _Thread_local char reason_text[160];

const char *ae_ring_reason(void) { return reason_text; }

static int refuse(int code, const char *what, uint64_t theirs, uint64_t ours) {
    (void)snprintf(reason_text, sizeof reason_text, "%s: file has %llu, this build wants %llu", what,
                   (unsigned long long)theirs, (unsigned long long)ours);
    return code;
}

static int fail(const char *what) {
    (void)snprintf(reason_text, sizeof reason_text, "%s: %s", what, strerror(errno));
    return AE_E_SYSTEM;
}

static int check_header(const ae_header_t *h, uint64_t slots, uint32_t slot_bytes, uint64_t file_bytes) {
    if (h->magic != AE_MAGIC) return refuse(AE_E_FOREIGN, "magic", h->magic, AE_MAGIC);
    if (h->abi != AE_ABI_VERSION) return refuse(AE_E_FOREIGN, "ABI version", h->abi, AE_ABI_VERSION);
    if (h->header_bytes != AE_HEADER_BYTES)
        return refuse(AE_E_FOREIGN, "header bytes", h->header_bytes, AE_HEADER_BYTES);
    if (h->slot_bytes != slot_bytes) return refuse(AE_E_FOREIGN, "slot bytes", h->slot_bytes, slot_bytes);
    if (slots != 0 && h->slots != slots) return refuse(AE_E_FOREIGN, "slots", h->slots, slots);
    if (h->slots == 0 || (h->slots & (h->slots - 1)) != 0 || h->slots > (uint64_t)1 << 32)
        return refuse(AE_E_FOREIGN, "slots (a power of two)", h->slots, slots);
    if (file_bytes != AE_HEADER_BYTES + h->slots * h->slot_bytes)
        return refuse(AE_E_FOREIGN, "file bytes", file_bytes, AE_HEADER_BYTES + h->slots * h->slot_bytes);
    return 0;
}

static uint64_t *slot_at(const ae_ring *r, uint64_t seq) {
    return (uint64_t *)(void *)(r->slots + ((seq - 1) & r->mask) * r->slot_bytes);
}

/* Highest sequence in the file; a half-written slot (seq 0) is simply written again. */
static uint64_t newest_by_scan(const ae_ring *r) {
    uint64_t newest = 0;
    for (uint64_t i = 0; i <= r->mask; i++) {
        /* acquire: sees what a dead writer published; pairs with the release in ae_ring_publish */
        uint64_t seq = __atomic_load_n((const uint64_t *)(const void *)(r->slots + i * r->slot_bytes), __ATOMIC_ACQUIRE);
        if (seq > newest && ((seq - 1) & r->mask) == i) newest = seq;
    }
    return newest;
}

static int map_file(ae_ring *r, uint64_t bytes) {
    void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, r->fd, 0);
    if (at == MAP_FAILED) return fail("mmap");
    r->bytes = bytes;
    r->head = at;
    r->slots = (unsigned char *)at + AE_HEADER_BYTES;
    return 0;
}

static void write_header(ae_ring *r, uint64_t slots, uint32_t slot_bytes, const char *name) {
    ae_header_t *h = r->head;
    h->abi = AE_ABI_VERSION;
    h->header_bytes = AE_HEADER_BYTES;
    h->slot_bytes = slot_bytes;
    h->slots = slots;
    (void)snprintf(h->name, sizeof h->name, "%s", name);
    /* release: publishes the fields above; pairs with the acquire in ae_ring_attach */
    __atomic_store_n(&h->magic, (uint64_t)AE_MAGIC, __ATOMIC_RELEASE);
}

static int open_writer(ae_ring *r, const char *path, uint64_t slots, uint32_t slot_bytes, const char *name) {
    struct stat st;
    uint64_t want = AE_HEADER_BYTES + slots * slot_bytes;
    r->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (r->fd < 0) return fail(path);
    if (flock(r->fd, LOCK_EX | LOCK_NB) != 0) {
        (void)snprintf(reason_text, sizeof reason_text, "another live writer holds this ring");
        return AE_E_HELD;
    }
    if (fstat(r->fd, &st) != 0) return fail("fstat");
    int fresh = st.st_size == 0;
    if (fresh && ftruncate(r->fd, (off_t)want) != 0) return fail("ftruncate");
    if (!fresh && st.st_size < AE_HEADER_BYTES) return refuse(AE_E_FOREIGN, "file bytes", (uint64_t)st.st_size, want);
    int rc = map_file(r, fresh ? want : (uint64_t)st.st_size);
    if (rc != 0) return rc;
    /* a writer that died between ftruncate and its header left zeros: the same as fresh */
    if (r->head->magic == 0 && r->bytes == want) write_header(r, slots, slot_bytes, name);
    return check_header(r->head, slots, slot_bytes, r->bytes);
}

int ae_ring_create(const char *path, uint64_t slots, uint32_t slot_bytes, const char *name, ae_ring **out) {
    if (slots == 0 || (slots & (slots - 1)) != 0) return refuse(AE_BAD, "slots must be a power of two", slots, slots);
    if (slot_bytes < 16 || slot_bytes % 8 != 0) return refuse(AE_BAD, "slot bytes", slot_bytes, AE_TICK_BYTES);
    ae_ring *r = calloc(1, sizeof *r);
    if (r == NULL) return fail("calloc");
    r->fd = -1;
    r->writer = 1;
    int rc = open_writer(r, path, slots, slot_bytes, name);
    if (rc != 0) {
        ae_ring_close(r);
        return rc;
    }
    r->mask = slots - 1;
    r->slot_bytes = slot_bytes;
    r->next = newest_by_scan(r) + 1;
    r->head->pid = (uint32_t)getpid();
    __atomic_store_n(&r->head->head, r->next - 1, __ATOMIC_RELEASE); /* release: pairs with ae_ring_newest */
    /* release: readers that see the new epoch see the pid; pairs with ae_ring_epoch */
    __atomic_store_n(&r->head->epoch, r->head->epoch + 1, __ATOMIC_RELEASE);
    *out = r;
    return 0;
}

int ae_ring_attach(const char *path, uint32_t slot_bytes, ae_ring **out) {
    struct stat st;
    ae_ring *r = calloc(1, sizeof *r);
    if (r == NULL) return fail("calloc");
    int rc;
    r->fd = open(path, O_RDWR | O_CLOEXEC);
    if (r->fd < 0 || fstat(r->fd, &st) != 0) rc = fail(path);
    else if (st.st_size < AE_HEADER_BYTES) rc = refuse(AE_E_FOREIGN, "file bytes", (uint64_t)st.st_size, AE_HEADER_BYTES);
    else rc = map_file(r, (uint64_t)st.st_size);
    /* acquire: sees the whole header; pairs with the release in write_header */
    if (rc == 0 && __atomic_load_n(&r->head->magic, __ATOMIC_ACQUIRE) != AE_MAGIC)
        rc = refuse(AE_E_FOREIGN, "magic", r->head->magic, AE_MAGIC);
    if (rc == 0) rc = check_header(r->head, 0, slot_bytes, r->bytes);
    if (rc != 0) {
        ae_ring_close(r);
        return rc;
    }
    r->mask = r->head->slots - 1;
    r->slot_bytes = slot_bytes;
    *out = r;
    return 0;
}

void ae_ring_close(ae_ring *r) {
    if (r == NULL) return;
    if (r->head != NULL) (void)munmap(r->head, r->bytes);
    if (r->fd >= 0) (void)close(r->fd);
    free(r);
}

uint64_t ae_ring_publish(ae_ring *r, const void *records, uint64_t count) {
    const unsigned char *from = records;
    uint64_t words = r->slot_bytes / 8;
    for (uint64_t k = 0; k < count; k++, from += r->slot_bytes) {
        uint64_t *slot = slot_at(r, r->next);
        /* relaxed: ordered before the payload by the release of each payload word below */
        __atomic_store_n(slot, 0, __ATOMIC_RELAXED);
        for (uint64_t w = 1; w < words; w++) {
            uint64_t word;
            memcpy(&word, from + w * 8, 8);
            /* release: who sees this word sees the slot marked busy; pairs with the acquire in copy_slot */
            __atomic_store_n(slot + w, word, AE_PUBLISH);
        }
        /* release: publishes the payload; pairs with the first acquire in copy_slot */
        __atomic_store_n(slot, r->next, AE_PUBLISH);
        r->next++;
    }
    /* release: a hint for readers that start late; pairs with the acquire in ae_ring_newest */
    __atomic_store_n(&r->head->head, r->next - 1, AE_PUBLISH);
    ae_ring_wake(r);
    return r->next - 1;
}

void ae_ring_wake(ae_ring *r) {
    /* seq_cst on both sides: either the waiter sees the new head or we see the waiter (ae_ring_wait) */
    (void)__atomic_add_fetch(&r->head->wake, 1, __ATOMIC_SEQ_CST);
    if (__atomic_exchange_n(&r->head->waiters, 0, __ATOMIC_SEQ_CST) != 0)
        (void)syscall(SYS_futex, &r->head->wake, FUTEX_WAKE, 1 << 30, NULL, NULL, 0);
}

/* 1 copied, 0 not yet written, -1 overtaken */
static int copy_slot(const ae_ring *r, uint64_t want, unsigned char *out) {
    uint64_t *slot = slot_at(r, want);
    uint64_t words = r->slot_bytes / 8;
    uint64_t seq = __atomic_load_n(slot, __ATOMIC_ACQUIRE); /* acquire: pairs with the last release in publish */
    if (seq < want) return seq == 0 && __atomic_load_n(&r->head->head, __ATOMIC_ACQUIRE) >= want ? -1 : 0;
    if (seq > want) return -1;
    memcpy(out, &seq, 8);
    for (uint64_t w = 1; w < words; w++) {
        /* acquire: orders the check below after this load; pairs with the payload release in publish */
        uint64_t word = __atomic_load_n(slot + w, __ATOMIC_ACQUIRE);
        memcpy(out + w * 8, &word, 8);
    }
#ifndef AE_MUTANT_NO_RECHECK
    if (__atomic_load_n(slot, __ATOMIC_RELAXED) != want) return -1; /* relaxed: after the acquires above */
#endif
    return 1;
}

int64_t ae_ring_read(ae_ring *r, uint64_t *cursor, void *out, uint64_t max, uint64_t *lost) {
    unsigned char *to = out;
    uint64_t n = 0;
    while (n < max) {
        int got = copy_slot(r, *cursor, to);
        if (got == 0) break;
        if (got < 0) {
            uint64_t oldest = ae_ring_oldest(r);
            if (oldest <= *cursor) oldest = *cursor + 1;
            *lost += oldest - *cursor;
            *cursor = oldest;
            continue;
        }
        *cursor += 1;
        to += r->slot_bytes;
        n++;
    }
    return (int64_t)n;
}

uint64_t ae_ring_newest(ae_ring *r) {
    return __atomic_load_n(&r->head->head, __ATOMIC_ACQUIRE); /* acquire: pairs with the release in publish */
}

/* A quarter of the ring ahead of the overwriting edge, so that who starts here is not overtaken at once. */
uint64_t ae_ring_oldest(ae_ring *r) {
    uint64_t newest = ae_ring_newest(r), keep = (r->mask + 1) - (r->mask + 1) / 4;
    return newest > keep ? newest - keep + 1 : 1;
}

uint64_t ae_ring_epoch(ae_ring *r) {
    return __atomic_load_n(&r->head->epoch, __ATOMIC_ACQUIRE); /* acquire: pairs with ae_ring_create */
}

uint64_t ae_ring_file_bytes(ae_ring *r) { return r->bytes; }

uint32_t ae_ring_pid(ae_ring *r) { return r->head->pid; }

int ae_ring_wait(ae_ring *r, uint64_t cursor, int32_t timeout_ms) {
    struct timespec limit = {timeout_ms / 1000, (long)(timeout_ms % 1000) * 1000000L};
    uint32_t wake = __atomic_load_n(&r->head->wake, __ATOMIC_SEQ_CST);
    __atomic_store_n(&r->head->waiters, 1, __ATOMIC_SEQ_CST); /* pairs with the exchange in ae_ring_wake */
    if (ae_ring_newest(r) >= cursor) return 1;
    (void)syscall(SYS_futex, &r->head->wake, FUTEX_WAIT, wake, &limit, NULL, 0);
    return ae_ring_newest(r) >= cursor;
}
