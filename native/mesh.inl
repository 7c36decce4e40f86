// Triangles under a z-buffer. A ray (x, y, 1) meets the plane of p0 p1 p2 where its barycentrics are
// proportional to edge_i = (p_j x p_k) . ray; this needs no clipping and is exact in perspective
// (Olano and Greer 1997). Neighbours see the same numbers with opposite signs: no gaps between them.
// Under an orthographic camera the p are (x, y, 1), and z is a sum weighed by barycentrics.

namespace {

inline void cross(const double* a, const double* b, double* out) {
  out[0] = a[1] * b[2] - a[2] * b[1];
  out[1] = a[2] * b[0] - a[0] * b[2];
  out[2] = a[0] * b[1] - a[1] * b[0];
}

inline double dot3(const double* a, const double* b) { return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]; }

// Camera axes and where they fall in the picture, of each vertex once.
void localize(const Faces& s, const Camera& c, int first, int last, Local* out) {
  for (int i = first; i < last; ++i) {
    const float* v = s.vertices + 3 * size_t(i);
    Local& p = out[i];
    for (int k = 0; k < 3; ++k)
      p.at[k] = double(c.rotation[3 * k]) * v[0] + double(c.rotation[3 * k + 1]) * v[1] +
                double(c.rotation[3 * k + 2]) * v[2] + c.translation[k];
    const double by = c.orthographic ? 1 : p.at[2] >= NEAR ? 1 / p.at[2] : 0;
    p.x = c.fx * p.at[0] * by + c.cx, p.y = c.fy * p.at[1] * by + c.cy;
  }
}

// Whether a pixel's centre lies between, to a hundredth.
inline bool has_center(double low, double high) {
  return __builtin_floor(high - 0.49) >= __builtin_ceil(low - 0.51);
}

inline void triangle_box(const Camera& c, const Local* const p[3], Patch& t) {
  double low[2] = {1e30, 1e30}, high[2] = {-1e30, -1e30};
  int in_front = 0;
  for (int i = 0; i < 3; ++i) {
    if (!(p[i]->at[2] >= NEAR)) continue;
    ++in_front;
    const double at[2] = {p[i]->x, p[i]->y};
    for (int k = 0; k < 2; ++k) {
      low[k] = at[k] < low[k] ? at[k] : low[k];
      high[k] = at[k] > high[k] ? at[k] : high[k];
    }
  }
  if (!in_front) return;
  if (in_front < 3)
    low[0] = low[1] = 0, high[0] = c.width, high[1] = c.height;
  else if (!(has_center(low[0], high[0]) && has_center(low[1], high[1])))
    return;
  const double x = (low[0] + high[0]) / 2, y = (low[1] + high[1]) / 2;
  blocks(float(x), float(high[0] - x) + 0.01f, c.width, 4, t.left, t.right);
  blocks(float(y), float(high[1] - y) + 0.01f, c.height, BLOCK_HEIGHT, t.top, t.bottom);
  if (t.left == t.right || t.top == t.bottom) t.left = t.right = t.top = t.bottom = 0;
}

int set_up(const Faces& s, const Local* local, const Camera& c, int first, int last,
           Triangle* triangles, Patch* patches) {
  const double by_x = 1 / double(c.fx), by_y = 1 / double(c.fy);
  int kept = 0;
  for (int f = first; f < last; ++f) {
    Triangle& t = triangles[kept];
    Patch& box = patches[kept];
    box = {0, 0, 0, 0};
    t.face = f;
    const Local* p[3];
    for (int i = 0; i < 3; ++i) p[i] = local + s.faces[3 * size_t(f) + i];
    triangle_box(c, p, box);
    if (box.left == box.right) continue;
    double n[3][3], flat[3][3];
    const double* at[3];
    for (int i = 0; i < 3; ++i) {
      flat[i][0] = p[i]->at[0], flat[i][1] = p[i]->at[1], flat[i][2] = 1;
      at[i] = c.orthographic ? flat[i] : p[i]->at;
    }
    cross(at[1], at[2], n[0]);
    cross(at[2], at[0], n[1]);
    cross(at[0], at[1], n[2]);
    const double det = dot3(at[0], n[0]);
    const double sign = det < 0 ? -1 : 1;
    t.volume = sign * det;
    if (!(t.volume > 0)) continue;
    for (int i = 0; i < 3; ++i) {
      t.edge[i][0] = sign * n[i][0] * by_x;
      t.edge[i][1] = sign * n[i][1] * by_y;
      t.edge[i][2] = sign * n[i][2] - t.edge[i][0] * c.cx - t.edge[i][1] * c.cy;
    }
    ++kept;
  }
  return kept;
}

// Edge functions of a triangle relative to the corner of a tile.
struct Edges {
  float x[3], y[3], at_corner[3], per_volume, z[3];
};
template <bool PARALLEL>
inline Edges edges(const Corners& s, const Triangle& t, Corner c) {
  Edges e;
  if (PARALLEL)
    for (int i = 0; i < 3; ++i)
      e.z[i] = float(s.parallel[s.own.faces[3 * size_t(t.face) + i]].at[2]);
  for (int i = 0; i < 3; ++i) {
    e.x[i] = float(t.edge[i][0]), e.y[i] = float(t.edge[i][1]);
    e.at_corner[i] = float(t.edge[i][0] * c.x + t.edge[i][1] * c.y + t.edge[i][2]);
  }
  e.per_volume = float(1 / t.volume);
  return e;
}

inline B bits(int32_t value) {
  B r;
  for (V& part : r.v) part = (V)(VI{} + value);
  return r;
}

inline void blank(const Hits& out, size_t at, int count) {
  for (int i = 0; i < count; ++i) out.faces[at + i] = -1, out.depth[at + i] = 0;
  for (int i = 0; i < 3 * count; ++i) out.barycentrics[3 * at + i] = 0;
}

// What the pixels of a tile see, block by block.
struct Seen {
  alignas(64) float nearest[BLOCKS * BLOCK_LANES] = {};  // 1 / z.
  alignas(64) int32_t faces[BLOCKS * BLOCK_LANES];
  alignas(64) float w[3][BLOCKS * BLOCK_LANES];
  Seen() {
    for (int32_t& face : faces) face = -1;
  }
};

template <bool PARALLEL>
inline void draw_triangle(const Edges& e, int face, int b, Seen& seen) {
  const B zero(0.f), limit(1.f / NEAR);
  const B x = load<B>(CENTERS.x[b % 8]), y = load<B>(CENTERS.y[b / 8]);
  B w[3];
  for (int i = 0; i < 3; ++i) w[i] = B(e.x[i]) * x + B(e.y[i]) * y + B(e.at_corner[i]);
  B slope = (w[0] + w[1] + w[2]) * B(e.per_volume);
  if (PARALLEL) {
    const B z = w[0] * B(e.z[0]) + w[1] * B(e.z[1]) + w[2] * B(e.z[2]);
    slope = slope / (z * B(e.per_volume));
  }
  const int at = b * BLOCK_LANES;
  const B before = load<B>(seen.nearest + at);
  const auto hit = (zero <= w[0]) & (zero <= w[1]) & (zero <= w[2]) & (before < slope) &
                   (slope <= limit);
  store(seen.nearest + at, select(hit, slope, before));
  float* const own = reinterpret_cast<float*>(seen.faces + at);
  store(own, select(hit, bits(face), load<B>(own)));
  for (int i = 0; i < 3; ++i) store(seen.w[i] + at, select(hit, w[i], load<B>(seen.w[i] + at)));
}

// COUNT pixels of a row of a block, or `count`.
template <int COUNT>
inline void write_row(const Hits& out, size_t at, const int32_t* faces, const float* thirds,
                      const float* depth, int count) {
  const int n = COUNT ? COUNT : count;
  for (int i = 0; i < n; ++i) out.faces[at + i] = faces[i];
  std::memcpy(out.barycentrics + 3 * at, thirds, sizeof(float) * 3 * n);
  std::memcpy(out.depth + at, depth, sizeof(float) * n);
}

inline void write_tile(const Corners& s, Corner c, const Seen& seen, const Hits& out) {
  const B zero(0.f), one(1.f);
  for (int b = 0; b < BLOCKS; ++b) {
    const int left = c.x + b % 8 * 4, top = c.y + b / 8 * BLOCK_HEIGHT, at = b * BLOCK_LANES;
    B w[3];
    for (int i = 0; i < 3; ++i) w[i] = load<B>(seen.w[i] + at);
    const B nearest = load<B>(seen.nearest + at), per_sum = one / (w[0] + w[1] + w[2]);
    const auto there = zero < nearest;
    for (B& each : w) each = keep(there, each * per_sum);
    alignas(64) float thirds[3 * BLOCK_LANES], depth[BLOCK_LANES];
    join3(w, thirds);
    store(depth, keep(there, one / nearest));
    for (int row = 0; row < BLOCK_HEIGHT && top + row < s.height; ++row) {
      const size_t to = size_t(top + row) * s.width + left;
      const int32_t* const faces = seen.faces + at + 4 * row;
      if (left + 4 <= s.width) write_row<4>(out, to, faces, thirds + 12 * row, depth + 4 * row, 4);
      else if (left < s.width)
        write_row<0>(out, to, faces, thirds + 12 * row, depth + 4 * row, s.width - left);
    }
  }
}

template <bool PARALLEL>
void draw_tile_for(const Corners& s, int tile, const Hits& out) {
  const Corner c = corner(s.tiles_x, tile);
  if (s.starts[tile] == s.starts[tile + 1]) {
    const int wide = s.width - c.x < TILE_WIDTH ? s.width - c.x : TILE_WIDTH;
    for (int y = c.y; y < c.y + TILE_HEIGHT && y < s.height; ++y)
      blank(out, size_t(y) * s.width + c.x, wide);
    return;
  }
  Seen seen;
  for (uint32_t k = s.starts[tile]; k < s.starts[tile + 1]; ++k) {
    const Triangle& t = s.triangles[s.order[k]];
    const Patch& box = s.patches[s.order[k]];
    const Edges e = edges<PARALLEL>(s, t, c);
    uint64_t todo =
        covered(box.left, box.right, box.top, box.bottom, c.x / 4, c.y / BLOCK_HEIGHT);
    for (; todo; todo &= todo - 1)
      draw_triangle<PARALLEL>(e, t.face, __builtin_ctzll(todo), seen);
  }
  write_tile(s, c, seen, out);
}

void draw_tile(const Corners& s, int tile, const Hits& out) {
  if (s.parallel) return draw_tile_for<true>(s, tile, out);
  draw_tile_for<false>(s, tile, out);
}

}  // namespace
