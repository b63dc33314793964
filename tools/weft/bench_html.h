/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The page of a run, in parts: bench_html.c the text, bench_svg.c the plots. */
#include <stdio.h>

#include "bench.h"

/* Text of a file or of a stranger as HTML. */
void html_text(FILE *f, const char *s);
/* What a mode is, in a few words; its name if the run does not say. */
const char *html_mode_title(const struct bench_run *run, const char *mode);
const char *html_unit(const struct bench_value *v);
/* Bars of all modes for one value of a test, grouped by place, as an <svg>. */
void svg_figure(FILE *f, const struct bench_run *run, const char *test, const char *key);

extern const char html_style[];
