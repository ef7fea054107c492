// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * As much of QEMU as the counter calls: a test translates blocks, runs them and touches memory.
 * Compiled together with counter/counter.c into a library that the test drives.
 */
#include <stdlib.h>
#include <string.h>

#include "plugin_api.h"

#define MOST 16

struct qemu_plugin_insn {
	uint64_t address;
	uint8_t bytes[16];
	size_t size;
	plugin_mem_cb on_memory;
	void *memory_data;
};

struct qemu_plugin_tb {
	size_t count;
	struct qemu_plugin_insn insns[MOST];
	plugin_udata_cb on_run;
	void *run_data;
};

static plugin_tb_trans_cb on_translation;
static plugin_vcpu_cb on_idle, on_resume;
static bool device;

void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id,
					   plugin_tb_trans_cb cb)
{
	on_translation = cb;
}

void qemu_plugin_register_vcpu_idle_cb(qemu_plugin_id_t id, plugin_vcpu_cb cb)
{
	on_idle = cb;
}

void qemu_plugin_register_vcpu_resume_cb(qemu_plugin_id_t id, plugin_vcpu_cb cb)
{
	on_resume = cb;
}

void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *tb,
					  plugin_udata_cb cb,
					  enum plugin_registers flags,
					  void *udata)
{
	tb->on_run = cb;
	tb->run_data = udata;
}

void qemu_plugin_register_vcpu_mem_cb(struct qemu_plugin_insn *insn,
				      plugin_mem_cb cb,
				      enum plugin_registers flags,
				      enum plugin_accesses rw, void *udata)
{
	insn->on_memory = cb;
	insn->memory_data = udata;
}

size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb)
{
	return tb->count;
}

uint64_t qemu_plugin_tb_vaddr(const struct qemu_plugin_tb *tb)
{
	return tb->insns[0].address;
}

struct qemu_plugin_insn *
qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *tb, size_t index)
{
	return (struct qemu_plugin_insn *)&tb->insns[index];
}

uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *insn)
{
	return insn->address;
}

size_t qemu_plugin_insn_size(const struct qemu_plugin_insn *insn)
{
	return insn->size;
}

#if PLUGIN_VERSION >= PLUGIN_COPIES_FROM
size_t qemu_plugin_insn_data(const struct qemu_plugin_insn *insn, void *to,
			     size_t size)
{
	memcpy(to, insn->bytes, size);
	return size;
}
#else
const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *insn)
{
	return insn->bytes;
}
#endif

unsigned int qemu_plugin_mem_size_shift(qemu_plugin_meminfo_t info)
{
	return info >> 1;
}

bool qemu_plugin_mem_is_store(qemu_plugin_meminfo_t info)
{
	return info & 1;
}

struct qemu_plugin_hwaddr *qemu_plugin_get_hwaddr(qemu_plugin_meminfo_t info,
						  uint64_t vaddr)
{
	return (struct qemu_plugin_hwaddr *)&device;
}

bool qemu_plugin_hwaddr_is_io(const struct qemu_plugin_hwaddr *address)
{
	return *(const bool *)address;
}

/* Translate a block: `sizes` and `bytes` of its instructions, 16 bytes each. */
EXPORT struct qemu_plugin_tb *fake_translate(uint64_t address, size_t count,
					     const uint8_t *sizes,
					     const uint8_t *bytes)
{
	struct qemu_plugin_tb *tb = calloc(1, sizeof(*tb));

	tb->count = count;
	for (size_t i = 0; i < count; i++) {
		tb->insns[i].address = address;
		tb->insns[i].size = sizes[i];
		memcpy(tb->insns[i].bytes, bytes + i * 16, sizes[i]);
		address += sizes[i];
	}
	on_translation(1, tb);
	return tb;
}

EXPORT void fake_run(struct qemu_plugin_tb *tb)
{
	tb->on_run(0, tb->run_data);
}

EXPORT void fake_access(struct qemu_plugin_tb *tb, size_t index,
			uint64_t address, uint32_t bytes, bool store,
			bool to_device)
{
	struct qemu_plugin_insn *insn = &tb->insns[index];

	device = to_device;
	if (insn->on_memory)
		insn->on_memory(0, (uint32_t)__builtin_ctz(bytes) << 1 | store,
				address, insn->memory_data);
}

EXPORT void fake_resume(void)
{
	on_resume(1, 0);
}

EXPORT void fake_idle(void)
{
	on_idle(1, 0);
}
