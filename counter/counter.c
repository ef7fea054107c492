// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A QEMU plugin that tells its reader, over an inherited socket, every block of instructions that
 * a virtual CPU runs between its waking and its next halt. It attributes nothing: names, contexts
 * and parts are made from the record by whoever reads it.
 *
 * A block is what QEMU translates at once. A repeated string instruction is one instruction: QEMU
 * up to 9 comes back with a block of one instruction for every iteration, which is folded here;
 * what the iterations move is counted by their memory accesses, alike in every version.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <unistd.h>

#include "plugin_api.h"
#include "record.h"
#include "x86.h"

#ifndef PLUGIN_VERSION
#error "PLUGIN_VERSION: the plugin interface of the QEMU at hand"
#endif

EXPORT int qemu_plugin_version = PLUGIN_VERSION;

#ifndef BLOCKS
#define BLOCKS (1u << 17)
#endif
#define BUCKETS (BLOCKS * 2)
#define VISITS (1u << 18)
#define LINES (1u << 16)
#define LINE_SHIFT 6
#define PAGE_BYTES 4096
#define KERNEL_BIT 63
#define MOST_INSTRUCTIONS 1024

struct block {
	struct block_record record;
	uint16_t *offsets; /* of its instructions, from its address */
	enum x86_string string; /* of its last instruction */
	bool told;
};

static struct block *blocks;
static uint32_t block_limit = BLOCKS; /* blocks=N lowers it, for a test */
static uint32_t block_count =
	1; /* block 0 stands for all that found no place in the table */
static uint32_t *buckets;
static uint32_t user_blocks[MOST_INSTRUCTIONS + 1];

static struct visit *visits;
static uint16_t *new_lines;
static uint32_t visit_count;
static struct visit *current;
static uint64_t
	previous_last; /* address of the last instruction that the previous block held */
static uint32_t untold[BLOCKS];
static uint32_t untold_count;
static uint64_t *lines;
static uint32_t line_count;

static uint32_t state_flags;
static uint32_t stretch_flags;
static bool wanted; /* by the reader */
static bool recording;
static int reader = -1;
static int interface;
static pthread_mutex_t sending = PTHREAD_MUTEX_INITIALIZER;

static void send_all(const void *from, size_t size)
{
	const char *at = from;

	while (size) {
		ssize_t sent = send(reader, at, size, MSG_NOSIGNAL);

		if (sent <=
		    0) { /* nobody reads any more: this machine is about to end */
			wanted = false;
			return;
		}
		at += sent;
		size -= (size_t)sent;
	}
}

static void send_message(uint32_t type, const void *body, uint32_t bytes)
{
	struct message header = { type, bytes };

	send_all(&header, sizeof(header));
	send_all(body, bytes);
}

static void send_state(void)
{
	struct state state = {
		.on = wanted,
		.blocks = block_count - 1,
		.capacity = block_limit - 1,
		.flags = state_flags,
	};

	send_message(MESSAGE_STATE, &state, sizeof(state));
}

static void copy_bytes(struct qemu_plugin_insn *insn, uint8_t *to, size_t size)
{
	if (interface >= PLUGIN_COPIES_FROM)
		plugin_insn_copy(insn, to, size);
	else
		memcpy(to, plugin_insn_bytes(insn), size);
}

static bool is_same(const struct block_record *one,
		    const struct block_record *other)
{
	return one->address == other->address && one->last == other->last &&
	       one->instructions == other->instructions &&
	       one->tail_size == other->tail_size &&
	       !memcmp(one->tail, other->tail, TAIL_BYTES);
}

/* Return the block's number in the table, 0 when the table is full. */
static uint32_t find_block(const struct block_record *wanted_block)
{
	uint64_t hash = wanted_block->address * 0x9e3779b97f4a7c15ull +
			wanted_block->last;
	uint32_t at = (uint32_t)(hash >> 40) % BUCKETS;

	for (; buckets[at]; at = (at + 1) % BUCKETS)
		if (is_same(&blocks[buckets[at]].record, wanted_block))
			return buckets[at];
	if (block_count == block_limit) {
		state_flags |= TABLE_FULL;
		return 0;
	}
	buckets[at] = block_count;
	blocks[block_count].record = *wanted_block;
	blocks[block_count].record.id = block_count;
	return block_count++;
}

static struct block *user_block(size_t instructions)
{
	uint32_t *id = &user_blocks[instructions];

	if (!*id && block_count < block_limit) {
		struct block_record record = { .id = block_count,
					       .flags = USER_BLOCK };

		record.instructions = (uint16_t)instructions;
		blocks[block_count].record = record;
		*id = block_count++;
	} else if (!*id) {
		state_flags |= TABLE_FULL;
	}
	return &blocks[*id];
}

static void tell_later(struct block *block)
{
	block->told = true;
	untold[untold_count++] = block->record.id;
}

/*
 * QEMU 7.2 lists an instruction that crosses into the next page as the last one of a block that it
 * then ends before it: the next block begins with it. Its bytes are known up to the page's end.
 */
static void note_rolled_back(const struct block *next)
{
	const struct block_record *before = &blocks[current->block].record;
	uint64_t after = before->last + before->tail_size;

	if (before->last == next->record.address && before->instructions > 1 &&
	    !(before->flags & (REPEATED | USER_BLOCK)) && !(after % PAGE_BYTES))
		current->ran = (uint16_t)(before->instructions - 1);
}

static void on_block(unsigned int vcpu, void *udata)
{
	struct block *block = udata;

	(void)vcpu;
	if (!recording)
		return;
	if (block->record.instructions == 1 && block->record.flags & REPEATED &&
	    previous_last == block->record.address)
		return; /* one more iteration */
	if (current)
		note_rolled_back(block);
	previous_last = block->record.last;
	if (visit_count == VISITS) {
		stretch_flags |= STRETCH_CUT;
		current = NULL;
		return;
	}
	if (block == blocks)
		stretch_flags |= TABLE_FULL;
	else if (!block->told)
		tell_later(block);
	new_lines[visit_count] = 0;
	current = &visits[visit_count++];
	*current = (struct visit){ .block = block->record.id };
}

/* Whether this stretch touches the line for the first time. */
static bool is_new_line(uint64_t address)
{
	uint64_t line = address >> LINE_SHIFT;
	uint64_t entry = line + 1;
	uint32_t at = (uint32_t)((line * 0x9e3779b97f4a7c15ull) >> 40) % LINES;

	for (; lines[at]; at = (at + 1) % LINES)
		if (lines[at] == entry)
			return false;
	if (line_count == LINES / 2) {
		stretch_flags |= LINES_FULL;
		return false;
	}
	lines[at] = entry;
	line_count++;
	return true;
}

/*
 * From QEMU 8.2 on, an access to a device in the middle of a block ends it there: the instruction
 * runs again by itself, in a block that calls back for memory alone, and what follows it is a new
 * block. So the block counted what it did not run.
 */
static void note_cut(const struct block *alone)
{
	const struct block *cut = &blocks[current->block];
	uint64_t offset = alone->record.address - cut->record.address;

	if (!cut->offsets || alone->record.instructions != 1)
		return;
	for (uint16_t i = 0; i < cut->record.instructions; i++)
		if (cut->offsets[i] == offset)
			current->ran = (uint16_t)(i + 1);
}

static void on_memory(qemu_plugin_meminfo_t info, uint64_t address,
		      const struct block *block, bool string)
{
	struct qemu_plugin_hwaddr *physical;
	bool store = qemu_plugin_mem_is_store(info);
	uint32_t bytes = 1u << qemu_plugin_mem_size_shift(info);

	if (block->record.id != current->block &&
	    !(string && block->record.flags & REPEATED))
		note_cut(block);
	physical = qemu_plugin_get_hwaddr(info, address);
	if (physical && qemu_plugin_hwaddr_is_io(physical))
		current->device++;
	new_lines[current - visits] += is_new_line(address);
	if (!string || block->string == X86_OTHER_STRING) {
		current->loads += !store;
		current->stores += store;
	} else if (store) {
		*(block->string == X86_COPY ? &current->copied
					    : &current->filled) += bytes;
	}
}

static void on_access(unsigned int vcpu, qemu_plugin_meminfo_t info,
		      uint64_t address, void *udata)
{
	(void)vcpu;
	if (recording && current)
		on_memory(info, address, udata, false);
}

/* The last instruction of a block, where it is a string instruction. */
static void on_string(unsigned int vcpu, qemu_plugin_meminfo_t info,
		      uint64_t address, void *udata)
{
	(void)vcpu;
	if (recording && current)
		on_memory(info, address, udata, true);
}

static void describe(struct qemu_plugin_tb *tb, size_t count,
		     struct block_record *record, enum x86_string *string)
{
	uint8_t bytes[16];

	record->instructions = (uint16_t)count;
	record->address = qemu_plugin_tb_vaddr(tb);
	for (size_t i = 0; i < count; i++) {
		struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);
		size_t size = qemu_plugin_insn_size(insn);
		struct x86_kind kind;

		size = size < sizeof(bytes) ? size : sizeof(bytes);
		copy_bytes(insn, bytes, size);
		kind = x86_kind_of(bytes, size);
		record->ports += kind.port;
		if (i + 1 < count)
			continue;
		*string = kind.string;
		record->flags = kind.repeated ? REPEATED : 0;
		record->last = qemu_plugin_insn_vaddr(insn);
		record->tail_size = (uint8_t)size;
		memcpy(record->tail, bytes,
		       size < TAIL_BYTES ? size : TAIL_BYTES);
	}
}

static void on_translation(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
	size_t count = qemu_plugin_tb_n_insns(tb);
	struct block_record record = { 0 };
	enum x86_string string = X86_NO_STRING;
	struct block *block;
	bool is_new;

	(void)id;
	if (!count || count > MOST_INSTRUCTIONS)
		count = count ? MOST_INSTRUCTIONS : 1;
	if (!(qemu_plugin_tb_vaddr(tb) >> KERNEL_BIT)) {
		qemu_plugin_register_vcpu_tb_exec_cb(
			tb, on_block, PLUGIN_NO_REGISTERS, user_block(count));
		return;
	}
	describe(tb, count, &record, &string);
	block = &blocks[find_block(&record)];
	is_new = block != blocks && !block->offsets;
	if (is_new) {
		block->string = string;
		block->offsets = calloc(count, sizeof(*block->offsets));
	}
	qemu_plugin_register_vcpu_tb_exec_cb(tb, on_block, PLUGIN_NO_REGISTERS,
					     block);
	for (size_t i = 0; i < count; i++) {
		struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);
		bool is_string = i + 1 == count && string != X86_NO_STRING;

		if (is_new && block->offsets)
			block->offsets[i] =
				(uint16_t)(qemu_plugin_insn_vaddr(insn) -
					   record.address);
		qemu_plugin_register_vcpu_mem_cb(
			insn, is_string ? on_string : on_access,
			PLUGIN_NO_REGISTERS, PLUGIN_READS_AND_WRITES, block);
	}
}

static void on_resume(qemu_plugin_id_t id, unsigned int vcpu)
{
	(void)id;
	(void)vcpu;
	visit_count = 0;
	current = NULL;
	previous_last = 0;
	stretch_flags = 0;
	line_count = 0;
	recording = wanted;
	if (recording)
		memset(lines, 0, LINES * sizeof(*lines));
}

static void send_blocks(void)
{
	struct message header = { MESSAGE_BLOCKS,
				  untold_count * sizeof(struct block_record) };

	send_all(&header, sizeof(header));
	for (uint32_t i = 0; i < untold_count; i++)
		send_all(&blocks[untold[i]].record,
			 sizeof(struct block_record));
	untold_count = 0;
}

static void on_idle(qemu_plugin_id_t id, unsigned int vcpu)
{
	struct stretch stretch = { visit_count, stretch_flags };
	struct message header = { MESSAGE_STRETCH, sizeof(stretch) };

	(void)id;
	(void)vcpu;
	if (!recording || !wanted) {
		recording = false;
		return;
	}
	recording = false;
	header.bytes +=
		visit_count * (uint32_t)(sizeof(*visits) + sizeof(*new_lines));
	pthread_mutex_lock(&sending);
	if (wanted) { /* once the reader was told "off" it reads no more */
		if (untold_count)
			send_blocks();
		send_all(&header, sizeof(header));
		send_all(&stretch, sizeof(stretch));
		send_all(visits, visit_count * sizeof(*visits));
		send_all(new_lines, visit_count * sizeof(*new_lines));
	}
	pthread_mutex_unlock(&sending);
}

/* The reader says 1 to begin with the next waking, 0 to stop; every word is answered. */
static void *listen_to_reader(void *unused)
{
	char word;

	(void)unused;
	while (read(reader, &word, 1) == 1) {
		pthread_mutex_lock(&sending);
		wanted = word == '1';
		send_state();
		pthread_mutex_unlock(&sending);
	}
	wanted = false;
	return NULL;
}

static bool allocate(void)
{
	blocks = calloc(BLOCKS, sizeof(*blocks));
	buckets = calloc(BUCKETS, sizeof(*buckets));
	visits = calloc(VISITS, sizeof(*visits));
	new_lines = calloc(VISITS, sizeof(*new_lines));
	lines = calloc(LINES, sizeof(*lines));
	return blocks && buckets && visits && new_lines && lines;
}

EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info,
			       int argc, char **argv)
{
	struct hello hello = { RECORD_FORMAT, 0 };
	pthread_t listener;

	for (int i = 0; i < argc; i++)
		if (!strncmp(argv[i], "reader=", 7))
			reader = atoi(argv[i] + 7);
		else if (!strncmp(argv[i], "blocks=", 7))
			block_limit = (uint32_t)atoi(argv[i] + 7) + 1;
	if (block_limit < 2 || block_limit > BLOCKS) {
		fprintf(stderr, "counter: blocks=N: 1 to %u\n", BLOCKS - 1);
		return 1;
	}
	if (reader < 0) {
		fprintf(stderr, "counter: no reader=FD: nobody to tell\n");
		return 1;
	}
	if (strcmp(info->target_name, "x86_64") != 0 ||
	    !info->system_emulation || info->system.max_vcpus != 1) {
		fprintf(stderr,
			"counter: made for one x86_64 CPU of a whole machine\n");
		return 1;
	}
	interface = info->version.cur;
	hello.interface = (uint32_t)interface;
	if (!allocate()) {
		fprintf(stderr, "counter: no memory\n");
		return 1;
	}
	send_message(MESSAGE_HELLO, &hello, sizeof(hello));
	if (pthread_create(&listener, NULL, listen_to_reader, NULL)) {
		fprintf(stderr, "counter: no thread\n");
		return 1;
	}
	qemu_plugin_register_vcpu_tb_trans_cb(id, on_translation);
	qemu_plugin_register_vcpu_idle_cb(id, on_idle);
	qemu_plugin_register_vcpu_resume_cb(id, on_resume);
	return 0;
}
