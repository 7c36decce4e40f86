// What the binding calls: raw pointers in, raw pointers out, no Python and no tensors.
#pragma once
#include <vector>

#include "kernels.h"
#include "lists.h"

const Kernels& kernels();
const char* instruction_set();
std::vector<const char*> instruction_sets();  // Those of this build and machine, the best last.
bool set_instruction_set(const char* name);  // False if it is none of them.

// Everything backward needs from forward, besides the picture.
struct Frame : Buffers {
  const Kernels* kernels;  // Tiles differ between instruction sets.
  Camera camera;
  int channels;
  Frame();
  Frame(Frame&&) = default;
  ~Frame();
  Lists lists();
  const float* features_at() const;  // Of the first splat; others' are `stride` apart.
  int stride() const;
};

Frame splat(const Cloud& cloud, const Camera& camera, const Picture& out);
// `camera` (CAMERA) may be null.
void splat_backward(Frame& frame, const Cloud& cloud, const PictureGradient& gradient,
                    CloudGradient out, double* camera);

// The mean similarity. `slopes` (3 (height - 10) (width - 10) channels, as the kernels want to find
// them) may be null.
double ssim(const Pair& pair, float* slopes);
// The gradient of `scale` times the sum of similarities, by a.
void ssim_backward(const Pair& pair, const float* slopes, float scale, float* out);

void rasterize(const Faces& faces, int vertices, int count, const Camera& camera, const Hits& out);

// Skinning matrices (count, 4, 4), rest to posed; parents (-1 for a root) precede their children.
void bones(const int32_t* parents, const float* joints, const float* pose, const float* transl,
           int count, float* out);
// `stance.turns` is null: they are worked out here.
void skin(const Skin& skin, Stance stance, int joints, float* vertices);
void blend_points(const Blend& blend, float* out);
void blend_points_backward(const Blend& blend, const float* gradient, const BlendGradient& out);
void add_shapes(const Shapes& shapes, float* out);
void add_shapes_backward(const Shapes& shapes, const float* gradient, float* d_moves,
                         float* d_weights);
// `frames` (triangles, FRAME) is scratch.
void place(const Discs& discs, const float* vertices, const int32_t* corners, int triangles,
           float* frames, const Placed& out);

// Bytes (pixels, 3) before `behind` (pixels, 3), or (pixels, 4) with straight alpha if it is null.
void finish(const float* rgb, const float* alpha, const float* behind, int pixels, uint8_t* out);

// Vertices and unit normals (num_vertices, 3); `bones` (joints, 3, 4).
void pose_dressed(const Dressed& dressed, const float* rest, const float* bones, float* vertices,
                  float* normals);
// Pixels from samples; light is computed at the vertices of what the samples show.
void expose(const Dressed& dressed, Stage stage, const Exposure& out);
