// Structural similarity (Wang et al. 2004) with a Gaussian window, over the pixels whose window lies
// within the picture. Channels last: a step of one pixel is `channels` floats, so a row blurs as is.

namespace {

constexpr float C1 = 0.01f * 0.01f, C2 = 0.03f * 0.03f;

inline F load_some(const float* p, int count) {
  if (count >= LANES) return load(p);
  alignas(64) float t[LANES] = {};
  for (int i = 0; i < count; ++i) t[i] = p[i];
  return load(t);
}

inline void store_some(float* p, const F& a, int count) {
  if (count >= LANES) return store(p, a);
  alignas(64) float t[LANES];
  store(t, a);
  for (int i = 0; i < count; ++i) p[i] = t[i];
}

// Column sums of a, b, aa, bb, ab over the window of a row.
inline void blur_columns(const Pair& s, int y, float* rows, int pitch) {
  const int n = s.width * s.channels;
  for (int i = 0; i < n; i += LANES) {
    F sum[5];
    for (F& x : sum) x = F(0.f);
    for (int k = 0; k < WINDOW; ++k) {
      const size_t at = size_t(y + k) * n + i;
      const F w(s.window[k]), a = load_some(s.a + at, n - i), b = load_some(s.b + at, n - i);
      const F wa = w * a, wb = w * b;
      sum[0] += wa, sum[1] += wb, sum[2] += wa * a, sum[3] += wb * b, sum[4] += wa * b;
    }
    for (int k = 0; k < 5; ++k) store(rows + k * pitch + i, sum[k]);
  }
}

inline F blur_row(const Pair& s, const float* row) {
  F sum(0.f);
  for (int k = 0; k < WINDOW; ++k) sum += F(s.window[k]) * load(row + k * s.channels);
  return sum;
}

// The similarity of sixteen windows, and its slopes by the means of a, aa and ab.
inline F similarity(const F* m, F* slopes) {
  const F c1(C1), c2(C2), one(1.f), two(2.f);
  const F products = m[0] * m[1], squares = m[0] * m[0] + m[1] * m[1];
  const F a1 = two * products + c1, a2 = two * (m[4] - products) + c2;
  const F b1 = squares + c1, b2 = m[2] + m[3] - squares + c2;
  const F inverse = one / (b1 * b2), s = a1 * a2 * inverse;
  const F d_a1 = a2 * inverse, d_a2 = a1 * inverse, d_b1 = s * b2 * inverse, d_b2 = s * b1 * inverse;
  slopes[0] = two * (m[1] * (d_a1 - d_a2) - m[0] * (d_b1 - d_b2));
  slopes[1] = -d_b2;
  slopes[2] = two * d_a2;
  return s;
}

// Row y of the windows: its sum, and its slopes if wanted. `rows`: 5 rows of `pitch` floats, zeroed.
double ssim_row(const Pair& s, int y, float* slopes, float* rows, int pitch) {
  blur_columns(s, y, rows, pitch);
  const int n = (s.width - WINDOW + 1) * s.channels;
  const size_t plane = size_t(s.height - WINDOW + 1) * n;
  double total = 0;
  for (int i = 0; i < n; i += LANES) {
    F means[5], d[3];
    for (int k = 0; k < 5; ++k) means[k] = blur_row(s, rows + k * pitch + i);
    alignas(64) float t[LANES];
    store(t, similarity(means, d));
    float sum = 0;
    for (int lane = 0; lane < LANES && i + lane < n; ++lane) sum += t[lane];
    total += sum;
    if (slopes)
      for (int k = 0; k < 3; ++k) store_some(slopes + k * plane + size_t(y) * n + i, d[k], n - i);
  }
  return total;
}

// Row y of the gradient by a: the slopes spread back over their windows.
void ssim_row_backward(const Pair& s, int y, const float* slopes, float scale, float* out,
                       float* rows, int pitch) {
  const int high = s.height - WINDOW + 1, n = (s.width - WINDOW + 1) * s.channels;
  const int margin = (WINDOW - 1) * s.channels, all = s.width * s.channels;
  const size_t plane = size_t(high) * n;
  for (int k = 0; k < 3; ++k)
    for (int i = 0; i < n; i += LANES) {
      F sum(0.f);
      for (int j = 0; j < WINDOW; ++j) {
        const int row = y - j;
        if (row < 0 || row >= high) continue;
        sum += F(s.window[j]) * load_some(slopes + k * plane + size_t(row) * n + i, n - i);
      }
      store_some(rows + k * pitch + margin + i, sum, n - i);
    }
  for (int i = 0; i < all; i += LANES) {
    const size_t at = size_t(y) * all + i;
    const F a = load_some(s.a + at, all - i), b = load_some(s.b + at, all - i);
    const F d = blur_row(s, rows + i) + F(2.f) * a * blur_row(s, rows + pitch + i) +
                b * blur_row(s, rows + 2 * pitch + i);
    store_some(out + at, F(scale) * d, all - i);
  }
}

}  // namespace
