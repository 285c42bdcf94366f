/** What each rank of a world does in `world_test.ts`: every call once, and what came of it, from each rank by a gather. */

import process from "node:process";
import { openWorld } from "../../lib/runtime/world.ts";
import { runtime } from "../../lib/runtime/environment.ts";

const world = await openWorld(), { rank, size } = world;
const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
const bytes = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));

const sum64 = new Float64Array([rank + 1, 0.5]);
await world.sum(sum64);
const min = new Float64Array([rank - 3, -rank]), max = min.slice();
await world.min(min);
await world.max(max);
// More than one bucket of 32 MiB, in memory that threads share.
const memory = new WebAssembly.Memory({ initial: 600, maximum: 600, shared: true });
const large = new Float32Array(memory.buffer, 1024, 9 * 2 ** 20).fill(rank + 1);
await world.sum(large);
const largeIsSum = large.every((value) => value === size * (size + 1) / 2);

const heard = text(await world.broadcast(rank === 0 ? bytes("from rank 0") : bytes(`ignored ${rank}`)));
const nothing = (await world.broadcast(new Uint8Array())).length;
const long = await world.broadcast(rank === 0 ? new Uint8Array(3_000_000).fill(7) : undefined);

// Rank 0 answers whoever comes first; an empty message ends it.
const messages: string[] = [];
if (rank === 0) {
  for (let open = size - 1; open > 0;) {
    const { from, bytes: message } = await world.receive();
    if (message.length === 0) open--;
    else {
      messages.push(`${from}: ${text(message)}`);
      await world.send(from, bytes(`hello ${from}`));
    }
  }
} else {
  await world.send(0, bytes(`I am ${rank}`));
  messages.push(text((await world.receive(0)).bytes));
  await world.send(0, new Uint8Array());
}
// The event loop goes on while a rank waits: rank 0 comes late.
let ticks = 0;
const timer = setInterval(() => ticks++, 5);
if (rank === 0) await new Promise((resolve) => setTimeout(resolve, 200));
const before = process.cpuUsage();
await world.barrier();
const { user, system } = process.cpuUsage(before);
clearInterval(timer);

const said = {
  ...{ rank, size, runtime: runtime().name, description: world.description },
  ...{ sum64: [...sum64], min: [...min], max: [...max], largeIsSum, heard, nothing, messages },
  ...{ long: long.length === 3_000_000 && long.every((byte) => byte === 7) },
  ...{ ticks, busy: (user + system) / 1000 },
};
const all = await world.gather(bytes(said));
if (rank === 0) { for (const line of all) process.stdout.write(`${text(line)}\n`); }
else if (all.length > 0) throw new Error("Only rank 0 gathers");
await world[Symbol.asyncDispose]();
process.exit(0);
