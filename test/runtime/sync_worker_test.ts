/** Threads that take too long: whoever asked gets the error, and what stays at work is bounded. */
import assert from "node:assert/strict";
import process from "node:process";
import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { openSyncWorker, type SyncWorker, threadsLeftAtWork } from "../../lib/runtime/sync_worker.ts";
import { run } from "../_commands.ts";

const open = () => openSyncWorker(new URL("./_slow_worker.ts", import.meta.url));
const deno = "Deno" in globalThis;

/** What a request ends with that has half a second. */
function said(worker: SyncWorker, request: number | "for ever"): unknown {
  try {
    return worker.call(request, { milliseconds: 500, overdue: () => "too long" });
  } catch (error) {
    return (error as Error).message;
  }
}

/** A thread that was started: the time that this takes is no part of a request's. */
function started(): SyncWorker {
  const worker = open();
  assert.equal(worker.call(0, { milliseconds: 30_000, overdue: () => "not started" }), "done");
  return worker;
}

test("a thread that only took long is no longer counted once it has its answer", async () => {
  using worker = started();
  assert.equal(said(worker, 2), "too long");
  assert.equal(said(worker, 0), "too long"); // it takes no further request
  assert.equal(threadsLeftAtWork(), deno ? 1 : 0);
  for (let tries = 0; threadsLeftAtWork() > 0 && tries < 300; tries++) await delay(100);
  assert.equal(threadsLeftAtWork(), 0);
});

test("Bun and Node stop a thread that is ended; under Deno two may stay at work, and a third is not begun", async () => {
  using first = started();
  using second = started();
  assert.deepEqual([said(first, "for ever"), said(second, "for ever")], ["too long", "too long"]);
  if (deno) {
    assert.equal(threadsLeftAtWork(), 2);
    assert.throws(open, {
      name: "InputError",
      message:
        "2 threads that took too long are still at work, and Deno cannot stop them: a third is not begun in this process",
    });
    return;
  }
  // On a busy machine a thread may be stopped some seconds later; one that is not takes all of every second.
  let took = Infinity;
  for (let tries = 0; took >= 300 && tries < 20; tries++) {
    const began = process.cpuUsage();
    await delay(1000);
    const { user, system } = process.cpuUsage(began);
    took = (user + system) / 1000;
  }
  assert.ok(took < 300, `${took} ms of processor time in a second`);
  using third = started();
  assert.equal(said(third, 0), "done");
});

test("a process ends, whatever its thread does", async () => {
  for (const [how, code] of [["end", 0], ["exit", 3], ["throw", 1]] as const) {
    const began = performance.now();
    const ended = await run("test/runtime/_leaves_a_thread.ts", [how]);
    assert.deepEqual([ended.code, ended.out], [code, "too long\n"], ended.err);
    assert.ok(performance.now() - began < 60_000, how);
  }
});
