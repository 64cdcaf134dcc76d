/* SPDX-License-Identifier: Apache-2.0 */
/* Defaults: safe on a machine with 2 GB and two CPUs. */
#include "server/server.h"

of_server_options of_server_options_default(void) {
    unsigned cpus = of_cpu_count();
    return (of_server_options){
        .address = "127.0.0.1",
        .port = 8000,
        .workers = 1,
        .max_batch = 64,
        .rate = 0.01,
        .max_body = (size_t)32 << 20,
        .max_images = 1024,
        .max_pixels = (uint64_t)1 << 24,
        .max_memory = (size_t)256 << 20,
        .max_queue = 4096,
        .max_connections = 512,
        .request_time = 30,
        .idle_time = 60,
        .decoders = cpus < 2 ? 2 : cpus,
        .isolate = true,
        .decoder_memory = (size_t)320 << 20,
        .decode_time = 10,
    };
}
