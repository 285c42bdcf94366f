/** What Hugging Face's tokenizers makes of texts, with tokenizers of ten kinds (tools/golden/token_ids.py). */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { makeTokenizer } from "../../lib/tokenizer/tokenizer.ts";
import { base, root } from "../_commands.ts";

type Row = [
  text: string,
  ids: number[],
  around: [before: number[], behind: number[]],
  decoded: string,
  withoutSpecial: string,
];
const golden: Record<string, { tokenizer: object | null; texts: Row[] }> = JSON.parse(
  readFileSync(new URL("./tokenizers.json", import.meta.url), "utf8"),
);
const config = JSON.stringify({
  bos_token: "<s>",
  eos_token: "</s>",
  add_bos_token: true,
  clean_up_tokenization_spaces: false,
});

for (const [name, { tokenizer: json, texts }] of Object.entries(golden)) {
  test(`tokenizer ${name}: ids with and without special tokens, and texts of ids`, () => {
    const source = json ? JSON.stringify(json) : readFileSync(join(root, base, "tokenizer.json"), "utf8");
    const files = new Map([["tokenizer.json", source], ["tokenizer_config.json", config]]);
    using tokenizer = makeTokenizer(files, name);
    for (const [text, ids, [before, behind], decoded, plain] of texts) {
      const what = `${name}: ${JSON.stringify(text)}`;
      assert.deepEqual(tokenizer.encode(text, { special: false }), ids, what);
      assert.deepEqual(tokenizer.encode(text), [...before, ...ids, ...behind], what);
      assert.deepEqual(tokenizer.encodePrompt(text), [...before, ...ids], what);
      assert.equal(tokenizer.decode(ids, { skipSpecial: false }), decoded, what);
      assert.equal(tokenizer.decode([...before, ...ids, ...behind]), plain, what);
    }
  });
}
