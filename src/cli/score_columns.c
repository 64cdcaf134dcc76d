/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/score_columns.h"

#include "cli/terminal/hint.h"

/* The score that is judged: what was asked for, else the best there is. With a rate that is
 * combined, whose absence is then an error. */
static of_status choose_score(const of_score_judging *judging, const of_detector *detector,
                              of_score *score, of_error *error) {
    if (judging->name != NULL)
        return of_score_parse(judging->name, of_detector_architecture(detector),
                              of_detector_describe(detector).general_model != NULL, score, error);
    bool says = of_detector_describe(detector).rate > 0;
    *score = judging->with_rate && !says ? (of_score){OF_SCORE_COMBINED, 0}
                                         : of_detector_default_score(detector);
    return OF_OK;
}

/* p-values where the calibration allows them; an error where they are asked for and it does not. */
static of_status add_p_value(of_rows *rows, const of_score_judging *judging, of_score score,
                             const of_console *console, of_error *error) {
    of_detector_info info = of_detector_describe(rows->detector);
    of_error reason;
    if (judging->with_rate) {
        const of_flag_rule rule = {.score = score, .rate = judging->rate};
        of_status status = of_detector_check_rule(rows->detector, &rule, error);
        if (status != OF_OK)
            return status;
        of_rows_add_p_value(rows, score);
        of_rows_add_flag(rows, rule);
    } else if (of_detector_check_p_value(rows->detector, score, &reason) == OF_OK) {
        of_rows_add_p_value(rows, score);
    } else if (info.calibration != NULL || info.calibration_problem[0] != '\0') {
        char text[OF_HINT_SIZE];
        of_log_write(&console->log, OF_LOG_WARNING, "no p-values: %s",
                     of_hint_text(console, &reason, text, sizeof text));
    }
    return OF_OK;
}

static of_status add_judgement(of_rows *rows, const of_score_judging *judging,
                               const of_console *console, of_score *score, of_error *error) {
    const of_score combined = {OF_SCORE_COMBINED, 0};
    bool asked = judging->name != NULL || judging->with_threshold || judging->with_rate;
    of_status status = choose_score(judging, rows->detector, score, error);
    if (status == OF_OK && asked)
        status = of_detector_check_score(rows->detector, *score, error);
    if (status != OF_OK)
        return status;
    if (asked)
        of_rows_add_score(rows, *score);
    if (judging->with_threshold)
        of_rows_add_flag(rows, (of_flag_rule){.score = *score, .threshold = judging->threshold});
    return add_p_value(rows, judging, asked ? *score : combined, console, error);
}

static bool allows(const of_detector *detector, of_score_kind kind) {
    return of_detector_check_score(detector, (of_score){kind, 0}, NULL) == OF_OK;
}

of_status of_score_columns_add(of_rows *rows, const of_score_judging *judging, bool several_sources,
                               const of_console *console, of_score *score, of_error *error) {
    static const of_score_kind calibrated[] = {OF_SCORE_TYPICALITY, OF_SCORE_COMBINED};
    const of_detector *detector = rows->detector;
    if (of_detector_describe(detector).general_model != NULL)
        of_rows_add_general(rows, allows(detector, OF_SCORE_RATIO_LAST));
    if (of_detector_architecture(detector)->classes > 0)
        of_rows_add_classes(rows);
    for (size_t i = 0; i < 2; i++)
        if (allows(detector, calibrated[i]))
            of_rows_add_named(rows, (of_score){calibrated[i], 0});
    of_status status = add_judgement(rows, judging, console, score, error);
    if (status == OF_OK && of_detector_tiling(detector).size > 0)
        of_rows_add_tiles(rows, *score);
    if (status == OF_OK && several_sources)
        of_rows_add_source(rows);
    return status;
}

unsigned of_score_columns_needs(const of_rows *rows) {
    unsigned needs = 0;
    for (size_t i = 0; i < rows->count; i++)
        if (rows->columns[i].kind == OF_COLUMN_SCORE || rows->columns[i].kind == OF_COLUMN_P_VALUE)
            needs |= of_score_needs(rows->columns[i].score);
    return needs;
}
