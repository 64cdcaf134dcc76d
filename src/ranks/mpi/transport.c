/* SPDX-License-Identifier: Apache-2.0 */
/* The transport over MPI: a module of its own, built once for each MPI library that is found. The
 * library has one set of processes, so its state here is global. */
#include "ranks/transport.h"

#include <mpi.h>
#include <stdio.h>
#include <string.h>

enum { REQUESTS = 256 };

static MPI_Comm channels[OF_CHANNELS];
static MPI_Request requests[REQUESTS];
static int in_use[REQUESTS];

/* A place for a request, or -1. */
static int take(void) {
    for (int i = 0; i < REQUESTS; i++)
        if (!in_use[i]) {
            in_use[i] = 1;
            return i;
        }
    return -1;
}

static int started(int place, int result) {
    if (result == MPI_SUCCESS)
        return place;
    in_use[place] = 0;
    return -1;
}

static int start_exchange(of_channel channel, size_t bytes, const void *from,
                          const int *send_counts, const int *send_places, void *to,
                          const int *receive_counts, const int *receive_places) {
    int place = take();
    MPI_Datatype type = bytes == sizeof(float) ? MPI_FLOAT : MPI_UINT16_T;
    return place < 0 ? -1
                     : started(place, MPI_Ialltoallv(from, send_counts, send_places, type, to,
                                                     receive_counts, receive_places, type,
                                                     channels[channel], &requests[place]));
}

static int start_gather(of_channel channel, const void *mine, void *all, const int *counts,
                        const int *places) {
    int place = take(), rank;
    if (place < 0)
        return -1;
    (void)MPI_Comm_rank(channels[channel], &rank);
    const void *from = mine != NULL ? mine : MPI_IN_PLACE;
    return started(place,
                   MPI_Iallgatherv(from, mine != NULL ? counts[rank] : 0, MPI_BYTE, all, counts,
                                   places, MPI_BYTE, channels[channel], &requests[place]));
}

static int start_broadcast(of_channel channel, void *bytes, int count, unsigned root) {
    int place = take();
    return place < 0 ? -1
                     : started(place, MPI_Ibcast(bytes, count, MPI_BYTE, (int)root,
                                                 channels[channel], &requests[place]));
}

static int start_send(of_channel channel, const int *value, unsigned to) {
    int place = take();
    return place < 0 ? -1
                     : started(place, MPI_Isend(value, 1, MPI_INT, (int)to, 0, channels[channel],
                                                &requests[place]));
}

static int start_receive(of_channel channel, int *value, unsigned from) {
    int place = take();
    return place < 0 ? -1
                     : started(place, MPI_Irecv(value, 1, MPI_INT, (int)from, 0, channels[channel],
                                                &requests[place]));
}

static int test(int request) {
    int done = 0;
    if (MPI_Test(&requests[request], &done, MPI_STATUS_IGNORE) != MPI_SUCCESS)
        return -1;
    if (done)
        in_use[request] = 0;
    return done;
}

static void end_all(int exit_code) {
    (void)MPI_Abort(MPI_COMM_WORLD, exit_code);
}

static void leave(void) {
    for (int i = 0; i < OF_CHANNELS; i++)
        (void)MPI_Comm_free(&channels[i]);
    (void)MPI_Finalize();
}

/* "MPICH Version: 4.0.2 ..." is cut at the end of its first line. */
static void name_library(char *name, size_t size) {
    char text[MPI_MAX_LIBRARY_VERSION_STRING] = "";
    int length = 0;
    (void)MPI_Get_library_version(text, &length);
    text[strcspn(text, "\n,")] = '\0';
    (void)snprintf(name, size, "%s", text);
    for (char *c = name; *c != '\0'; c++)
        *c = *c == '\t' ? ' ' : *c;
}

__attribute__((visibility("default"))) int of_transport_open(int version, of_transport *transport,
                                                             char *reason, size_t reason_size);

int of_transport_open(int version, of_transport *transport, char *reason, size_t reason_size) {
    int provided = 0, rank = 0, size = 1;
    if (version != OF_TRANSPORT_VERSION) {
        (void)snprintf(reason, reason_size, "the module is of another version of outflow");
        return 1;
    }
    if (MPI_Init_thread(NULL, NULL, MPI_THREAD_SERIALIZED, &provided) != MPI_SUCCESS ||
        provided < MPI_THREAD_SERIALIZED) {
        (void)snprintf(reason, reason_size,
                       "the MPI library cannot be used by threads in turn "
                       "(MPI_THREAD_SERIALIZED)");
        return 1;
    }
    (void)MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    (void)MPI_Comm_size(MPI_COMM_WORLD, &size);
    for (int i = 0; i < OF_CHANNELS; i++) {
        (void)MPI_Comm_dup(MPI_COMM_WORLD, &channels[i]);
        (void)MPI_Comm_set_errhandler(channels[i], MPI_ERRORS_RETURN);
    }
    *transport = (of_transport){.rank = (unsigned)rank,
                                .size = (unsigned)size,
                                .exchange = start_exchange,
                                .gather = start_gather,
                                .broadcast = start_broadcast,
                                .send = start_send,
                                .receive = start_receive,
                                .test = test,
                                .abort = end_all,
                                .close = leave};
    name_library(transport->implementation, sizeof transport->implementation);
    return 0;
}
