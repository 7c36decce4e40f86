// Projection of Gaussians, sixteen at a time (EWA splatting as in gsplat), and its gradient.
// Row vectors: P = J W (2 x 3), A = P R S (2 x 3), covariance = A A^T + BLUR I.

namespace {

constexpr float NEAR = 0.01f, BLUR = 0.3f, LOG2E = 1.44269504f;

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

inline Projection projection(const Cloud& g, const Camera& c, int first, int count) {
  Projection s;
  V3 mean;
  F* mean_parts[3] = {&mean.x, &mean.y, &mean.z};
  F length = F(0.f);
  for (int k = 0; k < 3; ++k) {
    *mean_parts[k] = strided(g.means + 3 * first + k, 3, count);
    s.scale[k] = strided(g.scales + 3 * first + k, 3, count);
  }
  for (int k = 0; k < 4; ++k) {
    s.quat[k] = strided(g.quats + 4 * first + k, 4, count);
    length += s.quat[k] * s.quat[k];
  }
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

// Blocks of 4 pixels whose centres may lie within `reach` of `center`; [0, 0) if none.
inline void blocks(float center, float reach, int size, int16_t& first, int16_t& last) {
  const float low = center - reach - 0.5f, high = center + reach - 0.5f;
  first = last = 0;
  if (!(low <= size - 1) || !(high >= 0)) return;
  first = int16_t((low > 0 ? int(low) : 0) / 4);
  last = int16_t((high < size - 1 ? int(high) : size - 1) / 4 + 1);
}

// What sixteen splats hold, lane by lane, as they are stored.
struct Lanes {
  enum { X, Y, XX, XY, YY, SLOPE, WIDE, NARROWING, SUMMIT, REACH_X, REACH_Y, Z, SEEN, COUNT };
  alignas(64) float t[COUNT][LANES];
};

inline void fill(const Projection& s, const Camera& c, const F& opacity, Lanes& out) {
  const F inverse = F(-LOG2E) / s.det, one(1.f), zero(0.f);
  store(out.t[Lanes::X], F(c.fx) * s.local.x * s.inverse_z + F(c.cx));
  store(out.t[Lanes::Y], F(c.fy) * s.local.y * s.inverse_z + F(c.cy));
  store(out.t[Lanes::XX], F(0.5f) * s.cov[2] * inverse);
  store(out.t[Lanes::XY], -s.cov[1] * inverse);
  store(out.t[Lanes::YY], F(0.5f) * s.cov[0] * inverse);
  // alpha >= 1/255 is an ellipse: so many standard deviations, with a little spare for rounding.
  const F strength = F(255.f) * opacity;
  const F level = F(1.0005f) * root(F(2.f) * logarithm(upper(strength, one)));
  const F deviation = root(s.cov[0]), per_row = one / s.cov[2], conditional = s.det * per_row;
  store(out.t[Lanes::REACH_X], level * deviation + F(0.01f));
  store(out.t[Lanes::REACH_Y], level * root(s.cov[2]) + F(0.01f));
  store(out.t[Lanes::SLOPE], s.cov[1] * per_row);
  store(out.t[Lanes::WIDE], conditional * level * level);
  store(out.t[Lanes::NARROWING], conditional * per_row);
  store(out.t[Lanes::SUMMIT], level * s.cov[1] / deviation);
  store(out.t[Lanes::Z], s.local.z);
  const Mask seen = (F(NEAR) <= s.local.z) & (zero < s.det) & (one <= strength);
  store(out.t[Lanes::SEEN], select(seen, one, zero));
}

void project(const Cloud& g, const Camera& c, int first, int last, Splat* splats,
             float* features) {
  for (int at = first; at < last; at += LANES) {
    const int count = last - at < LANES ? last - at : LANES;
    Lanes lanes;
    fill(projection(g, c, at, count), c, strided(g.opacities + at, 1, count), lanes);
    const auto& t = lanes.t;
    for (int i = 0; i < count; ++i) {
      Splat& out = splats[at + i];
      out = {t[Lanes::X][i], t[Lanes::Y][i], t[Lanes::XX][i], t[Lanes::XY][i], t[Lanes::YY][i],
             g.opacities[at + i], 0, 0, 0, 0,
             t[Lanes::SLOPE][i], t[Lanes::WIDE][i], t[Lanes::NARROWING][i], t[Lanes::SUMMIT][i]};
      if (t[Lanes::SEEN][i] > 0) {
        blocks(out.x, t[Lanes::REACH_X][i], c.width, out.left, out.right);
        blocks(out.y, t[Lanes::REACH_Y][i], c.height, out.top, out.bottom);
        if (out.left == out.right || out.top == out.bottom)
          out.left = out.right = out.top = out.bottom = 0;
      }
      float* feature = features + size_t(at + i) * (g.channels + 1);
      const float* color = g.colors + size_t(at + i) * g.channels;
      for (int k = 0; k < g.channels; ++k) feature[k] = color[k];
      feature[g.channels] = t[Lanes::Z][i];
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
[[gnu::always_inline]] inline void projection_gradient(const Projection& s, const Camera& c, const F* m, const F& d_depth,
                                F* d_mean, F* d_quat, F* d_scale, Steps& steps) {
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

inline void write_lanes(float* out, int stride, int count, const F& value, Mask keep) {
  alignas(64) float t[LANES];
  store(t, select(keep, value, F(0.f)));
  for (int i = 0; i < count; ++i) out[i * stride] = t[i];
}

template <bool MOVES>
void project_backward_for(const Cloud& g, const Camera& c, int first, int last, const Lists& lists,
                          const float* sums, CloudGradient out, double* camera) {
  const int size = slot_size(g.channels), values = MOMENTS + g.channels + 1;
  for (int at = first; at < last; at += LANES) {
    const int count = last - at < LANES ? last - at : LANES;
    alignas(64) float t[MOMENTS + MAX_FEATURES][LANES], seen[LANES] = {};
    for (int k = 0; k < values; ++k) store(t[k], F(0.f));
    for (int i = 0; i < count; ++i) {
      const uint32_t begin = lists.slots[at + i], end = lists.slots[at + i + 1];
      seen[i] = float(end > begin);
      for (uint32_t slot = begin; slot < end; ++slot)
        for (int k = 0; k < values; ++k) t[k][i] += sums[size_t(slot) * size + k];
      float* color = out.colors + size_t(at + i) * g.channels;
      for (int k = 0; k < g.channels; ++k) color[k] = t[MOMENTS + k][i];
      out.opacities[at + i] = seen[i] ? t[0][i] / g.opacities[at + i] : 0.f;
    }
    const Projection s = projection(g, c, at, count);
    F m[MOMENTS], d_mean[3], d_quat[4], d_scale[3];
    for (int k = 0; k < MOMENTS; ++k) m[k] = load(t[k]);
    Steps steps;
    projection_gradient(s, c, m, load(t[values - 1]), d_mean, d_quat, d_scale, steps);
    const Mask keep = F(0.f) < load(seen);
    for (int k = 0; k < 3; ++k) write_lanes(out.means + 3 * at + k, 3, count, d_mean[k], keep);
    for (int k = 0; k < 4; ++k) write_lanes(out.quats + 4 * at + k, 4, count, d_quat[k], keep);
    for (int k = 0; k < 3; ++k) write_lanes(out.scales + 3 * at + k, 3, count, d_scale[k], keep);
    if (!MOVES) continue;
    const float* mean = g.means + 3 * at;
    camera_gradient(s, c, steps,
                    {strided(mean, 3, count), strided(mean + 1, 3, count), strided(mean + 2, 3, count)},
                    count, keep, camera);
  }
}

void project_backward(const Cloud& g, const Camera& c, int first, int last, const Lists& lists,
                      const float* sums, CloudGradient out, double* camera) {
  if (camera) return project_backward_for<true>(g, c, first, last, lists, sums, out, camera);
  project_backward_for<false>(g, c, first, last, lists, sums, out, camera);
}

}  // namespace
