/* SPDX-License-Identifier: Apache-2.0 */
#define _XOPEN_SOURCE 700
#include "cli/terminal/console.h"

#include "cli/terminal/hint.h"

#include <signal.h>
#include <string.h>

static volatile sig_atomic_t caught_signal, caught_count;
static bool reader_gone;

void of_console_open(of_console *console) {
    *console = (of_console){.log = of_log_to(stderr, OF_LOG_INFO)};
    console->log.progress = &console->progress;
}

void of_console_quiet(of_console *console) {
    console->quiet = true;
    console->log.level = OF_LOG_WARNING;
}

FILE *of_console_progress_stream(const of_console *console) {
    return console->quiet ? NULL : stderr;
}

void of_console_reader_gone(void) {
    reader_gone = true;
}

int of_console_fail(of_console *console, const of_error *error) {
    char text[OF_HINT_SIZE];
    of_progress_finish(&console->progress);
    if (reader_gone)
        return OF_EXIT_SIGNAL + SIGPIPE;
    int signal_number = of_interrupted();
    if (signal_number != 0) {
        if (strncmp(error->message, "interrupted", strlen("interrupted")) != 0)
            of_log_write(&console->log, OF_LOG_ERROR, "%s", error->message);
        of_log_write(&console->log, OF_LOG_ERROR, "interrupted by signal %d (%s)", signal_number,
                     strsignal(signal_number));
        return OF_EXIT_SIGNAL + signal_number;
    }
    of_log_write(&console->log, OF_LOG_ERROR, "%s",
                 of_hint_text(console, error, text, sizeof text));
    return OF_EXIT_FAILURE;
}

/* Wrappers such as timeout(1) send a signal twice at once, so the second one means nothing yet. */
static void remember_signal(int signal_number) {
    caught_signal = signal_number;
    caught_count = caught_count + 1;
    if (caught_count == 3) {
        (void)signal(signal_number, SIG_DFL);
        (void)raise(signal_number);
    }
}

/*
 * The handler runs on a stack of its own: without it, a signal during a matrix product of
 * oneDNN 2.6 (dnnl_sgemm) damages the heap in some of a hundred cases. It seems that the product's
 * code moves the stack pointer into its buffers, below which the system then puts the signal's
 * frame. Signals to the process come to its first thread, the one that calls this.
 */
static void use_signal_stack(void) {
    static unsigned char memory[1 << 16];
    const stack_t stack = {.ss_sp = memory, .ss_size = sizeof memory};
    (void)sigaltstack(&stack, NULL);
}

void of_interrupt_watch(void) {
    struct sigaction action = {.sa_handler = remember_signal, .sa_flags = SA_RESTART | SA_ONSTACK};
    static const int left_ignored[] = {SIGINT, SIGHUP};
    struct sigaction inherited;
    use_signal_stack();
    (void)sigemptyset(&action.sa_mask);
    /* Shells start background jobs with SIGINT ignored, nohup(1) its own with SIGHUP; that stays.
     */
    for (size_t i = 0; i < sizeof left_ignored / sizeof *left_ignored; i++)
        if (sigaction(left_ignored[i], NULL, &inherited) == 0 && inherited.sa_handler != SIG_IGN)
            (void)sigaction(left_ignored[i], &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
    (void)sigaction(SIGUSR1, &action, NULL);
}

int of_interrupted(void) {
    return (int)caught_signal;
}

of_status of_interrupt_check(of_error *error) {
    return of_interrupted() != 0 ? of_fail(error, OF_ERROR_IO, "interrupted") : OF_OK;
}
