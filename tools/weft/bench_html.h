/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The page of a run, in parts: bench_html.c the frame, bench_story.c what it says first,
 * bench_svg.c and bench_plot.c the plots, bench_style.c the looks.
 */
#include <stdio.h>

#include "bench.h"

/* Text of a file or of a stranger as HTML. */
void html_text(FILE *f, const char *s);
/* What a mode is, in a few words; its name if the run does not say. */
const char *html_mode_title(const struct bench_run *run, const char *mode);
const char *html_unit(const struct bench_value *v);

/* ---- bench_story.c: headlines, the table of the aims, what is missing ---- */
void page_story(FILE *f, const struct bench_run *run);

/* ---- plots; each gives an <svg> ---- */
/* Left of the bars: the names of modes; right of them: numbers. */
enum {
	SVG_WIDTH = 600,
	SVG_LABEL = 92,
	SVG_NUMBERS = 246,
	SVG_ROW = 24,
	SVG_BAR = 14,
	SVG_HEAD = 24
};

/* A heading if the row of s, at y, is the first of its place; *place: that of the row before, NULL
 * at first. Gives where the row goes. */
double svg_place(FILE *f, const struct bench_series *s, const char **place, double y);
/* Bars of all modes for one value of a test, grouped by place. */
void svg_figure(FILE *f, const struct bench_run *run, const char *test, const char *key);
/* Medians, 99 % and 99.9 % of a test on a logarithmic axis, grouped by place. */
void svg_times(FILE *f, const struct bench_run *run, const char *test);
/* A line per mode over 1 to 64 streams in one place; tail: what follows the number in the tests'
 * names. False, and nothing written, if there are less than two numbers of streams. */
bool svg_lines(FILE *f, const struct bench_run *run, const char *tail, const char *key,
	       const char *place);
/* CPU per gigabyte of each process of a bulk test, stacked. False if there is none. */
bool svg_stack(FILE *f, const struct bench_run *run, const char *test);

extern const char html_style[];
