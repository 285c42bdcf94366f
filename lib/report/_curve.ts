/**
 * A curve's points made fit to be drawn small.
 */

/** A point; y is missing where nothing was measured. */
export type Point = readonly [x: number, y: number | undefined];

function meanOf(values: readonly (number | undefined)[]): number | undefined {
  const known = values.filter((y) => y !== undefined && Number.isFinite(y)) as number[];
  return known.length === 0 ? undefined : known.reduce((a, b) => a + b, 0) / known.length;
}

/** At most `most` points: neighbours are averaged, so that a long run makes no long file. */
export function thin(points: readonly Point[], most: number): Point[] {
  const size = Math.ceil(points.length / most);
  if (size <= 1) return [...points];
  return Array.from({ length: Math.ceil(points.length / size) }, (_, i) => {
    const part = points.slice(i * size, (i + 1) * size);
    return [meanOf(part.map(([x]) => x))!, meanOf(part.map(([, y]) => y))];
  });
}

/** Mean over a window of `width` points centred at each point (cut at the ends); missing stays missing. */
export function smooth(points: readonly Point[], width: number): Point[] {
  const half = Math.floor(width / 2);
  return points.map(([x, y], i) => [
    x,
    y === undefined || !Number.isFinite(y)
      ? undefined
      : meanOf(points.slice(Math.max(0, i - half), i + half + 1).map(([, other]) => other)),
  ]);
}

/** Points that no line reaches, since both neighbours are missing. */
export function isolated(points: readonly Point[]): Point[] {
  const known = (i: number) => points[i]?.[1] !== undefined && Number.isFinite(points[i][1]);
  return points.filter((_, i) => known(i) && !known(i - 1) && !known(i + 1));
}
