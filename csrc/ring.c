/* Broadcast ring in shared memory: one writer that never waits, any number of readers, sequence number in the slot.
 *
 *   header page: head | wake, waiters | claim    slot 0 | slot 1 | ...    record n (from 1) is in slot (n - 1) & mask
 *   writer: claim >= n -> payload words -> seq := n        (head := n once a batch)
 *   reader: seq == n? -> copy words -> claim still below n + size? -> take it
 *
 * claim is the last number the writer may be writing: a reader that sees it has reached n + size knows that the slot of
 * record n is, or soon will be, overwritten. It moves a 32nd of the ring at a time, so the reader's look at it stays in
 * its own cache, and the slot's line is all that travels between the two (that 32nd is what readers cannot hope for).
 *
 * Forbidden: a reader returns a torn record; an old record under a new number; skips one without counting it.
 * Payload moves as 8-byte atomic words, each release stored and acquire loaded: whoever sees a word of record n + size
 * also sees the claim that came before it. No fences (ThreadSanitizer does not model them). Where the machine keeps
 * stores in order and loads in order (x86), the same is a plain copy that the compiler leaves between two words. */
#define _GNU_SOURCE
#include "ae_ring.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { AE_RING_OK, AE_RING_SHORT, AE_RING_OTHER_MAGIC, AE_RING_OTHER_ABI, AE_RING_OTHER_HEADER, AE_RING_OTHER_SLOT,
       AE_RING_OTHER_CAPACITY, AE_RING_OTHER_NAME };

/* Size of a ring file in bytes. */
uint64_t ae_ring_bytes(uint64_t capacity, uint32_t slot_bytes)
{
    return AE_RING_HEADER_BYTES + capacity * slot_bytes;
}

/* Compare a file's header with what the caller expects (capacity 0, name NULL: any). 0 or the field that differs:
 * 1 size, 2 magic, 3 abi, 4 header_bytes, 5 slot_bytes, 6 capacity, 7 name. */
int ae_ring_check(const void *base, uint64_t bytes, uint64_t capacity, uint32_t slot_bytes, const char *name)
{
    const ae_ring_header_t *header = base;
    if (bytes < AE_RING_HEADER_BYTES)
        return AE_RING_SHORT;
    if (header->magic != AE_RING_MAGIC)
        return AE_RING_OTHER_MAGIC;
    if (header->abi != AE_ABI_VERSION)
        return AE_RING_OTHER_ABI;
    if (header->header_bytes != AE_RING_HEADER_BYTES)
        return AE_RING_OTHER_HEADER;
    if ((slot_bytes && header->slot_bytes != slot_bytes) || header->slot_bytes < 16 || header->slot_bytes % 8)
        return AE_RING_OTHER_SLOT;
    uint64_t slots = header->capacity;
    if ((capacity && slots != capacity) || slots < 2 || (slots & (slots - 1)) || slots > UINT32_MAX)
        return AE_RING_OTHER_CAPACITY;
    if (ae_ring_bytes(slots, header->slot_bytes) != bytes)
        return AE_RING_SHORT;
    if (name && strncmp(header->name, name, sizeof header->name) != 0)
        return AE_RING_OTHER_NAME;
    return AE_RING_OK;
}

/* Write the header of a fresh, zeroed file; magic last, so that a half-made file is refused. */
void ae_ring_init(void *base, uint64_t capacity, uint32_t slot_bytes, const char *name)
{
    ae_ring_header_t *header = base;
    header->abi = AE_ABI_VERSION;
    header->header_bytes = AE_RING_HEADER_BYTES;
    header->slot_bytes = slot_bytes;
    header->capacity = capacity;
    size_t length = strlen(name);
    memcpy(header->name, name, length < sizeof header->name ? length : sizeof header->name - 1);
    __atomic_store_n(&header->magic, AE_RING_MAGIC, AE_RELEASE); /* publishes the fields above */
}

/* Look at a checked file; used by readers and by the writer. */
void ae_ring_attach(ae_ring_t *ring, void *base)
{
    ring->header = base;
    ring->slots = (uint8_t *)base + AE_RING_HEADER_BYTES;
    ring->mask = ring->header->capacity - 1;
    ring->slot_bytes = ring->header->slot_bytes;
    ring->claim = __atomic_load_n(&ring->header->claim, __ATOMIC_ACQUIRE); /* partner: store in ae_ring_claim */
}

/* Become the writer of a checked file whose writer is gone (the caller holds the file's lock): find the head in the
 * slots themselves, start a new epoch. A slot the dead writer left half-written has its old number, and is claimed. */
void ae_ring_take(ae_ring_t *ring, void *base, uint64_t pid)
{
    ae_ring_attach(ring, base);
    uint64_t head = 0;
    for (uint64_t i = 0; i <= ring->mask; i++) {
        uint64_t seq = __atomic_load_n(ae_ring_slot(ring, i + 1), __ATOMIC_ACQUIRE); /* partner: ae_ring_publish */
        if (seq && ((seq - 1) & ring->mask) == i && seq > head)
            head = seq;
    }
    __atomic_store_n(&ring->header->head, head, AE_RELEASE); /* pairs with the acquire in newest */
    ring->header->writer_pid = pid;
    __atomic_store_n(&ring->header->epoch, ring->header->epoch + 1, AE_RELEASE); /* readers compare it */
}

/* Payload of one record (all but its first word) out of a slot. bytes: a multiple of 8. */
static inline void copy_slot(const uint64_t *slot, uint8_t *to, uint32_t bytes)
{
#ifdef AE_ORDERED
    AE_STAY();
    memcpy(to + 8, slot + 1, bytes - 8);
    AE_STAY();
#else
    for (uint32_t w = 1; w < bytes / 8; w++) {
        uint64_t word = __atomic_load_n(slot + w, __ATOMIC_ACQUIRE); /* brings a later claim; partner: ae_ring_fill */
        memcpy(to + w * 8, &word, 8);
    }
#endif
}

/* Publish records of any size. Kept out of ae_ring_publish, so that this saves no registers on the stack. */
static __attribute__((noinline)) uint64_t publish_any(ae_ring_t *ring, const uint8_t *from, uint32_t count)
{
    uint32_t bytes = ring->slot_bytes;
    uint64_t seq = ring->header->head, last = seq + count;
    for (; seq < last; from += bytes) {
        uint64_t *slot = ae_ring_slot(ring, ++seq);
        if (seq > ring->claim)
            ae_ring_claim(ring, seq);
        ae_ring_fill(slot, from, bytes);
        __atomic_store_n(slot, seq, AE_RELEASE); /* publishes the record; partner: first acquire in copy_one */
    }
    __atomic_store_n(&ring->header->head, last, AE_RELEASE); /* pairs with the acquire in newest */
    return last;
}

/* Put `count` records of slot_bytes each on the ring; their first word is overwritten by the sequence number.
 * Only the writer may call. Returns the last sequence number. Does not wake: see ae_ring_wake. */
uint64_t ae_ring_publish(ae_ring_t *ring, const void *records, uint32_t count)
{
    return ring->slot_bytes == sizeof(ae_line_t) ? ae_ring_put(ring, records, count)
                                              : publish_any(ring, records, count);
}

/* Wake sleeping readers, if any; once per batch. The mark is taken back before `wake` moves: a reader that marks itself
 * later sees the new head instead, so no mark of one about to sleep is ever wiped out. */
void ae_ring_wake(ae_ring_t *ring)
{
    ae_ring_header_t *header = ring->header;
    if (__atomic_exchange_n(&header->waiters, 0, __ATOMIC_SEQ_CST)) { /* after head; partner: ae_ring_sleepy */
        __atomic_fetch_add(&header->wake, 1, __ATOMIC_SEQ_CST);         /* partner: load in ae_ring_sleepy */
        syscall(SYS_futex, &header->wake, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);
    }
}

/* Say that the caller is about to sleep on header->wake; it has to look at the head after this, and to sleep only while
 * the word still has the value returned here. */
uint32_t ae_ring_sleepy(const ae_ring_t *ring)
{
    ae_ring_header_t *header = ring->header;
    uint32_t word = __atomic_load_n(&header->wake, __ATOMIC_SEQ_CST); /* before the mark; partner: ae_ring_wake */
    __atomic_exchange_n(&header->waiters, 1, __ATOMIC_SEQ_CST); /* after a wake's exchange: carries its head along */
    return word;
}

/* Last published sequence number, 0 when empty. */
uint64_t ae_ring_newest(const ae_ring_t *ring)
{
    return __atomic_load_n(&ring->header->head, __ATOMIC_ACQUIRE); /* pairs with publish */
}

/* Oldest sequence number a reader can still hope for. */
uint64_t ae_ring_oldest(const ae_ring_t *ring)
{
    uint64_t claim = __atomic_load_n(&ring->header->claim, __ATOMIC_ACQUIRE); /* partner: store in ae_ring_claim */
    return claim > ring->mask ? claim - ring->mask : 1;
}

/* Copy one record. 1 taken, 0 not there yet, AE_BAD overtaken. */
static inline int copy_one(const ae_ring_t *ring, uint64_t seq, uint8_t *out, uint32_t bytes)
{
    const uint64_t *slot = ae_ring_slot(ring, seq);
    uint64_t held = __atomic_load_n(slot, __ATOMIC_ACQUIRE); /* sees the publishing store of this record */
    if (held != seq)
        return held > seq ? AE_BAD : 0;
    memcpy(out, &held, 8);
    copy_slot(slot, out, bytes);
#ifndef AE_MUTANT_NO_RECHECK
    /* partner: store in ae_ring_claim, which any newer word above has carried along */
    if (__atomic_load_n(&ring->header->claim, __ATOMIC_ACQUIRE) > seq + ring->mask)
        return AE_BAD;
#endif
    return 1;
}

/* Take up to `max` records after cursor->taken. A lap moves the cursor on and is counted. Any thread with its own
 * cursor. Returns how many were copied to `out`. */
int ae_ring_read(const ae_ring_t *ring, ae_cursor_t *cursor, void *out, uint32_t max)
{
    uint8_t *to = out;
    uint32_t taken = 0, bytes = ring->slot_bytes;
    while (taken < max) {
        uint64_t seq = cursor->taken + 1;
        int got = bytes == AE_TICK_BYTES ? copy_one(ring, seq, to, AE_TICK_BYTES) : copy_one(ring, seq, to, bytes);
        if (got == 0)
            break;
        if (got == AE_BAD) {
            /* half a ring behind the writer, so that one catching up is not overtaken at once again */
            uint64_t newest = ae_ring_newest(ring);
            uint64_t keep = (ring->mask + 1) / 2;
            uint64_t next = newest > keep ? newest - keep : 0;
            if (next <= cursor->taken)
                next = cursor->taken + 1;
            cursor->laps++;
            cursor->lost += next - cursor->taken;
            cursor->taken = next;
            continue;
        }
        cursor->taken++;
        taken++;
        to += bytes;
    }
    return (int)taken;
}

/* Sleep until something is there after cursor->taken, at most timeout_ns. 1 there is, 0 not. */
int ae_ring_wait(const ae_ring_t *ring, const ae_cursor_t *cursor, int64_t timeout_ns)
{
    if (ae_ring_ready(ring, cursor))
        return 1;
    if (timeout_ns <= 0)
        return 0;
    uint32_t word = ae_ring_sleepy(ring);
    if (ae_ring_ready(ring, cursor))
        return 1;
    struct timespec limit = {timeout_ns / 1000000000, timeout_ns % 1000000000};
    syscall(SYS_futex, &ring->header->wake, FUTEX_WAIT, word, &limit, NULL, 0);
    return ae_ring_ready(ring, cursor);
}
