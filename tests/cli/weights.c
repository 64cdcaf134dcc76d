/* SPDX-License-Identifier: Apache-2.0 */
/* weights FILE: a checksum of a safetensors file's tensors alone, so that files which differ in
 * their metadata (command, time) can be compared. */
#include "model/safetensors.h"

#include <inttypes.h>
#include <stdio.h>

int main(int argc, char **argv) {
    of_safetensors file;
    of_error error;
    uint64_t hash = 0xcbf29ce484222325u;
    if (argc != 2 || of_safetensors_open(argv[1], &file, &error) != OF_OK) {
        (void)fprintf(stderr, "weights: %s\n", argc == 2 ? error.message : "one FILE");
        return 1;
    }
    for (size_t i = 0; i < file.count; i++)
        for (size_t b = 0; b < file.tensors[i].count * of_dtype_size(file.tensors[i].dtype); b++)
            hash = (hash ^ file.tensors[i].data[b]) * 0x100000001b3u;
    (void)printf("%zu tensors %016" PRIx64 "\n", file.count, hash);
    of_safetensors_close(&file);
    return 0;
}
