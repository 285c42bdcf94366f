import type { WebgpuDevice } from "../../backend/device.ts";
import { environmentVariable } from "../../runtime/environment.ts";
import { UsageError } from "../../runtime/errors.ts";
import { remove } from "../../runtime/files.ts";
import type { Watched } from "../../runtime/listener.ts";
import { readTable, type TileTable, writeTable } from "./tile_table.ts";
import { useCuts } from "./tiles.ts";
import { tuneProducts, type Tuning } from "./tune.ts";

/** How a device's products are tuned. */
export interface TuneDeviceOptions extends Watched {
  /** Measures, whatever is kept, and where a CPU stands in for a GPU too (default false). */
  readonly again?: boolean;
  /** Seconds after which no more is measured (default 5; 40 where a CPU stands in). */
  readonly seconds?: number;
}

const done = new WeakMap<WebgpuDevice, Promise<void>>();

/** Whether products may be tuned: AFT_TUNE=off says that they stay as they are built in. */
export function mayTune(): boolean {
  const said = environmentVariable("AFT_TUNE");
  if (said !== undefined && said !== "off" && said !== "on") {
    throw new UsageError(`AFT_TUNE must be on or off: got ${JSON.stringify(said)}`);
  }
  return said !== "off";
}

/**
 * Has a device cut its products as was measured to be fastest: by the table that is kept for its adapter, or else by
 * measuring now, once, for a few seconds. A CPU that stands in for a GPU is not measured unless that is asked for. Results
 * stay within the tolerance of `tune.ts` of what they are without it, and the same for the same table.
 *
 * A program's first call counts; `again` measures anew.
 *
 * @throws {UsageError} for an AFT_TUNE that is neither on nor off
 */
export async function tuneDevice(device: WebgpuDevice, options: TuneDeviceOptions = {}): Promise<void> {
  if (!mayTune() && !options.again) return;
  const known = options.again ? undefined : done.get(device);
  if (known) return await known;
  const tuned = tuneNow(device, options);
  done.set(device, tuned);
  try {
    await tuned;
  } catch (error) {
    done.delete(device);
    throw error;
  }
}

async function tuneNow(device: WebgpuDevice, options: TuneDeviceOptions): Promise<void> {
  const { again = false, listener, signal, seconds = device.isCpu ? 40 : 5 } = options;
  const use = ({ kinds }: Tuning) =>
    useCuts(device, new Map([...kinds].map(([name, { cut }]) => [name, cut])));
  if (!again) {
    const kept = await readTable(device.adapter);
    if (kept && !("refused" in kept)) return use(kept);
    if (kept) {
      const plain = device.isCpu || kept.unfinished;
      const then = plain ? "products stay as they are built in" : "products are measured again";
      listener?.warn?.(`Cannot use the tiles in ${kept.path}: ${kept.refused}; ${then}`);
      if (plain) return;
    } else if (device.isCpu) return;
  }
  listener?.note?.(`Measures products on ${device.description}, once, for ${seconds} s at most`);
  // What cannot be kept is measured every time: the work goes on.
  const keep = (tuning?: Tuning) =>
    writeTable(device.adapter, tuning).catch((error: Error) => {
      if (tuning) listener?.warn?.(`Cannot keep the tiles that were measured: ${error.message}`);
    });
  // A driver that fails on a kernel that is only tried must not do so at every start.
  const path = await keep();
  const start = performance.now();
  try {
    const found = await tuneProducts(device, { seconds, signal });
    await device.finish();
    use(found);
    const kept = await keep(found);
    const took = ((performance.now() - start) / 1000).toFixed(1);
    listener?.note?.(`Measured products for ${took} s${kept ? `: ${kept}` : ""}`);
  } catch (error) {
    if (signal?.aborted && path) await remove(path).catch(() => {});
    throw error;
  }
}

/** One line a kind of product: how a table has it cut, and how much faster that was. */
export function tableLines({ kinds, left }: Pick<TileTable, "kinds" | "left">): [string, string][] {
  return [
    ...[...kinds].map((
      [name, { cut: { tileM, tileN, blockM, blockN, fill }, before, after }],
    ): [string, string] => [
      name,
      `tiles ${tileM}×${tileN} of ${blockM}×${blockN}${fill ? `, sums cut for ${fill} workgroups` : ""}: ${
        (before / after).toFixed(2)
      }× as fast as built in`,
    ]),
    ...left.map((name): [string, string] => [name, "the time was up: as built in"]),
  ];
}
