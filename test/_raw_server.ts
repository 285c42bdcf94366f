/** A server that writes whatever bytes a test wants, HTTP or not. */

import { createServer, type Socket } from "node:net";
import type { AddressInfo } from "node:net";

/** Runs `use` with a server that answers each request (headers and body, as text) by `answer`. */
export async function withRawServer(
  answer: (socket: Socket, request: string) => void,
  use: (server: { readonly origin: string; readonly requests: string[] }) => Promise<void>,
): Promise<void> {
  const sockets = new Set<Socket>(), requests: string[] = [];
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket)).on("error", () => {});
    let text = "";
    socket.on("data", (piece) => {
      text += piece.toString("latin1");
      const [head, body] = text.split("\r\n\r\n", 2);
      if (body === undefined) return;
      const length = Number(head!.match(/^content-length: (\d+)/im)?.[1] ?? 0);
      if (body.length < length) return;
      requests.push(text);
      const request = text;
      text = "";
      answer(socket, request);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    await use({ origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, requests });
  } finally {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  }
}

/** Writes pieces until the other side has gone. */
export function pour(socket: Socket, piece: string | Uint8Array, milliseconds = 0): void {
  const timer = setInterval(() => {
    if (socket.destroyed) return clearInterval(timer);
    if (socket.writableLength < 1 << 20) socket.write(piece);
  }, milliseconds);
  socket.on("close", () => clearInterval(timer));
}

/** A whole response. */
export function response(
  { status = "200 OK", headers = {}, body = "" }: {
    readonly status?: string;
    readonly headers?: Readonly<Record<string, string | number>>;
    readonly body?: string | Uint8Array;
  },
): Uint8Array {
  const bytes = typeof body === "string" ? new TextEncoder().encode(body) : body;
  const all = { "content-length": bytes.length, connection: "close", ...headers };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`).join("");
  const head = new TextEncoder().encode(`HTTP/1.1 ${status}\r\n${lines}\r\n`);
  const whole = new Uint8Array(head.length + bytes.length);
  whole.set(head);
  whole.set(bytes, head.length);
  return whole;
}
