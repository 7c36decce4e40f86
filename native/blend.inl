// Blending of sorted splats in one tile, front to back, and its gradient (also front to back:
// what lies behind is the total minus what came before, so nothing but the picture is kept).

namespace {

// Black (or the background) where there is nothing.
inline void blank_tile(const Lists& s, Corner c, const Picture& out) {
  const int n = s.channels;
  const int wide = s.width - c.x < TILE_WIDTH ? s.width - c.x : TILE_WIDTH;
  for (int y = c.y; y < c.y + TILE_HEIGHT && y < s.height; ++y) {
    const size_t at = size_t(y) * s.width + c.x;
    std::memset(out.alpha + at, 0, sizeof(float) * wide);
    std::memset(out.depth + at, 0, sizeof(float) * wide);
    if (out.median) std::memset(out.median + at, 0, sizeof(float) * wide);
    for (int i = 0; i < wide * n; ++i)
      out.color[at * n + i] = out.background ? out.background[i % n] : 0.f;
  }
}

// Writes a tile's planes (per block: transmittance, colours, depth) into the picture.
template <int FIXED>
inline void write_tile(const Lists& s, Corner c, const float* planes, const Picture& out) {
  const int n = FIXED ? FIXED : s.channels + 1, block_size = BLOCK_LANES * (1 + n);
  if (FIXED != 4 || !is_whole(s.width, s.height, c))
    return each_pixel(s.width, s.height, c, [&](int b, int lane, size_t at) {
      const float* plane = planes + b * block_size + lane;
      const float t = plane[0] < 0 ? -plane[0] : plane[0];
      for (int k = 0; k < n - 1; ++k)
        out.color[at * (n - 1) + k] =
            plane[BLOCK_LANES * (1 + k)] + (out.background ? t * out.background[k] : 0.f);
      out.alpha[at] = 1.f - t;
      out.depth[at] = plane[BLOCK_LANES * n];
    });
  for (int b = 0; b < BLOCKS; ++b) {
    const float* plane = planes + b * block_size;
    const B t = upper(load<B>(plane), B(0.f) - load<B>(plane));
    B colors[3];
    for (int k = 0; k < 3; ++k) {
      colors[k] = load<B>(plane + BLOCK_LANES * (1 + k));
      if (out.background) colors[k] += t * B(out.background[k]);
    }
    alignas(64) float rgb[3 * BLOCK_LANES], alpha[BLOCK_LANES];
    join3(colors, rgb);
    store(alpha, B(1.f) - t);
    for (int y = 0; y < BLOCK_HEIGHT; ++y) {
      const size_t at = size_t(c.y + b / 8 * BLOCK_HEIGHT + y) * s.width + c.x + b % 8 * 4;
      std::memcpy(out.color + 3 * at, rgb + 12 * y, 12 * sizeof(float));
      std::memcpy(out.alpha + at, alpha + 4 * y, 4 * sizeof(float));
      std::memcpy(out.depth + at, plane + 4 * BLOCK_LANES + 4 * y, 4 * sizeof(float));
    }
  }
}

template <int FIXED, bool MEDIAN = false>
void blend_tile(const Lists& s, int tile, const Picture& out) {
  constexpr int MOST = FIXED ? FIXED : MAX_FEATURES;
  const int n = FIXED ? FIXED : s.channels + 1, block_size = BLOCK_LANES * (1 + n);
  const Corner c = corner(s.tiles_x, tile);
  const uint32_t end = s.starts[tile + 1];
  uint32_t e = s.starts[tile];
  if (e == end) return blank_tile(s, c, out);
  alignas(64) float planes[BLOCKS * BLOCK_LANES * (1 + MOST)];
  alignas(64) float medians[MEDIAN ? BLOCKS * BLOCK_LANES : 1] = {};
  std::memset(planes, 0, sizeof(float) * BLOCKS * block_size);
  for (int b = 0; b < BLOCKS; ++b) store(planes + b * block_size, B(-1.f));
  each_pixel(s.width, s.height, c,
             [&](int b, int lane, size_t) { planes[b * block_size + lane] = 1.f; });
  uint64_t alive = inside(s.width, s.height, c);
  Batch<MOST> batch;
  Group group;
  while (e < end && alive) {
    e = fetch(s, c, e, end, alive, n, batch);
    if (batch.rows) trim(batch);
    for (int i = 0; i < batch.count; ++i) s.masks[batch.places[i]] = batch.todo[i];
    for (int i = 0; i < batch.count; i = group.last) {
      gather(batch, i, group);
      for (int p = 0; p < group.count; ++p) {
        const Touch pair = group.pairs[p];
        const float* feature = beyond(batch.splats[0], pair.splat()) + Batch<MOST>::FEATURE;
        float* plane = planes + pair.block() * block_size;
        B before;
        const B weight = pass(load<B>(group.alphas[p]), plane, before);
        for (int k = 0; k < n; ++k) {
          float* sum = plane + BLOCK_LANES * (1 + k);
          store(sum, load<B>(sum) + weight * B(feature[k]));
        }
        if (MEDIAN) {  // A pixel that stopped keeps a negative transmittance: not at this splat.
          float* median = medians + pair.block() * BLOCK_LANES;
          const auto crosses =
              (B(0.5f) < before) & (B(0.f) < weight) & (load<B>(plane) <= B(0.5f));
          store(median, select(crosses, B(feature[n - 1]), load<B>(median)));
        }
      }
      alive &= ~ended(group.touched, planes, block_size);
    }
  }
  s.ends[tile] = e;
  write_tile<FIXED>(s, c, planes, out);
  if (MEDIAN)
    each_pixel(s.width, s.height, c, [&](int b, int lane, size_t at) {
      out.median[at] = medians[b * BLOCK_LANES + lane];
    });
}

// Per block: transmittance, rest (loss still to come from behind), constant, feature gradients.
template <int FIXED>
inline void read_gradient(const Lists& s, Corner c, const PictureGradient& d, float* planes) {
  const int n = FIXED ? FIXED : s.channels + 1, block_size = BLOCK_LANES * (3 + n);
  if (FIXED != 4 || d.background || !is_whole(s.width, s.height, c)) {
    std::memset(planes, 0, sizeof(float) * BLOCKS * block_size);
    for (int b = 0; b < BLOCKS; ++b) store(planes + b * block_size, B(-1.f));
    return each_pixel(s.width, s.height, c, [&](int b, int lane, size_t at) {
      float* plane = planes + b * block_size + lane;
      float rest = d.depth[at] * d.out_depth[at] + d.alpha[at] * d.out_alpha[at], behind = 0.f;
      for (int k = 0; k < n - 1; ++k) {
        const float gradient = d.color[at * (n - 1) + k];
        rest += gradient * d.out_color[at * (n - 1) + k];
        if (d.background) behind += gradient * d.background[k];
        plane[BLOCK_LANES * (3 + k)] = gradient;
      }
      plane[BLOCK_LANES * (2 + n)] = d.depth[at];
      plane[0] = 1.f;
      plane[BLOCK_LANES] = rest - behind;
      plane[BLOCK_LANES * 2] = d.alpha[at] - behind;
    });
  }
  for (int b = 0; b < BLOCKS; ++b) {
    alignas(64) float color[2][3 * BLOCK_LANES], other[4][BLOCK_LANES];
    const float *colors[2] = {d.color, d.out_color};
    const float *others[4] = {d.alpha, d.depth, d.out_alpha, d.out_depth};
    for (int y = 0; y < BLOCK_HEIGHT; ++y) {
      const size_t at = size_t(c.y + b / 8 * BLOCK_HEIGHT + y) * s.width + c.x + b % 8 * 4;
      for (int k = 0; k < 2; ++k)
        std::memcpy(color[k] + 12 * y, colors[k] + 3 * at, 12 * sizeof(float));
      for (int k = 0; k < 4; ++k)
        std::memcpy(other[k] + 4 * y, others[k] + at, 4 * sizeof(float));
    }
    B gradient[3], drawn[3];
    split3(color[0], gradient), split3(color[1], drawn);
    const B alpha = load<B>(other[0]), depth = load<B>(other[1]);
    B rest = alpha * load<B>(other[2]) + depth * load<B>(other[3]);
    float* plane = planes + b * block_size;
    for (int k = 0; k < 3; ++k) {
      rest += gradient[k] * drawn[k];
      store(plane + BLOCK_LANES * (3 + k), gradient[k]);
    }
    store(plane, B(1.f)), store(plane + BLOCK_LANES, rest);
    store(plane + BLOCK_LANES * 2, alpha), store(plane + BLOCK_LANES * 6, depth);
  }
}

// What the splats of a group owe: at each pair, the light they take, and alpha times its gradient,
// in place of alpha. First and apart from the sums, for it waits for the splat before.
template <int FEATURES>
inline void owe(const Batch<FEATURES>& batch, Group& group, int n, float* planes, float* weights) {
  const int block_size = BLOCK_LANES * (3 + n);
  for (int p = 0; p < group.count; ++p) {
    const Touch touch = group.pairs[p];
    const float* feature = beyond(batch.splats[0], touch.splat()) + Batch<0>::FEATURE;
    float* plane = planes + touch.block() * block_size;
    const B alpha = load<B>(group.alphas[p]);
    B before, per_weight = load<B>(plane + BLOCK_LANES * 2);
    for (int k = 0; k < n; ++k)
      per_weight += load<B>(plane + BLOCK_LANES * (3 + k)) * B(feature[k]);
    const B weight = pass(alpha, plane, before);
    const B rest = load<B>(plane + BLOCK_LANES) - weight * per_weight;
    store(plane + BLOCK_LANES, rest);
    store(weights + p * BLOCK_LANES, weight);
    const B d_alpha = before * per_weight - rest * reciprocal(B(1.f) - alpha);
    const auto moves = (B(0.f) < weight) & (alpha < B(ALPHA_MAX));
    store(group.alphas[p], keep(moves, alpha * d_alpha));
  }
}

// Sums of what a splat owes at its pairs: moments about its centre, then features. Two loops, for
// some machines have no registers for all the sums.
inline void sum_moments(const float* g, const Group& group, int first, int last, B* sum) {
  B s(0.f), x(0.f), y(0.f), xx(0.f), xy(0.f), yy(0.f);
  for (int p = first; p < last; ++p) {
    B dx, dy;
    mark(g, group.pairs[p], dx, dy);
    const B m = load<B>(group.alphas[p]), mx = m * dx, my = m * dy;
    s += m, x += mx, y += my, xx += mx * dx, xy += mx * dy, yy += my * dy;
  }
  const B all[MOMENTS] = {s, x, y, xx, xy, yy};
  for (int k = 0; k < MOMENTS; ++k) sum[k] = all[k];
}

template <int FIXED>
inline void sum_features(const Group& group, int first, int last, int n, const float* planes,
                         const float* weights, B* sum) {
  if (FIXED) n = FIXED;
  for (int k = 0; k < n; ++k) sum[k] = B(0.f);
  for (int p = first; p < last; ++p) {
    const float* plane = planes + group.pairs[p].block() * (BLOCK_LANES * (3 + n));
    const B weight = load<B>(weights + p * BLOCK_LANES);
    for (int k = 0; k < n; ++k) sum[k] += weight * load<B>(plane + BLOCK_LANES * (3 + k));
  }
}

// Sums over lanes of `count` vectors; FIXED of them, unless that is 0.
template <int FIXED>
inline void sum_all(B* sum, int count, float* out) {
  constexpr int REST = FIXED % WIDTH, END = FIXED - REST;
  if (!FIXED) {
    for (int k = count; k % WIDTH; ++k) sum[k] = B(0.f);
    for (int k = 0; k < count; k += WIDTH) sum_lanes<WIDTH>(sum + k, out + k);
    return;
  }
  for (int k = 0; k < END; k += WIDTH) sum_lanes<WIDTH>(sum + k, out + k);
  if (REST) sum_lanes<REST ? REST : 1>(sum + END, out + END);
}

template <int FIXED>
void blend_tile_backward(const Lists& s, int tile, const PictureGradient& d, Owed owed) {
  constexpr int MOST = FIXED ? FIXED : MAX_FEATURES, VALUES = MOMENTS + MOST;
  const int n = FIXED ? FIXED : s.channels + 1;
  uint32_t e = s.starts[tile];
  if (e == s.starts[tile + 1]) return;
  const uint32_t end = s.ends[tile];
  const Corner c = corner(s.tiles_x, tile);
  alignas(64) float planes[BLOCKS * BLOCK_LANES * (3 + MOST)];
  const int block_size = BLOCK_LANES * (3 + n), size = owed_size(n - 1);
  read_gradient<FIXED>(s, c, d, planes);
  const auto slot = [&](uint32_t id) {
    const Splat& g = s.splats[id];
    const int left = g.left / 8, top = g.top / 8, wide = (g.right + 7) / 8 - left;
    return s.slots[id] + (c.y / TILE_HEIGHT - top) * wide + c.x / TILE_WIDTH - left;
  };
  Batch<MOST> batch;
  Group group;
  alignas(64) float weights[Group::MOST * BLOCK_LANES];
  uint32_t slots[BATCH];
  while (e < end) {
    e = fetch_drawn(s, c, e, end, n, batch);
    for (int i = 0; i < batch.count; ++i) {  // Ask for where their sums will go.
      slots[i] = slot(batch.ids[i]);
      __builtin_prefetch(owed.sums + size_t(slots[i]) * size, 1);
    }
    for (int i = 0; i < batch.count; i = group.last) {
      gather(batch, i, group);
      owe(batch, group, n, planes, weights);
      for (int p = 0; p < group.count;) {
        const int own = group.pairs[p].splat() / int(sizeof batch.splats[0]);
        const int first = p;
        p += __builtin_popcountll(batch.todo[own]);
        B sum[(VALUES + WIDTH - 1) / WIDTH * WIDTH];
        sum_moments(batch.splats[own], group, first, p, sum);
        sum_features<FIXED>(group, first, p, n, planes, weights, sum + MOMENTS);
        owed.used[slots[own]] = 1;
        float* out = owed.sums + size_t(slots[own]) * size;
        sum_all<FIXED ? VALUES : 0>(sum, MOMENTS + n, out);
      }
    }
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

void blend_backward(const Lists& s, int tile, const PictureGradient& d, Owed owed) {
  switch (s.channels) {
    case 1: return blend_tile_backward<2>(s, tile, d, owed);
    case 3: return blend_tile_backward<4>(s, tile, d, owed);
    case 4: return blend_tile_backward<5>(s, tile, d, owed);
    case 8: return blend_tile_backward<9>(s, tile, d, owed);
    default: return blend_tile_backward<0>(s, tile, d, owed);
  }
}

}  // namespace
