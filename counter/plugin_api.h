/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What this counter uses of QEMU's plugin interface, in prototypes of our own. The functions exist
 * under the same names from interface 0 (QEMU 4.2) to 5 (QEMU 10.2); one of them changed its form.
 */
#ifndef TESTBED_PLUGIN_API_H
#define TESTBED_PLUGIN_API_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EXPORT __attribute__((visibility("default")))

typedef uint64_t qemu_plugin_id_t;
typedef uint32_t qemu_plugin_meminfo_t;

typedef struct qemu_info_t {
	const char *target_name;
	struct {
		int min;
		int cur;
	} version;
	bool system_emulation;
	union {
		struct {
			int smp_vcpus;
			int max_vcpus;
		} system;
	};
} qemu_info_t;

struct qemu_plugin_tb;
struct qemu_plugin_insn;
struct qemu_plugin_hwaddr;

enum plugin_registers { PLUGIN_NO_REGISTERS };
enum plugin_accesses {
	PLUGIN_READS = 1,
	PLUGIN_WRITES,
	PLUGIN_READS_AND_WRITES
};

typedef void (*plugin_tb_trans_cb)(qemu_plugin_id_t id,
				   struct qemu_plugin_tb *tb);
typedef void (*plugin_udata_cb)(unsigned int vcpu, void *udata);
typedef void (*plugin_vcpu_cb)(qemu_plugin_id_t id, unsigned int vcpu);
typedef void (*plugin_mem_cb)(unsigned int vcpu, qemu_plugin_meminfo_t info,
			      uint64_t vaddr, void *udata);

void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id,
					   plugin_tb_trans_cb cb);
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *tb,
					  plugin_udata_cb cb,
					  enum plugin_registers flags,
					  void *udata);
void qemu_plugin_register_vcpu_mem_cb(struct qemu_plugin_insn *insn,
				      plugin_mem_cb cb,
				      enum plugin_registers flags,
				      enum plugin_accesses rw, void *udata);
void qemu_plugin_register_vcpu_idle_cb(qemu_plugin_id_t id, plugin_vcpu_cb cb);
void qemu_plugin_register_vcpu_resume_cb(qemu_plugin_id_t id,
					 plugin_vcpu_cb cb);

size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
uint64_t qemu_plugin_tb_vaddr(const struct qemu_plugin_tb *tb);
struct qemu_plugin_insn *
qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *tb, size_t index);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *insn);
size_t qemu_plugin_insn_size(const struct qemu_plugin_insn *insn);

unsigned int qemu_plugin_mem_size_shift(qemu_plugin_meminfo_t info);
bool qemu_plugin_mem_is_store(qemu_plugin_meminfo_t info);
struct qemu_plugin_hwaddr *qemu_plugin_get_hwaddr(qemu_plugin_meminfo_t info,
						  uint64_t vaddr);
bool qemu_plugin_hwaddr_is_io(const struct qemu_plugin_hwaddr *address);

/*
 * Up to interface 2 it returns the bytes, from 3 on it copies them: which it is, is known when the
 * plugin is loaded. So the one symbol has two names here.
 */
const void *plugin_insn_bytes(const struct qemu_plugin_insn *insn) __asm__(
	"qemu_plugin_insn_data");
size_t plugin_insn_copy(const struct qemu_plugin_insn *insn, void *to,
			size_t size) __asm__("qemu_plugin_insn_data");
#define PLUGIN_COPIES_FROM 3

#endif
