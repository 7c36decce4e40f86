// Pictures beside each other, of meshes, and as bytes.
#include "bind.h"

namespace {

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

}  // namespace

void bind_pictures(nb::module_& m) {
  m.def("ssim", &ssim_forward, nb::arg("a"), nb::arg("b"), nb::arg("window"),
        nb::arg("slopes").none());
  m.def("ssim_backward", &ssim_gradient);
  m.def("rasterize", &draw);
  m.def("finished", &finished, nb::arg("rgb"), nb::arg("alpha"), nb::arg("behind").none(),
        nb::arg("out"));
}
