/* SPDX-License-Identifier: Apache-2.0 */
/* The container: what is written reads back, and hostile files are refused with one line that
 * names the file, the tensor and the reason. */
#define _XOPEN_SOURCE 700
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "model/content_hash.h"
#include "model/floats.h"
#include "model/safetensors.h"

static of_error error;
static char folder[64], path[96];

static int make_folder(void **state) {
    (void)state;
    (void)snprintf(folder, sizeof folder, "/tmp/outflow-test-XXXXXX");
    if (mkdtemp(folder) == NULL)
        return -1;
    (void)snprintf(path, sizeof path, "%s/file.safetensors", folder);
    return 0;
}

static int remove_folder(void **state) {
    (void)state;
    (void)unlink(path);
    return rmdir(folder); /* fails when a test left a temporary file behind */
}

/* A file from its header and as many data bytes as asked for; `claimed` overrides the header's
 * length unless it is 0. Freed with free(). */
static unsigned char *build(const char *header, size_t header_bytes, uint64_t claimed, size_t data,
                            size_t *length) {
    unsigned char *bytes = calloc(1, 8 + header_bytes + data + 1);
    assert_non_null(bytes);
    claimed = claimed == 0 ? header_bytes : claimed;
    for (int i = 0; i < 8; i++)
        bytes[i] = (unsigned char)(claimed >> (8 * i));
    memcpy(bytes + 8, header, header_bytes);
    *length = 8 + header_bytes + data;
    return bytes;
}

static of_status parse(const char *header, size_t data, of_safetensors *file) {
    size_t length;
    unsigned char *bytes = build(header, strlen(header), 0, data, &length);
    unsigned char *exact = malloc(length); /* so that AddressSanitizer sees every overrun */
    assert_non_null(exact);
    memcpy(exact, bytes, length);
    of_status status = of_safetensors_parse(exact, length, "hostile.file", file, &error);
    free(bytes);
    free(exact);
    return status;
}

static void expect_message(of_status status, of_status expected, const char *word) {
    if (status != expected || strstr(error.message, word) == NULL ||
        strstr(error.message, "hostile.file") == NULL || strchr(error.message, '\n') != NULL)
        fail_msg("status %s, message '%s' should be %s and name the file and '%s'",
                 of_status_name(status), error.message, of_status_name(expected), word);
}

static void refuse(const char *header, size_t data, const char *word) {
    of_safetensors file;
    error.message[0] = '\0';
    expect_message(parse(header, data, &file), OF_ERROR_FORMAT, word);
}

#define ENTRY(name, dtype, shape, offsets)                                                         \
    "\"" name "\":{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":" offsets "}"

static void a_good_file_is_read(void **state) {
    (void)state;
    of_safetensors file;
    const char *header =
        "{\"__metadata__\":{\"k\":\"v\\u00e9\"}," ENTRY("b", "F32", "[2,1]", "[2,10]") "," ENTRY(
            "a", "BF16", "[]", "[0,2]") "," ENTRY("none", "F64", "[0,7]", "[2,2]") "}  ";
    assert_int_equal(parse(header, 10, &file), OF_OK);
    assert_int_equal(file.count, 3);
    const of_safetensor *b = of_safetensors_find(&file, "b");
    assert_non_null(b);
    assert_int_equal(b->dtype, OF_DTYPE_F32);
    assert_int_equal(b->rank, 2);
    assert_int_equal(b->shape[0], 2);
    assert_int_equal(b->count, 2);
    assert_ptr_equal(b->data, of_safetensors_find(&file, "a")->data + 2);
    assert_int_equal(of_safetensors_find(&file, "a")->count, 1); /* rank 0: one value */
    assert_int_equal(of_safetensors_find(&file, "none")->count, 0);
    assert_null(of_safetensors_find(&file, "c"));
    assert_string_equal(of_safetensors_metadata(&file, "k"), "v\xc3\xa9");
    assert_null(of_safetensors_metadata(&file, "missing"));
    of_safetensors_close(&file);
}

static void empty_containers_are_read(void **state) {
    (void)state;
    of_safetensors file;
    assert_int_equal(parse("{}", 0, &file), OF_OK);
    assert_int_equal(file.count, 0);
    assert_null(of_safetensors_find(&file, "a"));
    assert_null(of_safetensors_metadata(&file, "a"));
    of_safetensors_close(&file);
}

static void hostile_tensors_are_refused(void **state) {
    (void)state;
    static const struct {
        const char *entries, *word;
        size_t data;
    } cases[] = {
        {ENTRY("t", "F32", "[2]", "[0,8]") "," ENTRY("u", "F32", "[2]", "[4,12]"), "'u': overlaps",
         12},
        {ENTRY("t", "F32", "[2]", "[0,8]") "," ENTRY("u", "F32", "[2]", "[0,8]"), "overlaps", 8},
        {ENTRY("t", "F32", "[2]", "[0,8]") "," ENTRY("u", "F32", "[1]", "[12,16]"),
         "'u': leaves a hole", 16},
        {ENTRY("t", "F32", "[2]", "[4,12]"), "'t': leaves a hole", 12},
        {ENTRY("t", "F32", "[2]", "[0,8]"), "1 bytes after", 9},
        {ENTRY("t", "F32", "[2]", "[0,8]"), "'t': data_offsets lie beyond", 7},
        {ENTRY("t", "F32", "[2]", "[8,0]"), "'t': data_offsets end before", 8},
        {ENTRY("t", "F32", "[2]", "[-8,0]"), "'t': data_offsets", 8},
        {ENTRY("t", "F32", "[2]", "[0.5,8.5]"), "'t': data_offsets", 9},
        {ENTRY("t", "F32", "[2]", "[0,9007199254740994]"), "'t': data_offsets", 8},
        {ENTRY("t", "F32", "[2]", "[0,1e400]"), "'t': data_offsets", 8},
        {ENTRY("t", "F32", "[2]", "[0,8,8]"), "'t': data_offsets", 8},
        {ENTRY("t", "F32", "[2]", "{\"a\":0,\"b\":8}"), "'t': data_offsets", 8},
        {ENTRY("t", "F32", "[2]", "[\"0\",\"8\"]"), "'t': data_offsets", 8},
        {ENTRY("t", "F32", "[3]", "[0,8]"), "'t': data_offsets do not hold", 8},
        {ENTRY("t", "F64", "[2]", "[0,8]"), "'t': data_offsets do not hold", 8},
        {ENTRY("t", "F32", "[4294967296,4294967296]", "[0,8]"), "'t': shape overflows", 8},
        {ENTRY("t", "F32", "[9007199254740992,512]", "[0,8]"), "'t': data_offsets do not", 8},
        {ENTRY("t", "F32", "[4611686018427387905]", "[0,4]"), "'t': shape", 4},
        {ENTRY("t", "F32", "[-2]", "[0,8]"), "'t': shape", 8},
        {ENTRY("t", "F32", "[1.5]", "[0,8]"), "'t': shape", 8},
        {ENTRY("t", "F32", "[null]", "[0,8]"), "'t': shape", 8},
        {ENTRY("t", "F32", "2", "[0,8]"), "'t': shape", 8},
        {ENTRY("t", "F32", "[1,1,1,1,1,1,1,1,1]", "[0,4]"), "'t': shape", 4},
        {ENTRY("t", "F33", "[2]", "[0,8]"), "'t': unknown dtype", 8},
        {"\"t\":{\"dtype\":5,\"shape\":[2],\"data_offsets\":[0,8]}", "'t': unknown dtype", 8},
        {"\"t\":{\"shape\":[2],\"data_offsets\":[0,8]}", "'t': its entry lacks", 8},
        {"\"t\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8],\"x\":1}", "unknown key",
         8},
        {"\"t\":{\"dtype\":\"F32\",\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}",
         "'t': its entry has a key twice", 8},
        {"\"t\":7", "'t': its entry is not an object", 0},
        {ENTRY("t", "F32", "[2]", "[0,8]") "," ENTRY("t", "F32", "[2]", "[8,16]"),
         "'t': appears twice", 16},
        {"\"__metadata__\":[]", "__metadata__ is not", 0},
        {"\"__metadata__\":{\"k\":1}", "'k' is not a string", 0},
        {"\"__metadata__\":{\"k\":\"\",\"k\":\"\"}", "'k' appears twice", 0},
        {"\"__metadata__\":{},\"__metadata__\":{}", "__metadata__ appears twice", 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char header[512];
        (void)snprintf(header, sizeof header, "{%s}", cases[i].entries);
        refuse(header, cases[i].data, cases[i].word);
    }
}

static void hostile_headers_are_refused(void **state) {
    (void)state;
    refuse("", 0, "does not begin");
    refuse("[]", 0, "does not begin");
    refuse(" {}", 0, "does not begin");
    refuse("{", 0, "JSON");
    refuse("{\"a\"", 0, "JSON");
    refuse("{\"a", 0, "does not end");
    refuse("{\"a\\", 0, "does not end");
    refuse("{} x", 0, "nothing else");
    refuse("{}{}", 0, "nothing else");
    refuse("{\"a\n\":1}", 0, "control");
    refuse("{\x01}", 0, "control");
    refuse("{\"\xff\":1}", 0, "UTF-8");
    refuse("{\"\xed\xa0\x80\":1}", 0, "UTF-8");     /* a surrogate */
    refuse("{\"\xe0\x80\xaf\":1}", 0, "UTF-8");     /* overlong */
    refuse("{\"\xf4\x90\x80\x80\":1}", 0, "UTF-8"); /* above U+10FFFF */
    refuse("{\"\xc3", 0, "UTF-8");
    refuse("{\"a\\u0000b\":1}", 0, "zero");
    refuse("{\"a\":{\"b\":{\"c\":[[[[[[1]]]]]]}}}", 0, "deep");
}

/* A million nested arrays or values must be refused before they cost memory or stack. */
static void huge_headers_are_refused_cheaply(void **state) {
    (void)state;
    enum { N = 4000000 };
    char *header = malloc(N + 1);
    assert_non_null(header);
    memset(header, '[', N);
    memcpy(header, "{\"a\":", 5);
    header[N] = '\0';
    refuse(header, 0, "deep");
    for (size_t i = 6; i < N; i++)
        header[i] = i % 2 ? ',' : '1';
    refuse(header, 0, "too many values");
    free(header);
}

static void long_names_and_many_tensors_are_refused(void **state) {
    (void)state;
    char header[1024];
    (void)snprintf(header, sizeof header,
                   "{\"%0300d\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}}", 0);
    refuse(header, 0, "name is longer");
    size_t size = (size_t)(OF_SAFETENSORS_MAX_TENSORS + 1) * 16, used = 1;
    char *many = malloc(size);
    assert_non_null(many);
    many[0] = '{';
    for (int i = 0; i <= OF_SAFETENSORS_MAX_TENSORS; i++)
        used += (size_t)snprintf(many + used, size - used, "\"%d\":{},", i);
    many[used - 1] = '}';
    refuse(many, 0, "more than 65536 tensors");
    free(many);
}

static void refuse_bytes(const unsigned char *bytes, size_t length, const char *word) {
    of_safetensors file;
    unsigned char *exact = malloc(length + (length == 0));
    assert_non_null(exact);
    memcpy(exact, bytes, length);
    error.message[0] = '\0';
    expect_message(of_safetensors_parse(exact, length, "hostile.file", &file, &error),
                   OF_ERROR_FORMAT, word);
    free(exact);
}

static void lengths_are_checked(void **state) {
    (void)state;
    size_t length;
    const char *header = "{" ENTRY("t", "U8", "[2]", "[0,2]") "}";
    unsigned char *bytes = build(header, strlen(header), 0, 2, &length);
    for (size_t cut = 0; cut < length; cut++) /* truncated anywhere */
        refuse_bytes(bytes, cut, "");
    refuse_bytes(bytes, 7, "too few");
    refuse_bytes(bytes, length - 3, "truncated");
    free(bytes);
    const uint64_t claims[] = {(uint64_t)1 << 60, UINT64_MAX, 100000001, 100000000};
    for (size_t i = 0; i < 4; i++) {
        bytes = build(header, strlen(header), claims[i], 2, &length);
        refuse_bytes(bytes, length, i < 3 ? "100 MB" : "truncated");
        free(bytes);
    }
}

static void written_files_read_back(void **state) {
    (void)state;
    const float floats[6] = {0, -1.5f, 3.25f, 1e-30f, -0.0f, 1e30f};
    const int64_t integers[3] = {INT64_MIN, -1, INT64_MAX};
    const of_safetensor_source tensors[] = {
        {.name = "z.floats", .dtype = OF_DTYPE_F32, .rank = 2, .shape = {2, 3}, .values = floats},
        {.name = "a.integers", .dtype = OF_DTYPE_I64, .rank = 1, .shape = {3}, .values = integers},
        {.name = "half", .dtype = OF_DTYPE_BF16, .rank = 1, .shape = {3}, .values = floats},
        {.name = "nothing", .dtype = OF_DTYPE_F32, .rank = 1, .shape = {0}, .values = floats},
    };
    const of_metadata_source metadata[] = {{"key", "va\"l\\ue\n\xe2\x82\xac"}, {"other", ""}};
    of_safetensors file;
    for (int round = 0; round < 2; round++) /* the second replaces the first */
        assert_int_equal(of_safetensors_write(path, tensors, 4, metadata, 2, &error), OF_OK);
    assert_int_equal(of_safetensors_open(path, &file, &error), OF_OK);
    assert_int_equal(file.count, 4);
    const of_safetensor *read = of_safetensors_find(&file, "z.floats");
    assert_memory_equal(read->data, floats, sizeof floats);
    assert_int_equal(read->rank, 2);
    assert_int_equal((read->data - (const unsigned char *)file.content) % 8, 0); /* padded */
    assert_memory_equal(of_safetensors_find(&file, "a.integers")->data, integers, sizeof integers);
    float widened[3];
    of_widen_bf16(of_safetensors_find(&file, "half")->data, 3, widened);
    assert_memory_equal(widened, floats, sizeof widened);
    assert_string_equal(of_safetensors_metadata(&file, "key"), metadata[0].value);
    assert_string_equal(of_safetensors_metadata(&file, "other"), "");
    of_safetensors_close(&file);
}

/* Any one bit of tensors or of the hash itself; bytes of the header do not all matter, blanks say.
 */
static void turned_bits_are_noticed(void **state) {
    (void)state;
    const float floats[3] = {0, -1.5f, 3.25f};
    const unsigned char odd[3] = {1, 2, 3};
    const of_safetensor_source tensors[] = {
        {.name = "half", .dtype = OF_DTYPE_BF16, .rank = 1, .shape = {3}, .values = floats},
        {.name = "bytes", .dtype = OF_DTYPE_U8, .rank = 1, .shape = {3}, .values = odd},
    };
    const of_metadata_source metadata[] = {{"key", "value"}, {OF_CONTENT_HASH, "of another file"}};
    of_safetensors file;
    assert_int_equal(of_safetensors_write(path, tensors, 2, metadata, 2, &error), OF_OK);
    assert_int_equal(of_safetensors_open(path, &file, &error), OF_OK);
    assert_int_equal(strlen(of_safetensors_metadata(&file, OF_CONTENT_HASH)), 16);
    assert_int_equal(of_content_hash_check(&file, path, &error), OF_OK);
    for (size_t t = 0; t < file.count; t++) {
        size_t bytes = file.tensors[t].count * of_dtype_size(file.tensors[t].dtype);
        for (size_t bit = 0; bit < 8 * bytes; bit++) {
            unsigned char *byte = (unsigned char *)file.tensors[t].data + bit / 8;
            *byte ^= (unsigned char)(1 << bit % 8);
            assert_int_equal(of_content_hash_check(&file, path, &error), OF_ERROR_FORMAT);
            assert_non_null(strstr(error.message, "damaged"));
            *byte ^= (unsigned char)(1 << bit % 8);
        }
    }
    char *value = (char *)of_safetensors_metadata(&file, "key");
    value[0] ^= 1;
    assert_int_equal(of_content_hash_check(&file, path, &error), OF_ERROR_FORMAT);
    value[0] ^= 1;
    assert_int_equal(of_content_hash_check(&file, path, &error), OF_OK);
    of_safetensors_close(&file);
}

/* Other programs sort tensors and metadata as they like. */
static void the_hash_is_of_the_content_alone(void **state) {
    (void)state;
    const float floats[2] = {1, 2};
    of_safetensor_source tensors[] = {
        {.name = "a", .dtype = OF_DTYPE_F32, .rank = 1, .shape = {1}, .values = floats},
        {.name = "b", .dtype = OF_DTYPE_F32, .rank = 1, .shape = {1}, .values = floats + 1},
    };
    of_metadata_source metadata[] = {{"one", "1"}, {"two", "2"}};
    char hash[2][32];
    for (int round = 0; round < 2; round++) {
        of_safetensors file;
        assert_int_equal(of_safetensors_write(path, tensors, 2, metadata, 2, &error), OF_OK);
        assert_int_equal(of_safetensors_open(path, &file, &error), OF_OK);
        (void)snprintf(hash[round], sizeof hash[round], "%s",
                       of_safetensors_metadata(&file, OF_CONTENT_HASH));
        of_safetensors_close(&file);
        of_safetensor_source tensor = tensors[0];
        of_metadata_source text = metadata[0];
        tensors[0] = tensors[1], tensors[1] = tensor;
        metadata[0] = metadata[1], metadata[1] = text;
    }
    assert_string_equal(hash[0], hash[1]);
    const char *name = tensors[0].name; /* values that change their places are another content */
    tensors[0].name = tensors[1].name, tensors[1].name = name;
    of_safetensors file;
    assert_int_equal(of_safetensors_write(path, tensors, 2, metadata, 2, &error), OF_OK);
    assert_int_equal(of_safetensors_open(path, &file, &error), OF_OK);
    assert_string_not_equal(of_safetensors_metadata(&file, OF_CONTENT_HASH), hash[0]);
    of_safetensors_close(&file);
}

static void values_that_are_not_finite_are_not_written(void **state) {
    (void)state;
    float values[3] = {1, 2, NAN};
    of_safetensor_source tensor = {
        .name = "weights", .dtype = OF_DTYPE_F32, .rank = 1, .shape = {3}, .values = values};
    (void)unlink(path);
    assert_int_equal(of_safetensors_write(path, &tensor, 1, NULL, 0, &error), OF_ERROR_NUMERIC);
    assert_non_null(strstr(error.message, "'weights': value 2"));
    assert_non_null(strstr(error.message, path));
    assert_int_equal(access(path, F_OK), -1);
    values[2] = 3.4e38f; /* finite, but rounds to infinity in bfloat16 */
    assert_int_equal(of_safetensors_write(path, &tensor, 1, NULL, 0, &error), OF_OK);
    tensor.dtype = OF_DTYPE_BF16;
    assert_int_equal(of_safetensors_write(path, &tensor, 1, NULL, 0, &error), OF_ERROR_NUMERIC);
}

static void files_that_cannot_be_used_say_why(void **state) {
    (void)state;
    of_safetensors file;
    char other[128], message[128];
    (void)snprintf(other, sizeof other, "%s/missing", folder);
    assert_int_equal(of_safetensors_open(other, &file, &error), OF_ERROR_IO);
    assert_non_null(strstr(error.message, other));
    assert_int_equal(of_safetensors_open(folder, &file, &error), OF_ERROR_IO);
    assert_non_null(strstr(error.message, "not a regular file"));
    FILE *empty = fopen(path, "w");
    assert_non_null(empty);
    assert_int_equal(fclose(empty), 0);
    assert_int_equal(of_safetensors_open(path, &file, &error), OF_ERROR_FORMAT);
    (void)snprintf(message, sizeof message, "%s: 0 bytes", path);
    assert_non_null(strstr(error.message, message));
    assert_int_equal(mkfifo(other, 0600), 0); /* must not wait for a writer */
    assert_int_equal(of_safetensors_open(other, &file, &error), OF_ERROR_IO);
    assert_int_equal(of_safetensors_write(other, NULL, 0, NULL, 0, &error), OF_ERROR_IO);
    (void)unlink(other);
    (void)snprintf(other, sizeof other, "%s/no/such/folder", folder);
    assert_int_equal(of_safetensors_write(other, NULL, 0, NULL, 0, &error), OF_ERROR_IO);
    assert_non_null(strstr(error.message, other));
}

static int allowed; /* allocations of the parser until one fails; then, if `lasting`, all do */
static bool lasting;

static void *failing_malloc(size_t size) {
    bool fails = lasting ? allowed <= 0 : allowed == 0;
    allowed--;
    return fails ? NULL : malloc(size);
}

/* Lack of memory is not the file's fault; where it was but for a moment, the file is read. */
static void lack_of_memory_is_said(void **state) {
    (void)state;
    static const char header[] = "{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]}}";
    unsigned char bytes[8 + sizeof header + 1] = {sizeof header - 1};
    cJSON_Hooks hooks = {failing_malloc, free};
    of_safetensors file;
    memcpy(bytes + 8, header, sizeof header - 1);
    cJSON_InitHooks(&hooks);
    for (int i = 0; i < 10; i++) {
        allowed = i;
        lasting = true;
        assert_int_equal(of_safetensors_parse(bytes, sizeof bytes, "f", &file, &error),
                         OF_ERROR_MEMORY);
        allowed = i;
        lasting = false;
        assert_int_equal(of_safetensors_parse(bytes, sizeof bytes, "f", &file, &error), OF_OK);
        of_safetensors_close(&file);
    }
    cJSON_InitHooks(NULL);
}

/* Another process that shortens the file must not end this one. */
static void files_may_be_cut_while_in_use(void **state) {
    (void)state;
    static float values[1 << 14];
    const of_safetensor_source tensor = {
        .name = "weights", .dtype = OF_DTYPE_F32, .rank = 1, .shape = {1 << 14}, .values = values};
    of_safetensors file;
    values[1000] = values[(1 << 14) - 1] = 7;
    assert_int_equal(of_safetensors_write(path, &tensor, 1, NULL, 0, &error), OF_OK);
    assert_int_equal(of_safetensors_open(path, &file, &error), OF_OK);
    assert_int_equal(truncate(path, 100), 0);
    assert_memory_equal(of_safetensors_find(&file, "weights")->data, values, sizeof values);
    of_safetensors_close(&file);
}

static void links_are_written_through(void **state) {
    (void)state;
    char link[128];
    struct stat info;
    of_safetensors file;
    (void)snprintf(link, sizeof link, "%s/link", folder);
    assert_int_equal(of_safetensors_write(path, NULL, 0, NULL, 0, &error), OF_OK);
    assert_int_equal(symlink(path, link), 0);
    const of_metadata_source metadata[] = {{"through", "the link"}};
    assert_int_equal(of_safetensors_write(link, NULL, 0, metadata, 1, &error), OF_OK);
    assert_int_equal(lstat(link, &info), 0);
    assert_true(S_ISLNK(info.st_mode));
    assert_int_equal(of_safetensors_open(path, &file, &error), OF_OK);
    assert_string_equal(of_safetensors_metadata(&file, "through"), "the link");
    of_safetensors_close(&file);
    (void)unlink(link);
}

static float from_bits(uint32_t bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static void bf16_rounds_to_nearest_even(void **state) {
    (void)state;
    assert_int_equal(of_round_bf16(1.0f), 0x3F80);
    assert_int_equal(of_round_bf16(from_bits(0x3F808000)), 0x3F80); /* tie, even below */
    assert_int_equal(of_round_bf16(from_bits(0x3F818000)), 0x3F82); /* tie, even above */
    assert_int_equal(of_round_bf16(from_bits(0x3F808001)), 0x3F81);
    assert_int_equal(of_round_bf16(from_bits(0xBF807FFF)), 0xBF80);
    assert_int_equal(of_round_bf16(-0.0f), 0x8000);
    assert_int_equal(of_round_bf16(INFINITY), 0x7F80);
    assert_true((of_round_bf16(from_bits(0x7F800001)) & 0x7F) != 0); /* stays a NaN */
}

static void non_finite_values_are_found_anywhere(void **state) {
    (void)state;
    float values[3000] = {0};
    assert_int_equal(of_first_non_finite(values, 3000), 3000);
    static const size_t places[] = {2999, 1024, 1023, 0};
    static const float bad[] = {INFINITY, -INFINITY, NAN, NAN};
    for (size_t i = 0; i < 4; i++) {
        values[places[i]] = bad[i];
        assert_int_equal(of_first_non_finite(values, 3000), places[i]);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_file_is_read),
        cmocka_unit_test(empty_containers_are_read),
        cmocka_unit_test(hostile_tensors_are_refused),
        cmocka_unit_test(hostile_headers_are_refused),
        cmocka_unit_test(huge_headers_are_refused_cheaply),
        cmocka_unit_test(long_names_and_many_tensors_are_refused),
        cmocka_unit_test(lengths_are_checked),
        cmocka_unit_test(written_files_read_back),
        cmocka_unit_test(turned_bits_are_noticed),
        cmocka_unit_test(the_hash_is_of_the_content_alone),
        cmocka_unit_test(values_that_are_not_finite_are_not_written),
        cmocka_unit_test(files_that_cannot_be_used_say_why),
        cmocka_unit_test(lack_of_memory_is_said),
        cmocka_unit_test(files_may_be_cut_while_in_use),
        cmocka_unit_test(links_are_written_through),
        cmocka_unit_test(bf16_rounds_to_nearest_even),
        cmocka_unit_test(non_finite_values_are_found_anywhere),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
