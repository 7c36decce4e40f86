// Which splats each tile draws, and in which order.
#pragma once
#include <vector>

#include "kernels.h"

struct Item {
  uint32_t key, id;
};

struct Box {
  uint16_t left, right, top, bottom;  // Tiles [left, right) x [top, bottom).
};

struct Buffers {
  std::vector<Splat> splats;
  std::vector<float> features;
  std::vector<uint32_t> order, starts, places, slots;  // As in Lists.
  std::vector<Item> items, sorted;
  std::vector<Box> boxes;
};

// Calls visit(tile) for the tiles of a box of blocks, row by row.
inline Box tiles_of(int left, int right, int top, int bottom) {
  if (left == right) return {0, 0, 0, 0};
  return {uint16_t(left / 8), uint16_t((right + 7) / 8), uint16_t(top / 8),
          uint16_t((bottom + 7) / 8)};
}
template <class Visit>
inline void each_tile(const Box& box, int tiles_x, const Visit& visit) {
  for (int y = box.top; y < box.bottom; ++y)
    for (int x = box.left; x < box.right; ++x) visit(y * tiles_x + x);
}

// Fills order, starts, places and slots from splats and their depths (`stride` apart): near to far; of equal
// depths, in order of index. The same for any number of threads.
void make_lists(Buffers& buffers, const float* depths, int stride, int tiles_x, int tiles);
