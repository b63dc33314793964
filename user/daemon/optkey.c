// SPDX-License-Identifier: Apache-2.0
/* Text of one configuration key <-> member of struct opts. No state; used by opts.c. */
#include "daemon/optkey.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

static int set_text(const struct optkey *k, struct opts *o, struct str text, struct errbuf *err)
{
	char **at = optkey_text(k, o);
	char *z;
	int r;

	if (text.n == 0 && k->kind != KEY_TEXT_OR_NONE)
		return errbuf_set(err, -EINVAL, "must not be empty");
	for (size_t i = 0; i < text.n; i++)
		if (((unsigned char)text.p[i] < 0x20 || text.p[i] == 0x7f) &&
		    (k->kind != KEY_PEM || !strchr("\r\n", text.p[i])))
			return errbuf_set(err, -EINVAL, "has a control character");
	if (k->kind == KEY_PATH && text.p[0] != '/')
		return errbuf_set(err, -EINVAL, "\"%.*s\" is not an absolute path", STR_FMT(text));
	z = str_dup(text);
	if (!z)
		return -ENOMEM;
	r = k->check ? k->check(z, err) : 0;
	if (r < 0) {
		free(z);
		return r;
	}
	free(*at);
	*at = z;
	return 0;
}

static int refuse(const struct optkey *k, struct str text, struct errbuf *err)
{
	char domain[160];

	return errbuf_set(err, -EINVAL, "\"%.*s\" is not %s", STR_FMT(text),
			  optkey_domain(k, domain, sizeof(domain)));
}

static int set_number(const struct optkey *k, void *at, struct str text, struct errbuf *err)
{
	uint32_t v;

	if (str_to_u32(text, &v) < 0 || v < k->min || v > k->max)
		return refuse(k, text, err);
	*(uint32_t *)at = v;
	return 0;
}

static int set_port(const struct optkey *k, void *at, struct str text, struct errbuf *err)
{
	uint16_t v;

	if (str_to_u16(text, &v) < 0)
		return refuse(k, text, err);
	*(uint16_t *)at = v;
	return 0;
}

static int set_duration(const struct optkey *k, void *at, struct str text, struct errbuf *err)
{
	uint64_t ns;

	if (str_to_duration_ns(text, &ns) < 0 || ns < k->min * NS_PER_S || ns > k->max * NS_PER_S)
		return refuse(k, text, err);
	*(uint64_t *)at = ns;
	return 0;
}

static int set_word(const struct optkey *k, void *at, struct str text, struct errbuf *err)
{
	for (uint32_t i = 0; k->words[i]; i++) {
		if (!str_eq(text, str_of(k->words[i])))
			continue;
		*(uint32_t *)at = i;
		return 0;
	}
	return refuse(k, text, err);
}

int optkey_set(const struct optkey *k, struct opts *o, struct str text, struct errbuf *err)
{
	void *at = (char *)o + k->at;

	switch (k->kind) {
	case KEY_NUMBER:
		return set_number(k, at, text, err);
	case KEY_PORT:
		return set_port(k, at, text, err);
	case KEY_DURATION:
		return set_duration(k, at, text, err);
	case KEY_WORD:
		return set_word(k, at, text, err);
	default:
		return set_text(k, o, text, err);
	}
}

/* Always in quotes: then nothing in it can be taken for YAML. Of control characters there are
 * only the line ends of PEM. */
static void print_quoted(const char *z, FILE *f)
{
	fputc('"', f);
	for (; *z; z++) {
		if (*z == '"' || *z == '\\')
			fputc('\\', f);
		if (*z == '\n' || *z == '\r')
			fputs(*z == '\n' ? "\\n" : "\\r", f);
		else
			fputc(*z, f);
	}
	fputc('"', f);
}

static void print_duration(uint64_t ns, FILE *f)
{
	uint64_t s = ns / NS_PER_S;

	if (ns % NS_PER_S)
		fprintf(f, "%lluns", (unsigned long long)ns);
	else if (s % 3600 == 0)
		fprintf(f, "%lluh", (unsigned long long)(s / 3600));
	else if (s % 60 == 0)
		fprintf(f, "%llum", (unsigned long long)(s / 60));
	else
		fprintf(f, "%llus", (unsigned long long)s);
}

void optkey_print(const struct optkey *k, const struct opts *o, FILE *f)
{
	const void *at = (const char *)o + k->at;

	switch (k->kind) {
	case KEY_NUMBER:
		fprintf(f, "%u", *(const uint32_t *)at);
		break;
	case KEY_PORT:
		fprintf(f, "%u", *(const uint16_t *)at);
		break;
	case KEY_DURATION:
		print_duration(*(const uint64_t *)at, f);
		break;
	case KEY_WORD:
		/* "off" is a bool to other readers of YAML. */
		print_quoted(k->words[*(const uint32_t *)at], f);
		break;
	default:
		if (k->secret && **(char *const *)at && !strchr("./", **(char *const *)at))
			fputs("\"(not shown)\"", f);
		else
			print_quoted(*(char *const *)at, f);
		break;
	}
}

const char *optkey_domain(const struct optkey *k, char *buf, size_t cap)
{
	size_t n = 0;

	switch (k->kind) {
	case KEY_NUMBER:
		snprintf(buf, cap, "a number from %u to %u", k->min, k->max);
		break;
	case KEY_PORT:
		snprintf(buf, cap, "a port from 1 to 65535, or 0 for off");
		break;
	case KEY_DURATION:
		snprintf(buf, cap, "a duration from %us to %ud, like 90s, 30m or 24h", k->min,
			 k->max / 86400);
		break;
	case KEY_WORD:
		for (size_t i = 0; k->words[i] && n < cap; i++)
			n += (size_t)snprintf(buf + n, cap - n, "%s%s", k->words[i],
					      !k->words[i + 1]  ? ""
					      : k->words[i + 2] ? ", "
								: " or ");
		break;
	case KEY_PATH:
		snprintf(buf, cap, "an absolute path");
		break;
	default:
		snprintf(buf, cap, "text");
		break;
	}
	return buf;
}
