# SPDX-License-Identifier: Apache-2.0
# weft: the CLI. It links the same objects as the daemon; --gc-sections drops what it never calls.

TOOL_SRC := $(sort $(wildcard tools/weft/*.c tools/weft/*/*.c))
TOOL_OBJ := $(TOOL_SRC:%.c=$(B)/%.o)

$(TOOL_OBJ): $(B)/%.o: %.c $(B)/.opts | $(gen_headers)
	$(call say,CC,$<)mkdir -p $(@D) && \
		$(CC) $(CPPFLAGS_ALL) -Itools/weft $(CFLAGS_ALL) -MMD -MP -c $< -o $@

$(B)/weft: $(TOOL_OBJ) $(LIB_OBJ)
	$(call say,LD,$@)$(CC) $(CFLAGS_ALL) $(LDFLAGS_ALL) $(TOOL_OBJ) $(LIB_OBJ) $(LIBS) -lm -o $@

.PHONY: weft
weft: $(if $(TOOL_SRC),$(B)/weft) ## the command line tool

include tools/bench/build.mk

deps += $(TOOL_OBJ:.o=.d)
