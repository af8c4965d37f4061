/* What the machine takes from a program that only looks at the clock: `jitter CPU MS` prints one line of JSON.
 *
 * A ratio of two programs is worth as much as the minute it was taken in. This spins on the clock and counts every
 * hole over 10 us: their number, sum and the longest, and p99.9 of the gap between two looks.
 */
#include "wire.h"

#define STEP_NS 100
#define BINS 100000

int main(int argc, char **argv)
{
    static uint32_t bins[BINS + 1];
    if (argc < 3)
        return 2;
    pin(atoi(argv[1]));
    int64_t began = now_ns(), end = began + (int64_t)atoi(argv[2]) * 1000000, last = began, longest = 0, lost = 0;
    uint64_t looks = 0, holes = 0;
    while (last < end) {
        int64_t now = now_ns(), gap = now - last;
        bins[gap / STEP_NS < BINS ? gap / STEP_NS : BINS]++;
        looks++;
        if (gap > 10000) {
            holes++;
            lost += gap;
            longest = gap > longest ? gap : longest;
        }
        last = now;
    }
    uint64_t seen = 0;
    int64_t p999 = 0;
    for (int64_t i = 0; i <= BINS; i++)
        if ((seen += bins[i]) * 1000 >= looks * 999) {
            p999 = (i + 1) * STEP_NS;
            break;
        }
    printf("{\"cpu\":%d,\"ms\":%lld,\"holes\":%llu,\"lost_us\":%lld,\"longest_us\":%lld,\"p999_ns\":%lld}\n", atoi(argv[1]),
           (long long)((last - began) / 1000000), (unsigned long long)holes, (long long)(lost / 1000),
           (long long)(longest / 1000), (long long)p999);
    return 0;
}
