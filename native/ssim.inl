// Structural similarity (Wang et al. 2004) with a Gaussian window, over the pixels whose window lies
// within the picture. Channels last: a step of one pixel is `channels` floats, so a row blurs as is.
//
// All follows from the means of p = a + b - 1, q = a - b, p p and q q: four blurs, not five. The 1
// keeps squares small, and so their rounding; of equal pictures nothing is left in q.

namespace {

constexpr int TALL = WIDTH == 16 ? 4 : 2;  // Rows at once: as many as registers hold the sums of.
constexpr int MEANS = 4, SLOPES = 3;
constexpr float C1 = 0.01f * 0.01f, C2 = 0.03f * 0.03f;
#define INLINE [[gnu::always_inline]] inline  // Or sums would go through memory.

inline V all(float s) { return s - V{}; }

// The first `count` of a register's numbers, or all where WHOLE.
template <bool WHOLE>
INLINE V fetch(const float* p, int count) {
  V r = {};
  std::memcpy(&r, p, sizeof(float) * (WHOLE ? WIDTH : count));
  return r;
}
template <bool WHOLE>
INLINE void put(float* p, V a, int count) {
  std::memcpy(p, &a, sizeof(float) * (WHOLE ? WIDTH : count));
}

struct Weights {
  V own[WINDOW / 2 + 1];  // The window is the same both ways.
  explicit Weights(const float* window) {
    for (int k = 0; k <= WINDOW / 2; ++k) own[k] = all(window[k]);
  }
  INLINE V operator[](int k) const { return own[k <= WINDOW / 2 ? k : WINDOW - 1 - k]; }
};

// Sums over the rows that TALL windows below each other reach; `row(i, out)` gives a row's values.
// Each row is taken once. Without loops: each sum is a register.
template <int ROW, int COUNT, int... I>
INLINE void add_row(const Weights& w, const V* values, V* sums, Seq<I...>) {
  ((ROW >= I / COUNT && ROW - I / COUNT < WINDOW
        ? void(sums[I] += w[ROW - I / COUNT] * values[I % COUNT])
        : void()),
   ...);
}
template <int COUNT, class Row, int... ROW>
INLINE void add_rows(const Weights& w, const Row& row, V* sums, Seq<ROW...>) {
  V values[COUNT];
  ((row(ROW, values),
    add_row<ROW, COUNT>(w, values, sums, typename Count<TALL * COUNT>::type())),
   ...);
}
using Reach = Count<WINDOW - 1 + TALL>::type;

// What a task works on: a strip of all its rows' columns after the other, so that what is read again
// is near. Rows of the strip, IN floats a column; of TALL windows below each other, OUT sums a
// column, after those of `before` columns of the strip before; and where these wait, for each TALL.
template <int IN, int OUT>
struct Strips {
  float *rows, *sums, *waiting;
  int before, pitch;
  Strips(float* scratch, int channels) : before(ssim_margin(channels)), pitch(before + SSIM_STRIP) {
    rows = scratch, sums = rows + SSIM_REACH * IN * SSIM_STRIP;
    waiting = sums + TALL * OUT * pitch;
  }
  float* row(int i) const { return rows + i * IN * SSIM_STRIP; }
  INLINE void copy(const float* from, int from_pitch, float* to, int to_pitch) const {
    for (int i = 0; i < TALL * OUT; ++i)
      for (int k = 0; k < before; k += WIDTH)
        put<true>(to + i * to_pitch + k, fetch<true>(from + i * from_pitch + k, 0), 0);
  }
  void resume(int y) const { copy(waiting + y * OUT * before, before, sums, pitch); }
  void suspend(int y) const { copy(sums + SSIM_STRIP, pitch, waiting + y * OUT * before, before); }
};

// Sums over the columns of TALL windows, of which the first begins in row y of the strip.
template <int IN, int OUT, class Row>
INLINE void sum_columns(const Weights& w, const Strips<IN, OUT>& strips, int y, const Row& row) {
  for (int i = 0; i < SSIM_STRIP; i += WIDTH) {
    const float* p = strips.row(y) + i;
    V sums[TALL * OUT] = {};
    const auto values = [&](int at, V* v) __attribute__((always_inline)) {
      row(p + at * IN * SSIM_STRIP, v);
    };
    add_rows<OUT>(w, values, sums, Reach());
    for (int k = 0; k < TALL * OUT; ++k)
      put<true>(strips.sums + k * strips.pitch + strips.before + i, sums[k], 0);
  }
}

// A register of what lies STEP * J on from p. Loads across cache lines are slow, as is putting
// together two registers: so both in turn, for they wait for different units.
template <int STEP, int J, int... I>
INLINE V ahead(const float* p, int step, Seq<I...>) {
  constexpr int AT = STEP * J / WIDTH * WIDTH, REST = STEP * J % WIDTH;
  if (WIDTH < 16 || !STEP || J % 2 == 0 || !REST) return fetch<true>(p + J * step, 0);
  return SHUFFLE(fetch<true>(p + AT, 0), fetch<true>(p + AT + WIDTH, 0), (REST + I)...);
}

// Sums of columns become sums of windows, in place. Two registers of each kind at a time: what
// waits for one sum can add to others.
template <int STEP, int J, int OUT, int... K>
INLINE void sum_step(V weight, const float* p, int pitch, int step, V* sums, Seq<K...>) {
  ((sums[K] += weight * ahead<STEP, J>(p + K / 2 * pitch + K % 2 * WIDTH, step, Each())), ...);
}
template <int STEP, int OUT, int... J>
INLINE void sum_rows(const Weights& w, float* sums, int own_pitch, int step, Seq<J...>) {
  const int pitch = STEP ? (10 * STEP + 15) / 16 * 16 + SSIM_STRIP : own_pitch;
  for (int y = 0; y < TALL; ++y)
    for (int i = 0; i < SSIM_STRIP; i += 2 * WIDTH) {
      float* p = sums + y * OUT * pitch + i;
      V own[2 * OUT] = {};
      (sum_step<STEP, J, OUT>(w[J], p, pitch, step, own, typename Count<2 * OUT>::type()), ...);
      for (int k = 0; k < 2 * OUT; ++k) put<true>(p + k / 2 * pitch + k % 2 * WIDTH, own[k], 0);
    }
}
template <int IN, int OUT>
void sum_rows(const Weights& w, const Strips<IN, OUT>& strips, int channels, float* from) {
  using Window = Count<WINDOW>::type;
  if (channels == 3) sum_rows<3, OUT>(w, from, strips.pitch, 3, Window());
  else sum_rows<0, OUT>(w, from, strips.pitch, channels, Window());
}

// p and q of rows [from, to) of the strip at x; what is beyond the picture counts for nothing.
void fill_pairs(const Pair& s, int first, int from, int to, int x, float* rows) {
  const int n = s.width * s.channels;
  for (int y = from; y < to; ++y) {
    const size_t at = size_t(first + y < s.height ? first + y : s.height - 1) * n + x;
    float* out = rows + y * 2 * SSIM_STRIP;
    for (int i = SSIM_STRIP; i < 2 * SSIM_STRIP; i += 16) {  // The next strip: no stream to foresee.
      __builtin_prefetch(s.a + at + i, 0, 2);
      __builtin_prefetch(s.b + at + i, 0, 2);
    }
    const auto one = [&](V a, V b, int i) __attribute__((always_inline)) {
      put<true>(out + i, a + (b - all(1.f)), 0);
      put<true>(out + SSIM_STRIP + i, a - b, 0);
    };
    int i = 0;
    for (; i < SSIM_STRIP && x + i + WIDTH <= n; i += WIDTH)
      one(fetch<true>(s.a + at + i, 0), fetch<true>(s.b + at + i, 0), i);
    if (i < SSIM_STRIP && x + i < n)
      one(fetch<false>(s.a + at + i, n - x - i), fetch<false>(s.b + at + i, n - x - i), i);
  }
}

INLINE V inverse_of(V a) {
  Vec<WIDTH> r;
  r.v[0] = a;
  return reciprocal(r).v[0];
}

// The similarity of windows; and its slopes: what a pixel of weight 1 owes, and owes by p and by q.
// a1, a2, b1 and b2 are twice those of the paper.
INLINE V similarity(const V* m, V* slopes) {
  const V c1 = all(2 * C1), c2 = all(2 * C2), two = all(2.f), sum = m[0] + all(1.f);
  const V square = sum * sum, other = m[1] * m[1];
  const V var_p = m[2] - m[0] * m[0] + c2, var_q = m[3] - other;
  const V a1 = square - other + c1, b1 = square + other + c1;
  const V a2 = var_p - var_q, b2 = var_p + var_q;
  const V inverse = inverse_of(b1 * b2), d_a1 = a2 * inverse, d_a2 = a1 * inverse, s = a1 * d_a1;
  const V d_b1 = s * b2 * inverse, d_b2 = s * b1 * inverse;
  const V by_p = two * (d_a2 - d_b2), by_q = -two * (d_a2 + d_b2);
  slopes[0] = two * (sum * (d_a1 - d_b1) - m[1] * (d_a1 + d_b1)) - m[0] * by_p - m[1] * by_q;
  slopes[1] = by_p, slopes[2] = by_q;
  return s;
}

// Similarities of the windows at p, of which `left` remain in the row.
template <bool SLOPE, bool WHOLE>
INLINE V measure(const float* p, int pitch, int left, float* slopes, int plane) {
  V means[MEANS], d[SLOPES];
  for (int k = 0; k < MEANS; ++k) means[k] = fetch<true>(p + k * pitch, 0);
  V r = similarity(means, d);
  if (SLOPE)
    for (int k = 0; k < SLOPES; ++k) put<WHOLE>(slopes + k * plane, d[k], left);
  if (!WHOLE)
    for (int i = left; i < WIDTH; ++i) r[i] = 0;
  return r;
}

// Where slopes are kept: those of a task's rows together, strip by strip; of a strip row by row, the
// three of each. So both passes go through memory in one stream.
struct Slopes {
  int n, high;
  explicit Slopes(const Pair& s)
      : n((s.width - WINDOW + 1) * s.channels), high(s.height - WINDOW + 1) {}
  // Columns [left, right) of the strip at x, which may begin before the first.
  int left(int x) const { return x < 0 ? 0 : x; }
  int right(int x) const {
    const int end = x + SSIM_STRIP < n ? x + SSIM_STRIP : n;
    return end < left(x) ? left(x) : end;
  }
  size_t at(int row, int x) const {
    const int first = row / SSIM_ROWS * SSIM_ROWS;
    const int rows = high - first < SSIM_ROWS ? high - first : SSIM_ROWS;
    const size_t before = size_t(first) * n + size_t(rows) * left(x);
    return SLOPES * (before + size_t(row - first) * (right(x) - left(x)));
  }
};

using Pairs = Strips<2, MEANS>;
template <bool SLOPE>
double ssim_strip(const Slopes& layout, const Pairs& strips, int y, int rows, int x,
                  float* slopes) {
  const int left = layout.left(x), right = layout.right(x);
  V sum = {};
  for (int k = 0; k < rows; ++k) {
    const float* row = strips.sums + k * MEANS * strips.pitch - x;
    float* const d = slopes + layout.at(y + k, x) - left;
    int i = left;
    for (; i + WIDTH <= right; i += WIDTH)
      sum += measure<SLOPE, true>(row + i, strips.pitch, WIDTH, d + i, right - left);
    if (i < right)
      sum += measure<SLOPE, false>(row + i, strips.pitch, right - i, d + i, right - left);
  }
  double total = 0;
  for (int i = 0; i < WIDTH; ++i) total += sum[i];
  return total;
}

// The sum over some rows of windows, and their slopes if wanted.
double ssim_rows(const Pair& s, int first, int last, float* slopes, float* scratch) {
  const Weights w(s.window);
  const Pairs strips(scratch, s.channels);
  const Slopes layout(s);
  double total = 0;
  for (int x = -strips.before; x < layout.n; x += SSIM_STRIP)
    for (int y = 0, filled = 0; y < last - first; y += TALL) {
      fill_pairs(s, first, filled, y + WINDOW - 1 + TALL, x + strips.before, strips.rows);
      filled = y + WINDOW - 1 + TALL;
      if (x > -strips.before) strips.resume(y);
      sum_columns(w, strips, y, [](const float* p, V* v) __attribute__((always_inline)) {
        v[0] = fetch<true>(p, 0), v[1] = fetch<true>(p + SSIM_STRIP, 0);
        v[2] = v[0] * v[0], v[3] = v[1] * v[1];
      });
      strips.suspend(y);
      sum_rows(w, strips, s.channels, strips.sums);
      const int left = last - first - y, rows = left < TALL ? left : TALL;
      total += slopes ? ssim_strip<true>(layout, strips, first + y, rows, x, slopes)
                      : ssim_strip<false>(layout, strips, first + y, rows, x, slopes);
    }
  return total;
}

// The slopes of windows that begin in rows [first + from, first + to), of the strip at x: 0 where
// there is none.
void fill_slopes(const Slopes& layout, int first, int from, int to, int x, const float* slopes,
                 float* rows) {
  const int left = layout.left(x), right = layout.right(x);
  for (int y = from; y < to; ++y) {
    const bool there = first + y >= 0 && first + y < layout.high && left < right;
    const float* p = slopes + (there ? layout.at(first + y, x) : 0);
    for (int k = 0; k < SLOPES; ++k) {
      float* out = rows + (y * SLOPES + k) * SSIM_STRIP;
      for (int i = 0; i < SSIM_STRIP; i += WIDTH) put<true>(out + i, V{}, 0);
      if (!there) continue;
      const float* own = p + k * (right - left) - left;
      int i = left;
      for (; i + WIDTH <= right; i += WIDTH) put<true>(out + i - x, fetch<true>(own + i, 0), 0);
      if (i < right) put<true>(out + i - x, fetch<false>(own + i, right - i), 0);
    }
  }
}

template <bool WHOLE>
INLINE void gather(const Pair& s, const float* p, int pitch, size_t at, int left, float scale,
                   float* out) {
  const V a = fetch<WHOLE>(s.a + at, left), b = fetch<WHOLE>(s.b + at, left);
  const V d = fetch<true>(p, 0) + (a + (b - all(1.f))) * fetch<true>(p + pitch, 0) +
              (a - b) * fetch<true>(p + 2 * pitch, 0);
  put<WHOLE>(out + at, all(scale) * d, left);
}

// Rows of the gradient by a: the slopes spread back over their windows.
void ssim_rows_backward(const Pair& s, int first, int last, const float* slopes, float scale,
                        float* out, float* scratch) {
  const Weights w(s.window);
  const Strips<SLOPES, SLOPES> strips(scratch, s.channels);
  const Slopes layout(s);
  const int n = s.width * s.channels, margin = (WINDOW - 1) * s.channels;
  for (int x = -strips.before; x < n; x += SSIM_STRIP)
    for (int y = 0, filled = 0; y < last - first; y += TALL) {
      const int end = y + WINDOW - 1 + TALL;
      fill_slopes(layout, first - WINDOW + 1, filled, end, x, slopes, strips.rows);
      filled = end;
      if (x > -strips.before) strips.resume(y);
      else
        for (int k = 0; k < TALL * SLOPES; ++k)
          std::memset(strips.sums + k * strips.pitch, 0, sizeof(float) * strips.before);
      sum_columns(w, strips, y, [](const float* p, V* v) __attribute__((always_inline)) {
        for (int k = 0; k < SLOPES; ++k) v[k] = fetch<true>(p + k * SSIM_STRIP, 0);
      });
      strips.suspend(y);
      sum_rows(w, strips, s.channels, strips.sums + strips.before - margin);
      const int right = x + SSIM_STRIP < n ? x + SSIM_STRIP : n;
      for (int k = 0; k < TALL && first + y + k < last; ++k) {
        const float* row = strips.sums + k * SLOPES * strips.pitch + strips.before - margin - x;
        const size_t at = size_t(first + y + k) * n;
        int i = layout.left(x);
        for (int j = 0; j < SSIM_STRIP; j += 16) {  // For the next strip.
          __builtin_prefetch(out + at + x + SSIM_STRIP + j, 1);
          __builtin_prefetch(s.a + at + x + SSIM_STRIP + j, 0);
          __builtin_prefetch(s.b + at + x + SSIM_STRIP + j, 0);
        }
        for (; i + WIDTH <= right; i += WIDTH)
          gather<true>(s, row + i, strips.pitch, at + i, WIDTH, scale, out);
        if (i < right) gather<false>(s, row + i, strips.pitch, at + i, right - i, scale, out);
      }
    }
}
#undef INLINE

}  // namespace
