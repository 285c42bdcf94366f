import type { CpuDevice } from "../backend/device.ts";
import bias from "./built/bias.wasm.ts";

/** A kernel, and what it does with each row of its work. */
export interface Rows {
  /** Text of its module, and its name. */
  readonly kernel: readonly [text: string, name: string];
  /** How many there are: rows of a matrix, or elements. */
  readonly rows: number;
  /** Nanoseconds that one takes, about. */
  readonly each: number;
  /** What parts are multiples of, where a kernel takes elements four at a time and sums the rest otherwise. Default 1. */
  readonly step?: number;
  /** What it needs of its thread's scratch. Default 0. */
  readonly scratchBytes?: number;
}

/** Nanoseconds of work that are worth a second thread, several times what handing it over takes. */
const WORTH = 40_000;
/** Parts for each thread, so that one that comes late or is held up leaves its share to the others. */
const PARTS = 3;

/**
 * Calls a kernel that treats rows one by one, each as it would alone: once for all of them, or for parts of them on all
 * threads.
 *
 * @param values its arguments for `count` rows from row `from` on
 */
export function overRows(
  { threads }: CpuDevice,
  { kernel: [text, name], rows, each, step = 1, scratchBytes = 0 }: Rows,
  values: (from: number, count: number) => number[],
): void {
  if (rows === 0) return;
  const alone = threads.count === 1 || rows * each < WORTH;
  if (alone && scratchBytes === 0) {
    threads.module(text)[name]!(...values(0, rows));
    return;
  }
  const kernel = threads.kernel(text, name);
  const parts = alone ? 1 : Math.min(threads.count * PARTS, rows * each / (WORTH / 4));
  const size = Math.ceil(rows / parts / step) * step;
  (alone ? threads.alone : threads.run)(scratchBytes, (job) => {
    for (let from = 0; from < rows; from += size) {
      job.unit();
      job.call(kernel, ...values(from, Math.min(size, rows - from)));
    }
  });
}

/** Numbers that a kernel adds up over all rows: the gradient of a weight. */
export interface Sums {
  /** Where they lie; 0 where they are not wanted. */
  readonly at: number;
  /** How many they are. */
  readonly width: number;
}

/** Rows whose sums are taken by themselves: the same for any number of threads, and so is what comes out. */
const SUMMED_ROWS = 256;

/**
 * {@linkcode overRows} for a kernel that besides adds to sums over all rows: those of every 256 rows are summed apart,
 * then added in order.
 *
 * @param values as there; `sums` is where this part adds to, in the order of `sums`, 0 where they are not wanted
 */
export function overSummedRows(
  device: CpuDevice,
  { kernel, rows, each, sums }: Rows & { readonly sums: readonly Sums[] },
  values: (from: number, count: number, sums: readonly number[]) => number[],
): void {
  if (sums.every(({ at }) => at === 0)) {
    return overRows(device, { kernel, rows, each }, (from, count) => values(from, count, sums.map(() => 0)));
  }
  const { threads, memory } = device, parts = Math.ceil(rows / SUMMED_ROWS);
  if (parts <= 1) {
    if (rows > 0) threads.module(kernel[0])[kernel[1]]!(...values(0, rows, sums.map(({ at }) => at)));
    return;
  }
  const floats = parts * sums.reduce((total, { at, width }) => total + (at === 0 ? 0 : width), 0);
  const partial = device.allocate(4 * floats);
  try {
    new Float32Array(memory.buffer, partial, floats).fill(0);
    let next = partial;
    const starts = sums.map(({ at, width }) =>
      at === 0 ? 0 : (next += 4 * parts * width) - 4 * parts * width
    );
    const number = threads.kernel(...kernel);
    threads.run(0, (job) => {
      for (let part = 0; part < parts; part++) {
        const from = part * SUMMED_ROWS, count = Math.min(SUMMED_ROWS, rows - from);
        job.unit();
        const own = starts.map((start, i) => start === 0 ? 0 : start + 4 * part * sums[i]!.width);
        job.call(number, ...values(from, count, own));
      }
    });
    const { addColumnSums } = threads.module(bias);
    sums.forEach(({ at, width }, i) => at !== 0 && addColumnSums!(starts[i]!, at, parts, width));
  } finally {
    device.free(partial);
  }
}
