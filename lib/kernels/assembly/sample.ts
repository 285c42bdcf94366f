// AssemblyScript of ../sample.ts: one row of logits at a time, temperature applied in place.
import { exp1, exp4, max4, sum4 } from "./simd";

/** Orders float32 as unsigned integers: greater number, greater key. */
// @ts-ignore: decorator
@inline
function keyOf(x: f32): u32 {
  const bits = reinterpret<u32>(x);
  return bits >> 31 ? ~bits : bits | 0x80000000;
}

// @ts-ignore: decorator
@inline
function floatOf(key: u32): f32 {
  return reinterpret<f32>(key >> 31 ? key & 0x7fffffff : ~key);
}

/** Uniform number in [0, 1) of a stream and a counter: two rounds of a 32-bit mixing function. */
function uniform(stream: u32, counter: u32): f32 {
  let h = stream ^ (counter * 0x9e3779b9);
  h ^= h >> 16;
  h *= 0x21f0aaad;
  h ^= h >> 15;
  h *= 0x735a2d97;
  h ^= h >> 15;
  h += stream * 0x85ebca6b;
  h ^= h >> 16;
  h *= 0x21f0aaad;
  h ^= h >> 15;
  h *= 0x735a2d97;
  h ^= h >> 15;
  return <f32>(h >> 8) / <f32>16777216;
}

function count(z: usize, v: i32, limit: f32): i32 {
  const whole = v & ~3, limit4 = f32x4.splat(limit);
  let total = i32x4.splat(0), n = 0;
  for (let i = 0; i < whole; i += 4) total = i32x4.sub(total, f32x4.ge(v128.load(z + (<usize>i << 2)), limit4));
  for (let i = whole; i < v; i++) n += i32(load<f32>(z + (<usize>i << 2)) >= limit);
  return n + i32x4.extract_lane(total, 0) + i32x4.extract_lane(total, 1) + i32x4.extract_lane(total, 2) +
    i32x4.extract_lane(total, 3);
}

/** Σ e^(z − top) over z ≥ limit. */
function mass(z: usize, v: i32, top: f32, limit: f32): f32 {
  const whole = v & ~3, limit4 = f32x4.splat(limit), top4 = f32x4.splat(top);
  let total = f32x4.splat(0), tail: f32 = 0;
  for (let i = 0; i < whole; i += 4) {
    const x = v128.load(z + (<usize>i << 2));
    total = f32x4.add(total, v128.and(exp4(f32x4.sub(x, top4)), f32x4.ge(x, limit4)));
  }
  for (let i = whole; i < v; i++) {
    const x = load<f32>(z + (<usize>i << 2));
    if (x >= limit) tail += exp1(x - top);
  }
  return sum4(total) + tail;
}

/** Samples one id a row; −1 where a logit is NaN or +∞, or all are −∞. streams and counters: u32 a row. top_k 0 and top_p 1 switch the filters off. Rows are `stride` apart, their first v logits are drawn from. */
export function sample(
  logits: usize, streams: usize, counters: usize, ids: usize, rows: i32, stride: i32, v: i32,
  inverseTemperature: f32, topK: i32, topP: f32,
): void {
  for (let r = 0; r < rows; r++) {
    const z = logits + (<usize>r * <usize>stride << 2);
    const whole = v & ~3;
    let top4 = f32x4.splat(-3.4e38), top: f32 = -3.4e38;
    for (let i = 0; i < whole; i += 4) top4 = f32x4.max(top4, v128.load(z + (<usize>i << 2)));
    for (let i = whole; i < v; i++) top = max(top, load<f32>(z + (<usize>i << 2)));
    top = max(top, max4(top4));
    let chosen = 0;
    // max hands a NaN on; nothing above the start means that all are −∞.
    if (!(top > -3.4e38 && top < Infinity)) {
      store<i32>(ids + (<usize>r << 2), -1);
      continue;
    }
    if (inverseTemperature == 0) {
      while (chosen < v - 1 && load<f32>(z + (<usize>chosen << 2)) != top) chosen++;
      store<i32>(ids + (<usize>r << 2), chosen);
      continue;
    }
    const scale4 = f32x4.splat(inverseTemperature);
    for (let i = 0; i < whole; i += 4) {
      v128.store(z + (<usize>i << 2), f32x4.mul(v128.load(z + (<usize>i << 2)), scale4));
    }
    for (let i = whole; i < v; i++) {
      store<f32>(z + (<usize>i << 2), load<f32>(z + (<usize>i << 2)) * inverseTemperature);
    }
    top *= inverseTemperature;
    let limit: f32 = -3.4e38;
    if (topK > 0 && topK < v) {
      let low: u32 = 0, high: u32 = keyOf(top); // the largest key that at least topK values reach
      while (low < high) {
        const middle = low + ((high - low) >> 1) + ((high - low) & 1);
        if (count(z, v, floatOf(middle)) >= topK) low = middle;
        else high = middle - 1;
      }
      limit = floatOf(low);
    }
    if (topP < 1) {
      const wanted: f32 = topP * mass(z, v, top, limit);
      let low = keyOf(limit), high = keyOf(top); // the largest key whose mass reaches topP
      while (low < high) {
        const middle = low + ((high - low) >> 1) + ((high - low) & 1);
        if (mass(z, v, top, floatOf(middle)) >= wanted) low = middle;
        else high = middle - 1;
      }
      limit = floatOf(low);
    }
    const target: f32 = uniform(load<u32>(streams + (<usize>r << 2)), load<u32>(counters + (<usize>r << 2))) *
      mass(z, v, top, limit);
    let passed: f32 = 0;
    chosen = -1;
    for (let i = 0; i < v; i++) {
      const x = load<f32>(z + (<usize>i << 2));
      if (x < limit) continue;
      chosen = i;
      passed += exp1(x - top);
      if (passed > target) break;
    }
    store<i32>(ids + (<usize>r << 2), chosen);
  }
}
