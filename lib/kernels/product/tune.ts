/**
 * Measures how products are best cut on the adapter that is there, for a few seconds. What is chosen has been compared
 * with the product that is built in, and was faster.
 */

import type { Tensor, WebgpuDevice } from "../../backend/device.ts";
import { empty, read, upload } from "../../backend/tensors.ts";
import { awake } from "../../runtime/gpu.ts";
import { timeLaunches } from "./_launch_clock.ts";
import { gemm } from "./_gemm.ts";
import { partsAlongK } from "./_split_sums.ts";
import {
  type Cut,
  cutsInUse,
  fills,
  plainTile,
  type ProductKind,
  productKinds,
  type ProductSizes,
  type Tile,
  useCuts,
} from "./tiles.ts";

/** What was found for one kind of product. */
export interface TunedKind {
  /** How it is to be cut. */
  readonly cut: Cut;
  /** Milliseconds of the typical product as it is built in, and so. */
  readonly before: number;
  /** The second of these. */
  readonly after: number;
}

/** How long to measure. */
export interface TuneOptions {
  /** Seconds after which nothing more is begun: a kind that was not reached stays as it is built in. */
  readonly seconds: number;
  /** Ends it. */
  readonly signal?: AbortSignal | undefined;
}

/** What was found, and which kinds were not reached. */
export interface Tuning {
  /** By the names of kinds: those that are faster cut otherwise than is built in. */
  readonly kinds: ReadonlyMap<string, TunedKind>;
  /** Names of kinds for which the time was not enough. */
  readonly left: readonly string[];
}

/** By how much another cut must be faster, so that noise does not choose. */
const GAIN = 1.05;

/** Rounds in which what is compared takes turns; the least time of each counts. */
const ROUNDS = 5;

/** Milliseconds of launches of one product that are timed together, and most of them. */
const TOGETHER = 2, MOST_CALLS = 32;

/** A cut is left out of further rounds when it takes so many times as long as the best. */
const HOPELESS = 1.5;

/**
 * Largest difference from the product that is built in, by the largest number of it: sums of float32 in another order
 * differ by a few units of 2⁻²⁴ times the square root of their length.
 */
const TOLERANCE = 1e-5;

/** Measures; what was in use on the device before is in use again afterwards. */
export async function tuneProducts(device: WebgpuDevice, options: TuneOptions): Promise<Tuning> {
  const { seconds, signal } = options, until = performance.now() + 1000 * seconds;
  const kinds = new Map<string, TunedKind>(), left: string[] = [], before = cutsInUse(device);
  try {
    for (const [i, kind] of productKinds.entries()) {
      signal?.throwIfAborted();
      const now = performance.now(), share = now + (until - now) / (productKinds.length - i);
      if (now >= until) left.push(kind.name);
      else {
        const found = await tuneKind(device, kind, { until: share, signal });
        if (found) kinds.set(kind.name, found);
      }
    }
  } finally {
    useCuts(device, before);
  }
  return { kinds, left };
}

interface Until {
  readonly until: number;
  readonly signal?: AbortSignal | undefined;
}

/** A cut with the least time that it took. */
interface Timed {
  readonly cut: Cut;
  least: number;
}

async function tuneKind(device: WebgpuDevice, kind: ProductKind, end: Until): Promise<TunedKind | undefined> {
  const sizes = kind.typical(device.isCpu), { m, n } = sizes;
  using product = new Product(device, sizes);
  const plain: Timed = { cut: { ...plainTile(device, m, n), fill: 0 }, least: Infinity };
  const use = (cut: Cut) => useCuts(device, new Map([[kind.name, cut]]));
  const time = async (one: Timed, calls: number) => {
    use(one.cut);
    one.least = Math.min(one.least, await timeLaunches(device, () => product.run(), calls));
  };
  use(plain.cut);
  product.run(); // compiled, and the clock of an adapter that slept
  for (let round = 0; round < 2; round++) await time(plain, 1);
  const calls = Math.max(1, Math.min(MOST_CALLS, Math.ceil(TOGETHER / plain.least)));
  const inTime = () => performance.now() < end.until;
  /** The fastest of some, each tried once and then in turns; those that fail are left out. */
  const best = async (cuts: readonly Cut[], known: Timed): Promise<Timed> => {
    let all = [known];
    for (const cut of cuts) {
      end.signal?.throwIfAborted();
      if (!inTime()) break;
      const one: Timed = { cut, least: Infinity };
      if (await works(device, () => (use(cut), product.run()))) {
        for (let round = 0; round < 2; round++) await time(one, 1); // one alone may have been held up
        all.push(one);
      }
    }
    for (let round = 0; round < ROUNDS; round++) {
      const least = Math.min(...all.map((one) => one.least));
      all = all.filter((one) => one.least <= HOPELESS * least);
      for (const one of all) await time(one, calls);
      end.signal?.throwIfAborted();
    }
    return all.reduce((a, b) => b.least < a.least ? b : a);
  };
  const others = kind.tiles.filter((tile) => !sameTile(tile, plain.cut)).map((tile) => ({
    ...tile,
    fill: 0,
  }));
  const tile = await best(others, plain);
  const seen = new Set([1]);
  const splits = fills.map((fill) => ({ ...tile.cut, fill })).filter((cut) => {
    const { parts } = partsAlongK(device, sizes, cut);
    return !seen.has(parts) && seen.add(parts);
  });
  const cut = await best(splits, tile);
  if (cut !== plain) await time(plain, calls); // beside it once more
  if (cut.least * GAIN > plain.least || !await agrees(device, kind, cut.cut)) return undefined;
  return { cut: cut.cut, before: plain.least, after: cut.least };
}

function sameTile(a: Tile, b: Tile): boolean {
  return a.tileM === b.tileM && a.tileN === b.tileN && a.blockM === b.blockM && a.blockN === b.blockN;
}

/** Whether the device runs something without an error, which is told of here and nowhere else. */
async function works(device: WebgpuDevice, run: () => void): Promise<boolean> {
  const { gpu } = device, kinds = ["validation", "internal", "out-of-memory"] as const;
  device.submit();
  for (const kind of kinds) gpu.pushErrorScope(kind);
  run();
  device.submit();
  const errors = await awake(Promise.all(kinds.map(() => gpu.popErrorScope())));
  return errors.every((error) => error === null);
}

/**
 * Whether products of a kind cut so are those that are built in, within the tolerance: sides that are a multiple of 4 and
 * that are none, set, added to and with a bias.
 */
export async function agrees(device: WebgpuDevice, kind: ProductKind, cut: Cut): Promise<boolean> {
  const before = cutsInUse(device), typical = kind.typical(true);
  try {
    for (const odd of [0, 1]) {
      const sizes = { ...typical, k: typical.k + odd, m: Math.max(1, typical.m - odd), n: typical.n - odd };
      using product = new Product(device, sizes);
      for (const epilogue of odd ? ["set"] as const : ["set", "add", "bias"] as const) {
        useCuts(device, new Map());
        const want = await product.values(epilogue);
        useCuts(device, new Map([[kind.name, cut]]));
        if (!await works(device, () => product.run(epilogue))) return false;
        const have = await product.values(epilogue);
        const largest = want.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
        // A number that is none compares with nothing, so it is asked whether all are near.
        if (!have.every((value, i) => Math.abs(value - want[i]!) <= TOLERANCE * largest)) return false;
      }
    }
    return true;
  } finally {
    useCuts(device, before);
  }
}

/** A product of numbers between −1 and 1 that are the same every time. */
class Product implements Disposable {
  readonly #tensors: { readonly a: Tensor; readonly b: Tensor; readonly c: Tensor; readonly bias: Tensor };

  constructor(readonly device: WebgpuDevice, readonly sizes: ProductSizes) {
    const { m, n, k } = sizes;
    this.#tensors = {
      a: upload(device, numbers(m * k, 1), [m * k]),
      b: upload(device, numbers(k * n, 2), [k * n]),
      c: empty(device, [m, n]),
      bias: upload(device, numbers(n, 3), [n]),
    };
  }

  run(epilogue: "set" | "add" | "bias" = "set"): void {
    const { bias, ...operands } = this.#tensors;
    gemm(epilogue === "bias" ? { ...operands, bias } : operands, { ...this.sizes, add: epilogue === "add" });
  }

  /** What a product gives, over what C held before. */
  async values(epilogue: "set" | "add" | "bias"): Promise<Float32Array> {
    const { c } = this.#tensors, filled = numbers(c.size, 4);
    this.device.write(c.slot, new Uint8Array(filled.buffer), 0);
    this.run(epilogue);
    return await read(c) as Float32Array;
  }

  [Symbol.dispose](): void {
    Object.values(this.#tensors).forEach((tensor) => tensor.dispose());
  }
}

function numbers(count: number, seed: number): Float32Array<ArrayBuffer> {
  const found = new Float32Array(count);
  let state = seed * 0x9e3779b9 >>> 0;
  for (let i = 0; i < count; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    found[i] = state / 2 ** 31 - 1;
  }
  return found;
}
