/** A small task of several ranks, one of which fails in the middle or goes away, while the others wait for it. */

import process from "node:process";
import { InputError } from "../../lib/runtime/errors.ts";
import { runTask } from "../../tasks/cli/run_task.ts";
import { choice, integer, preset } from "../../tasks/cli/option.ts";
import { pick } from "../../tasks/cli/shared_options.ts";

await runTask({
  name: "ranks",
  summary: "Adds its input's lengths over all ranks",
  examples: [{ does: "Two of them", command: "mpirun -n 2 deno task ranks" }],
  options: {
    ...pick("input", "output"),
    rank: preset(integer("--rank", { min: 0, help: "Which rank it is" }), 1),
    fail: choice("--fail", { choices: ["input", "defect", "stray", "leave"], help: "How it fails" }),
  },
  together: true,
  async run({ rank, fail }, { world, input, output, listener }) {
    listener.note(`note of rank ${world.rank}`);
    listener.warn(`warning of rank ${world.rank}`);
    const length = new Float64Array(1);
    for await (const bytes of input.bytes) length[0]! += bytes.length;
    if (fail && world.rank === rank) {
      if (fail === "input") throw new InputError("Cannot read record 3 of x.jsonl: expected an object");
      if (fail === "defect") throw new TypeError("x is not a function");
      if (fail === "leave") process.exit(3);
      setTimeout(() => {
        throw new Error("lost in a callback");
      });
      await new Promise(() => {});
    }
    await world.sum(length);
    await output.writeRecord({ rank: world.rank, length: length[0] });
  },
});
