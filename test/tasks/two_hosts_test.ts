/** Ranks in two network namespaces with a delay between them: `test:full` alone, as root, where Open MPI is installed. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import process from "node:process";
import { test } from "node:test";
import { at, base, commandOf, program, records, run } from "../_commands.ts";
import { assertNear } from "../_same_runs.ts";

const has = (command: string, word: string) => spawnSync(command, [word], { timeout: 20_000 }).status === 0;
const skip = process.platform !== "linux" || process.getuid?.() !== 0 || !existsSync("/dev/net/tun")
  ? "network namespaces and /dev/net/tun are for Linux's root alone"
  : !has("deno", "--version") || !has("ip", "-V") || !has("mpirun.openmpi", "--version")
  ? "deno on the PATH, and apt install iproute2 openmpi-bin"
  : spawnSync("unshare", ["--net", "true"], { timeout: 20_000 }).status !== 0
  ? "no network namespace can be made here"
  : false;

const twoHosts = (...words: string[]) =>
  program("deno", ["run", "-A", "--no-check", "bench/two_hosts.ts", ...words]);

test("two hosts with 5 ms between them: a round trip takes 10, and training is that of one process", {
  skip,
  timeout: 400_000,
}, async () => {
  const wire = await twoHosts("5");
  assert.equal(wire.code, 0, wire.err);
  const [figures] = records(wire.out);
  assert.ok(figures["round trip, ms"] >= 10, wire.out);

  const vft = [
    ...["--model", base, "--data", "arithmetic", "--limit", "24", "--batch-size", "4", "--log-every", "1"],
    ...["--learning-rate", "1e-4", "--backend", "wasm", "--no-tensorboard", "--out"],
  ];
  const one = await run("vft", [...vft, at("one")]);
  assert.equal(one.code, 0, one.err);
  const two = await twoHosts("5", "Open MPI", ...commandOf("vft"), ...vft, at("two"));
  assert.equal(two.code, 0, two.err);
  assertNear(records(two.out), records(one.out), "metrics");
  // Gradients of 6 steps went over the wire, not through memory that both "hosts" have.
  const [, carried] = /The wire carried ([\d.]+) MB/.exec(two.err) ?? assert.fail(two.err);
  assert.ok(Number(carried) > 10, two.err);

  // The exit code comes through, and no namespace is left.
  const bad = await twoHosts("5", "Open MPI", ...commandOf("vft"), ...vft, at("two"), "--batch-size", "0");
  assert.equal(bad.code, 2, bad.err);
  assert.doesNotMatch(spawnSync("ip", ["netns", "list"], { encoding: "utf8" }).stdout, /^aft-\d+-10\.77/m);
});
