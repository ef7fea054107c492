/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the counter sends, little-endian: messages, each a header and so many bytes. The reader is
 * testbed/edge/hypervisor/counter.py; docs/counting.md tells what the numbers mean.
 */
#ifndef TESTBED_RECORD_H
#define TESTBED_RECORD_H

#include <stdint.h>

#define RECORD_FORMAT 1

enum message_type {
	MESSAGE_HELLO = 1,
	MESSAGE_BLOCKS,
	MESSAGE_STRETCH,
	MESSAGE_STATE
};

struct message {
	uint32_t type;
	uint32_t bytes; /* that follow this header */
};

struct hello {
	uint32_t format;
	uint32_t interface; /* of the QEMU that loaded it */
};

enum state_flags { TABLE_FULL = 1, STRETCH_CUT = 2, LINES_FULL = 4 };

struct state {
	uint32_t on;
	uint32_t blocks;
	uint32_t capacity;
	uint32_t flags;
};

#define USER_BLOCK \
	1 /* code of a program: known by its length alone, its addresses mean nothing */
#define REPEATED 2 /* its last instruction is a repeated string instruction */
#define TAIL_BYTES 8

struct block_record {
	uint32_t id;
	uint16_t instructions;
	uint8_t flags;
	uint8_t ports; /* port I/O instructions */
	uint64_t address;
	uint64_t last; /* address of the last instruction */
	uint8_t tail_size; /* of the last instruction */
	uint8_t tail[TAIL_BYTES]; /* its first bytes */
	uint8_t unused[7];
};

_Static_assert(sizeof(struct block_record) == 40, "as its reader has it");

/* One block that ran. Loads and stores are those of its own, not those of string instructions. */
struct visit {
	uint32_t block;
	uint32_t loads;
	uint32_t stores;
	uint32_t copied; /* bytes stored by MOVS */
	uint32_t filled; /* bytes stored by STOS */
	uint16_t device; /* accesses to device memory */
	uint16_t ran; /* instructions that ran, where the block was cut; 0: all */
};

_Static_assert(sizeof(struct visit) == 24, "as its reader has it");

/* From the CPU's waking to its next halt. The header is followed by `visits` visits, and as many
 * uint16_t: the 64-byte lines that each was the first of the stretch to touch.
 */
struct stretch {
	uint32_t visits;
	uint32_t flags;
};

#endif
