/** A chat-completions endpoint of the tests' own: it answers as it is told, and notes what it was asked. */

import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** One request as it arrived. */
export interface Asked {
  readonly path: string;
  readonly authorization?: string | undefined;
  readonly body: { model: string; temperature: number; messages: { role: string; content: string }[] };
  /** What the judge is to look at: the user's message, parsed. */
  readonly material: { question: string; candidates: string[]; [field: string]: unknown };
  /** Which request this is, from 0. */
  readonly number: number;
}

/** What to answer: a reply of the model, or a whole response, or nothing at all. */
export type Answer =
  | string
  | { readonly status: number; readonly body?: string; readonly headers?: Record<string, string> }
  | { readonly silent: true };

/** A running server. */
export interface JudgeServer {
  readonly url: string;
  readonly asked: Asked[];
  /** The most requests that were under way at once. */
  readonly most: () => number;
}

/** Runs `use` with a server that answers each request as `answer` says, after `wait` milliseconds. */
export async function withJudge(
  answer: (asked: Asked) => Answer | Promise<Answer>,
  use: (server: JudgeServer) => Promise<void>,
): Promise<void> {
  const asked: Asked[] = [];
  let now = 0, most = 0;
  const serve = async (request: IncomingMessage, response: ServerResponse) => {
    most = Math.max(most, ++now);
    let text = "";
    for await (const chunk of request) text += chunk;
    const body = JSON.parse(text);
    const one: Asked = {
      path: request.url!,
      authorization: request.headers.authorization,
      body,
      material: JSON.parse(body.messages[1].content),
      number: asked.length,
    };
    asked.push(one);
    const said = await answer(one);
    now--;
    if (typeof said === "string") {
      response.writeHead(200, { "content-type": "application/json" });
      response.end(JSON.stringify({
        choices: [{ message: { role: "assistant", content: said } }],
        usage: { prompt_tokens: 100, completion_tokens: 7 },
      }));
    } else if ("status" in said) {
      response.writeHead(said.status, said.headers);
      response.end(said.body ?? "");
    }
  };
  const server = createServer((request, response) =>
    void serve(request, response).catch(() => response.destroy())
  );
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    await use({
      url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`,
      asked,
      most: () => most,
    });
  } finally {
    server.closeAllConnections?.();
    await new Promise((resolve) => server.close(resolve));
  }
}
