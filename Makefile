# SPDX-License-Identifier: Apache-2.0
#
# One non-recursive Makefile; the lists of sources live in the build.mk fragments and are
# wildcards, so a new file is built without touching any of this. Nothing is written outside
# of $(O), except compile_commands.json on request.
#
##@ Variables
## O=build: where everything is built
## V=1: show the commands
## W=1: extra warnings
## WERROR=1: warnings are errors
## CC=gcc: compiler of the daemon and the tools (clang-19 works too)
## SAN=address,undefined: sanitizer build, into $(O)/san-...
## DURATION=20: seconds that `make run` takes before it stops by itself
## FUZZ_SECONDS=20: time of each fuzzer

MAKEFLAGS += --no-builtin-rules --no-builtin-variables --no-print-directory
.SUFFIXES:
.DELETE_ON_ERROR:
SHELL := /bin/bash

O ?= build
V ?= 0
W ?= 0
WERROR ?= 0
SAN ?=
FUZZ_SECONDS ?= 20
DURATION ?=
DESTDIR ?=
PREFIX ?= /usr/local

ifneq ($(filter default undefined,$(origin CC)),)
CC := gcc
endif
CLANG ?= clang-19
CLANG_FORMAT ?= clang-format-19
CLANG_TIDY ?= clang-tidy-19
BPFTOOL ?= $(firstword $(wildcard /usr/sbin/bpftool /usr/local/sbin/bpftool) bpftool)
PKG_CONFIG ?= pkg-config

# B is where user objects go: a sanitizer build never mixes with the plain one. What the BPF
# compiler makes, and the generated headers, are the same for both and stay in $(O).
comma := ,
B := $(O)$(if $(SAN),/san-$(subst $(comma),-,$(SAN)))
GEN := $(O)/gen

ifeq ($(V),1)
Q :=
say :=
else
Q := @
say = @printf '  %-7s %s\n' '$(1)' '$(2)';
endif

.PHONY: all
all: ## the daemon, the CLI and the BPF object

# Goals that must work before the packages are there, or that call make again after set-up.
no_deps := help setup clean test run lint fmt
ifneq ($(filter-out $(no_deps),$(or $(MAKECMDGOALS),all)),)
need_deps := 1
endif

# ---- libraries -----------------------------------------------------------------------------
# module:Debian package
LIBS_NEEDED := libbpf:libbpf-dev libxdp:libxdp-dev openssl:libssl-dev libnghttp2:libnghttp2-dev \
	jansson:libjansson-dev yaml-0.1:libyaml-dev liburcu-qsbr:liburcu-dev libmnl:libmnl-dev \
	libmicrohttpd:libmicrohttpd-dev libcares:libc-ares-dev libcap-ng:libcap-ng-dev libelf:libelf-dev zlib:zlib1g-dev
libs_modules := $(foreach l,$(LIBS_NEEDED),$(firstword $(subst :, ,$(l))))

ifdef need_deps
# 1.3 is the first libbpf with tcx links; older uapi headers have no BPF_TCX_INGRESS either.
libs_missing := $(shell for l in $(LIBS_NEEDED); do \
	$(PKG_CONFIG) --exists $${l%%:*} || echo $${l\#\#*:}; done; \
	$(PKG_CONFIG) --atleast-version=1.3 libbpf || echo libbpf-dev; \
	grep -qs BPF_TCX_INGRESS /usr/include/linux/bpf.h || echo linux-libc-dev; \
	command -v $(firstword $(CC)) >/dev/null || echo $(firstword $(CC)); \
	command -v $(CLANG) >/dev/null || echo clang-19; \
	command -v $(BPFTOOL) >/dev/null || echo bpftool)
libs_missing := $(sort $(libs_missing))
ifneq ($(libs_missing),)
$(error Debian packages are missing or too old: $(libs_missing). `sudo make setup` installs all \
	that is needed (on Debian 12 some of them come from bookworm-backports))
endif
LIBS_CFLAGS := $(shell $(PKG_CONFIG) --cflags $(libs_modules))
LIBS := $(shell $(PKG_CONFIG) --libs $(libs_modules)) -pthread
MULTIARCH := $(shell gcc -print-multiarch 2>/dev/null)
MACHINE := $(shell uname -m)
HAVE_IPSEC_MB := $(if $(filter x86_64,$(MACHINE)),$(shell \
	echo 'int main(void) { return IMB_VERSION_NUM == 0; }' | \
	$(CC) -include intel-ipsec-mb.h -x c - -o /dev/null -lIPSec_MB 2>/dev/null && echo 1))
ifeq ($(HAVE_IPSEC_MB),1)
LIBS += -lIPSec_MB
endif
endif

# ---- flags ---------------------------------------------------------------------------------
WARN := -Wall -Wextra -Wshadow -Wvla -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith \
	-Wwrite-strings -Wformat=2 -Wundef
ifeq ($(W),1)
WARN += -Wconversion -Wno-sign-conversion -Wcast-qual
endif
ifeq ($(WERROR),1)
WARN_ERROR := -Werror
endif

CPPFLAGS_ALL = -D_GNU_SOURCE -I$(GEN) -Iinclude -Iuser $(LIBS_CFLAGS) $(CPPFLAGS)
CFLAGS_ALL = -std=gnu17 -O2 -g $(WARN) $(WARN_ERROR) -fno-common -fstack-protector-strong \
	-ffunction-sections -fdata-sections -ffile-prefix-map=$(CURDIR)/= -pthread
LDFLAGS_ALL = -Wl,--gc-sections -Wl,--as-needed
ifeq ($(SAN),)
CPPFLAGS_ALL += -D_FORTIFY_SOURCE=2
CFLAGS_ALL += -fPIE -fstack-clash-protection $(if $(filter x86_64,$(MACHINE)),-fcf-protection=full)
LDFLAGS_ALL += -pie -Wl,-z,relro,-z,now,-z,noexecstack
else
CFLAGS_ALL += -fsanitize=$(SAN) -fno-sanitize-recover=all -fno-omit-frame-pointer
LDFLAGS_ALL += -fsanitize=$(SAN)
endif
CFLAGS_ALL += $(CFLAGS)
LDFLAGS_ALL += $(LDFLAGS)

# ---- stamps and generated headers ----------------------------------------------------------
# Changed flags or another compiler rebuild everything: objects depend on .opts, which is only
# rewritten when its text differs.
put_if_changed = mkdir -p $(dir $(1)) && cat >$(1).new && \
	if cmp -s $(1).new $(1); then rm -f $(1).new; else mv -f $(1).new $(1); fi

.PHONY: FORCE
FORCE:

$(B)/.opts: FORCE
	@{ $(CC) --version | head -n 1; echo '$(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL)'; \
	   echo '$(LDFLAGS_ALL) $(LIBS)'; } | { $(call put_if_changed,$@); }

$(GEN)/config.h: FORCE
	@{ echo '/* generated by the Makefile: what was found on the build machine */'; \
	   echo '#pragma once'; \
	   echo '#define HAVE_IPSEC_MB $(or $(HAVE_IPSEC_MB),0)'; } | \
	 { $(call put_if_changed,$@); }

# In a header of its own: a new commit rebuilds only the files that print the version.
$(GEN)/version.h: FORCE
	@v=$$(git -c safe.directory='*' describe --always --dirty --tags 2>/dev/null); \
	 { echo '#pragma once'; echo "#define WEFT_VERSION \"$${v:-unknown}\""; } | \
	 { $(call put_if_changed,$@); }

gen_headers := $(GEN)/config.h $(GEN)/version.h

# ---- the parts -----------------------------------------------------------------------------
include bpf/build.mk
include user/build.mk
include tools/build.mk
include selftests/build.mk

all: weftd weft bpf

##@ Other targets
.PHONY: setup run lint fmt tidy bench install clean help compile_commands.json
setup: ## install the Debian packages that are missing (root)
	@tools/setup.sh

run: ## set up, build and run the demo (root); DURATION=20 ends it by itself
	@tools/setup.sh
	@$(MAKE) all WERROR=$(if $(findstring -Werror,$(file <$(O)/.opts)),1,0)
	@exec $(O)/weft demo $(if $(DURATION),--duration $(DURATION))

fmt: ## clang-format of what differs from HEAD (your own changes only)
	@git diff --name-only --diff-filter=d HEAD -- '*.c' '*.h' | xargs -r $(CLANG_FORMAT) -i

tidy: compile_commands.json $(BPF_SKEL) ## clang-tidy over the daemon and the tools (slow)
	$(Q)printf '%s\n' $(USER_SRC) $(TOOL_SRC) | xargs -n 4 -P 2 $(CLANG_TIDY) -quiet -p .

bench: all ## measure against plain TCP, a copy relay and sidecars
	@if [ -x tools/bench/run.sh ]; then O=$(O) tools/bench/run.sh; \
	 else echo 'tools/bench/run.sh is not there yet'; exit 1; fi

install: all ## into $(DESTDIR)$(PREFIX)
	$(call say,INSTALL,$(DESTDIR)$(PREFIX))install -D -m 0755 $(B)/weftd $(DESTDIR)$(PREFIX)/sbin/weftd
	$(Q)install -D -m 0755 $(B)/weft $(DESTDIR)$(PREFIX)/bin/weft
	$(Q)mkdir -p $(DESTDIR)$(PREFIX)/lib/systemd/system && \
		sed 's|/usr/local/|$(PREFIX)/|' packaging/weftd.service >$(DESTDIR)$(PREFIX)/lib/systemd/system/weftd.service
	$(Q)mkdir -p $(DESTDIR)$(PREFIX)/share/bash-completion/completions && \
		$(B)/weft completion bash >$(DESTDIR)$(PREFIX)/share/bash-completion/completions/weft

compile_commands.json: $(gen_headers) ## for clangd and clang-tidy
	@{ sep='['; for f in $(USER_SRC) $(TOOL_SRC) $(UNIT_SRC); do \
	   printf '%s\n{"directory":"%s","file":"%s","command":"%s -c %s"}' "$$sep" '$(CURDIR)' \
		"$$f" '$(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL)' "$$f"; sep=','; done; \
	   for f in $(BPF_SRC); do \
	   printf '%s\n{"directory":"%s","file":"%s","command":"%s -c %s"}' "$$sep" '$(CURDIR)' \
		"$$f" '$(CLANG) $(BPF_CFLAGS)' "$$f"; sep=','; done; printf '\n]\n'; } >$@

clean: ## remove $(O)
	$(call say,CLEAN,$(O))rm -rf $(O)

help: ## this text
	@awk '/^##@ /{ printf "\n%s\n", substr($$0, 5); next } \
	     /^## /{ s = substr($$0, 4); i = index(s, ": "); \
		     printf "  %-22s %s\n", substr(s, 1, i - 1), substr(s, i + 2); next } \
	     /^[a-z_.]+:.* ## /{ t = $$1; sub(/:.*/, "", t); s = $$0; sub(/.* ## /, "", s); \
		     printf "  make %-17s %s\n", t, s }' $(MAKEFILE_LIST)

-include $(wildcard $(deps))
