/* The limit of any parser: look at every byte once. Sixty-four bytes a turn, a class by two nibble look-ups each,
 * one bit a byte kept (structural or not), as the first stage of a SIMD JSON reader does at least. */
#include <immintrin.h>
#include <stdint.h>

__attribute__((target("avx512f,avx512bw,avx512vl,bmi2"))) static uint64_t
classify_512(const uint8_t *data, uint32_t bytes, uint64_t *masks)
{
    const __m512i low = _mm512_broadcast_i32x4(_mm_setr_epi8(8, 0, 4, 0, 0, 0, 0, 0, 0, 8, 10, 1, 2, 9, 0, 0));
    const __m512i high = _mm512_broadcast_i32x4(_mm_setr_epi8(8, 8, 6, 2, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0));
    const __m512i nibble = _mm512_set1_epi8(15);
    uint64_t sum = 0;
    for (uint32_t at = 0; at < bytes; at += 64) {
        uint64_t here = bytes - at >= 64 ? ~(uint64_t)0 : _bzhi_u64(~(uint64_t)0, bytes - at);
        __m512i v = _mm512_maskz_loadu_epi8(here, data + at);
        __m512i l = _mm512_shuffle_epi8(low, _mm512_and_si512(v, nibble));
        __m512i h = _mm512_shuffle_epi8(high, _mm512_and_si512(_mm512_srli_epi16(v, 4), nibble));
        sum += masks[at / 64] = _mm512_test_epi8_mask(l, h);
    }
    return sum;
}

__attribute__((target("avx2"))) static uint64_t classify_256(const uint8_t *data, uint32_t bytes, uint64_t *masks)
{
    const __m256i low = _mm256_setr_epi8(8, 0, 4, 0, 0, 0, 0, 0, 0, 8, 10, 1, 2, 9, 0, 0, 8, 0, 4, 0, 0, 0, 0, 0, 0, 8,
                                         10, 1, 2, 9, 0, 0);
    const __m256i high = _mm256_setr_epi8(8, 8, 6, 2, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 8, 8, 6, 2, 0, 1, 0, 1, 0, 0,
                                          0, 0, 0, 0, 0, 0);
    const __m256i nibble = _mm256_set1_epi8(15);
    uint64_t sum = 0;
    for (uint32_t at = 0; at + 32 <= bytes; at += 32) {
        __m256i v = _mm256_loadu_si256((const __m256i *)(const void *)(data + at));
        __m256i l = _mm256_shuffle_epi8(low, _mm256_and_si256(v, nibble));
        __m256i h = _mm256_shuffle_epi8(high, _mm256_and_si256(_mm256_srli_epi16(v, 4), nibble));
        __m256i none = _mm256_cmpeq_epi8(_mm256_and_si256(l, h), _mm256_setzero_si256());
        sum += masks[at / 32] = (uint32_t)~_mm256_movemask_epi8(none);
    }
    return sum;
}

uint64_t bench_classify(const uint8_t *data, uint32_t bytes, uint64_t *masks);

uint64_t bench_classify(const uint8_t *data, uint32_t bytes, uint64_t *masks)
{
    return __builtin_cpu_supports("avx512bw") ? classify_512(data, bytes, masks) : classify_256(data, bytes, masks);
}
