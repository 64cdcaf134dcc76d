/* SPDX-License-Identifier: Apache-2.0 */
/* A communicator from inside, for what its thread moves on. */
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

/* How soon messages are asked after again. */
typedef enum of_pace {
    OF_PACE_IDLE,   /* there are none but signs of life */
    OF_PACE_BUSY,   /* messages are on their way, hidden behind work */
    OF_PACE_AWAITED /* a thread has nothing to do until they are there */
} of_pace;

/* Something that the communicator's thread moves on. */
typedef struct of_message_work {
    void *user; /* NULL: there is none */
    /* Under the mutex, which it may give up for a while. True if something happened. */
    bool (*progress)(void *user);
    of_pace (*pace)(const void *user);
} of_message_work;

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
    of_message_work work;
};

#endif
