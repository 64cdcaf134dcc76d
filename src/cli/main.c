/* SPDX-License-Identifier: Apache-2.0 */
/* outflow: the command-line program. One file per verb. */
#define _POSIX_C_SOURCE 200809L
#include "cli/processes.h"
#include "cli/terminal/help.h"
#include "cli/terminal/output.h"
#include "cli/verbs.h"
#include <outflow/output.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

typedef struct verb_entry {
    const of_command *command;
    of_verb_run *run;
    enum {
        ALONE,   /* would write the same file in every process: refused under a launcher */
        EACH,    /* every process for itself */
        DIVIDED, /* several processes divide its work */
    } ranks;
    const char *lost_hint; /* after a process was lost; DIVIDED */
} verb_entry;

static const verb_entry verbs[] = {
    {&of_fit_command, of_verb_fit, ALONE, NULL},
    {&of_train_command, of_verb_train, DIVIDED,
     "; the next start with --resume goes on from the last checkpoint"},
    {&of_score_command, of_verb_score, DIVIDED, ""},
    {&of_calibrate_command, of_verb_calibrate, ALONE, NULL},
    {&of_quantize_command, of_verb_quantize, ALONE, NULL},
#ifdef OUTFLOW_SERVER
    {&of_serve_command, of_verb_serve, ALONE, NULL},
#endif
    {&of_eval_command, of_verb_eval, DIVIDED, ""},
    {&of_clean_command, of_verb_clean, ALONE, NULL},
    {&of_sample_command, of_verb_sample, ALONE, NULL},
    {&of_inspect_command, of_verb_inspect, EACH, NULL},
    {&of_cpu_command, of_verb_cpu, EACH, NULL},
    {&of_bench_command, of_verb_bench, DIVIDED, ""},
};

enum { VERBS = sizeof verbs / sizeof *verbs };

static const of_command program = {.name = ""};

static const verb_entry *find_verb(const char *name) {
    for (size_t i = 0; i < VERBS; i++)
        if (strcmp(verbs[i].command->name, name) == 0)
            return &verbs[i];
    return NULL;
}

static int unknown_verb(const char *name, of_console *console) {
    of_nearest nearest = of_nearest_to(name, strlen(name));
    for (size_t i = 0; i < VERBS; i++)
        of_nearest_offer(&nearest, verbs[i].command->name);
    of_nearest_offer(&nearest, "help");
    of_nearest_offer(&nearest, "version");
    if (nearest.word != NULL)
        return of_usage_error(console, &program, "unknown verb '%s' (did you mean '%s'?)", name,
                              nearest.word);
    return of_usage_error(console, &program, "unknown verb '%s'", name);
}

static int print_version(of_console *console) {
    const char *name, *library;
    (void)printf("outflow %s\n", of_version());
    for (size_t i = 0; of_image_format(i, &name, &library); i++)
        (void)printf("reads %s (%s)\n", name, library);
    return of_console_finish_stdout(console);
}

static int print_help(of_console *console) {
    (void)fputs("Usage: outflow VERB [options]\n\n"
                "Finds images that do not belong, with invertible networks on CPUs.\n\nVerbs:\n",
                stdout);
    for (size_t i = 0; i < VERBS; i++)
        (void)printf("  %-10s%s\n", verbs[i].command->name, verbs[i].command->summary);
    (void)printf("  %-10s%s\n  %-10s%s\n", "version", "Print the version", "help",
                 "Print this text, or with a verb its options");
    (void)fputs(
        "\n'outflow VERB --help' explains a verb. Results go to standard output, everything "
        "else to\nstandard error. Exit codes: 0 fine, 1 failure, 2 usage, 3 finished with "
        "unreadable inputs,\n128 + N ended by signal N.\n\nExample:\n  outflow score --model "
        "m.safetensors photos/\n",
        stdout);
    return of_console_finish_stdout(console);
}

static bool is_one_of(const char *text, const char *a, const char *b, const char *c) {
    return strcmp(text, a) == 0 || strcmp(text, b) == 0 || strcmp(text, c) == 0;
}

static int unexpected(const char *operand, of_console *console) {
    return of_usage_error(console, &program, "unexpected operand '%s'", operand);
}

static int run_help(int argc, char **argv, of_console *console) {
    if (argc < 2)
        return print_help(console);
    if (argc > 2)
        return unexpected(argv[2], console);
    if (is_one_of(argv[1], "help", "version", "version"))
        return print_help(console);
    const verb_entry *verb = find_verb(argv[1]);
    char *help[] = {argv[1], (char[]){"--help"}, NULL};
    return verb != NULL ? verb->run(2, help, console) : unknown_verb(argv[1], console);
}

static int run_verb(const verb_entry *verb, int argc, char **argv, of_console *console) {
    of_error error;
    if (verb->ranks == ALONE && of_ranks_launched())
        return of_usage_error(console, verb->command,
                              "all processes would write the same file: run '%s' once, without a "
                              "launcher",
                              verb->command->name);
    if (verb->ranks != DIVIDED)
        return verb->run(argc, argv, console);
    if (of_processes_join(console, verb->lost_hint, &error) != OF_OK)
        return of_processes_leave(of_processes_fail(console, &error));
    return of_processes_leave(verb->run(argc, argv, console));
}

/* Where a standard stream is closed, the next file that is opened would take its place, and
 * messages would go into it. What stands there instead fails as a closed one does. */
static bool fill_standard_streams(void) {
    bool filled = true;
    for (int stream = STDIN_FILENO; stream <= STDERR_FILENO; stream++)
        if (fcntl(stream, F_GETFD) < 0)
            filled &= open("/dev/null", stream == STDIN_FILENO ? O_WRONLY : O_RDONLY) == stream;
    return filled;
}

int main(int argc, char **argv) {
    of_console console;
    if (!fill_standard_streams())
        return OF_EXIT_FAILURE;
    of_console_open(&console);
    (void)signal(SIGPIPE, SIG_IGN); /* a closed pipe is an error of the write, see output.c */
    (void)signal(SIGXFSZ, SIG_IGN); /* so is a file that may not grow (ulimit -f) */
    if (argc < 2)
        return of_usage_error(&console, &program, "no verb is given");
    if (is_one_of(argv[1], "help", "--help", "-h"))
        return run_help(argc - 1, argv + 1, &console);
    if (is_one_of(argv[1], "version", "--version", "-V"))
        return argc > 2 ? unexpected(argv[2], &console) : print_version(&console);
    const verb_entry *verb = find_verb(argv[1]);
    return verb != NULL ? run_verb(verb, argc - 1, argv + 1, &console)
                        : unknown_verb(argv[1], &console);
}
