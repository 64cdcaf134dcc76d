/* SPDX-License-Identifier: Apache-2.0 */
/* Damages a weight file in one precise way, for the command-line tests:
 *     corrupt_model HOW IN OUT
 * HOW: overlap, misname, missing, shape, nan, infinity, family */
#define _POSIX_C_SOURCE 200809L
#include <cjson/cJSON.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PREFIX = 8 };

typedef struct weight_file {
    cJSON *header;
    unsigned char *data;
    size_t data_size;
} weight_file;

static int load(const char *path, weight_file *weights) {
    FILE *file = fopen(path, "rb");
    unsigned char prefix[PREFIX];
    uint64_t length = 0;
    if (file == NULL || fread(prefix, 1, PREFIX, file) != PREFIX)
        return 1;
    for (int i = PREFIX - 1; i >= 0; i--)
        length = length << 8 | prefix[i];
    char *text = calloc(1, (size_t)length + 1);
    if (text == NULL || fread(text, 1, (size_t)length, file) != length)
        return 1;
    weights->header = cJSON_Parse(text);
    free(text);
    (void)fseek(file, 0, SEEK_END);
    weights->data_size = (size_t)ftell(file) - PREFIX - (size_t)length;
    (void)fseek(file, PREFIX + (long)length, SEEK_SET);
    weights->data = malloc(weights->data_size + 1);
    int failed = weights->header == NULL || weights->data == NULL ||
                 fread(weights->data, 1, weights->data_size, file) != weights->data_size;
    (void)fclose(file);
    return failed;
}

static int store(const char *path, const weight_file *weights) {
    FILE *file = fopen(path, "wb");
    char *text = cJSON_PrintUnformatted(weights->header);
    if (file == NULL || text == NULL)
        return 1;
    uint64_t length = strlen(text);
    for (int i = 0; i < PREFIX; i++)
        (void)fputc((int)(length >> (8 * i) & 0xff), file);
    (void)fputs(text, file);
    (void)fwrite(weights->data, 1, weights->data_size, file);
    free(text);
    return fclose(file);
}

/* Tensor number `index` of the header. */
static cJSON *tensor(const weight_file *weights, int index) {
    for (cJSON *item = weights->header->child; item != NULL; item = item->next)
        if (cJSON_GetObjectItem(item, "data_offsets") != NULL && index-- == 0)
            return item;
    return NULL;
}

static void set_offset(const cJSON *item, int end, double value) {
    cJSON_SetNumberValue(cJSON_GetArrayItem(cJSON_GetObjectItem(item, "data_offsets"), end), value);
}

static double offset(const cJSON *item, int end) {
    return cJSON_GetArrayItem(cJSON_GetObjectItem(item, "data_offsets"), end)->valuedouble;
}

/* The second tensor is moved onto the first one's last four bytes. */
static void overlap(const weight_file *weights) {
    const cJSON *second = tensor(weights, 1);
    set_offset(second, 0, offset(second, 0) - 4);
    set_offset(second, 1, offset(second, 1) - 4);
}

static void misname(const weight_file *weights) {
    tensor(weights, 3)->string[0] = 'X';
}

static void change_shape(const weight_file *weights) {
    cJSON *shape = cJSON_GetObjectItem(tensor(weights, 0), "shape");
    cJSON_AddItemToArray(shape, cJSON_CreateNumber(1));
    cJSON_AddItemToArray(shape, cJSON_CreateNumber(1));
}

/* The architecture is JSON within a metadata string. */
static void change_family(const weight_file *weights) {
    cJSON *metadata = cJSON_GetObjectItem(weights->header, "__metadata__");
    char *text = cJSON_GetObjectItem(metadata, "architecture")->valuestring;
    char *family = strstr(text, "glow");
    if (family != NULL)
        family[0] = 's';
}

/* Overwrites a tensor's first value; the bits are those of not-a-number or infinity. */
static void spoil_value(const weight_file *weights, uint32_t bits) {
    size_t place = (size_t)offset(tensor(weights, 2), 0);
    for (int i = 0; i < 4; i++)
        weights->data[place + (size_t)i] = (unsigned char)(bits >> (8 * i));
}

static int damage(const char *how, const weight_file *weights) {
    if (strcmp(how, "overlap") == 0)
        overlap(weights);
    else if (strcmp(how, "misname") == 0)
        misname(weights);
    else if (strcmp(how, "missing") == 0)
        cJSON_Delete(cJSON_DetachItemViaPointer(weights->header, tensor(weights, 3)));
    else if (strcmp(how, "shape") == 0)
        change_shape(weights);
    else if (strcmp(how, "family") == 0)
        change_family(weights);
    else if (strcmp(how, "nan") == 0)
        spoil_value(weights, 0x7fc00000);
    else if (strcmp(how, "infinity") == 0)
        spoil_value(weights, 0x7f800000);
    else
        return 1;
    return 0;
}

int main(int argc, char **argv) {
    weight_file weights = {0};
    if (argc != 4 || load(argv[2], &weights) != 0 || damage(argv[1], &weights) != 0 ||
        store(argv[3], &weights) != 0) {
        (void)fputs("corrupt_model: failed\n", stderr);
        return 1;
    }
    cJSON_Delete(weights.header);
    free(weights.data);
    return 0;
}
