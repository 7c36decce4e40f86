// Prints what the core makes of made-up scenes, a number a line: scripts/neon.sh compares processors.
#include <cmath>
#include <cstdio>
#include <vector>

#include "../native/core.h"
#include "../native/pool.h"

static uint32_t state = 1;
static float uniform() {
  state = state * 1664525u + 1013904223u;
  return float(state >> 8) / 16777216.f;
}

static std::vector<float> filled(size_t count, float low, float high) {
  std::vector<float> out(count);
  for (float& x : out) x = low + (high - low) * uniform();
  return out;
}

static void print(const char* name, const std::vector<float>& values) {
  for (float x : values) std::printf("%s %.9g\n", name, x);
}

int main() {
  set_threads(2);
  const int n = 500, channels = 4, width = 101, height = 77;
  const Camera camera = {{1, 0, 0, 0, 1, 0, 0, 0, 1}, {0, 0, 3}, 110, 110, 50, 38, width, height, false};
  const auto means = filled(3 * n, -0.8f, 0.8f), quats = filled(4 * n, -1, 1);
  const auto scales = filled(3 * n, 0.005f, 0.1f), opacities = filled(n, 0.f, 1.f);
  const auto colors = filled(channels * n, 0, 1), background = filled(channels, 0, 1);
  const Cloud cloud = {means.data(),  quats.data(), scales.data(), opacities.data(),
                       colors.data(), n,            channels};
  std::vector<float> color(width * height * channels), alpha(width * height), depth(alpha);
  Frame frame =
      splat(cloud, camera, {color.data(), alpha.data(), depth.data(), background.data(), nullptr});
  print("color", color), print("alpha", alpha), print("depth", depth);
  const auto d_color = filled(color.size(), -1, 1), d_alpha = filled(alpha.size(), -1, 1);
  const auto d_depth = filled(depth.size(), -1, 1);
  auto m = means, q = quats, s = scales, o = opacities, c = colors;
  splat_backward(frame, cloud,
                 {d_color.data(), d_alpha.data(), d_depth.data(), color.data(), alpha.data(),
                  depth.data(), background.data()},
                 {m.data(), q.data(), s.data(), o.data(), c.data()}, nullptr);
  print("d_means", m), print("d_quats", q), print("d_scales", s), print("d_opacities", o);
  print("d_colors", c);

  std::vector<int64_t> faces(3 * 200), ids(width * height);
  for (int64_t& f : faces) f = int64_t(uniform() * n);
  std::vector<float> shares(3 * width * height);
  rasterize({means.data(), faces.data()}, n, 200, camera,
            {ids.data(), shares.data(), depth.data()});
  print("face", std::vector<float>(ids.begin(), ids.end())), print("shares", shares);

  const int side = 40;
  const auto a = filled(side * side * 3, 0, 1), b = filled(side * side * 3, 0, 1);
  const std::vector<float> window(WINDOW, 1.f / WINDOW);
  std::vector<float> slopes(3 * (side - 10) * (side - 10) * 3), d_a(a.size());
  const Pair pair = {a.data(), b.data(), window.data(), side, side, 3};
  print("ssim", {float(ssim(pair, slopes.data()))});
  ssim_backward(pair, slopes.data(), 0.01f, d_a.data());
  print("d_ssim", d_a);

  const auto weights = filled(2 * n, 0, 1), bones = filled(16 * 9, -1, 1);
  std::vector<int32_t> own(2 * n);
  for (int32_t& i : own) i = int32_t(uniform() * 9);
  std::vector<float> moved(3 * n), d_points(3 * n), d_weights(2 * n), d_bones(16 * 9);
  const Blend blend = {means.data(), weights.data(), own.data(), bones.data(), 1, n, 2, 9};
  blend_points(blend, moved.data());
  blend_points_backward(blend, scales.data(), {d_points.data(), d_weights.data(), d_bones.data()});
  print("moved", moved), print("d_points", d_points), print("d_weights", d_weights);
  print("d_bones", d_bones);
}
