/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Inside of the model room: the texts of objects. */
#include "model/types.h"

/* The "" that all objects share; the put functions know it. */
char *text_empty(void);

#define WORKLOAD_TEXTS 19
/* Where the texts of w are; gives their number, WORKLOAD_TEXTS. */
size_t workload_texts(struct workload *w, char **ret[WORKLOAD_TEXTS]);
