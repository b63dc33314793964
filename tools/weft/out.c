// SPDX-License-Identifier: Apache-2.0
/* Tables for people. Used by every listing command of weft; owns its cells. One thread. */
#include "out.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/own.h"
#include "base/str.h"

#define GAP 2
#define CUT_MIN 8

size_t out_width(void)
{
	const char *columns = getenv("COLUMNS");
	struct winsize ws;
	uint32_t n;

	if (!isatty(STDOUT_FILENO))
		return 0;
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &ws) == 0 && ws.ws_col)
		return ws.ws_col;
	if (columns && str_to_u32(str_of(columns), &n) == 0 && n < 10000)
		return n;
	return 0;
}

size_t out_height(void)
{
	struct winsize ws;

	if (isatty(STDOUT_FILENO) && ioctl(STDOUT_FILENO, TIOCGWINSZ, &ws) == 0)
		return ws.ws_row;
	return 0;
}

bool out_has_colours(void)
{
	const char *no = getenv("NO_COLOR"), *term = getenv("TERM");

	return isatty(STDOUT_FILENO) && !(no && no[0]) && !(term && strcmp(term, "dumb") == 0);
}

const char *out_colour(bool colours, enum colour c)
{
	static const char *const escape[] = {
		[COLOUR_NONE] = "\033[0m",    [COLOUR_RED] = "\033[31m",
		[COLOUR_GREEN] = "\033[32m",  [COLOUR_CYAN] = "\033[36m",
		[COLOUR_YELLOW] = "\033[33m", [COLOUR_BOLD] = "\033[1m",
		[COLOUR_DIM] = "\033[2m",
	};
	_Static_assert(ARRAY_LEN(escape) == COLOUR_MAX, "an escape for every colour");

	return colours ? escape[c] : "";
}

static void make_safe(char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			*s = '?';
}

void out_safe(FILE *to, const char *s)
{
	_free_ char *copy = str_dup(str_of(s));

	if (!copy)
		return;
	make_safe(copy);
	fputs(copy, to);
}

void table_init(struct table *t, const struct column *columns, size_t n, FILE *to)
{
	bool tty = to == stdout;

	*t = (struct table){
		.columns = columns,
		.n_columns = n,
		.colours = tty && out_has_colours(),
		.width = tty ? out_width() : 0,
	};
}

void table_fini(struct table *t)
{
	vec_for_each(c, &t->cells)
		free(c->text);
	vec_fini(&t->cells);
}

void table_cell(struct table *t, enum colour colour, const char *fmt, ...)
{
	struct cell cell = { .colour = colour };
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&cell.text, fmt, ap);
	va_end(ap);
	if (n < 0)
		cell.text = NULL;
	if (n == 0) {
		free(cell.text);
		cell.text = str_dup(STR("-"));
	}
	if (cell.text)
		make_safe(cell.text);
	if (vec_push(&t->cells, cell) < 0)
		free(cell.text);
}

/* Characters on the screen: UTF-8 continuation bytes take no place. */
static size_t text_width(const char *s)
{
	size_t n = 0;

	for (; *s; s++)
		n += ((unsigned char)*s & 0xc0) != 0x80;
	return n;
}

static const char *skip_chars(const char *s, size_t n)
{
	while (*s && n--) {
		s++;
		while (((unsigned char)*s & 0xc0) == 0x80)
			s++;
	}
	return s;
}

struct layout {
	size_t *width; /* 0: column is left out */
	size_t total;
	size_t n_rows;
	size_t last; /* last column that is shown: no blanks behind it */
};

static const char *cell_text(const struct table *t, size_t row, size_t col)
{
	const char *s = t->cells.p[row * t->n_columns + col].text;

	return s ? s : "?";
}

static bool is_shown(const struct table *t, const struct column *c)
{
	if (t->width == 0)
		return c->to_width == 0;
	return t->width >= c->from_width && (c->to_width == 0 || t->width < c->to_width);
}

static void layout_measure(const struct table *t, struct layout *l)
{
	for (size_t col = 0; col < t->n_columns; col++) {
		size_t w = text_width(t->columns[col].title);

		l->width[col] = 0;
		if (!is_shown(t, &t->columns[col]))
			continue;
		for (size_t row = 0; row < l->n_rows; row++) {
			size_t cw = text_width(cell_text(t, row, col));

			w = cw > w ? cw : w;
		}
		l->width[col] = w;
		l->last = col;
		l->total += w + (l->total ? GAP : 0);
	}
}

/* Takes from the widest column that may be shortened until all fits or nothing can give. */
static void layout_shrink(const struct table *t, struct layout *l)
{
	while (t->width && l->total > t->width) {
		size_t widest = t->n_columns;

		for (size_t col = 0; col < t->n_columns; col++) {
			if (!(t->columns[col].flags & (COL_CUT_END | COL_CUT_START)) ||
			    l->width[col] <= CUT_MIN)
				continue;
			if (widest == t->n_columns || l->width[col] > l->width[widest])
				widest = col;
		}
		if (widest == t->n_columns)
			return;
		l->width[widest]--;
		l->total--;
	}
}

static void print_pad(FILE *to, size_t n)
{
	while (n--)
		fputc(' ', to);
}

static void print_cut(FILE *to, const char *text, size_t width, bool from_start)
{
	size_t have = text_width(text);
	const char *end;

	if (have <= width) {
		fputs(text, to);
	} else if (from_start) {
		fprintf(to, "…%s", skip_chars(text, have - width + 1));
	} else {
		end = skip_chars(text, width - 1);
		fprintf(to, "%.*s…", (int)(end - text), text);
	}
}

static void print_cell(const struct table *t, const struct layout *l, FILE *to, size_t col,
		       const char *text, enum colour colour)
{
	const struct column *c = &t->columns[col];
	size_t have = text_width(text), width = l->width[col];
	size_t pad = have < width ? width - have : 0;

	if (c->flags & COL_RIGHT)
		print_pad(to, pad);
	if (colour != COLOUR_NONE)
		fputs(out_colour(t->colours, colour), to);
	print_cut(to, text, width, c->flags & COL_CUT_START);
	if (colour != COLOUR_NONE)
		fputs(out_colour(t->colours, COLOUR_NONE), to);
	if (col != l->last)
		print_pad(to, (c->flags & COL_RIGHT ? 0 : pad) + GAP);
}

void table_print(struct table *t, FILE *to, size_t max_rows)
{
	_free_ size_t *widths = calloc(t->n_columns, sizeof(*widths));
	struct layout l = { .width = widths, .n_rows = t->cells.n / t->n_columns };

	if (!widths)
		return;
	if (max_rows && l.n_rows > max_rows)
		l.n_rows = max_rows;
	layout_measure(t, &l);
	layout_shrink(t, &l);
	for (size_t col = 0; col < t->n_columns; col++)
		if (l.width[col])
			print_cell(t, &l, to, col, t->columns[col].title, COLOUR_BOLD);
	fputc('\n', to);
	for (size_t row = 0; row < l.n_rows; row++) {
		for (size_t col = 0; col < t->n_columns; col++) {
			if (!l.width[col])
				continue;
			print_cell(t, &l, to, col, cell_text(t, row, col),
				   t->cells.p[row * t->n_columns + col].colour);
		}
		fputc('\n', to);
	}
}
