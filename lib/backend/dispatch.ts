import { InputError } from "../runtime/errors.ts";
import { profile } from "./profile.ts";
import { deviceOf, type Tensor, type WebgpuDevice } from "./device.ts";

/** A WGSL compute program. Its bindings and its `Params` struct are declared from the lists here. */
export interface Program {
  /** Names the program and every constant that is written into its text: the key of its pipeline. */
  readonly name: string;
  /** Read-only storage arrays: name → element type (`f32`, `i32`, `vec4<f32>`, …). */
  readonly inputs: Readonly<Record<string, string>>;
  /** Storage arrays that are written (and may be read): name → element type. */
  readonly outputs: Readonly<Record<string, string>>;
  /** Scalars of the uniform block, read as `params.NAME`. */
  readonly params: Readonly<Record<string, "u32" | "i32" | "f32">>;
  /** Threads of a workgroup. */
  readonly workgroup: readonly [number, number?, number?];
  /** Declarations at module level: functions, `var<workgroup>`. */
  readonly header?: string;
  /**
   * The body of `main`. In scope: `local` (vec3), `lane` (index in the workgroup), `group` (vec3), and `row`, the
   * workgroup's number along x, which goes on over y where x alone has too few.
   */
  readonly body: string;
}

/** A tensor, or a run of its elements that starts on a 256-byte boundary. */
export type Binding = Tensor | {
  readonly tensor: Tensor;
  readonly offset: number;
  readonly length: number;
};

const UNIFORM_SLOT = 256; // minUniformBufferOffsetAlignment of every adapter divides it
const UNIFORM_SLOTS = 1024;

interface Recorder {
  readonly pipelines: Map<string, GPUComputePipeline>;
  readonly uniforms: GPUBuffer;
  readonly staged: ArrayBuffer;
  used: number;
}
const recorders = new WeakMap<GPUDevice, Recorder>();

/**
 * Records one launch of `program` behind those already recorded.
 *
 * A freed tensor's buffer may serve the next launch at once, since launches run in order.
 *
 * @param program what to run
 * @param call `tensors` by binding name, `params` by name, and workgroups along x, y, z; x may exceed the device's
 * limit when y and z are 1, and then the body must return where `row` is past its end; `work`, about how many operations it
takes, of what may take long: a submission is bounded by it (default 0)
 * @throws {InputError} when a binding is larger than the device allows
 */
export function dispatch(program: Program, call: {
  readonly tensors: Readonly<Record<string, Binding>>;
  readonly params: Readonly<Record<string, number>>;
  readonly groups: readonly [number, number?, number?];
  readonly work?: number;
}): void {
  const bound = Object.entries(call.tensors).map(([name, given]) => [name, tensorOf(given)] as const);
  const device = deviceOf(Object.fromEntries(bound), program.name);
  if (device.name !== "webgpu") {
    throw new Error(`Cannot run ${program.name}: its tensors are on ${device.name}`);
  }
  const { gpu, limits } = device, recorder = recorderOf(device);
  let [x, y = 1, z = 1] = call.groups;
  if (x === 0 || y === 0 || z === 0) return;
  const most = limits.maxComputeWorkgroupsPerDimension;
  if (x > most) {
    if (y !== 1 || z !== 1 || x > most * most) {
      throw new InputError(
        `Cannot launch ${program.name}: ${x}×${y}×${z} workgroups exceed the device's ${most} a side`,
      );
    }
    y = Math.ceil(x / most);
    x = Math.ceil(x / y);
  }
  if (recorder.used === UNIFORM_SLOTS) device.submit();
  const entries: GPUBindGroupEntry[] = [];
  for (const name of [...Object.keys(program.inputs), ...Object.keys(program.outputs)]) {
    const given = call.tensors[name];
    if (!given) throw new Error(`${program.name} needs a tensor for binding "${name}"`);
    const view = "tensor" in given ? given : undefined, buffer = tensorOf(given).slot.buffer!;
    const offset = view ? view.offset * 4 : 0;
    const size = view ? view.length * 4 : buffer.size;
    if (size > limits.maxStorageBufferBindingSize) {
      throw new InputError(
        `Cannot bind "${name}" of ${program.name}: ${size} bytes exceed maxStorageBufferBindingSize, ` +
          `${limits.maxStorageBufferBindingSize} bytes on this device`,
      );
    }
    entries.push({ binding: entries.length, resource: { buffer, offset, size } });
  }
  const slot = recorder.used++;
  const bytes = new DataView(recorder.staged, slot * UNIFORM_SLOT, UNIFORM_SLOT);
  let at = 0;
  for (const [name, type] of Object.entries(program.params)) {
    const value = call.params[name];
    if (value === undefined) throw new Error(`${program.name} needs a value for "${name}"`);
    if (type === "f32") bytes.setFloat32(at, value, true);
    else if (type === "u32") bytes.setUint32(at, value, true);
    else bytes.setInt32(at, value, true);
    at += 4;
  }
  entries.push({
    binding: entries.length,
    resource: { buffer: recorder.uniforms, offset: slot * UNIFORM_SLOT, size: uniformBytes(program) },
  });
  const pipeline = pipelineOf(gpu, recorder, program);
  const bindGroup = gpu.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries });
  const timestampWrites = profile.gpuTimestamps?.(program.name, device);
  const pass = device.pass(timestampWrites);
  pass.setPipeline(pipeline);
  pass.setBindGroup(0, bindGroup);
  pass.dispatchWorkgroups(x, y, z);
  if (timestampWrites) device.endPass();
  profile.count(program.name);
  device.launched(call.work ?? 0);
}

function tensorOf(binding: Binding): Tensor {
  return "tensor" in binding ? binding.tensor : binding;
}

function recorderOf(device: WebgpuDevice): Recorder {
  const { gpu } = device, known = recorders.get(gpu);
  if (known) return known;
  const recorder: Recorder = {
    pipelines: new Map(),
    uniforms: gpu.createBuffer({
      size: UNIFORM_SLOT * UNIFORM_SLOTS,
      usage: GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST,
    }),
    staged: new ArrayBuffer(UNIFORM_SLOT * UNIFORM_SLOTS),
    used: 0,
  };
  // One upload of all uniform blocks a submission, whoever submits.
  device.onSubmit(() => {
    if (recorder.used > 0) {
      gpu.queue.writeBuffer(recorder.uniforms, 0, recorder.staged, 0, recorder.used * UNIFORM_SLOT);
    }
    recorder.used = 0;
  });
  recorders.set(gpu, recorder);
  return recorder;
}

function uniformBytes(program: Program): number {
  return Math.max(16, Math.ceil(Object.keys(program.params).length / 4) * 16);
}

function pipelineOf(device: GPUDevice, recorder: Recorder, program: Program): GPUComputePipeline {
  let pipeline = recorder.pipelines.get(program.name);
  if (!pipeline) {
    const module = device.createShaderModule({ code: sourceOf(program), label: program.name });
    pipeline = device.createComputePipeline({
      label: program.name,
      layout: "auto",
      compute: { module, entryPoint: "main" },
    });
    recorder.pipelines.set(program.name, pipeline);
  }
  return pipeline;
}

/** The complete WGSL text of a program. */
export function sourceOf(program: Program): string {
  let binding = 0;
  const declare = (access: string) => ([name, type]: [string, string]) =>
    `@group(0) @binding(${binding++}) var<storage, ${access}> ${name}: array<${type}>;`;
  const fields = Object.entries(program.params).map(([name, type]) => `  ${name}: ${type},`);
  while (fields.length % 4 !== 0 || fields.length === 0) fields.push(`  _pad${fields.length}: u32,`);
  const f16 = /\bf16\b/.test(JSON.stringify([program.inputs, program.outputs, program.header, program.body]));
  return [
    f16 ? "enable f16;" : "",
    ...Object.entries(program.inputs).map(declare("read")),
    ...Object.entries(program.outputs).map(declare("read_write")),
    `struct Params {\n${fields.join("\n")}\n}`,
    `@group(0) @binding(${binding}) var<uniform> params: Params;`,
    program.header ?? "",
    `@compute @workgroup_size(${program.workgroup.map((n) => n ?? 1).join(", ")})`,
    "fn main(@builtin(local_invocation_id) local: vec3<u32>, @builtin(local_invocation_index) lane: u32,",
    "        @builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {",
    "  let row = group.x + group.y * groups.x;",
    program.body,
    "  _ = params; _ = row; _ = lane;",
    "}",
  ].join("\n");
}
