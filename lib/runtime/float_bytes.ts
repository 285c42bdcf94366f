/**
 * Little-endian bytes of the three floating-point kinds that weights are kept in, to float32 and back.
 *
 * Widening is exact; narrowing rounds to the nearest, ties to even. Both work on bits, so a NaN keeps its payload and
 * what was widened comes back as it was.
 */

/** The kinds of numbers that can be weights. */
export type FloatDtype = "F32" | "F16" | "BF16";

/** Bytes of one number of each kind. */
export const floatBytes: Readonly<Record<FloatDtype, number>> = { F32: 4, F16: 2, BF16: 2 };

/** Widens `bytes` into `target`, which has as many elements; `bytes` may begin at any offset of its buffer. */
export function widen(bytes: Uint8Array, dtype: FloatDtype, target: Float32Array): void {
  if (dtype === "F32") {
    new Uint8Array(target.buffer, target.byteOffset, target.byteLength).set(bytes);
    return;
  }
  const from = aligned(bytes);
  const to = new Uint32Array(target.buffer, target.byteOffset, target.length);
  if (dtype === "BF16") {
    for (let i = 0; i < to.length; i++) to[i] = from[i]! << 16;
  } else {
    const table = halfTable();
    for (let i = 0; i < to.length; i++) to[i] = table[from[i]!]!;
  }
}

/** From where on numbers of a kind round to infinity: halfway from its largest to what would come next. */
const overflows: Readonly<Record<FloatDtype, number>> = {
  F32: Infinity,
  F16: 65520,
  BF16: (2 - 2 ** -8) * 2 ** 127,
};

/** The first number that would become infinite when narrowed; undefined where none would. */
export function overflowing(values: Float32Array, dtype: FloatDtype): number | undefined {
  const from = overflows[dtype];
  if (dtype === "F32") return undefined;
  return values.find((value) => (value >= from || value <= -from) && Number.isFinite(value));
}

/** Narrows numbers to bytes of a kind; F32 gives a view of the same memory. */
export function narrow(values: Float32Array, dtype: FloatDtype): Uint8Array {
  if (dtype === "F32") return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  const from = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const to = new Uint16Array(values.length);
  // Two loops: one that calls either function is not inlined and takes five times as long for BF16.
  if (dtype === "BF16") { for (let i = 0; i < to.length; i++) to[i] = toBfloat16(from[i]!); }
  else for (let i = 0; i < to.length; i++) to[i] = toHalf(from[i]!);
  return new Uint8Array(to.buffer);
}

function aligned(bytes: Uint8Array): Uint16Array {
  const whole = bytes.byteOffset % 2 === 0 ? bytes : bytes.slice();
  return new Uint16Array(whole.buffer, whole.byteOffset, whole.byteLength / 2);
}

function toBfloat16(bits: number): number {
  const high = bits >>> 16;
  // A NaN whose payload sits in the low half must not become an infinity.
  if ((bits & 0x7fffffff) > 0x7f800000) return (high & 0x7f) === 0 ? high | 0x40 : high;
  return (bits + 0x7fff + (high & 1)) >>> 16;
}

function toHalf(bits: number): number {
  const sign = (bits >>> 16) & 0x8000, magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7c00 | (((magnitude >>> 13) & 0x3ff) || 0x200);
  // From 65520 on, halfway to what would be the next number, everything rounds to infinity.
  if (magnitude >= 0x477ff000) return sign | 0x7c00;
  if (magnitude >= 0x38800000) {
    // Exponent bias 127 becomes 15; a carry out of the fraction rightly raises the exponent.
    return sign | ((magnitude - 0x38000000 + 0xfff + ((magnitude >>> 13) & 1)) >>> 13);
  }
  // Subnormal: a multiple of 2^-24. Below or at half of the smallest, zero.
  if (magnitude <= 0x33000000) return sign;
  const fraction = (magnitude & 0x7fffff) | 0x800000;
  const shift = 126 - (magnitude >>> 23);
  const kept = fraction >>> shift, rest = fraction & ((1 << shift) - 1), half = 1 << (shift - 1);
  return sign | (kept + (rest > half || (rest === half && (kept & 1) === 1) ? 1 : 0));
}

let table: Uint32Array | undefined;

/** The float32 bits of each of the 65,536 halves: 256 KiB, and faster than working each out. */
function halfTable(): Uint32Array {
  if (table) return table;
  table = new Uint32Array(65536);
  const value = new Float32Array(1), bits = new Uint32Array(value.buffer);
  for (let half = 0; half < 65536; half++) {
    const sign = (half & 0x8000) << 16, exponent = (half >>> 10) & 31, fraction = half & 0x3ff;
    if (exponent === 31) bits[0] = 0x7f800000 | (fraction << 13);
    else if (exponent === 0) value[0] = fraction * 2 ** -24;
    else bits[0] = ((exponent + 112) << 23) | (fraction << 13);
    table[half] = bits[0]! | sign;
  }
  return table;
}
