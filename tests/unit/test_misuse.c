/* SPDX-License-Identifier: Apache-2.0 */
/* What is needed and missing is an error of the caller's, told in one line, and no crash. */
#include <outflow/evaluate.h>
#include <outflow/output.h>
#include <outflow/train.h>

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "detector_fixture.h"

static of_error error;

static void assert_refused(of_status status, const char *call) {
    if (status != OF_ERROR_ARGUMENT || error.status != status || error.message[0] == '\0')
        fail_msg("%s: %s, '%s'", call, of_status_name(status), error.message);
    assert_null(strchr(error.message, '\n'));
    error = (of_error){.status = OF_OK};
}

#define REFUSED(call) assert_refused((call), #call)

static const of_score nll = {OF_SCORE_NLL, 0};
static const of_batch none = {OF_PIXEL_F32, NULL, 0}, missing = {OF_PIXEL_F32, NULL, 2};

static void models_refuse_null(void **state) {
    (void)state;
    of_architecture a = small_architecture(16, 2);
    of_model *model = make_model(&a), *other = NULL;
    char path[8];
    REFUSED(of_architecture_check(NULL, &error));
    REFUSED(of_model_load(NULL, &other, &error));
    REFUSED(of_model_load("none", NULL, &error));
    REFUSED(of_model_load_general(NULL, &other, &error));
    REFUSED(of_model_load_general("none", NULL, &error));
    REFUSED(of_model_locate(NULL, path, sizeof path, &error));
    REFUSED(of_model_open(NULL, &other, &error));
    REFUSED(of_model_open("none", NULL, &error));
    REFUSED(of_model_create(NULL, 1, &other, &error));
    REFUSED(of_model_create(&a, 1, NULL, &error));
    REFUSED(of_model_save(NULL, "none", &error));
    REFUSED(of_model_save(model, NULL, &error));
    REFUSED(of_model_set_metadata(NULL, "key", "value", &error));
    REFUSED(of_model_set_metadata(model, NULL, "value", &error));
    assert_null(other);
    of_model_free(model);
}

static void plans_and_sessions_refuse_null(void **state) {
    (void)state;
    of_architecture a = small_architecture(16, 2);
    of_model *model = make_model(&a);
    of_plan *plan = NULL;
    double rate;
    float value;
    REFUSED(of_plan_compile(NULL, NULL, &plan, &error));
    REFUSED(of_plan_compile(model, NULL, NULL, &error));
    REFUSED(of_plan_layer(NULL, 0, NULL, &error));
    REFUSED(of_plan_ops(NULL, NULL, NULL, &error));
    REFUSED(of_session_create(NULL, 0, NULL, &error));
    REFUSED(of_session_forward(NULL, &none, &(of_likelihoods){0}, &error));
    REFUSED(of_session_position_contributions(NULL, &none, &rate, &error));
    REFUSED(of_session_inverse(NULL, &value, 1, &value, &error));
    REFUSED(of_session_sample(NULL, 1, 1, 0, &value, &error));
    REFUSED(of_session_profile(NULL, &none, &rate, &error));
    REFUSED(of_measure_peak(1, OF_ISA_AUTO, NULL, &error));
    REFUSED(of_measure_peak(1000000, OF_ISA_AUTO, &rate, &error)); /* no machine has as many */
    of_model_free(model);
}

static void scores_and_calibrations_refuse_null(void **state) {
    (void)state;
    of_architecture a = small_architecture(16, 2);
    of_model *model = make_model(&a);
    of_calibration_options options = of_calibration_options_default();
    const of_model *const members[] = {NULL};
    of_calibrator *calibrator = NULL;
    of_calibration *calibration = NULL;
    of_metrics metrics;
    of_score score;
    REFUSED(of_score_parse(NULL, &a, false, &score, &error));
    REFUSED(of_calibrator_create(NULL, &calibrator, &error));
    options.model = model;
    options.members = members;
    options.member_count = 1;
    REFUSED(of_calibrator_create(&options, &calibrator, &error));
    options.member_count = 0;
    REFUSED(of_calibrator_create(&options, NULL, &error));
    assert_int_equal(of_calibrator_create(&options, &calibrator, &error), OF_OK);
    REFUSED(of_calibrator_add(NULL, &(of_image_likelihood){0}, &error));
    REFUSED(of_calibrator_add(calibrator, NULL, &error));
    REFUSED(of_calibrator_finish(NULL, &calibration, &error));
    REFUSED(of_calibrator_finish(calibrator, NULL, &error));
    REFUSED(of_calibration_read(NULL, &calibration, &error));
    REFUSED(of_calibration_read(model, NULL, &error));
    REFUSED(of_calibration_attach(NULL, model, &error));
    REFUSED(of_calibration_store(NULL, NULL, &error));
    REFUSED(of_calibration_check(NULL, nll, 0, 0, &error));
    REFUSED(of_calibration_check_rate(NULL, nll, 0.1, &error));
    REFUSED(of_metrics_compute(NULL, 1, NULL, 1, &metrics, &error));
    of_calibrator_free(calibrator);
    of_model_free(model);
}

static void detectors_refuse_null(void **state) {
    (void)state;
    fixture f = make_fixture(2);
    of_detector *detector = NULL;
    double value;
    of_score score;
    REFUSED(of_detector_open(NULL, &detector, &error));
    REFUSED(of_detector_create(NULL, NULL, &detector, &error));
    REFUSED(of_detector_check_score(NULL, nll, &error));
    REFUSED(of_detector_check_p_value(NULL, nll, &error));
    REFUSED(of_detector_check_rule(NULL, &(of_flag_rule){.rate = 0.1}, &error));
    REFUSED(of_detector_check_rule(f.detector, NULL, &error));
    REFUSED(of_detector_find_score(NULL, NULL, &score, &error));
    REFUSED(of_detector_find_score(f.detector, NULL, NULL, &error));
    REFUSED(of_detector_score(NULL, &none, &nll, 1, &value, &error));
    REFUSED(of_detector_score(f.detector, &missing, &nll, 1, &value, &error));
    REFUSED(of_detector_score_encoded(NULL, NULL, 0, &nll, 1, NULL, NULL, NULL, &error));
    of_stream_result result = {.images = 7};
    REFUSED(of_detector_stream(f.detector, "none", NULL, NULL, NULL, &result, &error));
    assert_int_equal(result.images, 0);
    result.images = 7;
    REFUSED(of_detector_calibrate(NULL, NULL, NULL, &result, &error));
    assert_int_equal(result.images, 0);
    REFUSED(of_detector_calibrate_pixels(f.detector, NULL, NULL, &error));
    REFUSED(of_detector_save(f.detector, NULL, NULL, &error));
    REFUSED(of_detector_heat(f.detector, nll, &missing, &value, &error));
    REFUSED(of_heat_reference_create(f.detector, nll, NULL, NULL, &error));
    REFUSED(of_detector_relative_heat(NULL, nll, NULL, &none, NULL, NULL, &error));
    REFUSED(of_heat_picture(NULL, NULL, NULL, 1, NULL, NULL, NULL, &error));
    assert_int_equal(of_stream_fail_empty("none", NULL, &error), OF_ERROR_FORMAT);
    free_fixture(&f);
}

static void evaluations_refuse_null(void **state) {
    (void)state;
    REFUSED(of_evaluate(NULL, NULL, NULL, &error));
    REFUSED(of_evaluation_create(NULL, NULL, NULL, &error));
    REFUSED(of_evaluation_add(NULL, 0, NULL, &error));
    REFUSED(of_evaluation_finish(NULL, &error));
    REFUSED(of_evaluation_check_pair(NULL, NULL, &error));
    REFUSED(of_evaluation_write_json(NULL, NULL, NULL, &error));
    REFUSED(of_evaluation_write_report(NULL, NULL, NULL, &error));
    REFUSED(of_evaluation_write_figure(NULL, NULL, &error));
    REFUSED(of_examples_create(NULL, 1, false, NULL, &error));
    REFUSED(of_examples_offer(NULL, "none", NULL, 0, 0, &error));
    REFUSED(of_examples_heat(NULL, nll, NULL, NULL, &error));
}

static void steps_of_training_refuse_null(void **state) {
    (void)state;
    of_architecture a = small_architecture(16, 2);
    of_model *model = make_model(&a);
    of_train_loop_options options = of_train_loop_options_default();
    of_train_loop *loop = NULL;
    of_train_result result = {.end = OF_TRAIN_EARLY_STOP, .step = 7};
    double seconds;
    options.threads = 1;
    REFUSED(of_train(NULL, NULL, &result, &error));
    assert_int_equal(result.step, 0);
    REFUSED(of_train_loop_create(NULL, NULL, &loop, &error));
    assert_int_equal(of_train_loop_create(model, &options, &loop, &error), OF_OK);
    REFUSED(of_train_loop_initialise(NULL, &none, &error));
    REFUSED(of_train_loop_initialise(loop, &missing, &error));
    REFUSED(of_train_loop_step(NULL, &none, NULL, &error));
    REFUSED(of_train_loop_step(loop, NULL, NULL, &error));
    REFUSED(of_train_loop_step(loop, &missing, NULL, &error));
    REFUSED(of_train_loop_layer(loop, 0, NULL, &error));
    REFUSED(of_train_loop_profile(loop, &missing, &seconds, &error));
    REFUSED(of_train_loop_profile(loop, &none, NULL, &error));
    of_train_loop_free(loop);
    of_model_free(model);
}

static void images_and_files_refuse_null(void **state) {
    (void)state;
    size_t size;
    of_json *json = NULL;
    of_source *source = NULL;
    REFUSED(of_image_read(NULL, 1, NULL, NULL, NULL, NULL, &error));
    REFUSED(of_png_encode(NULL, 3, 1, 1, NULL, &size, &error));
    REFUSED(of_png_bytes(NULL, 3, 1, 1, &size, &error));
    REFUSED(of_source_open(NULL, NULL, &source, &error));
    REFUSED(of_source_next(NULL, 1, NULL, &error));
    REFUSED(of_output_open("none", NULL, &error));
    REFUSED(of_output_flush(NULL, &error));
    REFUSED(of_output_commit(NULL, &error));
    REFUSED(of_json_create(NULL, false, &json, &error));
    REFUSED(of_isa_parse(NULL, NULL, &error));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(models_refuse_null),
        cmocka_unit_test(plans_and_sessions_refuse_null),
        cmocka_unit_test(scores_and_calibrations_refuse_null),
        cmocka_unit_test(detectors_refuse_null),
        cmocka_unit_test(evaluations_refuse_null),
        cmocka_unit_test(steps_of_training_refuse_null),
        cmocka_unit_test(images_and_files_refuse_null),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
