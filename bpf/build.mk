# SPDX-License-Identifier: Apache-2.0
# bpf/*.bpf.c -> one object each -> linked into weft.bpf.o -> weft.skel.h. One skeleton for the
# whole kernel side: maps exist once and everything is loaded in one go.

BPF_SRC := $(wildcard bpf/*.bpf.c)
# Definitions first: the linker keeps the section offsets of extern maps it meets before them.
BPF_OBJ := $(patsubst %.c,$(O)/%.o,$(filter bpf/maps.bpf.c,$(BPF_SRC)) \
	$(filter-out bpf/maps.bpf.c,$(BPF_SRC)))

bpf_arch_x86_64 := x86
bpf_arch_aarch64 := arm64
BPF_CFLAGS = -target bpf -std=gnu17 -O2 -g -mcpu=v3 -Wall -Wextra -Wno-unused-parameter \
	$(WARN_ERROR) -fno-stack-protector -ffile-prefix-map=$(CURDIR)/= \
	-D__TARGET_ARCH_$(or $(bpf_arch_$(MACHINE)),$(MACHINE)) \
	-Iinclude -Ibpf -Ivmlinux $(if $(MULTIARCH),-I/usr/include/$(MULTIARCH))

# COVER=1: every return statement counts itself, see bpf/lib/cover.h.
ifeq ($(COVER),1)
BPF_CFLAGS += -include bpf/lib/cover.h -Wno-return-type -Wno-dangling-else
$(O)/bpf/maps.bpf.o: BPF_CFLAGS += -DWEFT_COVER_MAP
endif

$(O)/bpf/.opts: FORCE
	@{ $(CLANG) --version | head -n 1; $(BPFTOOL) version | head -n 1; \
	   echo '$(CLANG) $(BPF_CFLAGS)'; } | { $(call put_if_changed,$@); }

$(BPF_OBJ): $(O)/%.o: %.c $(O)/bpf/.opts
	$(call say,BPF,$<)mkdir -p $(@D) && $(CLANG) $(BPF_CFLAGS) -MMD -MP -c $< -o $@

ifneq ($(BPF_SRC),)
BPF_SKEL := $(GEN)/weft.skel.h

# The suffix .bpf.o is taken by the inputs, hence .linked first: a failed link leaves nothing.
$(O)/bpf/weft.bpf.o: $(BPF_OBJ)
	$(call say,BPFLINK,$@)$(BPFTOOL) gen object $@.linked $(BPF_OBJ) && mv $@.linked $@

$(BPF_SKEL): $(O)/bpf/weft.bpf.o
	$(call say,SKEL,$@)mkdir -p $(@D) && $(BPFTOOL) gen skeleton $< name weft >$@.new && mv $@.new $@
endif

.PHONY: bpf
bpf: $(BPF_SKEL) ## the BPF programs and their skeleton

deps += $(BPF_OBJ:.o=.d)
