import { attention } from "./attention.ts";
import type { Kernel } from "./kernel.ts";
import { products } from "./products.ts";
import { rows } from "./rows.ts";
import { vocabulary } from "./vocabulary.ts";

/** Every operation of `lib/kernels`. */
export const kernels: readonly Kernel[] = [...products, ...attention, ...vocabulary, ...rows];
