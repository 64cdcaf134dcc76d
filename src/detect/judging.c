/* SPDX-License-Identifier: Apache-2.0 */
/* What a weight file says to judge by: {"score": NAME, "rate": SHARE} under "judging", as a fit
 * writes it. What cannot be read is as if it were not there: then the caller's defaults hold. */
#include "detect/judging.h"

#include "model/json_reader.h"

#include <string.h>

enum { MOST_VALUES = 100 };

void of_judging_read(const of_model *model, bool with_general, of_judging *judging) {
    const char *text = of_model_metadata(model, "judging");
    cJSON *object = NULL;
    *judging = (of_judging){.given = false};
    if (text == NULL ||
        of_json_parse_object(text, strlen(text), MOST_VALUES, "judging", &object, NULL) != OF_OK)
        return;
    const cJSON *score = cJSON_GetObjectItemCaseSensitive(object, "score");
    const cJSON *rate = cJSON_GetObjectItemCaseSensitive(object, "rate");
    if (cJSON_IsString(score) && cJSON_IsNumber(rate) && rate->valuedouble > 0 &&
        rate->valuedouble < 1) {
        judging->given = of_score_parse(score->valuestring, of_model_architecture(model),
                                        with_general, &judging->score, NULL) == OF_OK;
        judging->rate = rate->valuedouble;
    }
    cJSON_Delete(object);
}
