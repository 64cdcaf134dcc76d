/* SPDX-License-Identifier: Apache-2.0 */
/* Files that appear whole, and JSON. */
#define _XOPEN_SOURCE 700
#include "core/file_lock.h"
#include <outflow/output.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[] = "/tmp/output-XXXXXX";

static int enter_folder(void **state) {
    (void)state;
    (void)signal(SIGPIPE, SIG_IGN);
    return mkdtemp(folder) == NULL ? -1 : chdir(folder);
}

static int leave_folder(void **state) {
    (void)state;
    return chdir("/") == 0 && rmdir(folder) == 0 ? 0 : -1;
}

static size_t count_files(void) {
    size_t count = 0;
    DIR *listing = opendir(".");
    assert_non_null(listing);
    while (readdir(listing) != NULL)
        count++;
    (void)closedir(listing);
    return count - 2;
}

static void expect_content(const char *path, const char *expected) {
    char text[64] = "";
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    size_t length = fread(text, 1, sizeof text - 1, file);
    text[length] = '\0';
    assert_int_equal(fclose(file), 0);
    assert_string_equal(text, expected);
}

static void put(const char *path, const char *text) {
    of_output *output = NULL;
    assert_int_equal(of_output_open(path, &output, NULL), OF_OK);
    assert_true(fputs(text, of_output_file(output)) >= 0);
    assert_int_equal(of_output_commit(output, NULL), OF_OK);
}

static void file_appears_when_it_is_complete(void **state) {
    (void)state;
    of_output *output = NULL;
    put("result", "old");
    assert_int_equal(of_output_open("result", &output, NULL), OF_OK);
    assert_string_equal(of_output_name(output), "result");
    assert_true(fputs("new", of_output_file(output)) >= 0);
    assert_int_equal(of_output_flush(output, NULL), OF_OK);
    expect_content("result", "old");
    assert_int_equal(count_files(), 2);
    assert_int_equal(of_output_commit(output, NULL), OF_OK);
    expect_content("result", "new");
    assert_int_equal(count_files(), 1);
    assert_int_equal(unlink("result"), 0);
}

static void what_is_given_up_leaves_nothing(void **state) {
    (void)state;
    of_output *output = NULL;
    assert_int_equal(of_output_open("result", &output, NULL), OF_OK);
    assert_true(fputs("lost", of_output_file(output)) >= 0);
    of_output_discard(output);
    assert_int_equal(count_files(), 0);
    of_output_discard(NULL);
}

static void link_survives(void **state) {
    (void)state;
    struct stat info;
    put("target", "old");
    assert_int_equal(symlink("target", "link"), 0);
    put("link", "new");
    expect_content("target", "new");
    assert_int_equal(lstat("link", &info), 0);
    assert_true(S_ISLNK(info.st_mode));
    assert_int_equal(unlink("link") | unlink("target"), 0);
}

static void link_in_a_folder_is_replaced(void **state) {
    (void)state;
    struct stat info;
    of_output *output = NULL;
    put("victim", "old");
    assert_int_equal(symlink("victim", "entry"), 0);
    assert_int_equal(of_output_open_in(".", "entry", &output, NULL), OF_OK);
    assert_string_equal(of_output_name(output), "./entry");
    assert_true(fputs("new", of_output_file(output)) >= 0);
    assert_int_equal(of_output_commit(output, NULL), OF_OK);
    expect_content("victim", "old");
    expect_content("entry", "new");
    assert_int_equal(lstat("entry", &info), 0);
    assert_true(S_ISREG(info.st_mode));
    (void)unlink("entry");
    (void)unlink("victim");

    of_error error;
    assert_int_equal(mkfifo("pipe", 0600), 0);
    assert_int_equal(of_output_open_in(".", "pipe", &output, &error), OF_ERROR_IO);
    assert_non_null(strstr(error.message, "not a regular file"));
    (void)unlink("pipe");
    assert_int_equal(of_output_open_in(".", "", &output, NULL), OF_ERROR_ARGUMENT);
    assert_int_equal(of_output_open_in(".", "../x", &output, NULL), OF_ERROR_ARGUMENT);
    assert_int_equal(of_output_open_in(".", NULL, &output, NULL), OF_ERROR_ARGUMENT);
    assert_int_equal(of_output_open_in(".", "x", NULL, NULL), OF_ERROR_ARGUMENT);
}

static void claim_is_for_one_alone(void **state) {
    (void)state;
    of_file_lock first = {0}, second = {0};
    of_error error;
    for (int round = 0; round < 2; round++) {
        assert_int_equal(of_file_lock_take("./claimed", &first, NULL), OF_OK);
        assert_int_equal(of_file_lock_take("./claimed", &second, &error), OF_ERROR_IO);
        assert_non_null(strstr(error.message, "./claimed: another run is writing it"));
        of_file_lock_release(&second); /* holds nothing */
        assert_int_equal(of_file_lock_take("other", &second, NULL), OF_OK);
        of_file_lock_release(&second);
        of_file_lock_release(&first);
        assert_int_equal(count_files(), 0);
    }
    assert_int_equal(of_file_lock_take("no/where", &first, NULL), OF_ERROR_IO);
}

static void permissions_stay(void **state) {
    (void)state;
    static const mode_t modes[] = {0600, 0640, 0666, 0400, 0755};
    struct stat info;
    mode_t mask = umask(027);
    put("new", "");
    assert_int_equal(stat("new", &info), 0);
    assert_int_equal(info.st_mode & 07777, 0640);
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        assert_int_equal(chmod("new", modes[i]), 0);
        put("new", "text");
        expect_content("new", "text");
        assert_int_equal(stat("new", &info), 0);
        assert_int_equal(info.st_mode & 07777, modes[i]);
    }
    (void)umask(mask);
    (void)unlink("new");
}

static void place_that_cannot_be_written_is_refused_first(void **state) {
    (void)state;
    of_output *output = NULL;
    of_error error;
    assert_int_equal(of_output_open("no/where", &output, &error), OF_ERROR_IO);
    assert_null(output);
    assert_string_equal(error.message, "cannot write no/where: No such file or directory");
    assert_int_equal(error.os_error, ENOENT);
    assert_int_equal(of_output_open(".", &output, &error), OF_ERROR_IO);
    assert_string_equal(error.message, "cannot write .: Is a directory");
    assert_int_equal(error.os_error, EISDIR);
}

static void device_is_written_in_place(void **state) {
    (void)state;
    of_output *output = NULL;
    of_error error;
    put("/dev/null", "anything");
    assert_int_equal(of_output_open("/dev/full", &output, NULL), OF_OK);
    assert_true(fputs("x", of_output_file(output)) >= 0);
    assert_int_equal(of_output_commit(output, &error), OF_ERROR_IO);
    assert_string_equal(error.message, "cannot write /dev/full: No space left on device");
    assert_int_equal(count_files(), 0);
}

static void reader_that_went_away_is_noticed(void **state) {
    (void)state;
    of_output *output = NULL;
    assert_int_equal(mkfifo("pipe", 0600), 0);
    int reader = open("pipe", O_RDONLY | O_NONBLOCK);
    assert_true(reader >= 0);
    assert_int_equal(of_output_open("pipe", &output, NULL), OF_OK);
    assert_true(fputs("x", of_output_file(output)) >= 0);
    assert_int_equal(of_output_flush(output, NULL), OF_OK);
    assert_false(of_output_reader_gone(output));
    assert_int_equal(close(reader), 0);
    (void)fputs("x", of_output_file(output));
    assert_int_equal(of_output_flush(output, NULL), OF_ERROR_IO);
    assert_true(of_output_reader_gone(output));
    of_output_discard(output);
    assert_int_equal(unlink("pipe"), 0);
}

static void standard_output_has_several_names(void **state) {
    (void)state;
    static const char *const names[] = {NULL, "-", "/dev/stdout"};
    for (size_t i = 0; i < 3; i++) {
        of_output *output = NULL;
        assert_int_equal(of_output_open(names[i], &output, NULL), OF_OK);
        assert_ptr_equal(of_output_file(output), stdout);
        assert_string_equal(of_output_name(output), "standard output");
        assert_int_equal(of_output_commit(output, NULL), OF_OK);
    }
    assert_int_equal(fflush(stdout), 0);
}

static void deep_json_stays_valid(void **state) {
    (void)state;
    char *text = NULL;
    size_t size, deep = 0;
    of_json *json = NULL;
    FILE *file = open_memstream(&text, &size);
    assert_non_null(file);
    assert_int_equal(of_json_create(file, false, &json, NULL), OF_OK);
    for (int i = 0; i < 34; i++)
        of_json_array(json, NULL);
    of_json_count(json, NULL, 7);
    of_json_end(json);
    of_json_flag(json, NULL, true);
    of_json_end(json);
    of_json_real(json, NULL, 0.5);
    for (int i = 0; i < 40; i++) /* more than were begun */
        of_json_end(json);
    of_json_free(json);
    assert_int_equal(fclose(file), 0);
    while (text[deep] == '[')
        deep++;
    assert_int_equal(deep, 32);
    assert_memory_equal(text + 32, "null, 0.5]", 10);
    assert_int_equal(size, 32 + 9 + 32 + 1);
    free(text);
}

static void file_without_a_name_is_refused_first(void **state) {
    (void)state;
    of_output *output = NULL;
    assert_int_equal(of_output_open("", &output, NULL), OF_ERROR_IO);
    assert_null(output);
    assert_int_equal(count_files(), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(file_appears_when_it_is_complete),
        cmocka_unit_test(what_is_given_up_leaves_nothing),
        cmocka_unit_test(link_survives),
        cmocka_unit_test(link_in_a_folder_is_replaced),
        cmocka_unit_test(claim_is_for_one_alone),
        cmocka_unit_test(permissions_stay),
        cmocka_unit_test(place_that_cannot_be_written_is_refused_first),
        cmocka_unit_test(device_is_written_in_place),
        cmocka_unit_test(reader_that_went_away_is_noticed),
        cmocka_unit_test(standard_output_has_several_names),
        cmocka_unit_test(deep_json_stays_valid),
        cmocka_unit_test(file_without_a_name_is_refused_first),
    };
    return cmocka_run_group_tests(tests, enter_folder, leave_folder);
}
