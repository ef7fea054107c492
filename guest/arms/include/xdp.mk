# SPDX-License-Identifier: GPL-2.0-only
# Builds an XDP arm: redirect.bpf.c in the arm's folder, and the loader with the
# program inside. The loader knows the arm by the name of the folder.
include_dir := $(patsubst %/,%,$(dir $(lastword $(MAKEFILE_LIST))))

CLANG ?= clang
BPFTOOL ?= bpftool
# Where Debian keeps bpftool; not on every user's path.
export PATH := $(PATH):/usr/sbin

# clang has no BPF system headers; <asm/types.h> comes from the host's.
bpf_flags := -target bpf -O2 -g -Wall -Wextra -Wvla -I$(include_dir) \
	-idirafter /usr/include/$(shell $(CC) -print-multiarch)
loader_flags := -O1 -Wall -Wextra -Wvla -I. -DARM='"$(notdir $(CURDIR))"'

.DELETE_ON_ERROR:
.PHONY: all clean
all: loader

redirect.bpf.o: redirect.bpf.c $(include_dir)/redirect_xdp.h $(include_dir)/rewrite.h
	$(CLANG) $(bpf_flags) -c $< -o $@

redirect.skel.h: redirect.bpf.o
	$(BPFTOOL) gen skeleton $< name redirect > $@

loader: $(include_dir)/xdp_loader.c redirect.skel.h
	$(CC) $(loader_flags) $< -lbpf -o $@

clean:
	$(RM) loader redirect.skel.h redirect.bpf.o
