/* SPDX-License-Identifier: Apache-2.0 */
#include "graph/convolution.h"

#include "core/error.h"
#include "core/memory.h"
#include "graph/integer_convolution.h"
#include "graph/onednn_call.h"

#include <assert.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if DNNL_VERSION_MAJOR >= 3
typedef dnnl_memory_desc_t layout; /* an owned or borrowed handle */
typedef const_dnnl_memory_desc_t layout_view;
#else
typedef const dnnl_memory_desc_t *layout_view;
#endif

/* Code for 2^index images a call. */
typedef struct variant {
    dnnl_primitive_desc_t description;
    dnnl_primitive_t primitive;
    size_t weight_offset; /* bytes: variants whose code wants the weights alike share a packing */
} variant;

struct of_convolution {
    of_convolution_shape shape;
    of_integer_convolution *integer; /* what runs instead of oneDNN's code, or NULL */
    uint32_t variant_count;
    size_t weight_bytes, scratch_bytes;
    char kernel[64];
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    of_onednn_idle *idle;
    variant variants[OF_CONVOLUTION_VARIANTS];
};

static of_status fail(of_error *error, dnnl_status_t status, const char *what) {
    return of_fail(error,
                   status == dnnl_out_of_memory   ? OF_ERROR_MEMORY
                   : status == dnnl_unimplemented ? OF_ERROR_UNSUPPORTED
                                                  : OF_ERROR_INTERNAL,
                   "oneDNN: %s failed with status %d", what, (int)status);
}

#define CHECK(call, what)                                                                          \
    do {                                                                                           \
        dnnl_status_t check_status = (call);                                                       \
        if (check_status != dnnl_success)                                                          \
            return fail(error, check_status, what);                                                \
    } while (0)

const char *of_convolution_library(void) {
#define TEXT_(x) #x
#define TEXT(x) TEXT_(x)
    return "oneDNN " TEXT(DNNL_VERSION_MAJOR) "." TEXT(DNNL_VERSION_MINOR) "." TEXT(
        DNNL_VERSION_PATCH);
}

/* ---- The two C APIs: 2.x and 3.x --------------------------------------------------------- */

static layout_view query(const_dnnl_primitive_desc_t description, dnnl_query_t what) {
    return dnnl_primitive_desc_query_md(description, what, 0);
}

static dnnl_status_t append_relu(dnnl_post_ops_t operations, float leak) {
#if DNNL_VERSION_MAJOR >= 3
    return dnnl_post_ops_append_eltwise(operations, dnnl_eltwise_relu, leak, 0.0F);
#else
    return dnnl_post_ops_append_eltwise(operations, 1.0F, dnnl_eltwise_relu, leak, 0.0F);
#endif
}

static dnnl_data_type_t number(of_precision precision) {
    return precision == OF_PRECISION_BF16 ? dnnl_bf16 : dnnl_f32;
}

/* A 1x1 convolution has no neighbours: all positions become one long row. */
static void fold_positions(const of_convolution_shape *shape, uint32_t images, dnnl_dims_t size) {
    size[0] = shape->kernel == 1 ? 1 : images;
    size[2] = shape->kernel == 1 ? 1 : shape->height;
    size[3] = shape->kernel == 1 ? (dnnl_dim_t)images * shape->height * shape->width
                                 : (dnnl_dim_t)shape->width;
}

/* `packing`: the layout that weights must have, or NULL: oneDNN's choice. */
static dnnl_status_t describe(const of_convolution *convolution, uint32_t images,
                              layout_view packing, const_dnnl_primitive_attr_t attributes,
                              dnnl_primitive_desc_t *description) {
    const of_convolution_shape *shape = &convolution->shape;
    dnnl_dims_t source_size, target_size;
    fold_positions(shape, images, source_size);
    fold_positions(shape, images, target_size);
    source_size[1] = shape->inputs;
    source_size[2] += shape->above + shape->below;
    target_size[1] = shape->outputs;
    const dnnl_dims_t weight_size = {shape->outputs, shape->inputs, shape->kernel, shape->kernel};
    const dnnl_dims_t bias_size = {shape->outputs};
    const dnnl_dims_t strides = {1, 1};
    const dnnl_dim_t edge = shape->kernel / 2;
    const dnnl_dims_t before = {edge - shape->above, edge}, after = {edge - shape->below, edge};
    const dnnl_data_type_t from = number(shape->source), to = number(shape->target);
#if DNNL_VERSION_MAJOR >= 3
    const dnnl_dims_t dilation = {0, 0};
    layout source = NULL, target = NULL, bias = NULL, weights = NULL;
    dnnl_status_t status =
        dnnl_memory_desc_create_with_tag(&source, 4, source_size, from, dnnl_nhwc);
    if (status == dnnl_success)
        status = dnnl_memory_desc_create_with_tag(&target, 4, target_size, to, dnnl_nhwc);
    if (status == dnnl_success)
        status =
            dnnl_memory_desc_create_with_tag(&weights, 4, weight_size, from, dnnl_format_tag_any);
    if (status == dnnl_success && shape->bias)
        status = dnnl_memory_desc_create_with_tag(&bias, 1, bias_size, dnnl_f32, dnnl_x);
    if (status == dnnl_success)
        status = dnnl_convolution_forward_primitive_desc_create(
            description, convolution->engine, dnnl_forward_inference, dnnl_convolution_direct,
            source, packing != NULL ? packing : weights, bias, target, strides, dilation, before,
            after, attributes);
    (void)dnnl_memory_desc_destroy(source);
    (void)dnnl_memory_desc_destroy(target);
    (void)dnnl_memory_desc_destroy(bias);
    (void)dnnl_memory_desc_destroy(weights);
    return status;
#else
    dnnl_memory_desc_t source, target, bias, weights;
    dnnl_convolution_desc_t operation;
    dnnl_status_t status = dnnl_memory_desc_init_by_tag(&source, 4, source_size, from, dnnl_nhwc);
    if (status == dnnl_success)
        status = dnnl_memory_desc_init_by_tag(&target, 4, target_size, to, dnnl_nhwc);
    if (status == dnnl_success)
        status = dnnl_memory_desc_init_by_tag(&weights, 4, weight_size, from, dnnl_format_tag_any);
    if (status == dnnl_success)
        status = dnnl_memory_desc_init_by_tag(&bias, 1, bias_size, dnnl_f32, dnnl_x);
    if (status == dnnl_success)
        status = dnnl_convolution_forward_desc_init(
            &operation, dnnl_forward_inference, dnnl_convolution_direct, &source,
            packing != NULL ? packing : &weights, shape->bias ? &bias : NULL, &target, strides,
            before, after);
    if (status == dnnl_success)
        status = dnnl_primitive_desc_create(description, &operation, attributes,
                                            convolution->engine, NULL);
    return status;
#endif
}

/* `order`: of the plain weights. */
static dnnl_status_t reorder_weights(const of_convolution *convolution, const variant *code,
                                     dnnl_format_tag_t order, const void *from, void *to,
                                     bool pack) {
    const of_convolution_shape *shape = &convolution->shape;
    const dnnl_dims_t size = {shape->outputs, shape->inputs, shape->kernel, shape->kernel};
    layout_view packed = query(code->description, dnnl_query_weights_md);
    dnnl_primitive_desc_t description = NULL;
    dnnl_primitive_t primitive = NULL;
    dnnl_memory_t source = NULL, target = NULL;
#if DNNL_VERSION_MAJOR >= 3
    layout plain = NULL;
    dnnl_status_t status = dnnl_memory_desc_create_with_tag(&plain, 4, size, dnnl_f32, order);
    layout_view plain_view = plain;
#else
    dnnl_memory_desc_t plain;
    dnnl_status_t status = dnnl_memory_desc_init_by_tag(&plain, 4, size, dnnl_f32, order);
    layout_view plain_view = &plain;
#endif
    layout_view from_layout = pack ? plain_view : packed, to_layout = pack ? packed : plain_view;
    if (status == dnnl_success)
        status = dnnl_reorder_primitive_desc_create(&description, from_layout, convolution->engine,
                                                    to_layout, convolution->engine, NULL);
    if (status == dnnl_success)
        status = dnnl_primitive_create(&primitive, description);
    if (status == dnnl_success)
        status = dnnl_memory_create(&source, from_layout, convolution->engine, (void *)from);
    if (status == dnnl_success)
        status = dnnl_memory_create(&target, to_layout, convolution->engine, to);
    if (status == dnnl_success) {
        const dnnl_exec_arg_t arguments[] = {{DNNL_ARG_FROM, source}, {DNNL_ARG_TO, target}};
        status = dnnl_primitive_execute(primitive, convolution->stream, 2, arguments);
    }
    if (status == dnnl_success)
        status = dnnl_stream_wait(convolution->stream);
    (void)dnnl_memory_destroy(source);
    (void)dnnl_memory_destroy(target);
    (void)dnnl_primitive_destroy(primitive);
    (void)dnnl_primitive_desc_destroy(description);
#if DNNL_VERSION_MAJOR >= 3
    (void)dnnl_memory_desc_destroy(plain);
#endif
    return status;
}

/* ---- Creation ---------------------------------------------------------------------------- */

static dnnl_status_t make_attributes(const of_convolution_shape *shape,
                                     dnnl_primitive_attr_t *attributes) {
    dnnl_status_t status = dnnl_primitive_attr_create(attributes);
    /* The caller brings the scratch memory: a primitive's own would be shared between threads. */
    if (status == dnnl_success)
        status = dnnl_primitive_attr_set_scratchpad_mode(*attributes, dnnl_scratchpad_mode_user);
    if (status == dnnl_success && shape->relu) {
        dnnl_post_ops_t operations = NULL;
        status = dnnl_post_ops_create(&operations);
        if (status == dnnl_success)
            status = append_relu(operations, shape->leak);
        if (status == dnnl_success)
            status = dnnl_primitive_attr_set_post_ops(*attributes, operations);
        (void)dnnl_post_ops_destroy(operations);
    }
    return status;
}

static size_t layout_bytes(layout_view view) {
    return view == NULL ? 0 : dnnl_memory_desc_get_size(view);
}

/* Gives a variant the packing of an earlier one with the same layout, or one of its own. */
static void place_weights(of_convolution *convolution, uint32_t index) {
    layout_view mine = query(convolution->variants[index].description, dnnl_query_weights_md);
    for (uint32_t i = convolution->variant_count; i-- > index + 1;) {
        layout_view other = query(convolution->variants[i].description, dnnl_query_weights_md);
        if (dnnl_memory_desc_equal(mine, other)) {
            convolution->variants[index].weight_offset = convolution->variants[i].weight_offset;
            return;
        }
    }
    convolution->variants[index].weight_offset = convolution->weight_bytes;
    convolution->weight_bytes += of_round_up(layout_bytes(mine), OF_ALIGNMENT);
}

static const char *kernel_name(const_dnnl_primitive_desc_t description) {
    const char *name = "";
    (void)dnnl_primitive_desc_query(description, dnnl_query_impl_info_str, 0, (void *)&name);
    return name;
}

/* The best code for weights packed as `other` has them, if that is code of the same kind. */
static dnnl_status_t describe_alike(const of_convolution *convolution, uint32_t images,
                                    const variant *other, const_dnnl_primitive_attr_t attributes,
                                    dnnl_primitive_desc_t *description) {
    dnnl_status_t status =
        describe(convolution, images, query(other->description, dnnl_query_weights_md), attributes,
                 description);
    if (status != dnnl_success ||
        strcmp(kernel_name(*description), kernel_name(other->description)) == 0)
        return status;
    (void)dnnl_primitive_desc_destroy(*description);
    *description = NULL;
    return dnnl_unimplemented;
}

/* Code for bfloat16 that emulates it, or that is written to be read, is slower than code for
 * floats; what uses the processor's instructions is named after them (AVX10 includes them). */
static of_status insist_on_native_code(const of_convolution *convolution, const variant *made,
                                       of_error *error) {
    if (convolution->shape.source == OF_PRECISION_F32)
        return OF_OK;
    const char *name = kernel_name(made->description);
    if (strstr(name, "bf16") == NULL && strstr(name, "amx") == NULL &&
        strstr(name, "avx10") == NULL)
        return of_fail(error, OF_ERROR_UNSUPPORTED,
                       "oneDNN has no native bfloat16 code for a convolution, only '%s'", name);
    return OF_OK;
}

/* Weights packed like those of `alike`; else like those of the largest variant, where that can be.
 */
static dnnl_status_t describe_variant(const of_convolution *convolution, uint32_t index,
                                      const of_convolution *alike,
                                      const_dnnl_primitive_attr_t attributes,
                                      dnnl_primitive_desc_t *description) {
    uint32_t images = 1U << index, largest = convolution->variant_count - 1;
    if (alike != NULL)
        return describe_alike(convolution, images, &alike->variants[0], attributes, description);
    if (index < largest && describe_alike(convolution, images, &convolution->variants[largest],
                                          attributes, description) == dnnl_success)
        return dnnl_success;
    return describe(convolution, images, NULL, attributes, description);
}

static of_status create_variant(of_convolution *convolution, uint32_t index,
                                const of_convolution *alike, const_dnnl_primitive_attr_t attributes,
                                of_error *error) {
    variant *made = &convolution->variants[index];
    CHECK(describe_variant(convolution, index, alike, attributes, &made->description),
          "describing a convolution");
    of_status status = insist_on_native_code(convolution, made, error);
    if (status != OF_OK)
        return status;
    CHECK(dnnl_primitive_create(&made->primitive, made->description), "compiling a convolution");
    size_t scratch = layout_bytes(query(made->description, dnnl_query_scratchpad_md));
    if (scratch > convolution->scratch_bytes)
        convolution->scratch_bytes = scratch;
    if (alike != NULL) { /* reads them where they are */
        made->weight_offset = alike->variants[0].weight_offset;
        convolution->weight_bytes = alike->weight_bytes;
    } else {
        place_weights(convolution, index);
    }
    return OF_OK;
}

static of_status create_variants(of_convolution *convolution, const of_convolution *alike,
                                 of_error *error) {
    uint32_t count = convolution->variant_count;
    dnnl_primitive_attr_t attributes = NULL;
    dnnl_status_t made = make_attributes(&convolution->shape, &attributes);
    of_status status = made == dnnl_success ? OF_OK : fail(error, made, "making attributes");
    for (uint32_t i = count; status == OF_OK && i-- > 0;)
        status = create_variant(convolution, i, alike, attributes, error);
    if (status == OF_OK)
        (void)snprintf(convolution->kernel, sizeof convolution->kernel, "onednn %s",
                       kernel_name(convolution->variants[count - 1].description));
    (void)dnnl_primitive_attr_destroy(attributes);
    return status;
}

/* OUTFLOW_ISA=avx2 keeps oneDNN to AVX2 as well, so that a run shows what an AVX2 machine would do.
 * (There is no scalar oneDNN to ask for.) It listens before its first primitive only; later calls
 * change nothing. */
static void cap_instruction_set(void) {
    const char *wish = getenv("OUTFLOW_ISA");
    if (wish != NULL && strcmp(wish, "avx2") == 0)
        (void)dnnl_set_max_cpu_isa(dnnl_cpu_isa_avx2);
}

bool of_convolution_has_bf16(void) {
    cap_instruction_set(); /* asking, too, settles it */
    return (dnnl_get_effective_cpu_isa() & dnnl_cpu_isa_avx512_core_bf16) ==
           dnnl_cpu_isa_avx512_core_bf16;
}

/* Its weights have one layout only, whatever the shape they go with. */
static of_status create_integer(of_convolution *convolution, of_error *error) {
    of_status status =
        of_integer_convolution_create(&convolution->shape, &convolution->integer, error);
    if (status != OF_OK)
        return status;
    convolution->weight_bytes = of_integer_convolution_weight_bytes(convolution->integer);
    (void)snprintf(convolution->kernel, sizeof convolution->kernel, "avx512_vnni");
    return OF_OK;
}

of_status of_convolution_create(const of_convolution_shape *shape, uint32_t max_images,
                                const of_convolution *alike, of_convolution **result,
                                of_error *error) {
    of_convolution *convolution = of_allocate_zeroed(1, sizeof *convolution);
    if (convolution == NULL)
        return of_fail_memory(error, "a convolution");
    convolution->shape = *shape;
    while (convolution->variant_count < OF_CONVOLUTION_VARIANTS &&
           (1U << convolution->variant_count) <= max_images)
        convolution->variant_count++;
    if (of_is_integer(shape->source)) {
        of_status made = create_integer(convolution, error);
        *result = made == OF_OK ? convolution : NULL;
        if (made != OF_OK)
            of_convolution_free(convolution);
        return made;
    }

    cap_instruction_set();
    /* oneDNN lays its work out for the OpenMP setting at compile time. The setting belongs to
     * the calling thread and is put back. */
    int callers_threads = omp_get_max_threads();
    omp_set_num_threads(1);
    dnnl_status_t made = dnnl_engine_create(&convolution->engine, dnnl_cpu, 0);
    if (made == dnnl_success)
        made = dnnl_stream_create(&convolution->stream, convolution->engine,
                                  dnnl_stream_default_flags);
    convolution->idle = of_onednn_idle_create();
    if (made == dnnl_success && convolution->idle == NULL)
        made = dnnl_out_of_memory;
    of_status status = made == dnnl_success ? create_variants(convolution, alike, error)
                                            : fail(error, made, "creating an engine");
    omp_set_num_threads(callers_threads);
    if (status != OF_OK) {
        of_convolution_free(convolution);
        return status;
    }
    *result = convolution;
    return OF_OK;
}

void of_convolution_free(of_convolution *convolution) {
    if (convolution == NULL)
        return;
    for (uint32_t i = 0; i < OF_CONVOLUTION_VARIANTS; i++) {
        (void)dnnl_primitive_destroy(convolution->variants[i].primitive);
        (void)dnnl_primitive_desc_destroy(convolution->variants[i].description);
    }
    of_onednn_idle_free(convolution->idle);
    (void)dnnl_stream_destroy(convolution->stream);
    (void)dnnl_engine_destroy(convolution->engine);
    of_integer_convolution_free(convolution->integer);
    of_free(convolution);
}

const of_convolution_shape *of_convolution_shape_of(const of_convolution *convolution) {
    return &convolution->shape;
}

uint32_t of_convolution_most_images(const of_convolution *convolution) {
    return 1U << (convolution->variant_count - 1);
}

const char *of_convolution_kernel(const of_convolution *convolution) {
    return convolution->kernel;
}

size_t of_convolution_weight_bytes(const of_convolution *convolution) {
    return convolution->weight_bytes;
}

size_t of_convolution_scratch_bytes(const of_convolution *convolution) {
    return convolution->scratch_bytes;
}

/* ---- Running ----------------------------------------------------------------------------- */

static of_status pack(const of_convolution *convolution, dnnl_format_tag_t order,
                      const float *weights, void *packed, of_error *error) {
    int callers_threads = omp_get_max_threads();
    dnnl_status_t status = dnnl_success;
    omp_set_num_threads(1); /* too little work to wake others for */
    for (uint32_t i = 0; status == dnnl_success && i < convolution->variant_count; i++) {
        const variant *code = &convolution->variants[i];
        bool shared = i > 0 && code->weight_offset == code[-1].weight_offset;
        if (!shared)
            status = reorder_weights(convolution, code, order, weights,
                                     (char *)packed + code->weight_offset, true);
    }
    omp_set_num_threads(callers_threads);
    return status == dnnl_success ? OF_OK : fail(error, status, "packing weights");
}

of_status of_convolution_pack(const of_convolution *convolution, const float *weights, void *packed,
                              of_error *error) {
    if (convolution->integer != NULL)
        return of_integer_convolution_pack(convolution->integer, weights, packed, error);
    return pack(convolution, dnnl_oihw, weights, packed, error);
}

of_status of_convolution_pack_transposed(const of_convolution *convolution, const float *weights,
                                         void *packed, of_error *error) {
    return pack(convolution, dnnl_iohw, weights, packed, error);
}

of_status of_convolution_unpack(const of_convolution *convolution, const void *packed,
                                float *weights, of_error *error) {
    assert(convolution->integer == NULL); /* nobody needs them otherwise */
    const variant *first = &convolution->variants[0];
    CHECK(reorder_weights(convolution, first, dnnl_oihw,
                          (const char *)packed + first->weight_offset, weights, false),
          "unpacking weights");
    return OF_OK;
}

of_status of_convolution_run(const of_convolution *convolution, uint32_t images, const void *source,
                             const void *packed, const float *bias, void *target, void *scratch,
                             of_error *error) {
    if (convolution->integer != NULL) {
        of_integer_convolution_run(convolution->integer, images, source, packed, bias, target);
        return OF_OK;
    }
    const variant *chosen = &convolution->variants[__builtin_ctz(images)];
    const of_onednn_code code = {convolution->engine, convolution->stream, chosen->description,
                                 chosen->primitive};
    const of_onednn_arrays arrays = {.source = source,
                                     .weights = (const char *)packed + chosen->weight_offset,
                                     .bias = convolution->shape.bias ? bias : NULL,
                                     .target = target,
                                     .scratch = scratch};
    CHECK(of_onednn_call(convolution->idle, &code, &arrays), "running a convolution");
    return OF_OK;
}

of_status of_weight_product(size_t m, size_t n, size_t k, const float *a, const float *b, bool add,
                            float *c, of_error *error) {
    CHECK(dnnl_sgemm('T', 'N', (dnnl_dim_t)m, (dnnl_dim_t)n, (dnnl_dim_t)k, 1.0F, a, (dnnl_dim_t)m,
                     b, (dnnl_dim_t)n, add ? 1.0F : 0.0F, c, (dnnl_dim_t)n),
          "a weight gradient");
    return OF_OK;
}

of_status of_data_product(size_t m, size_t n, size_t k, const float *a, const float *b, float *c,
                          of_error *error) {
    CHECK(dnnl_sgemm('N', 'N', (dnnl_dim_t)m, (dnnl_dim_t)n, (dnnl_dim_t)k, 1.0F, a, (dnnl_dim_t)k,
                     b, (dnnl_dim_t)n, 0.0F, c, (dnnl_dim_t)n),
          "a data gradient");
    return OF_OK;
}
