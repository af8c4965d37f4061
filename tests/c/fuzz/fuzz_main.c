/* Driver for compilers without libFuzzer: seed frames, seeded mutations. fuzz_main [runs] [seed] [--frames FILE]
 * FILE: real frames, each after its length (u32), drawn most of the time; else the built-in ones alone.
 * `--seeds FOLDER` writes the built-in frames there instead: libFuzzer's first corpus. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROOM 16384

uint64_t fuzz_hits(uint32_t kind);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const seeds[] = {
    "{\"e\":\"bookTicker\",\"u\":7,\"s\":\"X\",\"b\":\"1.5\",\"B\":\"2\",\"a\":\"1.6\",\"A\":\"3\",\"T\":4,\"E\":5}",
    "{\"e\":\"trade\",\"E\":1,\"T\":1,\"s\":\"X\",\"t\":9,\"p\":\"1\",\"q\":\"2\",\"X\":\"RPI\",\"m\":true}",
    "{\"stream\":\"x@aggTrade\",\"data\":{\"e\":\"aggTrade\",\"E\":1,\"a\":3,\"s\":\"X\",\"p\":\"1\",\"q\":\"2\","
    "\"T\":1,\"m\":false}}",
    "{\"e\":\"depthUpdate\",\"E\":1,\"T\":2,\"s\":\"X\",\"U\":1,\"u\":2,\"pu\":0,\"b\":[[\"1\",\"2\"]],\"a\":[]}",
    "{\"e\":\"depthUpdate\",\"E\":1,\"T\":2,\"s\":\"X\",\"U\":3,\"u\":4,\"pu\":2,\"b\":[],\"a\":[[\"3\",\"0\"]]}",
    "{\"e\":\"markPriceUpdate\",\"E\":5,\"s\":\"X\",\"p\":\"1\",\"i\":\"2\",\"r\":\"\",\"T\":0}",
    "{\"e\":\"kline\",\"E\":5,\"s\":\"X\",\"k\":{\"t\":1, \"i\":\"1m\", \"o\":\"1\", \"h\":\"1\", \"l\":\"1\", "
    "\"c\":\"1\", \"v\":\"1\", \"q\":\"1\", \"n\":1, \"x\":true}}",
    "{\"e\":\"forceOrder\",\"E\":1,\"o\":{\"s\":\"X\",\"S\":\"BUY\",\"p\":\"1\",\"ap\":\"2\",\"z\":\"3\",\"T\":4}}",
    "{\"result\":null,\"id\":1}"};
static const char tokens[] = "{}[]\",:0123456789.-eEtfn \\";

static uint64_t state;
static uint8_t *real;
static uint32_t *real_at, real_count;

static uint32_t dice(uint32_t below)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)((state >> 11) % below);
}

static size_t frame_of(const void *text, size_t n, uint8_t first, uint8_t *out)
{
    size_t h = 2;
    out[0] = first;
    if (n < 126) {
        out[1] = (uint8_t)n;
    } else {
        out[1] = 126;
        out[2] = (uint8_t)(n >> 8);
        out[3] = (uint8_t)n;
        h = 4;
    }
    memcpy(out + h, text, n);
    return h + n;
}

static uint32_t length_at(uint32_t at)
{
    uint32_t n;
    memcpy(&n, real + at, 4);
    return n;
}

/* Frames that fit, from a file of length and bytes. */
static int read_frames(const char *path)
{
    FILE *f = fopen(path, "rb");
    if (!f || fseek(f, 0, SEEK_END))
        return 0;
    size_t size = (size_t)ftell(f);
    real = malloc(size);
    real_at = malloc((size / 4 + 1) * sizeof *real_at);
    if (!real || !real_at || fseek(f, 0, SEEK_SET) || fread(real, 1, size, f) != size || fclose(f))
        return 0;
    for (uint32_t at = 0; at + 4 <= size; at += 4 + length_at(at))
        if (length_at(at) < 4096)
            real_at[real_count++] = at;
    return real_count > 0;
}

static size_t one_frame(uint8_t *out)
{
    uint8_t first = dice(12) ? 0x81 : (uint8_t)dice(256);
    if (real_count && dice(8)) {
        uint32_t at = real_at[dice(real_count)];
        return frame_of(real + at + 4, length_at(at), first, out);
    }
    const char *text = seeds[dice(sizeof seeds / sizeof seeds[0])];
    return frame_of(text, strlen(text), first, out);
}

/* Other digits where digits are: frames that stay frames, which prediction has to read right. */
static void other_digits(uint8_t *data, size_t size)
{
    for (uint32_t k = 1 + dice(8); k > 0; k--) {
        uint32_t at = dice((uint32_t)size);
        for (uint32_t tries = 0; tries < 32 && at + 1 < size && (data[at] < '0' || data[at] > '9'); tries++)
            at++;
        if (data[at] >= '0' && data[at] <= '9')
            data[at] = (uint8_t)('0' + (dice(3) ? dice(10) : 9 * dice(2)));
    }
}

static int write_seeds(const char *folder)
{
    uint8_t data[4096];
    char path[512];
    for (size_t i = 0; i < sizeof seeds / sizeof seeds[0]; i++) {
        (void)snprintf(path, sizeof path, "%s/seed-%zu", folder, i);
        FILE *f = fopen(path, "wb");
        size_t size = frame_of(seeds[i], strlen(seeds[i]), 0x81, data);
        if (!f || fwrite(data, 1, size, f) != size || fclose(f))
            return 1;
    }
    return 0;
}

int main(int argc, char **argv)
{
    long long runs = argc > 1 ? atoll(argv[1]) : 100000;
    state = argc > 2 ? strtoull(argv[2], NULL, 10) | 1 : 88172645463325252U;
    static uint8_t data[ROOM];
    if (argc > 4 && strcmp(argv[3], "--seeds") == 0)
        return write_seeds(argv[4]);
    if (argc > 4 && !read_frames(argv[4])) {
        printf("fuzz: no frames in %s\n", argv[4]);
        return 1;
    }
    for (long long run = 0; run < runs; run++) {
        size_t size = one_frame(data);
        while (dice(4) == 0 && size < ROOM / 4)
            size += one_frame(data + size);
        if (dice(2))
            other_digits(data, size);
        for (uint32_t k = dice(3) ? dice(3) : dice(6); k > 0 && size > 2; k--) {
            uint32_t at = dice((uint32_t)size);
            switch (dice(6)) {
            case 0: data[at] = (uint8_t)dice(256); break;
            case 1: data[at] = (uint8_t)tokens[dice(sizeof tokens - 1)]; break;
            case 2: data[at] ^= (uint8_t)(1U << dice(8)); break;
            case 3: size = at ? at : 1; break;
            case 4:
                memmove(data + at + 1, data + at, size - at);
                data[at] = (uint8_t)tokens[dice(sizeof tokens - 1)];
                size++;
                break;
            default: memmove(data + at, data + at + 1, size - at - 1); size--; break;
            }
        }
        LLVMFuzzerTestOneInput(data, size);
    }
    printf("fuzz: %lld inputs clean, %u real frames among the seeds; read by prediction: scalar %llu, avx2 %llu, "
           "avx512 %llu\n",
           runs, real_count, (unsigned long long)fuzz_hits(1), (unsigned long long)fuzz_hits(2),
           (unsigned long long)fuzz_hits(3));
    return 0;
}
