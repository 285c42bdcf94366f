/** A sum of objectives in a training: the VFT term has the weight of the part that it belongs to. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { combine } from "../../lib/objectives/objectives.ts";
import { train, type TrainOptions } from "../../lib/train/trainer.ts";
import { collect, smallModel } from "../_models.ts";
import { toyGroups } from "../_toys.ts";

async function firstLine(options: TrainOptions, told?: string[], groups = toyGroups(4)) {
  const model = await smallModel("wasm");
  const warn = (line: string) => told?.push(line);
  const [line] = await collect(
    train(model, groups, { ...options, steps: 1, batchSize: 4, listener: { warn } }),
  );
  model.dispose();
  return line!;
}

const close = (found: number | undefined, expected: number) =>
  assert.ok(Math.abs(found! - expected) < 1e-6 * Math.max(1, expected), `${found}, expected ${expected}`);

test("half of AFT is half of its loss, its VFT term and its gradient; a second part is added", async () => {
  const aft = await firstLine({ objective: "aft" }), simpo = await firstLine({ objective: "simpo" });
  const half = await firstLine({ objective: "aft:0.5" });
  close(half.loss, aft.loss / 2);
  close(half.vft_loss, aft.vft_loss! / 2);
  close(half.gradient_norm, aft.gradient_norm / 2);
  const both = await firstLine({
    objective: combine([{ objective: "simpo" }, { objective: "aft", weight: 0.5 }]),
  });
  close(both.loss, simpo.loss + aft.loss / 2);
  const vft = await firstLine({ objective: "simpo:1,vft:0.5" });
  close(vft.loss, simpo.loss + aft.vft_loss! / 2);
});

test("references that a sum would learn from and does not find are counted", async () => {
  const groups = toyGroups(4).map((group, i) => i === 0 ? { ...group, reference: undefined } : group);
  const told: string[] = [];
  await firstLine({ objective: "simpo:1,vft:0.5" }, told, groups as ReturnType<typeof toyGroups>);
  assert.deepEqual(told.filter((line) => line.includes("reference")), [
    "1 of 4 groups have no reference: simpo:1,vft:0.5 trains them without its likelihood term L_VFT, which is another method",
  ]);
});
