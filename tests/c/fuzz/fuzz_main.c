/* Driver for compilers without libFuzzer: built-in seed frames, seeded mutations. fuzz_main [runs] [seed]
 * With a third word it writes its seed frames into that folder instead: libFuzzer's first corpus. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

static uint32_t dice(uint32_t below)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)((state >> 11) % below);
}

static size_t frame_of(const char *text, uint8_t first, uint8_t *out)
{
    size_t n = strlen(text), h = 2;
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

static size_t one_frame(uint8_t *out)
{
    const char *text = seeds[dice(sizeof seeds / sizeof seeds[0])];
    return frame_of(text, dice(12) ? 0x81 : (uint8_t)dice(256), out);
}

static int write_seeds(const char *folder)
{
    uint8_t data[4096];
    char path[512];
    for (size_t i = 0; i < sizeof seeds / sizeof seeds[0]; i++) {
        (void)snprintf(path, sizeof path, "%s/seed-%zu", folder, i);
        FILE *f = fopen(path, "wb");
        size_t size = frame_of(seeds[i], 0x81, data);
        if (!f || fwrite(data, 1, size, f) != size || fclose(f))
            return 1;
    }
    return 0;
}

int main(int argc, char **argv)
{
    long long runs = argc > 1 ? atoll(argv[1]) : 100000;
    state = argc > 2 ? strtoull(argv[2], NULL, 10) | 1 : 88172645463325252U;
    static uint8_t data[4096];
    if (argc > 3)
        return write_seeds(argv[3]);
    for (long long run = 0; run < runs; run++) {
        size_t size = one_frame(data);
        while (dice(4) == 0 && size < 2048)
            size += one_frame(data + size);
        for (uint32_t k = dice(6); k > 0 && size > 2; k--) {
            uint32_t at = dice((uint32_t)size);
            switch (dice(5)) {
            case 0: data[at] = (uint8_t)dice(256); break;
            case 1: data[at] = (uint8_t)tokens[dice(sizeof tokens - 1)]; break;
            case 2: data[at] ^= (uint8_t)(1U << dice(8)); break;
            case 3: size = at ? at : 1; break;
            default: memmove(data + at, data + at + 1, size - at - 1); size--; break;
            }
        }
        LLVMFuzzerTestOneInput(data, size);
    }
    printf("fuzz: %lld inputs clean\n", runs);
    return 0;
}
