// The studio's people: bones carry vertices and normals, light falls on vertices, samples become
// pixels. Defined in numpy by incarnate/studio/shading.py, which tests compare with this.

namespace {

inline float dot(const float* a, const float* b) { return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]; }

inline void make_unit(float* a, float least) {
  const float length = __builtin_sqrtf(dot(a, a)), by = 1 / (length > least ? length : least);
  for (int i = 0; i < 3; ++i) a[i] *= by;
}

// Vertices, and what of the normals is turned and not summed from faces.
void carry(const Dressed& d, const float* rest, const float* bones, int first, int last,
           float* vertices, float* normals) {
  for (int v = first; v < last; ++v) {
    float m[12] = {};
    for (int k = d.bone_starts[v]; k < d.bone_starts[v + 1]; ++k) {
      const float* bone = bones + 12 * size_t(d.bones[k]);
      for (int i = 0; i < 12; ++i) m[i] += d.weights[k] * bone[i];
    }
    const float *at = rest + 3 * size_t(v), *own = d.own_normals + 3 * size_t(v);
    for (int i = 0; i < 3; ++i) {
      vertices[3 * size_t(v) + i] = dot(m + 4 * i, at) + m[4 * i + 3];
      normals[3 * size_t(v) + i] = dot(m + 4 * i, own);
    }
  }
}

void sum_normals(const Dressed& d, const float* vertices, float* normals) {
  for (int f = 0; f < d.num_faces; ++f) {
    const int32_t* c = d.faces + 3 * size_t(f);
    if (d.brings_normals[c[0]]) continue;
    const float *p = vertices + 3 * size_t(c[0]), *q = vertices + 3 * size_t(c[1]),
                *r = vertices + 3 * size_t(c[2]);
    float u[3], w[3];
    for (int i = 0; i < 3; ++i) u[i] = q[i] - p[i], w[i] = r[i] - p[i];
    const float n[3] = {u[1] * w[2] - u[2] * w[1], u[2] * w[0] - u[0] * w[2],
                        u[0] * w[1] - u[1] * w[0]};
    for (int j = 0; j < 3; ++j)
      for (int i = 0; i < 3; ++i) normals[3 * size_t(c[j]) + i] += n[i];
  }
}

void make_units(int first, int last, float* normals) {
  for (int v = first; v < last; ++v) make_unit(normals + 3 * size_t(v), 1e-9f);
}

// How much of the key light arrives: a soft test against a depth picture taken from there.
inline float key_seen(const Lamp& l, const float* p) {
  const float z = dot(l.project + 8, p) + l.project[11];
  const float x = (dot(l.project, p) + l.project[3]) / z, y = (dot(l.project + 4, p) + l.project[7]) / z;
  static const float around[3][2] = {{-1.3f, -0.4f}, {0.4f, -1.3f}, {0.9f, 1.3f}};
  const float most = float(l.side - 1);
  float total = 0;
  for (const float* off : around) {
    float a = x + off[0], b = y + off[1];
    a = a > 0 ? (a < most ? a : most) : 0, b = b > 0 ? (b < most ? b : most) : 0;
    const float there = l.shadow[int(b) * l.side + int(a)];
    float share = 2 - (z - there) / 0.02f;
    share = share > 0 ? (share < 1 ? share : 1) : 0;
    total += there > 0 ? share : 1;
  }
  return total / 3;
}

void light_vertices(const Dressed& d, const Stage& s, const uint8_t* seen, int first, int last,
                    float* lit) {
  const Lamp& l = s.lamp;
  for (int v = first; v < last; ++v) {
    if (!seen[v]) continue;
    const float *p = s.vertices + 3 * size_t(v), *given = s.normals + 3 * size_t(v);
    float eye[3] = {l.eye[0] - p[0], l.eye[1] - p[1], l.eye[2] - p[2]}, half[3];
    make_unit(eye, 1e-12f);
    const float sign = d.brings_normals[v] && dot(given, eye) < 0 ? -1.f : 1.f;
    const float x = sign * given[0], y = sign * given[1], z = sign * given[2], n[3] = {x, y, z};
    const float sh[9] = {0.282095f,          0.488603f * y,     0.488603f * z,
                         0.488603f * x,      1.092548f * x * y, 1.092548f * y * z,
                         0.315392f * (3 * z * z - 1), 1.092548f * x * z, 0.546274f * (x * x - y * y)};
    const float arrives = key_seen(l, p), facing = dot(n, l.toward);
    float key = (facing + l.soft) / (1 + l.soft);
    key = (key > 0 ? key : 0) * arrives;
    for (int i = 0; i < 3; ++i) half[i] = l.toward[i] + eye[i];
    make_unit(half, 1e-6f);
    float shine = dot(n, half);
    shine = shine > 0 ? (shine < 1 ? shine : 1) : 0;
    shine *= shine, shine *= shine, shine *= shine, shine *= shine * shine;  // To the 24th.
    float* out = lit + 4 * size_t(v);
    for (int c = 0; c < 3; ++c) {
      float around = 0;
      for (int k = 0; k < 9; ++k) around += sh[k] * l.irradiance[3 * k + c];
      const float sum = around * (0.55f + 0.45f * arrives) + key * l.key[c];
      out[c] = sum > 0 ? sum : 0;
    }
    out[3] = 0.3f * shine * (facing > -0.1f ? arrives : 0);
  }
}

inline const uint8_t* texel(const Dressed& d, int64_t face, const float* b) {
  const float* uv = d.uvs + 6 * face;
  float u = b[0] * uv[0] + b[1] * uv[2] + b[2] * uv[4], v = b[0] * uv[1] + b[1] * uv[3] + b[2] * uv[5];
  const int32_t *t = d.texture + 3 * face, height = t[1], width = t[2];
  u -= __builtin_floorf(u);
  int x = int(u * width), y = int(v * height);
  x = x < width ? x : width - 1;
  y = y > 0 ? (y < height ? y : height - 1) : 0;
  return d.texels + 3 * (size_t(t[0]) + size_t(y) * width + x);
}

// Colour (3) and camera-space normal (3) of one sample.
inline void sample(const Dressed& d, const Stage& s, int64_t face, const float* b, float x, float y,
                   float* color, float* n) {
  const int32_t* c = d.faces + 3 * face;
  float m[3] = {}, light[4] = {};
  for (int q = 0; q < 3; ++q) {
    const float *normal = s.normals + 3 * size_t(c[q]), *lit = s.lit + 4 * size_t(c[q]);
    for (int i = 0; i < 3; ++i) m[i] += b[q] * normal[i];
    for (int i = 0; i < 4; ++i) light[i] += b[q] * lit[i];
  }
  for (int i = 0; i < 3; ++i) n[i] = dot(s.camera.rotation + 3 * i, m);
  make_unit(n, 1e-9f);
  const float ray[3] = {(x + 0.5f - s.camera.cx) / s.camera.fx, (y + 0.5f - s.camera.cy) / s.camera.fy, 1};
  const bool inside = dot(n, ray) > 0;  // Of cloth: dark.
  const uint8_t* albedo = texel(d, face, b);
  const float shine = light[3] * d.gloss[face];
  for (int i = 0; i < 3; ++i) {
    color[i] = s.linear[albedo[i]] * light[i] * (inside ? 0.45f : 1.f) + shine * s.lamp.key[i];
    n[i] = inside ? -n[i] : n[i];
  }
}

void resolve_row(const Dressed& d, const Stage& s, int row, const Exposure& out) {
  const int k = s.samples, width = s.camera.width / k;
  const float share = 1.f / (k * k);
  for (int column = 0; column < width; ++column) {
    const size_t pixel = size_t(row) * width + column;
    float sum[3] = {}, normal[3] = {}, nearest = 0;
    int covered = 0, own = 0;
    uint8_t part = 0;
    for (int i = 0; i < k; ++i)
      for (int j = 0; j < k; ++j) {
        const int y = row * k + i, x = column * k + j;
        const size_t at = size_t(y) * s.camera.width + x;
        const int64_t face = s.ids[at];
        if (face < 0) continue;
        float color[3], n[3];
        sample(d, s, face, s.barycentrics + 3 * at, x, y, color, n);
        for (int c = 0; c < 3; ++c) sum[c] += color[c];
        ++covered;
        if (!d.labels[face]) continue;  // What stands about is no part of the person.
        ++own;
        for (int c = 0; c < 3; ++c) normal[c] += n[c];
        if (!nearest || s.depth[at] < nearest) nearest = s.depth[at], part = d.labels[face];
      }
    if (own) make_unit(normal, 1e-9f);
    for (int c = 0; c < 3; ++c) {
      const float linear = sum[c] * share + (1 - covered * share) * s.behind[3 * pixel + c];
      const int level = int(linear * 4095);
      out.rgb[3 * pixel + c] = s.encoded[level > 0 ? (level < 4095 ? level : 4095) : 0];
      out.normal[3 * pixel + c] = normal[c];
    }
    out.alpha[pixel] = own * share;
    out.depth[pixel] = nearest;
    out.parts[pixel] = part;
  }
}

}  // namespace
