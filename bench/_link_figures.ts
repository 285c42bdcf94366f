/** What a wire does by itself: a byte there and back, and a copy of many. `serve ADDRESS` on one end, `ask ADDRESS` on the other. */

import process from "node:process";

const [what, hostname = ""] = process.argv.slice(2), port = 7000;
const ROUNDS = 21, COPIES = 5, MEGABYTES = 64;

const median = (values: readonly number[]) =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!;

async function readAll(connection: Deno.TcpConn, bytes: number): Promise<void> {
  const some = new Uint8Array(2 ** 20);
  for (let left = bytes; left > 0;) {
    const read = await connection.read(some.subarray(0, Math.min(left, some.length)));
    if (read === null) throw new Error("The other end has gone");
    left -= read;
  }
}

async function writeAll(connection: Deno.TcpConn, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await connection.write(bytes.subarray(at));
}

/** The other end may not listen yet. */
async function connected(): Promise<Deno.TcpConn> {
  for (let tried = 0;; tried++) {
    try {
      return await Deno.connect({ hostname, port });
    } catch (error) {
      if (tried === 100) throw error;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}

const byte = new Uint8Array(1);
if (what === "serve") {
  using listener = Deno.listen({ hostname, port });
  using connection = await listener.accept();
  connection.setNoDelay();
  for (let i = 0; i < ROUNDS + COPIES; i++) {
    await readAll(connection, i < ROUNDS ? 1 : MEGABYTES * 1e6);
    await writeAll(connection, byte);
  }
} else {
  using connection = await connected();
  connection.setNoDelay();
  const took: number[] = [], many = new Uint8Array(MEGABYTES * 1e6);
  for (let i = 0; i < ROUNDS + COPIES; i++) {
    const start = performance.now();
    await writeAll(connection, i < ROUNDS ? byte : many);
    await readAll(connection, 1);
    took.push(performance.now() - start);
  }
  const roundTrip = median(took.slice(0, ROUNDS)), copy = median(took.slice(ROUNDS));
  console.log(JSON.stringify({
    "round trip, ms": Number(roundTrip.toFixed(2)),
    [`${MEGABYTES} MB, ms`]: Number(copy.toFixed(0)),
    "MB/s": Number((MEGABYTES * 1000 / copy).toFixed(0)),
  }));
}
