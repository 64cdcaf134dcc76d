/* SPDX-License-Identifier: Apache-2.0 */
/* Models: the table of parameters, initialisation, metadata, and weight files good and bad. */
#define _XOPEN_SOURCE 700
#include <dirent.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/memory.h"
#include "model/mixing.h"
#include "model/weights.h"

static of_error error;
static char folder[64], path[96];

static int make_folder(void **state) {
    (void)state;
    (void)snprintf(folder, sizeof folder, "/tmp/outflow-test-XXXXXX");
    if (mkdtemp(folder) == NULL)
        return -1;
    (void)snprintf(path, sizeof path, "%s/model.safetensors", folder);
    return 0;
}

static int remove_folder(void **state) {
    (void)state;
    (void)unlink(path);
    return rmdir(folder);
}

/* 1x8x8, two scales, one step, hidden 3: small, and every kind of tensor is there. */
static of_architecture tiny(void) {
    of_architecture architecture = of_architecture_default();
    architecture.channels = 1;
    architecture.height = architecture.width = 8;
    architecture.scales = 2;
    architecture.steps = 1;
    architecture.hidden = 3;
    return architecture;
}

static of_model *create(of_architecture architecture, uint64_t seed) {
    of_model *model = NULL;
    assert_int_equal(of_model_create(&architecture, seed, &model, &error), OF_OK);
    return model;
}

static void expect_tensors(of_architecture architecture, const char *const *names, size_t count) {
    of_model *model = NULL;
    assert_int_equal(of_model_allocate(&architecture, &model, &error), OF_OK);
    assert_int_equal(of_model_tensor_count(model), count);
    size_t values = 0;
    for (size_t i = 0; i < count; i++) {
        of_tensor_info tensor = of_model_tensor(model, i);
        char text[192];
        int used = snprintf(text, sizeof text, "%s", tensor.name);
        size_t product = 1;
        for (uint32_t k = 0; k < tensor.rank; k++) {
            used += snprintf(text + used, sizeof text - (size_t)used, " %d", (int)tensor.shape[k]);
            product *= tensor.shape[k];
        }
        assert_string_equal(text, names[i]);
        assert_int_equal(of_model_find(model, tensor.name), i);
        assert_int_equal(model->parameters[i].offset % OF_ALIGNMENT, 0);
        assert_true((tensor.values == NULL) == tensor.is_index);
        assert_true((tensor.indices == NULL) != tensor.is_index);
        values += product;
    }
    assert_int_equal(of_model_parameter_count(model), values);
    assert_int_equal(of_model_find(model, "scales.0"), OF_NO_PARAMETER);
    assert_null(of_model_tensor(model, count).name);
    of_model_free(model);
}

static void tables_have_the_documented_names_and_shapes(void **state) {
    (void)state;
    static const char *const conv[] = {
        "scales.0.steps.0.actnorm.loc 4",
        "scales.0.steps.0.actnorm.log_scale 4",
        "scales.0.steps.0.mix.permutation 4 4",
        "scales.0.steps.0.mix.sign 4",
        "scales.0.steps.0.mix.lower 4 4",
        "scales.0.steps.0.mix.log_diag 4",
        "scales.0.steps.0.mix.upper 4 4",
        "scales.0.steps.0.net.conv1.weight 3 2 3 3",
        "scales.0.steps.0.net.conv1.actnorm.loc 3",
        "scales.0.steps.0.net.conv1.actnorm.log_scale 3",
        "scales.0.steps.0.net.conv2.weight 3 3 1 1",
        "scales.0.steps.0.net.conv2.actnorm.loc 3",
        "scales.0.steps.0.net.conv2.actnorm.log_scale 3",
        "scales.0.steps.0.net.conv3.weight 4 3 3 3",
        "scales.0.steps.0.net.conv3.bias 4",
        "scales.0.steps.0.net.conv3.log_scale 4",
        "scales.0.prior.loc 64",
        "scales.0.prior.log_scale 64",
    };
    of_architecture architecture = tiny();
    architecture.scales = 1;
    expect_tensors(architecture, conv, 18);
}

static void dense_additive_shuffled_tables(void **state) {
    (void)state;
    static const char *const dense[] = {
        "scales.0.steps.0.actnorm.loc 64",
        "scales.0.steps.0.actnorm.log_scale 64",
        "scales.0.steps.0.mix.indices 64",
        "scales.0.steps.0.net.fc1.weight 3 32",
        "scales.0.steps.0.net.fc1.bias 3",
        "scales.0.steps.0.net.fc2.weight 3 3",
        "scales.0.steps.0.net.fc2.bias 3",
        "scales.0.steps.0.net.fc3.weight 32 3",
        "scales.0.steps.0.net.fc3.bias 32",
        "scales.0.prior.loc 32",
        "scales.0.prior.log_scale 32",
        "scales.1.steps.0.actnorm.loc 32",
        "scales.1.steps.0.actnorm.log_scale 32",
        "scales.1.steps.0.mix.indices 32",
        "scales.1.steps.0.net.fc1.weight 3 16",
        "scales.1.steps.0.net.fc1.bias 3",
        "scales.1.steps.0.net.fc2.weight 3 3",
        "scales.1.steps.0.net.fc2.bias 3",
        "scales.1.steps.0.net.fc3.weight 16 3",
        "scales.1.steps.0.net.fc3.bias 16",
        "scales.1.prior.loc 32",
        "scales.1.prior.log_scale 32",
        "classes.0.scales.0.actnorm.loc 32",
        "classes.0.scales.0.actnorm.log_scale 32",
        "classes.0.scales.0.mean 32",
        "classes.0.scales.0.log_std 32",
        "classes.0.scales.1.actnorm.loc 32",
        "classes.0.scales.1.actnorm.log_scale 32",
        "classes.0.scales.1.mean 32",
        "classes.0.scales.1.log_std 32",
    };
    of_architecture architecture = tiny();
    architecture.block = OF_BLOCK_DENSE;
    architecture.coupling = OF_COUPLING_ADDITIVE;
    architecture.permutation = OF_PERMUTATION_SHUFFLE; /* `lu` stays true: it is ignored */
    architecture.classes = 1;
    expect_tensors(architecture, dense, 30);
}

static void creation_is_deterministic(void **state) {
    (void)state;
    of_model *first = create(tiny(), 7), *again = create(tiny(), 7), *other = create(tiny(), 8);
    assert_memory_equal(first->values, again->values, first->value_bytes);
    assert_int_not_equal(memcmp(first->values, other->values, first->value_bytes), 0);
    of_model_free(first);
    of_model_free(again);
    of_model_free(other);
}

static void new_weights_have_the_documented_distribution(void **state) {
    (void)state;
    of_architecture architecture = of_architecture_default();
    architecture.steps = 1;
    of_model *model = create(architecture, 1);
    static const char *const drawn[] = {"scales.0.steps.0.net.conv1.weight",
                                        "scales.1.steps.0.net.conv2.weight"};
    for (size_t i = 0; i < 2; i++) {
        int number = of_model_find(model, drawn[i]);
        const float *values = of_model_values(model, number);
        double sum = 0, squares = 0, count = (double)model->parameters[number].count;
        for (size_t k = 0; k < model->parameters[number].count; k++) {
            sum += values[k];
            squares += (double)values[k] * values[k];
        }
        assert_true(fabs(sum / count) < 5 * 0.05 / sqrt(count));
        assert_true(fabs(sqrt(squares / count) - 0.05) < 5 * 0.05 / sqrt(2 * count));
    }
    for (size_t i = 0; i < model->parameter_count; i++) { /* all else is neutral */
        const char *name = model->parameters[i].name;
        if (strstr(name, ".mix.") != NULL || strstr(name, "conv1.weight") != NULL ||
            strstr(name, "conv2.weight") != NULL)
            continue;
        for (size_t k = 0; k < model->parameters[i].count; k++)
            assert_true(of_model_values(model, (int)i)[k] == 0);
    }
    of_model_free(model);
}

static void new_mixing_matrices_are_rotations(void **state) {
    (void)state;
    for (int form = 0; form < 4; form++) {
        of_architecture architecture = tiny();
        architecture.lu = form == 0;
        architecture.permutation = form < 2 ? OF_PERMUTATION_INVCONV : (of_permutation)(form - 1);
        of_model *model = create(architecture, 3);
        for (uint32_t scale = 0; scale < 2; scale++) {
            size_t n = of_mixing_width(model, scale);
            double w[64], log_abs_det;
            assert_int_equal(n, scale == 0 ? 4 : 8);
            assert_int_equal(of_mixing_matrix(model, scale, 0, w, &log_abs_det, &error), OF_OK);
            assert_true(fabs(log_abs_det) < 1e-6);
            for (size_t i = 0; i < n * n; i++) {
                double sum = 0;
                for (size_t k = 0; k < n; k++)
                    sum += w[i / n * n + k] * w[i % n * n + k];
                assert_true(fabs(sum - (i / n == i % n)) < 1e-6);
            }
        }
        of_model_free(model);
    }
}

static void metadata_is_kept(void **state) {
    (void)state;
    of_model *model = create(tiny(), 1);
    assert_null(of_model_metadata(model, "training"));
    assert_int_equal(of_model_set_metadata(model, "training", "10 epochs", &error), OF_OK);
    assert_int_equal(of_model_set_metadata(model, "note", "a\nb", &error), OF_OK);
    assert_int_equal(of_model_set_metadata(model, "training", "\xc3\xa9", &error), OF_OK);
    assert_string_equal(of_model_metadata(model, "training"), "\xc3\xa9");
    assert_int_equal(of_model_save(model, path, &error), OF_OK);
    of_model_free(model);
    assert_int_equal(of_model_load(path, &model, &error), OF_OK);
    assert_string_equal(of_model_metadata(model, "training"), "\xc3\xa9");
    assert_string_equal(of_model_metadata(model, "note"), "a\nb");
    assert_int_equal(of_model_set_metadata(model, "training", NULL, &error), OF_OK);
    assert_int_equal(of_model_set_metadata(model, "training", NULL, &error), OF_OK);
    assert_null(of_model_metadata(model, "training"));
    assert_string_equal(of_model_metadata(model, "note"), "a\nb");
    assert_int_equal(of_model_set_metadata(model, "note", "\xff", &error), OF_ERROR_ARGUMENT);
    assert_int_equal(of_model_set_metadata(model, "format", "x", &error), OF_ERROR_ARGUMENT);
    assert_int_equal(of_model_set_metadata(model, "", "x", &error), OF_ERROR_ARGUMENT);
    of_model_free(model);
}

static void every_variant_round_trips(void **state) {
    (void)state;
    for (int variant = 0; variant < 32; variant++) {
        of_architecture architecture = tiny();
        architecture.family = variant & 1 ? OF_FAMILY_PATCH_GLOW : OF_FAMILY_GLOW;
        architecture.coupling = variant & 2 ? OF_COUPLING_ADDITIVE : OF_COUPLING_AFFINE;
        architecture.block = variant & 4 ? OF_BLOCK_DENSE : OF_BLOCK_CONV;
        architecture.permutation = (of_permutation)(variant >> 3 & 3) % 3;
        architecture.lu = variant >> 3 == 3 ? false : true;
        architecture.classes = (uint32_t)variant % 3;
        of_model *model = create(architecture, 5), *read = NULL;
        assert_int_equal(of_model_save(model, path, &error), OF_OK);
        assert_int_equal(of_model_load(path, &read, &error), OF_OK);
        assert_int_equal(read->parameter_count, model->parameter_count);
        assert_memory_equal(read->values, model->values, model->value_bytes);
        assert_int_equal(read->architecture.family, architecture.family);
        of_model_free(model);
        of_model_free(read);
    }
}

static void bf16_storage_halves_the_file(void **state) {
    (void)state;
    of_model *model = create(tiny(), 5), *read = NULL;
    assert_int_equal(of_model_save_as(model, OF_DTYPE_BF16, path, &error), OF_OK);
    assert_int_equal(of_model_load(path, &read, &error), OF_OK);
    for (size_t i = 0; i < model->parameter_count; i++)
        for (size_t k = 0; k < model->parameters[i].count; k++) {
            double exact = of_model_values(model, (int)i)[k];
            assert_true(fabs(of_model_values(read, (int)i)[k] - exact) <= fabs(exact) / 256);
        }
    of_model_free(model);
    of_model_free(read);
}

static void poisoned_models_are_not_saved(void **state) {
    (void)state;
    of_model *model = create(tiny(), 5);
    assert_int_equal(of_model_save(model, path, &error), OF_OK);
    of_model_values(model, of_model_find(model, "scales.1.prior.loc"))[3] = NAN;
    assert_int_equal(of_model_save(model, path, &error), OF_ERROR_NUMERIC);
    assert_non_null(strstr(error.message, "'scales.1.prior.loc': value 3"));
    of_model_free(model);
    assert_int_equal(of_model_load(path, &model, &error), OF_OK); /* the old file still stands */
    of_model_free(model);
}

enum { IMAGE_BYTES = 1 << 24 };

/* A file as bytes, and the place of each tensor in it. */
typedef struct image {
    unsigned char *bytes;
    size_t length, header;
} image;

static image read_image(void) {
    FILE *file = fopen(path, "rb");
    image result = {.bytes = malloc(IMAGE_BYTES)};
    assert_non_null(file);
    assert_non_null(result.bytes);
    result.length = fread(result.bytes, 1, IMAGE_BYTES, file);
    assert_int_equal(fclose(file), 0);
    memcpy(&result.header, result.bytes, 8);
    return result;
}

static unsigned char *tensor_bytes(const image *from, const char *name) {
    of_safetensors file;
    assert_int_equal(of_safetensors_parse(from->bytes, from->length, "f", &file, &error), OF_OK);
    const of_safetensor *tensor = of_safetensors_find(&file, name);
    assert_non_null(tensor);
    ptrdiff_t offset = tensor->data - from->bytes;
    of_safetensors_close(&file);
    return from->bytes + offset;
}

/* Replaces the first `from` in the header by `to`, of the same length. */
static void edit_header(image *file, const char *from, const char *to) {
    size_t length = strlen(from);
    assert_int_equal(length, strlen(to));
    for (size_t i = 8; i + length <= 8 + file->header; i++)
        if (memcmp(file->bytes + i, from, length) == 0) {
            memcpy(file->bytes + i, to, length);
            return;
        }
    fail_msg("header lacks '%s'", from);
}

static void expect_refusal(image *file, of_status expected, const char *word) {
    of_model *model = NULL;
    of_status status = of_model_parse(file->bytes, file->length, "bad.file", &model, &error);
    if (status != expected || model != NULL || strstr(error.message, word) == NULL ||
        strstr(error.message, "bad.file") == NULL)
        fail_msg("%s, '%s' should be %s and hold '%s'", of_status_name(status), error.message,
                 of_status_name(expected), word);
    free(file->bytes);
}

static image saved(of_architecture architecture) {
    of_model *model = create(architecture, 2);
    assert_int_equal(of_model_save(model, path, &error), OF_OK);
    of_model_free(model);
    return read_image();
}

static void headers_that_do_not_fit_are_refused(void **state) {
    (void)state;
    static const struct {
        const char *from, *to, *word;
    } cases[] = {
        {"scales.1.prior.loc", "scales.1.prior.lok", "'scales.1.prior.loc': is missing; instead"},
        {"\"format\":\"outflow\"", "\"format\":\"outflaw\"", "format is 'outflaw'"},
        {"\"format\"", "\"farmot\"", "format is 'not stated'"},
        {"\"version\"", "\"versoin\"", "lacks the version"},
        {"\"architecture\"", "\"archietcture\"", "lacks the architecture"},
        {"\\\"steps\\\":1", "\\\"steps\\\":2", "'scales.0.steps.1.actnorm.loc': is missing"},
        {"\\\"steps\\\":1", "\\\"stops\\\":1", "'stops' must be absent"},
        {"\\\"hidden\\\":3", "\\\"hidden\\\":4",
         "'scales.0.steps.0.net.conv1.weight': shape is [3, 2, 3, 3], the architecture has [4,"},
        {"\\\"scales\\\":2", "\\\"scales\\\":1",
         "'scales.0.prior.loc': shape is [32], the architecture has [64]"},
        {"\\\"lu\\\":true", "\\\"lu\\\":null", "'lu' must be true or false"},
        {"\"shape\":[4]", "\"shape\":[3]", "'scales.0.steps.0.actnorm.loc': data_offsets do not"},
        {"\"F32\",\"shape\":[4]", "\"I32\",\"shape\":[4]",
         "'scales.0.steps.0.actnorm.loc': dtype is I32, must be F32 or BF16"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        image file = saved(tiny());
        edit_header(&file, cases[i].from, cases[i].to);
        expect_refusal(&file, OF_ERROR_FORMAT, cases[i].word);
    }
    image file = saved(tiny());
    edit_header(&file, "\"version\":\"1\"", "\"version\":\"2\"");
    expect_refusal(&file, OF_ERROR_UNSUPPORTED, "version '2'");
}

static void surplus_tensors_are_refused(void **state) {
    (void)state;
    of_architecture architecture = tiny();
    architecture.classes = 1;
    image file = saved(architecture);
    edit_header(&file, "\\\"classes\\\":1", "\\\"classes\\\":0");
    expect_refusal(&file, OF_ERROR_FORMAT, "'classes.0.scales.0.actnorm.loc': is not part of");
}

static void bad_values_are_refused(void **state) {
    (void)state;
    static const struct {
        const char *tensor, *word;
        size_t value;
        float bad;
    } cases[] = {
        {"scales.0.steps.0.net.conv2.weight", "value 8 is not finite", 8, NAN},
        {"scales.1.prior.log_scale", "value 0 is not finite", 0, -INFINITY},
        {"scales.0.steps.0.mix.permutation", "is not a permutation matrix", 5, 0.5f},
        {"scales.0.steps.0.mix.sign", "holds other values than 1 and -1", 3, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        image file = saved(tiny());
        memcpy(tensor_bytes(&file, cases[i].tensor) + 4 * cases[i].value, &cases[i].bad, 4);
        char expected[192];
        (void)snprintf(expected, sizeof expected, "tensor '%s': %s", cases[i].tensor,
                       cases[i].word);
        expect_refusal(&file, OF_ERROR_FORMAT, expected);
    }
}

/* Two ones in a column, two in a row, none in a row. */
static void near_permutations_are_refused(void **state) {
    (void)state;
    static const float matrices[3][16] = {
        {1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1},
        {1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1},
        {1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0},
    };
    for (size_t i = 0; i < 3; i++) {
        image file = saved(tiny());
        memcpy(tensor_bytes(&file, "scales.0.steps.0.mix.permutation"), matrices[i], 64);
        expect_refusal(&file, OF_ERROR_FORMAT, "is not a permutation matrix");
    }
    of_architecture architecture = tiny();
    architecture.permutation = OF_PERMUTATION_SHUFFLE;
    static const int64_t indices[4] = {-1, 8, INT64_MAX, INT64_MIN};
    for (size_t i = 0; i < 5; i++) {
        image file = saved(architecture);
        unsigned char *values = tensor_bytes(&file, "scales.1.steps.0.mix.indices");
        memcpy(values, i < 4 ? (const unsigned char *)&indices[i] : values + 8, 8);
        expect_refusal(&file, OF_ERROR_FORMAT,
                       "'scales.1.steps.0.mix.indices': is not a permutation");
    }
    image file = saved(architecture);
    edit_header(&file, "\"I64\"", "\"F64\"");
    expect_refusal(&file, OF_ERROR_FORMAT, "dtype is F64, must be I64");
}

/* A small file that claims a large architecture must fail before memory is taken for it. */
static void large_claims_cost_nothing(void **state) {
    (void)state;
    of_architecture architecture = tiny();
    architecture.hidden = 1000;
    image file = saved(architecture);
    edit_header(&file, "\\\"hidden\\\":1000", "\\\"hidden\\\":4096");
    edit_header(&file, "\\\"steps\\\":1", "\\\"steps\\\":9");
    expect_refusal(&file, OF_ERROR_FORMAT, "shape is [1000, 2, 3, 3]");
}

static void models_of_other_writers_load(void **state) {
    (void)state;
    static const char *const folders[] = {TEST_SOURCE_DIR "/golden/vectors",
                                          TEST_SHARED_DIR "/golden", TEST_SHARED_DIR "/models"};
    size_t loaded = 0;
    for (size_t i = 0; i < 3; i++) {
        DIR *listing = opendir(folders[i]);
        const struct dirent *entry;
        while (listing != NULL && (entry = readdir(listing)) != NULL) {
            char name[1024];
            of_model *model = NULL;
            const char *dot = strchr(entry->d_name, '.');
            if (dot == NULL ||
                (strcmp(dot, ".model.safetensors") != 0 && strcmp(dot, ".safetensors") != 0))
                continue;
            (void)snprintf(name, sizeof name, "%s/%s", folders[i], entry->d_name);
            if (of_model_load(name, &model, &error) != OF_OK)
                fail_msg("%s", error.message);
            assert_int_equal(of_model_save(model, path, &error), OF_OK);
            of_model *read = NULL;
            assert_int_equal(of_model_load(path, &read, &error), OF_OK);
            assert_memory_equal(read->values, model->values, model->value_bytes);
            of_model_free(read);
            of_model_free(model);
            loaded++;
        }
        if (listing != NULL)
            (void)closedir(listing);
    }
    assert_true(loaded > 0);
    print_message("loaded %zu models\n", loaded);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tables_have_the_documented_names_and_shapes),
        cmocka_unit_test(dense_additive_shuffled_tables),
        cmocka_unit_test(creation_is_deterministic),
        cmocka_unit_test(new_weights_have_the_documented_distribution),
        cmocka_unit_test(new_mixing_matrices_are_rotations),
        cmocka_unit_test(metadata_is_kept),
        cmocka_unit_test(every_variant_round_trips),
        cmocka_unit_test(bf16_storage_halves_the_file),
        cmocka_unit_test(poisoned_models_are_not_saved),
        cmocka_unit_test(headers_that_do_not_fit_are_refused),
        cmocka_unit_test(surplus_tensors_are_refused),
        cmocka_unit_test(bad_values_are_refused),
        cmocka_unit_test(near_permutations_are_refused),
        cmocka_unit_test(large_claims_cost_nothing),
        cmocka_unit_test(models_of_other_writers_load),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
