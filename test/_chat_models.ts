/** Small models whose tokenizers have a chat template. */

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { writeSmallModel } from "./_models.ts";

/** ChatML, whose two tokens are 300 and 301. */
export const chatml: string =
  "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}" +
  "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";

/** In the manner of Qwen3's: thoughts are switched off by an empty one; and a day, as Llama 3's has. */
export const thinking: string = chatml.replace("{% for", "{{ strftime_now('%d %b %Y') }}\n{% for").replace(
  "{% endif %}",
  "{% if enable_thinking is defined and not enable_thinking %}<think></think>\n{% endif %}{% endif %}",
);

/** A small model whose tokenizer has a chat template, and ChatML's two tokens (300 and 301). */
export async function writeChatModel(
  template?: string,
  options: { readonly context?: number } = {},
): Promise<string> {
  const path = await writeSmallModel({ ...options, config: { vocab_size: 302 } });
  const edit = (name: string, change: (json: Record<string, unknown>) => void) => {
    const file = join(path, name), json = JSON.parse(readFileSync(file, "utf8"));
    change(json);
    writeFileSync(file, JSON.stringify(json));
  };
  edit("tokenizer.json", (json) => {
    const added = ["<|im_start|>", "<|im_end|>"].map((content, i) => ({
      id: 300 + i,
      content,
      special: true,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
    }));
    json.added_tokens = [...json.added_tokens as unknown[], ...added];
  });
  if (template !== undefined) edit("tokenizer_config.json", (json) => json.chat_template = template);
  return path;
}
