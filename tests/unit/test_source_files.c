/* SPDX-License-Identifier: Apache-2.0 */
/* Image sources: folders, single files, lists of paths, and what may be wrong with a file. */
#define _XOPEN_SOURCE 700
#include "source_fixture.h"

#include "data/formats/reader.h"
#include "data/source.h"

#include <errno.h>

static void test_folder_is_sorted_and_labelled(void **state) {
    /* Bytewise: '.' < '/' < 'B' < 'a'. */
    const char *names[] = {"B/2.PNG", "a.png", "a/1.png", "a/deep/er/0.png", "z/9.png"};
    const char *labels[] = {"B", "", "a", "a", "z"};
    const int32_t classes[] = {0, -1, 1, 1, 2};
    make_folder(state, "B");
    make_folder(state, "a");
    make_folder(state, "a/deep");
    make_folder(state, "a/deep/er");
    make_folder(state, "z");
    make_folder(state, ".hidden");
    for (unsigned i = 5; i-- > 0;)
        write_pattern(state, names[i], i);
    write_pattern(state, ".hidden/x.png", 9);
    write_pattern(state, "a/.x.png", 9);
    write_file(state, "a/notes.txt", "hello", 5);
    of_source_options options = test_options(NULL);
    of_source *source = open_source(path_of(state, ""), &options);
    assert_int_equal(of_source_expected(source), 5);
    of_source_batch batch = next_batch(source, 100);
    assert_int_equal(batch.count, 5);
    for (unsigned i = 0; i < 5; i++) {
        assert_string_equal(batch.items[i].path, names[i]);
        assert_string_equal(batch.items[i].label, labels[i]);
        assert_int_equal(batch.items[i].class_index, classes[i]);
        assert_pattern(batch.pixels + (size_t)i * 3072, i);
    }
    assert_int_equal(next_batch(source, 100).count, 0);
    assert_int_equal(next_batch(source, 100).count, 0);
    of_source_free(source);
}

/* What is not of the part is never opened: a file that would be complained of is not. */
static void test_part_of_a_folder_leaves_files_unread(void **state) {
    enum { FILES = 40 };
    const of_part_range range = {.from = 0, .to = 0.5};
    const of_target target = {.channels = 3,
                              .height = 32,
                              .width = 32,
                              .max_pixels = OF_MAX_PIXELS,
                              .max_bytes = OF_MAX_FILE_BYTES,
                              .max_memory = OF_MAX_DECODER_BYTES};
    of_reader *reader;
    of_entry entry = {0};
    bool end = false;
    unsigned wanted = 0, met = 0;
    for (unsigned i = 0; i < FILES; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "%u.png", i);
        write_pattern(state, name, i);
        wanted += of_part_has(&range, name);
    }
    assert_in_range(wanted, 1, FILES - 1);
    assert_int_equal(of_reader_open(path_of(state, ""), &target, 0, &reader, NULL), OF_OK);
    assert_int_equal(reader->expected, FILES);
    reader->wanted = &range;
    while (reader->next(reader, &entry, &end, NULL) == OF_OK && !end) {
        assert_true(of_part_has(&range, of_text(&entry.path)));
        met++;
    }
    assert_int_equal(met, wanted);
    of_entry_free(&entry);
    of_reader_close(reader);
}

static void test_links_do_not_loop(void **state) {
    char target[512];
    make_folder(state, "a");
    make_folder(state, "b");
    write_pattern(state, "a/1.png", 1);
    write_pattern(state, "b/2.png", 2);
    (void)snprintf(target, sizeof target, "%s", path_of(state, "b"));
    assert_int_equal(symlink("..", path_of(state, "a/up")), 0);
    assert_int_equal(symlink(".", path_of(state, "a/self")), 0);
    assert_int_equal(symlink(target, path_of(state, "a/to_b")), 0);
    assert_int_equal(symlink(target, path_of(state, "a/to_b_again")), 0);
    assert_int_equal(symlink("gone.png", path_of(state, "b/broken.png")), 0);
    complaints noted = {0};
    of_source_options options = test_options(&noted);
    of_source *source = open_source(path_of(state, ""), &options);
    of_source_batch batch = next_batch(source, 100);
    assert_int_equal(batch.count, 2); /* b under its own name alone */
    assert_string_equal(batch.items[0].path, "a/1.png");
    assert_string_equal(batch.items[1].path, "b/2.png");
    assert_int_equal(noted.count, 1); /* the broken link */
    assert_string_equal(noted.path, "b/broken.png");
    of_source_free(source);
}

static void test_single_file(void **state) {
    write_pattern(state, "one.png", 3);
    of_source_options options = test_options(NULL);
    char path[512];
    (void)snprintf(path, sizeof path, "%s", path_of(state, "one.png"));
    of_source *source = open_source(path, &options);
    assert_int_equal(of_source_expected(source), 1);
    of_source_batch batch = next_batch(source, 8);
    assert_int_equal(batch.count, 1);
    assert_string_equal(batch.items[0].path, path);
    assert_string_equal(batch.items[0].label, "");
    assert_int_equal(batch.items[0].class_index, -1);
    assert_pattern(batch.pixels, 3);
    of_source_free(source);
}

static of_source *open_list(int descriptor, const of_source_options *options) {
    of_target target;
    of_reader *reader = NULL;
    of_source *source = NULL;
    assert_int_equal(of_source_target(options, &target, NULL), OF_OK);
    assert_int_equal(of_reader_open_list(descriptor, &target, &reader, NULL), OF_OK);
    assert_int_equal(of_source_from_reader(reader, options, &source, NULL), OF_OK);
    return source;
}

static void test_list_of_paths(void **state) {
    int ends[2];
    complaints noted = {0};
    of_source_options options = test_options(&noted);
    write_pattern(state, "one.png", 1);
    write_pattern(state, "two words.png", 2);
    assert_int_equal(pipe(ends), 0);
    dprintf(ends[1], "%s\n\n%s\r\n%s", path_of(state, "two words.png"),
            path_of(state, "missing.png"), path_of(state, "one.png"));
    close(ends[1]);
    of_source *source = open_list(ends[0], &options);
    of_source_batch batch = next_batch(source, 8);
    assert_int_equal(batch.count, 2);
    assert_string_equal(batch.items[0].path, path_of(state, "two words.png"));
    assert_pattern(batch.pixels, 2);
    assert_string_equal(batch.items[1].path, path_of(state, "one.png"));
    assert_pattern(batch.pixels + 3072, 1);
    assert_int_equal(of_source_unreadable(source), 1);
    assert_string_equal(noted.path, path_of(state, "missing.png"));
    of_source_free(source);
    close(ends[0]);
}

/* Lines of benchmark suites, and what else such a file may hold. */
static void test_imglist(void **state) {
    static const char lines[] = "# path label\none.png 3\r\n\ntwo words.png\tblue\n"
                                "missing.png 1\ntwo words.png";
    complaints noted = {0};
    of_source_options options = test_options(&noted);
    of_source *source;
    char spec[1100];
    make_folder(state, "root");
    write_pattern(state, "root/one.png", 1);
    write_pattern(state, "root/two words.png", 2);
    write_file(state, "list.txt", lines, sizeof lines - 1);
    (void)snprintf(spec, sizeof spec, "imglist:%s:%s", path_of(state, "list.txt"),
                   path_of(state, "root"));
    assert_int_equal(of_source_open(spec, &options, &source, NULL), OF_OK);
    assert_int_equal(of_source_expected(source), 4);
    of_source_batch batch = next_batch(source, 8);
    assert_int_equal(batch.count, 3);
    assert_string_equal(batch.items[0].path, "one.png");
    assert_string_equal(batch.items[0].label, "3");
    assert_pattern(batch.pixels, 1);
    assert_string_equal(batch.items[1].path, "two words.png");
    assert_string_equal(batch.items[1].label, "blue");
    assert_string_equal(batch.items[2].label, "");
    assert_pattern(batch.pixels + 2 * 3072, 2);
    assert_string_equal(noted.path, "missing.png");
    of_source_free(source);
    /* without ROOT, below the folder of the list; the list's name may have a colon */
    write_file(state, "root/a:b.txt", "one.png 3\n", 10);
    (void)snprintf(spec, sizeof spec, "imglist:%s", path_of(state, "root/a:b.txt"));
    assert_int_equal(of_source_open(spec, &options, &source, NULL), OF_OK);
    assert_int_equal(next_batch(source, 8).count, 1);
    of_source_free(source);
    (void)snprintf(spec, sizeof spec, "part:0-0.999:imglist:%s", path_of(state, "root/a:b.txt"));
    assert_int_equal(of_source_open(spec, &options, &source, NULL), OF_OK);
    of_source_free(source);
}

static void test_imglist_refused(void **state) {
    static char endless[70000], with_null[] = "a.png 1\0\nb.png 2\n";
    memset(endless, 'x', sizeof endless);
    write_file(state, "empty.txt", "\n# nothing\n", 11);
    write_file(state, "endless.txt", endless, sizeof endless);
    write_file(state, "null.txt", with_null, sizeof with_null - 1);
    make_folder(state, "folder.txt");
    static const struct {
        const char *name, *message;
    } refused[] = {{"empty.txt", "no image in it"},
                   {"endless.txt", "line 1 is no line of text"},
                   {"null.txt", "line 1 is no line of text"},
                   {"folder.txt", "folder.txt: "},
                   {"none.txt", "No such file"}};
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        complaints noted = {0};
        of_source_options options = test_options(&noted);
        of_source *source;
        of_error error;
        char spec[600];
        (void)snprintf(spec, sizeof spec, "imglist:%s", path_of(state, refused[i].name));
        assert_int_not_equal(of_source_open(spec, &options, &source, &error), OF_OK);
        if (strstr(error.message, refused[i].message) == NULL)
            fail_msg("%s: '%s'", refused[i].name, error.message);
    }
}

static void test_list_without_paths(void **state) {
    (void)state;
    int ends[2];
    of_source_batch batch;
    of_error error;
    of_source_options options = test_options(NULL);
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], "\n\n", 2), 2);
    close(ends[1]);
    of_source *source = open_list(ends[0], &options);
    assert_int_equal(of_source_next(source, 1, &batch, &error), OF_ERROR_FORMAT);
    assert_non_null(strstr(error.message, "no path"));
    of_source_free(source);
    close(ends[0]);
}

/* Nothing is ever written to the list: freeing the source must not wait for it. */
static void test_free_while_list_waits(void **state) {
    (void)state;
    int ends[2];
    of_source_options options = test_options(NULL);
    assert_int_equal(pipe(ends), 0);
    of_source_free(open_list(ends[0], &options));
    close(ends[0]);
    close(ends[1]);
}

/* ---- Bad files ------------------------------------------------------------------------------ */

static void put_crc(uint8_t *chunk, uint32_t length) {
    /* CRC-32 of type and data, bit by bit. */
    uint32_t crc = 0xffffffffu;
    for (uint32_t i = 0; i < length + 4; i++) {
        crc ^= chunk[4 + i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
    }
    for (int i = 0; i < 4; i++)
        chunk[8 + length + (unsigned)i] = (uint8_t)(~crc >> (24 - 8 * i));
}

/* A valid small PNG whose header claims another size. */
static encoded png_claiming(uint32_t height, uint32_t width) {
    encoded file = encode_pattern(0);
    for (int i = 0; i < 4; i++) {
        file.bytes[16 + i] = (uint8_t)(width >> (24 - 8 * i));
        file.bytes[20 + i] = (uint8_t)(height >> (24 - 8 * i));
    }
    put_crc(file.bytes + 8, 13);
    return file;
}

/* Reads a folder with a good file, and this bad one: it must be left out, counted and named. */
static void assert_unreadable(void **state, const char *name, const void *bytes, size_t size,
                              const char *reason) {
    complaints noted = {0};
    of_source_options options = test_options(&noted);
    make_folder(state, "mixed");
    write_pattern(state, "mixed/good.png", 5);
    char relative[64];
    (void)snprintf(relative, sizeof relative, "mixed/%s", name);
    write_file(state, relative, bytes, size);
    of_source *source = open_source(path_of(state, "mixed"), &options);
    assert_int_equal(of_source_expected(source), 2);
    of_source_batch batch = next_batch(source, 8);
    assert_int_equal(batch.count, 1);
    assert_pattern(batch.pixels, 5);
    assert_int_equal(of_source_unreadable(source), 1);
    assert_int_equal(noted.count, 1);
    assert_string_equal(noted.path, name);
    if (strstr(noted.reason, reason) == NULL)
        print_error("reason '%s' instead of '%s'\n", noted.reason, reason);
    assert_non_null(strstr(noted.reason, reason));
    of_source_free(source);

    options.strict = true;
    assert_source_fails(path_of(state, "mixed"), &options, OF_ERROR_FORMAT, name);
    (void)remove(path_of(state, relative));
    (void)remove(path_of(state, "mixed/good.png"));
    (void)remove(path_of(state, "mixed"));
}

static void test_text_named_png(void **state) {
    static const char text[] = "This is not an image at all.\n";
    assert_unreadable(state, "text.png", text, sizeof text - 1, "not a PNG");
}

static void test_empty_file(void **state) {
    assert_unreadable(state, "empty.jpg", "", 0, "empty file");
}

static void test_every_truncation_of_a_png(void **state) {
    encoded file = encode_pattern(1);
    of_target target = {3, 32, 32, 1 << 26, 1 << 28, 0, 0, 0, 0, 0, false, false};
    uint8_t pixels[3072];
    of_image_info info;
    assert_unreadable(state, "cut.png", file.bytes, file.size / 2, "truncated");
    for (size_t size = 0; size < file.size; size++) {
        of_entry entry = {.content = OF_CONTENT_FILE, .bytes = {file.bytes, size, size}};
        assert_int_equal(of_entry_decode(&entry, &target, pixels, &info, NULL), OF_ERROR_FORMAT);
    }
    free(file.bytes);
}

static void test_flipped_bit_in_a_png(void **state) {
    encoded file = encode_pattern(1);
    file.bytes[file.size - 40] ^= 0x10;
    assert_unreadable(state, "flipped.png", file.bytes, file.size, "checksum");
    free(file.bytes);
}

static void test_truncated_pnm(void **state) {
    assert_unreadable(state, "cut.pgm", "P5 4 4 255\n0123456789", 21, "truncated");
}

static void test_jpeg(void **state) {
    of_source_options options = test_options(NULL);
    write_file(state, "grey.jpg", image_jpeg, sizeof image_jpeg);
    of_source *source = open_source(path_of(state, "grey.jpg"), &options);
    of_source_batch batch = next_batch(source, 1);
    assert_int_equal(batch.count, 1);
    for (size_t i = 0; i < 3072; i++)
        assert_int_equal(batch.pixels[i], 128);
    of_source_free(source);
}

static void test_truncated_jpeg(void **state) {
    assert_unreadable(state, "cut.jpg", image_jpeg, sizeof image_jpeg - 2, "truncated");
    assert_unreadable(state, "cut.jpg", image_jpeg, sizeof image_jpeg - 4, "truncated");
    assert_unreadable(state, "cut.jpg", image_jpeg, 40, "truncated");
}

/* A Huffman table of 16 x 255 codes, which would run over a decoder's memory. */
static void test_overlong_huffman_table(void **state) {
    uint8_t bytes[2 + 4 + 17 + 4080 + sizeof image_jpeg] = {0xff, 0xd8, 0xff, 0xc4, 0x10, 0x03};
    memset(bytes + 7, 0xff, 16);
    memcpy(bytes + 2 + 4 + 17 + 4080, image_jpeg + 2, sizeof image_jpeg - 2);
    assert_unreadable(state, "table.jpg", bytes, sizeof bytes - 2, "segment c4");
}

/* Every scan makes the decoder go over the whole image again. */
static void test_too_many_scans(void **state) {
    enum { SCAN = 11, BEFORE = sizeof image_jpeg - SCAN - 2, SCANS = 101 };
    static uint8_t bytes[BEFORE + SCANS * SCAN + 2];
    memcpy(bytes, image_jpeg, BEFORE);
    for (size_t i = 0; i < SCANS; i++)
        memcpy(bytes + BEFORE + i * SCAN, image_jpeg + BEFORE, SCAN);
    memcpy(bytes + BEFORE + SCANS * SCAN, image_jpeg + BEFORE + SCAN, 2);
    assert_unreadable(state, "scans.jpg", bytes, sizeof bytes, "too many scans");
    memcpy(bytes + BEFORE + (SCANS - 1) * SCAN, image_jpeg + BEFORE + SCAN, 2);
    write_file(state, "100.jpg", bytes, sizeof bytes - SCAN);
    complaints noted = {0};
    of_source_options options = test_options(&noted);
    of_source *source = open_source(path_of(state, "100.jpg"), &options);
    size_t read = next_batch(source, 2).count;
#ifdef OUTFLOW_JPEG /* which takes offence at a second scan of what is not progressive */
    assert_int_equal(read, 0);
    assert_non_null(strstr(noted.reason, "more than one scan"));
#else
    assert_int_equal(read, 1);
#endif
    of_source_free(source);
}

static void test_hostile_sizes(void **state) {
    complaints noted = {0};
    of_source_options options = test_options(&noted);
    const uint32_t sizes[][2] = {{100000, 100000}, {0x7fffffff, 0x7fffffff},
                                 {1, 70000},       {9000, 9000},
                                 {0, 32},          {8192, 8193}};
    make_folder(state, "huge");
    for (unsigned i = 0; i < 6; i++) {
        char name[32];
        encoded file = png_claiming(sizes[i][0], sizes[i][1]);
        (void)snprintf(name, sizeof name, "huge/%u.png", i);
        write_file(state, name, file.bytes, file.size);
        free(file.bytes);
    }
    of_source *source = open_source(path_of(state, "huge"), &options);
    assert_int_equal(next_batch(source, 100).count, 0);
    assert_int_equal(of_source_unreadable(source), 6);
    assert_non_null(strstr(noted.reason, "over the limit of 67108864"));
    of_source_free(source);

    /* The limit is the caller's. */
    write_pattern(state, "small.png", 0);
    options.max_pixels = 1023;
    source = open_source(path_of(state, "small.png"), &options);
    assert_int_equal(next_batch(source, 1).count, 0);
    assert_non_null(strstr(noted.reason, "over the limit of 1023"));
    of_source_free(source);
    options.max_pixels = 1024;
    source = open_source(path_of(state, "small.png"), &options);
    assert_int_equal(next_batch(source, 1).count, 1);
    of_source_free(source);
}

/* A header of 1 x 1 before data that unpacks to much more than that. */
static void test_data_larger_than_header(void **state) {
    uint8_t *pixels = calloc(2000 * 2000, 1);
    assert_non_null(pixels);
    encoded file = encode_png(pixels, 2000, 2000, PNG_FORMAT_GRAY);
    free(pixels);
    memcpy(file.bytes + 16, "\0\0\0\1\0\0\0\1", 8);
    put_crc(file.bytes + 8, 13);
    assert_unreadable(state, "bomb.png", file.bytes, file.size, "more data than its header");
    free(file.bytes);
}

static void test_special_file(void **state) {
    complaints noted = {0};
    of_source_options options = test_options(&noted);
    make_folder(state, "pipes");
    assert_int_equal(mkfifo(path_of(state, "pipes/pipe.png"), 0600), 0);
    of_source *source = open_source(path_of(state, "pipes"), &options);
    assert_int_equal(next_batch(source, 1).count, 0);
    assert_string_equal(noted.reason, "not a regular file");
    of_source_free(source);
    assert_source_fails(path_of(state, "pipes/pipe.png"), &options, OF_ERROR_UNSUPPORTED,
                        "neither a regular file nor a folder");
}

static void test_control_characters_stay_out_of_messages(void **state) {
    of_source_options options = test_options(NULL);
    options.strict = true;
    make_folder(state, "odd");
    write_file(state, "odd/new\nline.png", "text", 4);
    assert_source_fails(path_of(state, "odd"), &options, OF_ERROR_FORMAT, "new?line.png");
}

static void test_specs_that_cannot_be_opened(void **state) {
    of_source_options options = test_options(NULL);
    make_folder(state, "empty");
    write_file(state, "data.xyz", "12345678", 8);
    write_file(state, "nothing", "", 0);
    assert_source_fails(path_of(state, "missing"), &options, OF_ERROR_IO, "No such file");
    of_source *source = NULL;
    of_error error;
    assert_int_equal(of_source_open(path_of(state, "missing"), &options, &source, &error),
                     OF_ERROR_IO);
    assert_int_equal(error.os_error, ENOENT);
    assert_source_fails(path_of(state, "empty"), &options, OF_ERROR_FORMAT, "no images");
    assert_source_fails(path_of(state, "data.xyz"), &options, OF_ERROR_FORMAT, "not recognised");
    assert_source_fails(path_of(state, "nothing"), &options, OF_ERROR_FORMAT, "empty file");
    options.channels = 2;
    assert_source_fails(path_of(state, "empty"), &options, OF_ERROR_ARGUMENT, "2 channels");
    options.channels = 3;
    options.height = 0;
    assert_source_fails(path_of(state, "empty"), &options, OF_ERROR_ARGUMENT, "32 x 0");
}

/* Root may read everything, so it steps down for the reading. */
static void test_unreadable_permissions(void **state) {
    complaints noted = {0};
    of_source_options options = test_options(&noted);
    bool root = geteuid() == 0;
    make_folder(state, "locked");
    write_pattern(state, "locked/a.png", 0);
    make_folder(state, "locked/b");
    write_pattern(state, "locked/b/b.png", 0);
    write_pattern(state, "locked/c.png", 0);
    assert_int_equal(chmod(path_of(state, "locked/b"), 0), 0);
    assert_int_equal(chmod(path_of(state, "locked/c.png"), 0), 0);
    assert_int_equal(chmod(path_of(state, ""), 0755), 0);
    assert_true(!root || seteuid(65534) == 0);
    of_source *source = open_source(path_of(state, "locked"), &options);
    assert_int_equal(next_batch(source, 9).count, 1);
    assert_int_equal(of_source_unreadable(source), 2);
    assert_string_equal(noted.path, "c.png");
    assert_string_equal(noted.reason, "Permission denied");
    of_source_free(source);
    assert_source_fails(path_of(state, "locked/b"), &options, OF_ERROR_IO, "Permission denied");
    assert_source_fails(path_of(state, "locked/c.png"), &options, OF_ERROR_IO, "Permission denied");
    assert_true(!root || seteuid(0) == 0);
    assert_int_equal(chmod(path_of(state, "locked/b"), 0700), 0);
}

#define IN_DIRECTORY(test) cmocka_unit_test_setup_teardown(test, make_directory, remove_directory)

int main(void) {
    const struct CMUnitTest tests[] = {
        IN_DIRECTORY(test_folder_is_sorted_and_labelled),
        IN_DIRECTORY(test_part_of_a_folder_leaves_files_unread),
        IN_DIRECTORY(test_links_do_not_loop),
        IN_DIRECTORY(test_single_file),
        IN_DIRECTORY(test_list_of_paths),
        IN_DIRECTORY(test_imglist),
        IN_DIRECTORY(test_imglist_refused),
        IN_DIRECTORY(test_list_without_paths),
        IN_DIRECTORY(test_free_while_list_waits),
        IN_DIRECTORY(test_text_named_png),
        IN_DIRECTORY(test_empty_file),
        IN_DIRECTORY(test_every_truncation_of_a_png),
        IN_DIRECTORY(test_flipped_bit_in_a_png),
        IN_DIRECTORY(test_truncated_pnm),
        IN_DIRECTORY(test_jpeg),
        IN_DIRECTORY(test_truncated_jpeg),
        IN_DIRECTORY(test_too_many_scans),
        IN_DIRECTORY(test_overlong_huffman_table),
        IN_DIRECTORY(test_hostile_sizes),
        IN_DIRECTORY(test_data_larger_than_header),
        IN_DIRECTORY(test_special_file),
        IN_DIRECTORY(test_control_characters_stay_out_of_messages),
        IN_DIRECTORY(test_specs_that_cannot_be_opened),
        IN_DIRECTORY(test_unreadable_permissions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
