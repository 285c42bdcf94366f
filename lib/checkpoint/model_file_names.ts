/** The names of a model directory's files, as they are written. */

import type { Owned } from "../runtime/owned_files.ts";

/** What goes with the weights of a model, by file name. A README.md describes the old weights, so it does not. */
export const companions =
  /^(generation_config\.json|tokenizer.*\.(json|model)|special_tokens_map\.json|added_tokens\.json|vocab\.(json|txt)|merges\.txt|spiece\.model|chat_template\.(jinja|json)|(LICENSE|NOTICE).*)$/;

const model =
  /^(?:(adapter_)?config\.json|(adapter_)?model(-\d{5}-of-\d{5})?\.safetensors|model\.safetensors\.index\.json|README\.md)$/;
/** What a training run keeps beside its model, and what is measured of it. */
const run =
  /^(?:run\.json|run\.lock|metrics\.jsonl|evaluation[\w+-]*\.json|examples\.json|votes-[\w+-]+\.jsonl)$/;

/** What a training run keeps in its folder of checkpoints. */
export const checkpointNames: Owned = {
  files: /^$/,
  folders: [[/^step-\d+$/, { files: /^state\.(json|safetensors)$/ }]],
};

/** What saving a model and training one write into a directory. */
export const modelFileNames: Owned = {
  files: new RegExp([model, run, companions].map(({ source }) => source).join("|")),
  folders: [[/^checkpoints$/, checkpointNames]],
};
