// SPDX-License-Identifier: Apache-2.0
/*
 * weft connections -w: the live screen. Owns the terminal while it runs: alternate screen, no
 * echo, no cursor; all is put back at the end, also when a signal asks for it. One thread,
 * signals come by signalfd so that there is no handler.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <termios.h>

#include "base/clock.h"
#include "conns.h"

#define PERIOD_NS NS_PER_S

struct screen {
	bool tty;      /* stdout */
	bool keyboard; /* stdin is a terminal in our hands */
	struct termios before;
	int signals;
	struct conn_past past;
	struct conn_rows rows;
};

static void say(const char *escapes)
{
	fputs(escapes, stdout);
	fflush(stdout);
}

static void screen_close(struct screen *s)
{
	if (s->tty)
		say("\033[?7h\033[?25h\033[?1049l");
	if (s->keyboard)
		tcsetattr(STDIN_FILENO, TCSANOW, &s->before);
	s->tty = s->keyboard = false;
	own_close(&s->signals);
	vec_fini(&s->rows.v);
	vec_fini(&s->past.v);
}

static int screen_open(struct screen *s)
{
	struct termios raw;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGWINCH);
	sigprocmask(SIG_BLOCK, &set, NULL);
	s->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (s->signals < 0)
		return -errno;
	if (!isatty(STDOUT_FILENO))
		return 0;
	if (isatty(STDIN_FILENO) && tcgetattr(STDIN_FILENO, &s->before) == 0) {
		raw = s->before;
		raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
		s->keyboard = tcsetattr(STDIN_FILENO, TCSANOW, &raw) == 0;
	}
	s->tty = true;
	/* No wrapping either: a line that is too long is cut, not two lines. */
	say("\033[?1049h\033[?25l\033[?7l");
	return 0;
}

/* Both ends of a direct connection are rows; the sums want it once. */
static bool is_other_end(const json_t *row)
{
	return strcmp(get_text(row, "path"), "direct") == 0 &&
	       strcmp(get_text(row, "direction"), "inbound") == 0;
}

static void print_title(struct screen *s, const struct cli *c, FILE *to)
{
	bool colours = out_has_colours();
	double rate = 0;
	size_t n = 0;
	char buf[24];

	vec_for_each(row, &s->rows.v) {
		if (!c->pod && is_other_end(row->json))
			continue;
		n++;
		rate += row->rate > 0 ? row->rate : 0;
	}
	fprintf(to, "%s%zu connection%s%s%s, ", out_colour(colours, COLOUR_BOLD), n,
		n == 1 ? "" : "s", c->pod ? " of " : "", c->pod ? c->pod : "");
	fprintf(to, "%s/s", human_bytes(buf, rate));
	fprintf(to, "%s%s\n\n", out_colour(colours, COLOUR_NONE), s->keyboard ? "   (q ends)" : "");
}

/* Each line is cleared before its text, the rest of the screen at the end: no flicker. */
static void frame_show(const char *text, size_t max_lines)
{
	size_t lines = 0;

	fputs("\033[H", stdout);
	while (*text && (max_lines == 0 || lines < max_lines)) {
		size_t n = strcspn(text, "\n");

		fputs(lines++ ? "\n\033[K" : "\033[K", stdout);
		fwrite(text, 1, n, stdout);
		text += n + (text[n] == '\n');
	}
	/* Not behind a full last line: there it would take its last character. */
	if (max_lines == 0 || lines < max_lines)
		fputs("\n\033[J", stdout);
}

static void frame_print(struct screen *s, const struct cli *c, struct targets *ts)
{
	size_t height = s->tty ? out_height() : 0, size = 0;
	_free_ char *text = NULL;
	FILE *f = open_memstream(&text, &size);

	if (!f)
		return;
	if (s->tty)
		print_title(s, c, f);
	/* Two lines of title, one of column names. */
	conns_print(ts, &s->rows, f, height > 4 ? height - 3 : 0, true);
	fclose(f);
	if (s->tty)
		frame_show(text, height);
	else
		printf("%s\n", text);
	fflush(stdout);
}

static int frame_next(struct screen *s, const struct cli *c, struct targets *ts, const json_t *request)
{
	int r = targets_ask(ts, request);

	if (r != EXIT_DONE && !ts->many)
		return r;
	if (c->pod)
		conns_keep_pod(ts, c->pod);
	if (conns_collect(ts, &s->past, &s->rows) < 0)
		return EXIT_FAILED;
	frame_print(s, c, ts);
	return ferror(stdout) ? EXIT_FAILED : EXIT_DONE;
}

/* False: end. A changed size draws the next frame at once. */
static bool input_read(struct screen *s, bool *ret_redraw)
{
	struct signalfd_siginfo si;
	char key;

	while (read(s->signals, &si, sizeof(si)) == sizeof(si)) {
		if (si.ssi_signo != SIGWINCH)
			return false;
		*ret_redraw = true;
	}
	if (s->keyboard && poll(&(struct pollfd){ STDIN_FILENO, POLLIN, 0 }, 1, 0) > 0) {
		if (read(STDIN_FILENO, &key, 1) <= 0)
			return false;
		return key != 'q' && key != 'Q' && key != 0x03;
	}
	return true;
}

static bool wait_period(struct screen *s, uint64_t until_ns)
{
	for (;;) {
		uint64_t now = clock_mono_ns();
		struct pollfd p[] = {
			{ .fd = s->signals, .events = POLLIN },
			/* A reader of our output that goes away shows here. */
			{ .fd = STDOUT_FILENO },
			{ .fd = s->keyboard ? STDIN_FILENO : -1, .events = POLLIN },
		};
		bool redraw = false;

		if (now >= until_ns)
			return true;
		if (poll(p, 3, (int)((until_ns - now) / NS_PER_MS) + 1) <= 0)
			continue;
		if ((p[1].revents & (POLLERR | POLLHUP)) || !input_read(s, &redraw))
			return false;
		if (redraw)
			return true;
	}
}

int conns_watch(const struct cli *c, struct targets *ts)
{
	cleanup_with(screen_close) struct screen s = { .signals = -1 };
	_json_ json_t *request = json_pack("{s:s}", "cmd", "connections");
	uint64_t next;
	int r;

	/* The first answer before the screen changes: an error stays readable. */
	r = request ? targets_ask(ts, request) : EXIT_FAILED;
	if (r != EXIT_DONE && (!ts->many || r == EXIT_FAILED))
		return r;
	if (screen_open(&s) < 0)
		return EXIT_FAILED;
	ts->quiet = s.tty;
	do {
		next = clock_mono_ns() + PERIOD_NS;
		r = frame_next(&s, c, ts, request);
	} while (r == EXIT_DONE && wait_period(&s, next));
	if (r == EXIT_DONE)
		return r;
	/* Says why, now that it can be read. */
	screen_close(&s);
	ts->quiet = false;
	targets_ask(ts, request);
	return r;
}
