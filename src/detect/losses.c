/* SPDX-License-Identifier: Apache-2.0 */
#define _POSIX_C_SOURCE 200809L
#include "detect/losses.h"

#include "core/error.h"
#include "core/hash.h"
#include "model/json_reader.h"
#include "score/score_table.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { VERSION = 1, MOST_VALUES = 16 + 9 * OF_LOSSES_MOST, HEX_SIZE = 24 };

const char of_losses_key[] = "int8_losses";

/* ---- What it holds for --------------------------------------------------------------------- */

static uint64_t hash_text(const char *text) {
    uint64_t hash = OF_HASH_START;
    uint32_t tail = 0;
    if (text == NULL)
        return 0;
    size_t length = strlen(text), whole = length / sizeof tail * sizeof tail;
    hash = of_hash(hash, text, whole);
    memcpy(&tail, text + whole, length - whole);
    return of_hash(hash, &tail, sizeof tail);
}

static void hex_of(uint64_t number, char hex[HEX_SIZE]) {
    (void)snprintf(hex, HEX_SIZE, "%016" PRIx64, number);
}

/* `combined` is fitted with the general model that is there. */
static bool depends_on_general(of_score score) {
    return of_score_needs_general(score) || score.kind == OF_SCORE_COMBINED;
}

/* ---- Printing ------------------------------------------------------------------------------ */

static bool add_hex(cJSON *object, const char *key, uint64_t number) {
    char hex[HEX_SIZE];
    hex_of(number, hex);
    return cJSON_AddStringToObject(object, key, hex) != NULL;
}

/* Five digits are more than such a measurement is worth. A locale's comma becomes a point. */
static bool add_share(cJSON *object, const char *key, double value) {
    char text[32];
    (void)snprintf(text, sizeof text, "%.5f", value);
    char *comma = strchr(text, ',');
    if (comma != NULL)
        *comma = '.';
    return cJSON_AddRawToObject(object, key, text) != NULL;
}

static bool add_loss(cJSON *scores, const of_precision_loss *loss) {
    char name[32];
    cJSON *object = cJSON_CreateObject();
    if (object == NULL || !cJSON_AddItemToArray(scores, object)) {
        cJSON_Delete(object);
        return false;
    }
    of_score_name(loss->score, name, sizeof name);
    return cJSON_AddStringToObject(object, "score", name) != NULL &&
           add_share(object, "auroc", loss->auroc) && add_share(object, "error", loss->error) &&
           cJSON_AddStringToObject(object, "against", loss->against) != NULL &&
           add_share(object, "p_value", loss->p_value) &&
           add_share(object, "flagged", loss->flagged);
}

char *of_losses_print(const of_losses *losses, const of_losses_models *models, uint64_t images) {
    cJSON *object = cJSON_CreateObject();
    bool complete = object != NULL && cJSON_AddNumberToObject(object, "version", VERSION) != NULL &&
                    add_hex(object, "model", models->model) &&
                    add_hex(object, "ranges", hash_text(models->own_ranges));
    if (complete && models->general != 0)
        complete = add_hex(object, "general", models->general) &&
                   add_hex(object, "general_ranges", hash_text(models->ranges));
    complete = complete && cJSON_AddNumberToObject(object, "images", (double)images) != NULL;
    cJSON *scores = complete ? cJSON_AddArrayToObject(object, "scores") : NULL;
    complete = scores != NULL;
    for (size_t i = 0; complete && i < losses->count; i++)
        complete = add_loss(scores, &losses->items[i]);
    char *text = complete ? cJSON_PrintUnformatted(object) : NULL;
    cJSON_Delete(object);
    return text;
}

/* ---- Reading ------------------------------------------------------------------------------- */

static bool has_hex(const cJSON *object, const char *key, uint64_t number) {
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);
    char hex[HEX_SIZE];
    hex_of(number, hex);
    return cJSON_IsString(item) && strcmp(item->valuestring, hex) == 0;
}

static bool same_general(const cJSON *object, const of_losses_models *models) {
    if (models->general == 0)
        return cJSON_GetObjectItemCaseSensitive(object, "general") == NULL;
    return has_hex(object, "general", models->general) &&
           has_hex(object, "general_ranges", hash_text(models->ranges));
}

static bool read_share(const cJSON *object, const char *key, double *share) {
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);
    *share = cJSON_IsNumber(item) ? item->valuedouble : (double)NAN;
    return *share >= -1 && *share <= 1;
}

static bool read_loss(const cJSON *object, const of_model *model, bool with_general,
                      of_precision_loss *loss) {
    const cJSON *name = cJSON_GetObjectItemCaseSensitive(object, "score");
    const cJSON *against = cJSON_GetObjectItemCaseSensitive(object, "against");
    if (!cJSON_IsString(name) || !cJSON_IsString(against) ||
        of_score_parse(name->valuestring, of_model_architecture(model), with_general, &loss->score,
                       NULL) != OF_OK)
        return false;
    (void)snprintf(loss->against, sizeof loss->against, "%.20s", against->valuestring);
    return read_share(object, "auroc", &loss->auroc) && read_share(object, "error", &loss->error) &&
           read_share(object, "p_value", &loss->p_value) &&
           read_share(object, "flagged", &loss->flagged);
}

static void read_scores(const cJSON *object, const of_model *model, bool with_general,
                        of_losses *losses) {
    const cJSON *item, *scores = cJSON_GetObjectItemCaseSensitive(object, "scores");
    cJSON_ArrayForEach(item, scores) {
        of_precision_loss loss;
        if (losses->count < OF_LOSSES_MOST && read_loss(item, model, with_general, &loss) &&
            (with_general || !depends_on_general(loss.score)))
            losses->items[losses->count++] = loss;
    }
}

void of_losses_read(const of_model *model, const of_losses_models *models, of_losses *losses) {
    const char *text = of_model_metadata(model, of_losses_key);
    cJSON *object = NULL;
    uint64_t version;
    losses->count = 0;
    if (text == NULL || of_json_parse_object(text, strlen(text), MOST_VALUES, of_losses_key,
                                             &object, NULL) != OF_OK)
        return;
    if (of_json_whole_number(cJSON_GetObjectItemCaseSensitive(object, "version"), VERSION,
                             &version) &&
        version == VERSION && has_hex(object, "model", models->model) &&
        has_hex(object, "ranges", hash_text(models->own_ranges))) {
        bool general = models->general != 0;
        bool same = same_general(object, models);
        read_scores(object, model, general, losses);
        size_t kept = 0;
        for (size_t i = 0; i < losses->count; i++)
            if (same || !depends_on_general(losses->items[i].score))
                losses->items[kept++] = losses->items[i];
        losses->count = kept;
    }
    cJSON_Delete(object);
}

/* ---- Judging ------------------------------------------------------------------------------- */

const of_precision_loss *of_losses_find(const of_losses *losses, of_score score) {
    for (size_t i = 0; i < losses->count; i++)
        if (losses->items[i].score.kind == score.kind &&
            losses->items[i].score.scale == score.scale)
            return &losses->items[i];
    return NULL;
}

of_status of_losses_check(const of_detector *detector, of_score score, of_error *error) {
    char name[32];
    if (!detector->in_integers || detector->lossy_scores)
        return OF_OK;
    const of_precision_loss *loss = of_losses_find(&detector->losses, score);
    if (loss != NULL && !of_precision_loss_is_large(loss))
        return OF_OK;
    of_score_name(score, name, sizeof name);
    if (loss == NULL)
        return of_fail_setting(error, OF_ERROR_UNSUPPORTED, "lossy_scores",
                               "score '%s': nobody measured what it loses in precision int8 with "
                               "these models: quantize them again, together, use precision f32 or "
                               "bf16, or allow lossy scores",
                               name);
    return of_fail_setting(error, OF_ERROR_UNSUPPORTED, "lossy_scores",
                           "score '%s' loses %.4f of its AUROC in precision int8 (measured against "
                           "%s): use another score, precision f32 or bf16, or allow lossy scores",
                           name, loss->auroc, loss->against);
}

bool of_precision_loss_is_large(const of_precision_loss *loss) {
    return loss->auroc > OF_MOST_LOSS;
}

const of_precision_loss *of_detector_precision_loss(const of_detector *detector, of_score score) {
    return detector != NULL ? of_losses_find(&detector->losses, score) : NULL;
}

size_t of_model_precision_losses(const of_model *model, of_precision_loss *items, size_t most) {
    of_losses losses = {.count = 0};
    const char *text = model != NULL ? of_model_metadata(model, of_losses_key) : NULL;
    cJSON *object = NULL;
    if (text != NULL &&
        of_json_parse_object(text, strlen(text), MOST_VALUES, of_losses_key, &object, NULL) ==
            OF_OK &&
        has_hex(object, "model", of_model_fingerprint(model)) &&
        has_hex(object, "ranges", hash_text(of_model_metadata(model, "quantization"))))
        read_scores(object, model, true, &losses);
    cJSON_Delete(object);
    for (size_t i = 0; i < losses.count && i < most; i++)
        items[i] = losses.items[i];
    return losses.count;
}
