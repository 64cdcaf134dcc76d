/* SPDX-License-Identifier: Apache-2.0 */
#include "server/request.h"

#include <stdlib.h>

of_model_set *of_service_models(of_service *service) {
    (void)pthread_mutex_lock(&service->mutex);
    of_model_set *set = of_model_set_hold(service->models);
    (void)pthread_mutex_unlock(&service->mutex);
    return set;
}

const of_served_model *of_request_model(of_request *request) {
    const char *name = request->path_model[0] != '\0' ? request->path_model : request->model;
    request->served = of_model_set_find(request->models, name);
    if (request->served == NULL)
        of_answer_fail(request, 404, "there is no model '%s'; GET /v1/models tells which there are",
                       name);
    return request->served;
}

double of_request_deadline(const of_request *request) {
    return of_seconds() + request->service->options->request_time;
}

void of_request_free(of_request *request) {
    if (request == NULL)
        return;
    if (request->free_work != NULL)
        request->free_work(request->work);
    if (request->answer.stream != NULL)
        (void)fclose(request->answer.stream);
    free(request->answer.bytes);
    of_counted_free(&request->body);
    of_model_set_release(request->models);
    free(request);
}
