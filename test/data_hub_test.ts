import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { downloadFile, listRepository } from "../lib/data/hub.ts";
import { InputError, UsageError } from "../lib/runtime/errors.ts";
import { pathInside } from "../lib/runtime/hub_cache.ts";

const commit = "0123456789abcdef0123456789abcdef01234567";

/** A small hub: one repository, and switches for what can go wrong. */
interface Hub {
  files: Record<string, Uint8Array>;
  requests: string[];
  /** Ranges asked for beyond the first byte. */
  ranges: string[];
  /** Cut the connection after so many bytes, so many times. */
  cuts: { after: number; times: number };
  /** Serve the whole file whatever the range. */
  ignoreRanges?: boolean;
  token?: string;
  sha?: unknown;
  oid?: string;
}

function answer(hub: Hub, request: IncomingMessage, response: ServerResponse): void {
  const url = new URL(request.url!, "http://x");
  hub.requests.push(`${request.method} ${url.pathname}`);
  const json = (value: unknown, status = 200) => {
    response.writeHead(status, { "content-type": "application/json" });
    response.end(JSON.stringify(value));
  };
  if (hub.token && request.headers.authorization !== `Bearer ${hub.token}`) return json({ error: "no" }, 401);
  const path = decodeURIComponent(url.pathname);
  const entry = (name: string) => {
    const content = hub.files[name];
    const large = name.endsWith(".parquet");
    const sha1 = createHash("sha1").update(`blob ${content.length}\0`).update(content).digest("hex");
    const oid = hub.oid ?? createHash("sha256").update(content).digest("hex");
    return {
      type: "file",
      path: name,
      size: content.length,
      oid: sha1,
      ...(large && { lfs: { oid, size: content.length } }),
    };
  };
  if (path === "/api/datasets/org/set/revision/main") return json({ id: "org/set", sha: hub.sha ?? commit });
  if (path === `/api/datasets/org/set/tree/${commit}`) {
    return json([{ type: "directory", path: "main", size: 0 }, ...Object.keys(hub.files).map(entry)]);
  }
  if (path === `/api/datasets/org/set/paths-info/${commit}`) {
    let body = "";
    request.on("data", (chunk) => body += chunk);
    request.on(
      "end",
      () => json(JSON.parse(body).paths.filter((name: string) => name in hub.files).map(entry)),
    );
    return;
  }
  const name = path.replace(`/datasets/org/set/resolve/${commit}/`, "");
  const content = hub.files[name];
  if (!content) return json({ error: "not here" }, 404);
  const range = request.headers.range?.match(/bytes=(\d+)-(\d*)/);
  const start = range ? Number(range[1]) : 0;
  const end = range?.[2] ? Number(range[2]) + 1 : content.length;
  const probe = start === 0 && end === 1;
  if (start > 0) hub.ranges.push(request.headers.range!);
  const part = hub.ignoreRanges && !probe ? content : content.subarray(start, end);
  response.writeHead(range && (probe || !hub.ignoreRanges) ? 206 : 200, {
    "content-length": part.length,
    etag: '"x"',
    ...(range && { "content-range": `bytes ${start}-${end - 1}/${content.length}` }),
  });
  if (!probe && hub.cuts.times > 0 && part.length > hub.cuts.after) {
    hub.cuts.times--;
    response.write(part.subarray(0, hub.cuts.after), () => setTimeout(() => response.destroy(), 30));
  } else response.end(part);
}

/** Runs `use` with a served hub and a fresh cache folder. */
async function withHub(
  settings: Partial<Hub>,
  use: (
    hub: Hub,
    options: { endpoint: string; cacheDirectory: string; timeout: number },
    server: Server,
  ) => Promise<void>,
): Promise<void> {
  const files = { "main/train file.jsonl": new TextEncoder().encode('{"question":"é"}\n') };
  const hub: Hub = { files, requests: [], ranges: [], cuts: { after: 0, times: 0 }, ...settings };
  const server = createServer((request, response) => answer(hub, request, response));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const cacheDirectory = await mkdtemp(join(tmpdir(), "hub-"));
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  try {
    await use(hub, { endpoint, cacheDirectory, timeout: 2000 }, server);
  } finally {
    server.closeAllConnections?.();
    await new Promise((resolve) => server.close(resolve));
    await rm(cacheDirectory, { recursive: true });
  }
}

const set = { repo: "org/set", type: "dataset" as const };
const small = { ...set, path: "main/train file.jsonl" };
const large = { ...set, path: "main/big.parquet" };
const bytes = Uint8Array.from({ length: 3_000_000 }, (_, i) => (i * 7919) >>> 5);
const fails = (promise: Promise<unknown>, pattern: RegExp) =>
  assert.rejects(promise, (error: Error) => {
    assert.ok(error instanceof InputError, String(error.stack));
    assert.match(error.message, pattern);
    assert.ok(!error.message.includes("\n"));
    return true;
  });

test("a file is downloaded once, listed, and found again offline", async () => {
  await withHub({}, async (hub, options, server) => {
    const path = await downloadFile(small, options);
    assert.equal(path, join(options.cacheDirectory, "datasets--org--set", "snapshots", commit, small.path));
    assert.deepEqual(new Uint8Array(readFileSync(path)), hub.files[small.path]);
    assert.deepEqual(await listRepository(set, options), [small.path]);
    const before = hub.requests.length;
    assert.equal(await downloadFile({ ...small, revision: commit }, options), path);
    assert.equal(hub.requests.length, before); // a commit never changes: nothing to ask
    server.closeAllConnections?.();
    await new Promise((resolve) => server.close(resolve));
    const offline = { ...options, offline: true };
    assert.equal(await downloadFile(small, offline), path);
    assert.deepEqual(await listRepository(set, offline), [small.path]);
    await fails(
      downloadFile(large, offline),
      /^Cannot find main\/big\.parquet of org\/set in .*when offline$/,
    );
    await fails(downloadFile({ ...small, repo: "org/other" }, offline), /^Cannot find org\/other \(main\)/);
    await fails(downloadFile(small, options), /^Cannot download org\/set from http:\/\/127\.0\.0\.1:\d+: /);
  });
});

test("a transfer that breaks off is resumed where it stopped, also by a later call", async () => {
  await withHub(
    { files: { [large.path]: bytes }, cuts: { after: 1_000_000, times: 2 } },
    async (hub, options) => {
      await fails(
        downloadFile(large, { ...options, retries: 0 }),
        /^Cannot download main\/big\.parquet of org\/set/,
      );
      const progress: number[] = [];
      const path = await downloadFile(large, { ...options, onProgress: ({ bytes }) => progress.push(bytes) });
      assert.deepEqual(new Uint8Array(readFileSync(path)), bytes);
      assert.equal(hub.ranges.length, 2);
      assert.match(hub.ranges[0], /^bytes=[1-9]\d*-2999999$/);
      assert.equal(progress.at(-1), bytes.length);
      assert.ok(progress[0] > 0 && progress.every((n, i) => i === 0 || n > progress[i - 1]));
    },
  );
});

test("a server that ignores ranges, or sends other bytes, does not spoil the file", async () => {
  await withHub(
    { files: { [large.path]: bytes }, cuts: { after: 1_000_000, times: 1 }, ignoreRanges: true },
    async (_, options) => {
      assert.deepEqual(new Uint8Array(readFileSync(await downloadFile(large, options))), bytes);
    },
  );
  await withHub({ files: { [large.path]: bytes }, oid: "ab".repeat(32) }, async (_, options) => {
    await fails(downloadFile(large, { ...options, retries: 1 }), /does not have the expected checksum$/);
    const blobs = join(options.cacheDirectory, "datasets--org--set", "blobs");
    assert.deepEqual(readdirSync(blobs), []);
  });
});

test("refusals say what to do", async () => {
  await withHub({ token: "hf_secret" }, async (_, options) => {
    await fails(downloadFile(small, options), /access is refused \(401\): set HF_TOKEN/);
    assert.ok(existsSync(await downloadFile(small, { ...options, token: "hf_secret" })));
    await assert.rejects(downloadFile(small, { ...options, token: "secret" }), UsageError);
  });
  await withHub({}, async (_, options) => {
    await fails(
      downloadFile({ ...small, repo: "org/none" }, options),
      /no dataset of that name and revision "main" \(404\)/,
    );
    await fails(
      downloadFile(large, options),
      /^Cannot download main\/big\.parquet of org\/set: there is no such file/,
    );
  });
});

test("no name, the user's or the server's, leaves the cache folder", async () => {
  for (const name of ["../x", "a/../../x", "/etc/x", "C:/x", "a\\..\\x", "a//b", "", ".", "a/./b", "x\0y"]) {
    assert.throws(() => pathInside("/cache", name), InputError, name);
  }
  assert.equal(pathInside("/cache", "a.b", "c/d..e"), "/cache/a.b/c/d..e");
  await withHub({ sha: "../../../../evil" }, async (_, options) => {
    await fails(downloadFile(small, options), /commit of org\/set must be a hash/);
  });
  await withHub({ files: { [large.path]: bytes }, oid: "../../../evil" }, async (_, options) => {
    await fails(downloadFile(large, options), /checksum must be hexadecimal/);
  });
  await withHub({ files: { "../../evil": bytes } }, async (hub, options) => {
    const [name] = await listRepository(set, options);
    await fails(downloadFile({ ...set, path: name }, options), /must stay inside its folder$/);
    await assert.rejects(downloadFile({ ...small, repo: "../org" }, options), UsageError);
    assert.ok(!hub.requests.some((request) => request.includes("resolve")));
    assert.deepEqual(readdirSync(options.cacheDirectory), ["datasets--org--set"]);
  });
});

test("a server that stays silent is given up on", async () => {
  const server = createServer(() => {});
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const cacheDirectory = await mkdtemp(join(tmpdir(), "hub-"));
  try {
    await fails(downloadFile(small, { endpoint, cacheDirectory, timeout: 200 }), /no answer for 200 ms/);
  } finally {
    server.closeAllConnections?.();
    await new Promise((resolve) => server.close(resolve));
    await rm(cacheDirectory, { recursive: true });
  }
});
