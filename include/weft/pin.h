/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
#pragma once
/* Names of the pinned objects: <bpffs>/weft/<node>/v<ABI>/{<map>, link_<program>[_<what>]} */
#define WEFT_PIN_ROOT "/sys/fs/bpf/weft"
