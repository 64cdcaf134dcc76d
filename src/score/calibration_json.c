/* SPDX-License-Identifier: Apache-2.0 */
/* The "calibration" text of a weight file:
 *
 *   {"version": 4, "images": n, "source": text, "model": fingerprint, "general": fingerprint,
 *    "members": fingerprint, "general_scales": 0.., "mean_nll": x,
 *    "density": {"mean": [], "deviation": [], "factor": []},
 *    "distance": [mean, deviation], "complexity": [mean, deviation],
 *    "ratio": [mean, deviation], "weights": [complexity, ratio],
 *    "scores": {NAME: {"images": n, "non_finite": m, "values": [], "above": []}},
 *    "tiles": {"size": n, "stride": n, "pictures": n, "scores": {NAME: as above}}}
 *
 * "tiles" only where pictures were cut, which makes it version 5; its scores are those of "scores",
 * each with the largest values in pictures. "ratio" only with a general model. "weights" are those
 * of the tests that `combined` joins (combine.h). Versions before 4 lack them and join every test
 * once: version 1 without the ratio, version 2 without tiles, version 3 with them; what such a text
 * says still is written as that version. Fingerprints are 16 hexadecimal digits, zeros for none.
 * See density.h and conformal.h for the arrays. */
#define _POSIX_C_SOURCE 200809L
#include "core/error.h"
#include "core/memory.h"
#include "model/json_reader.h"
#include "score/calibration.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    PLAIN_VERSION = 2,
    TILED_VERSION = 3,
    WEIGHTED_VERSION = 4,
    WEIGHTED_TILED_VERSION = 5,
    MOST_TEXT = 4 << 20,
    MOST_VALUES = 200000,
    DIGITS = 17,
    MOST_ENTRIES = 65536,
    MOST_MEMBERS = 64,
    MOST_WEIGHT = 1000
};

/* ---- Printing ----------------------------------------------------------------------------- */

/* cJSON's own numbers do not read back exactly. A locale's comma becomes a point. */
static cJSON *make_real(double value) {
    char text[40];
    (void)snprintf(text, sizeof text, "%.*g", DIGITS, value);
    char *comma = strchr(text, ',');
    if (comma != NULL)
        *comma = '.';
    return cJSON_CreateRaw(text);
}

static bool add_item(cJSON *object, const char *key, cJSON *item) {
    if (item != NULL && cJSON_AddItemToObject(object, key, item))
        return true;
    cJSON_Delete(item);
    return false;
}

static bool add_reals(cJSON *object, const char *key, const double *values, size_t count) {
    cJSON *array = cJSON_AddArrayToObject(object, key);
    bool complete = array != NULL;
    for (size_t i = 0; complete && i < count; i++) {
        cJSON *item = make_real(values[i]);
        complete = item != NULL && cJSON_AddItemToArray(array, item);
    }
    return complete;
}

static bool add_fingerprint(cJSON *object, const char *key, uint64_t fingerprint) {
    char text[24];
    (void)snprintf(text, sizeof text, "%016" PRIx64, fingerprint);
    return cJSON_AddStringToObject(object, key, text) != NULL;
}

static bool add_density(cJSON *object, const of_density *density) {
    size_t count = density->count;
    cJSON *item = cJSON_AddObjectToObject(object, "density");
    return item != NULL && add_reals(item, "mean", density->mean, count) &&
           add_reals(item, "deviation", density->deviation, count) &&
           add_reals(item, "factor", density->factor, count * (count + 1) / 2);
}

static bool add_spread(cJSON *object, const char *key, const of_spread *spread) {
    const double pair[2] = {spread->mean, spread->deviation};
    return add_reals(object, key, pair, 2);
}

static bool has_old_weights(const of_calibration *calibration) {
    const of_combination *c = &calibration->combination;
    return c->complexity_weight == 1 && (c->ratio_weight == 1 || c->ratio_weight == 0);
}

static bool add_ratio(cJSON *object, const of_calibration *calibration) {
    const of_combination *c = &calibration->combination;
    const double weights[2] = {c->complexity_weight, c->ratio_weight};
    return (c->ratio_weight == 0 || add_spread(object, "ratio", &c->ratio)) &&
           (has_old_weights(calibration) || add_reals(object, "weights", weights, 2));
}

static bool add_table(cJSON *scores, of_score score, const of_conformal *table) {
    char name[32];
    of_score_name(score, name, sizeof name);
    cJSON *item = cJSON_AddObjectToObject(scores, name);
    return item != NULL && add_item(item, "images", make_real((double)table->images)) &&
           add_item(item, "non_finite", make_real((double)table->non_finite)) &&
           add_reals(item, "values", table->values, table->count) &&
           add_reals(item, "above", table->above, table->count);
}

static bool add_scores(cJSON *object, const of_calibration *calibration) {
    cJSON *scores = cJSON_AddObjectToObject(object, "scores");
    bool complete = scores != NULL;
    for (size_t i = 0; complete && i < calibration->score_count; i++)
        complete = add_table(scores, calibration->scores[i].score, &calibration->scores[i].table);
    return complete;
}

static bool add_tiles(cJSON *object, const of_calibration *calibration) {
    const of_calibration *c = calibration;
    if (c->tiling.size == 0)
        return true;
    cJSON *tiles = cJSON_AddObjectToObject(object, "tiles");
    bool complete = tiles != NULL && add_item(tiles, "size", make_real(c->tiling.size)) &&
                    add_item(tiles, "stride", make_real(c->tiling.stride)) &&
                    add_item(tiles, "pictures", make_real((double)c->pictures));
    cJSON *scores = complete ? cJSON_AddObjectToObject(tiles, "scores") : NULL;
    complete = scores != NULL;
    for (size_t i = 0; complete && i < c->score_count; i++)
        complete = add_table(scores, c->scores[i].score, &c->scores[i].pictures);
    return complete;
}

/* The first one that says all there is. */
static int version_of(const of_calibration *calibration) {
    bool tiled = calibration->tiling.size > 0;
    if (!has_old_weights(calibration))
        return tiled ? WEIGHTED_TILED_VERSION : WEIGHTED_VERSION;
    if (tiled)
        return TILED_VERSION;
    bool lacks_ratio =
        calibration->layout.general_scales > 0 && calibration->combination.ratio_weight == 0;
    return lacks_ratio ? 1 : PLAIN_VERSION;
}

char *of_calibration_print(const of_calibration *calibration) {
    const of_calibration *c = calibration;
    bool valid = of_utf8_valid(c->source, strlen(c->source));
    cJSON *object = cJSON_CreateObject();
    bool complete = object != NULL && cJSON_AddNumberToObject(object, "version", version_of(c)) &&
                    add_item(object, "images", make_real((double)c->images)) &&
                    cJSON_AddStringToObject(object, "source", valid ? c->source : "(not UTF-8)") &&
                    add_fingerprint(object, "model", c->model) &&
                    add_fingerprint(object, "general", c->general) &&
                    add_fingerprint(object, "members", c->members) &&
                    add_item(object, "general_scales", make_real(c->layout.general_scales)) &&
                    add_item(object, "mean_nll", make_real(c->mean_nll)) &&
                    add_density(object, &c->density) &&
                    add_spread(object, "distance", &c->combination.distance) &&
                    add_spread(object, "complexity", &c->combination.complexity) &&
                    add_ratio(object, c) && add_scores(object, c) && add_tiles(object, c);
    char *text = complete ? cJSON_PrintUnformatted(object) : NULL;
    cJSON_Delete(object);
    return text;
}

/* ---- Parsing: each reader says whether the item is what it must be -------------------------- */

static const cJSON *member(const cJSON *object, const char *key) {
    return cJSON_GetObjectItemCaseSensitive(object, key);
}

static bool read_real(const cJSON *item, double *value) {
    *value = cJSON_IsNumber(item) ? item->valuedouble : (double)NAN;
    return isfinite(*value);
}

static bool read_reals(const cJSON *array, double *values, size_t count) {
    const cJSON *item;
    size_t i = 0;
    if (!cJSON_IsArray(array))
        return false;
    cJSON_ArrayForEach(item, array) {
        if (i == count || !read_real(item, &values[i++]))
            return false;
    }
    return i == count;
}

static bool read_fingerprint(const cJSON *item, uint64_t *value) {
    if (!cJSON_IsString(item) || strlen(item->valuestring) != 16 ||
        strspn(item->valuestring, "0123456789abcdef") != 16)
        return false;
    *value = strtoull(item->valuestring, NULL, 16);
    return true;
}

static bool read_source(const cJSON *item, of_calibration *read) {
    read->source = cJSON_IsString(item) ? strdup(item->valuestring) : NULL;
    return read->source != NULL;
}

static bool read_layout(const cJSON *item, of_calibration *read) {
    uint64_t scales;
    if (!of_json_whole_number(item, 6, &scales) || (scales > 0) != (read->general != 0))
        return false;
    read->layout = of_statistics_of(&read->architecture, NULL);
    read->layout.general_scales = (uint32_t)scales;
    return true;
}

/* Deviations and the factor's diagonal are divided by. */
static bool read_density(const cJSON *item, const of_statistics_layout *layout,
                         of_density *density) {
    size_t count = density->count = of_statistics_count(layout);
    if (!read_reals(member(item, "mean"), density->mean, count) ||
        !read_reals(member(item, "deviation"), density->deviation, count) ||
        !read_reals(member(item, "factor"), density->factor, count * (count + 1) / 2))
        return false;
    for (size_t a = 0, row = 0; a < count; row += ++a)
        if (!(density->deviation[a] > 0) || !(density->factor[row + a] > 0))
            return false;
    return true;
}

static bool read_spread(const cJSON *item, of_spread *spread) {
    double pair[2];
    if (!read_reals(item, pair, 2) || !(pair[1] > 0))
        return false;
    *spread = (of_spread){pair[0], pair[1]};
    return true;
}

/* A ratio's weight is not to be had without a general model. */
static bool read_weights(const cJSON *item, uint64_t version, of_calibration *read) {
    bool with_general = read->layout.general_scales > 0;
    double weights[2];
    of_combination_old_weights(&read->combination, version > 1 && with_general);
    if (version < WEIGHTED_VERSION)
        return true;
    if (!read_reals(item, weights, 2) || weights[0] < 0 || weights[1] < 0 ||
        weights[0] > MOST_WEIGHT || weights[1] > MOST_WEIGHT || (weights[1] > 0 && !with_general))
        return false;
    read->combination.complexity_weight = weights[0];
    read->combination.ratio_weight = weights[1];
    return true;
}

static bool read_ratio(const cJSON *item, of_combination *combination) {
    return combination->ratio_weight == 0 || read_spread(item, &combination->ratio);
}

/* Returns what is wrong, or NULL. */
static const char *read_table(const cJSON *item, uint64_t images, of_conformal *table) {
    const cJSON *values = member(item, "values");
    int count = cJSON_IsArray(values) ? cJSON_GetArraySize(values) : -1;
    if (!of_json_whole_number(member(item, "images"), images, &table->images) ||
        !of_json_whole_number(member(item, "non_finite"), images, &table->non_finite))
        return "no number of images, or one that is too large";
    if (count < 0 || count > MOST_ENTRIES)
        return "no values, or too many";
    table->count = (size_t)count;
    table->values = of_allocate(table->count, sizeof *table->values);
    table->above = of_allocate(table->count, sizeof *table->above);
    if (table->values == NULL || table->above == NULL)
        return "more values than memory";
    if (!read_reals(values, table->values, table->count) ||
        !read_reals(member(item, "above"), table->above, table->count))
        return "values or counts that are not finite numbers, or not as many";
    return of_conformal_check(table);
}

static of_status read_score(const cJSON *item, of_calibration *read, of_error *error) {
    of_error inner;
    of_score score;
    of_status status = of_score_parse(item->string, &read->architecture,
                                      read->layout.general_scales > 0, &score, &inner);
    if (status == OF_ERROR_UNSUPPORTED) /* calibrated by a build that has this coder */
        return OF_OK;
    if (status != OF_OK)
        return of_fail(error, OF_ERROR_FORMAT, "calibration: %.400s", inner.message);
    if (read->score_count == OF_CALIBRATED_SCORES)
        return of_fail(error, OF_ERROR_FORMAT, "calibration: too many scores");
    for (size_t i = 0; i < read->score_count; i++)
        if (read->scores[i].score.kind == score.kind && read->scores[i].score.scale == score.scale)
            return of_fail(error, OF_ERROR_FORMAT, "calibration: score '%.64s' appears twice",
                           item->string);
    of_calibrated_score *slot = &read->scores[read->score_count++];
    slot->score = score;
    const char *reason = read_table(item, read->images, &slot->table);
    return reason == NULL ? OF_OK
                          : of_fail(error, OF_ERROR_FORMAT, "calibration: score '%.64s' has %s",
                                    item->string, reason);
}

static of_status read_scores(const cJSON *object, of_calibration *read, of_error *error) {
    const cJSON *item;
    of_status status = OF_OK;
    if (!cJSON_IsObject(object))
        return of_fail(error, OF_ERROR_FORMAT, "calibration: 'scores' is not an object");
    cJSON_ArrayForEach(item, object) {
        status = read_score(item, read, error);
        if (status != OF_OK)
            break;
    }
    return status;
}

static of_status fail_tiles(const char *what, of_error *error) {
    return of_fail(error, OF_ERROR_FORMAT,
                   "calibration: %s of 'tiles' is missing or not usable: calibrate again", what);
}

/* Every score has a table for pictures, too. */
static of_status read_tiles(const cJSON *tiles, of_calibration *read, of_error *error) {
    uint64_t size, stride;
    const cJSON *scores = member(tiles, "scores");
    if (!of_json_whole_number(member(tiles, "size"), UINT32_MAX, &size) ||
        !of_json_whole_number(member(tiles, "stride"), UINT32_MAX, &stride))
        return fail_tiles("size or stride", error);
    read->tiling = (of_tiling){(uint32_t)size, (uint32_t)stride};
    if (of_tiling_check(&read->tiling, NULL) != OF_OK)
        return fail_tiles("size or stride", error);
    if (!of_json_whole_number(member(tiles, "pictures"), (uint64_t)1 << 53, &read->pictures))
        return fail_tiles("the number of pictures", error);
    for (size_t i = 0; i < read->score_count; i++) {
        char name[32];
        of_score_name(read->scores[i].score, name, sizeof name);
        const cJSON *item = cJSON_IsObject(scores) ? member(scores, name) : NULL;
        const char *reason =
            item != NULL ? read_table(item, read->pictures, &read->scores[i].pictures) : "no table";
        if (reason != NULL)
            return of_fail(error, OF_ERROR_FORMAT, "calibration: score '%.64s' of 'tiles' has %s",
                           name, reason);
    }
    return OF_OK;
}

static of_status read_object(const cJSON *object, of_calibration *read, of_error *error) {
    uint64_t version;
    const char *bad = NULL;
    if (cJSON_GetArraySize(object) > MOST_MEMBERS)
        return of_fail(error, OF_ERROR_FORMAT, "calibration: too many members");
    if (of_json_repeated_key(object) != NULL)
        return of_fail(error, OF_ERROR_FORMAT, "calibration: '%.64s' appears twice",
                       of_json_repeated_key(object));
    if (!of_json_whole_number(member(object, "version"), UINT32_MAX, &version))
        bad = "version";
    else if (version < 1 || version > WEIGHTED_TILED_VERSION)
        return of_fail(error, OF_ERROR_UNSUPPORTED,
                       "calibration: version %" PRIu64 " is unknown; this library reads 1 to %d: "
                       "calibrate again",
                       version, WEIGHTED_TILED_VERSION);
    else if (!of_json_whole_number(member(object, "images"), (uint64_t)1 << 53, &read->images))
        bad = "images";
    else if (!read_source(member(object, "source"), read))
        bad = "source";
    else if (!read_fingerprint(member(object, "model"), &read->model))
        bad = "model";
    else if (!read_fingerprint(member(object, "general"), &read->general))
        bad = "general";
    else if (!read_fingerprint(member(object, "members"), &read->members))
        bad = "members";
    else if (!read_layout(member(object, "general_scales"), read))
        bad = "general_scales";
    else if (!read_real(member(object, "mean_nll"), &read->mean_nll))
        bad = "mean_nll";
    else if (!read_density(member(object, "density"), &read->layout, &read->density))
        bad = "density";
    else if (!read_spread(member(object, "distance"), &read->combination.distance))
        bad = "distance";
    else if (!read_spread(member(object, "complexity"), &read->combination.complexity))
        bad = "complexity";
    else if (!read_weights(member(object, "weights"), version, read))
        bad = "weights";
    else if (!read_ratio(member(object, "ratio"), &read->combination))
        bad = "ratio";
    if (bad != NULL)
        return of_fail(error, OF_ERROR_FORMAT,
                       "calibration: '%s' is missing or not usable: calibrate again", bad);
    of_status status = read_scores(member(object, "scores"), read, error);
    bool tiled = version == TILED_VERSION || version == WEIGHTED_TILED_VERSION;
    return status == OF_OK && tiled ? read_tiles(member(object, "tiles"), read, error) : status;
}

of_status of_calibration_parse(const char *text, const of_architecture *architecture,
                               of_calibration **calibration, of_error *error) {
    size_t length = strnlen(text, (size_t)MOST_TEXT + 1);
    cJSON *object = NULL;
    if (length > MOST_TEXT)
        return of_fail(error, OF_ERROR_FORMAT, "calibration: text is longer than %d bytes",
                       MOST_TEXT);
    of_status status =
        of_json_parse_object(text, length, MOST_VALUES, "calibration", &object, error);
    if (status != OF_OK)
        return status;
    of_calibration *read = calloc(1, sizeof *read);
    if (read == NULL) {
        status = of_fail_memory(error, "a calibration");
    } else {
        read->architecture = *architecture;
        status = read_object(object, read, error);
    }
    cJSON_Delete(object);
    if (status == OF_OK)
        *calibration = read;
    else
        of_calibration_free(read);
    return status;
}
