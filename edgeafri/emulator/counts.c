/* A TCG plugin of QEMU: how many instructions of each class the guest has executed, written down at every mark.
 *
 * A mark is lseek(MARK, number, 0) of the guest: no file has that descriptor, so that the call does nothing else. The
 * plugin's argument out=FILE is where "number name=count ..." goes, a line a mark.
 */

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <qemu-plugin.h>

#include "instructions.h"

#define LSEEK 62 /* of the generic Linux system call table, which arm64 has */
#define MARK (-7071)

QEMU_PLUGIN_EXPORT int qemu_plugin_version = QEMU_PLUGIN_VERSION;

/* One translated block: it is entered at its start and left at its end, so that entries are all that is to count. */
struct block {
    uint64_t entries;
    uint64_t of[CLASSES];
    struct block *next;
};

static struct block *blocks;
static FILE *out;

static void entered(unsigned int cpu, void *block) {
    __atomic_fetch_add(&((struct block *)block)->entries, 1, __ATOMIC_RELAXED);
}

static uint32_t word_of(struct qemu_plugin_insn *instruction) {
    uint32_t word = 0;
#if QEMU_PLUGIN_VERSION >= 3
    qemu_plugin_insn_data(instruction, &word, sizeof word);
#else
    memcpy(&word, qemu_plugin_insn_data(instruction), sizeof word);
#endif
    return word;
}

static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb *translation) {
    struct block *block = calloc(1, sizeof *block);
    if (!block)
        return;
    size_t size = qemu_plugin_tb_n_insns(translation);
    for (size_t i = 0; i < size; i++)
        block->of[class_of(word_of(qemu_plugin_tb_get_insn(translation, i)))]++;
    block->next = __atomic_load_n(&blocks, __ATOMIC_ACQUIRE);
    while (!__atomic_compare_exchange_n(&blocks, &block->next, block, false, __ATOMIC_RELEASE, __ATOMIC_ACQUIRE)) {
    }
    qemu_plugin_register_vcpu_tb_exec_cb(translation, entered, QEMU_PLUGIN_CB_NO_REGS, block);
}

static void called(qemu_plugin_id_t id, unsigned int cpu, int64_t number, uint64_t a1, uint64_t a2, uint64_t a3,
                   uint64_t a4, uint64_t a5, uint64_t a6, uint64_t a7, uint64_t a8) {
    if (number != LSEEK || (int32_t)a1 != MARK)
        return;
    uint64_t total = 0, sums[CLASSES] = {0};
    for (struct block *block = __atomic_load_n(&blocks, __ATOMIC_ACQUIRE); block; block = block->next) {
        uint64_t entries = __atomic_load_n(&block->entries, __ATOMIC_RELAXED);
        for (int class = 0; class < CLASSES; class++)
            sums[class] += entries * block->of[class];
    }
    for (int class = 0; class < CLASSES; class++)
        total += sums[class];
    fprintf(out, "%llu total=%llu", (unsigned long long)a2, (unsigned long long)total);
    for (int class = 0; class < OTHER; class++)
        fprintf(out, " %s=%llu", NAMES[class], (unsigned long long)sums[class]);
    fputc('\n', out);
    fflush(out);
}

QEMU_PLUGIN_EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info, int argc, char **argv) {
    if (argc != 1 || strncmp(argv[0], "out=", 4) != 0 || !(out = fopen(argv[0] + 4, "w"))) {
        fprintf(stderr, "the counting plugin needs out=FILE, a file that can be written\n");
        return 1;
    }
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    qemu_plugin_register_vcpu_syscall_cb(id, called);
    return 0;
}
