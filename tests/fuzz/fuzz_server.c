/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzzes what the server reads of bodies by itself: the first byte chooses a request of the Open
 * Inference Protocol (then two bytes say how much of it is JSON) or a multipart body. */
#include "server/infer_parse.h"
#include "server/multipart.h"

#include <stdlib.h>
#include <string.h>

static void require(bool condition) {
    if (!condition)
        abort();
}

static void check_call(const of_infer_call *call, const uint8_t *body, size_t size) {
    uint64_t count = 1;
    for (size_t i = 0; i < call->rank; i++)
        count *= call->shape[i];
    require(call->data_size == count && strcmp(call->type, "UINT8") == 0);
    require(call->data >= body && call->data + call->data_size <= body + size);
    require(call->output_count <= OF_INFER_OUTPUTS && call->rate >= 0 && call->rate < 1);
}

static void infer(const uint8_t *data, size_t size) {
    static of_infer_call call;
    of_error error;
    if (size < 2)
        return;
    size_t json_size = data[0] == 0xff ? size - 2 : (size_t)data[0] << 8 | data[1];
    uint8_t *body = malloc(size - 2 + (size == 2));
    if (body == NULL)
        return;
    memcpy(body, data + 2, size - 2);
    if (of_infer_parse(body, size - 2, json_size, &call, &error) == OF_OK)
        check_call(&call, body, size - 2);
    else
        require(error.status == OF_ERROR_FORMAT || error.status == OF_ERROR_MEMORY);
    free(body);
}

static void multipart(const uint8_t *data, size_t size) {
    of_multipart parts;
    of_part part;
    bool found = true;
    size_t sum = 0;
    if (of_multipart_open("multipart/form-data; boundary=\"edge\"", data, size, &parts, NULL) !=
        OF_OK)
        return;
    while (of_multipart_next(&parts, &part, &found, NULL) == OF_OK && found) {
        require(part.bytes >= data && part.bytes + part.size <= data + size);
        require(strlen(part.name) < sizeof part.name && strlen(part.file) < sizeof part.file);
        sum += part.size;
    }
    require(sum <= size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char type[64];
    if (size == 0)
        return 0;
    if (data[0] == 'i') {
        infer(data + 1, size - 1);
    } else if (data[0] == 'm') {
        multipart(data + 1, size - 1);
    } else { /* a content type, which comes from outside, too */
        of_multipart parts;
        size_t length = size < sizeof type ? size : sizeof type - 1;
        memcpy(type, data, length);
        type[length] = '\0';
        if (of_multipart_is(type))
            (void)of_multipart_open(type, data, size, &parts, NULL);
    }
    return 0;
}
