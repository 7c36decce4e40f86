// What the binding calls: raw pointers in, raw pointers out, no Python and no tensors.
#pragma once
#include <vector>

#include "kernels.h"

const Kernels& kernels();
const char* instruction_set();
bool set_instruction_set(const char* name);  // False if this machine has not got it.

// Everything backward needs from forward, besides the picture.
struct Frame {
  std::vector<Splat> splats;
  std::vector<float> features;
  std::vector<uint32_t> order, starts, slots;
  Pinhole camera;
  int channels;
  Lists lists() const;
};

Frame splat(const Cloud& cloud, const Pinhole& camera, const Picture& out);
void splat_backward(const Frame& frame, const Cloud& cloud, const PictureGradient& gradient,
                    CloudGradient out);

// The mean similarity. `slopes` (3, height - 10, (width - 10) channels) may be null.
double ssim(const Pair& pair, float* slopes);
// The gradient of `scale` times the sum of similarities, by a.
void ssim_backward(const Pair& pair, const float* slopes, float scale, float* out);

void rasterize(const Faces& faces, int count, const Pinhole& camera, const Hits& out);
