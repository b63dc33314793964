# SPDX-License-Identifier: Apache-2.0
# weftd: every .c of every room in user/ROOMS.

ROOMS := $(shell cat user/ROOMS)
USER_SRC := $(foreach r,$(ROOMS),$(sort $(wildcard user/$(r)/*.c)))
USER_OBJ := $(USER_SRC:%.c=$(B)/%.o)
DAEMON_MAIN := $(B)/user/daemon/main.o
# What others link: everything but main().
LIB_OBJ := $(filter-out $(DAEMON_MAIN),$(USER_OBJ))

$(USER_OBJ): $(B)/%.o: %.c $(B)/.opts | $(gen_headers)
	$(call say,CC,$<)mkdir -p $(@D) && $(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) -MMD -MP -c $< -o $@

# Only kern/ knows the skeleton; order-only, because -MMD knows it from the second build on.
$(filter $(B)/user/kern/%,$(USER_OBJ)): | $(BPF_SKEL)

$(B)/weftd: $(USER_OBJ)
	$(call say,LD,$@)$(CC) $(CFLAGS_ALL) $(LDFLAGS_ALL) $(USER_OBJ) $(LIBS) -o $@

.PHONY: weftd
ifneq ($(wildcard user/daemon/main.c),)
weftd: $(B)/weftd ## the daemon
else
weftd: $(USER_OBJ)
endif

deps += $(USER_OBJ:.o=.d)
