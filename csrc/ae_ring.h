/* The parts of the ring that are compiled into whoever uses them: where a call costs as much as the work (see ring.c
 * for the picture and the laws). */
#ifndef AE_RING_H
#define AE_RING_H

#include "ae_internal.h"

/* x86 keeps stores in order and loads in order, so a copy between two atomic words needs only that the compiler leaves
 * it there. ThreadSanitizer and other machines get the words one by one. */
#if defined(__x86_64__) && !defined(__SANITIZE_THREAD__)
#define AE_ORDERED 1
#define AE_STAY() __asm__ volatile("" ::: "memory")
#endif

/* First word of the slot of record `seq`. */
static inline uint64_t *ae_ring_slot(const ae_ring_t *ring, uint64_t seq)
{
    return (uint64_t *)(void *)(ring->slots + ((seq - 1) & ring->mask) * ring->slot_bytes);
}

/* Whether the record after cursor->taken is there, or was and is overtaken. Looks at its slot only, which is the line a
 * reader needs next anyway. */
static inline int ae_ring_ready(const ae_ring_t *ring, const ae_cursor_t *cursor)
{
    /* partner: store of the number in ae_ring_publish */
    return __atomic_load_n(ae_ring_slot(ring, cursor->taken + 1), __ATOMIC_ACQUIRE) > cursor->taken;
}

/* Say that records up to `seq`, and some more, may be written from now on. */
static inline void ae_ring_claim(ae_ring_t *ring, uint64_t seq)
{
    ring->claim = seq + (ring->mask >> 5);
    /* carried to readers by the release store of each word that follows */
    __atomic_store_n(&ring->header->claim, ring->claim, AE_RELEASE);
}

/* Two words that move in one store where the machine can. */
typedef struct ae_pair {
    uint64_t words[2];
} ae_pair_t;

/* Payload of one record (all but its first word) into a slot. bytes: a multiple of 8. */
static inline void ae_ring_fill(uint64_t *slot, const uint8_t *from, uint32_t bytes)
{
#ifdef AE_ORDERED
    AE_STAY();
    memcpy(slot + 1, from + 8, bytes - 8);
    AE_STAY();
#else
    for (uint32_t w = 1; w < bytes / 8; w++) {
        uint64_t word;
        memcpy(&word, from + w * 8, 8);
        __atomic_store_n(slot + w, word, AE_RELEASE); /* carries the claim to whoever sees this word in copy_slot */
    }
#endif
}

/* A slot of one line. */
typedef struct ae_line {
    uint64_t seq;
    uint64_t first;
    ae_pair_t rest[3];
} ae_line_t;

static inline void ae_ring_fill_line(ae_line_t *slot, const uint8_t *from)
{
#ifdef AE_ORDERED
    AE_STAY();
    for (int i = 0; i < 3; i++)
        memcpy(&slot->rest[i], from + 16 + 16 * i, 16);
    memcpy(&slot->first, from + 8, 8);
    AE_STAY();
#else
    ae_ring_fill(&slot->seq, from, sizeof *slot);
#endif
}

/* Publish records of one line each. A store that waits for its line holds up all stores behind it, so here every store
 * counts: whole aligned words into the slot, and nothing kept in memory that a register can hold. */
static inline uint64_t ae_ring_put(ae_ring_t *ring, const void *records, uint32_t count)
{
    uint64_t seq = ring->header->head, last = seq + count;
    const uint8_t *from = records;
    uint8_t *slots = ring->slots;
    while (seq < last) {
        ae_line_t *slot = (ae_line_t *)(void *)(slots + (seq++ & ring->mask) * sizeof *slot);
        if (seq > ring->claim)
            ae_ring_claim(ring, seq);
        ae_ring_fill_line(slot, from);
        __atomic_store_n(&slot->seq, seq, AE_RELEASE); /* publishes the record; partner: first acquire in copy_one */
        from += sizeof *slot;
    }
    __atomic_store_n(&ring->header->head, last, AE_RELEASE); /* pairs with the acquire in newest */
    return last;
}

#endif
