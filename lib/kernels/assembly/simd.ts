// AssemblyScript shared by the kernels of this folder: sums of lanes and exponentials, four floats at a time.

/** The sum of the four lanes. */
// @ts-ignore: decorator
@inline
export function sum4(v: v128): f32 {
  return (f32x4.extract_lane(v, 0) + f32x4.extract_lane(v, 1)) + (f32x4.extract_lane(v, 2) + f32x4.extract_lane(v, 3));
}

/** The largest of the four lanes. */
// @ts-ignore: decorator
@inline
export function max4(v: v128): f32 {
  return max(max(f32x4.extract_lane(v, 0), f32x4.extract_lane(v, 1)), max(f32x4.extract_lane(v, 2), f32x4.extract_lane(v, 3)));
}

/**
 * e^x in four lanes, within 2 units in the last place for −87.3 ≤ x ≤ 88; 0 below, where float32 would be subnormal.
 * Range reduction by log 2 in two parts, then the degree-6 polynomial of Cephes' expf.
 *
 * Only what is one instruction on x86 and ARM alike: pmin and pmax, which keep NaN in their first operand, and adding
 * 1.5·2²³, which rounds and leaves the integer in the low bits. With min, max, nearest and trunc_sat it took
 * 13 ns, so it takes 8.6.
 */
// @ts-ignore: decorator
@inline
export function exp4(x: v128): v128 {
  const low = f32x4.splat(-87.33654), magic = f32x4.splat(12582912);
  const c = f32x4.pmin(f32x4.pmax(x, low), f32x4.splat(88.37626));
  const t = f32x4.add(f32x4.mul(c, f32x4.splat(1.44269504088896341)), magic);
  const n = f32x4.sub(t, magic);
  let r = f32x4.sub(c, f32x4.mul(n, f32x4.splat(0.693359375)));
  r = f32x4.add(r, f32x4.mul(n, f32x4.splat(2.12194440e-4)));
  let p = f32x4.splat(1.9875691500e-4);
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(1.3981999507e-3));
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(8.3334519073e-3));
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(4.1665795894e-2));
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(1.6666665459e-1));
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(5.0000001201e-1));
  p = f32x4.add(f32x4.add(f32x4.mul(p, f32x4.mul(r, r)), r), f32x4.splat(1));
  const power = i32x4.shl(i32x4.add(t, i32x4.splat(127)), 23);
  return v128.andnot(f32x4.mul(p, power), f32x4.lt(x, low));
}

// What power4 needs: 1.5·2²³, which rounds when it is added and leaves the integer in the low bits, and a minimax
// polynomial of 2^r on [−½, ½].
// @ts-ignore: decorator
@inline
export const LOG2E: f32 = 1.4426950408889634;
// @ts-ignore: decorator
@inline
export const MAGIC: f32 = 12582912;
// @ts-ignore: decorator
@inline
export const C5: f32 = 1.3264727176893725e-3;
// @ts-ignore: decorator
@inline
export const C4: f32 = 9.671512650064154e-3;
// @ts-ignore: decorator
@inline
export const C3: f32 = 5.5507337433075635e-2;
// @ts-ignore: decorator
@inline
export const C2: f32 = 0.24022242085148215;
// @ts-ignore: decorator
@inline
export const C1: f32 = 0.6931469775991476;

/**
 * 2^x in four lanes for x up to 127, within 2 units in the last place; below −126, 2^−126.
 *
 * Its constants are arguments (low = −126, one = 1), since V8 builds a 128-bit constant anew at each use: a caller makes
 * each once, as `f32x4.splat(C5 * unit)` with an exported `unit` of 1 whose value no compiler knows. A vector takes
 * 2.7 ns then, 4.9 with constants in place, 8.6 with exp4.
 */
// @ts-ignore: decorator
@inline
export function power4(
  x: v128, low: v128, magic: v128, c5: v128, c4: v128, c3: v128, c2: v128, c1: v128, one: v128,
): v128 {
  const c = f32x4.pmax(x, low);
  const t = f32x4.add(c, magic);
  const r = f32x4.sub(c, f32x4.sub(t, magic));
  let p = f32x4.add(f32x4.mul(c5, r), c4);
  p = f32x4.add(f32x4.mul(p, r), c3);
  p = f32x4.add(f32x4.mul(p, r), c2);
  p = f32x4.add(f32x4.mul(p, r), c1);
  p = f32x4.add(f32x4.mul(p, r), one);
  return i32x4.add(p, i32x4.shl(t, 23));
}

/** e^x of one number, with the accuracy of exp4. */
// @ts-ignore: decorator
@inline
export function exp1(x: f32): f32 {
  return f32x4.extract_lane(exp4(f32x4.splat(x)), 0);
}
