/** A stream put aside on the disk. */

import * as fs from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { bufferedSink, type FileSink, named } from "./_file_sink.ts";
import { openFile, type RandomAccessFile, readBytes } from "./files.ts";

/** A temporary file to put a stream aside and read it again, as often as needed. */
export interface Spool extends FileSink, AsyncDisposable {
  /** All that was written so far, from the beginning. */
  read(): AsyncIterable<Uint8Array>;
  /** `length` bytes from byte `offset` on, of what was written so far. */
  readAt(offset: number, length: number): Promise<Uint8Array<ArrayBuffer>>;
  /** Closes and removes the file. */
  close(): Promise<void>;
}

/** Opens a spool in the system's folder for temporary files (`TMPDIR`). */
export async function openSpool(): Promise<Spool> {
  const folder = await named("write", tmpdir(), () => fs.mkdtemp(join(tmpdir(), "spool-")));
  const path = join(folder, "spool");
  const handle = await named("write", path, () => fs.open(path, "w"));
  const sink = bufferedSink(handle, path);
  let reader: RandomAccessFile | undefined;
  const close = async () => {
    await reader?.close();
    await handle.close();
    await fs.rm(folder, { recursive: true, force: true });
  };
  return {
    write: sink.write,
    async *read() {
      await sink.flush();
      yield* readBytes(path);
    },
    async readAt(offset, length) {
      await sink.flush();
      reader ??= await openFile(path);
      return await reader.read(offset, length);
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}
