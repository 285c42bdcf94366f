/**
 * How a product on WebGPU is cut: the tile of C that a workgroup computes, a thread's block of it, and into how many sums
 * its sums along k are cut. What is built in was chosen by reasoning and on software Vulkan; `tune.ts` measures the
 * user's own adapter and may put something else in its place, for each kind of product.
 */

import type { Device, WebgpuDevice } from "../../backend/device.ts";
import type { GemmVariant } from "./_gemm_tiled.ts";

/** Sizes of tiles and blocks of one product. */
export type Tile = Pick<GemmVariant, "tileM" | "tileN" | "blockM" | "blockN">;

/** How a product is cut. */
export interface Cut extends Tile {
  /**
   * Workgroups that are wanted: where a product's tiles are fewer, its sums along k are cut into parts, each a workgroup
   * of its own, which a second launch adds up in order. 0: never.
   */
  readonly fill: number;
}

/** One product C [m, n] = op(A)·op(B), along k. */
export interface ProductSizes {
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly transposeA: boolean;
  readonly transposeB: boolean;
}

/** Products of one kind, which are all cut in one way. */
export interface ProductKind {
  /** In the table that is kept. */
  readonly name: string;
  /** Whether a product is of this kind. */
  readonly has: (sizes: ProductSizes) => boolean;
  /** One of them, to be measured: of SmolLM2-135M's layers, or a smaller one where a CPU stands in for a GPU. */
  readonly typical: (isCpu: boolean) => ProductSizes;
  /** Tiles that are measured beside the one that is built in. */
  readonly tiles: readonly Tile[];
}

type Sides = readonly [rows: number, columns: number];
const tile = ([tileM, tileN]: Sides, [blockM, blockN]: Sides): Tile => ({ tileM, tileN, blockM, blockN });

const LOW = [
  tile([8, 128], [8, 8]),
  tile([8, 128], [4, 4]),
  tile([8, 256], [8, 4]),
  tile([4, 256], [4, 4]),
  tile([8, 64], [4, 4]),
];
const MIDDLE = [
  tile([16, 128], [8, 8]),
  tile([16, 64], [4, 4]),
  tile([32, 64], [8, 8]),
  tile([32, 64], [4, 4]),
  tile([64, 64], [4, 4]),
];
const HIGH = [
  tile([64, 64], [4, 4]),
  tile([64, 64], [4, 8]),
  tile([64, 64], [8, 8]),
  tile([64, 128], [8, 8]),
  tile([128, 64], [8, 8]),
  tile([128, 128], [8, 8]),
  tile([64, 64], [16, 16]),
];
const SLIM = [
  tile([64, 32], [8, 8]),
  tile([64, 32], [4, 4]),
  tile([128, 32], [8, 8]),
  tile([64, 16], [4, 4]),
  tile([128, 16], [8, 4]),
];
const FLAT = [
  tile([16, 128], [8, 8]),
  tile([16, 64], [4, 4]),
  tile([32, 64], [8, 8]),
  tile([32, 64], [4, 4]),
  tile([64, 64], [4, 4]),
];

/** Up to so many columns (or rows) of C are few: an adapter's. */
const NARROW = 32;

/** A layer's product of `m` rows, less wide where a CPU stands in. */
const forward = (m: number) => (isCpu: boolean): ProductSizes => ({
  m: isCpu ? Math.min(m, 256) : m,
  n: isCpu ? 768 : 1536,
  k: isCpu ? 256 : 576,
  transposeA: false,
  transposeB: true,
});
const backward =
  (sizes: Pick<ProductSizes, "m" | "n">, transposeA: boolean) => (isCpu: boolean): ProductSizes => ({
    m: isCpu ? Math.min(sizes.m, 256) : sizes.m,
    n: isCpu ? Math.min(sizes.n, 256) : sizes.n,
    k: isCpu ? 512 : transposeA ? 1024 : 1536,
    transposeA,
    transposeB: false,
  });

/** The kinds, those that take most of the time first: there measuring begins. A product that is of none is never retuned. */
export const productKinds: readonly ProductKind[] = [
  {
    name: "forward",
    has: ({ m, n, transposeA, transposeB }) => !transposeA && transposeB && m > 64 && n > NARROW,
    typical: forward(1024),
    tiles: HIGH,
  },
  {
    name: "dx",
    has: ({ m, n, transposeA, transposeB }) => !transposeA && !transposeB && m > 64 && n > NARROW,
    typical: backward({ m: 1024, n: 576 }, false),
    tiles: HIGH,
  },
  {
    name: "dw",
    has: ({ m, n, transposeA, transposeB }) => transposeA && !transposeB && m > NARROW && n > NARROW,
    typical: backward({ m: 1536, n: 576 }, true),
    tiles: HIGH,
  },
  {
    name: "one row",
    has: ({ m, n, transposeA, transposeB }) => !transposeA && transposeB && m === 1 && n > NARROW,
    typical: forward(1),
    tiles: LOW,
  },
  {
    name: "few rows",
    has: ({ m, n, transposeA, transposeB }) => !transposeA && transposeB && m > 1 && m <= 8 && n > NARROW,
    typical: forward(8),
    tiles: LOW,
  },
  {
    name: "some rows",
    has: ({ m, n, transposeA, transposeB }) => !transposeA && transposeB && m > 8 && m <= 64 && n > NARROW,
    typical: forward(48),
    tiles: MIDDLE,
  },
  {
    name: "narrow",
    has: ({ m, n, transposeA, transposeB }) => !transposeA && transposeB && m > 64 && n <= NARROW,
    typical: (isCpu) => ({ ...forward(1024)(isCpu), n: 16 }),
    tiles: SLIM,
  },
  {
    name: "dw, few rows",
    has: ({ m, n, transposeA, transposeB }) => transposeA && !transposeB && m <= NARROW && n > NARROW,
    typical: backward({ m: 16, n: 576 }, true),
    tiles: FLAT,
  },
  {
    name: "dw, few columns",
    has: ({ m, n, transposeA, transposeB }) => transposeA && !transposeB && m > NARROW && n <= NARROW,
    typical: backward({ m: 576, n: 16 }, true),
    tiles: SLIM,
  },
];

/** Workgroups that may be wanted, each tried with the tiles that came out best. */
export const fills: readonly number[] = [64, 256, 1024];

const chosen = new WeakMap<WebgpuDevice, ReadonlyMap<string, Cut>>();

/** Has products of these kinds cut in these ways on a device from here on; those of no other kind are as they are built in. */
export function useCuts(device: WebgpuDevice, cuts: ReadonlyMap<string, Cut>): void {
  chosen.set(device, cuts);
}

/** What {@linkcode useCuts} was given last. */
export function cutsInUse(device: WebgpuDevice): ReadonlyMap<string, Cut> {
  return chosen.get(device) ?? new Map();
}

/** How a product is cut. */
export function cutOf(device: WebgpuDevice, sizes: ProductSizes): Cut {
  const cuts = chosen.get(device);
  const kind = cuts?.size ? productKinds.find((one) => one.has(sizes)) : undefined;
  return (kind && cuts!.get(kind.name)) ?? { ...plainTile(device, sizes.m, sizes.n), fill: 0 };
}

/**
 * The tile that is built in. Blocks of 8×8 halve the reads of workgroup memory that 4×4 needs, and fill about as many
 * registers as GPUs give a thread without halving those at work. Flat tiles keep products of few rows, as in decoding,
 * from multiplying rows that are not there.
 *
 * A CPU that stands in for a GPU keeps registers in memory anyway and pays for each read of a tile by the lane: blocks
 * of 16×16 took software Vulkan (Mesa 22.3) from 4.9 to 8.8 GFLOP a CPU second at 1664×384×128, from 5.2 to 9.2 at
 * 1664×128×768 and from 5.6 to 9.7 at 768×128×1664 with A transposed; at 8×1024×128 8×8 beat both 8×4 and 8×16.
 */
export function plainTile(device: Device, m: number, n: number): Tile {
  const plain = gpuTile(m, n);
  return device.name === "webgpu" && device.isCpu ? cpuTile(plain, m <= 8 ? 8 : 16) : plain;
}

const PLAIN = {
  few: tile([8, 128], [8, 4]),
  some: tile([16, 128], [8, 8]),
  half: tile([32, 64], [8, 8]),
  narrow: tile([64, 32], [8, 8]),
  whole: tile([64, 64], [8, 8]),
} as const;

function gpuTile(m: number, n: number): Tile {
  if (m <= 8) return PLAIN.few;
  if (m <= 16) return PLAIN.some;
  // Up to 128 rows, half a tile of nothing at the end would cost a quarter and more.
  const last = m % 64;
  if (m < 128 && last > 0 && last <= 32) return PLAIN.half;
  return n <= 32 ? PLAIN.narrow : PLAIN.whole;
}

/** What a CPU that stands in for a GPU makes of a tile. */
function cpuTile(plain: Tile, block: 8 | 16): Tile {
  return { ...plain, blockM: Math.min(block, plain.tileM), blockN: block };
}

/** Every tile that {@linkcode plainTile} may give. */
export const plainTiles: readonly Tile[] = Object.values(PLAIN)
  .flatMap((plain) => [plain, cpuTile(plain, plain === PLAIN.few ? 8 : 16)]);
