# SPDX-License-Identifier: Apache-2.0
# Programs of the benchmark; `weft bench` runs them by tools/bench/run.sh.

BENCH_LOAD_SRC := $(sort $(wildcard tools/bench/load*.c))
BENCH_SRC := $(BENCH_LOAD_SRC) $(wildcard tools/bench/copyrelay.c tools/bench/limits.c \
	tools/bench/ktls.c tools/bench/mesh.c tools/bench/policy.c)
BENCH_OBJ := $(BENCH_SRC:%.c=$(B)/%.o)
BENCH_PROGRAMS := $(B)/weft-bench-load $(B)/weft-bench-relay \
	$(if $(wildcard tools/bench/limits.c),$(B)/weft-bench-limits) $(B)/weft-bench-ktls \
	$(B)/weft-bench-mesh $(B)/weft-bench-policy

$(BENCH_OBJ): $(B)/%.o: %.c $(B)/.opts | $(gen_headers)
	$(call say,CC,$<)mkdir -p $(@D) && \
		$(CC) $(CPPFLAGS_ALL) -Itools/bench $(CFLAGS_ALL) -MMD -MP -c $< -o $@

$(B)/weft-bench-load: $(BENCH_LOAD_SRC:%.c=$(B)/%.o)
$(B)/weft-bench-relay: $(B)/tools/bench/copyrelay.o
$(B)/weft-bench-limits: $(B)/tools/bench/limits.o
$(B)/weft-bench-ktls: $(B)/tools/bench/ktls.o
$(B)/weft-bench-mesh: $(B)/tools/bench/mesh.o
$(B)/weft-bench-policy: $(B)/tools/bench/policy.o
$(BENCH_PROGRAMS): $(LIB_OBJ)
	$(call say,LD,$@)$(CC) $(CFLAGS_ALL) $(LDFLAGS_ALL) $(filter %.o,$^) $(LIBS) -o $@

.PHONY: bench-programs
bench-programs: $(BENCH_PROGRAMS) ## load generator and reference relay of the benchmark

deps += $(BENCH_OBJ:.o=.d)
