/* SPDX-License-Identifier: Apache-2.0 */
/* Images into memory: decoding, conversion, reading of sources, and the whole pipeline, on files
 * that the program makes in a temporary folder and removes. Items are images of 32x32 pixels,
 * unless the name tells another side.
 *
 *     decode/FORMAT/side:N        an encoded file in memory to pixels
 *     convert/WHAT                pixels to the model's size and channels
 *     read/SOURCE                 a whole source, not decoded
 *     pipeline/SOURCE/threads:N   a whole source through data/pipeline.h, with N decoders */
#include "bench.h"

#include <archive.h>
#include <archive_entry.h>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <png.h>
#include <system_error>
#include <zlib.h>

#define STB_IMAGE_WRITE_IMPLEMENTATION
#define STB_IMAGE_WRITE_STATIC
#define STBI_WRITE_NO_STDIO
#include <stb_image_write.h>

extern "C" {
#include "data/pipeline.h"
#include "data/pixels/image.h"
}

namespace {

using bench::Clock;
using bench::part;
using bench::Work;
using Bytes = std::vector<uint8_t>;

constexpr uint32_t side = 32;
constexpr uint32_t image_count = 512; /* of a source */

of_target target_of(uint32_t channels, uint32_t size = side) {
    of_target target = {};
    target.channels = channels;
    target.height = target.width = size;
    target.max_pixels = uint64_t{1} << 26;
    target.max_bytes = size_t{1} << 28;
    return target;
}

/* ---- Images ------------------------------------------------------------------------------ */

/* Smooth waves with a little noise, so that encoders find about what photographs give them. */
Bytes picture(uint32_t size, uint32_t channels, uint32_t seed) {
    Bytes pixels(size_t{size} * size * channels);
    of_random random = of_random_stream(3, seed);
    const double turn = 6.28 * static_cast<double>(of_random_uniform(&random));
    size_t i = 0;
    for (uint32_t y = 0; y < size; y++)
        for (uint32_t x = 0; x < size; x++)
            for (uint32_t c = 0; c < channels; c++) {
                const double wave = std::sin(turn + c + 9.0 * x / size) * std::cos(7.0 * y / size);
                const double noise = 12 * (static_cast<double>(of_random_uniform(&random)) - 0.5);
                pixels[i++] = static_cast<uint8_t>(std::lround(128 + 100 * wave + noise));
            }
    return pixels;
}

Bytes encode_png(const Bytes &pixels, uint32_t size, uint32_t channels) {
    png_image image = {};
    image.version = PNG_IMAGE_VERSION;
    image.width = image.height = size;
    image.format = channels == 3 ? PNG_FORMAT_RGB : PNG_FORMAT_GRAY;
    png_alloc_size_t length = 0;
    if (!png_image_write_to_memory(&image, nullptr, &length, 0, pixels.data(), 0, nullptr))
        throw std::runtime_error(image.message);
    Bytes file(length);
    if (!png_image_write_to_memory(&image, file.data(), &length, 0, pixels.data(), 0, nullptr))
        throw std::runtime_error(image.message);
    file.resize(length);
    return file;
}

void append(void *file, void *data, int size) {
    const auto *bytes = static_cast<const uint8_t *>(data);
    static_cast<Bytes *>(file)->insert(static_cast<Bytes *>(file)->end(), bytes, bytes + size);
}

Bytes encode_jpeg(const Bytes &pixels, uint32_t size, uint32_t channels) {
    constexpr int quality = 90;
    Bytes file;
    const int sides = static_cast<int>(size);
    if (!stbi_write_jpg_to_func(append, &file, sides, sides, static_cast<int>(channels),
                                pixels.data(), quality))
        throw std::runtime_error("a JPEG could not be made");
    return file;
}

/* ---- Decoding and conversion ------------------------------------------------------------- */

using Encode = Bytes (*)(const Bytes &pixels, uint32_t size, uint32_t channels);

void add_decoding(const char *format, Encode encode, uint32_t channels, uint32_t size) {
    Work work;
    work.bytes = static_cast<double>(size) * size * channels; /* of pixels that come out */
    bench::add(std::string("decode/") + format + part("side", size), [=](benchmark::State &state) {
        const Bytes file = encode(picture(size, channels, 1), size, channels);
        const of_target target = target_of(channels, size);
        Bytes pixels(of_target_bytes(&target));
        of_error error;
        of_image_info info;
        bench::measure(state, work, OF_ISA_SCALAR, Clock::thread, [&] {
            bench::check(of_image_decode(file.data(), file.size(), format, &target, pixels.data(),
                                         &info, &error),
                         error);
        });
        state.counters["encoded_bytes"] = static_cast<double>(file.size());
    });
}

void add_conversion(const char *what, uint32_t from_size, uint32_t from_channels, bool planar,
                    uint32_t channels) {
    Work work;
    work.bytes = static_cast<double>(from_size) * from_size * from_channels; /* that go in */
    bench::add(std::string("convert/") + what, [=](benchmark::State &state) {
        const Bytes pixels = picture(from_size, from_channels, 1);
        const of_raster from = {pixels.data(), from_size, from_size, from_channels, planar};
        const of_target target = target_of(channels);
        Bytes result(of_target_bytes(&target));
        of_error error;
        bench::measure(state, work, OF_ISA_SCALAR, Clock::thread, [&] {
            bench::check(of_convert(&from, &target, result.data(), &error), error);
        });
    });
}

/* ---- Files ------------------------------------------------------------------------------- */

/* A temporary folder, made when first asked for, removed when the program ends. */
class Folder {
  public:
    Folder() {
        std::string path =
            (std::filesystem::temp_directory_path() / "outflow-bench-XXXXXX").string();
        if (mkdtemp(path.data()) == nullptr)
            throw std::system_error(errno, std::generic_category(), path);
        path_ = path;
    }
    Folder(const Folder &) = delete;
    Folder &operator=(const Folder &) = delete;
    ~Folder() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }

    [[nodiscard]] std::filesystem::path operator/(const char *name) const {
        return path_ / name;
    }

  private:
    std::filesystem::path path_;
};

Folder &folder() {
    static Folder made;
    return made;
}

void write(const std::filesystem::path &path, const Bytes &content) {
    std::ofstream file(path, std::ios::binary);
    file.write(reinterpret_cast<const char *>(content.data()),
               static_cast<std::streamsize>(content.size()));
    if (!file.flush())
        throw std::runtime_error(path.string() + ": writing failed");
}

void write_gzip(const std::filesystem::path &path, const Bytes &content) {
    gzFile file = gzopen(path.c_str(), "wb");
    const bool written =
        file != nullptr && gzwrite(file, content.data(), static_cast<unsigned>(content.size())) ==
                               static_cast<int>(content.size());
    if ((file != nullptr && gzclose(file) != Z_OK) || !written)
        throw std::runtime_error(path.string() + ": writing failed");
}

Bytes png_number(uint32_t number) {
    return encode_png(picture(side, 3, number), side, 3);
}

Bytes jpeg_number(uint32_t number) {
    return encode_jpeg(picture(side, 3, number), side, 3);
}

void make_folder(const std::filesystem::path &path, Bytes (*file)(uint32_t), const char *suffix) {
    std::filesystem::create_directory(path);
    for (uint32_t i = 0; i < image_count; i++)
        write(path / (std::to_string(i) + suffix), file(i));
}

void make_png_folder(const std::filesystem::path &path) {
    make_folder(path, png_number, ".png");
}

void make_jpeg_folder(const std::filesystem::path &path) {
    make_folder(path, jpeg_number, ".jpg");
}

/* `set_format` and, if there is one, `add_filter` choose the kind of archive. */
void make_archive(const std::filesystem::path &path, int (*set_format)(archive *),
                  int (*add_filter)(archive *)) {
    archive *made = archive_write_new();
    bool good = made != nullptr && set_format(made) == ARCHIVE_OK &&
                (add_filter == nullptr || add_filter(made) == ARCHIVE_OK) &&
                archive_write_open_filename(made, path.c_str()) == ARCHIVE_OK;
    for (uint32_t i = 0; i < image_count && good; i++) {
        const Bytes file = png_number(i);
        archive_entry *entry = archive_entry_new();
        archive_entry_set_pathname(entry, (std::to_string(i) + ".png").c_str());
        archive_entry_set_filetype(entry, AE_IFREG);
        archive_entry_set_perm(entry, 0644);
        archive_entry_set_size(entry, static_cast<la_int64_t>(file.size()));
        good = archive_write_header(made, entry) == ARCHIVE_OK &&
               archive_write_data(made, file.data(), file.size()) ==
                   static_cast<la_ssize_t>(file.size());
        archive_entry_free(entry);
    }
    good = good && archive_write_close(made) == ARCHIVE_OK;
    archive_write_free(made);
    if (!good)
        throw std::runtime_error(path.string() + ": writing failed");
}

void make_tar(const std::filesystem::path &path) {
    make_archive(path, archive_write_set_format_pax_restricted, nullptr);
}

void make_tar_gz(const std::filesystem::path &path) {
    make_archive(path, archive_write_set_format_pax_restricted, archive_write_add_filter_gzip);
}

void make_zip(const std::filesystem::path &path) {
    make_archive(path, archive_write_set_format_zip, nullptr);
}

/* Records of `header` bytes and an image of so many channels. */
Bytes records(Bytes content, size_t header, uint32_t channels) {
    for (uint32_t i = 0; i < image_count; i++) {
        const Bytes pixels = picture(side, channels, i);
        content.insert(content.end(), header, static_cast<uint8_t>(i % 10));
        content.insert(content.end(), pixels.begin(), pixels.end());
    }
    return content;
}

Bytes idx() {
    Bytes header = {0, 0, 8, 3};
    for (const uint32_t size : {image_count, side, side})
        for (unsigned shift = 32; shift > 0; shift -= 8)
            header.push_back(static_cast<uint8_t>(size >> (shift - 8)));
    return records(header, 0, 1);
}

void make_idx(const std::filesystem::path &path) {
    write(path, idx());
}

void make_idx_gz(const std::filesystem::path &path) {
    write_gzip(path, idx());
}

void make_cifar(const std::filesystem::path &path) {
    write(path, records({}, 1, 3));
}

/* Format 1.0: magic, version, length of the header, which ends with a newline on 64 bytes. */
void make_npy(const std::filesystem::path &path) {
    std::string header = "{'descr': '|u1', 'fortran_order': False, 'shape': (" +
                         std::to_string(image_count) + ", 32, 32, 3), }";
    header.resize(of_round_up(10 + header.size() + 1, 64) - 10 - 1, ' ');
    header += '\n';
    Bytes content = {0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0, static_cast<uint8_t>(header.size()), 0};
    content.insert(content.end(), header.begin(), header.end());
    write(path, records(content, 0, 3));
}

/* ---- Sources ----------------------------------------------------------------------------- */

struct Source {
    const char *name, *file; /* the file: NAME's specification if nothing is made */
    void (*make)(const std::filesystem::path &path);
    uint32_t channels;
};

constexpr Source sources[] = {{"folder_png", "pngs", make_png_folder, 3},
                              {"folder_jpeg", "jpegs", make_jpeg_folder, 3},
                              {"tar_png", "images.tar", make_tar, 3},
                              {"tar_gz_png", "images.tar.gz", make_tar_gz, 3},
                              {"zip_png", "images.zip", make_zip, 3},
                              {"idx", "images-idx3-ubyte", make_idx, 1},
                              {"idx_gz", "images-idx3-ubyte.gz", make_idx_gz, 1},
                              {"npy", "images.npy", make_npy, 3},
                              {"cifar10", "data_batch_1.bin", make_cifar, 3},
                              {"synthetic_general", "synthetic:general:512", nullptr, 3}};

/* What opens the source; its files are made the first time. */
std::string specification(const Source &source) {
    if (source.make == nullptr)
        return source.file;
    const std::filesystem::path path = folder() / source.file;
    if (!std::filesystem::exists(path))
        source.make(path);
    return path.string();
}

of_reader *open(const std::string &specification, const of_target &target) {
    of_reader *reader = nullptr;
    of_error error = {};
    bench::check(of_reader_open(specification.c_str(), &target, 1, &reader, &error), error);
    return reader;
}

void check_count(uint32_t images) {
    if (images != image_count)
        throw std::runtime_error("the source gave " + std::to_string(images) + " images");
}

/* All entries of a source, undecoded. */
void read_all(const std::string &specification, const of_target &target) {
    const std::unique_ptr<of_reader, void (*)(of_reader *)> reader(open(specification, target),
                                                                   of_reader_close);
    of_entry entry = {};
    const std::unique_ptr<of_entry, void (*)(of_entry *)> owner(&entry, of_entry_free);
    of_error error = {};
    uint32_t images = 0;
    for (bool end = false; !end; images += end ? 0 : 1)
        bench::check(reader->next(reader.get(), &entry, &end, &error), error);
    check_count(images);
}

/* All images of a source, decoded by threads. */
void take_all(const std::string &specification, const of_target &target, unsigned threads) {
    of_pipeline *started = nullptr;
    of_error error = {};
    const size_t decoding_bytes = size_t{1} << 30;
    bench::check(of_pipeline_start(open(specification, target), &target, threads, decoding_bytes,
                                   &started, &error),
                 error);
    const std::unique_ptr<of_pipeline, void (*)(of_pipeline *)> pipeline(started, of_pipeline_free);
    uint32_t images = 0;
    for (;;) {
        of_slot *slot = nullptr;
        bool late = true;
        while (late)
            bench::check(of_pipeline_take(started, image_count - images, &late, &slot, &error),
                         error);
        if (slot == nullptr)
            break;
        bench::check(slot->result.status, slot->result);
        benchmark::DoNotOptimize(slot->pixels);
        of_pipeline_release(started);
        images++;
    }
    check_count(images);
}

void add_source(const Source &source) {
    Work work;
    work.items = image_count;
    const of_target target = target_of(source.channels);
    bench::add(std::string("read/") + source.name, [=](benchmark::State &state) {
        const std::string file = specification(source);
        bench::measure(state, work, OF_ISA_SCALAR, Clock::thread, [&] { read_all(file, target); });
    });
    for (const unsigned threads : {1U, 2U}) {
        auto *added = bench::add(std::string("pipeline/") + source.name + part("threads", threads),
                                 [=](benchmark::State &state) {
                                     const std::string file = specification(source);
                                     bench::measure(state, work, OF_ISA_SCALAR, Clock::wall,
                                                    [&] { take_all(file, target, threads); });
                                 });
        added->UseRealTime();
    }
}

void add_all() {
    for (const uint32_t size : {32U, 256U}) {
        add_decoding("png_rgb", encode_png, 3, size);
        add_decoding("png_grey", encode_png, 1, size);
        add_decoding("jpeg_rgb", encode_jpeg, 3, size);
    }
    add_conversion("same", side, 3, false, 3);
    add_conversion("planar", side, 3, true, 3);
    add_conversion("resize_from:256", 256, 3, false, 3);
    add_conversion("resize_from:96", 96, 3, false, 3);
    add_conversion("resize_from:28", 28, 1, false, 1);
    add_conversion("grey_to_colour", side, 1, false, 3);
    add_conversion("colour_to_grey", side, 3, false, 1);
    for (const Source &source : sources)
        add_source(source);
}

} // namespace

int main(int argc, char **argv) {
    return bench::run(argc, argv, add_all);
}
