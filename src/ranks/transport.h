/* SPDX-License-Identifier: Apache-2.0 */
/* What training asks of a message-passing library, as a table of functions, so that the program
 * itself needs none: src/ranks/mpi/transport.c, the only file that includes mpi.h, is built into a
 * module that is loaded where a launcher has started several processes ("ranks").
 *
 * Every operation only starts: it returns a request, 0 or more, that `test` is asked about, or -1.
 * Buffers belong to the operation until then. No two threads are in these functions at a time. On
 * each channel all ranks start the same operations in the same order. */
#ifndef OF_RANKS_TRANSPORT_H
#define OF_RANKS_TRANSPORT_H

#include <stddef.h>

enum { OF_TRANSPORT_VERSION = 2 };

typedef enum of_channel {
    OF_CHANNEL_MAIN = 0,     /* between steps, by the thread that trains */
    OF_CHANNEL_EXCHANGE = 1, /* of sums to their owners */
    OF_CHANNEL_SHARE = 2,    /* of what the owners made of them */
    OF_CHANNEL_BEAT = 3,     /* signs of life */
    OF_CHANNELS = 4
} of_channel;

typedef struct of_transport {
    unsigned rank, size;
    char implementation[128]; /* of MPI: name and version */
    /* Values of 2 or 4 bytes: send_counts[r] from `from` + send_places[r] go to rank r; from rank
     * r, receive_counts[r] come to `to` + receive_places[r], which is another buffer. The four
     * arrays live until it is done. */
    int (*exchange)(of_channel channel, size_t bytes, const void *from, const int *send_counts,
                    const int *send_places, void *to, const int *receive_counts,
                    const int *receive_places);
    /* Bytes: rank r's counts[r] come to `all` + places[r] on every rank. `mine` NULL: they are in
     * their place already. The arrays live until it is done. */
    int (*gather)(of_channel channel, const void *mine, void *all, const int *counts,
                  const int *places);
    /* Bytes of `root` to all. */
    int (*broadcast)(of_channel channel, void *bytes, int count, unsigned root);
    int (*send)(of_channel channel, const int *value, unsigned to);
    int (*receive)(of_channel channel, int *value, unsigned from);
    /* 1: done, and the request is no more; 0: not yet; -1: failed. */
    int (*test)(int request);
    /* Ends the processes of all ranks. */
    void (*abort)(int exit_code);
    void (*close)(void);
} of_transport;

/* The module's one symbol. Fills `transport`; on failure returns another value than 0 and says why
 * in `reason`. Once a process. */
typedef int of_transport_open_function(int version, of_transport *transport, char *reason,
                                       size_t reason_size);
#define OF_TRANSPORT_SYMBOL "of_transport_open"

#endif
