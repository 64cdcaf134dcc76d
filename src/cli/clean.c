/* SPDX-License-Identifier: Apache-2.0 */
/* outflow clean: which images of a labelled set look misfiled, duplicated or broken. */
#include "cli/shared_options.h"
#include "cli/terminal/command_line.h"
#include "cli/terminal/config.h"
#include "cli/terminal/output.h"
#include "cli/terminal/warnings.h"
#include "cli/terminal/words.h"
#include "cli/verbs.h"

#include <outflow/clean.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const of_command of_clean_command = {
    .name = "clean",
    .summary = "Find misfiled, duplicated and broken images of a labelled set",
    .operands = "SRC [SRC]",
    .details =
        "SRC is a folder with a folder for each class, imglist:FILE, a .tar or .zip of folders, "
        "IDX or CIFAR files. With a second SRC, say the test set, copies across both are found, "
        "and both are examined.\n\n"
        "Results are CSV, the surest first: path, label, issue, p_value, suggested, duplicate_of, "
        "source, duplicate_source, notes. Issues: conflict (the same picture has another label), "
        "leak (it is in the first SRC as well), unreadable, blank, copy, misfiled, outlier, "
        "similar, shape; with --suspects also suspect.\n\n"
        "To be misfiled, another class has to fit much better than its own does. Labels are judged "
        "in classes of 20 images and more; a hundred are better, thousands are good. Look at the "
        "--report before anything is deleted: nothing is changed by this program.\n\n"
        "Exit codes: 0 finished, whatever was found, 1 failure, 2 usage, 3 finished, but some "
        "files could not be read.",
    .examples = "outflow clean photos/ --out findings.csv --report findings.html\n"
                "outflow clean train.tar test.tar --model cifar10-general --list act-on.txt",
};

typedef struct clean_settings {
    of_clean_options clean;
    const char *out, *report, *list;
    uint64_t threads;
    int isa;
    bool quiet;
} clean_settings;

static void declare(clean_settings *settings, of_option_table *table) {
    of_clean_options *clean = &settings->clean;
    of_option_text(table, 'o', "out", "FILE", &settings->out,
                   "Where the CSV goes; without it, to standard output.")
        ->role = OF_ROLE_WRITTEN;
    of_option_text(table, 0, "report", "FILE", &settings->report,
                   "Write an HTML page with pictures of what was found.")
        ->role = OF_ROLE_WRITTEN;
    of_option_text(table, 0, "list", "FILE", &settings->list,
                   "Write the paths of what was found, each once, a line each; suspects are left "
                   "out, and so are names with line breaks.")
        ->role = OF_ROLE_WRITTEN;
    of_option_model(table, 'm', "model", &clean->model,
                    "Add the likelihoods of this model to the evidence, and look at images in its "
                    "size; without it, in 32x32.");
    of_option_real(table, 0, "fdr", "A", &clean->rate, 1e-6, 0.999999,
                   "Share of wrong ones among the misfiled, and among the outliers, that is "
                   "accepted; without it, 0.05.");
    of_option_count(table, 0, "suspects", &clean->suspects, 1, OF_CLEAN_SUSPECTS,
                    "List N images besides that look most misfiled but may well not be.");
    of_option_count(table, 0, "limit", &clean->limit, 1, 0x1p63,
                    "Take only the first N images of each SRC.");
    of_option_count(table, 't', "threads", &settings->threads, 1, 4096,
                    "Threads; without it, as many as the process may use CPUs.");
    of_option_choice(table, "isa", "auto|scalar|avx2|avx512", &settings->isa,
                     "Instruction set of the hand-written kernels; without it, OUTFLOW_ISA or the "
                     "best one. Convolutions follow OUTFLOW_ISA alone.");
    of_option_config(table);
    of_option_flag(table, 'q', "quiet", &settings->quiet, "Show no progress and no summary.");
}

/* ---- While it runs ------------------------------------------------------------------------ */

typedef struct watcher {
    of_console *console;
    of_warnings warnings;
} watcher;

static void start_progress(void *user, const char *source, uint64_t expected) {
    watcher *watch = user;
    (void)source;
    of_progress_finish(&watch->console->progress);
    of_progress_start(&watch->console->progress, of_console_progress_stream(watch->console), "look",
                      "images", expected);
}

static void show_progress(void *user, uint64_t images) {
    watcher *watch = user;
    of_progress_update(&watch->console->progress, images, "");
}

static void warn_unreadable(void *user, const char *source, const char *path, const char *reason) {
    watcher *watch = user;
    of_warnings_add(&watch->warnings, source, path, reason);
}

static bool is_interrupted(void *user) {
    (void)user;
    return of_interrupted() != 0;
}

/* ---- Results ------------------------------------------------------------------------------ */

static int by_text(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Paths as they are, so that xargs and others find the files. */
static of_status write_list(const of_cleaning *cleaning, FILE *file, of_error *error) {
    size_t count = of_cleaning_count(cleaning), kept = 0;
    const char **paths = calloc(count + 1, sizeof *paths);
    if (paths == NULL)
        return of_fail_memory(error, "the list of paths");
    for (size_t i = 0; i < count; i++) {
        of_clean_finding finding = of_cleaning_finding(cleaning, i);
        if (finding.issue != OF_CLEAN_SUSPECT && strpbrk(finding.path, "\r\n") == NULL)
            paths[kept++] = finding.path;
    }
    qsort(paths, kept, sizeof *paths, by_text);
    for (size_t i = 0; i < kept; i++)
        if (i == 0 || strcmp(paths[i - 1], paths[i]) != 0)
            (void)fprintf(file, "%s\n", paths[i]);
    free(paths);
    return OF_OK;
}

static void tell(const of_log *log, const of_cleaning *cleaning) {
    const of_clean_summary summary = of_cleaning_describe(cleaning);
    of_log_write(log, OF_LOG_INFO, "%" PRIu64 " image%s of %zu class%s in %.1f s", summary.images,
                 of_plural(summary.images), summary.classes, summary.classes == 1 ? "" : "es",
                 summary.seconds);
    if (summary.judged == 0)
        of_log_write(log, OF_LOG_WARNING,
                     "labels are not judged: that takes two classes of %d images and more",
                     (int)OF_CLEAN_LEAST);
    else if (summary.judged < summary.images)
        of_log_write(log, OF_LOG_WARNING,
                     "labels of %" PRIu64
                     " images are not judged: they have none, or fewer than %d "
                     "images share it",
                     summary.images - summary.judged, (int)OF_CLEAN_LEAST);
    if (summary.alike)
        of_log_write(log, OF_LOG_WARNING,
                     "most images are nearly another one: near copies are not listed");
    for (size_t i = 0; i < OF_CLEAN_ISSUES; i++)
        if (summary.found[i] > 0)
            of_log_write(log, OF_LOG_INFO, "  %" PRIu64 " %s", summary.found[i],
                         of_clean_issue_name((of_clean_issue)i));
    if (of_cleaning_count(cleaning) == 0)
        of_log_write(log, OF_LOG_INFO, "  nothing was found");
}

typedef struct clean_outputs {
    of_output *csv, *report, *list;
} clean_outputs;

static of_status open_outputs(const clean_settings *settings, clean_outputs *outputs,
                              of_error *error) {
    of_status status = of_output_open(settings->out, &outputs->csv, error);
    if (status == OF_OK && settings->report != NULL)
        status = of_output_open(settings->report, &outputs->report, error);
    if (status == OF_OK && settings->list != NULL)
        status = of_output_open(settings->list, &outputs->list, error);
    return status;
}

static of_status write_outputs(const of_cleaning *cleaning, const char *command,
                               clean_outputs *outputs, of_error *error) {
    of_status status = OF_OK;
    of_cleaning_write_csv(cleaning, of_output_file(outputs->csv));
    if (outputs->report != NULL)
        status =
            of_cleaning_write_report(cleaning, command, of_output_file(outputs->report), error);
    if (status == OF_OK && outputs->list != NULL)
        status = write_list(cleaning, of_output_file(outputs->list), error);
    if (status == OF_OK)
        status = of_console_commit(&outputs->report, error);
    if (status == OF_OK)
        status = of_console_commit(&outputs->list, error);
    return status == OF_OK ? of_console_commit(&outputs->csv, error) : status;
}

/* ---- The verb ----------------------------------------------------------------------------- */

static int clean_with(const clean_settings *settings, const char *command, of_console *console) {
    of_error error;
    watcher watch = {.console = console, .warnings = {.console = console}};
    of_stream_observer observer = of_stream_observer_default();
    clean_outputs outputs = {0};
    of_cleaning *cleaning = NULL;
    int code = OF_EXIT_FINE;
    observer.user = &watch;
    observer.started = start_progress;
    observer.progressed = show_progress;
    observer.unreadable = warn_unreadable;
    observer.stop = is_interrupted;
    if (settings->quiet)
        of_console_quiet(console);
    of_interrupt_watch();
    of_status status = open_outputs(settings, &outputs, &error);
    if (status == OF_OK)
        status = of_clean(&settings->clean, &observer, &cleaning, &error);
    of_progress_finish(&console->progress);
    of_warnings_finish(&watch.warnings);
    if (status == OF_OK)
        status = write_outputs(cleaning, command, &outputs, &error);
    if (status != OF_OK) {
        code = of_console_fail(console, &error);
    } else {
        tell(&console->log, cleaning);
        if (of_cleaning_describe(cleaning).found[OF_CLEAN_UNREADABLE] > 0)
            code = OF_EXIT_UNREADABLE;
    }
    of_output_discard(outputs.csv);
    of_output_discard(outputs.report);
    of_output_discard(outputs.list);
    of_cleaning_free(cleaning);
    return code;
}

int of_verb_clean(int argc, char **argv, of_console *console) {
    clean_settings settings = {.clean = of_clean_options_default()};
    of_option_table table = {.count = 0};
    of_text_list operands = {0};
    int code;
    declare(&settings, &table);
    char *command = of_command_line(argc, argv);
    if (of_options_parse(&of_clean_command, &table, argc, argv, &operands, console, &code)) {
        settings.clean.threads = (unsigned)settings.threads;
        settings.clean.isa = (of_isa)settings.isa;
        settings.clean.source = operands.count > 0 ? operands.items[0] : NULL;
        settings.clean.other = operands.count > 1 ? operands.items[1] : NULL;
        code = operands.count == 1 || operands.count == 2
                   ? clean_with(&settings, command, console)
                   : of_usage_error(console, &of_clean_command,
                                    "one SRC of labelled images is expected, or two");
    }
    free(command);
    of_text_list_free(&operands);
    of_option_config_free(&table);
    return code;
}
