/* SPDX-License-Identifier: Apache-2.0 */
#include "graph/onednn_call.h"

#include "core/memory.h"

#include <outflow/outflow.h>

#include <omp.h>
#include <stdatomic.h>

/* Weights are not among them: oneDNN fills gaps of an array with zeros when it is told of another
 * one, and packed weights have gaps. */
enum { SOURCE, TARGET, SCRATCH, BIAS, KINDS };

typedef struct descriptions {
    const_dnnl_primitive_desc_t of; /* whose arrays they describe */
    dnnl_memory_t memory[KINDS];    /* BIAS may be NULL */
} descriptions;

enum { PLACES = 16 }; /* threads beyond them share places: some make descriptions of their own */

struct of_onednn_idle {
    struct {
        _Alignas(OF_ALIGNMENT) _Atomic(descriptions *) left; /* or NULL */
    } places[PLACES];
};

static void free_descriptions(descriptions *made) {
    if (made == NULL)
        return;
    for (int i = 0; i < KINDS; i++)
        (void)dnnl_memory_destroy(made->memory[i]);
    of_free(made);
}

static dnnl_status_t make_descriptions(const of_onednn_code *code, bool bias,
                                       descriptions **result) {
    static const dnnl_query_t layouts[KINDS] = {[SOURCE] = dnnl_query_src_md,
                                                [TARGET] = dnnl_query_dst_md,
                                                [SCRATCH] = dnnl_query_scratchpad_md,
                                                [BIAS] = dnnl_query_weights_md};
    descriptions *made = of_allocate_zeroed(1, sizeof *made);
    if (made == NULL)
        return dnnl_out_of_memory;
    made->of = code->description;
    dnnl_status_t status = dnnl_success;
    for (int i = 0; status == dnnl_success && i < (bias ? KINDS : BIAS); i++)
        status = dnnl_memory_create(
            &made->memory[i],
            dnnl_primitive_desc_query_md(code->description, layouts[i], i == BIAS ? 1 : 0),
            code->engine, NULL);
    if (status == dnnl_success)
        *result = made;
    else
        free_descriptions(made);
    return status;
}

of_onednn_idle *of_onednn_idle_create(void) {
    return of_allocate_zeroed(1, sizeof(of_onednn_idle));
}

void of_onednn_idle_free(of_onednn_idle *idle) {
    for (int i = 0; idle != NULL && i < PLACES; i++)
        free_descriptions(atomic_load(&idle->places[i].left));
    of_free(idle);
}

static _Atomic(descriptions *) *own_place(of_onednn_idle *idle) {
    return &idle->places[omp_get_thread_num() % PLACES].left;
}

static dnnl_status_t borrow(of_onednn_idle *idle, const of_onednn_code *code, bool bias,
                            descriptions **borrowed) {
    *borrowed = atomic_exchange(own_place(idle), NULL);
    if (*borrowed != NULL && (*borrowed)->of == code->description)
        return dnnl_success;
    free_descriptions(*borrowed);
    return make_descriptions(code, bias, borrowed);
}

static void give_back(of_onednn_idle *idle, descriptions *borrowed) {
    free_descriptions(atomic_exchange(own_place(idle), borrowed));
}

static dnnl_status_t execute(const of_onednn_code *code, const descriptions *described,
                             const of_onednn_arrays *arrays) {
    const struct {
        int name;
        const void *data;
    } kinds[KINDS] = {[SOURCE] = {DNNL_ARG_SRC, arrays->source},
                      [TARGET] = {DNNL_ARG_DST, arrays->target},
                      [SCRATCH] = {DNNL_ARG_SCRATCHPAD, arrays->scratch},
                      [BIAS] = {DNNL_ARG_BIAS, arrays->bias}};
    dnnl_exec_arg_t given[KINDS + 1] = {{.arg = DNNL_ARG_WEIGHTS}};
    dnnl_status_t status = dnnl_memory_create(
        &given[0].memory, dnnl_primitive_desc_query_md(code->description, dnnl_query_weights_md, 0),
        code->engine, (void *)arrays->weights);
    int count = 1;
    for (int i = 0; status == dnnl_success && i < KINDS; i++) {
        if (described->memory[i] == NULL)
            continue;
        status = dnnl_memory_set_data_handle(described->memory[i], (void *)kinds[i].data);
        given[count++] = (dnnl_exec_arg_t){kinds[i].name, described->memory[i]};
    }
    if (status == dnnl_success)
        status = dnnl_primitive_execute(code->primitive, code->stream, count, given);
    (void)dnnl_memory_destroy(given[0].memory);
    return status;
}

dnnl_status_t of_onednn_call(of_onednn_idle *idle, const of_onednn_code *code,
                             const of_onednn_arrays *arrays) {
    descriptions *borrowed;
    dnnl_status_t status = borrow(idle, code, arrays->bias != NULL, &borrowed);
    if (status != dnnl_success)
        return status;
    status = execute(code, borrowed, arrays);
    give_back(idle, borrowed);
    return status;
}
