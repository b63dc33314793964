// SPDX-License-Identifier: Apache-2.0
/* Numbers, times and states as people read them. Used by the listing commands; pure. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/own.h"
#include "out.h"

#define BUF 24

char *human_bytes(char *buf, double v)
{
	static const char *const unit[] = { "B", "kB", "MB", "GB", "TB", "PB" };
	size_t i = 0;

	/* What would be rounded up to 1000 belongs to the next unit. */
	while (v >= (i ? 999.95 : 999.5) && i + 1 < ARRAY_LEN(unit)) {
		v /= 1000;
		i++;
	}
	snprintf(buf, BUF, i == 0 ? "%.0f %s" : "%.1f %s", v, unit[i]);
	return buf;
}

char *human_count(char *buf, double v)
{
	static const char unit[] = " kMGTP";
	size_t i = 0;

	if (v < 100000) {
		snprintf(buf, BUF, "%.0f", v);
		return buf;
	}
	while (v >= 1000 && unit[i + 1]) {
		v /= 1000;
		i++;
	}
	snprintf(buf, BUF, "%.1f%c", v, unit[i]);
	return buf;
}

char *human_duration(char *buf, double seconds)
{
	static const struct {
		uint64_t s;
		char name;
	} unit[] = { { 86400, 'd' }, { 3600, 'h' }, { 60, 'm' }, { 1, 's' } };
	uint64_t left = seconds > 0 && seconds < 1e15 ? (uint64_t)seconds : 0;
	size_t i = 0;
	int n;

	if (seconds < 1) {
		snprintf(buf, BUF, "%.0fms", seconds > 0 ? seconds * 1000 : 0);
		return buf;
	}
	while (left < unit[i].s)
		i++;
	n = snprintf(buf, BUF, "%llu%c", (unsigned long long)(left / unit[i].s), unit[i].name);
	left %= unit[i].s;
	if (i + 1 < ARRAY_LEN(unit) && left / unit[i + 1].s)
		snprintf(buf + n, BUF - (size_t)n, "%llu%c",
			 (unsigned long long)(left / unit[i + 1].s), unit[i + 1].name);
	return buf;
}

char *human_since(char *buf, double unix_s)
{
	double age = (double)clock_wall_s() - unix_s;
	char text[BUF];

	if (unix_s <= 0)
		snprintf(buf, BUF, "never");
	else if (age < 1)
		snprintf(buf, BUF, "now");
	else
		snprintf(buf, BUF, "%.18s ago", human_duration(text, age));
	return buf;
}

struct word {
	const char *word;
	enum colour colour;
};

static enum colour word_colour(const struct word *words, size_t n, const char *text)
{
	for (size_t i = 0; i < n; i++)
		if (strncmp(text, words[i].word, strlen(words[i].word)) == 0)
			return words[i].colour;
	return COLOUR_NONE;
}

enum colour path_colour(const char *path)
{
	static const struct word words[] = {
		{ "direct", COLOUR_GREEN },    { "hbone", COLOUR_CYAN },
		{ "plain", COLOUR_YELLOW },    { "denied", COLOUR_RED },
		{ "passthrough", COLOUR_DIM },
	};

	return word_colour(words, ARRAY_LEN(words), path);
}

enum colour state_colour(const char *state)
{
	static const struct word words[] = {
		{ "ready", COLOUR_GREEN },        { "enrolled", COLOUR_GREEN },
		{ "Healthy", COLOUR_GREEN },      { "Unhealthy", COLOUR_RED },
		{ "pending", COLOUR_YELLOW },     { "failed", COLOUR_RED },
		{ "not-in-mesh", COLOUR_YELLOW }, { "gone", COLOUR_DIM },
		{ "Deny", COLOUR_RED },
	};

	return word_colour(words, ARRAY_LEN(words), state);
}
