/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the first bytes of an x86-64 instruction tell: is it a string instruction, or port I/O? */
#ifndef TESTBED_X86_H
#define TESTBED_X86_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum x86_string { X86_NO_STRING, X86_COPY, X86_FILL, X86_OTHER_STRING };

struct x86_kind {
	enum x86_string string;
	bool repeated;
	bool port;
};

static inline bool x86_is_prefix(uint8_t byte)
{
	switch (byte) {
	case 0x26:
	case 0x2e:
	case 0x36:
	case 0x3e:
	case 0x64 ... 0x67:
	case 0xf0:
	case 0xf2:
	case 0xf3:
	case 0x40 ... 0x4f:
		return true;
	default:
		return false;
	}
}

/* Every prefix is looked over, so a REP that has no meaning for its instruction has none here. */
static inline struct x86_kind x86_kind_of(const uint8_t *bytes, size_t size)
{
	struct x86_kind kind = { X86_NO_STRING, false, false };
	bool rep = false;
	size_t i = 0;

	for (; i < size && x86_is_prefix(bytes[i]); i++)
		rep |= bytes[i] == 0xf2 || bytes[i] == 0xf3;
	if (i == size)
		return kind;
	switch (bytes[i]) {
	case 0xa4:
	case 0xa5: /* movs */
		kind.string = X86_COPY;
		break;
	case 0xaa:
	case 0xab: /* stos */
		kind.string = X86_FILL;
		break;
	case 0x6c ... 0x6f: /* ins, outs */
		kind.port = true;
		kind.string = X86_OTHER_STRING;
		break;
	case 0xa6:
	case 0xa7: /* cmps */
	case 0xac ... 0xaf: /* lods, scas */
		kind.string = X86_OTHER_STRING;
		break;
	case 0xe4 ... 0xe7:
	case 0xec ... 0xef: /* in, out */
		kind.port = true;
		break;
	}
	kind.repeated = rep && kind.string != X86_NO_STRING;
	return kind;
}

#endif
