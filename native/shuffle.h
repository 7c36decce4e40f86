// Lanes moved about: triples and records apart and together, sums over lanes.
#pragma once
#include "vec.h"

namespace {

#define SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
template <int...>
struct Seq {};
template <int N, int... I>
struct Count : Count<N - 1, N - 1, I...> {};
template <int... I>
struct Count<0, I...> {
  using type = Seq<I...>;
};
using Each = Count<WIDTH>::type;

template <int... I>
inline V evens(V a, V b, Seq<I...>) {
  return SHUFFLE(a, b, 2 * I...);
}
template <int... I>
inline V odds(V a, V b, Seq<I...>) {
  return SHUFFLE(a, b, 2 * I + 1 ...);
}
// a0 b0 a1 b1 ... of their first or second halves.
template <int HALF, int... I>
inline V zip(V a, V b, Seq<I...>) {
  return SHUFFLE(a, b, (I % 2 * WIDTH + I / 2 + HALF * WIDTH / 2)...);
}
template <int J, int... I>
inline V every_third(V a, V b, V c, Seq<I...>) {
  const V t = SHUFFLE(a, b, (3 * I + J < 2 * WIDTH ? 3 * I + J : 0)...);
  return SHUFFLE(t, c, (3 * I + J < 2 * WIDTH ? I : 3 * I + J - WIDTH)...);
}
// The J-th third of a0 b0 c0 a1 b1 c1 ...
template <int J, int... I>
inline V third(V a, V b, V c, Seq<I...>) {
  const V t = SHUFFLE(a, b, ((J * WIDTH + I) % 3 % 2 * WIDTH + (J * WIDTH + I) / 3)...);
  return SHUFFLE(t, c, ((J * WIDTH + I) % 3 == 2 ? WIDTH + (J * WIDTH + I) / 3 : I)...);
}

// Triples in memory, apart; and back.
template <int N>
inline void split3(const float* p, Vec<N>* out) {
  EACH_PART {
    V v[3];
    std::memcpy(v, p + 3 * WIDTH * k, sizeof v);
    out[0].v[k] = every_third<0>(v[0], v[1], v[2], Each());
    out[1].v[k] = every_third<1>(v[0], v[1], v[2], Each());
    out[2].v[k] = every_third<2>(v[0], v[1], v[2], Each());
  }
}
template <int N>
inline void join3(const Vec<N>* in, float* p) {
  EACH_PART {
    const V a = in[0].v[k], b = in[1].v[k], c = in[2].v[k];
    const V v[3] = {third<0>(a, b, c, Each()), third<1>(a, b, c, Each()), third<2>(a, b, c, Each())};
    std::memcpy(p + 3 * WIDTH * k, v, sizeof v);
  }
}

// Rows into columns: log2(WIDTH) rounds, each of which brings the two halves together.
inline void transpose(V* t) {
  for (int n = 1; n < WIDTH; n *= 2) {
    V next[WIDTH];
    for (int i = 0; i < WIDTH / 2; ++i) {
      next[2 * i] = zip<0>(t[i], t[i + WIDTH / 2], Each());
      next[2 * i + 1] = zip<1>(t[i], t[i + WIDTH / 2], Each());
    }
    std::memcpy(t, next, sizeof next);
  }
}

// Sixteen numbers of each of sixteen lanes, as sixteen records (of `stride` floats); and back.
inline void to_records(const F* in, float* p, int stride) {
  for (int k = 0; k < LANES / WIDTH; ++k)
    for (int j = 0; j < LANES; j += WIDTH) {
      V t[WIDTH];
      for (int i = 0; i < WIDTH; ++i) t[i] = in[j + i].v[k];
      transpose(t);
      for (int i = 0; i < WIDTH; ++i)
        std::memcpy(p + size_t(k * WIDTH + i) * stride + j, &t[i], sizeof(V));
    }
}
inline void from_records(const float* p, int stride, F* out) {
  for (int k = 0; k < LANES / WIDTH; ++k)
    for (int j = 0; j < LANES; j += WIDTH) {
      V t[WIDTH];
      for (int i = 0; i < WIDTH; ++i)
        std::memcpy(&t[i], p + size_t(k * WIDTH + i) * stride + j, sizeof(V));
      transpose(t);
      for (int i = 0; i < WIDTH; ++i) out[j + i].v[k] = t[i];
    }
}

// Sums over the lanes of a and of b, in turns.
inline V sum_pairs(V a, V b) { return evens(a, b, Each()) + odds(a, b, Each()); }
template <int N>
inline V whole(const Vec<N>& a) {
  V r = a.v[0];
  for (int k = 1; k < N / WIDTH; ++k) r += a.v[k];
  return r;
}

// out[i] = sum over the lanes of a[i], for i < WIDTH, of which only the first COUNT are not zero:
// log2(WIDTH) rounds of sums of pairs.
template <int COUNT, int N>
inline void sum_lanes(const Vec<N>* a, float* out) {
  V t[WIDTH / 2] = {};
  for (int i = 0; i < (COUNT + 1) / 2; ++i)
    t[i] = sum_pairs(whole(a[2 * i]), 2 * i + 1 < COUNT ? whole(a[2 * i + 1]) : V{});
  for (int n = WIDTH / 4, count = (COUNT + 1) / 2; n; n /= 2, count = (count + 1) / 2)
    for (int i = 0; i < (count + 1) / 2; ++i)
      t[i] = sum_pairs(t[2 * i], 2 * i + 1 < count ? t[2 * i + 1] : V{});
  std::memcpy(out, t, sizeof(V));
}

}  // namespace
