/* SPDX-License-Identifier: Apache-2.0 */
/* What the progress bar and the log write, on a terminal (a pseudo-terminal) and elsewhere. */
#define _XOPEN_SOURCE 700
#define _DEFAULT_SOURCE
#include "cli/terminal/log.h"
#include "cli/terminal/progress.h"

#include <fcntl.h>
#include <outflow/outflow.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <cmocka.h>

typedef struct terminal {
    int master;
    FILE *stream;
    char seen[8192];
} terminal;

static bool terminal_open(terminal *screen, unsigned short columns) {
    struct winsize size = {.ws_row = 24, .ws_col = columns};
    struct termios mode;
    *screen = (terminal){.master = posix_openpt(O_RDWR | O_NOCTTY)};
    if (screen->master < 0 || grantpt(screen->master) != 0 || unlockpt(screen->master) != 0)
        return false;
    int slave = open(ptsname(screen->master), O_RDWR | O_NOCTTY);
    if (slave < 0 || ioctl(slave, TIOCSWINSZ, &size) != 0 || tcgetattr(slave, &mode) != 0)
        return false;
    mode.c_oflag &= ~(tcflag_t)OPOST; /* newlines come through as they are */
    return tcsetattr(slave, TCSANOW, &mode) == 0 && (screen->stream = fdopen(slave, "w")) != NULL;
}

/* What was written since the last call. */
static const char *terminal_read(terminal *screen) {
    assert_int_equal(fcntl(screen->master, F_SETFL, O_NONBLOCK), 0);
    (void)fflush(screen->stream);
    ssize_t length = read(screen->master, screen->seen, sizeof screen->seen - 1);
    screen->seen[length > 0 ? length : 0] = '\0';
    return screen->seen;
}

static void terminal_close(terminal *screen) {
    (void)fclose(screen->stream);
    (void)close(screen->master);
}

/* Makes the next update due at once, as if the interval had passed. */
static void pass_time(of_progress *progress) {
    progress->due = 0;
    progress->start -= 10;
}

static void test_bar_on_a_terminal(void **state) {
    (void)state;
    terminal screen;
    of_progress progress;
    if (!terminal_open(&screen, 100))
        skip();
    of_progress_start(&progress, screen.stream, "score", "images", 200);
    of_progress_update(&progress, 1, NULL);
    assert_string_equal(terminal_read(&screen), ""); /* too early */

    pass_time(&progress);
    of_progress_update(&progress, 100, "3.50 bits/dim");
    const char *text = terminal_read(&screen);
    assert_non_null(strstr(text, "\rscore [############............] 100/200 images, "));
    assert_non_null(strstr(text, " images/s, 0:"));
    assert_non_null(strstr(text, " left, 3.50 bits/dim\033[K"));
    assert_null(strchr(text, '\n'));

    of_progress_update(&progress, 101, NULL);
    assert_string_equal(terminal_read(&screen), ""); /* at most ten times a second */
    of_progress_finish(&progress);
    assert_string_equal(terminal_read(&screen), "\r\033[K");
    of_progress_update(&progress, 102, NULL);
    assert_string_equal(terminal_read(&screen), "");
    terminal_close(&screen);
}

static void test_narrow_terminal(void **state) {
    (void)state;
    terminal screen;
    of_progress progress;
    if (!terminal_open(&screen, 20))
        skip();
    of_progress_start(&progress, screen.stream, "score", "images", 200);
    pass_time(&progress);
    of_progress_update(&progress, 100, NULL);
    assert_string_equal(terminal_read(&screen), "\rscore [############\033[K");
    terminal_close(&screen);
}

static void test_unknown_total(void **state) {
    (void)state;
    terminal screen;
    of_progress progress;
    if (!terminal_open(&screen, 100))
        skip();
    of_progress_start(&progress, screen.stream, "in", "images", 0);
    pass_time(&progress);
    of_progress_update(&progress, 100, NULL);
    const char *text = terminal_read(&screen);
    assert_non_null(strstr(text, "\rin 100 images, "));
    assert_null(strstr(text, "left"));
    assert_null(strstr(text, " ["));
    terminal_close(&screen);
}

/* What ends first counts: here the clock, and no count is known. */
static void test_time_ends(void **state) {
    (void)state;
    terminal screen;
    of_progress progress;
    if (!terminal_open(&screen, 100))
        skip();
    of_progress_start(&progress, screen.stream, "train", "images", 0);
    pass_time(&progress);
    progress.start = of_seconds() - 60;
    of_progress_end_in(&progress, 60.5);
    of_progress_update(&progress, 100, NULL);
    const char *text = terminal_read(&screen);
    assert_non_null(strstr(text, "\rtrain [############............] 100 images, "));
    assert_non_null(strstr(text, ", 1:00 left"));
    terminal_close(&screen);
}

static void test_log_takes_the_bar_off(void **state) {
    (void)state;
    terminal screen;
    of_progress progress;
    if (!terminal_open(&screen, 100))
        skip();
    of_log log = {.stream = screen.stream, .level = OF_LOG_INFO, .progress = &progress};
    of_progress_start(&progress, screen.stream, "score", "images", 2);
    pass_time(&progress);
    of_progress_update(&progress, 1, NULL);
    (void)terminal_read(&screen);
    of_log_write(&log, OF_LOG_WARNING, "a.png: %s", "empty file");
    assert_string_equal(terminal_read(&screen), "\r\033[Koutflow: warning: a.png: empty file\n");
    terminal_close(&screen);
}

static void test_lines_elsewhere(void **state) {
    (void)state;
    of_progress progress;
    FILE *file = tmpfile();
    char text[512] = "";
    assert_non_null(file);
    of_progress_start(&progress, file, "score", "images", 200);
    of_progress_update(&progress, 1, NULL);
    assert_int_equal(ftell(file), 0); /* the first line comes after an interval */
    pass_time(&progress);
    of_progress_update(&progress, 100, NULL);
    of_progress_update(&progress, 101, NULL);
    of_progress_finish(&progress);
    rewind(file);
    assert_non_null(fgets(text, sizeof text, file));
    assert_non_null(strstr(text, "outflow: score 100/200 images, "));
    assert_null(strchr(text, '\r'));
    assert_null(strchr(text, '['));
    assert_null(fgets(text, sizeof text, file));
    (void)fclose(file);
}

static void test_quiet(void **state) {
    (void)state;
    of_progress progress;
    of_progress_start(&progress, NULL, "score", "images", 200);
    pass_time(&progress);
    of_progress_update(&progress, 100, NULL);
    of_progress_hide(&progress);
    of_progress_finish(&progress);
    assert_int_equal(progress.done, 100);
}

static void test_log_levels(void **state) {
    (void)state;
    FILE *file = tmpfile();
    char text[512] = "";
    assert_non_null(file);
    of_log log = of_log_to(file, OF_LOG_WARNING);
    assert_false(log.colour);
    of_log_write(&log, OF_LOG_INFO, "dropped");
    of_log_write(&log, OF_LOG_ERROR, "%s", "one\nline\033[2J");
    rewind(file);
    assert_int_equal(fread(text, 1, sizeof text - 1, file),
                     strlen("outflow: error: one?line?[2J\n"));
    assert_string_equal(text, "outflow: error: one?line?[2J\n");
    (void)fclose(file);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bar_on_a_terminal), cmocka_unit_test(test_narrow_terminal),
        cmocka_unit_test(test_unknown_total),     cmocka_unit_test(test_log_takes_the_bar_off),
        cmocka_unit_test(test_lines_elsewhere),   cmocka_unit_test(test_quiet),
        cmocka_unit_test(test_log_levels),        cmocka_unit_test(test_time_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
