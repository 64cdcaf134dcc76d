/* SPDX-License-Identifier: Apache-2.0 */
/* Ranks as threads of one process, over a transport of shared memory: what ranks tell each other,
 * and that sums over lanes are the same bits however these are divided. */
#include "core/error.h"
#include "core/random.h"
#include "model/floats.h"
#include "ranks/reduction.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { MOST_RANKS = 4, MOST_OPERATIONS = 512, MOST_REQUESTS = 4096, FLOATS = 1003, PARTS = 3 };

/* ---- The transport ------------------------------------------------------------------------ */

typedef enum operation_kind { EXCHANGE, GATHER, BROADCAST } operation_kind;

/* What one rank brings to an operation of all. */
typedef struct contribution {
    operation_kind kind;
    size_t bytes; /* of a value */
    const void *from;
    void *to;
    const int *send_counts, *send_places, *counts, *places;
    int count;
    unsigned root;
} contribution;

typedef struct operation {
    contribution of[MOST_RANKS];
    unsigned present;
    bool done;
} operation;

typedef struct request {
    operation *all; /* NULL: a message between two */
    int *value;
    unsigned from;
    bool sent;
} request;

static struct {
    pthread_mutex_t mutex;
    unsigned ranks;
    operation operations[OF_CHANNELS][MOST_OPERATIONS];
    unsigned started[MOST_RANKS][OF_CHANNELS];
    request requests[MOST_RANKS][MOST_REQUESTS];
    int request_count[MOST_RANKS];
    int mail[MOST_RANKS][MOST_RANKS][64];
    unsigned mail_written[MOST_RANKS][MOST_RANKS], mail_read[MOST_RANKS][MOST_RANKS];
} world = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static void complete_exchange(operation *o, unsigned from, unsigned to) {
    const contribution *a = &o->of[from], *b = &o->of[to];
    assert_int_equal(a->send_counts[to], b->counts[from]);
    assert_int_equal(a->bytes, b->bytes);
    memcpy((char *)b->to + (size_t)b->places[from] * a->bytes,
           (const char *)a->from + (size_t)a->send_places[to] * a->bytes,
           (size_t)b->counts[from] * a->bytes);
}

static void complete_gather(operation *o, unsigned from, unsigned to) {
    const contribution *a = &o->of[from], *b = &o->of[to];
    const void *source = a->from != NULL ? a->from : (const char *)a->to + a->places[from];
    assert_int_equal(a->counts[from], b->counts[from]);
    memmove((char *)b->to + b->places[from], source, (size_t)b->counts[from]);
}

static void complete(operation *o) {
    for (unsigned from = 0; from < world.ranks; from++)
        for (unsigned to = 0; to < world.ranks; to++) {
            assert_int_equal(o->of[from].kind, o->of[to].kind);
            if (o->of[from].kind == EXCHANGE)
                complete_exchange(o, from, to);
            else if (o->of[from].kind == GATHER)
                complete_gather(o, from, to);
            else if (o->of[to].root == from && to != from)
                memcpy(o->of[to].to, o->of[from].to, (size_t)o->of[to].count);
        }
    o->done = true;
}

static int new_request(unsigned rank, request made) {
    assert_true(world.request_count[rank] < MOST_REQUESTS);
    world.requests[rank][world.request_count[rank]] = made;
    return world.request_count[rank]++;
}

static int join(unsigned rank, of_channel channel, contribution mine) {
    pthread_mutex_lock(&world.mutex);
    unsigned number = world.started[rank][channel]++;
    assert_true(number < MOST_OPERATIONS);
    operation *o = &world.operations[channel][number];
    o->of[rank] = mine;
    if (++o->present == world.ranks)
        complete(o);
    int made = new_request(rank, (request){.all = o});
    pthread_mutex_unlock(&world.mutex);
    return made;
}

static int send_value(unsigned rank, const int *value, unsigned to) {
    pthread_mutex_lock(&world.mutex);
    world.mail[rank][to][world.mail_written[rank][to]++ % 64] = *value;
    int made = new_request(rank, (request){.sent = true});
    pthread_mutex_unlock(&world.mutex);
    return made;
}

static int receive_value(unsigned rank, int *value, unsigned from) {
    pthread_mutex_lock(&world.mutex);
    int made = new_request(rank, (request){.value = value, .from = from});
    pthread_mutex_unlock(&world.mutex);
    return made;
}

static int test_request(unsigned rank, int number) {
    pthread_mutex_lock(&world.mutex);
    request *r = &world.requests[rank][number];
    bool done = r->sent || (r->all != NULL && r->all->done);
    if (r->value != NULL && world.mail_read[r->from][rank] < world.mail_written[r->from][rank]) {
        *r->value = world.mail[r->from][rank][world.mail_read[r->from][rank]++ % 64];
        done = true;
    }
    pthread_mutex_unlock(&world.mutex);
    return done;
}

static void abort_all(int exit_code) {
    (void)fprintf(stderr, "the ranks were ended with %d\n", exit_code);
    abort();
}

static void close_nothing(void) {
}

/* A transport has no place for a context: every rank has functions of its own. */
#define RANK(r)                                                                                    \
    static int exchange_##r(of_channel channel, size_t bytes, const void *from,                    \
                            const int *send_counts, const int *send_places, void *to,              \
                            const int *counts, const int *places) {                                \
        contribution c = {.kind = EXCHANGE,                                                        \
                          .bytes = bytes,                                                          \
                          .from = from,                                                            \
                          .to = to,                                                                \
                          .send_counts = send_counts,                                              \
                          .send_places = send_places,                                              \
                          .counts = counts,                                                        \
                          .places = places};                                                       \
        return join(r, channel, c);                                                                \
    }                                                                                              \
    static int gather_##r(of_channel channel, const void *mine, void *all, const int *counts,      \
                          const int *places) {                                                     \
        contribution c = {                                                                         \
            .kind = GATHER, .from = mine, .to = all, .counts = counts, .places = places};          \
        return join(r, channel, c);                                                                \
    }                                                                                              \
    static int broadcast_##r(of_channel channel, void *bytes, int count, unsigned root) {          \
        contribution c = {.kind = BROADCAST, .to = bytes, .count = count, .root = root};           \
        return join(r, channel, c);                                                                \
    }                                                                                              \
    static int send_##r(of_channel channel, const int *value, unsigned to) {                       \
        (void)channel;                                                                             \
        return send_value(r, value, to);                                                           \
    }                                                                                              \
    static int receive_##r(of_channel channel, int *value, unsigned from) {                        \
        (void)channel;                                                                             \
        return receive_value(r, value, from);                                                      \
    }                                                                                              \
    static int test_##r(int number) {                                                              \
        return test_request(r, number);                                                            \
    }
RANK(0)
RANK(1)
RANK(2)
RANK(3)
#define TRANSPORT(r)                                                                               \
    {                                                                                              \
        .rank = r, .exchange = exchange_##r, .gather = gather_##r, .broadcast = broadcast_##r,     \
        .send = send_##r, .receive = receive_##r, .test = test_##r, .abort = abort_all,            \
        .close = close_nothing                                                                     \
    }
static const of_transport transports[MOST_RANKS] = {TRANSPORT(0), TRANSPORT(1), TRANSPORT(2),
                                                    TRANSPORT(3)};

/* ---- Ranks -------------------------------------------------------------------------------- */

typedef struct rank_thread {
    unsigned rank, ranks, lanes;
    const of_kernels *kernels; /* of rounded sums, else NULL */
    bool added;                /* before the reduction */
    void (*work)(struct rank_thread *thread, of_communicator *communicator);
    float sums[FLOATS];
} rank_thread;

static void *run_rank(void *argument) {
    rank_thread *thread = argument;
    of_transport transport = transports[thread->rank];
    of_communicator *communicator = NULL;
    of_error error;
    transport.size = thread->ranks;
    assert_int_equal(of_communicator_open(&transport, NULL, NULL, &communicator, &error), OF_OK);
    thread->work(thread, communicator);
    of_communicator_close(communicator);
    return NULL;
}

/* A failed assertion in a thread of its own ends the program, which is a failure too. */
static void run_ranks(unsigned ranks, rank_thread wish, rank_thread *threads) {
    pthread_t running[MOST_RANKS];
    world.ranks = ranks;
    memset(world.operations, 0, sizeof world.operations);
    memset(world.started, 0, sizeof world.started);
    memset(world.request_count, 0, sizeof world.request_count);
    memset(world.mail_written, 0, sizeof world.mail_written);
    memset(world.mail_read, 0, sizeof world.mail_read);
    for (unsigned r = 0; r < ranks; r++) {
        threads[r] = wish;
        threads[r].rank = r;
        threads[r].ranks = ranks;
        assert_int_equal(pthread_create(&running[r], NULL, run_rank, &threads[r]), 0);
    }
    for (unsigned r = 0; r < ranks; r++)
        pthread_join(running[r], NULL);
}

/* ---- Reductions --------------------------------------------------------------------------- */

/* Of very different sizes, so that another order of additions gives other bits. */
static void fill_lane(unsigned lane, float *block) {
    of_random random = of_random_stream(5, lane);
    for (size_t i = 0; i < FLOATS; i++)
        block[i] = (float)of_random_normal(&random) * (i % 3 == 0 ? 1e4F : 1e-2F);
}

static void round_block(const of_kernels *kernels, float *block) {
    for (size_t i = 0; kernels != NULL && i < FLOATS; i++) {
        uint32_t bits = (uint32_t)of_round_bf16(block[i]) << 16;
        memcpy(&block[i], &bits, sizeof bits);
    }
}

/* Neighbours first, then pairs of them, and so on. */
static void add_all(unsigned lanes, const of_kernels *kernels, float *sums) {
    float(*block)[FLOATS] = malloc(lanes * sizeof *block);
    assert_non_null(block);
    for (unsigned l = 0; l < lanes; l++) {
        fill_lane(l, block[l]);
        round_block(kernels, block[l]);
    }
    for (unsigned distance = 1; distance < lanes; distance *= 2)
        for (unsigned l = 0; l + distance < lanes; l += 2 * distance) {
            for (size_t i = 0; i < FLOATS; i++)
                block[l][i] += block[l + distance][i];
            round_block(kernels, block[l]);
        }
    memcpy(sums, block[0], FLOATS * sizeof *sums);
    free(block);
}

/* The branches of a rank in the blocks of their first lanes; the others hold nothing of use. */
static void add_branches(const rank_thread *thread, unsigned first, unsigned own, float **blocks) {
    of_branch branches[64];
    of_lane_tree tree = {.lanes = thread->lanes,
                         .ranks = thread->ranks,
                         .branches = branches,
                         .kernels = thread->kernels};
    bool begins[64] = {false};
    of_tree_list_branches(&tree);
    for (unsigned i = 0; i < tree.branch_count; i++) {
        if (branches[i].rank != thread->rank)
            continue;
        of_tree_add_branch(&tree, &branches[i], blocks, first, 0, FLOATS);
        begins[branches[i].lane - first] = true;
    }
    for (unsigned l = 0; l < own; l++)
        if (!begins[l])
            memset(blocks[l], 0x7F, FLOATS * sizeof(float));
}

static void reduce(rank_thread *thread, of_communicator *communicator) {
    static const size_t ends[PARTS] = {FLOATS, 400, 1}; /* from the last one on, as scales are */
    unsigned first = of_first_lane(thread->lanes, thread->ranks, thread->rank);
    unsigned own = of_first_lane(thread->lanes, thread->ranks, thread->rank + 1) - first;
    float *blocks[64];
    of_reduction *reduction = NULL;
    of_error error;
    for (unsigned l = 0; l < own; l++)
        assert_non_null(blocks[l] = malloc(FLOATS * sizeof(float)));
    const of_reduction_options options = {.lanes = thread->lanes,
                                          .blocks = blocks,
                                          .added = thread->added,
                                          .floats = FLOATS,
                                          .parts = PARTS,
                                          .kernels = thread->kernels};
    assert_int_equal(of_reduction_open(communicator, &options, &reduction, &error), OF_OK);
    for (int turn = 0; turn < 3; turn++) {
        for (unsigned l = 0; l < own; l++)
            fill_lane(first + l, blocks[l]);
        if (thread->added)
            add_branches(thread, first, own, blocks);
        for (int part = 0; part < PARTS; part++) {
            size_t begin = part + 1 < PARTS ? ends[part + 1] : 0;
            of_reduction_start(reduction, begin, ends[part] - begin);
        }
        assert_int_equal(of_reduction_wait(reduction, &error), OF_OK);
    }
    double waited, seconds = of_reduction_seconds(reduction, &waited);
    assert_true(seconds >= 0 && waited >= 0);
    memcpy(thread->sums, blocks[0], sizeof thread->sums);
    of_reduction_close(reduction);
    for (unsigned l = 0; l < own; l++)
        free(blocks[l]);
}

static void check_sums(rank_thread wish) {
    static rank_thread threads[MOST_RANKS];
    float expected[FLOATS];
    wish.work = reduce;
    for (wish.lanes = 2; wish.lanes <= 13; wish.lanes++) {
        add_all(wish.lanes, wish.kernels, expected);
        for (unsigned ranks = 2; ranks <= MOST_RANKS && ranks <= wish.lanes; ranks++) {
            run_ranks(ranks, wish, threads);
            for (unsigned r = 0; r < ranks; r++)
                if (memcmp(threads[r].sums, expected, sizeof expected) != 0)
                    fail_msg("%u lanes on %u ranks: rank %u has other sums", wish.lanes, ranks, r);
        }
    }
}

static void sums_are_the_same_however_lanes_are_divided(void **state) {
    (void)state;
    check_sums((rank_thread){.added = false});
    check_sums((rank_thread){.added = true});
}

static void rounded_sums_are_the_same_however_lanes_are_divided(void **state) {
    (void)state;
    const of_kernels *kernels = of_kernels_for(OF_ISA_SCALAR);
    check_sums((rank_thread){.kernels = kernels});
    check_sums((rank_thread){.kernels = kernels, .added = true});
}

static void too_few_lanes_are_an_error(void **state) {
    (void)state;
    float *blocks[1] = {NULL};
    of_reduction *reduction = NULL;
    of_error error;
    const of_reduction_options options = {.blocks = blocks, .floats = FLOATS, .parts = 1};
    assert_int_equal(of_reduction_open(NULL, &options, &reduction, &error), OF_ERROR_ARGUMENT);
    assert_string_equal(error.message, "0 lanes cannot be divided among 1 ranks");
}

/* ---- Messages ----------------------------------------------------------------------------- */

static void say_things(rank_thread *thread, of_communicator *communicator) {
    unsigned rank = thread->rank, ranks = thread->ranks;
    uint32_t mine = 100 + rank, all[MOST_RANKS], wish = rank == 0 ? 7 : 0;
    of_error error;
    assert_int_equal(of_communicator_rank(communicator), rank);
    assert_int_equal(of_communicator_size(communicator), ranks);
    assert_int_equal(of_communicator_gather(communicator, &mine, sizeof mine, all, &error), OF_OK);
    for (unsigned r = 0; r < ranks; r++)
        assert_int_equal(all[r], 100 + r);
    assert_int_equal(of_communicator_broadcast(communicator, &wish, sizeof wish, &error), OF_OK);
    assert_int_equal(wish, 7);

    /* uneven parts that are in their place already */
    size_t bytes[MOST_RANKS];
    char text[] = "........", expected[] = "abbccc..";
    size_t at = rank * (rank + 1) / 2;
    memset(text + at, 'a' + (int)rank, rank + 1);
    for (unsigned r = 0; r < ranks; r++)
        bytes[r] = r + 1;
    assert_int_equal(of_communicator_gather_each(communicator, NULL, bytes, text, &error), OF_OK);
    assert_memory_equal(text, expected, ranks * (ranks + 1) / 2);

    /* the error of one becomes that of all, with its name */
    of_status status = rank == 1 ? of_fail(&error, OF_ERROR_FORMAT, "x.tar: no image") : OF_OK;
    assert_int_equal(of_communicator_agree(communicator, status, &error), OF_ERROR_FORMAT);
    assert_non_null(strstr(error.message, "rank 1 ("));
    assert_non_null(strstr(error.message, "x.tar: no image"));
    assert_true(of_communicator_is_agreed(communicator));
    assert_int_equal(of_communicator_agree(communicator, OF_OK, &error), OF_OK);
    assert_false(of_communicator_is_agreed(communicator));
    status = of_fail(&error, OF_ERROR_IO, "disk full");
    assert_int_equal(of_communicator_agree(communicator, status, &error), OF_ERROR_IO);
    assert_string_equal(error.message, "disk full");
}

static void ranks_tell_each_other(void **state) {
    (void)state;
    static rank_thread threads[MOST_RANKS];
    run_ranks(2, (rank_thread){.lanes = 2, .work = say_things}, threads);
    run_ranks(3, (rank_thread){.lanes = 3, .work = say_things}, threads);
}

/* Parts go out from rank 0 and come back; what is not a rank's stays as it was. */
static void move_parts(rank_thread *thread, of_communicator *communicator) {
    const size_t parts[] = {0, 3, 3, 10};
    float block[10], here = (float)thread->rank;
    of_error error;
    for (size_t i = 0; i < 10; i++)
        block[i] = thread->rank == 0 ? (float)i : -1;
    assert_int_equal(of_communicator_divide(communicator, block, parts, &error), OF_OK);
    for (size_t i = 0; i < 10; i++) {
        bool mine = i >= parts[thread->rank] && i < parts[thread->rank + 1];
        assert_true(block[i] == (mine || thread->rank == 0 ? (float)i : -1));
        if (mine)
            block[i] += 100 * (here + 1);
    }
    assert_int_equal(of_communicator_collect(communicator, block, parts, &error), OF_OK);
    for (size_t i = 0; thread->rank == 0 && i < 10; i++)
        assert_true(block[i] == (float)i + (i < 3 ? 100 : 300));
}

static void parts_of_a_block_move(void **state) {
    (void)state;
    static rank_thread threads[MOST_RANKS];
    run_ranks(3, (rank_thread){.lanes = 3, .work = move_parts}, threads);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_are_the_same_however_lanes_are_divided),
        cmocka_unit_test(rounded_sums_are_the_same_however_lanes_are_divided),
        cmocka_unit_test(too_few_lanes_are_an_error),
        cmocka_unit_test(ranks_tell_each_other),
        cmocka_unit_test(parts_of_a_block_move),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
