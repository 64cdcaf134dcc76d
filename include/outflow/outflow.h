/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Outflow: find images that do not belong, with invertible networks on CPUs.
 *
 * A tour
 * ------
 *     of_error error;
 *     of_model *model = NULL;
 *     of_plan *plan = NULL;
 *     of_session *session = NULL;
 *     double logp[64];
 *
 *     of_model_load("cifar10.safetensors", &model, &error);
 *     of_plan_compile(model, NULL, &plan, &error);          // packs the weights, chooses kernels
 *     of_model_free(model);                                 // the plan keeps what it needs
 *     of_session_create(plan, 0, &session, &error);         // what one caller runs the plan with
 *     of_session_forward(session, &(of_batch){OF_PIXEL_U8, pixels, 64},
 *                        &(of_likelihoods){.logp = logp}, &error);
 *     of_session_free(session);
 *     of_plan_free(plan);
 *
 * Conventions
 * -----------
 * - Every function that can fail returns an `of_status` and takes an `of_error *` as its last
 *   argument (NULL is allowed). On failure the error holds one line that names the place, the
 *   reason and, where there is one, the remedy. Handles and values are then not set (a handle may
 *   be set to NULL); arrays of results may have been written in part.
 * - Who creates a handle frees it with the matching `_free`, which accepts NULL.
 * - NULL for something that is needed is OF_ERROR_ARGUMENT where a status is returned; other
 *   functions must be given what they take. Where NULL is allowed it is said; an array of no
 *   elements may be NULL, too.
 * - Structs that callers fill begin with their size, so that a program keeps working with later
 *   versions of the library, whose structs have more fields: start from the matching `_default`,
 *   which sets it. A struct of a newer version whose new fields are in use is OF_ERROR_UNSUPPORTED,
 *   a size that was never set OF_ERROR_ARGUMENT. Plain data of a fixed meaning (batches,
 *   likelihoods, scores) have no size.
 * - Images are arrays of [count][height][width][channels], without gaps, 1 (grey) or 3 (RGB)
 *   channels.
 * - Likelihoods are natural logarithms of densities of the values x that a model makes of bytes v,
 *   by default x = (v + 1/2)/256 - 1/2 (of_input_map); `of_bits_per_dim` converts.
 * - Threads: a plan, a model, a calibration and a detector may be used by any number of threads at
 *   once as long as they are taken as const: that only reads them. Every other handle (a session, a
 *   source, a calibrator, an evaluation, an output, ...) serves one caller at a time. Different
 *   handles may be used at the same time, and functions without a handle always.
 * - Processes: a thread that has run something on several threads can do so no more in a child that
 *   it forks (libgomp would wait for ever): OF_ERROR_UNSUPPORTED. Fork before the first use, start
 *   another program in the child, or use one thread.
 * - Memory: lack of it is OF_ERROR_MEMORY, except inside oneDNN while a plan is compiled, which
 * ends the process then, and inside libarchive, which exits. A service that must live on compiles
 *   plans when it starts, and reads archives of strangers in a process of their own.
 * - The library never prints, never exits and leaves the caller's OpenMP settings as they were.
 */
#ifndef OUTFLOW_OUTFLOW_H
#define OUTFLOW_OUTFLOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(OF_STATIC)
#define OF_API
#elif defined(__GNUC__)
#define OF_API __attribute__((visibility("default")))
#else
#define OF_API
#endif

/** Places of a printf format and its arguments, which compilers then check. */
#if defined(__GNUC__)
#define OF_PRINTF(text, first) __attribute__((format(printf, text, first)))
#else
#define OF_PRINTF(text, first)
#endif

/* ---- Version and errors ---------------------------------------------------------------- */

#define OF_VERSION_MAJOR 0
#define OF_VERSION_MINOR 1
#define OF_VERSION_PATCH 0

/** "MAJOR.MINOR.PATCH" of the library that is linked. */
OF_API const char *of_version(void);

/** Outcome of a call. The values are stable across versions. */
typedef enum of_status {
    OF_OK = 0,
    OF_ERROR_ARGUMENT = 1,    /**< the caller passed something that makes no sense */
    OF_ERROR_MEMORY = 2,      /**< an allocation failed */
    OF_ERROR_IO = 3,          /**< a file could not be opened, read or written */
    OF_ERROR_FORMAT = 4,      /**< a file's content is damaged or not what it claims to be */
    OF_ERROR_UNSUPPORTED = 5, /**< valid, but this build or this CPU cannot do it */
    OF_ERROR_MISMATCH = 6,    /**< two things that must fit each other do not */
    OF_ERROR_NUMERIC = 7,     /**< a computation left the finite numbers */
    OF_ERROR_INTERNAL = 8     /**< a library underneath failed unexpectedly */
} of_status;

/** Name of a status, for logs: "ok", "argument", ... */
OF_API const char *of_status_name(of_status status);

/** What went wrong: one line, no newline at its end. */
typedef struct of_error {
    of_status status;
    char message[1024];
    /** The one setting that would help, by the name of its field ("general_model" of some options
        struct), for programs that word their own hint; "calibration" where a detector must be
        calibrated; "" where there is none. */
    char setting[32];
    /** With OF_ERROR_IO the errno of the system call that failed (ENOENT: no such file or installed
        model, EACCES, EISDIR, ENOSPC, ...); 0 where there was none, and with every other status. */
    int os_error;
} of_error;

/**
 * For callbacks that report failures in the library's form: fills `error` (NULL is allowed) with a
 * status and a printf message and returns the status, so that a failing branch is one line:
 *
 *     return of_fail(error, OF_ERROR_IO, "%s: %s", path, reason);
 *
 * Control characters and newlines in the result become '?', so that a hostile name cannot break
 * the one-line rule or a terminal.
 */
OF_API of_status of_fail(of_error *error, of_status status, const char *format, ...)
    OF_PRINTF(3, 4);

/** The same with the name of the setting that would help, up to 31 bytes; NULL as "". */
OF_API of_status of_fail_setting(of_error *error, of_status status, const char *setting,
                                 const char *format, ...) OF_PRINTF(4, 5);

/** OF_ERROR_MEMORY, with what was being allocated. */
OF_API of_status of_fail_memory(of_error *error, const char *what);

#ifdef __clang_analyzer__
/* Clang's static analyzer sees one file at a time. What it must know: a failure returns its status.
 */
#define of_fail(error, status, ...) ((void)(of_fail)((error), (status), __VA_ARGS__), (status))
#define of_fail_setting(error, status, setting, ...)                                               \
    ((void)(of_fail_setting)((error), (status), (setting), __VA_ARGS__), (status))
#define of_fail_memory(error, what) ((void)(of_fail_memory)((error), (what)), OF_ERROR_MEMORY)
#endif

/** Copies `from` into `to` (either may be NULL) and returns its status, OF_OK for NULL. */
OF_API of_status of_error_copy(of_error *to, const of_error *from);

/** Frees memory that the library has allocated for the caller, where its description says so; NULL
    is allowed. */
OF_API void of_free(void *memory);

/* ---- Processor --------------------------------------------------------------------------- */

/** Instruction sets that the kernels are written for. Each includes the ones before it. */
typedef enum of_isa {
    OF_ISA_AUTO = 0,   /**< the best that the CPU and the operating system support */
    OF_ISA_SCALAR = 1, /**< portable C */
    OF_ISA_AVX2 = 2,   /**< AVX2 and FMA */
    OF_ISA_AVX512 = 3  /**< AVX-512 F, BW, DQ and VL */
} of_isa;

/** "auto", "scalar", "avx2" or "avx512". */
OF_API const char *of_isa_name(of_isa isa);

/** Reads one of the names above. */
OF_API of_status of_isa_parse(const char *name, of_isa *isa, of_error *error);

/**
 * Resolves a wish to the instruction set that will run. OF_ISA_AUTO takes the environment
 * variable OUTFLOW_ISA if it is set, else the best one. One that this machine lacks, or an
 * unknown name in the variable, is OF_ERROR_UNSUPPORTED or OF_ERROR_ARGUMENT.
 */
OF_API of_status of_isa_resolve(of_isa wish, of_isa *resolved, of_error *error);

/** What the coupling networks calculate in. */
typedef enum of_precision {
    OF_PRECISION_F32 = 0,  /**< single precision throughout */
    OF_PRECISION_BF16 = 1, /**< the networks' convolutions and their hidden activations in bfloat16
                                (8 bits of significand), summed in single precision; the state of
                                the flow, coefficients, log-determinants and priors as with F32 */
    OF_PRECISION_AUTO = 2, /**< BF16 where it runs natively, else F32 */
    OF_PRECISION_INT8 = 3, /**< the networks' convolutions in integers: hidden activations of 8 bits
                                with ranges that were measured on images (of_model_quantize),
                              weights of 8 bits with a scale for each output, exact sums; what reads
                              the flow's state, and other layers where 8 bits cost too much, in
                              INT16; the rest as with BF16 */
    OF_PRECISION_INT16 = 4 /**< what single layers of INT8 plans multiply: 14 bits of activations
                                and 16 of weights. Not for a whole plan */
} of_precision;

/** "f32", "bf16", "auto", "int8" or "int16". */
OF_API const char *of_precision_name(of_precision precision);

/** Reads one of the names above. */
OF_API of_status of_precision_parse(const char *name, of_precision *precision, of_error *error);

/**
 * Resolves a wish to F32, BF16 or INT8 for a plan with instruction set `isa` (AUTO is resolved
 * first). BF16 needs OF_ISA_AVX512, a CPU with AVX512_BF16, and a convolution library that uses it;
 * INT8 needs OF_ISA_AVX512 and a CPU with AVX512_VNNI: else it is OF_ERROR_UNSUPPORTED, never
 * emulated.
 */
OF_API of_status of_precision_resolve(of_precision wish, of_isa isa, of_precision *resolved,
                                      of_error *error);

/** The processor's instructions for bfloat16, as far as the operating system lets them run. */
typedef struct of_bf16_support {
    bool avx512_bf16; /**< dot products of pairs in vectors: what OF_PRECISION_BF16 needs */
    bool amx_bf16;    /**< products of tiles; the convolution library takes them by itself */
} of_bf16_support;

/** What this machine has of them. */
OF_API of_bf16_support of_cpu_bf16(void);

/** The processor's instructions for 8-bit integers, as far as the operating system lets them run.
 */
typedef struct of_int8_support {
    bool avx512_vnni; /**< dot products of four in vectors: what OF_PRECISION_INT8 needs */
} of_int8_support;

/** What this machine has of them. */
OF_API of_int8_support of_cpu_int8(void);

/** Number of CPUs this process may use: its affinity mask, lowered by a cgroup quota. At least 1.
 */
OF_API unsigned of_cpu_count(void);

/** The processor's own name for itself, zero-terminated and cut to `size` bytes, or "unknown". */
OF_API void of_cpu_name(char *name, size_t size);

/** Seconds of a clock that only goes forward, from a start of its own. */
OF_API double of_seconds(void);

/** CPUs of this process as in "0-3,8", of `size` bytes, cut if it does not fit: those of the
   calling thread, unless OpenMP has bound threads, then those of all its places. */
OF_API void of_process_cpus(char *text, size_t size);

/** CPUs that the calling thread may run on, in the same form. */
OF_API void of_thread_cpus(char *text, size_t size);

/** Lets the calling thread run on all CPUs of the process again, where OpenMP has bound it. */
OF_API void of_thread_unbind(void);

/** CPUs' worth of time that control groups (containers, job schedulers) grant this process; 0:
   there is no limit. */
OF_API double of_cpu_quota(void);

/** The library that runs the convolutions, and its version: "oneDNN 2.6.3". */
OF_API const char *of_convolutions(void);

/* ---- Models ------------------------------------------------------------------------------ */

typedef enum of_family {
    OF_FAMILY_GLOW = 0,
    OF_FAMILY_PATCH_GLOW = 1 /**< one scale over non-overlapping 8x8 patches */
} of_family;

typedef enum of_coupling { OF_COUPLING_AFFINE = 0, OF_COUPLING_ADDITIVE = 1 } of_coupling;

typedef enum of_permutation {
    OF_PERMUTATION_INVCONV = 0,       /**< trained mixing matrix */
    OF_PERMUTATION_INVCONV_FIXED = 1, /**< a fixed mixing matrix */
    OF_PERMUTATION_SHUFFLE = 2        /**< a fixed permutation of channels */
} of_permutation;

typedef enum of_block {
    OF_BLOCK_CONV = 0, /**< 3x3, 1x1, 3x3 convolutions */
    OF_BLOCK_DENSE = 1 /**< three linear layers on the flattened scale */
} of_block;

/** Which half of a scale's channels becomes its latents; the other half goes on. */
typedef enum of_latents { OF_LATENTS_FIRST = 0, OF_LATENTS_SECOND = 1 } of_latents;

/** What a split knows of its latents. */
typedef enum of_split_prior {
    OF_SPLIT_PRIOR_NONE = 0,
    /** z = (x_latents - mean) exp(-log_std), log-det -sum log_std, with
        h = (conv3x3(x_on) + bias) exp(3 log_scale) of the half that goes on, zero padding,
        mean = h[0::2], log_std = h[1::2]; on all scales but the last */
    OF_SPLIT_PRIOR_CONV = 1
} of_split_prior;

/** Convolutions with a constant for taps outside the image: out[o,y,x] += sum of edge[o,ky,kx] over
    the taps (ky,kx) that fall outside, before ActNorm, bias and scale. Flags. */
typedef enum of_edges {
    OF_EDGES_CONV1 = 1, /**< the first of a coupling network */
    OF_EDGES_CONV3 = 2, /**< its last */
    OF_EDGES_SPLIT = 4  /**< that of OF_SPLIT_PRIOR_CONV */
} of_edges;

/** How an affine coupling's scale s = exp(l) comes from the network's `raw`; log-det sum of l. */
typedef enum of_scale_map {
    OF_SCALE_MAP_SIGMOID = 0,         /**< s = sigmoid(raw + 2) */
    OF_SCALE_MAP_EXP = 1,             /**< s = exp(raw) */
    OF_SCALE_MAP_SIGMOID_INVERSE = 2, /**< s = 1 / sigmoid(raw + 2) */
    OF_SCALE_MAP_TANH = 3 /**< s = exp(gain tanh(raw)), `gain` trained, a channel each */
} of_scale_map;

/** Where an affine coupling adds. */
typedef enum of_shift {
    OF_SHIFT_BEFORE = 0, /**< x_b' = (x_b + add) s */
    OF_SHIFT_AFTER = 1   /**< x_b' = x_b s + add */
} of_shift;

/** What stands before a coupling network. */
typedef enum of_net_input {
    OF_NET_INPUT_NONE = 0,
    OF_NET_INPUT_AFFINE_RELU = 1 /**< max(0, scale x_a + shift), both trained, a channel each; zero
                                      padding comes after it */
} of_net_input;

/** Names, as in weight files: "glow", "patch-glow"; "affine", "additive"; "invconv",
   "invconvfixed", "shuffle"; "conv", "dense"; "first", "second"; "none", "conv"; "conv1", "conv3",
   "split" (one flag each); "sigmoid", "exp", "sigmoid_inverse", "tanh"; "before", "after"; "none",
   "affine-relu". "unknown" for what is no value. */
OF_API const char *of_family_name(of_family family);
OF_API const char *of_coupling_name(of_coupling coupling);
OF_API const char *of_permutation_name(of_permutation permutation);
OF_API const char *of_block_name(of_block block);
OF_API const char *of_latents_name(of_latents latents);
OF_API const char *of_split_prior_name(of_split_prior split_prior);
OF_API const char *of_edges_name(of_edges edge);
OF_API const char *of_scale_map_name(of_scale_map scale_map);
OF_API const char *of_shift_name(of_shift shift);
OF_API const char *of_net_input_name(of_net_input net_input);

/** Each reads one of these names. */
OF_API of_status of_family_parse(const char *name, of_family *family, of_error *error);
OF_API of_status of_coupling_parse(const char *name, of_coupling *coupling, of_error *error);
OF_API of_status of_permutation_parse(const char *name, of_permutation *permutation,
                                      of_error *error);
OF_API of_status of_block_parse(const char *name, of_block *block, of_error *error);
OF_API of_status of_latents_parse(const char *name, of_latents *latents, of_error *error);
OF_API of_status of_split_prior_parse(const char *name, of_split_prior *split_prior,
                                      of_error *error);
OF_API of_status of_edges_parse(const char *name, of_edges *edge, of_error *error);
OF_API of_status of_scale_map_parse(const char *name, of_scale_map *scale_map, of_error *error);
OF_API of_status of_shift_parse(const char *name, of_shift *shift, of_error *error);
OF_API of_status of_net_input_parse(const char *name, of_net_input *net_input, of_error *error);

enum { OF_MAX_SCALES = 6 };

/**
 * From bytes v to what the flow sees: q = floor(v / 2^(8 - bits)), x = scale q + shift, in training
 * + bin (u - 1/2) with u uniform in [0,1). With `logit` A > 0 then p = A + (1 - 2A) x and
 * x <- ln p - ln(1 - p), log-det sum of ln(1 - 2A) - ln p - ln(1 - p), scale 0's.
 */
typedef struct of_input_map {
    uint32_t bits; /**< of a value, 1..8 */
    double scale;  /**< > 0 */
    double shift;
    double bin; /**< > 0: width of a level's bin in units of x, what makes a density a probability;
                     in general `scale` */
    double logit; /**< A, 0 (none) or more, below 1/2; p must stay inside (0, 1), noise included */
} of_input_map;

/** bits 8, scale and bin 1/256, shift 1/512 - 1/2, no logit: x = (v + u)/256 - 1/2. */
OF_API of_input_map of_input_map_default(void);

/** The same of `bits` 1..8: scale and bin 2^-bits, shift 2^-bits/2 - 1/2. */
OF_API of_input_map of_input_map_of_bits(uint32_t bits);

/** Shape of a network; fully determines the names and shapes of its parameters. */
typedef struct of_architecture {
    size_t size; /**< sizeof(of_architecture), set by of_architecture_default; functions that return
                      no status take the defaults for what a shorter struct lacks */
    of_family family;
    uint32_t channels; /**< of the image: 1 or 3 */
    uint32_t height;   /**< pixels, divisible by 2^scales (patch-glow: by 8) */
    uint32_t width;    /**< pixels, divisible by 2^scales (patch-glow: by 8) */
    uint32_t scales;   /**< 1..6; patch-glow runs one scale whatever this says */
    uint32_t steps;    /**< flow steps a scale, 1..256 */
    uint32_t hidden;   /**< width of the coupling networks, 1..8192 */
    of_coupling coupling;
    of_permutation permutation;
    bool lu; /**< INVCONV only: mixing matrix stored as P (L+I) (U+diag) */
    of_block block;
    uint32_t classes; /**< 0, or the number of class-conditional densities, up to 1000 */

    /* What other implementations of Glow do otherwise. */
    of_input_map input;
    of_latents latents;
    of_split_prior split_prior; /**< CONV: not with dense blocks */
    uint32_t edges;         /**< of_edges flags; not with dense blocks; SPLIT needs a split prior */
    of_scale_map scale_map; /**< affine couplings only */
    of_shift shift;         /**< affine couplings only */
    of_net_input net_input; /**< AFFINE_RELU: not with dense blocks */
    double leak;            /**< of the networks' ReLUs, x > 0 ? x : leak x; 0 or more, below 1 */
    bool closing; /**< one more ActNorm and mixing after a scale's last step, before the split, with
                       their log-dets as in a step; not with dense blocks */
} of_architecture;

/** The defaults: glow, 3x32x32, 3 scales, 8 steps, hidden 64, affine, invconv with LU, conv;
    of_input_map_default, first half latents, no split prior, no edges, sigmoid, shift before, no
    net_input, no leak, no closing map. */
OF_API of_architecture of_architecture_default(void);

/** Scales that are really run: `scales`, or 1 for patch-glow. */
OF_API uint32_t of_architecture_scale_count(const of_architecture *architecture);

/** Checks every field's range and their combination: OF_ERROR_ARGUMENT names the field and says
   what is wrong. */
OF_API of_status of_architecture_check(const of_architecture *architecture, of_error *error);

/** The architecture as weight files have it, a line of JSON, to be freed with of_free; NULL when
    memory is exhausted or `size` was never set. */
OF_API char *of_architecture_print(const of_architecture *architecture);

/** Units that go through the flow for one image: 1, or the number of patches. */
OF_API uint32_t of_architecture_units(const of_architecture *architecture);

/** Floating-point operations of one image's direct convolutions (or linear layers), those of split
    priors included, multiplications and additions counted each; NaN if `size`
    was never set. */
OF_API double of_architecture_flops(const of_architecture *architecture);

/** channels * height * width. */
OF_API size_t of_architecture_dimensions(const of_architecture *architecture);

/** nats of log-likelihood -> bits per dimension, -log2(bin) - logp / (D ln 2): with the default
    input 8 - logp / (D ln 2). */
OF_API double of_bits_per_dim(const of_architecture *architecture, double logp);

/** Negative log-likelihood of the image's q (of_input_map) in nats, -(logp + D ln bin): with the
    default input -(logp - D ln 256), that of the 8-bit image. */
OF_API double of_nll(const of_architecture *architecture, double logp);

/** Weights with their architecture and metadata. */
typedef struct of_model of_model;

/**
 * Reads a safetensors weight file. Every tensor is checked against the architecture in the
 * header: names, shapes, types, finite values, no overlap and no holes.
 */
OF_API of_status of_model_load(const char *path, of_model **model, of_error *error);

/**
 * Reads the general model of a bundle, a weight file that holds two (of_detector_save); NULL if the
 * file has none. of_model_load reads the model itself of such a file.
 */
OF_API of_status of_model_load_general(const char *path, of_model **model, of_error *error);

/**
 * Models by name: NAME stands for NAME.safetensors in a folder of models. Folders are those of the
 * environment variable OUTFLOW_MODELS (separated by colons), then the one that was installed with
 * the library, or beside its build, then the one of the program that runs.
 */
enum { OF_MODEL_PATH_SIZE = 4096 /**< bytes that hold every path of of_model_locate */ };

/**
 * Writes the file that `name` stands for to `path` of `size` bytes: the name itself if it is a path
 * or a file that exists, else an installed model's. A plain name that is neither is OF_ERROR_IO and
 * says which names are near, or which there are. A path is not looked at.
 */
OF_API of_status of_model_locate(const char *name, char *path, size_t size, of_error *error);

/** Reads the weight file that a name or a path stands for. */
OF_API of_status of_model_open(const char *name, of_model **model, of_error *error);

/** Calls `visit` (may be NULL) with the name of each installed model, sorted; returns how many. */
OF_API size_t of_model_list(void (*visit)(void *user, const char *name), void *user);

/**
 * Makes a model with random weights: mixing matrices are random rotations (or permutations),
 * the first two layers of a coupling network normal(0, 0.05), the last one zero, everything
 * else neutral. The same architecture and seed give the same weights on every machine.
 */
OF_API of_status of_model_create(const of_architecture *architecture, uint64_t seed,
                                 of_model **model, of_error *error);

/**
 * Writes a safetensors weight file: to a temporary file beside `path`, synchronised, then
 * renamed over it. Refuses to write values that are not finite.
 */
OF_API of_status of_model_save(const of_model *model, const char *path, of_error *error);

/** Frees a model and what was read from it; NULL is allowed. */
OF_API void of_model_free(of_model *model);

/** The architecture; valid as long as the model. */
OF_API const of_architecture *of_model_architecture(const of_model *model);

/** Number of parameter values, the fixed ones (permutations, signs) included. */
OF_API size_t of_model_parameter_count(const of_model *model);

/**
 * A hash of all tensor values (not of names, shapes or metadata), to recognise a model by. Not
 * cryptographic: it guards against mistakes, not against malice.
 */
OF_API uint64_t of_model_fingerprint(const of_model *model);

/** One tensor of a model. Strings and arrays are valid as long as the model. */
typedef struct of_tensor_info {
    const char *name;
    uint32_t rank;
    uint64_t shape[4];
    bool trainable;
    bool is_index;          /**< values are int64 channel indices, not floats */
    const float *values;    /**< NULL for an index tensor */
    const int64_t *indices; /**< NULL for a float tensor */
} of_tensor_info;

/** Number of tensors. */
OF_API size_t of_model_tensor_count(const of_model *model);

/** Tensor `index`, in the order of the weight file; all zero beyond of_model_tensor_count. */
OF_API of_tensor_info of_model_tensor(const of_model *model, size_t index);

/** A metadata string (for example "training"), or NULL. Valid until it is set again. */
OF_API const char *of_model_metadata(const of_model *model, const char *key);

/** Key of metadata string `index`, in the order of the file; NULL beyond the last one. Valid until
    metadata are set. */
OF_API const char *of_model_metadata_key(const of_model *model, size_t index);

/** Stores a copy of a metadata string (UTF-8); NULL as value removes the key. */
OF_API of_status of_model_set_metadata(of_model *model, const char *key, const char *value,
                                       of_error *error);

/* ---- Plans: compiled models -------------------------------------------------------------- */

/**
 * A model compiled for this machine: fused layers, packed weights, code for them. It never changes
 * after of_plan_compile, and any number of threads may use it, each through a session of its own.
 */
typedef struct of_plan of_plan;

typedef struct of_plan_options {
    size_t size;            /**< of this struct, set by of_plan_options_default */
    unsigned threads;       /**< most threads of a session, up to 4096; 0: of_cpu_count() */
    of_isa isa;             /**< of the hand-written kernels, default OF_ISA_AUTO; the convolution
                                 library follows OUTFLOW_ISA=avx2 alone */
    unsigned micro_batch;   /**< images a thread takes through the graph at a time; 0: chosen */
    of_precision precision; /**< default OF_PRECISION_F32 */
    bool inverse; /**< also the way back: of_session_inverse and of_session_sample; default false
                     (the inverses of a dense model take long) */
    bool latency; /**< also code for parts of an image, so that threads share one where there are
                       fewer images than threads; takes time, and memory where that code wants
                       weights packed otherwise; default true */
} of_plan_options;

/** All fields at their defaults. */
OF_API of_plan_options of_plan_options_default(void);

/**
 * Compiles a model. `options` may be NULL for the defaults. The plan does not refer to the
 * model afterwards. A mixing matrix that cannot be inverted is OF_ERROR_NUMERIC.
 *
 * With OF_PRECISION_BF16 a scale whose network has no native bfloat16 code stays in F32 (see
 * of_plan_layer); a model without any that has is OF_ERROR_UNSUPPORTED. The weights are rounded to
 * bfloat16 once; log-likelihoods then differ from F32's by an amount that the model determines
 * (of_evaluation_change measures it).
 *
 * OF_PRECISION_INT8 needs the activation ranges of of_model_quantize: a model without them is
 * OF_ERROR_ARGUMENT, one whose ranges were measured with other weights OF_ERROR_MISMATCH, and
 * networks whose ReLU leaks are OF_ERROR_UNSUPPORTED. Split priors stay in F32.
 */
OF_API of_status of_plan_compile(const of_model *model, const of_plan_options *options,
                                 of_plan **plan, of_error *error);

/** Frees a plan, of which no session may be left; NULL is allowed. */
OF_API void of_plan_free(of_plan *plan);

/** The architecture of the model that was compiled; valid as long as the plan. */
OF_API const of_architecture *of_plan_architecture(const of_plan *plan);

typedef enum of_pixel_type {
    OF_PIXEL_U8 = 0, /**< bytes v in 0..255 */
    OF_PIXEL_F32 = 1 /**< floats p = v/255, so 0 is black and 1 is white. Not rounded, neither to
                           bytes nor to fewer bits: x = scale (255 p)/2^(8 - bits) + shift
                           (of_input_map). What is not finite is not refused: likelihoods are then
                           not finite either */
} of_pixel_type;

/** "u8" or "f32". */
OF_API const char *of_pixel_type_name(of_pixel_type type);

/** Images in memory, [count][height][width][channels], of the plan's size. */
typedef struct of_batch {
    of_pixel_type type;
    const void *pixels;
    size_t count;
} of_batch;

/**
 * Where results go: arrays of the caller's, each may be NULL.
 *
 * A scale's contribution is its flow log-determinant, plus the log-determinant of its prior
 * ActNorm, plus the Gaussian log-density of its latents; logp is their sum (Schirrmeister et
 * al. 2020, arXiv 2006.10848, section 3.2). With class-conditional densities, logp is the
 * mixture's, and the contributions are those under the standard normal prior, which then do
 * not sum to logp.
 */
typedef struct of_likelihoods {
    double *logp;           /**< [count] nats */
    double *contributions;  /**< [count][scale_count] nats */
    double *class_logp;     /**< [count][classes] nats; must be NULL without classes */
    float *latents;         /**< [count][dimensions], after the prior ActNorm: the scales one after
                                 the other, each flattened channel-major (patch-glow: patch after
                                 patch, in rows), as of_session_inverse takes them */
    double *latent_squares; /**< [count][scale_count]: sum of the squares of a scale's latents,
                               after the prior ActNorm; about their number for images like those of
                               the training data */
} of_likelihoods;

/**
 * Measures on images how large a model's activations are, and stores that in its metadata string
 * "quantization": what OF_PRECISION_INT8 needs. Some hundred images like those to come will do,
 * also ones that the model was trained on; activations that are larger than all of these images'
 * are cut off. `source` says where they come from, for people; may be NULL. Runs in F32 with
 * `threads` threads (0: of_cpu_count()), of which the result does not depend. Weights stay as they
 * are; if they change later, the ranges are no longer valid. No images are OF_ERROR_ARGUMENT, an
 * architecture with `leak` is OF_ERROR_UNSUPPORTED.
 */
OF_API of_status of_model_quantize(of_model *model, const of_batch *batch, const char *source,
                                   unsigned threads, of_error *error);

/**
 * What one caller needs to run a plan: threads and the memory they work in, small beside the plan's
 * weights. Any number of sessions of a plan may run at once, each for one caller at a time; the
 * plan must outlive them.
 */
typedef struct of_session of_session;

/**
 * Makes a session of `threads` threads, at most the plan's (more are OF_ERROR_ARGUMENT); 0: as many
 * as the plan's. Results do not depend on them. Only a session with all of the plan's threads
 * divides the rows of an image among them (of_plan_options.latency); patches go to any number.
 */
OF_API of_status of_session_create(const of_plan *plan, unsigned threads, of_session **session,
                                   of_error *error);

/** Frees a session; NULL is allowed. */
OF_API void of_session_free(of_session *session);

/** The plan it runs. */
OF_API const of_plan *of_session_plan(const of_session *session);

/** Bytes of memory it works in, beside the plan's. */
OF_API size_t of_session_bytes(const of_session *session);

/**
 * Runs images through the flow. The result for an image does not depend, in any bit, on the
 * number of images, on its place among them, or on the number of threads.
 */
OF_API of_status of_session_forward(of_session *session, const of_batch *batch,
                                    const of_likelihoods *out, of_error *error);

/** Height and width of a scale's grid of positions: those of the image over 2^(scale + 1). */
OF_API void of_architecture_position_shape(const of_architecture *architecture, uint32_t scale,
                                           uint32_t *height, uint32_t *width);

/** Positions of all scales together. */
OF_API size_t of_architecture_position_count(const of_architecture *architecture);

/**
 * Where in an image its likelihood comes from. `contributions` gets
 * [count][of_architecture_position_count]: for each image its scales one after the other, each a
 * grid [height][width] in the shape above, in nats. A position of scale i covers
 * 2^(i+1) x 2^(i+1) pixels, though through its coupling networks it sees more. The grid of a scale
 * sums to its contribution (of_likelihoods), within rounding: its terms are sums over positions,
 * but for the log-determinants of channel mixing, which are the same everywhere, and those of dense
 * blocks' couplings, which have no place and are spread evenly.
 *
 * With class-conditional densities the grids are those of the likeliest class, and all grids of an
 * image together sum to its largest class_logp. Patches of a patch-glow tile the grid. Much slower
 * than of_session_forward: for images that somebody will look at.
 */
OF_API of_status of_session_position_contributions(of_session *session, const of_batch *batch,
                                                   double *contributions, of_error *error);

/**
 * Runs latents ([count][dimensions], as of_session_forward gives them) backwards. `images` gets
 * [count][height][width][channels] floats in the units of OF_PIXEL_F32 (values may lie outside
 * 0..1). A plan that was compiled without `inverse` is OF_ERROR_ARGUMENT. With OF_PRECISION_BF16,
 * forward and inverse undo each other only as far as the networks' rounding lets them.
 */
OF_API of_status of_session_inverse(of_session *session, const float *latents, size_t count,
                                    float *images, of_error *error);

/**
 * Draws images: latents from N(0, temperature^2), run backwards. `images` gets
 * [count][height][width][channels] floats as of_session_inverse gives them. Image i depends on
 * `seed` and i alone. Temperature 0 gives the image of the zero latents. A plan that was compiled
 * without `inverse` is OF_ERROR_ARGUMENT.
 */
OF_API of_status of_session_sample(of_session *session, size_t count, double temperature,
                                   uint64_t seed, float *images, of_error *error);

/** Summary of a plan. */
typedef struct of_plan_info {
    of_isa isa;
    of_precision precision;   /**< BF16 if any layer runs in it, INT8 likewise, else F32 */
    unsigned threads;         /**< most of a session */
    unsigned micro_batch;     /**< images a thread holds in flight */
    double flops_per_image;   /**< multiplications and additions of the direct network */
    size_t weight_bytes;      /**< packed weights */
    size_t workspace_bytes;   /**< of a session with all threads */
    const char *convolutions; /**< library and version, e.g. "oneDNN 2.6.3" */
} of_plan_info;

/** The summary; its string is static. */
OF_API of_plan_info of_plan_describe(const of_plan *plan);

/** One fused layer of a plan, in the order of execution. Strings live as long as the plan. */
typedef struct of_layer_info {
    char name[64];            /**< e.g. "scales.0.steps.3.conv1" */
    char operation[48];       /**< e.g. "3x3 6->64 +relu" */
    const char *kernel;       /**< what runs it, e.g. "avx512" or "onednn jit:avx512_core" */
    of_precision precision;   /**< what it multiplies: F32, BF16, INT8 or INT16 */
    unsigned images_per_call; /**< images (patches) that one call takes */
    double flops;             /**< for one image */
    size_t weight_bytes;
    size_t output_bytes; /**< for one image */
    size_t input_bytes;  /**< for one image: activations that the layer reads (bytes as pixels) */
} of_layer_info;

/** Number of fused layers. */
OF_API size_t of_plan_layer_count(const of_plan *plan);

/** Describes layer `index`; OF_ERROR_ARGUMENT beyond of_plan_layer_count. */
OF_API of_status of_plan_layer(const of_plan *plan, size_t index, of_layer_info *info,
                               of_error *error);

/** One op of the list that a plan is made from. Strings live as long as the plan. */
typedef struct of_op_info {
    const char *pass;   /**< what has made the list: "model", then the names of the passes */
    const char *kind;   /**< e.g. "convolution" */
    char name[64];      /**< e.g. "scales.0.steps.3.conv1": several ops may belong to one layer */
    char operation[48]; /**< e.g. "3x3 6->64 +relu at 16x16" */
} of_op_info;

/** Receives ops one after the other, in the order of execution; `op` lives until it returns. */
typedef void (*of_op_visitor)(void *user, const of_op_info *op);

/**
 * How a plan came about: tells `visit` of every op of the list that the model is, and again of
 * every op of the list after each pass that folds, fuses or chooses. The last list is what runs: as
 * many ops as of_plan_layer_count. Errors: OF_ERROR_ARGUMENT, OF_ERROR_MEMORY. Safe from any
 * thread.
 */
OF_API of_status of_plan_ops(const of_plan *plan, of_op_visitor visit, void *user, of_error *error);

/**
 * Where the time goes: runs the images on one thread, in the order of execution, with a clock
 * around every layer. `layer_seconds` [of_plan_layer_count] gets the seconds spent in each.
 */
OF_API of_status of_session_profile(of_session *session, const of_batch *batch,
                                    double *layer_seconds, of_error *error);

/**
 * Largest rate of single-precision multiply-adds this machine reaches now, in floating-point
 * operations a second (two for each), with `threads` threads (up to 4096; 0: of_cpu_count()) and an
 * instruction set; measured for some tenths of a second. What is reached elsewhere is judged by it.
 */
OF_API of_status of_measure_peak(unsigned threads, of_isa isa, double *flops_per_second,
                                 of_error *error);

/* ---- Images in memory -------------------------------------------------------------------- */

/** What an image file in memory is turned into, and what is refused. */
typedef struct of_image_options {
    size_t size;         /**< sizeof(of_image_options), set by of_image_options_default */
    uint32_t channels;   /**< 1 or 3: the image is converted to this many channels */
    uint32_t height;     /**< it is resized to this height */
    uint32_t width;      /**< and this width */
    uint64_t max_pixels; /**< larger images are refused before decoding; 0: 2^26 */
    uint64_t max_bytes;  /**< most memory that the decoder may take for its work; 0: what an image
                              of its size can need, up to 16 bytes a pixel */
    uint32_t min_height; /**< images that are less high are refused; 0: none is */
    uint32_t min_width;  /**< images that are less wide are refused; 0: none is */
    uint32_t background; /**< what lies below transparent pixels: of_colour_parse; 0: white */
    bool full_decoding;  /**< a JPEG that is shrunk is never decoded at 1/2, 1/4 or 1/8 of its size,
                              which is several times as fast and changes pixels by a level or two */
} of_image_options;

/**
 * Reads the name of a colour, for the field `background` of several options: "white", "black",
 * "grey" (128 of 255) or "#rrggbb". OF_ERROR_ARGUMENT for any other text.
 */
OF_API of_status of_colour_parse(const char *text, uint32_t *colour, of_error *error);

/**
 * The image formats that this build reads, by number from 0: their name ("PNG", ...) and the
 * library that decodes them, both static. False behind the last.
 */
OF_API bool of_image_format(size_t index, const char **name, const char **library);

/** All fields at their defaults, for the images of an architecture; NULL: 3x32x32. */
OF_API of_image_options of_image_options_default(const of_architecture *architecture);

/** What was read, and what of it did not get through. */
typedef struct of_image_info {
    const char *format; /**< of_image_format; "record" and "synthetic" of other sources; static */
    uint32_t channels;  /**< as stored, 1 or 3; opacity is not counted */
    uint32_t height, width;  /**< in pixels, as it is to be seen, after `oriented` */
    bool resized;            /**< to the height and width of the options */
    bool converted;          /**< grey was made colour, or colour grey */
    bool alpha_dropped;      /**< some pixels were not opaque: they were laid over the background */
    bool depth_reduced;      /**< of 16 bits a channel, the upper 8 were taken */
    uint32_t frames_dropped; /**< of an animation or a document, all but the first; 0 where each
                                  frame is an image of its own */
    bool reshaped;           /**< shrunk to less than a quarter, or squeezed by more than 1.25 one
                                  way: much is lost, and the model sees another image */
    bool oriented;           /**< turned or mirrored, as its EXIF data say */
    bool enlarged;           /**< smaller than wanted, one way at least */
    bool cmyk;               /**< colours of ink were made red, green and blue */
    bool dim; /**< of samples of 16 bits none reaches a quarter of white: they have 14
                   bits or fewer, it seems, and the file does not say so */
} of_image_info;

enum { OF_NOTES_SIZE = 192 /**< bytes that hold any notes */ };

/**
 * What was done to an image, in short words that "; " separates, such as "orientation applied;
 * alpha on background; grey to colour; 16 to 8 bits; enlarged"; "" if nothing. Returns `text`.
 */
OF_API const char *of_image_notes(const of_image_info *info, char text[OF_NOTES_SIZE]);

/**
 * Decodes an image file that is in memory (of_image_format; recognised by its content) and converts
 * it as image sources do, to the same pixels: what is transparent is laid over the background,
 * EXIF's orientation is applied, inks become red, green and blue without a colour profile, of 16
 * bits the upper 8 are taken (of what PNM, TIFF or PNG's sBIT say is less, the upper 8 of that),
 * colour becomes grey by Rec. 601 luma, grey is repeated, and another size is resampled with a
 * triangle filter. Of an animation the first frame is taken. `pixels` gets
 * [height][width][channels] bytes of the options.
 *
 * `name` stands in messages and may be NULL; only one that ends in ".tga" makes bytes without a
 * signature a TGA file. `options` NULL: the defaults. `info` may be NULL and is set on success.
 *
 * The bytes may come from anywhere: sizes are checked before memory is taken, and what is cut
 * short or damaged is OF_ERROR_FORMAT and never a half-filled image. An image beyond the limits is
 * OF_ERROR_UNSUPPORTED, with the name of the limit as the error's setting. May be called from any
 * number of threads at once.
 */
OF_API of_status of_image_read(const void *bytes, size_t size, const char *name,
                               const of_image_options *options, uint8_t *pixels,
                               of_image_info *info, of_error *error);

/**
 * Encodes pixels, [height][width][channels], channels 1 or 3, as an 8-bit PNG file. `png` gets
 * `size` bytes, to be freed with of_free.
 */
OF_API of_status of_png_encode(const uint8_t *pixels, uint32_t channels, uint32_t height,
                               uint32_t width, uint8_t **png, size_t *size, of_error *error);

/* ---- Tiles ------------------------------------------------------------------------------- */

enum { OF_TILE_LEAST = 4 /**< pixels of a tile's side */ };

/** How pictures are cut into windows, in pixels of the picture; windows of another size than a
    model's images are resized. All zero: they are not. */
typedef struct of_tiling {
    uint32_t size;   /**< of a window; of its height, where the model's images are no squares */
    uint32_t stride; /**< from one window to the next, at most `size` */
} of_tiling;

/**
 * Reads "SIZE" or "SIZE:STRIDE"; without a stride it is half the size. With `rest` (may be NULL) a
 * colon and anything must follow, to which it then points. What is not that, or out of range
 * (OF_TILE_LEAST..65535, a stride of 1..size), is OF_ERROR_ARGUMENT with the setting "tiles".
 */
OF_API of_status of_tiling_parse(const char *text, of_tiling *tiling, const char **rest,
                                 of_error *error);

/** Is it in range? */
OF_API of_status of_tiling_check(const of_tiling *tiling, of_error *error);

/** A window of a picture. Windows begin every `stride` pixels; the last ones of a row and of a
    column end with the picture, so that every pixel is covered. Of a picture that is smaller than
    a window it is as large as fits. All zero for an image of its own. */
typedef struct of_tile {
    uint32_t x, y;          /**< of its first pixel, in the picture */
    uint32_t height, width; /**< in pixels of the picture */
    uint32_t picture_height, picture_width;
    uint32_t down, across; /**< windows of the picture: rows, and windows in a row */
    uint64_t picture;      /**< number of the picture in its source */
    uint64_t number;       /**< of the window in the picture, row by row */
    bool enlarged;         /**< the picture is smaller than the windows that were asked for */
} of_tile;

/* ---- Image sources ----------------------------------------------------------------------- */

/**
 * A stream of images of one size from a folder, an image file, a .tar, .tar.gz or .zip archive,
 * CIFAR-10/100 binary files, IDX files (gzip too), a .npy array, a MATLAB .mat file laid out as
 * those of SVHN, "-" (paths on standard input), "imglist:FILE[:ROOT]" (a text file with a
 * path and a label a line) or "synthetic:NAME[:COUNT]" (1,000 without); or
 * "part:FROM-TO:SRC" with 0 <= FROM < TO <= 1, a part of one of these that is chosen by the images'
 * paths; or "tiles:SIZE[:STRIDE]:SRC", the windows of the pictures of one of these (of_tiling),
 * each an image of its own with "@X,Y" behind its path; or "windows:SIZE[:COUNT]:SRC", COUNT
 * windows of each picture (16 without) at random places that depend on the seed and its path. Files
 * are decoded by threads of the source's own while the caller works; the order is that of the
 * source, and memory does not grow with the number of images.
 */
typedef struct of_source of_source;

typedef struct of_source_options {
    size_t size;         /**< sizeof(of_source_options), set by of_source_options_default */
    uint32_t channels;   /**< 1 or 3: images are converted to this many channels */
    uint32_t height;     /**< images are resized to this height */
    uint32_t width;      /**< and this width */
    unsigned threads;    /**< decoding threads; 0: chosen */
    uint64_t limit;      /**< stop after this many images; 0: no limit */
    uint64_t seed;       /**< of synthetic sources and of random windows */
    uint64_t max_pixels; /**< larger images are refused before decoding; 0: 2^26 */
    uint32_t min_height; /**< images that are less high are refused; 0: none is */
    uint32_t min_width;  /**< images that are less wide are refused; 0: none is */
    bool strict;         /**< the first unreadable file ends the stream with its error */
    /** Called from of_source_next for every file that could not be read. May be NULL. */
    void (*on_unreadable)(void *user, const char *path, const char *reason);
    void *user; /**< passed to on_unreadable and stop */
    /** Asked about ten times a second while of_source_next works or waits, by the thread that
       called it: true ends the stream with OF_ERROR_IO, "interrupted". May be NULL. */
    bool (*stop)(void *user);
    uint64_t max_bytes;    /**< most memory that decoding one image may take; what needs more is
                                unreadable. 0: 2^29 */
    uint64_t max_unpacked; /**< most bytes that are unpacked of an archive; more than that is
                                OF_ERROR_UNSUPPORTED and ends the stream. 0: no limit */
    uint32_t background;   /**< what lies below transparent pixels: of_colour_parse; 0: white */
    bool full_decoding;    /**< as in of_image_options */
    bool all_frames; /**< each frame of an animation, and each page of a TIFF, is an image; its
                          path ends in "#" and its number. Else the first frame alone */
} of_source_options;

/** One image of a batch. */
typedef struct of_item {
    const char *path;       /**< inside the source; "7" is the eighth record of a record file */
    const char *label;      /**< class name (first folder, or the record's label), "" without one */
    int32_t class_index;    /**< number of the label in order of first appearance (record files:
                                 the stored label), -1 without one */
    uint32_t height, width; /**< before it was resized */
    bool reshaped;          /**< much was lost when it was resized, see of_image_info */
    of_image_info info;     /**< what was read and what was done to it */
    of_tile tile;           /**< which window of which picture; all zero for a whole image */
} of_item;

/** Images in order; all pointers are valid until the next call on the source. */
typedef struct of_source_batch {
    size_t count;
    const uint8_t *pixels; /**< [count][height][width][channels] */
    const of_item *items;  /**< [count] */
} of_source_batch;

/** All fields at their defaults, for the images of an architecture; NULL: 3x32x32. */
OF_API of_source_options of_source_options_default(const of_architecture *architecture);

/**
 * Opens a source. What cannot be opened at all, or has nothing in it that could be an image,
 * is an error here or, where that shows only at the end of a stream, from of_source_next. `options`
 * must be given: the size of the images belongs to a model. Nothing of them needs to live on but
 * what `user` points to.
 */
OF_API of_status of_source_open(const char *spec, const of_source_options *options,
                                of_source **source, of_error *error);

/**
 * Takes the next images, at most `max_count` (> 0). At the end of the stream the batch has count 0.
 * Unreadable files are left out and counted. What is lost of a damaged archive, once images of it
 * were given, counts as one of them. What ends the stream early, such as a truncated record file,
 * is an error once the images before it were given, and on every later call; once `stop` was true,
 * it is one at once.
 */
OF_API of_status of_source_next(of_source *source, size_t max_count, of_source_batch *batch,
                                of_error *error);

/** Files that could not be read so far. */
OF_API uint64_t of_source_unreadable(const of_source *source);

/** Files passed over so far because their names are not those of images (hidden ones not counted).
 */
OF_API uint64_t of_source_skipped(const of_source *source);

/** Number of images if it is known in advance (folders, record files), else 0. */
OF_API uint64_t of_source_expected(const of_source *source);

/** Ends the source's threads and frees it; NULL is allowed. */
OF_API void of_source_free(of_source *source);

/* ---- Scores ------------------------------------------------------------------------------ */

/** Higher is more anomalous, for each of them. log is natural, q the model, g the general model. */
typedef enum of_score_kind {
    OF_SCORE_NLL = 0,        /**< "nll": negative log-likelihood in nats; that of the mixture with
                                  class-conditional densities ("mixture" is read as well) */
    OF_SCORE_LAST = 1,       /**< "last": minus the last scale's contribution */
    OF_SCORE_SCALE = 2,      /**< "scale:i": minus the contribution of scale i */
    OF_SCORE_RATIO = 3,      /**< "ratio": nll - nll under the general model */
    OF_SCORE_RATIO_LAST = 4, /**< "ratio-last": the same on the last scale only */
    /** "complexity": nll in bits - 8 * bytes of the image as a PNG of level 9 (Serra et al. 2020,
        arXiv 1909.11480) */
    OF_SCORE_COMPLEXITY = 5,
    OF_SCORE_COMPLEXITY_WEBP = 6, /**< "complexity-webp": the same with lossless WebP */
    /** "class": log g(x) - the largest class's log q(x | c); class-conditional models only */
    OF_SCORE_CLASS = 7,
    /** "ensemble": mean + variance of nll over several models, minus the criterion WAIC in nats
        (Choi, Jang, Alemi 2018, arXiv 1810.01392); the variance has divisor members - 1 */
    OF_SCORE_ENSEMBLE = 8,
    /** "typicality": |nll - mean nll of calibration images| (Nalisnick et al. 2019, arXiv
        1906.02994, for one image) */
    OF_SCORE_TYPICALITY = 9,
    /** "combined": tests against calibration images, joined by Fisher's method, a weighted sum of
        -ln p. The first is two-sided: the squared Mahalanobis distance of the image's vector of
       statistics, that is -2 log-density, up to a constant, of a Gaussian over them; unlikely and
       too likely images are both far away. Density of states estimation (Morningstar et al. 2021,
       arXiv 2006.09273) with that density. The second is of `ratio`, for large values, with twice
       the weight; without a general model of `complexity`, with the same weight. Calibrations that
       an earlier version made join all three with the same weight. See of_calibrator_finish. */
    OF_SCORE_COMBINED = 10
} of_score_kind;

typedef struct of_score {
    of_score_kind kind;
    uint32_t scale; /**< of OF_SCORE_SCALE */
} of_score;

/**
 * Reads a score's name. `scale:i` must name a scale of the architecture, `class` and `mixture` need
 * an architecture with classes. Scores that compare with a general model need `has_general`.
 * `complexity-webp` is OF_ERROR_UNSUPPORTED without libwebp, any other refusal OF_ERROR_ARGUMENT.
 */
OF_API of_status of_score_parse(const char *name, const of_architecture *architecture,
                                bool has_general, of_score *score, of_error *error);

/** Writes a score's name, zero-terminated; 32 bytes are enough. */
OF_API void of_score_name(of_score score, char *name, size_t size);

/** What a score needs besides the likelihoods of one model. */
typedef enum of_score_need {
    OF_NEEDS_GENERAL = 1,     /**< a general model */
    OF_NEEDS_CLASSES = 2,     /**< a class-conditional model */
    OF_NEEDS_ENSEMBLE = 4,    /**< further models */
    OF_NEEDS_CALIBRATION = 8, /**< a calibration */
    OF_NEEDS_PNG = 16,        /**< png_bytes */
    OF_NEEDS_WEBP = 32,       /**< webp_bytes */
    OF_NEEDS_SAME_SCALES = 64 /**< a general model with as many scales */
} of_score_need;

/** For messages: "a general model", "a class-conditional model", "further models", "a calibration",
    "the size as PNG" or "the size as WebP". */
OF_API const char *of_score_need_name(of_score_need need);

/** The of_score_need flags of a score. */
OF_API unsigned of_score_needs(of_score score);

/** True for scores that need a general model. */
OF_API bool of_score_needs_general(of_score score);

/**
 * All that is known of one image: what scores are computed from. `logp` must be given; pointers
 * that are NULL and sizes that are 0 stand for what is not known, and scores that need that are
 * NaN.
 */
typedef struct of_image_likelihood {
    double logp;
    const double *contributions;         /**< [scale_count] */
    double general_logp;                 /**< read only with general_contributions */
    const double *general_contributions; /**< [scale_count of the general model], NULL without one:
                                              `ratio` and `class` are then NaN as well */
    double general_bin;                  /**< of_input_map.bin of the general model, so that `ratio`
                                              and `class` compare probabilities; 0: as the model */
    uint32_t general_scales;             /**< scale_count of the general model; 0: as the model.
                                              Where they differ, `ratio-last` is NaN; `combined`
                                              where it is not that of the calibration */
    const double *latent_squares;        /**< [scale_count] */
    const double *general_latent_squares; /**< [scale_count of the general model] */
    const double *class_logp;             /**< [classes] */
    const double *member_logp; /**< [members]: under each further model of an ensemble, of
                                    the model's bin */
    size_t members;
    double png_bytes;  /**< of_png_bytes */
    double webp_bytes; /**< of_webp_bytes */
    /** Of a picture that was scored by tiles; all of the above are then means over its tiles.
        NULL: an image of its own. Only of_detector_value reads it. */
    const struct of_tile_summary *tiles;
} of_image_likelihood;

/** The value of a score for one image. Not finite where the likelihood is not; NaN for scores that
    need a calibration, see of_calibrated_value. */
OF_API double of_score_value(of_score score, const of_architecture *architecture,
                             const of_image_likelihood *likelihood);

/**
 * Size of an image as a PNG (8 bit, level 9, all filters, through libpng), in bytes: an upper bound
 * of its complexity. `pixels` is [height][width][channels], channels 1 or 3.
 */
OF_API of_status of_png_bytes(const uint8_t *pixels, uint32_t channels, uint32_t height,
                              uint32_t width, size_t *bytes, of_error *error);

/** The same as lossless WebP (quality 100, method 6): a stronger coder, and a slower one.
    OF_ERROR_UNSUPPORTED if the library was built without libwebp. */
OF_API of_status of_webp_bytes(const uint8_t *pixels, uint32_t channels, uint32_t height,
                               uint32_t width, size_t *bytes, of_error *error);

/** True if of_webp_bytes is there. */
OF_API bool of_has_webp(void);

/* ---- Calibration ------------------------------------------------------------------------- */

/**
 * What images of the in-distribution score, for `typicality`, `combined` and p-values; no outlier
 * is needed. It is made with an of_calibrator, kept in the weight file (of_calibration_store), and
 * belongs to these weights: and to those of the general model and the ensemble it was made with.
 *
 * p-values are conformal: p = (1 + #{calibration scores >= s}) / (n + 1). If an image and the
 * calibration images are exchangeable (drawn alike, and none used in training), then
 * P(p <= a) <= a for every a, whatever the model: flagging p <= 0.05 flags at most 5 % of normal
 * images, on average over calibration sets (Vovk, Gammerman, Shafer 2005; Laxhammar 2014).
 *
 * Where a score is itself fitted to data (typicality, combined), the fit takes the calibration
 * images 0, 2, 4, ... and the p-values count only images 1, 3, 5, ..., so that the guarantee holds
 * for them, too (split conformal inference); n is then half the number of images.
 */
typedef struct of_calibration of_calibration;
typedef struct of_calibrator of_calibrator;

enum { OF_CALIBRATION_LEAST = 100 /**< images; half as many finite ones in each half */ };

typedef struct of_calibration_options {
    size_t size; /**< sizeof(of_calibration_options), set by of_calibration_options_default */
    const of_model *model;          /**< required */
    const of_model *general;        /**< NULL: none */
    const of_model *const *members; /**< further models of an ensemble; NULL: none */
    size_t member_count;
    bool webp;          /**< also calibrate complexity-webp */
    const char *source; /**< where the images come from, for people; may be NULL */
} of_calibration_options;

/** No model yet, nothing else. */
OF_API of_calibration_options of_calibration_options_default(void);

/** Begins a calibration. Nothing of the options needs to live on. */
OF_API of_status of_calibrator_create(const of_calibration_options *options,
                                      of_calibrator **calibrator, of_error *error);

/**
 * Adds an image: likelihood, contributions, latent squares and PNG size, and whatever the options
 * announced (general model, classes, members, WebP size). OF_ERROR_ARGUMENT if something is
 * missing, or after of_calibrator_finish.
 */
OF_API of_status of_calibrator_add(of_calibrator *calibrator, const of_image_likelihood *image,
                                   of_error *error);

/**
 * Fits and counts; the calibrator is then spent and can only be freed. Too few images are
 * OF_ERROR_ARGUMENT, too few with finite likelihoods OF_ERROR_NUMERIC. The density of `combined` is
 * a Gaussian over these statistics, each standardised, with the covariance of Ledoit and Wolf
 * (2004): every scale's contribution and log of its latent squares, for the model and the general
 * one, the size as PNG, and with classes the mixture's logp. The p of its tests are upper tails of
 * Gaussians: over the cube root of the distance (Wilson and Hilferty 1931), over `complexity` and,
 * with a general model, over `ratio`.
 */
OF_API of_status of_calibrator_finish(of_calibrator *calibrator, of_calibration **calibration,
                                      of_error *error);

/** Frees a calibrator; NULL is allowed. */
OF_API void of_calibrator_free(of_calibrator *calibrator);

/**
 * The calibration in a model's metadata; NULL if it has none. OF_ERROR_FORMAT if it is damaged,
 * OF_ERROR_MISMATCH if it was made with other weights.
 */
OF_API of_status of_calibration_read(const of_model *model, of_calibration **calibration,
                                     of_error *error);

/** Puts the calibration into the model's metadata, in place of an older one. */
OF_API of_status of_calibration_attach(const of_calibration *calibration, of_model *model,
                                       of_error *error);

/**
 * Puts the calibration into a weight file, in place of an older one: the file is replaced
 * atomically, its tensors and other metadata byte for byte as they were. A NULL calibration removes
 * what is there. Other weights than those calibrated are OF_ERROR_MISMATCH.
 */
OF_API of_status of_calibration_store(const of_calibration *calibration, const char *path,
                                      of_error *error);

/** The same into a new file `to`; `from` stays as it is. */
OF_API of_status of_calibration_store_copy(const of_calibration *calibration, const char *from,
                                           const char *to, of_error *error);

/** Frees a calibration; NULL is allowed. */
OF_API void of_calibration_free(of_calibration *calibration);

typedef struct of_calibration_info {
    uint64_t images;
    const char *source; /**< valid as long as the calibration */
    double mean_nll;
    uint64_t model, general; /**< of_model_fingerprint; general 0 without one */
    uint64_t members;        /**< of_ensemble_fingerprint; 0 without one */
    uint32_t general_scales; /**< of the general model; of_calibrated_value reads as many of an
                                  image's contributions under it */
    of_tiling tiling;        /**< of the pictures, all zero if images were not cut */
    uint64_t pictures;       /**< that were cut; `images` are then tiles */
} of_calibration_info;

/** What a calibration was made from. */
OF_API of_calibration_info of_calibration_describe(const of_calibration *calibration);

/** One number for the further models of an ensemble, whatever their order; 0 for none. */
OF_API uint64_t of_ensemble_fingerprint(const of_model *const *members, size_t count);

/**
 * Can this score have a p-value, and `combined` be computed, with these models? They are given by
 * of_model_fingerprint and of_ensemble_fingerprint, 0 for none. OF_ERROR_MISMATCH says why not and
 * what to do: the score was not calibrated, or with another general model or ensemble.
 */
OF_API of_status of_calibration_check(const of_calibration *calibration, of_score score,
                                      uint64_t general, uint64_t members, of_error *error);

/** The value of a score, `typicality` and `combined` included. */
OF_API double of_calibrated_value(const of_calibration *calibration, of_score score,
                                  const of_image_likelihood *image);

/** Conformal p-value of a score's value; what is not finite is most anomalous. NaN if the score is
    not calibrated. */
OF_API double of_calibration_p_value(const of_calibration *calibration, of_score score,
                                     double value);

/**
 * Scores above this value have a p-value of at most `rate`. +infinity if none has, NaN if the score
 * is not calibrated.
 */
OF_API double of_calibration_threshold(const of_calibration *calibration, of_score score,
                                       double rate);

/**
 * Can a false-positive rate be kept? The smallest p-value is 1/(n + 1): OF_ERROR_ARGUMENT says how
 * many calibration images a smaller rate takes. Rates lie in (0, 1).
 */
OF_API of_status of_calibration_check_rate(const of_calibration *calibration, of_score score,
                                           double rate, of_error *error);

/* ---- Metrics ----------------------------------------------------------------------------- */

/** How well a score separates two sets; the outliers are the positive class. */
typedef struct of_metrics {
    double auroc;    /**< P(outlier's score > inlier's) + P(equal)/2 */
    double aupr_out; /**< average precision, outliers as positives */
    double aupr_in;  /**< average precision, inliers as positives, scores negated */
    double fpr95;    /**< smallest share of inliers at or above a threshold that at least 95 %
                          of the outliers reach */
    size_t inliers, outliers;
    size_t non_finite_in, non_finite_out; /**< scores that were not finite: ranked as most
                                               anomalous, all equal */
} of_metrics;

/** Compares two sets of scores, ties counted exactly. An empty set is OF_ERROR_ARGUMENT. */
OF_API of_status of_metrics_compute(const double *inlier_scores, size_t inliers,
                                    const double *outlier_scores, size_t outliers,
                                    of_metrics *metrics, of_error *error);

/** How well heat finds where defects are, over the pixels of all pictures together. */
typedef struct of_pixel_metrics {
    double auroc; /**< of pixels: P(an anomalous one is hotter than a normal one) + P(equal)/2 */
    /** Area under the per-region overlap (Bergmann et al. 2019, MVTec AD): for a threshold, the
       mean over regions of the share of the region at or above it, against the share of normal
       pixels at or above it; the area for shares of normal pixels from 0 to the limit, over the
       limit, so that 1 is best. */
    double aupro;
    size_t pixels, regions;
} of_pixel_metrics;

/**
 * `heat` and `regions` are [count]: region 0 is normal, any other number the anomalous region that
 * the pixel belongs to. `limit` in (0, 1], usually 0.3. Heat that is not finite is hottest. Without
 * a normal or an anomalous pixel OF_ERROR_ARGUMENT. Takes 8 bytes of memory a pixel, and 8 for each
 * number up to the largest region's.
 */
OF_API of_status of_pixel_metrics_compute(const float *heat, const uint32_t *regions, size_t count,
                                          double limit, of_pixel_metrics *metrics, of_error *error);

#ifdef __cplusplus
}
#endif

#endif
