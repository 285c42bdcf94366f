/** A server of the tests' own with OpenAI's interface: it answers as it is told, and notes what it was asked. */

import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** One request as it arrived. */
export interface Asked {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingMessage["headers"];
  // deno-lint-ignore no-explicit-any -- tests look into it
  readonly body: any;
  /** Which request this is, from 0. */
  readonly number: number;
}

/** What to answer: a text that ends by itself, a whole answer, a response of any kind, or what to do with the connection. */
export type Answer =
  | string
  | object
  | { readonly status: number; readonly body?: string; readonly headers?: Record<string, string> }
  | ((response: ServerResponse) => void | Promise<void>);

/** An answer with one text, in both interfaces' forms. */
export function completion(text: string, finish = "stop", tokens = 7): object {
  const choice = { text, message: { role: "assistant", content: text }, finish_reason: finish, index: 0 };
  return { choices: [choice], usage: { prompt_tokens: 20, completion_tokens: tokens } };
}

/** Runs `use` with a server. */
export async function withServer(
  answer: (asked: Asked) => Answer | Promise<Answer>,
  use: (
    server: { readonly url: string; readonly asked: Asked[]; readonly most: () => number },
  ) => Promise<void>,
): Promise<void> {
  const asked: Asked[] = [];
  let now = 0, most = 0;
  const serve = async (request: IncomingMessage, response: ServerResponse) => {
    most = Math.max(most, ++now);
    let text = "";
    for await (const chunk of request) text += chunk;
    const { method, url, headers } = request;
    const one = { method: method!, path: url!, headers, body: JSON.parse(text), number: asked.length };
    asked.push(one);
    const said = await answer(one);
    now--;
    if (typeof said === "function") return await said(response);
    const { status = 200, body, headers: more } = (said as { status?: number }).status
      ? said as { status: number; body?: string; headers?: Record<string, string> }
      : { body: JSON.stringify(typeof said === "string" ? completion(said) : said), headers: undefined };
    response.writeHead(status, { "content-type": "application/json", ...more });
    response.end(body ?? "");
  };
  const server = createServer((request, response) =>
    void serve(request, response).catch(() => response.destroy())
  );
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`;
    await use({ url, asked, most: () => most });
  } finally {
    server.closeAllConnections?.();
    await new Promise((resolve) => server.close(resolve));
  }
}
