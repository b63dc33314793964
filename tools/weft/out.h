/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Text for people: tables with aligned columns that fit the terminal, colours only there, and
 * numbers with units. Cells may come from strangers: control characters never reach the
 * terminal. One thread.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/vec.h"

enum colour {
	COLOUR_NONE,
	COLOUR_RED,
	COLOUR_GREEN,
	COLOUR_CYAN,
	COLOUR_YELLOW,
	COLOUR_BOLD,
	COLOUR_DIM,
	COLOUR_MAX
};

enum column_flag {
	COL_RIGHT = 1, /* numbers */
	COL_CUT_END = 2, /* may be shortened at its end */
	COL_CUT_START = 4, /* may be shortened at its start, where the end says more */
};

struct column {
	const char *title;
	unsigned flags;
	unsigned from_width; /* left out on narrower terminals */
	unsigned to_width;   /* left out on this width and wider, and without limit; 0: never */
};

struct cell {
	char *text;
	enum colour colour;
};

struct table {
	const struct column *columns;
	size_t n_columns;
	VEC(struct cell) cells; /* row by row */
	bool colours;
	size_t width; /* of the terminal; 0: no limit, nothing is shortened or left out */
};

void table_init(struct table *t, const struct column *columns, size_t n, FILE *to);
void table_fini(struct table *t);
/* Cells in order of the columns. Text "" becomes "-". */
__attribute__((format(printf, 3, 4))) void table_cell(struct table *t, enum colour colour,
						      const char *fmt, ...);
/* Header and at most max_rows rows (0: all), then the rest is dropped. */
void table_print(struct table *t, FILE *to, size_t max_rows);

/* Of stdout's terminal: columns and rows; 0 when stdout is none. */
size_t out_width(void);
size_t out_height(void);
bool out_has_colours(void);
/* Escape that starts a colour, or that ends it (COLOUR_NONE); "" without colours. */
const char *out_colour(bool colours, enum colour c);
/* Text of strangers, control characters shown as '?'. */
void out_safe(FILE *to, const char *s);

/* Into buf of >= 24 bytes; return buf. */
char *human_bytes(char *buf, double v);
char *human_count(char *buf, double v);
char *human_duration(char *buf, double seconds); /* "3d4h", "5m12s", "850ms" */
char *human_since(char *buf, double unix_s); /* "12s ago"; "never" for 0 */
/* Colour of a path (direct, hbone, ...) or of a state (ready, failed, ...). */
enum colour path_colour(const char *path);
enum colour state_colour(const char *state);
