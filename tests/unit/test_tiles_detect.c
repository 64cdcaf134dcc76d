/* SPDX-License-Identifier: Apache-2.0 */
/* Detectors that cut pictures: values, calibration, p-values, and what is refused. */
#define _XOPEN_SOURCE 700
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
/* clang-format on */

#include "data/pixels/tiles.h"
#include "detector_fixture.h"
#include "score/calibration.h"
#include "score/calibration_pictures.h"

#include <ftw.h>
#include <math.h>
#include <outflow/evaluate.h>
#include <sys/stat.h>
#include <unistd.h>

enum { HEIGHT = 41, WIDTH = 60, PICTURES = 48 };

static char folder[64];
static fixture models;

/* Noise, of another contrast in each picture; the last pictures have a white corner. */
static void fill_picture(size_t number, uint8_t *pixels) {
    of_random random = of_random_stream(3, number);
    for (size_t i = 0; i < (size_t)HEIGHT * WIDTH * 3; i++)
        pixels[i] = (uint8_t)(100 + of_random_u32(&random) % (20 + number));
}

static void write_picture(const char *name, const uint8_t *pixels, uint32_t height,
                          uint32_t width) {
    char path[128];
    uint8_t *png;
    size_t size;
    assert_int_equal(of_png_encode(pixels, 3, height, width, &png, &size, NULL), OF_OK);
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(png, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
    of_free(png);
}

static int open_all(void **state) {
    uint8_t pixels[HEIGHT * WIDTH * 3];
    (void)state;
    (void)snprintf(folder, sizeof folder, "/tmp/outflow-test-XXXXXX");
    assert_non_null(mkdtemp(folder));
    for (size_t i = 0; i < PICTURES; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "%02zu.png", i);
        fill_picture(i, pixels);
        write_picture(name, pixels, HEIGHT, WIDTH);
    }
    models = make_fixture(2);
    return 0;
}

static int remove_one(const char *path, const struct stat *info, int kind, struct FTW *place) {
    (void)info, (void)kind, (void)place;
    return remove(path);
}

static int close_all(void **state) {
    (void)state;
    (void)nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free_fixture(&models);
    return 0;
}

static of_detector *cutter(uint32_t size, uint32_t stride, unsigned threads) {
    of_detector_models given = of_detector_models_default();
    of_detector_options options = of_detector_options_default();
    of_detector *detector = NULL;
    given.model = models.model;
    given.general_model = models.general;
    options.threads = threads;
    options.tiles = (of_tiling){size, stride};
    assert_int_equal(of_detector_create(&given, &options, &detector, NULL), OF_OK);
    return detector;
}

/* ---- Values ------------------------------------------------------------------------------------
 */

typedef struct seen_picture {
    char path[32];
    double values[4], means[4], heat_sum;
    uint64_t tiles;
    uint32_t height, width;
} seen_picture;

typedef struct seen {
    const of_detector *detector;
    seen_picture pictures[PICTURES];
    size_t count, tiles;
} seen;

static const of_score scores[4] = {
    {OF_SCORE_NLL, 0}, {OF_SCORE_RATIO, 0}, {OF_SCORE_SCALE, 1}, {OF_SCORE_COMPLEXITY, 0}};

static of_status see(void *user, const of_scored_batch *batch, of_error *error) {
    seen *s = user;
    (void)error;
    assert_int_equal(of_scored_count(batch), 1);
    of_image_likelihood image = of_scored_likelihood(batch, 0);
    const of_item *item = of_scored_item(batch, 0);
    seen_picture *p = &s->pictures[s->count++];
    *p = (seen_picture){.tiles = image.tiles->count, .height = item->height, .width = item->width};
    (void)snprintf(p->path, sizeof p->path, "%s", item->path);
    for (size_t i = 0; i < 4; i++) {
        size_t at = of_tile_summary_find(image.tiles, scores[i]);
        assert_true(at < image.tiles->score_count);
        p->values[i] = of_detector_value(s->detector, scores[i], &image);
        p->means[i] = image.tiles->means[at];
        assert_true(p->values[i] == image.tiles->maxima[at]);
    }
    const of_tiled_heat *heat = of_scored_heat(batch, 0);
    for (size_t i = 0; heat != NULL && i < (size_t)heat->height * heat->width; i++)
        p->heat_sum += heat->values[i];
    return OF_OK;
}

static of_status count_tiles(void *user, const of_scored_batch *tiles, of_error *error) {
    seen *s = user;
    (void)error;
    s->tiles += of_scored_count(tiles);
    return OF_OK;
}

static void stream(const of_detector *detector, size_t batch, uint64_t limit, uint64_t every,
                   seen *s) {
    of_stream_options options = of_stream_options_default();
    of_stream_result result;
    *s = (seen){.detector = detector};
    options.batch = batch;
    options.limit = limit;
    options.every = every;
    options.needs = OF_NEEDS_PNG;
    options.tile_heat = &scores[1];
    options.tile_visit = count_tiles;
    options.tile_user = s;
    of_error error;
    if (of_detector_stream(detector, folder, &options, see, s, &result, &error) != OF_OK)
        fail_msg("%s", error.message);
    assert_int_equal(result.images, s->count);
}

/* The largest and the mean of what the windows score as images of their own. */
static void check_by_hand(const seen_picture *picture, size_t number, const of_tiling *tiling) {
    static uint8_t pixels[HEIGHT * WIDTH * 3], window[16 * 16 * 3];
    of_tile_grid grid = of_tile_grid_of(tiling, 16, 16, HEIGHT, WIDTH);
    double most[4] = {-INFINITY, -INFINITY, -INFINITY, -INFINITY}, sums[4] = {0}, values[4];
    fill_picture(number, pixels);
    uint64_t count = of_tile_grid_count(&grid);
    for (uint64_t n = 0; n < count; n++) {
        of_tile tile = of_tile_grid_at(&grid, 0, n);
        for (size_t y = 0; y < 16; y++)
            memcpy(window + y * 48, pixels + ((tile.y + y) * WIDTH + tile.x) * 3, 48);
        const of_batch batch = {OF_PIXEL_U8, window, 1};
        assert_int_equal(of_detector_score(models.detector, &batch, scores, 4, values, NULL),
                         OF_OK);
        for (size_t i = 0; i < 4; i++) {
            most[i] = fmax(most[i], values[i]);
            sums[i] += values[i];
        }
    }
    assert_int_equal(picture->tiles, count);
    for (size_t i = 0; i < 4; i++) {
        assert_true(picture->values[i] == most[i]);
        assert_true(fabs(picture->means[i] - sums[i] / (double)count) < 1e-9 * fabs(most[i]));
    }
}

static void test_values(void **state) {
    (void)state;
    static const of_tiling tilings[] = {{16, 8}, {16, 16}, {16, 5}};
    static seen s;
    for (size_t t = 0; t < 3; t++) {
        of_detector *detector = cutter(tilings[t].size, tilings[t].stride, 2);
        stream(detector, 0, 5, 0, &s);
        assert_int_equal(s.count, 5);
        for (size_t p = 0; p < s.count; p++) {
            assert_true(s.pictures[p].height == HEIGHT && s.pictures[p].width == WIDTH);
            check_by_hand(&s.pictures[p], p, &tilings[t]);
        }
        assert_int_equal(s.tiles, 5 * s.pictures[0].tiles);
        of_detector_free(detector);
    }
}

/* Batches that end anywhere in a picture, and threads, change no bit. */
static void test_batches(void **state) {
    (void)state;
    static seen expected, s;
    static const size_t batches[] = {1, 7, 19, 1000};
    of_detector *detector = cutter(16, 8, 1);
    stream(detector, 64, 4, 0, &expected);
    for (size_t b = 0; b < 4; b++) {
        stream(detector, batches[b], 4, 0, &s);
        assert_int_equal(s.count, 4);
        assert_memory_equal(s.pictures, expected.pictures, sizeof s.pictures);
    }
    of_detector_free(detector);
    detector = cutter(16, 8, 2);
    stream(detector, 33, 4, 0, &s);
    assert_memory_equal(s.pictures, expected.pictures, sizeof s.pictures);
    of_detector_free(detector);
}

/* limit and every are of pictures. */
static void test_limits(void **state) {
    (void)state;
    static seen s;
    of_detector *detector = cutter(16, 16, 1);
    stream(detector, 0, 7, 3, &s);
    assert_int_equal(s.count, 3);
    assert_string_equal(s.pictures[0].path, "00.png");
    assert_string_equal(s.pictures[1].path, "03.png");
    assert_string_equal(s.pictures[2].path, "06.png");
    of_detector_free(detector);
}

/* ---- Calibration -------------------------------------------------------------------------------
 */

static of_detector *calibrated(void) {
    of_detector *detector = cutter(16, 8, 2);
    of_stream_result result;
    of_error error;
    if (of_detector_calibrate(detector, folder, NULL, &result, &error) != OF_OK)
        fail_msg("%s", error.message);
    assert_int_equal(result.images, PICTURES);
    return detector;
}

/* p = (1 + pictures whose largest is at least this) / (n + 1), exactly; fitted scores count half.
 */
static void test_p_values(void **state) {
    (void)state;
    static seen s;
    of_detector *detector = calibrated();
    of_calibration_info info = of_calibration_describe(of_detector_describe(detector).calibration);
    assert_true(info.pictures == PICTURES && info.tiling.size == 16 && info.tiling.stride == 8);
    stream(detector, 0, 0, 0, &s);
    for (size_t k = 0; k < 4; k++)
        for (size_t p = 0; p < PICTURES; p++) {
            size_t above = 0;
            for (size_t q = 0; q < PICTURES; q++)
                above += s.pictures[q].values[k] >= s.pictures[p].values[k];
            double p_value = of_detector_p_value(detector, scores[k], s.pictures[p].values[k]);
            assert_true(p_value == (1 + (double)above) / (PICTURES + 1));
        }
    const of_score combined = {OF_SCORE_COMBINED, 0};
    assert_true(of_detector_p_value(detector, combined, INFINITY) == 1.0 / (PICTURES / 2 + 1));
    const of_flag_rule possible = {combined, .rate = 0.05}, impossible = {combined, .rate = 0.01};
    of_error error;
    assert_int_equal(of_detector_check_rule(detector, &possible, &error), OF_OK);
    assert_int_equal(of_detector_check_rule(detector, &impossible, &error), OF_ERROR_ARGUMENT);
    assert_non_null(strstr(error.message, "198 pictures"));
    of_detector_free(detector);
}

/* Through a file: the next detector cuts alike without being told, and another way on demand. */
static void test_saving(void **state) {
    (void)state;
    char path[128];
    of_error error;
    of_detector *detector = calibrated(), *read = NULL, *other = NULL, *whole = NULL;
    of_detector_options options = of_detector_options_default();
    const of_score nll = {OF_SCORE_NLL, 0};
    (void)snprintf(path, sizeof path, "%s/model.safetensors", folder);
    of_save_options save = of_save_options_default();
    save.bundle = true;
    assert_int_equal(of_detector_save(detector, path, &save, &error), OF_OK);
    options.model = path;
    assert_int_equal(of_detector_open(&options, &read, &error), OF_OK);
    assert_true(of_detector_tiling(read).size == 16 && of_detector_tiling(read).stride == 8);
    for (int percent = 5; percent < 99; percent += 10) {
        double rate = percent / 100.0;
        assert_true(of_detector_threshold(read, nll, rate) ==
                    of_detector_threshold(detector, nll, rate));
    }
    options.tiles = (of_tiling){16, 16};
    assert_int_equal(of_detector_open(&options, &other, &error), OF_OK);
    assert_int_equal(of_detector_check_p_value(other, nll, &error), OF_ERROR_MISMATCH);
    assert_string_equal(error.setting, "tiles");
    assert_true(isnan(of_detector_p_value(other, nll, 0)));
    assert_true(of_detector_tile_p_value(other, nll, 0) > 0);
    options.whole = true;
    assert_int_equal(of_detector_open(&options, &whole, &error), OF_OK);
    assert_int_equal(of_detector_tiling(whole).size, 0);
    assert_int_equal(unlink(path), 0);
    of_detector_free(detector);
    of_detector_free(read);
    of_detector_free(other);
    of_detector_free(whole);
}

static void test_few_pictures(void **state) {
    (void)state;
    of_stream_options options = of_stream_options_default();
    of_detector *detector = cutter(16, 8, 1);
    of_error error;
    options.limit = OF_CALIBRATION_LEAST_PICTURES - 1;
    assert_int_equal(of_detector_calibrate(detector, folder, &options, NULL, &error),
                     OF_ERROR_ARGUMENT);
    assert_null(of_detector_describe(detector).calibration);
    assert_int_equal(of_detector_calibrate(detector, "-", NULL, NULL, &error), OF_ERROR_ARGUMENT);
    options.limit++;
    assert_int_equal(of_detector_calibrate(detector, folder, &options, NULL, &error), OF_OK);
    of_detector_free(detector);
}

/* A text that lacks something of "tiles", or says something impossible, is refused. */
static void test_damaged_text(void **state) {
    (void)state;
    static const char *const changes[][2] = {{"\"size\":16", "\"size\":3"},
                                             {"\"size\":16", "\"size\":99999999"},
                                             {"\"stride\":8", "\"stride\":17"},
                                             {"\"stride\":8", "\"stride\":0"},
                                             {"\"pictures\":48", "\"pictures\":4"},
                                             {"\"pictures\":48", "\"pictures\":-1"},
                                             {"\"tiles\"", "\"tales\""}};
    of_detector *detector = calibrated();
    char *text = of_calibration_print(of_detector_describe(detector).calibration);
    assert_non_null(text);
    const of_architecture *a = of_detector_architecture(detector);
    of_calibration *read;
    assert_int_equal(of_calibration_parse(text, a, &read, NULL), OF_OK);
    of_calibration_free(read);
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        const char *at = strstr(text, changes[i][0]);
        assert_non_null(at);
        size_t size = strlen(text) + 64;
        char *changed = malloc(size);
        assert_non_null(changed);
        (void)snprintf(changed, size, "%.*s%s%s", (int)(at - text), text, changes[i][1],
                       at + strlen(changes[i][0]));
        of_error error;
        assert_int_equal(of_calibration_parse(changed, a, &read, &error), OF_ERROR_FORMAT);
        free(changed);
    }
    free(text);
    of_detector_free(detector);
}

/* ---- The rest ----------------------------------------------------------------------------------
 */

static void test_bonferroni(void **state) {
    (void)state;
    const double least[2] = {0.01, NAN};
    of_tile_summary tiles = {.count = 7, .score_count = 2, .scores = scores, .least_p = least};
    assert_true(fabs(of_tile_bonferroni(&tiles, scores[0]) - 0.07) < 1e-15);
    assert_true(isnan(of_tile_bonferroni(&tiles, scores[1])));
    assert_true(isnan(of_tile_bonferroni(&tiles, scores[3])));
    tiles.count = 1000;
    assert_true(of_tile_bonferroni(&tiles, scores[0]) == 1);
}

static void test_bad_tilings(void **state) {
    (void)state;
    static const of_tiling bad[] = {{0, 1}, {3, 1}, {16, 17}, {99999999, 1}, {UINT32_MAX, 0}};
    of_detector_models given = of_detector_models_default();
    given.model = models.model;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        of_detector_options options = of_detector_options_default();
        of_detector *detector = NULL;
        of_error error;
        options.tiles = bad[i];
        assert_int_equal(of_detector_create(&given, &options, &detector, &error),
                         OF_ERROR_ARGUMENT);
        assert_string_equal(error.setting, "tiles");
        assert_null(detector);
    }
    of_detector *detector = cutter(16, 8, 1);
    of_error error;
    assert_int_equal(of_detector_stream(detector, "tiles:16:x", NULL, see, NULL, NULL, &error),
                     OF_ERROR_ARGUMENT);
    assert_int_equal(of_detector_stream(detector, "synthetic:noise", NULL, see, NULL, NULL, &error),
                     OF_ERROR_ARGUMENT);
    of_detector_free(detector);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),       cmocka_unit_test(test_batches),
        cmocka_unit_test(test_limits),       cmocka_unit_test(test_p_values),
        cmocka_unit_test(test_saving),       cmocka_unit_test(test_few_pictures),
        cmocka_unit_test(test_damaged_text), cmocka_unit_test(test_bonferroni),
        cmocka_unit_test(test_bad_tilings),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
