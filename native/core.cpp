#include "core.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <mutex>
#include <utility>

#include "pool.h"

extern const Kernels kernels_baseline, kernels_v3, kernels_v4;

namespace {

constexpr int CHUNK = 1024;  // Gaussians or triangles per task.

int level() {
#if defined(HAVE_v4)
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512vl"))
    return 2;
#endif
#if defined(HAVE_v3)
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
      __builtin_cpu_supports("bmi2"))
    return 1;
#endif
  return 0;
}

constexpr const char* NAMES[] = {"baseline", "v3", "v4"};
const int best = level();
int chosen = best;

int tiles_across(const Camera& camera) { return (camera.width + TILE_WIDTH - 1) / TILE_WIDTH; }
int tile_count(const Camera& camera, const Kernels& k) {
  return tiles_across(camera) * ((camera.height + k.tile_height - 1) / k.tile_height);
}

Box tiles_of(const Patch& t) {
  if (t.left == t.right) return {0, 0, 0, 0};
  return {uint16_t(t.left / 8), uint16_t((t.right + 7) / 8), uint16_t(t.top / 8),
          uint16_t((t.bottom + 7) / 8)};
}

struct Sums {
  std::vector<float> values;
  std::vector<uint8_t> used;
};

// The memory of the last that went: films and fits ask for the same again and again, and fresh
// pages cost as much as drawing. Never destroyed: a frame may outlive it. Busy, or left locked by a
// fork, it is not waited for.
template <class T>
struct Store {
  std::mutex gate;
  T kept;
};
template <class T>
void take(Store<T>& from, T& to) {
  std::unique_lock<std::mutex> lock(from.gate, std::try_to_lock);
  if (lock) to = std::move(from.kept);
}
template <class T>
void leave(T& from, Store<T>& to) {
  std::unique_lock<std::mutex> lock(to.gate, std::try_to_lock);
  if (lock) to.kept = std::move(from);
}
Store<Buffers>& spare = *new Store<Buffers>;
Store<Sums>& spare_sums = *new Store<Sums>;

}  // namespace

const Kernels& kernels() {
#if defined(HAVE_v4)
  if (chosen == 2) return kernels_v4;
#endif
#if defined(HAVE_v3)
  if (chosen == 1) return kernels_v3;
#endif
  return kernels_baseline;
}

const char* instruction_set() { return NAMES[chosen]; }

std::vector<const char*> instruction_sets() { return {NAMES, NAMES + best + 1}; }

bool set_instruction_set(const char* name) {
  for (int i = 0; i <= best; ++i)
    if (!std::strcmp(name, NAMES[i])) {
      chosen = i;
      return true;
    }
  return false;
}

Lists Frame::lists() {
  return {splats.data(), features_at(), order.data(), starts.data(), slots.data(), masks.data(),
          ends.data(), stride(), channels, camera.width, camera.height, tiles_across(camera)};
}

const float* Frame::features_at() const {
  return channels < NEAR_FEATURES && !splats.empty() ? splats[0].features : features.data();
}

int Frame::stride() const {
  return channels < NEAR_FEATURES ? int(sizeof(Splat) / sizeof(float)) : channels + 1;
}

Frame::Frame() { take<Buffers>(spare, *this); }

Frame::~Frame() {
  if (!splats.empty()) leave<Buffers>(*this, spare);
}

Frame splat(const Cloud& cloud, const Camera& camera, const Picture& out) {
  Frame f;
  const Kernels& k = kernels();
  f.kernels = &k;
  f.camera = camera;
  f.channels = cloud.channels;
  f.splats.resize(cloud.count), f.boxes.resize(cloud.count), f.depths.resize(cloud.count);
  if (cloud.channels >= NEAR_FEATURES)
    f.features.resize(size_t(cloud.count) * (cloud.channels + 1));
  parallel((cloud.count + CHUNK - 1) / CHUNK, [&](int i) {
    k.project(cloud, camera, i * CHUNK, std::min(cloud.count, (i + 1) * CHUNK), f.splats.data(),
              f.features.data(), f.boxes.data(), f.depths.data());
  });
  const int tiles = tile_count(camera, k);
  make_lists(f, tiles_across(camera), tiles);
  const Lists lists = f.lists();
  parallel(tiles, [&](int tile) { k.blend(lists, tile, out); });
  return f;
}

void splat_backward(Frame& f, const Cloud& cloud, const PictureGradient& gradient,
                    CloudGradient out, double* camera) {
  const Kernels& k = *f.kernels;
  const Lists lists = f.lists();
  // Every slot is written by the one tile it belongs to, then summed in a fixed order.
  Sums sums;
  take(spare_sums, sums);
  sums.values.resize(size_t(f.slots.back()) * owed_size(f.channels));
  sums.used.assign(f.slots.back(), 0);
  const Owed owed = {sums.values.data(), sums.used.data()};
  parallel(int(f.starts.size()) - 1,
           [&](int tile) { k.blend_backward(lists, tile, gradient, owed); });
  const int chunks = (cloud.count + CHUNK - 1) / CHUNK;
  std::vector<double> shares(camera ? size_t(chunks) * CAMERA : 0, 0.);
  parallel(chunks, [&](int i) {
    k.project_backward(cloud, f.camera, i * CHUNK, std::min(cloud.count, (i + 1) * CHUNK), lists,
                       owed, out, camera ? shares.data() + size_t(i) * CAMERA : nullptr);
  });
  leave(sums, spare_sums);
  if (!camera) return;
  std::fill(camera, camera + CAMERA, 0.);
  for (size_t i = 0; i < shares.size(); ++i) camera[i % CAMERA] += shares[i];
}

// Kept: fresh pages cost.
float* ssim_room(int channels) {
  thread_local std::vector<float> room;
  room.resize(std::max(room.size(), size_t(ssim_scratch(channels)) + 16));
  return reinterpret_cast<float*>((reinterpret_cast<uintptr_t>(room.data()) + 63) / 64 * 64);
}

double ssim(const Pair& pair, float* slopes) {
  const Kernels& k = kernels();
  const int rows = pair.height - WINDOW + 1, tasks = (rows + SSIM_ROWS - 1) / SSIM_ROWS;
  std::vector<double> sums(tasks);
  parallel(tasks, [&](int i) {
    sums[i] = k.ssim_rows(pair, i * SSIM_ROWS, std::min(rows, (i + 1) * SSIM_ROWS), slopes,
                          ssim_room(pair.channels));
  });
  double total = 0;
  for (double sum : sums) total += sum;
  return total / (double(rows) * (pair.width - WINDOW + 1) * pair.channels);
}

void ssim_backward(const Pair& pair, const float* slopes, float scale, float* out) {
  const Kernels& k = kernels();
  parallel((pair.height + SSIM_ROWS - 1) / SSIM_ROWS, [&](int i) {
    const int last = std::min(pair.height, (i + 1) * SSIM_ROWS);
    k.ssim_rows_backward(pair, i * SSIM_ROWS, last, slopes, scale, out, ssim_room(pair.channels));
  });
}

void rasterize(const Faces& faces, int vertices, int count, const Camera& camera,
               const Hits& out) {
  const Kernels& k = kernels();
  thread_local std::vector<Local> local;  // Kept: fresh pages cost as much as the triangles.
  thread_local std::vector<Triangle> triangles;
  thread_local std::vector<Patch> patches;
  if (int(local.size()) < vertices) local.resize(vertices);
  if (int(triangles.size()) < count) triangles.resize(count), patches.resize(count);
  Local* const points = local.data();
  Triangle* const all = triangles.data();
  Patch* const boxes = patches.data();
  parallel((vertices + CHUNK - 1) / CHUNK, [&](int i) {
    k.localize(faces, camera, i * CHUNK, std::min(vertices, (i + 1) * CHUNK), points);
  });
  const int chunks = (count + CHUNK - 1) / CHUNK;
  std::vector<int> kept(chunks);  // At the front of each chunk's room.
  parallel(chunks, [&](int i) {
    kept[i] = k.set_up(faces, points, camera, i * CHUNK, std::min(count, (i + 1) * CHUNK),
                       all + i * CHUNK, boxes + i * CHUNK);
  });
  const int tiles_x = tiles_across(camera), tiles = tile_count(camera, k);
  const auto each = [&](auto visit) {
    for (int i = 0; i < chunks; ++i)
      for (int at = i * CHUNK; at < i * CHUNK + kept[i]; ++at)
        each_tile(tiles_of(boxes[at]), tiles_x, [&](int tile) { visit(at, tile); });
  };
  std::vector<uint32_t> starts(tiles + 1, 0);
  each([&](int, int tile) { ++starts[tile + 1]; });
  for (int i = 0; i < tiles; ++i) starts[i + 1] += starts[i];
  std::vector<uint32_t> order(starts[tiles]), next(starts.begin(), starts.end() - 1);
  each([&](int at, int tile) { order[next[tile]++] = uint32_t(at); });
  const Corners corners = {all,
                           boxes,
                           order.data(),
                           starts.data(),
                           camera.width,
                           camera.height,
                           tiles_x,
                           faces,
                           camera.orthographic ? points : nullptr};
  parallel(tiles, [&](int tile) { k.draw_tile(corners, tile, out); });
}

void bones(const int32_t* parents, const float* joints, const float* pose, const float* transl,
           int count, float* out) {
  const float root[16] = {1, 0, 0, transl[0], 0, 1, 0, transl[1], 0, 0, 1, transl[2], 0, 0, 0, 1};
  for (int j = 0; j < count; ++j) {
    const float *r = pose + 9 * j, *at = joints + 3 * j;
    const float* p = parents[j] < 0 ? root : out + 16 * parents[j];
    float own[12];  // Turns about the joint: R, and joint - R joint.
    for (int i = 0; i < 3; ++i) {
      for (int k = 0; k < 3; ++k) own[4 * i + k] = r[3 * i + k];
      own[4 * i + 3] = at[i] - (r[3 * i] * at[0] + r[3 * i + 1] * at[1] + r[3 * i + 2] * at[2]);
    }
    float* m = out + 16 * j;
    for (int i = 0; i < 3; ++i)
      for (int k = 0; k < 4; ++k)
        m[4 * i + k] = p[4 * i] * own[k] + p[4 * i + 1] * own[4 + k] + p[4 * i + 2] * own[8 + k] +
                       (k == 3 ? p[4 * i + 3] : 0.f);
    m[12] = m[13] = m[14] = 0, m[15] = 1;
  }
}

void skin(const Skin& skin, Stance stance, int joints, float* vertices) {
  const Kernels& k = kernels();
  std::vector<float> quats(4 * size_t(joints));
  k.turn(stance.bones, joints, quats.data());
  stance.turns = quats.data();
  parallel((skin.count + CHUNK - 1) / CHUNK, [&](int i) {
    k.skin(skin, stance, i * CHUNK, std::min(skin.count, (i + 1) * CHUNK), vertices);
  });
}

namespace {

constexpr int SHARES = 16;  // Tasks that sum on their own, at most; the same for any threads.

// Calls task(first, last, sums) for shares of `count`, then adds up their sums (size), in order.
template <class Task>
void summed(int count, size_t size, float* out, const Task& task) {
  const int chunk = std::max(CHUNK, (count + SHARES - 1) / SHARES);
  const int shares = (count + chunk - 1) / chunk;
  std::vector<float> sums(shares * size, 0.f);
  parallel(shares, [&](int i) {
    task(i * chunk, std::min(count, (i + 1) * chunk), sums.data() + i * size);
  });
  std::fill(out, out + size, 0.f);
  for (int i = 0; i < shares; ++i)
    for (size_t k = 0; k < size; ++k) out[k] += sums[i * size + k];
}

}  // namespace

void blend_points(const Blend& blend, float* out) {
  const Kernels& k = kernels();
  parallel((blend.count + CHUNK - 1) / CHUNK, [&](int i) {
    k.blend_points(blend, i * CHUNK, std::min(blend.count, (i + 1) * CHUNK), out);
  });
}

void blend_points_backward(const Blend& blend, const float* gradient, const BlendGradient& out) {
  const Kernels& k = kernels();
  summed(blend.count, 16 * size_t(blend.batch) * blend.num_bones, out.bones,
         [&](int first, int last, float* bones) {
           k.blend_points_backward(blend, gradient, first, last, {out.points, out.weights, bones});
         });
}

void add_shapes(const Shapes& shapes, float* out) {
  const Kernels& k = kernels();
  parallel((shapes.count + CHUNK - 1) / CHUNK, [&](int i) {
    k.add_shapes(shapes, i * CHUNK, std::min(shapes.count, (i + 1) * CHUNK), out);
  });
}

void add_shapes_backward(const Shapes& shapes, const float* gradient, float* d_moves,
                         float* d_weights) {
  const Kernels& k = kernels();
  summed(shapes.count, size_t(shapes.batch) * shapes.num_shapes, d_weights,
         [&](int first, int last, float* weights) {
           k.add_shapes_backward(shapes, gradient, first, last, d_moves, weights);
         });
}

void place(const Discs& discs, const float* vertices, const int32_t* corners, int triangles,
           float* frames, const Placed& out) {
  const Kernels& k = kernels();
  parallel((triangles + CHUNK - 1) / CHUNK, [&](int i) {
    k.frame(vertices, corners, i * CHUNK, std::min(triangles, (i + 1) * CHUNK), frames);
  });
  parallel((discs.count + CHUNK - 1) / CHUNK, [&](int i) {
    k.place(discs, frames, i * CHUNK, std::min(discs.count, (i + 1) * CHUNK), out);
  });
}

void finish(const float* rgb, const float* alpha, const float* behind, int pixels, uint8_t* out) {
  constexpr int PIXELS = 16384;  // Per task.
  const Kernels& k = kernels();
  parallel((pixels + PIXELS - 1) / PIXELS, [&](int i) {
    k.finish(rgb, alpha, behind, i * PIXELS, std::min(pixels, (i + 1) * PIXELS), out);
  });
}

void pose_dressed(const Dressed& d, const float* rest, const float* bones, float* vertices,
                  float* normals) {
  const Kernels& k = kernels();
  const int chunks = (d.num_vertices + CHUNK - 1) / CHUNK;
  parallel(chunks, [&](int i) {
    k.carry(d, rest, bones, i * CHUNK, std::min(d.num_vertices, (i + 1) * CHUNK), vertices,
            normals);
  });
  k.sum_normals(d, vertices, normals);  // In one go: sums keep their order.
  parallel(chunks, [&](int i) {
    k.make_units(i * CHUNK, std::min(d.num_vertices, (i + 1) * CHUNK), normals);
  });
}

void expose(const Dressed& d, Stage stage, const Exposure& out) {
  const Kernels& k = kernels();
  std::vector<uint8_t> seen(d.num_vertices, 0);
  const size_t count = size_t(stage.camera.width) * stage.camera.height;
  for (size_t at = 0; at < count; ++at)
    if (stage.ids[at] >= 0)
      for (int i = 0; i < 3; ++i) seen[d.faces[3 * stage.ids[at] + i]] = 1;
  std::vector<float> lit(4 * size_t(d.num_vertices));
  stage.lit = lit.data();
  parallel((d.num_vertices + CHUNK - 1) / CHUNK, [&](int i) {
    k.light_vertices(d, stage, seen.data(), i * CHUNK, std::min(d.num_vertices, (i + 1) * CHUNK),
                     lit.data());
  });
  parallel(stage.camera.height / stage.samples, [&](int row) { k.resolve_row(d, stage, row, out); });
}
