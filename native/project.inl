// Projection of Gaussians, sixteen at a time (EWA splatting as in gsplat), and its gradient.
// Row vectors: P = J W (2 x 3), A = P R S (2 x 3), covariance = A A^T + BLUR I.

namespace {

constexpr float NEAR = 0.01f, BLUR = 0.3f, LOG2E = 1.44269504f;
constexpr float ALPHA_MAX = 0.999f, T_MIN = 1e-4f;
constexpr float LOG_ALPHA_MIN = -7.99435344f, LOG_ALPHA_MAX = -0.00144341686f;  // 1/255, 0.999.
constexpr int BLOCKS = 64, BLOCK_HEIGHT = BLOCK_LANES / 4, TILE_HEIGHT = 8 * BLOCK_HEIGHT;

struct V3 {
  F x, y, z;
};
inline F dot(const V3& a, const V3& b) { return a.x * b.x + a.y * b.y + a.z * b.z; }
inline V3 operator*(const F& s, const V3& a) { return {s * a.x, s * a.y, s * a.z}; }
inline V3 operator+(const V3& a, const V3& b) { return {a.x + b.x, a.y + b.y, a.z + b.z}; }

struct Projection {
  V3 local;                   // Mean in camera axes.
  F inverse_z, u, v;          // u, v: tangents, clamped to 15 % beyond the picture.
  Mask free_u, free_v;        // Where that clamp did nothing.
  F quat[4], quat_scale;      // Normalised; 1 / length.
  V3 axes[3];                 // Columns of R.
  F scale[3];
  V3 p[2];                    // Rows of P.
  F pr[2][3], a[2][3];        // P R, and A.
  F cov[3], det;
};

inline V3 camera_row(const Camera& c, int i) {
  return {F(c.rotation[3 * i]), F(c.rotation[3 * i + 1]), F(c.rotation[3 * i + 2])};
}

inline void rotate(Projection& s) {
  const F w = s.quat[0], x = s.quat[1], y = s.quat[2], z = s.quat[3], one(1.f), two(2.f);
  s.axes[0] = {one - two * (y * y + z * z), two * (x * y + w * z), two * (x * z - w * y)};
  s.axes[1] = {two * (x * y - w * z), one - two * (x * x + z * z), two * (y * z + w * x)};
  s.axes[2] = {two * (x * z + w * y), two * (y * z - w * x), one - two * (x * x + y * y)};
}

// The first `count` of sixteen triples; the rest are ones.
inline void load3(const float* p, int count, F* out) {
  if (count == LANES) return split3(p, out);
  alignas(64) float t[3 * LANES];
  for (float& x : t) x = 1.f;
  std::memcpy(t, p, sizeof(float) * 3 * count);
  split3(t, out);
}

inline void load4(const float* p, int count, F* out) {
  for (int k = 0; k < 4; ++k) out[k] = strided(p + k, 4, count);
}

inline Projection projection(const Cloud& g, const Camera& c, int first, int count) {
  Projection s;
  F at[3], length(0.f);
  load3(g.means + 3 * size_t(first), count, at);
  load3(g.scales + 3 * size_t(first), count, s.scale);
  load4(g.quats + 4 * size_t(first), count, s.quat);
  const V3 mean = {at[0], at[1], at[2]};
  for (int k = 0; k < 4; ++k) length += s.quat[k] * s.quat[k];
  s.quat_scale = F(1.f) / upper(root(length), F(1e-12f));
  for (F& q : s.quat) q = q * s.quat_scale;
  rotate(s);
  const V3 w[3] = {camera_row(c, 0), camera_row(c, 1), camera_row(c, 2)};
  s.local = {dot(w[0], mean) + F(c.translation[0]), dot(w[1], mean) + F(c.translation[1]),
             dot(w[2], mean) + F(c.translation[2])};
  s.inverse_z = c.orthographic ? F(1.f) : F(1.f) / s.local.z;
  const F u = s.local.x * s.inverse_z, v = s.local.y * s.inverse_z;
  const float spare_x = 0.15f * c.width / c.fx, spare_y = 0.15f * c.height / c.fy;
  const F u0(-c.cx / c.fx - spare_x), u1((c.width - c.cx) / c.fx + spare_x);
  const F v0(-c.cy / c.fy - spare_y), v1((c.height - c.cy) / c.fy + spare_y);
  s.u = lower(upper(u, u0), u1);
  s.v = lower(upper(v, v0), v1);
  s.free_u = (u0 <= u) & (u <= u1);
  s.free_v = (v0 <= v) & (v <= v1);
  if (c.orthographic) {  // As if at z = 1 on the axis, whatever the depth.
    s.u = s.v = F(0.f);
    s.free_u = s.free_v = F(0.f) < F(0.f);
  }
  s.p[0] = (F(c.fx) * s.inverse_z) * (w[0] + (-s.u) * w[2]);
  s.p[1] = (F(c.fy) * s.inverse_z) * (w[1] + (-s.v) * w[2]);
  for (int i = 0; i < 2; ++i)
    for (int k = 0; k < 3; ++k) {
      s.pr[i][k] = dot(s.p[i], s.axes[k]);
      s.a[i][k] = s.pr[i][k] * s.scale[k];
    }
  s.cov[0] = s.a[0][0] * s.a[0][0] + s.a[0][1] * s.a[0][1] + s.a[0][2] * s.a[0][2] + F(BLUR);
  s.cov[1] = s.a[0][0] * s.a[1][0] + s.a[0][1] * s.a[1][1] + s.a[0][2] * s.a[1][2];
  s.cov[2] = s.a[1][0] * s.a[1][0] + s.a[1][1] * s.a[1][1] + s.a[1][2] * s.a[1][2] + F(BLUR);
  // The determinant, as |a0 x a1|^2 + BLUR (|a0|^2 + |a1|^2) + BLUR^2: a needle's survives rounding.
  s.det = F(BLUR) * (s.cov[0] + s.cov[2] - F(BLUR));
  for (int i = 0; i < 3; ++i) {
    const int j = (i + 1) % 3;
    const F normal = s.a[0][i] * s.a[1][j] - s.a[0][j] * s.a[1][i];
    s.det += normal * normal;
  }
  return s;
}

// Blocks of `side` pixels whose centres may lie within `reach` of `center`; [0, 0) if none.
inline void blocks(float center, float reach, int size, int side, uint16_t& first, uint16_t& last) {
  const float low = center - reach - 0.5f, high = center + reach - 0.5f;
  first = last = 0;
  if (!(low <= size - 1) || !(high >= 0)) return;
  first = uint16_t((low > 0 ? int(low) : 0) / side);
  last = uint16_t((high < size - 1 ? int(high) : size - 1) / side + 1);
}

// The blocks of `side` pixels that `blocks` gives, lane by lane: firsts and lasts, 16 bits each.
inline void pack_blocks(const F& center, const F& reach, int size, int side, Mask seen, F& out) {
  const F low = center - reach - F(0.5f), high = center + reach - F(0.5f);
  const F end(float(size - 1)), zero(0.f), per_block(1.f / float(side));
  seen = seen & (low <= end) & (zero <= high);
  const F first = lower(upper(low, zero), end) * per_block;
  const F last = upper(lower(high, end), zero) * per_block;
  for (int k = 0; k < LANES / WIDTH; ++k)
    out.v[k] = (V)(__builtin_convertvector(first.v[k], VI) |
                   (__builtin_convertvector(last.v[k], VI) + 1) << 16);
  out = keep(seen, out);
}

// The sixteen numbers of a Splat.
inline void fill(const Projection& s, const Camera& c, const F& opacity, F* out) {
  const F one(1.f), zero(0.f), half_bits(0.5f * LOG2E), strength = F(255.f) * opacity;
  const F per_row = one / s.cov[2], conditional = s.det * per_row;
  out[0] = F(c.fx) * s.local.x * s.inverse_z + F(c.cx);
  out[1] = F(c.fy) * s.local.y * s.inverse_z + F(c.cy);
  out[2] = root(half_bits / conditional);
  out[3] = s.cov[1] * per_row;
  out[4] = root(half_bits * per_row);
  // alpha >= 1/255 is an ellipse: so many standard deviations, with a little spare for rounding.
  const F bits = logarithm_of_two(upper(strength, one));
  out[5] = bits + F(LOG_ALPHA_MIN);
  const F level = F(1.0005f) * root(F(2.f / LOG2E) * bits);
  const F deviation = root(s.cov[0]);
  const Mask seen = (F(NEAR) <= s.local.z) & (zero < s.det) & (one <= strength);
  F across, along;
  pack_blocks(out[0], level * deviation + F(0.01f), c.width, 4, seen, across);
  pack_blocks(out[1], level * root(s.cov[2]) + F(0.01f), c.height, BLOCK_HEIGHT, seen, along);
  const Mask both = occupied(across) & occupied(along);
  out[6] = keep(both, across), out[7] = keep(both, along);
  out[8] = conditional * level * level;
  out[9] = conditional * per_row;
  out[10] = level * s.cov[1] / deviation;
  out[11] = zero;
}

// The first `count` of sixteen pairs of numbers.
inline void store2(const F& a, const F& b, int count, void* out) {
  alignas(64) float t[2 * LANES];
  for (int k = 0; k < LANES / WIDTH; ++k) {
    const V v[2] = {zip<0>(a.v[k], b.v[k], Each()), zip<1>(a.v[k], b.v[k], Each())};
    std::memcpy(t + 2 * WIDTH * k, v, sizeof v);
  }
  std::memcpy(out, t, 2 * sizeof(float) * count);
}

// Tiles from blocks: firsts and lasts, 16 bits each.
inline F tiles(const F& blocks) {
  F r;
  for (int k = 0; k < LANES / WIDTH; ++k) {
    const VI v = (VI)blocks.v[k];
    r.v[k] = (V)((v & 0xffff) >> 3 | (((v >> 16 & 0xffff) + 7) >> 3) << 16);
  }
  return r;
}

void project(const Cloud& g, const Camera& c, int first, int last, Splat* splats,
             float* features, Box* boxes, float* depths) {
  const int n = g.channels + 1;
  for (int at = first; at < last; at += LANES) {
    const int count = last - at < LANES ? last - at : LANES;
    F out[16];
    const Projection s = projection(g, c, at, count);
    fill(s, c, strided(g.opacities + at, 1, count), out);
    if (n == 4) load3(g.colors + 3 * size_t(at), count, out + 12);
    else if (n < 4)
      for (int k = 0; k < n - 1; ++k)
        out[12 + k] = strided(g.colors + size_t(at) * (n - 1) + k, n - 1, count);
    for (int k = 11 + n; k < 16; ++k) out[k] = s.local.z;
    if (count == LANES) {
      to_records(out, reinterpret_cast<float*>(splats + at), 16);
    } else {
      alignas(64) float records[16 * LANES];
      to_records(out, records, 16);
      std::memcpy(static_cast<void*>(splats + at), records, sizeof(float) * 16 * count);
    }
    store2(tiles(out[6]), tiles(out[7]), count, boxes + at);
    alignas(64) float z[LANES];
    store(z, s.local.z);
    std::memcpy(depths + at, z, sizeof(float) * count);
    if (n <= NEAR_FEATURES) continue;
    for (int i = 0; i < count; ++i) {
      float* feature = features + size_t(at + i) * n;
      const float* color = g.colors + size_t(at + i) * g.channels;
      for (int k = 0; k < n - 1; ++k) feature[k] = color[k];
      feature[n - 1] = z[i];
    }
  }
}

// Gradient of the normalised quaternion's rotation, then through the normalisation.
inline void quat_gradient(const Projection& s, const V3* d, F* out) {
  const F w = s.quat[0], x = s.quat[1], y = s.quat[2], z = s.quat[3], two(2.f);
  F t[4];
  t[0] = two * (z * (d[0].y - d[1].x) + y * (d[2].x - d[0].z) + x * (d[1].z - d[2].y));
  t[1] = two * (y * (d[0].y + d[1].x) + z * (d[0].z + d[2].x) + w * (d[1].z - d[2].y)) -
         F(4.f) * x * (d[1].y + d[2].z);
  t[2] = two * (x * (d[0].y + d[1].x) + z * (d[1].z + d[2].y) + w * (d[2].x - d[0].z)) -
         F(4.f) * y * (d[0].x + d[2].z);
  t[3] = two * (x * (d[0].z + d[2].x) + y * (d[1].z + d[2].y) + w * (d[0].y - d[1].x)) -
         F(4.f) * z * (d[0].x + d[1].y);
  const F along = t[0] * w + t[1] * x + t[2] * y + t[3] * z;
  for (int k = 0; k < 4; ++k) out[k] = (t[k] - s.quat[k] * along) * s.quat_scale;
}

struct V2 {
  F x, y;
};
// The inverse covariance times column k of P R, from cross products: as with the determinant, the
// plain product would lose a needle's.
inline V2 inverse_times_axis(const Projection& s, int k) {
  V2 sum = {F(BLUR) * s.pr[0][k], F(BLUR) * s.pr[1][k]};
  for (int j = 0; j < 3; ++j) {
    if (j == k) continue;
    const F normal = s.a[0][j] * s.pr[1][k] - s.a[1][j] * s.pr[0][k];
    sum.x = sum.x - normal * s.a[1][j];
    sum.y = sum.y + normal * s.a[0][j];
  }
  return {sum.x / s.det, sum.y / s.det};
}

// Gradients of steps between, from which the camera's follow.
struct Steps {
  V3 local, p[2];
  F x, y;  // Of the centre in the picture.
};

// m: moments and depth gradient of sixteen Gaussians -> gradients d: means, quats, scales.
[[gnu::always_inline]] inline void projection_gradient(const Projection& s, const Camera& c,
                                                       const F* m, const F& d_depth, F* d_mean,
                                                       F* d_quat, F* d_scale, Steps& steps) {
  const F inverse = F(1.f) / s.det;
  const F xa = s.cov[2] * inverse, xb = -s.cov[1] * inverse, xc = s.cov[0] * inverse;
  const F d_x = xa * m[1] + xb * m[2], d_y = xb * m[1] + xc * m[2];
  V3 d_axes[3], d_p[2] = {{F(0.f), F(0.f), F(0.f)}, {F(0.f), F(0.f), F(0.f)}};
  for (int k = 0; k < 3; ++k) {
    // With X the inverse covariance and M the second moments, d A = X M X A.
    const V2 xpr = inverse_times_axis(s, k);
    const F mx = s.scale[k] * (m[3] * xpr.x + m[4] * xpr.y);
    const F my = s.scale[k] * (m[4] * xpr.x + m[5] * xpr.y);
    const F d0 = xa * mx + xb * my, d1 = xb * mx + xc * my;
    d_scale[k] = xpr.x * mx + xpr.y * my;
    d_axes[k] = (d0 * s.scale[k]) * s.p[0] + (d1 * s.scale[k]) * s.p[1];
    d_p[0] = d_p[0] + (d0 * s.scale[k]) * s.axes[k];
    d_p[1] = d_p[1] + (d1 * s.scale[k]) * s.axes[k];
  }
  quat_gradient(s, d_axes, d_quat);
  const V3 w[3] = {camera_row(c, 0), camera_row(c, 1), camera_row(c, 2)};
  const F fx(c.fx), fy(c.fy), zero(0.f);
  const F d_u = select(s.free_u, -fx * s.inverse_z * dot(d_p[0], w[2]), zero);
  const F d_v = select(s.free_v, -fy * s.inverse_z * dot(d_p[1], w[2]), zero);
  const F d_inverse_z = (dot(d_p[0], s.p[0]) + dot(d_p[1], s.p[1])) * s.local.z +
                        d_u * s.local.x + d_v * s.local.y + fx * s.local.x * d_x +
                        fy * s.local.y * d_y;
  const F x = s.inverse_z * (d_u + fx * d_x), y = s.inverse_z * (d_v + fy * d_y);
  const F recedes(c.orthographic ? 0.f : 1.f);  // No branch: that would change what is fused.
  const F z = d_depth - s.inverse_z * s.inverse_z * recedes * d_inverse_z;
  const V3 d = x * w[0] + y * w[1] + z * w[2];
  d_mean[0] = d.x, d_mean[1] = d.y, d_mean[2] = d.z;
  steps = {{x, y, z}, {d_p[0], d_p[1]}, d_x, d_y};
}

// Adds to `out` what the `count` first lanes owe to the camera, where `seen`.
inline void camera_gradient(const Projection& s, const Camera& c, const Steps& d, const V3& mean,
                            int count, Mask seen, double* out) {
  const V3 w2 = camera_row(c, 2), rows[2] = {d.p[0], d.p[1]};
  const F by_x = F(c.fx) * s.inverse_z, by_y = F(c.fy) * s.inverse_z, zero(0.f);
  // A clamped tangent follows the picture's edge, (edge - c) / f.
  const F steep(c.orthographic ? 0.f : -1.f);
  const F held_u = select(s.free_u, zero, steep * s.inverse_z * dot(rows[0], w2));
  const F held_v = select(s.free_v, zero, steep * s.inverse_z * dot(rows[1], w2));
  const V3 r[3] = {d.local.x * mean + by_x * rows[0], d.local.y * mean + by_y * rows[1],
                   d.local.z * mean + (-by_x * s.u) * rows[0] + (-by_y * s.v) * rows[1]};
  const F all[CAMERA] = {
      r[0].x, r[0].y, r[0].z, r[1].x, r[1].y, r[1].z, r[2].x, r[2].y, r[2].z,
      d.local.x, d.local.y, d.local.z,
      s.inverse_z * (d.x * s.local.x) + dot(rows[0], s.p[0]) * F(1 / c.fx) - held_u * s.u,
      s.inverse_z * (d.y * s.local.y) + dot(rows[1], s.p[1]) * F(1 / c.fy) - held_v * s.v,
      d.x - held_u, d.y - held_v};
  for (int k = 0; k < CAMERA; ++k) {
    alignas(64) float t[LANES];
    store(t, select(seen, all[k], zero));
    for (int i = 0; i < count; ++i) out[k] += t[i];
  }
}

// Sixteen triples where `keep_them`, else zeros; the first `count` of them.
inline void store3(const F* in, int count, Mask keep_them, float* p) {
  const F kept[3] = {keep(keep_them, in[0]), keep(keep_them, in[1]), keep(keep_them, in[2])};
  if (count == LANES) return join3(kept, p);
  alignas(64) float t[3 * LANES];
  join3(kept, t);
  std::memcpy(p, t, sizeof(float) * 3 * count);
}

inline void store_strided(float* out, int stride, int count, const F& value, Mask keep_them) {
  alignas(64) float t[LANES];
  store(t, keep(keep_them, value));
  for (int i = 0; i < count; ++i) out[size_t(i) * stride] = t[i];
}

// What sixteen Gaussians, from `at`, owe over all tiles: (size, LANES), where `seen`.
inline void sum_owed(const Lists& lists, Owed owed, int at, int count, int size, F* out,
                     float* seen) {
  alignas(64) float rows[LANES * OWED_MOST];
  std::memset(rows, 0, sizeof(float) * LANES * size);
  for (int i = 0; i < count; ++i)
    for (uint32_t slot = lists.slots[at + i]; slot < lists.slots[at + i + 1]; ++slot) {
      if (!owed.used[slot]) continue;
      seen[i] = 1;
      for (int k = 0; k < size; k += LANES)
        store(rows + i * size + k,
              load(rows + i * size + k) + load(owed.sums + size_t(slot) * size + k));
    }
  for (int k = 0; k < size; k += LANES) from_records(rows + k, size, out + k);
}

template <bool MOVES>
void project_backward_for(const Cloud& g, const Camera& c, int first, int last, const Lists& lists,
                          Owed owed, CloudGradient out, double* camera) {
  const int size = owed_size(g.channels);
  for (int at = first; at < last; at += LANES) {
    const int count = last - at < LANES ? last - at : LANES;
    alignas(64) float seen[LANES] = {};
    F m[OWED_MOST], d_mean[3], d_quat[4], d_scale[3];
    sum_owed(lists, owed, at, count, size, m, seen);
    const Mask kept = F(0.f) < load(seen);
    const F* colors = m + MOMENTS;
    if (g.channels == 3)
      store3(colors, count, kept, out.colors + 3 * size_t(at));
    else
      for (int k = 0; k < g.channels; ++k)
        store_strided(out.colors + size_t(at) * g.channels + k, g.channels, count, colors[k], kept);
    store_strided(out.opacities + at, 1, count, m[0] / strided(g.opacities + at, 1, count), kept);
    const Projection s = projection(g, c, at, count);
    Steps steps;
    projection_gradient(s, c, m, colors[g.channels], d_mean, d_quat, d_scale, steps);
    store3(d_mean, count, kept, out.means + 3 * size_t(at));
    store3(d_scale, count, kept, out.scales + 3 * size_t(at));
    for (int k = 0; k < 4; ++k)
      store_strided(out.quats + 4 * size_t(at) + k, 4, count, d_quat[k], kept);
    if (!MOVES) continue;
    F mean[3];
    load3(g.means + 3 * size_t(at), count, mean);
    camera_gradient(s, c, steps, {mean[0], mean[1], mean[2]}, count, kept, camera);
  }
}

void project_backward(const Cloud& g, const Camera& c, int first, int last, const Lists& lists,
                      Owed owed, CloudGradient out, double* camera) {
  if (camera) return project_backward_for<true>(g, c, first, last, lists, owed, out, camera);
  project_backward_for<false>(g, c, first, last, lists, owed, out, camera);
}

}  // namespace
