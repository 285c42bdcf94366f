/** A number with so many digits after the point; one that is 0 by then has no sign: "0.000", not "-0.000". */
export function fixed(value: number, digits: number): string {
  const text = value.toFixed(digits);
  return /^-0(\.0*)?$/.test(text) ? text.slice(1) : text;
}
