/* SPDX-License-Identifier: Apache-2.0 */
/* Small files of each format, as seeds for fuzz_image: two bytes of options, then the file. Those
 * of formats with a library of their own are written by it. */
#include "../unit/image_fixture.h"

#include <stdio.h>
#include <stdlib.h>

#ifdef OUTFLOW_JPEG
#include <jpeglib.h>
#endif
#ifdef OUTFLOW_WEBP
#include <webp/encode.h>
#endif
#ifdef OUTFLOW_TIFF
#include <tiffio.h>
#endif
#ifdef OUTFLOW_JP2
#include <openjpeg.h>
#endif
#ifdef OUTFLOW_HEIF
#include <libheif/heif.h>
#endif

static const char *folder;

static void fail(const char *what) {
    perror(what);
    exit(EXIT_FAILURE);
}

static void write_seed(const char *name, uint8_t limits, encoded file) {
    char path[4096];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *to = fopen(path, "wb");
    if (to == NULL || fputc(0x7e, to) == EOF || fputc(limits, to) == EOF ||
        fwrite(file.bytes, 1, file.size, to) != file.size || fclose(to) != 0)
        fail(path);
}

enum { HEIGHT = 16, WIDTH = 24 };

static uint8_t pixels[HEIGHT * WIDTH * 4];

static void paint(void) {
    for (size_t i = 0; i < sizeof pixels; i++)
        pixels[i] = (uint8_t)(i * 7 + i / WIDTH);
}

/* What a library has written to this file, which goes. */
__attribute__((unused)) static void move_seed(const char *name, const char *path) {
    static uint8_t bytes[1 << 16];
    FILE *from = fopen(path, "rb");
    if (from == NULL)
        fail(path);
    size_t size = fread(bytes, 1, sizeof bytes, from);
    (void)fclose(from);
    (void)remove(path);
    write_seed(name, 0, (encoded){bytes, size});
}

#ifdef OUTFLOW_JPEG
static void write_jpeg(const char *name, int channels, J_COLOR_SPACE space, bool progressive) {
    struct jpeg_compress_struct jpeg;
    struct jpeg_error_mgr errors;
    unsigned char *bytes = NULL;
    unsigned long size = 0;
    jpeg.err = jpeg_std_error(&errors);
    jpeg_create_compress(&jpeg);
    jpeg_mem_dest(&jpeg, &bytes, &size);
    jpeg.image_height = HEIGHT;
    jpeg.image_width = WIDTH;
    jpeg.input_components = channels;
    jpeg.in_color_space = space;
    jpeg_set_defaults(&jpeg);
    if (progressive)
        jpeg_simple_progression(&jpeg);
    jpeg_start_compress(&jpeg, TRUE);
    while (jpeg.next_scanline < jpeg.image_height) {
        JSAMPROW row = pixels + (size_t)jpeg.next_scanline * WIDTH * (size_t)channels;
        (void)jpeg_write_scanlines(&jpeg, &row, 1);
    }
    jpeg_finish_compress(&jpeg);
    jpeg_destroy_compress(&jpeg);
    write_seed(name, 0, (encoded){bytes, size});
    free(bytes);
}
#endif

#ifdef OUTFLOW_WEBP
static void write_webp(void) {
    uint8_t *bytes = NULL;
    size_t size = WebPEncodeLosslessRGBA(pixels, WIDTH, HEIGHT, WIDTH * 4, &bytes);
    write_seed("webp-lossless", 0, (encoded){bytes, size});
    WebPFree(bytes);
    size = WebPEncodeRGBA(pixels, WIDTH, HEIGHT, WIDTH * 4, 60, &bytes);
    write_seed("webp-lossy", 0, (encoded){bytes, size});
    WebPFree(bytes);
}
#endif

#ifdef OUTFLOW_TIFF
static void write_tiff(const char *name, uint16_t compression, uint16_t channels, uint16_t bits) {
    enum { ROW = 96 }; /* bytes */
    char path[4096];
    (void)snprintf(path, sizeof path, "%s/made.tif", folder);
    TIFF *tiff = TIFFOpen(path, "w");
    if (tiff == NULL)
        fail(path);
    TIFFSetField(tiff, TIFFTAG_IMAGELENGTH, HEIGHT);
    TIFFSetField(tiff, TIFFTAG_IMAGEWIDTH, ROW * 8 / (channels * bits));
    TIFFSetField(tiff, TIFFTAG_SAMPLESPERPIXEL, channels);
    TIFFSetField(tiff, TIFFTAG_BITSPERSAMPLE, bits);
    TIFFSetField(tiff, TIFFTAG_COMPRESSION, compression);
    TIFFSetField(tiff, TIFFTAG_PLANARCONFIG, PLANARCONFIG_CONTIG);
    TIFFSetField(tiff, TIFFTAG_PHOTOMETRIC,
                 channels >= 3 ? PHOTOMETRIC_RGB : PHOTOMETRIC_MINISBLACK);
    for (uint32_t y = 0; y < HEIGHT; y++)
        (void)TIFFWriteScanline(tiff, pixels + (size_t)y * WIDTH, y, 0);
    TIFFClose(tiff);
    move_seed(name, path);
}
#endif

#ifdef OUTFLOW_JP2
static void write_jp2(void) {
    char path[4096];
    opj_cparameters_t parameters;
    opj_image_cmptparm_t components[3] = {0};
    (void)snprintf(path, sizeof path, "%s/made.jp2", folder);
    opj_set_default_encoder_parameters(&parameters);
    parameters.tcp_numlayers = 1;
    parameters.cp_disto_alloc = 1;
    parameters.numresolution = 3;
    for (int c = 0; c < 3; c++)
        components[c] =
            (opj_image_cmptparm_t){.dx = 1, .dy = 1, .w = WIDTH, .h = HEIGHT, .prec = 8, .bpp = 8};
    opj_image_t *image = opj_image_create(3, components, OPJ_CLRSPC_SRGB);
    image->x1 = WIDTH;
    image->y1 = HEIGHT;
    for (int c = 0; c < 3; c++)
        for (int i = 0; i < HEIGHT * WIDTH; i++)
            image->comps[c].data[i] = pixels[i * 3 + c];
    opj_codec_t *codec = opj_create_compress(OPJ_CODEC_JP2);
    opj_stream_t *stream = opj_stream_create_default_file_stream(path, OPJ_FALSE);
    if (!opj_setup_encoder(codec, &parameters, image) ||
        !opj_start_compress(codec, image, stream) || !opj_encode(codec, stream) ||
        !opj_end_compress(codec, stream))
        fail(path);
    opj_stream_destroy(stream);
    opj_destroy_codec(codec);
    opj_image_destroy(image);
    move_seed("jp2", path);
}
#endif

#ifdef OUTFLOW_HEIF
/* Where the encoder is not installed, there is no seed. */
static void write_heif(const char *name, enum heif_compression_format format) {
    char path[4096];
    struct heif_context *context = heif_context_alloc();
    struct heif_encoder *encoder = NULL;
    struct heif_image *image = NULL;
    int stride;
    (void)snprintf(path, sizeof path, "%s/made.heif", folder);
    if (heif_context_get_encoder_for_format(context, format, &encoder).code != heif_error_Ok) {
        heif_context_free(context);
        return;
    }
    (void)heif_image_create(WIDTH, HEIGHT, heif_colorspace_RGB, heif_chroma_interleaved_RGB,
                            &image);
    (void)heif_image_add_plane(image, heif_channel_interleaved, WIDTH, HEIGHT, 24);
    uint8_t *plane = heif_image_get_plane(image, heif_channel_interleaved, &stride);
    for (size_t y = 0; y < HEIGHT; y++)
        memcpy(plane + y * (size_t)stride, pixels + y * WIDTH * 3, (size_t)WIDTH * 3);
    if (heif_context_encode_image(context, image, encoder, NULL, NULL).code == heif_error_Ok &&
        heif_context_write_to_file(context, path).code == heif_error_Ok)
        move_seed(name, path);
    heif_image_release(image);
    heif_encoder_release(encoder);
    heif_context_free(context);
}
#endif

static void write_libraries_files(void) {
#ifdef OUTFLOW_JPEG
    write_jpeg("jpeg-colour", 3, JCS_RGB, false);
    write_jpeg("jpeg-progressive", 3, JCS_RGB, true);
    write_jpeg("jpeg-inks", 4, JCS_CMYK, false);
#endif
#ifdef OUTFLOW_WEBP
    write_webp();
#endif
#ifdef OUTFLOW_TIFF
    write_tiff("tiff", COMPRESSION_NONE, 3, 8);
    write_tiff("tiff-lzw", COMPRESSION_LZW, 3, 8);
    write_tiff("tiff-16", COMPRESSION_ADOBE_DEFLATE, 1, 16);
#endif
#ifdef OUTFLOW_JP2
    write_jp2();
#endif
#ifdef OUTFLOW_HEIF
    write_heif("avif", heif_compression_AV1);
    write_heif("heic", heif_compression_HEVC);
#endif
}

int main(int count, char **arguments) {
    if (count != 2)
        return EXIT_FAILURE;
    folder = arguments[1];
    paint();
    encoded animation = animated_gif(3, true);
    write_seed("gif-animated", 0, animation);
    write_seed("gif", 0, as_file(image_gif, sizeof image_gif));
    write_seed("png-animated", 0, animated_png(2, true));
    write_seed("png", 0x81, animated_png(0, false));
    write_seed("jpeg", 2, as_file(image_jpeg, sizeof image_jpeg));
    write_seed("bmp", 0, as_file(image_bmp, sizeof image_bmp));
    write_seed("ppm", 0, as_file(image_ppm, sizeof image_ppm - 1));
    write_seed("pbm", 0, (encoded){(uint8_t[]){"P4 9 1\n\x55\x80"}, 9});
    write_seed("pgm-text", 0, (encoded){(uint8_t[]){"P2\n#12 bits\n2 1\n4095\n4000 17"}, 28});
    write_seed("tga", 4, as_file(image_tga, sizeof image_tga));
    write_libraries_files();
    return EXIT_SUCCESS;
}
