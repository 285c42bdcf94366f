/**
 * Exact numbers as texts: `-1234.5`, `8/3`. Texts of digits, since the numbers may be of any size, and since turning
 * a megabyte of digits into an integer takes more than linear time.
 */

/** Longest exponent that is written out, and most digits that are calculated with. */
const LARGEST = 1000;

/** digits.decimals · 10^exponent without needless zeros; null beyond 1,000 places. */
export function decimalText(digits: string, decimals: string, exponent: number): string | null {
  if (Math.abs(exponent) > LARGEST) return null;
  let whole = digits, rest = decimals;
  if (exponent > 0) {
    rest = rest.padEnd(exponent, "0");
    [whole, rest] = [whole + rest.slice(0, exponent), rest.slice(exponent)];
  } else if (exponent < 0) {
    whole = whole.padStart(1 - exponent, "0");
    [whole, rest] = [whole.slice(0, exponent), whole.slice(exponent) + rest];
  }
  let first = 0, last = rest.length;
  while (first < whole.length - 1 && whole[first] === "0") first++;
  while (last > 0 && rest[last - 1] === "0") last--;
  return last === 0 ? whole.slice(first) : `${whole.slice(first)}.${rest.slice(0, last)}`;
}

/** A fraction as it is written, an integer where it is one; null for a denominator of zero. */
export function fractionText(above: string, below: string): string | null {
  const negative = above.startsWith("-") !== below.startsWith("-");
  const [top, bottom] = [above, below].map((part) => normalized(part.replace(/^-/, "")));
  if (!top || !bottom || bottom === "0") return null;
  const sign = negative && top !== "0" ? "-" : "";
  if (isSmall(top) && isSmall(bottom) && BigInt(top) % BigInt(bottom) === 0n) {
    return sign + String(BigInt(top) / BigInt(bottom));
  }
  return `${sign}${top}/${bottom}`;
}

/**
 * whole + above/below: decimal where it ends within six places, as 1 1/2 = 1.5, since a reader that knows no fractions
 * takes the first digits of `3/2`; otherwise a fraction, as 2 2/3 = 8/3.
 */
export function mixedText(whole: string, above: string, below: string): string | null {
  if (![whole, above, below].every(isSmall) || BigInt(below) === 0n) return null;
  const bottom = BigInt(below), top = BigInt(whole) * bottom + BigInt(above);
  if (1_000_000n % bottom !== 0n) return fractionText(String(top), below);
  return decimalText(String(top * (1_000_000n / bottom)), "", -6);
}

/** base^exponent of integers, up to 1,000 digits; a power of ten may have a negative exponent. */
export function powerText(base: string, exponent: number): string | null {
  if (base === "10") return decimalText("1", "", exponent);
  if (exponent < 0 || base.length * exponent > LARGEST) return null;
  return String(BigInt(base) ** BigInt(exponent));
}

/** value · 10^places. */
export function scaledText(value: string, places: number): string | null {
  const [above = "", below] = value.split("/");
  const [whole = "", decimals = ""] = above.split(".");
  const top = decimalText(whole, decimals, places);
  return top === null || below === undefined ? top : fractionText(top, below);
}

function normalized(decimal: string): string | null {
  const [whole = "", decimals = ""] = decimal.split(".");
  return decimalText(whole || "0", decimals, 0);
}

function isSmall(digits: string): boolean {
  return digits.length <= LARGEST && /^\d+$/.test(digits);
}
