/** One of the CPU device's further threads: it waits for work of the thread that opened the device, and does it. */

import { workerData } from "node:worker_threads";
import { openBlas } from "../runtime/native.ts";
import { kernelsOf } from "./_kernel_table.ts";
import { nativeProduct } from "./_native_product.ts";
import { type Place, SharedWork } from "./_shared_work.ts";

/** What a thread is started with. */
export interface ThreadData {
  readonly place: Place;
  /** Where the table of kernels lies. */
  readonly table: number;
  /** Its number: 1 or more. */
  readonly thread: number;
  /** Path of the native library, if there is one. */
  readonly blas: string | undefined;
}

const { place, table, thread, blas } = workerData as ThreadData;
const native = blas === undefined ? undefined : nativeProduct(place.memory, await openBlas(blas));
new SharedWork(place, kernelsOf(place.memory, table, native)).serve(thread);
