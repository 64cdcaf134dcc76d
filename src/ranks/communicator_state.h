/* SPDX-License-Identifier: Apache-2.0 */
/* A communicator from inside: what communicator.c and reduction.c share. */
#ifndef OF_RANKS_COMMUNICATOR_STATE_H
#define OF_RANKS_COMMUNICATOR_STATE_H

#include "ranks/communicator.h"

#include <pthread.h>

enum { OF_RANK_NAME = 96 };

typedef struct of_beat {
    int sent, heard;   /* what is sent and received */
    int send, receive; /* requests, -1: none */
    double last_sent, last_heard;
    bool over; /* the neighbour has said goodbye */
} of_beat;

struct of_communicator {
    of_transport transport;
    char (*names)[OF_RANK_NAME]; /* [size] */
    void (*lost)(void *user, const char *text);
    void *user;
    bool agreed; /* on a failure */

    pthread_mutex_t mutex; /* of the transport and of all below */
    pthread_cond_t changed;
    pthread_t thread;
    bool started, leaving, failed;
    of_beat beat;
    of_reduction *reduction; /* NULL: none is open */
};

/* Moves it on, under the mutex, which it gives up while it adds. True if something happened. */
bool of_reduction_progress(of_reduction *reduction);
bool of_reduction_is_busy(const of_reduction *reduction);
/* A thread has nothing to do until it is over. */
bool of_reduction_is_awaited(const of_reduction *reduction);

#endif
