/* SPDX-License-Identifier: Apache-2.0 */
/* The options of `outflow train`: their text, and which of them go together. */
#include "cli/train_settings.h"

#include "cli/terminal/config.h"

#include <stdlib.h>
#include <string.h>

static void declare_data(of_train_settings *settings, of_option_table *table) {
    of_train_options *train = &settings->train;
    of_option *data = of_option_list(table, "data", "SRC", &settings->data,
                                     "Images to train on; may be repeated: the sources form one "
                                     "set, in which labels of the same name are one class.");
    data->short_name = 'd';
    data->required = true;
    data->role = OF_ROLE_READ;
    of_option *out =
        of_option_text(table, 'o', "out", "FILE", &train->out,
                       "Weight file to write; the state of the run is kept in FILE.checkpoint.");
    out->required = true;
    out->role = OF_ROLE_WRITTEN;
    of_option_model(table, 0, "init", &train->init_file,
                    "Start from these weights, with their architecture.");
    of_option_list(table, "general-data", "SRC", &settings->general_data,
                   "Images of the general distribution, the outliers of the outlier loss; may be "
                   "repeated.")
        ->role = OF_ROLE_READ;
    of_option_list(table, "data-share", "S", &settings->data_shares,
                   "How much of an epoch comes from a --data SRC, relative to the others: given "
                   "once for each, in their order. Without it, by the numbers of images.");
    of_option_list(table, "general-share", "S", &settings->general_shares,
                   "The same for each --general-data SRC.");
    of_option_real(table, 0, "hold-out", "SHARE", &train->hold_out, 1e-6, 1 - 1e-6,
                   "Do not train on this share of --data, but validate on it: with 0.1, train on "
                   "part:0.1-1:SRC and validate on part:0-0.1:SRC, names that every verb takes.");
    of_option_model(table, 'g', "general-model", &train->general_model,
                    "Weight file of the general model; it is not changed.");
    of_option_choice(table, "outlier-loss", "none|ratio|margin", &settings->outlier_loss,
                     "Push general images away: ratio against the general model, or by a margin "
                     "of likelihood below the data's.");
    of_option_real(table, 0, "outlier-weight", "W", &train->outlier_weight, 1e-9, 1e9,
                   "Weight of the outlier loss; without it, 6000 (ratio) or 1 (margin).");
    of_option_real(table, 0, "temperature", "T", &train->temperature, 1e-6, 1e9,
                   "Nats by which the ratio loss divides; without it, 1000.");
    of_option_flag(table, 0, "class-conditional", &train->class_conditional,
                   "A density for each class (first folder, or stored label); with a general "
                   "model, images are pushed away from wrong classes, with the weight of the ratio "
                   "loss.");
}

static void declare_images(of_train_settings *settings, of_option_table *table) {
    of_train_options *train = &settings->train;
    of_option_real(table, 0, "shift", "SHARE", &train->shift, 0, 0.5,
                   "Shift images at random by up to this share of their size, mirrored at the "
                   "edges; for example 0.1.");
    of_option_flag(table, 0, "flip", &train->flip, "Mirror every other image left to right.");
    of_option_real(table, 0, "zoom", "SHARE", &train->zoom, 0, 0.5,
                   "Magnify or shrink every other image by up to this share, mirrored at the "
                   "edges; for example 0.2.");
    of_option_real(table, 0, "color", "SHARE", &train->color, 0, 1,
                   "Vary brightness, contrast and saturation of every other image by up to this "
                   "share; for example 0.2.");
    of_option_count(table, 0, "limit", &train->limit, 1, 0x1p63,
                    "Take only the first N images of each SRC.");
    of_option_bytes(table, "cache", &train->cache_bytes, 1,
                    "Memory for each set's decoded images; larger sets lie in a temporary file. "
                    "Without it, all sets of a machine take at most half of the memory that "
                    "processes may use.");
    of_option_text(table, 0, "background", "COLOUR", &settings->background,
                   "What lies below transparent pixels: white, black, grey or #rrggbb; without it, "
                   "white.");
    of_option_flag(table, 0, "strict", &train->strict,
                   "Stop with an error at the first file that cannot be read.");
}

static void declare_model(of_train_settings *settings, of_option_table *table) {
    of_option_choice(table, "family", "glow|patch-glow", &settings->family,
                     "patch-glow: one scale over 8x8 patches. Without it, glow.");
    of_option_count(table, 0, "scales", &settings->scales, 1, 6, "Scales; without it, 3.");
    of_option_count(table, 0, "steps", &settings->steps, 1, 256,
                    "Flow steps a scale; without it, 8.");
    of_option_count(table, 0, "hidden", &settings->hidden, 1, 8192,
                    "Width of the coupling networks; without it, 64.");
    of_option_choice(table, "coupling", "affine|additive", &settings->coupling,
                     "Without it, affine.");
    of_option_choice(table, "permutation", "invconv|invconvfixed|shuffle", &settings->permutation,
                     "Mixing of channels; without it, invconv (trained).");
    of_option_choice(table, "mixing", "lu|plain", &settings->mixing,
                     "How invconv is stored and trained; without it, lu.");
    of_option_choice(table, "block", "conv|dense", &settings->block, "Without it, conv.");
    of_option_text(table, 0, "size", "HxW", &settings->size,
                   "Image size; without it, that of the first image, rounded up to what the "
                   "scales can halve. Images of another size are resized; those below half of it "
                   "are refused.");
    of_option_count(table, 0, "channels", &settings->channels, 1, 3,
                    "1 (grey) or 3 (colour); without it, those of the first image.");
}

/* What published implementations of Glow do otherwise, and what makes them better. */
static void declare_variants(of_train_settings *settings, of_option_table *table) {
    of_option_choice(table, "split-prior", "none|conv", &settings->split_prior,
                     "conv: mean and deviation of a split's latents are learned from the half that "
                     "goes on. Without it, none.");
    of_option_choice(table, "latents", "first|second", &settings->latents,
                     "Half of the channels that becomes latents at a split; without it, first.");
    of_option_choice(table, "scale-map", "sigmoid|exp|sigmoid_inverse|tanh", &settings->scale_map,
                     "How affine couplings scale; without it, sigmoid.");
    of_option_choice(table, "coupling-shift", "before|after", &settings->coupling_shift,
                     "Add before or after an affine coupling scales; without it, before.");
    of_option_count(table, 0, "input-bits", &settings->input_bits, 1, 8,
                    "Bits that are kept of each value; without it, 8.");
    of_option_list(table, "edges", "conv1|conv3|split", &settings->edges,
                   "Train what this convolution adds for taps outside the image: the first or the "
                   "last of a coupling network, or a split prior's; may be repeated.");
    of_option_choice(table, "net-input", "none|affine-relu", &settings->net_input,
                     "affine-relu: a trained scale, shift and ReLU before the coupling networks. "
                     "Without it, none.");
    of_option_real(table, 0, "leak", "SLOPE", &settings->leak, 0, 0.999999,
                   "Slope of the networks' ReLUs below zero; without it, 0.");
    of_option_flag(table, 0, "closing", &settings->closing,
                   "One more ActNorm and mixing after the last step of each scale.");
}

static void declare_steps(of_train_settings *settings, of_option_table *table) {
    of_train_options *train = &settings->train;
    of_option_count(table, 'e', "epochs", &train->epochs, 1, 1e9,
                    "Passes over the data; without --images and --minutes, 50.");
    of_option_count(table, 0, "images", &train->images, 1, 0x1p60, "End after N images.");
    of_option_real(table, 0, "minutes", "T", &train->minutes, 1e-6, 1e9,
                   "End after T minutes, earlier parts of a resumed run included.");
    of_option_count(table, 'b', "batch", &train->batch, 1, 65536, "Images a step; without it, 64.");
    of_option_count(table, 0, "general-batch", &train->general_batch, 1, 65536,
                    "General images a step; without it, as --batch.");
    of_option_real(table, 0, "lr", "RATE", &train->rate, 1e-12, 10,
                   "Learning rate; without it, 0.0005.");
    of_option_choice(table, "optimizer", "adamax|adam|adamw", &settings->optimizer,
                     "Without it, adamax.");
    of_option_choice(table, "schedule", "constant|cosine", &settings->schedule,
                     "Course of the learning rate after the warm-up; without it, constant.");
    of_option_count(table, 0, "warmup", &train->warmup, 0, 1e12,
                    "Steps over which the learning rate grows from 0; without it, 0.");
    of_option_real(table, 0, "weight-decay", "W", &train->weight_decay, 0, 1,
                   "Without it, 0.00005.");
    of_option_real(table, 0, "clip", "NORM", &train->clip, 0, 1e12,
                   "Largest norm of the gradient of bits/dim; without it, 50; 0: not clipped.");
    of_option_real(table, 0, "ema", "DECAY", &train->ema, 0, 0.999999,
                   "Save and validate weights averaged over the steps, for example 0.999.");
    of_option_count(table, 0, "init-images", &train->init_images, 2, 65536,
                    "Images from which a new model's ActNorms are set; without it, 512.");
    of_option_count(table, 's', "seed", &train->seed, 0, 0x1p63,
                    "Seed of weights, order, noise and synthetic: sources; without it, 0.");
}

static void declare_run(of_train_settings *settings, of_option_table *table) {
    of_train_options *train = &settings->train;
    of_option_list(table, "valid", "SRC", &settings->valid,
                   "Held-out images to validate on; may be repeated.")
        ->role = OF_ROLE_READ;
    of_option_list(table, "out-of", "NAME=SRC", &settings->out_of,
                   "Outliers that validation separates from the held-out images; may be repeated.")
        ->role = OF_ROLE_READ;
    of_option_count(table, 0, "valid-every", &train->valid_every, 1, 0x1p60,
                    "Images between validations; without it, an epoch.");
    of_option_count(table, 0, "patience", &train->patience, 1, 1e9,
                    "Keep the best validated weights, and end after N validations without "
                    "improvement: of bits/dim, or with an outlier loss of the mean AUROC.");
    of_option_text(table, 0, "log", "FILE", &train->log,
                   "Write figures to FILE, a JSON object a line.")
        ->role = OF_ROLE_WRITTEN;
    of_option_count(table, 0, "log-every", &train->log_every, 1, 1e9,
                    "Steps between lines of the log; without it, 50.");
    of_option_flag(table, 0, "resume", &train->resume,
                   "Go on from the checkpoint, bit for bit; without one, start.");
    of_option_flag(table, 0, "overwrite", &train->overwrite,
                   "Start anew even if there is a checkpoint or a weight file, and replace them.");
    of_option_real(table, 0, "checkpoint-every", "SECONDS", &train->checkpoint_every, 0, 1e9,
                   "Seconds between checkpoints; without it, 300.");
    of_option_count(table, 0, "micro-batch", &settings->micro_batch, 1, 4096,
                    "Images that a thread takes forward and back at a time. Results depend on it, "
                    "not on --threads. Without it, 1 to 8 by --batch.");
    of_option_count(
        table, 0, "lanes", &settings->lanes, 1, 4096,
        "Sums into which the gradient of a batch is divided; under mpirun, a rank takes "
        "one or more. Results depend on it, not on the number of ranks. Without it, 4, fewer "
        "for few images, at least the power of two for the ranks.");
    of_option_choice(
        table, "gradient-precision", "f32|bf16", &settings->gradient_precision,
        "What gradients are sent in between the ranks of mpirun; without it, f32. bf16 halves the "
        "bytes. Sums of lanes are rounded to it in one process, too: results depend on it, not on "
        "the number of ranks.");
    of_option_flag(
        table, 0, "shard-optimizer", &train->shard_optimizer,
        "Under mpirun, divide the optimizer's moments among the ranks: less memory, but at "
        "the start and on rank 0 at checkpoints; one more message a step; the same "
        "weights.");
    of_option_bytes(
        table, "memory", &settings->memory, 1,
        "Budget for activations that are kept instead of computed again; without it, 40 "
        "MiB a thread.");
    of_option_count(table, 't', "threads", &settings->threads, 1, 4096,
                    "Threads; without it, as many as the process may use CPUs.");
    of_option_choice(
        table, "isa", "auto|scalar|avx2|avx512", &settings->isa,
        "Instruction set of the hand-written kernels; without it, OUTFLOW_ISA or the best "
        "one. Convolutions follow OUTFLOW_ISA alone.");
    of_option_choice(
        table, "precision", "f32|bf16|auto", &settings->precision,
        "What the networks multiply, forward and back; sums and weights are floats. Without it, "
        "f32. bf16 is twice as fast, keeps twice the activations in the same memory, and needs a "
        "CPU with AVX512_BF16; auto takes it where it is to be had. Results depend on it.");
    of_option_config(table);
    of_option_flag(table, 'q', "quiet", &settings->quiet, "Show no progress and no summary.");
}

void of_train_settings_declare(of_train_settings *settings, of_option_table *table) {
    *settings = (of_train_settings){.train = of_train_options_default()};
    declare_data(settings, table);
    declare_images(settings, table);
    declare_model(settings, table);
    declare_variants(settings, table);
    declare_steps(settings, table);
    declare_run(settings, table);
}

void of_train_settings_free(of_train_settings *settings) {
    of_model_free(settings->init);
    of_text_list_free(&settings->edges);
    of_train_sources_free(settings);
}

of_status of_train_settings_check(of_train_settings *settings, of_error *error) {
    of_train_options *train = &settings->train;
    train->outlier_loss = (of_outlier_loss)settings->outlier_loss;
    train->optimizer = (of_optimizer_kind)settings->optimizer;
    train->schedule = (of_schedule_kind)settings->schedule;
    train->isa = (of_isa)settings->isa;
    train->precision = (of_precision)settings->precision;
    train->gradient_precision = (of_precision)settings->gradient_precision;
    train->threads = (unsigned)settings->threads;
    train->lanes = (unsigned)settings->lanes;
    train->micro_batch = (unsigned)settings->micro_batch;
    train->memory_bytes = (size_t)settings->memory;
    if (settings->channels == 2)
        return of_fail(error, OF_ERROR_ARGUMENT, "option --channels: 2 is neither 1 nor 3");
    of_status status = of_train_sources_take(settings, error);
    return status == OF_OK ? of_train_options_check(train, error) : status;
}
