/* Which class an A64 instruction belongs to, by the encoding tables of the Arm Architecture Reference Manual (C4.1).
 *
 * An instruction is of the first class below that its bits match. NAMES has the names in the order of the classes.
 */

#include <stdint.h>

enum { FMLA, SMULL, UMULL, SDOT, UDOT, LOAD, STORE, OTHER, CLASSES };

static const char *const NAMES[CLASSES] = {
    "fmla", "smull_smlal", "umull_umlal", "sdot", "udot", "loads", "stores", "other",
};

static const struct {
    uint32_t mask, bits;
    int class;
} ENCODINGS[] = {
    /* Advanced SIMD three same: FMLA of single and double, then of half precision. */
    {0xBFA0FC00, 0x0E20CC00, FMLA},
    {0xBFE0FC00, 0x0E400C00, FMLA},
    /* Advanced SIMD vector x indexed element: FMLA of single and double, then of half precision. */
    {0xBF80F400, 0x0F801000, FMLA},
    {0xBFC0F400, 0x0F001000, FMLA},
    /* Advanced SIMD three different: SMULL, SMLAL, UMULL, UMLAL, with their second halves (SMULL2 ...). */
    {0xBF20FC00, 0x0E20C000, SMULL},
    {0xBF20FC00, 0x0E208000, SMULL},
    {0xBF20FC00, 0x2E20C000, UMULL},
    {0xBF20FC00, 0x2E208000, UMULL},
    /* The same four, vector x indexed element. */
    {0xBF00F400, 0x0F00A000, SMULL},
    {0xBF00F400, 0x0F002000, SMULL},
    {0xBF00F400, 0x2F00A000, UMULL},
    {0xBF00F400, 0x2F002000, UMULL},
    /* Dot products: three same extra, then indexed. */
    {0xBF20FC00, 0x0E009400, SDOT},
    {0xBF20FC00, 0x2E009400, UDOT},
    {0xBF00F400, 0x0F00E000, SDOT},
    {0xBF00F400, 0x2F00E000, UDOT},
    /* Prefetches load nothing into a register: by register, by unscaled and unsigned offset, by label. */
    {0xFFC00000, 0xF8800000, OTHER},
    {0xFFC00000, 0xF9800000, OTHER},
    {0xFF000000, 0xD8000000, OTHER},
    /* Loads by label. */
    {0x3B000000, 0x18000000, LOAD},
    /* Exclusive and ordered, pairs, and Advanced SIMD structures: bit 22 says which way. */
    {0x3F400000, 0x08400000, LOAD},
    {0x3F400000, 0x08000000, STORE},
    {0x3A400000, 0x28400000, LOAD},
    {0x3A400000, 0x28000000, STORE},
    {0xBE400000, 0x0C400000, LOAD},
    {0xBE400000, 0x0C000000, STORE},
    /* Atomic memory operations read and write; they count as loads. */
    {0x3F200C00, 0x38200000, LOAD},
    /* One register: of general ones opc 00 stores, of vector ones opc x0. */
    {0x3EC00000, 0x38000000, STORE},
    {0x3E400000, 0x3C000000, STORE},
    {0x3A000000, 0x38000000, LOAD},
};

static int class_of(uint32_t instruction) {
    for (unsigned i = 0; i < sizeof ENCODINGS / sizeof ENCODINGS[0]; i++)
        if ((instruction & ENCODINGS[i].mask) == ENCODINGS[i].bits)
            return ENCODINGS[i].class;
    return OTHER;
}
