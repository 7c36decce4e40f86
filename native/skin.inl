// Linear blend skinning and blend shapes with sparse weights, and their gradients. Sums over points
// are made per task, of a size that does not depend on the number of threads, and added in order.
namespace {

inline F blended(const Blend& s, int batch, int point) {
  const float* bones = s.bones + 16 * size_t(batch) * s.num_bones;
  F m(0.f);  // A 4 x 4 matrix, of which three rows count.
  for (size_t i = size_t(point) * s.per_point; i < size_t(point + 1) * s.per_point; ++i)
    m += F(s.weights[i]) * load(bones + 16 * s.ids[i]);
  return m;
}

void blend_points(const Blend& s, int first, int last, float* out) {
  for (int b = 0; b < s.batch; ++b)
    for (int at = first; at < last; ++at) {
      alignas(64) float m[LANES];
      store(m, blended(s, b, at));
      const size_t own = 3 * (size_t(b) * s.count + at);
      const float* p = s.points + own;
      for (int k = 0; k < 3; ++k)
        out[own + k] = m[4 * k] * p[0] + m[4 * k + 1] * p[1] + m[4 * k + 2] * p[2] + m[4 * k + 3];
    }
}

// Overwrites d.points and d.weights of these points; adds to d.bones.
void blend_points_backward(const Blend& s, const float* gradient, int first, int last,
                           const BlendGradient& d) {
  const size_t start = size_t(first) * s.per_point, end = size_t(last) * s.per_point;
  for (size_t i = start; i < end; ++i) d.weights[i] = 0;
  for (int b = 0; b < s.batch; ++b) {
    const size_t bones = 16 * size_t(b) * s.num_bones;
    for (int at = first; at < last; ++at) {
      alignas(64) float m[LANES], t[LANES];
      store(m, blended(s, b, at));
      const size_t own = 3 * (size_t(b) * s.count + at);
      const float *p = s.points + own, *g = gradient + own;
      for (int i = 0; i < 3; ++i)
        d.points[own + i] = m[i] * g[0] + m[4 + i] * g[1] + m[8 + i] * g[2];
      for (int k = 0; k < 4; ++k)
        for (int i = 0; i < 4; ++i) t[4 * k + i] = k < 3 ? g[k] * (i < 3 ? p[i] : 1.f) : 0.f;
      const F outer = load(t);
      for (size_t i = size_t(at) * s.per_point; i < size_t(at + 1) * s.per_point; ++i) {
        const size_t bone = bones + 16 * s.ids[i];
        store(d.bones + bone, load(d.bones + bone) + F(s.weights[i]) * outer);
        store(t, outer * load(s.bones + bone));
        float sum = 0;
        for (int k = 0; k < 12; ++k) sum += t[k];
        d.weights[i] += sum;
      }
    }
  }
}

void add_shapes(const Shapes& s, int first, int last, float* out) {
  for (int b = 0; b < s.batch; ++b)
    for (int at = first; at < last; ++at) {
      const float* weights = s.weights + size_t(b) * s.num_shapes;
      float sum[3] = {0, 0, 0};
      for (int32_t i = s.starts[at]; i < s.starts[at + 1]; ++i)
        for (int k = 0; k < 3; ++k) sum[k] += weights[s.ids[i]] * s.moves[3 * size_t(i) + k];
      for (int k = 0; k < 3; ++k) out[3 * (size_t(b) * s.count + at) + k] = sum[k];
    }
}

// Overwrites d_moves of these points; adds to d_weights.
void add_shapes_backward(const Shapes& s, const float* gradient, int first, int last,
                         float* d_moves, float* d_weights) {
  for (size_t i = 3 * size_t(s.starts[first]); i < 3 * size_t(s.starts[last]); ++i) d_moves[i] = 0;
  for (int b = 0; b < s.batch; ++b)
    for (int at = first; at < last; ++at) {
      const float* g = gradient + 3 * (size_t(b) * s.count + at);
      for (int32_t i = s.starts[at]; i < s.starts[at + 1]; ++i) {
        const size_t weight = size_t(b) * s.num_shapes + s.ids[i];
        for (int k = 0; k < 3; ++k) {
          d_moves[3 * size_t(i) + k] += s.weights[weight] * g[k];
          d_weights[weight] += s.moves[3 * size_t(i) + k] * g[k];
        }
      }
    }
}

}  // namespace
