// Blending of sorted splats in one tile, front to back, and its gradient (also front to back:
// what lies behind is the total minus what came before, so nothing but the picture is kept).
//
// A block is 4 x 4 pixels in sixteen lanes. `alive` has one bit per block that still takes light;
// a pixel that has stopped keeps minus its transmittance.

namespace {

constexpr float ALPHA_MIN = 1.f / 255.f, ALPHA_MAX = 0.999f, T_MIN = 1e-4f;
constexpr int BLOCKS = 64, SMALL = 4;
constexpr uint32_t AHEAD = 8;

// Pixel centres of the blocks of a tile, from its corner: x by column, y by row of blocks.
struct Centers {
  alignas(64) float x[8][LANES], y[8][LANES];
  constexpr Centers() : x(), y() {
    for (int block = 0; block < 8; ++block)
      for (int lane = 0; lane < LANES; ++lane) {
        x[block][lane] = float(block * 4 + lane % 4) + 0.5f;
        y[block][lane] = float(block * 4 + lane / 4) + 0.5f;
      }
  }
};
constexpr Centers CENTERS;

struct Corner {
  int x, y;  // Pixels.
};
inline Corner corner(const Lists& s, int tile) {
  return {tile % s.tiles_x * TILE, tile / s.tiles_x * TILE};
}

// Bits of the blocks of a tile that a box of blocks covers. The tile's corner in blocks is (x, y).
inline uint64_t covered(int left, int right, int top, int bottom, int x, int y) {
  left = left > x ? left - x : 0, right = right < x + 8 ? right - x : 8;
  top = top > y ? top - y : 0, bottom = bottom < y + 8 ? bottom - y : 8;
  if (left >= right || top >= bottom) return 0;
  const uint64_t row = ((1u << right) - (1u << left));
  const uint64_t ones = 0x0101010101010101ull;
  const int rows = bottom - top;
  return row * ((rows == 8 ? ones : ones & ((1ull << (8 * rows)) - 1)) << (8 * top));
}

// First and last pixel centres of the eight rows of blocks, twice: for left and right ends.
struct Rows {
  alignas(64) float first[LANES], last[LANES], side[LANES], spare[LANES];
  constexpr Rows() : first(), last(), side(), spare() {
    for (int i = 0; i < LANES; ++i) {
      first[i] = float(i % 8 * 4) + 0.5f;
      last[i] = first[i] + 3;
      side[i] = i < 8 ? -1.f : 1.f;
      // In blocks, rounded up: from the last centre of the first block, to the first of the last.
      spare[i] = i < 8 ? -3.5f / 4 + 0.99f : -0.5f / 4 + 1.01f;
    }
  }
};
constexpr Rows ROWS;

// Bits of the blocks that a splat's ellipse meets, or comes near.
inline uint64_t met(const Splat& g, Corner c) {
  const F side = load(ROWS.side), y(g.y - float(c.y)), zero(0.f);
  const F first = load(ROWS.first) - y, last = load(ROWS.last) - y;
  const F at = lower(upper(side * F(g.summit), first), last);
  const F reach = root(upper(F(g.width) - F(g.narrowing) * at * at, zero));
  const F x = F(g.slope) * at + side * reach + F(g.x - float(c.x));
  const F n = lower(upper(F(0.25f) * x + load(ROWS.spare), zero), F(8.f));
  uint64_t ends[2];
  ramps(n, reinterpret_cast<uint8_t*>(ends));
  return ends[0] & ends[1];
}

// Blocks of a tile to draw a splat on. The ellipse is worth its square root where the box is large.
inline uint64_t touched(const Splat& g, Corner c, uint64_t alive) {
  const uint64_t box = alive & covered(g.left, g.right, g.top, g.bottom, c.x / 4, c.y / 4);
  return __builtin_popcountll(box) > SMALL ? box & met(g, c) : box;
}

inline uint64_t inside(const Lists& s, Corner c) {
  return covered(0, (s.width + 3) / 4, 0, (s.height + 3) / 4, c.x / 4, c.y / 4);
}

// Calls visit(block, lane, offset of the pixel in the picture) for the tile's pixels.
template <class Visit>
inline void each_pixel(const Lists& s, Corner c, Visit visit) {
  const int wide = s.width - c.x < TILE ? s.width - c.x : TILE;
  const int high = s.height - c.y < TILE ? s.height - c.y : TILE;
  for (int y = 0; y < high; ++y) {
    const size_t row = size_t(c.y + y) * s.width + c.x;
    for (int x = 0; x < wide; x += 4) {
      const int block = y / 4 * 8 + x / 4, lane = y % 4 * 4, count = wide - x < 4 ? wide - x : 4;
      for (int i = 0; i < count; ++i) visit(block, lane + i, row + x + i);
    }
  }
}

struct Footprint {
  F dx, dy, raw, alpha;
};

inline Footprint footprint(const Splat& g, Corner c, int block) {
  Footprint f;
  f.dx = load(CENTERS.x[block % 8]) - F(g.x - float(c.x));
  f.dy = load(CENTERS.y[block / 8]) - F(g.y - float(c.y));
  const F q = (F(g.xx) * f.dx + F(g.xy) * f.dy) * f.dx + F(g.yy) * f.dy * f.dy;
  f.raw = F(g.opacity) * power_of_two(q);
  f.alpha = lower(f.raw, F(ALPHA_MAX));
  return f;
}

// Lets light through one splat: the weights it takes, and the new transmittance at `t`.
// Where a pixel has stopped, `before` is negative and so is `after`.
inline F pass(const F& alpha, float* t, F& before, bool& dead) {
  before = load(t);
  const F after = before * (F(1.f) - alpha), zero(0.f);
  const Mask hit = F(ALPHA_MIN) <= alpha, taken = hit & (F(T_MIN) < after);
  const F next = select(taken, after, select(hit, minus_magnitude(before), before));
  store(t, next);
  dead = !any(zero < next);
  return select(taken, before * alpha, zero);
}

// Splats of a list lie anywhere in memory: ask for those to come.
inline void prefetch(const Lists& s, uint32_t e, uint32_t end, int features) {
  if (e + AHEAD >= end) return;
  const uint32_t id = s.order[e + AHEAD];
  __builtin_prefetch(s.splats + id);
  __builtin_prefetch(s.features + size_t(id) * features);
}

template <int FIXED, bool MEDIAN = false>
void blend_tile(const Lists& s, int tile, const Picture& out) {
  const int n = FIXED ? FIXED : s.channels + 1;
  const Corner c = corner(s, tile);
  alignas(64) float planes[BLOCKS * LANES * (1 + (FIXED ? FIXED : MAX_FEATURES))];
  const int block_size = LANES * (1 + n);
  alignas(64) float medians[MEDIAN ? BLOCKS * LANES : 1] = {};
  std::memset(planes, 0, sizeof(float) * BLOCKS * block_size);
  each_pixel(s, c, [&](int b, int lane, size_t) { planes[b * block_size + lane] = 1.f; });
  uint64_t alive = inside(s, c);
  const uint32_t end = s.starts[tile + 1];
  for (uint32_t e = s.starts[tile]; e < end && alive; ++e) {
    prefetch(s, e, end, n);
    const Splat& g = s.splats[s.order[e]];
    const float* feature = s.features + size_t(s.order[e]) * n;
    uint64_t todo = touched(g, c, alive);
    for (; todo; todo &= todo - 1) {
      const int b = __builtin_ctzll(todo);
      float* plane = planes + b * block_size;
      const Footprint f = footprint(g, c, b);
      bool dead;
      F before;
      const F weight = pass(f.alpha, plane, before, dead);
      for (int k = 0; k < n; ++k) {
        float* sum = plane + LANES * (1 + k);
        store(sum, load(sum) + weight * F(feature[k]));
      }
      if (MEDIAN) {  // A pixel that stopped keeps a negative transmittance: not at this splat.
        float* median = medians + b * LANES;
        const Mask crosses = (F(0.5f) < before) & (F(0.f) < weight) & (load(plane) <= F(0.5f));
        store(median, select(crosses, F(feature[n - 1]), load(median)));
      }
      if (dead) alive &= ~(1ull << b);
    }
  }
  each_pixel(s, c, [&](int b, int lane, size_t at) {
    if (MEDIAN) out.median[at] = medians[b * LANES + lane];
    const float* plane = planes + b * block_size + lane;
    const float t = plane[0] < 0 ? -plane[0] : plane[0];
    for (int k = 0; k < n - 1; ++k)
      out.color[at * (n - 1) + k] =
          plane[LANES * (1 + k)] + (out.background ? t * out.background[k] : 0.f);
    out.alpha[at] = 1.f - t;
    out.depth[at] = plane[LANES * n];
  });
}

// Per block: transmittance, rest (loss still to come from behind), constant, feature gradients.
template <int FIXED>
inline void read_gradient(const Lists& s, Corner c, const PictureGradient& d, float* planes) {
  const int n = FIXED ? FIXED : s.channels + 1, block_size = LANES * (3 + n);
  std::memset(planes, 0, sizeof(float) * BLOCKS * block_size);
  each_pixel(s, c, [&](int b, int lane, size_t at) {
    float* plane = planes + b * block_size + lane;
    float rest = d.depth[at] * d.out_depth[at] + d.alpha[at] * d.out_alpha[at], behind = 0.f;
    for (int k = 0; k < n - 1; ++k) {
      const float gradient = d.color[at * (n - 1) + k];
      rest += gradient * d.out_color[at * (n - 1) + k];
      if (d.background) behind += gradient * d.background[k];
      plane[LANES * (3 + k)] = gradient;
    }
    plane[LANES * (2 + n)] = d.depth[at];
    plane[0] = 1.f;
    plane[LANES] = rest - behind;
    plane[LANES * 2] = d.alpha[at] - behind;
  });
}

template <int FIXED>
inline bool block_gradient(const Splat& g, const float* feature, Corner c, int b, int n,
                           float* plane, F* sum) {
  const Footprint f = footprint(g, c, b);
  bool dead;
  F before;
  const F weight = pass(f.alpha, plane, before, dead);
  F per_weight = load(plane + LANES * 2);
  for (int k = 0; k < n; ++k) {
    const F gradient = load(plane + LANES * (3 + k));
    per_weight += gradient * F(feature[k]);
    sum[MOMENTS + k] += weight * gradient;
  }
  const F rest = load(plane + LANES) - weight * per_weight;
  store(plane + LANES, rest);
  const F d_alpha = before * per_weight - rest / (F(1.f) - f.alpha), zero(0.f);
  const Mask moves = (zero < weight) & (f.raw < F(ALPHA_MAX));
  const F m = select(moves, f.alpha * d_alpha, zero), mx = m * f.dx, my = m * f.dy;
  sum[0] += m, sum[1] += mx, sum[2] += my;
  sum[3] += mx * f.dx, sum[4] += mx * f.dy, sum[5] += my * f.dy;
  return dead;
}

template <int FIXED>
void blend_tile_backward(const Lists& s, int tile, const PictureGradient& d, float* sums) {
  const int n = FIXED ? FIXED : s.channels + 1;
  if (s.starts[tile] == s.starts[tile + 1]) return;
  const Corner c = corner(s, tile);
  constexpr int MOST = FIXED ? FIXED : MAX_FEATURES;
  alignas(64) float planes[BLOCKS * LANES * (3 + MOST)];
  const int block_size = LANES * (3 + n), size = slot_size(n - 1);
  read_gradient<FIXED>(s, c, d, planes);
  uint64_t alive = inside(s, c);
  const uint32_t end = s.starts[tile + 1];
  for (uint32_t e = s.starts[tile]; e < end; ++e) {
    prefetch(s, e, end, n);
    const uint32_t id = s.order[e];
    const Splat& g = s.splats[id];
    const int left = g.left / 8, top = g.top / 8, wide = (g.right - 1) / 8 - left + 1;
    const int slot = (c.y / TILE - top) * wide + c.x / TILE - left;
    float* out = sums + size_t(s.slots[id] + slot) * size;
    uint64_t todo = touched(g, c, alive);
    if (!todo) {
      std::memset(out, 0, sizeof(float) * size);
      continue;
    }
    F sum[(MOMENTS + MOST + LANES - 1) / LANES * LANES];
    for (F& x : sum) x = F(0.f);
    for (; todo; todo &= todo - 1) {
      const int b = __builtin_ctzll(todo);
      if (block_gradient<FIXED>(g, s.features + size_t(id) * n, c, b, n, planes + b * block_size,
                                sum))
        alive &= ~(1ull << b);
    }
    for (int k = 0; k < size; k += WIDTH) sum_lanes(sum + k, out + k);
  }
}

void blend(const Lists& s, int tile, const Picture& out) {
  if (out.median) return s.channels == 3 ? blend_tile<4, true>(s, tile, out)
                                         : blend_tile<0, true>(s, tile, out);
  switch (s.channels) {
    case 1: return blend_tile<2>(s, tile, out);
    case 3: return blend_tile<4>(s, tile, out);
    case 4: return blend_tile<5>(s, tile, out);
    case 8: return blend_tile<9>(s, tile, out);
    default: return blend_tile<0>(s, tile, out);
  }
}

void blend_backward(const Lists& s, int tile, const PictureGradient& d, float* sums) {
  switch (s.channels) {
    case 1: return blend_tile_backward<2>(s, tile, d, sums);
    case 3: return blend_tile_backward<4>(s, tile, d, sums);
    case 4: return blend_tile_backward<5>(s, tile, d, sums);
    case 8: return blend_tile_backward<9>(s, tile, d, sums);
    default: return blend_tile_backward<0>(s, tile, d, sums);
  }
}

}  // namespace
