/* SPDX-License-Identifier: Apache-2.0 */
/* One small file of each format, as seeds for fuzz_image: two bytes of options, then the file. */
#include "../unit/image_fixture.h"

#include <stdio.h>
#include <stdlib.h>

static const char *folder;

static void write_seed(const char *name, uint8_t limits, encoded file) {
    char path[4096];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *to = fopen(path, "wb");
    if (to == NULL || fputc(0x7e, to) == EOF || fputc(limits, to) == EOF ||
        fwrite(file.bytes, 1, file.size, to) != file.size || fclose(to) != 0) {
        perror(path);
        exit(EXIT_FAILURE);
    }
}

int main(int count, char **arguments) {
    if (count != 2)
        return EXIT_FAILURE;
    folder = arguments[1];
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
    return EXIT_SUCCESS;
}
