/** A tar archive as a stream of bytes (POSIX ustar): the same files give the same bytes, whoever packs them, and when. */

/** One thing in an archive: a file with its content, or a symbolic link with where it leads. */
export type Entry =
  & {
    /** Path in the archive, with slashes. */
    readonly path: string;
  }
  & (
    | { readonly size: number; readonly bytes: AsyncIterable<Uint8Array>; readonly executable?: boolean }
    | { readonly link: string }
  );

const BLOCK = 512, empty = new Uint8Array();

/** The archive's bytes. Throws RangeError for a path or a link that is too long, and for a file that is not as long as it said. */
export async function* tar(entries: AsyncIterable<Entry> | Iterable<Entry>): AsyncGenerator<Uint8Array> {
  for await (const entry of entries) {
    yield header(entry);
    if ("link" in entry) continue;
    let bytes = 0;
    for await (const piece of entry.bytes) {
      bytes += piece.length;
      yield piece;
    }
    if (bytes !== entry.size) {
      throw new RangeError(`${entry.path} changed while it was packed: ${bytes} bytes, not ${entry.size}`);
    }
    yield padding(bytes);
  }
  yield new Uint8Array(2 * BLOCK);
}

function padding(bytes: number): Uint8Array {
  return bytes % BLOCK === 0 ? empty : new Uint8Array(BLOCK - bytes % BLOCK);
}

function header(entry: Entry): Uint8Array {
  const block = new Uint8Array(BLOCK), encoder = new TextEncoder();
  const put = (at: number, most: number, value: string) => {
    const bytes = encoder.encode(value);
    if (bytes.length > most) throw new RangeError(`${entry.path} cannot be packed: ${value} is too long`);
    block.set(bytes, at);
  };
  const octal = (at: number, digits: number, value: number) =>
    put(at, digits, value.toString(8).padStart(digits, "0"));
  const [prefix, name] = split(entry.path), isLink = "link" in entry;
  put(0, 100, name);
  octal(100, 7, isLink ? 0o777 : entry.executable ? 0o755 : 0o644);
  octal(108, 7, 0); // nobody's
  octal(116, 7, 0);
  octal(124, 11, isLink ? 0 : entry.size);
  octal(136, 11, 0); // of no time
  put(148, 8, " ".repeat(8));
  put(156, 1, isLink ? "2" : "0");
  if (isLink) put(157, 100, entry.link);
  put(257, 8, "ustar\x0000");
  put(345, 155, prefix);
  octal(148, 6, block.reduce((sum, byte) => sum + byte, 0));
  block[154] = 0;
  return block;
}

/** A path as prefix and name, cut at a slash so that the name has at most 100 bytes. */
function split(path: string): [prefix: string, name: string] {
  const length = (text: string) => new TextEncoder().encode(text).length;
  if (length(path) <= 100) return ["", path];
  for (let at = path.indexOf("/"); at >= 0; at = path.indexOf("/", at + 1)) {
    if (length(path.slice(at + 1)) <= 100) return [path.slice(0, at), path.slice(at + 1)];
  }
  return ["", path]; // too long: refused
}
