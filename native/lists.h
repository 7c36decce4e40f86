// Which splats each tile draws, and in which order.
#pragma once
#include <vector>

#include "kernels.h"

struct Item {
  uint32_t key, id;
};

struct Buffers {
  std::vector<Splat> splats;
  std::vector<float> features, depths;
  std::vector<uint32_t> order, starts, ends, slots;  // As in Lists.
  std::vector<uint64_t> masks;
  std::vector<Item> items, sorted;
  std::vector<Box> boxes;
};

// Calls visit(tile) for the tiles of a box, row by row.
template <class Visit>
inline void each_tile(const Box& box, int tiles_x, const Visit& visit) {
  for (int y = box.top; y < box.bottom; ++y)
    for (int x = box.left; x < box.right; ++x) visit(y * tiles_x + x);
}

// Fills order, starts and slots from boxes and depths: near to far; of equal depths, in order of
// index. The same for any number of threads.
void make_lists(Buffers& buffers, int tiles_x, int tiles);
