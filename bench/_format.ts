/** How numbers of a page are written. */

/** A number with as many digits as one reads. */
export function group(value: number): string {
  const digits = value < 10 ? 2 : value < 100 ? 1 : 0;
  return value.toLocaleString("en", { maximumFractionDigits: digits });
}

/** Bytes in MiB; nothing where there is no number. */
export function megabytes(bytes: number | undefined): string {
  return bytes === undefined ? "" : `${group(bytes / 2 ** 20)} MiB`;
}

/** A time in the unit that suits it. */
export function duration(nanoseconds: number): string {
  if (nanoseconds < 1e6) return `${group(nanoseconds / 1e3)} µs`;
  return nanoseconds < 1e9 ? `${group(nanoseconds / 1e6)} ms` : `${group(nanoseconds / 1e9)} s`;
}
