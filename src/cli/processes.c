/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/processes.h"

#include "cli/terminal/words.h"

#include <stdio.h>

/* A process joins its ranks once. */
static of_ranks *joined;
static FILE *nowhere; /* what other ranks than the first say */

of_ranks *of_processes_ranks(void) {
    return joined;
}

/* ---- Joining and leaving ------------------------------------------------------------------ */

static void tell_lost(void *user, const char *text) {
    (void)fprintf(stderr, "outflow: error: %s%s\n", text, (const char *)user);
}

static of_status silence(of_console *console, of_error *error) {
    nowhere = fopen("/dev/null", "we");
    if (nowhere == NULL || freopen("/dev/null", "w", stdout) == NULL)
        return of_fail(error, OF_ERROR_IO, "cannot open /dev/null");
    of_console_quiet(console);
    console->log.stream = nowhere;
    return OF_OK;
}

of_status of_processes_join(of_console *console, const char *lost_hint, of_error *error) {
    of_ranks_options options = of_ranks_options_default();
    options.lost = tell_lost;
    options.user = (void *)lost_hint;
    of_status status = of_ranks_open(&options, &joined, error);
    return status == OF_OK && of_ranks_rank(joined) > 0 ? silence(console, error) : status;
}

/* All ranks see the same wrong usage. Another failure that was not agreed on is of this rank. */
int of_processes_leave(int exit_code) {
    bool shared = exit_code == OF_EXIT_FINE || exit_code == OF_EXIT_UNREADABLE ||
                  exit_code == OF_EXIT_USAGE || of_ranks_agreed(joined);
    if (joined == NULL)
        return exit_code;
    (void)fflush(NULL);
    if (!shared && of_ranks_size(joined) > 1)
        of_ranks_abort(joined, exit_code);
    of_ranks_close(joined);
    if (nowhere != NULL)
        (void)fclose(nowhere);
    joined = NULL;
    nowhere = NULL;
    return exit_code;
}

int of_processes_fail(of_console *console, const of_error *error) {
    of_error own;
    FILE *stream = console->log.stream;
    if (of_ranks_size(joined) == 1 || of_ranks_agreed(joined) || of_interrupted() != 0)
        return of_console_fail(console, error);
    (void)of_fail_setting(&own, error->status, error->setting, "%s: %s",
                          of_ranks_name(joined, of_ranks_rank(joined)), error->message);
    console->log.stream = stderr;
    int code = of_console_fail(console, &own);
    console->log.stream = stream;
    return code;
}

const char *of_processes_output(const char *path) {
    return of_ranks_rank(joined) == 0 ? path : NULL;
}

/* ---- Who runs where ----------------------------------------------------------------------- */

static void show_rank(const of_console *console, unsigned rank, const of_rank_info *info,
                      unsigned threads) {
    of_log_write(&console->log, OF_LOG_INFO, "rank %u: %s, process %ld, CPUs %s, %u thread%s", rank,
                 info->host, info->pid, info->cpu_list, threads, of_plural(threads));
}

void of_processes_show(const of_console *console, unsigned threads) {
    unsigned size = of_ranks_size(joined), crowded = 0, worst = 0;
    of_rank_info info;
    if (joined == NULL || of_ranks_rank(joined) != 0)
        return;
    of_log_write(&console->log, OF_LOG_INFO, "%u ranks, %s", size, of_ranks_library(joined));
    for (unsigned r = 0; r < size; r++) {
        of_ranks_describe(joined, r, &info);
        show_rank(console, r, &info, threads > 0 ? threads : info.threads);
        if (info.sharers > 1 && (threads > 0 ? threads : 1) * info.sharers > info.cpus) {
            crowded++;
            worst = r;
        }
    }
    of_ranks_describe(joined, worst, &info);
    if (crowded > 0)
        of_log_write(
            &console->log, OF_LOG_WARNING,
            "%u ranks share CPUs with more threads than there are CPUs (rank %u and others "
            "on %s): start fewer ranks, or give each fewer --threads",
            crowded, worst, info.host);
}
