import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, utimesSync, writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { boundedFetch } from "../../lib/hub/_fetch.ts";
import { downloadFile, listRepository } from "../../lib/hub/hub.ts";
import { InputError, UsageError } from "../../lib/runtime/errors.ts";
import { otherOnWindows, pathInside } from "../../lib/hub/cache.ts";
import { commit, withHub } from "./_hub_server.ts";

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
      const path = await downloadFile(large, {
        ...options,
        listener: { progress: ({ done }) => progress.push(done) },
      });
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

test("a file that another host serves is had without giving that host the token", async () => {
  const seen: (string | undefined)[] = [];
  const storage = createServer((request, response) => {
    seen.push(request.headers.authorization);
    const [, from, to] = request.headers.range?.match(/bytes=(\d+)-(\d+)/) ?? [];
    const part = from === undefined ? bytes : bytes.subarray(Number(from), Number(to) + 1);
    response.writeHead(from === undefined ? 200 : 206, {
      "content-length": part.length,
      etag: '"x"',
      ...(from !== undefined && { "content-range": `bytes ${from}-${to}/${bytes.length}` }),
    });
    response.end(part);
  });
  await new Promise<void>((resolve) => storage.listen(0, "127.0.0.1", resolve));
  const address = `http://127.0.0.1:${(storage.address() as AddressInfo).port}`;
  try {
    await withHub(
      { files: { [large.path]: bytes }, token: "hf_secret", storage: address },
      async (_, options) => {
        const path = await downloadFile(large, { ...options, token: "hf_secret" });
        assert.deepEqual(new Uint8Array(readFileSync(path)), bytes);
      },
    );
    assert.ok(seen.length > 0);
    assert.deepEqual(seen.filter((header) => header !== undefined), []);
  } finally {
    storage.closeAllConnections?.();
    await new Promise((resolve) => storage.close(resolve));
  }
});

test("no name, the user's or the server's, leaves the cache folder", async () => {
  for (const name of ["../x", "a/../../x", "/etc/x", "C:/x", "a\\..\\x", "a//b", "", ".", "a/./b", "x\0y"]) {
    assert.throws(() => pathInside("/cache", name), InputError, name);
  }
  assert.equal(pathInside("/cache", "a.b", "c/d..e"), "/cache/a.b/c/d..e");
  const others = "con CON.json aux.parquet nul. Com1.txt LPT9 com¹.a model.json. a:b a?b x* CONIN$ lpt1"
    .split(" ");
  for (const name of [...others, "ends ", "nul .txt"]) assert.ok(otherOnWindows(name), name);
  const plain = "config.json console.log com10 auxiliary.json a.con .nul model-00001-of-00002.safetensors"
    .split(" ");
  for (const name of plain) assert.ok(!otherOnWindows(name), name);
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

/** The headers of requests that a second host gets, which answers all of them with an empty list. */
async function withOtherHost(
  use: (address: string, tokens: (string | undefined)[]) => Promise<void>,
): Promise<void> {
  const tokens: (string | undefined)[] = [];
  const server = createServer((request, response) => {
    tokens.push(request.headers.authorization);
    response.writeHead(200, { "content-type": "application/json" });
    response.end("[]");
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    await use(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, tokens);
  } finally {
    server.closeAllConnections?.();
    await new Promise((resolve) => server.close(resolve));
  }
}

test("the token goes to the hub's own origin alone, on following pages too", async () => {
  await withOtherHost(async (address, tokens) => {
    await withHub({ token: "hf_secret", nextPage: `${address}/more` }, async (_, options) => {
      assert.deepEqual(await listRepository(set, { ...options, token: "hf_secret" }), [small.path]);
    });
    assert.deepEqual(tokens, [undefined]);
  });
});

test("the token is not sent in the clear to another machine", async () => {
  const sent: [string, string | null][] = [], real = globalThis.fetch;
  globalThis.fetch = ((url: URL | string, init: RequestInit) => {
    sent.push([String(url), new Headers(init.headers).get("authorization")]);
    return Promise.resolve(new Response("[]"));
  }) as typeof fetch;
  const headers = { authorization: "Bearer hf_secret" };
  try {
    for (
      const [hubUrl, url] of [
        ["https://hub.example", "https://hub.example/api"],
        ["http://hub.example", "http://hub.example/api"],
        ["https://hub.example", "http://hub.example/api"],
        ["https://hub.example", "https://hub.example.net/api"],
        ["https://hub.example", "https://hub.example@other.example/api"],
        ["http://127.0.0.1:80", "http://127.0.0.1:80/api"],
        ["http://127.0.0.1.example", "http://127.0.0.1.example/api"],
      ]
    ) await boundedFetch({ hubUrl, token: "hf_secret", timeout: 1000 })(url, { headers });
  } finally {
    globalThis.fetch = real;
  }
  const token = "Bearer hf_secret";
  assert.deepEqual(sent.map(([, header]) => header), [token, null, null, null, null, token, null]);
});

test("a hub that never stops answering is given up on", async () => {
  await withHub({}, async (hub, options) => {
    hub.nextPage = `${options.endpoint}api/datasets/org/set/tree/${commit}`;
    await fails(listRepository(set, options), /answers with more than 1000 pages$/);
    assert.ok(hub.requests.length < 1100, `${hub.requests.length} requests`);
  });
  await withHub({ endless: "answer" }, async (_, options) => {
    await fails(
      listRepository(set, { ...options, timeout: 30_000 }),
      /answers with more than 67108864 bytes$/,
    );
  });
});

test("no more bytes of a file are kept than the hub declared", async () => {
  await withHub({ files: { [large.path]: bytes }, endless: "file" }, async (_, options) => {
    const lengths: number[] = [];
    const listener = { progress: ({ done }: { done: number }) => void lengths.push(done) };
    await fails(
      downloadFile(large, { ...options, retries: 1, listener }),
      /does not have the expected checksum$/,
    );
    assert.equal(Math.max(...lengths), bytes.length);
    assert.deepEqual(readdirSync(join(options.cacheDirectory, "datasets--org--set", "blobs")), []);
  });
});

test("several that want one file at once share one transfer, and each gets it", async () => {
  await withHub(
    { files: { [large.path]: bytes }, cuts: { after: 1_000_000, times: 2 } },
    async (hub, options) => {
      const paths = await Promise.all(Array.from({ length: 6 }, () => downloadFile(large, options)));
      assert.equal(new Set(paths).size, 1);
      assert.deepEqual(new Uint8Array(readFileSync(paths[0]!)), bytes);
      assert.equal(readdirSync(join(options.cacheDirectory, "datasets--org--set", "blobs")).length, 1);
      assert.deepEqual(hub.ranges.map((range) => range.split("-")[0]), ["bytes=1000000", "bytes=2000000"]);
    },
  );
});

test("what a killed process left is gone on with once its owner shows no life", async () => {
  await withHub({ files: { [large.path]: bytes } }, async (hub, options) => {
    const blobs = join(options.cacheDirectory, "datasets--org--set", "blobs");
    const left = join(blobs, `${createHash("sha256").update(bytes).digest("hex")}.0a1b2c3d.incomplete`);
    mkdirSync(blobs, { recursive: true });
    writeFileSync(left, bytes.subarray(0, 1234));
    const old = new Date(Date.now() - 60_000);
    utimesSync(left, old, old);
    assert.deepEqual(new Uint8Array(readFileSync(await downloadFile(large, options))), bytes);
    assert.deepEqual(hub.ranges, [`bytes=1234-${bytes.length - 1}`]);
    assert.equal(readdirSync(blobs).length, 1);
  });
});
