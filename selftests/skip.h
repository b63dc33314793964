/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A cmocka test that cannot run here, and why: run.sh shows the reason. After <cmocka.h>. */
#define skip_because(reason)                     \
	do {                                     \
		print_message("SKIP: " reason "\n"); \
		skip();                          \
	} while (0)
