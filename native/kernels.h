// The inner loops: data they share with core.cpp, and the table each instruction set fills.
// Layouts are row-major float32; a tile is 8 x 8 blocks of 4 pixels by as many rows as fill a vector.
#pragma once
#include <cstdint>

constexpr int TILE_WIDTH = 32;
constexpr int MAX_FEATURES = 33;  // Colours and depth.
constexpr int MOMENTS = 6;        // s, s dx, s dy, s dx dx, s dx dy, s dy dy.
constexpr int CAMERA = 16;        // A camera's numbers: rotation, translation, fx, fy, cx, cy.

struct Camera {
  float rotation[9], translation[3];  // World to camera.
  float fx, fy, cx, cy;
  int width, height;
  bool orthographic;  // Then fx and fy are pixels per metre.
};

struct Cloud {
  const float *means, *quats, *scales, *opacities, *colors;
  int count, channels;
};

struct CloudGradient {
  float *means, *quats, *scales, *opacities, *colors;
};

constexpr int NEAR_FEATURES = 4;

struct Box {
  uint16_t left, right, top, bottom;  // Tiles [left, right) x [top, bottom).
};

// One projected Gaussian: alpha(d) = 2^(level - (across (dx - slope dy))^2 - (down dy)^2). A sum of
// squares, for in the plain sum of products a needle's would be lost.
struct alignas(64) Splat {
  float x, y, across, slope, down, level;
  uint16_t left, right, top, bottom;  // Blocks [left, right) x [top, bottom) that it may touch.
  // It is seen at dy for |dx - slope dy| <= sqrt(width - narrowing dy dy), furthest right at summit.
  float width, narrowing, summit, spare;
  float features[NEAR_FEATURES];  // Colours and depth, if there are no more.
};

struct Lists {
  const Splat* splats;
  const float* features;     // Colours, then depth: each Gaussian's `stride` after the one before.
  const uint32_t* order;     // Gaussians of every tile, near to far, tile after tile.
  const uint32_t* starts;    // (tiles + 1) into order.
  const uint32_t* slots;     // (count + 1): first slot of each Gaussian, one for each of its tiles.
  uint64_t* masks;           // Blocks that forward has drawn each in order on; for tiles, as far
  uint32_t* ends;            // as here in order.
  int stride, channels, width, height, tiles_x;
};

// What a Gaussian owes, by slots: sums of MOMENTS, colours and depth, where used.
struct Owed {
  float* sums;
  uint8_t* used;
};

struct Picture {
  float *color, *alpha, *depth;
  const float* background;  // (channels), or null for black.
  float* median;  // Depth at which transmittance falls to a half, 0 where it does not; or null.
};

struct PictureGradient {
  const float *color, *alpha, *depth;      // Of the loss.
  const float *out_color, *out_alpha, *out_depth;  // What forward wrote.
  const float* background;
};

constexpr int WINDOW = 11;

struct Pair {
  const float *a, *b;  // (height, width, channels) each.
  const float* window;  // (WINDOW): what each row and column of it weighs, the same both ways.
  int height, width, channels;
};

constexpr int SSIM_ROWS = 32, SSIM_STRIP = 128;  // Rows a task, columns at a time.
constexpr int SSIM_REACH = SSIM_ROWS + WINDOW - 1;
inline int ssim_margin(int channels) { return ((WINDOW - 1) * channels + 15) / 16 * 16; }
inline int ssim_scratch(int channels) {
  return SSIM_REACH * 3 * SSIM_STRIP + 16 * (ssim_margin(channels) + SSIM_STRIP) +
         SSIM_ROWS * 4 * ssim_margin(channels);
}

struct Faces {
  const float* vertices;
  const int64_t* faces;
};

// A vertex in camera axes, and in pixels if it is in front.
struct Local {
  double at[3], x, y;
};

struct Triangle {
  double edge[3][3];  // Barycentric i is proportional to edge[i] . (x, y, 1), in pixels.
  double volume;      // The edges' sum is volume / z.
  int32_t face;
};

// Blocks [left, right) x [top, bottom) that a triangle may touch: apart, for lists need no more.
struct Patch {
  uint16_t left, right, top, bottom;
};

struct Corners {
  const Triangle* triangles;
  const Patch* patches;
  const uint32_t *order, *starts;  // Triangles of every tile, tile after tile, in order of faces.
  int width, height, tiles_x;
  Faces own;
  const Local* parallel;  // The vertices, under an orthographic camera; else null.
};

struct Hits {
  int64_t* faces;  // -1 where there is none.
  float *barycentrics, *depth;
};

// A skin: where each vertex rests, which shapes of the face move it and which bones carry it.
struct Skin {
  const float *rest, *offsets;           // (count, 3): neutral; what is added once eyes have turned.
  const int32_t *shape_starts, *shapes;  // (count + 1) into shapes, each with a move (3).
  const float* moves;
  const int32_t *bone_starts, *bones;    // (count + 1) into bones, each with a weight.
  const float *weights, *centers;        // (count, 3): what is turned about, by several bones.
  int count, first_eye, eye_size;        // Two eyeballs, one after the other.
};

struct Stance {
  const float* expression;
  const float* eyes;   // (2, 3, 4): how the eyeballs turn, at rest.
  const float* bones;  // (joints, 4, 4)
  const float* turns;  // (joints, 4): the bones' quaternions, wxyz.
};

// Points (batch, count, 3), each carried by `per_point` of the bones (batch, num_bones, 4, 4).
struct Blend {
  const float *points, *weights;  // (count, per_point): the same for the whole batch, as are ids.
  const int32_t* ids;
  const float* bones;
  int batch, count, per_point, num_bones;
};

struct BlendGradient {
  float *points, *weights, *bones;
};

// Moves (3) of points by shapes; `weights` (batch, num_shapes).
struct Shapes {
  const int32_t *starts, *ids;  // (count + 1) into ids, each with a move.
  const float *moves, *weights;
  int batch, count, num_shapes;
};

constexpr int FRAME = 32, FRAME_USED = 25;  // Floats of a triangle: corners, axes, edges, quaternion.
constexpr int DISC = 13;

struct Discs {
  const int32_t* triangles;  // (pitch)
  // (DISC, pitch): barycentrics, offsets, the disc's axes in units of its triangle's edges at rest
  // (2 x 2), least and largest scale, thickness. `pitch` is a multiple of sixteen.
  const float* values;
  int count, pitch;
};

struct Placed {
  float *means, *quats, *scales;
};

// A person of the studio in all clothes, as one mesh.
struct Dressed {
  const int32_t *bone_starts, *bones;  // (num_vertices + 1) into bones, each with a weight.
  const float* weights;
  const float* own_normals;       // (num_vertices, 3) at rest, 0 where the surface's are meant.
  const uint8_t* brings_normals;  // (num_vertices)
  const int32_t* faces;           // (num_faces, 3)
  const float* uvs;               // (num_faces, 3, 2): u repeats, v ends.
  const uint8_t* texels;          // (texels, 3)
  const int32_t* texture;         // (num_faces, 3): first texel, height, width.
  const uint8_t* labels;          // (num_faces): 0 for what is no part of the person.
  const float* gloss;             // (num_faces)
  int num_vertices, num_faces;
};

struct Lamp {
  float eye[3], toward[3], key[3], soft, irradiance[27];
  float project[12];    // World to the shadow picture's columns, rows (times z) and z.
  const float* shadow;  // (side, side): depth, 0 where there is nothing.
  int side;
};

struct Stage {
  const float *vertices, *normals;
  float* lit;  // (num_vertices, 4): diffuse light and highlight.
  Lamp lamp;
  Camera camera;  // Of the samples: `samples` by `samples` a pixel.
  int samples;
  const int64_t* ids;
  const float *barycentrics, *depth;
  const float* behind;     // (height, width, 3), linear.
  const float* linear;     // (256) light of a texel's bytes.
  const uint8_t* encoded;  // (4096) bytes of light.
};

struct Exposure {
  uint8_t *rgb, *parts;
  float *alpha, *normal, *depth;
};

struct Kernels {
  int tile_height;  // Pixels.
  // Writes `features` (count, channels + 1) unless they have their place in the splats.
  void (*project)(const Cloud&, const Camera&, int first, int last, Splat*, float* features, Box*,
                  float* depths);
  // Adds what these Gaussians owe to the camera's (CAMERA) numbers, unless that is null.
  void (*project_backward)(const Cloud&, const Camera&, int first, int last, const Lists&,
                           Owed, CloudGradient, double* camera);
  void (*blend)(const Lists&, int tile, const Picture&);
  void (*blend_backward)(const Lists&, int tile, const PictureGradient&, Owed);
  // Rows [first, last), SSIM_ROWS at most; scratch has ssim_scratch floats.
  double (*ssim_rows)(const Pair&, int first, int last, float* slopes, float* scratch);
  void (*ssim_rows_backward)(const Pair&, int first, int last, const float* slopes, float scale,
                             float* out, float* scratch);
  void (*localize)(const Faces&, const Camera&, int first, int last, Local*);
  // Returns how many of these faces may be seen: only they are written.
  int (*set_up)(const Faces&, const Local*, const Camera&, int first, int last, Triangle*,
                Patch*);
  void (*draw_tile)(const Corners&, int tile, const Hits&);
  void (*turn)(const float* bones, int count, float* quats);
  void (*skin)(const Skin&, const Stance&, int first, int last, float* vertices);
  void (*blend_points)(const Blend&, int first, int last, float* out);
  void (*blend_points_backward)(const Blend&, const float* gradient, int first, int last,
                                const BlendGradient&);
  void (*add_shapes)(const Shapes&, int first, int last, float* out);
  void (*add_shapes_backward)(const Shapes&, const float* gradient, int first, int last,
                              float* d_moves, float* d_weights);
  void (*frame)(const float* vertices, const int32_t* corners, int first, int last, float* frames);
  void (*place)(const Discs&, const float* frames, int first, int last, const Placed&);
  void (*finish)(const float* rgb, const float* alpha, const float* behind, int first, int last,
                 uint8_t* out);
  void (*carry)(const Dressed&, const float* rest, const float* bones, int first, int last,
                float* vertices, float* normals);
  void (*sum_normals)(const Dressed&, const float* vertices, float* normals);
  void (*make_units)(int first, int last, float* normals);
  void (*light_vertices)(const Dressed&, const Stage&, const uint8_t* seen, int first, int last,
                         float* lit);
  void (*resolve_row)(const Dressed&, const Stage&, int row, const Exposure&);
};

constexpr int OWED_MOST = (MOMENTS + MAX_FEATURES + 15) / 16 * 16;
inline int owed_size(int channels) { return (MOMENTS + channels + 1 + 15) / 16 * 16; }
