import assert from "node:assert/strict";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { InputError } from "../../lib/runtime/errors.ts";
import { exists, listDirectory, makeDirectory, writeText } from "../../lib/runtime/files.ts";
import { replacedDirectory, writeDirectoryAtomic } from "../../lib/runtime/write_directory.ts";

const folder = mkdtempSync(join(tmpdir(), "write-directory-"));
after(() => rmSync(folder, { recursive: true }));
const at = (name: string) => join(folder, name);

async function fails(promise: Promise<unknown>, message: string): Promise<void> {
  await assert.rejects(promise, (error: Error) => {
    assert.ok(error instanceof InputError, String(error.stack));
    assert.equal(error.message, message);
    return true;
  });
}

test("writeDirectoryAtomic makes a directory as a whole or not at all", async () => {
  const path = at("runs/model");
  await writeDirectoryAtomic(path, async (temporary) => {
    assert.equal(await exists(path), false);
    await writeText(join(temporary, "config.json"), "one");
    await makeDirectory(join(temporary, "deep/er"));
    await writeText(join(temporary, "deep/er/file"), "two");
  });
  assert.equal(readFileSync(join(path, "config.json"), "utf8"), "one");
  assert.equal(readFileSync(join(path, "deep/er/file"), "utf8"), "two");

  await fails(writeDirectoryAtomic(path, async () => {}), `Cannot write ${path}: it already exists`);
  const failure = writeDirectoryAtomic(path, () => Promise.reject(new Error("no")), { overwrite: true });
  await assert.rejects(failure, /no/);
  assert.equal(readFileSync(join(path, "config.json"), "utf8"), "one");

  await writeDirectoryAtomic(path, (temporary) => writeText(join(temporary, "new"), ""), { overwrite: true });
  assert.deepEqual(await listDirectory(path), ["new"]);
  assert.deepEqual(readdirSync(at("runs")), ["model"]);
});

/** `PATH` as a writer leaves it that is killed after it has moved the old directory away. */
function killed(path: string, { name, replaces }: { name: string; replaces: string }): string {
  const backup = join(folder, name);
  mkdirSync(backup);
  writeFileSync(join(backup, "replaced.json"), JSON.stringify({ replaces }));
  renameSync(path, join(backup, "before"));
  return backup;
}

test("a replacement that was killed half-way is told to readers and undone by the next writer", async () => {
  const path = at("half");
  mkdirSync(path);
  writeFileSync(join(path, "file"), "whole");
  const backup = killed(path, { name: ".half.0a1b2c3d.old", replaces: "half" });
  assert.equal(await replacedDirectory(path), join(backup, "before"));
  assert.ok(existsSync(backup) && !existsSync(path), "looking changes nothing");
  // The writer fails, so that what it put back stays.
  const failure = writeDirectoryAtomic(path, () => Promise.reject(new Error("no")), { overwrite: true });
  await assert.rejects(failure, /no/);
  assert.equal(readFileSync(join(path, "file"), "utf8"), "whole");
  assert.ok(!existsSync(backup));

  // Killed after the second rename: the new one counts.
  mkdirSync(at("second"));
  const left = killed(at("second"), { name: ".second.0a1b2c3d.old", replaces: "second" });
  mkdirSync(at("second"));
  assert.equal(await replacedDirectory(at("second")), undefined);
  await fails(
    writeDirectoryAtomic(at("second"), async () => {}),
    `Cannot write ${at("second")}: it already exists`,
  );
  assert.ok(!existsSync(left) && existsSync(at("second")));
});

test("what others keep beside a directory is never taken for a backup, whatever its name", async () => {
  const path = at("mine/model"),
    beside = ["model.old", "model.partial", "model.tmp", ".model.old", ".model.0a1b2c3d.old"];
  for (const name of beside) {
    mkdirSync(join(folder, "mine", name), { recursive: true });
    writeFileSync(join(folder, "mine", name, "photo"), name);
  }
  // Another directory's backup, with a mark of ours.
  mkdirSync(at("mine/.model.ffffffff.old/before"), { recursive: true });
  writeFileSync(at("mine/.model.ffffffff.old/replaced.json"), '{"replaces":"other"}');
  assert.equal(await replacedDirectory(path), undefined);
  for (const overwrite of [false, true, true]) {
    await writeDirectoryAtomic(path, (temporary) => writeText(join(temporary, "new"), ""), { overwrite });
  }
  assert.deepEqual(readdirSync(at("mine")).sort(), [...beside, ".model.ffffffff.old", "model"].sort());
  for (const name of beside) assert.equal(readFileSync(join(folder, "mine", name, "photo"), "utf8"), name);
});
