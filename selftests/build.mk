# SPDX-License-Identifier: Apache-2.0
# Tests. Programs are built here and run by selftests/run.sh, which also counts.
#
# A unit test or fuzzer is linked with the rooms up to the highest one that it includes or is
# named after, so a low room can be tested while a higher one does not compile, and a call
# upwards is a link error.

UNIT_SRC := $(sort $(wildcard selftests/unit/*.c))
FUZZ_SRC := $(sort $(wildcard selftests/fuzz/fuzz_*.c))
BPFTEST_SRC := $(sort $(filter-out %.bpf.c,$(wildcard selftests/bpf/*.c)))
# A .c beside the tests that is no test itself: helpers named h.c or h_*.c are linked to all.
UNIT_HELP := $(filter selftests/unit/h.c selftests/unit/h_%.c,$(UNIT_SRC))
BPFTEST_HELP := $(filter selftests/bpf/h.c selftests/bpf/h_%.c,$(BPFTEST_SRC))

unit_progs := $(patsubst selftests/%.c,$(B)/%,$(filter-out $(UNIT_HELP),$(UNIT_SRC)))
fuzz_progs := $(patsubst selftests/fuzz/%.c,$(B)/fuzz/%,$(FUZZ_SRC))
bpftest_progs := $(patsubst selftests/bpf/%.c,$(B)/bpftest/%,$(filter-out $(BPFTEST_HELP),$(BPFTEST_SRC)))

test_src := $(UNIT_SRC) $(FUZZ_SRC)
# Words "file:room", one awk for all files.
test_rooms := $(if $(test_src),$(shell awk -f tools/lint/highest_room.awk user/ROOMS $(test_src)))
room_of = $(patsubst $(1):%,%,$(filter $(1):%,$(test_rooms)))
$(foreach r,$(ROOMS),$(eval upto_$(r) := $(upto_prev) $(r))$(eval upto_prev := $(upto_$(r))))
# Of the tools only the benchmark has parts that can be tested alone: tests named bench_*.
bench_objs := $(filter-out %/bench.o %/load.o,$(patsubst %.c,$(B)/%.o,\
	$(wildcard tools/weft/bench_*.c tools/bench/load*.c) tools/weft/out.c))
$(B)/selftests/unit/bench_%.o: CPPFLAGS += -Itools/weft -Itools/bench
extra_for = $(if $(filter selftests/unit/bench_%,$(1)),$(bench_objs) $(LIB_OBJ))
objs_for = $(call extra_for,$(1)) $(filter $(patsubst %,$(B)/user/%/%,$(upto_$(call room_of,$(1)))),$(LIB_OBJ))

TEST_OBJ := $(patsubst %.c,$(B)/%.o,$(UNIT_SRC) $(FUZZ_SRC) $(BPFTEST_SRC))
$(TEST_OBJ): $(B)/%.o: %.c $(B)/.opts | $(gen_headers)
	$(call say,CC,$<)mkdir -p $(@D) && \
		$(CC) $(CPPFLAGS_ALL) -Iselftests $(CFLAGS_ALL) -MMD -MP -c $< -o $@
$(filter $(B)/selftests/bpf/%,$(TEST_OBJ)): | $(BPF_SKEL)

# $(1) program, $(2) its source, $(3) objects, $(4) further link flags
define test_prog
$(1): $(2:%.c=$(B)/%.o) $(3)
	$$(call say,LD,$$@)mkdir -p $$(@D) && \
		$$(CC) $$(CFLAGS_ALL) $$(LDFLAGS_ALL) $(4) $$(filter %.o,$$^) $$(LIBS) -lcmocka -lm -o $$@
endef
$(foreach p,$(unit_progs),$(eval $(call test_prog,$(p),$(p:$(B)/%=selftests/%.c),\
	$(UNIT_HELP:%.c=$(B)/%.o) $(call objs_for,$(p:$(B)/%=selftests/%.c)),)))
$(foreach p,$(fuzz_progs),$(eval $(call test_prog,$(p),$(p:$(B)/%=selftests/%.c),\
	$(call objs_for,$(p:$(B)/%=selftests/%.c)),-fsanitize=fuzzer)))
$(foreach p,$(bpftest_progs),$(eval $(call test_prog,$(p),$(p:$(B)/bpftest/%=selftests/bpf/%.c),\
	$(BPFTEST_HELP:%.c=$(B)/%.o) $(LIB_OBJ),)))

# The evaluator as a filter, for the comparison with the reference in selftests/policy/.
POLICY_EVAL := $(B)/policy-evaluate
$(B)/selftests/policy/%.o: selftests/policy/%.c $(B)/.opts | $(gen_headers)
	$(call say,CC,$<)mkdir -p $(@D) && \
		$(CC) $(CPPFLAGS_ALL) -Iselftests $(CFLAGS_ALL) -MMD -MP -c $< -o $@
$(POLICY_EVAL): $(B)/selftests/policy/evaluate.o \
	$(filter $(patsubst %,$(B)/user/%/%,$(upto_policy)),$(LIB_OBJ))
	$(call say,LD,$@)$(CC) $(CFLAGS_ALL) $(LDFLAGS_ALL) $(filter %.o,$^) $(LIBS) -o $@
deps += $(B)/selftests/policy/evaluate.d

# weftd whose calls fail at random, from the same objects: only the linker makes the difference.
FAULT_WRAPS := malloc calloc realloc strdup socket accept4 connect send sendmsg recv readv epoll_ctl \
	bpf_map_update_elem pipe2
$(B)/selftests/faults/%.o: selftests/faults/%.c $(B)/.opts | $(gen_headers)
	$(call say,CC,$<)mkdir -p $(@D) && $(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) -MMD -MP -c $< -o $@
$(B)/faults/weftd: $(USER_OBJ) $(B)/selftests/faults/faults.o
	$(call say,LD,$@)mkdir -p $(@D) && $(CC) $(CFLAGS_ALL) $(LDFLAGS_ALL) \
		$(addprefix -Wl$(comma)--wrap=,$(FAULT_WRAPS)) $(filter %.o,$^) $(LIBS) -o $@
deps += $(B)/selftests/faults/faults.d

##@ Tests
.PHONY: bpf-cover faults-around fuzz-coverage net-asan net-tsan soak interop faults faults-weftd mutation policy-evaluate policy-check test unit fuzz net selftest-vm bpftest unit-progs \
	fuzz-progs bpftest-progs
unit-progs: $(unit_progs)
fuzz-progs: $(fuzz_progs)
bpftest-progs: $(bpftest_progs)

run_tests = O=$(O) FUZZ_SECONDS=$(or $(TIME),$(FUZZ_SECONDS)) CLANG=$(CLANG) selftests/run.sh

POLICY_PAIRS ?= 1000000
POLICY_SEED ?= 1
policy-evaluate: $(POLICY_EVAL)
policy-check: $(POLICY_EVAL) ## compare the policy evaluator with the reference, POLICY_PAIRS=1000000
	@selftests/policy/check.py --evaluator $(POLICY_EVAL) --pairs $(POLICY_PAIRS) --seed $(POLICY_SEED)

mutation: ## turn conditions of the policy evaluator around: each must make a test fail
	@selftests/policy/mutate.py

test: ## everything: set-up, both compilers, lint, unit, bpf, net, fuzz (root)
	@$(run_tests) all

unit: ## unit tests under ASan and UBSan
	@$(run_tests) unit

bpftest: ## BPF programs in the kernel (root)
	@$(run_tests) bpf

net: ## scenarios with a real daemon in network namespaces (root)
	@$(run_tests) net

faults-weftd: $(B)/faults/weftd ## a weftd whose calls fail at random, for scenario 84

FAULT_REPEAT ?= 10
faults: faults-weftd ## the scenarios of faults, long: 200 kills, a minute of failing calls, and all others again and again; FAULT_REPEAT=10 (root)
	@TRIES=40 NET=15,56,85 TEST_TIMEOUT=1500 $(run_tests) net
	@FAULT_SECONDS=60 FAULT_EVERY=50 FAULT_SEED=$$RANDOM NET=84 TEST_TIMEOUT=300 $(run_tests) net
	@$(MAKE) --no-print-directory faults-around

faults-around: ## of these only the network, clocks, disks, pins, pods and peers (110 to 118) (root)
	@TRIES=300 NET=112 TEST_TIMEOUT=1800 $(run_tests) net; cp $(O)/test/faults $(O)/test/faults.all
	@ROUNDS=$(FAULT_REPEAT) NET=118 TEST_TIMEOUT=1800 $(run_tests) net; cat $(O)/test/faults >>$(O)/test/faults.all
	@REPEAT=$(FAULT_REPEAT) NET=110,111,113,115,116,117 TEST_TIMEOUT=400 $(run_tests) net; \
		cat $(O)/test/faults >>$(O)/test/faults.all
	@awk -f selftests/faults/sum.awk $(O)/test/faults.all

SAN_NET ?= 13,20,23,30,33,34,38,52,60,90,91,93,95,98,100,101,105
net-asan: ## scenarios SAN_NET with a weftd under ASan and UBSan: overruns, use after free, leaks (root)
	@$(MAKE) --no-print-directory SAN=address,undefined $(O)/san-address-undefined/weftd
	@SAN_WEFTD=$(O)/san-address-undefined/weftd NET=$(SAN_NET) $(run_tests) net

net-tsan: ## the same under TSan: workers and their mailboxes (root)
	@$(MAKE) --no-print-directory CC=$(CLANG) SAN=thread $(O)/san-thread/weftd
	@SAN_WEFTD=$(O)/san-thread/weftd NET=$(SAN_NET) $(run_tests) net

bpf-cover: ## which return statements of the BPF programs their tests reach (root)
	@O=$(O) CLANG=$(CLANG) selftests/bpf/cover.sh

selftest-vm: ## the same on Debian's kernels in qemu (root); KERNEL=6.1, 6.12 or host
	@KERNEL="$(KERNEL)" $(run_tests) vm

fuzz: ## every fuzzer for TIME (or FUZZ_SECONDS) seconds
	@$(run_tests) fuzz

fuzz-coverage: ## what the fuzzers reach of the files they are there for, after TIME seconds each
	@$(MAKE) --no-print-directory fuzz-progs CC=$(CLANG) SAN=fuzzer-no-link B=$(O)/fuzz-cover \
		CFLAGS="-fprofile-instr-generate -fcoverage-mapping"
	@O=$(O) CLANG=$(CLANG) FUZZ_SECONDS=$(or $(TIME),$(FUZZ_SECONDS)) selftests/fuzz/coverage.sh

HOURS ?= 0.5
soak: all ## two nodes under churn for HOURS; build/soak/ has samples and graphs (root)
	@O=$(O) HOURS=$(HOURS) selftests/soak.sh

interop: ## foreign programs against the daemon, as far as they are to be had (root)
	@$(run_tests) interop

lint: ## tools/lint/*.sh
	@$(run_tests) lint

deps += $(TEST_OBJ:.o=.d)
