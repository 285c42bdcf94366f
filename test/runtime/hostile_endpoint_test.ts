/** Servers of chat completions that mean harm: each request ends in time, and says so in one line or is asked again. */
import assert from "node:assert/strict";
import type { Socket } from "node:net";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { type EndpointCounts, openEndpoint } from "../../lib/runtime/endpoint.ts";
import { InputError } from "../../lib/runtime/errors.ts";
import { pour, response, withRawServer } from "../_raw_server.ts";

const json = { "content-type": "application/json" };
const bomb = gzipSync(new Uint8Array(64 * 2 ** 20)); // 64 KiB that become 64 MiB
const bodyOf = (usage: object) => JSON.stringify({ choices: [{ text: "5", finish_reason: "stop" }], usage });

/** Asks once; what came of it, and how long that took. */
async function asked(
  answer: (socket: Socket) => void,
): Promise<{ found: unknown; error: string; counts: EndpointCounts; seconds: number; requests: string[] }> {
  let result: Awaited<ReturnType<typeof asked>> | undefined;
  await withRawServer(answer, async ({ origin, requests }) => {
    const key = "sk-secret", began = performance.now();
    const endpoint = openEndpoint({
      name: "judge",
      url: origin,
      path: "completions",
      key,
      timeout: 1,
      retries: 0,
    });
    let found: unknown, error = "";
    try {
      found = await endpoint.ask({}, (said) => said ?? undefined, new AbortController().signal);
    } catch (thrown) {
      assert.ok(thrown instanceof InputError, String(thrown));
      error = thrown.message.replace(origin, "URL");
    }
    assert.doesNotMatch(error, /\n|sk-secret/);
    const seconds = (performance.now() - began) / 1000;
    result = { found, error, counts: endpoint.counts, seconds, requests };
  });
  return result!;
}

test("headers, chunks and bodies without end are given up in time", async () => {
  const endless: Record<string, (socket: Socket) => void> = {
    headers: (socket) => {
      socket.write("HTTP/1.1 200 OK\r\n");
      pour(socket, `x-more: ${"y".repeat(4000)}\r\n`);
    },
    "one header": (socket) => {
      socket.write("HTTP/1.1 200 OK\r\nx-long: ");
      pour(socket, "y".repeat(64 * 1024));
    },
    "words of patience": (socket) => pour(socket, "HTTP/1.1 102 Processing\r\n\r\n"),
    chunks: (socket) => {
      socket.write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
      pour(socket, "1\r\n[\r\n", 20);
    },
    "size of a chunk": (socket) => {
      socket.write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
      pour(socket, "0".repeat(1000));
    },
    "less than was promised": (socket) => socket.write("HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{"),
    silence: () => {},
  };
  for (const [name, answer] of Object.entries(endless)) {
    const { error, found, seconds } = await asked(answer);
    assert.equal(found, undefined, name);
    assert.match(error, /^Cannot reach the judge at URL\/completions: .+, in 1 try$/, name);
    assert.ok(seconds < 8, `${name}: ${seconds} s`);
  }
});

test("what is small on the wire and large here is not read on", async () => {
  const packed = (headers: Record<string, string>) => (socket: Socket) =>
    socket.write(response({ headers: { ...json, ...headers }, body: bomb }));
  const { error } = await asked(packed({ "content-encoding": "gzip" }));
  assert.equal(
    error,
    "Cannot reach the judge at URL/completions: an answer of more than 8388608 bytes, in 1 try",
  );
  // Said to be packed, and not: whatever the runtime makes of it, it is no answer.
  const { found } = await asked((socket) =>
    socket.write(response({ headers: { ...json, "content-encoding": "gzip" }, body: "{}" }))
  );
  assert.equal(found, undefined);
});

test("a page, a redirect, a nest of brackets and a body that is cut are no answers", async () => {
  const page = await asked((socket) => socket.write(response({ body: "<html>Sign in</html>" })));
  assert.deepEqual([page.found, page.error, page.counts.malformed], [undefined, "", 1]);
  for (
    const location of ["file:///etc/passwd", "http://127.0.0.1:1/v1", "//other.example/", "/completions", ""]
  ) {
    const moved = await asked((socket) =>
      socket.write(response({ status: "307 Temporary Redirect", headers: { location } }))
    );
    assert.equal(moved.error, "Cannot ask the judge at URL/completions: HTTP 307", location);
    assert.equal(moved.requests.length, 1);
  }
  const nest = "[".repeat(1_000_000) + "]".repeat(1_000_000);
  const nested = await asked((socket) => socket.write(response({ body: nest })));
  assert.equal(nested.error, "");
  const cut = await asked((socket) =>
    socket.write(response({ headers: { "content-length": 3 }, body: "{}{}{}" }))
  );
  assert.deepEqual([cut.found, cut.counts.malformed], [undefined, 1]);
});

test("counts of tokens that are none are not counted", async () => {
  for (
    const usage of [{ prompt_tokens: -5, completion_tokens: 1 }, {
      prompt_tokens: 1e300,
      completion_tokens: 1,
    }]
  ) {
    const { counts } = await asked((socket) => socket.write(response({ body: bodyOf(usage) })));
    assert.deepEqual([counts.input, counts.output, counts.uncounted], [0, 0, 1]);
  }
  const { counts } = await asked((socket) =>
    socket.write(response({ body: bodyOf({ prompt_tokens: 5, completion_tokens: 1 }) }))
  );
  assert.deepEqual([counts.input, counts.output, counts.uncounted], [5, 1, 0]);
});
