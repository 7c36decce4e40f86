// A posed skin, and the discs that ride on its triangles: what incarnate.avatars.surface defines,
// sixteen triangles or discs at a time. No gradients: this plays what is already learnt.

namespace {

inline V3 cross(const V3& a, const V3& b) {
  return {a.y * b.z - a.z * b.y, a.z * b.x - a.x * b.z, a.x * b.y - a.y * b.x};
}
inline V3 operator-(const V3& a, const V3& b) { return {a.x - b.x, a.y - b.y, a.z - b.z}; }

// wxyz of the rotation with columns x, y, z; from its largest component, as scipy and roma do.
inline void quaternion(const V3& x, const V3& y, const V3& z, F* out) {
  const F one(1.f), two(2.f), trace = x.x + y.y + z.z;
  const F xy = x.y + y.x, yz = y.z + z.y, zx = z.x + x.z;
  const F dx = y.z - z.y, dy = z.x - x.z, dz = x.y - y.x, rest = one - trace;
  const F by[4][4] = {{dx, rest + two * x.x, xy, zx},  // Largest: x, y, z, then w.
                      {dy, xy, rest + two * y.y, yz},
                      {dz, zx, yz, rest + two * z.z},
                      {one + trace, dx, dy, dz}};
  const F size[4] = {x.x, y.y, z.z, trace};
  F best = size[0], length(0.f);
  for (int k = 0; k < 4; ++k) out[k] = by[0][k];
  for (int i = 1; i < 4; ++i) {
    const Mask larger = best < size[i];
    best = select(larger, size[i], best);
    for (int k = 0; k < 4; ++k) out[k] = select(larger, by[i][k], out[k]);
  }
  for (int k = 0; k < 4; ++k) length += out[k] * out[k];
  length = root(length);
  for (int k = 0; k < 4; ++k) out[k] = out[k] / length;
}

// The quaternions of bones.
void turn(const float* bones, int count, float* quats) {
  for (int at = 0; at < count; at += LANES) {
    const int some = count - at < LANES ? count - at : LANES;
    V3 axes[3];
    F quat[4];
    for (int k = 0; k < 3; ++k) {
      const float* m = bones + 16 * at + k;
      axes[k] = {strided(m, 16, some), strided(m + 4, 16, some), strided(m + 8, 16, some)};
    }
    quaternion(axes[0], axes[1], axes[2], quat);
    alignas(64) float t[4][LANES];
    for (int k = 0; k < 4; ++k) store(t[k], quat[k]);
    for (int i = 0; i < some; ++i)
      for (int k = 0; k < 4; ++k) quats[4 * (at + i) + k] = t[k][i];
  }
}

// The mean turn (3 x 3) of `count` bones: the sum of their quaternions, of signs near the heaviest's.
inline void mean_turn(const int32_t* bones, const float* weights, int count, const float* turns,
                      float* out) {
  int heaviest = 0;
  for (int i = 1; i < count; ++i)
    if (weights[i] > weights[heaviest]) heaviest = i;
  const float* h = turns + 4 * bones[heaviest];
  float q[4] = {}, size = 0;
  for (int i = 0; i < count; ++i) {
    const float* t = turns + 4 * bones[i];
    const float cos = t[0] * h[0] + t[1] * h[1] + t[2] * h[2] + t[3] * h[3];
    for (int k = 0; k < 4; ++k) q[k] += (cos < 0 ? -weights[i] : weights[i]) * t[k];
  }
  for (int k = 0; k < 4; ++k) size += q[k] * q[k];
  const float two = 2 / size, w = q[0], x = q[1], y = q[2], z = q[3];
  const float r[9] = {1 - two * (y * y + z * z), two * (x * y - w * z), two * (x * z + w * y),
                      two * (x * y + w * z), 1 - two * (x * x + z * z), two * (y * z - w * x),
                      two * (x * z - w * y), two * (y * z + w * x), 1 - two * (x * x + y * y)};
  for (int k = 0; k < 9; ++k) out[k] = r[k];
}

// Adds to a point what the mean turn about a center moves it beyond the blend `m` (3 x 4).
inline void keep_volume(const float* turned, const float* m, const float* center, const float* p,
                        float* out) {
  const float arm[3] = {p[0] - center[0], p[1] - center[1], p[2] - center[2]};
  for (int k = 0; k < 3; ++k)
    for (int i = 0; i < 3; ++i) out[k] += (turned[3 * k + i] - m[4 * k + i]) * arm[i];
}

// Shapes of the face, turned eyeballs, offsets, then the bones (incarnate.body.bending).
void skin(const Skin& s, const Stance& now, int first, int last, float* vertices) {
  for (int v = first; v < last; ++v) {
    float p[3] = {s.rest[3 * v], s.rest[3 * v + 1], s.rest[3 * v + 2]};
    for (int32_t i = s.shape_starts[v]; i < s.shape_starts[v + 1]; ++i)
      for (int k = 0; k < 3; ++k) p[k] += now.expression[s.shapes[i]] * s.moves[3 * i + k];
    if (v >= s.first_eye && v < s.first_eye + 2 * s.eye_size) {
      const float* m = now.eyes + 12 * ((v - s.first_eye) / s.eye_size);
      const float q[3] = {p[0], p[1], p[2]};
      for (int k = 0; k < 3; ++k, m += 4) p[k] = m[0] * q[0] + m[1] * q[1] + m[2] * q[2] + m[3];
    }
    for (int k = 0; k < 3; ++k) p[k] += s.offsets[3 * v + k];
    F blended(0.f);  // A 4 x 4 matrix.
    for (int32_t i = s.bone_starts[v]; i < s.bone_starts[v + 1]; ++i)
      blended += F(s.weights[i]) * load(now.bones + 16 * s.bones[i]);
    alignas(64) float m[LANES];
    store(m, blended);
    for (int k = 0; k < 3; ++k)
      vertices[3 * v + k] =
          m[4 * k] * p[0] + m[4 * k + 1] * p[1] + m[4 * k + 2] * p[2] + m[4 * k + 3];
    const int32_t start = s.bone_starts[v], some = s.bone_starts[v + 1] - start;
    if (some < 2) continue;
    float turned[9];
    mean_turn(s.bones + start, s.weights + start, some, now.turns, turned);
    keep_volume(turned, m, s.centers + 3 * v, p, vertices + 3 * v);
  }
}

// The frames of triangles: corners, axes, edges in the plane, and the axes' quaternion.
void frame(const float* vertices, const int32_t* corners, int first, int last, float* frames) {
  for (int at = first; at < last; at += LANES) {
    const int count = last - at < LANES ? last - at : LANES;
    alignas(64) float t[FRAME_USED][LANES];
    for (int i = 0; i < LANES; ++i)
      for (int c = 0; c < 3; ++c)
        for (int k = 0; k < 3; ++k)
          t[3 * c + k][i] = vertices[3 * corners[3 * (at + (i < count ? i : count - 1)) + c] + k];
    V3 p[3];
    for (int c = 0; c < 3; ++c) p[c] = {load(t[3 * c]), load(t[3 * c + 1]), load(t[3 * c + 2])};
    const V3 along = p[1] - p[0], second = p[2] - p[0], normal = cross(along, second);
    const F length = upper(root(dot(along, along)), F(1e-6f)), one(1.f);
    const V3 x = {along.x / length, along.y / length, along.z / length};
    const V3 flat = cross(x, {x.z + F(0.3f), x.x + F(0.5f), x.y + F(0.7f)});
    const Mask has_area = F(1e-12f) < root(dot(normal, normal));
    V3 z = {select(has_area, normal.x, flat.x), select(has_area, normal.y, flat.y),
            select(has_area, normal.z, flat.z)};
    z = (one / upper(root(dot(z, z)), F(1e-12f))) * z;
    const V3 y = cross(z, x), axes[3] = {x, y, z};
    for (int c = 0; c < 3; ++c) {
      store(t[9 + 3 * c], axes[c].x);
      store(t[10 + 3 * c], axes[c].y);
      store(t[11 + 3 * c], axes[c].z);
    }
    store(t[18], length);
    store(t[19], dot(second, x));
    store(t[20], upper(dot(second, y), F(1e-6f)));
    F quat[4];
    quaternion(x, y, z, quat);
    for (int k = 0; k < 4; ++k) store(t[21 + k], quat[k]);
    for (int i = 0; i < count; ++i)
      for (int k = 0; k < FRAME_USED; ++k) frames[size_t(at + i) * FRAME + k] = t[k][i];
  }
}

struct Turn {
  F cos, sin;
};
// Half of the angle in (-pi, pi] whose cosine and sine are given: no digits are lost anywhere.
inline Turn half(const Turn& a) {
  const F zero(0.f), one(1.f), two(2.f), size = select(zero <= a.cos, a.cos, zero - a.cos);
  const F large = root((one + size) / two);
  const F small = select(zero <= a.sin, a.sin, zero - a.sin) / (two * large);
  const F cos = select(zero <= a.cos, large, small), sin = select(zero <= a.cos, small, large);
  return {cos, select(zero <= a.sin, sin, zero - sin)};
}

// Discs carried by their triangles: M = E (E0^-1 R(spin) S) has the principal axes of M M^T.
void place(const Discs& d, const float* frames, int first, int last, const Placed& out) {
  for (int at = first; at < last; at += LANES) {
    const int count = last - at < LANES ? last - at : LANES;
    alignas(64) float t[FRAME_USED][LANES];
    for (int i = 0; i < LANES; ++i) {
      const float* f = frames + size_t(d.triangles[at + i]) * FRAME;
      for (int k = 0; k < FRAME_USED; ++k) t[k][i] = f[k];
    }
    F own[DISC];
    for (int k = 0; k < DISC; ++k) own[k] = load(d.values + size_t(k) * d.pitch + at);
    F mean[3], quat[4], scale[3];
    for (int k = 0; k < 3; ++k) {
      mean[k] = load(t[k]) * own[0] + load(t[3 + k]) * own[1] + load(t[6 + k]) * own[2];
      mean[k] += load(t[9 + k]) * own[3] + load(t[12 + k]) * own[4] + load(t[15 + k]) * own[5];
    }
    const F length = load(t[18]), along = load(t[19]), across = load(t[20]);
    const F m00 = length * own[6] + along * own[8], m01 = length * own[7] + along * own[9];
    const F m10 = across * own[8], m11 = across * own[9];
    const F xx = m00 * m00 + m01 * m01, xy = m00 * m10 + m01 * m11, yy = m10 * m10 + m11 * m11;
    const F one(1.f), two(2.f), zero(0.f), difference = xx - yy, mixed = two * xy;
    const F doubled = root(difference * difference + mixed * mixed), tiny(1e-17f);
    const Mask round = doubled < tiny;  // Any turn will do.
    const F divisor = upper(doubled, tiny);
    const Turn spin = half(half({select(round, one, difference / divisor),
                                 select(round, zero, mixed / divisor)}));
    const F w = load(t[21]), x = load(t[22]), y = load(t[23]), z = load(t[24]);
    quat[0] = w * spin.cos - z * spin.sin;
    quat[1] = x * spin.cos + y * spin.sin;
    quat[2] = y * spin.cos - x * spin.sin;
    quat[3] = w * spin.sin + z * spin.cos;
    const F middle = xx + yy;
    scale[0] = lower(upper(root((middle + doubled) / two), own[10]), own[11]);
    scale[1] = root(upper((middle - doubled) / two, F(1e-14f)));
    scale[1] = lower(upper(scale[1], own[10]), own[11]);
    scale[2] = own[12];
    const Mask all = zero <= zero;
    store3(mean, count, all, out.means + 3 * size_t(at));
    for (int k = 0; k < 4; ++k)
      store_strided(out.quats + 4 * size_t(at) + k, 4, count, quat[k], all);
    store3(scale, count, all, out.scales + 3 * size_t(at));
  }
}

// [0, 1] as a byte, rounded to even at halves: adding 1.5 * 2^23 leaves the integer in the low bits.
inline uint8_t byte(float x) {
  x = (x > 0.f ? (x < 1.f ? x : 1.f) : 0.f) * 255.f + 12582912.f;
  uint32_t bits;
  std::memcpy(&bits, &x, 4);
  return uint8_t(bits);
}

// Pixels of a picture before a backdrop, as bytes; without one, rgba with straight alpha.
void finish(const float* rgb, const float* alpha, const float* behind, int first, int last,
            uint8_t* out) {
  constexpr int RUN = 256;
  for (int at = first; at < last; at += RUN) {
    const int count = last - at < RUN ? last - at : RUN;
    const float *color = rgb + 3 * size_t(at), *back = behind + (behind ? 3 * size_t(at) : 0);
    if (behind) {
      float free[3 * RUN];
      uint8_t* to = out + 3 * size_t(at);
      for (int i = 0; i < count; ++i)
        for (int k = 0; k < 3; ++k) free[3 * i + k] = 1.f - alpha[at + i];
      for (int i = 0; i < 3 * count; ++i) to[i] = byte(color[i] + free[i] * back[i]);
    } else {
      for (int i = 0; i < count; ++i) {
        const float a = alpha[at + i], weight = a > 1e-6f ? a : 1e-6f;
        for (int k = 0; k < 3; ++k) out[4 * size_t(at + i) + k] = byte(color[3 * i + k] / weight);
        out[4 * size_t(at + i) + 3] = byte(a);
      }
    }
  }
}

}  // namespace
