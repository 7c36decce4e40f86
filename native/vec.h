// Lanes of floats on whatever vector width the instruction set has (16, 8 or 4): F has sixteen, B
// as many as a block of pixels. Everything here is in an anonymous namespace: each kernel file is
// compiled once per instruction set, and the linker must never replace one set's code by another's.
#pragma once
#include <cstdint>
#include <cstring>
#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>
#endif

namespace {

#if defined(__AVX512F__)
constexpr int WIDTH = 16;
#elif defined(__AVX2__)
constexpr int WIDTH = 8;
#else
constexpr int WIDTH = 4;
#endif
constexpr int LANES = 16, BLOCK_LANES = WIDTH < 8 ? 8 : WIDTH;

typedef float V __attribute__((vector_size(4 * WIDTH)));
typedef int32_t VI __attribute__((vector_size(4 * WIDTH)));
typedef uint32_t VU __attribute__((vector_size(4 * WIDTH)));

#define EACH_PART for (int k = 0; k < N / WIDTH; ++k)

template <int N>
struct Vec {
  V v[N / WIDTH];
  Vec() = default;
  Vec(float s) { EACH_PART v[k] = s - V{}; }  // s + 0 would not do: it turns -0 into 0.
};
using F = Vec<LANES>;
using B = Vec<BLOCK_LANES>;

template <class T = F>
inline T load(const float* p) {
  T r;
  std::memcpy(&r, p, sizeof r);
  return r;
}

template <int N>
inline void store(float* p, const Vec<N>& a) {
  std::memcpy(p, &a, sizeof a);
}

#define BINARY(op)                                                \
  template <int N>                                                \
  inline Vec<N> operator op(const Vec<N>& a, const Vec<N>& b) {   \
    Vec<N> r;                                                     \
    EACH_PART r.v[k] = a.v[k] op b.v[k];                          \
    return r;                                                     \
  }
BINARY(+)
BINARY(-)
BINARY(*)
BINARY(/)
#undef BINARY
template <int N>
inline Vec<N> operator-(const Vec<N>& a) {
  return Vec<N>(0.f) - a;
}
template <int N>
inline Vec<N>& operator+=(Vec<N>& a, const Vec<N>& b) {
  return a = a + b;
}

#if defined(__AVX512F__)

template <int N>
struct Masks {
  __mmask16 m[N / WIDTH];
};
using Mask = Masks<LANES>;
inline __m512 raw(V a) { return (__m512)a; }
template <int N>
inline Masks<N> operator<(const Vec<N>& a, const Vec<N>& b) {
  Masks<N> r;
  EACH_PART r.m[k] = _mm512_cmp_ps_mask(raw(a.v[k]), raw(b.v[k]), _CMP_LT_OQ);
  return r;
}
template <int N>
inline Masks<N> operator<=(const Vec<N>& a, const Vec<N>& b) {
  Masks<N> r;
  EACH_PART r.m[k] = _mm512_cmp_ps_mask(raw(a.v[k]), raw(b.v[k]), _CMP_LE_OQ);
  return r;
}
template <int N>
inline Masks<N> operator&(Masks<N> a, Masks<N> b) {
  EACH_PART a.m[k] &= b.m[k];
  return a;
}
template <int N>
inline Vec<N> select(Masks<N> m, const Vec<N>& a, const Vec<N>& b) {
  Vec<N> r;
  EACH_PART r.v[k] = (V)_mm512_mask_blend_ps(m.m[k], raw(b.v[k]), raw(a.v[k]));
  return r;
}
template <int N>
inline Vec<N> keep(Masks<N> m, const Vec<N>& a) {
  Vec<N> r;
  EACH_PART r.v[k] = (V)_mm512_maskz_mov_ps(m.m[k], raw(a.v[k]));
  return r;
}
inline Mask occupied(const F& a) {  // Where a bit is set.
  return {_mm512_test_epi32_mask((__m512i)a.v[0], (__m512i)a.v[0])};
}
template <int N>
inline bool all_negative(const Vec<N>& a) {
  int bits = 0xffff;
  EACH_PART bits &= _mm512_movepi32_mask((__m512i)a.v[k]);
  return bits == 0xffff;
}
template <int N>
inline Vec<N> lower(const Vec<N>& a, const Vec<N>& b) {
  Vec<N> r;
  EACH_PART r.v[k] = (V)_mm512_min_ps(raw(a.v[k]), raw(b.v[k]));
  return r;
}
template <int N>
inline Vec<N> upper(const Vec<N>& a, const Vec<N>& b) {
  Vec<N> r;
  EACH_PART r.v[k] = (V)_mm512_max_ps(raw(a.v[k]), raw(b.v[k]));
  return r;
}
inline F root(const F& a) {
  F r;
  r.v[0] = (V)_mm512_sqrt_ps(raw(a.v[0]));
  return r;
}

#else

template <int N>
struct Masks {
  VI v[N / WIDTH];
};
using Mask = Masks<LANES>;
#define COMPARE(op)                                              \
  template <int N>                                               \
  inline Masks<N> operator op(const Vec<N>& a, const Vec<N>& b) { \
    Masks<N> r;                                                   \
    EACH_PART r.v[k] = a.v[k] op b.v[k];                         \
    return r;                                                    \
  }
COMPARE(<)
COMPARE(<=)
#undef COMPARE
template <int N>
inline Masks<N> operator&(const Masks<N>& a, const Masks<N>& b) {
  Masks<N> r;
  EACH_PART r.v[k] = a.v[k] & b.v[k];
  return r;
}
template <int N>
inline Vec<N> select(const Masks<N>& m, const Vec<N>& a, const Vec<N>& b) {
  Vec<N> r;
  EACH_PART r.v[k] = m.v[k] ? a.v[k] : b.v[k];
  return r;
}
template <int N>
inline Vec<N> keep(const Masks<N>& m, const Vec<N>& a) {
  Vec<N> r;
  EACH_PART r.v[k] = (V)(m.v[k] & (VI)a.v[k]);
  return r;
}
inline Mask occupied(const F& a) {  // Where a bit is set.
  Mask r;
  for (int k = 0; k < LANES / WIDTH; ++k) r.v[k] = (VI)a.v[k] != 0;
  return r;
}
inline int signs(V a) {  // One bit a lane.
#if defined(__AVX2__)
  return _mm256_movemask_ps((__m256)a);
#elif defined(__SSE2__)
  return _mm_movemask_ps((__m128)a);
#else
  const VI bits = ((VI)a >> 31) & VI{1, 2, 4, 8};
  return bits[0] | bits[1] | bits[2] | bits[3];
#endif
}
template <int N>
inline bool any(const Masks<N>& m) {
  VI r = m.v[0];
  for (int k = 1; k < N / WIDTH; ++k) r |= m.v[k];
  return signs((V)r);
}
template <int N>
inline bool all_negative(const Vec<N>& a) {
  V r = a.v[0];
  for (int k = 1; k < N / WIDTH; ++k) r = (V)((VI)r & (VI)a.v[k]);
  return signs(r) == (1 << WIDTH) - 1;
}
inline F root(const F& a) {
  F r;
#if defined(__AVX2__)
  for (int k = 0; k < LANES / WIDTH; ++k) r.v[k] = (V)_mm256_sqrt_ps((__m256)a.v[k]);
#elif defined(__SSE2__)
  for (int k = 0; k < LANES / WIDTH; ++k) r.v[k] = (V)_mm_sqrt_ps((__m128)a.v[k]);
#else
  for (int k = 0; k < LANES / WIDTH; ++k)
    for (int i = 0; i < WIDTH; ++i) r.v[k][i] = __builtin_sqrtf(a.v[k][i]);
#endif
  return r;
}
template <int N>
inline Vec<N> lower(const Vec<N>& a, const Vec<N>& b) {
  return select(a < b, a, b);
}
template <int N>
inline Vec<N> upper(const Vec<N>& a, const Vec<N>& b) {
  return select(b < a, a, b);
}

#endif

// Minus its magnitude.
template <int N>
inline Vec<N> negative(const Vec<N>& a) {
  Vec<N> r;
  EACH_PART r.v[k] = (V)((VI)a.v[k] | INT32_MIN);
  return r;
}

// 1 / a, a rounding or two off.
template <int N>
inline Vec<N> reciprocal(const Vec<N>& a) {
  Vec<N> r;
#if defined(__AVX512F__)
  EACH_PART r.v[k] = (V)_mm512_rcp14_ps(raw(a.v[k]));
#elif defined(__AVX2__)
  EACH_PART r.v[k] = (V)_mm256_rcp_ps((__m256)a.v[k]);
#elif defined(__SSE2__)
  EACH_PART r.v[k] = (V)_mm_rcp_ps((__m128)a.v[k]);
#else
  return Vec<N>(1.f) / a;
#endif
  return r * (Vec<N>(2.f) - a * r);
}

// The root of a >= 0, at most a thousandth of itself too large.
inline F root_above(F a) {
  F r;
  a = upper(a, F(1e-12f));
#if defined(__AVX512F__)
  r.v[0] = (V)_mm512_rsqrt14_ps(raw(a.v[0]));
#elif defined(__AVX2__)
  for (int k = 0; k < LANES / WIDTH; ++k) r.v[k] = (V)_mm256_rsqrt_ps((__m256)a.v[k]);
#elif defined(__SSE2__)
  for (int k = 0; k < LANES / WIDTH; ++k) r.v[k] = (V)_mm_rsqrt_ps((__m128)a.v[k]);
#else
  return root(a);
#endif
  return r * (a * F(1.0005f));
}

// 2^x where asked, x <= 126 and not below -100; else 0. An integer part, and a polynomial fitted
// for least relative error (7.5e-8) on [-1/2, 1/2].
template <int N>
[[gnu::always_inline]] inline Vec<N> power_of_two(const Masks<N>& where, const Vec<N>& x) {
  using T = Vec<N>;
#if defined(__AVX512F__)
  T f;
  EACH_PART f.v[k] = (V)_mm512_reduce_ps(raw(x.v[k]), 0);
#else
  const T magic(12582912.f);  // 1.5 * 2^23: adding it leaves round(x) in the low bits.
  const T whole = x + magic, f = x - (whole - magic);
#endif
  T p = T(0.001327642909428887f) * f + T(0.00967554166789721f);
  p = p * f + T(0.05550713412062262f);
  p = p * f + T(0.24022119719948637f);
  p = p * f + T(0.6931469669762582f);
  p = p * f + T(1.0000000716545354f);
#if defined(__AVX512F__)
  EACH_PART {
    const __m512i exponent = _mm512_slli_epi32(_mm512_cvtps_epi32(raw(x.v[k])), 23);
    p.v[k] = (V)_mm512_maskz_add_epi32(where.m[k], (__m512i)p.v[k], exponent);
  }
  return p;
#else
  T r;
  EACH_PART r.v[k] = (V)((VU)p.v[k] + ((VU)whole.v[k] << 23));
  return keep(where, r);
#endif
}

// The logarithm to base 2 of x in [1e-38, 3e38], to 1e-7 of 1: x = m 2^e with m about 1, and
// log m = 2 artanh((m - 1) / (m + 1)).
inline F logarithm_of_two(const F& x) {
  F e, m;
  for (int k = 0; k < LANES / WIDTH; ++k) {
    const VI bits = (VI)x.v[k] - 0x3f3504f3;  // From 1 / sqrt(2) on.
    e.v[k] = __builtin_convertvector(bits >> 23, V);
    m.v[k] = (V)((bits & 0x007fffff) + 0x3f3504f3);
  }
  const F s = (m - F(1.f)) / (m + F(1.f)), q = s * s;
  const F series = ((F(1.f / 7) * q + F(1.f / 5)) * q + F(1.f / 3)) * q + F(1.f);
  return e + F(2.885390082f) * s * series;
}

// 2^n - 1 for n in [0, 8], rounded down.
inline VI ramp(V n) {
#if defined(__AVX2__)
  return (VI{} + 1 << __builtin_convertvector(n, VI)) - 1;
#else  // No shift by lanes: a float with that exponent.
  const VI exponent = (__builtin_convertvector(n, VI) + 127) << 23;
  return __builtin_convertvector((V)exponent, VI) - 1;
#endif
}

// The lanes a[0], a[stride], ... of an array of structures; the last of `count` fills the rest.
inline F strided(const float* p, int stride, int count) {
  alignas(64) float t[LANES];
  for (int i = 0; i < LANES; ++i) t[i] = p[stride * (i < count ? i : count - 1)];
  return load(t);
}

}  // namespace
