/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * weft lab and weft demo: several nodes on one machine, made of network namespaces and
 * cgroups. Both are commands of the weft binary; argv[0] is "lab" or "demo", the result is the
 * exit code (0 done, 1 failed, 2 wrong usage; `lab exec` gives the command's own).
 */

int cmd_lab(int argc, char **argv);
int cmd_demo(int argc, char **argv);
