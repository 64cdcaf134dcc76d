/* SPDX-License-Identifier: Apache-2.0 */
/* Image sources: tar and zip archives. */
#define _XOPEN_SOURCE 700
#include "source_fixture.h"

#include "data/formats/reader.h"
#include <sys/resource.h>
#include <sys/stat.h>
#include <zlib.h>

static void assert_archive_reads(void **state, const char *name, archive_kind kind) {
    const char *names[] = {"b/1.png", "a/x/2.png", "b/3.png", "4.png"};
    const char *labels[] = {"b", "a", "b", ""};
    const int32_t classes[] = {0, 1, 0, -1};
    complaints noted = {0};
    of_source_options options = test_options(&noted);
    struct archive *archive = begin_archive(state, name, kind);
    add_member(archive, "b/", NULL, 0);
    add_member(archive, "b/readme.txt", "hello", 5);
    add_pattern(archive, "b/1.png", 0);
    add_pattern(archive, "b/.hidden.png", 9);
    add_pattern(archive, "__MACOSX/b/._1.png", 9);
    add_pattern(archive, kind == ZIP ? "a/x/2.png" : "./a/x/2.png", 1);
    add_member(archive, "b/bad.png", "text", 4);
    add_pattern(archive, "b/3.png", 2);
    add_pattern(archive, "4.png", 3);
    end_archive(archive);

    of_source *source = open_source(path_of(state, name), &options);
    assert_int_equal(of_source_expected(source), 0);
    of_source_batch batch = next_batch(source, 100);
    assert_int_equal(batch.count, 4);
    for (unsigned i = 0; i < 4; i++) {
        assert_string_equal(batch.items[i].path, names[i]);
        assert_string_equal(batch.items[i].label, labels[i]);
        assert_int_equal(batch.items[i].class_index, classes[i]);
        assert_pattern(batch.pixels + (size_t)i * 3072, i);
    }
    assert_int_equal(next_batch(source, 100).count, 0);
    assert_int_equal(noted.count, 1);
    assert_string_equal(noted.path, "b/bad.png");
    of_source_free(source);
}

static void test_tar(void **state) {
    assert_archive_reads(state, "images.tar", TAR);
}

static void test_tar_gz(void **state) {
    assert_archive_reads(state, "images.tar.gz", TAR_GZ);
}

static void test_zip(void **state) {
    assert_archive_reads(state, "images.zip", ZIP);
}

/* Content decides, not the name. */
static void test_misnamed_archive(void **state) {
    assert_archive_reads(state, "images.dat", TAR_GZ);
}

static void test_empty_archives(void **state) {
    of_source_options options = test_options(NULL);
    end_archive(begin_archive(state, "empty.tar", TAR));
    end_archive(begin_archive(state, "empty.zip", ZIP));
    struct archive *archive = begin_archive(state, "text.tar", TAR);
    add_member(archive, "a/notes.txt", "hello", 5);
    end_archive(archive);
    write_file(state, "zero.tar", "", 0);
    write_file(state, "text.zip", "no archive", 10);
    assert_source_fails(path_of(state, "empty.tar"), &options, OF_ERROR_FORMAT, "no images");
    assert_source_fails(path_of(state, "empty.zip"), &options, OF_ERROR_FORMAT, "no images");
    assert_source_fails(path_of(state, "text.tar"), &options, OF_ERROR_FORMAT, "1 other entries");
    assert_source_fails(path_of(state, "zero.tar"), &options, OF_ERROR_FORMAT, "zero.tar");
    assert_source_fails(path_of(state, "text.zip"), &options, OF_ERROR_FORMAT, "text.zip");
}

/* An archive in which every image is damaged is not empty: it ends with all of them counted. */
static void test_archive_of_bad_images(void **state) {
    complaints noted = {0};
    of_source_options options = test_options(&noted);
    struct archive *archive = begin_archive(state, "bad.tar", TAR);
    add_member(archive, "a/1.png", "text", 4);
    add_member(archive, "a/2.png", NULL, 0);
    end_archive(archive);
    of_source *source = open_source(path_of(state, "bad.tar"), &options);
    assert_int_equal(next_batch(source, 9).count, 0);
    assert_int_equal(of_source_unreadable(source), 2);
    of_source_free(source);
    options.strict = true;
    assert_source_fails(path_of(state, "bad.tar"), &options, OF_ERROR_FORMAT, "a/1.png");
}

static void truncate_file(void **state, const char *name, double share) {
    struct stat information;
    assert_int_equal(stat(path_of(state, name), &information), 0);
    assert_int_equal(truncate(path_of(state, name), (off_t)((double)information.st_size * share)),
                     0);
}

/* Reads to the end; what could not be read is noted. */
static size_t count_images(const char *spec, const of_source_options *options) {
    of_source *source = open_source(spec, options);
    size_t images = 0, count;
    while ((count = next_batch(source, 7).count) > 0)
        images += count;
    of_source_free(source);
    return images;
}

/* Good images first, then one that takes the rest with it, which all parts have in common. */
static void assert_truncation(void **state, const char *name, archive_kind kind) {
    char half[600];
    complaints noted = {0};
    of_source_options options = test_options(&noted);
    struct archive *archive = begin_archive(state, name, kind);
    uint32_t noise = 1; /* does not compress, so that the file is many of libarchive's buffers */
    for (unsigned i = 0; i < 100; i++) {
        char member[32];
        uint8_t pixels[64 * 64];
        for (size_t k = 0; k < sizeof pixels; k++)
            pixels[k] = (uint8_t)((noise = noise * 1664525u + 1013904223u) >> 24);
        encoded file = encode_png(pixels, 64, 64, PNG_FORMAT_GRAY);
        (void)snprintf(member, sizeof member, "a/%02u.png", i);
        add_member(archive, member, file.bytes, file.size);
        free(file.bytes);
    }
    end_archive(archive);
    truncate_file(state, name, 0.6);
    size_t images = count_images(path_of(state, name), &options);
    assert_in_range(images, 30, 65);
    assert_int_equal(noted.count, 1);
    assert_non_null(strstr(noted.reason, "damaged archive"));
    (void)snprintf(half, sizeof half, "part:0-0.5:%s", path_of(state, name));
    images -= count_images(half, &options);
    assert_int_equal(noted.count, 2);
    (void)snprintf(half, sizeof half, "part:0.5-1:%s", path_of(state, name));
    images -= count_images(half, &options);
    assert_int_equal(noted.count, 3);
    assert_int_equal(images, 0);
    options.strict = true;
    (void)assert_source_fails(path_of(state, name), &options, OF_ERROR_FORMAT, "damaged archive");
}

static void test_truncated_tar(void **state) {
    assert_truncation(state, "cut.tar", TAR);
}

static void test_truncated_tar_gz(void **state) {
    assert_truncation(state, "cut.tar.gz", TAR_GZ);
}

static void test_truncated_zip(void **state) {
    assert_truncation(state, "cut.zip", ZIP);
}

static long padded(size_t size) {
    return (long)((size + 511) / 512 * 512);
}

static void test_damaged_tar_header(void **state) {
    complaints noted = {0};
    of_source_options options = test_options(&noted);
    struct archive *archive = begin_archive(state, "damaged.tar", TAR);
    add_pattern(archive, "a/1.png", 1);
    add_pattern(archive, "a/2.png", 2);
    end_archive(archive);
    FILE *file = fopen(path_of(state, "damaged.tar"), "r+b");
    assert_non_null(file);
    encoded first = encode_pattern(1);
    long second_header = 512 + padded(first.size);
    free(first.bytes);
    assert_int_equal(fseek(file, second_header + 20, SEEK_SET), 0);
    assert_int_equal(fwrite("garbage", 1, 7, file), 7);
    (void)fclose(file);
    assert_int_equal(count_images(path_of(state, "damaged.tar"), &options), 1);
    assert_int_equal(noted.count, 1);
    assert_string_equal(noted.path, "(rest of the archive)");
    assert_non_null(strstr(noted.reason, "damaged archive"));
}

/* Nothing was given that could be kept. */
static void test_damage_in_the_first_image(void **state) {
    of_source_options options = test_options(NULL);
    struct archive *archive = begin_archive(state, "first.tar", TAR);
    add_pattern(archive, "a/1.png", 1);
    end_archive(archive);
    assert_int_equal(truncate(path_of(state, "first.tar"), 1000), 0);
    assert_int_equal(
        assert_source_fails(path_of(state, "first.tar"), &options, OF_ERROR_FORMAT, "first.tar"),
        0);
}

/* A member that claims a gigabyte: refused by its claim, before anything is read. */
static void test_member_over_the_limit(void **state) {
    complaints noted = {0};
    of_source_options options = test_options(&noted);
    encoded first = encode_pattern(1);
    struct archive *archive = begin_archive(state, "claim.tar", TAR);
    add_pattern(archive, "a/1.png", 1);
    add_pattern(archive, "a/2.png", 2);
    end_archive(archive);
    FILE *file = fopen(path_of(state, "claim.tar"), "r+b");
    assert_non_null(file);
    uint8_t header[512];
    long at = 512 + padded(first.size);
    assert_int_equal(fseek(file, at, SEEK_SET), 0);
    assert_int_equal(fread(header, 1, sizeof header, file), sizeof header);
    memcpy(header + 124, "10000000000", 12); /* the size, octal */
    memset(header + 148, ' ', 8);            /* the checksum counts as spaces */
    unsigned sum = 0;
    for (size_t i = 0; i < sizeof header; i++)
        sum += header[i];
    (void)snprintf((char *)header + 148, 8, "%06o", sum);
    assert_int_equal(fseek(file, at, SEEK_SET), 0);
    assert_int_equal(fwrite(header, 1, sizeof header, file), sizeof header);
    (void)fclose(file);
    free(first.bytes);

    /* What follows is missing, so the archive is damaged, too. */
    assert_int_equal(count_images(path_of(state, "claim.tar"), &options), 1);
    assert_int_equal(noted.count, 2);
    assert_non_null(strstr(noted.reason, "Truncated"));
    options.strict = true;
    assert_source_fails(path_of(state, "claim.tar"), &options, OF_ERROR_UNSUPPORTED, "a/2.png");
}

static void test_links_in_tar(void **state) {
    complaints noted = {0};
    of_source_options options = test_options(&noted);
    struct archive *archive = begin_archive(state, "links.tar", TAR);
    add_pattern(archive, "a/1.png", 1);
    struct archive_entry *entry = archive_entry_new();
    archive_entry_set_pathname(entry, "a/2.png");
    archive_entry_set_filetype(entry, AE_IFLNK);
    archive_entry_set_symlink(entry, "1.png");
    assert_int_equal(archive_write_header(archive, entry), ARCHIVE_OK);
    archive_entry_free(entry);
    end_archive(archive);
    of_source *source = open_source(path_of(state, "links.tar"), &options);
    assert_int_equal(next_batch(source, 9).count, 1);
    assert_string_equal(noted.path, "a/2.png");
    assert_non_null(strstr(noted.reason, "link"));
    of_source_free(source);
}

/* A stored zip member whose name is UTF-8, which this program's "C" locale cannot hold. */
static void test_utf8_names_in_zip(void **state) {
    static const char name[] = "gr\xc3\xbcn/\xc3\xa4.pgm", data[] = "P5 1 1 255\n\x7f";
    enum { NAME = sizeof name - 1, DATA = sizeof data - 1 };
    /* Signature, version, flags (0x800: UTF-8), method, time, date, crc, sizes, name length. */
    uint8_t local[30] = {'P', 'K', 3, 4, 20, 0, 0, 8, 0, 0, 0, 0, 0, 0};
    uint8_t central[46] = {'P', 'K', 1, 2, 20, 0, 20, 0, 0, 8, 0, 0, 0, 0, 0, 0};
    uint8_t end[22] = {
        'P', 'K', 5, 6, 0, 0, 0, 0, 1, 0, 1, 0, 46 + NAME, 0, 0, 0, 30 + NAME + DATA};
    uint8_t file[sizeof local + 2 * NAME + DATA + sizeof central + sizeof end];
    uint32_t crc = (uint32_t)crc32(0, (const uint8_t *)data, DATA);
    for (int i = 0; i < 4; i++)
        local[14 + i] = central[16 + i] = (uint8_t)(crc >> (8 * i));
    local[18] = local[22] = central[20] = central[24] = DATA;
    local[26] = central[28] = NAME;
    uint8_t *at = file;
    const void *parts[] = {local, name, data, central, name, end};
    const size_t sizes[] = {sizeof local, NAME, DATA, sizeof central, NAME, sizeof end};
    for (int i = 0; i < 6; at += sizes[i], i++)
        memcpy(at, parts[i], sizes[i]);
    write_file(state, "names.zip", file, sizeof file);

    of_source_options options = test_options(NULL);
    of_source *source = open_source(path_of(state, "names.zip"), &options);
    of_source_batch batch = next_batch(source, 9);
    assert_int_equal(batch.count, 1);
    assert_string_equal(batch.items[0].path, name);
    assert_string_equal(batch.items[0].label, "gr\xc3\xbcn");
    assert_int_equal(batch.pixels[0], 0x7f);
    of_source_free(source);
}

/* ---- Compression that goes on inside -----------------------------------------------------------
 */

static void write_gzip(void **state, const char *name, const void *bytes, size_t size) {
    gzFile file = gzopen(path_of(state, name), "wb1");
    assert_non_null(file);
    assert_int_equal(gzwrite(file, bytes, (unsigned)size), (int)size);
    assert_int_equal(gzclose(file), Z_OK);
}

/* Only what the documentation names is read: an archive in one compressed stream. */
static void test_compressed_twice(void **state) {
    static uint8_t content[1 << 16];
    of_source_options options = test_options(NULL);
    struct archive *archive = begin_archive(state, "once.tar.gz", TAR_GZ);
    add_pattern(archive, "a/1.png", 1);
    end_archive(archive);
    FILE *file = fopen(path_of(state, "once.tar.gz"), "rb");
    assert_non_null(file);
    size_t size = fread(content, 1, sizeof content, file);
    (void)fclose(file);
    assert_in_range(size, 100, sizeof content - 1);
    write_gzip(state, "twice.tar.gz", content, size);
    assert_int_equal(count_images(path_of(state, "once.tar.gz"), &options), 1);
    assert_source_fails(path_of(state, "twice.tar.gz"), &options, OF_ERROR_FORMAT,
                        "damaged or not an archive");
}

/* A member of 64 MiB that is no image, and one that is: what is unpacked counts, not what is there.
 */
static void test_budget_of_unpacked_bytes(void **state) {
    of_source_options options = test_options(NULL);
    static uint8_t zeros[64 << 20];
    const char *const names[] = {"large.tar.gz", "large.zip"};
    for (unsigned i = 0; i < 2; i++) {
        struct archive *archive = begin_archive(state, names[i], i == 0 ? TAR_GZ : ZIP);
        add_pattern(archive, "a/1.png", 1);
        add_member(archive, i == 0 ? "a/large.bin" : "a/large.png", zeros, sizeof zeros);
        add_pattern(archive, "a/2.png", 2);
        end_archive(archive);
        options.max_unpacked = 0;
        assert_int_equal(count_images(path_of(state, names[i]), &options), 2);
        options.max_unpacked = 65 << 20;
        assert_int_equal(count_images(path_of(state, names[i]), &options), 2);
        options.max_unpacked = 1 << 20;
        assert_int_equal(assert_source_fails(path_of(state, names[i]), &options,
                                             OF_ERROR_UNSUPPORTED, "unpacks to more than 1048576"),
                         1);
    }
}

static long most_kilobytes(void) {
    struct rusage usage;
    assert_int_equal(getrusage(RUSAGE_SELF, &usage), 0);
    return usage.ru_maxrss;
}

/* Inside the gzip stream another begins, whose header's name does not end for 128 MiB: libarchive's
 * search for filters takes it all into memory, and more for longer ones. */
static void test_endless_name_in_gzip(void **state) {
    static uint8_t head[1 << 16];
    const uint8_t magic[] = {0x1f, 0x8b, 8, 8, 0, 0, 0, 0, 0, 3};
    of_source_options options = test_options(NULL);
    memset(head, 'A', sizeof head);
    memcpy(head, magic, sizeof magic);
    gzFile file = gzopen(path_of(state, "bomb.tar.gz"), "wb1");
    assert_non_null(file);
    for (unsigned i = 0; i < 2048; i++) {
        assert_int_equal(gzwrite(file, head, sizeof head), (int)sizeof head);
        memset(head, 'A', sizeof magic);
    }
    assert_int_equal(gzclose(file), Z_OK);
    long before = most_kilobytes();
    assert_source_fails(path_of(state, "bomb.tar.gz"), &options, OF_ERROR_FORMAT, "bomb.tar.gz");
    assert_in_range(most_kilobytes() - before, 0, 64 << 10);
}

/* Cancelled before anything was read: as at the end. */
static void test_cancelled_opening(void **state) {
    of_target target = {.channels = 3, .height = 32, .width = 32, .max_pixels = 1 << 20};
    of_reader *reader;
    of_entry entry = {0};
    bool end = false;
    struct archive *archive = begin_archive(state, "a.tar.gz", TAR_GZ);
    add_pattern(archive, "a/1.png", 1);
    end_archive(archive);
    assert_int_equal(of_reader_open_archive(path_of(state, "a.tar.gz"), &target, &reader, NULL),
                     OF_OK);
    reader->cancel(reader);
    assert_int_equal(reader->next(reader, &entry, &end, NULL), OF_OK);
    assert_true(end);
    of_reader_close(reader);
    of_entry_free(&entry);
}

#define IN_DIRECTORY(test) cmocka_unit_test_setup_teardown(test, make_directory, remove_directory)

int main(void) {
    const struct CMUnitTest tests[] = {
        IN_DIRECTORY(test_tar),
        IN_DIRECTORY(test_tar_gz),
        IN_DIRECTORY(test_zip),
        IN_DIRECTORY(test_misnamed_archive),
        IN_DIRECTORY(test_empty_archives),
        IN_DIRECTORY(test_archive_of_bad_images),
        IN_DIRECTORY(test_truncated_tar),
        IN_DIRECTORY(test_truncated_tar_gz),
        IN_DIRECTORY(test_truncated_zip),
        IN_DIRECTORY(test_damaged_tar_header),
        IN_DIRECTORY(test_damage_in_the_first_image),
        IN_DIRECTORY(test_member_over_the_limit),
        IN_DIRECTORY(test_links_in_tar),
        IN_DIRECTORY(test_utf8_names_in_zip),
        IN_DIRECTORY(test_compressed_twice),
        IN_DIRECTORY(test_budget_of_unpacked_bytes),
        IN_DIRECTORY(test_endless_name_in_gzip),
        IN_DIRECTORY(test_cancelled_opening),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
