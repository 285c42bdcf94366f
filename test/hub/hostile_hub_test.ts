/** Hubs that mean harm, byte by byte: each call ends in time, in one line, and keeps nothing that it should not. */
import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import type { Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { downloadFile, listRepository } from "../../lib/hub/hub.ts";
import { InputError } from "../../lib/runtime/errors.ts";
import { pour, response, withRawServer } from "../_raw_server.ts";
import { commit } from "./_hub_server.ts";

const json = { "content-type": "application/json" };
const answered = (value: unknown) => response({ headers: json, body: JSON.stringify(value) });
const revision = { id: "org/set", sha: commit };

/** Lists a repository and downloads a file of it; the line that each is refused with, and what was left in the cache. */
async function refused(
  answer: (socket: Socket, request: string) => void,
  path = "a.jsonl",
): Promise<{ lines: string[]; left: string[]; requests: string[] }> {
  const cacheDirectory = await mkdtemp(join(tmpdir(), "hostile-hub-")), lines: string[] = [];
  let asked: string[] = [];
  try {
    await withRawServer(answer, async ({ origin: endpoint, requests }) => {
      const options = { endpoint, cacheDirectory, timeout: 1000, retries: 1, token: "hf_secret" };
      const repository = { repo: "org/set", type: "dataset" } as const, began = performance.now();
      for (
        const call of [
          () => listRepository(repository, options),
          () => downloadFile({ ...repository, path }, options),
        ]
      ) {
        await call().then(() => lines.push(""), (error) => {
          assert.ok(error instanceof InputError, error.stack);
          assert.ok(!/\n|hf_secret/.test(error.message) && error.message.length <= 400, error.message);
          lines.push(error.message.replaceAll(endpoint, "URL"));
        });
      }
      assert.ok(performance.now() - began < 20_000);
      asked = requests;
    });
    const left = readdirSync(cacheDirectory, { recursive: true, withFileTypes: true })
      .filter((entry) => !entry.isDirectory()).map(({ name }) => name);
    return { lines, left, requests: asked };
  } finally {
    await rm(cacheDirectory, { recursive: true, force: true });
  }
}

test("headers without end, bodies that drip or are cut, pages and bombs in place of answers", async () => {
  const bomb = gzipSync(new Uint8Array(256 * 2 ** 20));
  const answers: Record<string, (socket: Socket) => void> = {
    headers: (socket) => {
      socket.write("HTTP/1.1 200 OK\r\n");
      pour(socket, `x-more: ${"y".repeat(4000)}\r\n`);
    },
    drips: (socket) => {
      socket.write("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n");
      pour(socket, "1\r\n[\r\n", 20);
    },
    cut: (socket) => socket.end("HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{"),
    page: (socket) => socket.write(response({ body: "<!doctype html><title>Sign in</title>" })),
    bomb: (socket) =>
      socket.write(response({ headers: { ...json, "content-encoding": "gzip" }, body: bomb })),
    nest: (socket) => socket.write(response({ headers: json, body: "[".repeat(1_000_000) })),
    loop: (socket) =>
      socket.write(response({ status: "302 Found", headers: { location: "/api/datasets/org/set" } })),
    "another scheme": (socket) =>
      socket.write(response({ status: "302 Found", headers: { location: "file:///etc/passwd" } })),
  };
  for (const [name, answer] of Object.entries(answers)) {
    const { lines, left } = await refused(answer);
    for (const line of lines) {
      assert.match(line, /^Cannot (download org\/set from|use) URL: ./, `${name}: ${line}`);
    }
    assert.deepEqual(left, [], name);
  }
});

test("names, sizes and hashes of a listing that lead elsewhere", async () => {
  const oid = "a".repeat(40), good = { type: "file", path: "a.jsonl", size: 2, oid };
  const entries: [object, RegExp][] = [
    [{ ...good, size: -1 }, /size must be a number of bytes: got -1$/],
    [{ ...good, size: 1e300 }, /size must be a number of bytes: got 1e\+300$/],
    [{ ...good, size: "2" }, /size must be a number of bytes: got 2$/],
    [{ ...good, lfs: { oid: "../../../../etc/cron.d/x", size: 2 } }, /checksum must be hexadecimal/],
    [{ ...good, oid: "A".repeat(40) }, /checksum must be hexadecimal/],
    [{ ...good, type: "symlink" }, /there is no such file in it$/],
  ];
  for (const [entry, expected] of entries) {
    const { lines, left } = await refused((socket, request) =>
      socket.write(answered(request.includes("/revision/") ? revision : [entry]))
    );
    assert.match(lines[1]!, expected);
    assert.deepEqual(left, ["main"]); // the commit's name
  }
  const names = ["../a", "/etc/x", "a/../../b", "a\\b", "C:\\x", "C:x", "a\0b", "a\nb", ".", "", "a//b"];
  for (const path of names) {
    const { lines, left } = await refused((socket, request) => {
      socket.write(answered(request.includes("/revision/") ? revision : [{ ...good, path }]));
    }, path);
    assert.match(lines[1]!, /^Cannot use the file name ".*": it must stay inside its folder$/, path);
    assert.deepEqual(left, ["main"], path);
  }
  const long = "n".repeat(300);
  const { lines } = await refused((socket, request) => {
    const file = request.includes("/resolve/");
    socket.write(
      file
        ? response(
          /^range: bytes=0-0/im.test(request)
            ? {
              status: "206 Partial Content",
              headers: { etag: '"x"', "content-range": "bytes 0-0/2" },
              body: "{",
            }
            : { headers: { etag: '"x"' }, body: "{}" },
        )
        : answered(
          request.includes("/revision/")
            ? revision
            : [{ ...good, path: long, oid: "9e26dfeeb6e641a33dae4961196235bdb965b21b" }],
        ),
    );
  }, long);
  assert.match(lines[1]!, /^Cannot write .*: the name is too long$/);
});
