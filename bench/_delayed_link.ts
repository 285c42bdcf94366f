/**
 * The wire between two network namespaces of Linux: a worker that takes each packet out of one and puts it into the other
 * some milliseconds later. For a kernel without netem; as root. Told `{ namespaces, milliseconds }`, it says "up" when both
 * have their device, {@linkcode DEVICE}, and then forwards until its process ends.
 */

/** The device's name in both namespaces. */
export const DEVICE = "wire";
/** Bytes of a packet, at most: about what the loopback device has. */
export const MTU = 65_000;

/** What a worker is told. */
export interface Wire {
  readonly namespaces: readonly [string, string];
  /** Of delay, one way. */
  readonly milliseconds: number;
}

/** Packets on their way in one direction; more wait in the kernel, which drops what is too much. */
const SLOTS = 1024;
const O_RDWR = 2, O_NONBLOCK = 0o4000, CLONE_NEWNET = 0x40000000, POLLIN = 1;
const TUNSETIFF = 0x400454ca, IFF_TUN = 1, IFF_NO_PI = 0x1000;

function library() {
  return Deno.dlopen("libc.so.6", {
    open: { parameters: ["buffer", "i32"], result: "i32" },
    setns: { parameters: ["i32", "i32"], result: "i32" },
    ioctl: { parameters: ["i32", "u64", "buffer"], result: "i32" },
    ppoll: { parameters: ["buffer", "u64", "buffer", "pointer"], result: "i32" },
    read: { parameters: ["i32", "buffer", "u64"], result: "i64" },
    write: { parameters: ["i32", "buffer", "u64"], result: "i64" },
  }).symbols;
}

/** Opens the device of a namespace, which this thread enters. */
function openDevice(c: ReturnType<typeof library>, namespace: string): number {
  const text = (value: string) => new TextEncoder().encode(`${value}\0`);
  const checked = (result: number, what: string) => {
    if (result < 0) throw new Error(`Cannot ${what} of namespace ${namespace}`);
    return result;
  };
  checked(
    c.setns(checked(c.open(text(`/run/netns/${namespace}`), 0), "open"), CLONE_NEWNET),
    "enter the net",
  );
  const device = checked(c.open(text("/dev/net/tun"), O_RDWR | O_NONBLOCK), "open /dev/net/tun");
  const request = new Uint8Array(40); // struct ifreq
  request.set(text(DEVICE));
  new DataView(request.buffer).setUint16(16, IFF_TUN | IFF_NO_PI, true);
  checked(c.ioctl(device, BigInt(TUNSETIFF), request), "make the device");
  return device;
}

/** One direction: a ring of packets, each with the time at which it is to arrive. */
function direction(c: ReturnType<typeof library>, { from, to, milliseconds }: {
  readonly from: number;
  readonly to: number;
  readonly milliseconds: number;
}) {
  const slots = Array.from({ length: SLOTS }, () => new Uint8Array(MTU));
  const sizes = new Int32Array(SLOTS), due = new Float64Array(SLOTS);
  let first = 0, next = 0;
  return {
    /** When the next packet is to arrive. */
    due: () => first === next ? Infinity : due[first % SLOTS]!,
    isFull: () => next - first === SLOTS,
    take(): void {
      while (next - first < SLOTS) {
        const at = next % SLOTS, size = Number(c.read(from, slots[at]!, BigInt(MTU)));
        if (size <= 0) return;
        sizes[at] = size;
        due[at] = performance.now() + milliseconds;
        next++;
      }
    },
    give(): void {
      for (const now = performance.now(); first < next && due[first % SLOTS]! <= now; first++) {
        const at = first % SLOTS;
        c.write(to, slots[at]!, BigInt(sizes[at]!));
      }
    },
  };
}

/** Never returns: the thread is the wire's. */
function forward({ namespaces, milliseconds }: Wire, up: () => void): void {
  const c = library(), [a, b] = namespaces.map((name) => openDevice(c, name)) as [number, number];
  const ways = [
    direction(c, { from: a, to: b, milliseconds }),
    direction(c, { from: b, to: a, milliseconds }),
  ];
  const polled = new Int32Array([a, POLLIN, b, POLLIN]), wait = new BigInt64Array(2);
  up();
  while (true) {
    const milliseconds = Math.min(
      100,
      Math.max(0, Math.min(...ways.map((way) => way.due())) - performance.now()),
    );
    wait[1] = BigInt(Math.ceil(milliseconds * 1e6));
    // A full direction is not asked for: its number is one that poll passes over.
    ways.forEach((way, i) => {
      polled[2 * i] = way.isFull() ? -1 : [a, b][i]!;
      polled[2 * i + 1] = POLLIN;
    });
    c.ppoll(polled, 2n, wait, null);
    for (const way of ways) {
      way.take();
      way.give();
    }
  }
}

const worker = globalThis as unknown as {
  onmessage: (event: MessageEvent<Wire>) => void;
  postMessage: (message: string) => void;
};
if (typeof worker.postMessage === "function") {
  worker.onmessage = ({ data }) => forward(data, () => worker.postMessage("up"));
}
