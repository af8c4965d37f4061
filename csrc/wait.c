/* One thread waits for whatever comes first: a record on one of its rings, or readiness of an epoll descriptor.
 *
 *   rings (shared memory)  --- wake words ----\
 *   epoll descriptor --> helper thread --> word ---> futex_waitv of the owner
 *
 * A futex cannot wait for a descriptor, nor epoll for a futex, and a thread a ring costs a switch a record. So rings
 * are waited for directly, and only the descriptor, which is for what is cold, comes through a helper.
 * Spinning needs no helper: the descriptor is asked directly every LOOK_NS.
 *
 * The helper is told of edges only, so a descriptor once ready stays "hot": it is asked directly at each call until it
 * is found not ready. `word` is read before that look, so an edge after it is a new value.
 * Forbidden: to sleep while a record is there that was published with a wake, or while the descriptor is ready. */
#define _GNU_SOURCE
#include "ae_ring.h"

#include <errno.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define LOOK_NS 20000    /* spinning: how often the descriptor is asked, a system call of about 300 ns */
#define SLICE_NS 500000  /* kernels without futex_waitv: all but the first ring are noticed at most this late */
#define SPINS_A_LOOK 32U /* turns between two looks at the clock */
#define STACK_BYTES 131072

#ifndef SYS_futex_waitv
#define SYS_futex_waitv 449
#endif

/* The kernel's struct futex_waitv; older system headers lack it. */
typedef struct waitv {
    uint64_t value;
    uint64_t address;
    uint32_t flags;
    uint32_t reserved;
} waitv_t;
#define WAITV_U32 2U
#define WAITV_PRIVATE 128U

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ __volatile__("yield");
#endif
}

/* Prepare a zeroed or closed state. how: enum ae_wait_how; spin_ns: how long AE_WAIT_ADAPTIVE spins. */
void ae_wait_init(ae_wait_t *wait, uint32_t how, int64_t spin_ns)
{
    memset(wait, 0, sizeof *wait);
    wait->how = how;
    wait->spin_ns = spin_ns;
    wait->fd = wait->outer = wait->stop = -1;
}

/* Wait also for what comes on `ring` after cursor->taken (both outlive this, or are replaced first); NULL: no more.
 * Ring 0 is the hot one: on old kernels the others are noticed a little late. Owner's thread only. */
void ae_wait_ring(ae_wait_t *wait, uint32_t at, const ae_ring_t *ring, const ae_cursor_t *cursor)
{
    if (at >= AE_WAIT_RINGS)
        return;
    wait->rings[at] = ring;
    wait->cursors[at] = cursor;
}

/* Cannot tell (a signal is pending): ready, for a look too many costs nothing. */
static int is_ready(int fd)
{
    struct pollfd asked = {.fd = fd, .events = POLLIN};
    return poll(&asked, 1, 0) != 0;
}

static void *help(void *arg)
{
    ae_wait_t *wait = arg;
    for (;;) {
        struct epoll_event event;
        int got = epoll_wait(wait->outer, &event, 1, -1);
        if (got < 0 && errno != EINTR)
            return NULL;
        if (got <= 0)
            continue;
        if (event.data.u32)
            return NULL;
        __atomic_fetch_add(&wait->word, 1, __ATOMIC_SEQ_CST); /* before the look at asleep: Dekker with sleep_once */
        if (__atomic_load_n(&wait->asleep, __ATOMIC_SEQ_CST)) /* partner: store in sleep_once */
            syscall(SYS_futex, &wait->word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
    }
}

static int add_fd(int outer, int fd, uint32_t events, uint32_t mark)
{
    struct epoll_event event = {.events = events, .data = {.u32 = mark}};
    return epoll_ctl(outer, EPOLL_CTL_ADD, fd, &event);
}

static int start_helper(ae_wait_t *wait)
{
    wait->outer = epoll_create1(EPOLL_CLOEXEC);
    wait->stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (wait->outer < 0 || wait->stop < 0 || add_fd(wait->outer, wait->fd, EPOLLIN | (uint32_t)EPOLLET, 0) ||
        add_fd(wait->outer, wait->stop, EPOLLIN, 1))
        return AE_BAD;
    sigset_t all, before;
    sigfillset(&all);
    pthread_attr_t small;
    pthread_t thread;
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, STACK_BYTES);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* signals belong to the owner's thread */
    int failed = pthread_create(&thread, &small, help, wait);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&small);
    if (failed)
        return AE_BAD;
    _Static_assert(sizeof thread <= sizeof wait->helper, "a thread's handle does not fit");
    memcpy(&wait->helper, &thread, sizeof thread);
    wait->hot = 1; /* it may be ready already */
    return 0;
}

/* Wait also for an epoll descriptor of the caller's. Starts the helper thread unless spinning; the state must not move
 * in memory until ae_wait_close. 0, or AE_BAD: no descriptor, or no thread (nothing is watched then). */
int ae_wait_watch(ae_wait_t *wait, int fd)
{
    if (wait->fd >= 0 || fd < 0)
        return AE_BAD;
    wait->fd = fd;
    if (wait->how == AE_WAIT_SPIN || start_helper(wait) == 0)
        return 0;
    ae_wait_close(wait);
    return AE_BAD;
}

/* End the helper and let go of the descriptor (which stays open). The rings stay. */
void ae_wait_close(ae_wait_t *wait)
{
    if (wait->helper) {
        uint64_t one = 1;
        pthread_t thread;
        memcpy(&thread, &wait->helper, sizeof thread);
        while (write(wait->stop, &one, sizeof one) < 0 && errno == EINTR)
            continue;
        pthread_join(thread, NULL);
    }
    if (wait->outer >= 0)
        close(wait->outer);
    if (wait->stop >= 0)
        close(wait->stop);
    wait->helper = 0;
    wait->fd = wait->outer = wait->stop = -1;
}

/* Rings with something after their cursor, as bits. */
static int ready_rings(const ae_wait_t *wait)
{
    int mask = 0;
    for (uint32_t i = 0; i < AE_WAIT_RINGS; i++) {
        const ae_ring_t *ring = wait->rings[i];
        if (ring && ae_ring_ready(ring, wait->cursors[i]))
            mask |= 1 << i;
    }
    return mask;
}

/* AE_WAIT_FD when the descriptor is ready, as far as the helper said or a look shows. */
static int ready_fd(ae_wait_t *wait)
{
    if (!wait->helper)
        return 0;
    uint32_t word = __atomic_load_n(&wait->word, __ATOMIC_SEQ_CST); /* before the look; partner: add in help */
    if (word == wait->seen && !wait->hot)
        return 0;
    wait->seen = word;
    wait->hot = (uint32_t)is_ready(wait->fd);
    return wait->hot ? AE_WAIT_FD : 0;
}

/* Spinning without a helper: ask the descriptor itself, now and then. */
static int look_fd(ae_wait_t *wait, int64_t now)
{
    if (wait->helper || wait->fd < 0 || now - wait->looked_ns < LOOK_NS)
        return 0;
    wait->looked_ns = now;
    return is_ready(wait->fd) ? AE_WAIT_FD : 0;
}

/* Until something is ready or `until` (INT64_MAX: for ever). */
static int spin_until(ae_wait_t *wait, int64_t until)
{
    for (;;) {
        for (uint32_t i = 0; i < SPINS_A_LOOK; i++) {
            int mask = ready_rings(wait);
            if (mask)
                return mask;
            relax();
        }
        int64_t now = now_ns();
        int mask = ready_fd(wait) | look_fd(wait, now);
        if (mask || now >= until)
            return mask;
    }
}

/* Sleep on all words at once; old kernels: on the first ring's word alone, for a short while. 1: a signal came. */
static int sleep_words(ae_wait_t *wait, const waitv_t *words, uint32_t count, int64_t until)
{
    if (!wait->single) {
        struct timespec limit = {until / 1000000000, until % 1000000000};
        long got = syscall(SYS_futex_waitv, words, count, 0, until == INT64_MAX ? NULL : &limit, CLOCK_MONOTONIC);
        if (got >= 0 || (errno != ENOSYS && errno != EPERM))
            return got < 0 && errno == EINTR;
        wait->single = 1;
    }
    int64_t left = until - now_ns();
    if (left <= 0)
        return 0;
    if (count > 1 && left > SLICE_NS)
        left = SLICE_NS;
    struct timespec slice = {left / 1000000000, left % 1000000000};
    uint32_t *first = (uint32_t *)(uintptr_t)words[0].address;
    long got = syscall(SYS_futex, first, words[0].flags & WAITV_PRIVATE ? FUTEX_WAIT_PRIVATE : FUTEX_WAIT,
                       (uint32_t)words[0].value, &slice, NULL, 0);
    return got < 0 && errno == EINTR;
}

/* Announce the sleep, look once more, sleep. Returns what is ready; *over: a signal came. */
static int sleep_once(ae_wait_t *wait, int64_t until, int *over)
{
    waitv_t words[AE_WAIT_RINGS + 1];
    uint32_t count = 0;
#ifdef AE_MUTANT_NO_LOOK
    for (volatile int i = 0; i < 300; i++) /* a record comes more often just here */
        continue;
#endif
    for (uint32_t i = 0; i < AE_WAIT_RINGS; i++) {
        if (!wait->rings[i])
            continue;
        uint32_t value = ae_ring_sleepy(wait->rings[i]);
        words[count++] = (waitv_t){value, (uint64_t)(uintptr_t)&wait->rings[i]->header->wake, WAITV_U32, 0};
    }
    __atomic_store_n(&wait->asleep, 1, __ATOMIC_SEQ_CST); /* partner: load of asleep in help */
#ifdef AE_MUTANT_NO_LOOK /* a canary: tests/c must see the lost wake */
    int mask = ready_fd(wait);
#else
    int mask = ready_rings(wait) | ready_fd(wait);
#endif
    if (wait->helper)
        words[count++] = (waitv_t){wait->seen, (uint64_t)(uintptr_t)&wait->word, WAITV_U32 | WAITV_PRIVATE, 0};
    if (!mask && count)
        *over = sleep_words(wait, words, count, until);
    __atomic_store_n(&wait->asleep, 0, __ATOMIC_SEQ_CST); /* partner: load of asleep in help */
    return mask ? mask : ready_rings(wait) | ready_fd(wait);
}

/* Wait until a ring has a record after its cursor or the descriptor is ready, at most timeout_ns (below 0: for ever;
 * 0: only look). Owner's thread only. Allocates: no. Returns bits: 1 << i for ring i, AE_WAIT_FD; 0: time is up or a
 * signal came. */
int ae_wait_any(ae_wait_t *wait, int64_t timeout_ns)
{
    int mask = ready_rings(wait) | ready_fd(wait);
    if (mask || (timeout_ns == 0 && wait->helper))
        return mask;
    int64_t begun = now_ns();
    int64_t until = timeout_ns < 0 || timeout_ns > INT64_MAX - begun ? INT64_MAX : begun + timeout_ns;
    if (timeout_ns == 0)
        return wait->fd >= 0 && is_ready(wait->fd) ? AE_WAIT_FD : 0;
    if (wait->how == AE_WAIT_SPIN)
        return spin_until(wait, until);
    if (wait->how == AE_WAIT_ADAPTIVE) {
        int64_t spun = begun + wait->spin_ns < until ? begun + wait->spin_ns : until;
        mask = spin_until(wait, spun);
        if (mask || spun == until)
            return mask;
    }
    int over = 0;
    do
        mask = sleep_once(wait, until, &over);
    while (!mask && !over && now_ns() < until);
    return mask;
}
