/** A Hugging Face hub for tests: what the client needs of its interface, over files in memory, with faults to order. */

import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** The only commit of every repository. */
export const commit = "0123456789abcdef0123456789abcdef01234567";

/** A small hub whose data sets and models all hold the same files, and switches for what can go wrong. */
export interface Hub {
  files: Record<string, Uint8Array>;
  requests: string[];
  /** Ranges asked for beyond the first byte. */
  ranges: string[];
  /** Cut the connection after so many bytes, so many times. */
  cuts: { after: number; times: number };
  /** Serve the whole file whatever the range. */
  ignoreRanges?: boolean;
  token?: string;
  /** Where the bytes of files come from, as the hub sends large ones from other hosts. */
  storage?: string;
  sha?: unknown;
  /** The page of a listing that follows each page. */
  nextPage?: string;
  /** What never ends: an answer in JSON, or the bytes of a file. */
  endless?: "answer" | "file";
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
    const large = /\.(parquet|safetensors)$/.test(name);
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
  const [, kind = "models", repo] = path.match(
    /^\/(?:api\/)?(?:(datasets|models)\/)?([^/]+\/[^/]+)\/(?:revision|tree|paths-info|resolve)\//,
  ) ?? [];
  if (repo === "org/none") return json({ error: "Repository not found" }, 404);
  if (path === `/api/${kind}/${repo}/revision/main`) return json({ id: repo, sha: hub.sha ?? commit });
  if (path === `/api/${kind}/${repo}/tree/${commit}`) {
    if (hub.nextPage) response.setHeader("link", `<${hub.nextPage}>; rel="next"`);
    if (hub.endless === "answer") {
      response.writeHead(200, { "content-type": "application/json" });
      return pour(response, Buffer.from("[".padEnd(1 << 20)));
    }
    return json([{ type: "directory", path: "main", size: 0 }, ...Object.keys(hub.files).map(entry)]);
  }
  if (path === `/api/${kind}/${repo}/paths-info/${commit}`) {
    let body = "";
    request.on("data", (chunk) => body += chunk);
    request.on(
      "end",
      () => json(JSON.parse(body).paths.filter((name: string) => name in hub.files).map(entry)),
    );
    return;
  }
  if (hub.storage && path.includes("/resolve/")) {
    response.writeHead(302, { location: hub.storage + request.url! });
    response.end();
    return;
  }
  const name = path.replace(/^.*\/resolve\/[0-9a-f]{40}\//, "");
  const content = hub.files[name];
  if (!content) return json({ error: "not here" }, 404);
  const range = request.headers.range?.match(/bytes=(\d+)-(\d*)/);
  const start = range ? Number(range[1]) : 0;
  const end = range?.[2] ? Number(range[2]) + 1 : content.length;
  const probe = start === 0 && end === 1;
  if (start > 0) hub.ranges.push(request.headers.range!);
  if (hub.endless === "file" && !probe) {
    response.writeHead(200, { etag: '"x"' });
    return pour(response, Buffer.alloc(1 << 16));
  }
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

/** Writes the same bytes until the other side has enough. */
function pour(response: ServerResponse, bytes: Uint8Array): void {
  const more = (): void => {
    while (!response.destroyed && response.write(bytes));
  };
  response.on("drain", more);
  more();
}

/** Runs `use` with a served hub and a fresh cache folder. */
export async function withHub(
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
