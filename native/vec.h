// Sixteen float lanes on whatever vector width the instruction set has (16, 8 or 4).
// Everything here is in an anonymous namespace: each kernel file is compiled once per instruction
// set, and the linker must never replace one set's code by another's.
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
constexpr int LANES = 16, PARTS = LANES / WIDTH;

typedef float V __attribute__((vector_size(4 * WIDTH)));
typedef int32_t VI __attribute__((vector_size(4 * WIDTH)));

#define EACH_PART for (int k = 0; k < PARTS; ++k)

struct F {
  V v[PARTS];
  F() = default;
  F(float s) { EACH_PART v[k] = s - V{}; }  // s + 0 would not do: it turns -0 into 0.
};

inline F load(const float* p) {
  F r;
  std::memcpy(&r, p, sizeof r);
  return r;
}

inline void store(float* p, const F& a) { std::memcpy(p, &a, sizeof a); }

// The lanes a[0], a[stride], ... of an array of structures; the last of `count` fills the rest.
inline F strided(const float* p, int stride, int count) {
  alignas(64) float t[LANES];
  for (int i = 0; i < LANES; ++i) t[i] = p[stride * (i < count ? i : count - 1)];
  return load(t);
}

#define BINARY(op)                                  \
  inline F operator op(const F& a, const F& b) {    \
    F r;                                            \
    EACH_PART r.v[k] = a.v[k] op b.v[k];            \
    return r;                                       \
  }
BINARY(+)
BINARY(-)
BINARY(*)
BINARY(/)
#undef BINARY
inline F operator-(const F& a) { return F(0.f) - a; }
inline F& operator+=(F& a, const F& b) { return a = a + b; }

#if defined(__AVX512F__)

struct Mask {
  __mmask16 m;
};
inline __m512 raw(const F& a) { return (__m512)a.v[0]; }
inline F cooked(__m512 a) {
  F r;
  r.v[0] = (V)a;
  return r;
}
inline Mask operator<(const F& a, const F& b) {
  return {_mm512_cmp_ps_mask(raw(a), raw(b), _CMP_LT_OQ)};
}
inline Mask operator<=(const F& a, const F& b) {
  return {_mm512_cmp_ps_mask(raw(a), raw(b), _CMP_LE_OQ)};
}
inline Mask operator&(Mask a, Mask b) { return {__mmask16(a.m & b.m)}; }
inline F select(Mask m, const F& a, const F& b) {
  return cooked(_mm512_mask_blend_ps(m.m, raw(b), raw(a)));
}
inline bool any(Mask m) { return m.m; }
inline F lower(const F& a, const F& b) { return cooked(_mm512_min_ps(raw(a), raw(b))); }
inline F upper(const F& a, const F& b) { return cooked(_mm512_max_ps(raw(a), raw(b))); }
inline F root(const F& a) { return cooked(_mm512_sqrt_ps(raw(a))); }

#else

struct Mask {
  VI v[PARTS];
};
#define COMPARE(op)                                    \
  inline Mask operator op(const F& a, const F& b) {    \
    Mask r;                                            \
    EACH_PART r.v[k] = a.v[k] op b.v[k];               \
    return r;                                          \
  }
COMPARE(<)
COMPARE(<=)
#undef COMPARE
inline Mask operator&(const Mask& a, const Mask& b) {
  Mask r;
  EACH_PART r.v[k] = a.v[k] & b.v[k];
  return r;
}
inline F select(const Mask& m, const F& a, const F& b) {
  F r;
  EACH_PART r.v[k] = m.v[k] ? a.v[k] : b.v[k];
  return r;
}
inline bool any(const Mask& m) {
  VI r = m.v[0];
  for (int k = 1; k < PARTS; ++k) r |= m.v[k];
#if defined(__AVX2__)
  return _mm256_movemask_ps((__m256)r);
#elif defined(__SSE2__)
  return _mm_movemask_ps((__m128)r);
#else
  int32_t bits = 0;
  for (int i = 0; i < WIDTH; ++i) bits |= r[i];
  return bits;
#endif
}
inline F root(const F& a) {
  alignas(64) float t[LANES];
  store(t, a);
  for (int i = 0; i < LANES; ++i) t[i] = __builtin_sqrtf(t[i]);
  return load(t);
}
inline F lower(const F& a, const F& b) { return select(a < b, a, b); }
inline F upper(const F& a, const F& b) { return select(b < a, a, b); }

#endif

inline F minus_magnitude(const F& a) {
  F r;
  EACH_PART r.v[k] = (V)((VI)a.v[k] | INT32_MIN);
  return r;
}

// 2^x for x <= 126; below -64 it is 2^-64, for products with denormals are slow. Rounds to
// an integer, then a polynomial fitted for least relative error (7.5e-8) on [-1/2, 1/2].
inline F power_of_two(F x) {
  x = upper(x, F(-64.f));
  const F magic(12582912.f);  // 1.5 * 2^23: adding it leaves round(x) in the low bits.
  F t = x + magic, f = x - (t - magic);
  F p = F(0.001327642909428887f) * f + F(0.00967554166789721f);
  p = p * f + F(0.05550713412062262f);
  p = p * f + F(0.24022119719948637f);
  p = p * f + F(0.6931469669762582f);
  p = p * f + F(1.0000000716545354f);
  F r;
  EACH_PART r.v[k] = (V)((VI)p.v[k] + ((VI)t.v[k] << 23));
  return r;
}

// The natural logarithm of x in [1e-38, 3e38], to 1e-7 of 1: x = m 2^e with m about 1, and
// log m = 2 artanh((m - 1) / (m + 1)).
inline F logarithm(const F& x) {
  F e, m;
  EACH_PART {
    const VI bits = (VI)x.v[k] - 0x3f3504f3;  // From 1 / sqrt(2) on.
    e.v[k] = __builtin_convertvector(bits >> 23, V);
    m.v[k] = (V)((bits & 0x007fffff) + 0x3f3504f3);
  }
  const F s = (m - F(1.f)) / (m + F(1.f)), q = s * s;
  const F series = ((F(1.f / 7) * q + F(1.f / 5)) * q + F(1.f / 3)) * q + F(1.f);
  return F(0.693147181f) * e + F(2.f) * s * series;
}

// The low byte of 2^n - 1 for n in [0, 8], n rounded down; its complement in the first eight lanes.
inline void ramps(const F& n, uint8_t* out) {
  alignas(64) static const int32_t flip[LANES] = {-1, -1, -1, -1, -1, -1, -1, -1};
#if defined(__AVX512F__)
  const __m512i ones = _mm512_set1_epi32(1);
  const __m512i power = _mm512_sllv_epi32(ones, _mm512_cvttps_epi32(raw(n)));
  const __m512i bits = _mm512_xor_si512(_mm512_sub_epi32(power, ones), _mm512_load_si512(flip));
  _mm_storeu_si128((__m128i*)out, _mm512_cvtepi32_epi8(bits));
#else
  alignas(64) float t[LANES];
  store(t, n);
  for (int i = 0; i < LANES; ++i) out[i] = uint8_t(((1 << int(t[i])) - 1) ^ flip[i]);
#endif
}

#if defined(__clang__) || __GNUC__ >= 12
#define SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#endif
#if defined(__AVX512F__)
inline V evens(V a, V b) {
  return SHUFFLE(a, b, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
}
inline V odds(V a, V b) {
  return SHUFFLE(a, b, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
}
#elif defined(__AVX2__)
inline V evens(V a, V b) { return SHUFFLE(a, b, 0, 2, 4, 6, 8, 10, 12, 14); }
inline V odds(V a, V b) { return SHUFFLE(a, b, 1, 3, 5, 7, 9, 11, 13, 15); }
#else
inline V evens(V a, V b) { return SHUFFLE(a, b, 0, 2, 4, 6); }
inline V odds(V a, V b) { return SHUFFLE(a, b, 1, 3, 5, 7); }
#endif

// out[i] = sum over the lanes of a[i], for i < WIDTH: log2(WIDTH) rounds of pairwise sums.
inline void sum_lanes(const F* a, float* out) {
  V t[WIDTH];
  for (int i = 0; i < WIDTH; ++i) {
    t[i] = a[i].v[0];
    for (int k = 1; k < PARTS; ++k) t[i] += a[i].v[k];
  }
  for (int n = WIDTH / 2; n; n /= 2)
    for (int i = 0; i < n; ++i) t[i] = evens(t[2 * i], t[2 * i + 1]) + odds(t[2 * i], t[2 * i + 1]);
  std::memcpy(out, t, sizeof(V));
}

}  // namespace
