#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""soak.py SAMPLES.CSV FOLDER: an SVG per column, and a verdict: the first fifth is warming up; of
the rest, a line through the values may not rise by more than a twentieth of their mean over the
whole time, or by what is noise for this column."""
import csv
import sys

NOISE = {"rss_kb": 4096, "fds": 12, "threads": 2, "entries": 200}
rows = list(csv.DictReader(open(sys.argv[1])))
folder, bad = sys.argv[2], False


def rise(xs, ys):
    mx, my = sum(xs) / len(xs), sum(ys) / len(ys)
    var = sum((x - mx) ** 2 for x in xs)
    slope = sum((x - mx) * (y - my) for x, y in zip(xs, ys)) / var if var else 0
    return slope * (xs[-1] - xs[0]), my


for column, noise in NOISE.items():
    lines = []
    for node, colour in (("node1", "#06c"), ("node2", "#c60")):
        mine = [r for r in rows if r["node"] == node]
        xs = [float(r["second"]) - float(rows[0]["second"]) for r in mine]
        ys = [float(r[column]) for r in mine]
        at = len(xs) // 5
        if len(xs) - at < 5:
            print("too few samples to judge by: a run takes at least HOURS=0.05")
            sys.exit(2)
        up, mean = rise(xs[at:], ys[at:])
        grows = up > max(noise, mean / 20)
        bad |= grows
        print("%s %s: mean %.0f, least %.0f, most %.0f, rise %.1f over %.0f s%s" % (
            node, column, mean, min(ys[at:]), max(ys[at:]), up, xs[-1] - xs[at],
            "  GROWS" if grows else ""))
        lines.append((colour, xs, ys))
    top = max(max(ys) for _, _, ys in lines) * 1.1 or 1
    right = max(xs[-1] for _, xs, _ in lines) or 1
    with open("%s/%s.svg" % (folder, column), "w") as f:
        f.write('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 840 260" font-size="12">'
                '<text x="4" y="14">%s, 0 to %.0f, over %.0f s</text>' % (column, top, right))
        for colour, xs, ys in lines:
            points = " ".join("%.1f,%.1f" % (20 + x / right * 800, 240 - y / top * 220)
                              for x, y in zip(xs, ys))
            f.write('<polyline fill="none" stroke="%s" points="%s"/>' % (colour, points))
        f.write("</svg>\n")
sys.exit(bad)
