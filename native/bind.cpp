// Python sees float32 arrays on the CPU, row-major; nanobind refuses anything else.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>

#include <algorithm>
#include <cstdlib>
#include <optional>
#include <stdexcept>
#include <string>

#include "core.h"
#include "pool.h"

namespace nb = nanobind;

using In1 = nb::ndarray<const float, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using In2 = nb::ndarray<const float, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using In3 = nb::ndarray<const float, nb::ndim<3>, nb::c_contig, nb::device::cpu>;
using Out1 = nb::ndarray<float, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Out2 = nb::ndarray<float, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using Out3 = nb::ndarray<float, nb::ndim<3>, nb::c_contig, nb::device::cpu>;

namespace {

void need(bool fine, const char* complaint) {
  if (!fine) throw std::invalid_argument(complaint);
}

template <class A, class B>
bool same(const A& a, const B& b) {
  if (a.ndim() != b.ndim()) return false;
  for (size_t i = 0; i < a.ndim(); ++i)
    if (a.shape(i) != b.shape(i)) return false;
  return true;
}

struct Gaussians {
  In2 means, quats, scales;
  In1 opacities;
  In2 colors;

  Cloud cloud() const {
    const size_t n = means.shape(0);
    need(means.shape(1) == 3 && quats.shape(0) == n && quats.shape(1) == 4 &&
             same(scales, means) && opacities.shape(0) == n && colors.shape(0) == n,
         "Gaussians want means (n 3), quats (n 4), scales (n 3), opacities (n), colors (n c)");
    need(colors.shape(1) >= 1 && colors.shape(1) < MAX_FEATURES,
         "Gaussians want 1 to 32 color channels; draw more in several passes");
    need(n < (1u << 30), "too many Gaussians");
    return {means.data(), quats.data(),  scales.data(), opacities.data(),
            colors.data(), int(n), int(colors.shape(1))};
  }
};

Camera camera_of(const In2& world_to_camera, const In2& intrinsics, size_t width, size_t height,
                 bool orthographic = false) {
  need(world_to_camera.shape(0) == 4 && world_to_camera.shape(1) == 4, "pose must be 4 x 4");
  need(intrinsics.shape(0) == 3 && intrinsics.shape(1) == 3, "intrinsics must be 3 x 3");
  need(width >= 1 && height >= 1 && width <= 65536 && height <= 65536,
       "pictures are 1 to 65536 pixels wide and high");
  Camera c;
  const float *m = world_to_camera.data(), *k = intrinsics.data();
  for (int i = 0; i < 3; ++i) {
    for (int j = 0; j < 3; ++j) c.rotation[3 * i + j] = m[4 * i + j];
    c.translation[i] = m[4 * i + 3];
  }
  c.fx = k[0], c.cx = k[2], c.fy = k[4], c.cy = k[5];
  c.width = int(width), c.height = int(height), c.orthographic = orthographic;
  return c;
}

const float* pointer(const std::optional<In1>& a) { return a ? a->data() : nullptr; }

Frame forward(const Gaussians& g, const In2& pose, const In2& intrinsics,
              bool orthographic, const std::optional<In1>& background, Out3 color, Out2 alpha,
              Out2 depth, std::optional<Out2> median) {
  const Cloud cloud = g.cloud();
  need(color.shape(2) == size_t(cloud.channels) && same(alpha, depth) &&
           color.shape(0) == alpha.shape(0) && color.shape(1) == alpha.shape(1),
       "the picture wants color (h w c), alpha (h w), depth (h w)");
  need(!background || background->shape(0) == size_t(cloud.channels),
       "the background wants one value per color channel");
  need(!median || same(*median, alpha), "the median depth wants (h w)");
  const Camera camera =
      camera_of(pose, intrinsics, alpha.shape(1), alpha.shape(0), orthographic);
  float* const half = median ? median->data() : nullptr;
  nb::gil_scoped_release release;
  return splat(cloud, camera, {color.data(), alpha.data(), depth.data(), pointer(background), half});
}

struct Images {
  In3 color;
  In2 alpha, depth;
};

struct Gradients {
  Out2 means, quats, scales;
  Out1 opacities;
  Out2 colors;
};

using OutDouble1 = nb::ndarray<double, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

void backward(Frame& frame, const Gaussians& g, const std::optional<In1>& background,
              const Images& out, const Images& gradient, const Gradients& d,
              std::optional<OutDouble1> d_camera) {
  const Cloud cloud = g.cloud();
  need(cloud.count == int(frame.splats.size()) && cloud.channels == frame.channels,
       "backward wants the Gaussians of forward");
  need(same(gradient.color, out.color) && same(gradient.alpha, out.alpha) &&
           same(gradient.depth, out.depth) && same(out.alpha, out.depth) &&
           out.alpha.shape(0) == size_t(frame.camera.height) &&
           out.alpha.shape(1) == size_t(frame.camera.width) &&
           out.color.shape(0) == out.alpha.shape(0) && out.color.shape(1) == out.alpha.shape(1) &&
           out.color.shape(2) == size_t(frame.channels),
       "backward wants the picture of forward and gradients of the same shapes");
  need(same(d.means, g.means) && same(d.quats, g.quats) && same(d.scales, g.scales) &&
           same(d.opacities, g.opacities) && same(d.colors, g.colors),
       "gradients want the shapes of the Gaussians");
  need(!d_camera || d_camera->shape(0) == CAMERA, "a camera's gradient has 16 numbers");
  double* const camera = d_camera ? d_camera->data() : nullptr;
  nb::gil_scoped_release release;
  splat_backward(frame, cloud,
                 {gradient.color.data(), gradient.alpha.data(), gradient.depth.data(),
                  out.color.data(), out.alpha.data(), out.depth.data(), pointer(background)},
                 {d.means.data(), d.quats.data(), d.scales.data(), d.opacities.data(),
                  d.colors.data()},
                 camera);
}

Pair pair(const In3& a, const In3& b, const In1& window) {
  need(same(a, b), "the two pictures differ in shape");
  need(a.shape(0) >= WINDOW && a.shape(1) >= WINDOW, "pictures smaller than the window");
  need(window.shape(0) == WINDOW, "the window has 11 weights");
  return {a.data(), b.data(), window.data(), int(a.shape(0)), int(a.shape(1)), int(a.shape(2))};
}

bool fits(const Out3& slopes, const Pair& p) {
  return slopes.shape(0) == 3 && slopes.shape(1) == size_t(p.height - WINDOW + 1) &&
         slopes.shape(2) == size_t(p.width - WINDOW + 1) * p.channels;
}

double ssim_forward(const In3& a, const In3& b, const In1& window, std::optional<Out3> slopes) {
  const Pair p = pair(a, b, window);
  need(!slopes || fits(*slopes, p), "slopes want (3, h - 10, (w - 10) c)");
  float* out = slopes ? slopes->data() : nullptr;
  nb::gil_scoped_release release;
  return ssim(p, out);
}

void ssim_gradient(const In3& a, const In3& b, const In1& window, Out3 slopes, float scale,
                   Out3 out) {
  const Pair p = pair(a, b, window);
  need(fits(slopes, p) && same(out, a), "slopes of forward, and a gradient like the picture");
  nb::gil_scoped_release release;
  ssim_backward(p, slopes.data(), scale, out.data());
}

using Indices = nb::ndarray<const int64_t, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using OutIndices = nb::ndarray<int64_t, nb::ndim<2>, nb::c_contig, nb::device::cpu>;

void draw(const In2& vertices, const Indices& faces, const In2& pose, const In2& intrinsics,
          bool orthographic, OutIndices ids, Out3 barycentrics, Out2 depth) {
  need(vertices.shape(1) == 3 && faces.shape(1) == 3, "a mesh wants vertices (v 3), faces (f 3)");
  need(faces.shape(0) < (1u << 30) && vertices.shape(0) < (1u << 30), "too many faces");
  for (size_t i = 0; i < faces.size(); ++i)
    need(uint64_t(faces.data()[i]) < vertices.shape(0), "a face names a vertex that is not there");
  need(same(ids, depth) && barycentrics.shape(0) == depth.shape(0) &&
           barycentrics.shape(1) == depth.shape(1) && barycentrics.shape(2) == 3,
       "fragments want faces (h w), barycentrics (h w 3), depth (h w)");
  const Camera camera =
      camera_of(pose, intrinsics, depth.shape(1), depth.shape(0), orthographic);
  nb::gil_scoped_release release;
  rasterize({vertices.data(), faces.data()}, int(vertices.shape(0)), int(faces.shape(0)), camera,
            {ids.data(), barycentrics.data(), depth.data()});
}

using Ids1 = nb::ndarray<const int32_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Ids2 = nb::ndarray<const int32_t, nb::ndim<2>, nb::c_contig, nb::device::cpu>;

template <class Ids>
bool below(const Ids& ids, size_t limit) {
  for (size_t i = 0; i < ids.size(); ++i)
    if (uint32_t(ids.data()[i]) >= limit) return false;
  return true;
}

// `starts` cut `total` things into as many rows as there are starts but one.
bool cuts(const Ids1& starts, size_t total) {
  const size_t rows = starts.shape(0);
  if (rows < 1 || starts.data()[0] != 0 || size_t(starts.data()[rows - 1]) != total) return false;
  for (size_t i = 1; i < rows; ++i)
    if (starts.data()[i] < starts.data()[i - 1]) return false;
  return true;
}

struct Skinning {
  In2 rest, offsets;
  Ids1 shape_starts, shapes;
  In2 moves;
  Ids1 bone_starts, bones;
  In1 weights;
  In2 centers;
  Ids1 parents;
  In2 joints;
  size_t num_shapes;
  int first_eye, eye_size;

  // Once, when it is made: what it holds must not change.
  void check() const {
    const size_t count = rest.shape(0), num_joints = parents.shape(0);
    need(count < (1u << 28) && rest.shape(1) == 3 && same(offsets, rest) && same(centers, rest),
         "a skin wants rest, offsets and centers (v 3)");
    need(shape_starts.shape(0) == count + 1 && cuts(shape_starts, shapes.shape(0)) &&
             below(shapes, num_shapes) && moves.shape(0) == shapes.shape(0) && moves.shape(1) == 3,
         "a skin wants a move (3) for every shape of every vertex");
    need(bone_starts.shape(0) == count + 1 && cuts(bone_starts, bones.shape(0)) &&
             below(bones, num_joints) && weights.shape(0) == bones.shape(0),
         "a skin wants a weight for every bone of every vertex");
    need(joints.shape(0) == num_joints && joints.shape(1) == 3, "a skin wants joints (j 3)");
    for (size_t i = 0; i < num_joints; ++i)
      need(parents.data()[i] < int(i), "parents must precede their children");
    need(first_eye >= 0 && eye_size >= 0 && size_t(first_eye) + 2 * size_t(eye_size) <= count,
         "a skin wants its eyes among its vertices");
  }
};

void skinned(const Skinning& s, const In1& expression, const In3& eyes, const In3& pose,
             const In1& transl, Out3 bone_matrices, Out2 vertices) {
  const size_t joints = s.parents.shape(0);
  need(expression.shape(0) == s.num_shapes, "expressions want a weight for every shape");
  need(eyes.shape(0) == 2 && eyes.shape(1) == 3 && eyes.shape(2) == 4, "eyes want (2 3 4)");
  need(pose.shape(0) == joints && pose.shape(1) == 3 && pose.shape(2) == 3 &&
           transl.shape(0) == 3 && bone_matrices.shape(0) == joints &&
           bone_matrices.shape(1) == 4 && bone_matrices.shape(2) == 4 && same(vertices, s.rest),
       "a skin is posed by pose (j 3 3), transl (3), into bones (j 4 4), vertices (v 3)");
  const Skin own = {s.rest.data(),  s.offsets.data(),     s.shape_starts.data(),
                    s.shapes.data(), s.moves.data(),      s.bone_starts.data(),
                    s.bones.data(),  s.weights.data(),    s.centers.data(),
                    int(s.rest.shape(0)), s.first_eye,    s.eye_size};
  nb::gil_scoped_release release;
  bones(s.parents.data(), s.joints.data(), pose.data(), transl.data(), int(joints),
        bone_matrices.data());
  skin(own, {expression.data(), eyes.data(), bone_matrices.data(), nullptr}, int(joints),
       vertices.data());
}

using In4 = nb::ndarray<const float, nb::ndim<4>, nb::c_contig, nb::device::cpu>;
using Out4 = nb::ndarray<float, nb::ndim<4>, nb::c_contig, nb::device::cpu>;

struct Blending {
  In3 points;
  In2 weights;
  Ids2 ids;
  In4 bones;

  Blend view() const {
    const size_t b = points.shape(0), n = points.shape(1), j = bones.shape(1);
    need(points.shape(2) == 3 && same(weights, ids) && weights.shape(0) == n &&
             bones.shape(0) == b && bones.shape(2) == 4 && bones.shape(3) == 4 && n < (1u << 28),
         "skinning wants points (b n 3), weights and bones' ids (n k), bones (b j 4 4)");
    need(below(ids, j), "a weight names a bone that is not there");
    return {points.data(), weights.data(), ids.data(), bones.data(),
            int(b), int(n), int(weights.shape(1)), int(j)};
  }
};

void blended(const Blending& s, Out3 out) {
  const Blend own = s.view();
  need(same(out, s.points), "skinned points want the shape of the points");
  nb::gil_scoped_release release;
  blend_points(own, out.data());
}

void blended_backward(const Blending& s, const In3& gradient, Out3 d_points, Out2 d_weights,
                      Out4 d_bones) {
  const Blend own = s.view();
  need(same(gradient, s.points) && same(d_points, s.points) && same(d_weights, s.weights) &&
           same(d_bones, s.bones),
       "gradients of skinning want the shapes of what they belong to");
  nb::gil_scoped_release release;
  blend_points_backward(own, gradient.data(), {d_points.data(), d_weights.data(), d_bones.data()});
}

struct Shaping {
  Ids1 starts, ids;
  In2 moves, weights;

  Shapes view(size_t count) const {
    need(starts.shape(0) == count + 1 && cuts(starts, ids.shape(0)) && count < (1u << 28) &&
             below(ids, weights.shape(1)) && moves.shape(0) == ids.shape(0) && moves.shape(1) == 3,
         "shapes want starts (n + 1) into ids (m) below s, moves (m 3), weights (b s)");
    return {starts.data(),  ids.data(), moves.data(), weights.data(), int(weights.shape(0)),
            int(count), int(weights.shape(1))};
  }
};

void shaped(const Shaping& s, Out3 out) {
  const Shapes own = s.view(out.shape(1));
  need(out.shape(0) == s.weights.shape(0) && out.shape(2) == 3, "moved points want (b n 3)");
  nb::gil_scoped_release release;
  add_shapes(own, out.data());
}

void shaped_backward(const Shaping& s, const In3& gradient, Out2 d_moves, Out2 d_weights) {
  const Shapes own = s.view(gradient.shape(1));
  need(gradient.shape(0) == s.weights.shape(0) && gradient.shape(2) == 3 &&
           same(d_moves, s.moves) && same(d_weights, s.weights),
       "gradients of shapes want the shapes of what they belong to");
  nb::gil_scoped_release release;
  add_shapes_backward(own, gradient.data(), d_moves.data(), d_weights.data());
}

struct Riders {
  Ids2 corners;
  Ids1 triangles;
  In2 values;
  size_t count, num_vertices;

  // Once, when they are made.
  void check() const {
    const size_t pitch = triangles.shape(0);
    need(corners.shape(1) == 3 && below(corners, num_vertices),
         "triangles want corners (f 3) among the vertices");
    need(pitch % 16 == 0 && values.shape(0) == DISC && values.shape(1) == pitch &&
             count <= pitch && below(triangles, corners.shape(0)) && pitch < (1u << 28),
         "discs want triangles (p), values (13 p), p a multiple of 16 and not below their number");
  }
};

void placed(const Riders& d, const In2& vertices, Out2 frames, Out2 means, Out2 quats,
            Out2 scales) {
  const size_t pitch = d.triangles.shape(0);
  need(vertices.shape(0) == d.num_vertices && vertices.shape(1) == 3, "vertices want (v 3)");
  need(frames.shape(0) == d.corners.shape(0) && frames.shape(1) == FRAME, "frames want (f 32)");
  need(means.shape(0) == d.count && means.shape(1) == 3 && same(scales, means) &&
           quats.shape(0) == d.count && quats.shape(1) == 4,
       "discs are placed as means (n 3), quats (n 4), scales (n 3)");
  const Discs own = {d.triangles.data(), d.values.data(), int(d.count), int(pitch)};
  nb::gil_scoped_release release;
  place(own, vertices.data(), d.corners.data(), int(d.corners.shape(0)), frames.data(),
        {means.data(), quats.data(), scales.data()});
}

using Bytes = nb::ndarray<uint8_t, nb::ndim<3>, nb::c_contig, nb::device::cpu>;

void finished(const In3& rgb, const In2& alpha, const std::optional<In3>& behind, Bytes out) {
  need(rgb.shape(2) == 3 && rgb.shape(0) == alpha.shape(0) && rgb.shape(1) == alpha.shape(1) &&
           (!behind || same(*behind, rgb)) && alpha.size() < (1u << 30),
       "a picture wants rgb (h w 3), alpha (h w), a backdrop (h w 3)");
  need(out.shape(0) == rgb.shape(0) && out.shape(1) == rgb.shape(1) &&
           out.shape(2) == (behind ? 3 : 4),
       "a picture is finished as (h w 3) before a backdrop, (h w 4) without");
  const float* back = behind ? behind->data() : nullptr;
  nb::gil_scoped_release release;
  finish(rgb.data(), alpha.data(), back, int(alpha.size()), out.data());
}

using Bytes1 = nb::ndarray<const uint8_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Bytes2 = nb::ndarray<const uint8_t, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using OutBytes2 = nb::ndarray<uint8_t, nb::ndim<2>, nb::c_contig, nb::device::cpu>;

struct Costume {
  Ids1 bone_starts, bones;
  In1 weights;
  In2 own_normals;
  Bytes1 brings_normals;
  Ids2 faces;
  In3 uvs;
  Bytes2 texels;
  Ids2 texture;
  Bytes1 labels;
  In1 gloss;
  size_t num_joints;

  // Once, when it is made: what it holds must not change.
  void check() const {
    const size_t v = own_normals.shape(0), f = faces.shape(0);
    need(v < (1u << 28) && f < (1u << 28) && own_normals.shape(1) == 3 &&
             brings_normals.shape(0) == v && bone_starts.shape(0) == v + 1 &&
             cuts(bone_starts, bones.shape(0)) && below(bones, num_joints) &&
             weights.shape(0) == bones.shape(0),
         "a dressed person wants a weight for every bone of every vertex, normals (v 3)");
    need(faces.shape(1) == 3 && below(faces, v) && uvs.shape(0) == f && uvs.shape(1) == 3 &&
             uvs.shape(2) == 2 && labels.shape(0) == f && gloss.shape(0) == f,
         "a dressed person wants faces (f 3) among its vertices, uvs (f 3 2), labels, gloss (f)");
    need(texels.shape(1) == 3 && texture.shape(0) == f && texture.shape(1) == 3,
         "a dressed person wants texels (t 3), texture (f 3)");
    for (size_t i = 0; i < f; ++i) {
      const int32_t* t = texture.data() + 3 * i;
      need(t[0] >= 0 && t[1] > 0 && t[2] > 0 &&
               size_t(t[0]) + size_t(t[1]) * size_t(t[2]) <= texels.shape(0),
           "a texture reaches beyond the texels");
    }
  }

  Dressed view() const {
    return {bone_starts.data(),    bones.data(), weights.data(),      own_normals.data(),
            brings_normals.data(), faces.data(), uvs.data(),          texels.data(),
            texture.data(),        labels.data(), gloss.data(),
            int(own_normals.shape(0)), int(faces.shape(0))};
  }
};

void costume_posed(const Costume& c, const In2& rest, const In3& bones, Out2 vertices,
                   Out2 normals) {
  need(same(rest, c.own_normals) && same(vertices, rest) && same(normals, rest) &&
           bones.shape(0) == c.num_joints && bones.shape(1) == 3 && bones.shape(2) == 4,
       "a dressed person is posed from rest (v 3) by bones (j 3 4)");
  nb::gil_scoped_release release;
  pose_dressed(c.view(), rest.data(), bones.data(), vertices.data(), normals.data());
}

constexpr size_t LAMP = 37;  // Eye, toward, key, soft, irradiance.

struct Lighting {
  In1 lamp;
  In2 project, shadow;

  Lamp view() const {
    need(lamp.shape(0) == LAMP && project.shape(0) == 3 && project.shape(1) == 4 &&
             shadow.shape(0) == shadow.shape(1) && shadow.shape(0) > 0,
         "light wants lamp (37), a projection (3 4) and its depth (s s)");
    Lamp out;
    const float* p = lamp.data();
    std::copy(p, p + 3, out.eye), std::copy(p + 3, p + 6, out.toward);
    std::copy(p + 6, p + 9, out.key), out.soft = p[9];
    std::copy(p + 10, p + 37, out.irradiance);
    std::copy(project.data(), project.data() + 12, out.project);
    out.shadow = shadow.data(), out.side = int(shadow.shape(0));
    return out;
  }
};

struct Samples {
  OutIndices ids;
  Out3 barycentrics;
  Out2 depth;
};

struct Film {
  Bytes rgb;
  Out2 alpha;
  Out3 normal;
  Out2 depth;
  OutBytes2 parts;
};

void costume_exposed(const Costume& c, const In2& vertices, const In2& normals,
                     const Lighting& light, const In2& pose, const In2& intrinsics,
                     const Samples& samples, const In3& behind, const In1& linear,
                     const Bytes1& encoded, const Film& film) {
  const size_t h = film.alpha.shape(0), w = film.alpha.shape(1);
  need(same(vertices, c.own_normals) && same(normals, vertices), "vertices and normals want (v 3)");
  need(same(film.depth, film.alpha) && film.parts.shape(0) == h && film.parts.shape(1) == w &&
           same(film.normal, film.rgb) && same(behind, film.rgb) && film.rgb.shape(0) == h &&
           film.rgb.shape(1) == w && film.rgb.shape(2) == 3 && h > 0 && w > 0,
       "a film wants rgb and normal (h w 3), alpha, depth, parts (h w)");
  const size_t k = samples.depth.shape(0) / h;
  need(k > 0 && samples.depth.shape(0) == k * h && samples.depth.shape(1) == k * w &&
           same(samples.ids, samples.depth) && samples.barycentrics.shape(0) == k * h &&
           samples.barycentrics.shape(1) == k * w && samples.barycentrics.shape(2) == 3,
       "samples want ids, depth (k h, k w) and barycentrics");
  need(linear.shape(0) == 256 && encoded.shape(0) == 4096, "tables want 256 and 4096 values");
  Stage stage;
  stage.vertices = vertices.data(), stage.normals = normals.data(), stage.lit = nullptr;
  stage.lamp = light.view();
  stage.camera = camera_of(pose, intrinsics, k * w, k * h);
  stage.samples = int(k);
  stage.ids = samples.ids.data(), stage.barycentrics = samples.barycentrics.data();
  stage.depth = samples.depth.data(), stage.behind = behind.data();
  stage.linear = linear.data(), stage.encoded = encoded.data();
  const int64_t faces = int64_t(c.faces.shape(0));
  for (size_t i = 0; i < samples.ids.size(); ++i)
    need(stage.ids[i] < faces, "a sample names a face that is not there");
  nb::gil_scoped_release release;
  expose(c.view(), stage,
         {film.rgb.data(), film.parts.data(), film.alpha.data(), film.normal.data(),
          film.depth.data()});
}

std::string listed() {
  std::string out;
  for (const char* name : instruction_sets()) out += (out.empty() ? "" : ", ") + std::string(name);
  return out;
}

// INCARNATE_ISA picks the instruction set; unset or empty, it is the best there is.
void obey_environment() {
  const char* name = std::getenv("INCARNATE_ISA");
  if (name && *name && !set_instruction_set(name))
    throw std::runtime_error("INCARNATE_ISA came as '" + std::string(name) +
                             "', and this machine and build have " + listed() +
                             "; set it to one of these, or unset it");
}

}  // namespace

NB_MODULE(_native, m) {
  obey_environment();
  nb::set_leak_warnings(false);  // Pictures alive at exit, as module globals, keep their frames.
  m.def("threads", &threads);
  m.def("set_threads", &set_threads);
  m.def("instruction_set", &instruction_set);
  m.def("instruction_sets", [] {
    nb::list names;
    for (const char* name : instruction_sets()) names.append(name);
    return names;
  });
  m.def("set_instruction_set", [](const char* name) {
    need(set_instruction_set(name), "this machine has no such instruction set");
  });
  nb::class_<Frame>(m, "Frame");
  nb::class_<Gaussians>(m, "Gaussians")
      .def("__init__", [](Gaussians* self, In2 means, In2 quats, In2 scales, In1 opacities,
                          In2 colors) {
        new (self) Gaussians{means, quats, scales, opacities, colors};
      });
  nb::class_<Images>(m, "Images").def("__init__", [](Images* self, In3 color, In2 alpha,
                                                     In2 depth) {
    new (self) Images{color, alpha, depth};
  });
  nb::class_<Gradients>(m, "Gradients")
      .def("__init__", [](Gradients* self, Out2 means, Out2 quats, Out2 scales, Out1 opacities,
                          Out2 colors) {
        new (self) Gradients{means, quats, scales, opacities, colors};
      });
  m.def("splat", &forward, nb::arg("gaussians"), nb::arg("world_to_camera"),
        nb::arg("intrinsics"), nb::arg("orthographic"), nb::arg("background").none(),
        nb::arg("color"), nb::arg("alpha"), nb::arg("depth"), nb::arg("median").none() = nb::none());
  m.def("splat_backward", &backward, nb::arg("frame"), nb::arg("gaussians"),
        nb::arg("background").none(), nb::arg("out"), nb::arg("gradient"), nb::arg("gradients"),
        nb::arg("camera").none());
  m.def("ssim", &ssim_forward, nb::arg("a"), nb::arg("b"), nb::arg("window"),
        nb::arg("slopes").none());
  m.def("ssim_backward", &ssim_gradient);
  m.def("rasterize", &draw);
  nb::class_<Skinning>(m, "Skin").def(
      "__init__", [](Skinning* self, In2 rest, In2 offsets, Ids1 shape_starts, Ids1 shapes,
                     In2 moves, Ids1 bone_starts, Ids1 bones, In1 weights, In2 centers,
                     Ids1 parents, In2 joints, size_t num_shapes, int first_eye, int eye_size) {
        const Skinning skin = {rest,    offsets, shape_starts, shapes, moves,      bone_starts,
                               bones,   weights, centers,      parents, joints,    num_shapes,
                               first_eye, eye_size};
        skin.check();
        new (self) Skinning(skin);
      });
  m.def("skinned", &skinned);
  nb::class_<Blending>(m, "Blending")
      .def("__init__", [](Blending* self, In3 points, In2 weights, Ids2 ids, In4 bones) {
        new (self) Blending{points, weights, ids, bones};
      });
  m.def("blended", &blended);
  m.def("blended_backward", &blended_backward);
  nb::class_<Shaping>(m, "Shaping")
      .def("__init__", [](Shaping* self, Ids1 starts, Ids1 ids, In2 moves, In2 weights) {
        new (self) Shaping{starts, ids, moves, weights};
      });
  m.def("shaped", &shaped);
  m.def("shaped_backward", &shaped_backward);
  nb::class_<Riders>(m, "Discs")
      .def("__init__", [](Riders* self, Ids2 corners, Ids1 triangles, In2 values, size_t count,
                          size_t num_vertices) {
        const Riders riders = {corners, triangles, values, count, num_vertices};
        riders.check();
        new (self) Riders(riders);
      });
  m.def("placed", &placed);
  m.def("finished", &finished, nb::arg("rgb"), nb::arg("alpha"), nb::arg("behind").none(),
        nb::arg("out"));
  nb::class_<Costume>(m, "Dressed")
      .def("__init__", [](Costume* self, Ids1 bone_starts, Ids1 bones, In1 weights,
                          In2 own_normals, Bytes1 brings_normals, Ids2 faces, In3 uvs,
                          Bytes2 texels, Ids2 texture, Bytes1 labels, In1 gloss,
                          size_t num_joints) {
        const Costume costume = {bone_starts, bones, weights, own_normals, brings_normals, faces,
                                 uvs, texels, texture, labels, gloss, num_joints};
        costume.check();
        new (self) Costume(costume);
      });
  nb::class_<Lighting>(m, "Lighting").def("__init__", [](Lighting* self, In1 lamp, In2 project,
                                                         In2 shadow) {
    new (self) Lighting{lamp, project, shadow};
  });
  nb::class_<Samples>(m, "Samples").def("__init__", [](Samples* self, OutIndices ids,
                                                       Out3 barycentrics, Out2 depth) {
    new (self) Samples{ids, barycentrics, depth};
  });
  nb::class_<Film>(m, "Film").def("__init__", [](Film* self, Bytes rgb, Out2 alpha, Out3 normal,
                                                 Out2 depth, OutBytes2 parts) {
    new (self) Film{rgb, alpha, normal, depth, parts};
  });
  m.def("posed", &costume_posed);
  m.def("exposed", &costume_exposed);
}
