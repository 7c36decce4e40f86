// Gaussians, and their gradients.
#include "bind.h"

namespace {

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

}  // namespace

void bind_splat(nb::module_& m) {
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
}
