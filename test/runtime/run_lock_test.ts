/** Who holds a lock, and what is left of those who are gone. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { hostname, tmpdir, uptime } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { UsageError } from "../../lib/runtime/errors.ts";
import { lockFile, lockFolder, lockName } from "../../lib/runtime/run_lock.ts";
import { at, program } from "../_commands.ts";

const skip = process.platform === "win32";
const ours = `aft-${createHash("sha256").update(hostname()).digest("hex").slice(0, 8)}`;
const socket = (name: string) => join(tmpdir(), name);
const hourAgo = new Date(Date.now() - 3_600_000);

/** Leaves a socket whose process was killed. */
async function deadSocket(path: string): Promise<void> {
  const script = `require("node:net").createServer().listen(${
    JSON.stringify(path)
  }, () => console.log("up"))`;
  const words = "Deno" in globalThis
    ? ["eval", `import net from "node:net"; ${script.replace('require("node:net")', "net")}`]
    : ["-e", script];
  const { code } = await program(process.execPath, words, { onOutput: (child) => child.kill("SIGKILL") });
  assert.equal(code, null);
  assert.ok(statSync(path).isSocket());
}

test("sockets that killed runs left are swept; one that is held, that is new or another machine's stays", {
  skip,
}, async () => {
  const dead = socket(`${ours}00000001.sock`), held = socket(`${ours}00000002.sock`);
  const fresh = socket(`${ours}00000003.sock`), foreign = socket("aft-00000000ffffffff.sock");
  const plain = socket(`${ours}00000004.sock`), folder = at("swept");
  mkdirSync(folder);
  const server = createServer((asked) => asked.destroy());
  try {
    await new Promise<void>((resolve) => server.listen(held, resolve));
    for (const path of [dead, fresh, foreign]) await deadSocket(path);
    writeFileSync(plain, "no socket");
    for (const path of [dead, held, foreign, plain]) utimesSync(path, hourAgo, hourAgo);
    await (await lockFolder(folder))[Symbol.asyncDispose]();
    assert.deepEqual([dead, held, fresh, foreign, plain].map(existsSync), [false, true, true, true, true]);
  } finally {
    await new Promise<void>((resolve) => server.close(() => resolve()));
    for (const path of [dead, held, fresh, foreign, plain]) rmSync(path, { force: true });
  }
});

test(
  "a lock whose socket cannot be seen from here stays, unless the machine was started since",
  { skip },
  async () => {
    const folder = at("unseen"), lock = join(folder, lockName);
    mkdirSync(folder);
    const holder = (temporary: string | null) =>
      JSON.stringify({
        pid: process.pid,
        host: hostname(),
        socket: socket(`${ours}00000005.sock`),
        temporary,
      });
    const { dev, ino } = statSync(tmpdir());
    // In this very folder: it was swept away.
    writeFileSync(lock, holder(`${dev}:${ino}`));
    await (await lockFolder(folder))[Symbol.asyncDispose]();
    // In another job's folder of the same name.
    writeFileSync(lock, holder(`${dev}:${ino + 1}`));
    await assert.rejects(lockFolder(folder), (error: Error) => {
      assert.ok(error instanceof UsageError);
      assert.equal(
        error.message,
        `Cannot write ${folder}: another run writes there (process ${process.pid} on ${hostname()}); if it is gone, remove ${lock}`,
      );
      return true;
    });
    const before = new Date(Date.now() - uptime() * 1000 - 120_000);
    utimesSync(lock, before, before);
    await (await lockFolder(folder))[Symbol.asyncDispose]();
    assert.ok(!existsSync(lock));
  },
);

test("a file is locked under one name, however it is called", async () => {
  const file = at("locked.jsonl"), lock = at(".locked.jsonl.aft-lock");
  {
    await using _held = await lockFile(file);
    assert.equal(JSON.parse(readFileSync(lock, "utf8")).pid, process.pid);
    await assert.rejects(
      lockFile(join(at("."), "..", at(".").split("/").at(-1)!, "locked.jsonl")),
      UsageError,
    );
    await using _other = await lockFile(at("other.jsonl"));
  }
  assert.ok(!existsSync(lock));
});
