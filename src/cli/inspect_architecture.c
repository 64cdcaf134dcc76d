/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/inspect_architecture.h"

#include "cli/terminal/words.h"

#include <inttypes.h>

/* ---- For people --------------------------------------------------------------------------- */

static void print_input(const of_input_map *input, FILE *file) {
    const of_input_map standard = of_input_map_default();
    char scale[OF_NUMBER_SIZE], shift[OF_NUMBER_SIZE], bin[OF_NUMBER_SIZE], logit[OF_NUMBER_SIZE];
    if (input->bits == standard.bits && input->scale == standard.scale &&
        input->shift == standard.shift && input->bin == standard.bin && input->logit == 0)
        return;
    (void)fprintf(file, "%-14s %" PRIu32 " bit%s, scale %s, shift %s, bin %s", "input", input->bits,
                  of_plural(input->bits), of_number_text(input->scale, scale),
                  of_number_text(input->shift, shift), of_number_text(input->bin, bin));
    if (input->logit > 0)
        (void)fprintf(file, ", logit %s", of_number_text(input->logit, logit));
    (void)fputc('\n', file);
}

static void print_edges(uint32_t edges, FILE *file) {
    if (edges == 0)
        return;
    (void)fprintf(file, "%-14s", "edges");
    for (uint32_t edge = OF_EDGES_CONV1; edge <= OF_EDGES_SPLIT; edge *= 2)
        if ((edges & edge) != 0)
            (void)fprintf(file, " %s", of_edges_name((of_edges)edge));
    (void)fputc('\n', file);
}

static void print_choice(const char *field, bool differs, const char *value, FILE *file) {
    if (differs)
        (void)fprintf(file, "%-14s %s\n", field, value);
}

static void print_variants(const of_architecture *a, FILE *file) {
    char leak[OF_NUMBER_SIZE];
    print_input(&a->input, file);
    print_choice("latents", a->latents != OF_LATENTS_FIRST, of_latents_name(a->latents), file);
    print_choice("split prior", a->split_prior != OF_SPLIT_PRIOR_NONE,
                 of_split_prior_name(a->split_prior), file);
    print_edges(a->edges, file);
    print_choice("scale map", a->scale_map != OF_SCALE_MAP_SIGMOID, of_scale_map_name(a->scale_map),
                 file);
    print_choice("shift", a->shift != OF_SHIFT_BEFORE, of_shift_name(a->shift), file);
    print_choice("network input", a->net_input != OF_NET_INPUT_NONE,
                 of_net_input_name(a->net_input), file);
    print_choice("leak", a->leak != 0, of_number_text(a->leak, leak), file);
    print_choice("closing map", a->closing, "yes", file);
}

void of_inspect_print_architecture(const of_architecture *a, FILE *file) {
    (void)fprintf(file, "%-14s %s, %s block, %s coupling, %s%s\n", "architecture",
                  of_family_name(a->family), of_block_name(a->block), of_coupling_name(a->coupling),
                  of_permutation_name(a->permutation),
                  a->permutation == OF_PERMUTATION_INVCONV && a->lu ? " (LU)" : "");
    (void)fprintf(file, "%-14s %" PRIu32 " x %" PRIu32 " x %" PRIu32 " (channels, height, width)\n",
                  "image", a->channels, a->height, a->width);
    (void)fprintf(file,
                  "%-14s %" PRIu32 " scale%s, %" PRIu32 " step%s a scale, %" PRIu32 " hidden\n",
                  "size", of_architecture_scale_count(a), of_plural(of_architecture_scale_count(a)),
                  a->steps, of_plural(a->steps), a->hidden);
    if (a->classes > 0)
        (void)fprintf(file, "%-14s %" PRIu32 "\n", "classes", a->classes);
    print_variants(a, file);
}

/* ---- For programs ------------------------------------------------------------------------- */

static void write_variants(of_json *json, const of_architecture *a) {
    of_json_object(json, "input");
    of_json_count(json, "bits", a->input.bits);
    of_json_real(json, "scale", a->input.scale);
    of_json_real(json, "shift", a->input.shift);
    of_json_real(json, "bin", a->input.bin);
    of_json_real(json, "logit", a->input.logit);
    of_json_end(json);
    of_json_text(json, "latents", of_latents_name(a->latents));
    of_json_text(json, "split_prior", of_split_prior_name(a->split_prior));
    of_json_array(json, "edges");
    for (uint32_t edge = OF_EDGES_CONV1; edge <= OF_EDGES_SPLIT; edge *= 2)
        if ((a->edges & edge) != 0)
            of_json_text(json, NULL, of_edges_name((of_edges)edge));
    of_json_end(json);
    of_json_text(json, "scale_map", of_scale_map_name(a->scale_map));
    of_json_text(json, "shift", of_shift_name(a->shift));
    of_json_text(json, "net_input", of_net_input_name(a->net_input));
    of_json_real(json, "leak", a->leak);
    of_json_flag(json, "closing", a->closing);
}

void of_inspect_write_architecture(of_json *json, const of_architecture *a) {
    of_json_object(json, "architecture");
    of_json_text(json, "family", of_family_name(a->family));
    of_json_array(json, "image");
    of_json_count(json, NULL, a->channels);
    of_json_count(json, NULL, a->height);
    of_json_count(json, NULL, a->width);
    of_json_end(json);
    of_json_count(json, "scales", of_architecture_scale_count(a));
    of_json_count(json, "steps", a->steps);
    of_json_count(json, "hidden", a->hidden);
    of_json_text(json, "coupling", of_coupling_name(a->coupling));
    of_json_text(json, "permutation", of_permutation_name(a->permutation));
    of_json_flag(json, "lu", a->lu);
    of_json_text(json, "block", of_block_name(a->block));
    of_json_count(json, "classes", a->classes);
    write_variants(json, a);
    of_json_end(json);
}
