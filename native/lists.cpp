#include "lists.h"

#include <algorithm>
#include <cstring>

#include "pool.h"

namespace {

constexpr int MOST_BITS = 12;  // Of a key, in one pass of the sort.

// A share of an array, for one thread.
struct Range {
  uint32_t first, last;
};
Range share(size_t count, int parts, int part) {
  return {uint32_t(count * part / parts), uint32_t(count * (part + 1) / parts)};
}

// What each part counts of each kind becomes where it may write them: kind by kind, part by part.
// `ends`, if given, are where the kinds begin, and the end.
void make_offsets(std::vector<std::vector<uint32_t>>& counts, uint32_t* ends) {
  uint32_t sum = 0;
  const size_t kinds = counts[0].size();
  for (size_t kind = 0; kind < kinds; ++kind) {
    if (ends) ends[kind] = sum;
    for (auto& part : counts) {
      const uint32_t count = part[kind];
      part[kind] = sum;
      sum += count;
    }
  }
  if (ends) ends[kinds] = sum;
}

// Splats that are seen, as items in the first places of each part's share; where those end.
struct Seen {
  std::vector<Range> ranges;
  uint32_t least = UINT32_MAX, most = 0;
};

Seen keep_seen(Buffers& b, int parts) {
  const size_t count = b.boxes.size();
  Seen seen;
  seen.ranges.resize(parts);
  std::vector<uint32_t> least(parts, UINT32_MAX), most(parts, 0), slots(parts, 0);
  b.items.resize(count), b.sorted.resize(count), b.slots.resize(count + 1);
  parallel(parts, [&](int part) {
    const Range own = share(count, parts, part);
    uint32_t kept = own.first, sum = 0, low = UINT32_MAX, high = 0;
    for (uint32_t i = own.first; i < own.last; ++i) {
      const Box box = b.boxes[i];
      b.slots[i] = sum;
      if (box.left == box.right) continue;
      sum += uint32_t(box.right - box.left) * uint32_t(box.bottom - box.top);
      uint32_t key;  // Positive floats order like their bits.
      std::memcpy(&key, &b.depths[i], 4);
      low = std::min(low, key), high = std::max(high, key);
      b.items[kept++] = {key, i};
    }
    seen.ranges[part] = {own.first, kept};
    least[part] = low, most[part] = high, slots[part] = sum;
  });
  uint32_t before = 0;
  for (int part = 0; part < parts; ++part) {
    const uint32_t own = slots[part];
    slots[part] = before, before += own;
    seen.least = std::min(seen.least, least[part]), seen.most = std::max(seen.most, most[part]);
  }
  b.slots[count] = before;
  if (parts > 1)
    parallel(parts, [&](int part) {
      const Range own = share(count, parts, part);
      for (uint32_t i = own.first; i < own.last; ++i) b.slots[i] += slots[part];
    });
  return seen;
}

// Sorts items by key, those of equal keys as they came; returns their number.
uint32_t sort_items(Buffers& b, const Seen& seen) {
  const int parts = int(seen.ranges.size());
  std::vector<Range> ranges = seen.ranges;
  uint32_t count = 0;
  for (const Range& r : ranges) count += r.last - r.first;
  if (!count) return 0;
  int bits = 1;
  while (bits < 32 && (seen.most - seen.least) >> bits) ++bits;
  const int passes = (bits + MOST_BITS - 1) / MOST_BITS, digit = (bits + passes - 1) / passes;
  const uint32_t mask = (1u << digit) - 1, least = seen.least;
  std::vector<std::vector<uint32_t>> counts(parts);
  for (int pass = 0; pass < passes; ++pass) {
    const int shift = pass * digit;
    const Item* from = b.items.data();
    Item* to = b.sorted.data();
    parallel(parts, [&](int part) {
      counts[part].assign(mask + 1, 0);
      uint32_t* own = counts[part].data();
      for (uint32_t i = ranges[part].first; i < ranges[part].last; ++i)
        ++own[(from[i].key - least) >> shift & mask];
    });
    make_offsets(counts, nullptr);
    parallel(parts, [&](int part) {
      uint32_t* own = counts[part].data();
      for (uint32_t i = ranges[part].first; i < ranges[part].last; ++i)
        to[own[(from[i].key - least) >> shift & mask]++] = from[i];
    });
    std::swap(b.items, b.sorted);
    for (int part = 0; part < parts; ++part) ranges[part] = share(count, parts, part);
  }
  return count;
}

}  // namespace

void make_lists(Buffers& b, int tiles_x, int tiles) {
  const int parts = std::max(1, std::min(threads(), int(b.boxes.size() / 4096)));
  const uint32_t count = sort_items(b, keep_seen(b, parts));
  std::vector<std::vector<uint32_t>> counts(parts);
  parallel(parts, [&](int part) {
    counts[part].assign(tiles, 0);
    uint32_t* own = counts[part].data();
    const Range range = share(count, parts, part);
    for (uint32_t i = range.first; i < range.last; ++i)
      each_tile(b.boxes[b.items[i].id], tiles_x, [&](int tile) { ++own[tile]; });
  });
  b.starts.resize(tiles + 1);
  make_offsets(counts, b.starts.data());
  b.order.resize(b.starts[tiles]), b.masks.resize(b.starts[tiles]), b.ends.resize(tiles);
  parallel(parts, [&](int part) {
    uint32_t *own = counts[part].data(), *order = b.order.data();
    const Range range = share(count, parts, part);
    for (uint32_t i = range.first; i < range.last; ++i) {
      const uint32_t id = b.items[i].id;
      each_tile(b.boxes[id], tiles_x, [&](int tile) { order[own[tile]++] = id; });
    }
  });
}
