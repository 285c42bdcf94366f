import { transpose } from "./checkpoint.ts";
import type { Parameter } from "./parameter_plan.ts";

/** The checkpoint tensors in a fused parameter, in the checkpoint's own layout, by name. */
export function* splitParameter(entry: Parameter, values: Float32Array): Generator<[string, Float32Array]> {
  const columns = entry.shape[1] ?? 1;
  let at = 0;
  for (const { tensor, rows, transposed } of entry.parts) {
    const part = values.slice(at, at += rows * columns);
    if (!transposed) yield [tensor, part];
    else {
      const turned = new Float32Array(part.length);
      transpose(part, turned, { rows, columns });
      yield [tensor, turned];
    }
  }
}
