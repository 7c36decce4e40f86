// What all bindings check alike. Python sees float32 arrays on the CPU, row-major; nanobind refuses
// anything else.
#pragma once
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>

#include <optional>
#include <stdexcept>

#include "core.h"

namespace nb = nanobind;

using In1 = nb::ndarray<const float, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using In2 = nb::ndarray<const float, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using In3 = nb::ndarray<const float, nb::ndim<3>, nb::c_contig, nb::device::cpu>;
using Out1 = nb::ndarray<float, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Out2 = nb::ndarray<float, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using Out3 = nb::ndarray<float, nb::ndim<3>, nb::c_contig, nb::device::cpu>;
using In4 = nb::ndarray<const float, nb::ndim<4>, nb::c_contig, nb::device::cpu>;
using Out4 = nb::ndarray<float, nb::ndim<4>, nb::c_contig, nb::device::cpu>;
using OutDouble1 = nb::ndarray<double, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Indices = nb::ndarray<const int64_t, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using OutIndices = nb::ndarray<int64_t, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using Ids1 = nb::ndarray<const int32_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Ids2 = nb::ndarray<const int32_t, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using Bytes = nb::ndarray<uint8_t, nb::ndim<3>, nb::c_contig, nb::device::cpu>;
using Bytes1 = nb::ndarray<const uint8_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Bytes2 = nb::ndarray<const uint8_t, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using OutBytes2 = nb::ndarray<uint8_t, nb::ndim<2>, nb::c_contig, nb::device::cpu>;

inline void need(bool fine, const char* complaint) {
  if (!fine) throw std::invalid_argument(complaint);
}

template <class A, class B>
bool same(const A& a, const B& b) {
  if (a.ndim() != b.ndim()) return false;
  for (size_t i = 0; i < a.ndim(); ++i)
    if (a.shape(i) != b.shape(i)) return false;
  return true;
}

template <class Ids>
bool below(const Ids& ids, size_t limit) {
  for (size_t i = 0; i < ids.size(); ++i)
    if (uint32_t(ids.data()[i]) >= limit) return false;
  return true;
}

// `starts` cut `total` things into as many rows as there are starts but one.
inline bool cuts(const Ids1& starts, size_t total) {
  const size_t rows = starts.shape(0);
  if (rows < 1 || starts.data()[0] != 0 || size_t(starts.data()[rows - 1]) != total) return false;
  for (size_t i = 1; i < rows; ++i)
    if (starts.data()[i] < starts.data()[i - 1]) return false;
  return true;
}

inline Camera camera_of(const In2& world_to_camera, const In2& intrinsics, size_t width,
                        size_t height, bool orthographic = false) {
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

void bind_splat(nb::module_& m);
void bind_pictures(nb::module_& m);
void bind_body(nb::module_& m);
void bind_studio(nb::module_& m);
