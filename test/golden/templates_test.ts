/** Chats as transformers writes them, by eleven templates (tools/golden/templates.py). */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { type ChatMessage, renderChat } from "../../lib/tokenizer/chat_template.ts";

type Case = [
  template: string,
  chat: string,
  addGenerationPrompt: boolean,
  variables: Record<string, unknown>,
  text: string | null,
];
const { date, specials, templates, chats, tools, cases } = JSON.parse(
  readFileSync(new URL("./templates.json", import.meta.url), "utf8"),
) as {
  date: string;
  specials: Record<string, string>;
  templates: Record<string, string>;
  chats: Record<string, ChatMessage[]>;
  tools: object[];
  cases: Case[];
};

for (const [name, template] of Object.entries(templates)) {
  test(`template ${name}: chats as transformers writes them, and refused where it refuses them`, () => {
    for (const [, chat, addGenerationPrompt, variables, text] of cases.filter(([of]) => of === name)) {
      const options = { addGenerationPrompt, specials, variables, date };
      const render = () =>
        renderChat(template, chats[chat]!, { ...options, ...(chat === "tools" && { tools }) });
      const what = `${name}, ${chat}, ${addGenerationPrompt}`;
      if (text === null) assert.throws(render, /Cannot render the chat template: /, what);
      else assert.equal(render(), text, what);
    }
  });
}
