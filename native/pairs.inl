// What is drawn where: the splats of a tile, a batch at a time, the blocks of pixels that each meets,
// and its alphas there. All of it without branches that are hard to foresee, for those cost more
// than the arithmetic.
//
// A block is 4 pixels by as many rows as fill the lanes of B; a tile is 8 x 8 blocks. `alive` has
// one bit per block that still takes light; a pixel that has stopped keeps minus its transmittance.

namespace {

constexpr int BATCH = LANES, SMALL = 2;  // So few blocks are drawn without looking closer.
constexpr uint32_t AHEAD = BATCH;

// Pixel centres of the blocks of a tile, from its corner: x by column, y by row of blocks.
struct Centers {
  alignas(64) float x[8][BLOCK_LANES], y[8][BLOCK_LANES];
  constexpr Centers() : x(), y() {
    for (int block = 0; block < 8; ++block)
      for (int lane = 0; lane < BLOCK_LANES; ++lane) {
        x[block][lane] = float(block * 4 + lane % 4) + 0.5f;
        y[block][lane] = float(block * BLOCK_HEIGHT + lane / 4) + 0.5f;
      }
  }
};
constexpr Centers CENTERS;

struct Corner {
  int x, y;  // Pixels.
};
inline Corner corner(int tiles_x, int tile) {
  return {tile % tiles_x * TILE_WIDTH, tile / tiles_x * TILE_HEIGHT};
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

inline uint64_t inside(int width, int height, Corner c) {
  return covered(0, (width + 3) / 4, 0, (height + BLOCK_HEIGHT - 1) / BLOCK_HEIGHT, c.x / 4,
                 c.y / BLOCK_HEIGHT);
}

inline bool is_whole(int width, int height, Corner c) {
  return c.x + TILE_WIDTH <= width && c.y + TILE_HEIGHT <= height;
}

// Calls visit(block, lane, offset of the pixel in the picture) for the tile's pixels.
template <class Visit>
inline void each_pixel(int width, int height, Corner c, Visit visit) {
  const int wide = width - c.x < TILE_WIDTH ? width - c.x : TILE_WIDTH;
  const int high = height - c.y < TILE_HEIGHT ? height - c.y : TILE_HEIGHT;
  for (int y = 0; y < high; ++y) {
    const size_t row = size_t(c.y + y) * width + c.x;
    for (int x = 0; x < wide; x += 4) {
      const int block = y / BLOCK_HEIGHT * 8 + x / 4, lane = y % BLOCK_HEIGHT * 4;
      const int count = wide - x < 4 ? wide - x : 4;
      for (int i = 0; i < count; ++i) visit(block, lane + i, row + x + i);
    }
  }
}

// The splats of a tile that are drawn next, relative to its corner.
template <int FEATURES>
struct Batch {
  enum { X, Y, ACROSS, SLOPE, DOWN, LEVEL, FEATURE };
  static constexpr int SIZE = (FEATURE + FEATURES + 15) / 16 * 16;
  enum { CENTER, FIRST, SLANT, WIDE, NARROWING, SUMMIT, SHAPE };
  alignas(64) float splats[BATCH][SIZE];
  alignas(64) float shapes[SHAPE][LANES] = {};
  uint64_t todo[BATCH];  // Blocks to draw it on.
  uint32_t ids[BATCH], places[BATCH];  // Among the splats; in order.
  int tops[BATCH], count, rows;
};

// Splats of a list lie anywhere in memory: asks for those to come.
inline void foresee(const Lists& s, uint32_t e, uint32_t end, int n) {
  if (e + AHEAD >= end) return;
  const uint32_t id = s.order[e + AHEAD];
  __builtin_prefetch(s.splats + id);
  if (n > NEAR_FEATURES) __builtin_prefetch(s.features + size_t(id) * s.stride);
}

// Puts a splat into a place of the batch.
template <int FEATURES>
inline void put(const Lists& s, Corner c, uint32_t id, int n, int i, Batch<FEATURES>& batch) {
  using T = Batch<FEATURES>;
  const Splat& g = s.splats[id];
  float* hot = batch.splats[i];
  std::memcpy(hot, &g, 8 * sizeof(float));
  hot[T::X] = g.x - float(c.x), hot[T::Y] = g.y - float(c.y);
  std::memcpy(hot + T::FEATURE, s.features + size_t(id) * s.stride, sizeof(float) * n);
  batch.ids[i] = id;
}

// Fills the batch with the splats from `e` on whose boxes cover blocks that take light. Returns
// where to go on.
template <int FEATURES>
inline uint32_t fetch(const Lists& s, Corner c, uint32_t e, uint32_t end, uint64_t alive, int n,
                      Batch<FEATURES>& batch) {
  using T = Batch<FEATURES>;
  const int x = c.x / 4, y = c.y / BLOCK_HEIGHT;
  int i = 0, rows = 0;
  for (; e < end && i < BATCH; ++e) {
    foresee(s, e, end, n);
    const Splat& g = s.splats[s.order[e]];
    put(s, c, s.order[e], n, i, batch);
    const int top = g.top > y ? g.top - y : 0, bottom = g.bottom < y + 8 ? g.bottom - y : 8;
    const uint64_t box = alive & covered(g.left, g.right, g.top, g.bottom, x, y);
    batch.shapes[T::CENTER][i] = g.x - float(c.x);
    batch.shapes[T::FIRST][i] = float(top * BLOCK_HEIGHT) + 0.5f - (g.y - float(c.y));
    batch.shapes[T::SLANT][i] = g.slope, batch.shapes[T::WIDE][i] = g.width;
    batch.shapes[T::NARROWING][i] = g.narrowing, batch.shapes[T::SUMMIT][i] = g.summit;
    batch.todo[i] = box, batch.places[i] = e, batch.tops[i] = top;
    s.masks[e] = 0;
    const int worth = __builtin_popcountll(box) > SMALL ? bottom - top : 0;
    rows = worth > rows ? worth : rows;
    i += box != 0;  // No branch: it would be hard to foresee.
  }
  batch.count = i, batch.rows = rows;
  return e;
}

// Fills the batch with the splats from `e` on that forward has drawn.
template <int FEATURES>
inline uint32_t fetch_drawn(const Lists& s, Corner c, uint32_t e, uint32_t end, int n,
                            Batch<FEATURES>& batch) {
  int i = 0;
  for (; e < end && i < BATCH; ++e) {
    foresee(s, e, end, n);
    put(s, c, s.order[e], n, i, batch);
    batch.todo[i] = s.masks[e];
    i += s.masks[e] != 0;
  }
  batch.count = i;
  return e;
}

// Strikes out blocks that the ellipses do not come near.
template <int FEATURES>
inline void trim(Batch<FEATURES>& batch) {
  using T = Batch<FEATURES>;
  constexpr int PARTS = LANES / WIDTH;
  const auto shape = [&](int i) { return load(batch.shapes[i]); };
  const F x = shape(T::CENTER), slope = shape(T::SLANT), summit = shape(T::SUMMIT);
  const F wide = shape(T::WIDE), narrowing = shape(T::NARROWING), zero(0.f), eight(8.f);
  VI bits[2][PARTS] = {};
  for (int i = 0; i < batch.rows; ++i) {
    const F first = shape(T::FIRST) + F(float(i * BLOCK_HEIGHT));
    const F last = first + F(float(BLOCK_HEIGHT - 1));
    const F right = lower(upper(summit, first), last), left = lower(upper(-summit, first), last);
    const F end = x + slope * right + root_above(wide - narrowing * right * right);
    const F start = x + slope * left - root_above(wide - narrowing * left * left);
    // In blocks: up to the last whose first centre, and from the first whose last centre, is met.
    const F upto = lower(upper(F(0.25f) * end + F(1.01f - 0.125f), zero), eight);
    const F from = lower(upper(F(0.25f) * start + F(0.99f - 0.875f), zero), eight);
    for (int k = 0; k < PARTS; ++k)
      bits[i / 4][k] |= (ramp(upto.v[k]) & ~ramp(from.v[k])) << (8 * (i % 4));
  }
  alignas(64) uint32_t low[LANES], high[LANES];
  std::memcpy(low, bits[0], sizeof low), std::memcpy(high, bits[1], sizeof high);
  for (int i = 0; i < batch.count; ++i)
    if (__builtin_popcountll(batch.todo[i]) > SMALL)
      batch.todo[i] &= (uint64_t(high[i]) << 32 | low[i]) << (8 * batch.tops[i]);
}

constexpr int AT_ONCE = 2;  // Pairs side by side: neither waits for the other. Four won no more.
using Several = Vec<AT_ONCE * BLOCK_LANES>;

// A splat of a batch on a block, in four times sixteen bits: where in CENTERS, by columns and by
// rows; the block; where in the batch. In bytes, but for the block.
struct Touch {
  uint64_t bits;
  int x() const { return bits & 0xffff; }
  int y() const { return bits >> 16 & 0xffff; }
  int block() const { return bits >> 32 & 0xffff; }
  int splat() const { return int(bits >> 48); }
};

struct Touches {
  uint64_t of[BLOCKS + 1];
  constexpr Touches() : of() {
    for (uint64_t b = 0; b <= BLOCKS; ++b)
      of[b] = b % 8 * sizeof(B) | b / 8 % 8 * sizeof(B) << 16 | b << 32;
  }
};
constexpr Touches TOUCHES;

// Splats of a batch with the blocks to draw them on, and their alphas there: those need nothing of
// each other, while what they do to the light waits for the splat before.
struct Group {
  static constexpr int MOST = 64, SURPLUS = 4;
  int last, count;   // Past the last splat; pairs.
  uint64_t touched;  // Blocks.
  Touch pairs[MOST + SURPLUS] = {};
  alignas(64) float alphas[MOST + AT_ONCE][BLOCK_LANES];
};

inline const float* beyond(const float* p, int bytes) {
  return reinterpret_cast<const float*>(reinterpret_cast<const char*>(p) + bytes);
}

inline int lowest(uint64_t bits) { return bits ? __builtin_ctzll(bits) : 64; }

inline void mark(const float* g, Touch pair, B& dx, B& dy) {
  using T = Batch<0>;
  dx = load<B>(beyond(CENTERS.x[0], pair.x())) - B(g[T::X]);
  dy = load<B>(beyond(CENTERS.y[0], pair.y())) - B(g[T::Y]);
}

// The group of the batch's splats from `first` on.
template <int FEATURES>
inline void gather(const Batch<FEATURES>& batch, int first, Group& group) {
  using T = Batch<FEATURES>;
  int n = 0, i = first;
  group.touched = 0;
  for (; i < batch.count; ++i) {
    uint64_t todo = batch.todo[i];
    const int end = n + __builtin_popcountll(todo);
    if (end > Group::MOST) break;
    group.touched |= todo;
    const uint64_t splat = uint64_t(i * sizeof batch.splats[0]) << 48;
    for (; n < end; n += Group::SURPLUS)  // A few too many, for fewer branches hard to foresee.
      for (int k = 0; k < Group::SURPLUS; ++k, todo &= todo - 1)
        group.pairs[n + k].bits = TOUCHES.of[lowest(todo)] | splat;
    n = end;
  }
  group.last = i, group.count = n;
  for (int p = 0; p < n; p += AT_ONCE) {
    Several level;
    for (int k = 0; k < AT_ONCE; ++k) {
      const float* g = beyond(batch.splats[0], group.pairs[p + k].splat());
      B dx, dy;
      mark(g, group.pairs[p + k], dx, dy);
      const B u = B(g[T::ACROSS]) * (dx - B(g[T::SLOPE]) * dy), v = B(g[T::DOWN]) * dy;
      const B own = B(g[T::LEVEL]) - v * v - u * u;
      std::memcpy(level.v + k * BLOCK_LANES / WIDTH, own.v, sizeof own);
    }
    const Several alpha = power_of_two(Several(LOG_ALPHA_MIN) <= level, level);
    store(group.alphas[p], lower(alpha, Several(ALPHA_MAX)));
  }
}

// Lets light through one splat: the weights it takes, and the new transmittance at `t`.
// Where a pixel has stopped, `before` is negative and so is `after`.
inline B pass(const B& alpha, float* t, B& before) {
  before = load<B>(t);
  const B weight = before * alpha, after = before - weight;
  const auto taken = B(T_MIN) < after;
  store(t, select(taken, after, negative(before)));
  return keep(taken, weight);
}

// Of these blocks, those that take no more light.
inline uint64_t ended(uint64_t blocks, const float* planes, int block_size) {
  uint64_t found = 0;
  for (; blocks; blocks &= blocks - 1) {
    const int b = __builtin_ctzll(blocks);
    found |= uint64_t(all_negative(load<B>(planes + b * block_size))) << b;
  }
  return found;
}

}  // namespace
