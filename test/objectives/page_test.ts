/** docs/objectives.md says what the objectives' own comments say. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { objectives } from "../../lib/objectives/objectives.ts";
import { objectivesPage } from "../../tools/objectives_page.ts";

/** Line breaks and escapes are the formatter's. */
const words = (text: string) => text.replaceAll("\\", "").split(/\s+/).join(" ").trim();

test("docs/objectives.md is what tools/objectives_page.ts writes", () => {
  const page = readFileSync(new URL("../../docs/objectives.md", import.meta.url), "utf8");
  assert.equal(words(page), words(objectivesPage()));
  for (const name of Object.keys(objectives)) assert.match(page, new RegExp(`^## ${name}$`, "m"));
});

test("every objective says its formula and its source", () => {
  for (const section of objectivesPage().split(/^## /m).slice(1)) {
    assert.match(section, /```text\n/, section);
    assert.match(section, /arXiv \d{4}\.\d{5}/, section);
  }
});
